"""Properties that are objects: they exist and have no value of their own (A-13, A-21), however they are stored."""

import json
from datetime import timedelta

import pytest

from populace.events import parts, shred
from tests import driving
from tests.slicing import NOON, called
from tests.tables import AS_OF

SENT = {
    "full": {"o": {"k": 1, "deep": {"l": "x"}}},
    "odd": {"o": {"a.b": [1]}},
    "empty": {"o": {}},
    "nil": {"o": None},
    "hollow": {"o": {"k": None}},
    "none": {"other": 1},
    "text": {"o": "x"},
    "list": {"o": [1]},
    "number": {"o": 10},
}
CONDITIONS = {
    "exists": ("property('o').exists()", "empty full list number odd text"),
    "absent": ("property('o').absent()", "hollow nil none"),
    "differs": ("property('o') != 'x'", "empty full list number odd"),
    "equals": ("property('o') = 'x'", "text"),
    "none": ("property('o').none_of('x', 10)", "empty full list odd"),
    "deep": ("property('o.deep').exists()", "full"),
    "inside": ("property('o.k') = 1", "full"),
    "never": ("property('never').exists()", ""),
}
FUNNEL = "event('E').where(event('F').where(property(parent: 'o').exists()).count() >= 1).count() >= 1"


def sent(users):
    calls = []
    for number, user in enumerate(users):
        more = {"user_id": user, "timestamp": NOON + timedelta(minutes=number)}
        calls.append({"message_id": f"e{user}", "properties": json.dumps(SENT[user]), **more})
        calls.append({"message_id": f"f{user}", "event": "F", "properties": '{"n":1}', **more})
    return called(*calls)


@pytest.mark.parametrize("kind", ["typed", "rest", "rare"])
@pytest.mark.parametrize("together", [True, False])
def test_a13_and_a21_an_object_exists_and_equals_nothing(tmp_path, monkeypatch, kind, together):
    if kind == "rest":
        monkeypatch.setattr(shred, "MOST_COLUMNS", 1)
    if kind == "rare":
        monkeypatch.setattr(parts, "OWN_TABLES", 0)
    audiences = {key: f"event('E').where({text}).count() >= 1" for key, (text, _) in CONDITIONS.items()}
    space = driving.space_in(tmp_path, audiences=audiences | {"followed": FUNNEL})
    for number, users in enumerate([list(SENT)] if together else [[each] for each in SENT]):
        driving.put(space, "web", f"2024-03-01/{number}", sent(users))
    run_id = driving.recomputed(space, AS_OF)
    assert members(space, run_id) == {
        **{key: expected for key, (_, expected) in CONDITIONS.items() if expected},
        "followed": CONDITIONS["exists"][1],
    }


def members(space, run_id):
    """The user ids of each audience's members, in a row."""
    users = driving.table(space, run_id, "external_ids").filter(id_type="user_id").select("profile_id", "id_value")
    found = driving.table(space, run_id, "memberships").join(users, on="profile_id").sort("id_value")
    return {key: " ".join(each["id_value"]) for (key,), each in found.group_by("audience", maintain_order=True)}

"""Segment's HTTP API: what arrives there, in peace and in mischief, and that it is never called more than received."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.segment import KEY, Segment, is_sound
from demo.vendors.server import serve
from populace.definitions import Destination
from populace.destinations import segment
from populace.space import OpenSpace
from tests.deliveries import QUICK, ledger, of_accounts, open_space, outcomes, publish
from tests.deliveries import send as deliver
from tests.sent import opened, record, send

PEOPLE = [f"u{each:02d}" for each in range(20)]


@pytest.fixture
def vendor() -> Iterator[Segment]:
    with serve(Segment()) as found:
        yield found


@pytest.fixture
def space(tmp_path: Path, vendor: Segment) -> OpenSpace:
    """Twenty people with a plan and a city, the first ten of them buyers."""
    settings = (("endpoint", f"{vendor.url}/v1"), ("write_key", KEY))
    space = open_space(tmp_path, Destination("crm", "segment", settings), "plan", "city", "buyers")
    publish(space, 1, values("gold"), {"buyers": PEOPLE[:10]})
    return space


def values(plan: str) -> dict[str, list]:
    return {"profile_id": PEOPLE, "plan": [plan] * 20, "city": ["Rome"] * 19 + [None]}


def assert_equal(vendor: Segment, plan: str = "gold") -> None:
    assert vendor.values("plan") == dict.fromkeys(PEOPLE, plan)
    assert vendor.values("city") == dict.fromkeys(PEOPLE[:19], "Rome")
    assert vendor.values("buyers") == dict.fromkeys(PEOPLE[:10], True)
    assert vendor.dropped == []


def test_traits_of_one_person_arrive_in_one_call_and_later_only_what_changed(space: OpenSpace, vendor: Segment):
    assert outcomes(deliver(space)) == {"delivered": 49}
    assert_equal(vendor)
    assert len(vendor.seen) == 20 + 10
    publish(space, 2, values("silver"), {"buyers": PEOPLE[:9]})
    assert outcomes(deliver(space)) == {"delivered": 21, "unchanged": 28}
    assert vendor.traits["u09"] == {"plan": "silver", "city": "Rome", "buyers": False}


def test_success_is_called_received(vendor: Segment):
    with opened(segment, {"endpoint": f"{vendor.url}/v1", "write_key": KEY}) as sender:
        (verdict,) = send(sender, [record()])
        assert verdict.reason == "HTTP 200: received"
        assert sender.samples[0]["endpoint"] == "POST /v1/batch"


@pytest.mark.parametrize(
    "script",
    [
        [500, 503, 502],
        ["reset", "lost", "drop", "unread"],
        ["html", 408],
        [(429, {"X-RateLimit-Reset": "0"}), (429, {"Retry-After": "0"}), 429],
        [401],
    ],
    ids=["500 burst", "no answer", "outage page", "throttled", "denied once"],
)
def test_mischief_ends_in_the_desired_state(space: OpenSpace, vendor: Segment, script: list[Any]):
    vendor.script = list(script)
    assert deliver(space)["status"] == "success"
    assert_equal(vendor)
    assert vendor.most_per_person == 1
    assert outcomes(deliver(space)) == {"unchanged": 49}


def test_a_reset_longer_than_the_window_leaves_the_rest_for_the_next_run(space: OpenSpace, vendor: Segment):
    vendor.script = [(429, {"X-RateLimit-Reset": "3600"})]
    assert outcomes(deliver(space)) == {"throttled": 49}
    assert len(vendor.calls) == 1
    assert outcomes(deliver(space)) == {"delivered": 49}


def test_a_wrong_key_holds_the_destination_and_appears_nowhere(space: OpenSpace, vendor: Segment):
    vendor.key = "another"
    summary = deliver(space)
    assert summary["status"] == "paused"
    assert len(vendor.calls) == 2
    assert KEY not in json.dumps(summary) + json.dumps(ledger(space).report())


def test_batches_fill_what_the_api_takes_and_no_more(vendor: Segment):
    many = [record(f"u{each:04d}", key, f'"{"x" * 400}"') for each in range(700) for key in ("a", "b", "c")]
    with opened(segment, {"endpoint": f"{vendor.url}/v1", "write_key": KEY}, QUICK) as sender:
        assert {each.outcome for each in send(sender, many)} == {"delivered"}
    sizes = [len(each.body) for each in vendor.calls]
    assert max(sizes) <= 500_000
    assert len(sizes) <= 5
    assert len(vendor.traits) == 700


def test_a_person_with_very_many_traits_gets_several_calls(vendor: Segment):
    many = [record("ann", f"t{each}", str(each)) for each in range(700)]
    many += [record("bo", f"t{each}", f'"{"x" * 5_000}"') for each in range(10)]
    with opened(segment, {"endpoint": f"{vendor.url}/v1", "write_key": KEY}) as sender:
        assert {each.outcome for each in send(sender, many)} == {"delivered"}
    assert len(vendor.traits["ann"]) == 700
    assert len(vendor.traits["bo"]) == 10
    assert len(vendor.seen) == 3 + 2
    assert vendor.dropped == []


def test_one_huge_trait_does_not_take_the_others_with_it(vendor: Segment):
    told = [record("ann", "a"), record("ann", "huge", f'"{"x" * 40_000}"'), record("ann", "b")]
    with opened(segment, {"endpoint": f"{vendor.url}/v1", "write_key": KEY}) as sender:
        verdicts = send(sender, told)
    assert [each.outcome for each in verdicts] == ["delivered", "too_large", "delivered"]
    assert verdicts[1].sent.startswith('{"type":"identify"')
    assert len(verdicts[1].sent) <= 4_096
    assert vendor.traits == {"ann": {"a": "gold", "b": "gold"}}


# --- accounts ---------------------------------------------------------------------------------------------

LINKS = [("u00", "acc_1", 1), ("u01", "acc_1", 1), ("u01", "acc_2", 2)]
NAMED = {"acc_1": ("group_id", "acme"), "acc_2": ("group_id", "initech"), "u00": "u00", "u01": "u01"}


def test_accounts_arrive_as_groups_and_their_users_as_people(tmp_path: Path, vendor: Segment):
    node = Destination("crm", "segment", tuple(vendor.settings.items()))
    space = of_accounts(open_space(tmp_path, node, "plan", "city", "buyers"), "group", "property")
    table = {"profile_id": ["acc_1", "acc_2"], "plan": ["gold", "free"], "city": ["Rome", None]}
    publish(space, 1, table, {"buyers": ["acc_1"]}, NAMED, LINKS)
    assert outcomes(deliver(space)) == {"delivered": 4 + 6}
    assert vendor.groups == {"acme": {"plan": "gold", "city": "Rome", "buyers": True}, "initech": {"plan": "free"}}
    assert vendor.traits == {
        "u00": {"plan": "gold", "city": "Rome", "buyers": True},
        "u01": {"plan": "free", "city": "Rome", "buyers": True},
    }
    assert vendor.dropped == []
    # Of each group and each person one call for all traits, and one for each membership.
    assert len(vendor.seen) == 2 + 1 + 2 + 2
    publish(space, 2, table, {"buyers": []}, NAMED, LINKS[2:])
    assert outcomes(deliver(space)) == {"delivered": 1 + 5, "unchanged": 4}
    assert vendor.groups["acme"] == {"plan": "gold", "city": "Rome", "buyers": False}
    assert vendor.values("buyers") == {}
    assert vendor.properties("plan") == {"u01": "free"}
    assert vendor.properties("city") == {}


def test_a_group_call_names_the_account_and_no_user(vendor: Segment):
    told = [record("acme", "plan", form="group", id_type="group_id", profile_id="acc_1")]
    with opened(segment, {"endpoint": f"{vendor.url}/v1", "write_key": KEY}) as sender:
        assert [each.outcome for each in send(sender, told)] == ["delivered"]
    (call,) = vendor.calls[0].json()["batch"]
    assert (call["type"], call["groupId"], call["anonymousId"], call["traits"]) == (
        "group", "acme", "acc_1", {"plan": "gold"},
    )  # fmt: skip
    assert "userId" not in call


@pytest.mark.parametrize("lacking", ["anonymousId", "groupId"])
def test_the_simulator_drops_group_calls_that_name_nobody(lacking: str):
    """What the API asks for, it asks for here."""
    sound = {"type": "group", "groupId": "g", "anonymousId": "a", "messageId": "m", "traits": {}, "context": {}}
    assert is_sound(sound)
    assert not is_sound({name: each for name, each in sound.items() if name != lacking})
    assert not is_sound(sound | {"event": "Grouped"})
    assert not is_sound({**sound, "type": "identify"})

"""A vendor behind HTTP is read back by conversations, compared with the ledger, and mended where it differs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.server import serve
from populace import destinations
from populace.definitions import Delivery, Destination
from populace.errors import Refused, Throttled, Transient
from populace.space import OpenSpace
from tasks.delivery import Ways
from tasks.reading import comparable
from tasks.verifying import is_equal, verify
from tests import rolodex
from tests.deliveries import QUICK, acknowledged, open_space, publish, send
from tests.rolodex import KEY, Rolodex

PEOPLE = [f"p{number}" for number in range(1, 8)]
PLANS = ["gold", "free", "gold", "free", None, "ünï ☃", "x" * 40]
WAYS = Ways({}, pace=QUICK)
COUNTS = ("acknowledged", "missing", "different", "extra", "unread")


@pytest.fixture
def vendor() -> Iterator[Rolodex]:
    with serve(Rolodex()) as found:
        yield found


@pytest.fixture
def space(vendor: Rolodex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenSpace:
    for listed in (destinations.HTTP, destinations.ADAPTERS):
        monkeypatch.setitem(listed, "rolodex", rolodex)
    node = Destination("crm", "rolodex", (("url", vendor.url), ("key", KEY)))
    opened = open_space(tmp_path, node, "plan", "order_count", "buyers")
    forms = tuple(Delivery("crm", form) for form in ("list", "event"))
    audiences = tuple(replace(each, deliveries=forms) for each in opened.definition.audiences)
    opened = replace(opened, definition=replace(opened.definition, audiences=audiences))
    publish(
        opened,
        1,
        {"profile_id": PEOPLE, "plan": PLANS, "order_count": [1, 2, 3, 4, 5, 6, 0]},
        {"buyers": ["p1", "p2", "p3"]},
    )
    assert send(opened)["status"] == "success"
    return opened


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in COUNTS)


def test_what_arrived_is_equal_and_events_are_told_as_unread(space: OpenSpace, vendor: Rolodex):
    before, calls = acknowledged(space), len(vendor.calls)
    found = verify(space, "crm", WAYS)
    assert (found["status"], counts(found)) == ("equal", (19, 0, 0, 0, 3))
    assert [each["unread"] for each in found["computations"]] == [3, 0, 0, 0]
    assert acknowledged(space).equals(before)
    asked = {(call.method, call.path.split("/")[1]) for call in vendor.calls[calls:]}
    assert asked == {("POST", "cards"), ("GET", "lists")}


def test_what_people_changed_over_there_is_found_and_mended(space: OpenSpace, vendor: Rolodex):
    vendor.cards["p1"]["plan"] = "platinum"
    del vendor.cards["p2"]["plan"]
    vendor.cards["p3"]["order_count"] = 3.0  # the same number
    stranger = vendor.numbers.setdefault("stranger", 99)
    vendor.on_lists["l1"] ^= {vendor.numbers["p3"], stranger}
    found = verify(space, "crm", WAYS, dry_run=True)
    assert (found["status"], counts(found)) == ("differs", (19, 2, 1, 1, 3))
    found = verify(space, "crm", WAYS)
    assert (found["status"], found["sent"]) == ("repaired", 4)
    assert vendor.members("buyers") == {"p1", "p2", "p3"}
    assert (vendor.cards["p1"]["plan"], vendor.cards["p2"]["plan"]) == ("gold", "free")
    assert verify(space, "crm", WAYS)["status"] == "equal"


@pytest.mark.parametrize("mischief", [500, "drop", "unread", "html", (429, {"Retry-After": "0"})])
def test_a_question_that_fails_in_passing_is_asked_again(space: OpenSpace, vendor: Rolodex, mischief: Any):
    vendor.script = [mischief, None, mischief]
    assert verify(space, "crm", WAYS)["status"] == "equal"


@pytest.mark.parametrize(("status", "error"), [(401, Refused), (503, Transient), (429, Throttled), (422, Refused)])
def test_a_vendor_that_cannot_be_read_is_an_error_and_nothing_changes(
    space: OpenSpace, vendor: Rolodex, status: int, error: type
):
    before = acknowledged(space)
    vendor.always = (status, {"Retry-After": "900"}) if status == 429 else status
    with pytest.raises(error):
        verify(space, "crm", WAYS)
    assert acknowledged(space).equals(before)


def test_nothing_that_can_be_read_is_not_equal(space: OpenSpace, monkeypatch: pytest.MonkeyPatch):
    about = replace(rolodex.ABOUT, readable={"import": ("user_id",)})
    monkeypatch.setattr(rolodex, "ABOUT", about)
    found = verify(space, "crm", WAYS)
    assert (found["status"], is_equal(found)) == ("unread", False)
    assert found["reason"] == "nothing of what is acknowledged can be read back"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [(10, 10.0, True), (1, True, False), ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1}, True), ("1", 1, False)],
)
def test_values_are_equal_as_json_has_it(one: Any, other: Any, is_same: bool):
    assert (comparable(one) == comparable(other)) is is_same

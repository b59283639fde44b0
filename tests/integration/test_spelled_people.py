"""A destination that takes two spellings for one person is told one thing of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from demo.vendors.server import serve
from populace import sync
from populace.definitions import Delivery, Destination, Known
from populace.destinations import hashing
from populace.space import OpenSpace
from tasks import pacing
from tasks.delivery import Ways
from tasks.verifying import verify
from tests import rolodex
from tests.deliveries import QUICK, acknowledged, ledger, open_space, publish, send
from tests.rolodex import KEY, Rolodex
from tests.vendor_kinds import register

ABOUT = replace(rolodex.ABOUT, identifies=("email", "user_id"), readable={"property": ("email",), "list": ("email",)})


def held(*arguments):
    found = yield from rolodex.held(*arguments)
    return [("email", who.title(), value) for _, who, value in found]


@pytest.fixture
def vendor(monkeypatch) -> Iterator[Rolodex]:
    register(monkeypatch, ABOUT=replace(ABOUT, normal={"email": hashing.email}), held=held)
    register(monkeypatch, "unspelled", ABOUT=ABOUT)
    with serve(Rolodex()) as found:
        yield found


def space(vendor: Rolodex, folder: Path, kind: str = "rolodex") -> OpenSpace:
    """A plan as a property; buyers as a property and on a list."""
    settings = (("url", vendor.url), ("key", KEY))
    opened = open_space(
        folder, Destination("crm", kind, settings, identifiers=Known((("email", "last"),))), "plan", "buyers"
    )
    (audience,) = opened.definition.audiences
    both = replace(audience, deliveries=(Delivery("crm"), Delivery("crm", "list")))
    pacing.forget()
    return replace(opened, definition=replace(opened.definition, audiences=(both,)))


def mail(**people: str) -> dict[str, tuple[str, str]]:
    return {profile: ("email", each) for profile, each in people.items()}


def plans(**people: str | None) -> dict[str, list]:
    return {"profile_id": list(people), "plan": list(people.values())}


def test_who_stays_under_another_spelling_stays_on_the_list(vendor, tmp_path):
    opened = space(vendor, tmp_path)
    publish(opened, 1, plans(p1="gold"), {"buyers": ["p1"]}, mail(p1="Ann@x.org"))
    assert send(opened)["delivered"] == 3
    publish(opened, 2, plans(p1="gold"), {"buyers": ["p1"]}, mail(p1="ANN@x.org"))
    calls = len(vendor.calls)
    assert send(opened)["unchanged"] == 3
    assert len(vendor.calls) == calls
    assert (vendor.members("buyers"), vendor.cards) == ({"ann@x.org"}, {"ann@x.org": {"plan": "gold", "buyers": True}})


def test_of_two_people_with_one_address_one_may_leave(vendor, tmp_path):
    opened, people = space(vendor, tmp_path), mail(p1="Ann@x.org", p2="ann@x.org")
    publish(opened, 1, plans(p1="gold", p2="free"), {"buyers": ["p1", "p2"]}, people)
    account = send(opened)
    assert (account["computed"], account["delivered"]) == (3, 3)
    assert vendor.cards["ann@x.org"]["plan"] == "gold"
    publish(opened, 2, plans(p2="free"), {"buyers": ["p2"]}, people)
    account = send(opened)
    assert (account["computed"], account["to_set"], account["to_remove"], account["unchanged"]) == (3, 1, 0, 2)
    assert (vendor.members("buyers"), vendor.cards["ann@x.org"]["plan"]) == ({"ann@x.org"}, "free")
    publish(opened, 3, plans(), {"buyers": []}, people)
    assert send(opened)["to_remove"] == 3
    assert vendor.members("buyers") == set()


def test_what_was_told_before_the_adapter_knew_spellings_is_not_taken_back(vendor, tmp_path):
    """The vendor took both for one person: to remove the old spelling would remove the one who stays."""
    before = space(vendor, tmp_path, "unspelled")
    people = mail(p1="Ann@x.org", p2="BO@x.org", p3="cy@x.org")
    publish(before, 1, plans(p1="gold", p2="free", p3="free"), {"buyers": ["p1", "p2"]}, people)
    assert send(before)["status"] == "success"
    opened, calls = space(vendor, tmp_path), len(vendor.calls)
    assert send(opened)["unchanged"] == 7
    assert len(vendor.calls) == calls
    publish(opened, 2, plans(p1="silver", p2="free", p3="free"), {"buyers": ["p1"]}, people)
    account = send(opened)
    assert (account["to_set"], account["to_remove"]) == (1, 2)
    told = acknowledged(opened).filter(key="plan")
    assert sorted(told.select("id_value", "value").rows()) == [
        ("ann@x.org", '"silver"'),
        ("bo@x.org", '"free"'),
        ("cy@x.org", '"free"'),
    ]
    assert send(opened)["unchanged"] == 5


def test_what_waits_and_is_parked_under_two_spellings_is_told_once(vendor, tmp_path):
    before = space(vendor, tmp_path, "unspelled")
    people = mail(p1="Ann@x.org", p2="ann@x.org")
    publish(before, 1, plans(p1="gold", p2="gold"), people=people)
    vendor.unwanted = {"Ann@x.org", "ann@x.org"}
    assert send(before)["invalid"] == 2
    opened = space(vendor, tmp_path)
    account = send(opened)
    assert (account["computed"], account["invalid"]) == (1, 1)
    vendor.unwanted = set()
    publish(opened, 2, plans(p1="free", p2="free"), people=people)
    assert send(opened)["delivered"] == 1
    assert ledger(opened).letters().is_empty()


def test_what_is_read_back_is_spelled_like_the_ledger(vendor, tmp_path):
    opened = space(vendor, tmp_path)
    publish(opened, 1, plans(p1="gold"), {"buyers": ["p1"]}, mail(p1="Ann@x.org"))
    send(opened)
    found = verify(opened, "crm", Ways({}, pace=QUICK))
    assert (found["status"], found["acknowledged"]) == ("equal", 3)


def test_an_address_that_is_none_is_no_identifier(vendor, tmp_path):
    opened = space(vendor, tmp_path)
    publish(opened, 1, plans(p1="gold", p2="free"), people=mail(p1="  ", p2="bo@x.org"))
    account = send(opened)
    assert (account["computed"], account["delivered"], account[sync.NO_IDENTIFIER]) == (2, 1, 1)

"""Every vendor, in peace and misbehaving: it ends up equal to what is desired, or the report names who is not.

A vendor is as strict as its documentation (`demo/vendors/`), and knows nothing of our code. Two runs are delivered, the
second of which changes values, takes some away and lets people leave; while that happens the vendor fails by a script.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from demo.vendors.server import Vendor, serve
from populace import destinations, sync
from populace.destinations.protocol import EVENT, GROUP, LIST
from populace.space import OpenSpace
from tasks import http
from tasks.delivery import failure
from tasks.sending import Pace
from tests import rolodex
from tests.deliveries import ledger, send
from tests.vendors import VENDORS, adapter, delivering, people, publish

COUNT = 24
SYNCS = 6  # of one run, at most, until nothing waits
PACE = Pace(window=2.0, first=0.002, longest=0.01, timeout=0.5)
MISCHIEF = [500, 503, 502, "drop", "reset", "unread", "lost", "html", "slow", (429, {"Retry-After": "0"}), (503, {})]
SEEDS = [1, 2, 3]
NOTHING = (None, "", False, "false")  # how vendors keep what was taken away

FORMS = [(kind, form) for kind in VENDORS for form in adapter(kind).ABOUT.forms if form != "import"]
# Segment answers 200 to calls that it drops, and Facebook counts rows that it does not take: nobody can name them.
NAMING = [(kind, form) for kind, form in FORMS if kind not in ("segment", "facebook_audiences")]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    for listed in (destinations.HTTP, destinations.ADAPTERS):
        monkeypatch.setitem(listed, "rolodex", rolodex)
    # How fast it may be told is another question.
    monkeypatch.setattr(http, "bounded", lambda limits, bounds: replace(limits, rates={}))


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> Iterator[Vendor]:
    with serve(VENDORS[request.getfixturevalue("kind")]()) as found:
        yield found


class World:
    """A space, the vendor it delivers to, and what should be there."""

    def __init__(self, folder: Path, kind: str, form: str, vendor: Vendor) -> None:
        self.kind, self.form, self.vendor = kind, form, vendor
        self.everybody = people(kind, COUNT)
        vendor.meet(each for each in self.everybody if each not in vendor.unwanted)
        self.space: OpenSpace = delivering(folder, kind, vendor, form)
        self.plans: dict[str, Any] = {}
        self.members: set[str] = set()
        self.entered: set[str] = set()
        self.left: set[str] = set()
        self.runs = 0
        self.unknown = 0  # events to which no answer came, and that are not repeated: the report has their number

    def run(self, plans: dict[str, Any], members: set[str]) -> None:
        self.left |= self.members - members
        self.entered |= members - self.members
        self.plans, self.members, self.runs = plans, members, self.runs + 1
        publish(self.space, self.kind, self.runs, plans, members)

    def first(self) -> None:
        self.run(dict.fromkeys(self.everybody, "gold"), set(self.everybody[: COUNT // 2]))

    def second(self) -> None:
        """A third changes, a third is taken away, a third stays; a quarter leaves, and others join."""
        values = ["silver", None, "gold"]
        plans = {each: values[at % 3] for at, each in enumerate(self.everybody)}
        self.run(plans, set(self.everybody[COUNT // 4 : COUNT - COUNT // 4]))

    def sync(self) -> dict[str, Any]:
        """Until nothing waits, or for so many times."""
        for _ in range(SYNCS):
            account = send(self.space, pace=PACE)
            self.unknown += account["unknown"] if self.form == EVENT else 0
            if account["status"] == "paused" or not sum(account.get(each, 0) for each in sync.WAITING):
                break
        return account

    def lacking(self) -> set[str]:
        """People of whom something is otherwise than desired."""
        if self.form == EVENT:
            happened = self.vendor.happened("buyers")
            wanted = {(self.known(each), True) for each in self.entered} | {
                (self.known(each), False) for each in self.left
            }
            return {who for who, _ in wanted ^ happened.keys()}
        if self.form == LIST:
            return self.vendor.members("buyers") ^ {self.known(each) for each in self.members}
        plans = {self.known(each): value for each, value in self.plans.items() if value is not None}
        there = self.vendor.of_accounts if self.form == GROUP else self.vendor.properties
        return {each for each, _ in _items(there("plan")) ^ _items(plans)} | {
            each
            for each, value in there("buyers").items()
            if (value not in NOTHING) != (each in {self.known(member) for member in self.members})
        }

    def known(self, person: str) -> str:
        return self.vendor.known_as(person)

    def named(self) -> set[str]:
        """People whom a letter, or something that waits, names."""
        found = [each for each in (ledger(self.space).letters(), ledger(self.space).waiting()) if each is not None]
        return {self.known(each) for part in found for each in part.get_column("id_value")}


def _items(values: dict[str, Any]) -> set[tuple[str, Any]]:
    """What somebody has; a value that was taken away by an empty text or false is none."""
    return {(who, value) for who, value in values.items() if value not in NOTHING}


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_in_peace_it_is_equal_and_nothing_is_sent_twice(kind: str, form: str, vendor: Vendor, tmp_path: Path):
    world = World(tmp_path, kind, form, vendor)
    for run in (world.first, world.second):
        run()
        account = world.sync()
        assert account["status"] == "success", account
        assert world.lacking() == set()
    calls = len(vendor.calls)
    assert world.sync()["sent"] == 0
    assert len(vendor.calls) == calls
    assert set(vendor.happened("buyers").values()) <= {1}
    assert vendor.most_per_person <= 1
    assert vendor.most_per_list <= 1


@pytest.mark.parametrize(("kind", "form"), FORMS)
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_it_does_it_is_equal_in_the_end_or_named(
    kind: str, form: str, seed: int, vendor: Vendor, tmp_path: Path
):
    chance = random.Random(f"{seed} {kind} {form}")
    world = World(tmp_path, kind, form, vendor)
    for run in (world.first, world.second):
        run()
        vendor.script = [chance.choice([*MISCHIEF, None, None]) for _ in range(chance.randrange(3, 9))]
        account = world.sync()
        assert account["computed"] == sum(account[each] for each in (*sync.OUTCOMES, "unchanged", "no_identifier"))
        assert len(world.lacking() - world.named()) <= world.unknown
    assert set(vendor.happened("buyers").values()) <= {1}
    assert vendor.most_per_list <= 1


@pytest.mark.parametrize(("kind", "form"), NAMING)
def test_whom_it_does_not_want_is_named_and_holds_up_nobody(kind: str, form: str, vendor: Vendor, tmp_path: Path):
    everybody = people(kind, COUNT)
    vendor.unwanted = bad = {everybody[1], everybody[7]}
    world = World(tmp_path, kind, form, vendor)
    world.first()
    account = world.sync()
    letters = ledger(world.space).letters()
    assert letters is not None, account
    assert set(letters.get_column("id_value")) == bad
    assert letters.filter(pl.col("reason") == "").is_empty()
    assert world.lacking() <= {world.known(each) for each in bad}
    assert account["invalid"] == letters.height


@pytest.mark.parametrize(("kind", "form"), FORMS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_taken_pauses_and_loses_nothing(
    kind: str, form: str, status: int, vendor: Vendor, tmp_path: Path
):
    world = World(tmp_path, kind, form, vendor)
    world.first()
    vendor.always = status
    assert send(world.space, pace=PACE)["status"] == "paused"
    vendor.always = None
    ledger(world.space).resume()
    assert world.sync()["status"] == "success"
    assert world.lacking() == set()


def test_events_that_got_no_answer_are_told_and_do_not_pretend_to_wait(tmp_path: Path):
    with serve(VENDORS["braze"]()) as vendor:
        world = World(tmp_path, "braze", EVENT, vendor)
        world.first()
        vendor.script = ["reset"]
        account = send(world.space, pace=PACE)
        assert account["unknown"] == COUNT // 2
        told = f"crm: {COUNT // 2} records got no answer; events among them may have arrived, and are not repeated"
        assert str(failure(account)) == told
        assert send(world.space, pace=PACE)["sent"] == 0
        assert set(vendor.happened("buyers").values()) == {1}

"""Runs, syncs, outages, kills and changes of identifiers in any order: what is due goes out, and nothing else.

`Story` keeps an account of its own, from what reached the destination and how it was answered. Before a sync it says
which records are due, and after it whether they were the right ones under the right message ids. In the end there is
peace, and the destination holds what is desired.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from populace import sync
from populace.definitions import Destination, Known
from populace.lake import runs
from populace.lake.delivery import Ledger
from populace.space import OpenSpace
from tasks import exchange
from tasks.delivery import Ways, deliver
from tasks.sending import Pace
from tests.deliveries import open_space
from tests.generative import delivery_oracle as oracle
from tests.generative import drawing
from tests.generative.delivery_oracle import Told, Who
from tests.generative.hooks import SECRET, Call, Hook, Killed, Mortal, bury, hook

pytestmark = pytest.mark.generative

budget = settings(
    max_examples=int(os.environ.get("POPULACE_EXAMPLES", "15")),
    derandomize="POPULACE_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

HASTY = Pace(window=0.02, first=0.001, longest=0.002, timeout=2.0)
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
PEOPLE = [f"p{each}" for each in range(6)]
KEYS = ("plan", "orders_count", "buyers")
STORMS = (500, 503, "reset", "lost", 429, (429, {"Retry-After": "0"}), 200, 200, 200, 401)
DOUBT = "nobody knows"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Hook]:
    with hook() as found:
        yield found


@pytest.mark.parametrize("chapter", ["anything", "kills", "outages", "one run"])
@budget
@given(seed=drawing.seeds)
def test_whatever_happens_the_destination_is_told_what_is_due_and_nothing_else(receiver, chapter, seed):
    receiver.begin()
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Random(seed), Path(folder), receiver)
        try:
            story.live(CHAPTERS[chapter])
        except AssertionError as error:
            error.add_note("\n".join(story.steps))
            raise


# --- what happens ---------------------------------------------------------------------------------

CHAPTERS = {
    "anything": ("publish", "sync", "storm", "storm", "kill", "people", "definitions", "pause", "resync", "again"),
    "kills": ("publish", "people", "sync", "kill", "kill", "kill", "killed resync"),
    "outages": ("publish", "people", "storm", "storm", "pause"),
    "one run": ("sync", "storm", "kill", "definitions", "definitions", "again"),
}


@dataclass
class Account:
    """What the story knows of the destination.

    Parameters
    ----------
    known
        What the destination holds: a value, `DOUBT`, or nothing.
    pending
        What was begun and is not through: its value and message id.
    parked
        What it refused as invalid.
    done, named
        Message ids of what is certainly through, and what each message id stood for.
    unsure
        What a kill leaves open: whether the ledger knows its value, or that it is parked.
    """

    known: dict[Told, Any] = field(default_factory=dict)
    pending: dict[Told, tuple[Any, str]] = field(default_factory=dict)
    parked: dict[Told, Any] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    named: dict[str, tuple[Told, Any]] = field(default_factory=dict)
    unsure: set[Told] = field(default_factory=set)


class Story:
    """One destination and its people, from the first run on."""

    def __init__(self, chance: Random, folder: Path, receiver: Hook) -> None:
        self.chance, self.folder, self.receiver = chance, folder, receiver
        self.number = 0
        self.values: dict[str, dict[str, Any]] = {key: {} for key in KEYS}
        self.ids: dict[Who, tuple[str, int, str]] = {("user_id", f"u-{each}"): (each, 0, "m") for each in PEOPLE}
        self.ids |= {("email", f"e-{each}"): (each, 0, "m") for each in PEOPLE[::2]}
        self.keys = list(KEYS)
        self.by: Known | None = None
        self.account = Account()
        self.left: set[str] = set()  # message ids of what a killed sync had begun
        self.steps: list[str] = []

    def live(self, steps: tuple[str, ...]) -> None:
        self.publish()
        for _ in range(self.chance.randrange(3, 10)):
            step = self.chance.choice(steps)
            self.steps.append(step)
            self.happen(step)
        self.steps.append("peace")
        self.peace()

    def happen(self, step: str) -> None:
        if step == "publish":
            self.publish()
        elif step == "people":
            self.move_people()
            self.publish()
        elif step == "definitions":
            self.define()
        elif step == "pause":
            self.ledger().pause("a reason", "2024-03-01T00:00:00+00:00", "person")
        else:
            if self.chance.random() < 0.8:
                self.ledger().resume()
            self.plague(step)
            self.sync(
                resync="resync" in step,
                again=step == "again",
                moment=self.chance.randrange(1, 60) if "kill" in step else 0,
                most=self.chance.randrange(1, 15) if "kill" in step and self.chance.random() < 0.5 else 0,
            )

    def plague(self, step: str) -> None:
        """What the receiver does next."""
        chance = self.chance
        is_stormy = step == "storm" or (step == "kill" and chance.random() < 0.5)
        script = chance.choices(STORMS, k=chance.randrange(8)) if is_stormy else []
        self.receiver.script = script + [500] * 1_000 if step == "storm" and chance.random() < 0.3 else script
        self.receiver.partial = chance.random() < 0.5
        self.receiver.unwanted = {value for _, value in self.ids if chance.random() < 0.1}

    def publish(self) -> None:
        """Another run, in which some values are others."""
        chance = self.chance
        new = {"plan": lambda: chance.choice("abc"), "orders_count": lambda: chance.choice([1, 2]), "buyers": lambda: 1}
        for key, values in self.values.items():
            for each in chance.sample(PEOPLE, chance.randrange(len(PEOPLE))):
                values[each] = new[key]() if chance.random() < 0.7 else None
        self.number += 1
        self.run = written(self.space(), self.number, self.values, self.ids, chance.choice([pl.Int64, pl.Float64]))

    def move_people(self) -> None:
        """Identifiers come, go, move to somebody else, or all of them do: a merge."""
        chance = self.chance
        for _ in range(chance.randrange(1, 4)):
            who = (chance.choice(["user_id", "email"]), f"{chance.choice('xyz')}-{chance.choice(PEOPLE)}")
            added = (chance.choice(PEOPLE), chance.randrange(5), chance.choice("mn"))
            self.ids[who] = added
        if chance.random() < 0.3:
            self.ids.pop(chance.choice(list(self.ids)))
        if chance.random() < 0.3:
            gone, stays = chance.sample(PEOPLE, 2)
            self.ids = {who: (stays if p == gone else p, *rest) for who, (p, *rest) in self.ids.items()}
            for values in self.values.values():
                values.pop(gone, None)

    def define(self) -> None:
        """Other things are delivered, or by other identifiers; the run stays what it is."""
        key = self.chance.choice(KEYS)
        self.keys = [each for each in KEYS if (each in self.keys) != (each == key)]
        types = self.chance.sample(["user_id", "email"], self.chance.randrange(1, 3))
        by = Known(
            tuple((each, self.chance.choice(["first", "last", "all"])) for each in types), self.chance.random() < 0.5
        )
        self.by = by if self.chance.random() < 0.7 else None

    def peace(self) -> None:
        """One quiet sync, and the destination holds what is desired; then nothing is left to do."""
        self.receiver.script, self.receiver.unwanted = [], set()
        self.ledger().resume()
        desired, _ = self.desired()
        self.sync()
        parked = self.account.parked
        for told in {*self.receiver.held, *desired} - parked.keys():
            assert (self.receiver.held.get(told) or None) == (desired.get(told) or None), told
        letters = self.ledger().letters()
        assert {said(row)[0] for row in rows(letters)} == parked.keys()
        before = len(self.receiver.heard)
        self.sync()
        assert len(self.receiver.heard) == before
        assert self.receiver.most_under_way <= 1
        assert self.receiver.most_per_person <= 1

    # --- what is due ------------------------------------------------------------------------------

    def space(self, again: bool = False) -> OpenSpace:
        options = {"url": self.receiver.url, "secret": SECRET, "batch_size": "3"}
        every = timedelta(microseconds=1) if again else None
        node = Destination("hook", "webhook", tuple(options.items()), identifiers=self.by, reassert_every=every)
        return open_space(self.folder, node, *self.keys)

    def ledger(self) -> Ledger:
        return Ledger(self.space().lake, "hook")

    def desired(self) -> tuple[dict[Told, Any], int]:
        """What should be there, zeros of counts that were told included; and how much nobody can be told."""
        types = self.by.types if self.by else (("user_id", "last"), ("email", "last"))
        people = oracle.told(self.run["external_ids"], types, bool(self.by and self.by.is_each))
        found, without = oracle.desired(people, self.run["traits"], self.run["memberships"], self.keys)
        if "orders_count" in self.keys:
            counted = [("orders_count", who) for each in people.values() for who in each]
            found = {told: 0 for told in counted if told in self.account.known} | found
        return found, without

    def due(self, desired: dict[Told, Any], again: bool) -> dict[Told, Any]:
        """What is to be told so that the destination holds that; what is parked included."""
        known = self.account.known
        sets = {told: value for told, value in desired.items() if again or known.get(told, DOUBT) != value}
        return sets | {told: False if told[0] == "buyers" else None for told in known if told not in desired}

    # --- a sync -----------------------------------------------------------------------------------

    def sync(self, resync: bool = False, again: bool = False, moment: int = 0, most: int = 0) -> None:
        account = self.account
        again = again and not self.ledger().batches()  # what a kill left is dated when it is folded in
        if resync:
            self.forget(is_certain=not (moment or most))
        desired, without = self.desired()
        due = self.due(desired, again)
        must = {told for told, value in due.items() if account.parked.get(told, DOUBT) != value} - account.unsure
        if not resync:
            told = self.deliver(again, dry_run=True)
            assert len(must) <= told["to_send"] <= len(must | account.unsure), (must, account.unsure, told)
        self.steps.append(f"  due {sorted(due.items())}, certainly {len(must)}")
        before = len(self.receiver.heard)
        lake = Mortal(self.space().lake.url(""), moment)
        summary = None
        try:
            summary = self.deliver(again, lake, most, resync=resync)
        except Killed:
            bury(self.ledger())
        calls = self.receiver.heard[before:]
        self.steps.append("  through" if summary else "  killed")
        self.steps += [f"  told {each.told}: {each.value} as {each.message_id}, {each.answer}" for each in calls]
        is_sure = not account.unsure
        self.check(calls, due, must)
        if summary:
            self.count(summary, calls, desired, without, due if is_sure else None)
            is_through = not any(summary[each] for each in (*sync.WAITING, sync.REFUSED))
            if is_through:
                assert must <= {call.told for call in calls}
                account.unsure.clear()
            self.settle(calls, due)
        else:
            self.survive(calls, due, lake.batches)

    def deliver(self, again: bool, lake: Mortal | None = None, most: int = 0, **options: Any) -> dict[str, Any]:
        space = self.space(again)

        def progress(done: int, _: int) -> None:
            if most and done >= most:
                lake.die()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exchange, "BATCH_RECORDS", self.chance.choice([1, 4, 1_000]))
            ways = Ways({}, pace=HASTY, progress=progress)
            return deliver(replace(space, lake=lake) if lake else space, "hook", ways, **options)

    def check(self, calls: list[Call], due: dict[Told, Any], must: set[Told]) -> None:
        """Whether what was told was due, and under the message id that it should have."""
        account, taken = self.account, set()
        allowed = must | account.unsure
        for call in calls:
            assert call.told in allowed, f"not due: {call}"
            assert call.value == due.get(call.told, call.value), f"not what is desired: {call}"
            assert call.told not in taken, f"told twice: {call}"
            assert call.message_id not in account.done, f"would be taken for a repetition: {call}"
            assert account.named.setdefault(call.message_id, (call.told, call.value)) == (call.told, call.value)
            value, message_id = account.pending.get(call.told, (DOUBT, ""))
            assert call.value != value or call.message_id == message_id, f"once {message_id}: {call}"
            if call.told not in due:
                account.known[call.told] = DOUBT  # so the ledger had forgotten it
                account.unsure.discard(call.told)
            if call.answer == "taken":
                taken.add(call.told)

    def count(self, summary: dict, calls: list[Call], desired: dict[Told, Any], without: int, due: dict | None) -> None:
        """Whether the account of the sync is true."""
        assert summary["computed"] == sum(
            summary[each] for each in (*sync.OUTCOMES, sync.UNCHANGED, sync.NO_IDENTIFIER)
        )
        assert summary[sync.NO_IDENTIFIER] == without
        assert summary["delivered"] == len({call.told for call in calls if call.answer == "taken"})
        if due is not None:
            sets = sum(told in desired for told in due)
            assert (summary["to_set"], summary["to_remove"]) == (sets, len(due) - sets)
            assert summary[sync.UNCHANGED] == len(desired) - sets

    def settle(self, calls: list[Call], due: dict[Told, Any]) -> None:
        """The account after a sync that wrote down everything."""
        account = self.account
        account.pending = {told: each for told, each in account.pending.items() if due.get(told, DOUBT) == each[0]}
        account.parked = {told: each for told, each in account.parked.items() if due.get(told, DOUBT) == each}
        for call in calls:
            self.note(call)

    def note(self, call: Call) -> None:
        """What an answer means; the last one counts, and doubt stays."""
        account = self.account
        account.parked.pop(call.told, None)
        account.pending[call.told] = (call.value, call.message_id)
        if call.answer == "doubt":
            account.known[call.told] = DOUBT
        if call.answer == "invalid":
            account.parked[call.told] = call.value
            account.pending.pop(call.told)
        if call.answer == "taken":
            account.unsure.discard(call.told)
            account.done.add(call.message_id)
            account.pending.pop(call.told)
            account.known[call.told] = call.value
            if call.value is None or call.value is False:
                account.known.pop(call.told)

    def survive(self, calls: list[Call], due: dict[Told, Any], batches: list[bytes]) -> None:
        """The account after a kill: what was under way and not written down is in doubt."""
        account = self.account
        sending = self.ledger().sending()
        if sending is None and calls:
            self.settle(calls, due)  # all of it had been written down
            return
        written = {said(row)[0] for batch in batches for row in rows(pl.read_parquet(batch))}
        account.unsure |= {told for told, value in account.parked.items() if due.get(told, DOUBT) != value}
        account.pending = {told: each for told, each in account.pending.items() if due.get(told, DOUBT) == each[0]}
        left, self.left = self.left, {row["message_id"] for row in rows(sending)}
        for row in rows(sending) if calls or self.left != left else ():  # else an earlier sync left it
            told, value = said(row)
            account.parked.pop(told, None)
            account.unsure.discard(told)
            if told not in written:
                account.known[told] = DOUBT
                account.pending[told] = (value, row["message_id"])
        for call in calls:
            if call.told in written:
                self.note(call)

    def forget(self, is_certain: bool) -> None:
        """A resync; a kill leaves open how much of the ledger is forgotten."""
        account = self.account
        account.pending.clear()
        if is_certain:
            account.known = dict.fromkeys(account.known, DOUBT)
            account.parked.clear()
            account.unsure.clear()
        else:
            account.unsure |= {*account.known, *account.parked}


# --- tables ---------------------------------------------------------------------------------------


def written(space: OpenSpace, number: int, values: dict, ids: dict, counts: pl.DataType) -> dict[str, list[dict]]:
    """Publish a run; returns its tables."""
    some = [each for each in PEOPLE if any(values[key].get(each) is not None for key in ("plan", "orders_count"))]
    traits = {"profile_id": some, **{key: [values[key].get(each) for each in some] for key in ("plan", "orders_count")}}
    people = [
        (profile, "users", *who, BEGINNING + timedelta(days=day), message_id)
        for who, (profile, day, message_id) in ids.items()
    ]
    columns = ("profile_id", "collection", "id_type", "id_value", "added_at", "message_id")
    schema = dict.fromkeys(columns, pl.String) | {"added_at": pl.Datetime("us", "UTC")}
    members = [("buyers", each) for each, is_in in values["buyers"].items() if is_in]
    tables = {
        "traits": pl.DataFrame(traits, {"profile_id": pl.String, "plan": pl.String, "orders_count": counts}),
        "external_ids": pl.DataFrame(people, schema, orient="row"),
        "memberships": pl.DataFrame(members, {"audience": pl.String, "profile_id": pl.String}, orient="row"),
    }
    for name, frame in tables.items():
        runs.write(space.lake, f"run-{number}", name, frame)
    runs.publish(space.lake, f"run-{number}", runs.iso(BEGINNING + timedelta(days=number)))
    return {name: frame.rows(named=True) for name, frame in tables.items()}


def rows(frame: pl.DataFrame | None) -> list[dict]:
    return [] if frame is None else frame.rows(named=True)


def said(row: dict) -> tuple[Told, Any]:
    value = None if row["value"] is None else json.loads(row["value"])
    return (row["key"], (row["id_type"], row["id_value"])), value

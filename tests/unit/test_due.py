"""What a destination is due: what a kill left, what waits, what was refused, and a part of all that."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from populace import sync
from populace.definitions import Destination
from populace.lake.delivery import Ledger
from populace.space import OpenSpace, due
from tests.deliveries import open_space, publish
from tests.generative.hooks import Killed, Mortal

NOW = datetime(2024, 3, 10, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
CRM = Destination("crm", "webhook", (("url", "http://127.0.0.1:9/"), ("secret", "s")))
PLAN = sync.Computation("trait", "plan", "property")
BUYERS = sync.Computation("audience", "buyers", "property")


@pytest.fixture
def space(tmp_path) -> OpenSpace:
    """Ann and Bo have a plan, and Bo buys."""
    opened = open_space(tmp_path, CRM, "plan", "buyers")
    publish(opened, 1, {"profile_id": ["ann", "bo"], "plan": ["gold", "free"]}, {"buyers": ["bo"]})
    return opened


def books(space: OpenSpace, at: datetime = NOW) -> due.Books:
    return due.opened(Ledger(space.lake, "crm"), at)


def work(space: OpenSpace, found: due.Books | None = None) -> due.Work:
    found = found or books(space)
    return due.plan(space, CRM, found, due.origin(space, CRM, found.ledger))


def settled(records: pl.DataFrame, outcome: str = "delivered", **more: Any) -> pl.DataFrame:
    columns = {"outcome": outcome, "reason": "", "in_doubt": False, "attempts": 1, "sent": "", "reply": ""} | more
    return records.with_columns(pl.lit(value, sync.SETTLED[name]).alias(name) for name, value in columns.items())


def fold(space: OpenSpace, found: due.Work, done: pl.DataFrame, at: datetime = NOW) -> None:
    """What an exchange writes down in the end."""
    waiting = sync.queue(found.waiting, done, at)
    books(space, at).fold(done, waiting, sync.park(found.letters, found.waiting, done, at))


def told(records: pl.DataFrame) -> list[tuple]:
    return sorted(records.select("key", "id_value", "action").rows())


ALL = [("buyers", "bo", "set"), ("plan", "ann", "set"), ("plan", "bo", "set")]


# --- books ------------------------------------------------------------------------------------------


def test_a_ledger_in_which_nothing_is_has_nothing(space):
    found = books(space)
    assert not found.are_stale
    assert (found.computations(), found.letters().height, found.waiting().height) == ([], 0, 0)
    assert found.held(PLAN).schema == sync.HELD
    assert (told(work(space).due), work(space).is_stale) == (ALL, False)


def test_what_was_written_down_before_a_kill_is_held_and_the_rest_in_doubt(space):
    records = work(space).due
    ledger = Ledger(space.lake, "crm")
    ledger.begin(records)
    ledger.add_batch(0, settled(records[:1]))
    ledger.add_batch(1, settled(records[1:2], "invalid"))
    found = books(space)
    assert found.are_stale
    assert found.computations() == [BUYERS, PLAN]
    held = pl.concat([found.held(each) for each in found.computations()])
    values = {(each["id_value"], each["value"] is None) for each in held.rows(named=True)}
    assert len(values) == held.height == 2
    assert {is_in_doubt for _, is_in_doubt in values} == {False, True}
    assert found.letters()["message_id"].to_list() == records[1:2]["message_id"].to_list()
    waiting = found.waiting()
    assert waiting["message_id"].to_list() == records[2:]["message_id"].to_list()
    assert waiting.select("outcome", "reason", "attempts").row(0) == ("unknown", "the sync was interrupted", 1)


def test_what_a_kill_left_is_due_again_under_its_message_id_also_in_another_run(space):
    before = work(space).due
    Ledger(space.lake, "crm").begin(before)
    publish(space, 2, {"profile_id": ["ann", "bo"], "plan": ["gold", "gold"]}, {"buyers": ["bo"]})
    found = work(space)
    assert (told(found.due), found.is_stale) == (ALL, True)
    both = found.due.join(before, on=["key", "id_value"])
    is_same = both.select("key", "id_value", is_same=pl.col("message_id") == pl.col("message_id_right")).rows()
    assert sorted(is_same) == [("buyers", "bo", True), ("plan", "ann", True), ("plan", "bo", False)]


def test_folding_what_a_kill_left_twice_is_folding_it_once(space):
    records = work(space).due
    ledger = Ledger(space.lake, "crm")
    left = [settled(records[:1]), settled(records[1:2], "transient", in_doubt=True)]
    kept = []
    for _ in range(2):
        ledger.begin(records)
        for number, each in enumerate(left):
            ledger.add_batch(number, each)
        found = books(space)
        found.fold(sync.SETTLED.to_frame(), found.waiting(), found.letters())
        kept.append({name: ledger.acknowledged(name) for name in (PLAN, BUYERS)})
        assert (ledger.sending(), ledger.batches()) == (None, [])
    assert all(kept[0][name].equals(kept[1][name]) for name in (PLAN, BUYERS))
    assert not books(space).are_stale


def test_of_two_outcomes_that_were_written_down_the_later_holds(space):
    records, ledger = work(space).due, Ledger(space.lake, "crm")
    ledger.add_batch(0, settled(records, "transient", in_doubt=True))
    ledger.add_batch(1, settled(records))
    assert work(space).due.is_empty()


def test_a_kill_at_any_moment_of_a_fold_takes_back_nothing_that_was_written_down(space):
    records = work(space).due
    ledger = Ledger(space.lake, "crm")
    for moment in range(1, 60):
        for each in space.lake.list("ledger/"):
            space.lake.delete(each.path)
        ledger.begin(records)
        ledger.add_batch(0, settled(records[:1]))
        ledger.add_batch(1, settled(records[1:]))
        found = due.opened(Ledger(Mortal(space.lake.url(""), moment), "crm"), NOW)
        try:
            found.fold(sync.SETTLED.to_frame(), found.waiting(), found.letters())
        except Killed:
            assert work(space).due.is_empty()
        else:
            break
    assert moment > 15  # four tables and three removals


def test_what_waits_knows_its_past_until_it_is_due_no_more(space):
    fold(space, work(space), settled(work(space).due, "transient"))
    found = work(space, books(space, LATER))
    assert (found.waiting.height, found.is_stale) == (3, True)
    fold(space, found, settled(found.due, "throttled"), LATER)
    waiting = work(space).waiting
    assert set(waiting.select("outcome", "attempts", "since", "at").rows()) == {("throttled", 2, NOW, LATER)}
    publish(space, 2, {"profile_id": ["ann"], "plan": ["gold"]})
    found = work(space)
    assert told(found.due) == [("plan", "ann", "set")]
    assert found.queue.is_empty()


def test_a_letter_holds_until_another_value_is_desired(space):
    fold(space, work(space), settled(work(space).due, "invalid"))
    found = work(space)
    assert (found.due.height, found.parked.height, found.records.height, found.is_stale) == (0, 3, 3, False)
    publish(space, 2, {"profile_id": ["ann", "bo"], "plan": ["silver", "free"]}, {"buyers": ["bo"]})
    found = work(space)
    assert (told(found.due), found.parked.height, found.is_stale) == ([("plan", "ann", "set")], 2, True)


def test_a_letter_is_obsolete_once_another_value_was_on_its_way_at_a_kill(space):
    """Bo's old plan was refused once. What holds now is what may have arrived since, so it has to be tried again."""
    fold(space, work(space), settled(work(space).due, "invalid"))
    publish(space, 2, {"profile_id": ["ann", "bo"], "plan": ["gold", "silver"]}, {"buyers": ["bo"]})
    Ledger(space.lake, "crm").begin(work(space).due)
    publish(space, 3, {"profile_id": ["ann", "bo"], "plan": ["gold", "free"]}, {"buyers": ["bo"]})
    assert told(work(space).due) == [("plan", "bo", "set")]


def test_a_resync_tells_everything_again_under_new_message_ids_and_knows_whom_to_remove(space):
    first = work(space).due
    fold(space, work(space), pl.concat([settled(first[:2]), settled(first[2:], "invalid")]))
    assert work(space).due.is_empty()
    publish(space, 2, {"profile_id": ["ann"], "plan": ["gold"]})
    ledger = Ledger(space.lake, "crm")
    ledger.next_generation()
    found = replace(books(space), is_forgotten=True)
    assert found.are_stale
    assert found.letters().is_empty()
    assert found.waiting().is_empty()
    planned = work(space, found)
    removals = {"exit", "unset"} & set(planned.due["action"])
    assert removals
    assert ("plan", "ann", "set") in told(planned.due)
    assert not set(planned.due["message_id"]) & set(first["message_id"])
    found.fold(sync.SETTLED.to_frame(), planned.waiting, planned.letters)
    again = found.clean()
    assert not again.are_stale
    assert told(work(space, again).due) == told(planned.due)
    again.fold(settled(planned.due), planned.queue, planned.letters)
    assert work(space).due.is_empty()


def test_a_resync_is_over_when_it_is_delivered(space):
    found = replace(books(space), is_forgotten=True)
    planned = work(space, found)
    found.fold(sync.SETTLED.to_frame(), planned.waiting, planned.letters)
    found.clean().fold(settled(planned.due), planned.queue, planned.letters)
    assert work(space).due.is_empty()


def test_what_is_told_twice_in_one_run_has_two_message_ids(space):
    """Told, taken back by a change of definitions, and told again: who ignores what he has seen would miss it."""
    ledger, ids = Ledger(space.lake, "crm"), []
    without = replace(space, definition=replace(space.definition, traits=(), audiences=()))
    for number, each in enumerate((space, without, space), start=1):
        ledger.take_turn(number, {})
        found = work(each)
        assert found.due.height == 3
        ids += found.due["message_id"].to_list()
        fold(each, found, settled(found.due))
    assert len(set(ids)) == 9


# --- a part -----------------------------------------------------------------------------------------


def some(**people: str) -> pl.DataFrame:
    """The records of one trait about these people: {key: id_value}."""
    rows = [
        ("audience" if key == "buyers" else "trait", key, "property", "user_id", who) for key, who in people.items()
    ]
    return pl.DataFrame(rows, dict.fromkeys(sync.KEY, pl.String), orient="row")


def test_a_part_of_the_work_has_its_own_account_and_leaves_the_rest_waiting(space):
    fold(space, work(space), settled(work(space).due, "transient"))
    found = work(space).only(some(plan="ann"))
    assert told(found.due) == told(found.records) == [("plan", "ann", "set")]
    assert (found.desired, found.without) == (1, 0)
    assert told(found.queue) == [("buyers", "bo", "set"), ("plan", "bo", "set")]
    assert found.waiting.height == 3
    account = sync.summary(found.desired, found.without, found.records, {"delivered": 1})
    assert (account["computed"], account["unchanged"]) == (1, 0)


def test_a_part_of_the_work_keeps_every_letter(space):
    fold(space, work(space), settled(work(space).due, "invalid"))
    found = work(space).only(some(plan="ann"))
    assert told(found.parked) == [("plan", "ann", "set")]
    assert found.letters.height == 3


def test_a_part_in_which_nothing_is_due_is_nothing(space):
    found = work(space).only(some(plan="nobody"))
    assert (found.due.height, found.records.height, found.desired) == (0, 0, 0)
    assert sync.summary(found.desired, found.without, found.records, {})["computed"] == 0


def test_removals_are_counted_apart_in_a_part(space):
    fold(space, work(space), settled(work(space).due))
    publish(space, 2, {"profile_id": ["ann"], "plan": ["silver"]})
    found = work(space).only(some(plan="ann", buyers="bo"))
    account = sync.summary(found.desired, found.without, found.records, {"delivered": 2})
    assert (account["computed"], account["to_set"], account["to_remove"]) == (2, 1, 1)

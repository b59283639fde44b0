"""What a destination is due once a list has another id: nothing that was said of the old one counts."""

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from populace import sync
from populace.definitions import Delivery, Destination
from populace.lake.delivery import Ledger
from populace.space import OpenSpace, due
from tests.deliveries import open_space, publish
from tests.generative.hooks import Killed, Mortal

NOW = datetime(2024, 3, 10, tzinfo=UTC)
CRM = Destination("crm", "webhook", (("url", "http://127.0.0.1:9/"), ("secret", "s")))
BUYERS = sync.Computation("audience", "buyers", "list")
MEMBERS = ["ann", "bo", "cy", "di"]


@pytest.fixture
def space(tmp_path) -> OpenSpace:
    """Four buyers on a list, who have a plan, too."""
    opened = open_space(tmp_path, CRM, "plan", "buyers")
    (audience,) = opened.definition.audiences
    listed = replace(audience, deliveries=(Delivery("crm", "list"),))
    publish(opened, 1, {"profile_id": MEMBERS, "plan": ["gold"] * 4}, {"buyers": MEMBERS})
    return replace(opened, definition=replace(opened.definition, audiences=(listed,)))


def ledger(space: OpenSpace) -> Ledger:
    return Ledger(space.lake, "crm")


def books(found: Ledger, name: str = "new") -> due.Books:
    return due.relisted(due.opened(found, NOW), {"buyers": name})


def work(space: OpenSpace, found: due.Books) -> due.Work:
    return due.plan(space, CRM, found, due.origin(space, CRM, found.ledger))


def settled(records: pl.DataFrame, outcome: str) -> pl.DataFrame:
    columns = {"outcome": outcome, "reason": "", "in_doubt": False, "attempts": 1, "sent": "", "reply": ""}
    return records.with_columns(pl.lit(value, sync.SETTLED[name]).alias(name) for name, value in columns.items())


def live(space: OpenSpace) -> pl.DataFrame:
    """One member is on the old list, one waits, one is parked, one is under way: the records of all."""
    found = books(ledger(space), "old")
    planned = work(space, found)
    of_list = planned.due.filter(form="list")
    outcomes = ("delivered", "transient", "invalid")
    done = pl.concat([settled(of_list[at : at + 1], each) for at, each in enumerate(outcomes)])
    found.fold(done, sync.queue(planned.waiting, done, NOW), sync.park(planned.letters, planned.waiting, done, NOW))
    ledger(space).begin(of_list[3:])
    return of_list


def test_everybody_is_due_on_the_new_list_under_new_message_ids_and_other_records_as_before(space):
    before = live(space)
    ledger(space).take_turn(1, {})
    assert work(space, books(ledger(space), "old")).due.filter(form="list").height == 2
    found = work(space, books(ledger(space)))
    again = found.due.filter(form="list")
    assert sorted(again["id_value"]) == MEMBERS
    assert set(again["action"]) == {"set"}
    assert not set(again["message_id"]) & set(before["message_id"])
    assert (found.parked.height, found.waiting.height, found.letters.height) == (0, 0, 0)
    assert found.due.filter(form="property").height == 4


def test_a_kill_at_any_moment_forgets_the_old_list_before_the_new_id_is_written(space):
    for moment in range(1, 100):
        for each in space.lake.list("ledger/"):
            space.lake.delete(each.path)
        live(space)
        found = books(Ledger(Mortal(space.lake.url(""), moment), "crm"))
        try:
            found.fold(sync.SETTLED.to_frame(), found.waiting(), found.letters())
        except Killed:
            after = books(ledger(space))
            assert sorted(work(space, after).due.filter(form="list")["id_value"]) == MEMBERS, moment
        else:
            break
    assert moment > 14  # four writes and a removal
    after = books(ledger(space))
    assert (after.are_stale, ledger(space).lists()) == (False, {"buyers": "new"})
    assert sorted(work(space, after).due.filter(form="list")["id_value"]) == MEMBERS


def test_an_id_that_stays_changes_nothing(space):
    live(space)
    same = books(ledger(space), "old")
    assert not same.relisted
    assert (same.held(BUYERS).drop_nulls("value").height, same.letters().height, same.waiting().height) == (1, 1, 2)

"""Ledgers that earlier versions left: one file of everything acknowledged, and tables with fewer columns."""

from pathlib import Path

import polars as pl
import pytest

from populace import sync
from populace.lake.delivery import Ledger
from populace.lake.objects import write_table
from populace.space import OpenSpace, due
from tests.deliveries import open_space, publish
from tests.generative.hooks import Killed, Mortal
from tests.unit.test_due import CRM, NOW, PLAN, settled, told, work

UNDIVIDED = "ledger/crm/acknowledged.parquet"
BEFORE = ("outcome", "reason", "in_doubt")  # what batches and letters had beside the columns of records


@pytest.fixture
def space(tmp_path: Path) -> OpenSpace:
    """A space in which an earlier version has delivered to three people, of whom one has left since."""
    opened = open_space(tmp_path, CRM, "plan", "buyers")
    people = ["ann", "bo", "cy"]
    publish(opened, 1, {"profile_id": people, "plan": ["gold", "free", "free"]}, {"buyers": people[:2]})
    old = [("trait", "plan", each, '"free"') for each in people] + [("audience", "buyers", "cy", "true")]
    rows = [(kind, key, "property", who, "user_id", who, value) for kind, key, who, value in old]
    write_table(opened.lake, UNDIVIDED, pl.DataFrame(rows, sync.STATE, orient="row"))
    return opened


DUE = [("buyers", "ann", "set"), ("buyers", "bo", "set"), ("buyers", "cy", "exit"), ("plan", "ann", "set")]


def paths(space: OpenSpace) -> list[str]:
    return [each.path.removeprefix("ledger/crm/") for each in space.lake.list("ledger/crm/")]


def test_it_is_read_without_being_changed(space):
    before = space.lake.read(UNDIVIDED)
    assert told(work(space).due) == DUE
    assert (paths(space), space.lake.read(UNDIVIDED)) == (["acknowledged.parquet"], before)


def test_it_is_split_once(space):
    ledger = Ledger(space.lake, "crm")
    ledger.migrate()
    split = ["acknowledged/audience.property.buyers.parquet", "acknowledged/trait.property.plan.parquet"]
    assert paths(space) == split
    assert told(work(space).due) == DUE
    held = ledger.acknowledged(PLAN)
    assert held.schema == sync.HELD
    assert held["at"].null_count() == held.height == 3
    ledger.migrate()
    assert paths(space) == split


def test_a_kill_at_any_moment_of_the_splitting_changes_nothing(space):
    old = space.lake.read(UNDIVIDED)
    for moment in range(1, 20):
        for each in space.lake.list("ledger/"):
            space.lake.delete(each.path)
        space.lake.replace(UNDIVIDED, old)
        mortal = Mortal(space.lake.url(""), moment)
        try:
            Ledger(mortal, "crm").migrate()
        except Killed:
            assert told(work(space).due) == DUE
            Ledger(space.lake, "crm").migrate()
            assert "acknowledged.parquet" not in paths(space)
            assert told(work(space).due) == DUE
        else:
            break
    assert moment > 6  # three for each file, and two for the removal


def test_what_an_earlier_version_was_killed_in_goes_on(space):
    records = work(space).due
    older = settled(records).select(*sync.RECORDS, *BEFORE)
    write_table(space.lake, "ledger/crm/batches/00000000.parquet", older[:1])
    write_table(space.lake, "ledger/crm/sending.parquet", records)
    found = work(space)
    assert found.due.equals(records[1:])
    assert found.waiting.schema == sync.QUEUE
    books = due.opened(Ledger(space.lake, "crm"), NOW)
    books.ledger.migrate()
    books.fold(sync.SETTLED.to_frame(), found.waiting, found.letters)
    assert work(space).due.equals(records[1:])


def test_letters_of_an_earlier_version_hold(space):
    records = work(space).due
    write_table(
        space.lake, "ledger/crm/letters.parquet", settled(records, "invalid").select(*sync.RECORDS, *BEFORE)[:2]
    )
    found = work(space)
    assert (found.due.height, found.parked.height) == (2, 2)
    assert found.letters.schema == sync.LETTERS
    assert found.letters.select("attempts", "since", "at", "sent", "reply").unique().rows() == [(None,) * 5]
    due.opened(Ledger(space.lake, "crm"), NOW).fold(settled(found.due, "invalid"), found.queue, found.letters)
    assert Ledger(space.lake, "crm").letters().schema == sync.LETTERS

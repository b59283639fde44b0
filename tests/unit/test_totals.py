"""Numbers that are told of a run: what is new, once."""

import json
from datetime import UTC, datetime

import polars as pl

from populace import sync

AT = datetime(2024, 3, 10, tzinfo=UTC)
BUYERS = sync.Computation("audience", "buyers", "summary")
PLAN = sync.Computation("trait", "plan", "summary")
NEW = sync.HELD.to_frame()


def totals(day: int = 1, members: int = 0, entered: int = 0, left: int = 0, plans: int | None = None) -> sync.Totals:
    """Of a run on that day; another audience is always full of change."""
    changes = [("buyers", "entered")] * entered + [("buyers", "exited")] * left + [("readers", "entered")]
    columns = {"profile_id": ["p"] * 9} | ({} if plans is None else {"plan": ["gold"] * plans + [None] * (9 - plans)})
    return sync.Totals(
        "team",
        f"2024-03-{day:02d}T00:00:00Z",
        pl.LazyFrame(columns),
        pl.LazyFrame({"audience": ["buyers"] * members + ["readers"] * 3}),
        pl.LazyFrame(changes, {"audience": pl.String, "change": pl.String}, orient="row"),
    )


def due(run: sync.Totals, held: pl.DataFrame, computation: sync.Computation = BUYERS) -> pl.DataFrame:
    found = sync.changes(computation, run.of(computation, held), held)
    return sync.recorded([found.records], "salt", sync.QUEUE.to_frame())


def said(run: sync.Totals, held: pl.DataFrame, computation: sync.Computation = BUYERS) -> list[dict]:
    """What is told, without the instant."""
    records = due(run, held, computation)
    assert set(records["action"]) <= {"set"}
    return [{key: each for key, each in json.loads(value).items() if key != "as_of"} for value in records["value"]]


def after(run: sync.Totals, held: pl.DataFrame, outcome: str = "delivered", **more: bool) -> pl.DataFrame:
    """The ledger once what was due had that outcome."""
    columns = {"outcome": outcome, "in_doubt": False} | more
    missing = {name: pl.lit(None, dtype) for name, dtype in sync.SETTLED.items() if name not in sync.RECORDS}
    settled = due(run, held).with_columns(**missing).with_columns(**{k: pl.lit(v) for k, v in columns.items()})
    return sync.acknowledge(held, settled.select(list(sync.SETTLED)), AT)


def test_size_and_movement_are_told_once():
    run = totals(members=5, entered=3, left=1)
    assert said(run, NEW) == [{"members": 5, "entered": 3, "left": 1}]
    assert said(run, after(run, NEW)) == []


def test_runs_without_movement_have_nothing_new():
    held = after(totals(1, members=5, entered=3), NEW)
    assert said(totals(2, members=5), held) == []
    assert said(totals(3, members=5), after(totals(2, members=5), held)) == []


def test_as_many_who_leave_as_come_are_news():
    held = after(totals(1, members=5, entered=5), NEW)
    assert said(totals(2, members=5, entered=2, left=2), held) == [{"members": 5, "entered": 2, "left": 2}]


def test_the_same_movement_in_another_run_is_news():
    held = after(totals(1, members=5, entered=5), NEW)
    assert len(said(totals(2, members=5, entered=5), held)) == 1


def test_a_size_that_changed_in_a_run_that_was_not_told_is_told_now():
    held = after(totals(1, members=5, entered=5), NEW)
    assert said(totals(3, members=7), held) == [{"members": 7, "entered": 0, "left": 0}]


def test_of_an_audience_of_nobody_nothing_is_told():
    assert due(totals(), NEW).is_empty()


def test_an_audience_that_becomes_empty_is_told_and_stays_told():
    first, empty = totals(1, members=5, entered=5), totals(2, left=5)
    held = after(first, NEW)
    assert said(empty, held) == [{"members": 0, "entered": 0, "left": 5}]
    assert due(totals(3), after(empty, held)).is_empty()


def test_an_audience_that_became_empty_in_a_run_that_was_not_told_is_told_now():
    assert said(totals(3), after(totals(1, members=5, entered=5), NEW)) == [{"members": 0, "entered": 0, "left": 0}]


def test_what_may_not_have_arrived_is_told_as_it_is_now():
    held = after(totals(1, members=5, entered=5), NEW, "transient", in_doubt=True)
    assert said(totals(2, members=5), held) == [{"members": 5, "entered": 0, "left": 0}]


def test_what_is_delivered_no_longer_leaves_the_ledger():
    held = after(totals(1, members=5, entered=5), NEW)
    records = sync.changes(BUYERS, sync.NOTHING, held).records
    assert records.select("action", "id_type", "id_value").rows() == [("exit", "destination", "team")]


def test_traits_are_counted_where_there_is_a_value():
    assert said(totals(plans=4), NEW, PLAN) == [{"profiles": 4}]
    assert said(totals(plans=0), NEW, PLAN) == [{"profiles": 0}]
    assert due(totals(), NEW, PLAN).is_empty()

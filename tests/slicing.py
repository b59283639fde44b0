"""One slice read in a test, from rows that are good but for what the test says."""

from datetime import UTC, date, datetime

import polars as pl

from populace.events import slices
from populace.events.jsontext import JsonReader
from tests import driving
from tests.tables import AS_OF

DAY = date(2024, 3, 1)
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
RIVALS = {
    "message_id": pl.String,
    "received_at": pl.Datetime("us", "UTC"),
    "source": pl.String,
    "object": pl.String,
    "row": pl.UInt32,
}
COLUMNS = ("message_id", "type", "event", "user_id", "anonymous_id", "timestamp", "received_at")


def read(frame, context=()):
    """One slice of one object, whose rows are good unless the frame says otherwise."""
    numbers = pl.int_range(pl.len())
    usual = {
        "message_id": pl.format("m{}", numbers),
        "type": pl.lit("track"),
        "event": pl.lit("E"),
        "user_id": pl.lit("u1"),
        "timestamp": pl.lit(NOON),
    }
    missing = {name: value for name, value in usual.items() if name not in frame.columns}
    raw = frame.with_columns(**missing).with_row_index(slices.POSITION)
    rules = slices.Rules(driving.IDENTITY, context)
    with JsonReader() as reader:
        return slices.read(
            [("a.parquet", raw)], source="web", day=DAY, rules=rules, rivals=pl.DataFrame(schema=RIVALS), json=reader
        )


def properties(*texts, table="E", **columns):
    """The property columns of calls with these properties, by name without `p.`, with their types."""
    frame = pl.DataFrame({"properties": pl.Series(texts, dtype=pl.String), **columns})
    found = read(frame).events[table]
    return {each.name[2:]: (each.dtype, each.to_list()) for each in found.iter_columns() if each.name.startswith("p.")}


def archived(tmp_path, *objects, sources=("web",)):
    """The lake after a replay of objects, each (source, name, rows by the usual columns)."""
    space = driving.space_in(tmp_path, sources=sources)
    for source, name, found in objects:
        driving.put(space, source, name, called(*found))
    return space, driving.replay_all(space, AS_OF)


def called(*calls):
    """Rows of the raw layout: good Track calls but for what is said."""
    usual = {"type": "track", "event": "E", "user_id": "u1", "timestamp": NOON}
    names = dict.fromkeys(name for call in calls for name in (*usual, *call))
    return pl.DataFrame([{name: (usual | call).get(name) for name in names} for call in calls])


def kept(space, summaries):
    """Where each message was kept: (source, received day, property `copy`), sorted."""
    return sorted(
        (source, day, copy)
        for source, summary in summaries.items()
        for day, entry in summary["slices"].items()
        for output in entry["outputs"]
        if output["kind"] == "events"
        for copy in pl.read_parquet(space.lake.url(output["path"]))["p.copy"]
    )

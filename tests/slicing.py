"""One part read in a test, from rows that are good but for what the test says."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import polars as pl

from populace.events import parts
from populace.events.jsontext import JsonReader
from populace.events.layouts import LAYOUTS
from populace.events.layouts.canonical import ROW
from populace.lake import ledger
from populace.lake.objects import scan
from populace.space.archive import Stretch
from populace.space.reading import Chunk, Piece
from tests import driving
from tests.tables import AS_OF

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
COLUMNS = ("message_id", "type", "event", "user_id", "anonymous_id", "timestamp", "received_at")


@dataclass(frozen=True)
class Found:
    """What was found in a part of one object: wrong rows as they will be quarantined, and the tables."""

    tables: parts.Tables
    counts: dict[str, int]
    quarantine: pl.DataFrame

    @property
    def events(self) -> dict[str, pl.DataFrame]:
        return dict(self.tables.events)

    @property
    def reasons(self) -> dict[str, int]:
        return dict(self.quarantine["reason"].value_counts().sort("reason").rows())


@cache
def reader() -> JsonReader:
    """One for all tests, for opening one takes longer than most of them."""
    return JsonReader()


def read(frame: pl.DataFrame, context: tuple[str, ...] = ()) -> Found:
    """A part of one object, whose rows are good unless the frame says otherwise."""
    numbers = pl.int_range(pl.len())
    usual = {
        "message_id": pl.format("m{}", numbers),
        "type": pl.lit("track"),
        "event": pl.lit("E"),
        "user_id": pl.lit("u1"),
        "timestamp": pl.lit(NOON),
    }
    missing = {name: value for name, value in usual.items() if name not in frame.columns}
    rows = frame.with_columns(**missing).with_row_index(ROW)
    rules = parts.Rules(driving.IDENTITY, context)
    store: Any = None  # rows of the raw layout are not fetched again
    chunk = Chunk([Piece(Stretch("a.parquet", "", 0, None), rows)], store, LAYOUTS["raw"], rules.wanted)
    json = reader()
    checked = parts.check(chunk.frames(json), "1970-01-01", rules.wanted, json)
    kept = pl.repeat(value=True, n=checked.copies.height, eager=True)
    tables = parts.tables(checked, kept, "web", rules, json)
    wrong = parts.rejected(checked)
    return Found(
        tables,
        ledger.total(parts.counts(checked, kept).rows(named=True)),
        wrong.join(chunk.whole(wrong), on=["object", "row"], how="left"),
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
        (source, f"{received:%Y-%m-%d}", copy)
        for source, summary in summaries.items()
        for entry in summary["parts"].values()
        for output in entry["outputs"]
        if output["kind"] == "events"
        for copy, received in scan(space.lake, output["path"]).select("p.copy", "received_at").collect().rows()
    )

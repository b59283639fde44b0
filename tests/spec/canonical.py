"""What layouts make of objects and lines: canonical rows, as dicts."""

import json
from datetime import UTC, datetime

import polars as pl

from populace.events.layouts import LAYOUTS, Wanted
from populace.events.layouts.canonical import ROW

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
LAKE = "data/abc/segment_type=order_completed/day=2024-03-01/hr=10/x.parquet"
DAY = "segment-logs/abc/1709251200000/x.gz"


def parquet(layout, path, *rows, wanted=(), **columns):
    """The canonical rows of a Parquet object, as dicts without what is null."""
    frame = pl.DataFrame(list(rows)) if rows else pl.DataFrame(columns)
    frame = frame.with_row_index(ROW)
    found = frame.select(LAYOUTS[layout].columns(frame.schema, path, Wanted(frozenset(wanted))))
    return [{name: value for name, value in row.items() if value is not None} for row in found.iter_rows(named=True)]


def lines(reader, *texts, layout="segment_json", path="x.gz", reasons=None, wanted=()):
    """The canonical rows of lines, as dicts without what is null and without a flag that is down."""
    frame = pl.DataFrame(
        {"line": texts, "reason": reasons or [None] * len(texts)}, schema={"line": pl.String, "reason": pl.String}
    ).with_row_index(ROW)
    found = LAYOUTS[layout].rows(frame, path, Wanted(frozenset(wanted)), reader)
    found = found.with_columns(pl.col("context_not_object").replace(False, None))
    return [{name: value for name, value in row.items() if value is not None} for row in found.iter_rows(named=True)]


def call(**fields):
    """A good Track call as a line, but for what is said."""
    usual = {"messageId": "m1", "type": "track", "event": "E", "userId": "u1", "timestamp": "2024-03-01T12:00:00.000Z"}
    return json.dumps({name: value for name, value in (usual | fields).items() if value is not ...})


def good(**fields):
    """What becomes of `call`, as far as it does not depend on fields."""
    usual = {"row": 0, "message_id": "m1", "type": "track", "event": "E", "user_id": "u1"}
    return usual | {"timestamp": NOON, "received_at": NOON, "unreadable": False} | fields

"""Frames written as pipe tables, so that a test shows its data."""

import re
from datetime import UTC, datetime, timedelta

import polars as pl

AS_OF = datetime(2024, 3, 31, 12, tzinfo=UTC)

KINDS = {
    "profile": pl.UInt32,
    "message_id": pl.String,
    "source": pl.String,
    "has_known_id": pl.Boolean,
    "name": pl.String,
    "value": pl.String,
}
INSTANTS = {"timestamp", "received_at", "updated_at"}


def table(text: str) -> pl.DataFrame:
    """A frame from a pipe table with a header; an empty cell is null.

    A column has the type of `KINDS`, else the narrowest of Int64, Float64, Boolean and String that takes all of its
    cells; text in double quotes is text. JSON columns (`:json`) stay as written. An instant is ISO text, or
    `d-3` for three days before `AS_OF`.

    >>> table("profile | timestamp | p.price | p.size:json\\n 1 | d-1 | 5 | \\"L\\"").rows()
    [(1, datetime.datetime(2024, 3, 30, 12, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 5, '"L"')]
    """
    lines = [line for line in text.strip().splitlines() if line.strip()]
    header, *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert all(len(row) == len(header) for row in rows), "each row needs as many cells as the header"
    return pl.DataFrame([_series(name, [row[at] for row in rows]) for at, name in enumerate(header)])


def _series(name: str, cells: list[str]) -> pl.Series:
    if name in INSTANTS:
        return pl.Series(name, [instant(cell) if cell else None for cell in cells], pl.Datetime("us", "UTC"))
    if name.endswith(":json") or name == "value":
        return pl.Series(name, [cell or None for cell in cells], pl.String)
    dtype = KINDS.get(name) or _narrowest([cell for cell in cells if cell])
    return pl.Series(name, [_parsed(cell, dtype) for cell in cells], dtype)


def _narrowest(cells: list[str]) -> type[pl.DataType]:
    forms = {pl.Int64: r"-?\d+", pl.Float64: r"-?\d+(\.\d+)?", pl.Boolean: "true|false"}
    return next((dtype for dtype, form in forms.items() if all(re.fullmatch(form, cell) for cell in cells)), pl.String)


def _parsed(cell: str, dtype: type[pl.DataType]) -> object:
    if not cell:
        return None
    if dtype == pl.Boolean:
        return cell == "true"
    if dtype == pl.String:
        return cell[1:-1] if cell.startswith('"') else cell
    return float(cell) if dtype == pl.Float64 else int(cell)


def instant(text: str) -> datetime:
    """ISO text, or `d-3`: three days of 24 hours before `AS_OF`."""
    relative = re.fullmatch(r"d([+-][\d.]+)", text)
    if relative:
        return AS_OF + timedelta(days=float(relative[1]))
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def events(text: str) -> pl.LazyFrame:
    """Events as the stages take them, in an order that means nothing.

    What the table leaves out is filled in: `received_at` is the timestamp, ids are m1, m2 … in the order written.
    """
    frame = table(text)
    missing = {
        "received_at": pl.col("timestamp"),
        "message_id": pl.format("m{}", pl.int_range(1, pl.len() + 1)),
        "source": pl.lit("web"),
    }
    filled = frame.with_columns(**{name: made for name, made in missing.items() if name not in frame.columns})
    return filled.sample(fraction=1, shuffle=True, seed=7).lazy()

"""Rows of object storage: how records change a state, and how states and changes are bytes.

In memory a value is canonical JSON text. In a file it has the type that all values of the state share, if they come
back from it letter by letter; else it stays JSON text. So nothing is lost on the way there and back, and a reader of
Parquet finds numbers where numbers are.

CSV is UTF-8 with a header, every value in quotes, lines ended by a line feed. A value that begins with `=` is written
as it is: these files are for programs, and an identifier that was changed would name somebody else.
"""

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import polars as pl

from populace.expressions.texts import json_number, json_text

IDENTIFIER = ["id_type", "id_value"]
KEY = ["kind", "key", *IDENTIFIER]
HELD = pl.Schema(dict.fromkeys((*IDENTIFIER, "profile_id", "value"), pl.String()))
CHANGES = ["action", *KEY, "profile_id", "value", "message_id"]
ROW_GROUP = 262_144  # fixed, so that equal rows give equal bytes

VALUE = pl.col("value")


class Spelling(NamedTuple):
    """A type of values: what canonical JSON texts of it begin with, and the way there and back."""

    start: str
    typed: Callable[[pl.Expr], pl.Expr]
    text: Callable[[pl.Expr], pl.Expr]


def _json_string(value: pl.Expr) -> pl.Expr:
    return pl.struct(value.alias("v")).struct.json_encode().str.strip_prefix('{"v":').str.strip_suffix("}")


# In order: the first that all values come back from is taken.
SPELLINGS = {
    "boolean": Spelling("tf", lambda value: value == "true", lambda value: value.cast(pl.String)),
    "integer": Spelling(
        "-0123456789", lambda value: value.cast(pl.Int64, strict=False), lambda value: value.cast(pl.String)
    ),
    "number": Spelling("-0123456789", lambda value: value.cast(pl.Float64, strict=False), json_number),
    "text": Spelling('"', json_text, _json_string),
}
JSON = "json"


def applied(held: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The state of one computation after records of it, sorted by identifier.

    Parameters
    ----------
    held
        One row for each identifier: (id_type, id_value, profile_id, value: JSON text).
    records
        At most one for each identifier. 'set' puts its value in place of what was there, all else takes it away.
    """
    is_set = (pl.col("action") == "set") & VALUE.is_not_null()
    kept = held.join(records, on=IDENTIFIER, how="anti", maintain_order="left")
    return _sorted(pl.concat([kept, records.filter(is_set).select(list(HELD))]))


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    """By id_type and id_value: one column at a time, for rows that are nearly sorted cost a tenth of that so."""
    types = frame.get_column("id_type").unique().sort()
    parts = (frame.filter(pl.col("id_type") == each).sort("id_value") for each in types)
    return pl.concat([frame.clear(), *parts])


def value_type(kind: str, values: pl.Series, before: str = JSON) -> str:
    """The type that all values share; of none at all the type of before, so that columns keep theirs.

    An audience has none: all of its values are true.
    """
    if kind == "audience":
        return ""
    if values.is_empty():
        return before
    start = values[0][0]
    fitting = (name for name, each in SPELLINGS.items() if start in each.start and _comes_back(values, each))
    return next(fitting, JSON)


def _comes_back(values: pl.Series, spelling: Spelling) -> bool:
    frame = values.alias("value").to_frame()
    again = spelling.text(spelling.typed(VALUE)).eq_missing(VALUE)
    return frame.select(again.all(ignore_nulls=False)).item()


def encoded(state: pl.DataFrame, value: str, form: str) -> bytes:
    """A state, or a part of one, as a file; a state without type of values has no column of values."""
    spelling = _spelling(value, form)
    frame = state.with_columns(value=spelling.typed(VALUE)) if spelling else state
    return to_bytes(frame if value else frame.drop("value"), form)


def decoded(data: bytes, value: str, form: str) -> pl.DataFrame:
    """The rows of such a file, values as JSON text.

    Raises
    ------
    PolarsError
        If it is no such file.
    """
    frame, spelling = from_bytes(data, form), _spelling(value, form)
    if spelling:
        frame = frame.with_columns(value=spelling.text(VALUE))
    elif not value:
        frame = frame.with_columns(value=pl.lit("true"))
    return frame.select(list(HELD)).cast(HELD)


def _spelling(value: str, form: str) -> Spelling | None:
    """How values are written; None where they are written as they are. In CSV a number is the text that it has."""
    return SPELLINGS.get(value) if form != "csv" or value == "text" else None


def to_bytes(frame: pl.DataFrame, form: str) -> bytes:
    """A table as a file; equal tables give equal bytes."""
    buffer = io.BytesIO()
    if form == "csv":
        frame.write_csv(buffer, quote_style="always")
    else:
        frame.write_parquet(buffer, compression="zstd", compression_level=1, row_group_size=ROW_GROUP)
    return buffer.getvalue()


def from_bytes(data: bytes, form: str) -> pl.DataFrame:
    if form == "csv":
        return pl.read_csv(data, infer_schema=False)  # what is in quotes is never null
    return pl.read_parquet(data)


def unrepeated(records: pl.DataFrame, earlier: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The records that are not the last thing which these parts of the same sync say about their key."""
    if not earlier:
        return records
    said = pl.concat(earlier).unique(KEY, keep="last", maintain_order=True)
    return records.join(said, on=[*KEY, "message_id"], how="anti", maintain_order="left")

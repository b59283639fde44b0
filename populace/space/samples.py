"""First rows of one object of an archive that is not known yet, and what each layout makes of them."""

import json as texts
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.exceptions import PolarsError

from populace.errors import ArchiveError
from populace.events import rows
from populace.events.jsontext import JsonReader
from populace.events.layouts import LAYOUTS, LinesLayout, ParquetLayout, context
from populace.events.layouts.canonical import COLUMNS, JSONS, ROW, Wanted
from populace.events.payload import JsonPayload
from populace.lake.objects import Object, Store
from populace.space import lines

FIRST_ROWS = 1_000
MOST_KEYS = 200  # columns or keys that are remembered of an object
PARQUET = b"PAR1"
RUDDER = r'"rudder_?[iI]d"|RudderLabs|RudderStack'


@dataclass(frozen=True, slots=True)
class Sample:
    """One object that was looked into.

    Parameters
    ----------
    columns
        Names and types of a Parquet object; the top-level keys of lines.
    rows
        How many the whole object has, where its footer says so.
    accepted
        For each layout that reads it the canonical rows, without typed payload, with `reason` (see `rows.reasons`).
    refused
        For each layout that does not, why.
    marks
        How much speaks for each layout beside its accepting the rows.
    sources
        Values of a column `source_id`.
    problem
        Why the object cannot be read at all.
    """

    path: str
    size: int
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    accepted: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, int] = field(default_factory=dict)
    sources: frozenset[str] = frozenset()
    problem: str | None = None


def take(store: Store, found: Object, json: JsonReader) -> Sample:
    """Look into an object, whatever it is."""
    try:
        with store.open(found.path) as file:
            is_parquet = file.read(len(PARQUET)) == PARQUET
        return _of_parquet(store, found, json) if is_parquet else _of_lines(store, found, json)
    except (ArchiveError, PolarsError, OSError, ValueError, pa.ArrowException) as cause:
        first = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        return Sample(found.path, found.size, problem=first.removeprefix(f"{store.root}/{found.path}: "))


# --- Parquet ------------------------------------------------------------------------------------------


def _of_parquet(store: Store, found: Object, json: JsonReader) -> Sample:
    with store.open(found.path) as file:
        parquet = pq.ParquetFile(file)
        batch = next(parquet.iter_batches(FIRST_ROWS), parquet.schema_arrow.empty_table())
        count = parquet.metadata.num_rows
    first = pl.DataFrame(pl.from_arrow(batch)).with_row_index(ROW)
    schema = {name: dtype for name, dtype in first.schema.items() if name != ROW}
    accepted, refused = _judged(found.path, "parquet", json, lambda name: _columns(name, first, found.path))
    return Sample(
        found.path,
        found.size,
        columns={name: str(dtype) for name, dtype in list(schema.items())[:MOST_KEYS]},
        rows=count,
        accepted=accepted,
        refused=refused,
        marks=_parquet_marks(found.path, schema),
        sources=frozenset(_texts(first, "source_id")),
    )


def _columns(name: str, first: pl.DataFrame, path: str) -> pl.DataFrame:
    layout = cast(ParquetLayout, LAYOUTS[name])
    found = layout.columns(first.schema, path, Wanted())
    return first.select(each for each in found if each.meta.output_name() in (*COLUMNS, *JSONS))


def _parquet_marks(path: str, schema: Mapping[str, pl.DataType]) -> dict[str, int]:
    bare = {context.bare(name) for name in schema}
    is_flat = any(name.lower().startswith(("properties_", "traits_")) for name in schema)
    return {
        "raw": any(name in schema for name in JSONS),
        "segment_lake": ("messageid" in bare) * (is_flat + 2 * ("segment_type=" in path)),
        "warehouse": "id" in bare and "messageid" not in bare,
    }


def _texts(first: pl.DataFrame, name: str) -> Iterator[str]:
    if name in first.columns and first.schema[name] == pl.String:
        yield from first.get_column(name).drop_nulls().unique()


# --- lines --------------------------------------------------------------------------------------------


def _of_lines(store: Store, found: Object, json: JsonReader) -> Sample:
    frames = lines.frames(store.open(found.path), f"{store.root}/{found.path}")
    first = next(frames, pl.DataFrame(schema=lines.LINES)).head(FIRST_ROWS)
    accepted, refused = _judged(found.path, "lines", json, lambda name: _rows(name, first, found.path, json))
    rudder = first.get_column("line").str.contains(RUDDER).sum() + ("rudder-logs/" in found.path) * FIRST_ROWS
    return Sample(
        found.path,
        found.size,
        columns=_keys(first.get_column("line")),
        accepted=accepted,
        refused=refused,
        marks={"rudderstack_json": rudder > first.height // 2, "segment_json": rudder == 0 and first.height > 0},
    )


def _rows(name: str, first: pl.DataFrame, path: str, json: JsonReader) -> pl.DataFrame:
    return cast(LinesLayout, LAYOUTS[name]).rows(first, path, Wanted(), json)


def _keys(first: pl.Series) -> dict[str, str]:
    """The top-level keys of some lines that are JSON objects; no values."""
    keys: dict[str, str] = {}
    for line in first.drop_nulls().head(10):
        try:
            found = texts.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            keys |= {name: type(value).__name__ for name, value in list(found.items())[:MOST_KEYS]}
    return keys


# --- what layouts make of rows --------------------------------------------------------------------------


def _judged(
    path: str, container: str, json: JsonReader, read: Callable[[str], pl.DataFrame]
) -> tuple[dict[str, pl.DataFrame], dict[str, str]]:
    """What each layout of a container makes of the rows, or why it does not read them."""
    accepted: dict[str, pl.DataFrame] = {}
    refused: dict[str, str] = {}
    for name, layout in LAYOUTS.items():
        if layout.container != container:
            continue
        if not layout.reads(path):
            refused[name] = "does not read objects of such a name"
            continue
        try:
            found = read(name)
        except ArchiveError as cause:
            refused[name] = str(cause).removeprefix(f"{path}: ")
            continue
        found = found.with_columns(reason=_reasons(found, json))
        why = _mostly_bad(found)
        if why:
            refused[name] = why
        else:
            accepted[name] = found
    return accepted, refused


def _reasons(found: pl.DataFrame, json: JsonReader) -> pl.Series:
    is_json = "properties" in found.columns
    return rows.reasons(JsonPayload.of(found, Wanted(), json).judged(found.select(COLUMNS)) if is_json else found)


def _mostly_bad(found: pl.DataFrame) -> str | None:
    bad = found.get_column("reason").drop_nulls()
    if bad.len() * 2 <= found.height:
        return None
    counts = bad.value_counts(sort=True)
    return f"{bad.len()} of its first {found.height} rows would be rejected, most of them as {counts.item(0, 0)}"

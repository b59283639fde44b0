"""Events and their side tables, read across slices whose files differ in schema."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import polars as pl

from populace.expressions import EXACT, json_number
from populace.lake.objects import Store, scan
from populace.paths import at_elements, has_elements

INSTANT = pl.Datetime("us", "UTC")
ENVELOPE = {
    "message_id": pl.String(),
    "timestamp": INSTANT,
    "received_at": INSTANT,
    "source": pl.String(),
    "sighting": pl.Int64(),
}
JSON = ":json"
REST = "_rest"
OBJECT = "o."
LONGEST_NAME = 120
SIDE_TABLES = ("sightings", "identifiers", "custom_traits", "links")
KINDS = ("events", *SIDE_TABLES, "quarantine", "copies")  # the folders that hold what parts are made of
FEW = "events/@few"  # the events of names too rare for objects of their own; no name has this folder

# Small row groups, where a reader looks for a name or for ids and the statistics say where they cannot be.
ROW_GROUPS = {"few": 8_192, "copies": 16_384}

# Names of column types in the ledger, for the types that property columns can have.
LARGE = "Int64 beyond 2^53"
ELEMENTS = pl.List(pl.String())  # what elements of arrays are read as, each as JSON; no file holds it
TYPES = {str(each): each for each in (pl.Int64(), pl.Float64(), pl.Boolean(), pl.String(), ELEMENTS)}
TYPES |= {LARGE: pl.Int64()}


def folder(table: str) -> str:
    """The folder of a table: an injective form of its name that no file system folds together.

    Lower-case letters, digits and `_` stay; an upper-case letter becomes `~` and its lower case, a
    blank `-`, anything else `!` and its bytes in hexadecimal.
    """
    name = "".join(_letter(each) for each in table)
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 40]}!!{hashlib.sha256(table.encode()).hexdigest()[:32]}"


def _letter(each: str) -> str:
    if each.isascii() and (each.islower() or each.isdigit() or each in "_@"):
        return each
    if each.isascii() and each.isupper():
        return "~" + each.lower()
    return "-" if each == " " else "".join(f"!{byte:02x}" for byte in each.encode())


def place(kind: str, table: str | None) -> str:
    """The folder of a kind of table, for events with the name of the table."""
    if kind == "few":
        return FEW
    return kind if table is None else f"{kind}/{folder(table)}"


def outputs(parts: Iterable[dict], kind: str, table: str | None = None) -> list[dict]:
    """What parts wrote of one kind, in the order of the parts."""
    return [
        output for each in parts for output in each["outputs"] if output["kind"] == kind and output["table"] == table
    ]


def read(store: Store, parts: Iterable[dict], kind: str) -> pl.LazyFrame | None:
    """A side table of all parts together; None where no part has a row."""
    paths = [each["path"] for each in outputs(parts, kind)]
    return scan(store, *paths) if paths else None


def names(parts: Iterable[dict]) -> list[str]:
    """Every event table that some part has rows of, sorted."""
    listed = [each for part in parts for each in part["outputs"]]
    rare = {name for each in listed for name in each.get("events", ())}
    return sorted(rare | {each["table"] for each in listed if each["kind"] == "events"})


def columns(parts: Iterable[dict], table: str) -> set[str]:
    """Every column of properties and context that some part has for an event table; `_rest` where some has others."""
    files = outputs(parts, "events", table)
    rare = [each for part in parts for each in part["outputs"] if table in each.get("events", ())]
    return {name for each in (*files, *rare) for name in each["columns"]}


# --- events ---------------------------------------------------------------------------------------


def carrying(store: Store, parts: Iterable[dict], sightings: pl.Series) -> pl.LazyFrame:
    """The envelopes of all events, of whatever name, that carry one of these identifier sets."""
    paths = [each["path"] for part in parts for each in part["outputs"] if each["kind"] in ("events", "few")]
    return scan(store, *sorted(paths), schema=ENVELOPE).filter(pl.col("sighting").is_in(sightings.implode()))


def calls(store: Store, paths: Iterable[str], columns: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """The envelopes of calls that no condition can name, with the columns that calls of their kind have."""
    return scan(store, *paths, schema=ENVELOPE | dict(columns))


class FromJson(Protocol):
    """How values that are kept as JSON become columns `p.<path>` or `c.<path>` of one type, or `….:json`."""

    def extract(self, objects: pl.Series, paths: Sequence[str]) -> list[pl.Series]:
        """The properties at dotted paths of whole objects."""

    def typed(self, column: str, values: pl.Series) -> pl.Series:
        """A column from its values."""

    def objects(self, objects: pl.Series, path: str) -> pl.Series:
        """Whether the property at a dotted path of whole objects is an object that is not empty."""

    def elements(self, values: pl.Series, path: str) -> pl.Series:
        """Lists of JSON: the elements at a path with `$` of the values at the path before it; null for no array."""


def events(
    store: Store, parts: Iterable[dict], table: str, columns: Sequence[str], from_json: FromJson
) -> pl.LazyFrame | None:
    """The rows of one event table, with the asked-for property and context columns.

    Parameters
    ----------
    parts
        Entries of the ledger whose rows are wanted.
    columns
        Names without `:json`, such as `p.price` or `c.page.url`; of elements with a `$`, such as `p.items.$.sku`;
        `o.shipping` says whether a property is an object that is not empty, which has no column of its own.
    from_json
        Reads what has no column of its own: of events with rare names, or with very many properties.

    Returns
    -------
    The envelope and, for each asked-for column that any part has, either the typed column or its
    `:json` form where the parts do not agree on a type. Elements are lists of JSON, in the order of their array, and
    null where there is none. None where no part has the table.
    """
    listed = list(parts)
    files = [_File(each["path"], each["columns"]) for each in outputs(listed, "events", table)]
    rare = [each for each in outputs(listed, "few") if table in each["events"]]
    files += [_File(each["path"], each["columns"], table) for each in rare]
    if not files:
        return None
    groups: dict[tuple, list[_File]] = defaultdict(list)
    stored = sorted({at_elements(column)[0] for column in columns})
    for each in files:
        found = [_found(each.columns, column) for column in stored]
        below = [name for column in stored for name in _below(each.columns, column)]
        is_read = IN_REST in found or (each.table and any(found))
        groups[each.table, *found, *below, each.path if is_read else ""].append(each)
    streams = [with_elements(_stream(store, group, stored, from_json), columns, from_json) for group in groups.values()]
    united = {column: _united([each.columns for each in streams], column) for column in columns}
    wanted = {column: dtype for column, dtype in united.items() if dtype is not None}
    return pl.concat([_typed(each, wanted) for each in streams])


@dataclass(frozen=True, slots=True)
class _File:
    """One object with events: its property columns, and for one with several tables which one is wanted."""

    path: str
    columns: dict[str, str]
    table: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows that have the same of the wanted columns."""

    rows: pl.LazyFrame
    columns: dict[str, str]


Found = tuple[str, str] | None  # a column's name in one file, and its type
IN_REST = (REST, "String")


def _found(schema: dict[str, str], column: str) -> Found:
    # A path that ends in `:json` is stored as JSON always: its bare name is the JSON form of another path.
    for name in (column + JSON,) if column.endswith(JSON) else (column, column + JSON):
        if name in schema:
            return name, schema[name]
    # What has no column may stand in the whole object.
    return IN_REST if REST in schema and column.startswith(("p.", OBJECT)) else None


def _below(schema: dict[str, str], column: str) -> dict[str, str]:
    """The columns of what an object holds, for a column that says whether it is there."""
    start = f"p.{column.removeprefix(OBJECT)}."
    is_asked = column.startswith(OBJECT)
    return {name: dtype for name, dtype in schema.items() if is_asked and name.startswith(start)}


def _united(schemas: Sequence[dict[str, str]], column: str) -> str | None:
    """The type that all files' values fit in; `:json` where only JSON does, None where no file has it."""
    found = {each for each in (_found(schema, column) for schema in schemas) if each}
    types = {JSON if name.endswith(JSON) else dtype for name, dtype in found}
    if types <= {"Int64", LARGE, "Float64"} and len(types) > 1:
        return "Int64" if "Float64" not in types else JSON if LARGE in types else "Float64"
    return types.pop() if len(types) == 1 else (JSON if types else None)


def _stream(store: Store, files: list[_File], columns: Sequence[str], from_json: FromJson) -> Stream:
    """Files that have the same of the columns; one file where some are to be read out of JSON."""
    found = {column: _found(files[0].columns, column) for column in columns}
    held = dict(each for each in found.values() if each)
    below = {column: _below(files[0].columns, column) for column in columns}
    scanned = held | {name: dtype for names in below.values() for name, dtype in names.items()}
    rows = _scan(store, files, ENVELOPE | {name: TYPES[dtype] for name, dtype in scanned.items()})
    objects = {column: _any(names) for column, names in below.items() if names}
    rows = rows.with_columns(**objects).select(*ENVELOPE, *held, *objects)
    held |= dict.fromkeys(objects, "Boolean")
    if REST not in held and not (files[0].table and held):
        return Stream(rows, held)
    table = rows.collect()
    absent = [column[2:] for column, each in found.items() if each == IN_REST and not column.startswith(OBJECT)]
    values = from_json.extract(table.get_column(REST), absent) if absent else []
    kept = {name: column for column, (name, _) in ((c, f) for c, f in found.items() if f and f != IN_REST)}
    if files[0].table:  # an object of many tables, none of which has types of its own
        values += [from_json.typed(column, table.get_column(name)) for name, column in kept.items()]
        table = table.drop(kept)
    values += [
        _with_rest(column, table, from_json) for column, each in found.items() if column.startswith(OBJECT) and each
    ]
    table = table.drop(objects)
    some = [each for each in values if each.null_count() < each.len()]
    read = table.drop(REST, strict=False).hstack(some)
    return Stream(read.lazy(), {name: type_name(read[name]) for name in read.columns if name not in ENVELOPE})


def _any(names: Iterable[str]) -> pl.Expr:
    return pl.any_horizontal([pl.col(name).is_not_null() for name in names])


def _with_rest(column: str, table: pl.DataFrame, from_json: FromJson) -> pl.Series:
    """Whether an object is there, in columns of what it holds or in what has no columns."""
    found = from_json.objects(table.get_column(REST), column.removeprefix(OBJECT)).alias(column)
    return found | table.get_column(column) if column in table.columns else found


def with_elements(stream: Stream, columns: Iterable[str], from_json: FromJson) -> Stream:
    """The same with the asked-for columns of elements, each made of the array that is there as JSON."""
    asked = [column for column in columns if has_elements(column)]
    arrays = {column: found for column in asked if (found := _found(stream.columns, at_elements(column)[0]))}
    made = {
        column: pl.col(name).map_batches(partial(from_json.elements, path=column), ELEMENTS, is_elementwise=True)
        for column, (name, _) in arrays.items()
        if name.endswith(JSON)
    }
    return Stream(stream.rows.with_columns(**made), stream.columns | dict.fromkeys(made, str(ELEMENTS)))


def _scan(store: Store, files: list[_File], schema: dict) -> pl.LazyFrame:
    paths = [each.path for each in files]
    table = files[0].table
    if table is None:
        return scan(store, *paths, schema=schema)
    rows = scan(store, *paths, schema={"event": pl.String()} | schema)
    return rows.filter(pl.col("event") == table).drop("event")


def _typed(stream: Stream, wanted: dict[str, str]) -> pl.LazyFrame:
    """The envelope and the wanted columns in the types they have everywhere."""
    picked = [_as(_found(stream.columns, column), column, dtype) for column, dtype in wanted.items()]
    return stream.rows.select(*ENVELOPE, *picked)


def _as(found: Found, column: str, dtype: str) -> pl.Expr:
    target = column + JSON if dtype == JSON else column
    if found is None:
        return pl.lit(None, dtype=TYPES.get(dtype, pl.String())).alias(target)
    name, own = found
    if dtype != JSON:
        return pl.col(name).cast(TYPES[dtype]).alias(target)
    return (pl.col(name) if name.endswith(JSON) else _to_json(name, own)).alias(target)


def type_name(column: pl.Series) -> str:
    """A column's type as the ledger names it: whole numbers that a Float64 cannot hold have a name of their own."""
    if column.dtype == pl.Int64 and column.len() and ((column > EXACT) | (column < -EXACT)).any():
        return LARGE
    return str(column.dtype)


def _to_json(name: str, own: str) -> pl.Expr:
    """A typed column as JSON text; text is quoted and escaped."""
    value = pl.col(name)
    if own == "Float64":
        return json_number(value)
    if own != "String":
        return value.cast(pl.String)
    wrapped = pl.struct(value.alias("v")).struct.json_encode()
    return pl.when(value.is_not_null()).then(wrapped.str.slice(5).str.strip_suffix("}"))

"""Events and their side tables, read across slices whose files differ in schema."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import polars as pl

from populace.lake.objects import Store, scan

INSTANT = pl.Datetime("us", "UTC")
ENVELOPE = {
    "message_id": pl.String(),
    "timestamp": INSTANT,
    "received_at": INSTANT,
    "source": pl.String(),
    "sighting": pl.Int64(),
}
JSON = ":json"
LONGEST_NAME = 120

# Names of column types in the ledger, for the types that property columns can have.
TYPES = {str(each): each for each in (pl.Int64(), pl.Float64(), pl.Boolean(), pl.String())}


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


def outputs(slices: Iterable[dict], kind: str, table: str | None = None) -> list[dict]:
    """What slices wrote of one kind, in the order of the slices."""
    return [
        output for each in slices for output in each["outputs"] if output["kind"] == kind and output["table"] == table
    ]


def read(store: Store, slices: Iterable[dict], kind: str) -> pl.LazyFrame | None:
    """A side table of all slices together; None where no slice has a row."""
    paths = [each["path"] for each in outputs(slices, kind)]
    return scan(store, *paths) if paths else None


def events(store: Store, slices: Iterable[dict], table: str, columns: Sequence[str]) -> pl.LazyFrame | None:
    """The rows of one event table, with the asked-for property and context columns.

    Parameters
    ----------
    slices
        Entries of the ledger whose rows are wanted.
    columns
        Names without `:json`, such as `p.price` or `c.page.url`.

    Returns
    -------
    The envelope and, for each asked-for column that any slice has, either the typed column or its
    `:json` form where the slices do not agree on a type. None where no slice has the table.
    """
    files = outputs(slices, "events", table)
    if not files:
        return None
    united = {column: _united([each["columns"] for each in files], column) for column in columns}
    wanted = {column: dtype for column, dtype in united.items() if dtype is not None}
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for each in files:
        groups[tuple(_found(each["columns"], column) for column in wanted)].append(each)
    return pl.concat([_scan(store, group, found, wanted) for found, group in groups.items()])


Found = tuple[str, str] | None  # a column's name in one file, and its type


def _found(schema: dict[str, str], column: str) -> Found:
    # A path that ends in `:json` is stored as JSON always: its bare name is the JSON form of another path.
    for name in (column + JSON,) if column.endswith(JSON) else (column, column + JSON):
        if name in schema:
            return name, schema[name]
    return None


def _united(schemas: Sequence[dict[str, str]], column: str) -> str | None:
    """The type that all files' values fit in; `:json` where only JSON does, None where no file has it."""
    found = {each for each in (_found(schema, column) for schema in schemas) if each}
    types = {JSON if name.endswith(JSON) else dtype for name, dtype in found}
    if types == {"Int64", "Float64"}:
        return "Float64"
    return types.pop() if len(types) == 1 else (JSON if types else None)


def _scan(store: Store, files: list[dict], found: tuple[Found, ...], wanted: dict[str, str]) -> pl.LazyFrame:
    """Files that have the same of the wanted columns, in the united types."""
    schema = ENVELOPE | {name: TYPES[dtype] for name, dtype in filter(None, found)}
    picked = [_as(each, column, dtype) for each, (column, dtype) in zip(found, wanted.items(), strict=True)]
    return scan(store, *(each["path"] for each in files), schema=schema).select(*ENVELOPE, *picked)


def _as(found: Found, column: str, dtype: str) -> pl.Expr:
    target = column + JSON if dtype == JSON else column
    if found is None:
        return pl.lit(None, dtype=TYPES.get(dtype, pl.String())).alias(target)
    name, own = found
    if dtype != JSON:
        return pl.col(name).cast(TYPES[dtype]).alias(target)
    return (pl.col(name) if name.endswith(JSON) else _to_json(name, own)).alias(target)


def _to_json(name: str, own: str) -> pl.Expr:
    """A typed column as JSON text; text is quoted and escaped."""
    value = pl.col(name)
    if own != "String":
        return value.cast(pl.String)
    wrapped = pl.struct(value.alias("v")).struct.json_encode()
    return pl.when(value.is_not_null()).then(wrapped.str.slice(5).str.strip_suffix("}"))

"""From JSON objects to typed columns, forgetting nothing.

A path whose values are all whole numbers, numbers, true/false or text becomes a column of that
type. A path with mixed types, an array or an empty object becomes a column whose name ends in
`:json` and which holds each value as JSON, so that 10, "10" and true stay apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import polars as pl

from populace.events.jsontext import DEPTH, JsonReader, dotted, names, pointer

INTEGER = frozenset({"BIGINT", "UBIGINT"})
NUMBER = INTEGER | {"DOUBLE"}
JSON = ":json"

Path = tuple[str, ...]


def all_columns(objects: pl.Series, prefix: str, json: JsonReader) -> list[pl.Series]:
    """A column for every path seen in the objects, sorted by path.

    Parameters
    ----------
    objects
        JSON objects as text; null where nothing was sent.
    prefix
        Stands before the dotted path in each column's name: `p.` for properties.
    """
    return _columns(objects, kinds(json.structures(objects)), prefix, json)


def chosen_columns(objects: pl.Series, paths: Iterable[str], prefix: str, json: JsonReader) -> list[pl.Series]:
    """A column for each of the dotted paths that is seen at all, sorted by path."""
    wanted = sorted({names(path) for path in paths})
    values = json.values(objects, [pointer(path) for path in wanted])
    seen = {path: _kinds_of(value) for path, value in zip(wanted, values, strict=True)}
    return _columns(objects, {path: kind for path, kind in seen.items() if kind}, prefix, json)


def kinds(shapes: Sequence[dict]) -> dict[Path, set[str]]:
    """Which types each path was seen with; a path that is also a container counts as JSON."""
    seen: dict[Path, set[str]] = defaultdict(set)
    containers: set[Path] = set()
    for shape in shapes:
        for path, kind in _leaves(shape, (), containers):
            seen[path].add(kind)
    for path in containers & set(seen):
        seen[path].add("JSON")
    return {path: kind for path, kind in sorted(seen.items()) if kind != {"NULL"}}


def _leaves(shape: object, path: Path, containers: set[Path]) -> Iterable[tuple[Path, str]]:
    if isinstance(shape, dict) and len(path) < DEPTH:
        containers.add(path)
        for name, below in shape.items():
            yield from _leaves(below, (*path, name), containers)
    else:
        yield path, shape if isinstance(shape, str) else "JSON"


def _kinds_of(values: pl.Series) -> set[str]:
    """The types of JSON values, told by their first character."""
    first = values.str.slice(0, 1).replace_strict(
        {'"': "VARCHAR", "t": "BOOLEAN", "f": "BOOLEAN", "{": "JSON", "[": "JSON", "n": None},
        default="DOUBLE",
        return_dtype=pl.String,
    )
    found = set(first.filter(values.is_not_null()).drop_nulls().unique())
    if found == {"DOUBLE"} and not values.str.contains(r"[.eE]").any():
        return {"BIGINT"}
    return found


def _columns(objects: pl.Series, seen: dict[Path, set[str]], prefix: str, json: JsonReader) -> list[pl.Series]:
    types = {path: _type(kind) for path, kind in seen.items()}
    plain = [path for path, dtype in types.items() if dtype is not None]
    texts = json.texts(objects, [pointer(path) for path in plain])
    typed = {path: _cast(text, types[path]) for path, text in zip(plain, texts, strict=True)}
    mixed = [path for path in types if typed.get(path) is None]
    values = json.values(objects, [pointer(path) for path in mixed])
    columns = {path: series.alias(prefix + dotted(path)) for path, series in typed.items() if series is not None}
    columns |= {
        path: _without_null(value).alias(prefix + dotted(path) + JSON)
        for path, value in zip(mixed, values, strict=True)
    }
    return [columns[path] for path in sorted(columns)]


def _type(kind: set[str]) -> pl.DataType | None:
    """The column type that holds all of these, None where only JSON does."""
    kind = kind - {"NULL"}
    if kind <= INTEGER:
        return pl.Int64()
    if kind <= NUMBER:
        return pl.Float64()
    return {frozenset({"BOOLEAN"}): pl.Boolean(), frozenset({"VARCHAR"}): pl.String()}.get(frozenset(kind))


def _cast(text: pl.Series, dtype: pl.DataType | None) -> pl.Series | None:
    """The text as its type; None where a value would vanish, such as an integer past 64 bits."""
    if dtype == pl.Boolean:
        return text == "true"
    column = text.cast(dtype or pl.String, strict=False)
    return None if column.null_count() != text.null_count() else column


def _without_null(values: pl.Series) -> pl.Series:
    return values.set(values == "null", None)

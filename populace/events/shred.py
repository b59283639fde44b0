"""From JSON objects to typed columns, forgetting nothing.

A path whose values are all whole numbers, numbers, true/false or text becomes a column of that
type. A path with mixed types, an array or an empty object becomes a column whose name ends in
`:json` and which holds each value as JSON, so that 10, "10" and true stay apart. A path that ends
in `:json` itself is always kept so, and hence never taken for the JSON column of another.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import polars as pl

from populace.events.jsontext import DEPTH, JsonReader, dotted, names, pointer

INTEGER = frozenset({"BIGINT", "UBIGINT"})
NUMBER = INTEGER | {"DOUBLE"}
JSON = ":json"

Path = tuple[str, ...]


def all_columns(
    objects: pl.Series, prefix: str, json: JsonReader, stand_ins: Mapping[Path, Path] | None = None
) -> list[pl.Series]:
    """A column for every path seen in the objects, sorted by path.

    Parameters
    ----------
    objects
        JSON objects as text; null where nothing was sent.
    prefix
        Stands before the dotted path in each column's name: `p.` for properties.
    stand_ins
        Paths whose values, where there are none, are those of another path.
    """
    seen, stand_ins = kinds(json.structures(objects)), stand_ins or {}
    both = {path: seen.get(path, set()) | seen[other] for path, other in stand_ins.items() if other in seen}
    return _columns(objects, seen | both, prefix, json, stand_ins)


def chosen_columns(objects: pl.Series, paths: Iterable[str], prefix: str, json: JsonReader) -> list[pl.Series]:
    """A column for each of the dotted paths that is seen at all, sorted by path."""
    wanted = sorted({names(path) for path in paths})
    values = json.values(objects, [pointer(path) for path in wanted])
    seen = {path: _kinds_of(value) for path, value in zip(wanted, values, strict=True)}
    return _columns(objects, {path: kind for path, kind in seen.items() if kind}, prefix, json, {})


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


def _columns(
    objects: pl.Series, seen: dict[Path, set[str]], prefix: str, json: JsonReader, stand_ins: Mapping[Path, Path]
) -> list[pl.Series]:
    types = {path: None if dotted(path).endswith(JSON) else _type(kind) for path, kind in seen.items()}
    plain = [path for path, dtype in types.items() if dtype is not None]
    texts = _read(json.texts, objects, plain, stand_ins)
    typed = {path: _cast(text, types[path]) for path, text in texts.items()}
    mixed = [path for path in types if typed.get(path) is None]
    values = _read(lambda *asked: [_without_null(each) for each in json.values(*asked)], objects, mixed, stand_ins)
    columns = {path: series.alias(prefix + dotted(path)) for path, series in typed.items() if series is not None}
    columns |= {path: value.alias(prefix + dotted(path) + JSON) for path, value in values.items()}
    return [columns[path] for path in sorted(columns)]


def _read(
    extract: Callable[[pl.Series, list[str]], list[pl.Series]],
    objects: pl.Series,
    paths: list[Path],
    stand_ins: Mapping[Path, Path],
) -> dict[Path, pl.Series]:
    """The values at each path, or at the one that stands in for it."""
    needed = list(dict.fromkeys([*paths, *(stand_ins[path] for path in paths if path in stand_ins)]))
    extracted = extract(objects, [pointer(path) for path in needed])
    found = dict(zip(needed, extracted, strict=True))
    return {path: found[path].zip_with(found[path].is_not_null(), found[stand_ins.get(path, path)]) for path in paths}


def _type(kind: set[str]) -> pl.DataType | None:
    """The column type that holds all of these, None where only JSON does."""
    kind = kind - {"NULL"}
    if kind <= INTEGER:
        return pl.Int64()
    if kind <= NUMBER:
        return pl.Float64()
    return {frozenset({"BOOLEAN"}): pl.Boolean(), frozenset({"VARCHAR"}): pl.String()}.get(frozenset(kind))


def _cast(text: pl.Series, dtype: pl.DataType | None) -> pl.Series | None:
    """The text as its type; None where a value would vanish or lose digits: an integer past 64 bits, 1e400."""
    if dtype == pl.Boolean:
        return text == "true"
    column = text.cast(dtype or pl.String, strict=False)
    if column.null_count() != text.null_count():
        return None
    if dtype == pl.Float64:
        whole = text.filter(text.str.contains(r"^-?\d{19,}$"))
        if column.is_infinite().any() or whole.cast(pl.Int64, strict=False).null_count():
            return None
    return column


def _without_null(values: pl.Series) -> pl.Series:
    return values.set(values == "null", None)

"""From JSON objects to columns, one for each path, forgetting nothing.

An object that is not empty is no value: what it holds has paths of its own. What a table has beyond its 300 most
frequent paths stays in `_rest`, the whole object as it was sent. `values` says which type a column has.
"""

import json as _json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from populace.events.jsontext import DEPTH, JsonReader, names, pointer
from populace.events.values import JSON, Path, are_full, of_values, without_null
from populace.expressions import json_number

MOST_COLUMNS = 300
REST = "_rest"
MOST_CELLS = 1 << 24  # values that one query reads out of JSON
TOGETHER = 32  # columns that are made together

StandIns = Mapping[int, Mapping[Path, Path]]
"""For each table the paths whose values, where there are none, are those of another path."""


# --- columns from JSON ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """The values of one table by path, as JSON, and whether there are paths that are not among them."""

    values: dict[Path, pl.Series] = field(default_factory=dict)
    has_rest: bool = False


def all_columns(rows: pl.DataFrame, prefix: str, json: JsonReader, stand_ins: StandIns) -> dict[int, list[pl.Series]]:
    """For each table a column for every path seen in its objects, sorted by path, and `_rest` where there are more.

    Parameters
    ----------
    rows
        (g: u16, j: JSON objects or null), sorted by g, which says which table a row belongs to.
    prefix
        Stands before the dotted path in each column's name: `p.` for properties.
    """
    found: dict[int, _Found] = defaultdict(_Found)
    level: dict[int, list[Path]] = {group: [()] for group in rows.get_column("g").unique().sort()}
    while level:
        mine = rows.filter(pl.col("g").is_in(list(level))) if found else rows
        children = _children(mine, level, found, json)
        _extract(mine, children, found, json)
        deeper = {group: _containers(found[group], paths) for group, paths in children.items()}
        level = {group: paths for group, paths in deeper.items() if paths}
    for group, titles in stand_ins.items():
        _stand_in(found[group].values, titles)
    return {group: _columns(each, prefix, rows, group) for group, each in found.items()}


def _children(
    rows: pl.DataFrame, level: dict[int, list[Path]], found: dict[int, _Found], json: JsonReader
) -> dict[int, list[Path]]:
    """The paths below these, for each table as many as it has room for: the most frequent, then by name."""
    asked = {group: [pointer(path) for path in paths] for group, paths in level.items()}
    counts: dict[int, dict[Path, int]] = defaultdict(lambda: defaultdict(int))
    for group, answers, count in json.keys(rows, asked):
        for parent, keys in zip(level[group], answers, strict=True):
            for key in set(keys or ()):
                counts[group][(*parent, key)] += count
    children = {}
    for group, paths in sorted(counts.items()):
        room = MOST_COLUMNS - len(found[group].values)
        ranked = sorted(paths, key=lambda path: (-paths[path], path))
        found[group].has_rest |= len(ranked) > room
        children[group] = sorted(ranked[:room])
    return children


def _extract(rows: pl.DataFrame, children: dict[int, list[Path]], found: dict[int, _Found], json: JsonReader) -> None:
    for mine, paths in _bounded(rows, children):
        asked = {group: [pointer(path) for path in each] for group, each in paths.items()}
        picked = without_null(json.pick(mine, asked))
        for group, part in _by_group(picked, mine.get_column("g")) if picked.width else ():
            values = zip(paths.get(group, []), part.iter_columns(), strict=False)
            found[group].values |= dict(values)


def _bounded(rows: pl.DataFrame, children: Mapping[int, list[Path]]) -> Iterator[tuple[pl.DataFrame, dict]]:
    """The same questions, cut between tables and then between paths, so that none has too many answers at once."""
    cells = 0
    start = stop = 0
    groups: list[int] = []
    for group, part in _by_group(rows, rows.get_column("g")):
        more = part.height * len(children.get(group, ()))
        if groups and cells + more > MOST_CELLS:
            yield from _by_paths(rows.slice(start, stop - start), {each: children.get(each, []) for each in groups})
            groups, cells, start = [], 0, stop
        groups.append(group)
        cells, stop = cells + more, stop + part.height
    yield from _by_paths(rows.slice(start), {each: children.get(each, []) for each in groups})


def _by_paths(rows: pl.DataFrame, paths: dict[int, list[Path]]) -> Iterator[tuple[pl.DataFrame, dict]]:
    together = max(1, MOST_CELLS // max(1, rows.height))
    for at in range(0, max(map(len, paths.values()), default=0), together):
        yield rows, {group: each[at : at + together] for group, each in paths.items()}


def _by_group(frame: pl.DataFrame, groups: pl.Series) -> Iterable[tuple[int, pl.DataFrame]]:
    """Contiguous slices of a frame whose rows are sorted by group."""
    start = 0
    for length, group in groups.rle().struct.unnest().iter_rows():
        yield group, frame.slice(start, length)
        start += length


def _containers(found: _Found, paths: list[Path]) -> list[Path]:
    """Those of the paths at which an object stands that is not empty."""
    values = pl.DataFrame([found.values[path].alias(str(at)) for at, path in enumerate(paths)])
    held = values.select(are_full(pl.all()).any()).row(0) if paths else ()
    return [path for path, is_held in zip(paths, held, strict=True) if is_held and len(path) < DEPTH]


def _stand_in(values: dict[Path, pl.Series], titles: Mapping[Path, Path]) -> None:
    for path, other in titles.items():
        if other in values:
            own = values.get(path, values[other])
            values[path] = own.zip_with(own.is_not_null(), values[other])


def _columns(found: _Found, prefix: str, rows: pl.DataFrame, group: int) -> list[pl.Series]:
    columns: list[pl.Series] = []
    paths = sorted(path for path, values in found.values.items() if values.null_count() < values.len())
    for at in range(0, len(paths), TOGETHER):
        # Taken out, for a text of each row and column is much where there are many.
        columns += of_values({path: found.values.pop(path) for path in paths[at : at + TOGETHER]}, prefix)
    columns = [each for each in columns if each.null_count() < each.len()]
    return columns + ([rows.filter(g=group).get_column("j").alias(REST)] if found.has_rest else [])


# --- columns that are typed already -----------------------------------------------------------------


def unite(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Frames under each other whose columns differ; one that differs in type becomes a number, or JSON."""
    types: dict[str, set[str]] = defaultdict(set)
    for frame in frames:
        for name, dtype in frame.schema.items():
            types[name.removesuffix(JSON)].add(JSON if name.endswith(JSON) else str(dtype))
    agreed = {name: _agreed(found) for name, found in types.items()}
    return pl.concat([_in_agreement(frame, agreed) for frame in frames], how="diagonal")


def _in_agreement(frame: pl.DataFrame, agreed: Mapping[str, str]) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {}
    for each in frame.iter_columns():
        own = _as_agreed(each, agreed)
        other = columns.get(own.name)  # of a decimal, whose values stand in two columns
        columns[own.name] = own if other is None else other.zip_with(other.is_not_null(), own)
    return pl.DataFrame(columns)


def _agreed(types: set[str]) -> str:
    if types == {"Int64", "Float64"}:
        return "Float64"
    return types.copy().pop() if len(types) == 1 else JSON


def _as_agreed(column: pl.Series, agreed: Mapping[str, str]) -> pl.Series:
    name = column.name.removesuffix(JSON)
    if agreed[name] == JSON:
        return json_of(column).alias(name + JSON)
    return column.cast(pl.Float64) if agreed[name] == "Float64" else column


def json_of(column: pl.Series) -> pl.Series:
    """A typed column as JSON; one whose name ends in `:json` is so already."""
    if column.name.endswith(JSON):
        return column
    if column.dtype == pl.Float64:
        return column.alias("v").to_frame().select(json_number(pl.col("v"))).to_series().alias(column.name)
    if column.dtype != pl.String:
        return column.cast(pl.String)
    wrapped = (
        column.alias("v").to_frame().select(pl.struct("v").struct.json_encode().str.slice(5).str.strip_suffix("}"))
    )
    return wrapped.to_series().set(column.is_null(), None).alias(column.name)


def objects_of(frame: pl.DataFrame) -> pl.Series:
    """Typed columns as JSON objects by their names, without what is null."""
    pairs = [_pair(each) for each in frame.iter_columns()]
    joined = pl.DataFrame(pairs).select(pl.concat_str(pl.all(), separator=",", ignore_nulls=True))
    return ("{" + joined.to_series() + "}").alias("objects")


def _pair(column: pl.Series) -> pl.Series:
    key = _json.dumps(names(column.name[2:].removesuffix(JSON))[-1], ensure_ascii=False)
    return (f"{key}:" + json_of(column)).alias(column.name)

"""From JSON objects to columns, one for each path, forgetting nothing.

An object that is not empty is no value: what it holds has paths of its own. What a table has beyond its 300 most
frequent paths stays in `_rest`, the whole object as it was sent. `values` says which type a column has.
"""

import json as _json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from populace.events.jsontext import DEPTH, Asked, JsonReader, Path, names, pointer
from populace.events.values import JSON, are_full, of_values, without_null
from populace.expressions import json_number

MOST_COLUMNS = 300
REST = "_rest"
MOST_CELLS = 1 << 24  # values that one query reads out of JSON
MOST_OBJECTS = 64  # tables, or objects in them, that one query is asked of; it looks for a row's among all of them
TOGETHER = 32  # columns that are made together
ESCAPED = r'["\\\x00-\x1f]'  # what JSON writes otherwise than as it is

StandIns = Mapping[int, Mapping[Path, Path]]
"""For each table the paths whose values, where there are none, are those of another path."""


# --- columns from JSON ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """The values of one table by path, as JSON, and whether there are paths that are not among them."""

    values: dict[Path, pl.Series] = field(default_factory=dict)
    has_rest: bool = False


@dataclass(frozen=True, slots=True)
class _Objects:
    """What stands at one path of a table's rows, as JSON objects; null where there is none."""

    table: int
    path: Path
    texts: pl.Series


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
    level = [_Objects(table, (), part.get_column("j")) for table, part in _by_group(rows, rows.get_column("g"))]
    while level:
        children = _children(level, found, json)
        _extract(level, children, found, json)
        level = _deeper(level, children, found)
    for group, titles in stand_ins.items():
        _stand_in(found[group].values, titles)
    return {group: _columns(each, prefix, rows, group) for group, each in found.items()}


def _children(level: Sequence[_Objects], found: dict[int, _Found], json: JsonReader) -> list[list[str]]:
    """The keys of each of these objects, of a table as many as it has room for: the most frequent, then by path."""
    counts: dict[int, dict[Path, int]] = defaultdict(lambda: defaultdict(int))
    for frame, _ in _batches(level, [[""]] * len(level)):  # one answer each
        for number, keys, count in json.keys(frame):
            each = level[number]
            for key in set(keys):
                counts[each.table][(*each.path, key)] += count
    chosen: set[tuple[int, Path]] = set()
    for table, paths in counts.items():
        room = MOST_COLUMNS - len(found[table].values)
        ranked = sorted(paths, key=lambda path: (-paths[path], path))
        found[table].has_rest |= len(ranked) > room
        chosen.update((table, path) for path in ranked[:room])
    below: dict[tuple[int, Path], list[str]] = defaultdict(list)
    for table, path in sorted(chosen):
        below[table, path[:-1]].append(path[-1])
    return [below[each.table, each.path] for each in level]


def _extract(
    level: Sequence[_Objects], children: Sequence[list[str]], found: dict[int, _Found], json: JsonReader
) -> None:
    for frame, asked in _batches(level, children):
        pointers = {number: [pointer((name,)) for name in mine] for number, mine in asked.items()}
        for number, part in _by_group(without_null(json.pick(frame, pointers)), frame.get_column("g")):
            each = level[number]
            paths = ((*each.path, name) for name in asked[number])
            found[each.table].values |= dict(zip(paths, part.iter_columns(), strict=False))


def _batches(level: Sequence[_Objects], asked: Sequence[list[str]]) -> Iterator[tuple[pl.DataFrame, Asked]]:
    """(g, j) of the objects by their number, and what each is asked, cut so that no query has too many answers."""
    cells = 0
    together: dict[int, list[str]] = {}
    for number, (each, mine) in enumerate(zip(level, asked, strict=True)):
        more = each.texts.len() * len(mine)
        if together and (cells + more > MOST_CELLS or len(together) == MOST_OBJECTS):
            yield from _by_paths(level, together)
            cells, together = 0, {}
        if mine:
            cells, together[number] = cells + more, mine
    if together:
        yield from _by_paths(level, together)


def _by_paths(level: Sequence[_Objects], asked: dict[int, list[str]]) -> Iterator[tuple[pl.DataFrame, Asked]]:
    texts = [level[number].texts.alias("j") for number in asked]
    numbers = [pl.repeat(number, level[number].texts.len(), dtype=pl.UInt16, eager=True) for number in asked]
    rows = pl.DataFrame({"g": pl.concat(numbers), "j": pl.concat(texts, rechunk=True)})
    together = max(1, MOST_CELLS // max(1, rows.height))
    for at in range(0, max(map(len, asked.values())), together):
        yield rows, {number: each[at : at + together] for number, each in asked.items()}


def _by_group(frame: pl.DataFrame, groups: pl.Series) -> Iterable[tuple[int, pl.DataFrame]]:
    """Contiguous slices of a frame whose rows are sorted by group."""
    start = 0
    for length, group in groups.rle().struct.unnest().iter_rows():
        yield group, frame.slice(start, length)
        start += length


def _deeper(level: Sequence[_Objects], children: Sequence[list[str]], found: dict[int, _Found]) -> list[_Objects]:
    """The objects that stand in these and are not empty."""
    deeper = []
    for each, mine in zip(level, children, strict=True):
        paths = [(*each.path, name) for name in mine if len(each.path) + 1 < DEPTH]
        values = pl.DataFrame([found[each.table].values[path].alias(str(at)) for at, path in enumerate(paths)])
        held = values.select(are_full(pl.all()).any()).row(0) if paths else ()
        for path, column, is_held in zip(paths, values, held, strict=True):
            if is_held:
                objects = column.to_frame("j").select(pl.when(are_full(pl.col("j"))).then("j")).to_series()
                deeper.append(_Objects(each.table, path, objects))
    return deeper


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
    if not column.str.contains(ESCAPED).any():
        return ('"' + column + '"').alias(column.name)  # ten times as fast
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

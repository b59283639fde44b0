"""Reducers that look at each value apart: the most frequent one, all of them, how many there are.

All of one field share one grouping by profile and value, with a count for each stream. Each element of a list is a
value, unless whole arrays are counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from populace.expressions import JSON, Row, form, json_text
from populace.nodes import Field, Mode, Unique, UniqueCount
from populace.paths import elements_of
from populace.query import print_query
from populace.traits.masks import Names
from populace.traits.planning import Reducers, stream_of

LONGEST = 10_000  # values of a list, T-15

Apart = Mapping[str, Mode | Unique | UniqueCount]  # by fingerprint


@dataclass(frozen=True, slots=True)
class Values:
    """What is counted: the values of a field, or the arrays in it, each as one value."""

    field: Field
    are_arrays: bool


def by_field(group: Reducers) -> Mapping[Values, Mapping[str, Mode | Unique | UniqueCount]]:
    """The reducers of these that look at each value apart, by the values that they look at."""
    found: dict[Values, dict[str, Mode | Unique | UniqueCount]] = {}
    for key, each in group.items():
        if isinstance(each, Mode | Unique | UniqueCount):
            are_arrays = isinstance(each, Mode) and each.cast == "array"
            found.setdefault(Values(elements_of(each.of) if are_arrays else each.of, are_arrays), {})[key] = each
    return found


def counted(rows: pl.LazyFrame, row: Row, values: Values, apart: Apart, masks: Names) -> pl.LazyFrame:
    """(profile, value: str, a count for each mask), one row per profile and text form of the field.

    Of arrays the value is their JSON text, and `texts` are those of their elements.
    """
    used = sorted({_mask(each, masks) for each in apart.values()})
    valued = (_arrays if values.are_arrays else _single)(rows.filter(pl.any_horizontal(used)), row, values.field, used)
    texts = [pl.col("texts").first()] if values.are_arrays else []
    return valued.drop_nulls("value").group_by("profile", "value").agg(pl.col(used).sum(), *texts)


def _arrays(rows: pl.LazyFrame, row: Row, field: Field, used: list[str]) -> pl.LazyFrame:
    name = row.elements(field)
    elements = pl.lit(None, dtype=pl.List(pl.String)) if name is None else pl.col(name)
    texts = elements.list.eval(json_text(pl.element()))
    return rows.select("profile", *used, value=pl.format("[{}]", elements.list.join(",")), texts=texts)


def _single(rows: pl.LazyFrame, row: Row, field: Field, used: list[str]) -> pl.LazyFrame:
    lists, own = row.elements(field), row.column(field)
    if lists is None:
        return rows.select("profile", *used, value=row.form(field))
    elements = pl.col(lists)
    if own is not None and own != lists:  # single values stand beside lists
        elements = pl.when(elements.is_not_null()).then(elements).otherwise(pl.concat_list(own))
    exploded = rows.select("profile", *used, elements.alias("value" + JSON)).explode("value" + JSON)
    return exploded.select("profile", *used, value=form("value" + JSON, pl.String(), JSON))


def _mask(reducer: Mode | Unique | UniqueCount, masks: Names) -> str:
    return masks[print_query(stream_of(reducer))]


def listed(apart: Apart, masks: Names, counts: pl.DataFrame) -> pl.DataFrame:
    """What the counts say: one row per profile, one column per reducer."""
    found = pl.DataFrame({"profile": counts.get_column("profile").unique()})
    for column in _columns(apart, masks, counts):
        found = found.join(column, on="profile", how="left")
    return found


def _columns(apart: Apart, masks: Names, counts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for key, reducer in apart.items():
        mask = _mask(reducer, masks)
        least = reducer.least if isinstance(reducer, Mode) else 1
        seen = counts.with_columns(often=mask).filter(pl.col("often") >= least)
        if isinstance(reducer, Mode):
            seen = seen.filter(pl.col("often") == pl.col("often").max().over("profile"))
        found = pl.col("texts").sort_by("value").first() if "texts" in seen.columns else _VALUES[type(reducer)]
        yield seen.group_by("profile").agg(found.alias(key))


_VALUES = {
    Mode: pl.col("value").min(),
    Unique: pl.col("value").sort().head(LONGEST),
    UniqueCount: pl.len().cast(pl.Int64),
}

"""Reducers that look at each value apart: the most frequent one, all of them, how many there are.

All of one field share one grouping by profile and value, with a count for each stream.
"""

from collections.abc import Iterator, Mapping

import polars as pl

from populace.expressions import Row
from populace.nodes import Field, Mode, Unique, UniqueCount
from populace.query import print_query
from populace.traits.masks import Names
from populace.traits.planning import Reducers, stream_of

LONGEST = 10_000  # values of a list, T-15

Apart = Mapping[str, Mode | Unique | UniqueCount]  # by fingerprint


def by_field(group: Reducers) -> Mapping[Field, Mapping[str, Mode | Unique | UniqueCount]]:
    """The reducers of these that look at each value apart, by the field that the values are of."""
    found: dict[Field, dict[str, Mode | Unique | UniqueCount]] = {}
    for key, each in group.items():
        if isinstance(each, Mode | Unique | UniqueCount):
            found.setdefault(each.of, {})[key] = each
    return found


def counted(rows: pl.LazyFrame, row: Row, field: Field, apart: Apart, masks: Names) -> pl.LazyFrame:
    """(profile, value: str, a count for each mask), one row per profile and text form of the field."""
    used = sorted({_mask(each, masks) for each in apart.values()})
    valued = rows.select("profile", row.form(field).alias("value"), *used).drop_nulls("value")
    return valued.filter(pl.any_horizontal(used)).group_by("profile", "value").agg(pl.col(used).sum())


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
        seen = counts.select("profile", "value", often=mask).filter(pl.col("often") >= least)
        if isinstance(reducer, Mode):
            seen = seen.filter(pl.col("often") == pl.col("often").max().over("profile"))
        yield seen.group_by("profile").agg(_VALUES[type(reducer)].alias(key))


_VALUES = {
    Mode: pl.col("value").min(),
    Unique: pl.col("value").sort().head(LONGEST),
    UniqueCount: pl.len().cast(pl.Int64),
}

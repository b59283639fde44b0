"""Reducers that are alike but for the value that a field of their events has: one grouping for all of them.

A hundred masks of which a row passes one are a hundred columns to group. Here rows are grouped by profile and value
instead, so that a hundred flags cost a few times what one does. What is only added up is faster mask by mask.
"""

from dataclasses import dataclass, field, replace

import polars as pl

from populace.expressions import JSON, Row, is_word
from populace.nodes import Compare, Context, Field, Literal, Property, Reducer, Where
from populace.paths import has_elements
from populace.query import fingerprint
from populace.traits.adding import Adder
from populace.traits.planning import Reducers, stream_of

FEWEST = 8  # reducers, from which on a grouping of their own pays


@dataclass(frozen=True, slots=True)
class Split:
    """Reducers that are `reducer`, of events whose field has a value: their fingerprints by that value."""

    reducer: Reducer
    of: Field
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def values(self) -> list[str]:
        return sorted(self.keys)


def splits(group: Reducers) -> list[Split]:
    """The reducers of these that share a grouping by value: where there are enough that are alike."""
    found: dict[tuple[str, str], Split] = {}
    grouped = {key: each for key, each in group.items() if not isinstance(each, Adder)}
    for key, reducer in grouped.items():
        for where, of, value in _values(reducer)[-1:]:
            rest = _without(reducer, where)
            split = found.setdefault((fingerprint(rest), fingerprint(of)), Split(rest, of))
            split.keys[value] = key
    return [each for each in found.values() if len(each.keys) >= FEWEST]


def _values(reducer: Reducer) -> list[tuple[Where, Field, str]]:
    """Those of its filters that say of one field that it has one value."""
    found = []
    for each in stream_of(reducer).filters:
        match each:
            case Where(Compare(Property() | Context() as of, "=", Literal(str() as value))):
                found += [(each, of, value)] if _is_exact(of, value) else []
    return found


def _is_exact(of: Field, value: str) -> bool:
    """Whether only this very text equals the value, while '10' equals 10 and 10.0 as well (Q-21)."""
    is_own = isinstance(of, Context) or not (of.parent or has_elements(of.path))
    return is_own and is_word(value)


def _without(reducer: Reducer, where: Where) -> Reducer:
    stream = stream_of(reducer)
    left = tuple(each for each in stream.filters if each is not where)
    return replace(reducer, stream=replace(stream, filters=left))


# --- one number for profile and value -------------------------------------------------------------------


def numbered(table: pl.LazyFrame, split: Split, row: Row) -> pl.LazyFrame:
    """The events that have one of the values, with a number for profile and value in place of the profile."""
    values = split.values
    place = row.form(split.of).replace_strict(values, range(len(values)), default=None, return_dtype=pl.UInt64)
    both = pl.col("profile").cast(pl.UInt64) * len(values) + place
    return table.with_columns(profile=both).filter(pl.col("profile").is_not_null())


def whose(split: Split, rows: pl.DataFrame) -> pl.Series:
    """The profiles of rows that have such numbers."""
    return (rows.get_column("profile") // len(split.keys)).cast(pl.UInt32)


def spread(found: pl.DataFrame, split: Split) -> pl.DataFrame:
    """One row per profile and one column per reducer, from one row per such number and one column."""
    name = found.columns[1]
    suffix = JSON if name.endswith(JSON) else ""
    keys = pl.Series([split.keys[value] + suffix for value in split.values])
    key = keys.gather(found.get_column("profile") % len(split.keys))
    apart = found.select(whose(split, found), name, key=key)
    return apart.pivot(on="key", on_columns=keys, index="profile", values=name)

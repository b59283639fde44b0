"""The values of reducers as a table: how they are called, what type they have, which of them traits are."""

from collections.abc import Sequence

import polars as pl

from populace.definitions import Trait
from populace.expressions import JSON, json_text
from populace.nodes import Average, Count, Mode, Reducer, Sum, Unique, UniqueCount
from populace.query import fingerprint

TYPES: dict[type, pl.DataType] = {
    Count: pl.Int64(), UniqueCount: pl.Int64(), Sum: pl.Float64(), Average: pl.Float64(), Unique: pl.List(pl.String()),
}  # fmt: skip


def column(values: pl.DataFrame, reducer: Reducer) -> str:
    """The column of `reduce` that holds a reducer: its fingerprint, with `:json` after it for JSON text."""
    key = fingerprint(reducer)
    return key + JSON if key + JSON in values.columns else key


def empty(reducer: Reducer) -> pl.DataType:
    """The type of a reducer that has no value anywhere."""
    is_array = isinstance(reducer, Mode) and reducer.cast == "array"
    return pl.List(pl.String()) if is_array else TYPES.get(type(reducer), pl.String())


def any_value(table: pl.DataFrame) -> pl.Expr:
    """True for rows that say anything."""
    return pl.any_horizontal(pl.exclude("profile").is_not_null()) if table.width > 1 else pl.lit(value=False)


def compute(values: pl.DataFrame, traits: Sequence[Trait]) -> pl.DataFrame:
    """The table of computed traits.

    Parameters
    ----------
    values
        From `reduce`, with the reducers of these traits among others.
    traits
        In the order of their columns.

    Returns
    -------
    One row per profile with any of the traits, in no order: profile, then one typed column per trait key.
    Null is no value, also for a count or sum that nothing matches, although expressions read 0 there (T-19).
    A field of mixed types becomes text: strings as they are, other values as JSON.
    """
    table = values.select("profile", *(_typed(values, trait) for trait in traits))
    return table.filter(any_value(table))


def _typed(values: pl.DataFrame, trait: Trait) -> pl.Expr:
    name = column(values, trait.query)
    value = pl.col(name)
    return (json_text(value) if name.endswith(JSON) else value).alias(trait.key)

"""What is known of people, or of accounts, as one row each.

Columns are named as `expressions.Person` reads them: `value <fingerprint>`, `trait <key>`, `custom <name>:json`, and
`audience <key>` once that is known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from populace import expressions
from populace.definitions import Trait
from populace.expressions import segments
from populace.nodes import Query, Reducer, walk
from populace.query import fingerprint


@dataclass(frozen=True, slots=True)
class Parts:
    """What is known of people, or of accounts.

    `population`
        One row per profile: (profile: u32, has_known_id: bool); an account has one always.
    `values`
        From `traits.reduce`: one row per profile with any value, with every reducer of the audiences.
    `traits`
        From `traits.compute`: one row per profile with any trait, one column per key. Columns that the definitions
        of traits do not name are traits as well.
    `custom`
        From `traits.newest`: one row per profile and name, the value as JSON text.
    """

    population: pl.DataFrame
    values: pl.DataFrame
    traits: pl.DataFrame
    custom: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Accounts:
    """What is known of accounts, and whose users are linked to them.

    `links`
        One row per pair: (profile: u32, account: u32).
    `named`
        The reducers over those events of a user that name an account: (profile, account, a column for each).
    """

    parts: Parts
    links: pl.DataFrame
    named: pl.DataFrame


def wide(parts: Parts, names: Iterable[str], queries: Iterable[Query]) -> pl.DataFrame:
    """One row per profile, in no order: (profile, has_known_id), what the queries reduce, and what trait() can name."""
    wanted = set(names)
    frame = _beside(parts.population, valued(parts.values, queries))
    for part in (_traits(parts.traits, wanted), _custom(parts.custom, wanted)):
        frame = frame.join(part, on="profile", how="left", maintain_order="left")
    return frame


def _beside(population: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """One row for everybody: (profile, has_known_id, values), in no order."""
    # Those without values are put below the others, so that the many columns need not be copied.
    with_values = values.join(population, on="profile", how="left", maintain_order="left")
    others = population.join(values, on="profile", how="anti")
    return pl.concat([with_values.filter(pl.col("has_known_id").is_not_null()), others], how="diagonal")


def names_in(keys: Iterable[str]) -> set[str]:
    """The first names of dotted keys: what a custom trait is called that holds the rest."""
    return {segments(key)[0] for key in keys}


def valued(values: pl.DataFrame, queries: Iterable[Query], *keys: str) -> pl.DataFrame:
    """The columns of some reducers as `value <fingerprint>`, after those that say whose they are."""
    wanted = {fingerprint(node) for query in queries for node in walk(query) if isinstance(node, Reducer)}
    columns = [name for name in values.columns if name.removesuffix(expressions.JSON) in wanted]
    return values.select(*(keys or ("profile",)), *(pl.col(name).alias(f"value {name}") for name in columns))


def _traits(traits_frame: pl.DataFrame, names: set[str]) -> pl.DataFrame:
    columns = [name for name in traits_frame.columns if name in names - {"profile"}]
    return traits_frame.select("profile", *(pl.col(name).alias(f"trait {name}") for name in columns))


def _custom(custom: pl.DataFrame, names: set[str]) -> pl.DataFrame:
    wanted = custom.filter(pl.col("name").is_in(sorted(names)))
    named = wanted.select("profile", "value", name=pl.format("custom {}" + expressions.JSON, "name"))
    return named.pivot(on="name", index="profile", values="value")


def referred(traits: Sequence[Trait], names: Iterable[str]) -> list[Trait]:
    """The traits that some names mean."""
    wanted = set(names)
    return [each for each in traits if each.key in wanted]

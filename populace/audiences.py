"""Values and traits to members: all audiences as Boolean columns over one row per profile."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter

import polars as pl

from populace import expressions
from populace.definitions import Audience, Trait
from populace.errors import DefinitionError
from populace.expressions import Person, segments
from populace.nodes import Query, Reducer, references, walk
from populace.query import fingerprint


def order(audiences: Sequence[Audience], traits: Sequence[Trait]) -> list[Audience]:
    """The audiences, each after those it refers to (A-61).

    Parameters
    ----------
    audiences
        Of one space.
    traits
        Of the same space; `trait('k')` means the trait where a trait and an audience share a key.

    Raises
    ------
    DefinitionError
        If audiences refer to each other in a circle; the message names it.
    """
    return [audience for level in _levels(audiences, traits) for audience in level]


def _levels(audiences: Sequence[Audience], traits: Sequence[Trait]) -> Iterator[list[Audience]]:
    by_key = {audience.key: audience for audience in audiences}
    known = by_key.keys() - {trait.key for trait in traits}
    sorter = TopologicalSorter({audience.key: sorted(references(audience.query) & known) for audience in audiences})
    try:
        sorter.prepare()
    except CycleError as error:
        raise DefinitionError([_about(error.args[1], by_key)]) from None
    while sorter:
        ready = sorter.get_ready()
        yield [by_key[key] for key in ready]
        sorter.done(*ready)


def _about(cycle: list[str], by_key: Mapping[str, Audience]) -> str:
    # graphlib lists the one referred to before the one that refers to it.
    path = cycle[::-1]
    start = path.index(min(path))
    turned = [*path[start:-1], *path[:start], path[start]]
    return f"{by_key[turned[0]].at}: audiences refer to each other in a circle: {' → '.join(turned)}"


# --- evaluating -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parts:
    """What is known of people.

    `population`
        One row per profile: (profile: u32, has_known_id: bool).
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


def evaluate(
    parts: Parts,
    audiences: Sequence[Audience],
    as_of: datetime,
    *,
    traits: Sequence[Trait] = (),
    include_anonymous: bool = False,
) -> pl.DataFrame:
    """The members of each audience.

    Parameters
    ----------
    audiences
        In any order, with the audiences they refer to.
    as_of
        What "today" is.
    traits
        The definitions of computed traits: a count or sum reads 0 where the table holds null.
    include_anonymous
        What holds for an audience that does not say it.

    Returns
    -------
    One row per member: (audience: enum of the keys, profile: u32), sorted by both.

    Notes
    -----
    Without anonymous profiles only those with a known id are members, whatever the condition (A-73, A-74).
    A profile without events satisfies `count() = 0` (A-31). `trait('k')` is the computed trait of that key,
    else the audience of that key in this run (A-18, A-61), else the custom trait.
    """
    wide = _wide(parts, audiences, as_of, set(), traits, include_anonymous=include_anonymous)
    return _members(wide, sorted(audience.key for audience in audiences))


def needed(keys: Collection[str], audiences: Sequence[Audience]) -> tuple[Audience, ...]:
    """The audiences of these keys, and those that they refer to."""
    chosen = [each for each in audiences if each.key in keys]
    below = {key for each in chosen for key in references(each.query)}
    return needed({*keys, *below}, audiences) if not below <= set(keys) else tuple(chosen)


def known(
    parts: Parts,
    audiences: Sequence[Audience],
    as_of: datetime,
    keys: Collection[str],
    *,
    traits: Sequence[Trait],
    include_anonymous: bool,
) -> pl.DataFrame:
    """What trait() of some keys reads, one row per profile: (profile, columns as `expressions.Person` names them).

    The rest is as for `evaluate`; audiences are those that are needed.
    """
    names = {segments(key)[0] for key in keys}
    wide = _wide(parts, audiences, as_of, names, traits, include_anonymous=include_anonymous)
    values = {f"value {fingerprint(each.query)}" for each in traits if each.key in names}
    wanted = values | {f"{kind} {name}" for name in names for kind in ("trait", "audience", "custom")}
    return wide.select("profile", *(name for name in wide.columns if name.removesuffix(expressions.JSON) in wanted))


def _wide(
    parts: Parts,
    audiences: Sequence[Audience],
    as_of: datetime,
    more: set[str],
    traits: Sequence[Trait],
    *,
    include_anonymous: bool,
) -> pl.DataFrame:
    """One row per profile, with all that conditions read, and `more` names that trait() can; a column per audience."""
    names = more | _names(audience.query for audience in audiences)
    referred = [trait for trait in traits if trait.key in names]
    frame = _beside(parts.population, _values(parts.values, [*audiences, *referred]))
    for part in (_traits(parts.traits, names), _custom(parts.custom, names)):
        frame = frame.join(part, on="profile", how="left", maintain_order="left")
    # Lazy, because eager polars 2.1 makes one row of a comparison with a column that holds one value throughout.
    wide, schema = frame.lazy(), dict(frame.schema)
    for level in _levels(audiences, traits):
        person = Person(schema, {trait.key: trait.query for trait in referred})
        wide = wide.with_columns(
            _member(audience, person, as_of, include_anonymous=include_anonymous) for audience in level
        )
        schema |= {f"audience {audience.key}": pl.Boolean() for audience in level}
    return wide.collect()


def _beside(population: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """One row for everybody: (profile, has_known_id, values), in no order."""
    # Those without values are put below the others, so that the many columns need not be copied.
    valued = values.join(population, on="profile", how="left", maintain_order="left")
    others = population.join(values, on="profile", how="anti")
    return pl.concat([valued.filter(pl.col("has_known_id").is_not_null()), others], how="diagonal")


def _names(queries: Iterable[Query]) -> set[str]:
    return {segments(key)[0] for query in queries for key in references(query)}


def _values(values: pl.DataFrame, definitions: Iterable[Audience | Trait]) -> pl.DataFrame:
    queries = [definition.query for definition in definitions]
    wanted = {fingerprint(node) for query in queries for node in walk(query) if isinstance(node, Reducer)}
    columns = [name for name in values.columns if name.removesuffix(expressions.JSON) in wanted]
    return values.select("profile", *(pl.col(name).alias(f"value {name}") for name in columns))


def _traits(traits_frame: pl.DataFrame, names: set[str]) -> pl.DataFrame:
    columns = [name for name in traits_frame.columns if name in names - {"profile"}]
    return traits_frame.select("profile", *(pl.col(name).alias(f"trait {name}") for name in columns))


def _custom(custom: pl.DataFrame, names: set[str]) -> pl.DataFrame:
    wanted = custom.filter(pl.col("name").is_in(sorted(names)))
    named = wanted.select("profile", "value", name=pl.format("custom {}" + expressions.JSON, "name"))
    return named.pivot(on="name", index="profile", values="value")


def _member(audience: Audience, person: Person, as_of: datetime, *, include_anonymous: bool) -> pl.Expr:
    holds = expressions.condition(audience.query, person.read, as_of)
    chosen = audience.include_anonymous
    if chosen if chosen is not None else include_anonymous:
        return holds.alias(f"audience {audience.key}")
    return (pl.col("has_known_id") & holds).alias(f"audience {audience.key}")


def _members(wide: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    ordered = wide.select("profile", *(f"audience {key}" for key in keys)).sort("profile")
    # Column by column: filtering the frame would copy its other columns for each audience.
    found = {key: ordered["profile"].filter(ordered[f"audience {key}"]) for key in keys}
    # A text for each member would take more memory and time than all the rest.
    named = pl.Enum(keys)
    parts = [
        each.to_frame().select(audience=pl.lit(key, dtype=named), profile="profile") for key, each in found.items()
    ]
    return pl.concat([pl.DataFrame(schema={"audience": named, "profile": pl.UInt32}), *parts])


# --- comparing runs -------------------------------------------------------------------------


def changes(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Who entered and who left since another run.

    Parameters
    ----------
    now, before
        One row per member: (audience: str, profile_id: str). Profile ids of both runs mean the same people:
        ids that merged are resolved before.

    Returns
    -------
    One row per change: (audience, profile_id, change), sorted; change is `entered` or `exited`. An audience
    that only one of the runs has is all entered, or all exited.
    """
    key = ["audience", "profile_id"]
    entered = now.join(before, on=key, how="anti").select(*key, change=pl.lit("entered"))
    exited = before.join(now, on=key, how="anti").select(*key, change=pl.lit("exited"))
    return pl.concat([entered, exited]).sort(key)

"""Values and traits to members: all audiences as Boolean columns over one row per profile."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import polars as pl

from populace import expressions
from populace.definitions import Audience, Count, Operand, Query, Reducer, Sum, Trait, TraitValue, walk
from populace.errors import DefinitionError
from populace.query import fingerprint

MEMBERS = {"audience": pl.String, "profile": pl.UInt32}


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
    sorter = TopologicalSorter({audience.key: sorted(_references(audience) & known) for audience in audiences})
    try:
        sorter.prepare()
    except CycleError as error:
        raise DefinitionError([_about(error.args[1], by_key)]) from None
    while sorter:
        ready = sorter.get_ready()
        yield [by_key[key] for key in ready]
        sorter.done(*ready)


def _references(audience: Audience) -> set[str]:
    return {node.key for node in walk(audience.query) if isinstance(node, TraitValue)}


def _about(cycle: list[str], by_key: Mapping[str, Audience]) -> str:
    # graphlib lists the one referred to before the one that refers to it.
    path = cycle[::-1]
    start = path.index(min(path))
    turned = [*path[start:-1], *path[:start], path[start]]
    return f"{by_key[turned[0]].at}: audiences refer to each other in a circle: {' → '.join(turned)}"


# --- evaluating -----------------------------------------------------------------------------
# The columns of the wide frame are named after what they hold, since a trait, an audience and a custom
# trait may share a name.


def evaluate(
    population: pl.DataFrame,
    values: pl.DataFrame,
    traits_frame: pl.DataFrame,
    custom: pl.DataFrame,
    audiences: Sequence[Audience],
    *,
    traits: Sequence[Trait] = (),
    include_anonymous: bool = False,
) -> pl.DataFrame:
    """The members of each audience.

    Parameters
    ----------
    population
        One row per profile: (profile: u32, has_known_id: bool).
    values
        From `traits.reduce`: one row per profile with any value, with every reducer of the audiences.
    traits_frame
        From `traits.compute`: one row per profile with any trait, one column per key. Columns that `traits`
        does not name are traits as well.
    custom
        From `traits.newest`: one row per profile and name, the value as JSON text.
    audiences
        In any order, with the audiences they refer to.
    traits
        The definitions of computed traits: a count or sum reads 0 where the table holds null.
    include_anonymous
        What holds for an audience that does not say it.

    Returns
    -------
    One row per member: (audience: str, profile: u32), sorted by both.

    Notes
    -----
    Without anonymous profiles only those with a known id are members, whatever the condition (A-73, A-74).
    A profile without events satisfies `count() = 0` (A-31). `trait('k')` is the computed trait of that key,
    else the audience of that key in this run (A-18, A-61), else the custom trait.
    """
    names = _names(audience.query for audience in audiences)
    referred = [trait for trait in traits if trait.key in names]
    frame = population.sort("profile")
    for part in (_values(values, [*audiences, *referred]), _traits(traits_frame, names), _custom(custom, names)):
        frame = frame.join(part, on="profile", how="left", maintain_order="left")
    # Lazy, because eager polars 2.1 makes one row of a comparison with a column that holds one value throughout.
    wide, schema = frame.lazy(), dict(frame.schema)
    for level in _levels(audiences, traits):
        profile = _Profile(schema, {trait.key: trait.query for trait in referred})
        wide = wide.with_columns(_member(audience, profile, include_anonymous=include_anonymous) for audience in level)
        schema |= {f"audience {audience.key}": pl.Boolean() for audience in level}
    return _members(wide.collect(), sorted(audience.key for audience in audiences))


def _names(queries: Iterable[Query]) -> set[str]:
    return {_segments(node.key)[0] for query in queries for node in walk(query) if isinstance(node, TraitValue)}


def _segments(key: str) -> list[str]:
    return [segment.replace("\\.", ".") for segment in re.split(r"(?<!\\)\.", key)]


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


@dataclass(frozen=True, slots=True)
class _Profile:
    """Finds what the wide frame, one row per profile, holds for an operand."""

    schema: Mapping[str, pl.DataType]
    computed: Mapping[str, Reducer]

    def read(self, operand: Operand) -> expressions.Value:
        if isinstance(operand, TraitValue):
            return self._trait(*_segments(operand.key))
        return self._first([f"value {fingerprint(operand)}"], operand)

    def _trait(self, name: str, *below: str) -> expressions.Value:
        if below:
            whole = f"custom {name}{expressions.JSON}"
            return expressions.nested(pl.col(whole), below) if whole in self.schema else expressions.MISSING
        reducer = self.computed.get(name)
        # The value itself goes first: it tells 10 from "10" where the table of traits has text.
        values = [] if reducer is None else [f"value {fingerprint(reducer)}"]
        return self._first([*values, f"trait {name}", f"audience {name}", f"custom {name}"], reducer)

    def _first(self, names: list[str], operand: Operand | None) -> expressions.Value:
        # In expressions a count or sum is 0 where nothing matches, also through trait().
        is_number = isinstance(operand, Count | Sum)
        for form in (form for name in names for form in (name, name + expressions.JSON)):
            if form in self.schema:
                return expressions.column(form, self.schema[form], null_is_zero=is_number)
        return expressions.MISSING


def _member(audience: Audience, profile: _Profile, *, include_anonymous: bool) -> pl.Expr:
    holds = expressions.condition(audience.query, profile.read)
    chosen = audience.include_anonymous
    if chosen if chosen is not None else include_anonymous:
        return holds.alias(f"audience {audience.key}")
    return (pl.col("has_known_id") & holds).alias(f"audience {audience.key}")


def _members(wide: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    # Column by column: filtering the frame would copy its other columns for each audience.
    found = {key: wide["profile"].filter(wide[f"audience {key}"]) for key in keys}
    parts = [profiles.to_frame().select(pl.lit(key).alias("audience"), "profile") for key, profiles in found.items()]
    return pl.concat([pl.DataFrame(schema=MEMBERS), *parts])


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

"""The traits of families: known once a run has seen the values that name them, and kept with the run."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import polars as pl

from populace import traits
from populace.definitions import Trait
from populace.errors import DefinitionError
from populace.lake import runs
from populace.nodes import references
from populace.space import people, sql_columns
from populace.space.opening import OpenSpace
from populace.space.people import People
from populace.space.schemas import RUN, empty

TABLE = "families"


def expand(
    space: OpenSpace, entries: Sequence[dict], population: People, as_of: datetime
) -> tuple[OpenSpace, pl.DataFrame]:
    """The space with the traits of its families, and which these are.

    Returns
    -------
    space
        Its traits are those that are defined by themselves, then those of families.
    families
        (family, key, value), one row per trait of a family: the run's table.

    Raises
    ------
    DefinitionError
        If a family has too many values, or some that name no trait, the same one, or a custom one that is read; or if
        its traits close a ring.
    """
    families = space.definition.families
    if not families:
        return space, empty(RUN[TABLE])
    named = [traits.naming(each) for each in families]
    seen = traits.seen(people.streams(space, entries, people.placed(population), named, as_of), families, as_of)
    made = traits.expanded(families, seen, {each.key for each in space.definition.computed})
    _check_custom(space, population, made)
    rows = [(family, trait.key, value) for family, value, trait in made]
    table = pl.DataFrame(rows, schema=RUN[TABLE], orient="row").sort("family", "key")
    expanded = _with(space, [trait for _, _, trait in made])
    _check_rings(expanded)
    return expanded, table


def _check_custom(space: OpenSpace, population: People, made: Sequence[tuple[str, str, Trait]]) -> None:
    """Refuse to put a trait of a family in the place of a custom trait that some definition reads."""
    custom = set(population.custom_traits.get_column("name").unique())
    read = {key: each for each in space.definition.computed for key in references(each.query)}
    problems = [
        f"{trait.at}: family '{family}': the value {value!r} would name a trait '{trait.key}', which is a custom trait "
        f"that '{read[trait.key].key}' reads; leave the value out with where(), or define '{trait.key}' by itself"
        for family, value, trait in made
        if trait.key in custom and trait.key in read
    ]
    if problems:
        raise DefinitionError(problems)


def _check_rings(space: OpenSpace) -> None:
    """Rings that only the traits of families close."""
    defined = {each.key: each.query for each in space.definition.computed}
    try:
        traits.rounds(defined.values(), defined)
    except DefinitionError as cause:
        place = space.definition.families[0].at
        raise DefinitionError([f"{place}: by way of a family, {each}" for each in cause.problems]) from None


def of_run(space: OpenSpace, run_id: str) -> OpenSpace:
    """The space with the traits that its families and statements have in a run; what is defined now goes before."""
    return sql_columns.of_run(_families_of_run(space, run_id), run_id)


def _families_of_run(space: OpenSpace, run_id: str) -> OpenSpace:
    families = {each.key: each for each in space.definition.families}
    if not families or not runs.has(space.lake, run_id, TABLE):  # runs of earlier versions have no such table
        return space
    taken = {each.key for each in space.definition.computed}
    rows = runs.table(space.lake, run_id, TABLE).collect().rows(named=True)
    known = [each for each in rows if each["family"] in families and each["key"] not in taken]
    return _with(space, [traits.member(families[each["family"]], each["value"], each["key"]) for each in known])


def _with(space: OpenSpace, made: list[Trait]) -> OpenSpace:
    ordered = sorted(made, key=lambda each: each.key)
    definition = replace(space.definition, traits=(*space.definition.traits, *ordered))
    return replace(space, definition=definition)

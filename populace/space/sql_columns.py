"""The traits that are columns of statements: known once a run has seen them, and kept with the run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from populace.definitions import Audience, Family, Sql, SqlTrait, Trait
from populace.destinations import ADAPTERS
from populace.destinations.protocol import PROPERTY
from populace.errors import DefinitionError
from populace.expressions import segments
from populace.lake import runs
from populace.loading import levels
from populace.nodes import Reducer, references, walk
from populace.space.opening import OpenSpace

TABLE = "sql_traits"
Column = tuple[str, str, str]  # the entry's key, the column, its type


def of_run(space: OpenSpace, run_id: str) -> OpenSpace:
    """The space with the traits that the columns of its statements are in a run; what is defined now goes before."""
    entries = {each.key: each for each in space.definition.sql}
    if not entries or not runs.has(space.lake, run_id, TABLE):  # runs of earlier versions have no such table
        return space
    taken = {each.key for each in space.definition.computed}
    rows = runs.table(space.lake, run_id, TABLE).collect().rows(named=True)
    known = [each for each in rows if each["sql"] in entries and each["key"] not in taken]
    made = tuple(SqlTrait(each["key"], entries[each["sql"]]) for each in known)
    return replace(space, definition=replace(space.definition, sql_traits=made))


def entry(space: OpenSpace, key: str) -> str | None:
    """The key of the entry that this is, or that it is a column of in the current run; None for anything else."""
    if key in {each.key for each in space.definition.sql}:
        return key
    run_id = runs.current(space.lake)
    known = of_run(space, run_id).definition.sql_traits if run_id else ()
    return next((each.of.key for each in known if each.key == key), None)


def check(space: OpenSpace, columns: Sequence[Column]) -> None:
    """Refuse columns that are something else already, that a destination cannot take, or that are read wrongly.

    Parameters
    ----------
    space
        With the traits of its families.

    Raises
    ------
    DefinitionError
        With all problems at once.
    """
    entries = {each.key: each for each in space.definition.sql}
    problems = [*_taken(space, columns), *_undeliverable(space, columns)]
    problems += _read_early(space, {key: entries[sql].key for sql, key, _ in columns})
    problems += _misread(space, tuple(SqlTrait(key, entries[sql]) for sql, key, _ in columns))
    if problems:
        raise DefinitionError(problems)


def _taken(space: OpenSpace, columns: Sequence[Column]) -> Iterator[str]:
    """Columns that are also the key of something (T-46)."""
    definition = space.definition
    others: tuple[Family | Sql, ...] = (*definition.families, *definition.sql)
    named: tuple[Trait | Audience | Family | Sql, ...] = (*definition.computed, *others)
    places = {each.key: f"'{each.key}' at {each.at}" for each in named}
    entries = {each.key: each for each in definition.sql}
    seen: dict[str, str] = {}
    for sql, key, _ in columns:
        other = places.get(key) if key != sql else None
        if before := seen.get(key):
            other = f"a column of '{before}' at {entries[before].at}"
        if other:
            yield f"{entries[sql].at}: '{sql}': its column '{key}' is also {other}; call one of them otherwise"
        seen[key] = sql


def _undeliverable(space: OpenSpace, columns: Sequence[Column]) -> Iterator[str]:
    """Columns with a name that says who somebody is where they are sent."""
    entries = {each.key: each for each in space.definition.sql}
    abouts = {each.name: ADAPTERS[each.kind].ABOUT for each in space.definition.destinations}
    for sql, key, _ in columns:
        for each in entries[sql].deliveries:
            about = abouts[each.destination]
            if key in about.reserved and (each.form or about.forms[0]) == PROPERTY:
                problem = f"its column '{key}' says who somebody is to {about.title}; call it otherwise with AS"
                yield f"{entries[sql].at}: '{sql}': {problem}"


def _read_early(space: OpenSpace, columns: Mapping[str, str]) -> Iterator[str]:
    """Conditions on events that read a column, which is known only when all events have been read."""
    by_key = {each.key: each for each in space.definition.computed}
    for each in space.definition.computed:
        inside = {key for node in walk(each.query) if isinstance(node, Reducer) for key in references(node)}
        for key in sorted(_below(inside, by_key) & columns.keys()):
            yield (
                f"{each.at}: '{each.key}' compares events with '{key}', a column of '{columns[key]}', which is known "
                "only after events are read; compare it beside the event, in an audience"
            )


def _misread(space: OpenSpace, columns: tuple[SqlTrait, ...]) -> Iterator[str]:
    """What definitions read as somebody's whom a column is not about."""
    definition = replace(space.definition, sql_traits=columns)
    for each in definition.computed:
        yield from (f"{each.at}: '{each.key}': {problem}" for problem in levels.problems(each, definition))


def readers(space: OpenSpace) -> set[str]:
    """The keys of definitions that depend on columns of statements; `space` has those of a run."""
    by_key = {each.key: each for each in space.definition.computed}
    columns = {each.key for each in space.definition.sql_traits}
    return {key for key in by_key if _below({key}, by_key) & columns}


def _below(keys: Iterable[str], by_key: Mapping[str, Trait | Audience]) -> set[str]:
    """The names that these keys read, and those that the definitions among them read."""
    found: set[str] = set()
    left = {segments(key)[0] for key in keys}
    while left:
        found |= left
        further = {key for each in left & by_key.keys() for key in references(by_key[each].query)}
        left = {segments(key)[0] for key in further} - found
    return found

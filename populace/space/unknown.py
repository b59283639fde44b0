"""Names in a query that nobody has used so far: legal, for they may come, and most often a slip (Q-28)."""

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

import polars as pl

from populace import traits
from populace.events.jsontext import names
from populace.events.tables import table_of
from populace.expressions import JSON, PSEUDO
from populace.lake import runs, tables
from populace.nodes import Query, references
from populace.paths import at_elements
from populace.space.opening import OpenSpace
from populace.space.recompute import Run

KEEP = "; if it is sent, write it below `keep_context` and replay"


def told(space: OpenSpace, run: Run, query: Query) -> list[str]:
    """A sentence for each trait, event and field that the query reads and that is nowhere."""
    return [*_traits(space, query, _known(space, run, [query])), *_events(run, query)]


def in_definitions(space: OpenSpace, run: Run) -> list[str]:
    """A sentence for each trait that a definition reads and that nobody has; `space` has the traits of families."""
    known = _known(space, run, [each.query for each in space.definition.computed])
    return [
        f"'{each.key}': {sentence}"
        for each in space.definition.computed
        for sentence in _traits(space, each.query, known)
    ]


def _known(space: OpenSpace, run: Run, queries: Iterable[Query]) -> set[str]:
    """The traits that there are; custom ones are looked for only where the queries read others than are defined."""
    defined = {each.key for each in space.definition.delivered}
    if not any(references(each) - defined for each in queries):
        return defined
    custom = runs.table(space.lake, run.run_id, "custom_traits").select(pl.col("name").unique())
    return defined | set(custom.collect(engine="streaming").get_column("name"))


def _traits(space: OpenSpace, query: Query, known: set[str]) -> Iterator[str]:
    families = {each.key for each in space.definition.families}
    statements = {each.key for each in space.definition.sql}
    for key in sorted(references(query)):
        if key in families:
            yield f"'{key}' is a family; name one of its traits"
        elif key in statements - known:
            yield f"'{key}' comes from SQL and has no column of that name; name one of its columns"
        elif key not in known and names(key)[0] not in known:
            yield f"nobody has a trait '{key}' and nothing here is called so{_meant(key, known)}"


def _events(run: Run, query: Query) -> Iterator[str]:
    there = tables.names(run.entries)
    for name, needs in sorted(traits.requirements([query]).items()):
        if table_of(name) not in there:
            yield f"there is no event '{name}'{_meant(name, there)}"
            continue
        columns = tables.columns(run.entries, table_of(name))
        for path in sorted({at_elements(each)[0] for each in needs.properties} - PSEUDO.keys()):
            if not (_is_there(f"p.{path}", columns) or tables.REST in columns):
                yield f"no event '{name}' has a property '{path}'{_meant(path, _paths('p.', columns))}"
        for path in sorted({at_elements(each)[0] for each in needs.contexts}):
            if not _is_there(f"c.{path}", columns):
                hint = _meant(path, _paths("c.", columns)) or KEEP
                yield f"no event '{name}' has a context '{path}'{hint}"


def _is_there(column: str, columns: Collection[str]) -> bool:
    # Of an object there are the columns of what it holds.
    return any(each in (column, column + JSON) or each.startswith(f"{column}.") for each in columns)


def _paths(prefix: str, columns: Iterable[str]) -> list[str]:
    return [each.removeprefix(prefix).removesuffix(JSON) for each in columns if each.startswith(prefix)]


def _meant(given: str, known: Iterable[str]) -> str:
    return "".join(f"; did you mean '{each}'?" for each in get_close_matches(given, sorted(known), n=1))

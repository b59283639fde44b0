"""From definition text and pipe tables to plain Python values: how the spec tests ask the engine.

What is asked here, and answered, is what the manual shows: see `tests/spec/manual.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from populace import audiences, nodes, query, traits
from populace.definitions import Audience, Space, Trait
from populace.lake import tables as lake
from populace.space import people
from tests.tables import AS_OF, events, table


def trait_values(text: str, rows: str, *, event: str = "E", as_of: datetime = AS_OF) -> dict[int, Any]:
    """The value of one computed trait by profile."""
    trait = Trait("t", query.parse_trait(text))
    streams = with_elements({event: events(rows)}, [trait.query])
    values = traits.reduce(streams, traits.reducers([trait.query]), as_of)
    return dict(traits.compute(values, [trait]).sort("profile").rows())


def members(
    text: str,
    tables: Mapping[str, str] | None = None,
    *,
    profiles: str = "profile | has_known_id\n 1 | true",
    computed: Mapping[str, str] | None = None,
    custom: str = "",
    include_anonymous: bool = False,
    wait_for_window: bool = False,
    as_of: datetime = AS_OF,
) -> list[int]:
    """The members of one audience, by the number of the profile."""
    asked = query.print_query(query.waiting(query.parse_audience(text))) if wait_for_window else text
    more: dict[str, Any] = {"include_anonymous": include_anonymous, "as_of": as_of}
    found = members_of({"a": asked}, tables, profiles=profiles, computed=computed, custom=custom, **more)
    return found["a"]


def members_of(
    texts: Mapping[str, str],
    tables: Mapping[str, str] | None = None,
    *,
    profiles: str = "profile | has_known_id\n 1 | true",
    computed: Mapping[str, str] | None = None,
    custom: str = "",
    include_anonymous: bool = False,
    as_of: datetime = AS_OF,
) -> dict[str, list[int]]:
    """The members of several audiences of one run."""
    defined = [Audience(key, query.parse_audience(text)) for key, text in texts.items()]
    computing = [Trait(key, query.parse_trait(text)) for key, text in (computed or {}).items()]
    queries = [each.query for each in (*defined, *computing)]
    streams = with_elements({name: events(rows) for name, rows in (tables or {}).items()}, queries)
    newest = traits.newest(events(custom), as_of) if custom else _no_custom_traits()
    more: dict[str, Any] = {"include_anonymous": include_anonymous, "as_of": as_of}
    found = computed_of(streams, computing, defined, table(profiles), newest, **more)
    return {key: found.filter(audience=key)["profile"].to_list() for key in texts}


def computed_of(
    streams: Mapping[str, pl.LazyFrame],
    computing: Iterable[Trait],
    defined: Iterable[Audience],
    population: pl.DataFrame,
    custom: pl.DataFrame,
    *,
    include_anonymous: bool = False,
    as_of: datetime = AS_OF,
) -> pl.DataFrame:
    """The members of audiences, as a run computes them: values in rounds, then traits, then audiences."""
    definition = Space(
        "s", "file:///lake", traits=tuple(computing), audiences=tuple(defined), include_anonymous=include_anonymous
    )
    queries = {each.key: each.query for each in definition.computed}
    batches = traits.rounds(queries.values(), queries)
    values = people.in_rounds(batches, streams, lambda: (population, custom), definition, as_of)
    parts = audiences.Parts(population, values, traits.compute(values, computing), custom)
    return audiences.evaluate(parts, defined, as_of, traits=computing, include_anonymous=include_anonymous)


def with_elements(streams: Mapping[str, pl.LazyFrame], queries: Iterable[nodes.Query]) -> dict[str, pl.LazyFrame]:
    """The same with the elements of arrays that queries ask for, as they are read from the lake."""
    return {name: _with_elements(each, traits.requirements(queries).get(name)) for name, each in streams.items()}


def _with_elements(rows: pl.LazyFrame, needs: traits.Needs | None) -> pl.LazyFrame:
    columns = [f"p.{path}" for path in needs.properties] + [f"c.{path}" for path in needs.contexts] if needs else []
    stream = lake.Stream(rows, {name: str(dtype) for name, dtype in rows.collect_schema().items()})
    return lake.with_elements(stream, columns, people.FromJson()).rows


def _no_custom_traits() -> pl.DataFrame:
    return pl.DataFrame(schema={"profile": pl.UInt32, "name": pl.String, "value": pl.String})


# --- what is not computed -------------------------------------------------------------------


def refusal(text: str, level: query.Level = "users", parse: Callable = query.parse_audience) -> tuple[int, int, str]:
    """Line, column and message of what a query is refused with."""
    with pytest.raises(query.QueryError) as caught:
        parse(text, level)
    return caught.value.line, caught.value.column, str(caught.value)


def as_read(text: str, parse: Callable = query.parse_audience) -> str:
    """A query in the spelling in which it is printed."""
    return query.print_query(parse(text))

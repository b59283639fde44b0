"""From definition text and pipe tables to plain Python values: how the spec tests ask the engine."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from populace import audiences, nodes, query, traits
from populace.definitions import Audience, Space, Trait
from populace.lake import tables as lake
from populace.space import people
from tests.tables import AS_OF, events, table


def trait_values(text: str, rows: str, *, event: str = "E") -> dict[int, Any]:
    """The value of one computed trait by profile."""
    trait = Trait("t", query.parse_trait(text))
    streams = with_elements({event: events(rows)}, [trait.query])
    values = traits.reduce(streams, traits.reducers([trait.query]), AS_OF)
    return dict(traits.compute(values, [trait]).sort("profile").rows())


def members(
    text: str,
    tables: Mapping[str, str] | None = None,
    *,
    profiles: str = "profile | has_known_id\n 1 | true",
    computed: Mapping[str, str] | None = None,
    custom: str = "",
) -> list[int]:
    """The members of one audience, by the number of the profile."""
    found = members_of({"a": text}, tables, profiles=profiles, computed=computed, custom=custom)
    return found["a"]


def members_of(
    texts: Mapping[str, str],
    tables: Mapping[str, str] | None = None,
    *,
    profiles: str = "profile | has_known_id\n 1 | true",
    computed: Mapping[str, str] | None = None,
    custom: str = "",
    include_anonymous: bool = False,
) -> dict[str, list[int]]:
    """The members of several audiences of one run."""
    defined = [Audience(key, query.parse_audience(text)) for key, text in texts.items()]
    computing = [Trait(key, query.parse_trait(text)) for key, text in (computed or {}).items()]
    queries = [each.query for each in (*defined, *computing)]
    streams = with_elements({name: events(rows) for name, rows in (tables or {}).items()}, queries)
    newest = traits.newest(events(custom), AS_OF) if custom else _no_custom_traits()
    found = computed_of(streams, computing, defined, table(profiles), newest, include_anonymous=include_anonymous)
    return {key: found.filter(audience=key)["profile"].to_list() for key in texts}


def computed_of(
    streams: Mapping[str, pl.LazyFrame],
    computing: Iterable[Trait],
    defined: Iterable[Audience],
    population: pl.DataFrame,
    custom: pl.DataFrame,
    *,
    include_anonymous: bool = False,
) -> pl.DataFrame:
    """The members of audiences, as a run computes them: values in rounds, then traits, then audiences."""
    definition = Space(
        "s", "file:///lake", traits=tuple(computing), audiences=tuple(defined), include_anonymous=include_anonymous
    )
    queries = {each.key: each.query for each in definition.computed}
    batches = traits.rounds(queries.values(), queries)
    values = people.in_rounds(batches, streams, lambda: (population, custom), definition, AS_OF)
    parts = audiences.Parts(population, values, traits.compute(values, computing), custom)
    return audiences.evaluate(parts, defined, AS_OF, traits=computing, include_anonymous=include_anonymous)


def with_elements(streams: Mapping[str, pl.LazyFrame], queries: Iterable[nodes.Query]) -> dict[str, pl.LazyFrame]:
    """The same with the elements of arrays that queries ask for, as they are read from the lake."""
    return {name: _with_elements(each, traits.requirements(queries).get(name)) for name, each in streams.items()}


def _with_elements(rows: pl.LazyFrame, needs: traits.Needs | None) -> pl.LazyFrame:
    columns = [f"p.{path}" for path in needs.properties] + [f"c.{path}" for path in needs.contexts] if needs else []
    stream = lake.Stream(rows, {name: str(dtype) for name, dtype in rows.collect_schema().items()})
    return lake.with_elements(stream, columns, people.FromJson()).rows


def _no_custom_traits() -> pl.DataFrame:
    return pl.DataFrame(schema={"profile": pl.UInt32, "name": pl.String, "value": pl.String})

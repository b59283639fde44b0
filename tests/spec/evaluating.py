"""From definition text and pipe tables to plain Python values: how the spec tests ask the engine."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from populace import audiences, query, traits
from populace.definitions import Audience, Trait
from tests.tables import AS_OF, events, table


def trait_values(text: str, rows: str, *, event: str = "E") -> dict[int, Any]:
    """The value of one computed trait by profile."""
    trait = Trait("t", query.parse_trait(text))
    values = traits.reduce({event: events(rows)}, traits.reducers([trait.query]), AS_OF)
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
    needed = traits.reducers([each.query for each in (*computing, *defined)])
    values = traits.reduce({name: events(rows) for name, rows in (tables or {}).items()}, needed, AS_OF)
    found = audiences.evaluate(
        table(profiles),
        values,
        traits.compute(values, computing),
        traits.newest(events(custom), AS_OF) if custom else _no_custom_traits(),
        defined,
        traits=computing,
        include_anonymous=include_anonymous,
    )
    return {key: found.filter(audience=key)["profile"].to_list() for key in texts}


def _no_custom_traits() -> pl.DataFrame:
    return pl.DataFrame(schema={"profile": pl.UInt32, "name": pl.String, "value": pl.String})

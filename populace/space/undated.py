"""How much of what definitions compare with dates is no date: such a value is neither before nor after any of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import polars as pl

from populace import query, traits
from populace.definitions import Audience, Level, Trait
from populace.nodes import Condition, Count, Event, OfAccount, Query, rewritten
from populace.space.schemas import RUN
from populace.viewpoints import quantified

TABLE = "undated"
Asked = Mapping[str, Query]  # by a text that names the values
OF_ACCOUNTS = "of accounts: "  # begins the text that names what accounts themselves have


def asked(definitions: Iterable[Trait | Audience]) -> Asked:
    """What finds such values; empty where no definition compares anything with dates."""
    return {text: found for each in definitions for text, found in _asked(each)}


def _asked(definition: Trait | Audience) -> Iterator[tuple[str, Query]]:
    """Events are counted once, also those of an account, whose users may have several."""
    inside = {text for term in quantified(definition.query) for text in query.undated(term)}
    for text, found in query.undated(definition.query).items():
        is_own = definition.level == "account" and text not in inside and isinstance(found, Condition)
        yield (OF_ACCOUNTS if is_own else "") + text, rewritten(found, _of_any_account)


def _of_any_account(node: object) -> object:
    """People have no account at hand, so what is looked for among them is in all of their events."""
    if not isinstance(node, Event):
        return node
    return replace(node, filters=tuple(each for each in node.filters if not isinstance(each, OfAccount)))


def audiences(found: Asked) -> tuple[Audience, ...]:
    """Whoever has such a value of a trait, as audiences that no space can define."""
    conditions = {text: each for text, each in found.items() if isinstance(each, Condition)}
    return tuple(
        Audience(_hidden(text), each, include_anonymous=True, level=_level(text)) for text, each in conditions.items()
    )


def counts(found: Asked) -> list[Query]:
    """What has to be reduced for people to know how many there are."""
    return [each for text, each in found.items() if _level(text) == "user"]


def _level(text: str) -> Level:
    return "account" if text.startswith(OF_ACCOUNTS) else "user"


def _hidden(text: str) -> str:
    return f"undated {text}"


def counted(found: Asked, values: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """How many there are, where there are any.

    Parameters
    ----------
    values
        From `people.reduced`, with the reducers of these queries.
    members
        (audience, …), with those of `audiences`.

    Returns
    -------
    (value, counted: events or profiles, count), one row per named value, by its text.
    """
    sizes = dict(members.group_by("audience").len().iter_rows())
    events = {text: _sum(values, each) for text, each in found.items() if isinstance(each, Count)}
    people = {text: sizes.get(_hidden(text), 0) for text in found if text not in events}
    rows = [("events", *each) for each in events.items()] + [("profiles", *each) for each in people.items()]
    told = [(text, unit, count) for unit, text, count in rows if count]
    return pl.DataFrame(told, schema=RUN[TABLE], orient="row").sort("value")


def _sum(values: pl.DataFrame, reducer: Count) -> int:
    name = traits.column(values, reducer)
    return int(values.get_column(name).sum()) if name in values.columns else 0

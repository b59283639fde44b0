"""Families of traits: one trait for each value that a field of some events has, named by the value."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import polars as pl

from populace import spelling
from populace.definitions import RESERVED, Family, Trait
from populace.errors import DefinitionError
from populace.expressions import Row
from populace.nodes import Compare, Event, Field, Literal, Reducer, TraitValue, UniqueCount, Where, outermost
from populace.query import print_query
from populace.traits.masks import keeps
from populace.traits.planning import inside, stream_of

LONGEST_KEY = 255  # T-13

Values = Mapping[str, Sequence[str]]  # by the key of the family


def naming(family: Family) -> UniqueCount:
    """What has to be read to see a family's values: the field, and what decides which events count.

    Conditions that look at other events, or at traits, decide what values a trait has, not which traits there are.
    """
    stream = stream_of(family.query)
    filters = (each for each in stream.filters if not (isinstance(each, Where) and _looks_elsewhere(each)))
    return UniqueCount(Event(stream.name, tuple(filters)), family.for_each)


def _looks_elsewhere(each: Where) -> bool:
    is_compared = any(isinstance(node, TraitValue) for node in outermost(each.condition))
    return is_compared or bool(inside(Event("", (each,))))


def seen(events: Mapping[str, pl.LazyFrame], families: Iterable[Family], as_of: datetime) -> Values:
    """The values that each family's field has, as texts, sorted.

    Parameters
    ----------
    events
        See `reduce`, with what `requirements` of `naming` asks for.
    """
    named = {each.key: naming(each) for each in families}
    found = pl.collect_all([_seen(events, each, as_of) for each in named.values()], engine="streaming")
    return {key: sorted(each.to_series()) for key, each in zip(named, found, strict=True)}


def _seen(events: Mapping[str, pl.LazyFrame], asked: UniqueCount, as_of: datetime) -> pl.LazyFrame:
    stream = stream_of(asked)
    if stream.name not in events:
        return pl.LazyFrame(schema={"value": pl.String})
    table = events[stream.name].with_columns(event=pl.lit(stream.name))
    row = Row(table.collect_schema())
    kept = table.filter(keeps(stream, row, as_of))
    return kept.select(value=row.form(asked.of)).drop_nulls().unique()


def expanded(families: Sequence[Family], values: Values, taken: Collection[str]) -> list[tuple[str, str, Trait]]:
    """The traits of families: (family, value, trait), by family and then by value.

    Parameters
    ----------
    values
        From `seen`.
    taken
        Keys that are defined by themselves: a family leaves those out.

    Raises
    ------
    DefinitionError
        If a family has more traits than it may, or if values make no key, or the same one; names all of them.
    """
    made = [
        (family, value, spelling.key(value))
        for family in families
        for value in values[family.key]
        if spelling.key(value) not in taken
    ]
    if problems := [*_too_many(families, made)] or [*_nameless(made), *_alike(made)]:
        raise DefinitionError(problems)
    return [(family.key, value, member(family, value, key)) for family, value, key in made]


def member(family: Family, value: str, key: str) -> Trait:
    """The trait of one value: the family's query over the events with this value."""
    query = narrowed(family.query, family.for_each, value)
    return Trait(key, query, family.description, family.deliveries, family.at)


def narrowed(reducer: Reducer, field: Field, value: str) -> Reducer:
    """A reducer that looks only at events whose field has a value."""
    stream = stream_of(reducer)
    same = Where(Compare(field, "=", Literal(value)))
    return replace(reducer, stream=replace(stream, filters=(*stream.filters, same)))


# --- what is wrong with them --------------------------------------------------------------------------

Made = list[tuple[Family, str, str]]


def _too_many(families: Sequence[Family], made: Made) -> Iterator[str]:
    counts = Counter(family.key for family, _, _ in made)
    for each in families:
        if counts[each.key] > each.most:
            yield (
                f"{each.at}: family '{each.key}': {print_query(each.for_each)} has {counts[each.key]:,} values, and at "
                f"most {each.most:,} may become traits; leave some out with where(), or write a greater `max`"
            )


def _nameless(made: Made) -> Iterator[str]:
    for family, value, key in made:
        if why := _refusal(key):
            remedy = f"leave it out with where({print_query(family.for_each)} != '…')"
            yield f"{family.at}: family '{family.key}': the value {_short(value)} {why}; {remedy}"


def _refusal(key: str) -> str:
    if not key:
        return "has no letter from a to z and no digit to name a trait by"
    if key in RESERVED:
        return f"would name a trait '{key}', which is a column of every table"
    return "is too long to name a trait" if len(key) > LONGEST_KEY else ""


def _alike(made: Made) -> Iterator[str]:
    by_key: dict[str, tuple[Family, str]] = {}
    for family, value, key in made:
        other, before = by_key.setdefault(key, (family, value))
        if key and (other.key, before) != (family.key, value):
            yield (
                f"{family.at}: the values {_short(before)} of '{other.key}' and {_short(value)} of '{family.key}' both "
                f"make a trait '{key}'; leave one out with where(), or define '{key}' by itself"
            )


def _short(value: str) -> str:
    return repr(value if len(value) <= 80 else f"{value[:80]}…")

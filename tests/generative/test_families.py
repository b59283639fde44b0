"""Reducers that differ only in the value of a field, and families of them, against the oracle."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given

from populace import nodes, query, traits
from populace.definitions import Family
from populace.errors import DefinitionError
from tests.generative import drawing, making, oracle, oracle_values
from tests.generative.test_queries import REDUCERS, budget, computed, expected, in_order, renumbered
from tests.tables import AS_OF

pytestmark = pytest.mark.generative

WORDS = ["", "a", "B", "é", "true", "false", "10", "9", "null", "inf", "ab", "2024-03-31", "x'y\\z", "[1]", " 10"]
WORDS += ["10.0", "1e1", "2024-03-31T12:00:00Z"]
BASES = {
    kind: REDUCERS[kind]
    for kind in (
        "count", "sum", "average", "least", "greatest", "mode", "first", "last", "unique", "unique count", "where",
        "expires_after", "expires_after and others", "within", "sources",
    )
}  # fmt: skip
FIELDS = making.of([*(nodes.Property(path) for path in ("t", "m", "n", "b", "d", "timestamp")), nodes.Context("t")])


def with_value(reducer, field, value):
    where = nodes.Where(nodes.Compare(field, "=", nodes.Literal(value)))
    return replace(reducer, stream=replace(reducer.stream, filters=(*reducer.stream.filters, where)))


@pytest.mark.parametrize("kind", BASES)
@budget
@given(seed=drawing.seeds)
def test_many_values_agree(kind, seed):
    chance = Random(seed)
    made = making.events(chance)
    base, field = BASES[kind](chance), making.either(FIELDS, FIELDS, FIELDS, making.elements)(chance)
    asked = [with_value(base, field, value) for value in chance.sample(WORDS, 12)]
    assert computed(made, asked) == expected(made, asked), (made, asked)


@pytest.mark.parametrize("kind", ["last", "unique"])
@budget
@given(seed=drawing.seeds)
def test_many_values_agree_also_for_the_greatest_numbers_of_profiles(kind, seed):
    chance = Random(seed)
    made, far = making.events(chance), {1: 0, 2: 2**32 // 12, 3: 2**32 - 1}
    base, field = BASES[kind](chance), FIELDS(chance)
    asked = [with_value(base, field, value) for value in chance.sample(WORDS, 12)]
    assert in_order(computed(renumbered(made, far), asked), far) == expected(made, asked), (made, asked)


@budget
@given(seed=drawing.seeds)
def test_the_traits_of_a_family_are_the_values_that_are_seen(seed):
    chance = Random(seed)
    made = making.events(chance)
    base, field = making.counts(chance), FIELDS(chance)
    family = Family("f", field, base, 1_000)
    (seen,) = traits.seen(drawing.frames(made), [family], AS_OF).values()
    assert seen == values_of(made, base.stream, field), (made, base)


def values_of(made, stream, field):
    """The texts of the field in all events that pass; conditions of `making.counts` look at nothing but their event."""
    kept = [
        (oracle.Person({"events": made}, profile, AS_OF), event)
        for profile in (1, 2, 3)
        for event in oracle.stream(without_sessions(stream), oracle.Person({"events": made}, profile, AS_OF))
    ]
    texts = [oracle_values.as_text(found) for person, event in kept if (found := of(field, event, person)) is not None]
    return sorted({text for text in texts if text is not None})


def of(field, event, person):
    return oracle.of_event(field, event, person)


def without_sessions(stream):
    """Which traits there are does not depend on sessions, which differ from value to value."""
    return replace(stream, filters=tuple(each for each in stream.filters if type(each) is not nodes.ExpiresAfter))


@budget
@given(seed=drawing.seeds)
def test_a_family_gives_what_its_traits_give(seed):
    chance = Random(seed)
    made = making.events(chance, most=30)
    base, field = making.scalars(chance), nodes.Property(chance.choice("tm"))
    family = Family("f", field, base, 1_000)
    found = traits.seen(drawing.frames(made), [family], AS_OF)
    try:
        members = [each.query for _, _, each in traits.expanded([family], found, ())]
    except DefinitionError:
        return  # two values with one name
    assert [query.fingerprint(each) for each in members] == [
        query.fingerprint(with_value(base, field, value)) for value in found["f"]
    ]
    assert computed(made, members) == expected(made, members), (made, members)

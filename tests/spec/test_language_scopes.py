"""The query language: whose rows a part is about, inside where() and in definitions of accounts."""

import pytest

from populace import query
from populace.nodes import (
    And,
    Compare,
    Count,
    Duration,
    Entity,
    Event,
    Literal,
    Not,
    OneOf,
    Or,
    Property,
    Quantified,
    Where,
    Within,
)
from tests.spec.written import A, E, at_least_one, trait

# --- rows inside rows --------------------------------------------------------------------------


def test_q25_an_event_inside_where_ranges_over_the_same_profile():
    found = query.parse_audience("event('A').where(event('B').count() > property('n')).count() >= 1")
    inner = Compare(Count(Event("B")), ">", Property("n"))
    assert found == at_least_one(Event("A", (Where(inner),)))


def test_q25_a_trait_may_stand_inside_where():
    found = query.parse_audience("event('A').where(property('n').one_of(trait('a'), 1)).count() >= 1")
    assert found == at_least_one(Event("A", (Where(OneOf(Property("n"), (A, Literal(1)))),)))


def test_a55_funnels_nest_to_any_depth_and_parent_is_the_next_event_around():
    text = "property('id') = property(parent: 'id')"
    inner = Compare(Property("id"), "=", Property("id", parent=True))
    for name in "EDCB":
        text = f"event('{name}').where({text}).within(parent: 1 day).count() >= 1"
        inner = at_least_one(Event(name, (Where(inner), Within(Duration(1, "days"), parent=True))))
    node = query.parse_audience(f"event('A').where({text}).count() >= 1")
    assert node == at_least_one(Event("A", (Where(inner),)))
    assert query.parse_audience(query.print_query(node)) == node


def test_a55_a_trait_may_have_a_funnel():
    text = "event('A').where(event('B').within(parent: 1 day).first(property('x')) = 'y').sum(property('n'))"
    assert query.print_query(query.parse_trait(text)) == text


def test_q25_rows_of_linked_tables_nest_as_well():
    found = query.parse_audience(
        "entity('o').where(entity('p').where(property('x') = property(parent: 'y')).count() >= 1).count() >= 1"
    )
    inner = Entity("p", (Where(Compare(Property("x"), "=", Property("y", parent=True))),))
    assert found == at_least_one(Entity("o", (Where(at_least_one(inner)),)))


# --- accounts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("quantifier", ["ANY", "ALL"])
def test_q10_any_and_all_are_of_an_accounts_users(quantifier):
    found = query.parse_audience(f"{quantifier} event('E').count() >= 1", "accounts")
    assert found == Quantified(quantifier, at_least_one(E))


def test_q10_any_and_all_bind_like_not():
    found = query.parse_audience("ALL NOT trait('a') = 1 AND NOT ANY (trait('b') = 2 OR trait('c') = 3)", "accounts")
    some = Quantified("ANY", Or((trait("b", 2), trait("c", 3))))
    assert found == And((Quantified("ALL", Not(trait("a", 1))), Not(some)))
    assert query.parse_audience(query.print_query(found), "accounts") == found


def test_q26_a_bare_trait_is_the_accounts():
    assert query.parse_audience("trait('a') = 1", "accounts") == trait("a", 1)


def test_q26_events_stand_inside_any_and_all_to_any_depth():
    text = "ANY event('A').where(event('B').within(parent: 1 day).count() = 0).count() >= 1"
    assert query.print_query(query.parse_audience(text, "accounts")) == text


def test_a_trait_of_accounts_is_a_reducer_over_events():
    text = "event('E').within(30 days).count()"
    assert query.parse_trait(text, "accounts") == query.parse_trait(text)

"""Events compared with what is known of their person: trait() inside where()."""

import pytest

from populace import query, traits
from tests.spec.evaluating import members, members_of

TWO = "profile|has_known_id\n1|true\n2|true\n"
ORDERS = {"Ordered": "profile|timestamp|p.total\n1|d-9|10\n1|d-1|30\n2|d-9|20\n2|d-1|20\n"}
AVERAGE = {"average": "event('Ordered').avg(property('total'))"}
ABOVE = "event('Ordered').where(property('total') > trait('average')).within(5 days).count() >= 1"


def test_n56_an_event_against_a_computed_trait():
    """Traits and audiences: Inside `where`, an event is compared with what is known of its person."""
    assert members(ABOVE, ORDERS, profiles=TWO, computed=AVERAGE) == [1]


def test_a36_an_event_against_a_custom_trait():
    custom = "profile|name|value|timestamp\n1|limit|15|d-1\n2|limit|99|d-1\n"
    text = "event('Ordered').where(property('total') > trait('limit')).count() = 1"
    assert members(text, ORDERS, profiles=TWO, custom=custom) == [1]
    nested = custom.replace("|15|", '|{"a":15}|').replace("|99|", '|{"a":"99"}|')
    assert members(text.replace("'limit'", "'limit.a'"), ORDERS, profiles=TWO, custom=nested) == [1]


def test_q28_an_event_against_a_trait_that_nobody_has():
    text = "event('Ordered').where(trait('never').absent()).count() = 2"
    assert members(text, ORDERS, profiles=TWO) == [1, 2]
    assert members("event('Ordered').where(property('total') != trait('never')).count() >= 1", ORDERS) == []


def test_t19_counts_read_zero_also_beside_events():
    computed = {"returns": "event('Returned').count()"}
    text = "event('Ordered').where(trait('returns') = 0).count() = 2"
    assert members(text, ORDERS, profiles=TWO, computed=computed) == [1, 2]


def test_q29_an_event_against_an_audience_of_this_run():
    found = members_of(
        {
            "big": "event('Ordered').max(property('total')) >= 30",
            "buyers": "trait('big') = 'true' AND event('Ordered').count() >= 1",
            "seen": "event('Ordered').where(trait('buyers') = 'true').count() = 2",
            "unseen": "event('Ordered').where(NOT trait('buyers') = 'true').count() = 2",
        },
        ORDERS,
        profiles=TWO,
    )
    assert found == {"big": [1], "buyers": [1], "seen": [1], "unseen": [2]}


def test_q29_traits_build_on_traits_in_any_order():
    computed = {
        "third": "event('Ordered').where(property('total') >= trait('second')).count()",
        "second": "event('Ordered').where(property('total') > trait('average')).max(property('total'))",
        **AVERAGE,
    }
    assert members("trait('third') = 1", ORDERS, profiles=TWO, computed=computed) == [1]
    assert members("trait('third') = 0", ORDERS, profiles=TWO, computed=computed) == [2]


def test_what_needs_nothing_is_computed_in_one_round():
    defined = {key: query.parse_trait(text) for key, text in AVERAGE.items()} | {"above": query.parse_audience(ABOVE)}
    plain = query.parse_audience("event('Ordered').count() >= 1 AND trait('above') = 'true'")
    found = traits.rounds([*defined.values(), plain], {**defined, "plain": plain})
    assert [len(each) for each in found] == [2, 1]
    assert traits.rounds([defined["above"]], defined) == [
        [defined["average"]],
        list(traits.reducers([defined["above"]])),
    ]


def test_what_is_referred_to_may_refer_to_more():
    """Of one definition alone all that it cannot do without is computed, round by round."""
    texts = {
        "second": "event('Ordered').where(property('total') > trait('average')).count()",
        "third": "event('Ordered').where(property('total') > trait('second')).count()",
    }
    defined = {key: query.parse_trait(text) for key, text in {**AVERAGE, **texts}.items()}
    found = traits.rounds([defined["third"]], defined)
    assert found == [[defined["average"]], [defined["second"]], [defined["third"]]]


def test_definitions_that_share_others_are_looked_at_once():
    """Each of 60 audiences refers to the two before it, so that there are a million million ways down."""
    text = "trait('a{}') = 'true' OR trait('a{}') = 'true'"
    defined = {f"a{number}": query.parse_audience(text.format(number - 1, number - 2)) for number in range(60)}
    reducing = query.parse_trait("event('Ordered').where(trait('a59') = 'true').count()")
    assert traits.rounds([reducing], defined) == [[reducing]]


@pytest.mark.parametrize("price", [25, 35])
def test_d2_a_funnel_with_a_trait(price):
    tables = {
        "Bought": f"profile|timestamp|p.price\n1|d-3|{price}\n1|d-40|25\n",
        "Returned": "profile|timestamp\n1|d-1\n",
    }
    text = (
        "event('Bought').where(property('price') >= trait('average') "
        "AND event('Returned').within(parent: 5 days).count() >= 1).within(30 days).count() >= 1"
    )
    computed = {"average": "event('Bought').max(property('price'))"}
    assert members(text, tables, computed=computed) == [1]
    assert members(text.replace(">= trait", "> trait"), tables, computed=computed) == []


def test_a36_a_trait_beside_what_follows():
    tables = {"Bought": "profile|timestamp\n1|d-3\n2|d-3\n", "Paid": "profile|timestamp|p.sum\n1|d-2|5\n2|d-2|1\n"}
    text = (
        "event('Bought').where(event('Paid').where(property('sum') = trait('most')).within(parent: 5 days).count() = 1)"
        ".count() = 1"
    )
    custom = "profile|name|value|timestamp\n1|most|5|d-9\n2|most|5|d-9\n"
    assert members(text, tables, profiles=TWO, custom=custom) == [1]

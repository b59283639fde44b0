"""Conditions: how they are joined, and what a count, a sum or nothing at all means in them."""

from tests.spec.evaluating import members, trait_values

RICH = 'profile|name|value|timestamp\n1|spend|1500|d-1\n1|vip|"false"|d-1\n'


def test_q4_and_binds_before_or():
    """Conditions: `NOT` binds before `AND`, and `AND` before `OR`; parentheses bind first."""
    text = "trait('spend') >= 1000 OR trait('orders') > 10 AND trait('vip') = 'true'"
    assert members(text, custom=RICH) == [1]
    assert members("(trait('spend') >= 1000 OR trait('orders') > 10) AND trait('vip') = 'true'", custom=RICH) == []
    assert members("NOT trait('vip') = 'true' AND trait('spend') < 1000", custom=RICH) == []


def test_a30_at_least_exactly_and_at_most():
    """Conditions: At least, exactly and at most so many times; "has not" is exactly 0 times."""
    rows = {"Order Completed": "profile|timestamp\n1|d-2\n1|d-1\n"}
    assert members("event('Order Completed').count() >= 2", rows) == [1]
    assert members("event('Order Completed').count() = 1", rows) == []
    assert members("event('Order Completed').count() <= 2", rows) == [1]
    assert members("event('Order Completed').count() = 0", rows) == []


ORDERS = """
    profile | timestamp | p.total | p.country
    1       | d-3       | 10      | NL
    1       | d-2       | 90      | DE
    1       | d-1       | 90      | FR
"""


def test_q1_names_are_meant_exactly():
    """Events: `event('…')` is the events of exactly this name; capital letters count."""
    rows = "profile|timestamp\n1|d-1\n"
    assert trait_values("event('Signed Up').count()", rows, event="Signed Up") == {1: 1}
    assert trait_values("event('signed up').count()", rows, event="Signed Up") == {}


def test_a35_conditions_on_one_event_combine():
    """Events: `where(…)` keeps the events for which its condition holds; conditions on one event are joined inside."""
    text = "event('Order Completed').where(property('total') > 50 AND property('country').one_of('NL', 'DE')).count()"
    assert trait_values(text, ORDERS, event="Order Completed") == {1: 1}


def test_a35_conditions_on_events_are_each_of_some_event():
    """Events: …Two conditions outside of `where` may be met by two different events."""
    text = "event('Order Completed').where({}).count() >= 1"
    cheap, french = (text.format(each) for each in ("property('total') < 50", "property('country') = 'FR'"))
    rows = {"Order Completed": ORDERS}
    assert members(f"{cheap} AND {french}", rows) == [1]
    assert members(text.format("property('total') < 50 AND property('country') = 'FR'"), rows) == []


def test_q19_two_filters_are_joined_by_and():
    """Events: Filters come in any order and number, and an event has to pass all of them."""
    text = "event('Order Completed').within(36 hours).where(property('total') > 50).within(60 hours).count()"
    assert trait_values(text, ORDERS, event="Order Completed") == {1: 1}


def test_t19_a_count_of_nothing_is_0_in_a_condition_and_no_value_in_the_table():
    """Missing values: A count or sum that nothing matches is 0 in a condition, and no value in the table of traits."""
    rows = "profile|timestamp|p.total\n1|d-9|10\n"
    assert members("event('Order Completed').within(1 day).count() = 0", {"Order Completed": rows}) == [1]
    assert members("event('Order Completed').within(1 day).sum(property('total')) <= 0", {"Order Completed": rows}) == [
        1
    ]
    assert trait_values("event('Order Completed').within(1 day).count()", rows, event="Order Completed") == {}


def test_t19_every_other_reducer_of_nothing_is_missing():
    """Missing values: …Every other reducer of nothing is missing."""
    assert members("event('Order Completed').max(property('total')) < 100") == []
    assert members("event('Order Completed').last(property('total')).absent()") == [1]


def test_a10_values_of_two_events_compare():
    """Comparing: What two reducers give compares as well."""
    tables = {"Added": "profile|timestamp\n1|d-2\n2|d-3\n2|d-2\n", "Ordered": "profile|timestamp\n1|d-1\n2|d-1\n"}
    two = "profile|has_known_id\n1|true\n2|true\n"
    assert members("event('Added').count() > event('Ordered').count()", tables, profiles=two) == [2]


def test_a19_a_value_that_nobody_has_is_a_value():
    assert members("trait('plan') = 'platinum' OR trait('plan') != 'platinum'", custom=RICH) == []
    assert members("trait('spend') != 'platinum'", custom=RICH) == [1]


def test_n25_a_discount_of_zero_and_none_at_all():
    rows = "profile|timestamp|p.discount\n1|d-3|0\n2|d-2|5\n3|d-1|\n"
    text = "event('E').where(property('discount') != 0 OR property('discount').absent()).count() >= 1"
    three = "profile|has_known_id\n1|true\n2|true\n3|true\n"
    assert members(text, {"E": rows}, profiles=three) == [2, 3]


def test_d3_not_of_several():
    text = "NOT (event('Shoes Bought').count() >= 1 AND trait('spend') > 200)"
    assert members(text, {"Shoes Bought": "profile|timestamp\n1|d-1\n"}, custom=RICH) == []
    assert members(text, custom=RICH) == [1]


def test_n55_what_follows_twice():
    text = (
        "event('Trial Started').where(event('Feature Used').where(property('feature').one_of('export','share'))"
        ".within(parent: 72 hours).count() >= 2).within(30 days).count() >= 1"
    )
    used = "profile|timestamp|p.feature\n1|d-4|export\n1|d-3|{}\n"
    started = {"Trial Started": "profile|timestamp\n1|d-5\n"}
    assert members(text, started | {"Feature Used": used.format("share")}) == [1]
    assert members(text, started | {"Feature Used": used.format("print")}) == []

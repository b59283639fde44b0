"""Computed traits: reducers, windows, missing values, and what custom traits are."""

from datetime import timedelta

import polars as pl
import pytest

from populace import query, traits
from populace.definitions import Trait
from tests.spec.evaluating import trait_values
from tests.tables import AS_OF, events, table

ORDERS = """
    profile | timestamp | p.total | p.coupon | p.size:json
    1       | d-9       | 10      | spring   | "L"
    1       | d-7       | 0.1     |          | 10
    1       | d-6       | 0.2     | autumn   |
    2       | d-8       | 5       |          | [1,2]
    3       | d+1       | 99      | future   | true
"""


# --- counting and summing -------------------------------------------------------------------


def test_n66_count_is_the_number_of_events():
    """Counting and adding: `count()` is the number of events."""
    rows = "profile|timestamp\n1|d-9\n1|d-2\n1|d-1\n2|d-1\n"
    assert trait_values("event('Order Completed').count()", rows, event="Order Completed") == {1: 3, 2: 1}


def test_t26_events_after_as_of_do_not_exist():
    """Events: What happens after now does not exist."""
    rows = "profile|timestamp|p.total\n1|d-1|10\n1|d+1|99\n"
    assert trait_values("event('Order Completed').last(property('total'))", rows, event="Order Completed") == {1: 10}


def test_q28_an_unknown_event_gives_nothing():
    """Events: A name that nobody has used so far is allowed: there are no such events yet."""
    rows = "profile|timestamp\n1|d-1\n"
    assert trait_values("event('Order Cancelled').count()", rows, event="Order Completed") == {}


def test_q28_an_unknown_property_gives_nothing():
    assert trait_values("event('E').sum(property('never'))", ORDERS) == {}
    assert trait_values("event('E').last(property('never'))", ORDERS) == {}


def test_n67_sums_are_exact_to_six_decimals():
    """Counting and adding: `sum(field)` is exact to six decimals."""
    rows = "profile|timestamp|p.total\n1|d-2|0.1\n1|d-1|0.2\n"
    assert trait_values("event('Order Completed').sum(property('total'))", rows, event="Order Completed") == {1: 0.3}


def test_n67_a_sum_of_some_events():
    assert trait_values("event('E').sum(property('total'))", ORDERS) == {1: 10.3, 2: 5.0}
    assert trait_values("event('E').within(7 days).sum(property('total'))", ORDERS) == {1: 0.3}


def test_n67_sums_take_numeric_text_and_skip_the_rest():
    """Counting and adding: …Text that is a number counts as one; other text, true and false, and lists do not."""
    rows = """
        profile | timestamp | p.paid:json
        1       | d-3       | "39.95"
        1       | d-2       | 0.05
        1       | d-1       | "a lot"
        1       | d-1       | true
        2       | d-1       | "nan"
        3       | d-1       | [5]
    """
    assert trait_values("event('Order Completed').sum(property('paid'))", rows, event="Order Completed") == {1: 40.0}


def test_d10_an_average_divides_by_the_number_of_numbers():
    """Counting and adding: `avg(field)` is the sum divided by how many numbers there are."""
    rows = "profile|timestamp|p.spend\n1|d-3|1\n1|d-2|2\n1|d-2|\n1|d-1|6\n2|d-1|\n"
    assert trait_values("event('Shoes Bought').avg(property('spend'))", rows, event="Shoes Bought") == {1: 3.0}


def test_n67_a_sum_does_not_overflow_64_bits():
    rows = "profile|timestamp|p.x\n" + "1|d-1|9000000000000000000\n" * 3
    assert trait_values("event('E').sum(property('x'))", rows) == {1: 2.7e19}


def test_n67_a_sum_may_have_more_digits_than_what_it_adds_up():
    rows = "profile|timestamp|p.x\n" + "1|d-1|90000000000000000000000000000000.0\n" * 2
    assert trait_values("event('E').sum(property('x'))", rows) == {1: 1.8e32}


def test_n67_numbers_of_any_size_are_added_up():
    rows = "profile|timestamp|p.x:json\n1|d-1|2e300\n1|d-1|3\n2|d-1|1e300\n2|d-1|-1e300\n2|d-1|5\n3|d-1|7\n"
    assert trait_values("event('E').sum(property('x'))", rows) == {1: 2e300, 2: 5.0, 3: 7.0}
    assert trait_values("event('E').avg(property('x'))", rows) == {1: 1e300, 2: 1.666667, 3: 7.0}
    rows = "profile|timestamp|p.x\n1|d-1|120000000000000000000000000000000.0\n2|d-1|0.5\n"
    assert trait_values("event('E').sum(property('x'))", rows) == {1: 1.2e32, 2: 0.5}
    rows = "profile|timestamp|p.x:json\n1|d-1|1e308\n1|d-1|1e308\n"
    assert trait_values("event('E').sum(property('x'))", rows) == {1: float("inf")}


def test_n67_a_sum_is_rounded_once():
    # As whole millionths it is 2**53 + 1, which is no float.
    rows = "profile|timestamp|p.x\n1|d-1|9007199254\n1|d-2|0.740993\n"
    assert trait_values("event('E').sum(property('x'))", rows) == {1: 9007199254.740993}
    assert trait_values("event('E').avg(property('x'))", rows) == {1: 9007199254.740993 / 2}


def test_profiles_may_be_few_and_their_numbers_far_apart():
    rows = "profile|timestamp|p.x\n0|d-1|1\n70000|d-1|2\n70000|d-2|3\n9|d+1|4\n"
    assert trait_values("event('E').count()", rows) == {0: 1, 70000: 2}
    assert trait_values("event('E').avg(property('x'))", rows) == {0: 1.0, 70000: 2.5}


def test_n67_a_sum_of_zero_is_a_value():
    rows = "profile|timestamp|p.x\n1|d-1|5\n1|d-1|-5\n"
    assert trait_values("event('E').sum(property('x'))", rows) == {1: 0.0}


# --- last -----------------------------------------------------------------------------------


def test_n71_last_skips_events_without_the_property():
    assert trait_values("event('E').last(property('coupon'))", ORDERS) == {1: "autumn"}
    rows = "profile|timestamp|p.x\n1|d-2|a\n1|d-1|\n"
    assert trait_values("event('E').last(property('x'))", rows) == {1: "a"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("1 | d-1 | d-1 | m9 | older\n 1 | d-1 | d-0.5 | m1 | newer", "newer"),
        ("1 | d-1 | d-1 | m9 | newer\n 1 | d-1 | d-1 | m1 | older", "newer"),
        ("1 | d-1 | d-1 | m10 | older\n 1 | d-1 | d-1 | m9 | newer", "newer"),
    ],
)
def test_e27_last_breaks_ties_by_arrival_and_then_by_message_id(rows, expected):
    """First and last: Of two events of one instant the one that arrived later is the newer, then the one whose
    `message_id` is greater."""
    table_text = f"profile | timestamp | received_at | message_id | p.plan\n {rows}"
    assert trait_values("event('Signed In').last(property('plan'))", table_text, event="Signed In") == {1: expected}


def test_n71_last_keeps_the_type_of_its_field():
    rows = "profile|timestamp|p.n|p.f|p.b|p.s\n1|d-1|1|1.5|true|x\n"
    found = {kind: trait_values(f"event('E').last(property('{kind}'))", rows)[1] for kind in "nfbs"}
    assert found == {"n": 1, "f": 1.5, "b": True, "s": "x"}


def test_n71_last_of_a_field_of_mixed_types_is_text():
    """First and last: Where a field has values of several types they are given as text, lists and objects as JSON."""
    rows = r"""
        profile | timestamp | p.x:json
        1       | d-1       | "text"
        2       | d-1       | 10.5
        3       | d-1       | true
        4       | d-1       | ["a"]
        5       | d-1       | "said \"hi\""
    """
    expected = {1: "text", 2: "10.5", 3: "true", 4: '["a"]', 5: 'said "hi"'}
    assert trait_values("event('E').last(property('x'))", rows) == expected


def test_n71_context_is_read_like_properties():
    """Events: `context('…')` is read like `property('…')`; dots lead into what is nested."""
    rows = "profile|timestamp|c.page.path\n1|d-2|/a\n1|d-1|/b\n"
    assert trait_values("event('Page Viewed').last(context('page.path'))", rows, event="Page Viewed") == {1: "/b"}
    found = trait_values("event('Page Viewed').where(context('page.path') = '/a').count()", rows, event="Page Viewed")
    assert found == {1: 1}


# --- windows --------------------------------------------------------------------------------


def test_t26_both_ends_of_a_window_are_included():
    rows = """
        profile | timestamp
        1       | d-7
        2       | 2024-03-24T11:59:59.999999
        3       | d-0
        4       | 2024-03-31T12:00:00.000001
    """
    assert trait_values("event('E').within(7 days).count()", rows) == {1: 1, 3: 1}


def test_t20_a_day_is_24_hours():
    """Windows: A day is 24 hours, not a date of the calendar."""
    rows = "profile|timestamp\n1|d-2\n"
    assert trait_values("event('Viewed').within(2 days).count()", rows, event="Viewed") == {1: 1}
    assert trait_values("event('Viewed').within(48 hours).count()", rows, event="Viewed") == {1: 1}
    assert trait_values("event('Viewed').within(47 hours).count()", rows, event="Viewed") == {}


def test_q19_of_two_windows_both_hold():
    """Windows: …Of two windows both hold."""
    rows = "profile|timestamp\n1|d-1\n1|d-3\n"
    assert trait_values("event('Viewed').within(2 days).within(5 days).count()", rows, event="Viewed") == {1: 1}


def test_t19_a_count_or_sum_outside_its_window_is_null_in_the_table():
    found = trait_values("event('E').within(1 hour).count()", ORDERS)
    assert found == {}


# --- filters --------------------------------------------------------------------------------


def count(condition, rows):
    return trait_values(f"event('E').where({condition}).count()", rows).get(1, 0)


PRICES = "profile|timestamp|p.price\n1|d-2|5\n1|d-1|\n"


def test_q20_not_equal_needs_a_value():
    assert count("property('price') != 6", PRICES) == 1


def test_a13_exists_means_not_null():
    """Missing values: `exists()` and `absent()` ask whether there is a value; an empty text is one."""
    assert count("property('price').exists()", PRICES) == 1
    assert count("property('price').absent()", PRICES) == 1
    assert count("property('text').exists()", 'profile|timestamp|p.text\n1|d-1|""\n') == 1


def test_a11_one_of_is_equality_with_any():
    rows = "profile|timestamp|p.x\n1|d-1|a\n1|d-2|b\n1|d-3|A\n1|d-4|\n"
    assert count("property('x').one_of('a', 'b')", rows) == 2
    assert count("NOT property('x').one_of('a', 'b')", rows) == 2


def test_a36_properties_compare_with_each_other():
    """Comparing: Two fields of one event compare like a field and a constant."""
    rows = "profile|timestamp|p.paid|p.total\n1|d-3|1|2\n1|d-2|2|2\n1|d-1||2\n"
    assert count("property('paid') < property('total')", rows) == 1
    assert count("property('paid') = property('total')", rows) == 1


def holds(value, condition):
    """Whether a condition holds of the property x of one event, given as JSON."""
    return count(condition, f"profile|timestamp|p.x:json\n1|d-1|{value}\n") == 1


def test_q21_a_number_and_text_that_is_one_are_numbers():
    """Types: A number and text that is a number compare as numbers."""
    assert holds("10", "property('x') = '10.0'")
    assert holds('"10"', "property('x') = 10.0")
    assert not holds('"10"', "property('x') < 9")
    assert not holds("10", "property('x') < '9'")
    assert holds("10", "property('x').one_of('a', '10')")


def test_q21_two_texts_are_texts():
    """Types: …Two texts compare as texts, by code points: capital letters first, letters with accents last."""
    assert not holds('"10"', "property('x') = '10.0'")
    assert holds('"10"', "property('x') < '9'")
    assert holds('"B"', "property('x') < 'a'")
    assert holds('"é"', "property('x') > 'z'")


def test_q21_what_cannot_be_coerced_is_different_and_not_ordered():
    """Types: …Text that is no number is different from every number, and neither less nor greater."""
    assert holds('"abc"', "property('x') != 9")
    assert not holds('"abc"', "property('x') < 9")
    assert not holds('"abc"', "property('x') >= 9")
    assert not holds('"inf"', "property('x') > 0")


def test_a18_true_and_false_are_written_as_text():
    """Types: True and false are compared with `'true'` and `'false'`; neither is a number, or less than the other."""
    assert holds("true", "property('x') = 'true'")
    assert not holds("true", "property('x') = 'false'")
    assert holds("true", "property('x').one_of('true')")
    assert not holds("true", "property('x') = 1")
    assert not holds("true", "property('x') <= 'true'")
    assert holds('"true"', "property('x') = 'true'")


def test_q21_a_list_is_no_text():
    """Types: A list or an object exists, and equals nothing."""
    assert holds("[1]", "property('x').exists()")
    assert not holds("[1]", "property('x') = '[1]'")
    assert holds("[1]", "property('x') != '[1]'")


def test_q21_whole_numbers_are_exact():
    assert not holds("9007199254740993", "property('x') = 9007199254740992")


def test_q21_quotes_inside_of_text():
    assert holds('"a\\"b"', "property('x') = 'a\\\"b'")


@pytest.mark.parametrize(
    ("cell", "condition", "expected"),
    [
        ("10", "property('x') = '10.0'", True),
        ("10.5", "property('x') > '9'", True),
        ("true", "property('x') = 'true'", True),
        ('"10"', "property('x') = 10", True),
        ('"10"', "property('x') = '10.0'", False),
    ],
)
def test_q21_holds_for_typed_columns_too(cell, condition, expected):
    assert count(condition, f"profile|timestamp|p.x\n1|d-1|{cell}\n") == int(expected)


# --- one pass -------------------------------------------------------------------------------


def parsed(*texts):
    return [query.parse_trait(text) for text in texts]


def test_n_definitions_on_one_event_are_one_scan():
    queries = parsed(
        "event('E').count()",
        "event('E').within(7 days).count()",
        "event('E').count()",
        "event('F').last(property('x'))",
    )
    assert traits.explain(queries) == {
        "E": ["event('E').count()", "event('E').within(7 days).count()"],
        "F": ["event('F').last(property('x'))"],
    }


def test_only_what_is_needed_is_asked_for():
    queries = parsed(
        "event('E').where(property('a') = 1 OR context('b.c').exists()).within(2 days).count()",
        "event('E').within(72 hours).sum(property('d'))",
        "event('F').last(property('x'))",
    )
    needs = traits.requirements(queries)
    assert needs["E"] == traits.Needs(frozenset("ad"), frozenset({"b.c"}), timedelta(days=3))
    assert needs["F"] == traits.Needs(frozenset("x"), window=None, ordered=True)


def test_q19_only_the_narrowest_of_two_windows_is_read():
    queries = parsed("event('E').within(5 days).within(2 days).count()", "event('E').within(25 hours).count()")
    assert traits.requirements(queries)["E"].window == timedelta(days=2)


def test_one_reducer_without_a_window_reads_everything():
    queries = parsed("event('E').within(5 days).count()", "event('E').count()")
    assert traits.requirements(queries)["E"].window is None


def test_columns_come_in_the_order_of_the_definitions():
    computing = [
        Trait("coupon", query.parse_trait("event('E').last(property('coupon'))")),
        Trait("orders", query.parse_trait("event('E').count()")),
        Trait("never", query.parse_trait("event('Never').sum(property('x'))")),
    ]
    values = traits.reduce({"E": events(ORDERS)}, traits.reducers(t.query for t in computing), AS_OF)
    found = traits.compute(values, computing).sort("profile")
    assert found.schema == {"profile": pl.UInt32, "coupon": pl.String, "orders": pl.Int64, "never": pl.Float64}
    assert found.rows() == [(1, "autumn", 3, None), (2, None, 1, None)]


# --- custom traits --------------------------------------------------------------------------


def newest(rows):
    return {(profile, name): value for profile, name, value, *_ in traits.newest(events(rows), AS_OF).rows()}


def test_t1_the_newest_value_wins_by_event_time():
    rows = """
        profile | name | value   | timestamp | received_at
        1       | vip  | true    | d-2       | d-2
        1       | vip  | false   | d-3       | d-1
        1       | plan | "pro"   | d-3       | d-3
        2       | plan | "later" | d+1       | d-1
    """
    assert newest(rows) == {(1, "vip"): "true", (1, "plan"): '"pro"'}  # W21


def test_t2_null_removes_a_trait_and_has_a_time_of_its_own():
    rows = """
        profile | name | value  | timestamp | received_at
        1       | plan | "pro"  | d-3       | d-1
        1       | plan | null   | d-2       | d-2
        2       | plan | null   | d-3       | d-3
        2       | plan | "back" | d-2       | d-2
    """
    assert newest(rows) == {(2, "plan"): '"back"'}


def test_t2_an_empty_string_is_a_value():
    assert newest('profile|name|value|timestamp\n1|plan|""|d-1\n') == {(1, "plan"): '""'}


def test_t1_ties_go_to_the_greater_arrival_and_message_id():
    rows = """
        profile | name | value | timestamp | received_at | message_id
        1       | a    | 1     | d-1       | d-1         | m2
        1       | a    | 2     | d-1       | d-1         | m1
    """
    assert newest(rows) == {(1, "a"): "1"}


def test_newest_says_when_and_where_from():
    found = traits.newest(events("profile|name|value|timestamp|source\n1|a|1|d-1|ios\n"), AS_OF)
    expected = table("profile|name|value|updated_at|source\n1|a|1|d-1|ios\n")
    assert found.equals(expected)

"""The query language: what a text means. Its refusals are in test_language_refusals.py."""

from datetime import date

import pytest

from populace import query
from populace.nodes import (
    Absent,
    And,
    Average,
    Between,
    Compare,
    Contains,
    Context,
    Count,
    Dated,
    Duration,
    EndsWith,
    Event,
    Exists,
    ExpiresAfter,
    First,
    Last,
    Literal,
    Max,
    Min,
    Mode,
    NoneOf,
    Not,
    OneOf,
    Or,
    Property,
    Relative,
    Sources,
    StartsWith,
    Sum,
    TraitValue,
    Unique,
    UniqueCount,
    Where,
    Within,
)
from tests.spec.written import A, E, at_least_one, trait


def stream(filters):
    """The stream of a text such as `event('E').within(7 days)`."""
    return query.parse_trait(f"event('E').{filters}.count()").stream


# --- chains and junctions -------------------------------------------------------------------


def test_q1_a_chain_becomes_nodes():
    text = "event('Order').where(property('total') > 10).within(7 days).last(context('page.path'))"
    filters = (Where(Compare(Property("total"), ">", Literal(10))), Within(Duration(7, "days")))
    assert query.parse_trait(text) == Last(Event("Order", filters), Context("page.path"))


def test_q4_and_binds_tighter_than_or():
    found = query.parse_audience("trait('a') = 1 OR trait('b') = 2 AND NOT trait('c') = 3")
    assert found == Or((trait("a", 1), And((trait("b", 2), Not(trait("c", 3))))))


def test_q4_parentheses_bind_first():
    found = query.parse_audience("(trait('a') = 1 OR trait('b') = 2) AND trait('c') = 3")
    assert found == And((Or((trait("a", 1), trait("b", 2))), trait("c", 3)))


def test_q4_not_binds_tighter_than_and():
    assert query.parse_audience("NOT trait('a') = 1 AND trait('b') = 2") == And((Not(trait("a", 1)), trait("b", 2)))
    assert query.parse_audience("NOT NOT trait('a') = 1") == Not(Not(trait("a", 1)))


def test_q5_fifty_expressions_are_accepted():
    found = query.parse_audience(" OR ".join(["trait('a') = 1"] * 50))
    assert len(found.terms) == 50


def test_q6_symbols_and_calls_are_the_same():
    pairs = {"equals": "=", "differs": "!=", "greater_than": ">", "at_least": ">=", "less_than": "<", "at_most": "<="}
    for name, sign in pairs.items():
        expected = Compare(A, sign, Literal(1))
        assert query.parse_audience(f"trait('a').{name}(1)") == expected
        assert query.parse_audience(f"trait('a') {sign} 1") == expected


def test_q6_a_bare_constant_is_a_literal():
    assert query.parse_audience("trait('a') = literal('x')") == query.parse_audience("trait('a') = 'x'")
    assert query.parse_audience("literal(2000-01-01) < trait('a')") == query.parse_audience("2000-01-01 < trait('a')")


def test_q9_dots_descend():
    assert query.parse_audience("trait('address.country') = 'NL'") == trait("address.country", "NL")


def test_q11_one_or_two_equals_signs():
    assert query.parse_audience("trait('a') == 1") == query.parse_audience("trait('a') = 1") == trait("a", 1)


# --- streams and filters ---------------------------------------------------------------------


def test_q12_braces_in_where_and_sources_are_optional():
    assert stream("where({property('price') > 100})") == stream("where(property('price') > 100)")
    assert stream("sources({exclude: 'a','b'})") == stream("sources(exclude: 'a','b')")


def test_q13_sources_are_a_list_with_or_without_brackets():
    expected = Event("E", (Sources(("a", "b")),))
    assert stream("sources(exclude: 'a','b')") == expected
    assert stream("sources(exclude: ['a','b'])") == expected
    assert stream("sources({exclude: ['a','b']})") == expected
    assert stream("sources(exclude: 'a')") == Event("E", (Sources(("a",)),))


@pytest.mark.parametrize(
    ("written", "gap"),
    [
        ("1800 seconds", Duration(1800, "seconds")),
        ("1 hour", Duration(1, "hours")),
        ("90 days", Duration(90, "days")),
        ("2160 hours", Duration(2160, "hours")),
        ("7776000 seconds", Duration(7_776_000, "seconds")),
    ],
)
def test_t21_sessions_end_after_30_minutes_to_90_days(written, gap):
    assert stream(f"expires_after({written})") == Event("E", (ExpiresAfter(gap),))


def test_q16_a_window_may_follow_a_parent():
    found = query.parse_audience(
        "event('A').where(event('B').within(parent: 72 hours).between(parent: 1 day, 3 days).count() >= 1).count() >= 1"
    )
    windows = (
        Within(Duration(72, "hours"), parent=True),
        Between(Duration(1, "days"), Duration(3, "days"), parent=True),
    )
    assert found == at_least_one(Event("A", (Where(at_least_one(Event("B", windows))),)))


@pytest.mark.parametrize("backslashes", [1, 2, 4])
def test_q17_a_literal_dot_has_one_two_or_four_backslashes(backslashes):
    text = "trait('acme" + "\\" * backslashes + ".id') = 1"
    assert query.parse_audience(text) == trait(r"acme\.id", 1)


def test_q18_windows_are_hours_and_days():
    assert stream("within(1 hour)") == Event("E", (Within(Duration(1, "hours")),))
    assert stream("within(24 hours)") == Event("E", (Within(Duration(24, "hours")),))
    assert stream("within(1 day)") == Event("E", (Within(Duration(1, "days")),))
    assert stream("between(0 days, 36 hours)") == Event("E", (Between(Duration(0, "days"), Duration(36, "hours")),))


def test_q19_filters_come_in_any_order_and_number():
    found = stream("within(2 days).where(property('a') = 1).sources(exclude: 's').within(1 days)")
    where = Where(Compare(Property("a"), "=", Literal(1)))
    assert found.filters == (Within(Duration(2, "days")), where, Sources(("s",)), Within(Duration(1, "days")))


def test_q23_a_between_the_wrong_way_round_is_kept_as_written():
    assert stream("between(9 days, 7 days)") == Event("E", (Between(Duration(9, "days"), Duration(7, "days")),))


# --- reducers --------------------------------------------------------------------------------

F = Property("f")
REDUCERS = {
    "count()": Count(E),
    "sum(property('f'))": Sum(E, F),
    "avg(property('f'))": Average(E, F),
    "min(property('f'))": Min(E, F),
    "min(property('f') as number)": Min(E, F),
    "min(context('a.b') as string)": Min(E, Context("a.b"), "string"),
    "max(property('f'))": Max(E, F),
    "max(property('f') as string)": Max(E, F, "string"),
    "mode(property('f'), 2)": Mode(E, F, 2),
    "mode(property('f') as string, 1)": Mode(E, F, 1),
    "mode(property('f') as number, 3)": Mode(E, F, 3, "number"),
    "mode(property('f') as array, 3)": Mode(E, F, 3, "array"),
    "first(property('f'))": First(E, F),
    "last(context('a.b'))": Last(E, Context("a.b")),
    "unique(property('f'))": Unique(E, F),
    "unique(property('f')).count()": UniqueCount(E, F),
}


@pytest.mark.parametrize("call", REDUCERS)
def test_reducers_of_5_4(call):
    node = query.parse_trait(f"event('E').{call}")
    assert node == REDUCERS[call]
    assert query.parse_trait(query.print_query(node)) == node


def test_a14_any_element_of_an_array_is_a_dollar_sign():
    path = "items.$.sku"
    assert query.parse_trait(f"event('E').unique(property('{path}'))") == Unique(E, Property(path))
    assert query.parse_trait("event('E').last(property('items.$'))") == Last(E, Property("items.$"))
    # only as a whole part of a name
    assert query.parse_audience("trait('us$').exists()") == Exists(TraitValue("us$"))


# --- comparisons ------------------------------------------------------------------------------

XY = (Literal("x"), Literal("y"))
COMPARISONS = {
    "exists()": Exists(A),
    "absent()": Absent(A),
    "one_of('x', 'y')": OneOf(A, XY),
    "one_of(['x', 'y'])": OneOf(A, XY),
    "one_of('x', 1, -2.5, 2000-01-01)": OneOf(A, (Literal("x"), Literal(1), Literal(-2.5), Literal(date(2000, 1, 1)))),
    "one_of(trait('b'), event('E').count())": OneOf(A, (TraitValue("b"), Count(E))),
    "none_of('x', 'y')": NoneOf(A, XY),
    "none_of(['x'])": NoneOf(A, (Literal("x"),)),
    "contains('x')": Contains(A, (Literal("x"),)),
    "contains('x', 'y')": Contains(A, XY),
    "contains(['x', trait('b')])": Contains(A, (Literal("x"), TraitValue("b"))),
    "omits('x')": Not(Contains(A, (Literal("x"),))),
    "starts_with('x')": StartsWith(A, Literal("x")),
    "ends_with(trait('b'))": EndsWith(A, TraitValue("b")),
    "before_date(2000-01-01)": Dated(A, "before_date", Literal(date(2000, 1, 1))),
    "within_last(30 days)": Relative(A, "within_last", Duration(30, "days")),
    "within_next(1 hour)": Relative(A, "within_next", Duration(1, "hours")),
    "before_last(0 days)": Relative(A, "before_last", Duration(0, "days")),
    "after_next(36500 days)": Relative(A, "after_next", Duration(36_500, "days")),
}


@pytest.mark.parametrize("call", COMPARISONS)
def test_comparisons_of_5_4(call):
    node = query.parse_audience(f"trait('a').{call}")
    assert node == COMPARISONS[call]
    assert query.parse_audience(query.print_query(node)) == node


def test_n40_omits_is_printed_as_the_opposite_of_contains():
    node = query.parse_audience("trait('a').omits('x') AND trait('b') = 1")
    assert query.print_query(node) == "NOT trait('a').contains('x') AND trait('b') = 1"


# --- what a query is known by ------------------------------------------------------------------


def test_layout_does_not_change_the_fingerprint():
    one = query.parse_trait("event('E').within(7 days).count()")
    other = query.parse_trait("  event( 'E' )\n .within( 7   day )\n .count( ) ")
    assert query.fingerprint(one) == query.fingerprint(other)
    assert query.fingerprint(one) != query.fingerprint(query.parse_trait("event('E').within(8 days).count()"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("min(property('a')) = 1", "min(property('a') as string) = 1"),
        ("mode(property('a'), 2) = 1", "mode(property('a') as number, 2) = 1"),
        ("mode(property('a'), 2) = 1", "mode(property('a'), 3) = 1"),
        ("unique(property('a')).count() = 1", "count() = 1"),
        ("within(24 hours).count() = 1", "within(1 day).count() = 1"),
        ("between(1 day, 2 days).count() = 1", "between(2 days, 1 day).count() = 1"),
        ("last(property('a')) = '2000-01-01'", "last(property('a')) = 2000-01-01"),
        ("last(property('a')) = 2000-01-01", "last(property('a')) = 2000-01-01T00:00:00Z"),
        ("last(property('a')).contains('x')", "last(property('a')).omits('x')"),
        ("sources(exclude: 'a').count() = 1", "sources(exclude: 'a', 'b').count() = 1"),
    ],
)
def test_what_means_something_else_has_another_fingerprint(one, other):
    first, second = (query.parse_audience(f"event('E').{text}") for text in (one, other))
    assert query.fingerprint(first) != query.fingerprint(second)


def test_property_of_the_parent_has_another_fingerprint():
    first, second = (
        query.parse_audience(f"event('A').where(event('B').where({field} = 1).count() = 1).count() = 1")
        for field in ("property('a')", "property(parent: 'a')")
    )
    assert query.fingerprint(first) != query.fingerprint(second)


# --- what the engine does not have yet ----------------------------------------------------------

NOT_COMPUTED = {
    "entity('orders').count() >= 1": "entity() needs linked tables",
    "trait('b') = 1 AND event('A').count() > 1 AND entity('b').count() = 0": "entity() needs linked tables",
}


@pytest.mark.parametrize("text", NOT_COMPUTED)
def test_what_is_not_computed_yet_is_named(text):
    assert NOT_COMPUTED[text] in query.not_computed(query.parse_audience(text))


def test_conditions_of_accounts_are_computed():
    assert query.not_computed(query.parse_audience("trait('a') = 1 AND ANY trait('b') = 2", "accounts")) is None
    assert query.not_computed(query.parse_audience("account.trait('a') = 1")) is None


@pytest.mark.parametrize("call", [*REDUCERS, "where(property('items.$.sku') = 'x').sum(property('items.$.tags.$'))"])
def test_every_reducer_is_computed(call):
    assert query.not_computed(query.parse_trait(f"event('E').{call}")) is None


@pytest.mark.parametrize("call", COMPARISONS)
def test_every_comparison_is_computed(call):
    assert query.not_computed(query.parse_audience(f"trait('a').{call}")) is None


def test_every_filter_is_computed():
    filters = "where(property('a') = context('b')).within(7 days).between(1 day, 2 days).sources(exclude: 's')"
    assert query.not_computed(Count(stream(f"{filters}.expires_after(1 hour)"))) is None

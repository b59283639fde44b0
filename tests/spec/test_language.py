"""The query language: what it accepts, what it refuses, and in which words."""

import pytest

from populace import query
from populace.definitions import (
    And,
    Compare,
    Context,
    Count,
    Event,
    Last,
    Literal,
    Not,
    OneOf,
    Or,
    Property,
    TraitValue,
    Where,
    Within,
)


def trait(key, value):
    return Compare(TraitValue(key), "=", Literal(value))


# The reference's examples that need no more than the nodes of today, by their number there.
AUDIENCES = {
    "D1": "event('Shoes Bought').where( property('price') >= 100 ).within(7 days).count() >= 1",
    "D3": "NOT ( event('Shoes Bought').count() >= 1 AND trait('total_spend') > 200 )",
    "N14": "event('Signed Up').within(7 days).count() >= 1",
    "N15": "event('Order Completed').count() = 0",
    "N16": "event('Viewed').within(14 days).count() >= 1 AND event('Ordered').within(14 days).count() <= 0",
    "N19": "event('Order Completed').within(90 days).sum(property('revenue')) > 500",
    "N23": "event('Order Completed').where(property('coupon').exists()).count() >= 2",
    "N24": "event('Order Completed').where(property('coupon').absent()).within(365 days).count() >= 3",
    "N25": "event('O').where(property('discount') != 0 OR property('discount').absent()).count() >= 1",
    "N26": "event('Order Completed').where(NOT property('country').one_of('US','CA')).count() >= 1",
    "N28": "event('Page Viewed').where(property('page_name') = 'Pricing').count() >= 1",
    "N32": "event('NPS Submitted').where(property('score').at_least(9)).within(90 days).count().at_least(1)",
    "N35": "event('get_treatment').where(property('split') = 'roll').last(property('treatment')) = 'on'",
    "N36": "trait('plan') = 'premium' AND trait('email').exists()",
    "N37": "trait('plan').one_of('pro','enterprise') AND NOT trait('churn_risk') = 'high'",
    "N41": "trait('address.country') = 'NL'",
    "N42": r"trait('acme\\.legacy_id').exists()",
    "N48": "trait('high_value_users') = 'true' AND NOT trait('eu_optouts') = 'true'",
    "N49": "trait('total_spend') >= 1000 OR trait('lifetime_orders') > 10 AND trait('vip') = 'true'",
    "N50": "(trait('total_spend') >= 1000 OR trait('lifetime_orders') > 10) AND trait('vip') = 'true'",
    "N51": "trait('age') >= literal(18)",
    "N62": "trait('logins_past_30_days') < 10",
}
TRAITS = {
    "N66": "event('User Logged In').within(90 days).count()",
    "N67": "event('Ordered').where(property('category') = 'cosmetics').within(90 days).sum(property('revenue'))",
    "N71": "event('Page Viewed').last(context('page.path'))",
    "N78": "event('t').where(property('split') = 'r' AND property('env') = 'prod').last(property('treatment'))",
}


@pytest.mark.parametrize("number", AUDIENCES)
def test_examples_of_audiences_print_back(number):
    node = query.parse_audience(AUDIENCES[number])
    assert query.parse_audience(query.print_query(node)) == node


@pytest.mark.parametrize("number", TRAITS)
def test_examples_of_traits_print_back(number):
    node = query.parse_trait(TRAITS[number])
    assert query.parse_trait(query.print_query(node)) == node


# --- what text means ------------------------------------------------------------------------


def test_a_chain_becomes_nodes():
    text = "event('Order').where(property('total') > 10).within(7 days).last(context('page.path'))"
    stream = Event("Order", (Where(Compare(Property("total"), ">", Literal(10))), Within(7, "days")))
    assert query.parse_trait(text) == Last(stream, Context("page.path"))


def test_q4_and_binds_tighter_than_or():
    found = query.parse_audience("trait('a') = 1 OR trait('b') = 2 AND NOT trait('c') = 3")
    assert found == Or((trait("a", 1), And((trait("b", 2), Not(trait("c", 3))))))


def test_q4_parentheses_bind_first():
    found = query.parse_audience("(trait('a') = 1 OR trait('b') = 2) AND trait('c') = 3")
    assert found == And((Or((trait("a", 1), trait("b", 2))), trait("c", 3)))


def test_q6_symbols_and_calls_are_the_same():
    pairs = {"equals": "=", "differs": "!=", "greater_than": ">", "at_least": ">=", "less_than": "<", "at_most": "<="}
    for name, sign in pairs.items():
        assert query.parse_audience(f"trait('a').{name}(1)") == query.parse_audience(f"trait('a') {sign} 1")


def test_q6_a_bare_constant_is_a_literal():
    assert query.parse_audience("trait('a') = literal('x')") == query.parse_audience("trait('a') = 'x'")


def test_q9_dots_descend():
    assert query.parse_audience("trait('address.country') = 'NL'") == trait("address.country", "NL")


def test_q11_one_or_two_equals_signs():
    assert query.parse_audience("trait('a') == 1") == query.parse_audience("trait('a') = 1")


def test_q12_braces_in_where_are_optional():
    with_braces = query.parse_audience("event('E').where({property('price') > 100}).count() >= 1")
    assert with_braces == query.parse_audience("event('E').where(property('price') > 100).count() >= 1")


@pytest.mark.parametrize("backslashes", [1, 2, 4])
def test_q17_a_literal_dot_has_one_two_or_four_backslashes(backslashes):
    text = "trait('acme" + "\\" * backslashes + ".id') = 1"
    assert query.parse_audience(text) == trait(r"acme\.id", 1)


def test_q18_windows_are_hours_and_days():
    assert query.parse_trait("event('E').within(1 hour).count()") == Count(Event("E", (Within(1, "hours"),)))
    assert query.parse_trait("event('E').within(24 hours).count()") == Count(Event("E", (Within(24, "hours"),)))
    assert query.parse_trait("event('E').within(1 day).count()") == Count(Event("E", (Within(1, "days"),)))


def test_q19_filters_come_in_any_order_and_number():
    found = query.parse_trait("event('E').within(2 days).where(property('a') = 1).within(1 days).count()")
    filters = (Within(2, "days"), Where(Compare(Property("a"), "=", Literal(1))), Within(1, "days"))
    assert found == Count(Event("E", filters))


def test_one_of_takes_values_or_a_list():
    expected = OneOf(TraitValue("a"), (Literal("x"), Literal(1), Literal(-2.5)))
    assert query.parse_audience("trait('a').one_of('x', 1, -2.5)") == expected
    assert query.parse_audience("trait('a').one_of(['x', 1, -2.5])") == expected


def test_strings_take_either_quote_and_escape_both():
    assert query.parse_audience(r"""trait('a') = "it's" """) == trait("a", "it's")
    assert query.parse_audience(r"""trait('a') = 'it\'s \"\\'""") == trait("a", "it's \"\\")


def test_layout_does_not_change_the_fingerprint():
    one = query.parse_trait("event('E').within(7 days).count()")
    other = query.parse_trait("  event( 'E' )\n .within( 7   day )\n .count( ) ")
    assert query.fingerprint(one) == query.fingerprint(other)
    assert query.fingerprint(one) != query.fingerprint(query.parse_trait("event('E').within(8 days).count()"))


# --- what is refused ------------------------------------------------------------------------

STREAM = "a stream is not true or false; add .count() >= 1"
NUMBER = "a number is not true or false; compare it, for example >= 1"
FIELD = "property() belongs to an event; use it in where(), sum() or last()"
ONE_VALUE = "needs a stream of events, and this is a value; compare it, for example >= 1"

REFUSED_AUDIENCES = {
    "X1": ("event('X')", 1, STREAM),
    "X2": ("event('X').where(property('a') > 1)", 1, STREAM),
    "X3": ("event('X').count()", 1, NUMBER),
    "X4": ("property('a') = 1", 1, FIELD),
    "X5": ("event('X').count().count() >= 1", 20, f"count() {ONE_VALUE}"),
    "X6": ("event('X').unique(property('a')) >= 3", 12, "unique() is not supported yet"),
    "X7": ("trait('a').within(7 days)", 12, f"within() {ONE_VALUE}"),
    "X8": ("event('X').within(2 weeks).count() >= 1", 21, "weeks is not a unit of within(); it takes hours or days"),
    "X9": (
        "event('X').within(30 minutes).count() >= 1",
        22,
        "minutes is not a unit of within(); it takes hours or days",
    ),
    "X10": ("event('X').within(parent: 1 day).count() >= 1", 19, "parent: is not supported yet"),
    "X11": ("trait('a') = 1 XOR trait('b') = 1", 16, "'XOR' cannot stand here; conditions are joined by AND or OR"),
    "X12": ("event('X').count() >= ", 22, "the query ends too early"),
    "X16": (" OR ".join(["trait('a') = 1"] * 51), 1, "51 expressions; a query has at most 50"),
}
REFUSED_TRAITS = {
    "X13": (
        "event('X').count() >= 1",
        1,
        "a trait needs a value, and this is true or false; drop the comparison or make it an audience",
    ),
    "X14": ("event('X').mode(property('a'))", 12, "mode() is not supported yet"),
    "X15": (
        "event('X').sum(property('a') as string)",
        16,
        "'as' belongs to min(), max() and mode(), which are not supported yet",
    ),
    "a stream": ("event('X')", 1, "a stream is not a value; add .count(), .sum(…) or .last(…)"),
    "another trait": ("trait('a')", 1, "a trait is computed from events; start with event('…')"),
}


@pytest.mark.parametrize("number", REFUSED_AUDIENCES)
def test_counter_examples_of_audiences_are_refused(number):
    text, column, message = REFUSED_AUDIENCES[number]
    with pytest.raises(query.QueryError) as caught:
        query.parse_audience(text)
    assert (caught.value.line, caught.value.column, str(caught.value)) == (1, column, message)


@pytest.mark.parametrize("number", REFUSED_TRAITS)
def test_counter_examples_of_traits_are_refused(number):
    text, column, message = REFUSED_TRAITS[number]
    with pytest.raises(query.QueryError) as caught:
        query.parse_trait(text)
    assert (caught.value.line, caught.value.column, str(caught.value)) == (1, column, message)


def test_q5_fifty_expressions_are_accepted():
    found = query.parse_audience(" OR ".join(["trait('a') = 1"] * 50))
    assert len(found.terms) == 50


# The rest of the language is refused by name until the engine has it; nothing is accepted and ignored.
NOT_YET = {
    "D2": "event('B').where(event('R').within(parent: 5 days).count() >= 1).count() >= 1",
    "D4": "ALL ( event('B').count() >= 1 AND trait('t') > 200 )",
    "D7": "entity('orders').count() >= 1",
    "D10": "event('B').avg(property('spend')) > 1",
    "D11": "event('B').min(property('spend')) > 1",
    "D12": "event('B').first(property('spend')) > 1",
    "N17": "event('V').between(30 days, 90 days).count() >= 1",
    "N21": "event('O').max(property('total')) >= 250",
    "N27": "event('P').where(context('page.url').contains('/pricing','/plans')).count() >= 3",
    "N29": "event('S').where(property('name').starts_with('Checkout')).count() >= 1",
    "N31": "event('O').sources(exclude: 'a','b').count() >= 1",
    "N31 braces": "event('O').sources({exclude: 'a','b'}).count() >= 1",
    "N33": "event('V').unique(property('category')).count() >= 5",
    "N34": "event('V').mode(property('category'), 2) = 'shoes'",
    "N38": "trait('plan').none_of('free','trial')",
    "N39": "trait('email').ends_with('@example.com')",
    "N40": "trait('email').omits('+test')",
    "N43": "trait('created_at').within_last(30 days)",
    "N44": "trait('renewal_date').within_next(14 days)",
    "N45": "trait('last_login_at').before_last(60 days)",
    "N46": "trait('contract_end').after_next(90 days)",
    "N47": "trait('birthday').before_date(2000-01-01)",
    "N47 after": "trait('created_at').after_date(2024-06-30T23:59:59Z)",
    "date literal": "trait('birthday') < 2000-01-01",
    "N53": "event('A').where(property('id') = property(parent: 'id')).count() >= 1",
    "N56": "event('O').where(property('total') > trait('avg_order_value')).count() >= 1",
    "N58": "ANY event('Logged In').count() >= 1",
    "N76": "event('P').expires_after(1800 seconds).count() > 1",
    "A-14": "event('O').where(property('items.$.sku') = 'x').count() >= 1",
    "one_of a trait": "trait('a').one_of(trait('b'))",
}


@pytest.mark.parametrize("number", NOT_YET)
def test_what_is_not_supported_yet_is_refused_by_name(number):
    with pytest.raises(query.QueryError, match=r"supported (yet|here)"):
        query.parse_audience(NOT_YET[number])

"""Odd corners of the language: escapes, positions, limits, and every message once."""

import time

import pytest

from populace import query
from populace.nodes import Compare, Count, Event, Exists, Literal, Property, Sources, TraitValue, UniqueCount


def refusal(text, parse=query.parse_audience):
    with pytest.raises(query.QueryError) as caught:
        parse(text)
    return caught.value.line, caught.value.column, caught.value.message


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "ends too early"),
        ("trait('a') = 'x", 14, "not closed"),
        ("trait('a') ? 2", 12, "'?' is not part of the language"),
        ("trait('a') = 1 and trait('b') = 2", 16, "write AND in capitals"),
        ("'a'.exists()", 4, "only event(…), trait(…), property(…), context(…) and literal(…) take calls"),
        ("(event('X').count()) >= 1", 22, "'>=' cannot stand here"),
        ("event('X').foo()", 12, "there is no foo()"),
        ("event('X').Count() = 1", 12, "there is no Count(); write count() in small letters"),
        ("not trait('a') = 1", 1, "'not' cannot stand here; write NOT in capitals"),
        ("trait('b') = 1 AND any trait('a') = 1", 20, "'any' cannot stand here; write ANY in capitals"),
        ("not (trait('a') = 1)", 1, "there is no not(); write NOT in capitals"),
        ("trait('a') = 1 ANDtrait('b') = 2", 16, "'ANDtrait' cannot stand here; conditions are joined by AND or OR"),
        ("count() >= 1", 1, "count() follows something; a query starts with"),
        ("event('X').trait('a') = 1", 12, "trait() starts an expression"),
        ("event('X') >= 1", 1, "a stream cannot be compared"),
        ("event('X').exists()", 12, "exists() compares a value, and this is a stream"),
        ("trait('a')", 1, "a value is not true or false"),
        ("'true'", 1, "a value is not true or false"),
        ("trait('a').exists().exists()", 21, "cannot follow what is true or false"),
        ("trait('a').exists() = 'true'", 1, "true or false already"),
        ("event('X', 'Y').count() = 1", 1, "event() takes one argument"),
        ("event().count() = 1", 1, "event() takes one argument"),
        ("event('').count() = 1", 7, "event() takes a name in quotes"),
        ("event(5).count() = 1", 7, "event() takes a name in quotes"),
        ("event(name: 'X').count() = 1", 7, "there is no name:"),
        ("event('X').count(1) = 1", 12, "count() takes no argument"),
        ("event('X').sum(5) = 1", 16, "sum() takes property('…') or context('…')"),
        ("event('X').sum({property('a')}) = 1", 12, "sum() takes no braces"),
        ("event('X').where(property('a')).count() = 1", 18, "a value is not true or false"),
        ("event('X').where(1 day).count() = 1", 18, "a duration belongs in a window, for example within(7 days)"),
        ("event('X').within(7).count() = 1", 19, "a number of hours or days"),
        ("event('X').within(0 days).count() = 1", 19, "a whole number from 1 to 36500"),
        ("event('X').within(-1 days).count() = 1", 19, "a whole number from 1 to 36500"),
        ("event('X').within(1.5 days).count() = 1", 19, "a whole number from 1 to 36500"),
        ("event('X').within(876001 hours).count() = 1", 19, "a whole number from 1 to 876000"),
        ("event('X').between(7 days).count() = 1", 12, "between() takes two durations, for example between(7 days, 14"),
        ("event('X').between(-1 days, 7 days).count() = 1", 20, "between() takes a whole number from 0 to 36500"),
        ("event('X').between(1 days, '7').count() = 1", 28, "between() takes a number of hours or days"),
        ("trait('a').within_last(0.5 days)", 24, "within_last() takes a whole number from 0 to 36500"),
        ("trait('a').within_last(36501 days)", 24, "within_last() takes a whole number from 0 to 36500"),
        ("trait('a').within_last()", 12, "within_last() takes one argument"),
        ("event('X').expires_after(1800).count() = 1", 26, "expires_after() takes a number of seconds, hours or days"),
        (
            "event('X').sources('a').count() = 1",
            12,
            "sources() says what it drops, for example sources(exclude: 'test')",
        ),
        ("event('X').sources().count() = 1", 12, "sources() says what it drops"),
        ("event('X').sources(include: 'a').count() = 1", 20, "there is no include:"),
        ("event('X').sources(exclude: 5).count() = 1", 29, "sources() takes a name in quotes"),
        ("event('X').sources(exclude: '').count() = 1", 29, "sources() takes a name in quotes"),
        ("event('X').sources(exclude: 'a', ['b']).count() = 1", 34, "sources() takes a name in quotes"),
        ("event('X').sources(exclude: 'a', exclude: 'b').count() = 1", 34, "exclude: belongs at the start"),
        ("event('X').within({1 day}).count() = 1", 12, "within() takes no braces"),
        ("trait('a').one_of()", 12, "one_of() takes at least one value"),
        ("trait('a').contains()", 12, "contains() takes at least one value"),
        ("trait('a').one_of([])", 20, "']' cannot stand here"),
        ("trait('a').one_of('x', ['y'])", 24, "a list belongs in one_of()"),
        ("trait('a').one_of([['y']])", 20, "a list belongs in one_of()"),
        ("trait('a').starts_with('x', 'y')", 12, "starts_with() takes one argument"),
        ("trait('a').omits('x', 'y')", 12, "omits() takes one argument"),
        ("literal(trait('a')) = 1", 9, "literal() takes a string in quotes, a number, a date or a timestamp"),
        ("property('a').exists()", 1, "property() belongs to an event"),
        ("event('X').mode(5, 2) = 1", 17, "mode() takes property('…') or context('…')"),
        ("event('X').unique(property('a')).count(1) = 1", 34, "count() takes no argument"),
        ("trait('a') = [1, 2]", 14, "'[' cannot stand here"),
        ("trait('a').equals([1, 2])", 19, "a list belongs in one_of(), none_of(), contains() and sources()"),
        ("trait('a') = 9223372036854775808", 14, "too large"),
        ("trait('a') = -" + "9" * 5000, 14, "too large"),
        ("event('X').within(" + "9" * 5000 + " days).count() = 1", 19, "a whole number from 1 to 36500"),
        (r"trait('a') = 'x\n'", 14, r"\n is not an escape"),
        (r"trait('a\\\.b') = 1", 7, "one, two or four backslashes"),
        ("NOT " * 3000 + "trait('a') = 1", 1, "nested too deeply"),
    ],
)
def test_refusals_point_at_the_place(text, column, words):
    line, found, message = refusal(text)
    assert (line, found) == (1, column)
    assert words in message


def test_lines_are_counted():
    assert refusal("trait('a') = 1\n  AND\n  event('X')")[:2] == (3, 3)
    assert refusal("trait('a') = 1\n  AND\n")[:2] == (2, 6)


def test_places_are_found_in_long_queries():
    text = """event('Order')
      .where(
        property('total') > 10
        AND property(parent: 'id') = 1
      )
      .count() >= 1"""
    assert refusal(text)[:2] == (4, 13)
    assert refusal(text.replace("parent: ", "").replace("count", "cuont"))[:2] == (6, 8)
    assert refusal(text.replace("parent: 'id'", "'id'").replace("= 1", "= 2024-02-30"))[:2] == (4, 30)


LEAVES = {
    *("trait('a') = 1", "trait('a').exists()", "trait('a').absent()", "trait('a').one_of(1)", "trait('a').none_of(1)"),
    *("trait('a').contains('x')", "trait('a').omits('x')", "trait('a').starts_with('x')", "trait('a').ends_with('x')"),
    *("trait('a').before_date(2000-01-01)", "trait('a').within_last(1 day)"),
}


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_every_kind_of_expression_counts(leaf):
    assert query.parse_audience(" AND ".join([leaf] * 50))
    assert "51 expressions" in refusal(" AND ".join([leaf] * 51))[2]


def test_expressions_inside_where_count_too():
    terms = " OR ".join(["property('a') = 1"] * 50)
    assert "51 expressions" in refusal(f"event('X').where({terms}).count() >= 1")[2]


def test_the_smallest_and_largest_integers_are_accepted():
    for value in (-(2**63), 2**63 - 1):
        node = Compare(TraitValue("a"), "=", Literal(value))
        assert query.parse_audience(f"trait('a') = {value}") == node
        assert query.parse_audience(query.print_query(node)) == node


def test_a_literal_may_start_a_chain():
    node = Exists(Literal("x"))
    assert query.print_query(node) == "literal('x').exists()"
    assert query.parse_audience("literal('x').exists()") == node


def test_nested_junctions_keep_their_parentheses():
    text = "trait('a') = 1 AND (trait('b') = 1 AND trait('c') = 1)"
    assert query.print_query(query.parse_audience(text)) == text


def test_large_floats_are_printed_in_full():
    node = Compare(TraitValue("a"), "<", Literal(1e18))
    assert query.print_query(node) == "trait('a') < 1000000000000000000.0"


def test_a_backslash_in_a_name_is_printed_twice():
    node = Exists(TraitValue("a\\b"))
    assert query.print_query(node) == r"trait('a\\b').exists()"
    assert query.parse_audience(query.print_query(node)) == node


def test_a_date_may_start_a_chain():
    node = query.parse_audience("literal(2000-01-01).exists()")
    assert query.print_query(node) == "literal(2000-01-01).exists()"


def test_one_of_anything_is_printed_in_the_singular():
    text = "event('X').within(1 day).between(1 hour, 2 hours).expires_after(1 hour).count()"
    assert query.print_query(query.parse_trait(text)) == text


def test_names_and_sources_are_printed_with_their_quotes_and_backslashes():
    sources, name = ("it's", "a\\b"), "items.$.it's"
    node = UniqueCount(Event("E", (Sources(sources),)), Property(name))
    assert query.parse_trait(query.print_query(node)) == node


def test_a_literal_dot_stays_one_in_every_kind_of_name():
    text = r"event('E').where(context('a\.b') = property('c\.$.d')).max(property('e\.f') as string)"
    assert query.print_query(query.parse_trait(text)) == text


def test_deep_funnels_print_back():
    text = "event('A').where(" * 40 + "property('a') = 1" + ").count() >= 1" * 40
    assert query.print_query(query.parse_audience(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20_000,
        "trait('a').one_of(" * 5_000,
        "trait('a') = '" + "\\\\" * 20_000,
        "trait('a') = 1 AND " * 5_000,
        "trait('a') = " + "9" * 50_000 + "-",
        "event('A').where(NOT " * 5_000,
    ],
    ids=lambda text: text[:20],
)
def test_long_nonsense_is_refused_quickly(text):
    started = time.perf_counter()
    refusal(text)
    assert time.perf_counter() - started < 5


def test_many_levels_of_parentheses_are_accepted():
    assert query.parse_audience("(" * 500 + "trait('a') = 1" + ")" * 500) == Compare(TraitValue("a"), "=", Literal(1))


def test_equal_queries_of_different_numbers_have_different_fingerprints():
    one, other = (Compare(Count(Event("E")), ">=", Literal(value)) for value in (1, 1.0))
    assert one == other
    assert query.fingerprint(one) != query.fingerprint(other)

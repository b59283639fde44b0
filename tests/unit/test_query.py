"""Odd corners of the language: escapes, positions, limits, and every message once."""

import pytest

from populace import query
from populace.definitions import Compare, Count, Event, Exists, Literal, TraitValue


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
        ("event(name: 'X').count() = 1", 7, "name: is not supported yet"),
        ("event('X').count(1) = 1", 12, "count() takes no argument"),
        ("event('X').sum(5) = 1", 16, "sum() takes property('…') or context('…')"),
        ("event('X').sum({property('a')}) = 1", 12, "sum() takes no braces"),
        ("event('X').where(property('a')).count() = 1", 18, "a value is not true or false"),
        ("event('X').where(1 day).count() = 1", 18, "a duration belongs in within()"),
        ("event('X').within(7).count() = 1", 19, "a number of hours or days"),
        ("event('X').within(0 days).count() = 1", 19, "a whole number from 1 to 36500"),
        ("event('X').within(-1 days).count() = 1", 19, "a whole number from 1 to 36500"),
        ("event('X').within(1.5 days).count() = 1", 19, "a whole number from 1 to 36500"),
        ("event('X').within(876001 hours).count() = 1", 19, "a whole number from 1 to 876000"),
        ("trait('a').one_of()", 12, "one_of() takes at least one value"),
        ("trait('a') = [1, 2]", 14, "'[' cannot stand here"),
        ("trait('a').equals([1, 2])", 19, "a list belongs in one_of()"),
        ("trait('a') = 9223372036854775808", 14, "too large"),
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


def test_many_levels_of_parentheses_are_accepted():
    assert query.parse_audience("(" * 500 + "trait('a') = 1" + ")" * 500) == Compare(TraitValue("a"), "=", Literal(1))


def test_equal_queries_of_different_numbers_have_different_fingerprints():
    one, other = (Compare(Count(Event("E")), ">=", Literal(value)) for value in (1, 1.0))
    assert one == other
    assert query.fingerprint(one) != query.fingerprint(other)

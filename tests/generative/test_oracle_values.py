"""What the oracle takes values for, and how they compare: worked out by hand."""

from datetime import UTC, date, datetime, timedelta

import pytest

from populace import nodes
from populace.nodes import (
    Compare,
    Contains,
    Dated,
    EndsWith,
    Last,
    Literal,
    NoneOf,
    OneOf,
    Property,
    Relative,
    StartsWith,
    TraitValue,
    Where,
)
from tests.generative import making, oracle, oracle_values
from tests.generative.by_hand import BARE, A, X, at_least_one, days, event, hours, space
from tests.tables import AS_OF

# --- instants ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2024-03-31", datetime(2024, 3, 31, tzinfo=UTC)),
        ("2024-03-31T12:00:00Z", AS_OF),
        ("2024-03-31T12:00:00.0000009Z", AS_OF),
        ("2024-03-31T12:00:00.5Z", AS_OF + timedelta(milliseconds=500)),
        ("2024-03-31T14:30:00+02:30", AS_OF),
        ("2024-03-31T07:30:00-0430", AS_OF),
        ("2024-03-31T13:00:00+01", AS_OF),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        *[(text, None) for text in making.NEARLY_ISO],
    ],
)
def test_what_texts_are_instants(text, said):
    assert oracle_values.as_instant(text) == said


@pytest.mark.parametrize(
    ("left", "sign", "right", "holds"),
    [
        (AS_OF, "=", "2024-03-31T13:00:00+01:00", True),
        (AS_OF, "!=", "2024-03-31T13:00:00+01:00", False),
        (AS_OF, ">", date(2024, 3, 31), True),
        ("2024-03-31", "=", date(2024, 3, 31), True),
        ("2024-03-31", "=", "2024-03-31T00:00:00Z", False),  # two texts
        ("2024-03-31", "<", "2024-03-31T00:00:00Z", True),
        (AS_OF, "!=", "soon", True),
        (AS_OF, "<", "soon", False),
        (AS_OF, "!=", 10, True),
        (AS_OF, ">", 10, False),
        (date(2024, 3, 31), "!=", True, True),
        (10, "=", "10.0", True),
        (True, "=", "true", True),
        (True, "=", 1, False),
    ],
)
def test_how_values_compare(left, sign, right, holds):
    assert oracle_values.compare(left, sign, right) is holds


def today(*times):
    return [time if "T" in time or len(time) == 10 else f"2024-03-31T{time}Z" for time in times]


@pytest.mark.parametrize(
    ("side", "duration", "inside", "outside"),
    [
        ("within_last", days(1), today("2024-03-30", "23:59:59"), today("2024-03-29T23:59:59Z", "2024-04-01")),
        ("within_next", days(14), today("2024-03-31", "2024-04-14T23:59:59Z"), ["2024-03-30", "2024-04-15"]),  # W17
        ("before_last", days(1), ["2024-03-30T23:59:59Z", "2024-03-31T00:30:00+01:00"], ["2024-03-31", "soon"]),
        ("after_next", days(1), ["2024-04-01", "2025-01-01"], today("23:59:59", "never-ever")),
        ("within_last", hours(1), today("11:00:00", "12:00:00"), today("10:59:59.999999", "12:00:00.000001")),
        ("within_next", hours(1), today("12:00:00", "13:00:00"), today("11:59:59.999999", "13:00:00.000001")),
        ("before_last", hours(1), today("11:00:00", "2023-01-01"), today("11:00:00.000001")),
        ("after_next", hours(1), today("13:00:00", "2025-01-01"), today("12:59:59.999999")),
    ],
)
def test_days_are_of_the_calendar_and_hours_of_the_clock(side, duration, inside, outside):
    asked = Relative(TraitValue("x"), side, duration)
    assert [oracle.holds(asked, space(custom={"x": value})) for value in inside] == [True] * len(inside)
    assert [oracle.holds(asked, space(custom={"x": value})) for value in outside] == [False] * len(outside)


def test_before_and_after_a_date_are_strict():
    for side, holds in (("before_date", [True, False, False]), ("after_date", [False, False, True])):
        asked = Dated(TraitValue("x"), side, Literal(date(2024, 3, 31)))
        held = ["2024-03-30T23:59:59.9Z", "2024-03-31T00:00:00Z", "2024-03-31T00:00:00.000001Z"]
        assert [oracle.holds(asked, space(custom={"x": value})) for value in held] == holds
        assert not any(oracle.holds(asked, space(custom={"x": value})) for value in ("soon", 10, True, None, [1]))


# --- texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "needle", "contains", "starts", "ends"),
    [
        ("banana", "an", True, False, False),
        ("banana", "ba", True, True, False),
        ("banana", "na", True, False, True),
        ("banana", "AN", False, False, False),
        ("banana", "", True, True, True),
        ("10.5", 10.0, True, True, False),
        ("0.5", 0.5, True, True, True),
        ("2024-03-31", date(2024, 3, 31), False, False, False),
        (10, "1", False, False, False),
        (True, "t", False, False, False),
        (["a"], "a", True, False, False),
        (["ab"], "a", False, False, False),
        ([5], "5", True, False, False),
        (["5"], 5.0, True, False, False),
        (["5"], "5.0", False, False, False),
        ([], "", False, False, False),
        (["ab", []], "a", True, False, False),
        ([{"sku": 5}], '"sku":5', True, False, False),
        ([{"sku": 5}], 5, True, False, False),
        ({"a": 1}, "a", False, False, False),
    ],
)
def test_only_texts_have_parts(value, needle, contains, starts, ends):
    operand, literal, person = TraitValue("x"), Literal(needle), space(custom={"x": value})
    assert oracle.holds(Contains(operand, (Literal("?"), literal)), person) is contains
    assert oracle.holds(StartsWith(operand, literal), person) is starts
    assert oracle.holds(EndsWith(operand, literal), person) is ends


@pytest.mark.parametrize(
    ("array", "condition", "holds"),
    [
        ([1, 5], Compare(A, ">", Literal(4)), True),
        ([1, 5], Compare(A, "!=", Literal(5)), True),
        ([5, "5"], Compare(A, "!=", Literal(5)), False),
        ([None], Compare(A, "!=", Literal(5)), False),
        ([[5]], Compare(A, "!=", Literal(5)), True),
        ([1, 5], Compare(A, "<", A), True),
        ([1, 5], Compare(Literal(3), ">", A), True),
        ([[5], None], nodes.Exists(A), True),
        ([None], nodes.Exists(A), False),
        ("a", nodes.Absent(A), True),
        (["a", "b"], NoneOf(A, (Literal("a"),)), True),
        (["a"], NoneOf(A, (Literal("a"),)), False),
        ([], NoneOf(A, (Literal("a"),)), False),
        (["ab"], Contains(A, (Literal("b"),)), True),
        ([["ab"]], Contains(A, (Literal("ab"),)), False),
        ([["a"]], OneOf(A, (Literal("a"),)), False),
        (["x", "E"], OneOf(Property("event"), (Literal("F"), A)), True),
        (["x", "E"], NoneOf(Property("event"), (A,)), False),
        (["x"], NoneOf(Property("event"), (A,)), True),
        (["w", 1], StartsWith(Property("source"), A), True),
    ],
)  # fmt: skip
def test_a_condition_holds_for_any_one_element(array, condition, holds):
    asked = at_least_one("E", Where(condition))
    assert oracle.holds(asked, space(event("E", 1, x=array))) is holds


def test_what_to_look_for_may_be_another_value_if_it_is_text():
    def found(value):
        asked = at_least_one("E", Where(Contains(X, (Property("y"),))))
        return oracle.holds(asked, space(event("E", 1, x="10 a", y=value)))

    assert [value for value in ("a", "10", 10, None, True) if found(value)] == ["a", "10"]


def test_instants_of_events_have_no_parts_and_their_names_have():
    def kept(*conditions):
        return [oracle.holds(at_least_one("E", Where(each)), space(event("E", 1))) for each in conditions]

    assert kept(StartsWith(Property("timestamp"), Literal("2024"))) == [False]
    assert kept(StartsWith(Property("event"), Literal("E")), EndsWith(Property("source"), Literal("b"))) == [True, True]
    last = Last(BARE, Property("timestamp"))
    assert oracle.holds(StartsWith(last, Literal("2024-03-30T")), space(event("E", 1)))


def test_one_of_and_none_of_compare_as_equals_does():
    def choice(kind, value, *choices):
        return oracle.holds(kind(TraitValue("x"), tuple(map(Literal, choices))), space(custom={"x": value}))

    assert choice(OneOf, 10, "a", "10.0")
    assert not choice(NoneOf, 10, "a", "10.0")
    assert choice(NoneOf, 10, "a", "11")
    assert choice(OneOf, "2024-03-31", date(2024, 3, 31))
    assert not choice(OneOf, None, "a")
    assert not choice(NoneOf, None, "a")
    assert choice(OneOf, [1, "b"], "a", "1.0")
    assert not choice(NoneOf, [1, "b"], "a", "1.0")
    assert choice(NoneOf, [[1]], 1)
    assert choice(NoneOf, [], 1)

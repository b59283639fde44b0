"""The oracle against results that were worked out by hand: the vectors of the reference, 4.12, and the edges of rules.

It judges the engine, so nothing of the engine is used here.
"""

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from populace import nodes
from populace.nodes import (
    Average,
    Between,
    Compare,
    Contains,
    Count,
    Dated,
    Duration,
    EndsWith,
    Event,
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
from tests.generative import making, oracle, oracle_values, test_queries
from tests.tables import AS_OF

PARENT = True


def event(name, days_ago, source="web", **properties):
    return {"event": name, "timestamp": AS_OF - timedelta(days=days_ago), "source": source, "p": properties, "c": {}}


def space(*events, custom=(), traits=(), audiences=(), as_of=AS_OF):
    """One profile with these events, in any order but by default received when they happened."""
    filled = [
        {"profile": 1, "received_at": each["timestamp"], "message_id": f"m{number}"} | each
        for number, each in enumerate(events)
    ]
    rows = [
        {"profile": 1, "name": name, "value": value, "timestamp": AS_OF, "received_at": AS_OF, "message_id": name}
        for name, value in dict(custom).items()
    ]
    made = {"events": filled, "custom": rows, "traits": dict(traits), "audiences": dict(audiences)}
    made |= {"profiles": {1: True}, "anonymous": dict.fromkeys(dict(audiences)), "include_anonymous": False}
    return oracle.Person(made, 1, as_of)


def days(amount):
    return Duration(amount, "days")


def hours(amount):
    return Duration(amount, "hours")


def at_least_one(name, *filters):
    return Compare(Count(Event(name, filters)), ">=", Literal(1))


def none(name, *filters):
    return Compare(Count(Event(name, filters)), "=", Literal(0))


def has(path, sign, value):
    return Compare(Property(path), sign, Literal(value))


# --- the vectors of the reference -------------------------------------------------------------

SIGNED_UP = at_least_one("Signed Up", Within(days(7)))
LAPSED = at_least_one("Viewed", Between(days(30), days(90)))
SILENT = nodes.And((LAPSED, none("Viewed", Within(days(30)))))
ABANDONED = at_least_one("Added", Where(none("Ordered", Within(days(1), PARENT))), Within(days(7)))
PRICES = [event("Ordered", 2, price=5), event("Ordered", 1)]


@pytest.mark.parametrize(
    ("name", "events", "condition", "holds"),
    [
        ("W1", [event("Signed Up", 6)], SIGNED_UP, True),
        ("W2", [event("Signed Up", 7)], SIGNED_UP, True),
        ("W3", [event("Signed Up", 7 + 1 / 86_400)], SIGNED_UP, False),
        ("W4", [event("Viewed", 40)], LAPSED, True),
        ("W5", [event("Viewed", 40), event("Viewed", 3)], SILENT, False),
        ("W5, silent", [event("Viewed", 40)], SILENT, True),
        ("W6", [], none("Ordered"), True),
        ("W7", [event("Added", 3), event("Ordered", 2.9)], ABANDONED, False),
        ("W8", [event("Added", 3), event("Ordered", 2.9), event("Added", 2)], ABANDONED, True),
        ("W9", [event("Added", 0.1)], ABANDONED, True),
        ("W10", [event("Ordered", 3.1), event("Added", 3)], ABANDONED, True),
        ("W11", PRICES, at_least_one("Ordered", Where(has("price", "!=", 5))), False),
        ("W12", PRICES, at_least_one("Ordered", Where(Not(has("price", "=", 5)))), True),
        ("W18, none_of", [], NoneOf(TraitValue("plan"), (Literal("free"),)), False),
        ("W18, omits", [], Not(Contains(TraitValue("plan"), (Literal("fr"),))), True),
    ],
)
def test_members_are_those_worked_out_by_hand(name, events, condition, holds):
    assert oracle.holds(condition, space(*events)) is holds, name


def of(name, path, *values):
    return [event(name, 20 - place, **{path: value}) for place, value in enumerate(values)]


BARE = Event("E")
OF_WEB = Event("E", (Sources(("app",)),))
X, Y = Property("x"), Property("x.$.y")
ARRAY = Mode(BARE, X, 1, "array")
A = Property("x.$")


@pytest.mark.parametrize(
    ("name", "events", "reducer", "value"),
    [
        ("W13", of("E", "x", "b", "a", "b", "a"), Mode(BARE, X, 2), "a"),
        ("W14", of("E", "x", "a", "b"), Mode(BARE, X, 2), None),
        ("W15, number", of("E", "x", "10", "9", 11), Max(BARE, X), 11.0),
        ("W15, string", of("E", "x", "10", "9", 11), Max(BARE, X, "string"), "9"),
        ("W16", of("E", "x", "B", "A", "B"), Unique(BARE, X), ["A", "B"]),
        ("W16, count", of("E", "x", "B", "A", "B"), UniqueCount(BARE, X), 2),
        ("mode, once more", of("E", "x", "b", "a", "b"), Mode(BARE, X, 2), "b"),
        ("mode of forms", of("E", "x", 10, 10.0, "10", True, "true", [1]), Mode(BARE, X, 3), "10"),
        ("unique of forms", of("E", "x", 10.0, 0.5, True, None, {"a": 1}), Unique(BARE, X), ["0.5", "10", "true"]),
        ("unique of lists", of("E", "x", "a", ["b", 10, None, [1], {}], []), Unique(BARE, X), ["10", "a", "b"]),
        ("unique count of lists", of("E", "x", "a", ["b", 10, "a"]), UniqueCount(BARE, X), 3),
        ("unique of none", of("E", "x", None, [[1], None], []), Unique(BARE, X), None),
        ("mode of lists", of("E", "x", "a", ["b", "b", None, None, None], []), Mode(BARE, X, 2), "b"),
        ("mode of arrays", of("E", "x", ["b"], ["a"], "b", ["b"], ["a"]), Mode(BARE, X, 2, "array"), ["a"]),
        ("array of forms", of("E", "x", [10.0, "b", None, True, [1], {}]), ARRAY, ["10", "b", "true", "[1]", "{}"]),
        ("arrays told apart", of("E", "x", [10], ["10"]), Mode(BARE, X, 2, "array"), None),
        ("array with nothing in it", of("E", "x", []), Mode(BARE, Property("x.$"), 1, "array"), []),
        ("arrays below", of("E", "x", [{"y": 1}, 2, {"y": None}]), Mode(BARE, Y, 1, "array"), ["1"]),
        ("sum of elements", of("E", "x", [{"y": 1}, {"y": "0.5"}, {"y": [9]}, {}], 7), Sum(BARE, Y), 1.5),
        ("first element", of("E", "x", [{}], [{"y": None}, {"y": 2}, {"y": 1}], [{"y": 3}]), First(BARE, Y), 2),
        ("last element", of("E", "x", [{"y": 3}], [{"y": 2}, {"y": 1}], [{}], []), Last(BARE, Y), 1),
        ("least of elements", of("E", "x", [{"y": 3}, {"y": 2}]), Min(BARE, Y), 2.0),
        ("elements of elements", of("E", "x", [[1, [2]], 3, ["a"]]), Unique(BARE, Property("x.$.$")), ["1", "a"]),
        ("unique count of none", of("E", "x", None), UniqueCount(BARE, X), None),
        ("average", of("E", "x", 1, "2.5", "no", None, True), Average(BARE, X), 1.75),
        ("average of thirds", of("E", "x", 0.1, 0.2, 0.0), Average(BARE, X), 0.1),
        ("average of none", of("E", "x", "no"), Average(BARE, X), None),
        ("sum", of("E", "x", 0.1, "0.2"), Sum(BARE, X), 0.3),
        ("least of whole numbers", of("E", "x", 2**53 + 1, 2**53 + 2), Min(BARE, X), 2**53 + 1),
        ("least of numeric texts", of("E", "x", "9", "10", "x"), Min(BARE, X), 9.0),
        ("least text", of("E", "x", "b", "B", "é", False), Min(BARE, X, "string"), "B"),
        ("greatest text", of("E", "x", "b", "é", [9]), Max(BARE, X, "string"), "é"),
        ("first", of("E", "x", None, 1, 2, None), First(BARE, X), 1),
        ("last", of("E", "x", None, 1, 2, None), Last(BARE, X), 2),
        ("first instant", [event("E", 1)], First(BARE, Property("timestamp")), "2024-03-30T12:00:00.000Z"),
        ("microseconds", [event("E", 1 / 86_400e6)], Last(BARE, Property("timestamp")), "2024-03-31T11:59:59.999999Z"),
        ("own timestamp", [event("E", 1), event("E", 2, timestamp=7)], Last(BARE, Property("timestamp")), 7),
        ("own only once", [event("E", 1), event("E", -9, timestamp=7)], Last(BARE, Property("timestamp")), None),
        ("of another name", [event("E", 1), event("F", 2, event="x")], Last(BARE, Property("event")), "E"),
        ("sources", [event("E", 1, "app"), event("E", 2)], Unique(OF_WEB, Property("source")), ["web"]),
    ],
)  # fmt: skip
def test_values_are_those_worked_out_by_hand(name, events, reducer, value):
    found = oracle.reduced(reducer, space(*events))
    assert found == value, name
    assert type(found) is type(value), name


def test_whole_numbers_are_exact_only_if_the_field_has_nothing_else_anywhere():
    elsewhere = event("E", -1, x="text") | {"profile": 2}
    assert type(oracle.reduced(Max(BARE, X), space(event("E", 1, x=3)))) is int
    assert type(oracle.reduced(Max(BARE, X), space(event("E", 1, x=3), elsewhere))) is float


def test_inside_an_expression_nothing_counted_is_zero_and_nothing_averaged_is_missing():
    person = space()
    assert [oracle.read_reduced(kind(BARE, X), person) for kind in (Sum, UniqueCount, Average, Min, Last)] == [
        0, 0, None, None, None,
    ]  # fmt: skip


# --- sessions (W22) ---------------------------------------------------------------------------


def at(time):
    hour, minute, *second = map(int, time.split(":"))
    return {
        "event": "Page Viewed", "timestamp": datetime(2024, 3, 31, hour, minute, *second, tzinfo=UTC), "source": "web",
        "p": {"time": time}, "c": {},
    }  # fmt: skip


def viewed(*filters):
    return Count(Event("Page Viewed", filters))


HALF_HOUR = ExpiresAfter(Duration(1_800, "seconds"))


def test_a_session_ends_with_a_longer_gap():
    as_of = datetime(2024, 3, 31, 11, 40, tzinfo=UTC)
    assert oracle.reduced(viewed(HALF_HOUR), space(at("10:00"), at("10:20"), at("11:30"), as_of=as_of)) == 1  # W22
    assert oracle.reduced(viewed(HALF_HOUR), space(at("11:30"), at("10:30"), at("11:00"), as_of=as_of)) == 3
    assert oracle.reduced(viewed(HALF_HOUR), space(at("11:30"), at("10:59:59"), as_of=as_of)) == 1


def test_a_session_is_of_what_passes_the_other_filters_wherever_they_stand():
    bridge = Where(has("time", "!=", "10:20"))
    person = space(at("10:00"), at("10:20"), at("10:40"))
    assert oracle.reduced(viewed(HALF_HOUR), person) == 3
    assert oracle.reduced(viewed(HALF_HOUR, bridge), person) == 1
    assert oracle.reduced(viewed(bridge, HALF_HOUR), person) == 1
    assert oracle.reduced(viewed(HALF_HOUR, ExpiresAfter(hours(1)), bridge), person) == 1


# --- windows after a parent -------------------------------------------------------------------

FOLLOWED = at_least_one("P", Where(at_least_one("C", Within(hours(1), PARENT))))


@pytest.mark.parametrize(
    ("minutes", "received", "message_id", "follows"),
    [
        (60, 0, "m0", True),
        (60 + 1 / 60, 0, "z", False),
        (-1, 0, "z", False),
        (0, 0, "z", True),  # at the same instant, later by message id
        (0, 0, "a", False),
        (0, 1, "a", True),  # received later
        (0, -1, "z", False),
    ],
)
def test_a_child_is_strictly_after_its_parent(minutes, received, message_id, follows):
    parent = event("P", 2) | {"message_id": "m"}
    instant = parent["timestamp"] + timedelta(minutes=minutes)
    child = event("C", 0) | {"timestamp": instant, "message_id": message_id}
    child["received_at"] = instant + timedelta(seconds=received)
    assert oracle.holds(FOLLOWED, space(parent, child)) is follows


def test_a_window_between_two_lengths_after_a_parent_has_both_ends_and_no_parent():
    def followed(first, second, ago, name="C"):
        window = Between(days(first), days(second), PARENT)
        return oracle.holds(at_least_one("P", Where(at_least_one(name, window))), space(event("P", 5), event("C", ago)))

    assert [ago for ago in (5, 4.5, 4, 3, 2, 1.9) if followed(1, 3, ago)] == [4, 3, 2]
    assert [ago for ago in (5, 4.5, 4, 3, 2, 1.9) if followed(3, 1, ago)] == [4, 3, 2]
    assert not followed(0, 1, 9, name="P")  # not even by itself


def test_events_inside_where_are_of_the_same_profile_and_not_later_than_the_run():
    inner = at_least_one("P", Where(at_least_one("C")))
    assert oracle.holds(inner, space(event("P", 1), event("C", 2)))
    assert not oracle.holds(inner, space(event("P", 1), event("C", 2) | {"profile": 2}))
    assert not oracle.holds(inner, space(event("P", 1), event("C", -1)))
    recent = at_least_one("P", Where(at_least_one("C", Within(days(3)))))
    assert oracle.holds(recent, space(event("P", 9), event("C", 3)))  # back from the run, not from the parent


def test_properties_of_a_parent_are_those_of_the_next_event_outside():
    same = Where(Compare(X, "=", Property("x", PARENT)))
    inner = at_least_one("C", same, Within(days(1), PARENT))
    funnel = at_least_one("B", same, Where(inner), Within(days(1), PARENT))
    asked = at_least_one("A", Where(funnel))
    assert oracle.holds(asked, space(event("A", 3, x=1), event("B", 2.5, x=1), event("C", 2, x="1")))
    assert not oracle.holds(asked, space(event("A", 3, x=1), event("B", 2.5, x=1), event("C", 2, x=2)))
    assert not oracle.holds(asked, space(event("A", 3, x=2), event("B", 2.5, x=1), event("C", 2, x=1)))
    # A day after B, though two days after A.
    assert oracle.holds(asked, space(event("A", 3, x=1), event("B", 2, x=1), event("C", 1, x=1)))


def test_traits_stand_beside_properties():
    above = at_least_one("E", Where(Compare(X, ">", TraitValue("usual"))))
    person = space(event("E", 1, x=3), event("E", 2, x=1), traits={"usual": Average(BARE, X)})
    assert oracle.holds(above, person)
    assert not oracle.holds(above, space(event("E", 1, x=3), traits={"usual": Average(BARE, X)}))
    assert oracle.holds(above, space(event("E", 1, x=3), custom={"usual": "2"}))
    assert not oracle.holds(above, space(event("E", 1, x=3)))
    marked = at_least_one("E", Where(Compare(TraitValue("k"), "=", Property("x"))))
    assert oracle.holds(marked, space(event("E", 1, x="true"), audiences={"k": at_least_one("E")}))


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


# --- everything that is made ------------------------------------------------------------------


@pytest.mark.parametrize("kind", test_queries.FUNNELS)
def test_funnels_are_made_so_that_some_hold_and_some_do_not(kind):
    found = {True: 0, False: 0}
    for seed in range(150):
        made = test_queries.make_space(Random(seed), test_queries.FUNNELS[kind])
        for members in oracle.members(made, AS_OF).values():
            for profile in (1, 2, 3):
                found[profile in members] += 1
    assert min(found.values()) > 20

"""The oracle against results that were worked out by hand: the vectors of the reference, 4.12, and the edges of rules.

It judges the engine, so nothing of the engine is used here.
"""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from populace import nodes
from populace.nodes import (
    Average,
    Between,
    Compare,
    Contains,
    Count,
    Duration,
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
    Property,
    Sources,
    Sum,
    TraitValue,
    Unique,
    UniqueCount,
    Where,
    Within,
)
from tests.generative import oracle, test_queries
from tests.generative.by_hand import BARE, PARENT, X, at_least_one, days, event, has, hours, none, space
from tests.tables import AS_OF

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


OF_WEB = Event("E", (Sources(("app",)),))
Y = Property("x.$.y")
ARRAY = Mode(BARE, X, 1, "array")


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

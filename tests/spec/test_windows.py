"""Windows and instants: which time a run looks at."""

from datetime import timedelta

import pytest

from tests.spec.evaluating import members, trait_values
from tests.tables import AS_OF

ONE = "profile|timestamp\n1|d-7\n"


def test_q23_the_order_of_two_lengths_does_not_matter():
    """Windows: Both ends of `between(7 days, 10 days)` belong to it, and the order of the two does not matter."""
    for window in ("between(7 days, 10 days)", "between(10 days, 7 days)"):
        assert trait_values(f"event('Viewed').{window}.count()", ONE, event="Viewed") == {1: 1}


@pytest.mark.parametrize(("hours", "expected"), [(0, [1]), (1, [])])
def test_t24_who_did_something_long_enough_ago_leaves_by_time_alone(hours, expected):
    """Windows: A window moves on with time, so that people leave without doing anything."""
    now = AS_OF + timedelta(hours=hours)
    assert members("event('Viewed').within(7 days).count() >= 1", {"Viewed": ONE}, as_of=now) == expected


def test_q22_every_window_and_today_are_of_one_instant():
    custom = 'profile|name|value|timestamp\n1|due|"2024-04-05"|d-9\n'
    text = "event('E').within(5 days).count() = 1 AND trait('due').within_last(0 days)"
    tables = {"E": "profile|timestamp\n1|2024-03-31T00:00:00\n"}
    found = {
        days: members(text, tables, custom=custom, as_of=AS_OF.replace(hour=0) + timedelta(days)) for days in range(8)
    }
    assert found == {days: [1] if days == 5 else [] for days in range(8)}


def test_t23_a_window_does_not_look_at_traits():
    custom = 'profile|name|value|timestamp\n1|plan|"pro"|d-900\n'
    text = "event('E').where(trait('plan') = 'pro').within(1 day).count() = 1"
    assert members(text, {"E": "profile|timestamp\n1|d-0.5\n"}, custom=custom) == [1]


def test_a34_without_a_window_events_of_any_age_count():
    """Windows: …Without one, events of any age count."""
    rows = "profile|timestamp\n1|2001-01-01T00:00:00\n"
    assert trait_values("event('Viewed').count()", rows, event="Viewed") == {1: 1}


def test_a32_a_fixed_date_is_compared_with_the_timestamp():
    """Windows: A fixed time is asked for by the `timestamp` of events."""
    rows = "profile|timestamp\n1|2024-03-01T10:00:00\n1|2024-03-08T10:00:00\n"
    text = "event('Viewed').where(property('timestamp').before_date(2024-03-08)).count()"
    assert trait_values(text, rows, event="Viewed") == {1: 1}


def test_t20_hours_and_days_are_exact():
    rows = "profile|timestamp\n1|2024-03-24T12:00:00\n2|2024-03-24T11:59:59.999999\n"
    for window in ("within(7 days)", "within(168 hours)", "between(0 days, 7 days)", "between(0 hours, 168 hours)"):
        assert trait_values(f"event('E').{window}.count()", rows) == {1: 1}, window


@pytest.mark.parametrize(("moment", "follows"), [("d-3", False), ("d-2.9", True), ("d-2", True), ("d-1.9", False)])
def test_q23_a_window_of_the_parent_begins_right_after_it(moment, follows):
    tables = {"A": "profile|timestamp|message_id\n1|d-3|m2\n", "B": f"profile|timestamp|message_id\n1|{moment}|m1\n"}
    text = "event('A').where(event('B').within(parent: 1 day).count() = 1).count() = 1"
    assert members(text, tables) == [1] * follows

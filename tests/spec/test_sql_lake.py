"""Statements over the lake: its views, and when they are asked."""

from datetime import timedelta

import pytest

from populace.errors import StatementError
from populace.space import snapshots
from tests import driving
from tests.shops import TWICE_A_DAY, over_lake
from tests.slicing import NOON, called
from tests.tables import AS_OF

REVENUE = "select profile_id, sum(total) as spent, max(item_sku) as sku from event.order_completed group by 1"


def test_a_statement_over_the_lake_runs_with_every_run(shop):
    found = shop(over_lake(REVENUE))
    assert found.run().values("spent", "sku") == {"u1": (20, "s1"), "u2": (7.5, None), "a1": (1, None)}
    assert found.run(NOON - timedelta(days=1)).values() == {}
    assert found.counts() == {}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select profile_id, count(*) as x from Events group by 1", {"u1": 1, "u2": 1, "a1": 1}),
        ("select profile_id, event as x from events where source = 'web' and profile_id in "
         "(select profile_id from external_ids where id_value = 'u2')", {"u2": "Order Completed"}),
        ("select profile_id, mixed as x from event.order_completed where mixed is not null", {"u1": "1", "u2": "two"}),
        ("select profile_id, profile_id_2 as x from event.order_completed where profile_id_2 is not null",
         {"a1": "odd"}),
        ("select profile_id, value as x from custom_traits where name = 'plan'", {"u1": '"pro"'}),
        ("select profile_id, revenue as x from traits where revenue > 10", {"u1": 20}),
        ("select profile_id, collection as x from profiles where created_at < TIMESTAMP '2030-01-01'",
         {"u1": "users", "u2": "users", "a1": "users"}),
        ("with mine as (select * from events) select profile_id, count(*) as x from mine group by 1",
         {"u1": 1, "u2": 1, "a1": 1}),
        ("select id_value as user_id, count(*) as x from external_ids where id_type = 'user_id' group by 1",
         {"u1": 1, "u2": 1}),
    ],
)  # fmt: skip
def test_views_of_the_lake(shop, statement, expected):
    found = shop(over_lake(statement), traits={"revenue": "event('Order Completed').sum(property('total'))"})
    assert {who: x for who, (x,) in found.run().values("x").items() if x is not None} == expected


def test_calls_that_are_no_events_are_in_no_view(shop):
    found = shop(over_lake("select profile_id, count(*) as x from events group by 1"))
    assert found.run().values("x") == {"u1": (1,), "u2": (1,), "a1": (1,)}  # u1 was identified twice as well


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("select profile_id, 1 as x from event.order_complete", "did you mean 'event.order_completed'?"),
        (
            "select profile_id, 1 as x from event.identify",
            "no event is called so that there is a view 'event.identify'",
        ),
        ("select profile_id, 1 as x from memberships", "there is no view 'memberships' of the lake; there is custom_"),
    ],
)
def test_a_view_that_is_not_there_is_told_with_those_that_are(shop, statement, told):
    assert told in shop(over_lake(statement)).refused(StatementError)


def test_with_a_schedule_the_lake_is_asked_by_the_run_in_which_the_instant_falls_due(shop):
    found = shop(over_lake("select profile_id, count(*) as n from events group by 1", schedule=TWICE_A_DAY))
    first = found.run(AS_OF + timedelta(hours=1)).run_id
    assert found.run(AS_OF + timedelta(hours=1)).run_id == first  # the same again, though there is an answer now
    more = {"message_id": "x", "user_id": "u1", "received_at": NOON, "type": "track", "event": "E"}
    driving.put(found.space, "web", "b", called(more))
    driving.replay_all(found.space, AS_OF)
    assert found.run(AS_OF + timedelta(hours=2)).values("n")["u1"] == (1,)
    assert not snapshots.are_new(found.space, AS_OF + timedelta(hours=3))
    assert snapshots.are_new(found.space, AS_OF + timedelta(hours=12))
    assert found.run(AS_OF + timedelta(hours=12)).values("n")["u1"] == (2,)


def test_a_person_who_has_merged_since_the_answer_is_found(shop):
    named = "select profile_id, 1 as n from external_ids where id_value = 'a1'"
    found = shop(over_lake(named, schedule=TWICE_A_DAY))
    before = found.run().who("a1")["profile_id"]
    both = {"message_id": "x", "user_id": "u2", "anonymous_id": "a1", "received_at": NOON, "event": "E"}
    driving.put(found.space, "web", "b", called(both))
    driving.replay_all(found.space, AS_OF)
    found.run(AS_OF + timedelta(hours=2))
    assert (found.values("n"), found.counts()) == ({"u2": (1,)}, {"rows": 1, "known": 1})
    assert found.table("retired").rows() == [(before, found.who("u2")["profile_id"])]


def test_a_profile_that_nobody_has_is_a_stranger(shop):
    found = shop(over_lake("select 'use_nobody' as profile_id, 1 as n"))
    found.run()
    assert found.values() == {}
    assert found.counts() == {"rows": 1, "strangers": 1}

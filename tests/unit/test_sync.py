"""What is sent, under which name, and what the ledger says afterwards."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_args

import polars as pl
import pytest

from populace import sync
from populace.definitions import Audience, Delivery, Destination, Trait
from populace.destinations.protocol import Outcome
from populace.nodes import Count, Event, Exists, Last, Property, Sum

CRM = Destination("crm", "webhook")
TO_CRM = (Delivery("crm"),)
PLAN = Trait("plan", Last(Event("Subscribed"), Property("plan")), deliveries=TO_CRM)
ORDERS = Trait("orders", Count(Event("Order")), deliveries=TO_CRM)
ELSEWHERE = Trait("secret_score", Last(Event("Scored"), Property("score")), deliveries=(Delivery("other"),))
BUYERS = Audience("buyers", Exists(Property("plan")), deliveries=TO_CRM)

IDS = ["profile_id", "collection", "id_type", "id_value", "added_at", "message_id"]


def external_ids(*rows: tuple) -> pl.LazyFrame:
    """(profile_id, id_type, id_value, day added, message_id) for users."""
    filled = [(row[0], "users", row[1], row[2], datetime(2024, 3, row[3], tzinfo=UTC), row[4]) for row in rows]
    return pl.LazyFrame(filled, schema=IDS, orient="row")


ANN_GOLD = ("trait", "plan", "p1", "user_id", "ann", '"gold"')
BO_BUYS = ("audience", "buyers", "p2", "email", "bo@x.org", "true")

PEOPLE = external_ids(("p1", "user_id", "ann", 1, "m1"), ("p2", "email", "bo@x.org", 1, "m2"))


def members(**audiences: list[str]) -> pl.LazyFrame:
    rows = [(name, each) for name, profiles in audiences.items() for each in profiles]
    return pl.LazyFrame(rows, schema={"audience": pl.String, "profile_id": pl.String}, orient="row")


def traits(schema: dict | None = None, **columns: list) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"profile_id": [f"p{each + 1}" for each in range(len(columns.get("plan", [])))], **columns}, schema
    )


def state(*rows: tuple) -> pl.DataFrame:
    """(kind, key, profile_id, id_type, id_value, value)."""
    filled = [(kind, key, "property", *rest) for kind, key, *rest in rows]
    return pl.DataFrame(filled, schema=sync.STATE, orient="row")


def wanted(
    table: pl.LazyFrame,
    people: pl.LazyFrame = PEOPLE,
    acknowledged: pl.DataFrame | None = None,
    **audiences: list[str],
) -> list[tuple]:
    """What is desired of a table of traits and the members of audiences, as (key, id_type, id_value, value)."""
    known = [PLAN, ORDERS, ELSEWHERE]
    found = sync.desired(CRM, known, [BUYERS], table, members(**audiences), people, acknowledged=acknowledged)
    return sorted(found.select("key", "id_type", "id_value", "value").rows(), key=str)


def settled(records: pl.DataFrame, outcome: str = "delivered", *, in_doubt: bool = False) -> pl.DataFrame:
    return records.with_columns(outcome=pl.lit(outcome), reason=pl.lit(""), in_doubt=pl.lit(in_doubt))


# --- desired ----------------------------------------------------------------------------------


def test_only_what_is_delivered_to_the_destination_is_desired():
    table = traits(plan=["gold", None], secret_score=["1", "2"])
    assert wanted(table, buyers=["p2"], strangers=["p1"]) == [
        ("buyers", "email", "bo@x.org", "true"),
        ("plan", "user_id", "ann", '"gold"'),
    ]


def test_a_definition_that_the_run_does_not_know_yet_has_no_rows():
    assert wanted(traits(plan=[None])) == []


def test_a_profile_without_identifier_is_counted_and_not_sent():
    people = external_ids(("p1", "anonymous_id", "a1", 1, "m1"))
    assert wanted(traits(plan=["gold"]), people) == [("plan", None, None, '"gold"')]


def test_identifier_of_another_collection_does_not_count():
    accounts = PEOPLE.with_columns(collection=pl.lit("accounts"))
    assert wanted(traits(plan=["gold"]), accounts) == [("plan", None, None, '"gold"')]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("email", "new@x.org", 9, "m9"), ("user_id", "old", 1, "m1")], "old"),
        ([("user_id", "early", 1, "m9"), ("user_id", "late", 2, "m1")], "late"),
        ([("user_id", "first", 1, "m1"), ("user_id", "second", 1, "m2")], "second"),
        ([("user_id", "b", 1, "m1"), ("user_id", "a", 1, "m1")], "a"),
    ],
    ids=["user_id before email", "added last", "tie by message", "tie by value"],
)
def test_identifier_is_the_last_user_id_else_the_last_email(rows: list[tuple], expected: str):
    people = external_ids(*(("p1", *row) for row in rows))
    assert [row[2] for row in wanted(traits(plan=["gold"]), people)] == [expected]


def test_two_forms_of_one_definition_are_two_records():
    both = Audience("buyers", Exists(Property("plan")), deliveries=(Delivery("crm", "list"), Delivery("crm")))
    found = sync.desired(CRM, [], [both], traits(plan=[]), members(buyers=["p1"]), PEOPLE)
    assert sorted(found["form"]) == ["list", "property"]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([10, None], pl.Int64, ["10", None]),
        ([10.0, -0.0], pl.Float64, ["10", "0"]),
        ([0.1, float("nan")], pl.Float64, ["0.1", None]),
        ([float("inf"), 1e300], pl.Float64, [None, "1e+300"]),
        ([2**53 + 1], pl.Int64, ["9007199254740993"]),
        ([Decimal("10.500000"), Decimal("100.000000")], pl.Decimal(20, 6), ["10.5", "100"]),
        ([True, False], pl.Boolean, ["true", "false"]),
        (['a"\\é\x00\n', ""], pl.String, ['"a\\"\\\\é\\u0000\\n"', '""']),
        ([["a", 'b"}'], [], None], pl.List(pl.String), ['["a","b\\"}"]', "[]", None]),
        ([datetime(2024, 3, 1, 12)], pl.Datetime("us"), ['"2024-03-01T12:00:00.000000"']),
    ],
    ids=["integer", "whole float", "nan", "infinite", "large integer", "decimal", "boolean", "text", "list", "instant"],
)
def test_canonical_json(values: list, dtype: Any, expected: list):
    frame = pl.DataFrame({"x": pl.Series(values, dtype=dtype)})
    found = frame.select(sync.canonical("x", frame.schema["x"])).to_series().to_list()
    assert found == expected
    assert all(json.loads(text) is not None for text in found if text)


def test_a_count_that_matches_nothing_is_zero_only_where_a_value_was_sent():
    held = state(("trait", "orders", "p1", "user_id", "ann", "3"), ("trait", "plan", "p1", "user_id", "ann", '"gold"'))
    table = traits(
        {"profile_id": pl.String, "orders": pl.Int64, "plan": pl.String}, orders=[None, None], plan=[None, None]
    )
    assert wanted(table, acknowledged=held) == [("orders", "user_id", "ann", "0")]


def test_a_sum_is_not_set_to_zero_under_an_identifier_the_person_lost():
    total = Trait("total", Sum(Event("Order"), Property("total")), deliveries=TO_CRM)
    held = state(("trait", "total", "p1", "user_id", "old", "3"))
    table = pl.LazyFrame({"profile_id": ["p1"], "total": [None]}, {"profile_id": pl.String, "total": pl.Float64})
    assert sync.desired(CRM, [total], [], table, members(), PEOPLE, acknowledged=held).is_empty()


# --- the difference ---------------------------------------------------------------------------


def actions(desired: pl.DataFrame, held: pl.DataFrame, **options: Any) -> list[tuple]:
    records = sync.difference(desired, held, "salt", **options)
    return sorted(records.select("action", "key", "id_value", "value").rows())


def test_first_sync_sends_everything_and_the_second_nothing():
    desired = state(ANN_GOLD, BO_BUYS)
    records = sync.difference(desired, state(), "salt")
    assert records["action"].to_list() == ["set", "set"]
    held = sync.acknowledge(state(), settled(records))
    assert actions(desired, held) == []


def test_changed_value_is_set_again():
    held = state(("trait", "plan", "p1", "user_id", "ann", '"free"'))
    assert actions(state(ANN_GOLD), held) == [("set", "plan", "ann", '"gold"')]


def test_what_is_gone_is_unset_or_exited():
    assert actions(state(), state(ANN_GOLD, BO_BUYS)) == [
        ("exit", "buyers", "bo@x.org", "false"),
        ("unset", "plan", "ann", None),
    ]


def test_new_identifier_exits_the_old_one():
    moved = ("audience", "buyers", "p2", "user_id", "bo", "true")
    assert actions(state(moved), state(BO_BUYS)) == [
        ("exit", "buyers", "bo@x.org", "false"),
        ("set", "buyers", "bo", "true"),
    ]


def test_exit_is_acknowledged_once():
    held = state(BO_BUYS)
    records = sync.difference(state(), held, "salt")
    assert actions(state(), sync.acknowledge(held, settled(records))) == []


def test_merged_profile_is_a_change_only_where_the_destination_keeps_profile_ids():
    merged = ("trait", "plan", "p9", "user_id", "ann", '"gold"')
    assert actions(state(merged), state(ANN_GOLD)) == []
    assert len(actions(state(merged), state(ANN_GOLD), compared=("value", "profile_id"))) == 1


def test_records_do_not_depend_on_the_order_of_rows():
    rows = [("trait", f"t{key}", "p", "user_id", f"u{person}", "1") for person in range(5) for key in range(3)]
    assert sync.difference(state(*rows), state(), "s").equals(sync.difference(state(*rows[::-1]), state(), "s"))


def test_records_of_one_person_stay_together():
    rows = [("trait", f"t{key}", f"p{person}", "user_id", f"u{person}", "1") for key in range(3) for person in range(9)]
    found = sync.difference(state(*rows), state(), "s")["id_value"]
    assert found.rle().len() == 9


def test_message_ids_are_distinct_and_follow_from_content_and_run():
    rows = [ANN_GOLD, BO_BUYS, ("trait", "plan", "p3", "user_id", "cy", '"gold"')]
    first = sync.difference(state(*rows), state(), "run 1")["message_id"]
    assert first.n_unique() == 3
    assert first.equals(sync.difference(state(*rows), state(), "run 1")["message_id"])
    assert not set(first) & set(sync.difference(state(*rows), state(), "run 2")["message_id"])


# --- after sending ----------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", sync.OUTCOMES)
def test_only_an_accepted_record_advances_the_ledger(outcome: str):
    records = sync.difference(state(ANN_GOLD), state(), "salt")
    held = sync.acknowledge(state(), settled(records, outcome))
    assert held.height == (outcome in {"delivered", "noop", "warning"})


def test_acknowledging_twice_is_acknowledging_once():
    held = state(BO_BUYS)
    done = settled(sync.difference(state(ANN_GOLD), held, "salt"))
    once = sync.acknowledge(held, done)
    assert sync.acknowledge(once, done).equals(once)


def test_doubt_sends_again_even_when_the_old_value_is_back():
    held = state(ANN_GOLD)
    silver = state(("trait", "plan", "p1", "user_id", "ann", '"silver"'))
    unsure = sync.doubtful(settled(sync.difference(silver, held, "salt"), "unknown", in_doubt=True))
    assert actions(state(ANN_GOLD), sync.doubt(held, unsure)) == [("set", "plan", "ann", '"gold"')]


def test_doubt_about_a_first_set_removes_what_is_no_longer_desired():
    unsure = sync.doubtful(settled(sync.difference(state(BO_BUYS), state(), "salt"), "transient", in_doubt=True))
    assert actions(state(), sync.doubt(state(), unsure)) == [("exit", "buyers", "bo@x.org", "false")]


def test_what_was_never_on_the_wire_is_not_in_doubt():
    records = sync.difference(state(BO_BUYS), state(), "salt")
    assert sync.doubtful(settled(records, "transient")).is_empty()
    assert sync.doubtful(settled(records, "delivered", in_doubt=True)).is_empty()


def test_resync_sends_everything_again_and_still_knows_whom_to_exit():
    assert actions(state(ANN_GOLD), sync.forget(state(ANN_GOLD, BO_BUYS))) == [
        ("exit", "buyers", "bo@x.org", "false"),
        ("set", "plan", "ann", '"gold"'),
    ]


def test_parked_record_is_not_sent_until_its_value_changes():
    letters = sync.park(sync.SETTLED.to_frame(), settled(sync.difference(state(ANN_GOLD), state(), "run 1"), "invalid"))
    same = sync.difference(state(ANN_GOLD), state(), "run 2")
    assert [each.height for each in sync.without_parked(same, letters)] == [0, 1]
    silver = sync.difference(state(("trait", "plan", "p1", "user_id", "ann", '"silver"')), state(), "run 2")
    assert [each.height for each in sync.without_parked(silver, letters)] == [1, 0]


def test_parked_unset_is_recognised_although_its_value_is_null():
    records = sync.difference(state(), state(ANN_GOLD), "run 1")
    letters = sync.park(sync.SETTLED.to_frame(), settled(records, "invalid"))
    assert [each.height for each in sync.without_parked(records, letters)] == [0, 1]


def test_letter_closes_when_the_destination_no_longer_needs_the_record():
    letters = sync.park(sync.SETTLED.to_frame(), settled(sync.difference(state(ANN_GOLD), state(), "run 1"), "invalid"))
    due, kept = sync.without_parked(sync.difference(state(), state(), "run 2"), letters)
    assert due.is_empty()
    assert kept.is_empty()


# --- the account ------------------------------------------------------------------------------


def test_computed_is_the_sum_of_outcomes():
    nobody = ("trait", "plan", "p5", None, None, '"gold"')
    desired = state(ANN_GOLD, BO_BUYS, nobody)
    held = state(BO_BUYS, ("trait", "plan", "p4", "user_id", "dee", '"free"'))
    records = sync.difference(desired, held, "salt")
    account = sync.summary(desired, records, settled(records))
    assert account["computed"] == 4
    assert {name for name, count in account.items() if count == 1} == {
        "to_set",
        "to_remove",
        "unchanged",
        "no_identifier",
    }
    assert account["delivered"] == 2
    assert account["status"] == "success"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("warning", "success"),
        ("invalid", "partial"),
        ("throttled", "partial"),
        ("unknown", "partial"),
        ("refused", "held"),
    ],
)
def test_status_tells_the_truth(outcome: str, status: str):
    records = sync.difference(state(ANN_GOLD), state(), "salt")
    assert sync.summary(state(ANN_GOLD), records, settled(records, outcome))["status"] == status


def test_a_record_without_outcome_is_a_defect():
    records = sync.difference(state(ANN_GOLD), state(), "salt")
    with pytest.raises(AssertionError):
        sync.summary(state(ANN_GOLD), records, settled(records).clear())


def test_adapters_and_sync_mean_the_same_outcomes():
    assert set(get_args(Outcome)) == set(sync.OUTCOMES)

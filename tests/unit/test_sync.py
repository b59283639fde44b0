"""What is sent, under which name, and what the ledger says afterwards."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import polars as pl
import pytest

from populace import sync
from populace.definitions import Audience, Delivery, Destination, Known, Trait
from populace.destinations.protocol import Outcome
from populace.nodes import Count, Event, Exists, Last, Property

NOW = datetime(2024, 3, 10, tzinfo=UTC)
NEWEST = Known((("user_id", "last"), ("email", "last")))

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


def desired(
    traits: list[Trait],
    audiences: list[Audience],
    table: pl.LazyFrame,
    of: pl.LazyFrame,
    people: pl.LazyFrame,
    by=NEWEST,
) -> pl.DataFrame:
    """Everything the destination should hold, as one frame; what has no identifier has rows without one."""
    found = sync.Desired(sync.identified(people, by), table, of)
    parts = [sync.STATE.to_frame()]
    for computation in sync.asked(CRM, [*traits, *audiences], "property"):
        wanted = found.of(computation)
        nobody = pl.DataFrame([(None,) * 4] * wanted.without, schema=sync.WANTED, orient="row")
        parts.append(stated(computation, pl.concat([wanted.rows.select(list(sync.WANTED)), nobody])))
    return pl.concat(parts)


def stated(computation: tuple, rows: pl.DataFrame) -> pl.DataFrame:
    named = {name: pl.lit(each) for name, each in zip(sync.COMPUTATION, computation, strict=True)}
    return rows.with_columns(**named).select(list(sync.STATE))


def split(*states: pl.DataFrame) -> list[sync.Computation]:
    rows = {row for each in states for row in each.select(sync.COMPUTATION).rows()}
    return sorted(sync.Computation(*row) for row in rows)


def part(frame: pl.DataFrame, computation: sync.Computation) -> pl.DataFrame:
    named = zip(sync.COMPUTATION, computation, strict=True)
    return frame.filter(*(pl.col(name) == value for name, value in named))


def held_part(held: pl.DataFrame, computation: sync.Computation) -> pl.DataFrame:
    found = part(held, computation)
    return (found if "at" in found.columns else found.with_columns(at=NOW)).select(list(sync.HELD))


def difference(
    wanted: pl.DataFrame, held: pl.DataFrame, salt: str = "salt", waiting: pl.DataFrame | None = None, **options: Any
) -> pl.DataFrame:
    """The records between two states."""
    found = [
        sync.changes(each, sync.Wanted(part(wanted, each).select(list(sync.WANTED))), held_part(held, each), **options)
        for each in split(wanted, held)
    ]
    return sync.recorded([each.records for each in found], salt, sync.QUEUE.to_frame() if waiting is None else waiting)


def acknowledge(held: pl.DataFrame, done: pl.DataFrame) -> pl.DataFrame:
    """The ledger after an exchange, as one frame."""
    parts = [stated(each, sync.acknowledge(held_part(held, each), part(done, each), NOW)) for each in split(held, done)]
    return pl.concat([sync.STATE.to_frame(), *parts])


def wanted(table: pl.LazyFrame, people: pl.LazyFrame = PEOPLE, **audiences: list[str]) -> list[tuple]:
    """What is desired of a table of traits and the members of audiences, as (key, id_type, id_value, value)."""
    found = desired([PLAN, ORDERS, ELSEWHERE], [BUYERS], table, members(**audiences), people)
    return sorted(found.select("key", "id_type", "id_value", "value").rows(), key=str)


def settled(records: pl.DataFrame, outcome: str = "delivered", *, in_doubt: bool = False) -> pl.DataFrame:
    more = {"outcome": outcome, "reason": "", "in_doubt": in_doubt, "attempts": 1, "sent": "{}", "reply": "HTTP 422"}
    return records.with_columns(pl.lit(value, sync.SETTLED[name]).alias(name) for name, value in more.items())


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
    assert wanted(traits(plan=["gold"]), people) == [("plan", None, None, None)]


def test_identifier_of_another_collection_does_not_count():
    accounts = PEOPLE.with_columns(collection=pl.lit("accounts"))
    assert wanted(traits(plan=["gold"]), accounts) == [("plan", None, None, None)]


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


SEVERAL = external_ids(
    ("p1", "user_id", "u-old", 1, "m1"),
    ("p1", "user_id", "u-new", 2, "m2"),
    ("p1", "email", "ann@x.org", 1, "m1"),
    ("p1", "email", "ann@y.org", 3, "m3"),
    ("p2", "email", "bo@x.org", 1, "m4"),
)


@pytest.mark.parametrize(
    ("types", "is_each", "ann"),
    [
        ([("user_id", "first")], False, ["u-old"]),
        ([("user_id", "all"), ("email", "last")], False, ["u-new", "u-old"]),
        ([("email", "first"), ("user_id", "last")], False, ["ann@x.org"]),
        ([("user_id", "last"), ("email", "last")], True, ["ann@y.org", "u-new"]),
        ([("user_id", "all"), ("email", "all")], True, ["ann@x.org", "ann@y.org", "u-new", "u-old"]),
        ([("email", "all")], True, ["ann@x.org", "ann@y.org"]),
        ([("ios.id", "last")], True, []),
    ],
    ids=["first", "all of the first type", "other order", "each type", "all of each", "all of one", "none"],
)
def test_people_go_by_the_identifiers_that_the_strategy_names(types: list, is_each: bool, ann: list[str]):
    """D-41, D-43, D-47: each identifier is told alone."""
    found = sync.identified(SEVERAL, Known(tuple(types), is_each))
    assert sorted(found.filter(profile_id="p1")["id_value"]) == ann
    assert found.filter(pl.col("profile_id") == "p1")["is_first"].sum() == bool(ann)


def test_an_identifier_that_is_added_is_told_what_the_others_know():
    """D-22: the value is sent again, unchanged, under the identifier that is new."""
    by = Known((("user_id", "all"),), is_each=True)
    before, after = SEVERAL.filter(pl.col("id_value") != "u-new"), SEVERAL
    table = traits(plan=["gold"])
    held = desired([PLAN], [], table, members(), before, by)
    assert actions(desired([PLAN], [], table, members(), after, by), held) == [("set", "plan", "u-new", '"gold"')]


def test_an_exit_goes_to_every_identifier_that_was_told_whatever_the_strategy_is_now():
    """D-44."""
    all_of_them = Known((("user_id", "all"), ("email", "all")), is_each=True)
    held = desired([], [BUYERS], traits(), members(buyers=["p1"]), SEVERAL, all_of_them)
    found = desired([], [BUYERS], traits(), members(), SEVERAL, NEWEST)
    assert {each[2] for each in actions(found, held)} == {"u-old", "u-new", "ann@x.org", "ann@y.org"}
    assert {each[0] for each in actions(found, held)} == {"exit"}


def test_people_with_several_identifiers_count_once_where_they_have_none():
    found = desired([PLAN], [], traits(plan=["gold", "free", "gold"]), members(), SEVERAL, NEWEST)
    assert sorted(found["id_value"].to_list(), key=str) == [None, "bo@x.org", "u-new"]


def test_two_forms_of_one_definition_are_two_records():
    both = Audience("buyers", Exists(Property("plan")), deliveries=(Delivery("crm", "list"), Delivery("crm")))
    found = desired([], [both], traits(plan=[]), members(buyers=["p1"]), PEOPLE)
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
    held = state(("trait", "orders", "p1", "user_id", "ann", "3"))
    people = sync.identified(PEOPLE, NEWEST)
    assert actions(state(), held, zeros=people) == [("set", "orders", "ann", "0")]
    zero = state(("trait", "orders", "p1", "user_id", "ann", "0"))
    assert actions(state(), zero, zeros=people) == []
    assert actions(state(), sync_forgotten(zero), zeros=people) == [("set", "orders", "ann", "0")]


def test_a_sum_is_not_set_to_zero_under_an_identifier_the_person_lost():
    held = state(("trait", "total", "p1", "user_id", "old", "3"))
    assert actions(state(), held, zeros=sync.identified(PEOPLE, NEWEST)) == [("unset", "total", "old", None)]


# --- the difference ---------------------------------------------------------------------------


def sync_forgotten(held: pl.DataFrame) -> pl.DataFrame:
    return held.with_columns(value=pl.lit(None, pl.String))


def parked(done: pl.DataFrame) -> pl.DataFrame:
    return sync.park(sync.LETTERS.to_frame(), sync.QUEUE.to_frame(), done, NOW)


def actions(desired: pl.DataFrame, held: pl.DataFrame, **options: Any) -> list[tuple]:
    records = difference(desired, held, "salt", **options)
    return sorted(records.select("action", "key", "id_value", "value").rows())


def test_first_sync_sends_everything_and_the_second_nothing():
    desired = state(ANN_GOLD, BO_BUYS)
    records = difference(desired, state(), "salt")
    assert records["action"].to_list() == ["set", "set"]
    held = acknowledge(state(), settled(records))
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
    records = difference(state(), held, "salt")
    assert actions(state(), acknowledge(held, settled(records))) == []


def test_what_was_acknowledged_long_ago_is_told_again():
    """destinations.md 15.5: membership that expires at the vendor."""
    held = pl.concat([state(ANN_GOLD), state(BO_BUYS)]).with_columns(
        at=pl.when(pl.col("key") == "plan").then(NOW - timedelta(days=40)).otherwise(NOW)
    )
    assert actions(state(ANN_GOLD, BO_BUYS), held, since=NOW - timedelta(days=30)) == [("set", "plan", "ann", '"gold"')]
    assert actions(state(ANN_GOLD, BO_BUYS), held, since=NOW - timedelta(days=50)) == []


def test_what_waits_keeps_its_message_id_in_a_later_run():
    first = difference(state(ANN_GOLD, BO_BUYS), state(), "run 1")
    waiting = sync.queue(sync.QUEUE.to_frame(), settled(first, "unknown", in_doubt=True), NOW)
    later = difference(state(ANN_GOLD, BO_BUYS), state(), "run 2", waiting)
    assert later["message_id"].equals(first["message_id"])
    silver = state(("trait", "plan", "p1", "user_id", "ann", '"silver"'), BO_BUYS)
    changed = difference(silver, state(), "run 2", waiting)
    assert len(set(changed["message_id"]) & set(first["message_id"])) == 1


def test_what_waits_knows_since_when_and_how_often_it_was_tried():
    first = settled(difference(state(ANN_GOLD), state()), "transient")
    once = sync.queue(sync.QUEUE.to_frame(), first, NOW)
    twice = sync.queue(once, first, NOW + timedelta(hours=1))
    assert twice.select("attempts", "since", "at").row(0) == (2, NOW, NOW + timedelta(hours=1))
    letter = sync.park(sync.LETTERS.to_frame(), twice, settled(first, "invalid"), NOW + timedelta(hours=2))
    assert letter.select("attempts", "since", "sent", "reply").row(0) == (3, NOW, "{}", "HTTP 422")


def test_nobody_is_looked_for_where_the_numbers_say_that_none_is_gone():
    """The count alone decides; it must not be fooled by as many who come as go."""
    held = state(ANN_GOLD, ("trait", "plan", "p9", "user_id", "cy", '"gold"'))
    swapped = state(ANN_GOLD, ("trait", "plan", "p8", "user_id", "di", '"gold"'))
    assert actions(swapped, held) == [("set", "plan", "di", '"gold"'), ("unset", "plan", "cy", None)]


def test_merged_profile_is_a_change_only_where_the_destination_keeps_profile_ids():
    merged = ("trait", "plan", "p9", "user_id", "ann", '"gold"')
    assert actions(state(merged), state(ANN_GOLD)) == []
    assert len(actions(state(merged), state(ANN_GOLD), compared=("value", "profile_id"))) == 1


def test_records_do_not_depend_on_the_order_of_rows():
    rows = [("trait", f"t{key}", "p", "user_id", f"u{person}", "1") for person in range(5) for key in range(3)]
    assert difference(state(*rows), state(), "s").equals(difference(state(*rows[::-1]), state(), "s"))


def test_records_of_one_person_stay_together():
    rows = [("trait", f"t{key}", f"p{person}", "user_id", f"u{person}", "1") for key in range(3) for person in range(9)]
    found = difference(state(*rows), state(), "s")["id_value"]
    assert found.rle().len() == 9


def test_message_ids_are_distinct_and_follow_from_content_and_run():
    rows = [ANN_GOLD, BO_BUYS, ("trait", "plan", "p3", "user_id", "cy", '"gold"')]
    first = difference(state(*rows), state(), "run 1")["message_id"]
    assert first.n_unique() == 3
    assert first.equals(difference(state(*rows), state(), "run 1")["message_id"])
    assert not set(first) & set(difference(state(*rows), state(), "run 2")["message_id"])


# --- after sending ----------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", sync.OUTCOMES)
def test_only_an_accepted_record_advances_the_ledger(outcome: str):
    records = difference(state(ANN_GOLD), state(), "salt")
    held = acknowledge(state(), settled(records, outcome, in_doubt=outcome == "unknown")).drop_nulls("value")
    assert held.height == (outcome in {"delivered", "noop", "warning"})


def test_acknowledging_twice_is_acknowledging_once():
    held = state(BO_BUYS)
    done = settled(difference(state(ANN_GOLD), held, "salt"))
    once = acknowledge(held, done)
    assert acknowledge(once, done).equals(once)


def test_doubt_sends_again_even_when_the_old_value_is_back():
    held = state(ANN_GOLD)
    silver = state(("trait", "plan", "p1", "user_id", "ann", '"silver"'))
    unsure = settled(difference(silver, held), "unknown", in_doubt=True)
    assert actions(state(ANN_GOLD), acknowledge(held, unsure)) == [("set", "plan", "ann", '"gold"')]


def test_doubt_about_a_first_set_removes_what_is_no_longer_desired():
    unsure = settled(difference(state(BO_BUYS), state()), "transient", in_doubt=True)
    assert actions(state(), acknowledge(state(), unsure)) == [("exit", "buyers", "bo@x.org", "false")]


def test_what_was_never_on_the_wire_is_not_in_doubt():
    records = difference(state(BO_BUYS), state(), "salt")
    assert acknowledge(state(), settled(records, "transient")).is_empty()
    assert acknowledge(state(), settled(records, "delivered", in_doubt=True))["value"].to_list() == ["true"]


def test_what_may_not_be_sent_twice_counts_as_sent_when_no_answer_came():
    records = difference(state(BO_BUYS), state())
    held = acknowledge(state(), settled(records, "unknown"))
    assert actions(state(BO_BUYS), held) == []
    assert sync.queue(sync.QUEUE.to_frame(), settled(records, "unknown"), NOW).is_empty()


def test_resync_sends_everything_again_and_still_knows_whom_to_exit():
    assert actions(state(ANN_GOLD), sync_forgotten(state(ANN_GOLD, BO_BUYS))) == [
        ("exit", "buyers", "bo@x.org", "false"),
        ("set", "plan", "ann", '"gold"'),
    ]


def test_parked_record_is_not_sent_until_its_value_changes():
    letters = parked(settled(difference(state(ANN_GOLD), state(), "run 1"), "invalid"))
    same = difference(state(ANN_GOLD), state(), "run 2")
    assert [each.height for each in sync.without_parked(same, letters)] == [0, 1]
    silver = difference(state(("trait", "plan", "p1", "user_id", "ann", '"silver"')), state(), "run 2")
    assert [each.height for each in sync.without_parked(silver, letters)] == [1, 0]


def test_parked_unset_is_recognised_although_its_value_is_null():
    records = difference(state(), state(ANN_GOLD), "run 1")
    letters = parked(settled(records, "invalid"))
    assert [each.height for each in sync.without_parked(records, letters)] == [0, 1]


def test_letter_closes_when_the_destination_no_longer_needs_the_record():
    letters = parked(settled(difference(state(ANN_GOLD), state(), "run 1"), "invalid"))
    due, kept = sync.without_parked(difference(state(), state(), "run 2"), letters)
    assert due.is_empty()
    assert kept.is_empty()


# --- the account ------------------------------------------------------------------------------


def test_computed_is_the_sum_of_outcomes():
    held = state(BO_BUYS, ("trait", "plan", "p4", "user_id", "dee", '"free"'))
    records = difference(state(ANN_GOLD, BO_BUYS), held)
    account = sync.summary(3, 1, records, sync.counted(settled(records)))
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
    records = difference(state(ANN_GOLD), state(), "salt")
    assert sync.summary(1, 0, records, sync.counted(settled(records, outcome)))["status"] == status


def test_a_record_without_outcome_is_a_defect():
    records = difference(state(ANN_GOLD), state(), "salt")
    with pytest.raises(AssertionError):
        sync.summary(1, 0, records, {})


def test_adapters_and_sync_mean_the_same_outcomes():
    assert set(get_args(Outcome)) == set(sync.OUTCOMES)


def test_every_record_is_in_one_step_of_the_funnel():
    counts = {outcome: 2**number for number, outcome in enumerate(sync.OUTCOMES)}
    records = pl.DataFrame({"action": ["set"] * (sum(counts.values()) - 5) + ["exit"] * 5})
    account = sync.summary(records.height + 7, 3, records, counts)
    steps = sync.funnel(account)
    ends = ("delivered", "warned", "invalid", "waiting", "unknown", "refused")
    assert steps["computed"] == steps["unchanged"] + steps["no_identifier"] + steps["to_set"] + steps["to_remove"]
    assert steps["to_set"] + steps["to_remove"] == sum(steps[name] for name in ends)
    assert (steps["unchanged"], steps["no_identifier"], steps["to_remove"]) == (9, 3, 5)


def test_what_was_seen_is_what_was_answered_or_may_have_arrived():
    outcomes = ["delivered", "noop", "warning", "invalid", "unknown", "transient", "transient", "throttled", "refused"]
    doubts = [False] * 5 + [True, False, False, False]
    assert sync.seen(pl.DataFrame({"outcome": outcomes, "in_doubt": doubts})) == 6

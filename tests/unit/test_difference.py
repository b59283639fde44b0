"""What is sent so that a destination holds what is desired, and under which name."""

from datetime import timedelta

import polars as pl

from populace import sync
from tests.states import (
    ANN_GOLD,
    BO_BUYS,
    NOW,
    acknowledge,
    actions,
    difference,
    settled,
    state,
)


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

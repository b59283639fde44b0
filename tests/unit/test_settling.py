"""What the ledger says after an exchange, what waits, and the account of it."""

from typing import get_args

import polars as pl
import pytest

from populace import sync
from populace.destinations.protocol import Outcome
from tests.states import ANN_GOLD, BO_BUYS, NOW, acknowledge, actions, difference, forgotten, parked, settled, state


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
    assert actions(state(ANN_GOLD), forgotten(state(ANN_GOLD, BO_BUYS))) == [
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

"""Deliveries to a strict receiver that can misbehave: it holds what is desired, or the report says what it does not."""

import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from demo.vendors.webhook import SECRET, Receiver, receiving
from populace.definitions import Destination
from populace.errors import Transient
from populace.space import OpenSpace
from tasks.delivery import failure
from tasks.sending import Pace
from tests.deliveries import QUICK, acknowledged, ledger, of_accounts, open_space, outcomes, publish, send
from tests.hooked import USERS, assert_equal, hooked, plans, sync


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def space(tmp_path: Path) -> OpenSpace:
    return hooked(tmp_path)


# --- differences ------------------------------------------------------------------------------


def test_first_sync_sends_everything_and_the_second_nothing(space: OpenSpace, receiver: Receiver):
    summary = sync(space, receiver)
    assert summary["status"] == "success"
    assert outcomes(summary) == {"delivered": 30}
    assert_equal(receiver)
    assert [len(each) for each in receiver.requests] == [5] * 6
    assert outcomes(sync(space, receiver)) == {"unchanged": 30}
    assert len(receiver.requests) == 6


def test_only_differences_are_sent(space: OpenSpace, receiver: Receiver):
    sync(space, receiver)
    changed = {"profile_id": USERS[:20], "plan": ["silver"] + ["gold"] * 18 + [None]}
    publish(space, 2, changed, {"buyers": USERS[2:11]}, {each: each for each in USERS[:20]})
    summary = sync(space, receiver)
    # A plan changed and one was lost; two members left and one came.
    assert outcomes(summary) == {"delivered": 5, "unchanged": 26}
    assert (summary["to_set"], summary["to_remove"]) == (2, 3)
    assert receiver.held["u00"] == {"plan": "silver", "buyers": False}
    assert receiver.held["u19"] == {"plan": None}


def test_profile_without_identifier_is_counted(space: OpenSpace, receiver: Receiver):
    publish(space, 2, plans(3), people={"u00": "u00", "u01": ("anonymous_id", "a")})
    summary = sync(space, receiver)
    assert outcomes(summary) == {"delivered": 1, "no_identifier": 2}


def test_dry_run_sends_and_writes_nothing(space: OpenSpace, receiver: Receiver):
    summary = sync(space, receiver, dry_run=True)
    assert summary["status"] == "dry_run"
    assert (summary["set"], summary["to_send"]) == (30, 30)
    assert receiver.requests == []
    assert space.lake.list("ledger/") == []


def test_resync_sends_everything_again_under_new_message_ids(space: OpenSpace, receiver: Receiver):
    sync(space, receiver)
    receiver.held.clear()
    assert outcomes(sync(space, receiver, resync=True)) == {"delivered": 30}
    assert_equal(receiver)


def test_disabled_destination_gets_nothing_and_the_summary_says_so(tmp_path: Path, receiver: Receiver):
    off = Destination("hook", "webhook", (("url", receiver.url), ("secret", SECRET)), enabled=False)
    opened = open_space(tmp_path, off, "plan")
    publish(opened, 1, plans(3))
    assert sync(opened, receiver)["status"] == "disabled"
    assert receiver.requests == []


# --- mischief ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        [500, 503, 502, 500],
        ["reset", "reset", 200, "reset"],
        ["lost", 200, "lost"],
        [(429, {"Retry-After": "0"})] * 5,
        [(503, {"Retry-After": "0"}), 408, 423],
        [429, 429],
    ],
    ids=["500 burst", "reset after reading", "stored and 500", "throttled", "mixed", "throttled without a hint"],
)
def test_passing_mischief_ends_in_the_desired_state(space: OpenSpace, receiver: Receiver, script: list):
    receiver.script = list(script)
    assert sync(space, receiver)["status"] == "success"
    assert_equal(receiver)
    assert receiver.most_under_way == 1
    assert outcomes(sync(space, receiver)) == {"unchanged": 30}


def test_repeated_request_carries_the_same_message_ids(space: OpenSpace, receiver: Receiver):
    receiver.script = ["reset", 500]
    sync(space, receiver)
    assert receiver.requests[0] == receiver.requests[1] == receiver.requests[2]


def test_retry_after_is_waited_for(space: OpenSpace, receiver: Receiver):
    receiver.script = [(429, {"Retry-After": "1"})]
    start = time.monotonic()
    assert sync(space, receiver, pace=Pace(window=5, first=0.001))["status"] == "success"
    assert time.monotonic() - start >= 1


def test_a_wait_longer_than_the_window_leaves_the_rest_for_the_next_run(space: OpenSpace, receiver: Receiver):
    receiver.script = [200, (429, {"Retry-After": "3600"})]
    summary = sync(space, receiver)
    assert outcomes(summary) == {"delivered": 5, "throttled": 25}
    assert summary["status"] == "partial"
    assert isinstance(failure(summary), Transient)
    assert len(receiver.requests) == 2
    assert outcomes(sync(space, receiver)) == {"delivered": 25, "unchanged": 5}
    assert_equal(receiver)


def test_an_outage_longer_than_the_window_needs_nothing_special(space: OpenSpace, receiver: Receiver):
    receiver.script = [200, *[500] * 100_000]
    summary = sync(space, receiver)
    assert outcomes(summary) == {"delivered": 5, "transient": 25}
    receiver.script = []
    assert outcomes(sync(space, receiver)) == {"delivered": 25, "unchanged": 5}
    assert_equal(receiver)


def test_nobody_listening(space: OpenSpace, receiver: Receiver):
    summary = send(space, environ={"HOOK_URL": "http://127.0.0.1:1/in"})
    assert outcomes(summary) == {"transient": 30}
    assert "cannot connect" in summary["reason"]
    # Nothing was on the wire, so nothing is in doubt.
    assert acknowledged(space).is_empty()


def test_what_may_have_arrived_is_taken_back_when_it_is_no_longer_desired(space: OpenSpace, receiver: Receiver):
    receiver.script = ["lost"] * 100_000
    assert outcomes(sync(space, receiver)) == {"transient": 30}
    assert len(receiver.values("plan")) > 0
    receiver.script = []
    publish(space, 2, plans(0))
    sync(space, receiver)
    assert receiver.values("plan") == {}
    assert receiver.values("buyers") == {}
    assert outcomes(sync(space, receiver)) == {}


def test_a_refusal_after_a_lost_answer_leaves_doubt(space: OpenSpace, receiver: Receiver):
    receiver.script = ["lost", 401, 401]
    assert outcomes(sync(space, receiver)) == {"refused": 30}
    assert acknowledged(space).height == 5
    publish(space, 2, plans(0))
    ledger(space).resume()
    sync(space, receiver)
    assert receiver.values("plan") == {}


# --- bad records ------------------------------------------------------------------------------


@pytest.mark.parametrize("partial", [False, True], ids=["found by halving", "named in a 207"])
def test_poisonous_records_are_found_and_named(space: OpenSpace, receiver: Receiver, partial: bool):
    receiver.unwanted, receiver.partial = {"u03", "u17"}, partial
    summary = sync(space, receiver)
    assert outcomes(summary) == {"delivered": 27, "invalid": 3}
    assert failure(summary) is None
    assert set(receiver.values("plan")) == set(USERS[:20]) - receiver.unwanted
    letters = ledger(space).letters()
    assert sorted(letters.select("id_value", "key").rows()) == [("u03", "buyers"), ("u03", "plan"), ("u17", "plan")]
    assert all("422" in reason or "400" in reason for reason in letters["reason"])


def test_parked_record_goes_again_only_when_its_value_changes(space: OpenSpace, receiver: Receiver):
    receiver.unwanted = {"u03"}
    sync(space, receiver)
    receiver.unwanted, before = set(), len(receiver.requests)
    assert outcomes(sync(space, receiver)) == {"invalid": 2, "unchanged": 28}
    assert len(receiver.requests) == before
    publish(space, 2, plans(20, "silver"), {"buyers": USERS[:10]})
    assert outcomes(sync(space, receiver)) == {"delivered": 20, "invalid": 1, "unchanged": 9}
    assert receiver.values("plan")["u03"] == "silver"
    assert ledger(space).letters()["key"].to_list() == ["buyers"]


def test_when_most_is_invalid_the_destination_is_held_and_nobody_parked(tmp_path: Path, receiver: Receiver):
    settings = (("url", receiver.url), ("secret", SECRET))
    opened = open_space(tmp_path, Destination("hook", "webhook", settings), "plan")
    people = [f"u{each}" for each in range(5_000)]
    publish(opened, 1, {"profile_id": people, "plan": ["gold"] * 5_000})
    receiver.unwanted = set(people)
    summary = sync(opened, receiver)
    assert summary["status"] == "held"
    assert outcomes(summary) == {"refused": 5_000}
    assert len(receiver.requests) < 250
    receiver.unwanted = set()
    assert outcomes(sync(opened, receiver)) == {"delivered": 5_000}


def test_bad_ids_that_stand_together_do_not_hold_up_the_others(tmp_path: Path, receiver: Receiver):
    settings = (("url", receiver.url), ("secret", SECRET), ("batch_size", "200"))
    opened = open_space(tmp_path, Destination("hook", "webhook", settings), "plan")
    people = [f"u{each:04d}" for each in range(1_500)]
    publish(opened, 1, {"profile_id": people, "plan": ["gold"] * 1_500})
    receiver.unwanted = set(people[:150])
    assert outcomes(sync(opened, receiver)) == {"delivered": 1_350, "invalid": 150}


def test_a_call_over_32_kilobytes_is_counted_and_not_sent(space: OpenSpace, receiver: Receiver):
    publish(space, 2, {"profile_id": USERS[:2], "plan": ["x" * 40_000, "gold"]})
    summary = sync(space, receiver)
    assert outcomes(summary) == {"delivered": 1, "too_large": 1}
    assert outcomes(sync(space, receiver)) == {"unchanged": 1, "too_large": 1}


def test_a_record_that_fails_in_passing_holds_up_nobody_else(space: OpenSpace, receiver: Receiver):
    """Named in a 207 with 503, again and again: the others of its batch, and all other batches, are through."""
    receiver.partial, receiver.unwanted, receiver.named = True, {"u03", "u12"}, 503
    summary = sync(space, receiver)
    # Both have a plan, and one of them is a buyer.
    assert outcomes(summary) == {"delivered": 27, "transient": 3}
    assert ledger(space).waiting()["attempts"].to_list() == [3, 3, 3]
    receiver.unwanted = set()
    assert outcomes(sync(space, receiver)) == {"delivered": 3, "unchanged": 27}
    assert_equal(receiver)


# --- accounts ---------------------------------------------------------------------------------

ACCOUNTS = [f"acc_{each:02d}" for each in range(20)]
GROUPS = {each: ("group_id", each.replace("acc", "group")) for each in ACCOUNTS}


@pytest.fixture
def grouped(tmp_path: Path) -> OpenSpace:
    """Twenty accounts with a plan, the first ten of them buyers, each with two users of a hundred."""
    opened = of_accounts(hooked(tmp_path), "group", "property")
    links = [(each, ACCOUNTS[at // 2], 1) for at, each in enumerate(USERS[:40])]
    people = GROUPS | {each: each for each in USERS}
    publish(opened, 1, {"profile_id": ACCOUNTS, "plan": ["gold"] * 20}, {"buyers": ACCOUNTS[:10]}, people, links)
    return opened


def names(accounts: list[str]) -> list[str]:
    return [GROUPS[each][1] for each in accounts]


@pytest.mark.parametrize("script", [[], [500, "reset", "lost", 503]], ids=["in peace", "in mischief"])
def test_accounts_are_told_as_groups_and_to_their_users(grouped: OpenSpace, receiver: Receiver, script: list):
    receiver.script = list(script)
    assert outcomes(sync(grouped, receiver)) == {"delivered": 20 + 10 + 40 + 20}
    assert_equal(receiver, count=40, buyers=20)
    assert receiver.of_accounts("plan") == dict.fromkeys(names(ACCOUNTS), "gold")
    assert receiver.of_accounts("buyers") == dict.fromkeys(names(ACCOUNTS[:10]), True)
    assert outcomes(sync(grouped, receiver)) == {"unchanged": 90}


def test_an_account_that_leaves_takes_its_users_along(grouped: OpenSpace, receiver: Receiver):
    sync(grouped, receiver)
    links = [(each, ACCOUNTS[at // 2], 1) for at, each in enumerate(USERS[:40])] + [(USERS[0], ACCOUNTS[5], 2)]
    people = GROUPS | {each: each for each in USERS}
    publish(grouped, 2, {"profile_id": ACCOUNTS, "plan": ["gold"] * 20}, {"buyers": ACCOUNTS[1:10]}, people, links)
    # One group, and one of its two users: the other one has another account that stays.
    assert outcomes(sync(grouped, receiver)) == {"delivered": 2, "unchanged": 88}
    assert receiver.of_accounts("buyers")[names(ACCOUNTS)[0]] is False
    assert (receiver.held[USERS[0]]["buyers"], receiver.held[USERS[1]]["buyers"]) == (True, False)


def test_an_account_that_is_refused_is_a_letter(grouped: OpenSpace, receiver: Receiver):
    receiver.partial, receiver.unwanted = True, {"group_03"}
    assert outcomes(sync(grouped, receiver)) == {"delivered": 88, "invalid": 2}
    letters = ledger(grouped).letters()
    assert set(letters.select("form", "id_type", "id_value", "profile_id").rows()) == {
        ("group", "group_id", "group_03", "acc_03")
    }


# --- speed ------------------------------------------------------------------------------------


def test_a_hundred_thousand_records_in_well_under_a_minute(tmp_path: Path, receiver: Receiver):
    settings = (("url", receiver.url), ("secret", SECRET))
    opened = open_space(tmp_path, Destination("hook", "webhook", settings), "plan")
    people = pl.select(pl.format("user-{}", pl.int_range(100_000))).to_series().to_list()
    publish(opened, 1, {"profile_id": people, "plan": ["gold"] * 100_000})
    start = time.monotonic()
    assert outcomes(sync(opened, receiver, pace=QUICK)) == {"delivered": 100_000}
    assert time.monotonic() - start < 30
    start = time.monotonic()
    assert outcomes(sync(opened, receiver)) == {"unchanged": 100_000}
    assert time.monotonic() - start < 5

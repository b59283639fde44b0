"""Deliveries to a strict receiver that can misbehave: it holds what is desired, or the report says what it does not."""

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from populace.definitions import Destination
from populace.errors import Refused, Transient, UsageError
from populace.space import OpenSpace
from tasks.delivery import Ways, deliver, failure
from tasks.sending import Pace
from tests.deliveries import QUICK, acknowledged, ledger, open_space, outcomes, publish, send
from tests.simulators.webhook import SECRET, Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def space(tmp_path: Path, receiver: Receiver) -> OpenSpace:
    """Twenty people with a plan, the first ten of them buyers; five records a request."""
    settings = {"url": "${HOOK_URL}", "secret": "${HOOK_SECRET:-correct-horse}", "batch_size": "5"}
    opened = open_space(tmp_path, Destination("hook", "webhook", tuple(settings.items())), "plan", "buyers")
    publish(opened, 1, plans(20), {"buyers": USERS[:10]})
    return opened


USERS = [f"u{each:02d}" for each in range(100)]


def plans(count: int, value: str = "gold") -> dict[str, list]:
    return {"profile_id": USERS[:count], "plan": [value] * count}


def sync(space: OpenSpace, receiver: Receiver, **options: Any) -> dict[str, Any]:
    return send(space, environ={"HOOK_URL": receiver.url}, **options)


def assert_equal(receiver: Receiver, count: int = 20, buyers: int = 10, value: str = "gold") -> None:
    assert receiver.values("plan") == dict.fromkeys(USERS[:count], value)
    assert receiver.values("buyers") == dict.fromkeys(USERS[:buyers], True)


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
    receiver.poison, receiver.partial = {"u03", "u17"}, partial
    summary = sync(space, receiver)
    assert outcomes(summary) == {"delivered": 27, "invalid": 3}
    assert failure(summary) is None
    assert set(receiver.values("plan")) == set(USERS[:20]) - receiver.poison
    letters = ledger(space).letters()
    assert sorted(letters.select("id_value", "key").rows()) == [("u03", "buyers"), ("u03", "plan"), ("u17", "plan")]
    assert all("422" in reason or "400" in reason for reason in letters["reason"])


def test_parked_record_goes_again_only_when_its_value_changes(space: OpenSpace, receiver: Receiver):
    receiver.poison = {"u03"}
    sync(space, receiver)
    receiver.poison, before = set(), len(receiver.requests)
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
    receiver.poison = set(people)
    summary = sync(opened, receiver)
    assert summary["status"] == "held"
    assert outcomes(summary) == {"refused": 5_000}
    assert len(receiver.requests) < 250
    receiver.poison = set()
    assert outcomes(sync(opened, receiver)) == {"delivered": 5_000}


def test_bad_ids_that_stand_together_do_not_hold_up_the_others(tmp_path: Path, receiver: Receiver):
    settings = (("url", receiver.url), ("secret", SECRET), ("batch_size", "200"))
    opened = open_space(tmp_path, Destination("hook", "webhook", settings), "plan")
    people = [f"u{each:04d}" for each in range(1_500)]
    publish(opened, 1, {"profile_id": people, "plan": ["gold"] * 1_500})
    receiver.poison = set(people[:150])
    assert outcomes(sync(opened, receiver)) == {"delivered": 1_350, "invalid": 150}


def test_a_call_over_32_kilobytes_is_counted_and_not_sent(space: OpenSpace, receiver: Receiver):
    publish(space, 2, {"profile_id": USERS[:2], "plan": ["x" * 40_000, "gold"]})
    summary = sync(space, receiver)
    assert outcomes(summary) == {"delivered": 1, "too_large": 1}
    assert outcomes(sync(space, receiver)) == {"unchanged": 1, "too_large": 1}


def test_a_record_that_fails_in_passing_holds_up_nobody_else(space: OpenSpace, receiver: Receiver):
    """Named in a 207 with 503, again and again: the others of its batch, and all other batches, are through."""
    receiver.partial, receiver.poison, receiver.named = True, {"u03", "u12"}, 503
    summary = sync(space, receiver)
    # Both have a plan, and one of them is a buyer.
    assert outcomes(summary) == {"delivered": 27, "transient": 3}
    assert ledger(space).waiting()["attempts"].to_list() == [3, 3, 3]
    receiver.poison = set()
    assert outcomes(sync(space, receiver)) == {"delivered": 3, "unchanged": 27}
    assert_equal(receiver)


# --- held -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_access_denied_once_is_no_reason_to_stop_but_twice_is(space: OpenSpace, receiver: Receiver, status: int):
    receiver.script = [200, status, 200, status, status]
    summary = sync(space, receiver)
    assert summary["status"] == "paused"
    assert str(status) in summary["reason"]
    assert outcomes(summary) == {"delivered": 10, "refused": 20}
    assert len(receiver.requests) == 5
    ledger(space).resume()
    assert outcomes(sync(space, receiver)) == {"delivered": 20, "unchanged": 10}


@pytest.mark.parametrize("status", [404, 410, 302])
def test_refusal_holds_the_destination_after_one_request(space: OpenSpace, receiver: Receiver, status: int):
    receiver.script = [200, (status, {"Location": receiver.url})]
    summary = sync(space, receiver)
    assert (summary["status"], summary["newly_paused"]) == ("paused", True)
    assert str(status) in summary["reason"]
    assert outcomes(summary) == {"delivered": 5, "refused": 25}
    assert isinstance(failure(summary), Refused)
    assert len(receiver.requests) == 2


def test_a_refused_destination_is_paused_until_it_is_resumed(space: OpenSpace, receiver: Receiver):
    receiver.script = [200, 403, 403]
    first = sync(space, receiver)
    again = sync(space, receiver)
    assert len(receiver.requests) == 3
    assert outcomes(again) == {"refused": 25, "unchanged": 5}
    assert (again["status"], again["paused"], "newly_paused" in again) == ("paused", first["paused"], False)
    assert isinstance(failure(again), Refused)
    ledger(space).resume()
    assert outcomes(sync(space, receiver)) == {"delivered": 25, "unchanged": 5}


def test_what_a_person_paused_waits_and_is_no_failure(space: OpenSpace, receiver: Receiver):
    ledger(space).pause("their migration", "2024-03-01T00:00:00+00:00", "person")
    summary = sync(space, receiver)
    assert (summary["status"], summary["reason"]) == (
        "paused",
        "paused since 2024-03-01T00:00:00+00:00: their migration",
    )
    assert failure(summary) is None
    assert receiver.requests == []
    ledger(space).resume()
    assert outcomes(sync(space, receiver)) == {"delivered": 30}


def test_wrong_secret_is_refused_and_appears_nowhere(space: OpenSpace, receiver: Receiver, caplog: Any):
    caplog.set_level("DEBUG")
    summary = sync(space, receiver, secret={"HOOK_SECRET": "hunter2"}.get)
    assert summary["status"] == "paused"
    everything = caplog.text + json.dumps(summary) + json.dumps(ledger(space).report()) + str(failure(summary))
    assert "hunter2" not in everything
    assert all(user not in everything for user in USERS[:20])


def test_missing_variable_is_named(space: OpenSpace):
    summary = send(space, environ={})
    assert summary["status"] == "held"
    assert "HOOK_URL is not set" in summary["reason"]
    assert "hook-url" in summary["reason"]
    assert outcomes(summary) == {"refused": 30}


def test_environment_comes_before_secret_blocks_and_defaults(space: OpenSpace, receiver: Receiver):
    asked = Counter[str]()

    def secret(name: str) -> str | None:
        asked[name] += 1
        return receiver.url if name == "HOOK_URL" else None

    assert send(space, environ={"HOOK_SECRET": SECRET}, secret=secret)["status"] == "success"
    assert asked == {"HOOK_URL": 1}


def test_unknown_destination_and_missing_run_are_errors_of_use(tmp_path: Path, space: OpenSpace):
    with pytest.raises(UsageError, match="no destination 'crm' in space 'dev'; there is hook"):
        deliver(space, "crm", Ways({}))
    unpublished = open_space(tmp_path / "empty", Destination("hook", "webhook"), "plan")
    with pytest.raises(UsageError, match="no published run"):
        send(unpublished)


# --- kills ------------------------------------------------------------------------------------


class Killed(BaseException):
    """What a killed process looks like from inside: nothing after it runs."""


def kill_after(count: int) -> Callable[[int, int], None]:
    def progress(done: int, due: int) -> None:
        if done >= count:
            raise Killed

    return progress


@pytest.fixture
def many(tmp_path: Path, receiver: Receiver) -> OpenSpace:
    """4,000 people, 1,000 records a request: an outcome is written to the ledger after each."""
    settings = (("url", receiver.url), ("secret", SECRET))
    opened = open_space(tmp_path, Destination("hook", "webhook", settings), "plan")
    publish(opened, 1, {"profile_id": [f"u{each}" for each in range(4_000)], "plan": ["gold"] * 4_000})
    return opened


@pytest.mark.parametrize("killed_at", [1, 1_001, 3_001])
def test_a_kill_between_request_and_ledger_sends_the_same_ids_again(
    many: OpenSpace, receiver: Receiver, killed_at: int
):
    with pytest.raises(Killed):
        sync(many, receiver, progress=kill_after(killed_at))
    written = sum(each.height for each in ledger(many).batches())
    interrupted = receiver.requests[-1]
    assert written == killed_at - killed_at % 1_000
    summary = sync(many, receiver)
    assert (summary["unchanged"], summary["delivered"]) == (written, 4_000 - written)
    assert receiver.requests.count(interrupted) == 2
    assert len(receiver.seen) == 4_000
    assert outcomes(sync(many, receiver)) == {"unchanged": 4_000}


def test_a_kill_then_another_run_takes_back_what_was_under_way(many: OpenSpace, receiver: Receiver):
    with pytest.raises(Killed):
        sync(many, receiver, progress=kill_after(2_000))
    publish(many, 2, {"profile_id": ["u1"], "plan": ["silver"]})
    sync(many, receiver)
    assert receiver.values("plan") == {"u1": "silver"}
    assert outcomes(sync(many, receiver)) == {"unchanged": 1}


def test_a_kill_at_any_step_of_folding_loses_nothing(many: OpenSpace, receiver: Receiver):
    """What is left behind at each step of the fold, as if it had stopped there."""
    with pytest.raises(Killed):
        sync(many, receiver, progress=kill_after(3_500))
    root = many.lake
    left = {each.path: root.read(each.path) for each in root.list("ledger/")}
    assert outcomes(sync(many, receiver))["delivered"] == 4_000 - 3_000
    # Folded, but neither the list of what was to be sent nor the batches are gone yet.
    for path, data in left.items():
        if "batches" in path:
            root.replace(path, data)
    assert outcomes(sync(many, receiver)) == {"unchanged": 4_000}


# --- everything at once -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_after_any_mischief_one_quiet_sync_makes_it_equal(space: OpenSpace, receiver: Receiver, seed: int):
    """Random runs, outages, kills, changes of identifiers and resyncs; then peace."""
    chance = random.Random(seed)
    storms = [500, 503, "reset", "lost", 429, (429, {"Retry-After": "0"}), 200, 200, 401]
    hasty = Pace(window=0.02, first=0.001, longest=0.002, timeout=2.0)
    for number in range(2, 12):
        profiles = chance.sample(USERS[:30], chance.randrange(15))
        values = [chance.choice(["gold", "silver", None]) for _ in profiles]
        buyers = chance.sample(USERS[:30], chance.randrange(10))
        names = {each: each if chance.random() < 0.8 else f"other-{each}" for each in sorted({*profiles, *buyers})}
        publish(space, number, {"profile_id": profiles, "plan": values}, {"buyers": buyers}, names)
        receiver.script = chance.choices(storms, k=chance.randrange(12))
        ledger(space).resume()
        with contextlib.suppress(Killed):
            limit = chance.choice([5, 10, 1_000])
            sync(space, receiver, pace=hasty, resync=chance.random() < 0.2, progress=kill_after(limit))
    receiver.script = []
    ledger(space).resume()
    assert sync(space, receiver)["status"] == "success"
    plan = {names[each]: value for each, value in zip(profiles, values, strict=True) if value}
    assert receiver.values("plan") == plan
    assert receiver.values("buyers") == {names[each]: True for each in buyers}
    before = len(receiver.requests)
    assert set(outcomes(sync(space, receiver))) <= {"unchanged"}
    assert len(receiver.requests) == before


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

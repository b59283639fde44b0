"""One sync of a destination at a time: who is alive keeps the turn, who is gone or silent loses it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from populace.errors import Transient
from populace.lake.delivery import Ledger
from populace.lake.objects import LocalStore
from tasks import turns

HAVING = """
import sys
from populace.errors import LakeError
from populace.lake.delivery import Ledger
from populace.lake.objects import LocalStore
from tasks.turns import turn
with turn(Ledger(LocalStore(sys.argv[1], LakeError), "crm")):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def ledger(store: LocalStore) -> Ledger:
    return Ledger(store, "crm")


@contextlib.contextmanager
def another_process(ledger: Ledger) -> Iterator[subprocess.Popen]:
    """A process that has the turn until its input ends."""
    command = [sys.executable, "-c", HAVING, ledger.store.url("")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "mine\n"
            yield process
        finally:
            process.kill()


def sign(host: str = "elsewhere", pid: int = 1, age: timedelta = timedelta(0)) -> dict:
    at = (datetime.now(UTC) - age).isoformat(timespec="seconds")
    return {"host": host, "pid": pid, "since": at, "seen": at}


def refused(ledger: Ledger) -> bool:
    try:
        with turns.turn(ledger):
            return False
    except Transient:
        return True


def test_a_second_sync_is_refused_while_one_runs_and_not_afterwards(ledger):
    with (
        turns.turn(ledger),
        pytest.raises(Transient, match="crm: another sync is sending to it since 20"),
        turns.turn(ledger),
    ):
        pass
    assert not refused(ledger)


def test_two_destinations_are_two_turns(ledger):
    with turns.turn(ledger):
        assert not refused(Ledger(ledger.store, "mail"))


def test_whoever_fails_gives_the_turn_back(ledger):
    with contextlib.suppress(KeyboardInterrupt), turns.turn(ledger):
        raise KeyboardInterrupt
    assert not refused(ledger)


def test_another_process_is_refused_for_and_taken_over_at_once_when_it_is_killed(ledger):
    with another_process(ledger) as process:
        assert refused(ledger)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not refused(ledger)


def test_another_process_that_ends_gives_the_turn_back(ledger):
    with another_process(ledger) as process:
        process.communicate("")
        assert ledger.turn() == (1, None)
        assert not refused(ledger)


@pytest.mark.parametrize(
    ("holder", "is_refused"),
    [
        (lambda: sign(), True),
        (lambda: sign(age=turns.SILENCE - timedelta(seconds=30)), True),
        (lambda: sign(age=turns.SILENCE + timedelta(seconds=1)), False),
        (lambda: sign(host=socket.gethostname(), pid=os.getpid()), True),
        (lambda: sign(host=socket.gethostname(), pid=os.getpid(), age=turns.SILENCE * 2), False),
        (lambda: sign(host=socket.gethostname(), pid=2**22 + 1), False),  # beyond the greatest number of a process
        (lambda: sign(pid=2**22 + 1), True),
        (lambda: None, False),
    ],
    ids=[
        "live",
        "not heard of lately",
        "silent",
        "we",
        "we, silent",
        "gone",
        "elsewhere, number unknown",
        "given back",
    ],
)
def test_whose_turn_is_over(ledger, holder, is_refused):
    assert ledger.take_turn(7, holder())
    assert refused(ledger) == is_refused


def test_whoever_was_taken_over_stops_and_leaves_the_other_alone(ledger):
    with turns.turn(ledger) as own:
        own.check()
        assert ledger.take_turn(own.number + 1, sign())
        with pytest.raises(Transient, match="crm: another sync took over"):
            own.check()
    assert refused(ledger)


def test_of_two_who_take_one_turn_only_one_gets_it(ledger):
    assert ledger.take_turn(1, sign(pid=1))
    assert not ledger.take_turn(1, sign(pid=2))
    assert ledger.turn()[1]["pid"] == 1


def test_signs_are_shown_as_long_as_it_lasts(ledger, monkeypatch):
    monkeypatch.setattr(turns, "SIGN_SECONDS", 0.01)
    with turns.turn(ledger) as own:
        ledger.renew_turn(own.number, sign(age=turns.SILENCE * 2))
        assert seen_within(ledger, 5.0)
        assert refused(ledger)
    assert ledger.turn() == (1, None)


def seen_within(ledger: Ledger, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        holder = ledger.turn()[1]
        if holder and holder["pid"] == os.getpid():
            return True
        time.sleep(0.01)
    return False


def test_no_sign_is_shown_in_a_turn_that_somebody_else_has(ledger, monkeypatch):
    monkeypatch.setattr(turns, "SIGN_SECONDS", 0.01)
    with turns.turn(ledger) as own:
        theirs = sign(pid=77)
        ledger.take_turn(own.number + 1, theirs)
        time.sleep(0.1)
        assert ledger.turn() == (own.number + 1, theirs)


def test_turns_leave_one_object_behind(ledger):
    for _ in range(3):
        assert not refused(ledger)
    assert ledger.turn() == (3, None)
    assert len(ledger.store.list("ledger/crm/turns/")) == 1

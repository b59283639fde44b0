"""Deliveries that are killed, and deliveries to which everything happens: nothing is lost, nothing is said anew."""

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.vendors.webhook import SECRET, Receiver, receiving
from populace.definitions import Destination
from populace.space import OpenSpace
from tasks.sending import Pace
from tests.deliveries import ledger, open_space, outcomes, publish
from tests.hooked import USERS, hooked, sync


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def space(tmp_path: Path) -> OpenSpace:
    return hooked(tmp_path)


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

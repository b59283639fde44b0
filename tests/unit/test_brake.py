"""The brake: what is held until somebody confirms it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from populace.definitions import Destination
from populace.errors import Refused
from populace.space import standing
from tasks.delivery import failure
from tests import deliveries, driving
from tests.slicing import NOON, called

MANY = [f"u{number}" for number in range(200)]


def sent_to(folder: Path, brake: float = 0.5):
    node = Destination("crm", "warehouse", (("url", f"sqlite:{folder}/crm.db"),), brake=brake)
    return deliveries.open_space(folder / "lake", node, "buyers", "readers")


def first(space, members=MANY):
    deliveries.publish(space, 1, members={"buyers": members, "readers": ["r1"]})
    assert deliveries.send(space)["status"] == "success"


def test_a_wave_of_removals_is_held_and_says_why(tmp_path):
    space = sent_to(tmp_path)
    first(space)
    deliveries.publish(space, 2, members={"buyers": MANY[:60], "readers": ["r1", "r2"]})
    held = deliveries.send(space)
    assert (held["status"], deliveries.outcomes(held)) == ("held", {"refused": 141, "unchanged": 61})
    assert held["reason"] == (
        "140 of 200 members of 'buyers' (70%) would be removed; if that is meant, "
        "`populace sync dev --destination crm --confirm`"
    )
    assert isinstance(failure(held), Refused)
    assert deliveries.ledger(space).report()["status"] == "held"


def test_whoever_confirms_sends_it(tmp_path):
    space = sent_to(tmp_path)
    first(space)
    deliveries.publish(space, 2, members={"buyers": MANY[:60], "readers": ["r1"]})
    assert deliveries.send(space)["status"] == "held"
    assert deliveries.outcomes(deliveries.send(space, confirm=True)) == {"delivered": 140, "unchanged": 61}
    assert deliveries.outcomes(deliveries.send(space)) == {"unchanged": 61}


@pytest.mark.parametrize(
    ("brake", "left", "status"),
    [(0.5, 100, "success"), (0.5, 99, "held"), (0.0, 100, "held"), (0.0, 101, "success"), (1.0, 0, "success")],
)
def test_up_to_its_share_an_audience_may_be_removed(tmp_path, brake, left, status):
    space = sent_to(tmp_path, brake)
    first(space)
    deliveries.publish(space, 2, members={"buyers": MANY[:left], "readers": ["r1"]})
    assert deliveries.send(space)["status"] == status


def test_fewer_than_a_hundred_may_leave_at_once(tmp_path):
    space = sent_to(tmp_path)
    first(space, MANY[:99])
    deliveries.publish(space, 2, members={"readers": ["r1"]})
    assert deliveries.outcomes(deliveries.send(space)) == {"delivered": 99, "unchanged": 1}


def test_a_wave_that_came_back_is_not_held(tmp_path):
    space = sent_to(tmp_path)
    first(space)
    deliveries.publish(space, 2, members={"readers": ["r1"]})
    assert deliveries.send(space)["status"] == "held"
    deliveries.publish(space, 3, members={"buyers": MANY, "readers": ["r1"]})
    assert deliveries.outcomes(deliveries.send(space)) == {"unchanged": 201}


def test_a_dry_run_tells_what_would_be_held(tmp_path):
    space = sent_to(tmp_path)
    first(space)
    deliveries.publish(space, 2, members={"readers": ["r1"]})
    told = deliveries.send(space, dry_run=True)
    assert (told["exit"], told["reason"].partition(" (")[0]) == (200, "200 of 200 members of 'buyers'")


# --- sources that went silent -----------------------------------------------------------------------


def silent(folder: Path, after: timedelta | None, now, *rows):
    space = driving.space_in(folder)
    (source,) = space.definition.sources
    definition = replace(space.definition, sources=(replace(source, silent_after=after),))
    space = replace(space, definition=definition)
    driving.put(space, "web", "a", called(*rows))
    driving.replay_all(space, now)
    return list(standing.silent(space, now))


ONE = {"message_id": "m1", "received_at": NOON}


def test_a_source_is_silent_from_the_end_of_its_last_day(tmp_path):
    end = NOON.replace(hour=0) + timedelta(days=1)
    day = timedelta(hours=24)
    assert silent(tmp_path / "a", day, end + day, ONE) == []
    assert silent(tmp_path / "b", day, end + day + timedelta(seconds=1), ONE) == [
        "source 'web' is silent: nothing arrived since 2024-03-02"
    ]
    assert silent(tmp_path / "c", None, end + 9 * day, ONE) == []


def test_rows_that_are_rejected_are_silence(tmp_path):
    day = timedelta(hours=24)
    told = silent(tmp_path, day, NOON + day, {**ONE, "type": "purchase"})
    assert told == ["source 'web' is silent: nothing ever arrived"]

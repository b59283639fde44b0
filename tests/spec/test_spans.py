"""When people were members, over all runs."""

from datetime import timedelta

import pytest

from populace.errors import UsageError
from populace.space import spans, views
from tests import driving
from tests.slicing import NOON, called

DAY = timedelta(days=1)
RECENT = "event('E').within(1 day).count() >= 1"


def call(number, day, **more):
    """An event `day` days after noon of the first day, seen at once."""
    at = NOON + day * DAY
    return {"message_id": f"m{number}", "timestamp": at, "received_at": at, **more}


@pytest.fixture
def space(tmp_path):
    return driving.space_in(tmp_path, audiences={"recent": RECENT})


def stays(space, as_of=None):
    """(profile's user ids and anonymous ids, days from entering to leaving) of each stay."""
    found = spans.spans(space, "recent", as_of)
    rows = found.sort("profile_id", "entered_at").rows(named=True)
    return sorted(
        ((named(row["identifiers"]), days(row["entered_at"]), days(row["exited_at"])) for row in rows),
        key=lambda stay: stay[:2],
    )


def named(identifiers):
    return " ".join(value for each in identifiers for value in each["id_value"])


def days(moment):
    return None if moment is None else (moment - NOON) / DAY


def test_a_stay_ends_with_the_first_run_that_does_not_hold_the_member(space):
    driving.put(space, "web", "a", called(call(1, 0), call(2, 4), call(3, 4, user_id="u2")))
    driving.replay_all(space, NOON + 9 * DAY)
    for day in range(7):
        driving.run(space, NOON + day * DAY)
    assert stays(space) == [("u1", 0, 2), ("u1", 4, 6), ("u2", 4, 6)]
    assert stays(space, NOON + 5 * DAY) == [("u1", 0, 2), ("u1", 4, None), ("u2", 4, None)]


def test_runs_that_are_made_later_make_spans_finer(space):
    driving.put(space, "web", "a", called(call(1, 0), call(2, 4)))
    driving.replay_all(space, NOON + 9 * DAY)
    driving.run(space, NOON)
    driving.run(space, NOON + 4 * DAY)
    assert stays(space) == [("u1", 0, None)]
    driving.run(space, NOON + 3 * DAY)  # of the past, so it is not published
    assert stays(space) == [("u1", 0, 3), ("u1", 4, None)]


def test_profiles_that_merged_have_one_history(space):
    alone = {"user_id": None, "anonymous_id": "a1"}
    driving.put(space, "web", "a", called(call(1, 0), call(2, 1.5, **alone)))
    driving.recomputed(space, NOON + DAY)
    driving.recomputed(space, NOON + 2 * DAY)
    assert stays(space) == [("u1", 1, 2)]
    driving.put(space, "web", "b", called(call(3, 3, anonymous_id="a1")))
    driving.recomputed(space, NOON + 3 * DAY)
    assert stays(space) == [("a1 u1", 1, 2), ("a1 u1", 3, None)]


def test_runs_that_did_not_know_the_audience_say_nothing(space, tmp_path):
    driving.put(space, "web", "a", called(call(1, 0), call(2, 2)))
    before = driving.space_in(tmp_path)
    driving.recomputed(before, NOON + DAY)
    driving.run(space, NOON + 2 * DAY)
    assert stays(space) == [("u1", 2, None)]


def test_an_audience_that_nobody_knows_is_refused(space):
    driving.put(space, "web", "a", called(call(1, 0)))
    driving.recomputed(space, NOON)
    with pytest.raises(UsageError, match="has no audience 'other'; it has recent"):
        spans.spans(space, "other")
    assert views.members(space, "recent").height == 1

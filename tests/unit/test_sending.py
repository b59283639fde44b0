"""What a courier makes of verdicts: how often, how long, and when it stops."""

import time
from collections.abc import Sequence

import pytest

from populace.definitions import Bounds
from populace.destinations.protocol import Answer, Verdict
from tasks import http
from tasks.sending import NOT_REPEATED, Courier, Pace, Patience, Standing, jitter

LOST = Verdict("unknown", "sent, and no answer came", in_doubt=True)
BROKEN = Verdict("transient", "HTTP 500", in_doubt=True)
GOOD = Verdict("delivered", "HTTP 200")
QUICK = Pace(window=1, first=0.001, longest=0.002)


class Destination:
    """Answers as told, and remembers what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def __call__(self, items: Sequence[str]) -> Answer:
        self.asked.append(list(items))
        return self.answers.pop(0) if self.answers else GOOD


def courier(destination: Destination, pace: Pace = QUICK, once: str = "") -> Courier[str]:
    return Courier(destination, Patience(pace), lambda item: item in once)


@pytest.mark.parametrize("failure", [LOST, BROKEN])
def test_what_would_count_twice_is_left_alone_and_the_rest_goes_again(failure: Verdict):
    destination = Destination([failure, failure, GOOD])
    first, second, third = courier(destination, once="a").settle("abc")
    assert destination.asked == [["a", "b", "c"], ["b"]]
    assert (first.outcome, first.in_doubt, first.attempts) == ("unknown", False, 1)
    assert NOT_REPEATED in first.reason
    assert (second.outcome, second.attempts) == ("delivered", 2)
    assert (third.outcome, third.attempts) == ("delivered", 1)


def test_after_a_failure_one_goes_ahead_of_what_is_sent_once():
    destination = Destination(LOST, LOST, GOOD, GOOD)
    settled = courier(destination, once="abcdef")
    assert [each.outcome for each in settled.settle("ab")] == ["unknown"] * 2
    assert [each.outcome for each in settled.settle("cdef")] == ["unknown", *["delivered"] * 3]
    assert destination.asked == [["a", "b"], ["c"], ["d"], ["e", "f"]]


def test_attempts_are_counted_through_halving():
    destination = Destination(Verdict("too_large"), GOOD, BROKEN, GOOD)
    assert [each.attempts for each in courier(destination).settle("ab")] == [2, 3]
    assert destination.asked == [["a", "b"], ["a"], ["b"], ["b"]]


def test_what_was_never_sent_has_no_attempts():
    settled = courier(Destination([GOOD, Verdict("refused", "no", in_doubt=True)]))
    settled.settle("ab")
    (unsent,) = settled.settle("c")
    assert unsent == Verdict("refused", "no")


def test_the_last_try_is_at_the_end_of_the_window():
    destination = Destination(*[BROKEN] * 100)
    start = time.monotonic()
    settled = courier(destination, Pace(window=0.3, first=100, longest=100))
    settled.settle("a")
    assert time.monotonic() - start == pytest.approx(0.3, abs=0.1)
    assert settled.stopped
    assert len(destination.asked) >= 2


def test_a_wait_that_was_asked_for_is_kept_or_not_begun():
    settled = courier(Destination(Verdict("throttled", after=0.05)))
    start = time.monotonic()
    settled.settle("a")
    assert time.monotonic() - start >= 0.05
    settled = courier(Destination(Verdict("throttled", after=5)))
    assert [each.outcome for each in settled.settle("ab")] == ["throttled"] * 2
    assert settled.stopped.outcome == "throttled"


def test_throttling_costs_no_patience_as_long_as_something_succeeds():
    answers = [each for _ in range(30) for each in (Verdict("throttled", after=0.01), GOOD)]
    settled = courier(Destination(*answers), Pace(window=0.1, first=0.001))
    assert all(settled.settle("a")[0].outcome == "delivered" for _ in range(30))


def test_backoff_doubles_up_to_its_cap():
    patience = Patience(Pace(window=1e9, first=2, longest=900))
    patience.over.set()  # do not really wait
    for _ in range(40):
        assert patience.wait(BROKEN, 0)
    assert patience.failing < 40 * 900
    assert patience.failures == 40


def test_jitter_is_full():
    drawn = [jitter(10) for _ in range(500)]
    assert min(drawn) < 1
    assert max(drawn) > 9


def test_a_stop_wakes_those_who_wait():
    standing = Standing()
    waiting = Courier(Destination(BROKEN), Patience(Pace(window=60, first=60)), standing=standing)
    standing.stop(Verdict("refused", "elsewhere"))
    start = time.monotonic()
    assert waiting.settle("a")[0].reason == "elsewhere"
    assert time.monotonic() - start < 1


def test_most_invalid_of_at_least_a_hundred_is_suspicious_across_lanes():
    standing = Standing()
    lanes = [Courier(Destination(), Patience(QUICK), standing=standing) for _ in range(2)]
    for at in range(100):
        assert not standing.is_suspicious
        lanes[at % 2].attempt.answers = [Verdict("invalid")]
        lanes[at % 2].settle("a")
    assert standing.is_suspicious
    assert lanes[0].stopped is lanes[1].stopped is not None


def test_bounds_of_a_definition():
    from datetime import timedelta

    from populace.destinations.protocol import Limits

    pace = Pace().bounded(Bounds(patience=timedelta(hours=4), timeout=timedelta(seconds=3)))
    assert (pace.window, pace.timeout) == (14_400, 3)
    assert Pace().bounded(Bounds()) == Pace()
    limits = Limits(100, 1_000, 100, rates={"a": 5.0}, lanes=3)
    assert http.bounded(limits, Bounds()) == limits
    asked = http.bounded(limits, Bounds(requests_per_second=2, records_per_request=10))
    assert (asked.updates, dict(asked.rates)) == (10, {"": 2, "a": 2})
    assert http.bounded(limits, Bounds(records_per_request=1_000)).updates == 100
    # A plan may be allowed more than others; an endpoint with a pace of its own never is.
    assert dict(http.bounded(limits, Bounds(requests_per_second=9)).rates) == {"": 9, "a": 5}

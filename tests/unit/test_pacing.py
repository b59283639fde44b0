"""What buckets give out, by a clock of their own."""

import threading

import pytest

from tasks import pacing
from tasks.pacing import Bucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def spent(bucket: Bucket, clock: Clock, rate: float, seconds: float) -> list[float]:
    """When requests go out that are sent as soon as they may be."""
    times = []
    while clock.now < seconds:
        clock.now += bucket.take(rate)
        times.append(clock.now)
    return times


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(start <= each < start + seconds for each in times) for start in times)


@pytest.mark.parametrize("rate", [0.5, 1.0, 5.0, 50.0, 400.0, 1_000.0])
def test_never_above_the_rate_and_at_least_nine_tenths_of_it(rate: float):
    clock = Clock()
    times = spent(Bucket(clock), clock, rate, 4 / min(rate, 1))
    assert most_within(times[: 10 + int(rate) * 2], 1 / min(rate, 1)) <= max(rate, 1)
    assert len(times) >= 0.9 * rate * clock.now


def test_idle_time_is_not_saved_up():
    clock = Clock()
    bucket = Bucket(clock)
    bucket.take(10)
    clock.now = 1_000
    assert sum(bucket.take(10) == 0 for _ in range(5)) == 1


def test_a_late_sleeper_catches_up_a_little():
    clock = Clock()
    bucket = Bucket(clock)
    for _ in range(200):
        wait = bucket.take(100)
        clock.now += wait + 0.002 if wait else 0  # every sleep is too long
    assert 200 / clock.now >= 90


def test_halved_once_for_requests_that_were_under_way_together():
    clock = Clock()
    bucket = Bucket(clock)
    clock.now = 1
    for _ in range(4):
        bucket.throttled(sent=0.5)
    assert bucket.share == 0.5
    clock.now = 3
    bucket.throttled(sent=2)
    assert bucket.share == 0.25


def test_halving_ends_at_a_sixteenth_and_recovery_at_the_rate():
    clock = Clock()
    bucket = Bucket(clock)
    for _ in range(10):
        clock.now += 1
        bucket.throttled(clock.now)
    assert bucket.share == 1 / 16
    begun = clock.now
    while bucket.share < 1:
        clock.now += bucket.take(10)
        bucket.succeeded(10)
    assert 30 < clock.now - begun < 90
    bucket.succeeded(10)
    assert bucket.share == 1


def test_senders_of_one_account_share_a_bucket_each_at_its_own_rate():
    pacing.forget()
    one = pacing.bucket("webhook", "a.org", "")
    assert pacing.bucket("webhook", "a.org", "") is one
    assert pacing.bucket("webhook", "b.org", "") is not one
    assert pacing.bucket("webhook", "a.org", "events") is not one
    clock = Clock()
    shared = Bucket(clock)
    first, second = [], []
    while clock.now < 10:
        clock.now += shared.take(2)
        first.append(clock.now)
        clock.now += shared.take(10)
        second.append(clock.now)
    assert len(first) / 2 + len(second) / 10 <= 10 + 1


def test_threads_get_different_tokens():
    clock = Clock()
    bucket = Bucket(clock)
    waits: list[float] = []
    threads = [threading.Thread(target=lambda: waits.extend(bucket.take(100) for _ in range(50))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(waits)) >= 395
    assert max(waits) == pytest.approx(400 / 93, rel=0.02)

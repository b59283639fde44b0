"""What two threads that read instants must not do: wait for each other."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import polars as pl
import pytest

from populace.events.layouts.instants import Moments


@pytest.mark.parametrize("name", ["timestamp", "received_at", "unreadable"])
def test_instants_of_two_frames_are_read_at_the_same_time(name):
    """`functools.cached_property` of Python 3.11 lets one wait for the other, which ends in a deadlock in polars."""
    met = Barrier(2, timeout=10)

    class Meeting(Moments):
        def _read(self, *arguments):
            met.wait()
            return super()._read(*arguments)

    frame = pl.DataFrame({"timestamp": ["2024-03-01T10:00:00Z"], "received_at": ["2024-03-01T10:00:00Z"]})
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: getattr(Meeting(frame), name), range(2)))
    assert found[0].equals(found[1])


def test_an_instant_is_read_once():
    frame = pl.DataFrame({"timestamp": ["2024-03-01T10:00:00Z"]})
    moments = Moments(frame)
    assert moments.timestamp is moments.timestamp

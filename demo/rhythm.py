"""When things happen: sixty days of hours that grow, with a week and a day in them.

Every instant is a whole number of milliseconds since 1970, UTC, until a frame is made of it.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
DAYS = 60
NEVER = 1 << 62

GROWTH = 1.2  # the last hour is 1 + GROWTH times as busy as the first
# Monday to Sunday. People browse on Sundays and run errands on Saturdays.
WEEK = np.array([1.0, 0.95, 0.97, 1.05, 1.1, 0.8, 1.15])
# Hour of the day, UTC; most customers live one or two hours to the east.
CLOCK = np.array([3, 2, 1, 1, 2, 4, 8, 12, 15, 16, 16, 17, 16, 15, 14, 14, 15, 18, 22, 25, 22, 16, 10, 6]) / 25


class Day(NamedTuple):
    """One UTC date as far as the archive covers it: `low <= instant < high`."""

    ordinal: int
    low: int
    high: int


@dataclass(frozen=True)
class Span:
    """The sixty days that end at `as_of`, and how much is to happen in them."""

    as_of: int
    events: int
    seed: int

    @classmethod
    def ending(cls, as_of: datetime, events: int, seed: int) -> "Span":
        """The span that ends at an aware datetime; what is finer than a millisecond is dropped."""
        if as_of.tzinfo is None:
            message = f"as_of needs a time zone: {as_of.isoformat()}"
            raise ValueError(message)
        epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        return cls((as_of - epoch) // timedelta(milliseconds=1), events, seed)

    @property
    def start(self) -> int:
        return self.as_of - DAYS * DAY

    def rng(self, *stream: str | int) -> np.random.Generator:
        """Random numbers of their own for every stream, so that days can be made in any order."""
        names = [zlib.crc32(str(name).encode()) for name in stream]
        return np.random.default_rng([self.seed, *names])

    def days(self) -> Iterator[Day]:
        first = self.start // DAY
        for date in range(first, (self.as_of - 1) // DAY + 1):
            low, high = date * DAY, (date + 1) * DAY
            yield Day(date - first, max(low, self.start), min(high, self.as_of))

    def share(self, day: Day) -> float:
        """Part of all events that falls on a day."""
        return float(self._weights[self._within(day)].sum() / self._weights.sum())

    def instants(self, rng: np.random.Generator, count: int, day: Day | None = None) -> np.ndarray:
        """Instants that follow the rhythm, within a day or the whole span, in no order."""
        chosen = slice(None) if day is None else self._within(day)
        hours, weights = self._hours[chosen], self._weights[chosen]
        drawn = hours[rng.choice(len(hours), count, p=weights / weights.sum())]
        low, high = np.maximum(drawn, self.start), np.minimum(drawn + HOUR, self.as_of)
        return low + (rng.random(count) * (high - low)).astype(np.int64)

    def _within(self, day: Day) -> np.ndarray:
        return (self._hours < day.high) & (self._hours + HOUR > day.low)

    @cached_property
    def _hours(self) -> np.ndarray:
        return np.arange(self.start // HOUR * HOUR, self.as_of, HOUR)

    @cached_property
    def _weights(self) -> np.ndarray:
        hours = self._hours
        covered = np.minimum(hours + HOUR, self.as_of) - np.maximum(hours, self.start)
        growth = 1 + GROWTH * (hours - self.start) / (DAYS * DAY)
        weekday = (hours // DAY + 3) % 7  # 1970-01-01 was a Thursday
        return covered / HOUR * growth * WEEK[weekday] * CLOCK[hours // HOUR % 24]


def iso_text(instant: pl.Expr) -> pl.Expr:
    """ISO 8601 text with milliseconds and Z, of milliseconds since 1970."""
    return pl.from_epoch(instant, "ms").dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")

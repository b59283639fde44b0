"""How much a statement may take and give, and the clock that ends it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Thread
from types import TracebackType
from typing import Self

from populace.errors import StatementError

AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What a statement of an SQL trait may take, and the most that it may give (T-32, T-34)."""

    timeout: timedelta
    most_rows: int
    most_columns: int

    def too_slow(self) -> StatementError:
        message = f"it took longer than {said(self.timeout)}; let it read less, or raise `timeout`"
        return StatementError(message)

    def too_many(self) -> StatementError:
        message = f"it gives more than {self.most_rows:,} rows; let it give fewer, or raise `rows`"
        return StatementError(message)


class Alarm:
    """Stops something after a while, from another thread; and again, for it may have been between two steps."""

    def __init__(self, after: timedelta, stop: Callable[[], object]) -> None:
        self.is_over = False
        self.after = after
        self.stop = stop
        self.done = Event()
        self.thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.done.set()
        self.thread.join()  # so that it does not stop what comes next on the same connection

    def _watch(self) -> None:
        if self.done.wait(self.after.total_seconds()):
            return
        self.is_over = True
        self.stop()
        while not self.done.wait(AGAIN_SECONDS):
            self.stop()


def said(length: timedelta) -> str:
    """A length of time in words.

    Examples
    --------
    >>> said(timedelta(minutes=10)), said(timedelta(hours=1)), said(timedelta(seconds=1.5))
    ('10 minutes', '1 hour', '1.5 seconds')
    """
    seconds = length.total_seconds()
    for size, unit in ((3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}" + ("" if seconds == size else "s")
    return f"{seconds:g} seconds"

"""Getting a batch through: patience, isolation of bad records, and when to stop.

A courier has one request under way at a time; where a destination takes several, each lane has a courier, and all
of them share a `Standing`. What a request looks like is the business of `attempt`; what a verdict means is decided
here, once for all adapters:

* transient and unknown: again after a random part of a doubling time (full jitter), until the
  time spent on failures reaches the window;
* throttled: again after the time the vendor names. That costs no patience as long as requests
  succeed in between;
* invalid or too large, and nobody says which record it is: halves, until it is alone;
* refused, or most of what was sent is invalid: nothing more is sent;
* in doubt, and the vendor would count a repetition twice: not again within this run.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from populace.definitions import Bounds
from populace.destinations.protocol import Answer, Outcome, Verdict

Item = TypeVar("Item")

TRIES_ALONE = 3  # of records that fail in passing while others of their batch are through

AGAIN = ("throttled", "transient", "unknown")
ABOUT_ONE = ("invalid", "too_large")
NOT_REPEATED = "not repeated, because the destination would count it twice"
INTERRUPTED = Verdict("transient", "interrupted")

# When most of a sync is invalid, the fault is ours and not the records' (destinations.md 15.11).
SUSPICIOUS_SHARE = 0.5
SUSPICIOUS_COUNT = 100


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to insist, in seconds.

    `window` bounds the time spent on failures within one run; what is left waits in the ledger for
    the next. `first` is the greatest first wait, doubled with every failure up to `longest`.
    `timeout` bounds each step of a request: connecting, sending, waiting for bytes; a destination may say less.
    """

    window: float = 300.0
    first: float = 2.0
    longest: float = 900.0
    timeout: float = 30.0

    def bounded(self, bounds: Bounds) -> "Pace":
        """The same with the patience and the timeout that a destination's definition asks for."""
        window = bounds.patience.total_seconds() if bounds.patience else self.window
        timeout = bounds.timeout.total_seconds() if bounds.timeout else self.timeout
        return replace(self, window=window, timeout=timeout)


@dataclass(slots=True)
class Standing:
    """Whether sending goes on, for all lanes of a delivery.

    `stopped` says why nothing more is sent; `is_suspicious` that the reason was too many invalid
    records, whose verdicts should then not be believed. `over` wakes those who wait.
    """

    stopped: Verdict | None = None
    is_suspicious: bool = False
    settled: int = 0
    invalid: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self, verdict: Verdict, *, is_suspicious: bool = False) -> None:
        """Send nothing more; the first reason stands."""
        with self.lock:
            if self.stopped is None:
                # It becomes the verdict of what was never sent, so nothing of what was is kept.
                self.stopped = Verdict(verdict.outcome, verdict.reason)
                self.is_suspicious = is_suspicious
        self.over.set()

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Add final outcomes, and stop where most of all are invalid."""
        with self.lock:
            self.settled += sum(each not in AGAIN for each in outcomes)
            self.invalid += sum(each in ABOUT_ONE for each in outcomes)
            is_suspicious = self.invalid >= SUSPICIOUS_COUNT and self.invalid > SUSPICIOUS_SHARE * self.settled
            told = f"{self.invalid} of {self.settled} records were refused as invalid"
            reason = f"{told}, so the fault is probably ours; `status --samples` shows what was said"
        if is_suspicious:
            self.stop(Verdict("refused", reason), is_suspicious=True)


@dataclass(slots=True)
class Patience:
    """How much of the window is left. Waits where waiting is allowed."""

    pace: Pace
    failures: int = 0  # in a row
    failing: float = 0.0  # seconds, all failures of the run
    throttled: float = 0.0  # seconds since the last success
    over: threading.Event = field(default_factory=threading.Event)

    def wait(self, verdict: Verdict, took: float) -> bool:
        """Wait before the next try; False, at once, where the window does not allow it."""
        is_throttled = verdict.outcome == "throttled"
        spent = took + (self.throttled if is_throttled else self.failing)
        left = self.pace.window - spent
        longest = min(self.pace.longest, self.pace.first * 2 ** min(self.failures, 30))
        pause = min(jitter(longest), left) if verdict.after is None else verdict.after
        # A pause of ours may end with the window, so that the last try is at its end; one that was asked for may not.
        if left <= 0 or pause > left:
            return False
        if is_throttled:
            self.throttled = spent + pause
        else:
            self.failing = spent + pause
        # A wait the vendor asked for says nothing about how the next request will fare.
        self.failures += verdict.after is None
        self.over.wait(pause)
        return True

    def progress(self) -> None:
        self.failures = 0
        self.throttled = 0.0


def jitter(longest: float) -> float:
    """A random part of a time (full jitter), in seconds."""
    return random.uniform(0, longest)


def _never(item: object) -> bool:
    return False


@dataclass(slots=True)
class Courier(Generic[Item]):
    """Settles batches of one destination, one after the other.

    `is_once` tells the items that are not sent again once they may have arrived.
    """

    attempt: Callable[[Sequence[Item]], Answer]
    patience: Patience
    is_once: Callable[[Item], bool] = _never
    standing: Standing = field(default_factory=Standing)

    def __post_init__(self) -> None:
        self.patience.over = self.standing.over

    @property
    def stopped(self) -> Verdict | None:
        """Why nothing more is sent."""
        return self.standing.stopped

    @property
    def is_suspicious(self) -> bool:
        return self.standing.is_suspicious

    def settle(self, items: Sequence[Item]) -> list[Verdict]:
        """One verdict for each item, none of them worth another try within this run."""
        ahead: list[Verdict] = []
        # An outage would swallow whole batches of what is sent only once: after a failure one goes ahead to see.
        while len(items) > 1 and self.patience.failures and not self.stopped and self.is_once(items[0]):
            ahead += self._settled(items[:1])
            items = items[1:]
        return ahead + self._settled(items)

    def _settled(self, items: Sequence[Item]) -> list[Verdict]:
        verdicts = [Verdict("transient")] * len(items)
        pending = list(range(len(items)))
        # Once some of a batch are through, the destination is there: the others fail by themselves, and hold up nobody.
        tries, are_others_through = 0, False
        while pending and tries < TRIES_ALONE:
            answers = self._answers([items[each] for each in pending], are_others_through=are_others_through)
            for each, verdict in zip(pending, answers, strict=True):
                verdicts[each] = self._together(items[each], verdicts[each], verdict)
            are_others_through = are_others_through or any(each.outcome not in AGAIN for each in answers)
            tries += are_others_through
            pending = [] if self.stopped else [each for each in pending if self._is_open(items[each], verdicts[each])]
        return verdicts

    def _together(self, item: Item, earlier: Verdict, verdict: Verdict) -> Verdict:
        """What both tries came to: a later answer does not undo what an earlier attempt may have done."""
        in_doubt, attempts = earlier.in_doubt or verdict.in_doubt, earlier.attempts + verdict.attempts
        if self.is_once(item) and verdict.outcome in AGAIN and (in_doubt or verdict.outcome == "unknown"):
            return Verdict("unknown", f"{verdict.reason}; {NOT_REPEATED}", attempts=attempts)
        return replace(verdict, in_doubt=in_doubt, attempts=attempts)

    def _is_open(self, item: Item, verdict: Verdict) -> bool:
        return verdict.outcome in AGAIN and not (verdict.outcome == "unknown" and self.is_once(item))

    def _answers(self, items: list[Item], *, are_others_through: bool = False) -> list[Verdict]:
        """One try; verdicts that ask for another one have been waited for, or stopped everything."""
        if self.stopped:
            return [self.stopped] * len(items)
        start = time.monotonic()
        answer = self.attempt(items)
        took = time.monotonic() - start
        if isinstance(answer, Verdict) and answer.outcome in ABOUT_ONE and len(items) > 1:
            half = len(items) // 2
            halves = self.settle(items[:half]) + self.settle(items[half:])
            return [replace(each, attempts=each.attempts + 1) for each in halves]
        verdicts = [answer] * len(items) if isinstance(answer, Verdict) else answer
        self._note(verdicts, took, are_others_through=are_others_through)
        return [replace(each, attempts=max(each.attempts, 1)) for each in verdicts]

    def _note(self, verdicts: list[Verdict], took: float, *, are_others_through: bool) -> None:
        """Draw the consequences for what comes next."""
        self.standing.count([each.outcome for each in verdicts])
        if any(each.outcome not in AGAIN for each in verdicts):
            self.patience.progress()
            are_others_through = True
        waiting = [each for each in verdicts if each.outcome in AGAIN]
        refused = [each for each in verdicts if each.outcome == "refused"]
        if refused:
            self.standing.stop(refused[0])
        elif (
            waiting
            and not self.stopped
            and not self.patience.wait(max(waiting, key=_asked), took)
            and not are_others_through
        ):
            self.standing.stop(replace(waiting[0], outcome=_unsent(waiting[0])))


def _asked(verdict: Verdict) -> float:
    return verdict.after or 0.0


def _unsent(verdict: Verdict) -> Outcome:
    """The outcome of what was not sent because of this verdict: nothing unknown about it."""
    return "throttled" if verdict.outcome == "throttled" else "transient"

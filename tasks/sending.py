"""Getting a batch through: patience, isolation of bad records, and when to stop.

One courier serves one destination and has one request under way at a time. What a request looks
like is the business of `attempt`; what a verdict means is decided here, once for all adapters:

* transient and unknown: again after a random part of a doubling time (full jitter), until the
  time spent on failures reaches the window;
* throttled: again after the time the vendor names. That costs no patience as long as requests
  succeed in between;
* invalid or too large, and nobody says which record it is: halves, until it is alone;
* refused, or most of what was sent is invalid: nothing more is sent.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from populace.destinations.protocol import Answer, Outcome, Verdict

Item = TypeVar("Item")

AGAIN = ("throttled", "transient", "unknown")
ABOUT_ONE = ("invalid", "too_large")

# When most of a sync is invalid, the fault is ours and not the records' (destinations.md 15.11).
SUSPICIOUS_SHARE = 0.5
SUSPICIOUS_COUNT = 100


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to insist, in seconds.

    `window` bounds the time spent on failures within one run; what is left waits in the ledger for
    the next. `first` is the greatest first wait, doubled with every failure up to `longest`.
    `timeout` bounds each step of a request: connecting, sending, waiting for bytes.
    """

    window: float = 300.0
    first: float = 2.0
    longest: float = 60.0
    timeout: float = 10.0


@dataclass(slots=True)
class Patience:
    """How much of the window is left. Waits where waiting is allowed."""

    pace: Pace
    failures: int = 0  # in a row
    failing: float = 0.0  # seconds, all failures of the run
    throttled: float = 0.0  # seconds since the last success

    def wait(self, verdict: Verdict, took: float) -> bool:
        """Wait before the next try; False, at once, where the window does not allow it."""
        is_throttled = verdict.outcome == "throttled"
        pause = self._jitter() if verdict.after is None else verdict.after
        spent = took + pause + (self.throttled if is_throttled else self.failing)
        if spent > self.pace.window:
            return False
        if is_throttled:
            self.throttled = spent
        else:
            self.failing = spent
        # A wait the vendor asked for says nothing about how the next request will fare.
        self.failures += verdict.after is None
        time.sleep(pause)
        return True

    def progress(self) -> None:
        self.failures = 0
        self.throttled = 0.0

    def _jitter(self) -> float:
        return random.uniform(0, min(self.pace.longest, self.pace.first * 2 ** min(self.failures, 30)))


@dataclass(slots=True)
class Courier(Generic[Item]):
    """Settles batches of one destination, one after the other.

    `stopped` says why nothing more is sent; `is_suspicious` that the reason was too many invalid
    records, whose verdicts should then not be believed.
    """

    attempt: Callable[[Sequence[Item]], Answer]
    patience: Patience
    stopped: Verdict | None = None
    is_suspicious: bool = False
    settled: int = field(default=0, init=False)
    invalid: int = field(default=0, init=False)

    def settle(self, items: Sequence[Item]) -> list[Verdict]:
        """One verdict for each item, none of them worth another try within this run."""
        verdicts: list[Verdict] = [Verdict("transient")] * len(items)
        pending = list(range(len(items)))
        while pending:
            answers = self._answers([items[each] for each in pending])
            for each, verdict in zip(pending, answers, strict=True):
                # A later answer does not undo what an earlier attempt may have done.
                verdicts[each] = replace(verdict, in_doubt=verdict.in_doubt or verdicts[each].in_doubt)
            pending = [] if self.stopped else [each for each in pending if verdicts[each].outcome in AGAIN]
        return verdicts

    def _answers(self, items: list[Item]) -> list[Verdict]:
        """One try; verdicts that ask for another one have been waited for, or stopped everything."""
        if self.stopped:
            return [self.stopped] * len(items)
        start = time.monotonic()
        answer = self.attempt(items)
        took = time.monotonic() - start
        if isinstance(answer, Verdict) and answer.outcome in ABOUT_ONE and len(items) > 1:
            half = len(items) // 2
            return self.settle(items[:half]) + self.settle(items[half:])
        verdicts = [answer] * len(items) if isinstance(answer, Verdict) else answer
        self._note(verdicts, took)
        return verdicts

    def _note(self, verdicts: list[Verdict], took: float) -> None:
        """Draw the consequences for what comes next."""
        outcomes = [each.outcome for each in verdicts]
        self.settled += sum(each not in AGAIN for each in outcomes)
        self.invalid += sum(each in ABOUT_ONE for each in outcomes)
        if any(each not in AGAIN for each in outcomes):
            self.patience.progress()
        waiting = [each for each in verdicts if each.outcome in AGAIN]
        refused = [each for each in verdicts if each.outcome == "refused"]
        if refused:
            self.stopped = replace(refused[0], in_doubt=False)
        elif self.invalid >= SUSPICIOUS_COUNT and self.invalid > SUSPICIOUS_SHARE * self.settled:
            self.is_suspicious = True
            self.stopped = Verdict("refused", f"{self.invalid} of {self.settled} records were refused as invalid")
        elif waiting and not self.patience.wait(max(waiting, key=lambda each: each.after or 0), took):
            self.stopped = replace(waiting[0], outcome=_unsent(waiting[0]), in_doubt=False)


def _unsent(verdict: Verdict) -> Outcome:
    """The outcome of what was not sent because of this verdict: nothing unknown about it."""
    return "throttled" if verdict.outcome == "throttled" else "transient"

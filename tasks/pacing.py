"""How fast an account is sent to: a token bucket for each of its endpoints, shared by all senders of the process.

A vendor counts the requests of an account, not those of a destination of ours: two spaces that use one key share its
pace. So buckets are kept here for as long as the process lives.

A request costs one token, and a token costs the time that its sender's rate says. What is said holds in every stretch
of a second or more: tokens are made at `EVENNESS` of the rate, and what a machine that slept too long may catch up is
less than that leaves. After a 429 an endpoint is used at half the pace, and recovers within about `RECOVERY`
seconds of success.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

EVENNESS = 0.93  # of the rate, on average
CATCHING_UP = 0.03  # seconds; a second and this, at the even pace, leave 40 ms for what networks hold up and let go
RECOVERY = 60.0
SLOWEST = 1 / 16

Clock = Callable[[], float]


@dataclass(slots=True)
class Bucket:
    """The pace of one endpoint of one account.

    `share` is the part of the rate that is used now; `free` the instant from which another token is there.
    """

    clock: Clock = time.monotonic
    share: float = 1.0
    free: float = float("-inf")
    halved: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, rate: float) -> float:
        """Take the next token at so many a second; returns the seconds to wait for it."""
        with self.lock:
            now = self.clock()
            start = max(self.free, now - CATCHING_UP)
            self.free = start + 1 / (rate * EVENNESS * self.share)
            return max(start - now, 0.0)

    def throttled(self, sent: float) -> None:
        """Go at half the pace; the answers of requests that were under way together count once."""
        with self.lock:
            if sent >= self.halved:
                self.share = max(self.share / 2, SLOWEST)
                self.halved = self.clock()

    def succeeded(self, rate: float) -> None:
        with self.lock:
            self.share = min(self.share + 1 / (rate * self.share * RECOVERY), 1.0)


_buckets: dict[tuple[str, str, str], Bucket] = {}
_lock = threading.Lock()


def bucket(kind: str, account: str, endpoint: str) -> Bucket:
    """The one bucket of an endpoint."""
    with _lock:
        return _buckets.setdefault((kind, account, endpoint), Bucket())


def forget() -> None:
    """Begin anew, as a new process would."""
    with _lock:
        _buckets.clear()

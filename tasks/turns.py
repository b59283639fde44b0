"""One sync of a destination at a time, wherever it is started: two would have two writes of one person under way.

Whoever sends takes the destination's next turn in the ledger, which only one can create, and shows every so often
that he is alive. A turn that nobody gave back is over when its holder has not been heard of for a while, or at once
when he was a process of this machine that is gone.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from populace.errors import Transient
from populace.lake.delivery import Ledger

SIGN_SECONDS = 20.0
SILENCE = timedelta(seconds=100)  # five signs that did not come


@dataclass(slots=True)
class Turn:
    """A destination that is one's own for a while."""

    ledger: Ledger
    number: int
    since: str
    is_over: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Refuse to go on where somebody else has taken over, because no sign of us came for too long."""
        if self.ledger.turn()[0] != self.number:
            message = f"{self.ledger.destination}: another sync took over, because this one was not heard of"
            raise Transient(message)

    def show_signs(self) -> None:
        """Say again and again that the holder is alive, until the turn is over."""
        while not self.is_over.wait(SIGN_SECONDS):
            if self.ledger.turn()[0] == self.number:
                self.ledger.renew_turn(self.number, _sign(self.since))


@contextmanager
def turn(ledger: Ledger) -> Iterator[Turn]:
    """Have the destination for oneself while this lasts.

    Raises
    ------
    Transient
        If another sync is sending to it.
    """
    taken = Turn(ledger, _taken(ledger), _now())
    signs = threading.Thread(target=taken.show_signs, daemon=True)
    signs.start()
    try:
        yield taken
    finally:
        taken.is_over.set()
        signs.join()
        ledger.renew_turn(taken.number, None)


def _taken(ledger: Ledger) -> int:
    last, holder = ledger.turn()
    if _is_alive(holder) or not ledger.take_turn(last + 1, _sign()):
        since = f" since {holder['since']}" if holder else ""
        message = f"{ledger.destination}: another sync is sending to it{since}; wait until it is done"
        raise Transient(message)
    return last + 1


def _sign(since: str | None = None) -> dict[str, Any]:
    now = _now()
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since or now, "seen": now}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_alive(holder: dict[str, Any] | None) -> bool:
    if holder is None:
        return False
    if holder["host"] == socket.gethostname() and not _runs(holder["pid"]):
        return False
    return datetime.now(UTC) - datetime.fromisoformat(holder["seen"]) < SILENCE


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

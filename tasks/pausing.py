"""Holding a destination, and letting it go again."""

from typing import Any

import polars as pl

from populace.lake.delivery import Ledger
from populace.space import OpenSpace, due
from tasks.delivery import now

BY_PERSON = "person"
NO_REASON = "no reason was given"


def pause(space: OpenSpace, destination: str, because: str | None) -> dict[str, Any]:
    """Send nothing to a destination from now on; returns since when, by whom and why.

    Of a destination that a person paused already the instant stays, and the reason where no other is given.

    Raises
    ------
    UsageError
        If there is no such destination.
    """
    ledger = Ledger(space.lake, space.destination(destination).name)
    before = ledger.state().get("paused") or {}
    before = before if before.get("by") == BY_PERSON else {}
    reason = because or before.get("reason") or NO_REASON
    paused = {"reason": reason, "since": before.get("since") or now().isoformat(timespec="seconds"), "by": BY_PERSON}
    if paused != before:
        ledger.pause(**paused)
    return paused


def resume(space: OpenSpace, destination: str) -> dict[str, Any]:
    """Let the next sync send to a destination again.

    Returns
    -------
    `paused`: what it was paused by, None where it was not. `waiting`: how many records wait, by outcome;
    `waiting_since`: since when the oldest does.

    Raises
    ------
    UsageError
        If there is no such destination.
    """
    ledger = Ledger(space.lake, space.destination(destination).name)
    paused = ledger.state().get("paused")
    if paused:
        ledger.resume()
    return {"paused": paused, **_waiting(due.opened(ledger, now()).waiting())}


def _waiting(queue: pl.DataFrame) -> dict[str, Any]:
    counts = dict(queue.group_by("outcome").len().sort("outcome").iter_rows())
    oldest = queue.get_column("since").min()
    return {"waiting": counts, "waiting_since": oldest and f"{oldest:%Y-%m-%dT%H:%M:%SZ}"}

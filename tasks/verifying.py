"""Reads a destination back, compares what it holds with the ledger, and sends what differs; nothing else.

What people changed over there by hand, what a restored backup lacks and what somebody deleted is seen by no difference
between a run and the ledger. The ledger is made to tell the truth first, so a kill leaves nothing to find again: the
next sync repairs what this one did not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from populace import sync
from populace.definitions import Destination
from populace.errors import UsageError
from populace.lake.delivery import Ledger
from populace.space import OpenSpace, due
from populace.space.due import Books
from tasks.delivery import Ways, attempted, folded, now, opened, suspicion
from tasks.senders import Reader
from tasks.turns import turn

LEFT = (*sync.PARKED, *sync.WAITING, sync.REFUSED)
DIFFERENT = ("missing", "different", "extra")
COUNTS = ("acknowledged", *DIFFERENT, "unread")


@dataclass(frozen=True, slots=True)
class Compared:
    """One computation of a destination beside the ledger: what is acknowledged, and where it differs.

    `unread` are acknowledged rows of which the destination cannot be asked.
    """

    computation: sync.Computation
    held: pl.DataFrame
    drift: sync.Drift
    unread: int

    @property
    def row(self) -> dict[str, Any]:
        """Counts, and the computation's name."""
        counts = {**self.drift.counts, "unread": self.unread}
        return {**self.computation._asdict(), "acknowledged": self.held.height, **counts}

    @property
    def keys(self) -> pl.DataFrame:
        """(kind, key, form, id_type, id_value) of everything that differs."""
        named = {name: pl.lit(each) for name, each in self.computation._asdict().items()}
        return self.drift.identifiers.with_columns(**named).select(sync.KEY)


def verify(
    space: OpenSpace, destination: str, ways: Ways, *, dry_run: bool = False, confirm: bool = False
) -> dict[str, Any]:
    """Compare a destination with its ledger, and repair what differs.

    Parameters
    ----------
    dry_run
        Only say what differs.
    confirm
        Repair although the brake holds, or a source is silent.

    Returns
    -------
    `destination`, `kind`, `run_id`; `computations`, for each its kind, key and form with how many rows are
    `acknowledged`, `missing` there, `different`, `extra` and `unread`, of which it cannot be asked; the same counts in
    all; `status`: 'equal', 'differs' (dry run), 'repaired', or why it is not: 'partial', 'held', 'paused'; the account
    of the repair where there was one.
    A computation of which nothing is acknowledged is not read; where that is all of them, and records wait, or where
    the destination cannot be asked of any, the status is 'unread'.

    Raises
    ------
    UsageError
        If there is no such destination, if it is disabled or cannot be read back, or if nothing was ever published.
    Transient, Refused
        If it cannot be read now, or not at all; Transient also while a sync is sending to it.
    """
    node = space.destination(destination)
    if not node.enabled:
        message = f"destination '{node.name}' is disabled, so nobody looks at it; enable it in destinations.yaml"
        raise UsageError(message)
    ledger = Ledger(space.lake, node.name)
    with turn(ledger) as own:
        books, origin = opened(node, ledger, ways), due.origin(space, node, ledger)
        if not dry_run:
            books = folded(books)
        rows, keys = [], [pl.DataFrame(schema=dict.fromkeys(sync.KEY, pl.String))]
        for each in _compared(books, _reader(space, node, ways.sender(node, origin, books))):
            rows.append(each.row)
            keys.append(each.keys)
            if not dry_run and each.keys.height:
                own.check()
                ledger.keep(each.computation, sync.mended(each.held, each.drift))
        found, account = _found(rows, books.waiting().height), {}
        if found["status"] == "differs" and not dry_run:
            work = due.plan(space, node, books, origin).only(pl.concat(keys))
            warning = "" if confirm else suspicion(space, node, work, origin)
            account = attempted(node, own, books, work, origin, ways, warning)
            account["status"] = account["status"] if _left(account) else "repaired"
        found |= account
        if not dry_run:
            _report(ledger, found)
    return {"destination": node.name, "kind": node.kind, "run_id": origin.run_id, **found, "computations": rows}


def is_equal(verified: dict[str, Any]) -> bool:
    """Whether the destination is as the ledger says, or is so again."""
    return verified["status"] in ("equal", "repaired")


def _compared(books: Books, reader: Reader) -> Iterator[Compared]:
    """Every computation that something is acknowledged of, beside what the destination holds of it."""
    with reader:
        for computation in books.computations():
            held = books.held(computation)
            if held.is_empty():
                continue
            named = {name: pl.lit(each) for name, each in computation._asdict().items()}
            asked = reader.readable(held.with_columns(**named).select(list(sync.STATE)))
            drift = sync.drift(asked, reader.held(asked)) if asked.height else sync.NO_DRIFT
            unread = held.height - asked.height
            # Who is known there by what cannot be asked for would look like a stranger.
            drift = replace(drift, extra=drift.extra.clear()) if unread else drift
            yield Compared(computation, held, drift, unread)


def _reader(space: OpenSpace, node: Destination, sender: object) -> Reader:
    if isinstance(sender, Reader):
        return sender
    again = f"populace sync {space.definition.name} --destination {node.name} --resync"
    message = f"destination '{node.name}' is of kind {node.kind}, which cannot be read back; `{again}` says all again"
    raise UsageError(message)


def _found(rows: list[dict[str, Any]], waiting: int) -> dict[str, Any]:
    counts = {name: sum(each[name] for each in rows) for name in COUNTS}
    if not rows and waiting:
        return {"status": "unread", **counts, "reason": f"nothing is acknowledged, and {waiting:,} records wait"}
    if counts["acknowledged"] and counts["unread"] == counts["acknowledged"]:
        return {"status": "unread", **counts, "reason": "nothing of what is acknowledged can be read back"}
    differs = any(counts[name] for name in DIFFERENT)
    return {"status": "differs" if differs else "equal", **counts}


def _left(account: dict[str, Any]) -> int:
    return sum(account[name] for name in LEFT)


def _report(ledger: Ledger, found: dict[str, Any]) -> None:
    """Keep what was found beside the account of the last sync, of which the repair is no part."""
    kept = {name: found[name] for name in ("status", *COUNTS, "sent", "reason") if name in found}
    verified = {**kept, "at": now().isoformat(timespec="seconds")}
    ledger.write_report({**(ledger.report() or {"status": "never synced"}), "verified": verified})

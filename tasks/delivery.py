"""Makes one destination equal to the current run, and writes down honestly how far that went.

Nothing here knows Prefect: the task, the command line and the tests call `deliver`.

A kill is harmless at any moment. Before anything is sent, the ledger says what is going to be;
after every exchange it says what came of it. What was under way at a kill is sent again with the
same message ids, and what the destination then holds is not guessed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from populace import sync
from populace.definitions import Destination
from populace.destinations import ADAPTERS
from populace.destinations.protocol import Origin, Verdict
from populace.errors import DestinationError, Refused, Transient, UsageError
from populace.lake import runs
from populace.lake.delivery import Ledger
from populace.space import OpenSpace, families, standing
from tasks.senders import Sender, sender
from tasks.sending import Pace
from tasks.settings import Secret, resolve

CHUNK = 20_000  # records turned into requests at a time: bounds memory

# An exchange is written down when it and those before it make a file worth writing, or this old.
CONFIRM = "--destination {} --confirm"

BATCH_RECORDS = 1_000
BATCH_SECONDS = 2.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done for a destination: the two states, and everything that follows from them.

    `records` is the whole difference; `letters` are those of them that were refused before and have
    not changed since, `due` the others. `is_stale` says that the ledger differs from what is stored.
    """

    acknowledged: pl.DataFrame
    desired: pl.DataFrame
    records: pl.DataFrame
    due: pl.DataFrame
    letters: pl.DataFrame
    is_stale: bool


def deliver(
    space: OpenSpace,
    destination: str,
    *,
    environ: Mapping[str, str],
    secret: Secret | None = None,
    base: Path = Path(),
    dry_run: bool = False,
    resync: bool = False,
    confirm: bool = False,
    pace: Pace = Pace(),  # noqa: B008, it is frozen
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Send a destination what it lacks, and return the account of it.

    Parameters
    ----------
    environ, secret
        What `${NAME}` in its settings stands for: the first that knows it.
    base
        Where relative paths in its settings start.
    dry_run
        Only say what would be sent; nothing is sent or written.
    resync
        Send everything again, as if nothing had been acknowledged.
    confirm
        Send although the brake holds, or a source is silent.
    progress
        Called with (records settled, records due) after every exchange.

    Returns
    -------
    `destination`, `kind`, `run_id`, `status` (success | partial | held | disabled | dry_run), `reason` for
    being held or giving up, `computed` and the count of each outcome (`sync.summary`).

    Raises
    ------
    UsageError
        If there is no such destination, or nothing was ever published.
    """
    node = space.destination(destination)
    ledger = Ledger(space.lake, node.name)
    if not node.enabled and not dry_run:
        return _reported(ledger, {"destination": node.name, "kind": node.kind, "status": "disabled", "computed": 0})
    if resync and not dry_run:
        _forget(ledger)
    origin = _origin(space, node, ledger.generation())
    work = plan(space, node, ledger, origin, resync=resync)
    header = {"destination": node.name, "kind": node.kind, "run_id": origin.run_id}
    warning = "" if confirm else suspicion(space, node, work, origin)
    if dry_run:
        return {**header, **preview(work), **({"reason": warning} if warning else {})}
    # What a kill leaves behind must not look like the account of an earlier sync.
    _reported(ledger, {**header, "status": "running"})
    exchange = _Exchange(ledger, work, progress or (lambda done, due: None))
    if warning and work.due.height:
        exchange.refuse(warning)
        return _reported(ledger, {**header, **exchange.finish()})
    try:
        settings = resolve(node.options, environ, secret) if work.due.height else {}
        exchange.run(lambda: sender(node, settings, origin, pace, base))
    except Refused as refusal:
        exchange.refuse(str(refusal))
    return _reported(ledger, {**header, **exchange.finish()})


def previews(space: OpenSpace, only: str | None) -> list[dict[str, Any]]:
    """What every destination, or the one asked for, would be sent now; nothing is sent or written."""
    names = [only] if only else [each.name for each in space.definition.destinations]
    return [deliver(space, name, environ={}, dry_run=True) for name in names]


def failure(summary: Mapping[str, Any]) -> DestinationError | None:
    """The error that a summary amounts to: held, or something left waiting; parked records are none."""
    waiting = sum(summary.get(name, 0) for name in sync.WAITING)
    reason = summary.get("reason", "")
    if summary["status"] == "held":
        return Refused(f"{summary['destination']}: held, {summary[sync.REFUSED]} records wait: {reason}")
    if waiting:
        return Transient(f"{summary['destination']}: {waiting} records wait for the next sync: {reason}")
    return None


# --- before sending -------------------------------------------------------------------------------


def plan(space: OpenSpace, node: Destination, ledger: Ledger, origin: Origin, *, resync: bool = False) -> Work:
    """What is to be sent; reads the lake and writes nothing."""
    adapter = ADAPTERS[node.kind]
    acknowledged, letters, was_cut_short = recovered(ledger)
    if resync:
        acknowledged, letters = sync.forget(acknowledged), letters.clear()
    tables = [runs.table(space.lake, origin.run_id, name) for name in ("traits", "memberships", "external_ids")]
    definition = families.of_run(space, origin.run_id).definition
    desired = sync.desired(
        node,
        definition.traits,
        definition.audiences,
        *tables,
        first_form=adapter.ABOUT.forms[0],
        acknowledged=acknowledged,
    )
    records = sync.difference(desired, acknowledged, origin.salt, compared=adapter.ABOUT.compared)
    due, kept = sync.without_parked(records, letters)
    is_stale = was_cut_short or kept.height != letters.height
    return Work(acknowledged, desired, records, due, kept, is_stale)


def suspicion(space: OpenSpace, node: Destination, work: Work, origin: Origin) -> str:
    """Why what is due should not be sent before a person has looked at it; empty where nothing speaks against it."""
    found = [str(each) for each in sync.removals(work.records, work.acknowledged, node.brake)]
    found += standing.silent(space, datetime.fromisoformat(origin.as_of))
    if not found:
        return ""
    return f"{'; '.join(found)}; if that is meant, `populace sync {space.definition.name} {CONFIRM.format(node.name)}`"


def recovered(ledger: Ledger) -> tuple[pl.DataFrame, pl.DataFrame, bool]:
    """Acknowledged state and letters, completed by what a killed delivery left behind; whether one did."""
    acknowledged = _or_empty(ledger.acknowledged(), sync.STATE)
    letters = _or_empty(ledger.letters(), sync.SETTLED)
    sending, batches = ledger.sending(), ledger.batches()
    if sending is None and not batches:
        return acknowledged, letters, False
    settled = pl.concat([sync.SETTLED.to_frame(), *batches])
    under_way = _or_empty(sending, sync.RECORDS).join(settled, on=sync.KEY, how="anti")
    return *_folded(acknowledged, letters, settled, under_way), True


def _folded(
    acknowledged: pl.DataFrame, letters: pl.DataFrame, settled: pl.DataFrame, under_way: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Acknowledged state and letters after these outcomes, with what is in doubt marked so."""
    unsure = pl.concat([sync.doubtful(settled).select(list(sync.RECORDS)), under_way])
    return sync.doubt(sync.acknowledge(acknowledged, settled), unsure), sync.park(letters, settled)


def preview(work: Work) -> dict[str, Any]:
    """What would be sent, by action."""
    actions = dict(work.due.group_by("action").len().iter_rows())
    counts = {name: actions.get(name, 0) for name in ("set", "unset", "exit")}
    parked = work.records.height - work.due.height
    return {"status": "dry_run", "to_send": work.due.height, **counts, "parked": parked}


def _forget(ledger: Ledger) -> None:
    acknowledged, letters, _ = recovered(ledger)
    # The new generation first: with it, what is sent again is not taken for a repetition.
    ledger.next_generation()
    ledger.fold(sync.forget(acknowledged), letters.clear())


def _origin(space: OpenSpace, node: Destination, generation: int) -> Origin:
    current = runs.latest(space.lake)
    if current is None:
        name = space.definition.name
        message = f"space '{name}' has no published run yet; run: populace recompute {name}"
        raise UsageError(message)
    return Origin(space.definition.name, node.name, current["run_id"], current["as_of"], generation)


def _or_empty(frame: pl.DataFrame | None, schema: pl.Schema) -> pl.DataFrame:
    return schema.to_frame() if frame is None else frame


# --- sending ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Exchange:
    """One delivery under way: outcomes are collected, and written to the ledger as they come."""

    ledger: Ledger
    work: Work
    progress: Progress
    settled: list[pl.DataFrame] = field(default_factory=list)
    done: int = 0  # records in `settled`
    kept: int = 0  # those of them that the ledger has
    frames_kept: int = 0
    batches: int = 0
    at: float = field(default_factory=time.monotonic)  # when the ledger was written last
    reason: str = ""
    is_suspicious: bool = False

    def run(self, opened: Callable[[], Sender]) -> None:
        """Send what is due. Nothing is opened or written where nothing is."""
        if not self.work.due.height:
            return
        if self.work.is_stale:
            self.ledger.fold(self.work.acknowledged, self.work.letters)
        self.ledger.begin(self.work.due)
        with opened() as open_sender:
            for frame in _outcomes(open_sender, self.work.due):
                self._settle(frame)
            stopped = open_sender.courier.stopped
            self.reason = stopped.reason if stopped else ""
            self.is_suspicious = open_sender.courier.is_suspicious

    def refuse(self, reason: str) -> None:
        """Hold everything: nothing could be sent at all."""
        self.reason = reason
        verdicts = [Verdict("refused", reason)] * self.work.due.height
        self.settled = [_with_outcomes(self.work.due, verdicts)]

    def finish(self) -> dict[str, Any]:
        """Fold what happened into the ledger; returns the account of it."""
        settled = pl.concat([sync.SETTLED.to_frame(), *self.settled])
        if self.is_suspicious:
            # Most were refused, so the fault is ours: nobody's record is parked for it.
            invalid = pl.col("outcome").is_in(sync.PARKED)
            refused = pl.when(invalid).then(pl.lit(sync.REFUSED)).otherwise("outcome")
            settled = settled.with_columns(outcome=refused)
        if settled.height or self.work.is_stale:
            nothing = sync.RECORDS.to_frame()
            self.ledger.fold(*_folded(self.work.acknowledged, self.work.letters, settled, nothing))
        everything = pl.concat([settled, self.work.letters])
        account = sync.summary(self.work.desired, self.work.records, everything)
        return {**account, "reason": self.reason} if self.reason else account

    def _settle(self, frame: pl.DataFrame) -> None:
        self.settled.append(frame)
        self.done += frame.height
        self.progress(self.done, self.work.due.height)
        if self.done - self.kept >= BATCH_RECORDS or time.monotonic() - self.at > BATCH_SECONDS:
            self._keep()

    def _keep(self) -> None:
        """Write down what was settled since the last time."""
        self.ledger.add_batch(self.batches, pl.concat(self.settled[self.frames_kept :]))
        self.batches += 1
        self.frames_kept, self.kept, self.at = len(self.settled), self.done, time.monotonic()


def _outcomes(sender: Sender, records: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The records with their outcomes, exchange by exchange."""
    for chunk in records.iter_slices(CHUNK):
        for positions, verdicts in sender.send(chunk):
            yield _with_outcomes(chunk[positions], verdicts)


def _with_outcomes(records: pl.DataFrame, verdicts: list[Verdict]) -> pl.DataFrame:
    return records.with_columns(
        pl.Series("outcome", [each.outcome for each in verdicts], dtype=pl.String),
        pl.Series("reason", [each.reason for each in verdicts], dtype=pl.String),
        pl.Series("in_doubt", [each.in_doubt for each in verdicts], dtype=pl.Boolean),
    )


def _reported(ledger: Ledger, summary: dict[str, Any]) -> dict[str, Any]:
    """The summary, kept for `populace status` with the time it was made."""
    ledger.write_report({**summary, "at": datetime.now(UTC).isoformat(timespec="seconds")})
    return summary

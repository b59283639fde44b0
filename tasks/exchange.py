"""One delivery under way: outcomes are collected, and written to the ledger as they come."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from populace import sync
from populace.destinations.protocol import Verdict
from populace.errors import DestinationError, Refused
from populace.space.due import Books, Work
from tasks.senders import Sender
from tasks.turns import Turn

CHUNK = 20_000  # records turned into requests at a time: bounds memory

# An exchange is written down when it and those before it make a file worth writing, or this old.
BATCH_RECORDS = 1_000
BATCH_SECONDS = 2.0

UNFINISHED = "tables of profiles"  # begins the reason where the records are through, and these are not

Progress = Callable[[int, int], None]
Tables = Callable[[str], pl.LazyFrame]


@dataclass(slots=True)
class Exchange:
    """What is sent, and what comes of it.

    `reason` says why not everything was sent; `is_refused` that the destination does not let us in; `is_suspicious`
    that most of what was sent was invalid, so that the fault is taken to be ours.
    """

    turn: Turn
    books: Books
    work: Work
    progress: Progress | None = None
    settled: list[pl.DataFrame] = field(default_factory=list)
    done: int = 0  # records in `settled`
    kept: int = 0  # those of them that the ledger has
    frames_kept: int = 0
    batches: int = 0
    at: float = field(default_factory=time.monotonic)  # when the ledger was written last
    reason: str = ""
    is_refused: bool = False
    mirrored: dict[str, dict[str, int]] | None = None  # tables that were made equal: rows, written, removed
    unfinished: str = ""  # why some were not
    is_suspicious: bool = False

    def run(self, opened: Callable[[], Sender], tables: Tables | None = None) -> None:
        """Send what is due. Nothing is opened or written where nothing is.

        Parameters
        ----------
        tables
            Gives a table of the run by its name, for a destination that holds some of them whole beside its records.
        """
        if not self.work.due.height and not tables:
            return
        sender = opened()
        if self.books.are_stale:
            self.books.fold(sync.SETTLED.to_frame(), self.work.waiting, self.work.letters)
            self.books = self.books.clean()
        if self.work.due.height:
            self.books.ledger.begin(self.work.due)
        with sender:
            for frame in _outcomes(sender, self.work.due):
                self._settle(frame)
            stopped = sender.courier.stopped
            self.reason = stopped.reason if stopped else ""
            self.is_suspicious = sender.courier.is_suspicious
            self.is_refused = stopped is not None and stopped.outcome == "refused" and not self.is_suspicious
            self.books.ledger.write_samples(list(getattr(sender, "samples", ())))
            if tables and not stopped:
                self._mirror(sender, tables)

    def refuse(self, reason: str) -> None:
        """Hold everything: nothing is sent at all."""
        self.reason = reason
        verdicts = [Verdict("refused", reason)] * self.work.due.height
        self.settled = [_with_outcomes(self.work.due, verdicts)]

    def finish(self) -> dict[str, Any]:
        """Fold what happened into the ledger; returns the account of it."""
        settled = pl.concat([sync.SETTLED.to_frame(), *self.settled])
        sent = sync.seen(settled)
        if self.is_suspicious:
            # Most were refused, so the fault is ours: nobody's record is parked for it.
            invalid = pl.col("outcome").is_in(sync.PARKED)
            refused = pl.when(invalid).then(pl.lit(sync.REFUSED)).otherwise("outcome")
            settled = settled.with_columns(outcome=refused)
        waiting = self._fold(settled)
        work, outcomes = self.work, sync.counted(settled, self.work.parked)
        account = sync.summary(work.desired, work.without, work.records, outcomes) | {"sent": sent}
        if self.mirrored is not None:
            account["tables"] = self.mirrored
        if self.unfinished and account["status"] == "success":
            account["status"] = "partial"
        if waiting.height:
            account["waiting_since"] = f"{waiting.get_column('since').min():%Y-%m-%dT%H:%M:%SZ}"
        return {**account, "reason": self.reason} if self.reason else account

    def _fold(self, settled: pl.DataFrame) -> pl.DataFrame:
        """Write the ledger as it is now; returns what waits."""
        work, books = self.work, self.books
        waiting = pl.concat([work.queue, sync.queue(work.waiting, settled, books.at)]).sort(sync.KEY)
        if settled.height or work.is_stale:
            self.turn.check()
            books.fold(settled, waiting, sync.park(work.letters, work.waiting, settled, books.at))
        return waiting

    def _mirror(self, sender: Sender, tables: Tables) -> None:
        """Tables of the run whole; a failure leaves the account of the records as it is."""
        try:
            self.mirrored = sender.mirror({name: tables(name) for name in sender.mirrored})  # type: ignore[attr-defined]
        except DestinationError as error:
            self.unfinished = self.reason = f"{UNFINISHED}: {error}"
            self.is_refused = isinstance(error, Refused)

    def _settle(self, frame: pl.DataFrame) -> None:
        self.settled.append(frame)
        self.done += frame.height
        if self.progress:
            self.progress(self.done, self.work.due.height)
        if self.done - self.kept >= BATCH_RECORDS or time.monotonic() - self.at > BATCH_SECONDS:
            self._keep()

    def _keep(self) -> None:
        """Write down what was settled since the last time."""
        self.turn.check()
        self.books.ledger.add_batch(self.batches, pl.concat(self.settled[self.frames_kept :]))
        self.batches += 1
        self.frames_kept, self.kept, self.at = len(self.settled), self.done, time.monotonic()


def _outcomes(sender: Sender, records: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The records with their outcomes, exchange by exchange."""
    for chunk in records.iter_slices(getattr(sender, "chunk", CHUNK) or records.height):
        for positions, verdicts in sender.send(chunk):
            yield _with_outcomes(chunk[positions], verdicts)


def _with_outcomes(records: pl.DataFrame, verdicts: list[Verdict]) -> pl.DataFrame:
    names = ("outcome", "reason", "in_doubt", "attempts", "sent", "reply")
    columns = {name: [getattr(each, name) for each in verdicts] for name in names}
    return records.with_columns(pl.Series(name, values, sync.SETTLED[name]) for name, values in columns.items())

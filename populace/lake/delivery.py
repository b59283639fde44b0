"""What each destination has acknowledged, written so that a kill at any moment loses nothing.

    ledger/<destination>/acknowledged.parquet   the whole state, replaced
    ledger/<destination>/sending.parquet        the records of a delivery that has begun and not ended
    ledger/<destination>/batches/<n>.parquet    the outcomes of one exchange, written as soon as it is over
    ledger/<destination>/letters.parquet        records that can never succeed, each with its reason
    ledger/<destination>/state.json             the generation: how often a resync was asked for
    ledger/<destination>/report.json            the last summary; counts only, no personal data

Batches are folded into the state at the next start and at the end. Folding twice is harmless, as
long as they disappear oldest first: a newer outcome must not be undone by an older one.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from populace.lake.objects import Store, read_json, scan, write_json, write_table


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one destination. A table that is not there is read as None."""

    store: Store
    destination: str

    def acknowledged(self) -> pl.DataFrame | None:
        return self._read("acknowledged.parquet")

    def sending(self) -> pl.DataFrame | None:
        return self._read("sending.parquet")

    def letters(self) -> pl.DataFrame | None:
        return self._read("letters.parquet")

    def batches(self) -> list[pl.DataFrame]:
        """The outcomes that are not folded yet, oldest first."""
        return [scan(self.store, path).collect() for path in self._batch_paths()]

    def begin(self, records: pl.DataFrame) -> None:
        """Say what is about to be sent, before any of it is."""
        write_table(self.store, self._path("sending.parquet"), records)

    def add_batch(self, number: int, settled: pl.DataFrame) -> None:
        write_table(self.store, self._path(f"batches/{number:08d}.parquet"), settled)

    def fold(self, acknowledged: pl.DataFrame, letters: pl.DataFrame) -> None:
        """Replace the state and forget what it was made of."""
        write_table(self.store, self._path("letters.parquet"), letters)
        write_table(self.store, self._path("acknowledged.parquet"), acknowledged)
        # Before the batches: without them, everything still listed here would seem to be in doubt.
        self.store.delete(self._path("sending.parquet"))
        for path in self._batch_paths():
            self.store.delete(path)

    def generation(self) -> int:
        return (read_json(self.store, self._path("state.json")) or {}).get("generation", 0)

    def next_generation(self) -> None:
        write_json(self.store, self._path("state.json"), {"generation": self.generation() + 1})

    def report(self) -> dict[str, Any] | None:
        return read_json(self.store, self._path("report.json"))

    def write_report(self, summary: dict[str, Any]) -> None:
        write_json(self.store, self._path("report.json"), summary)

    def _path(self, name: str) -> str:
        return f"ledger/{self.destination}/{name}"

    def _batch_paths(self) -> list[str]:
        return [each.path for each in self.store.list(self._path("batches/"))]

    def _read(self, name: str) -> pl.DataFrame | None:
        path = self._path(name)
        is_there = any(each.path == path for each in self.store.list(path))
        return scan(self.store, path).collect() if is_there else None

"""What each destination has acknowledged, written so that a kill at any moment loses nothing.

    ledger/<destination>/acknowledged/<kind>.<form>.<key>.parquet   what it holds of one computation, replaced whole
    ledger/<destination>/waiting.parquet        records that are not through yet: why, since when, how often tried
    ledger/<destination>/letters.parquet        records that can never succeed, each with its reason
    ledger/<destination>/sending.parquet        the records of a delivery that has begun and not ended
    ledger/<destination>/batches/<n>.parquet    the outcomes of some exchanges, written as soon as they are over
    ledger/<destination>/state.json             how often a resync was asked for, and whether it is paused
    ledger/<destination>/lists.json             what it calls the lists of audiences, by their keys
    ledger/<destination>/report.json            the last summary; counts only, no personal data
    ledger/<destination>/samples.json           a few of its requests and answers, without personal data
    ledger/<destination>/turns/<n>.json         who is sending: the greatest number counts

Batches are folded into the state at the next start and at the end. Folding twice is harmless, as
long as they disappear oldest first: a newer outcome must not be undone by an older one.

Earlier versions kept acknowledged.parquet, with all computations and without `at`. It is read as if it were split
already, and split by the next sync (`migrate`). Their other tables lack columns, which whoever reads them fills.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from populace.lake.objects import Store, read_json, scan, to_json, write_json, write_table

LEDGER = "ledger/"
Computed = tuple[str, str, str]  # kind, key, form
COMPUTED = ("kind", "key", "form")
UNDIVIDED = "acknowledged.parquet"  # of earlier versions
NEVER = pl.lit(None, pl.Datetime("us", "UTC"))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one destination. A table that is not there is read as None."""

    store: Store
    destination: str

    # --- tables --------------------------------------------------------------------------------------

    def computations(self) -> list[Computed]:
        """(kind, key, form) of everything that was ever acknowledged."""
        names = (each.path.rpartition("/")[2] for each in self.store.list(self._path("acknowledged/")))
        parts = (name.removesuffix(".parquet").split(".", 2) for name in names)
        split = [(kind, key, form) for kind, form, key in parts]
        return split + [each for each in self._undivided() if each not in split]

    def acknowledged(self, computation: Computed) -> pl.DataFrame | None:
        found = self._read(self._of(computation))
        return self._undivided().get(computation) if found is None else found

    def migrate(self) -> None:
        """Split what an earlier version acknowledged, before anything else is written; a kill in it changes nothing."""
        undivided = self._undivided()
        for computation, held in undivided.items():
            self.keep(computation, held)
        if undivided:
            self.store.delete(self._path(UNDIVIDED))

    def _undivided(self) -> dict[Computed, pl.DataFrame]:
        """What is still in the form of earlier versions; when it was acknowledged is not known."""
        found = self._read(UNDIVIDED)
        if found is None:
            return {}
        parts = found.with_columns(at=NEVER).partition_by(COMPUTED, as_dict=True, include_key=False)
        return {(kind, key, form): held for (kind, key, form), held in parts.items()}

    def waiting(self) -> pl.DataFrame | None:
        return self._read("waiting.parquet")

    def letters(self) -> pl.DataFrame | None:
        return self._read("letters.parquet")

    def sending(self) -> pl.DataFrame | None:
        return self._read("sending.parquet")

    def batches(self) -> list[pl.DataFrame]:
        """The outcomes that are not folded yet, oldest first."""
        return [scan(self.store, path).collect() for path in self._paths("batches/")]

    def begin(self, records: pl.DataFrame) -> None:
        """Say what is about to be sent, before any of it is."""
        write_table(self.store, self._path("sending.parquet"), records)

    def add_batch(self, number: int, settled: pl.DataFrame) -> None:
        write_table(self.store, self._path(f"batches/{number:08d}.parquet"), settled)

    def keep(self, computation: Computed, held: pl.DataFrame) -> None:
        """Replace what is acknowledged of a computation."""
        write_table(self.store, self._path(self._of(computation)), held)

    def fold(self, held: Iterable[tuple[Computed, pl.DataFrame]], waiting: pl.DataFrame, letters: pl.DataFrame) -> None:
        """Replace the state of these computations, what waits and the letters, and forget what they were made of."""
        for computation, frame in held:
            self.keep(computation, frame)
        self.keep_letters(letters)
        write_table(self.store, self._path("waiting.parquet"), waiting)
        # Before the batches: without them, everything still listed here would seem to be in doubt.
        self.store.delete(self._path("sending.parquet"))
        for path in self._paths("batches/"):
            self.store.delete(path)

    def keep_letters(self, letters: pl.DataFrame) -> None:
        write_table(self.store, self._path("letters.parquet"), letters)

    # --- documents -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """`generation`: how often a resync was asked for; `paused`: {reason, since, by}, where it is."""
        return read_json(self.store, self._path("state.json")) or {}

    def generation(self) -> int:
        return self.state().get("generation", 0)

    def next_generation(self) -> None:
        """Begin anew."""
        self._change(generation=self.generation() + 1)

    def lists(self) -> dict[str, str]:
        """By the keys of audiences, the ids of the lists that their members were sent to last."""
        return read_json(self.store, self._path("lists.json")) or {}

    def keep_list(self, key: str, name: str) -> None:
        write_json(self.store, self._path("lists.json"), {**self.lists(), key: name})

    def pause(self, reason: str, since: str, by: str) -> None:
        """Nothing is sent until `resume`; `by` is 'refusal' or 'person'."""
        self._change(paused={"reason": reason, "since": since, "by": by})

    def resume(self) -> None:
        self._change(paused=None)

    def _change(self, **changed: Any) -> None:
        write_json(self.store, self._path("state.json"), {**self.state(), **changed})

    def report(self) -> dict[str, Any] | None:
        return read_json(self.store, self._path("report.json"))

    def write_report(self, summary: Mapping[str, Any]) -> None:
        write_json(self.store, self._path("report.json"), summary)

    def samples(self) -> list[dict[str, Any]]:
        return read_json(self.store, self._path("samples.json")) or []

    def write_samples(self, samples: list[dict[str, Any]]) -> None:
        write_json(self.store, self._path("samples.json"), samples)

    # --- turns ---------------------------------------------------------------------------------------

    def turn(self) -> tuple[int, dict[str, Any] | None]:
        """The number of the last turn, and who has it; None where it was given back."""
        paths = self._paths("turns/")
        return (_number(paths[-1]), read_json(self.store, paths[-1])) if paths else (0, None)

    def take_turn(self, number: int, holder: Mapping[str, Any]) -> bool:
        """Take the turn of that number; False where somebody else was first."""
        if not self.store.create(self._turn(number), to_json(holder)):
            return False
        for path in self._paths("turns/"):
            if _number(path) < number:
                self.store.delete(path)
        return True

    def renew_turn(self, number: int, holder: Mapping[str, Any] | None) -> None:
        """Show that the holder is alive; None gives the turn back."""
        write_json(self.store, self._turn(number), holder)

    # --- places --------------------------------------------------------------------------------------

    def path_of_letters(self) -> str:
        """Where the letters lie, for people who read them with tools of their own."""
        return self.store.uri(self._path("letters.parquet"))

    def _turn(self, number: int) -> str:
        return self._path(f"turns/{number:08d}.json")

    def _of(self, computation: Computed) -> str:
        kind, key, form = computation
        return f"acknowledged/{kind}.{form}.{key}.parquet"

    def _path(self, name: str) -> str:
        return f"{LEDGER}{self.destination}/{name}"

    def _paths(self, folder: str) -> list[str]:
        return [each.path for each in self.store.list(self._path(folder))]

    def _read(self, name: str) -> pl.DataFrame | None:
        path = self._path(name)
        is_there = any(each.path == path for each in self.store.list(path))
        return scan(self.store, path).collect() if is_there else None


def _number(path: str) -> int:
    return int(path.rpartition("/")[2].removesuffix(".json"))

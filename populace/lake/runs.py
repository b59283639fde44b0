"""Runs: immutable tables with a manifest, and the numbered pointers that say which one is current."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl

from populace.lake.objects import Store, read_json, scan, to_json, write_json, write_table

POINTERS = "runs/published/"


def iso(moment: datetime) -> str:
    """An instant as text that sorts in time."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def write(store: Store, run_id: str, table: str, frame: pl.DataFrame) -> None:
    """Put a table of a run in its place; a run that is computed again gives the same bytes."""
    write_table(store, f"runs/{run_id}/{table}.parquet", frame)


def table(store: Store, run_id: str, name: str) -> pl.LazyFrame:
    """A table of a run, lazily."""
    return scan(store, f"runs/{run_id}/{name}.parquet")


def has(store: Store, run_id: str, name: str) -> bool:
    """Whether a run has that table."""
    path = f"runs/{run_id}/{name}.parquet"
    return any(each.path == path for each in store.list(path))


def rows(store: Store, run_id: str, name: str) -> int:
    """How many rows a table of a run has."""
    return table(store, run_id, name).select(pl.len()).collect().item()


def manifest(store: Store, run_id: str) -> dict | None:
    """What a run was made of and what it holds; None for a run that was never completed."""
    return read_json(store, f"runs/{run_id}/manifest.json")


def complete(store: Store, run_id: str, document: dict[str, Any]) -> None:
    """Write the manifest, after every table: a run with a manifest is whole."""
    write_json(store, f"runs/{run_id}/manifest.json", document)


def _pointers(store: Store) -> Iterator[dict]:
    """Every published pointer, newest first: {number, run_id, as_of}."""
    found = [each.path for each in store.list(POINTERS) if each.path.endswith(".json")]
    return (read_json(store, path) for path in sorted(found, reverse=True))


def pointer_path(number: int) -> str:
    """Where the pointer of that number lies."""
    return f"{POINTERS}{number:012d}.json"


def latest(store: Store) -> dict | None:
    """The pointer that counts: the one with the greatest number; None before the first."""
    return next(_pointers(store), None)


def current(store: Store) -> str | None:
    """The id of the published run that readers should use; None before the first."""
    pointer = latest(store)
    return pointer["run_id"] if pointer else None


def before(store: Store, as_of: str) -> str | None:
    """The published run that a run as of this instant is compared with: the greatest smaller `as_of`."""
    # A later pointer never has a smaller as_of, so the first one found is the greatest.
    return next((each["run_id"] for each in _pointers(store) if each["as_of"] < as_of), None)


def publish(store: Store, run_id: str, as_of: str) -> bool:
    """Make a run current, unless a run of a later instant already is.

    The next number is created with a conditional write, so of several publishers one wins and the
    others look again. Publishing the current run again changes nothing.

    Returns
    -------
    Whether the run is current now.
    """
    while True:
        pointer = latest(store) or {"number": 0, "run_id": None, "as_of": ""}
        if pointer["as_of"] > as_of:
            return False
        if pointer["run_id"] != run_id:
            pointer = {"number": pointer["number"] + 1, "run_id": run_id, "as_of": as_of}
            if not store.create(pointer_path(pointer["number"]), to_json(pointer)):
                continue
        _copy_latest(store, pointer)
        return True


def _copy_latest(store: Store, pointer: dict) -> None:
    """Write the convenience copy; whoever writes it last has seen that it is the newest."""
    while True:
        write_json(store, "runs/current.json", pointer)
        newest = latest(store) or pointer
        if newest["number"] == pointer["number"]:
            return
        pointer = newest

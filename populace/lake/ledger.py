"""What was replayed: the ledger of each slice, and for each source how far it is.

A slice's entry is written when all its tables are, and forgotten before any of them is written
again: an entry that stands is true. A source's summary says `running` from the moment something
is to be done until everything is, and only a `complete` one is trusted to list the slices.
"""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl

from populace.lake.objects import Store, read_json, scan, write_json, write_table

UNDATED = "undated"
OBJECTS = {
    "path": pl.String,
    "tag": pl.String,
    "size": pl.Int64,
    "digest": pl.String,
    "day": pl.String,
    "rows": pl.UInt32,
}


def fingerprint(document: Any) -> str:
    """A short hash of plain data."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- sources ------------------------------------------------------------------------------------


def summary(store: Store, source: str) -> dict:
    """Where a source stands: {source, since, status, slices}; empty where it was never replayed."""
    return read_json(store, f"replay/{source}.json") or {}


def begin(store: Store, source: str, since: str) -> None:
    """Say that the source is being replayed, before anything of it changes."""
    write_json(store, f"replay/{source}.json", {"source": source, "since": since, "status": "running"})


def finish(store: Store, source: str, since: str, status: str, among: list[str]) -> dict:
    """Say how the source ended, with every slice it now has and their totals.

    `among` are all sources of the space, for they share messages: with other sources beside it, what
    counts here may be another copy.
    """
    slices = entries(store, source)
    document: dict[str, Any] = {"source": source, "since": since, "status": status, "among": among}
    document |= {"slices": slices, "rows": total(slices.values())}
    write_json(store, f"replay/{source}.json", document)
    return document


def is_complete(store: Store, source: str, among: list[str]) -> bool:
    """Whether everything is in the lake that was there when these sources were last looked at."""
    found = summary(store, source)
    return found.get("status") == "complete" and found.get("among") == among


def slices(store: Store, source: str) -> dict[str, dict]:
    """Every slice of a source by its day, oldest first; from one object where the source is complete."""
    found = summary(store, source)
    return found["slices"] if found.get("status") == "complete" else entries(store, source)


def sources(store: Store) -> list[str]:
    """Every source the lake has anything of."""
    paths = [each.path.removeprefix("replay/") for each in store.list("replay/")]
    return sorted({path.removesuffix(".json") for path in paths if "/" not in path and path.endswith(".json")})


def drop(store: Store, source: str) -> None:
    """Forget a source whose slices are all gone."""
    store.delete(f"replay/{source}.objects.parquet")
    store.delete(f"replay/{source}.json")


def total(slices: Iterable[dict]) -> dict[str, int]:
    """The rows of several slices together."""
    listed = [each["rows"] for each in slices]
    return {name: sum(rows[name] for rows in listed) for name in ("read", "kept", "duplicate", "rejected")}


# --- slices ---------------------------------------------------------------------------------------


def _path(source: str, day: str) -> str:
    return f"replay/{source}/{day}.json"


def entries(store: Store, source: str) -> dict[str, dict]:
    """Every slice of a source by its day, oldest first."""
    paths = [each.path for each in store.list(f"replay/{source}/") if each.path.endswith(".json")]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda path: read_json(store, path), paths)
    return {each["day"]: each for each in found if each}


def entry(store: Store, source: str, day: str) -> dict | None:
    """One slice; None where it is not in the lake, or being written."""
    return read_json(store, _path(source, day))


def record(store: Store, source: str, found: dict) -> None:
    """Remember a slice whose tables are all written."""
    write_json(store, _path(source, found["day"]), found)


def forget(store: Store, source: str, day: str) -> None:
    """Forget a slice whose tables are about to change."""
    store.delete(_path(source, day))


# --- objects --------------------------------------------------------------------------------------


def objects(store: Store, source: str) -> pl.DataFrame:
    """What is known of the archive's objects, one row per object and received day in it.

    (path, tag, size, digest, day: str, rows: u32); day is `undated` for rows without an instant,
    and null in the only row of an object that holds none. A cache: it can be made again.
    """
    path = f"replay/{source}.objects.parquet"
    return scan(store, path).collect() if store.list(path) else pl.DataFrame(schema=OBJECTS)


def remember_objects(store: Store, source: str, known: pl.DataFrame) -> None:
    """Replace what `objects` returns."""
    write_table(store, f"replay/{source}.objects.parquet", known.sort("path", "day"))

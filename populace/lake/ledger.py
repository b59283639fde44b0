"""What was replayed: an entry for each part, and for each source how far it is.

A part's entry is written when all its tables are, and forgotten before any of them is written
again: an entry that stands is true. A source's summary says `running` from the moment something
is to be done until everything is, and only a `complete` one is trusted to list the parts.
"""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl

from populace.lake.objects import Store, read_json, scan, write_json, write_table

UNDATED = "undated"  # the day of rows without any readable instant
UNKNOWN = "unknown"  # the day of objects that do not say theirs before they are read
COUNTS = ("read", "kept", "duplicate", "rejected")
OBJECTS = {
    "path": pl.String, "tag": pl.String, "size": pl.Int64, "digest": pl.String, "day": pl.String, "last": pl.String,
}  # fmt: skip
PIECES = {
    "part": pl.String, "path": pl.String, "digest": pl.String, "start": pl.Int64, "stop": pl.Int64,
    "day": pl.String, "rows": pl.Int64,
}  # fmt: skip


def fingerprint(document: Any) -> str:
    """A short hash of plain data."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- sources ------------------------------------------------------------------------------------


def summary(store: Store, source: str) -> dict:
    """Where a source stands: {source, since, status, parts, days, rows, …}; empty where it was never replayed."""
    return read_json(store, f"replay/{source}.json") or {}


def write_summary(store: Store, source: str, document: dict[str, Any]) -> None:
    """Replace what `summary` returns."""
    write_json(store, f"replay/{source}.json", {"source": source} | document)


def is_complete(store: Store, source: str, among: list[str]) -> bool:
    """Whether everything is in the lake that was there when these sources were last looked at."""
    found = summary(store, source)
    return found.get("status") == "complete" and found.get("among") == among


def parts(store: Store, source: str) -> dict[str, dict]:
    """Every part of a source by its name, oldest day first; from one object where the source is complete."""
    found = summary(store, source)
    return found["parts"] if found.get("status") == "complete" else entries(store, source)


def slices(store: Store, source: str) -> dict[str, str]:
    """For each received day of a source a fingerprint of what it was made of."""
    found = summary(store, source)
    return found["slices"] if found.get("status") == "complete" else fingerprints(entries(store, source).values())


def fingerprints(found: Iterable[dict]) -> dict[str, str]:
    """For each received day, oldest first, what it is made of: rules and contents of objects, however they were cut."""
    days: dict[str, set[tuple[str, str, str]]] = {}
    for part in found:
        for each in part["objects"]:
            for day in each["days"]:
                days.setdefault(day, set()).add((each["path"], each["digest"], part["rules"]))
    return {day: fingerprint(sorted(made_of)) for day, made_of in sorted(days.items())}


def sources(store: Store) -> list[str]:
    """Every source that the lake has anything of."""
    paths = [each.path.removeprefix("replay/") for each in store.list("replay/")]
    named = {path.removesuffix(".json") for path in paths if "/" not in path and path.endswith(".json")}
    return sorted(each for each in named if not each.startswith("@"))


def drop(store: Store, source: str) -> None:
    """Forget a source whose parts are all gone."""
    for kind in ("objects.parquet", "pieces.parquet", "json"):
        store.delete(f"replay/{source}.{kind}")


def total(counted: Iterable[dict]) -> dict[str, int]:
    """Several counts of rows together."""
    listed = list(counted)
    return {name: sum(rows[name] for rows in listed) for name in COUNTS}


def reasons(found: Iterable[dict]) -> dict[str, int]:
    """How many rows of some parts were rejected, by reason code."""
    counted: dict[str, int] = {}
    for part in found:
        for reason, count in part["reasons"].items():
            counted[reason] = counted.get(reason, 0) + count
    return dict(sorted(counted.items()))


def days(found: Iterable[dict], pending: dict[str, int], failed: Iterable[dict]) -> dict[str, dict]:
    """For each received day its rows, and its status: pending, running, complete or failed.

    Parameters
    ----------
    found
        Parts of one source.
    pending
        How many objects of each day are still to be read.
    failed
        Objects that could not be read, each with the `day` that it is thought to be of, or None.
    """
    counted: dict[str, list[dict]] = {}
    for part in found:
        for day, rows in part["days"].items():
            counted.setdefault(day, []).append(rows)
    broken = {each["day"] or UNKNOWN for each in failed}
    summed = {}
    for day in sorted({*counted, *pending, *broken}):
        is_done = day not in pending
        status = "failed" if day in broken else "complete" if is_done else "running" if day in counted else "pending"
        summed[day] = {"status": status} | total(counted.get(day, ()))
    return summed


# --- parts ----------------------------------------------------------------------------------------


def _path(source: str, part: str) -> str:
    return f"replay/{source}/{part}.json"


def entries(store: Store, source: str) -> dict[str, dict]:
    """Every part of a source by its name, oldest day first."""
    paths = [each.path for each in store.list(f"replay/{source}/") if each.path.endswith(".json")]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda path: read_json(store, path), paths)
    return {each["part"]: each for each in found if each}


def entry(store: Store, source: str, part: str) -> dict | None:
    """One part; None where it is not in the lake, or being written."""
    return read_json(store, _path(source, part))


def record(store: Store, source: str, found: dict) -> None:
    """Remember a part whose tables are all written."""
    write_json(store, _path(source, found["part"]), found)


def forget(store: Store, source: str, part: str) -> None:
    """Forget a part whose tables are about to change."""
    store.delete(_path(source, part))


# --- objects --------------------------------------------------------------------------------------


def objects(store: Store, source: str) -> pl.DataFrame:
    """What is known of the archive's objects, one row each: (path, tag, size, digest, day, last).

    `day` is the received day by which objects are put in order; none of its rows was received after the day
    `last`. Either may be unknown.
    """
    return listed(store, source).drop_nulls("digest")


def ignored(store: Store, source: str) -> list[str]:
    """Objects of the archive that its layout does not read, sorted; marks, which are empty, are not meant."""
    found = listed(store, source).filter(pl.col("digest").is_null() & (pl.col("size") > 0))
    return found.get_column("path").to_list()


def listed(store: Store, source: str) -> pl.DataFrame:
    """All objects of the archive, those without a digest among them, which its layout does not read.

    A cache: it can be made again.
    """
    return _cached(store, f"replay/{source}.objects.parquet", OBJECTS)


def remember_objects(store: Store, source: str, known: pl.DataFrame) -> None:
    """Replace what `listed` returns."""
    write_table(store, f"replay/{source}.objects.parquet", known.sort("path"))


def pieces(store: Store, source: str) -> pl.DataFrame:
    """Which rows of which objects each part was made of, one row per part, object and received day.

    (part, path, digest, start, stop: null where the object ends, day, rows); day is `undated` for rows
    without an instant, and null where no row of the piece counts.
    """
    found = _cached(store, f"replay/{source}.pieces.parquet", PIECES)
    if summary(store, source).get("status") == "complete":
        return found
    return pl.concat([pl.DataFrame(schema=PIECES), *(of_entry(each) for each in entries(store, source).values())])


def of_entry(found: dict) -> pl.DataFrame:
    """The pieces of one part."""
    listed = [
        (found["part"], each["path"], each["digest"], each["start"], each["stop"], day, rows)
        for each in found["objects"]
        for day, rows in (each["days"] or {None: 0}).items()
    ]
    return pl.DataFrame(listed, schema=PIECES, orient="row")


def remember_pieces(store: Store, source: str, found: pl.DataFrame) -> None:
    """Replace what `pieces` returns for a complete source."""
    write_table(store, f"replay/{source}.pieces.parquet", found.sort("part", "path", "start", "day"))


def _cached(store: Store, path: str, schema: dict) -> pl.DataFrame:
    return scan(store, path).collect() if store.list(path) else pl.DataFrame(schema=schema)

"""What a source's archive holds, by object and received day, and which slices that makes due."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import polars as pl
from polars.exceptions import PolarsError

from populace.definitions import Source
from populace.errors import ArchiveError
from populace.events import layout, slices
from populace.events.slices import Rules
from populace.lake import ledger
from populace.lake.ledger import UNDATED
from populace.lake.objects import Object, Store, scan
from populace.space.opening import OpenSpace

ID_COLUMNS = ("message_id", *layout.INSTANTS)
READERS = 8  # objects looked at together; on S3 the time goes into waiting


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be done for one source.

    `objects` is as `ledger.objects`, restricted to days that are replayed; `fingerprints` says for
    each day, oldest first, what its slice should be made of; `due` are the days that are not so yet;
    `vanished` are days in the ledger that no object holds any more.
    """

    source: Source
    since: str
    objects: pl.DataFrame
    fingerprints: dict[str, str]
    due: tuple[str, ...]
    vanished: tuple[str, ...]

    def due_objects(self) -> list[str]:
        """The paths of the objects that due slices are made of."""
        return self.objects.filter(pl.col("day").is_in(self.due)).get_column("path").unique().to_list()


def look(space: OpenSpace, source: Source) -> None:
    """List the archive and look into the objects that are new or changed.

    What is found is remembered in the lake, so that every later step of a replay speaks of the same
    objects whatever arrives meanwhile.

    Raises
    ------
    ArchiveError
        If the archive cannot be listed, is empty, or holds an object that cannot be read.
    """
    store = space.archive(source)
    listed = [each for each in store.list() if each.path.endswith(".parquet")]
    if not listed:
        message = f"{store.root}: no Parquet object of source '{source.name}' here; check `archive` at {source.at}"
        raise ArchiveError(message)
    current = pl.DataFrame({"path": [each.path for each in listed], "tag": [each.tag for each in listed]})
    before = ledger.objects(space.lake, source.name)
    known = before.join(current, on=["path", "tag"], how="semi")
    seen = set(known.get_column("path"))
    fresh = [each for each in listed if each.path not in seen]
    if fresh or known.height < before.height:
        ledger.remember_objects(space.lake, source.name, pl.concat([known, *_look_into(store, fresh)]))


def survey(space: OpenSpace, source: Source, first_day: date) -> Survey:
    """What is due, by the objects that `look` remembered.

    Parameters
    ----------
    first_day
        Where the window of a source's first replay begins (L-30); a source that was replayed before
        keeps the day it began with. A `since` of the source itself counts instead of both.
    """
    before = ledger.summary(space.lake, source.name)
    since = source.since or before.get("since") or first_day.isoformat()
    objects = ledger.objects(space.lake, source.name).filter(
        (pl.col("day") == UNDATED) | ((pl.col("day") >= since) & (pl.col("day") < UNDATED))
    )
    wanted = fingerprints(objects, space.rules(source))
    done = {day: entry["fingerprint"] for day, entry in ledger.slices(space.lake, source.name).items()}
    due = tuple(day for day, want in wanted.items() if done.get(day) != want)
    vanished = tuple(sorted(set(done) - set(wanted)))
    return Survey(source, since, objects, wanted, due, vanished)


def fingerprints(objects: pl.DataFrame, rules: Rules) -> dict[str, str]:
    """For each day, oldest first, what its slice is made of: rules and contents of its objects."""
    described = rules.describe()
    days = objects.sort("day", "path").group_by("day", maintain_order=True).agg("path", "digest")
    return {
        day: ledger.fingerprint([described, list(zip(paths, digests, strict=True))])
        for day, paths, digests in days.iter_rows()
    }


def _look_into(store: Store, objects: list[Object]) -> Iterator[pl.DataFrame]:
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(lambda each: _days(store, each), objects)


def _days(store: Store, found: Object) -> pl.DataFrame:
    """The received days in one object with their rows; one row without a day where it is empty."""
    schema = checked_schema(store, found.path)
    days = scan(store, found.path).select(day=layout.received_day(schema).cast(pl.String).fill_null(UNDATED))
    counted = _reading(store, found.path, days.group_by("day").agg(rows=pl.len()))
    if counted.is_empty():
        counted = pl.DataFrame({"day": [None], "rows": [0]}, schema={"day": pl.String, "rows": pl.UInt32})
    return counted.select(
        pl.lit(found.path).alias("path"),
        pl.lit(found.tag).alias("tag"),
        pl.lit(found.size, dtype=pl.Int64).alias("size"),
        pl.lit(store.digest(found)).alias("digest"),
        "day",
        "rows",
    )


def checked_schema(store: Store, path: str) -> Mapping[str, pl.DataType]:
    """The columns of an object, if it is one we can read."""
    try:
        schema = scan(store, path).collect_schema()
    except (PolarsError, OSError) as cause:
        raise _unreadable(store, path, cause) from cause
    layout.check(schema, store.url(path))
    return schema


def _reading(store: Store, path: str, query: pl.LazyFrame) -> pl.DataFrame:
    try:
        return query.collect()
    except (PolarsError, OSError) as cause:
        raise _unreadable(store, path, cause) from cause


def _unreadable(store: Store, path: str, cause: Exception) -> ArchiveError:
    first = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    return ArchiveError(
        f"{store.url(path)}: cannot be read as Parquet, is it cut short? Put the whole file there again ({first})"
    )


def slice_rows(store: Store, objects: list[str], day: date | None) -> Iterator[tuple[str, pl.DataFrame]]:
    """For each object its rows of one received day as they stand in the file, with their position `@row`."""
    for path in objects:
        schema = checked_schema(store, path)
        received = layout.received_day(schema)
        mine = received.is_null() if day is None else received == day
        yield path, _reading(store, path, scan(store, path).with_row_index(slices.POSITION).filter(mine))


def message_ids(store: Store, objects: Collection[str], days: Collection[str]) -> Iterator[pl.LazyFrame]:
    """(message_id, day) of every row of these days, good or not; one frame for objects that are alike."""
    alike: dict[tuple, list[str]] = defaultdict(list)
    for path in sorted(objects):
        schema = checked_schema(store, path)
        alike[tuple((name, schema[name]) for name in ID_COLUMNS if name in schema)].append(path)
    for columns, paths in alike.items():
        schema = dict(columns)
        day = layout.received_day(schema).cast(pl.String).fill_null(UNDATED)
        rows = scan(store, *paths, schema=schema).select(layout.text(schema, "message_id"), day=day)
        yield rows.filter(pl.col("day").is_in(list(days)))

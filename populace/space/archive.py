"""What a source's archive holds, what of it is in the lake, and which rows are to be read."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from populace.definitions import Source
from populace.errors import ArchiveError
from populace.events.layouts import LAYOUTS, Layout
from populace.lake import ledger
from populace.lake.objects import Object, Store
from populace.space.opening import OpenSpace

READERS = 8  # objects looked at together; on S3 the time goes into waiting
DAY_IN_PATH = re.compile(r"(?<!\d)(20\d\d)[-/](\d\d)[-/](\d\d)(?!\d)")
EVER = "0001-01-01"
LOOKED_INTO = 2_000  # objects whose footers are read to learn their day, where paths do not say it

# Parts below the fullest tier are made again together once there are so many of one tier: like that an event is
# read a few times over its life, and the number of parts grows with the logarithm of the arrivals.
TOGETHER = 8
TIERS = (1 / 512, 1 / 64, 1 / 8)  # by how full a part is; see `reading.Chunk.tier`


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive rows of one object: from `start` up to but not including `stop`; None is its end."""

    path: str
    digest: str
    size: int
    day: str | None
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be done for one source.

    `todo` are the rows to be read, oldest day first; `stale` are parts of the lake that are not what they should
    be any more; `outgrown` are good parts that are made again together when something is to be done anyway;
    `since` is the first received day that is replayed.
    """

    source: Source
    since: str
    rules: str
    todo: tuple[Stretch, ...]
    stale: tuple[str, ...]
    outgrown: tuple[str, ...] = ()
    pending: dict[str, int] = field(default_factory=dict)


# --- looking ----------------------------------------------------------------------------------------


def look(space: OpenSpace, source: Source, first_day: str = EVER) -> None:
    """List the archive and remember it, with a fingerprint of the content of every object.

    What is found is remembered in the lake, so that every later step of a replay speaks of the same
    objects whatever arrives meanwhile. `first_day` is as for `survey`.

    Raises
    ------
    ArchiveError
        If the archive cannot be listed, or is empty.
    """
    store, layout = space.archive(source), LAYOUTS[source.layout]
    listed = store.list()
    current = pl.DataFrame(
        [(each.path, each.tag, layout.reads(each.path)) for each in listed],
        schema={"path": pl.String, "tag": pl.String, "is_read": pl.Boolean},
        orient="row",
    )
    if not current.get_column("is_read").any():
        message = (
            f"{store.root}: no object of source '{source.name}' in layout {source.layout} here; check `archive` "
            f"at {source.at}, or look at what is there: populace sources {space.definition.name} probe {store.root}"
        )
        raise ArchiveError(message)
    before = ledger.listed(space.lake, source.name).with_columns(is_read=pl.col("digest").is_not_null())
    known = before.join(current, on=["path", "tag", "is_read"], how="semi").drop("is_read")
    seen = set(known.get_column("path"))
    fresh = [each for each in listed if each.path not in seen]
    if fresh or known.height < before.height:
        since = _since(space, source, first_day)
        described = _described(store, layout, fresh, since)
        ledger.remember_objects(space.lake, source.name, pl.concat([known, described]))


def _described(store: Store, layout: Layout, fresh: list[Object], since: str) -> pl.DataFrame:
    said = [_day_of(layout, each.path) for each in fresh]
    unsaid = sum(day is None for day in said)

    def describe(found: Object, day: str | None) -> tuple:
        if not layout.reads(found.path):
            return found.path, found.tag, found.size, None, None, None
        last = _last_said(layout, found.path)
        is_asked = day < since if day else unsaid <= LOOKED_INTO
        if layout.container == "parquet" and last is None and is_asked:
            first, last = _days_within(store, found.path)
            day = day or first
        return found.path, found.tag, found.size, _digest(store, found), day, last

    with ThreadPoolExecutor(READERS) as pool:
        return pl.DataFrame(list(pool.map(describe, fresh, said)), schema=ledger.OBJECTS, orient="row")


def _digest(store: Store, found: Object) -> str:
    try:
        return store.digest(found)
    except ArchiveError:
        return f"unreadable {found.tag}"  # whoever reads it will say what is wrong, and others are read


def _last_said(layout: Layout, path: str) -> str | None:
    """The last received day that an object can hold, by a path of which that is the meaning; with a day to spare."""
    said = layout.partition(path)
    return None if said is None else (said + timedelta(days=1)).date().isoformat()


def _day_of(layout: Layout, path: str) -> str | None:
    """The received day that a path says; a hint, by which objects are put in order."""
    said = layout.partition(path)
    if said is not None:
        return said.date().isoformat()
    found = DAY_IN_PATH.search(path)
    return "-".join(found.groups()) if found else None


Days = tuple[str | None, str | None]


def _days_within(store: Store, path: str) -> Days:
    """The first and the last received day by the footer of a Parquet object; None where that does not say it."""
    try:
        with store.open(path) as file:
            footer = pq.ParquetFile(file).metadata
    except (OSError, ValueError, pa.ArrowException, ArchiveError):
        return None, None  # whoever reads it will say what is wrong
    names = [footer.schema.column(n).name for n in range(footer.num_columns)]
    if "received_at" not in names or not footer.num_row_groups:
        return None, None
    at = names.index("received_at")
    spans = [_span(footer.row_group(group).column(at).statistics) for group in range(footer.num_row_groups)]
    firsts, lasts = ([span[end] for span in spans] for end in (0, 1))
    known = [first for first in firsts if first]
    return min(known, default=None), None if None in lasts else max(str(last) for last in lasts)


def _span(found: pq.Statistics | None) -> Days:
    """First and last day of a row group; no last one where a row lacks its instant, for it may be of any day."""
    if found is None or not found.has_min_max:
        return None, None
    first, last = _day(found.min), _day(found.max)
    if last is not None and found.has_null_count and not found.null_count:
        return _iso(first), _iso(last + timedelta(days=1))  # text may say the day of another zone
    return _iso(first), None


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(instant: object) -> date | None:
    """The day of a statistic, which is an instant, or text that begins with a day of any zone."""
    if isinstance(instant, datetime):
        return instant.date()
    try:
        return date.fromisoformat(instant[:10]) if isinstance(instant, str) else None
    except ValueError:
        return None


# --- surveying ----------------------------------------------------------------------------------------


def survey(space: OpenSpace, source: Source, first_day: str) -> Survey:
    """What is due, by the objects that `look` remembered.

    Parameters
    ----------
    first_day
        Where the window of a source's first replay begins (L-30); a source that was replayed before
        keeps the day it began with. A `since` of the source itself counts instead of both.
    """
    since = _since(space, source, first_day)
    rules = ledger.fingerprint(space.rules(source).describe())
    listed = ledger.objects(space.lake, source.name)
    parts, pieces = ledger.parts(space.lake, source.name), ledger.pieces(space.lake, source.name)
    gone = set(pieces.join(listed, on=["path", "digest"], how="anti").get_column("part"))
    stale = {name for name, part in parts.items() if name in gone or not _still_good(part, rules, since)}
    outgrown = _outgrown({name: part for name, part in parts.items() if name not in stale})
    good = pieces.filter(~pl.col("part").is_in(stale)).select("path", "start", "stop").unique()
    reached = listed.filter((pl.col("last") >= since) | pl.col("last").is_null())
    todo = sorted(_gaps(reached, good), key=lambda each: _order(LAYOUTS[source.layout], each))
    pending: dict[str, int] = defaultdict(int)
    for each in todo:
        pending[max(each.day, since) if each.day else ledger.UNKNOWN] += 1  # of earlier ones, the rows since then
    return Survey(
        source, since, rules, tuple(todo), tuple(sorted(stale)), tuple(sorted(outgrown)), dict(sorted(pending.items()))
    )


def _since(space: OpenSpace, source: Source, first_day: str) -> str:
    return source.since or ledger.summary(space.lake, source.name).get("since") or first_day


def _still_good(part: dict, rules: str, since: str) -> bool:
    """Whether a part was made by these rules and leaves out what lies before this day, and nothing else."""
    if part["rules"] != rules:
        return False
    if since < part["since"]:
        return not part["left_out"]
    return min((day for day in part["days"]), default=since) >= since


def _order(layout: Layout, each: Stretch) -> tuple:
    return layout.is_summary(each.path), each.day or "", each.path, each.start


def _outgrown(parts: dict[str, dict]) -> set[str]:
    """Small parts of which there are so many that they are made again together."""
    tiers: dict[int, list[str]] = defaultdict(list)
    for name, part in parts.items():
        tiers[part["tier"]].append(name)
    return {name for tier, names in tiers.items() if tier < len(TIERS) and len(names) >= TOGETHER for name in names}


def _gaps(objects: pl.DataFrame, good: pl.DataFrame) -> Iterator[Stretch]:
    """The rows of objects that no good part holds."""
    whole = good.filter((pl.col("start") == 0) & pl.col("stop").is_null())
    covered: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    for path, start, stop in good.join(whole, on="path", how="anti").iter_rows():
        covered[path].append((start, stop))
    for path, _, size, digest, day, _ in objects.join(whole, on="path", how="anti").iter_rows():
        for start, stop in _between(covered[path]):
            yield Stretch(path, digest, size, day, start, stop)


def _between(covered: Iterable[tuple[int, int | None]]) -> Iterator[tuple[int, int | None]]:
    """What lies between some spans, each (start, stop); the last one reaches to the end."""
    at: int | None = 0
    for start, stop in sorted(covered, key=lambda span: span[0]):
        if at is not None and start > at:
            yield at, start
        at = stop
    if at is not None:
        yield at, None

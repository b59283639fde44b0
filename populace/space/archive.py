"""What a source's archive holds, what of it is in the lake, and which rows are to be read."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import polars as pl
import pyarrow.parquet as pq

from populace.definitions import Source
from populace.errors import ArchiveError
from populace.events.layouts import LAYOUTS, Layout
from populace.lake import ledger
from populace.lake.objects import Object, Store
from populace.space.opening import OpenSpace

READERS = 8  # objects looked at together; on S3 the time goes into waiting
DAY_IN_PATH = re.compile(r"(?<!\d)(20\d\d)[-/](\d\d)[-/](\d\d)(?!\d)")
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


def look(space: OpenSpace, source: Source) -> None:
    """List the archive and remember it, with a fingerprint of the content of every object.

    What is found is remembered in the lake, so that every later step of a replay speaks of the same
    objects whatever arrives meanwhile.

    Raises
    ------
    ArchiveError
        If the archive cannot be listed, or is empty.
    """
    store, layout = space.archive(source), LAYOUTS[source.layout]
    listed = [each for each in store.list() if layout.reads(each.path)]
    if not listed:
        message = (
            f"{store.root}: no object of source '{source.name}' in layout {source.layout} here; check `archive` "
            f"at {source.at}, or look at what is there: populace sources {space.definition.name} probe {store.root}"
        )
        raise ArchiveError(message)
    before = ledger.objects(space.lake, source.name)
    current = pl.DataFrame({"path": [each.path for each in listed], "tag": [each.tag for each in listed]})
    known = before.join(current, on=["path", "tag"], how="semi")
    seen = set(known.get_column("path"))
    fresh = [each for each in listed if each.path not in seen]
    if fresh or known.height < before.height:
        ledger.remember_objects(space.lake, source.name, pl.concat([known, _described(store, layout, fresh)]))


def _described(store: Store, layout: Layout, fresh: list[Object]) -> pl.DataFrame:
    unsaid = sum(_day_of(layout, each.path) is None for each in fresh)
    into = layout.container == "parquet" and unsaid <= LOOKED_INTO
    with ThreadPoolExecutor(READERS) as pool:
        described = list(pool.map(lambda each: _describe(store, layout, each, into=into), fresh))
    return pl.DataFrame(described, schema=ledger.OBJECTS, orient="row")


def _describe(store: Store, layout: Layout, found: Object, *, into: bool) -> tuple:
    day = _day_of(layout, found.path) or (_day_within(store, found.path) if into else None)
    return found.path, found.tag, found.size, store.digest(found), day


def _day_of(layout: Layout, path: str) -> str | None:
    """The received day that a path says; a hint, by which objects are put in order."""
    said = layout.partition(path)
    if said is not None:
        return said.date().isoformat()
    found = DAY_IN_PATH.search(path)
    return "-".join(found.groups()) if found else None


def _day_within(store: Store, path: str) -> str | None:
    """The first received day by the footer of a Parquet object; None where that does not say it."""
    try:
        with store.open(path) as file:
            footer = pq.ParquetFile(file).metadata
    except (OSError, ValueError, ArchiveError):
        return None  # whoever reads it will say what is wrong
    return min((str(each.date()) for each in _least_arrivals(footer)), default=None)


def _least_arrivals(footer: pq.FileMetaData) -> Iterator:
    names = [footer.schema.column(n).name for n in range(footer.num_columns)]
    at = names.index("received_at") if "received_at" in names else None
    for group in range(footer.num_row_groups if at is not None else 0):
        found = footer.row_group(group).column(at).statistics
        if found is not None and found.has_min_max and hasattr(found.min, "date"):
            yield found.min


# --- surveying ----------------------------------------------------------------------------------------


def survey(space: OpenSpace, source: Source, first_day: str) -> Survey:
    """What is due, by the objects that `look` remembered.

    Parameters
    ----------
    first_day
        Where the window of a source's first replay begins (L-30); a source that was replayed before
        keeps the day it began with. A `since` of the source itself counts instead of both.
    """
    before = ledger.summary(space.lake, source.name)
    since = source.since or before.get("since") or first_day
    rules = ledger.fingerprint(space.rules(source).describe())
    objects = ledger.objects(space.lake, source.name)
    parts, pieces = ledger.parts(space.lake, source.name), ledger.pieces(space.lake, source.name)
    gone = set(pieces.join(objects, on=["path", "digest"], how="anti").get_column("part"))
    stale = {name for name, part in parts.items() if name in gone or not _still_good(part, rules, since)}
    outgrown = _outgrown({name: part for name, part in parts.items() if name not in stale})
    good = pieces.filter(~pl.col("part").is_in(stale)).select("path", "start", "stop").unique()
    todo = sorted(_gaps(objects, good), key=lambda each: _order(LAYOUTS[source.layout], each))
    pending: dict[str, int] = defaultdict(int)
    for each in todo:
        pending[each.day or ledger.UNKNOWN] += 1
    return Survey(
        source, since, rules, tuple(todo), tuple(sorted(stale)), tuple(sorted(outgrown)), dict(sorted(pending.items()))
    )


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
    for path, _, size, digest, day in objects.join(whole, on="path", how="anti").iter_rows():
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

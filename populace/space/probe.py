"""What a place holds that is to become a source: layout, folders, days, events. Nothing is written."""

import json as texts
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import polars as pl

from populace.definitions import Source, Storage
from populace.errors import ArchiveError, UsageError
from populace.events.jsontext import JsonReader
from populace.events.layouts import LAYOUTS, paths
from populace.events.layouts.flattened import Warehouse
from populace.lake.objects import Object, Store, open_store
from populace.space.samples import Sample, take

SAMPLES = 20
MOST_SOURCES = 50  # folders beside each other; where there are more, they are no sources
SHOWN = 10
SOURCE_ID = "source_id="
ARCHIVES = ("segment-logs", "rudder-logs")


@dataclass(frozen=True, slots=True)
class Found:
    """A folder that is to become an entry of `sources.yaml`; days are those that paths say, else the sample's rows."""

    name: str
    archive: str
    objects: int
    size_bytes: int
    first: str | None
    last: str | None
    days: int
    missing: tuple[str, ...]
    is_known: bool


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer; `describe` is the same as plain data.

    Parameters
    ----------
    certainty
        `sure`: every object of the sample is of the layout, and more speaks for it than for any other that could read
        them. `likely`: most are, or another would do as well. `none`: no layout reads them.
    rows
        Of the sampled Parquet objects, which are all of them where `samples` is `objects`.
    calls
        (type, event, count) in the first rows of the sampled objects, most frequent first.
    tables
        Objects for each table that paths name.
    refusals
        Why each layout that was not chosen reads less of the sample.
    """

    place: str
    objects: int
    size_bytes: int
    layout: str | None
    certainty: Literal["sure", "likely", "none"]
    samples: int
    rows: int | None
    sources: tuple[Found, ...]
    calls: tuple[tuple[str, str | None, int], ...]
    tables: Mapping[str, int]
    rejected: Mapping[str, int]
    refusals: Mapping[str, str]
    columns: Mapping[str, str]
    warnings: tuple[str, ...]

    @property
    def entry(self) -> str:
        """Lines for `sources.yaml`, for folders that are no source yet; empty where no layout fits."""
        new = (each for each in self.sources if not each.is_known)
        fields = ((each.name, texts.dumps(each.archive, ensure_ascii=False)) for each in new)
        return "".join(f"{name}: {{archive: {archive}, layout: {self.layout}}}\n" for name, archive in fields)

    def describe(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain["sources"] = [{name: getattr(each, name) for name in each.__slots__} for each in self.sources]
        plain["calls"] = [dict(zip(("type", "event", "count"), each, strict=True)) for each in self.calls]
        return plain | {"entry": self.entry}


def look(place: str, storage: Storage, known: Sequence[Source] = ()) -> Probe:
    """Look at a place without reading everything: all names, and the first rows of a few objects.

    Parameters
    ----------
    place
        A `file:` or `s3:` URI, or a path on this machine.
    known
        The sources that the space has already; their names are not given again.

    Raises
    ------
    ArchiveError
        If the place cannot be listed, or nothing is there.
    """
    store = open_store(_uri(place), storage, ArchiveError)
    listed = [each for each in store.list() if each.path and not each.path.endswith("/")]
    if not listed:
        is_file = Path(store.url("")).is_file()
        here = "this is one object; name its folder" if is_file else "no objects here; name one that holds some"
        message = f"{store.root}: {here}, or the prefix of a bucket"
        raise ArchiveError(message)
    candidates = [each for each in listed if any(layout.reads(each.path) for layout in LAYOUTS.values())]
    with JsonReader() as json:
        samples = [take(store, each, json) for each in _spread(candidates or listed)]
    name, certainty = _chosen(samples)
    return _answer(store, listed, samples, name, certainty, known)


def _uri(place: str) -> str:
    """A place as definitions write it; a path is taken from the working directory.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if re.match(r"s3://[^/]|file:/(//|[^/])", place):
        return place
    path = place.removeprefix("file:")
    if not path or re.match(r"[a-z0-9+]+://|//", path) or path.startswith("s3:"):
        message = f"'{place}' is no place to look at; write s3://bucket/prefix, file:///folder, or a path"
        raise UsageError(message)
    return Path(unquote(path) if path != place else path).resolve().as_uri()


def _spread(objects: Sequence[Object]) -> list[Object]:
    """A few objects from all over the listing, the first and the last among them."""
    if len(objects) <= SAMPLES:
        return list(objects)
    step = (len(objects) - 1) / (SAMPLES - 1)
    return [objects[round(n * step)] for n in range(SAMPLES)]


# --- which layout -------------------------------------------------------------------------------------


def _chosen(samples: Sequence[Sample]) -> tuple[str | None, Literal["sure", "likely", "none"]]:
    """The layout that reads most of the sample; among equals the one for which more speaks."""
    scores = {name: _score(name, samples) for name in LAYOUTS}
    best = max(scores, key=lambda name: scores[name])
    if not scores[best][0]:
        return None, "none"
    readable = sum(each.problem is None and LAYOUTS[best].reads(each.path) for each in samples)
    is_alone = all(scores[other] < scores[best] for other in scores if other != best)
    return best, "sure" if is_alone and scores[best][0] == readable else "likely"


def _score(name: str, samples: Sequence[Sample]) -> tuple[int, int]:
    mine = [each for each in samples if name in each.accepted]
    return len(mine), sum(each.marks.get(name, 0) for each in mine)


# --- putting the answer together ----------------------------------------------------------------------


def _answer(
    store: Store,
    listed: Sequence[Object],
    samples: Sequence[Sample],
    name: str | None,
    certainty: Literal["sure", "likely", "none"],
    known: Sequence[Source],
) -> Probe:
    mine = [each for each in listed if name and LAYOUTS[name].reads(each.path)]
    first = [each.accepted[name] for each in samples if name in each.accepted] if name else []
    taken = {each.path for each in mine or listed}
    counts = [each.rows for each in samples if each.rows is not None and each.path in taken]
    reasons = Counter(reason for frame in first for reason in frame.get_column("reason").drop_nulls())
    return Probe(
        place=store.root,
        objects=len(mine) if name else len(listed),
        size_bytes=sum(each.size for each in mine or listed),
        layout=name,
        certainty=certainty,
        samples=sum(each.path in taken for each in samples),
        rows=sum(counts) if counts else None,
        sources=_sources(store, name, mine, samples, known) if name else (),
        calls=_calls(first),
        tables=_tables(name, mine),
        rejected=dict(reasons.most_common()),
        refusals=_refusals(samples, name),
        columns={} if name else next((each.columns for each in samples if each.columns), {}),
        warnings=tuple(_warnings(listed, mine, samples, name)),
    )


def _calls(first: Iterable[pl.DataFrame]) -> tuple[tuple[str, str | None, int], ...]:
    counts: Counter[tuple[str, str | None]] = Counter()
    for frame in first:
        good = frame.filter(pl.col("reason").is_null())
        named = good.select("type", event=pl.when(pl.col("type") == "track").then("event"))
        counts.update(named.iter_rows())
    return tuple((*names, count) for names, count in counts.most_common())


def _tables(name: str | None, mine: Iterable[Object]) -> dict[str, int]:
    said: dict[str, Callable[[str], str]] = {
        "segment_lake": paths.segment_type,
        "warehouse": lambda path: paths.table(path, Warehouse.KNOWN),
    }
    if name not in said:
        return {}
    return dict(Counter(table for each in mine if (table := said[name](each.path))).most_common())


def _refusals(samples: Sequence[Sample], chosen: str | None) -> dict[str, str]:
    """The most frequent reason of each other layout."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for each in samples:
        for name, why in each.refused.items():
            counts[name][why] += 1
    return {name: counts[name].most_common(1)[0][0] for name in LAYOUTS if name != chosen and counts[name]}


def _warnings(
    listed: Sequence[Object], mine: Sequence[Object], samples: Sequence[Sample], name: str | None
) -> Iterable[str]:
    taken = {each.path for each in mine}
    left = [each.path for each in listed if each.path not in taken]
    if name and left:
        yield f"{_objects(left)} not read by the layout {name}: {_listed(left)}"
    broken = [each for each in samples if each.problem]
    if broken:
        why = f"{broken[0].path}: {broken[0].problem}"
        yield f"{len(broken)} of the {len(samples)} objects looked into cannot be read, such as {why}"
    odd = [each for each in samples if name and not each.problem and name not in each.accepted]
    for other, alike in _by_layout(odd).items():
        yield f"{_objects(alike)} of the layout {other}: {_listed(alike)}; give such objects a folder of their own"
    unread = [each for each in odd if not each.accepted and each.path in taken]
    if unread:
        why = f"{unread[0].path}: {unread[0].refused.get(name or '', 'it is of another kind')}"
        yield f"{_objects(unread)} of no layout, such as {why}"
    columns = {source for each in samples for source in each.sources}
    if name == "raw" and len(columns) > 1:
        yield f"column source_id names {len(columns)} sources in the sample; an entry reads all rows below its folder"


def _by_layout(samples: Sequence[Sample]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for each in (each for each in samples if each.accepted):
        found[max(each.accepted, key=lambda name: each.marks.get(name, 0))].append(each.path)
    return found


def _objects(listed: Sequence[object]) -> str:
    return "1 object is" if len(listed) == 1 else f"{len(listed)} objects are"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


# --- sources ------------------------------------------------------------------------------------------


def _sources(
    store: Store, layout: str, mine: Sequence[Object], samples: Sequence[Sample], known: Sequence[Source]
) -> tuple[Found, ...]:
    folders: dict[str, list[Object]] = defaultdict(list)
    for each in mine:
        folders["/".join(source_folder(layout, each.path))].append(each)
    if len(folders) > MOST_SOURCES:
        folders = {"": list(mine)}
    named: list[Found] = []
    for folder, objects in sorted(folders.items()):
        archive = store.uri(folder)
        taken = {each.name for each in known} | {each.name for each in named}
        own = next((each.name for each in known if each.archive.rstrip("/") == archive), None)
        days = _days(layout, objects, samples)
        named.append(
            Found(
                name=own or _free(_slug(archive), taken),
                archive=archive,
                objects=len(objects),
                size_bytes=sum(each.size for each in objects),
                first=str(days[0]) if days else None,
                last=str(days[-1]) if days else None,
                days=len(days),
                missing=tuple(_missing(days)),
                is_known=own is not None,
            )
        )
    return tuple(named)


def source_folder(layout: str, path: str) -> list[str]:
    """The folders that lead to one source's objects: those above dates, partitions and tables.

    >>> source_folder("segment_json", "segment-logs/abc/1709251200000/x.gz")
    ['segment-logs', 'abc']
    >>> source_folder("warehouse", "web/order_completed/000.parquet")
    ['web']
    """
    folders = path.split("/")[:-1]
    for at, folder in enumerate(folders):
        if folder.startswith("segment_type="):
            return folders[:at]
        if folder.startswith(SOURCE_ID):
            return folders[: at + 1]
        if folder in ARCHIVES and at + 1 < len(folders):
            return folders[: at + 2]
    table = paths.table(path, Warehouse.KNOWN) if layout == "warehouse" else ""
    if table and any(_is_table(each, table) for each in folders):
        return folders[: next(at for at, each in enumerate(folders) if _is_table(each, table))]
    while folders and paths.PARTITION.fullmatch(folders[-1]):
        folders.pop()
    return folders


def _is_table(folder: str, table: str) -> bool:
    return folder.lower().rpartition(".")[2] == table


def _slug(archive: str) -> str:
    last = archive.rpartition("/")[2].removeprefix(SOURCE_ID)
    name = re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_")[:60]
    return name if re.match("[a-z]", name) else f"source_{name}".rstrip("_")


def _free(name: str, taken: set[str]) -> str:
    return next(each for each in [name, *(f"{name}_{n}" for n in range(2, len(taken) + 3))] if each not in taken)


def _days(layout: str, objects: Sequence[Object], samples: Sequence[Sample]) -> list[date]:
    """The received days that paths say; where they say none, those of the sampled rows."""
    said = {_day(layout, each.path) for each in objects} - {None}
    if not said:
        mine = {each.path for each in objects}
        frames = [each.accepted[layout] for each in samples if each.path in mine and layout in each.accepted]
        said = {day for frame in frames for day in frame.get_column("received_at").dt.date().drop_nulls()}
    return sorted(day for day in said if day)


def _day(layout: str, path: str) -> date | None:
    found = LAYOUTS[layout].partition(path) or paths.day_or_hour(path, month_first=True)
    return found.date() if found else None


def _missing(days: Sequence[date]) -> Iterable[str]:
    for before, after in pairwise(days):
        yield from (str(before + timedelta(n)) for n in range(1, (after - before).days))

"""Making a part: from the rows of a chunk to tables in the lake and an entry in the ledger."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import polars as pl

from populace.events import parts
from populace.events.jsontext import JsonReader
from populace.events.parts import Checked
from populace.lake import ledger, tables
from populace.lake.objects import ROW_GROUP, write_table
from populace.space import copies
from populace.space.archive import Stretch, Survey
from populace.space.copies import Claims
from populace.space.opening import OpenSpace
from populace.space.reading import Chunk

WORKERS = 2  # parts in work together; both cores, and what one part holds in memory twice
WRITERS = 8  # tables of a part written together; on S3 the time goes into waiting


@dataclass(frozen=True, slots=True)
class Draft:
    """A part that is checked, and has to claim its messages before it is made.

    `labels` names the objects as `checked` does; `quarantine` are the rows that are no events, whole.
    """

    stretches: Sequence[Stretch]
    tier: int
    labels: Mapping[str, str]
    checked: Checked
    quarantine: pl.DataFrame


class Maker:
    """Makes parts of one source, on threads that each have a reader of JSON."""

    def __init__(self, space: OpenSpace, survey: Survey) -> None:
        self.space = space
        self.survey = survey
        self.source = survey.source.name
        self.rules = space.rules(survey.source)
        self.pool = ThreadPoolExecutor(WORKERS)
        self.readers: SimpleQueue[JsonReader] = SimpleQueue()

    def __enter__(self) -> "Maker":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)
        while not self.readers.empty():
            self.readers.get().close()

    @contextmanager
    def json(self) -> Iterator[JsonReader]:
        try:
            reader = self.readers.get_nowait()
        except Empty:
            reader = JsonReader()
        try:
            yield reader
        finally:
            self.readers.put(reader)

    def check(self, chunk: Chunk) -> Draft:
        """What a chunk holds; the chunk itself, with all that was read of the archive, is needed no more."""
        with self.json() as json:
            checked = parts.check(chunk.frames(json), self.survey.since, self.rules.wanted, json)
        wrong = parts.rejected(checked)
        quarantine = wrong.join(chunk.whole(wrong), on=["object", "row"], how="left") if wrong.height else wrong
        labels = {each.path: chunk.label(each.path) for each in chunk.stretches}
        return Draft(chunk.stretches, chunk.tier, labels, checked, quarantine)

    def named(self, draft: Draft) -> str:
        """A part's name: the day it begins with, and a fingerprint of what it is made of and by which rules."""
        made_of = [[each.path, each.digest, each.start, each.stop] for each in draft.stretches]
        fingerprint = ledger.fingerprint([self.survey.rules, self.survey.since, made_of])
        return f"{parts.first_day(draft.checked)}-{fingerprint[:10]}"

    def make(self, part: str, draft: Draft, kept: pl.Series, claims: Claims) -> set[str]:
        """Write the tables of a part, and then its entry; returns where the tables lie."""
        with self.json() as json:
            made = parts.tables(draft.checked, kept, self.source, self.rules, json)
        ledger.forget(self.space.lake, self.source, part)
        mine = draft.checked.copies.with_columns(kept=kept)
        outputs = _write(self.space, self.source, part, made, draft.quarantine, mine)
        entry = _entry(self.survey, part, draft, kept, made, outputs)
        ledger.record(self.space.lake, self.source, entry)
        claims.settled(copies.name(self.source, part))
        return {each["path"] for each in outputs}


def _write(
    space: OpenSpace, source: str, part: str, made: parts.Tables, quarantine: pl.DataFrame, mine: pl.DataFrame
) -> list[dict]:
    """Every table that has rows; the ledger says which there are."""
    named: list[tuple[str, str | None, pl.DataFrame]] = [("events", name, each) for name, each in made.events.items()]
    named += [(kind, None, getattr(made, kind)) for kind in tables.SIDE_TABLES]
    named += [("few", None, made.few), ("quarantine", None, quarantine), ("copies", None, mine)]
    with ThreadPoolExecutor(WRITERS) as pool:
        written = [pool.submit(_write_one, space, source, part, *each) for each in named if not each[2].is_empty()]
        return [each.result() for each in written]


def _write_one(space: OpenSpace, source: str, part: str, kind: str, table: str | None, frame: pl.DataFrame) -> dict:
    place = tables.place(kind, table)
    path = f"{place}/{source}-{part}.parquet"
    write_table(space.lake, path, frame, tables.ROW_GROUPS.get(kind, ROW_GROUP))
    shredded = [each for each in frame.iter_columns() if each.name[:2] in ("p.", "c.") or each.name == tables.REST]
    columns = {each.name: tables.type_name(each) for each in shredded}
    described: dict = {"kind": kind, "table": table, "path": path, "rows": frame.height, "columns": columns}
    if kind == "few":
        described["events"] = sorted(frame.get_column("event").unique())
    return described


def _entry(
    survey: Survey,
    part: str,
    draft: Draft,
    kept: pl.Series,
    made: parts.Tables,
    outputs: list[dict],
) -> dict:
    checked = draft.checked
    counted = {row.pop("day"): row for row in parts.counts(checked, kept).rows(named=True)}
    reasons = parts.rejected(checked).get_column("reason").value_counts()
    return {
        "part": part,
        "source": survey.source.name,
        "status": "complete",
        "rules": survey.rules,
        "since": survey.since,
        "left_out": checked.left_out,
        "tier": draft.tier,
        "objects": _objects(draft),
        "days": counted,
        "rows": ledger.total(counted.values()),
        "reasons": dict(sorted(reasons.iter_rows())),
        "rejections": parts.rejections(checked),
        "least": made.least,
        "greatest": made.greatest,
        "outputs": outputs,
    }


def _objects(draft: Draft) -> list[dict]:
    days: dict[str, dict[str, int]] = {}
    for name, day, rows in parts.objects(draft.checked).iter_rows():
        days.setdefault(name, {})[day] = rows
    return [
        {"path": each.path, "digest": each.digest, "size": each.size, "start": each.start, "stop": each.stop}
        | {"days": days.get(draft.labels[each.path], {})}
        for each in draft.stretches
    ]

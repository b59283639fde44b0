"""Replay: archive to lake, a slice at a time, oldest day first.

A message may be held by several slices; the copy received first counts (E-35), whatever order the
slices ran in. So a slice is first read against what is known then, and when all are there, those
that kept or gave up a message wrongly run once more. The lake then depends on the archive alone.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import polars as pl

from populace.events import slices
from populace.events.jsontext import JsonReader
from populace.events.slices import Slice
from populace.lake import ledger, tables
from populace.lake.ledger import UNDATED
from populace.lake.objects import write_table
from populace.space.archive import Survey, message_ids, slice_rows
from populace.space.opening import OpenSpace
from populace.space.schemas import INSTANT, Columns, empty

CONTESTED = "replay/contested.parquet"
UNREADABLE = "unreadable"  # a source whose archive could not be looked at
PREFERRED = ("received_at", "source", "object", "row")
WRITERS = 8  # tables of a slice written together; on S3 the time goes into waiting
SIDE_TABLES = ("sightings", "identifiers", "custom_traits", "links", "quarantine")

COPIES: Columns = {
    "message_id": pl.String,
    "received_at": INSTANT,
    "object": pl.String,
    "row": pl.UInt32,
    "kept": pl.Boolean,
    "source": pl.String,
    "day": pl.String,
}

Progress = Callable[[str, int, int], None]
"""Called with a slice's day, the rows done and the rows to do."""


# --- before the slices ------------------------------------------------------------------------------


def begin(space: OpenSpace, survey: Survey) -> None:
    """Mark the source as running where there is something to do, and drop slices that vanished."""
    if survey.due or survey.vanished or not is_complete(space, survey.source.name):
        ledger.begin(space.lake, survey.source.name, survey.since)
    for day in survey.vanished:
        _discard(space, survey.source.name, day)


def doubt(space: OpenSpace, survey: Survey) -> None:
    """Say that the archive of a source could not be looked at: nobody knows whether the lake holds all of it."""
    ledger.finish(space.lake, survey.source.name, survey.since, UNREADABLE, space.source_names)


def is_complete(space: OpenSpace, source: str) -> bool:
    """Whether everything that was there when the source was last looked at is in the lake."""
    return ledger.is_complete(space.lake, source, space.source_names)


def _discard(space: OpenSpace, source: str, day: str) -> None:
    entry = ledger.entry(space.lake, source, day)
    ledger.forget(space.lake, source, day)
    for output in entry["outputs"] if entry else ():
        space.lake.delete(output["path"])


def find_contested(space: OpenSpace, surveys: Collection[Survey]) -> int:
    """Find the messages that more than one slice holds, and remember them for the slices to come.

    Returns
    -------
    How many there are.
    """
    if all(is_complete(space, each.source.name) for each in surveys):
        return 0
    frames = list(_ids_by_slice(space, surveys))
    found = pl.concat(frames).drop_nulls().group_by("message_id").agg(slices=pl.col("slice").n_unique())
    contested = found.filter(pl.col("slices") > 1).select("message_id").sort("message_id").collect(engine="streaming")
    write_table(space.lake, CONTESTED, contested)
    return contested.height


def _ids_by_slice(space: OpenSpace, surveys: Collection[Survey]) -> Iterator[pl.LazyFrame]:
    """(message_id, slice) of the lake's good copies and of every row that due slices are about to read."""
    name = pl.col("source") + "/" + pl.col("day")
    yield pl.LazyFrame(schema={"message_id": pl.String, "slice": pl.String})
    for each in surveys:
        for ids in message_ids(space.archive(each.source), each.due_objects(), each.due):
            yield ids.with_columns(source=pl.lit(each.source.name)).select("message_id", slice=name)
    due = {(each.source.name, day) for each in surveys for day in each.due}
    if (done := _copies(space, leaving_out=due)) is not None:
        yield done.select("message_id", slice=name)


# --- slices -----------------------------------------------------------------------------------------


def run_source(space: OpenSpace, survey: Survey, days: Collection[str], progress: Progress) -> None:
    """Replay the due slices of a source that are among these days, oldest first."""
    source, due = survey.source.name, [day for day in survey.due if day in days]
    contested = pl.read_parquet(space.lake.url(CONTESTED), storage_options=space.lake.options or None)
    held = _held(space, contested, leaving_out={(source, day) for day in survey.due})
    rows = dict(survey.objects.group_by("day").agg(pl.col("rows").sum()).iter_rows())
    todo, done = sum(rows[day] for day in due), 0
    with JsonReader() as json:
        for day in due:
            read = run_slice(space, survey, day, _best(held), json)
            mine = _labelled(read.copies, source, day)
            held = pl.concat([held, mine.join(contested, on="message_id", how="semi")])
            done += rows[day]
            progress(day, done, todo)


def run_slice(space: OpenSpace, survey: Survey, day: str, rivals: pl.DataFrame, json: JsonReader) -> Slice:
    """Read one slice and put its tables in their places; its entry in the ledger comes last."""
    source, store = survey.source, space.archive(survey.source)
    objects = survey.objects.filter(pl.col("day") == day).sort("path")
    on = None if day == UNDATED else date.fromisoformat(day)
    read = slices.read(
        list(slice_rows(store, objects.get_column("path").to_list(), on)),
        source=source.name,
        day=on,
        rules=space.rules(source),
        rivals=rivals,
        json=json,
    )
    before = ledger.entry(space.lake, source.name, day)
    ledger.forget(space.lake, source.name, day)
    outputs = _write(space, source.name, day, read)
    ledger.record(space.lake, source.name, _entry(survey, day, objects, read, outputs))
    stale = {each["path"] for each in (before or {"outputs": []})["outputs"]} - {each["path"] for each in outputs}
    for path in sorted(stale):
        space.lake.delete(path)
    return read


def _write(space: OpenSpace, source: str, day: str, read: Slice) -> list[dict]:
    """Every table that has rows; the ledger says which there are."""
    named: list[tuple[str, str | None, pl.DataFrame]] = [("events", name, each) for name, each in read.events.items()]
    named += [(kind, None, getattr(read, kind)) for kind in SIDE_TABLES]
    named.append(("copies", None, _labelled(read.copies, source, day)))
    with ThreadPoolExecutor(WRITERS) as pool:
        written = [pool.submit(_write_one, space, source, day, *each) for each in named if not each[2].is_empty()]
        return [each.result() for each in written]


def _write_one(space: OpenSpace, source: str, day: str, kind: str, table: str | None, frame: pl.DataFrame) -> dict:
    place = kind if table is None else f"{kind}/{tables.folder(table)}"
    path = f"{place}/{source}-{day}.parquet"
    write_table(space.lake, path, frame)
    columns = {name: str(dtype) for name, dtype in frame.schema.items() if name[:2] in ("p.", "c.")}
    return {"kind": kind, "table": table, "path": path, "rows": frame.height, "columns": columns}


def _entry(survey: Survey, day: str, objects: pl.DataFrame, read: Slice, outputs: list[dict]) -> dict:
    return {
        "source": survey.source.name,
        "day": day,
        "status": "complete",
        "fingerprint": survey.fingerprints[day],
        "objects": objects.select("path", "digest", "size").rows(named=True),
        "rows": read.counts,
        "reasons": read.reasons,
        "least": read.least,
        "greatest": read.greatest,
        "outputs": outputs,
    }


# --- copies -----------------------------------------------------------------------------------------


def _copies(space: OpenSpace, leaving_out: Collection[tuple[str, str]] = ()) -> pl.LazyFrame | None:
    """Every good copy in the lake: `COPIES`, of all sources; None where there is no slice."""
    entries = [
        entry
        for source in space.definition.sources
        for day, entry in ledger.slices(space.lake, source.name).items()
        if (source.name, day) not in leaving_out
    ]
    return tables.read(space.lake, entries, "copies")


def _labelled(copies: pl.DataFrame, source: str, day: str) -> pl.DataFrame:
    return copies.with_columns(source=pl.lit(source), day=pl.lit(day)).select(*COPIES)


def _held(space: OpenSpace, messages: pl.DataFrame, leaving_out: Collection[tuple[str, str]] = ()) -> pl.DataFrame:
    """The copies of these messages that slices hold."""
    copies = _copies(space, leaving_out) if messages.height else None
    if copies is None:
        return empty(COPIES)
    return copies.join(messages.lazy(), on="message_id", how="semi").select(*COPIES).collect()


def _best(copies: pl.DataFrame) -> pl.DataFrame:
    """One copy a message: the one that counts."""
    first = copies.sort(PREFERRED).unique("message_id", keep="first", maintain_order=True)
    return first.select("message_id", *PREFERRED)


# --- after the slices -------------------------------------------------------------------------------


def settle(space: OpenSpace, surveys: Collection[Survey]) -> int:
    """Run slices again that kept a message another slice should, or gave one up that is theirs.

    Returns
    -------
    How many slices ran again.
    """
    by_source = {each.source.name: each for each in surveys}
    if all(is_complete(space, name) for name in by_source):
        return 0
    held = _in_question(space)
    wrong = _wrong(held)
    with JsonReader() as json:
        for source, day in wrong:
            ledger.begin(space.lake, source, by_source[source].since)
            others = held.filter((pl.col("source") != source) | (pl.col("day") != day))
            run_slice(space, by_source[source], day, _best(others), json)
    return len(wrong)


def _in_question(space: OpenSpace) -> pl.DataFrame:
    """All copies of messages that several slices hold now, or that a slice gave up before."""
    copies = _copies(space)
    if copies is None:
        return empty(COPIES)
    contested = pl.read_parquet(space.lake.url(CONTESTED), storage_options=space.lake.options or None)
    given_up = copies.filter(~pl.col("kept")).select("message_id").collect()
    return _held(space, pl.concat([contested, given_up]).unique())


def _wrong(held: pl.DataFrame) -> list[tuple[str, str]]:
    """Slices (source, day) whose choice differs from what all copies together say, oldest first."""
    counts = held.select("message_id", *PREFERRED).sort(PREFERRED).unique("message_id", keep="first")
    judged = held.join(counts.with_columns(wins=pl.lit(value=True)), on=["message_id", *PREFERRED], how="left")
    wrong = judged.filter(pl.col("kept") != pl.col("wins").fill_null(value=False))
    return wrong.select("source", "day").unique().sort("day", "source").rows()


def drop_removed(space: OpenSpace) -> list[str]:
    """Take sources out of the lake that the space no longer has; returns their names.

    Their archives stay, so connecting one again brings everything back.
    """
    removed = [name for name in ledger.sources(space.lake) if name not in space.source_names]
    for name in removed:
        for day in ledger.entries(space.lake, name):
            _discard(space, name, day)
        ledger.drop(space.lake, name)
    return removed


def finish(space: OpenSpace, survey: Survey) -> dict:
    """Sum up the source; it is complete if every slice that its objects make is in the lake."""
    before = ledger.summary(space.lake, survey.source.name)
    if is_complete(space, survey.source.name) or before.get("status") == UNREADABLE:
        return before
    status = "running" if survey.due else "complete"
    return ledger.finish(space.lake, survey.source.name, survey.since, status, space.source_names)

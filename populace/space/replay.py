"""Replay: archive to lake, a part at a time, oldest day first.

A part is checked, then claims its messages, then is written. Checking and writing run beside each other on
both cores; claiming happens in order, so that the choice between copies does not depend on chance.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl

from populace.errors import ArchiveError, PopulaceError
from populace.events.layouts import LAYOUTS
from populace.events.parts import UNDATED
from populace.lake import ledger, tables
from populace.lake.messages import Messages
from populace.space import copies
from populace.space.archive import Stretch, Survey
from populace.space.copies import Claims, Part
from populace.space.making import WORKERS, Draft, Maker
from populace.space.opening import OpenSpace
from populace.space.reading import Chunk, chunks

UNREADABLE = "unreadable"  # a source whose archive could not be looked at
SHOWN_FAILURES = 5

# Which parts may hold a message that another one holds, too, while a source is `unsettled`.
BEATEN = "beaten"  # those that lost one to a part that was just made
EVERYWHERE = "everywhere"  # any, of whatever source


@dataclass(frozen=True, slots=True)
class Step:
    """How far a source is: bytes of the archive done and to do, rows read, and received days left."""

    done: int
    todo: int
    rows: int
    days_left: int


Progress = Callable[[Step], None]


# --- before the parts -------------------------------------------------------------------------------


def begin(space: OpenSpace, survey: Survey, *, is_limited: bool = False) -> None:
    """Mark the source as running where there is something to do, and drop parts that are stale or outgrown.

    Outgrown parts stay if the replay `is_limited`, that is told to leave days out, for theirs may be among them.
    """
    source = survey.source.name
    is_due = survey.todo or survey.stale or not is_complete(space, source)
    if is_due:
        before = ledger.summary(space.lake, source)
        # After a stop half-way, and when parts go, copies elsewhere may be missing or twice: then all are looked at.
        is_as_left = before.get("status") == "complete" and before.get("among") == space.source_names
        unsettled = EVERYWHERE if before and (survey.stale or not is_as_left) else None
        was_stopped = before.get("status") in ("running", UNREADABLE) or bool(before.get("stopped"))
        ledger.write_summary(space.lake, source, _running(survey, unsettled, was_stopped=was_stopped))
        outgrown = () if is_limited else survey.outgrown
        for part in (*survey.stale, *outgrown):
            _discard(space, source, part)


def _running(survey: Survey, unsettled: str | None, *, was_stopped: bool) -> dict:
    of_stop = {"stopped": True} if was_stopped else {}  # until what it left behind is swept
    return {"status": "running", "since": survey.since, "unsettled": unsettled, "pending": survey.pending} | of_stop


def doubt(space: OpenSpace, survey: Survey) -> None:
    """Say that the archive of a source could not be looked at: nobody knows whether the lake holds all of it."""
    _sum_up(space, survey, UNREADABLE, {})


def is_complete(space: OpenSpace, source: str) -> bool:
    """Whether everything that was there when the source was last looked at is in the lake."""
    return ledger.is_complete(space.lake, source, space.source_names)


def _discard(space: OpenSpace, source: str, part: str) -> None:
    entry = ledger.entry(space.lake, source, part)
    ledger.forget(space.lake, source, part)
    for output in entry["outputs"] if entry else ():
        space.lake.delete(output["path"])


# --- parts --------------------------------------------------------------------------------------------


def run_source(space: OpenSpace, survey: Survey, todo: Iterable[Stretch], progress: Progress) -> None:
    """Replay these rows of a source, oldest day first, then settle what it shares with other parts.

    Raises
    ------
    ArchiveError
        Once everything else is done, if objects could not be read; names them.
    """
    todo = list(todo)
    failures: list[tuple[Stretch, PopulaceError]] = []
    before = ledger.summary(space.lake, survey.source.name)
    everywhere = before.get("unsettled") == EVERYWHERE
    if not todo and not everywhere:
        return
    if not everywhere:
        ledger.write_summary(space.lake, survey.source.name, before | {"unsettled": BEATEN})
    with _index(space) as index, Maker(space, survey) as maker:
        claims = Claims(space.lake, index)
        rules, store = space.rules(survey.source), space.archive(survey.source)
        layout = LAYOUTS[survey.source.layout]
        tracker = _Tracker(todo, progress)

        def failed(stretch: Stretch, cause: PopulaceError) -> None:
            failures.append((stretch, cause))
            tracker.passed(stretch)

        read = chunks(store, layout, rules.wanted, todo, failed)
        _in_order(read, maker, claims, tracker)
        _settle(space, claims, maker, everywhere=everywhere)
        index.save()
    if failures:
        before = ledger.summary(space.lake, survey.source.name)
        broken = [{"path": each.path, "day": each.day} for each, _ in failures]
        ledger.write_summary(space.lake, survey.source.name, before | {"failed": broken})
        raise ArchiveError(_told([str(cause) for _, cause in failures]))


def _told(messages: list[str]) -> str:
    more = len(messages) - SHOWN_FAILURES
    return "\n".join(messages[:SHOWN_FAILURES] + ([f"and {more} more objects that cannot be read"] if more > 0 else []))


@contextmanager
def _index(space: OpenSpace) -> Iterator[Messages]:
    index = Messages(space.lake, copies.known(space.lake, space.source_names))
    try:
        yield index
    finally:
        index.close()


def _in_order(read: Iterable[Chunk], maker: "Maker", claims: Claims, tracker: "_Tracker") -> None:
    """Check and make parts beside each other, and let them claim their messages one after the other."""
    checking: deque[Future[Draft]] = deque()
    making: deque[Future[set[str]]] = deque()

    def advance() -> None:
        draft = checking.popleft().result()
        part = maker.named(draft)
        kept = claims.claim(copies.name(maker.source, part), maker.source, draft.checked.copies)
        making.append(maker.pool.submit(maker.make, part, draft, kept, claims))
        tracker.told(draft)

    def check(chunk: Chunk) -> Future[Draft]:
        return maker.pool.submit(maker.check, chunk)

    for begun in map(check, read):  # which, unlike a loop over chunks, holds on to none
        checking.append(begun)
        if len(checking) > 1:
            advance()
        while len(checking) + len(making) > WORKERS:  # as many in memory, and the one that is read meanwhile
            making.popleft().result()
    while checking:
        advance()
    for future in making:
        future.result()


class _Tracker:
    """What has been read of the archive, by the bytes of its objects."""

    def __init__(self, todo: list[Stretch], progress: Progress) -> None:
        self.progress = progress
        self.left = {each.path: each for each in todo}  # the last stretch of each object
        self.days = sorted({each.day for each in todo if each.day})
        self.todo = sum(each.size for each in self.left.values())
        self.done = self.rows = 0

    def passed(self, stretch: Stretch) -> None:
        """An object is read to where it is to be, or cannot be read."""
        last = self.left.get(stretch.path)
        if last is not None and last.stop == stretch.stop:
            self.done += self.left.pop(stretch.path).size

    def told(self, draft: Draft) -> None:
        for each in draft.stretches:
            self.passed(each)
        self.rows += draft.checked.rows.height
        last = max((each.day for each in draft.stretches if each.day), default="")
        self.progress(Step(self.done, self.todo, self.rows, sum(day > last for day in self.days)))


# --- settling -------------------------------------------------------------------------------------------


def _settle(space: OpenSpace, claims: Claims, maker: Maker, *, everywhere: bool) -> None:
    """Make parts again that kept a message another part should, or gave one up that is theirs."""
    wrong = claims.beaten
    if everywhere:
        known = copies.known(space.lake, space.source_names)
        wrong = wrong | set(copies.wrong(copies.in_question(space.lake, claims.index, known)))
    settled = {maker.source, *(space.source_names if everywhere else ())}
    for source in {part.partition("/")[0] for part in wrong}:
        found = ledger.summary(space.lake, source)
        if found.get("status") == "complete":  # until its parts are made again; if that fails, so it stays
            ledger.write_summary(space.lake, source, found | {"status": "running", "unsettled": BEATEN})
            settled.add(source)
    for part in sorted(wrong):
        _make_again(space, claims, part)
    for source in settled:
        found = ledger.summary(space.lake, source)
        if found.get("unsettled"):
            ledger.write_summary(space.lake, source, found | {"unsettled": None})


def _make_again(space: OpenSpace, claims: Claims, part: Part) -> None:
    source, name = part.split("/")
    entry = ledger.entry(space.lake, source, name)
    assert entry is not None, "a part with copies has an entry"
    owner = space.source(source)
    before = {each["path"] for each in entry["outputs"]}
    stretches = [
        Stretch(each["path"], each["digest"], each["size"], None, each["start"], each["stop"])
        for each in entry["objects"]
    ]
    layout, rules = LAYOUTS[owner.layout], space.rules(owner)
    survey = Survey(owner, entry["since"], ledger.fingerprint(rules.describe()), (), ())
    failures: list[str] = []
    read = chunks(space.archive(owner), layout, rules.wanted, stretches, lambda _, cause: failures.append(str(cause)))
    pieces = [piece for chunk in read for piece in chunk.pieces]
    if failures:
        raise ArchiveError(_told(failures))
    chunk = Chunk(pieces, space.archive(owner), layout, rules.wanted)
    with Maker(space, survey) as other:
        draft = other.check(chunk)
        mine = draft.checked.copies
        rivals = copies.of_messages(space.lake, claims.index, part, mine.get_column("message_id"))
        after = other.make(name, draft, copies.prevails(mine, source, rivals), claims)
    for path in before - after:  # a table that has lost its last row
        space.lake.delete(path)


# --- after the parts --------------------------------------------------------------------------------


def drop_removed(space: OpenSpace) -> list[str]:
    """Take sources out of the lake that the space no longer has; returns their names.

    Their archives stay, so connecting one again brings everything back.
    """
    removed = [name for name in ledger.sources(space.lake) if name not in space.source_names]
    for name in removed:
        for part in ledger.entries(space.lake, name):
            _discard(space, name, part)
        _sweep(space, name)
        ledger.drop(space.lake, name)
    return removed


def _sweep(space: OpenSpace, source: str) -> None:
    """Delete what no part of a source has: what a stop left, between writing or forgetting a part and its tables."""
    named = {each["path"] for part in ledger.entries(space.lake, source).values() for each in part["outputs"]}
    own = re.compile(rf"(?:.*/)?{re.escape(source)}-(?:\d{{4}}-\d\d-\d\d|{UNDATED})-[0-9a-f]{{10}}\.parquet")
    for kind in tables.KINDS:
        for each in space.lake.list(f"{kind}/"):
            if own.fullmatch(each.path) and each.path not in named:
                space.lake.delete(each.path)


def finish(space: OpenSpace, survey: Survey) -> dict:
    """Sum up the source; it is complete if every row of its objects is in the lake, and every message once."""
    before = ledger.summary(space.lake, survey.source.name)
    if not before:  # nobody has looked at its archive yet
        return {"status": "pending", "since": survey.since, "parts": {}, "days": {}, "rows": ledger.total([])}
    if is_complete(space, survey.source.name) or before["status"] == UNREADABLE:
        return before
    if before.get("stopped"):
        _sweep(space, survey.source.name)
    failed, unsettled = before.get("failed", []), before.get("unsettled")
    status = "failed" if failed else "running" if survey.todo or unsettled else "complete"
    return _sum_up(space, survey, status, {"failed": failed, "unsettled": unsettled})


def _sum_up(space: OpenSpace, survey: Survey, status: str, more: dict) -> dict:
    source = survey.source.name
    found = ledger.entries(space.lake, source)
    pieces = [ledger.of_entry(each) for each in found.values()]
    if pieces:
        ledger.remember_pieces(space.lake, source, pl.concat(pieces))
    document = {
        "status": status,
        "since": survey.since,
        "among": space.source_names,
        "pending": survey.pending,
        "parts": {name: {key: each[key] for key in each if key != "objects"} for name, each in found.items()},
        "days": ledger.days(found.values(), survey.pending, more.get("failed", [])),
        "rows": ledger.total(each["rows"] for each in found.values()),
        "slices": ledger.fingerprints(found.values()),
    }
    ledger.write_summary(space.lake, source, document | (more if status != "complete" else {}))
    return ledger.summary(space.lake, source)

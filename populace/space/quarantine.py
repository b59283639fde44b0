"""Questions about rows that are no events: how many there are, why, and which."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from populace.errors import UsageError
from populace.events.layouts import LAYOUTS
from populace.events.reasons import MEANINGS
from populace.lake import ledger, tables
from populace.lake.objects import scan
from populace.space.opening import OpenSpace

Parts = dict[str, dict]
REJECTED = {
    "source": pl.String, "reason": pl.String, "object": pl.String, "row": pl.UInt32, "received_on": pl.Date,
    "whole": pl.String,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rejected rows are asked for; None asks for all.

    `day` is the received day, in UTC, of rows without any readable instant `undated`.
    """

    source: str | None = None
    reason: str | None = None
    day: str | None = None

    def __post_init__(self) -> None:
        if self.reason is not None and self.reason not in MEANINGS:
            message = f"no reason '{self.reason}'; there is {', '.join(sorted(MEANINGS))}"
            raise UsageError(message)
        if self.day not in (None, ledger.UNDATED) and not _is_day(str(self.day)):
            message = f"'{self.day}' is no day; write it like 2026-08-31, or {ledger.UNDATED}"
            raise UsageError(message)

    def counts(self, part: dict) -> Iterator[tuple[str, str, int]]:
        """(day, reason, rows) of what a part has of them."""
        for day, reasons in part["rejections"].items():
            for reason, rows in reasons.items():
                if self.day in (None, day) and self.reason in (None, reason):
                    yield day, reason, rows

    @property
    def condition(self) -> pl.Expr:
        """True for the rows asked for."""
        found = pl.lit(value=True) if self.reason is None else pl.col("reason") == self.reason
        if self.day is None:
            return found
        day = pl.col("received_on")
        return found & (day.is_null() if self.day == ledger.UNDATED else day == date.fromisoformat(self.day))


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def counts(space: OpenSpace, asked: Asked) -> list[dict[str, Any]]:
    """How many rows each source has of each reason, from the ledger alone.

    Returns
    -------
    One row per source and reason, most rows first within a source: {source, reason, rows, share: of the rows that
    were read, first_day, last_day: the received days of the first and the last, meaning}. A source without rejected
    rows has none.
    """
    return [row for source, parts in _sources(space, asked) for row in _counts(source, parts, asked)]


def _counts(source: str, parts: Parts, asked: Asked) -> list[dict[str, Any]]:
    read = sum(
        rows["read"] for part in parts.values() for day, rows in part["days"].items() if asked.day in (None, day)
    )
    rows: dict[str, int] = {}
    days: dict[str, set[str]] = {}
    for part in parts.values():
        for day, reason, count in asked.counts(part):
            rows[reason] = rows.get(reason, 0) + count
            days.setdefault(reason, set()).add(day)
    return [
        {"source": source, "reason": reason, "rows": count, "share": count / read}
        | {"first_day": min(days[reason]), "last_day": max(days[reason]), "meaning": MEANINGS.get(reason, "")}
        for reason, count in sorted(rows.items(), key=lambda each: (-each[1], each[0]))
    ]


def samples(space: OpenSpace, asked: Asked, most: int, *, whole: bool) -> Iterator[dict[str, Any]]:
    """Some rows of each source and reason, of those received last.

    Parameters
    ----------
    most
        How many at most of one source and reason.
    whole
        Whether to read the rows themselves, which hold personal data.

    Returns
    -------
    {source, reason, meaning, object: path below the archive, row: its position there, from 0, day} and, if it was
    asked for, whole: the row as JSON, or the line that it was; in the order of `counts`.
    """
    for source, parts in _sources(space, asked):
        for each in _counts(source, parts, asked):
            wanted = Asked(source, each["reason"], asked.day)
            yield from _latest(space, parts, wanted, most, whole=whole)


def _latest(space: OpenSpace, parts: Parts, wanted: Asked, most: int, *, whole: bool) -> Iterator[dict[str, Any]]:
    holding = [part for part in parts.values() if any(wanted.counts(part))]
    about = {"source": wanted.source, "reason": wanted.reason, "meaning": MEANINGS.get(str(wanted.reason), "")}
    columns = ["object", "row", "received_on", *(["whole"] if whole else [])]
    for part in reversed(holding):
        if most <= 0:
            return
        (place,) = [each["path"] for each in tables.outputs([part], "quarantine")]
        rows = scan(space.lake, place).filter(wanted.condition).select(columns).tail(most).collect(engine="streaming")
        most -= rows.height
        for row in reversed(rows.rows(named=True)):
            day = row.pop("received_on")
            at = {"object": _path(space, str(wanted.source), row.pop("object")), "row": row.pop("row")}
            yield about | at | {"day": str(day or ledger.UNDATED)} | row


def _path(space: OpenSpace, source: str, label: str) -> str:
    """An object's path, whose name among copies may say that it is a summary (`Chunk.label`)."""
    path = label.removeprefix("~")
    return path if LAYOUTS[space.source(source).layout].is_summary(path) else label


def whole_rows(space: OpenSpace, asked: Asked) -> pl.LazyFrame:
    """All the rows asked for, as they were sent: (source, reason, object, row, received_on, whole)."""
    found = [pl.LazyFrame(schema=REJECTED)]
    for source, parts in _sources(space, asked):
        holding = [part for part in parts.values() if any(asked.counts(part))]
        for each in tables.outputs(holding, "quarantine"):
            rows = scan(space.lake, each["path"]).filter(asked.condition)
            found.append(rows.with_columns(source=pl.lit(source)).select(REJECTED.keys()))
    return pl.concat(found)


def _sources(space: OpenSpace, asked: Asked) -> list[tuple[str, Parts]]:
    """The sources asked for, each with its parts, those received first before others."""
    if asked.source is not None:
        space.source(asked.source)
    names = [each.name for each in space.definition.sources if asked.source in (None, each.name)]
    return [(name, ledger.parts(space.lake, name)) for name in names]

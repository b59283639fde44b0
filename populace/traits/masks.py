"""Streams as masks: which rows of an event table each reducer looks at."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import polars as pl

from populace import expressions
from populace.expressions import Row
from populace.nodes import Between, Event, ExpiresAfter, Filter, OfAccount, Sources, Where, Within
from populace.query import print_query

NAMES_ACCOUNT = "names account"  # the column that says whether an event names the account that is its profile
Names = dict[str, str]  # of mask columns, by the text of their streams


def masked(table: pl.LazyFrame, row: Row, streams: Iterable[Event], as_of: datetime) -> tuple[pl.LazyFrame, Names]:
    """The rows that some stream keeps, with a Boolean column for each distinct one."""
    distinct = {print_query(stream): stream for stream in streams}
    names = {text: f"mask {number}" for number, text in enumerate(distinct)}
    marked = table.with_columns(keeps(stream, row, as_of).alias(names[text]) for text, stream in distinct.items())
    # Rows that no reducer wants are dropped before they are grouped, which is what costs.
    kept = marked.filter(pl.any_horizontal(list(names.values())))
    sessions = {names[text]: found for text, stream in distinct.items() if (found := _sessions(stream))}
    return kept.with_columns(_latest(name, found, as_of) for name, found in sessions.items()), names


def in_window(window: timedelta | None, as_of: datetime) -> pl.Expr:
    """True for events of the last so long, and none after `as_of`."""
    timestamp = pl.col("timestamp")
    return timestamp <= as_of if window is None else timestamp.is_between(as_of - window, as_of, closed="both")


def keeps(stream: Event, row: Row, as_of: datetime) -> pl.Expr:
    """True for rows that pass the filters of a stream; sessions are cut out of what all others leave."""
    # A literal alone would be one row, not one a row.
    known = pl.col("profile").is_not_null()
    return pl.all_horizontal([known, in_window(None, as_of), *(_holds(each, row, as_of) for each in stream.filters)])


def _holds(each: Filter, row: Row, as_of: datetime) -> pl.Expr:
    timestamp, parent = pl.col("timestamp"), pl.col("parent timestamp")
    match each:
        case Where(condition):
            return expressions.condition(condition, row.read, as_of)
        case Within(duration, False):
            return in_window(duration.length, as_of)
        case Between(parent=False):
            return timestamp.is_between(as_of - each.longest, as_of - each.shortest)
        case Within(duration, True):
            return _is_after() & (timestamp <= parent + duration.length)
        case Between():
            return _is_after() & timestamp.is_between(parent + each.shortest, parent + each.longest)
        case OfAccount():
            return pl.col(NAMES_ACCOUNT).fill_null(value=False)
        case Sources(exclude):
            return ~pl.col("source").is_in(exclude)
    return pl.lit(value=True)


def _is_after() -> pl.Expr:
    """Whether an event comes after its parent, in the order of all events (A-54)."""
    (time, before), (arrival, arrived), (message, other) = (
        (pl.col(name), pl.col(f"parent {name}")) for name in ("timestamp", "received_at", "message_id")
    )
    return (time > before) | ((time == before) & ((arrival > arrived) | ((arrival == arrived) & (message > other))))


# --- sessions -----------------------------------------------------------------------------------------


def _sessions(stream: Event) -> list[ExpiresAfter]:
    return [each for each in stream.filters if isinstance(each, ExpiresAfter)]


def _latest(mask: str, sessions: list[ExpiresAfter], as_of: datetime) -> pl.Expr:
    """The rows of a mask that are in the newest session of their profile (T-21)."""
    timestamps = pl.when(pl.col(mask)).then("timestamp")
    begins = [_begin(timestamps, each, as_of).over("profile") for each in sessions]
    late = [(pl.col("timestamp") >= begin).fill_null(value=False) for begin in begins]
    return pl.all_horizontal([pl.col(mask), *late])


def _begin(timestamps: pl.Expr, session: ExpiresAfter, as_of: datetime) -> pl.Expr:
    """The first instant after the last gap that is longer than one may be; null where the session expired."""
    ordered, gap = timestamps.drop_nulls().sort(), session.gap.length
    begin = ordered.filter((ordered.diff() > gap).fill_null(value=True)).max()
    return pl.when(ordered.max() >= as_of - gap).then(begin) if session.expire else begin

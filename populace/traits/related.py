"""Funnels: events compared with the events that follow them (A-50 to A-55).

A reducer inside where() has a value for every event of the stream around it. To compute it, the events that it is about
are paired with these parents, and pairs are reduced as any event table is, with the parent in place of the profile.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta

import polars as pl

from populace.nodes import Between, Event, Reducer, Where, Within
from populace.query import fingerprint
from populace.traits.given import Given, Tables, person
from populace.traits.masks import keeps
from populace.traits.planning import Reducers, after_parent, by_event, inside, stream_of

Reduce = Callable[[Tables, Iterable[Reducer]], pl.DataFrame]
ENVELOPE = ("timestamp", "received_at", "message_id", "source", "event")
EVENT = ("message_id", "source", "timestamp")  # what tells an event of a person from others
PARENT = "parent "  # begins the names of columns of the event that the event at hand comes after


def attached(table: pl.LazyFrame, group: Reducers, given: Given, reduce: Reduce) -> pl.LazyFrame:
    """The events that some stream may keep, with a column `inside …` for each reducer inside their where().

    Parameters
    ----------
    table
        (profile, person: whose events are looked at, where that is not the profile, …), see `reduce`.
    reduce
        Reduces tables with the number of a row in place of the profile.
    """
    streams = [stream_of(each) for each in group.values()]
    row = given.row(table)
    wanted = pl.any_horizontal([keeps(_alone(stream), row, given.as_of) for stream in streams])
    found = table.filter(wanted).collect(engine="streaming").with_row_index("row")
    rows = found.with_columns(_first(found).alias("first"))
    parents = rows.filter(pl.col("row") == pl.col("first")).drop("first").lazy()
    asked = {fingerprint(each): each for stream in streams for each in inside(stream)}
    pairs = {
        name: _pairs(parents, given.events[name], list(following.values()))
        for name, following in by_event(asked.values()).items()
        if name in given.events
    }
    values = reduce(pairs, asked.values()).rename({"profile": "first"})
    named = values.rename({each: f"inside {each}" for each in values.columns if each != "first"})
    return rows.join(named, on="first", how="left").drop("row", "first").lazy()


def _first(rows: pl.DataFrame) -> pl.Expr:
    """The first row with the same event: inside another funnel it stands beside each event that it follows.

    What follows it is the same each time, so that funnels in funnels cost a few times what one does.
    """
    return pl.col("row").min().over("person", *EVENT) if "person" in rows.columns else pl.col("row")


def _alone(stream: Event) -> Event:
    """A stream without the conditions that look at other events."""
    kept = (each for each in stream.filters if not (isinstance(each, Where) and inside(Event("", (each,)))))
    return Event(stream.name, tuple(kept))


def _pairs(rows: pl.LazyFrame, events: pl.LazyFrame, found: list[Reducer]) -> pl.LazyFrame:
    """Each event beside each row of the same person that it may follow; the row's number is the profile."""
    own = [name for name in rows.collect_schema() if name in ENVELOPE or name.startswith(("p.", "c.", "o."))]
    parents = rows.select("row", pl.col(person(rows)).alias("person"), pl.col(own).name.prefix(PARENT))
    following, longest = events.rename({"profile": "person"}), _longest(found)
    near = following.join(parents, on="person") if longest is None else _near(following, parents, longest)
    return near.rename({"row": "profile"})


def _longest(found: Iterable[Reducer]) -> timedelta | None:
    """How long after a parent the events of all these reducers come at most; None for ever."""
    streams = [stream_of(each) for each in found]
    return None if not all(map(after_parent, streams)) else max(map(_reach, streams))


def _reach(stream: Event) -> timedelta:
    lengths = [each.duration.length for each in stream.filters if isinstance(each, Within) and each.parent]
    return min(lengths + [each.longest for each in stream.filters if isinstance(each, Between) and each.parent])


def _near(following: pl.LazyFrame, parents: pl.LazyFrame, longest: timedelta) -> pl.LazyFrame:
    """Pairs by stretches of time: what follows within one length is in the parent's stretch or in the next one."""
    length = max(longest // timedelta(microseconds=1), 1)
    stretch = pl.col("timestamp").to_physical() // length
    begun = (pl.col("parent timestamp").to_physical() // length).alias("stretch")
    both = pl.concat([parents.with_columns(begun), parents.with_columns(begun + 1)])
    pairs = following.with_columns(stretch=stretch).join(both, on=["person", "stretch"]).drop("stretch")
    return pairs.filter(pl.col("timestamp") >= pl.col("parent timestamp"))

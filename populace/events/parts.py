"""One part: all tables that follow from a bounded run of rows of one source.

A part is read in two steps, between which the caller decides which copies of messages count:
`check` says what is wrong with each row, `tables` makes the tables of those that are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from populace.definitions import Identity
from populace.events import identifiers, places, rows
from populace.events.jsontext import JsonReader, names
from populace.events.layouts.canonical import Wanted
from populace.events.payload import JsonPayload, Payload, TypedPayload
from populace.events.tables import event_tables, table_name

FORMAT = 2  # of the tables below; raising it makes everything replay again

UNDATED = "undated"
ENVELOPE = ("message_id", "timestamp", "received_at", "source", "sighting")
EVENT_ORDER = identifiers.EVENT_ORDER
CANONICAL = (
    "object", "row", "message_id", "type", "event", "user_id", "anonymous_id", "group_id", "previous_id",
    "timestamp", "received_at", "unreadable", "problem",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """What extraction depends on: change it and everything is replayed again.

    `context` are the dotted paths below `context` that definitions or the source ask to keep.
    """

    identity: Identity
    context: tuple[str, ...] = ()
    layout: str = "raw"
    salt: int = 0

    @property
    def wanted(self) -> Wanted:
        """The paths below context, and integrations, that someone reads."""
        listed = places.all_places(self.identity)
        context, integrations = (
            frozenset(path for column, path in listed if column == each) for each in ("context", "integrations")
        )
        return Wanted(context | {names(path) for path in self.context}, integrations)

    def describe(self) -> dict:
        """The same as plain data, for a fingerprint."""
        read = [[each.id_type, each.normalize, each.read_from] for each in self.identity.identifiers]
        described = {"format": [FORMAT, self.salt], "layout": self.layout, "context": sorted(self.context)}
        return described | {"identifiers": sorted(read, key=str)}


@dataclass(frozen=True, slots=True)
class Checked:
    """The rows of a part, and what is wrong with them.

    `rows` has the columns of `CANONICAL`, and `reason`: null where the row is good and the first of its
    message in this part, `duplicate` where another row is. `copies` is one row per good message:
    (message_id, received_at, object, row), in the order of `rows`. `payload` holds the rest of the rows.
    `left_out` counts those that were received before the days that are replayed.
    """

    rows: pl.DataFrame
    payload: Payload
    copies: pl.DataFrame
    left_out: int


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a part.

    `events` maps a table's name to its frame, see `table_of`; calls that no condition can name (identify,
    group, alias) have the tables `@identify`, `@group`, `@alias`. `few` holds the rows of the tables that are
    too small for an object of their own, with `event` and their properties as JSON.
    """

    events: Mapping[str, pl.DataFrame]
    few: pl.DataFrame
    sightings: pl.DataFrame
    identifiers: pl.DataFrame
    custom_traits: pl.DataFrame
    links: pl.DataFrame
    least: str | None
    greatest: str | None


DUPLICATE = "duplicate"


def check(frames: Sequence[pl.DataFrame], since: str, wanted: Wanted, json: JsonReader) -> Checked:
    """What is wrong with each row of a part.

    Parameters
    ----------
    frames
        Canonical rows of a layout, with `object` and `row`.
    since
        Rows received on an earlier date are left out, as if they were not there.
    wanted
        What will be asked for of their contexts.
    """
    is_json = any("properties" in frame.columns for frame in frames)
    if is_json:
        frames = [pl.concat(frames, how="diagonal")]
    read = pl.concat([frame.select(CANONICAL) for frame in frames], rechunk=True).with_row_index("at")
    first = pl.lit(since).str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC")
    everything = read.filter((pl.col("received_at") >= first) | pl.col("received_at").is_null())
    payload = JsonPayload.of(frames[0], wanted, json) if is_json else TypedPayload(frames)
    judged = everything.with_columns(rows.reasons(payload.judged(everything)))
    good = judged.filter(pl.col("reason").is_null())
    is_first = rows.first_copies(good)
    firsts, others = good.filter(is_first), good.filter(~is_first).get_column("at")
    reason = pl.when(pl.col("at").is_in(others.implode())).then(pl.lit(DUPLICATE)).otherwise("reason")
    return Checked(
        judged.with_columns(reason=reason) if others.len() else judged,
        payload,
        firsts.select("message_id", *rows.COPY_ORDER),
        read.height - everything.height,
    )


def tables(checked: Checked, kept: pl.Series, source: str, rules: Rules, json: JsonReader) -> Tables:
    """All tables of a part.

    Parameters
    ----------
    kept
        For each row of `checked.copies` whether it counts.
    """
    good = checked.rows.filter(pl.col("reason").is_null()).filter(kept)
    placed = _placed(good.with_columns(table=table_name(), order=_event_order(good), source=pl.lit(source)))
    payload = checked.payload.take(placed, json)
    values = payload.identifier_values(places.all_places(rules.identity))
    numbered = identifiers.number(placed, values, rules.identity, rules.salt, json)
    placed = placed.with_columns(sighting=numbered.of_row)
    own, few = event_tables(placed, payload, rules.context, _own(placed.get_column("table")))
    timestamps = placed.get_column("timestamp")
    return Tables(
        events=own,
        few=few,
        sightings=numbered.sightings.with_columns(source=pl.lit(source)),
        identifiers=numbered.identifiers,
        custom_traits=_custom_traits(placed, payload),
        links=placed.filter(type="group").sort("order").select("sighting", "group_id", *ENVELOPE[:4]),
        least=_iso(timestamps.min()),
        greatest=_iso(timestamps.max()),
    )


OWN_TABLES = 64  # of a part have an object of their own; a thousand names over sixty days would be 60,000 small ones
CALLS = ("@alias", "@group", "@identify")  # always have, for their columns are their own


def _own(tables: pl.Series) -> int:
    """How many of these tables, one name a row, have an object of their own."""
    return max(OWN_TABLES, tables.filter(tables.is_in(CALLS)).n_unique())


def _event_order(rows: pl.DataFrame) -> pl.Series:
    """Each row's rank in event order. Most instants are of one row only, and numbers are sorted faster than text."""
    by_time = rows.get_column("timestamp").arg_sort()
    tied = rows.get_column("timestamp").is_duplicated()
    if tied.any():
        sorted_ties = rows.select(*EVENT_ORDER).with_row_index("at").filter(tied)
        places = tied.gather(by_time).arg_true()
        by_time = by_time.scatter(places, sorted_ties.sort(EVENT_ORDER).get_column("at"))
    return by_time.arg_sort().alias("order")


def _placed(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows by table and in event order; `g` is the number of a table among the largest, of all others the last one."""
    is_call, own = pl.col("table").is_in(CALLS), _own(rows.get_column("table"))
    sizes = rows.group_by("table").len().sort([is_call, "len", "table"], descending=[True, True, False])
    numbers = pl.concat([sizes.head(own).sort("table"), sizes.slice(own).sort("table")])
    numbered = numbers.select("table").with_row_index("number")
    keys = rows.select("table", "order").join(numbered, on="table", maintain_order="left")
    at = keys.select(pl.col("number").cast(pl.UInt64) * (1 << 32) + pl.col("order")).to_series().arg_sort()
    g = pl.col("number").clip(upper_bound=own).cast(pl.UInt16).alias("g")
    return rows.select(PLACED).hstack(keys.select(g))[at]


PLACED = (
    "at", "type", "table", "order", "source", "message_id", "timestamp", "received_at",
    "user_id", "anonymous_id", "group_id", "previous_id",
)  # fmt: skip


def counts(checked: Checked, kept: pl.Series) -> pl.DataFrame:
    """What became of the rows, by received day: (day, read, kept, duplicate, rejected), sorted by day."""
    outcome = checked.rows.select(DAY, "reason")
    lost = checked.rows.filter(pl.col("reason").is_null()).filter(~kept).select(DAY)
    by_day = outcome.group_by("day").agg(
        read=pl.len(),
        kept=pl.col("reason").is_null().sum(),
        duplicate=(pl.col("reason") == DUPLICATE).sum(),
    )
    counted = lost.group_by("day").len()
    moved = by_day.join(counted, on="day", how="left", nulls_equal=True).with_columns(pl.col("len").fill_null(0))
    return moved.select(
        _written("day"),
        "read",
        kept=pl.col("kept") - pl.col("len"),
        duplicate=pl.col("duplicate") + pl.col("len"),
        rejected=pl.col("read") - pl.col("kept") - pl.col("duplicate"),
    ).sort("day")


def objects(checked: Checked) -> pl.DataFrame:
    """(object, day, rows), sorted: how many rows of each received day each object gave."""
    found = checked.rows.group_by("object", DAY).agg(rows=pl.len())
    return found.select("object", _written("day"), "rows").sort("object", "day")


def rejected(checked: Checked) -> pl.DataFrame:
    """(reason, object, row, received_on) of the rows that are no events, in the order of the archive."""
    wrong = pl.col("reason").is_not_null() & (pl.col("reason") != DUPLICATE)
    return checked.rows.filter(wrong).select("reason", "object", "row", DAY.alias("received_on")).sort("object", "row")


def rejections(checked: Checked) -> dict[str, dict[str, int]]:
    """How many rows are no events, by received day and reason; both sorted."""
    counted = rejected(checked).group_by(_written("received_on"), "reason").len().sort("received_on", "reason")
    found: dict[str, dict[str, int]] = {}
    for day, reason, count in counted.iter_rows():
        found.setdefault(day, {})[reason] = count
    return found


DAY = pl.col("received_at").dt.date().alias("day")


def _written(day: str) -> pl.Expr:
    return pl.col(day).cast(pl.String).fill_null(UNDATED)


def _iso(instant: object) -> str | None:
    return None if instant is None else f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}"


def _custom_traits(placed: pl.DataFrame, payload: Payload) -> pl.DataFrame:
    """Traits of Identify calls, one row per call and top-level name (E-2, T-5); null is a value (T-2)."""
    calls = (pl.col("type") == "identify") & pl.col("sighting").is_not_null()
    members = payload.trait_members(placed.select(calls).to_series())
    keys = placed.select("sighting", *EVENT_ORDER, "source").with_row_index("n")
    long = members.join(keys, on="n").select("sighting", "name", "value", *EVENT_ORDER, "source")
    return long.sort(*EVENT_ORDER, "name")


def first_day(checked: Checked) -> str:
    """The received day a part is filed under: its least; `undated` where no row has one."""
    least = checked.rows.get_column("received_at").min()
    return UNDATED if least is None else date.isoformat(least.date())  # type: ignore[union-attr]

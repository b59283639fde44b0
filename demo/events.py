"""Two months of an invented web shop as a raw archive: the same bytes for the same arguments.

Three sources, each one object per received day, more or less:

web      the shop's pages: browsing without a name, sign-ups, log-ins on further devices, log-outs, orders
server   the shop's backend: payments, subscriptions, mails; user_id only; timestamps are text
split    a feature-flag tool: impressions (`get_treatment`); no columns anonymous_id, group_id and traits

A few rows are late, twice or broken, on purpose; `Object.counts` says how many. Memory holds one
day and what is still on its way, however many events there are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal, NamedTuple

import polars as pl

from demo import backend, delivery, people, visits
from demo.rhythm import Day, Span, iso_text

WEB, SERVER, SPLIT = "web", "server", "split"
HALVED_EVERY, HALVED_ON = 10, 4  # days whose pages come in two objects
HELD_DAY = 5  # its rows from the server lie in the object of the day after


class Object(NamedTuple):
    """One object of the archive: its key below the archive's root, its rows, and what they are.

    `counts` holds the number of rows by (source, kind), the kinds being those of `delivery.OUTCOMES`.
    """

    key: str
    frame: pl.DataFrame
    counts: Counter[tuple[str, str]]


def objects(as_of: datetime, *, events: int = 200_000, seed: int = 7) -> Iterator[Object]:
    """The archive of the sixty days before `as_of`, oldest received day first.

    Parameters
    ----------
    as_of
        An aware datetime. Nothing is received at or after it.
    events
        How many rows there are to be, duplicates and broken rows included: within 3 % from 5,000 on.
    seed
        Other seeds make other people and events of the same kind.

    Yields
    ------
    Objects with keys such as `web/2026/09/23/part-0.parquet` in the raw layout (E-81): one row per
    call received; message_id, type, event, user_id, anonymous_id, group_id: str; timestamp,
    received_at, sent_at, original_timestamp: UTC; context, properties, traits, integrations: JSON text.
    Columns may be missing, of type Null, or instants written as text, as sources happen to have them.
    """
    span = Span.ending(as_of, events, seed)
    world = people.settle(span)
    waiting: dict[str, list[pl.DataFrame]] = {WEB: [], SERVER: [], SPLIT: []}
    for day in span.days():
        for source, arrivals in _arrivals(span, world, day).items():
            received, later = _parted(day, pl.concat([*waiting[source], arrivals]))
            is_held = source == SERVER and day.ordinal == HELD_DAY
            waiting[source] = [received, later] if is_held else [later]
            if not is_held:
                yield from _written(span, source, day, received)


def outcomes(counts: Iterable[Counter[tuple[str, str]]]) -> pl.DataFrame:
    """What a replay of these objects must count.

    Returns
    -------
    One row per source, sorted: (source: str, read, kept, duplicate, rejected: i64), where read is
    the sum of the other three. No row is counted twice: no broken one is a copy.
    """
    rows = [(source, delivery.OUTCOMES[kind], number) for (source, kind), number in sum(counts, Counter()).items()]
    table = pl.DataFrame(rows, schema={"source": pl.String, "outcome": pl.String, "rows": pl.Int64}, orient="row")

    def of(outcome: str) -> pl.Expr:
        return pl.col("rows").filter(pl.col("outcome") == outcome).sum().alias(outcome)

    sums = [pl.col("rows").sum().alias("read"), of("kept"), of("duplicate"), of("rejected")]
    return table.group_by("source").agg(sums).sort("source")


def sign_ups(as_of: datetime, *, events: int = 200_000, seed: int = 7) -> pl.DataFrame:
    """Who signed up within the span, for comparing an audience with the truth.

    Returns
    -------
    One row per person, sorted: (user_id: str, signed_up_at: datetime[ms, UTC]), the timestamp of `User Signed Up`.
    """
    world = people.settle(Span.ending(as_of, events, seed))
    signed_up_at = pl.from_epoch(pl.col("customer_at") + visits.SIGN_UP_TAKES, "ms").dt.replace_time_zone("UTC")
    return world.persons.filter("has_signed_up").select("user_id", signed_up_at=signed_up_at).sort("user_id")


def _arrivals(span: Span, world: people.World, day: Day) -> dict[str, pl.DataFrame]:
    steps = visits.of_day(span, world, day)
    calls = {
        WEB: visits.calls(steps, world),
        SERVER: backend.server_calls(span, world, day, steps),
        SPLIT: backend.split_calls(span, world, day),
    }
    arrivals = {source: delivery.receive(span, source, day.ordinal, made) for source, made in calls.items()}
    forwarded = delivery.forward(span, day.ordinal, arrivals[WEB])
    return arrivals | {SERVER: pl.concat([arrivals[SERVER], forwarded])}


def _parted(day: Day, arrivals: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What is received by the end of a day, in the order of its arrival, and what is not."""
    is_received = pl.col("received_at") < day.high
    # Copies are equal to their originals in all but the kind, which does not get written.
    received = arrivals.filter(is_received).sort("received_at", "message_id", maintain_order=True)
    return received, arrivals.filter(~is_received)


def _written(span: Span, source: str, day: Day, received: pl.DataFrame) -> Iterator[Object]:
    is_halved = source == WEB and day.ordinal % HALVED_EVERY == HALVED_ON
    half = (received.height + 1) // 2 if is_halved else received.height
    folder = pl.Series([day.low]).cast(pl.Datetime("ms")).dt.strftime("%Y/%m/%d")[0]
    for number, part in enumerate([received[:half], received[half:]]):
        if part.height:
            counts = Counter({(source, kind): count for kind, count in part["kind"].value_counts().iter_rows()})
            yield Object(f"{source}/{folder}/part-{number}.parquet", _shaped(source, part), counts)


def _shaped(source: str, received: pl.DataFrame) -> pl.DataFrame:
    """The columns as the source happens to write them."""
    nothing = pl.lit(None, dtype=pl.Null)
    names = ["message_id", "type", "event", "user_id"]
    match source:
        case "web":
            instants = [_instant(name, "us") for name in ["timestamp", "received_at", "sent_at", "original_timestamp"]]
            more: list[str | pl.Expr] = [
                "anonymous_id",
                nothing.alias("group_id"),
                *instants,
                "context",
                "properties",
                "traits",
            ]
            return received.select(*names, *more, integrations=pl.lit("{}"))
        case "server":
            written = (
                pl.when(pl.col("timestamp") == -1)
                .then(pl.lit("some time ago"))
                .otherwise(iso_text(pl.col("timestamp")))
            )
            more = [
                nothing.alias("anonymous_id"),
                "group_id",
                written.alias("timestamp"),
                _instant("received_at", "ms"),
            ]
            return received.select(*names, *more, "context", "properties", "traits")
        case _:
            instants = [_instant(name, "ms") for name in ["timestamp", "received_at", "sent_at"]]
            return received.select(*names, *instants, "context", "properties")


def _instant(name: str, unit: Literal["ms", "us"]) -> pl.Expr:
    return pl.from_epoch(name, "ms").dt.replace_time_zone("UTC").dt.cast_time_unit(unit).alias(name)

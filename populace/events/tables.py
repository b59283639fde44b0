"""Event tables of one part: which table a call belongs to, and the columns it has there."""

from collections.abc import Sequence

import polars as pl

from populace.events.jsontext import Path
from populace.events.payload import Payload, Spans

ENVELOPE = ("message_id", "timestamp", "received_at", "source", "sighting")
REST = "_rest"

# `name` of a page or screen call is also the property page_name or screen_name (E-5).
TITLES: dict[str, dict[Path, Path]] = {
    "Page Viewed": {("page_name",): ("name",)},
    "Screen Viewed": {("screen_name",): ("name",)},
}


def table_name() -> pl.Expr:
    """An event's table: its name; page and screen calls by E-5, the other calls after their type."""
    own = pl.when(pl.col("event").str.starts_with("@")).then(pl.lit("@") + pl.col("event")).otherwise("event")
    named = {"track": own, "page": pl.lit("Page Viewed"), "screen": pl.lit("Screen Viewed")}
    return pl.coalesce(
        *(pl.when(pl.col("type") == call).then(name) for call, name in named.items()), pl.lit("@") + pl.col("type")
    )


def table_of(event: str) -> str:
    """The table of an event's name; one that starts with `@` gets another, so that calls stay apart."""
    return "@" + event if event.startswith("@") else event


def event_of(table: str) -> str:
    """The name of the event whose table this is."""
    return table.removeprefix("@")


def is_event(table: str) -> bool:
    """Whether a table holds events that a definition can name; Identify calls, say, are none (E-6)."""
    return not table.startswith("@") or table.startswith("@@")


def event_tables(
    placed: pl.DataFrame, payload: Payload, context: Sequence[str], most: int
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """The tables with objects of their own, by name, and one table of all the others.

    Parameters
    ----------
    placed
        Kept rows sorted by (g, table, order): the envelope, `table`, and `g`, the number of the table among those
        with objects of their own, or `most`.
    payload
        The rest of the same rows.
    context
        The dotted paths below context to keep, as columns `c.<path>`.
    """
    spans, few = _spans(placed, most)
    named = {group: placed.item(start, "table") for group, (start, _) in spans.items()}
    titles = {group: TITLES[name] for group, name in named.items() if name in TITLES}
    properties = payload.property_columns(spans, titles)
    own = {
        named[group]: placed.slice(*span)
        .with_columns(_calls_own(named[group], payload, span))
        .select(*ENVELOPE, *CALLS_OWN.get(named[group], ()))
        .hstack([*payload.context_columns(*span, context), *properties.get(group, [])])
        for group, span in spans.items()
    }
    return own, _few(placed.slice(*few), payload, few, context)


def _few(rows: pl.DataFrame, payload: Payload, span: tuple[int, int], context: Sequence[str]) -> pl.DataFrame:
    """Rows of many tables, whose values have no types of their own until one of the tables is read."""
    named = rows.select(pl.col("table").alias("event"), *ENVELOPE)
    if not rows.height:
        return named
    return named.hstack([*payload.context_values(*span, context), payload.property_texts(*span).alias(REST)])


CALLS_OWN = {"@group": ("group_id", "traits"), "@alias": ("user_id", "previous_id")}


def _calls_own(name: str, payload: Payload, span: tuple[int, int]) -> list[pl.Series]:
    return [payload.trait_texts(*span).alias("traits")] if name == "@group" else []


def _spans(placed: pl.DataFrame, most: int) -> tuple[Spans, tuple[int, int]]:
    """Where the rows of each table are, and those of all tables without an object of their own."""
    runs = placed.get_column("g").rle().struct.unnest()
    starts = runs.with_columns(start=pl.col("len").cum_sum() - pl.col("len"))
    spans = {group: (start, length) for length, group, start in starts.iter_rows()}
    return {group: span for group, span in spans.items() if group < most}, spans.get(most, (placed.height, 0))

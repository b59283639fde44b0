"""Which rows are events, why the others are not, and which of several copies counts."""

from datetime import date

import polars as pl

from populace.events.jsontext import JsonReader

TYPES = ("identify", "track", "page", "screen", "group", "alias")
LONGEST_MESSAGE_ID = 100
LAST_DAY = date(2149, 6, 6)  # the last that fits into the 16 bits a sighting's number has for it
EPOCH = pl.lit(0).cast(pl.Datetime("us", "UTC"))

# The order in which copies of one message are preferred (E-35): the earliest received, then the
# one that stands first in the archive.
COPY_ORDER = ("received_at", "object", "row")


def reasons(rows: pl.DataFrame, json: JsonReader) -> pl.DataFrame:
    """Why each row is rejected, or null where it is good.

    Parameters
    ----------
    rows
        Canonical rows of `layout.columns`.
    json
        Looks at the three JSON columns.

    Returns
    -------
    `rows` with a column `reason`: the first code of 1.7 that applies (codes for what Segment
    checks before its archive are ours: `message_id_required`, `message_id_too_long`,
    `timestamp_missing`, `timestamp_invalid`, `type_unknown`, `context_not_object`).
    """
    objects = json.are_objects(rows.select("properties", "traits", "context"))
    return rows.with_columns(reason=_reason(rows.hstack(objects.rename(lambda name: f"{name}_ok"))))


def _reason(rows: pl.DataFrame) -> pl.Series:
    checks = {
        "message_id_required": pl.col("message_id").fill_null("") == "",
        "message_id_too_long": pl.col("message_id").str.len_chars() > LONGEST_MESSAGE_ID,
        "type_unknown": ~pl.col("type").is_in(TYPES).fill_null(value=False),
        "timestamp_invalid": pl.col("unreadable"),
        "timestamp_missing": pl.col("timestamp").is_null(),
        "timestamp_before_1970": pl.min_horizontal("timestamp", "received_at") < EPOCH,
        "received_after_2149": pl.col("received_at").dt.date() > LAST_DAY,
        "no_user_anon_id": _empty("user_id") & _empty("anonymous_id"),
        "event_not_defined": (pl.col("type") == "track") & _empty("event"),
        "id_required": (pl.col("type") == "group") & _empty("group_id"),
        "properties_not_object": ~pl.col("properties_ok"),
        "traits_not_object": ~pl.col("traits_ok"),
        "context_not_object": ~pl.col("context_ok"),
    }
    code = pl.coalesce(pl.when(wrong).then(pl.lit(reason)) for reason, wrong in checks.items())
    return rows.select(reason=code).to_series()


def _empty(name: str) -> pl.Expr:
    return pl.col(name).fill_null("").str.strip_chars() == ""


def first_copies(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a message: the earliest received, then the first in the archive (E-35)."""
    return rows.sort(COPY_ORDER).unique("message_id", keep="first", maintain_order=True)


def precedes(ours: pl.Series, theirs: pl.Series) -> pl.Series:
    """Element by element: does our copy come first? Copies are structs, compared field by field."""
    decided = pl.lit(value=False)
    for name in reversed(ours.struct.fields):
        left, right = pl.col("ours").struct.field(name), pl.col("theirs").struct.field(name)
        decided = (left < right) | ((left == right) & decided)
    return pl.DataFrame({"ours": ours, "theirs": theirs}).select(decided.fill_null(value=False)).to_series()

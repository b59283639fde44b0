"""Which rows are events, why the others are not, and which of several copies counts."""

from datetime import date

import polars as pl

from populace.events.jsontext import JsonReader

TYPES = ("identify", "track", "page", "screen", "group", "alias")
LONGEST_MESSAGE_ID = 100
LONGEST_GROUP_ID = 500
MOST_PROPERTIES, MOST_TRAITS = 300, 299
SHORTEST = 5  # bytes of a name and its value
LAST_DAY = date(2149, 6, 6)  # an instant far off is a broken clock, and days are stored in 16 bits elsewhere
EPOCH = pl.lit(0).cast(pl.Datetime("us", "UTC"))
PAYLOAD = (
    "properties_not_object", "traits_not_object", "context_not_object",
    "too_many_properties", "too_many_traits", "group_id_empty",
)  # fmt: skip

# The order in which copies of one message are preferred (E-35): the earliest received, then the
# one that stands first in the archive.
COPY_ORDER = ("received_at", "object", "row")


def reasons(rows: pl.DataFrame) -> pl.Series:
    """Why each row is rejected, or null where it is good.

    Parameters
    ----------
    rows
        Canonical rows of a layout, with a Boolean column for each code of `PAYLOAD` that is to be looked at.

    Returns
    -------
    The first code of 1.7 that applies (codes for what Segment checks before its archive, and for the
    limits of Unify, are ours: see docs/operations.md).
    """
    checks = _envelope_checks() | {code: pl.col(code) for code in PAYLOAD if code in rows.columns}
    code = pl.coalesce("problem", *(pl.when(wrong).then(pl.lit(reason)) for reason, wrong in checks.items()))
    return rows.select(reason=code).to_series()


def _envelope_checks() -> dict[str, pl.Expr]:
    return {
        "message_id_required": (pl.col("message_id") == "").fill_null(value=True),
        "message_id_too_long": pl.col("message_id").str.len_chars() > LONGEST_MESSAGE_ID,
        "type_unknown": ~pl.col("type").is_in(TYPES).fill_null(value=False),
        "timestamp_invalid": pl.col("unreadable"),
        "timestamp_missing": pl.col("timestamp").is_null(),
        "timestamp_before_1970": pl.min_horizontal("timestamp", "received_at") < EPOCH,
        "received_after_2149": pl.col("received_at").dt.date() > LAST_DAY,
        "no_user_anon_id": _empty("user_id") & _empty("anonymous_id"),
        "event_not_defined": (pl.col("type") == "track") & _empty("event"),
        "id_required": (pl.col("type") == "group") & _empty("group_id"),
        "group_id_too_long": pl.col("group_id").str.len_chars() > LONGEST_GROUP_ID,
    }


def _empty(name: str) -> pl.Expr:
    return (pl.col(name).str.strip_chars() == "").fill_null(value=True)


# --- what is wrong with JSON ------------------------------------------------------------------------


def wrong_objects(objects: pl.Series, are_objects: pl.Series, most: int, json: JsonReader) -> list[pl.Series]:
    """`<name>_not_object` and `too_many_<name>`: what JSON text, of properties say, can earn a row."""
    sound = objects.set(~are_objects, None)
    over = _more_names(sound, most, json)
    return [(~are_objects).alias(f"{objects.name}_not_object"), over.alias(f"too_many_{objects.name}")]


def _more_names(objects: pl.Series, most: int, json: JsonReader) -> pl.Series:
    """True where an object has more names than a limit of Unify allows; only those with enough commas are parsed."""
    long = objects.set(objects.str.len_bytes() < most * SHORTEST, None)  # in which commas are worth counting
    full = long.str.count_matches(",", literal=True) >= most
    if not full.any():
        return pl.repeat(value=False, n=objects.len(), eager=True)
    counted = json.members(pl.select(pl.when(full).then(objects)).to_series()).group_by("n").len()
    over = counted.filter(pl.col("len") > most).get_column("n")
    return pl.select(pl.int_range(objects.len(), dtype=pl.UInt32).is_in(over.implode())).to_series()


def is_empty_text(values: pl.Series) -> pl.Series:
    """True where JSON values are empty or blank text; of `context.groupId` Unify drops an event then (E-13)."""
    return values.str.contains(r'^"(?:\s|\\[tnrf]|\\u000[bB])*"$').fill_null(value=False)


# --- copies -------------------------------------------------------------------------------------------


def first_copies(rows: pl.DataFrame) -> pl.Series:
    """True for one row a message: the earliest received, then the first in the archive (E-35)."""
    # By hash, which is several times as fast; what only shares one is told apart below.
    again = rows.get_column("message_id").hash().is_duplicated()
    if not again.any():
        return ~again
    several = rows.select("message_id", *COPY_ORDER).with_row_index("at").filter(again)
    firsts = several.sort(COPY_ORDER).unique("message_id", keep="first", maintain_order=True).get_column("at")
    return ~again | pl.select(pl.int_range(rows.height, dtype=pl.UInt32).is_in(firsts.implode())).to_series()


def precedes(ours: pl.Series, theirs: pl.Series) -> pl.Series:
    """Element by element: does our copy come first? Copies are structs, compared field by field."""
    decided = pl.lit(value=False)
    for name in reversed(ours.struct.fields):
        left, right = pl.col("ours").struct.field(name), pl.col("theirs").struct.field(name)
        decided = (left < right) | ((left == right) & decided)
    return pl.DataFrame({"ours": ours, "theirs": theirs}).select(decided.fill_null(value=False)).to_series()

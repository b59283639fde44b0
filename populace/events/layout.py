"""The raw layout (E-81): which columns a Parquet object must have, and what they become.

Required are `message_id`, `type`, and `timestamp` or `received_at`. Other columns may be absent or
of Parquet's type Null. Ids given as numbers are cast (E-51); an instant is any Datetime, or ISO
8601 text with a zone (E-25).
"""

from collections.abc import Mapping

import polars as pl

from populace.errors import ArchiveError

TEXTS = (
    "message_id", "type", "event", "user_id", "anonymous_id", "group_id", "previous_id",
    "context", "properties", "traits",
)  # fmt: skip
JSONS = ("context", "properties", "traits")
INSTANTS = ("timestamp", "received_at", "sent_at", "original_timestamp")
UTC = pl.Datetime("us", "UTC")
ISO_8601 = "%+"  # chrono's name for date, time and zone; text without a zone does not match

Schema = Mapping[str, pl.DataType]


def check(schema: Schema, where: str) -> None:
    """Refuse an object that is not of the raw layout, naming it and what is wrong.

    Raises
    ------
    ArchiveError
        If a required column is missing, or a column has a type that cannot be read.
    """
    missing = [name for name in ("message_id", "type") if name not in schema]
    if "timestamp" not in schema and "received_at" not in schema:
        missing.append("timestamp or received_at")
    if missing:
        message = (
            f"{where}: not of the raw layout, no column {', '.join(missing)}; "
            "move it out of the archive, or set the source's `archive` to the folder that holds raw events"
        )
        raise ArchiveError(message)
    for name in (*TEXTS, *INSTANTS):
        _check_type(name, schema.get(name, pl.Null()), where)


def _check_type(name: str, dtype: pl.DataType, where: str) -> None:
    if dtype in (pl.Null, pl.String) or (name in INSTANTS and isinstance(dtype, pl.Datetime)):
        return
    if name.endswith("_id") and dtype.is_integer():
        return
    wanted = "a Datetime or ISO text with a zone" if name in INSTANTS else "text"
    message = f"{where}: column {name} is {dtype}, not {wanted}; write it again with that type"
    raise ArchiveError(message)


def columns(schema: Schema) -> list[pl.Expr]:
    """The canonical columns of an object that passed `check`.

    Returns
    -------
    `TEXTS` as String, `INSTANTS` as Datetime[us, UTC] by the rules of 1.4 and E-26, and
    `unreadable` (Boolean): an instant was given that cannot be read.
    """
    return [
        *(_without_null(name, text(schema, name)) for name in TEXTS),
        timestamp(schema).alias("timestamp"),
        received_at(schema).alias("received_at"),
        pl.any_horizontal(_unreadable(schema, name) for name in ("timestamp", "received_at")).alias("unreadable"),
    ]


def text(schema: Schema, name: str) -> pl.Expr:
    """A column as text; null where the object has none."""
    dtype = schema.get(name, pl.Null())
    return (pl.lit(None) if dtype == pl.Null else pl.col(name)).cast(pl.String).alias(name)


def _without_null(name: str, written: pl.Expr) -> pl.Expr:
    # `null` is how some writers say that nothing was sent.
    return pl.when(written != "null").then(written).alias(name) if name in JSONS else written


def instant(schema: Schema, name: str) -> pl.Expr:
    """A column as an instant in UTC; null where it is absent, null or unreadable."""
    dtype = schema.get(name, pl.Null())
    if dtype == pl.Null:
        return pl.lit(None, dtype=UTC)
    if dtype == pl.String:
        return pl.col(name).str.strip_chars().str.to_datetime(ISO_8601, strict=False, time_unit="us")
    if getattr(dtype, "time_zone", None) is None:
        return pl.col(name).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.col(name).cast(pl.Datetime("us", dtype.time_zone)).dt.convert_time_zone("UTC")  # type: ignore[attr-defined]


def _unreadable(schema: Schema, name: str) -> pl.Expr:
    if schema.get(name) != pl.String:
        return pl.lit(value=False)
    return pl.col(name).is_not_null() & instant(schema, name).is_null()


def timestamp(schema: Schema) -> pl.Expr:
    """When it happened: as given, else corrected for the client's clock (1.4), else E-26."""
    received, sent = instant(schema, "received_at"), instant(schema, "sent_at")
    original = instant(schema, "original_timestamp")
    return pl.coalesce(instant(schema, "timestamp"), received - (sent - original), original, received)


def received_at(schema: Schema) -> pl.Expr:
    """When it arrived; where an archive does not say, when it happened."""
    return pl.coalesce(instant(schema, "received_at"), timestamp(schema))


def received_day(schema: Schema) -> pl.Expr:
    """The UTC date of arrival, which decides the slice; null for a row without any readable instant."""
    return received_at(schema).dt.date().alias("day")

"""When each event happened and when it arrived: the rules of 1.4 and E-26, for every layout.

Reading text as an instant is the dearest thing a layout does, and expressions that use one twice read it twice. So the
rules work on columns, each read once and only where it is needed; `expressions` wraps them for a lazy frame.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from populace.errors import ArchiveError

NAMES = ("timestamp", "received_at", "sent_at", "original_timestamp")
UTC = pl.Datetime("us", "UTC")
ISO_8601 = "%+"  # chrono's name for date, time and zone; text without a zone does not match
WITHOUT_SECONDS = r"^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d)([Zz]|[+-]\d\d(?::?\d\d)?)$"
ZONE_OF_HOURS = r"(:\d\d(?:\.\d+)?[+-]\d\d)$"
# What Python, and hence a ledger, can write as a date.
YEARS = (pl.datetime(1, 1, 1, time_zone="UTC"), pl.datetime(9999, 12, 31, time_zone="UTC"))


class _once:
    """A property that is worked out once.

    `functools.cached_property` holds a lock while it does, until Python 3.12 one for all instances: of two threads
    of polars one would wait for the lock, and the other, which holds it, for the first to do its share of a query.
    """

    def __init__(self, method: Callable[[Any], pl.Series]) -> None:
        self.method = method
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> pl.Series:
        return instance.__dict__.setdefault(self.method.__name__, self.method(instance))


class Moments:
    """Two instants of each row, and whether they could be read.

    Parameters
    ----------
    given
        Any of the columns `NAMES`, one row an event, each of type String, Datetime or Null.
    arrived
        The hour of receipt that the path says; None where it says none.

    Notes
    -----
    `sent_at` and `original_timestamp` that cannot be read count as absent. The sender's clock is corrected only by a
    `received_at` of the row itself: the hour of a path is too coarse for it.
    """

    def __init__(self, given: pl.DataFrame, arrived: datetime | None = None) -> None:
        self.given = given
        self.arrived = arrived

    @_once
    def timestamp(self) -> pl.Series:
        """As given; else corrected for the sender's clock; else the original; else `received_at`; else `arrived`."""
        if not self._given_timestamp.null_count():
            return self._given_timestamp
        received, absent = self._received, self._given_timestamp.is_null()
        sent, original = (self._read(name, absent) for name in ("sent_at", "original_timestamp"))
        return _first(self._given_timestamp, received - (sent - original), original, received, self._arrived)

    @_once
    def received_at(self) -> pl.Series:
        """As given; else `arrived`; else the timestamp, so that it is null only where there is no instant at all."""
        if not self._received.null_count():
            return self._received
        return _first(self._received, self._arrived, self.timestamp)

    @_once
    def unreadable(self) -> pl.Series:
        """True where `timestamp` or `received_at` is given and is no instant (E-25)."""
        return self._is_lost("timestamp", self._given_timestamp) | self._is_lost("received_at", self._received)

    @_once
    def _given_timestamp(self) -> pl.Series:
        return self._read("timestamp")

    @_once
    def _received(self) -> pl.Series:
        return self._read("received_at")

    @property
    def _arrived(self) -> pl.Series:
        return pl.repeat(self.arrived, self.given.height, dtype=UTC, eager=True)

    def _read(self, name: str, where: pl.Series | None = None) -> pl.Series:
        if name not in self.given.columns:
            return pl.repeat(None, self.given.height, dtype=UTC, eager=True)
        column = self.given.get_column(name)
        return read(column if where is None else column.set(~where, None))

    def _is_lost(self, name: str, found: pl.Series) -> pl.Series:
        if name not in self.given.columns:
            return pl.repeat(False, self.given.height, dtype=pl.Boolean, eager=True)
        return self.given.get_column(name).is_not_null() & found.is_null()


def read(column: pl.Series) -> pl.Series:
    """A column as instants: Datetime[us, UTC], null where it is null or unreadable.

    Text is ISO 8601 with a zone: `2024-03-01T10:00:00.123Z`. Seconds may be missing, the zone may be `+02` or `+0200`;
    digits finer than a microsecond are cut. A Datetime without a zone is UTC. Only the years 1 to 9999 are readable.
    """
    if column.dtype == pl.Null:
        return column.cast(UTC)
    found = _from_text(column) if column.dtype == pl.String else _from_datetime(column)
    return found.to_frame("i").select(pl.when(pl.col("i").is_between(*YEARS)).then("i")).to_series()


def _from_text(column: pl.Series) -> pl.Series:
    found = _parsed(column)
    odd = found.is_null() & column.is_not_null()
    if not odd.any():
        return found
    written = column.filter(odd)
    whole = written.str.strip_chars().str.replace(WITHOUT_SECONDS, "${1}:00${2}").str.replace(ZONE_OF_HOURS, "${1}:00")
    return found.scatter(odd.arg_true(), _parsed(whole))


def _parsed(written: pl.Series) -> pl.Series:
    return written.str.to_datetime(ISO_8601, strict=False, time_unit="us")


def _from_datetime(column: pl.Series) -> pl.Series:
    zone = getattr(column.dtype, "time_zone", None)
    exact = column.cast(pl.Datetime("us", zone))
    return exact.dt.replace_time_zone("UTC") if zone is None else exact.dt.convert_time_zone("UTC")


def _first(*columns: pl.Series) -> pl.Series:
    return pl.select(pl.coalesce(*columns)).to_series()


# --- for a lazy frame -------------------------------------------------------------------------


def expressions(
    schema: Mapping[str, pl.DataType], columns: Mapping[str, str], arrived: datetime | None = None
) -> list[pl.Expr]:
    """`timestamp`, `received_at` and `unreadable` of `Moments` as expressions over a file's columns.

    Parameters
    ----------
    columns
        Where `NAMES` stand in the file; those left out are absent.
    """
    present = [pl.col(columns[name]).alias(name) for name in NAMES if name in columns]
    if not present:
        found = pl.lit(arrived, dtype=UTC)
        return [found.alias("timestamp"), found.alias("received_at"), pl.lit(value=False).alias("unreadable")]
    given = pl.struct(present)
    kinds = {"timestamp": UTC, "received_at": UTC, "unreadable": pl.Boolean()}
    return [_wrapped(given, name, kind, arrived).alias(name) for name, kind in kinds.items()]


def _wrapped(given: pl.Expr, name: str, kind: pl.DataType, arrived: datetime | None) -> pl.Expr:
    def looked_up(rows: pl.Series) -> pl.Series:
        return getattr(Moments(rows.struct.unnest(), arrived), name)

    return given.map_batches(looked_up, return_dtype=kind, is_elementwise=True)


def check(schema: Mapping[str, pl.DataType], columns: Mapping[str, str], path: str) -> None:
    """Refuse a file in which one of `NAMES` cannot be read as an instant.

    Raises
    ------
    ArchiveError
        Names the file, the column and its type.
    """
    for name in (columns[each] for each in NAMES if each in columns):
        dtype = schema[name]
        if dtype not in (pl.Null, pl.String) and not isinstance(dtype, pl.Datetime):
            raise wrong_type(name, dtype, "a Datetime or ISO text with a zone", path)


def wrong_type(name: str, dtype: pl.DataType, wanted: str, path: str) -> ArchiveError:
    """The error for a column that a layout cannot read, with the file, the column, its type and the remedy."""
    return ArchiveError(f"{path}: column {name} is {dtype}, not {wanted}; write it again with that type")

"""Executes what `populace.destinations.warehouse` plans, through ADBC: one transaction a batch."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import polars as pl

from populace.destinations import warehouse
from populace.destinations.protocol import Answer, Origin, Settings, Verdict
from tasks.sending import Courier, Pace, Patience

STAGED = ["action", "kind", "key", "profile_id", "id_type", "id_value", "value"]
BUSY_MILLISECONDS = 10_000  # how long SQLite waits for another writer


class Sender:
    """Writes to one warehouse over one connection, which is opened when the first batch needs it."""

    def __init__(self, settings: Settings, origin: Origin, pace: Pace, base: Path) -> None:
        self.url = settings["url"]
        self.base = base
        self.origin = origin
        self.dialect = warehouse.dialect(self.url)
        self.where = warehouse.names(origin.space, self.dialect or warehouse.POSTGRESQL)
        self.pace = pace
        self.batch = pl.DataFrame()
        self.connection: Any = None
        self.courier = Courier(self._attempt, Patience(pace))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def send(self, records: pl.DataFrame) -> Iterator[tuple[list[int], list[Verdict]]]:
        """Positions of records and what became of each, after every transaction; each record once."""
        self.batch = records
        for start in range(0, records.height, warehouse.BATCH):
            positions = list(range(start, min(start + warehouse.BATCH, records.height)))
            yield positions, self.courier.settle(positions)

    def _attempt(self, positions: Sequence[int]) -> Answer:
        """One transaction and what it came to."""
        if self.dialect is None:
            return Verdict("refused", "the URL must start with postgresql:// or sqlite:///")
        is_connecting = self.connection is None
        try:
            if is_connecting:
                self.connection = connect(self.url, self.pace, self.base)
                is_connecting = False
            self._write(self.batch[positions])
        except _errors() as error:
            self._close()
            outcome, reason = warehouse.meaning(
                getattr(error, "sqlstate", None), str(error), is_connecting=is_connecting
            )
            return Verdict(outcome, reason, in_doubt=outcome in ("transient", "unknown") and not is_connecting)
        return Verdict("delivered")

    def _write(self, records: pl.DataFrame) -> None:
        with self.connection.cursor() as cursor:
            if lock := warehouse.lock_statement(self.where):
                cursor.execute(lock)
            existing = _rows(cursor, warehouse.columns_query(self.where))
            frame = records.select(STAGED).with_columns(run=pl.lit(self.origin.run_id))
            cursor.adbc_ingest(warehouse.STAGING, frame, mode="create", temporary=True)
            for statement in warehouse.statements(records.rows(named=True), existing, self.where):
                cursor.execute(statement)
            cursor.execute(f"DROP TABLE {warehouse.STAGING}")
        self.connection.commit()

    def _close(self) -> None:
        """Give the connection back; a transaction that was not committed is undone with it."""
        if self.connection is not None:
            with suppress(*_errors()):
                self.connection.close()
            self.connection = None


def connect(url: str, pace: Pace, base: Path) -> Any:
    """A connection to PostgreSQL or SQLite; a driver is loaded only when it is used.

    A relative path of SQLite (`sqlite:warehouse.db`) starts at `base`.
    """
    if warehouse.dialect(url) == warehouse.SQLITE:
        from adbc_driver_sqlite import dbapi as sqlite

        connection = sqlite.connect(str(base / unquote(urlsplit(url).path)))
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        return connection
    from adbc_driver_postgresql import dbapi as postgresql

    return postgresql.connect(_with_timeout(url, pace))


def _with_timeout(url: str, pace: Pace) -> str:
    if "connect_timeout=" in url:
        return url
    # libpq takes whole seconds, and reads less than 2 as 2.
    return f"{url}{'&' if '?' in url else '?'}connect_timeout={max(round(pace.timeout), 2)}"


def _rows(cursor: Any, query: str) -> dict[str, str]:
    cursor.execute(query)
    return dict(pl.DataFrame(cursor.fetch_arrow()).rows())


def _errors() -> tuple[type[Exception], ...]:
    from adbc_driver_manager import Error

    return (Error,)

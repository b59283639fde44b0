"""Executes what `populace.destinations.warehouse` plans, through ADBC: one transaction a batch."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

import polars as pl

from populace import sync
from populace.definitions import Bounds
from populace.destinations import warehouse
from populace.destinations.protocol import Answer, Origin, Settings, Verdict
from populace.destinations.warehouse import batches, columns, failures, profiles, reading, tables
from populace.errors import Refused, Transient
from tasks.sending import Courier, Pace, Patience

BUSY_MILLISECONDS = 10_000  # how long SQLite waits for another writer
LOCK_SECONDS = 60.0  # how long PostgreSQL does, at most; what comes after that is the courier's patience
# A server that is gone in the middle is found out within a minute, not when TCP gives up.
KEEPALIVE = {
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}

CHUNK = 100_000  # rows of a mirrored table that are in memory at a time

Result = TypeVar("Result")
HELD = pl.Schema(dict.fromkeys(("kind", "key", "form", "id_type", "id_value", "value"), pl.String()))


class Sender:
    """Writes to one warehouse over one connection, which is opened when the first batch needs it."""

    def __init__(
        self,
        settings: Settings,
        origin: Origin,
        pace: Pace,
        base: Path,
        bounds: Bounds = Bounds(),  # noqa: B008, it is frozen
    ) -> None:
        self.url = settings["url"]
        self.base = base
        self.origin = origin
        self.dialect = tables.dialect(self.url)
        self.where = tables.place(origin.space, self.dialect or tables.POSTGRESQL, settings.get("schema", ""))
        self.history = settings.get("history") == "true"
        self.profiles = settings.get("profiles") == "true"
        self.pace = pace.bounded(bounds)
        self.size = bounds.records_per_request or warehouse.BATCH
        self.batch = pl.DataFrame()
        self.connection: Any = None
        self.patience = Patience(self.pace)
        self.courier = Courier(self._attempt, self.patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def send(self, records: pl.DataFrame) -> Iterator[tuple[list[int], list[Verdict]]]:
        """Positions of records and what became of each, after every transaction; each record once."""
        self.batch = records
        for start in range(0, records.height, self.size):
            positions = list(range(start, min(start + self.size, records.height)))
            yield positions, self.courier.settle(positions)

    def readable(self, acknowledged: pl.DataFrame) -> pl.DataFrame:
        """All of it."""
        return acknowledged

    def held(self, acknowledged: pl.DataFrame) -> pl.DataFrame:
        """What the tables hold of the computations that were acknowledged.

        Parameters
        ----------
        acknowledged
            (kind, key, form, profile_id, id_type, id_value, value). A value that equals it is spelled as it is.

        Returns
        -------
        (kind, key, form, id_type, id_value, value), in no order, of everybody that is found. A member has 'true';
        'false' has an acknowledged one who is missing from one of the two places where members are told.

        Raises
        ------
        Transient, Refused
            If the database cannot be read now, or not at all.
        """
        return self._patiently(lambda cursor: self._held(cursor, acknowledged))

    @property
    def mirrored(self) -> tuple[str, ...]:
        """The tables of a run that `mirror` needs; none where the destination does not ask for profiles."""
        return profiles.MIRRORED if self.profiles else ()

    def mirror(self, found: Mapping[str, pl.LazyFrame]) -> dict[str, dict[str, int]]:
        """Make the tables of Profiles Sync equal to a run, each in a transaction of its own.

        Parameters
        ----------
        found
            The tables of the run named by `mirrored`.

        Returns
        -------
        For each table `rows`, and how many of them were `written` and `removed`: none where it mirrors this run
        already. Nothing where the destination does not ask for profiles.

        Raises
        ------
        Transient, Refused
            If the database cannot be written now, or not at all. Tables that were finished stay so.
        """
        wanted = profiles.MIRRORS if self.profiles else ()
        return {each.table.name: self._patiently(partial(self._mirror, each, found)) for each in wanted}

    # --- transactions ---------------------------------------------------------------------------------------------

    def _attempt(self, positions: Sequence[int]) -> Answer:
        return self._tried(lambda cursor: self._write(cursor, self.batch[positions]))

    def _tried(self, work: Callable[[Any], Any]) -> Verdict:
        """One transaction and what it came to."""
        if self.dialect is None:
            return Verdict("refused", "the URL must start with postgresql:// or sqlite:///")
        is_connecting = self.connection is None
        try:
            if is_connecting:
                self.connection = connect(self.url, self.pace, self.base)
                is_connecting = False
            with self.connection.cursor() as cursor:
                work(cursor)
            self.connection.commit()
        except _errors() as error:
            self._close()
            outcome, reason = failures.meaning(
                getattr(error, "sqlstate", None), str(error), is_connecting=is_connecting
            )
            return Verdict(outcome, reason, in_doubt=outcome in ("transient", "unknown") and not is_connecting)
        return Verdict("delivered")

    def _patiently(self, work: Callable[[Any], Result]) -> Result:
        """The result of a transaction that is not about records, tried as long as batches are."""
        results: list[Result] = []
        # The window is one for all that a delivery does, so a server that was waited for is not waited for again.
        # What is given up here is not tried once more for each batch.
        standing = self.courier.standing
        courier = Courier(
            lambda _: self._tried(lambda cursor: results.append(work(cursor))), self.patience, standing=standing
        )
        try:
            (verdict,) = courier.settle([0])
        except Exception:
            self._close()  # and with it undo what was begun
            raise
        if verdict.outcome == "delivered":
            return results[-1]
        waits = verdict.outcome in ("transient", "throttled", "unknown")
        raise (Transient if waits else Refused)(verdict.reason)

    def _close(self) -> None:
        """Give the connection back; a transaction that was not committed is undone with it."""
        if self.connection is not None:
            with suppress(*_errors()):
                self.connection.close()
            self.connection = None

    # --- what is done in them -------------------------------------------------------------------------------------

    def _write(self, cursor: Any, records: pl.DataFrame) -> None:
        if lock := batches.lock_statement(self.where):
            _answer(cursor, lock)
        existing, origin = self._existing(cursor), self.origin
        wanted = columns.wanted(records)
        batch = batches.Batch(self.where, wanted, existing, origin.run_id, origin.as_of, history=self.history)
        for name, frame in batches.staged(batch, records).items():
            cursor.adbc_ingest(name, frame, mode="create", temporary=True)
        for statement in batches.statements(batch):
            cursor.execute(statement)

    def _held(self, cursor: Any, acknowledged: pl.DataFrame) -> pl.DataFrame:
        existing = self._existing(cursor)
        staged = acknowledged.select(reading.STAGED)
        cursor.adbc_ingest(reading.STAGING, staged, mode="create", temporary=True)
        for statement in reading.prepared(self.where):
            cursor.execute(statement)
        asked = staged.select("kind", "key", "form").unique().rows()
        found = [
            _answer(cursor, query).select(*map(_named, computation, HELD), "id_type", "id_value", "value")
            for computation, query in reading.queries(asked, existing, self.where)
        ]
        cursor.execute(f"DROP TABLE {reading.STAGING}")
        return pl.concat([HELD.to_frame(), *(each.cast(dict(HELD)) for each in found)])

    def _mirror(self, mirror: profiles.Mirror, found: Mapping[str, pl.LazyFrame], cursor: Any) -> dict[str, int]:
        if lock := batches.lock_statement(self.where):
            _answer(cursor, lock)
        run = f"{self.origin.run_id}/{self.origin.generation}"
        existing = self._existing(cursor, {**profiles.TABLES, **profiles.VIEWS})
        is_marked = profiles.MARKS.name in existing and mirror.table.name in existing
        before = _answer(cursor, profiles.mark_query(mirror, self.where)).rows() if is_marked else []
        if mirror.table.name in existing and not before:
            message = f"there is a table {mirror.table.name} that is not ours; rename it, or set another 'schema'"
            raise Refused(message)
        if before and before[0][0] == run:
            return {"rows": before[0][1], "written": 0, "removed": 0}
        for statement in profiles.prepared(mirror, existing, self.where):
            cursor.execute(statement)
        rows = _stage(cursor, profiles.staged(mirror, found, sync.canonical, self.where))
        cursor.execute(profiles.indexed(mirror, self.where))
        removed = self._count(cursor, profiles.removed(mirror, self.where))
        written = self._count(cursor, profiles.written(mirror, self.origin.as_of, self.where))
        cursor.execute(f"DROP TABLE {profiles.STAGING}")
        cursor.execute(profiles.marked(mirror, run, self.where))
        return {"rows": rows, "written": written, "removed": removed}

    def _count(self, cursor: Any, statement: str) -> int:
        """How many rows a statement changed."""
        cursor.execute(statement)
        if self.where.is_postgresql:
            return cursor.rowcount
        return _answer(cursor, "SELECT changes() AS changed").item()

    def _existing(self, cursor: Any, wanted: Mapping[str, tables.Table] = tables.TABLES) -> tables.Existing:
        found = _answer(cursor, tables.columns_query(self.where, wanted))
        return tables.existing(self.where, wanted, found.iter_rows())


def connect(url: str, pace: Pace, base: Path) -> Any:
    """A connection to PostgreSQL or SQLite; a driver is loaded only when it is used.

    A relative path of SQLite (`sqlite:warehouse.db`) starts at `base`.
    """
    if tables.dialect(url) == tables.SQLITE:
        from adbc_driver_sqlite import dbapi as sqlite

        connection = sqlite.connect(str(base / unquote(urlsplit(url).path)))
        return _set_up(connection, f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    from adbc_driver_postgresql import dbapi as postgresql

    # libpq takes whole seconds, and reads less than 2 as 2.
    connection = postgresql.connect(with_options(url, {"connect_timeout": max(round(pace.timeout), 2), **KEEPALIVE}))
    lock = max(min(LOCK_SECONDS, pace.window), 1.0)
    return _set_up(connection, f"SET lock_timeout = {round(lock * 1000)}")


def _set_up(connection: Any, statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    return connection


def with_options(url: str, options: dict[str, int]) -> str:
    """The URL with these options of libpq, of which those that it names already stay."""
    missing = [f"{name}={value}" for name, value in options.items() if f"{name}=" not in url]
    return url + ("&" if "?" in url else "?") + "&".join(missing) if missing else url


def _stage(cursor: Any, frame: pl.LazyFrame) -> int:
    """Fill the staging table of a mirror, a bounded number of rows at a time; how many there were."""
    mode, rows = "create", 0
    for part in itertools.chain(
        [frame.limit(0).collect()], frame.collect_batches(chunk_size=CHUNK, maintain_order=False)
    ):
        rows += part.height
        cursor.adbc_ingest(profiles.STAGING, part, mode=mode, temporary=True)
        mode = "append"
    return rows


def _named(value: str, name: str) -> pl.Expr:
    return pl.lit(value).alias(name)


def _answer(cursor: Any, query: str) -> pl.DataFrame:
    cursor.execute(query)
    # Rows are asked for as they are fetched, so errors come here: through the driver they keep their SQLSTATE.
    return pl.DataFrame(cursor.fetch_arrow_table())


def _errors() -> tuple[type[Exception], ...]:
    from adbc_driver_manager import Error

    return (Error,)

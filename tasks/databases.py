"""Runs one statement on PostgreSQL, in a transaction that can only read."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from adbc_driver_manager import Error

from populace.destinations.warehouse import failures
from populace.errors import Refused, StatementError, Transient
from populace.sql import answers, postgresql, wording
from populace.sql.answers import Column
from populace.sql.limits import Alarm, Limits
from tasks.warehouse import KEEPALIVE, with_options

POSTGRESQL = ("postgresql://", "postgres://")
CONNECT_SECONDS = 30
LOCK_SECONDS = 60
IDLE_SECONDS = 600  # a transaction that waits for us so long has lost us

MIGHTY = ("pg_read_server_files", "pg_write_server_files", "pg_execute_server_program")
ROLE = f"""
    SELECT current_user::text AS role, EXISTS (
        SELECT FROM pg_catalog.pg_roles AS r
        WHERE (r.rolsuper OR r.rolname = ANY (ARRAY{list(MIGHTY)}))
            AND (pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')
                OR pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER'))
    ) AS is_mighty
"""
OF_THE_STATEMENT = ("42", "22", "0A")
PASSING = ("08", "40", "53", "57P")  # the server or the connection, not the statement
TIMED_OUT, LOCKED = "57014", "55P03"
# Functions that somebody wrote, and the server's own faults: their messages may say anything.
UNKNOWN_WORDS = ("P0", "38", "39", "XX", "HV", "F0")


def fetch(url: str, statement: str, into: Path, *, timeout: timedelta, most_rows: int, most_columns: int) -> int:
    """Run a statement on PostgreSQL and write its rows to a Parquet file; returns how many there are.

    Parameters
    ----------
    url
        `postgresql://…`, with a role that may read and is no superuser.
    into
        The file, which is written whole or not at all. It holds text, whole numbers, floats and Booleans; decimals
        are floats, and dates and instants are ISO text in UTC.

    Raises
    ------
    StatementError
        If the statement must not run, fails, takes too long, or gives what traits cannot be.
    Transient, Refused
        If the database cannot be reached now, or not at all.
    """
    if problems := postgresql.reasons(statement):
        raise StatementError("; ".join(problems))
    limits = Limits(timeout, most_rows, most_columns)
    with answers.beside(into) as folder, _connected(url) as connection, connection.cursor() as cursor:
        with Alarm(timeout, lambda: _cancel(cursor)) as alarm:
            try:
                rows = _written(cursor, statement, folder / "answer.parquet", limits, alarm)
            except Error as error:
                is_late = alarm.is_over or error.sqlstate == TIMED_OUT
                raise limits.too_slow() if is_late else _failure(error) from None
        (folder / "answer.parquet").replace(into)
    return rows


@contextmanager
def _connected(url: str) -> Iterator[Any]:
    """A connection whose transaction is undone at the end, whatever happened."""
    from adbc_driver_postgresql import dbapi

    if not url.startswith(POSTGRESQL):
        message = "its URL does not begin with postgresql://, and statements run on PostgreSQL alone"
        raise Refused(message)
    try:
        connection = dbapi.connect(with_options(url, {"connect_timeout": CONNECT_SECONDS, **KEEPALIVE}))
    except Error as error:
        outcome, reason = failures.meaning(getattr(error, "sqlstate", None), str(error), is_connecting=True)
        raise (Transient if outcome in ("transient", "throttled", "unknown") else Refused)(reason) from None
    try:
        yield connection
    finally:
        with suppress(Error):
            connection.rollback()
        with suppress(Error):
            connection.close()


def _cancel(cursor: Any) -> None:
    with suppress(Error):
        cursor.adbc_cancel()


def _written(cursor: Any, statement: str, file: Path, limits: Limits, alarm: Alarm) -> int:
    _restrict(cursor, limits)
    _check_role(cursor)
    _check_functions(cursor, statement)
    text = postgresql.bare(statement)
    columns = _described(cursor, text, statement)
    cursor.execute(answers.selected(text, columns, limits, postgresql.written, postgresql.remedy))
    # The reader of the cursor itself keeps what the server says of an error; the one it hands out makes text of it.
    reader = cursor._results.reader

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            if alarm.is_over:
                raise limits.too_slow()
            yield batch

    return answers.write(batches(), reader.schema, file, limits)


def _restrict(cursor: Any, limits: Limits) -> None:
    """Make the transaction read only, and let nothing in it last."""
    milliseconds = max(round(limits.timeout.total_seconds() * 1_000), 1)  # 0 would be no limit
    for each in (
        "SET TRANSACTION READ ONLY",
        f"SET LOCAL statement_timeout = {milliseconds}",
        f"SET LOCAL lock_timeout = {LOCK_SECONDS * 1_000}",
        f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_SECONDS * 1_000}",
        # Strings end where our parser says that they do, whatever the server is set to.
        "SET LOCAL standard_conforming_strings = on",
        "SET LOCAL client_encoding = 'UTF8'",
        "SET LOCAL TimeZone = 'UTC'",
        "SET LOCAL DateStyle = 'ISO'",
    ):
        cursor.execute(each)


def _check_role(cursor: Any) -> None:
    # From this query on the server lets nobody make the transaction one that writes.
    role, is_mighty = _answer(cursor, ROLE).row(0)
    if is_mighty:
        message = (
            f"the role {role} may do anything on the server, or read its files; use one that only reads: CREATE ROLE"
            " populace_reader LOGIN PASSWORD '…'; GRANT USAGE ON SCHEMA public TO populace_reader; GRANT SELECT ON"
            " ALL TABLES IN SCHEMA public TO populace_reader"
        )
        raise StatementError(message)


def _check_functions(cursor: Any, statement: str) -> None:
    found = _answer(cursor, postgresql.volatile_query(postgresql.uses(statement)))
    if found.height:
        raise StatementError("; ".join(postgresql.volatile_reason(*row) for row in found.rows()))


def _answer(cursor: Any, query: str) -> pl.DataFrame:
    cursor.execute(query)
    return pl.DataFrame(cursor.fetch_arrow_table())


def _described(cursor: Any, text: str, statement: str) -> list[Column]:
    """The columns that a statement will have; only its own words are in what the server says of it."""
    try:
        return [_column(each) for each in cursor.adbc_execute_schema(text)]
    except Error as error:
        details = _details(error)
        if not (error.sqlstate or "").startswith(OF_THE_STATEMENT) or "PG_DIAG_MESSAGE_PRIMARY" not in details:
            raise
        # The server counts from 1, and from where the statement begins behind what was left out before it.
        position = details.get("PG_DIAG_STATEMENT_POSITION", "")
        start = statement.index(text) - 1
        where = wording.at(statement, int(position) + start if position else None)
        raise StatementError(where + details["PG_DIAG_MESSAGE_PRIMARY"]) from None


def _column(field: pa.Field) -> Column:
    kind = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
    # Text that is of none of the server's own types is of an enumeration, or of a type that is written like text.
    is_enum = kind not in postgresql.TEXTS and field.type == pa.string()
    return Column(field.name, f"enum {kind}" if is_enum else kind)


def _failure(error: Any) -> StatementError | Transient:
    """What the server says, without what may be values of rows; its DETAIL and HINT are not looked at."""
    state, message = error.sqlstate or "", _details(error).get("PG_DIAG_MESSAGE_PRIMARY", "")
    if not state or state.startswith(PASSING):
        _, reason = failures.meaning(state, "")
        return Transient(reason)
    if state == LOCKED:
        message = f"a table was locked for longer than {LOCK_SECONDS} seconds"
        return StatementError(message)
    if state.startswith(UNKNOWN_WORDS) or not message:
        message = f"the database ended it (SQLSTATE {state}); run it there by hand to see why"
        return StatementError(message)
    return StatementError(wording.without_values(message))


def _details(error: Any) -> dict[str, str]:
    return {bytes(key).decode(): bytes(value).decode(errors="replace") for key, value in error.details}

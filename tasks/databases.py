"""Asks PostgreSQL: one statement, read only, its rows into a Parquet file."""

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq

from populace.errors import StatementError, Transient


def fetch(url: str, statement: str, into: Path, *, timeout: timedelta, most_rows: int, most_columns: int) -> int:
    """Write the rows of a statement as Parquet; returns how many there are.

    Raises
    ------
    StatementError
        If the database refuses the statement, or it gives too much.
    Transient
        If the database cannot be reached.
    """
    from adbc_driver_postgresql import dbapi

    try:
        connection = dbapi.connect(url)
    except dbapi.Error:
        message = "the database cannot be reached"
        raise Transient(message) from None
    with connection, connection.cursor() as cursor:
        try:
            cursor.execute("SET default_transaction_read_only = on")
            cursor.execute(f"SET statement_timeout = {int(timeout.total_seconds() * 1000)}")
            connection.commit()
            cursor.execute(statement)
            found = cursor.fetch_arrow_table()
        except dbapi.Error as cause:
            message = str(cause).splitlines()[0]
            raise StatementError(message) from None
    if found.num_columns > most_columns or found.num_rows > most_rows:
        message = f"it gives {found.num_rows:,} rows and {found.num_columns} columns, which is too many"
        raise StatementError(message)
    pq.write_table(found, into)
    return found.num_rows

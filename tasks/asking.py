"""Asks a database for the rows of a statement, without Prefect: to be kept for runs, or only to be looked at."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import polars as pl

from populace.definitions import Sql
from populace.errors import Refused, Transient
from populace.space import OpenSpace, snapshots, sql_previews, statements
from populace.space.sql_previews import Found
from populace.sql.rows import MOST_COLUMNS
from tasks import databases
from tasks.settings import Secret, resolve


def kept(space: OpenSpace, key: str, as_of: datetime, environ: Mapping[str, str], secret: Secret | None) -> int:
    """Ask a database, and keep the answer as that of the last instant of the schedule; returns how many rows.

    Raises
    ------
    StatementError
        If the statement, or what it gives, is wrong; nothing is kept then.
    Transient, Refused
        If the database cannot be reached, or its address is not known here.
    """
    statement = _named(space, key)
    at = snapshots.tick(statement, as_of)
    assert at is not None
    with _answered(space, statement, environ, secret) as (found, folder):
        snapshots.keep(space, statement, at, found, folder)
        return found.height


def preview(space: OpenSpace, key: str, environ: Mapping[str, str], secret: Secret | None) -> Found:
    """What a statement gives now, and whom of that the current run knows; nothing is written (T-42).

    Raises
    ------
    StatementError, Transient, Refused
        As `kept`.
    UsageError
        If a statement over the lake has no published run to look at.
    """
    statement = _named(space, key)
    if statement.connection == snapshots.LAKE:
        return sql_previews.of_lake(space, statement)
    with _answered(space, statement, environ, secret) as (found, _):
        return sql_previews.about(space, statement, found)


@contextmanager
def _answered(
    space: OpenSpace, statement: Sql, environ: Mapping[str, str], secret: Secret | None
) -> Iterator[tuple[pl.DataFrame, Path]]:
    """The rows of a statement, and a folder that lasts as long as this does."""
    connections = dict(space.definition.connections)
    with tempfile.TemporaryDirectory(prefix="populace-") as name, statements.placed(statement), _connecting(statement):
        address = resolve({"url": connections[statement.connection]}, environ, secret)["url"]
        into = Path(name) / "answer.parquet"
        databases.fetch(
            address,
            statement.statement,
            into,
            timeout=statement.timeout,
            most_rows=statement.most_rows,
            most_columns=MOST_COLUMNS,
        )
        yield statements.checked(statement, into, space.definition.identity), Path(name)


@contextmanager
def _connecting(statement: Sql) -> Iterator[None]:
    """What is wrong with a connection is told with its name, and with the statement that was to be run."""
    try:
        yield
    except (Transient, Refused) as cause:
        message = f"{statement.at}: '{statement.key}': connection '{statement.connection}': {cause}"
        raise type(cause)(message) from None


def _named(space: OpenSpace, key: str) -> Sql:
    return next(each for each in space.definition.sql if each.key == key)

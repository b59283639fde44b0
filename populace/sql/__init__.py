"""Statements of SQL traits: whether one may run, what it reads, and its rows over the lake (3.6).

A statement comes from whoever may write definitions, and reads; so it is one SELECT and nothing else. It is checked by
the parser of the database that will run it, and the connection that runs it can do no more even where that errs.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

__all__ = ["ask", "reasons", "tables"]

Dialect = Literal["postgresql", "lake"]


def reasons(statement: str, dialect: Dialect) -> list[str]:
    """Why a statement must not run, with what to write instead; empty where it may.

    Examples
    --------
    >>> reasons("SELECT user_id, plan FROM customers", "postgresql")
    []
    >>> reasons("SELECT 1; SELECT 2", "lake")
    ['there are 2 statements; write one SELECT']
    """
    # Parsers are loaded only where a space has such statements.
    from populace.sql import lake, postgresql

    return (lake if dialect == "lake" else postgresql).reasons(statement)


def tables(statement: str) -> frozenset[str]:
    """The views of the lake that a statement reads, as they are written; none where it cannot be parsed.

    Examples
    --------
    >>> sorted(tables("WITH a AS (SELECT * FROM events) SELECT * FROM a JOIN event.order_completed USING (profile_id)"))
    ['event.order_completed', 'events']
    """
    from populace.sql import lake

    return lake.tables(statement)


def ask(
    statement: str,
    views: Mapping[str, Path],
    as_of: datetime,
    into: Path,
    *,
    timeout: timedelta,
    most_rows: int,
    most_columns: int,
) -> int:
    """Run a statement over the lake and write its rows to a Parquet file; returns how many there are.

    Parameters
    ----------
    views
        What the statement can read and nothing else: a name as `tables` gives it, and its Parquet file or a glob.
    as_of
        The instant that `as_of()` gives in the statement.
    into
        The file, which is written whole or not at all. It holds text, whole numbers, floats and Booleans; decimals
        are floats, and dates and instants are ISO text in UTC.

    Raises
    ------
    StatementError
        If the statement must not run, fails, takes too long, or gives what traits cannot be.
    """
    from populace.sql import asking

    return asking.ask(statement, views, as_of, into, asking.Limits(timeout, most_rows, most_columns))

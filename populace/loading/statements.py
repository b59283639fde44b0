"""Traits from SQL, as they are written: on what they run, and when."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from cronsim import CronSim, CronSimError

from populace.definitions import Space, Sql
from populace.loading import shapes
from populace.loading.checks import meant
from populace.loading.documents import Document
from populace.sql import reasons

LAKE = "lake"
USUAL = "0 */12 * * *"  # T-37
POSTGRESQL = ("postgresql://", "${")  # how the URL of a connection begins
OFTEN = timedelta(hours=1)
TICKS = 50  # of a schedule that are looked at


def schedule(document: Document, key: str, shape: shapes.SqlShape) -> str | None:
    """When a statement runs; None with every run. What is no cron expression, or too often, is noted."""
    if shape.schedule is None:
        return None if shape.connection == LAKE else USUAL
    try:
        ticks = list(islice(CronSim(shape.schedule, datetime(2024, 1, 1, tzinfo=UTC)), TICKS))
    except CronSimError as cause:
        problem = f"'{shape.schedule}' is no cron expression such as '0 */6 * * *' ({cause})"
        document.report((key, "sql", "schedule"), problem)
        return None
    if any(later - earlier < OFTEN for earlier, later in pairwise(ticks)):
        document.report((key, "sql", "schedule"), f"'{shape.schedule}' is more often than once an hour")
    return shape.schedule


def check(space: Space, documents: Mapping[str, Document]) -> None:
    """Report connections that nobody made or that lead elsewhere, and statements that must not run."""
    connections = dict(space.connections)
    for name, url in connections.items():
        if name == LAKE:
            problem = f"'{LAKE}' is the space's own lake, for statements over what Populace has; call it otherwise"
            documents["space"].report(("connections", name), problem)
        if not url.startswith(POSTGRESQL):
            problem = f"'{name}': the URL of a connection begins with postgresql://, or is a variable such as ${{NAME}}"
            documents["space"].report(("connections", name), problem)
    for each in space.sql:
        if each.connection == LAKE or each.connection in connections:
            _check_statement(each, documents["traits"])
        else:
            problem = f"'{each.key}': no connection '{each.connection}'{meant(each.connection, {LAKE, *connections})}"
            documents["traits"].report((each.key, "sql", "connection"), problem)


def _check_statement(statement: Sql, document: Document) -> None:
    """Report why a statement must not run; by the parser of the database that would run it."""
    for reason in reasons(statement.statement, "lake" if statement.connection == LAKE else "postgresql"):
        document.report((statement.key, "sql", "query"), f"'{statement.key}': {reason}")

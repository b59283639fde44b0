"""Traits from SQL, as they are written: on what they run, and when."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from cronsim import CronSim, CronSimError

from populace.definitions import Space
from populace.loading import shapes
from populace.loading.checks import meant
from populace.loading.documents import Document

LAKE = "lake"
USUAL = "0 */12 * * *"  # T-37
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
    """Report connections that nobody made, and statements that must not run."""
    if not space.sql:
        return
    from populace.sql import reasons  # takes longer to load than all the rest

    known = {LAKE, *dict(space.connections)}
    for each in space.sql:
        if each.connection not in known:
            problem = f"'{each.key}': no connection '{each.connection}'{meant(each.connection, known)}"
            documents["traits"].report((each.key, "sql", "connection"), problem)
        for reason in reasons(each.statement, "lake" if each.connection == LAKE else "postgresql"):
            documents["traits"].report((each.key, "sql", "query"), f"'{each.key}': {reason}")

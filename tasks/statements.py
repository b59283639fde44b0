"""The tasks of SQL traits: ask databases what is due, and add what was answered to a run."""

import os
from datetime import UTC, datetime
from typing import Any

from prefect import get_run_logger, task

from populace.errors import PopulaceError, Transient
from populace.lake import runs
from populace.space import recompute, snapshots, statements
from tasks import asking, progress
from tasks.blocks import secret_block
from tasks.edge import opened
from tasks.progress import Step

DELAYS = [5, 30]  # seconds


def is_worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
    """Try again what the network did; what is wrong with a statement stays so until a person changes it."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, Transient) or not isinstance(error, PopulaceError)


def due(space: str, as_of: datetime, definitions: str) -> list[str]:
    """The keys of the statements that databases are to be asked for a run as of an instant."""
    return snapshots.due(opened(space, definitions), as_of, datetime.now(UTC))


@task(
    task_run_name="sql-{key}",
    retries=len(DELAYS),
    retry_delay_seconds=DELAYS,
    retry_condition_fn=is_worth_another_try,
)
def ask_database(space: str, key: str, as_of: datetime, definitions: str) -> int:
    """Run a statement and keep its answer as that of the last instant of its schedule; returns how many rows."""
    opening = opened(space, definitions)
    rows = asking.kept(opening, key, as_of, os.environ, secret_block)
    get_run_logger().info("%s: %d rows", key, rows)
    return rows


def are_answers_new(space: str, as_of: datetime, definitions: str) -> bool:
    """Whether a run of now would have other answers than the published one."""
    return snapshots.are_new(opened(space, definitions), as_of)


@task
def add_sql_traits(space: str, run_id: str, definitions: str, *, keep: bool = True) -> None:
    """The columns of all statements beside the computed traits of a run, and the people whom only they know."""
    opening = opened(space, definitions)
    if runs.manifest(opening.lake, run_id):
        get_run_logger().info("%s is complete already", run_id)
        return
    progress.report(Step("sql", 0, 1))
    counted = statements.compute(opening, recompute.reopen(opening, run_id), keep=keep)
    progress.report(Step("sql", 1, 1))
    get_run_logger().info("%s", ", ".join(f"{count} {name}" for name, count in counted.items()))

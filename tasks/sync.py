"""The tasks that keep destinations equal to the current run, and say how that went."""

import os
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task

from populace.lake.delivery import Ledger
from populace.sync import NO_IDENTIFIER, OUTCOMES, UNCHANGED
from tasks import progress, report
from tasks.blocks import secret_block
from tasks.delivery import Ways, deliver, failure
from tasks.edge import opened


@task(task_run_name="sync-{destination}")
def sync_destination(
    space: str,
    destination: str,
    definitions: str,
    dry_run: bool = False,  # noqa: FBT001, Prefect passes parameters by name
    resync: bool = False,  # noqa: FBT001
    confirm: bool = False,  # noqa: FBT001
) -> dict:
    """Send a destination what it lacks; fails if it is held or if anything is left waiting."""
    ways = Ways(
        environ=os.environ,
        secret=secret_block,
        base=Path(definitions).resolve().parent,
        progress=lambda done, due: progress.report(progress.Step(f"sync {destination}", done, due)),
    )
    summary = deliver(opened(space, definitions), destination, ways, dry_run=dry_run, resync=resync, confirm=confirm)
    get_run_logger().info("%s", ", ".join(f"{name} {value}" for name, value in summary.items() if value))
    if error := failure(summary):
        raise error
    return summary


@task
def report_outcomes(space: str, destinations: list[str], definitions: str) -> None:
    """One table of what became of every record, also of those whose sync failed."""
    lake = opened(space, definitions).lake
    report.synced(space, [_row(name, Ledger(lake, name).report() or {}) for name in destinations])


def _row(destination: str, summary: dict[str, Any]) -> dict[str, Any]:
    counts = {name: summary.get(name, 0) for name in ("computed", UNCHANGED, NO_IDENTIFIER, *OUTCOMES)}
    status = {"destination": destination, "status": summary.get("status", "never synced")}
    return {**status, **counts, "reason": summary.get("reason", "")}

"""The task that keeps one destination equal to the current run."""

import os
from pathlib import Path

from prefect import get_run_logger, task
from prefect.blocks.system import Secret

from populace.space import open_space
from tasks.delivery import deliver, failure
from tasks.settings import block


@task(task_run_name="sync-{destination}")
def sync_destination(
    space: str,
    destination: str,
    definitions: str,
    dry_run: bool = False,  # noqa: FBT001, Prefect passes parameters by name
    resync: bool = False,  # noqa: FBT001
) -> dict:
    """Send a destination what it lacks; fails if it is held or if anything is left waiting."""
    summary = deliver(
        open_space(space, definitions, os.environ),
        destination,
        environ=os.environ,
        secret=secret_block,
        base=Path(definitions).resolve().parent,
        dry_run=dry_run,
        resync=resync,
    )
    get_run_logger().info("%s", ", ".join(f"{name} {value}" for name, value in summary.items() if value))
    if error := failure(summary):
        raise error
    return summary


def secret_block(name: str) -> str | None:
    """The value of the Prefect Secret block kept for a variable; None where there is none."""
    try:
        value = Secret.load(block(name)).get()  # type: ignore[union-attr]
    except ValueError:
        return None
    return None if value is None else str(value)

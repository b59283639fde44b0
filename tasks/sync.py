"""The tasks that keep destinations equal to the current run, and say how that went."""

import os
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task

from populace.errors import LakeError, PopulaceError, Transient, Waiting
from populace.lake.delivery import Ledger
from populace.space import views
from tasks import announce, report
from tasks.blocks import secret_block
from tasks.delivery import Ways, deliver, failure
from tasks.edge import opened
from tasks.watching import SyncWatch

# Longer in all than a turn lasts whose holder is not heard of any more, so that a worker that died delays a sync, and
# does not fail it.
DELAYS = [2, 10, 40, 60]  # seconds
TRIES_AFTER_FAULTS = 2


def is_worth_another_try(_task: Any, run: Any, state: Any) -> bool:
    """Whether a sync that failed is started again within its flow run.

    A delivery has been patient itself: what it left waiting is for the next sync, and what a person has to mend for a
    person. A destination that another sync is sending to is free again soon; a lake, or whatever else broke off, gets
    two chances more.
    """
    error = state.result(raise_on_failure=False)
    if isinstance(error, Waiting):
        return False
    if isinstance(error, Transient):
        return True
    may_pass = isinstance(error, LakeError) or not isinstance(error, PopulaceError)
    return may_pass and run.run_count <= TRIES_AFTER_FAULTS


@task(
    task_run_name="sync-{destination}",
    retries=len(DELAYS),
    retry_delay_seconds=DELAYS,
    retry_condition_fn=is_worth_another_try,
)
def sync_destination(
    space: str,
    destination: str,
    definitions: str,
    dry_run: bool = False,  # noqa: FBT001, Prefect passes parameters by name
    resync: bool = False,  # noqa: FBT001
    confirm: bool = False,  # noqa: FBT001
) -> dict:
    """Send a destination what it lacks; fails if it is held or if anything is left waiting."""
    watch = SyncWatch(space, destination)
    ways = Ways(os.environ, secret_block, Path(definitions).resolve().parent, progress=watch.told)
    opening = opened(space, definitions)
    summary = deliver(opening, destination, ways, dry_run=dry_run, resync=resync, confirm=confirm)
    watch.ended()
    get_run_logger().info("%s", ", ".join(f"{name} {value}" for name, value in summary.items() if value))
    if summary.get("newly_paused"):
        announce.announce(opening, announce.paused(space, destination, summary["reason"]))
    if error := failure(summary):
        raise error
    return summary


@task
def report_outcomes(space: str, destinations: list[str], broken: list[str], definitions: str) -> None:
    """A table of what became of every record and one of samples, and a word to whom it concerns.

    `broken` are the destinations whose sync failed; one whose last account is that of an earlier sync is among them.
    """
    opening = opened(space, definitions)
    accounts = [account_of(Ledger(opening.lake, name), is_broken=name in broken) for name in destinations]
    report.synced(space, accounts)
    report.sampled(space, [sample for name in destinations for sample in views.samples(opening, name)])
    announce.announce(opening, announce.synced(space, accounts))


def account_of(ledger: Ledger, *, is_broken: bool) -> dict[str, Any]:
    """The last account of a destination; a sync that broke off has left why it did, none, or that of an earlier one."""
    found = {"destination": ledger.destination, **(ledger.report() or {"status": "never synced"})}
    if is_broken and found["status"] != "failed" and failure(found) is None:
        return found | {"status": "failed", "reason": "the sync broke off; its message stands in the flow run"}
    return found

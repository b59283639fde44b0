"""The tasks of a run: name it, compute its tables, publish it. Each reads and writes the lake."""

from datetime import UTC, datetime

from prefect import get_run_logger, task

from populace.lake import runs
from populace.space import families, graphs, recompute, unknown
from tasks import announce, progress, report
from tasks.edge import opened
from tasks.progress import Step


@task
def plan_run(space: str, as_of: datetime, definitions: str, *, allow_stale: bool = False) -> str:
    """Name the run after everything it is made of; returns its id."""
    return recompute.plan(opened(space, definitions), as_of, allow_stale=allow_stale).run_id


@task
def resolve_identities(space: str, run_id: str, definitions: str) -> None:
    """Profiles, identifiers, merges and custom traits of a run."""
    _stage("identity", recompute.resolve_identities, space, run_id, definitions)
    report.resolved(space, run_id, *graphs.summary(opened(space, definitions), run_id))


@task
def compute_traits(space: str, run_id: str, definitions: str) -> None:
    """Every computed trait of a run, in one scan per event table."""
    _stage("traits", recompute.compute_traits, space, run_id, definitions)


@task
def evaluate_audiences(space: str, run_id: str, definitions: str) -> None:
    """Who is in each audience of a run, and what changed; warns of traits that definitions read and nobody has."""
    _stage("audiences", recompute.evaluate_audiences, space, run_id, definitions)
    opening = opened(space, definitions)
    run = recompute.reopen(opening, run_id, strict=False)
    for each in unknown.in_definitions(families.of_run(opening, run_id), run):
        get_run_logger().warning("%s", each)


@task
def publish_run(space: str, run_id: str, definitions: str, *, is_latest: bool = False) -> bool:
    """Write the manifest and make the run current; returns whether it is.

    `is_latest` says that the run describes the present, so that only one of the future can stand in its way.
    """
    opening = opened(space, definitions)
    run = recompute.reopen(opening, run_id)
    manifest = runs.manifest(opening.lake, run_id) or recompute.complete(opening, run)
    is_current = recompute.publish(opening, run)
    get_run_logger().info("%s is %s", run_id, "current" if is_current else "history: a later run is current")
    report.published(space, manifest, is_current=is_current)
    if is_current:
        announce.announce(opening, announce.published(space, manifest))
    if is_latest:
        recompute.check_present(opening, datetime.now(UTC))
    return is_current


@task
def complete_run(space: str, run_id: str, definitions: str) -> None:
    """Write the manifest of a run that is history: readable, never current."""
    opening = opened(space, definitions)
    recompute.complete(opening, recompute.reopen(opening, run_id))


def _stage(name: str, stage, space: str, run_id: str, definitions: str) -> None:
    opening = opened(space, definitions)
    if runs.manifest(opening.lake, run_id):
        get_run_logger().info("%s is complete already", run_id)
        return
    progress.report(Step(name, 0, 1))
    counted = stage(opening, recompute.reopen(opening, run_id))
    progress.report(Step(name, 1, 1))
    get_run_logger().info("%s", ", ".join(f"{count} {table}" for table, count in counted.items()))

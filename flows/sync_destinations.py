"""Send every destination of a space what it lacks."""

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.edge import destinations, run_name
from tasks.sync import report_outcomes, sync_destination


# Destinations wait for their vendors, not for us, so a slow one delays no other.
@flow(flow_run_name=run_name, task_runner=ThreadPoolTaskRunner(max_workers=16))  # type: ignore[arg-type]
def sync_destinations(
    space: str,
    destination: str | None = None,
    resync: bool = False,
    confirm: bool = False,
    definitions: str = "definitions",
) -> list[PrefectFuture]:
    """Difference between the current run and what was acknowledged, by destination."""
    names = destinations(space, definitions, destination)
    delivered = [sync_destination.submit(space, name, definitions, resync=resync, confirm=confirm) for name in names]
    for future in delivered:
        future.wait()
    broken = [name for name, future in zip(names, delivered, strict=True) if not future.state.is_completed()]
    report_outcomes(space, names, broken, definitions)
    return delivered

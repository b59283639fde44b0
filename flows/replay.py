"""Bring what is new in a space's archives into its lake."""

from datetime import date, datetime

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.edge import run_name, scheduled_start, sources
from tasks.replay import find_contested, replay_source, settle_duplicates, survey_archive


# Large slices use every core; a second source fills the gaps that small ones leave.
@flow(flow_run_name=run_name, task_runner=ThreadPoolTaskRunner(max_workers=2))  # type: ignore[arg-type]
def replay(
    space: str,
    source: str | None = None,
    since: date | None = None,
    until: date | None = None,
    as_of: datetime | None = None,
    definitions: str = "definitions",
) -> list[PrefectFuture]:
    """Archive to lake, oldest day first; reads only what is new or changed."""
    moment = as_of or scheduled_start()
    names = sources(space, definitions, source)
    days = {"since": since and since.isoformat(), "until": until and until.isoformat()}
    surveyed = {name: survey_archive.submit(space, name, moment, definitions) for name in names}
    for future in surveyed.values():
        future.wait()
    find_contested(space, moment, definitions)
    replayed = [
        replay_source.submit(space, name, moment, definitions, **days, wait_for=[surveyed[name]]) for name in names
    ]
    for future in replayed:
        future.wait()
    settle_duplicates(space, moment, definitions)
    return [*surveyed.values(), *replayed]

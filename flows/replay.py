"""Bring what is new in a space's archives into its lake."""

from datetime import date, datetime

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.edge import run_name, scheduled_start, sources
from tasks.replay import drop_removed, replay_source, sum_up, survey_archive


# One source after the other: each uses every core, and the copy of a message that came first is there already.
@flow(flow_run_name=run_name, task_runner=ThreadPoolTaskRunner(max_workers=1))  # type: ignore[arg-type]
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
    drop_removed(space, definitions)
    surveyed = {
        name: survey_archive.submit(space, name, moment, definitions, is_limited=bool(since or until)) for name in names
    }
    for future in surveyed.values():
        future.wait()
    replayed = [
        replay_source.submit(space, name, moment, definitions, **days, wait_for=[surveyed[name]]) for name in names
    ]
    for future in replayed:
        future.wait()
    sum_up(space, moment, definitions, is_limited=bool(source or since or until))
    return [*surveyed.values(), *replayed]

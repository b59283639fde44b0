"""The tasks of a replay: look at the archives, read their rows, sum up."""

from datetime import datetime

from prefect import get_run_logger, task

from populace.errors import ArchiveError
from populace.lake import ledger
from populace.space import OpenSpace, archive, replay
from populace.space.archive import Survey
from tasks import announce, report
from tasks.edge import opened
from tasks.watching import Watch


@task(task_run_name="survey-{source}", retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=report.is_transient)
def survey_archive(
    space: str,
    source: str,
    as_of: datetime,
    definitions: str,
    is_limited: bool = False,  # noqa: FBT001, Prefect passes parameters by name
) -> int:
    """Look at what a source's archive holds; returns how many objects are to be read."""
    opening = opened(space, definitions)
    try:
        archive.look(opening, opening.source(source), _first_day(opening, as_of))
    except ArchiveError:
        replay.doubt(opening, _survey(opening, source, as_of))
        raise
    survey = _survey(opening, source, as_of)
    replay.begin(opening, survey, is_limited=is_limited)
    get_run_logger().info("%s: %d objects to read, %d parts to drop", source, len(survey.todo), len(survey.stale))
    return len(survey.todo)


@task(task_run_name="replay-{source}")
def replay_source(
    space: str, source: str, as_of: datetime, definitions: str, since: str | None = None, until: str | None = None
) -> None:
    """Read what is due of a source, oldest day first."""
    opening = opened(space, definitions)
    survey = _survey(opening, source, as_of)
    todo = [each for each in survey.todo if each.day is None or (since or "") <= each.day <= (until or each.day)]
    if not todo:
        replay.run_source(opening, survey, todo, lambda _: None)
        return
    days = {each.day for each in todo if each.day}
    watch = Watch(space, source, size=sum(each.size for each in todo), days=len(days))
    try:
        replay.run_source(opening, survey, todo, watch.told)
    except ArchiveError:
        watch.ended(failed=len(ledger.summary(opening.lake, source).get("failed", ())))
        raise
    watch.ended(failed=0)


@task
def sum_up(
    space: str,
    as_of: datetime,
    definitions: str,
    is_limited: bool = False,  # noqa: FBT001, Prefect passes parameters by name
) -> dict[str, dict]:
    """Say how far every source is; `is_limited` if the replay was told to leave something out."""
    opening = opened(space, definitions)
    summaries = {each.source.name: replay.finish(opening, each) for each in _surveys(opening, as_of)}
    report.replayed(space, summaries)
    announce.announce(opening, announce.replayed(space, summaries, is_limited=is_limited))
    return {name: found["rows"] for name, found in summaries.items()}


@task
def drop_removed(space: str, definitions: str) -> None:
    """Take sources out of the lake that the space no longer has."""
    removed = replay.drop_removed(opened(space, definitions))
    if removed:
        get_run_logger().info("sources removed: %s", ", ".join(removed))


def _first_day(opening: OpenSpace, as_of: datetime) -> str:
    return (as_of - opening.definition.window).date().isoformat()


def _survey(opening: OpenSpace, source: str, as_of: datetime) -> Survey:
    return archive.survey(opening, opening.source(source), _first_day(opening, as_of))


def _surveys(opening: OpenSpace, as_of: datetime) -> list[Survey]:
    return [_survey(opening, each.name, as_of) for each in opening.definition.sources]

"""The tasks of a replay: look at the archives, read their slices, settle what they share."""

from datetime import datetime

from prefect import get_run_logger, task

from populace.errors import ArchiveError
from populace.lake.ledger import UNDATED
from populace.space import OpenSpace, archive, replay
from populace.space.archive import Survey
from tasks import progress, report
from tasks.edge import opened


@task(task_run_name="survey-{source}", retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=report.is_transient)
def survey_archive(space: str, source: str, as_of: datetime, definitions: str) -> int:
    """Look at what a source's archive holds; returns how many slices are due."""
    opening = opened(space, definitions)
    try:
        archive.look(opening, opening.source(source))
    except ArchiveError:
        replay.doubt(opening, _survey(opening, source, as_of))
        raise
    survey = _survey(opening, source, as_of)
    replay.begin(opening, survey)
    get_run_logger().info("%s: %d slices to replay, %d vanished", source, len(survey.due), len(survey.vanished))
    return len(survey.due)


@task
def find_contested(space: str, as_of: datetime, definitions: str) -> int:
    """Find the messages that several slices hold; returns how many."""
    opening = opened(space, definitions)
    return replay.find_contested(opening, _surveys(opening, as_of))


@task(task_run_name="replay-{source}")
def replay_source(
    space: str, source: str, as_of: datetime, definitions: str, since: str | None = None, until: str | None = None
) -> None:
    """Read the due slices of a source, oldest first."""
    opening = opened(space, definitions)
    survey = _survey(opening, source, as_of)
    days = [day for day in survey.due if day == UNDATED or (since or "") <= day <= (until or UNDATED)]
    replay.run_source(opening, survey, days, lambda _day, done, todo: progress.report(f"replay {source}", done, todo))


@task
def settle_duplicates(space: str, as_of: datetime, definitions: str) -> dict[str, dict]:
    """Let the copy received first count everywhere, and sum every source up."""
    opening = opened(space, definitions)
    again = replay.settle(opening, _surveys(opening, as_of))
    removed = replay.drop_removed(opening)
    get_run_logger().info("%d slices ran again for messages they share; sources removed: %s", again, removed or "none")
    summaries = {each.source.name: replay.finish(opening, each) for each in _surveys(opening, as_of)}
    report.replayed(space, summaries)
    return {name: found["rows"] for name, found in summaries.items()}


def _survey(opening: OpenSpace, source: str, as_of: datetime) -> Survey:
    first_day = (as_of - opening.definition.window).date()
    return archive.survey(opening, opening.source(source), first_day)


def _surveys(opening: OpenSpace, as_of: datetime) -> list[Survey]:
    return [_survey(opening, each.name, as_of) for each in opening.definition.sources]

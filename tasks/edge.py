"""What the outside world tells a flow: the clock, the environment, the definitions folder."""

import os
from datetime import UTC, datetime, timedelta

from prefect.runtime import flow_run

from populace.errors import UsageError
from populace.space import OpenSpace, open_space


def scheduled_start() -> datetime:
    """The instant a run was meant to start, so that a late run still describes the hour it was for."""
    return (flow_run.scheduled_start_time or datetime.now(UTC)).astimezone(UTC)


def run_name() -> str:
    """What a run is called in Prefect's UI: its space and its instant."""
    moment = flow_run.parameters.get("as_of") or scheduled_start()
    return f"{flow_run.parameters['space']} {moment:%Y-%m-%d %H:%M}"


def opened(space: str, definitions: str) -> OpenSpace:
    """The space, with `${NAME}` standing for this process's environment."""
    return open_space(space, definitions, os.environ)


def sources(space: str, definitions: str, only: str | None = None) -> list[str]:
    """The names of a space's sources, or the one asked for if there is such a source."""
    opening = opened(space, definitions)
    return [opening.source(only).name] if only else [each.name for each in opening.definition.sources]


def destinations(space: str, definitions: str, only: str | None = None) -> list[str]:
    """The names of a space's destinations, or the one asked for."""
    return [only] if only else [each.name for each in opened(space, definitions).definition.destinations]


def instants(since: datetime, until: datetime, every: timedelta) -> list[datetime]:
    """The instants from `since` to `until`, both included, oldest first."""
    if until < since:
        message = f"the last instant, {until:%Y-%m-%d}, lies before the first, {since:%Y-%m-%d}"
        raise UsageError(message)
    count = (until - since) // every
    return [since + number * every for number in range(count + 1)]


def length(text: str) -> timedelta:
    """A number of days or hours such as `1d` or `6h`."""
    units = {"d": "days", "h": "hours"}
    if not (text[:-1].isdigit() and int(text[:-1]) and text[-1:] in units):
        message = f"'{text}' is no length; write it like 1d or 6h"
        raise UsageError(message)
    return timedelta(**{units[text[-1]]: int(text[:-1])})

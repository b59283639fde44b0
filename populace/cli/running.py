"""Commands that start a flow: replay, recompute, backfill, sync. Prefect is imported when one runs."""

import os
from datetime import datetime
from typing import Any

import click

from populace.cli import output
from populace.cli.bars import bars
from populace.space import OpenSpace, open_space, recompute as runs_of, views

AS_OF = click.option("--as-of", metavar="T", help="The instant results describe; default: now.")
DAY = click.DateTime(["%Y-%m-%d"])


def _start(flow: str, parameters: dict[str, Any], *, quiet: bool) -> int:
    """Run a flow here, show its progress, print what went wrong; returns the exit code it means."""
    from tasks.starting import start

    with bars(shown=not quiet):
        ending = start(flow, parameters)
    for message in ending.messages:
        output.errors.print(f"error: {message}", soft_wrap=True, markup=False)
    return ending.exit_code


def _opened(space: str, definitions: str) -> OpenSpace:
    # Wrong definitions are told before Prefect takes seconds to start.
    return open_space(space, definitions, os.environ)


def _report(rows: list[dict], title: str, *, as_json: bool) -> None:
    if as_json:
        output.emit(rows)
    else:
        output.table(title, [{name: each for name, each in row.items() if name != "about"} for row in rows])


@click.command()
@click.argument("space")
@click.option("--source", help="Only this source.")
@click.option("--since", type=DAY, help="Only days received on this date or later.")
@click.option("--until", type=DAY, help="Only days received on this date or earlier.")
@output.options
def replay(  # noqa: PLR0913, each is an option
    space: str, source: str | None, since: datetime | None, until: datetime | None, definitions: str, *, as_json: bool
) -> None:
    """Bring what is new in the archives into the lake; prints the ledger."""
    opening = _opened(space, definitions)
    if source:
        opening.source(source)
    days = {"since": since and since.date(), "until": until and until.date()}
    code = _start("replay", {"space": space, "source": source, "definitions": definitions, **days}, quiet=as_json)
    _report([row for row in views.status(opening) if row["about"] == "source"], "Sources", as_json=as_json)
    raise SystemExit(code)


@click.command()
@click.argument("space")
@AS_OF
@click.option("--no-replay", is_flag=True, help="Compute from what the lake holds.")
@click.option("--no-sync", is_flag=True, help="Publish, and send nothing.")
@click.option("--allow-stale", is_flag=True, help="Publish though a source is not completely replayed.")
@output.options
def recompute(  # noqa: PLR0913, each is an option
    space: str, as_of: str | None, definitions: str, *, no_replay: bool, no_sync: bool, allow_stale: bool, as_json: bool
) -> None:
    """Replay, compute, publish and deliver; prints the run id."""
    opening = _opened(space, definitions)
    parameters = {
        "space": space,
        "as_of": runs_of.instant(as_of) if as_of else None,
        "replay_first": not no_replay,
        "deliver": not no_sync,
        "allow_stale": allow_stale,
        "definitions": definitions,
    }
    code = _start("recompute", parameters, quiet=as_json)
    if code != 1:
        summarise(opening, as_json=as_json)
    raise SystemExit(code)


def summarise(opening: OpenSpace, *, as_json: bool) -> None:
    """What the current run is and holds, and what was sent."""
    if as_json:
        output.emit(views.status(opening))
        return
    rows = list(views.status(opening))
    _report([row for row in rows if row["about"] == "source"], "Sources", as_json=False)
    for run in (row for row in rows if row["about"] == "run"):
        counts = {"profiles": run["tables"]["profiles"], "merges": run["tables"]["merges"]}
        output.table("Identity", [counts | {"identifiers": run["tables"]["external_ids"]}])
        output.table("Audiences", [{"audience": name, "members": count} for name, count in run["audiences"].items()])
        output.table("Traits", [{"trait": name, "profiles": count} for name, count in run["traits"].items()])
        output.screen.print(f"[bold]Run[/] {run['run_id']}")
    _report([row for row in rows if row["about"] == "destination"], "Destinations", as_json=False)


@click.command()
@click.argument("space")
@click.option("--since", type=DAY, required=True, help="The first instant: midnight UTC of this date.")
@click.option("--until", type=DAY, required=True, help="The last instant.")
@click.option("--every", default="1d", show_default=True, help="The step between instants, such as 1d or 6h.")
@output.options
def backfill(space: str, since: datetime, until: datetime, every: str, definitions: str, *, as_json: bool) -> None:
    """Runs as of past instants; history only, nothing is published or sent."""
    opening = _opened(space, definitions)
    parameters = {"space": space, "since": since.date(), "until": until.date(), "every": every}
    code = _start("backfill", parameters | {"definitions": definitions}, quiet=as_json)
    if code == 0:
        _report(list(views.history(opening, since, until)), "Runs", as_json=as_json)
    raise SystemExit(code)


@click.command()
@click.argument("space")
@click.option("--destination", help="Only this destination.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@click.option("--resync", is_flag=True, help="Send everything again, as if nothing had been acknowledged.")
@output.options
def sync(
    space: str, destination: str | None, definitions: str, *, dry_run: bool, resync: bool, as_json: bool
) -> None:
    """Deliver to every destination what differs from what it has acknowledged."""
    opening = _opened(space, definitions)
    views.current(opening)
    if dry_run:
        from tasks.delivery import previews

        _report(previews(opening, destination), "Would be sent", as_json=as_json)
        return
    parameters = {"space": space, "destination": destination, "resync": resync, "definitions": definitions}
    code = _start("sync_destinations", parameters, quiet=as_json)
    rows = [row for row in views.status(opening) if row["about"] == "destination"]
    _report([row for row in rows if destination in (None, row["destination"])], "Destinations", as_json=as_json)
    raise SystemExit(3 if code else 0)

"""Commands that start a flow: replay, recompute, backfill, sync. Prefect is imported when one runs."""

import os
from datetime import datetime
from typing import Any

import click

from populace.cli import output
from populace.cli.bars import bars
from populace.cli.local import keep_prefect_here
from populace.space import OpenSpace, families, open_space, unknown, views
from populace.space import recompute as recompute_

AS_OF = click.option("--as-of", metavar="T", help="The instant results describe; default: now.")
DAY = click.DateTime(["%Y-%m-%d"])


def start(flow: str, parameters: dict[str, Any], *, quiet: bool) -> int:
    """Run a flow here, show its progress, print what went wrong; returns the exit code it means."""
    # Records go to Prefect's database; the terminal gets bars, and one message for what went wrong.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    # The first start without a server makes Prefect's database, for which its own 20 seconds can be too short.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    keep_prefect_here()
    from tasks import starting

    with bars(shown=not quiet):
        ending = starting.start(flow, parameters)
    for line in (line for message in ending.messages for line in message.splitlines()):
        output.errors.print(f"error: {line}", soft_wrap=True, markup=False)
    return ending.exit_code


def _opened(space: str, definitions: str) -> OpenSpace:
    # Wrong definitions are told before Prefect takes seconds to start.
    return open_space(space, definitions, os.environ)


def _about(opening: OpenSpace, about: str) -> list[dict]:
    return [row for row in views.status(opening) if row["about"] == about]


def _ledger(opening: OpenSpace, *, days: bool, as_json: bool) -> None:
    """What is replayed: sources and all of their days, or those that are not complete."""
    rows = [row for row in views.status(opening, days=days or not as_json) if row["about"] in ("source", "day")]
    if as_json:
        output.emit(rows)
        return
    output.sources(row for row in rows if row["about"] == "source")
    listed = [{name: row[name] for name in row if name != "about"} for row in rows if row["about"] == "day"]
    if days:
        output.table("Days", listed)
    elif left := [row for row in listed if row["status"] != "complete"]:
        output.table("Days that are not complete", left)


@click.command()
@click.argument("space")
@click.option("--source", help="Only this source.")
@click.option("--since", type=DAY, help="Only days received on this date or later.")
@click.option("--until", type=DAY, help="Only days received on this date or earlier.")
@click.option(
    "--days", "all_days", is_flag=True, help="Print every received day, not only those that are not complete."
)
@output.options
def replay(
    space: str,
    source: str | None,
    since: datetime | None,
    until: datetime | None,
    definitions: str,
    *,
    all_days: bool,
    as_json: bool,
) -> None:
    """Bring what is new in the archives into the lake; prints the ledger."""
    opening = _opened(space, definitions)
    if source:
        opening.source(source)
    if since and until and until < since:
        message = f"--until {until:%Y-%m-%d} lies before --since {since:%Y-%m-%d}"
        raise click.UsageError(message)
    days = {"since": since and since.date(), "until": until and until.date()}
    code = start("replay", {"space": space, "source": source, "definitions": definitions, **days}, quiet=as_json)
    _ledger(opening, days=all_days, as_json=as_json)
    raise SystemExit(code)


@click.command()
@click.argument("space")
@AS_OF
@click.option("--no-replay", is_flag=True, help="Compute from what the lake holds.")
@click.option("--no-sync", is_flag=True, help="Publish, and send nothing.")
@click.option("--allow-stale", is_flag=True, help="Publish though a source is not completely replayed.")
@output.options
def recompute(
    space: str, as_of: str | None, definitions: str, *, no_replay: bool, no_sync: bool, allow_stale: bool, as_json: bool
) -> None:
    """Replay, compute, publish and deliver; prints the run id."""
    opening = _opened(space, definitions)
    moment = recompute_.instant(as_of) if as_of else None
    parameters = {
        "space": space,
        "as_of": moment,
        "replay_first": not no_replay,
        "deliver": not no_sync,
        "allow_stale": allow_stale,
        "definitions": definitions,
    }
    code = start("recompute", parameters, quiet=as_json)
    if code in (0, 3):
        summarise(opening, moment, as_json=as_json, delivered=not no_sync)
    raise SystemExit(code)


def summarise(opening: OpenSpace, as_of: datetime | None, *, as_json: bool, delivered: bool) -> None:
    """What the run of this instant is and holds, and what was sent; without an instant, the current run."""
    # A run's name follows from what it is made of, so it can be told again.
    run_id = recompute_.plan(opening, as_of, allow_stale=True).run_id if as_of else views.current(opening)
    rows = [row for row in views.status(opening, run_id) if delivered or row["about"] != "destination"]
    planned = recompute_.reopen(opening, run_id, strict=False)
    for sentence in unknown.in_definitions(families.of_run(opening, run_id), planned):
        output.errors.print(f"warning: {sentence}", soft_wrap=True)
    if as_json:
        output.emit(rows)
        return
    output.sources(row for row in rows if row["about"] == "source")
    for run in (row for row in rows if row["about"] == "run"):
        if run["stale"]:
            output.errors.print(f"warning: published without all of {', '.join(run['stale'])}", soft_wrap=True)
        counts = {name: run["tables"][name] for name in ("profiles", "merges", "external_ids")}
        # An account has one identifier.
        counts |= {name: counts[name] - run["accounts"] for name in ("profiles", "external_ids")}
        output.table("Identity", [counts | ({"accounts": run["accounts"]} if run["accounts"] else {})])
        output.computed(run)
    if delivered:
        output.destinations(row for row in rows if row["about"] == "destination")
    if run_id == views.current(opening):
        output.screen.print(f"Run [bold]{run_id}[/] is current.")
    else:
        output.screen.print(
            f"Run [bold]{run_id}[/] is history: {views.current(opening)} stays current.", soft_wrap=True
        )


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
    code = start("backfill", parameters | {"definitions": definitions}, quiet=as_json)
    if code == 0:
        rows = list(views.history(opening, recompute_.instant(str(since)), recompute_.instant(str(until))))
        output.emit(rows) if as_json else output.table("Runs", rows)
    raise SystemExit(code)


@click.command()
@click.argument("space")
@click.option("--destination", help="Only this destination.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@click.option("--resync", is_flag=True, help="Send everything again, as if nothing had been acknowledged.")
@click.option("--confirm", is_flag=True, help="Send although the brake holds, or a source is silent.")
@output.options
def sync(
    space: str,
    destination: str | None,
    definitions: str,
    *,
    dry_run: bool,
    resync: bool,
    confirm: bool,
    as_json: bool,
) -> None:
    """Deliver to every destination what differs from what it has acknowledged."""
    opening = _opened(space, definitions)
    views.current(opening)
    if destination:
        opening.destination(destination)
    if dry_run:
        from tasks.delivery import previews

        rows = previews(opening, destination)
        output.emit(rows) if as_json else output.table("Would be sent", rows)
        return
    raise SystemExit(deliver(opening, destination, definitions, resync=resync, confirm=confirm, as_json=as_json))


def deliver(
    opening: OpenSpace, destination: str | None, definitions: str, *, as_json: bool, resync: bool = False,
    confirm: bool = False,
) -> int:  # fmt: skip
    """Sync the destinations, or the one named, and print what came of it; returns the exit code it means."""
    parameters = {"space": opening.definition.name, "destination": destination, "resync": resync, "confirm": confirm}
    code = start("sync_destinations", parameters | {"definitions": definitions}, quiet=as_json)
    rows = [row for row in _about(opening, "destination") if destination in (None, row["destination"])]
    output.emit(rows) if as_json else output.destinations(rows)
    return code

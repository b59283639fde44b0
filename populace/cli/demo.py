"""The demo: two months of a made-up shop, through the real job, on this machine; and the UI to look at it."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import click
import polars as pl

from populace.cli import output
from populace.cli.local import FOLDER, MARK, keep_prefect_here
from populace.cli.running import start, summarise
from populace.definitions import Storage
from populace.destinations import ADAPTERS
from populace.lake.objects import open_store, write_table
from populace.space import OpenSpace, open_space, views

# Fixed, so that every demo shows the same numbers.
AS_OF = datetime(2026, 9, 1, tzinfo=UTC)
EVENTS = 200_000
SPACE = "dev"
AUDIENCE = "new_users_7_days"

NEXT = """
[bold]Look further[/]
  {populace} show dev {example}
  {populace} members dev new_users_7_days
  {populace} preview dev --query "event('Order Completed').within(30 days).count() >= 2"
  {populace} recompute dev --as-of {as_of}   (reads nothing new, sends nothing)
  make ui            runs and reports in the Prefect UI
  definitions/dev/   what was asked for: change it and recompute
"""

GONE = """
The S3 server ended with the demo, and what it held with it. `make demo` without STORE=s3 keeps its data to look at;
`make ui` shows this run and its artifacts.
"""


@click.command()
@click.option("--store", type=click.Choice(["file", "s3"]), default="file", show_default=True, help="Where data lies.")
@click.option("--events", default=EVENTS, show_default=True, help="About how many events to write.")
@click.option("--json", "as_json", is_flag=True, help="NDJSON on standard output.")
def demo(store: str, events: int, *, as_json: bool) -> None:
    """The main job on embedded defaults: two months of shop events, end to end."""
    _start_afresh()
    with ExitStack() as stack:
        os.environ.update(stack.enter_context(_storage(store)))
        tools = stack.enter_context(_tools())
        _write_archive(events, quiet=as_json)
        parameters = {"space": SPACE, "as_of": AS_OF}
        code = start("recompute", parameters, quiet=as_json)
        if code == 1:
            raise SystemExit(code)  # what went wrong is told, and there is nothing to show
        opening = open_space(SPACE, "definitions", os.environ)
        summarise(opening, AS_OF, as_json=as_json, delivered=True)
        members = views.members(opening, AUDIENCE)
        _tell_tools(_held(opening, tools, members.height), as_json=as_json)
        if not as_json:
            hints = {"as_of": f"{AS_OF:%Y-%m-%d}", "example": _example(members), "populace": _command()}
            output.screen.print((NEXT if store == "file" else GONE).format(**hints), soft_wrap=True)
    raise SystemExit(code)


def _start_afresh() -> None:
    """Remove what an earlier demo left; never a folder that is not the demo's."""
    if FOLDER.exists() and not MARK.exists():
        message = f"{FOLDER.resolve()} exists and is not a demo's; move it away"
        raise click.UsageError(message)
    for name in ("archive", "lake"):
        shutil.rmtree(FOLDER / name, ignore_errors=True)
    for file in FOLDER.glob("warehouse.db*"):
        file.unlink()
    FOLDER.mkdir(exist_ok=True)
    MARK.touch()
    keep_prefect_here()


@contextmanager
def _storage(store: str) -> Iterator[dict[str, str]]:
    if store == "file":
        yield {}
        return
    from demo import object_store

    with object_store.serve("populace-demo") as server:
        root = f"s3://{server.bucket}"
        places = {"POPULACE_LAKE": f"{root}/lake", "POPULACE_ARCHIVE": f"{root}/archive"}
        yield server.environment | places | {"POPULACE_S3_ENDPOINT": server.endpoint_url}


@contextmanager
def _tools() -> Iterator:
    from demo import tools

    with tools.serving() as found:
        os.environ.update(tools.environment(found))
        yield found


def _write_archive(events: int, *, quiet: bool) -> None:
    from demo.events import objects
    from populace.cli.bars import bars
    from tasks.progress import Step, report

    opening = open_space(SPACE, "definitions", os.environ)
    web = opening.source("web")
    archive = open_store(web.archive.rsplit("/", 1)[0], web.storage or Storage())
    written = 0
    with bars(shown=not quiet):
        for each in objects(AS_OF, events=events):
            write_table(archive, each.key, each.frame)
            written += each.frame.height
            report(Step("write events", written, max(events, written)))


def _command() -> str:
    """What to type for this very program."""
    return "populace" if shutil.which("populace") else os.path.relpath(sys.argv[0])


def _held(opening: OpenSpace, tools: Mapping[str, Any], members: int) -> list[dict[str, Any]]:
    """What the tools themselves hold of the audience, each beside the number of members that were computed."""
    from demo.tools import held, listed

    (audience,) = (each for each in opening.definition.audiences if each.key == AUDIENCE)
    kinds = {each.name: each.kind for each in opening.definition.destinations}
    told: dict[str, list[str]] = {name: [] for name in tools}
    for each in audience.deliveries:
        if each.destination in tools:
            told[each.destination].append(each.form or ADAPTERS[kinds[each.destination]].ABOUT.forms[0])
    return [
        {
            "tool": name,
            "told": told[name],
            "members": members,
            "true_there": held(tool, AUDIENCE) if "property" in told[name] else None,
            "on_the_list": listed(tool, (AUDIENCE, audience.name)) if "list" in told[name] else None,
        }
        for name, tool in tools.items()
    ]


def _tell_tools(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        output.emit({"about": "tool", "audience": AUDIENCE, **row} for row in rows)
    else:
        output.table(f"{AUDIENCE}, as the tools have it", rows)


def _example(members: pl.DataFrame) -> str:
    """Somebody who just signed up."""
    found = members.head(1).rows(named=True)
    identifiers = {each["id_type"]: each["id_value"] for each in (found[0]["identifiers"] if found else [])}
    return f"user_id:{identifiers['user_id'][0]}" if "user_id" in identifiers else "email:jane@example.com"


@click.command()
@click.option("--port", default=4200, show_default=True)
def ui(port: int) -> None:
    """Serve the Prefect UI on the demo's runs, until Ctrl-C."""
    from tasks.serving import check_free, serve_ui

    keep_prefect_here()
    check_free(port)
    # The UI's own menu leads to the runs, but not to the artifacts.
    for page, what in (("runs", "flow runs and their tasks"), ("artifacts", "reports of the latest runs")):
        output.screen.print(f"http://127.0.0.1:{port}/v2/{page:<10} {what}")
    output.screen.print("Ctrl-C ends it.")
    raise SystemExit(serve_ui(port))

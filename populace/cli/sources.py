"""Commands about sources: what a place holds, before it becomes one."""

import os
from collections.abc import Sized

import click

from populace.cli import output
from populace.space import open_space, probe
from populace.space.probe import Found, Probe

SHOWN = 20
UNITS = ("B", "KB", "MB", "GB", "TB")


@click.group()
@click.argument("space")
@click.pass_context
def sources(context: click.Context, space: str) -> None:
    """Look at places that hold events, for the space's sources.yaml."""
    context.obj = space


@sources.command("probe")
@click.argument("place", metavar="URL")
@output.options
@click.pass_context
def probe_(context: click.Context, place: str, definitions: str, *, as_json: bool) -> None:
    """Say what an archive holds: layout, sources, days, events; nothing is written.

    URL is s3://bucket/prefix, file:///folder, or a path. All objects are listed and a few are looked into.
    """
    definition = open_space(context.obj, definitions, os.environ).definition
    found = probe.look(place, definition.storage, definition.sources)
    if as_json:
        output.emit([found.describe()])
    else:
        _show(found)
    if found.layout is None:
        context.exit(1)


def _show(found: Probe) -> None:
    output.screen.print(
        f"[bold]{found.place}[/]: {found.objects:,} objects to read, {_size(found.size_bytes)}{_rows(found)}",
        soft_wrap=True,
    )
    if found.layout is None:
        _explain(found)
    else:
        output.screen.print(f"Layout [bold]{found.layout}[/], {found.certainty}: {found.samples} objects looked into")
        output.table("Sources", [_source(each) for each in found.sources])
        if found.tables:
            tables = [{"table": name, "objects": n} for name, n in found.tables.items()]
            output.table(f"Tables{_first(tables)}", tables[:SHOWN])
        calls = [{"type": kind, "event": event, "count": n} for kind, event, n in found.calls[:SHOWN]]
        output.table(f"Calls in the sample{_first(found.calls)}", calls)
    if found.rejected:
        output.table(
            "Rows of the sample that would be rejected", [{"because": c, "rows": n} for c, n in found.rejected.items()]
        )
    for warning in found.warnings:
        output.errors.print(output.plain(f"warning: {warning}"), soft_wrap=True, markup=False)
    if found.entry:
        output.screen.print("\n[bold]sources.yaml[/]")
        output.screen.print(found.entry, soft_wrap=True, markup=False)


def _explain(found: Probe) -> None:
    output.screen.print(f"No layout reads these objects; {found.samples} were looked into")
    output.table("Why", [{"layout": name, "reason": why} for name, why in found.refusals.items()])
    columns = list(found.columns.items())
    shown = [{"column": name, "type": dtype} for name, dtype in columns[:SHOWN]]
    output.table(f"Columns or keys that were seen{_first(columns)}", shown)


def _source(each: Found) -> dict:
    missing = [*each.missing[:3], *([f"{len(each.missing) - 3} more"] if len(each.missing) > 3 else [])]
    return {
        "source": f"{each.name} (is one already)" if each.is_known else each.name,
        "objects": each.objects,
        "size": _size(each.size_bytes),
        "first day": each.first,
        "last day": each.last,
        "days": each.days,
        "missing": missing,
    }


def _first(listed: Sized) -> str:
    return f", the first {SHOWN} of {len(listed)}" if len(listed) > SHOWN else ""


def _rows(found: Probe) -> str:
    if found.rows is None:
        return ""
    return (
        f", {found.rows:,} rows"
        if found.samples >= found.objects
        else f"; {found.rows:,} rows in {found.samples} of them"
    )


def _size(size: float) -> str:
    for unit in UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {UNITS[-1]}"

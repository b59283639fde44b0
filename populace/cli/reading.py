"""Commands that only look: check, status, show, members, preview. None of them imports Prefect."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
from polars import DataFrame, Series, String

from populace.cli import output, sql
from populace.definitions import Level
from populace.space import OpenSpace, open_space, previews, recompute, showing, sql_columns, views
from populace.space import spans as stays

SHOWN = 20


def _open(space: str, definitions: str) -> OpenSpace:
    return open_space(space, definitions, os.environ)


@click.command()
@click.argument("space")
@output.options
def check(space: str, definitions: str, *, as_json: bool) -> None:
    """Load and validate a space; all errors at once, with file and line."""
    definition = _open(space, definitions).definition
    kinds = ("sources", "traits", "families", "sql", "audiences", "destinations")
    named = (name for name in kinds if name not in ("families", "sql") or getattr(definition, name))
    counts = {name: len(getattr(definition, name)) for name in named}
    if as_json:
        output.emit([{"space": space, "warnings": definition.warnings} | counts])
        return
    for warning in definition.warnings:
        output.errors.print(f"warning: {warning}", soft_wrap=True)
    written = {"sql": "statements of SQL"}
    told = ", ".join(f"{count} {written.get(name, name)}" for name, count in counts.items())
    output.screen.print(f"{space}: {told}")


@click.command()
@click.argument("space")
@click.option("--days", is_flag=True, help="Every received day of every source as well.")
@click.option("--samples", is_flag=True, help="A few requests and answers of every destination as well.")
@output.options
def status(space: str, definitions: str, *, days: bool, samples: bool, as_json: bool) -> None:
    """Sources, the current run and its sizes, destinations and their last outcomes."""
    rows = list(views.status(_open(space, definitions), days=days, with_samples=samples))
    if as_json:
        output.emit(rows)
        return
    output.sources(_about(rows, "source"))
    if days:
        output.table("Days", _about(rows, "day"))
    for run in (row for row in rows if row["about"] == "run"):
        output.screen.print(f"\n[bold]Run[/] {run['run_id']} as of {run['as_of']}")
        output.table("Tables", [{"table": name, "rows": count} for name, count in run["tables"].items()])
        output.computed(run)
        if run["sql"]:
            output.table("SQL", list(_statements(run["sql"])))
        if run.get("undated"):
            output.table("Compared with dates, though they are none", run["undated"])
    output.destinations(_about(rows, "destination"))
    if samples:
        output.samples(_about(rows, "sample"))


def _statements(found: dict[str, dict]) -> Iterator[dict]:
    """What became of the rows of each statement, and of which instant its answer is."""
    for each in found.values():
        yield each["counts"] | {"of": each["at"][:16].replace("T", " ") if "at" in each else ""}


def _about(rows: list[dict], about: str) -> list[dict]:
    return [{name: each for name, each in row.items() if name != "about"} for row in rows if row["about"] == about]


@click.command()
@click.argument("space")
@click.argument("identifier", metavar="TYPE:VALUE")
@output.options
def show(space: str, identifier: str, definitions: str, *, as_json: bool) -> None:
    """A profile: identifiers, traits, audiences, latest events."""
    found = showing.show(_open(space, definitions), *parted(identifier))
    if as_json:
        output.emit([found])
        return
    output.screen.print(f"[bold]{found['profile_id']}[/] since {output.text(found['created_at'])}")
    output.screen.print(f"Run {found['run_id']}")
    output.table("Identifiers", found["identifiers"])
    output.table("Merged into it", found["merged"])
    for whose, linked in found["links"].items():
        output.table(f"{whose.capitalize()}: {linked['count']:,}", linked["first"])
    if found["collection"] == "accounts" and not found["links"]:
        output.table("Users", [])
    output.table("Traits", [{"trait": name, "value": value} for name, value in found["traits"].items()])
    output.table("Custom traits", [{"trait": name, "value": value} for name, value in found["custom_traits"].items()])
    output.table("Audiences", [{"audience": name, "entered_at": at} for name, at in found["audiences"].items()])
    output.table("Latest events", found["events"])


def parted(identifier: str) -> tuple[str, str]:
    """The type and the value of an external id as it is typed."""
    id_type, colon, value = identifier.partition(":")
    if not colon:
        message = "write the identifier as TYPE:VALUE, such as email:jane@example.com"
        raise click.UsageError(message)
    return id_type, value


@click.command()
@click.argument("space")
@click.argument("key")
@click.option("--as-of", metavar="T", help="Of the newest run of this instant or before; the current run otherwise.")
@click.option("--spans", is_flag=True, help="When people entered and left instead, from all runs.")
@click.option("--format", "form", type=click.Choice(["ndjson", "csv", "parquet"]), help="Default: a table, or ndjson.")
@click.option("--output", "file", type=click.Path(dir_okay=False, path_type=Path), help="A file; needed for parquet.")
@output.options
def members(
    space: str,
    key: str,
    as_of: str | None,
    form: str | None,
    file: Path | None,
    definitions: str,
    *,
    spans: bool,
    as_json: bool,
) -> None:
    """The members of an audience with their identifiers."""
    moment = recompute.instant(as_of) if as_of else None
    found = (stays.spans if spans else views.members)(_open(space, definitions), key, moment)
    if form == "parquet" and file is None:
        message = "--format parquet needs --output FILE"
        raise click.UsageError(message)
    if file is not None and not file.parent.is_dir():
        message = f"there is no folder {file.parent}"
        raise click.UsageError(message)
    if form == "parquet" and file is not None:
        found.write_parquet(file)
    elif form == "csv":
        output.write(found.with_columns(identifiers=_as_json(found)).write_csv(), file)
    elif form == "ndjson" or as_json or file:
        output.write("".join(output.line(row) for row in _rows(found)), file)
    else:
        shown = _rows(found.head(SHOWN).drop("audience"))
        what = "stays" if spans else "members"
        output.table(f"{key}: {found.height:,} {what}, the first {len(shown)}", shown)


def _rows(found: DataFrame) -> list[dict]:
    return [
        row | {"identifiers": {each["id_type"]: each["id_value"] for each in row["identifiers"] or ()}}
        for row in found.iter_rows(named=True)
    ]


def _as_json(found: DataFrame) -> Series:
    return Series([json.dumps(row["identifiers"], ensure_ascii=False) for row in _rows(found)], dtype=String)


@click.command()
@click.argument("space")
@click.argument("key", required=False)
@click.option("--query", "text", help="A query instead of a definition's key.")
@click.option("--level", type=click.Choice(["user", "account"]), default="user", help="Whom such a query is about.")
@output.options
def preview(space: str, key: str | None, text: str | None, level: Level, definitions: str, *, as_json: bool) -> None:
    """Count and a sample of what a definition gives; nothing is written."""
    if (key is None) == (text is None):
        message = "give either the key of a definition or --query, and not both"
        raise click.UsageError(message)
    opening = _open(space, definitions)
    if statement := key and sql_columns.entry(opening, key):
        sql.preview(opening, statement, as_json=as_json)
        return
    found = previews.preview(opening, key, text, level)
    for name in found.unknown:
        output.errors.print(f"warning: {name}", soft_wrap=True)
    for each in found.undated:
        whose = f"{each['value']} of {each['count']:,} {each['counted']}"
        output.errors.print(f"warning: {whose} is no date, so it is neither before nor after any", soft_wrap=True)
    if as_json:
        told = {"run_id": found.run_id, "count": found.count, "sample": found.sample, "scans": found.explanation}
        output.emit([told | ({"traits": found.traits} if found.traits else {})])
        return
    output.screen.print(f"[bold]{found.count:,}[/] {found.of} in run {found.run_id}")
    if found.traits:
        output.table("Traits", found.traits)
    else:
        output.table("Some of them", found.sample)
    output.table("Scans", [{"event": name, "computes": "; ".join(each)} for name, each in found.explanation.items()])

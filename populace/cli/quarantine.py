"""The command that looks at rejected rows: how many, why, and which."""

import json
import os
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from populace.cli import output
from populace.space import open_space
from populace.space import quarantine as questions

FORMS = (".parquet", ".ndjson")
MARGIN = 4


@click.command()
@click.argument("space")
@click.option("--source", help="Only this source.")
@click.option("--reason", help="Only rows with this reason code.")
@click.option("--day", metavar="DAY", help="Only rows received on this date (UTC), or `undated`.")
@click.option("--samples", default=3, show_default=True, type=click.IntRange(0), help="Of each source and reason.")
@click.option("--show", is_flag=True, help="Samples with the row itself. It holds personal data, as the archive does.")
@click.option(
    "--output", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write all of the rows to a .parquet or .ndjson file instead of showing samples. Personal data, too.",
)  # fmt: skip
@output.options
def quarantine(
    space: str,
    source: str | None,
    reason: str | None,
    day: str | None,
    file: Path | None,
    definitions: str,
    *,
    samples: int,
    show: bool,
    as_json: bool,
) -> None:
    """Rows that are no events: how many by source and reason, and samples of them.

    They stay until a replay finds them good: because the file in the archive was mended, or the definitions changed.
    """
    check_file(file, FORMS)
    opening = open_space(space, definitions, os.environ)
    asked = questions.Asked(source, reason, day)
    counted = questions.counts(opening, asked)
    found = [] if file else list(questions.samples(opening, asked, samples, whole=show))
    if file:
        _write(questions.whole_rows(opening, asked), file)
    if as_json:
        output.emit({"about": "reason"} | row for row in counted)
        output.emit({"about": "sample"} | row for row in found)
        return
    _tell(counted)
    if file:
        output.screen.print(f"{sum(row['rows'] for row in counted):,} rows written to {file}", soft_wrap=True)
    _tell_samples(found)


def check_file(file: Path | None, forms: tuple[str, ...]) -> None:
    """Refuse a file that nothing can be written to, before anything is read."""
    if file is None:
        return
    if file.suffix not in forms:
        message = f"--output {file}: give it a name that ends in {' or '.join(forms)}"
        raise click.UsageError(message)
    if not file.parent.is_dir():
        message = f"there is no folder {file.parent}"
        raise click.UsageError(message)


def _write(rows: Any, file: Path) -> None:
    rows.sink_parquet(file) if file.suffix == ".parquet" else rows.sink_ndjson(file)


def _tell(counted: list[dict]) -> None:
    shown = ("source", "reason", "rows", "share", "first_day", "last_day")
    rows = [{name: row[name] for name in shown} | {"share": _percent(row["share"])} for row in counted]
    output.table("Rejected rows", rows)


def _percent(share: float) -> str:
    return f"{share:.2%}" if share >= 0.0001 else "< 0.01%"


def _tell_samples(found: list[dict]) -> None:
    for (source, reason, meaning), rows in groupby(found, lambda row: (row["source"], row["reason"], row["meaning"])):
        output.screen.print(f"\n{source}: {reason}: {meaning}", soft_wrap=True, markup=False)
        for row in rows:
            place = output.plain(f"  {row['object']}, row {row['row']:,} (the first is 0)")
            output.screen.print(place, soft_wrap=True, markup=False)
            if "whole" in row:
                output.screen.print(f"    {_short(row['whole'] or '', reason)}", soft_wrap=True, markup=False)


def _short(whole: str, reason: str) -> str:
    """A row on one line of the terminal, and nothing in it that steers one."""
    longest = max(output.screen.width - MARGIN, 2 * MARGIN)
    text = "".join(each if each.isprintable() else " " for each in _turned(whole, reason)[: longest + 1])
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _turned(whole: str, reason: str) -> str:
    """The row with what its reason names in front, and without what it does not have."""
    try:
        row = json.loads(whole)
    except ValueError:
        return whole
    if not isinstance(row, dict):
        return whole
    given = [name for name, value in row.items() if value is not None]
    ordered = sorted(given, key=lambda name: _bare(name) not in _bare(reason))
    return json.dumps({name: row[name] for name in ordered}, ensure_ascii=False)


def _bare(name: str) -> str:
    return name.replace("_", "").lower()

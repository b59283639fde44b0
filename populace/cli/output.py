"""What commands print: NDJSON for programs, tables for people; logs go to standard error."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from populace.sync import funnel

Row = Mapping[str, Any]

# What a table needs to stay within 80 columns as long as it can.
LOOKS: dict[str, Any] = {
    "title_justify": "left",
    "title_style": "bold",
    "header_style": "dim",
    "collapse_padding": True,
    "pad_edge": False,
}

MOST_ACROSS = 4  # sources that a table shows beside each other
SHOWN_PATHS = 5
LONGEST = 500  # of a value

screen = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def options(command: Callable) -> Callable:
    """The two options of every command that opens a space."""
    command = click.option("--json", "as_json", is_flag=True, help="NDJSON on standard output.")(command)
    return click.option(
        "--definitions", default="definitions", show_default=True, metavar="DIR", help="Folder of all spaces."
    )(command)


def emit(rows: Iterable[Row]) -> None:
    """One JSON object a line."""
    for row in rows:
        click.echo(line(row), nl=False)


def line(row: Row) -> str:
    """A row as one line of JSON."""
    return json.dumps(row, default=_plain, ensure_ascii=False) + "\n"


def write(content: str, file: Path | None) -> None:
    """To a file, or to standard output where none is named."""
    if file is None:
        click.echo(content, nl=False)
    else:
        file.write_text(content, encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
    return value.isoformat() if isinstance(value, date) else str(value)


def table(title: str, rows: Iterable[Row], *, named_first: bool = False) -> None:
    """Rows as a table; numbers to the right, missing things as nothing.

    With `named_first` the first column names the others' values, which stand to the right whatever they are.
    """
    listed = list(rows)
    names = list(dict.fromkeys(name for row in listed for name in row))
    drawn = Table(title=title, box=SIMPLE_HEAD, **LOOKS)
    for name in names:
        is_number = all(isinstance(row.get(name), int | float | None) for row in listed)
        is_number = is_number or (named_first and name != names[0])
        drawn.add_column(name.replace("_", " "), justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        drawn.add_row(*(Text(plain(text(row.get(name)))) for name in names))
    screen.print(drawn if listed else f"[bold]{title}[/]: none")


def computed(run: Row) -> None:
    """The audiences and traits of a run with their sizes; those of accounts say so."""
    for title, unit in (("Audiences", "members"), ("Traits", "profiles")):
        sizes, name = run[title.lower()], title.lower().removesuffix("s")
        rows = [{name: key, unit: count} | _whose(key, run["of_accounts"]) for key, count in sizes.items()]
        table(title, rows)


def _whose(key: str, of_accounts: list[str]) -> dict[str, str]:
    if not of_accounts:
        return {}
    return {"of": "accounts" if key in of_accounts else "people"}


def plain(written: str) -> str:
    """Text from an archive on one line of the terminal, with nothing in it that steers one, and not without end."""
    shown = written[: LONGEST + 1]
    if not shown.isprintable():
        shown = "".join(each if each.isprintable() else " " for each in shown)
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


def text(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(text(each) for each in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def sources(rows: Iterable[Row]) -> None:
    """What became of each source's rows, and why some were rejected."""
    listed = list(rows)
    shown = {"source": "source", "status": "status", "last_event": "last event"}
    shown |= {name: name for name in ("read", "kept", "duplicate", "rejected")}
    table("Sources", [{title: _short(row.get(name)) for name, title in shown.items()} for row in listed])
    wrong = [row for row in listed if row["reasons"]]
    if wrong:
        table("Rejected rows", _across(wrong) if len(wrong) <= MOST_ACROSS else _down(wrong))
    for row in listed:
        _unreadable(row["source"], row["failed"])
        _ignored(row["source"], row["ignored"])


def _across(listed: list[Row]) -> list[Row]:
    """Rows that were rejected, a line for each reason and a column for each source."""
    codes = sorted({code for row in listed for code in row["reasons"]})
    lines = [{"rejected because": code} | {r["source"]: r["reasons"].get(code, 0) for r in listed} for code in codes]
    return [*lines, {"rejected because": "all"} | {row["source"]: sum(row["reasons"].values()) for row in listed}]


def _down(listed: list[Row]) -> list[Row]:
    """The same where the sources are too many to stand beside each other."""
    return [
        {"source": row["source"], "rejected because": code, "rows": count}
        for row in listed
        for code, count in sorted(row["reasons"].items())
    ]


def _unreadable(source: str, paths: list[str]) -> None:
    for path in paths[:SHOWN_PATHS]:
        screen.print(plain(f"{source}: cannot be read: {path}"), soft_wrap=True, markup=False)
    if len(paths) > SHOWN_PATHS:
        screen.print(f"{source}: and {len(paths) - SHOWN_PATHS:,} more objects that cannot be read")


def _ignored(source: str, found: Row) -> None:
    if found["objects"]:
        more = ", …" if found["objects"] > len(found["first"]) else ""
        told = f"{source}: {found['objects']:,} of its objects are not read by its layout: {', '.join(found['first'])}"
        screen.print(plain(told + more), soft_wrap=True, markup=False)


def _short(value: Any) -> Any:
    """The date of an instant."""
    return value[:10] if isinstance(value, str) and value[10:11] == "T" else value


ALWAYS = ("computed", "delivered")  # steps of the funnel that are shown though nothing is in them
STEPS = {"to_set": "to add or change", "to_remove": "to remove", "no_identifier": "no identifier"}


def destinations(rows: Iterable[Row]) -> None:
    """The funnel of each destination, without steps that are empty everywhere, and what there is to say about it."""
    listed = [{**row, **(funnel(row) if "computed" in row else {})} for row in rows]
    steps = [name for name in funnel({}) if name in ALWAYS or any(row.get(name) for row in listed)]
    kind = () if all(row["kind"] == row["destination"] for row in listed) else ("kind",)
    shown = (*kind, "status", *steps)
    is_across = len(listed) <= MOST_ACROSS
    if is_across:
        lines = [
            {"destination": STEPS.get(name, name)} | {row["destination"]: row.get(name) for row in listed}
            for name in shown
        ]
    else:
        lines = [{name: row.get(name) for name in ("destination", *shown)} for row in listed]
    table("Destinations", lines if listed else [], named_first=is_across)
    for row in listed:
        for remark in _remarks(row):
            screen.print(plain(f"{row['destination']}: {remark}"), soft_wrap=True, markup=False)


def _remarks(row: Row) -> Iterator[str]:
    """Why it is as it is, what waits, and what was found when it was read back."""
    if paused := row.get("paused"):
        who = "by a person" if paused["by"] == "person" else "because it refuses us"
        again = f"populace resume SPACE --destination {row['destination']}"
        yield f"paused {who} since {paused['since']}: {paused['reason']}; to let it go again: {again}"
    elif row.get("reason"):
        yield row["reason"]
    if row.get("waiting_since"):
        yield f"the oldest record that waits does so since {row['waiting_since']}"
    if verified := row.get("verified"):
        counts = ", ".join(f"{verified[name]:,} {name}" for name in ("acknowledged", "missing", "different", "extra"))
        yield f"read back {verified['at']}: {verified['status']} ({counts})"


def samples(rows: Iterable[Row]) -> None:
    """A few requests and answers, in which no personal data stands."""
    shown = ("destination", "outcome", "endpoint", "status", "request", "reply")
    table("Samples of requests and answers", [{name: row.get(name) for name in shown} for row in rows])

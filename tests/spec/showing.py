"""What spec tests ask and are answered, as Markdown for people."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from tests.tables import AS_OF, table

MANY = 6  # what is longer is cut
HEADS = {
    "computed": ("What happened", "Query", "Answer"),
    "refusal": ("Query", "Refusal"),
    "as_read": ("Written", "Means"),
}


class Asked(NamedTuple):
    """One call of a function of `evaluating`: its name, its arguments, and what it returned."""

    door: str
    given: Mapping[str, Any]
    answer: Any


# --- the page ---------------------------------------------------------------------------------------


def head(chapters: Iterable[str]) -> str:
    links = " · ".join(f"[{name}](#{name.lower().replace(' ', '-')})" for name in chapters)
    return f"""\
# The query language, rule by rule

<!-- Written by `make manual` out of the spec tests: change those, not this. -->

Each rule below is a test. The engine computed every answer on this page in the run of tests that wrote it, and a test
fails where the page says something else. The number behind a rule begins the name of its test in `tests/spec`.
[Definitions](definitions.md#the-query-language) has the grammar, and more examples with the counts of the demo.

"Now" is the instant that a run describes, `as_of`: in the examples noon, UTC, of Sunday, 31 March 2024.
Where there are several people, they are numbered, and audiences are answered with the numbers of their members.

{links}"""


def rule(sentence: str, numbers: str, asked: Iterable[Asked]) -> str:
    """A sentence, and tables of what was asked."""
    tables = [rows(kind, list(group)) for kind, group in groupby(asked, _kind)]
    return "\n\n".join([f"**{sentence}** ({numbers})", *tables])


def _kind(asked: Asked) -> str:
    return asked.door if asked.door in HEADS else "computed"


def rows(kind: str, asked: list[Asked]) -> str:
    lines = dict.fromkeys(cells(kind, each) for each in asked)  # what was asked twice is shown once
    told = _unrepeated(list(lines)) if kind == "computed" else lines
    return "\n".join(_line(each) for each in (HEADS[kind], ["---"] * len(HEADS[kind]), *told))


def cells(kind: str, asked: Asked) -> tuple[str, ...]:
    if kind == "computed":
        return happened(asked), queries(asked), settings(asked.given), answer(asked)
    if kind == "as_read":
        return code(asked.given["text"]), code(asked.answer)
    _, column, message = asked.answer
    return code(_cut(asked.given["text"])), f"column {column}: {message}"


def _unrepeated(lines: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """What happened and the query are "the same" where they are what they were a line above."""
    before: tuple[str, ...] = ("", "")
    for line in lines:
        what, asking = ("the same" if old == new else new for old, new in zip(before, line[:2], strict=False))
        yield what, f"{asking}{line[2]}", line[3]
        before = line


def _line(parts: Iterable[str]) -> str:
    return f"| {' | '.join(each.replace('|', chr(92) + '|') for each in parts)} |"


def code(text: str) -> str:
    return f"`{' '.join(text.split())}`"


def _cut(text: str) -> str:
    return text if len(text) < 200 else f"{text[:60].rsplit(' OR', 1)[0]} OR … {text[-15:]}"


# --- what happened ------------------------------------------------------------------------------------


class Fact(NamedTuple):
    """One event or one setting of a trait."""

    profile: int
    order: tuple
    text: str


def happened(asked: Asked) -> str:
    facts = sorted(_facts(asked.given))
    people = _people(asked, facts)
    lines = []
    for profile, note in people.items():
        told = _shortened([each.text for each in facts if each.profile == profile]) or ["nothing"]
        name = f"{profile}{note}: " if len(people) > 1 else f"{note[2:-1]}: " if note else ""
        lines += [f"{name}{told[0]}", *told[1:]]
    return "<br>".join(lines)


def _people(asked: Asked, facts: list[Fact]) -> dict[int, str]:
    """Each profile of an example, with what is to be said of it."""
    population = table(asked.given["profiles"]).rows() if "profiles" in asked.given else []
    notes = {profile: "" if is_known else " (anonymous)" for profile, is_known in population}
    return dict(sorted({**{each.profile: "" for each in facts}, **notes}.items())) or {1: ""}


def _facts(given: Mapping[str, Any]) -> Iterator[Fact]:
    streams = {given["event"]: given["rows"]} if "rows" in given else given["tables"] or {}
    is_short = _all_short(given, streams)
    for name, text in streams.items():
        for row in table(text).iter_rows(named=True):
            yield Fact(row["profile"], _order(row), _event(name, row, is_short=is_short))
    custom = table(given["custom"]) if given.get("custom") else pl.DataFrame()
    times = custom["timestamp"].n_unique() if len(custom) else 0
    for row in custom.iter_rows(named=True):
        yield Fact(row["profile"], _order(row), _setting(row, is_short=is_short, is_dated=times > 1))


def _all_short(given: Mapping[str, Any], streams: Mapping[str, str]) -> bool:
    """Whether all moments of an example can be told as "2 days ago"."""
    tables = [table(text) for text in (*streams.values(), given.get("custom")) if text]
    instants = [frame[name] for frame in tables for name in ("timestamp", "received_at") if name in frame.columns]
    return given["as_of"] == AS_OF and all(_ago(moment) for column in instants for moment in column)


def _order(row: dict) -> tuple:
    arrival = row.get("received_at") or row["timestamp"]
    return row["timestamp"], arrival, row.get("message_id") or ""


def _event(name: str, row: dict, *, is_short: bool) -> str:
    fields = [code(f"{_field(each)}: {_json(each, row[each])}") for each in row if _holds(each, row[each])]
    return ", ".join(
        [f"{name} {when(row['timestamp'], is_short=is_short)}", *_arrival(row, is_short=is_short), *fields]
    )


def _setting(row: dict, *, is_short: bool, is_dated: bool) -> str:
    dated = f" set {when(row['timestamp'], is_short=is_short)}" if is_dated else ""
    return ", ".join([code(f"{row['name']}: {row['value']}") + dated, *_arrival(row, is_short=is_short)])


def _arrival(row: dict, *, is_short: bool) -> list[str]:
    arrived = [f"received {when(row['received_at'], is_short=is_short)}"] if row.get("received_at") else []
    named = [f"{each.partition('_')[0]} {row[each]}" for each in ("message_id", "source") if row.get(each)]
    return [*arrived, *named]


def _holds(column: str, value: Any) -> bool:
    return value is not None and column.startswith(("p.", "c."))


def _field(column: str) -> str:
    return column.partition(".")[2].removesuffix(":json")


def _json(column: str, value: Any) -> str:
    return value if column.endswith(":json") else json.dumps(value, ensure_ascii=False)


def when(moment: datetime, *, is_short: bool) -> str:
    return (is_short and _ago(moment)) or moment.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")


def _ago(moment: datetime) -> str | None:
    """How long ago, where that is a short number.

    >>> [_ago(AS_OF - timedelta(hours=hours)) for hours in (69.6, 1, -24, 0, 1 / 60)]
    ['2.9 days ago', '1 hour ago', 'in 1 day', 'now', None]
    """
    if moment == AS_OF:
        return "now"
    for unit, most in (("day", 365), ("hour", 48)):
        amount = (AS_OF - moment) / timedelta(**{f"{unit}s": 1})
        size = abs(amount)
        if round(size, 1) == size and 1 <= size <= most:
            length = f"{size:g} {unit}{'s' * (size != 1)}"
            return f"{length} ago" if amount > 0 else f"in {length}"
    return None


# --- what was asked, and the answer -------------------------------------------------------------------


def queries(asked: Asked) -> str:
    given = asked.given
    computed = [f"trait {key}: {code(text)}" for key, text in (given.get("computed") or {}).items()]
    asking = [code(given["text"])] if "text" in given else [f"{k}: {code(text)}" for k, text in given["texts"].items()]
    return "<br>".join([*computed, *asking])


def settings(given: Mapping[str, Any]) -> str:
    """What an example sets beside its query."""
    named = [name for name in ("include_anonymous", "wait_for_window") if given.get(name)]
    moment = [f"as of {when(given['as_of'], is_short=False)}"] if given["as_of"] != AS_OF else []
    return "".join(f"<br>{each}" for each in [*(f"with `{name}: true`" for name in named), *moment])


def answer(asked: Asked) -> str:
    people = _people(asked, list(_facts(asked.given)))
    if asked.door == "trait_values":
        return _values(asked.answer, is_alone=len(people) == 1)
    if asked.door == "members":
        return _members(asked.answer, is_alone=len(people) == 1)
    return "<br>".join(f"{key}: {_members(found, is_alone=len(people) == 1)}" for key, found in asked.answer.items())


def _values(found: dict[int, Any], *, is_alone: bool) -> str:
    if not found:
        return "no value"
    told = {profile: code(_literal(value)) for profile, value in found.items()}
    return "<br>".join(text if is_alone else f"{profile}: {text}" for profile, text in told.items())


def _members(found: list[int], *, is_alone: bool) -> str:
    if is_alone:
        return "member" if found else "not a member"
    return ", ".join(map(str, found)) or "nobody"


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_shortened(list(map(_literal, value))))}]"
    is_whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if is_whole else value, ensure_ascii=False)


def _shortened(texts: list[str]) -> list[str]:
    return texts if len(texts) <= MANY else [*texts[:2], "…", texts[-1], f"({len(texts):,} in all)"]

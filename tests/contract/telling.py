"""Fixtures as Markdown for people: what is said of whom, and what is made of answers.

No secret of a fixture is shown, though they are made up: pages are where people learn what may be shown.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl, quote

from populace.destinations.protocol import Request, Verdict
from tests.contract.conversing import ADAPTERS, FIXTURES, Played, played, readable, settings

WELL = {"delivered", "noop", "warning"}
USUAL = {"content-type", "user-agent", "accept", "content-length"}  # headers that tell nobody anything
CODES = re.compile(r"[0-9a-fA-F]{32,}")  # signatures
WIDTH = 110
MANY = 6  # elements of a list; what is longer is cut
ANSWER = 160  # characters of a body that was answered


def cases(kind: str) -> list[dict[str, Any]]:
    """The fixtures of a kind that show something, in the order of their names."""
    files = sorted(each for each in (FIXTURES / kind).glob("*.json") if each.stem != "settings")
    found = [json.loads(each.read_text(encoding="utf-8")) for each in files]
    return [each for each in found if each.get("shows")]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(head), "|---" * len(head) + "|", *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    escaped = (each.replace("|", r"\|") for each in cells)
    return f"| {' | '.join(escaped)} |"


# --- what is said -----------------------------------------------------------------------------------------


def examples(kind: str) -> str:
    """Every fixture of which all went well, form by form: its sentence, who is told of what, and the requests."""
    found = [(each, played(kind, each)) for each in cases(kind)]
    return "\n\n".join(_example(kind, case, result) for case, result in _chosen(found, ADAPTERS[kind].ABOUT.forms))


def _chosen(
    found: list[tuple[dict[str, Any], Played]], forms: Sequence[str]
) -> Iterator[tuple[dict[str, Any], Played]]:
    """Of each form in turn all that went well, or else the first in which something was said."""
    for form in forms:
        told = [each for each in found if each[1].requests and _form(each[1], forms) == form]
        yield from [each for each in told if _outcomes(each[1]) <= WELL] or told[:1]


def _form(result: Played, forms: Sequence[str]) -> str:
    """The first of the forms in which the records are."""
    return min((each["form"] for each in result.records), key=forms.index)


def _outcomes(result: Played) -> set[str]:
    return {each.outcome for each in result.verdicts.values()}


def _example(kind: str, case: Mapping[str, Any], result: Played) -> str:
    secret = _secrets(kind, case)
    told = "\n".join(_told(result.records))
    requests = [_request(each, secret) for each in result.requests]
    changed = ", ".join(f"`{name}: {each}`" for name, each in case.get("settings", {}).items() if each not in secret)
    more = f"\n\nWith {changed}." if changed else ""
    parts = [
        f"**{_sentence(case['shows'])}**{more}",
        _fenced("text", told),
        *(_fenced("http", each) for each in requests),
    ]
    return "\n\n".join(parts)


def _sentence(text: str) -> str:
    """
    >>> _sentence("all that changed is one message")
    'All that changed is one message.'
    """
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _told(records: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """A line for each person and form: `user_id ann, as property: plan = "gold", audience buyers = true`."""
    for (form, id_type, name), group in groupby(
        records, lambda each: (each["form"], each["id_type"], each["id_value"])
    ):
        about = [
            f"{'audience ' * (each['kind'] == 'audience')}{each['key']} = {each['value'] or 'null'}" for each in group
        ]
        shown = [*about[:MANY], f"… {len(about) - MANY:,} more"] if len(about) > MANY + 1 else about
        yield f"{id_type} {name}, as {form}: {', '.join(shown)}"


def _request(request: Request, secrets: Iterable[str]) -> str:
    shown = readable(request)
    headers = [f"{name}: {_code(name, each)}" for name, each in shown["headers"].items() if name.lower() not in USUAL]
    body = _body(shown["body"])
    return _hidden("\n".join([shown["request"], *headers, *(["", body] if body else [])]), secrets)


def _code(name: str, value: str) -> str:
    """The value of a header without what is signed or secret in it.

    >>> _code("Authorization", "Bearer abc"), _code("X-Signature", "0" * 40), _code("X-Api-Version", "2")
    ('Bearer …', '…', '2')
    """
    if name.lower() == "authorization":
        return f"{value.partition(' ')[0]} …"
    return CODES.sub("…", value)


def _body(body: Any) -> str:
    if isinstance(body, str):
        pairs = parse_qsl(body, keep_blank_values=True) if re.fullmatch(r"[\w.%+*~-]+=\S*", body) else []
        return "\n".join(f"{name}={value}" for name, value in pairs) or body
    return "" if body is None else pretty(body)


def pretty(value: Any, before: str = "", taken: int = 0) -> str:
    """JSON in few lines: what fits stands on one, short members of an object beside each other.

    >>> print(pretty({"a": 1, "b": 2, "c": {"d": "x" * 100}}))
    {
      "a": 1, "b": 2,
      "c": {
        "d": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
      }
    }
    """
    if isinstance(value, list) and len(value) > MANY + 1:
        value = [*value[:MANY], f"… {len(value) - MANY:,} more"]
    flat = json.dumps(value, ensure_ascii=False)
    if len(before) + taken + len(flat) <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = f"{before}  "
    if isinstance(value, list):
        lines = [pretty(each, inner) for each in value]
    else:
        named = [(f"{json.dumps(name, ensure_ascii=False)}: ", each) for name, each in value.items()]
        lines = _beside([f"{name}{pretty(each, inner, len(name))}" for name, each in named], WIDTH - len(inner))
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return "\n".join([opening, ",\n".join(f"{inner}{each}" for each in lines), f"{before}{closing}"])


def _beside(parts: Iterable[str], width: int) -> list[str]:
    """Lines of parts that fit beside each other; one of several lines stands alone."""
    lines: list[str] = []
    for part in parts:
        if lines and "\n" not in part + lines[-1] and len(lines[-1]) + len(part) + 2 <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


# --- what is made of answers ------------------------------------------------------------------------------


def answers(kind: str) -> str:
    """A row for each fixture with `responses`, or of which nothing is sent: what is answered, and what that means."""
    rows = []
    for case in cases(kind):
        result = played(kind, case)
        if (case.get("responses") or not result.requests) and not _is_plain(case, result):
            rows.append((_sentence(case["shows"]), _answered(kind, case, result), _meant(result)))
    return table(("Case", "Answer", "Outcome of the records"), rows)


def _is_plain(case: Mapping[str, Any], result: Played) -> bool:
    """Whether it is answered with nothing but a status, and means no more."""
    is_empty = not any(each.get("body") or each.get("headers") for each in case.get("responses", ()))
    return (
        is_empty and _outcomes(result) == {"delivered"} and len({each.reason for each in result.verdicts.values()}) == 1
    )


def _answered(kind: str, case: Mapping[str, Any], result: Played) -> str:
    given = case.get("responses", [])[: len(result.requests)]
    return _hidden(", then ".join(map(_response, given)) or "not sent", _secrets(kind, case))


def _response(response: Mapping[str, Any]) -> str:
    headers = [f"`{name}: {each}`" for name, each in response.get("headers", {}).items() if name.lower() not in USUAL]
    body = response.get("body", "")
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    text = f"{text[:ANSWER]}…" if len(text) > ANSWER else text
    return " ".join([str(response["status"]), *headers, *([f"`{text}`"] if text not in ("", "{}") else [])])


def _meant(result: Played) -> str:
    """Outcome and reason of the records, those of one verdict together."""
    found: dict[str, list[str]] = {}
    for at, verdict in sorted(result.verdicts.items()):
        found.setdefault(_verdict(verdict), []).append(str(at + 1))
    if len(found) == 1:
        return next(iter(found))
    return "<br>".join(f"{', '.join(numbers)}: {verdict}" for verdict, numbers in found.items())


def _verdict(verdict: Verdict) -> str:
    after = f", {verdict.after:g} seconds to wait" if verdict.after is not None else ""
    return f"`{verdict.outcome}`: {verdict.reason}{after}"


# --- what nobody should see -------------------------------------------------------------------------------


def _secrets(kind: str, case: Mapping[str, Any]) -> set[str]:
    given = {**settings(kind), **case.get("settings", {})}
    return {given[name] for name in ADAPTERS[kind].ABOUT.secret if given.get(name)}


def _hidden(text: str, secrets: Iterable[str]) -> str:
    spelled = {spelling for each in secrets for spelling in (each, quote(each, safe=""), json.dumps(each)[1:-1])}
    for each in sorted(spelled, key=len, reverse=True):
        text = text.replace(each, "…")
    return text

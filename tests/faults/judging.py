"""Whether a line or a row is a call, by the rules of 1.7 and in plain Python: the oracle of the corpus.

It shares no line with the engine. Where the two may differ, since JSON in the wild is read more or less kindly, it has
no opinion.
"""

import json
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

FIELDS = {
    "messageId": "message_id", "userId": "user_id", "anonymousId": "anonymous_id", "groupId": "group_id",
    "previousId": "previous_id", "receivedAt": "received_at", "sentAt": "sent_at",
    "originalTimestamp": "original_timestamp",
}  # fmt: skip
IDS = ("messageId", "userId", "anonymousId", "groupId", "previousId")
CALLS = ("identify", "track", "page", "screen", "group", "alias")
INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d(:?\d\d)?)")
KINDLY = re.compile(r",\s*[\]}]")  # a comma too many may be forgiven
BOUNDS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2149, 6, 7, tzinfo=UTC))
DEPTH = 20_000


class Number(str):
    """A number as it was written."""


def is_call(found: bytes | dict[str, Any]) -> bool | None:
    """Whether a line, or a row of the raw layout, must be kept; None where either will do."""
    try:
        call = _of_line(found) if isinstance(found, bytes) else _of_row(found)
    except ValueError:
        text = found.decode(errors="replace") if isinstance(found, bytes) else "".join(map(str, found.values()))
        return None if KINDLY.search(text) else False
    instants = [_instant(call.get(name)) for name in ("timestamp", "receivedAt")]
    if None in instants or instants == [True, True]:  # the path may say when it was received (E-26)
        return None
    known = [each for each in instants if isinstance(each, datetime)]
    return False not in instants and not any(_faults(call, known))


def _faults(call: dict[str, Any], known: list[datetime]) -> Iterable[bool]:
    kind = call.get("type")
    yield any(call.get(name) is not None and not isinstance(call[name], str) for name in IDS)
    yield kind == "track" and not _is_text(call.get("event"))
    yield kind in ("page", "screen") and any(
        call.get(name) is not None and not _is_text(call[name], blank=True) for name in ("name", "category")
    )
    yield not call.get("messageId") or len(str(call["messageId"])) > 100
    yield kind not in CALLS
    yield any(each < BOUNDS[0] for each in known) or (bool(known) and known[-1] >= BOUNDS[1])
    yield not any(str(call.get(name) or "").strip() for name in ("userId", "anonymousId"))
    yield kind == "group" and not str(call.get("groupId") or "").strip()
    yield len(str(call.get("groupId") or "")) > 500
    for name, most in (("properties", 300), ("traits", 299), ("context", 10**9)):
        value = call.get(name)
        yield value is not None and (not isinstance(value, dict) or len(value) > most)
    context = call.get("context")
    yield isinstance(context, dict) and _is_text(context.get("groupId"), blank=True) and not context["groupId"].strip()


def _is_text(value: Any, *, blank: bool = False) -> bool:
    return isinstance(value, str) and not isinstance(value, Number) and (blank or bool(value.strip()))


def _instant(value: Any) -> datetime | bool | None:
    """An instant; True where none is given, False where it is none, None where that is a matter of opinion."""
    if value is None or isinstance(value, datetime):
        return value is None or value
    text = value.strip() if isinstance(value, str) else ""
    if " " in text[:10] + text[11:]:  # beside digits they may be forgiven
        return None
    if not INSTANT.fullmatch(text):
        return False
    if text >= "9999-12-31":
        return None
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).upper().replace(" ", "T"))
    except ValueError:
        return False


# --- from JSON --------------------------------------------------------------------------------------


def _of_line(line: bytes) -> dict[str, Any]:
    call = _parsed(line.decode().removeprefix("\ufeff"))
    if not isinstance(call, dict):
        raise ValueError(call)
    if call.get("messageId") is None:
        call = {name: call.get(snake) if call.get(name) is None else call[name] for name, snake in FIELDS.items()} | {
            name: value for name, value in call.items() if name not in FIELDS
        }
    return call


def _of_row(row: dict[str, Any]) -> dict[str, Any]:
    objects = {name: _parsed(row[name]) for name in ("properties", "traits", "context") if row[name] is not None}
    camel = {snake: name for name, snake in FIELDS.items()}
    return {camel.get(name, name): value for name, value in row.items()} | objects


def _parsed(text: str) -> Any:
    """Strict JSON, of which the first of equal keys counts; half a pair of surrogates is no character."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(DEPTH)
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=Number, parse_float=Number, parse_constant=_refuse)
    finally:
        sys.setrecursionlimit(before)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
        texts = [name, *(each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))]
        "".join(texts).encode()  # which is a ValueError for half a pair
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)

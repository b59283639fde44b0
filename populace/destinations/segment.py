"""Segment's HTTP API, and what speaks it: RudderStack's data planes, for one (destinations.md 13).

A request is a batch of identify and track calls (`populace.destinations.calls`). Traits of one person are told in one
call, of at most 300 of them and 32 KB; memberships, and events, each in one of their own.

The calls go to a *source*. What is connected to it decides who gets them, so nothing is said of integrations unless
`integrations` names some: `{"All": false}`, as the output of a Segment space has it, would keep them from everybody.

Answers: 200 means *received*. The API says so of calls that it drops later as well, so nothing here is ever called
more than that. 400 is for what is too large or no JSON, 429 says how long to wait.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from populace.destinations import calls
from populace.destinations.protocol import (
    About,
    Answer,
    Exchange,
    Limits,
    Origin,
    Record,
    Request,
    Response,
    Settings,
    Update,
    address,
    by_status,
)

ABOUT = About(
    forms=calls.FORMS,
    required=("write_key",),
    optional=("endpoint", "integrations", "allow_private"),
    secret=frozenset({"write_key"}),
    # An identify call without either is dropped, and an address of mail is neither.
    identifies=("user_id", "anonymous_id"),
)

ENDPOINT = "https://api.segment.io/v1"
BATCH = 2_500
REQUEST_BYTES = 500_000
RATE = 1_000.0  # a second and workspace: what they ask people to stay under
LANES = 4
OPENING, CLOSING = b'{"batch":[', b"]}"
AROUND = 2_048  # bytes of a call that are not its traits: names, ids, where it comes from
EPOCH = 1_000_000_000  # a reset above this is an instant, below it a number of seconds


def account(settings: Settings) -> str:
    """The endpoint and the source; what is left of its key tells sources apart and opens none."""
    return f"{_endpoint(settings)} {hashlib.sha256(settings['write_key'].encode()).hexdigest()[:12]}"


def problems(settings: Settings) -> list[str]:
    found = address(settings, "endpoint")
    if settings.get("endpoint", "").rstrip("/").endswith("/batch"):
        found.append("'endpoint' must end before /batch, as in https://api.segment.io/v1")
    if settings.get("integrations", "").startswith("["):
        found.append("'integrations' must be names with commas between them, in quotes: \"Braze, Amplitude\"")
    return found


def limits(settings: Settings) -> Limits:
    around = len(OPENING) + len(CLOSING)
    return Limits(BATCH, REQUEST_BYTES, calls.CALL_BYTES, rates={"": RATE}, lanes=LANES, envelope=around)


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    chosen = _integrations(settings)
    for positions in together(records):
        group = [records[each] for each in positions]
        body = calls.identify(group, origin) if len(group) > 1 else calls.call(group[0], origin)
        yield Update(tuple(positions), calls.encoded({**body, **chosen}))


def together(records: Sequence[Record]) -> Iterator[list[int]]:
    """Positions of what is told in one call, in the order of the first of each."""
    for _, run in groupby(range(len(records)), key=lambda each: _person(records[each])):
        positions = list(run)
        told = [each for each in positions if _is_shared(records[each])]
        yield from _filled(told, records)
        yield from ([each] for each in positions if not _is_shared(records[each]))


def _person(record: Record) -> tuple[str, str]:
    return record["id_type"], record["id_value"]


def _is_shared(record: Record) -> bool:
    return bool(record["kind"] == "trait" and record["form"] == calls.PROPERTY)


def _filled(positions: Iterable[int], records: Sequence[Record]) -> Iterator[list[int]]:
    """Parts that fit into one call each, by count and bytes; what fits nowhere is alone."""
    part: list[int] = []
    size = AROUND
    for position in positions:
        weight = _weight(records[position])
        if part and (len(part) == calls.TRAITS or size + weight > calls.CALL_BYTES):
            yield part
            part, size = [], AROUND
        part.append(position)
        size += weight
    if part:
        yield part


def _weight(record: Record) -> int:
    """The bytes of a trait in a call, with the signs around it."""
    return len(calls.encoded({record["key"]: calls.value(record)}))


def _integrations(settings: Settings) -> dict[str, Any]:
    """Which of the source's destinations get the calls; all of them where none is named."""
    names = [each.strip() for each in settings.get("integrations", "").split(",") if each.strip()]
    return {"integrations": {"All": False, **dict.fromkeys(names, True)}} if names else {}


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    body = OPENING + b",".join(each.body for each in updates) + CLOSING
    response = yield Request("POST", f"{_endpoint(settings)}/batch", _headers(settings), body)
    return answer(response, at)


def answer(response: Response, at: int) -> Answer:
    verdict = by_status(response.status)
    if verdict.outcome == "delivered":
        return replace(verdict, reason=f"HTTP {response.status}: received")
    return replace(verdict, after=_reset(response, at)) if verdict.outcome == "throttled" else verdict


def _reset(response: Response, at: int) -> float | None:
    """Seconds until there is room again, by X-RateLimit-Reset: some count from now, some name the instant."""
    text = response.headers.get("x-ratelimit-reset", "")
    if not text.isdecimal():
        return None
    return float(max(int(text) - at, 0) if int(text) > EPOCH else int(text))


def _headers(settings: Settings) -> dict[str, str]:
    key = base64.b64encode(f"{settings['write_key']}:".encode()).decode()
    return {"Content-Type": "application/json", "User-Agent": "Populace", "Authorization": f"Basic {key}"}


def _endpoint(settings: Settings) -> str:
    return settings.get("endpoint", ENDPOINT).rstrip("/")

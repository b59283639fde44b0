"""Segment's HTTP API, and what speaks it: RudderStack's data planes, for one (destinations.md 13).

A request is a batch of identify, track and group calls (`populace.destinations.calls`). Traits of one person, or of one
account, are told in one call, of at most 300 of them and 32 KB; memberships, and events, each in one of their own.

The calls go to a *source*. What is connected to it decides who gets them, so nothing is said of integrations unless
`integrations` names some: `{"All": false}`, as the output of a Segment space has it, would keep them from everybody.

Answers: 200 means *received*. The API says so of calls that it drops later as well, so nothing here is ever called
more than that. 400 is for what is too large or no JSON, 429 says how long to wait.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from populace.destinations import calls
from populace.destinations.bodies import TYPE, basic, encoded
from populace.destinations.protocol import (
    ALLOW_PRIVATE,
    EVENT,
    About,
    Answer,
    Exchange,
    Limits,
    Origin,
    Record,
    Request,
    Response,
    Setting,
    Settings,
    Update,
    address,
    by_status,
)
from populace.destinations.together import together
from populace.destinations.waiting import asked

ABOUT = About(
    title="Segment",
    forms=calls.FORMS,
    settings=(
        Setting("write_key", "of the source", is_required=True, is_secret=True),
        Setting(
            "endpoint",
            "`https://api.segment.io/v1` by default; in Europe `https://events.eu1.segmentapis.com/v1`; a data plane's "
            "address and `/v1`",
        ),
        Setting(
            "integrations",
            "names of the source's destinations, with commas: only they get the calls. Left out, all that are "
            "connected to the source do",
        ),
        ALLOW_PRIVATE,
    ),
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
    for positions in together(records, calls.CALL_BYTES - AROUND, calls.TRAITS, _is_shared):
        body = calls.call([records[each] for each in positions], origin)
        yield Update(tuple(positions), encoded({**body, **chosen}))


def _is_shared(record: Record) -> bool:
    return bool(record["kind"] == "trait" and record["form"] != EVENT)


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
    if verdict.outcome == "throttled":
        return replace(verdict, after=asked(response, at, "x-ratelimit-reset"))
    return verdict


def _headers(settings: Settings) -> dict[str, str]:
    return {**TYPE, "Authorization": basic(settings["write_key"], "")}


def _endpoint(settings: Settings) -> str:
    return settings.get("endpoint", ENDPOINT).rstrip("/")

"""Adapters under test, the settings in their fixture folder, and conversations without a wire."""

import itertools
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from populace.destinations import HTTP
from populace.destinations.protocol import Answer, HttpAdapter, Request, Response, Update, Verdict, in_order, packed
from tests import rolodex
from tests.sent import ORIGIN, record

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
ADAPTERS: dict[str, HttpAdapter] = {**HTTP, "rolodex": rolodex}
AT = 1_700_000_000
MOST_REQUESTS = 1_000  # of one conversation
ANSWERED = {"status": 200, "body": {}}  # what is answered where a fixture does not say it

Responding = Iterator[Response]


@cache
def settings(kind: str) -> dict[str, str]:
    """Sound settings, every secret among them."""
    return json.loads((FIXTURES / kind / "settings.json").read_text())


def cases() -> list[tuple[str, Path]]:
    """Each fixture of each adapter."""
    found = [(kind, path) for kind in sorted(ADAPTERS) for path in sorted((FIXTURES / kind).glob("*.json"))]
    return [(kind, path) for kind, path in found if path.stem != "settings"]


def updates(kind: str, records: Sequence[Mapping[str, Any]], changed: Mapping[str, str] = {}) -> list[Update]:
    return list(ADAPTERS[kind].updates(records, ORIGIN, {**settings(kind), **changed}))


def batches(kind: str, records: Sequence[Mapping[str, Any]], changed: Mapping[str, str] = {}) -> list[list[Update]]:
    """Updates as they share requests."""
    limits = ADAPTERS[kind].limits({**settings(kind), **changed})
    all_of_them = updates(kind, records, changed)
    fitting = [each for each in all_of_them if len(each.body) <= limits.update_bytes and not each.problem]
    return list(packed(in_order(fitting), limits))


def conversation(
    kind: str, batch: Sequence[Update], responses: Iterator[Response], changed: Mapping[str, str] = {}
) -> tuple[list[Request], Answer]:
    """The requests of a conversation, and what it came to."""
    return led(ADAPTERS[kind].exchange(batch, {**settings(kind), **changed}, AT), responses)


def led(conversing: Generator[Request, Response, Any], responses: Iterator[Response]) -> tuple[list[Request], Any]:
    """The requests of any conversation, and what it came to."""
    requests: list[Request] = []
    try:
        requests.append(next(conversing))
        while len(requests) < MOST_REQUESTS:
            requests.append(conversing.send(next(responses)))
    except StopIteration as end:
        return requests, end.value
    raise AssertionError("the conversation does not end")


def verdicts(answer: Answer, batch: Sequence[Update]) -> list[Verdict]:
    """One for each update; a list must have as many."""
    found = [answer] * len(batch) if isinstance(answer, Verdict) else answer
    assert len(found) == len(batch)
    return found


# --- fixtures -----------------------------------------------------------------------------------------


@dataclass
class Played:
    """What became of a fixture: the records as the sender has them, all requests, and a verdict for each record."""

    records: list[dict[str, Any]]
    requests: list[Request] = field(default_factory=list)
    verdicts: dict[int, Verdict] = field(default_factory=dict)


def played(kind: str, case: Mapping[str, Any]) -> Played:
    """The conversations about the records of a fixture, one batch after the other."""
    changed = case.get("settings", {})
    responses = (_response(each) for each in itertools.chain(case.get("responses", ()), itertools.repeat(ANSWERED)))
    found = Played([_record(each) for each in case["records"]])
    for update in updates(kind, found.records, changed):
        if update.problem:
            found.verdicts |= dict.fromkeys(update.records, Verdict("invalid", update.problem))
    for batch in batches(kind, found.records, changed):
        asked, answer = conversation(kind, batch, responses, changed)
        found.requests += asked
        for update, verdict in zip(batch, verdicts(answer, batch), strict=True):
            found.verdicts |= dict.fromkeys(update.records, verdict)
    return found


def readable(request: Request) -> dict[str, Any]:
    """A request as a fixture has it: the body as JSON where it is JSON, headers as they are sent."""
    try:
        body = json.loads(request.body) if request.body else None
    except ValueError:
        body = request.body.decode()
    return {"request": f"{request.method} {request.url}", "headers": dict(request.headers), "body": body}


def _record(written: Mapping[str, Any]) -> dict[str, Any]:
    value = {"value": json.dumps(written["value"])} if written.get("value") is not None else {}
    names = {"person", "key", "value"}
    plain = {name: each for name, each in written.items() if name not in names}
    given = {name: each for name, each in written.items() if name in names} | value
    return record(**given, **plain)


def _response(written: Mapping[str, Any]) -> Response:
    body = written.get("body", "")
    return Response(
        written["status"], written.get("headers", {}), (body if isinstance(body, str) else json.dumps(body)).encode()
    )

"""Adapters under test, the settings in their fixture folder, and conversations without a wire."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from populace.destinations import HTTP
from populace.destinations.protocol import Answer, HttpAdapter, Request, Response, Update, Verdict, in_order, packed
from tests import rolodex
from tests.sent import ORIGIN

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
ADAPTERS: dict[str, HttpAdapter] = {**HTTP, "rolodex": rolodex}
AT = 1_700_000_000
MOST_REQUESTS = 1_000  # of one conversation

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

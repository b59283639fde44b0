"""Payloads as the contracts of destinations have them: records in, requests out, compared exactly.

A fixture says what it `shows`, the `records` (what is left out is as in `tests.sent.record`), the `requests` they
become, and, where they matter, other `settings`, the `responses` and the `outcomes` of the records in their order.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from populace.destinations.protocol import Request, Response
from tests.contract.conversing import ADAPTERS, FIXTURES, batches, cases, conversation, updates, verdicts
from tests.sent import record

ANSWERED = {"status": 200, "body": {}}


@pytest.mark.parametrize(("kind", "path"), cases(), ids=lambda each: each.stem if isinstance(each, Path) else each)
def test_records_become_these_requests_and_outcomes(kind: str, path: Path):
    case = json.loads(path.read_text())
    changed = case.get("settings", {})
    records = [_record(each) for each in case["records"]]
    responses = (_response(each) for each in itertools.chain(case.get("responses", ()), itertools.repeat(ANSWERED)))
    hopeless = [each for each in updates(kind, records, changed) if each.problem]
    requests, outcomes = [], {at: "invalid" for each in hopeless for at in each.records}
    for batch in batches(kind, records, changed):
        asked, answer = conversation(kind, batch, responses, changed)
        requests += [_readable(each) for each in asked]
        for update, verdict in zip(batch, verdicts(answer, batch), strict=True):
            outcomes |= dict.fromkeys(update.records, verdict.outcome)
    assert requests == case["requests"]
    if "outcomes" in case:
        assert [outcomes[at] for at in range(len(records))] == case["outcomes"]


def _record(written: dict[str, Any]) -> dict[str, Any]:
    value = {"value": json.dumps(written["value"])} if written.get("value") is not None else {}
    names = {"person", "key", "value"}
    plain = {name: each for name, each in written.items() if name not in names}
    given = {name: each for name, each in written.items() if name in names} | value
    return record(**given, **plain)


def _response(written: dict[str, Any]) -> Response:
    body = written.get("body", "")
    return Response(
        written["status"], written.get("headers", {}), (body if isinstance(body, str) else json.dumps(body)).encode()
    )


def _readable(request: Request) -> dict[str, Any]:
    """A request as a fixture has it: the body as JSON where it is JSON, headers as they are sent."""
    try:
        body = json.loads(request.body) if request.body else None
    except ValueError:
        body = request.body.decode()
    return {"request": f"{request.method} {request.url}", "headers": dict(request.headers), "body": body}


@pytest.mark.parametrize("kind", sorted(ADAPTERS))
def test_every_adapter_has_fixtures_for_each_of_its_forms(kind: str):
    shown = {
        each.get("form", "property")
        for _, path in cases()
        if path.parent.name == kind
        for each in json.loads(path.read_text())["records"]
    }
    assert shown == set(ADAPTERS[kind].ABOUT.forms)


def test_every_folder_of_fixtures_belongs_to_an_adapter():
    assert {each.name for each in FIXTURES.iterdir() if (each / "settings.json").exists()} == set(ADAPTERS)

"""Payloads as the contracts of destinations have them: records in, requests out, compared exactly.

A fixture says what it `shows`, the `records` (what is left out is as in `tests.sent.record`), the `requests` they
become, and, where they matter, other `settings`, the `responses` and the `outcomes` of the records in their order.
"""

import json
from pathlib import Path

import pytest

from tests.contract.conversing import ADAPTERS, FIXTURES, cases, played, readable


@pytest.mark.parametrize(("kind", "path"), cases(), ids=lambda each: each.stem if isinstance(each, Path) else each)
def test_records_become_these_requests_and_outcomes(kind: str, path: Path):
    case = json.loads(path.read_text())
    found = played(kind, case)
    assert [readable(each) for each in found.requests] == case["requests"]
    if "outcomes" in case:
        assert [found.verdicts[at].outcome for at in range(len(found.records))] == case["outcomes"]


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

"""Deliveries that are held: refused, paused, without a setting; and what they say of it."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.webhook import SECRET, Receiver, receiving
from populace.definitions import Destination
from populace.errors import Refused, UsageError
from populace.space import OpenSpace
from tasks.delivery import Ways, deliver, failure
from tests.deliveries import ledger, open_space, outcomes, send
from tests.hooked import USERS, hooked, sync


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def space(tmp_path: Path) -> OpenSpace:
    return hooked(tmp_path)


@pytest.mark.parametrize("status", [401, 403])
def test_access_denied_once_is_no_reason_to_stop_but_twice_is(space: OpenSpace, receiver: Receiver, status: int):
    receiver.script = [200, status, 200, status, status]
    summary = sync(space, receiver)
    assert summary["status"] == "paused"
    assert str(status) in summary["reason"]
    assert outcomes(summary) == {"delivered": 10, "refused": 20}
    assert len(receiver.requests) == 5
    ledger(space).resume()
    assert outcomes(sync(space, receiver)) == {"delivered": 20, "unchanged": 10}


@pytest.mark.parametrize("status", [404, 410, 302])
def test_refusal_holds_the_destination_after_one_request(space: OpenSpace, receiver: Receiver, status: int):
    receiver.script = [200, (status, {"Location": receiver.url})]
    summary = sync(space, receiver)
    assert (summary["status"], summary["newly_paused"]) == ("paused", True)
    assert str(status) in summary["reason"]
    assert outcomes(summary) == {"delivered": 5, "refused": 25}
    assert isinstance(failure(summary), Refused)
    assert len(receiver.requests) == 2


def test_a_refused_destination_is_paused_until_it_is_resumed(space: OpenSpace, receiver: Receiver):
    receiver.script = [200, 403, 403]
    first = sync(space, receiver)
    again = sync(space, receiver)
    assert len(receiver.requests) == 3
    assert outcomes(again) == {"refused": 25, "unchanged": 5}
    assert (again["status"], again["paused"], "newly_paused" in again) == ("paused", first["paused"], False)
    assert isinstance(failure(again), Refused)
    ledger(space).resume()
    assert outcomes(sync(space, receiver)) == {"delivered": 25, "unchanged": 5}


def test_what_a_person_paused_waits_and_is_no_failure(space: OpenSpace, receiver: Receiver):
    ledger(space).pause("their migration", "2024-03-01T00:00:00+00:00", "person")
    summary = sync(space, receiver)
    assert (summary["status"], summary["reason"]) == (
        "paused",
        "paused since 2024-03-01T00:00:00+00:00: their migration",
    )
    assert failure(summary) is None
    assert receiver.requests == []
    ledger(space).resume()
    assert outcomes(sync(space, receiver)) == {"delivered": 30}


def test_wrong_secret_is_refused_and_appears_nowhere(space: OpenSpace, receiver: Receiver, caplog: Any):
    caplog.set_level("DEBUG")
    summary = sync(space, receiver, secret={"HOOK_SECRET": "hunter2"}.get)
    assert summary["status"] == "paused"
    everything = caplog.text + json.dumps(summary) + json.dumps(ledger(space).report()) + str(failure(summary))
    assert "hunter2" not in everything
    assert all(user not in everything for user in USERS[:20])


def test_missing_variable_is_named(space: OpenSpace):
    summary = send(space, environ={})
    assert summary["status"] == "held"
    assert "HOOK_URL is not set" in summary["reason"]
    assert "hook-url" in summary["reason"]
    assert outcomes(summary) == {"refused": 30}


def test_environment_comes_before_secret_blocks_and_defaults(space: OpenSpace, receiver: Receiver):
    asked = Counter[str]()

    def secret(name: str) -> str | None:
        asked[name] += 1
        return receiver.url if name == "HOOK_URL" else None

    assert send(space, environ={"HOOK_SECRET": SECRET}, secret=secret)["status"] == "success"
    assert asked == {"HOOK_URL": 1}


def test_unknown_destination_and_missing_run_are_errors_of_use(tmp_path: Path, space: OpenSpace):
    with pytest.raises(UsageError, match="no destination 'crm' in space 'dev'; there is hook"):
        deliver(space, "crm", Ways({}))
    unpublished = open_space(tmp_path / "empty", Destination("hook", "webhook"), "plan")
    with pytest.raises(UsageError, match="no published run"):
        send(unpublished)

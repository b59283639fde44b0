"""What is told of a sync that an error ended which nobody expected: now, later, and until the next sync."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from populace.space import OpenSpace, views
from tasks import warehouse as adapter
from tasks.sync import account_of
from tests.deliveries import ledger, outcomes, publish, send
from tests.warehouses import Warehouse, delivering_to

TRAITS = {"profile_id": ["p1", "p2"], "plan": ["gold", "free"]}
WHY = (
    "the sync broke off with RuntimeError, whose message stands in the flow run; "
    "once that is mended: `populace sync dev --destination warehouse`"
)


@pytest.fixture
def space(tmp_path: Path) -> OpenSpace:
    return delivering_to(Warehouse(f"sqlite://{tmp_path}/warehouse.db"), tmp_path, "plan")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An adapter with a fault of ours."""

    def fail(_: adapter.Sender, records: pl.DataFrame) -> None:
        message = f"cannot send {records['id_value'].to_list()}"
        raise RuntimeError(message)

    with monkeypatch.context() as patched:
        patched.setattr(adapter.Sender, "send", fail)
        yield patched


def status(space: OpenSpace) -> dict[str, Any]:
    (found,) = [row for row in views.status(space) if row["about"] == "destination"]
    return found


def test_a_sync_that_broke_off_has_failed_until_the_next_one(space: OpenSpace, broken: pytest.MonkeyPatch):
    run_id = publish(space, 1, TRAITS)
    with pytest.raises(RuntimeError, match="cannot send"):
        send(space)
    for _ in range(2):
        found = status(space)
        assert (found["status"], found["reason"], found["run_id"]) == ("failed", WHY, run_id)
        assert account_of(ledger(space), is_broken=True)["reason"] == WHY
    assert not {"p1", "p2"} & {*json.dumps(ledger(space).report()).split('"')}
    assert "cannot send" not in json.dumps(ledger(space).report())
    broken.undo()
    assert outcomes(send(space)) == {"delivered": 2}
    assert status(space)["status"] == "success"
    assert "reason" not in status(space)


def test_an_error_before_anything_is_sent_is_told_as_well(space: OpenSpace):
    publish(space, 1, TRAITS)
    send(space)
    publish(space, 2, {**TRAITS, "plan": ["gold", "silver"]})
    books = ledger(space)
    held = books.acknowledged(("trait", "plan", "property"))
    books.keep(("trait", "plan", "property"), held.drop("value"))
    with pytest.raises(pl.exceptions.PolarsError):
        send(space)
    assert status(space)["status"] == "failed"
    assert "the sync broke off with ColumnNotFoundError" in status(space)["reason"]
    books.keep(("trait", "plan", "property"), held)
    assert outcomes(send(space)) == {"delivered": 1, "unchanged": 1}
    assert status(space)["status"] == "success"


def test_whoever_lost_the_turn_says_nothing_of_who_has_it(space: OpenSpace, monkeypatch: pytest.MonkeyPatch):
    publish(space, 1, TRAITS)
    books = ledger(space)

    def overtaken(*_: object) -> None:
        books.take_turn(books.turn()[0] + 1, {"host": "another", "pid": 1})
        books.write_report({"destination": "warehouse", "status": "running"})
        raise RuntimeError

    monkeypatch.setattr(adapter.Sender, "send", overtaken)
    with pytest.raises(RuntimeError):
        send(space)
    assert status(space)["status"] == "running"

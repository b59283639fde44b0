"""A destination is read back, compared with the ledger, and made equal to it again: that, and nothing else."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from populace import sync
from populace.definitions import Destination
from populace.errors import Transient, UsageError
from populace.space import OpenSpace
from tasks.delivery import Ways
from tasks.exchange import Exchange
from tasks.turns import turn
from tasks.verifying import is_equal, verify
from tests.deliveries import QUICK, acknowledged, ledger, open_space, publish, send
from tests.warehouses import Warehouse, delivering_to

EVERYBODY = [f"p{number}" for number in range(1, 6)]
PLANS = ["gold", "free", "gold", "free", None]
WAYS = Ways({}, pace=QUICK)
COUNTS = ("acknowledged", "missing", "different", "extra")


@pytest.fixture
def space(tmp_path: Path, warehouse: Warehouse) -> OpenSpace:
    opened = delivering_to(warehouse, tmp_path, "plan", "buyers")
    publish(opened, 1, {"profile_id": EVERYBODY, "plan": PLANS}, {"buyers": ["p1", "p2"]})
    assert send(opened)["status"] == "success"
    return opened


def verified(space: OpenSpace, **options: bool) -> dict:
    return verify(space, "warehouse", WAYS, **options)


def counts(found: dict) -> tuple[int, ...]:
    return tuple(found[name] for name in COUNTS)


def meddle(warehouse: Warehouse) -> None:
    """One value changed, one removed, one member removed, one added whom nobody knows, one whom we know."""
    warehouse.run(
        f"UPDATE {warehouse.users} SET plan = 'platinum' WHERE id_value = 'p1'",
        f"UPDATE {warehouse.users} SET plan = NULL WHERE id_value = 'p2'",
        f"DELETE FROM {warehouse.members} WHERE id_value = 'p2'",
        f"UPDATE {warehouse.users} SET buyers = NULL WHERE id_value = 'p2'",
        f"INSERT INTO {warehouse.members} (audience, id_type, id_value) VALUES ('buyers', 'email', 'x@y.org')",
    )


def test_an_untouched_destination_is_equal_and_nothing_is_sent(space: OpenSpace, warehouse: Warehouse):
    before = acknowledged(space)
    found = verified(space)
    assert (found["status"], counts(found)) == ("equal", (6, 0, 0, 0))
    assert [(each["kind"], each["key"], each["acknowledged"]) for each in found["computations"]] == [
        ("audience", "buyers", 2),
        ("trait", "plan", 4),
    ]
    assert "computed" not in found
    assert is_equal(found)
    assert acknowledged(space).equals(before)


def test_what_differs_is_told_and_left_alone_in_a_dry_run(space: OpenSpace, warehouse: Warehouse):
    meddle(warehouse)
    before, report = acknowledged(space), ledger(space).report()
    found = verified(space, dry_run=True)
    assert (found["status"], counts(found)) == ("differs", (6, 2, 1, 1))
    assert not is_equal(found)
    assert acknowledged(space).equals(before)
    assert ledger(space).report() == report
    assert warehouse.values("plan")["p1"] == "platinum"


def test_what_differs_is_repaired_and_only_that(space: OpenSpace, warehouse: Warehouse):
    meddle(warehouse)
    # Of a later run, and no business of this command.
    publish(space, 2, {"profile_id": EVERYBODY, "plan": [*PLANS[:4], "gold"]}, {"buyers": ["p1", "p2", "p3"]})
    found = verified(space)
    assert (found["status"], counts(found)) == ("repaired", (6, 2, 1, 1))
    assert (found["computed"], found["to_set"], found["to_remove"], found["delivered"]) == (4, 3, 1, 4)
    plans = {"p1": "gold", "p2": "free", "p3": "gold", "p4": "free"}
    assert {name: each for name, each in warehouse.values("plan").items() if each} == plans
    assert warehouse.of("buyers") == ["p1", "p2"]
    again = verified(space)
    assert (again["status"], counts(again)) == ("equal", (6, 0, 0, 0))
    assert send(space)["delivered"] == 2
    assert warehouse.of("buyers") == ["p1", "p2", "p3"]


def test_what_is_wanted_no_longer_is_not_brought_back(space: OpenSpace, warehouse: Warehouse):
    warehouse.run(f"DELETE FROM {warehouse.users} WHERE id_value = 'p4'")
    publish(space, 2, {"profile_id": EVERYBODY, "plan": [*PLANS[:3], None, None]}, {"buyers": ["p1", "p2"]})
    found = verified(space)
    assert (found["status"], found["computed"]) == ("repaired", 0)
    assert "p4" not in warehouse.values("plan")
    assert send(space)["computed"] == 5


def test_what_it_found_is_kept_beside_the_account_of_the_last_sync(space: OpenSpace, warehouse: Warehouse):
    meddle(warehouse)
    last = ledger(space).report()
    verified(space)
    told = ledger(space).report()
    assert {name: told[name] for name in told if name != "verified"} == last
    assert (told["verified"]["status"], told["verified"]["sent"]) == ("repaired", 4)
    send(space)
    assert ledger(space).report()["verified"] == told["verified"]


def test_the_brake_holds_a_repair_until_it_is_confirmed(tmp_path: Path, warehouse: Warehouse):
    everybody = [f"p{number}" for number in range(120)]
    space = delivering_to(warehouse, tmp_path, "buyers")
    publish(space, 1, members={"buyers": everybody})
    send(space)
    rows = ", ".join(f"('buyers', 'user_id', 'q{number}')" for number in range(300))
    warehouse.run(f"INSERT INTO {warehouse.members} (audience, id_type, id_value) VALUES {rows}")
    held = verified(space)
    assert (held["status"], held["refused"], held["extra"]) == ("held", 300, 300)
    assert "300 of 420 members of 'buyers' (71%) would be removed" in held["reason"]
    assert not is_equal(held)
    assert len(warehouse.of("buyers")) == 420
    # The ledger does not know them any more as it did, so they are no drift: what was found is still to be sent.
    assert send(space)["status"] == "held"
    assert send(space, confirm=True)["status"] == "success"
    assert len(warehouse.of("buyers")) == 120


def test_a_confirmed_repair_is_sent(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "buyers")
    publish(space, 1, members={"buyers": ["p1"]})
    send(space)
    rows = ", ".join(f"('buyers', 'user_id', 'q{number}')" for number in range(300))
    warehouse.run(f"INSERT INTO {warehouse.members} (audience, id_type, id_value) VALUES {rows}")
    assert verified(space, confirm=True)["status"] == "repaired"
    assert warehouse.of("buyers") == ["p1"]


def test_a_paused_destination_is_read_and_not_repaired(space: OpenSpace, warehouse: Warehouse):
    meddle(warehouse)
    ledger(space).pause("a migration", "2024-03-01T00:00:00+00:00", "person")
    found = verified(space)
    assert (found["status"], found["refused"]) == ("paused", 4)
    assert not is_equal(found)
    assert warehouse.values("plan")["p1"] == "platinum"
    ledger(space).resume()
    assert send(space)["delivered"] == 4
    assert verified(space)["status"] == "equal"


def test_a_kill_before_the_repair_leaves_it_to_the_next_sync(space: OpenSpace, warehouse: Warehouse, monkeypatch):
    meddle(warehouse)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Exchange, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        verified(space)
    monkeypatch.undo()
    assert send(space)["delivered"] == 4
    assert verified(space)["status"] == "equal"
    assert warehouse.of("buyers") == ["p1", "p2"]


def test_what_a_killed_sync_left_is_folded_before_anything_is_compared(space: OpenSpace, warehouse: Warehouse):
    """What was under way is in doubt, so it is nobody's drift, and stays what the next sync is about."""
    books = ledger(space)
    publish(space, 2, {"profile_id": EVERYBODY, "plan": ["free", *PLANS[1:]]}, {"buyers": ["p1", "p2"]})
    row = {"action": "set", "message_id": "m", "kind": "trait", "key": "plan", "form": "property"}
    row |= {"profile_id": "p1", "id_type": "user_id", "id_value": "p1", "value": '"free"'}
    books.begin(pl.DataFrame([row], schema=sync.RECORDS))
    assert verified(space, dry_run=True)["status"] == "equal"
    assert books.sending() is not None
    assert verified(space)["status"] == "equal"
    assert books.sending() is None
    assert books.waiting().get_column("message_id").to_list() == ["m"]
    assert send(space)["delivered"] == 1
    assert warehouse.values("plan")["p1"] == "free"


def test_nothing_is_compared_while_a_sync_is_under_way(space: OpenSpace, warehouse: Warehouse):
    with turn(ledger(space)), pytest.raises(Transient, match="another sync is sending"):
        verified(space)


def test_a_destination_that_cannot_be_read_is_an_error_and_stays_as_it_is(space: OpenSpace, tmp_path: Path):
    (tmp_path / "missing").mkdir()
    node = Destination("warehouse", "warehouse", (("url", f"sqlite://{tmp_path}/missing/no/warehouse.db"),))
    broken = OpenSpace(replace(space.definition, destinations=(node,)), space.lake)
    before = acknowledged(space)
    with pytest.raises(Exception, match="cannot be opened"):
        verified(broken)
    assert acknowledged(space).equals(before)
    assert "paused" not in ledger(space).state()


def test_object_storage_is_read_back_and_repaired(tmp_path: Path):
    space = open_space(
        tmp_path / "lake",
        Destination("warehouse", "object_storage", (("url", f"file://{tmp_path}/out"),)),
        "plan",
        "buyers",
    )
    publish(space, 1, {"profile_id": EVERYBODY, "plan": PLANS}, {"buyers": ["p1", "p2"]})
    assert send(space)["status"] == "success"
    assert verified(space)["status"] == "equal"
    (lost,) = tmp_path.glob("out/dev/audiences/buyers/*.parquet")
    lost.unlink()
    found = verified(space)
    assert (found["status"], counts(found)) == ("repaired", (6, 2, 0, 0))
    assert (found["to_set"], found["warning"]) == (2, 2)  # it says that a file of its own was gone
    assert verified(space)["status"] == "equal"


def test_a_kind_that_cannot_be_read_back_says_what_to_do(tmp_path: Path):
    space = open_space(tmp_path, Destination("crm", "webhook", (("url", "http://127.0.0.1:9/in"),)), "buyers")
    publish(space, 1, members={"buyers": ["p1"]})
    with pytest.raises(UsageError, match="of kind webhook, which cannot be read back; `populace sync dev --destinat"):
        verify(space, "crm", WAYS)


@pytest.mark.parametrize(("name", "told"), [("crm", "no destination 'crm'"), ("warehouse", "is disabled")])
def test_what_cannot_be_verified_is_wrong_usage(tmp_path: Path, name: str, told: str):
    node = Destination("warehouse", "warehouse", (("url", f"sqlite://{tmp_path}/w.db"),), enabled=False)
    with pytest.raises(UsageError, match=told):
        verify(open_space(tmp_path, node, "buyers"), name, WAYS)


def test_nothing_to_compare_is_not_equal_while_records_wait(tmp_path: Path):
    """Whoever watches the exit code learns that nothing arrived at all."""
    node = Destination("files", "object_storage", (("url", f"file:{tmp_path}/out"),))
    space = open_space(tmp_path / "lake", node, "plan")
    publish(space, 1, {"profile_id": EVERYBODY, "plan": PLANS})
    assert verify(space, "files", WAYS)["status"] == "equal"
    (tmp_path / "out" / "dev").mkdir(parents=True)
    (tmp_path / "out" / "dev" / "manifest.json").write_text("{broken")
    assert send(space)["status"] == "paused"
    (tmp_path / "out" / "dev" / "manifest.json").unlink()
    found = verify(space, "files", WAYS)
    assert (found["status"], is_equal(found)) == ("unread", False)
    assert found["reason"] == "nothing is acknowledged, and 4 records wait"

"""Accounts in what holds tables and files: rows and files of their own, read back and mended like those of people."""

from pathlib import Path
from typing import Any

import pytest

from populace.space import OpenSpace
from tasks.delivery import Ways
from tasks.verifying import verify
from tests.deliveries import QUICK, of_accounts, open_space, outcomes, publish, send
from tests.places import on_disk
from tests.warehouses import Warehouse, delivering_to

LINKS = [("ann", "acc_1", 1), ("bo", "acc_1", 1), ("bo", "acc_2", 2)]
PEOPLE = {"ann": "ann", "bo": "bo", "acc_1": ("group_id", "acme"), "acc_2": ("group_id", "initech")}
BOTH = ("property", "group")


@pytest.fixture
def space(tmp_path: Path, warehouse: Warehouse) -> OpenSpace:
    warehouse.settings["history"] = "true"
    return of_accounts(delivering_to(warehouse, tmp_path, "plan", "buyers"), *BOTH)


def run(space: OpenSpace, number: int, plans: list[str | None], members: list[str]) -> dict[str, Any]:
    publish(space, number, {"profile_id": ["acc_1", "acc_2"], "plan": plans}, {"buyers": members}, PEOPLE, LINKS)
    return send(space)


def checked(space: OpenSpace, **options: Any) -> dict[str, Any]:
    (node,) = space.definition.destinations
    return verify(space, node.name, Ways({}, pace=QUICK), **options)


# --- the warehouse ----------------------------------------------------------------------------------------


def test_accounts_are_rows_of_their_own_beside_their_users(space: OpenSpace, warehouse: Warehouse):
    assert outcomes(run(space, 1, ["gold", "free"], ["acc_1"])) == {"delivered": 3 + 4}
    columns = ("id", "group_id", "id_type", "id_value", "profile_id", "plan", "buyers")
    assert warehouse.rows("accounts", *columns) == [
        ("acme", "acme", "group_id", "acme", "acc_1", "gold", True),
        ("initech", "initech", "group_id", "initech", "acc_2", "free", None),
    ]
    assert warehouse.values("plan") == {"ann": "gold", "bo": "free"}
    assert warehouse.of("buyers") == ["ann", "bo"]
    calls = warehouse.rows("groups", "group_id", "user_id", "context_personas_computation_key", "plan")
    assert calls == [
        ("acme", None, "buyers", None),
        ("acme", None, "plan", "gold"),
        ("initech", None, "plan", "free"),
    ]
    assert len(warehouse.rows("identifies", "id")) == 4


def test_who_left_is_false_and_a_lost_trait_null(space: OpenSpace, warehouse: Warehouse):
    run(space, 1, ["gold", "free"], ["acc_1"])
    assert outcomes(run(space, 2, [None, "free"], [])) == {"delivered": 2 + 3, "unchanged": 2}
    assert warehouse.rows("accounts", "id", "plan", "buyers") == [("acme", None, False), ("initech", "free", None)]
    assert warehouse.values("plan") == {"ann": None, "bo": "free"}
    assert warehouse.of("buyers") == []
    assert outcomes(send(space)) == {"unchanged": 2}


def test_what_somebody_changed_of_an_account_is_found_and_mended(space: OpenSpace, warehouse: Warehouse):
    run(space, 1, ["gold", "free"], ["acc_1"])
    assert checked(space)["status"] == "equal"
    accounts = warehouse.table("accounts")
    warehouse.run(f"UPDATE {accounts} SET plan = 'silver', buyers = NULL WHERE id = 'acme'")
    warehouse.run(f"UPDATE {accounts} SET buyers = {'true' if warehouse.is_postgres else '1'} WHERE id = 'initech'")
    found = checked(space)
    assert [found[name] for name in ("status", "missing", "different", "extra")] == ["repaired", 1, 1, 1]
    assert warehouse.rows("accounts", "id", "plan", "buyers") == [("acme", "gold", True), ("initech", "free", False)]
    assert checked(space)["status"] == "equal"


def test_a_table_of_accounts_that_segment_made_is_gone_on_with(space: OpenSpace, warehouse: Warehouse):
    if warehouse.is_postgres:
        warehouse.run(f"CREATE SCHEMA {warehouse.schema}")
    accounts = warehouse.table("accounts")
    warehouse.run(
        f"CREATE TABLE {accounts} (id text, name text, received_at text, uuid_ts text)".replace(
            "received_at text, uuid_ts text",
            "received_at timestamptz, uuid_ts timestamptz" if warehouse.is_postgres else "received_at, uuid_ts",
        ),
        f"INSERT INTO {accounts} (id, name) VALUES ('acme', 'Acme, Inc.')",
    )
    run(space, 1, ["gold", "free"], ["acc_1"])
    assert warehouse.rows("accounts", "id", "group_id", "name", "plan") == [
        ("acme", "acme", "Acme, Inc.", "gold"),
        ("initech", "initech", None, "free"),
    ]


# --- object storage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_files_of_accounts_lie_beside_those_of_their_users(tmp_path: Path, form: str):
    place = on_disk(tmp_path)
    space = of_accounts(open_space(tmp_path / "lake", place.destination(format=form), "plan", "buyers"), *BOTH)
    assert outcomes(run(space, 1, ["gold", "free"], ["acc_1"])) == {"delivered": 7}
    assert states(place) == {
        ("plan", "property"): {"ann": "gold", "bo": "free"},
        ("plan", "group"): {"acme": "gold", "initech": "free"},
        ("buyers", "property"): {"ann": True, "bo": True},
        ("buyers", "group"): {"acme": True},
    }
    assert folders(place) == {"traits/plan", "audiences/buyers", "accounts/traits/plan", "accounts/audiences/buyers"}
    assert checked(space)["status"] == "equal"
    before = place.names()
    run(space, 2, [None, None], [])
    run(space, 3, ["gold", None], ["acc_2"])
    run(space, 4, ["gold", "gold"], ["acc_1"])
    assert states(place)["buyers", "group"] == {"acme": True}
    assert not set(before) & {each for each in place.names() if each.startswith(("accounts", "traits", "audiences"))}
    assert checked(space)["status"] == "equal"


def states(place: Any) -> dict[tuple[str, str], dict[str, Any]]:
    found = place.shelf.manifest["computations"]
    return {(each["key"], each["form"]): place.shelf._state(each) for each in found}


def folders(place: Any) -> set[str]:
    files = [file["path"] for each in place.shelf.manifest["computations"] for file in each["files"]]
    return {each.rpartition("/")[0] for each in files}

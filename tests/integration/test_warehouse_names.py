"""Traits and audiences that are called like what the tables use themselves, synced, read back and taken away again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from populace.definitions import RESERVED, Audience, Trait
from populace.destinations.warehouse import tables
from populace.nodes import Event, Exists, Last, Property
from populace.space import OpenSpace
from tasks.delivery import Ways
from tasks.verifying import verify
from tests.deliveries import QUICK, of_accounts, open_space, publish, send
from tests.places import on_disk
from tests.warehouses import Warehouse, delivering_to

LINKS = [("ann", "acc_1", 1), ("bo", "acc_2", 1)]
PEOPLE = {"ann": "ann", "bo": "bo", "acc_1": ("group_id", "acme"), "acc_2": ("group_id", "initech")}
FORMS = ("property", "event", "group")

TAKEN = (
    "action", "anonymous_id", "at", "context_personas_computation_key", "form", "group_id", "id", "id_type", "id_value",
    "key", "message_id", "received_at", "timestamp", "user_id", "value",
)  # fmt: skip
# Alike in the 63 bytes that PostgreSQL reads of a name, and like ours with as many underscores.
LONG = ["long_" + "x" * 60 + end for end in ("a", "b")] + ["id" + "_" * 62, "id" + "_" * 63]
TOGETHER = ["id", "id_", "id_type", "id_value", "id_value_", "value", "timestamp", "ctid", "xmin", "xmin_", *LONG]


@pytest.fixture
def sqlite(tmp_path: Path) -> Warehouse:
    return Warehouse(f"sqlite://{tmp_path}/warehouse.db", settings={"history": "true"})


def called(space: OpenSpace, forms: tuple[str, ...], traits: list[str], audiences: list[str]) -> OpenSpace:
    """The space with definitions of accounts of these names, told of accounts and of their users."""
    definition = replace(
        space.definition,
        traits=tuple(Trait(each, Last(Event("E"), Property("x"))) for each in traits),
        audiences=tuple(Audience(each, Exists(Property("x"))) for each in audiences),
    )
    return of_accounts(replace(space, definition=definition), *forms)


def synced(space: OpenSpace, number: int, traits: dict[str, list], members: dict[str, list[str]]) -> None:
    """Publish values of both accounts, and sync; what is there then is what was acknowledged."""
    publish(space, number, {"profile_id": ["acc_1", "acc_2"], **traits}, members, PEOPLE, LINKS)
    assert send(space, confirm=True)["status"] == "success"
    (node,) = space.definition.destinations
    assert verify(space, node.name, Ways({}, pace=QUICK), dry_run=True)["status"] == "equal"


def held(warehouse: Warehouse, key: str) -> list[Any]:
    """What ann, bo and their accounts have."""
    people = warehouse.rows("users", "id_value", tables.USERS.column(key))
    accounts = warehouse.rows("accounts", "id_value", tables.ACCOUNTS.column(key))
    return [value for _, value in (*people, *accounts)]


@pytest.mark.parametrize("name", [*TAKEN, *LONG[1:3]])
def test_a_trait_may_be_called_like_what_the_tables_use(tmp_path: Path, sqlite: Warehouse, name: str):
    before = delivering_to(sqlite, tmp_path)
    space = called(before, FORMS, [name], [])
    synced(space, 1, {name: ["gold", "free"]}, {})
    assert held(sqlite, name) == ["gold", "free"] * 2
    synced(space, 2, {name: ["gold", "silver"]}, {})
    assert held(sqlite, name) == ["gold", "silver"] * 2
    synced(called(before, FORMS, ["plan"], []), 3, {"plan": ["gold", "silver"]}, {})
    assert (held(sqlite, name), held(sqlite, "plan")) == ([None] * 4, ["gold", "silver"] * 2)


@pytest.mark.parametrize("name", ["id_type", "id_value", "key", "profile_id", "received_at", LONG[1]])
def test_an_audience_may_be_called_like_what_the_tables_use(tmp_path: Path, sqlite: Warehouse, name: str):
    before = delivering_to(sqlite, tmp_path)
    space = called(before, FORMS, [], [name])
    synced(space, 1, {}, {name: ["acc_1", "acc_2"]})
    assert (held(sqlite, name), sqlite.of(name)) == ([True] * 4, ["ann", "bo"])
    synced(space, 2, {}, {name: ["acc_2"]})
    assert (held(sqlite, name), sqlite.of(name)) == ([False, True] * 2, ["bo"])
    synced(called(before, FORMS, [], []), 3, {}, {})
    assert (held(sqlite, name), sqlite.of(name)) == ([False] * 4, [])


def test_names_that_are_alike_stand_beside_each_other(tmp_path: Path, warehouse: Warehouse):
    warehouse.settings["history"] = "true"
    before = delivering_to(warehouse, tmp_path)
    space = called(before, FORMS, TOGETHER, [])
    for number, said in enumerate(("gold", "silver"), start=1):
        synced(space, number, {name: [f"{said} {name}", f"no {name}"] for name in TOGETHER}, {})
        expected = {name: [f"{said} {name}", f"no {name}"] * 2 for name in TOGETHER}
        assert {name: held(warehouse, name) for name in TOGETHER} == expected
    synced(called(before, FORMS, [], []), 3, {}, {})
    assert {name: held(warehouse, name) for name in TOGETHER} == {name: [None] * 4 for name in TOGETHER}


@pytest.mark.parametrize(("form", "ann", "bo"), [("property", "ann", "bo"), ("group", "acme", "initech")])
def test_files_may_be_called_like_what_they_use(tmp_path: Path, form: str, ann: str, bo: str):
    place = on_disk(tmp_path)
    before = open_space(tmp_path / "lake", place.destination(format="csv"))
    traits, audiences = [*TAKEN, *LONG], [f"{name}_" for name in ("id_type", "value", *RESERVED)]
    space = called(before, (form,), traits, audiences)
    for number, member in enumerate(("acc_1", "acc_2"), start=1):
        values = {name: [f"{number} {name}", None] for name in traits}
        synced(space, number, values, {name: [member] for name in audiences})
        inside = {bo if member == "acc_2" else ann: True}
        assert place.shelf.states() == {
            **{name: {ann: f"{number} {name}"} for name in traits},
            **dict.fromkeys(audiences, inside),
        }
    synced(called(before, (form,), [], []), 3, {}, {})
    assert place.shelf.states() == {name: {} for name in (*traits, *audiences)}

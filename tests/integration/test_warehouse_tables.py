"""Which tables and columns a delivery leaves: Segment's names, so that queries move over (destinations.md 14, D-37)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from populace.destinations import warehouse as adapter
from tests.deliveries import outcomes, publish, send
from tests.warehouses import Warehouse, database, delivering_to, records, tell

PEOPLE = {"p1": "u1", "p2": ("email", "bo@x.org")}
FIRST = {"profile_id": ["p1", "p2"], "plan": ["gold", None], "order_count": [1, 2]}


def instants(warehouse: Warehouse, table: str, *columns: str) -> list[tuple]:
    """Rows of a table whose instants, columns in -at and -ts and timestamps, are told as days."""
    is_instant = [each.endswith(("_at", "_ts", "timestamp")) for each in columns]
    return [
        tuple(str(value)[:10] if value and when else value for value, when in zip(row, is_instant, strict=True))
        for row in warehouse.rows(table, *columns)
    ]


@pytest.fixture
def engage(warehouse: Warehouse) -> Iterator[Warehouse]:
    """A warehouse whose schema was Segment's before."""
    there = Warehouse(warehouse.url, "engage_dev", {"schema": "engage_dev"})
    yield from database(there) if there.is_postgres else [there]


# --- what people are now --------------------------------------------------------------------------------------------


def test_users_have_segments_columns(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "plan", "order_count", "buyers")
    publish(space, 1, FIRST, {"buyers": ["p1"]}, PEOPLE)
    send(space)
    publish(space, 2, {**FIRST, "order_count": [1, 3]}, {"buyers": ["p1"]}, PEOPLE)
    send(space)
    # Who did not change keeps the instant of the run that told of them last.
    assert instants(warehouse, "users", "id", "user_id", "id_type", "received_at", "uuid_ts") == [
        ("bo@x.org", None, "email", "2024-03-02", "2024-03-02"),
        ("u1", "u1", "user_id", "2024-03-01", "2024-03-01"),
    ]


def test_memberships_tell_when_people_came_and_went(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "buyers")
    everybody = {**PEOPLE, "p3": "u3"}
    for number, members in enumerate((["p1", "p2"], ["p2", "p3"], ["p1", "p3"]), start=1):
        publish(space, number, None, {"buyers": members}, everybody)
        send(space)
    assert instants(warehouse, "audience_members", "id_value", "user_id", "entered_run", "entered_at") == [
        ("u1", "u1", "run-3", "2024-03-03"),
        ("u3", "u3", "run-2", "2024-03-02"),
    ]
    assert instants(warehouse, "audience_memberships", "id_value", "profile_id", "entered_at", "exited_at") == [
        ("bo@x.org", "p2", "2024-03-01", "2024-03-03"),
        ("u1", "p1", "2024-03-01", "2024-03-02"),
        ("u1", "p1", "2024-03-03", None),
        ("u3", "p3", "2024-03-02", None),
    ]


def test_an_exit_that_is_told_twice_is_one(warehouse: Warehouse):
    tell(warehouse, 1, records("property", ("set", "buyers", "u1", "true")))
    for _ in range(2):
        assert tell(warehouse, 2, records("property", ("exit", "buyers", "u1", "false"))) == ["delivered"]
    assert warehouse.rows("audience_past_members", "id_value", "entered_run", "exited_run") == [
        ("u1", "run-1", "run-2")
    ]
    assert warehouse.of("buyers") == []


def test_a_key_that_is_also_a_column_has_a_column_of_its_own(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "id", "id_", "user_id", forms=("property", "event"))
    publish(space, 1, {"profile_id": ["p1"], "id": ["a"], "id_": ["b"], "user_id": ["c"]}, people={"p1": "u1"})
    assert outcomes(send(space)) == {"delivered": 6}
    assert warehouse.rows("users", "id", "id_", "id__", "user_id", "user_id_") == [("u1", "a", "b", "u1", "c")]
    assert len(warehouse.rows("trait_computed", "id", "id_", "id__", "user_id_")) == 3


def test_a_trait_that_became_an_audience_of_that_name_is_told_as_it_is_now(tmp_path: Path, warehouse: Warehouse):
    trait = delivering_to(warehouse, tmp_path, "vip")
    publish(trait, 1, {"profile_id": ["p1"], "vip": ["very"]})
    send(trait)
    audience = delivering_to(warehouse, tmp_path, "vips")
    (definition,) = audience.definition.audiences
    audience = replace(audience, definition=replace(audience.definition, audiences=(replace(definition, key="vip"),)))
    publish(audience, 2, None, {"vip": ["p1"]})
    assert outcomes(send(audience)) == {"delivered": 2}
    assert [str(value) for value in warehouse.values("vip").values()] == ["true" if warehouse.is_postgres else "1"]


# --- what was told ----------------------------------------------------------------------------------------------------


def test_history_keeps_every_call_once(warehouse: Warehouse):
    warehouse.settings["history"] = "true"
    first = (("set", "plan", "u1", '"gold"'), ("set", "ltv", "u2", "1.5"), ("set", "buyers", "u1", "true"))
    second = (("set", "plan", "u1", '"free"'), ("unset", "ltv", "u2", None), ("exit", "buyers", "u1", "false"))
    for number, told in ((1, first), (2, second), (2, second)):
        assert tell(warehouse, number, records("property", *told)) == ["delivered"] * 3
    key = "context_personas_computation_key"
    assert instants(warehouse, "identifies", key, "user_id", "plan", "run_id", "timestamp", "received_at") == [
        ("buyers", "u1", None, "run-1", "2024-03-01", "2024-03-01"),
        ("buyers", "u1", None, "run-2", "2024-03-02", "2024-03-02"),
        ("ltv", "u2", None, "run-1", "2024-03-01", "2024-03-01"),
        ("ltv", "u2", None, "run-2", "2024-03-02", "2024-03-02"),
        ("plan", "u1", "free", "run-2", "2024-03-02", "2024-03-02"),
        ("plan", "u1", "gold", "run-1", "2024-03-01", "2024-03-01"),
    ]
    members = warehouse.rows("identifies", "run_id", "context_personas_computation_class", "buyers")
    assert [bool(row[2]) for row in members if row[1] == "audience"] == [True, False]
    assert warehouse.values("plan") == {"u1": "free", "u2": None}


def test_without_history_there_is_none(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "plan")
    publish(space, 1, FIRST, people=PEOPLE)
    send(space)
    with pytest.raises(Exception, match="identifies"):
        warehouse.rows("identifies", "id")


def test_events_are_appended_once(warehouse: Warehouse):
    first = (("set", "plan", "u1", '"gold"'), ("set", "ltv", "u2", "1.5"), ("set", "buyers", "u1", "true"))
    second = (("set", "plan", "u1", '"free"'), ("unset", "ltv", "u2", None), ("exit", "buyers", "u1", "false"))
    for number, told in ((1, first), (2, second), (2, second)):
        assert tell(warehouse, number, records("event", *told)) == ["delivered"] * 3
    yes, no = (True, False) if warehouse.is_postgres else (1, 0)
    said = ("user_id", "event", "event_text", "audience_key", "buyers", "timestamp")
    assert instants(warehouse, "audience_entered", *said) == [
        ("u1", "audience_entered", "Audience Entered", "buyers", yes, "2024-03-01")
    ]
    assert instants(warehouse, "audience_exited", *said) == [
        ("u1", "audience_exited", "Audience Exited", "buyers", no, "2024-03-02")
    ]
    computed = warehouse.rows("trait_computed", "event_text", "trait_key", "user_id", "plan", "ltv")
    assert [(*row[:4], row[4] and float(row[4])) for row in computed] == [
        ("Trait Computed", "ltv", "u2", None, 1.5),
        ("Trait Computed", "ltv", "u2", None, None),
        ("Trait Computed", "plan", "u1", "free", None),
        ("Trait Computed", "plan", "u1", "gold", None),
    ]
    with pytest.raises(Exception, match="users"):
        warehouse.rows("users", "id")


def test_an_events_column_changes_its_type_with_the_trait(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "plan", forms=("event",))
    for number, value in enumerate((10, "ten", None), start=1):
        publish(space, number, {"profile_id": ["p1"], "plan": [value]})
        assert send(space)["status"] == "success"
    assert {str(row[0]) for row in warehouse.rows("trait_computed", "plan")} == {"10", "ten", "None"}


# --- taking over ------------------------------------------------------------------------------------------------------


def test_segments_schema_is_taken_over(tmp_path: Path, engage: Warehouse):
    if engage.is_postgres:
        engage.run("CREATE SCHEMA engage_dev")
    entered = engage.table("audience_entered")
    engage.run(
        f"CREATE TABLE {engage.users} (id varchar PRIMARY KEY, user_id varchar, received_at timestamp, plan varchar,"
        " order_count bigint, email varchar)",
        f"INSERT INTO {engage.users} VALUES ('u1', 'u1', '2023-01-01', 'old', 5, 'a@x.org')",
        f"INSERT INTO {engage.users} VALUES ('u9', 'u9', '2023-01-01', 'left', 7, 'z@x.org')",
        f"CREATE TABLE {entered} (id varchar PRIMARY KEY, user_id varchar, audience_key varchar, received_at date)",
        f"INSERT INTO {entered} VALUES ('m1', 'u1', 'buyers', '2023-01-01')",
    )
    space = delivering_to(engage, tmp_path, "plan", "order_count", "buyers", forms=("property", "event"))
    publish(space, 1, FIRST, {"buyers": ["p1"]}, PEOPLE)
    assert send(space)["status"] == "success"
    found = engage.rows("users", "id", "id_type", "user_id", "plan", "order_count", "email")
    assert [(row[0], row[1], row[2], row[3], str(row[4]), row[5]) for row in found] == [
        ("bo@x.org", "email", None, None, "2", None),
        ("u1", "user_id", "u1", "gold", "1", "a@x.org"),
        ("u9", "user_id", "u9", "left", "7", "z@x.org"),
    ]
    assert len(engage.rows("audience_entered", "id", "user_id", "buyers")) == 2
    publish(space, 2, FIRST, {"buyers": ["p1", "p2"]}, PEOPLE)
    assert outcomes(send(space)) == {"delivered": 2, "unchanged": 8}


def test_tables_of_an_earlier_version_get_what_they_lack(tmp_path: Path, warehouse: Warehouse):
    if warehouse.is_postgres:
        warehouse.run("CREATE SCHEMA populace_dev")
    who = "id_type text NOT NULL, id_value text NOT NULL, profile_id text"
    warehouse.run(
        f"CREATE TABLE {warehouse.users} ({who}, plan text, PRIMARY KEY (id_type, id_value))",
        f"INSERT INTO {warehouse.users} VALUES ('user_id', 'u1', 'p1', 'old'), ('email', 'a@x.org', 'p5', 'x')",
        f"CREATE TABLE {warehouse.members} (audience text, {who}, entered_run text,"
        " PRIMARY KEY (audience, id_type, id_value))",
        f"INSERT INTO {warehouse.members} VALUES ('buyers', 'user_id', 'u1', 'p1', 'run-0')",
    )
    space = delivering_to(warehouse, tmp_path, "plan", "buyers")
    publish(space, 1, FIRST, {"buyers": ["p1"]}, PEOPLE)
    assert send(space)["status"] == "success"
    assert warehouse.rows("users", "id", "user_id", "plan") == [("a@x.org", None, "x"), ("u1", "u1", "gold")]
    assert warehouse.rows("audience_members", "user_id", "entered_run") == [("u1", "run-0")]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"history": "maybe"}, "'history' must be true or false"),
        ({"profiles": "yes"}, "'profiles' must be true or false"),
        ({"schema": "pg_users"}, "'schema' must be a name"),
        ({"schema": "x" * 64}, "'schema' must be a name"),
        ({"schema": ""}, "'schema' must be a name"),
        ({"schema": "populace_prod"}, "'schema' must be a name"),
        ({"url": "mysql://x/y"}, "'url' must be"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_named(settings: dict[str, str], problem: str):
    (found,) = adapter.problems({"url": "sqlite:w.db", **settings})
    assert found.startswith(problem)


def test_settings_that_are_filled_in_later_pass():
    assert adapter.problems({"url": "${URL}", "history": "${H}", "profiles": "${P}", "schema": "engage_${S}"}) == []


def test_two_schemas_of_one_database_are_two_accounts():
    url = "postgresql://me:hunter2@db/shop"
    found = [adapter.account({"url": url, **each}) for each in ({}, {"schema": "a"}, {"schema": "b"}, {"schema": "a"})]
    assert len(set(found)) == 3
    assert "hunter2" not in "".join(found)

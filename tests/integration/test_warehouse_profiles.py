"""The tables of Profiles Sync mirror a run: who people are, and what is known of them (Segment 2.12)."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from populace.errors import Refused, Transient
from tests.warehouses import Warehouse

INSTANT = pl.Datetime("us", "UTC")
NOON = datetime(2024, 1, 1, 12, 0, 0, 123456, UTC)
LATER = datetime(2024, 2, 1, tzinfo=UTC)
SCHEMAS: dict[str, dict[str, Any]] = {
    "profiles": {"profile_id": pl.String, "collection": pl.String, "created_at": INSTANT},
    "merges": {"profile_id": pl.String, "canonical_id": pl.String, "merged_at": INSTANT, "message_id": pl.String},
    "retired": {"profile_id": pl.String, "successor": pl.String},
    "external_ids": {
        **dict.fromkeys(("profile_id", "collection", "id_type", "id_value", "raw_value"), pl.String),
        "added_at": INSTANT,
        **dict.fromkeys(("message_id", "source"), pl.String),
    },
    "custom_traits": {
        **dict.fromkeys(("profile_id", "name", "value"), pl.String),
        "updated_at": INSTANT,
        "source": pl.String,
    },
    "memberships": {"audience": pl.String, "profile_id": pl.String, "entered_at": INSTANT},
}
FIRST: dict[str, Any] = {
    "profiles": [("use_1", "users", NOON), ("use_2", "users", NOON), ("acc_1", "accounts", NOON)],
    "external_ids": [
        ("use_1", "users", "user_id", "u1", None, NOON, "m1", "web"),
        ("use_1", "users", "email", "a@x.org", "A@x.org", LATER, "m2", "web"),
        ("use_2", "users", "anonymous_id", "b", None, NOON, "m3", "web"),
        ("acc_1", "accounts", "group_id", "g1", None, NOON, "m4", "web"),
    ],
    "custom_traits": [
        ("use_1", "name", '"An\\u00e9 \\"x\\""', NOON, "web"),
        ("use_1", "age", "42", NOON, "web"),
        ("use_1", "tags", '["a","b"]', LATER, "web"),
        ("use_1", "ltv", "7", NOON, "web"),
        ("use_2", "ltv", "8", NOON, "web"),
        ("acc_1", "name", '"Inc"', NOON, "web"),
    ],
    "memberships": [("buyers", "use_1", NOON)],
    "traits": {"profile_id": ["use_1", "use_2"], "ltv": [10.0, None], "plan": ["gold", "true"], "paid": [True, None]},
}


def run(**changed: Any) -> dict[str, pl.LazyFrame]:
    """The tables of a run: the first one's, but for those given."""
    given = {**FIRST, **changed}
    tables = {name: pl.LazyFrame(given.get(name, []), schema=schema, orient="row") for name, schema in SCHEMAS.items()}
    return {**tables, "traits": pl.LazyFrame(given["traits"])}


def mirror(warehouse: Warehouse, number: int = 1, **changed: Any) -> dict[str, tuple[int, int, int]]:
    """Mirror the run of that day; of each table (rows, written, removed)."""
    warehouse.settings["profiles"] = "true"
    with warehouse.sender(f"run-{number}", f"2024-03-{number:02d}T00:00:00Z") as sender:
        tables = run(**changed)
        assert set(sender.mirrored) == set(tables)
        return {name: (each["rows"], each["written"], each["removed"]) for name, each in sender.mirror(tables).items()}


def traits(warehouse: Warehouse) -> list[tuple]:
    return warehouse.rows("user_traits", "canonical_segment_id", "name", "value")


def days(warehouse: Warehouse, table: str, *columns: str) -> list[tuple]:
    """Rows, their instants as days."""
    instants = ("received_at", "timestamp", "uuid_ts")
    found = warehouse.rows(table, *columns, *instants)
    return [(*row[:-3], *(str(each)[:10] for each in row[-3:])) for row in found]


def test_first_mirror_holds_the_run(warehouse: Warehouse):
    assert mirror(warehouse) == {
        "user_traits": (9, 9, 0),
        "user_identifiers": (3, 3, 0),
        "profile_merges": (2, 2, 0),
    }
    assert traits(warehouse) == [
        ("use_1", "age", "42"),
        ("use_1", "buyers", "true"),
        ("use_1", "ltv", "10"),
        ("use_1", "name", 'Ané "x"'),
        ("use_1", "paid", "true"),
        ("use_1", "plan", "gold"),
        ("use_1", "tags", '["a","b"]'),
        ("use_2", "ltv", "8"),
        ("use_2", "plan", "true"),
    ]
    assert days(warehouse, "user_identifiers", "canonical_segment_id", "type", "value") == [
        ("use_1", "email", "a@x.org", "2024-02-01", "2024-02-01", "2024-03-01"),
        ("use_1", "user_id", "u1", "2024-01-01", "2024-01-01", "2024-03-01"),
        ("use_2", "anonymous_id", "b", "2024-01-01", "2024-01-01", "2024-03-01"),
    ]
    assert warehouse.rows("user_identifiers", "value", "seq")[2][1] == 1704110400123456
    assert days(warehouse, "profile_merges", "canonical_segment_id", "segment_id")[0][:4] == (
        "use_1",
        "use_1",
        "2024-01-01",
        "2024-01-01",
    )


def test_accounts_are_not_among_people(warehouse: Warehouse):
    """2.12 has tables of users alone: values, members and merges of accounts stand beside theirs in a run."""
    plain = mirror(warehouse)
    found = mirror(
        warehouse,
        2,
        traits={
            "profile_id": ["use_1", "use_2", "acc_1"],
            "ltv": [10.0, None, None],
            "plan": ["gold", "true", None],
            "paid": [True, None, None],
            # A person's own trait of the name of a trait of accounts stays theirs.
            "age": [None, None, "7"],
        },
        memberships=[*FIRST["memberships"], ("larges", "acc_1", NOON)],
        merges=[("acc_0", "acc_1", LATER, "m9")],
        retired=[("acc_9", "acc_1")],
    )
    assert found == {name: (rows, 0, 0) for name, (rows, _, _) in plain.items()}


def test_the_same_run_is_mirrored_once(warehouse: Warehouse):
    first = mirror(warehouse)
    assert mirror(warehouse) == {name: (rows, 0, 0) for name, (rows, _, _) in first.items()}


def test_an_equal_run_writes_nothing_and_keeps_the_instants(warehouse: Warehouse):
    mirror(warehouse)
    before = warehouse.run(f"SELECT * FROM {warehouse.table('user_traits')} ORDER BY 1, 2")
    assert mirror(warehouse, 2) == {
        "user_traits": (9, 0, 0),
        "user_identifiers": (3, 0, 0),
        "profile_merges": (2, 0, 0),
    }
    assert warehouse.run(f"SELECT * FROM {warehouse.table('user_traits')} ORDER BY 1, 2") == before


def test_what_differs_is_written_and_what_is_gone_is_removed(warehouse: Warehouse):
    mirror(warehouse)
    found = mirror(
        warehouse,
        2,
        profiles=[("use_1", "users", NOON), ("acc_1", "accounts", NOON)],
        merges=[("use_2", "use_1", LATER, "m9")],
        retired=[("use_2", "use_1"), ("use_0", "use_1"), ("use_x", None)],
        external_ids=[(("use_1" if row[0] == "use_2" else row[0]), *row[1:]) for row in FIRST["external_ids"]],
        traits={"profile_id": ["use_1"], "ltv": [11.5], "plan": ["gold"], "paid": [None]},
        memberships=[],
    )
    # ltv differs; paid and buyers are gone, and all of use_2, whose identifier is use_1's now.
    assert found == {"user_traits": (5, 1, 4), "user_identifiers": (3, 1, 1), "profile_merges": (3, 2, 0)}
    assert days(warehouse, "user_traits", "name", "value") == [
        ("age", "42", "2024-01-01", "2024-01-01", "2024-03-01"),
        ("ltv", "11.5", "2024-03-02", "2024-03-02", "2024-03-02"),
        ("name", 'Ané "x"', "2024-01-01", "2024-01-01", "2024-03-01"),
        ("plan", "gold", "2024-03-01", "2024-03-01", "2024-03-01"),
        ("tags", '["a","b"]', "2024-02-01", "2024-02-01", "2024-03-01"),
    ]
    assert days(warehouse, "profile_merges", "segment_id", "canonical_segment_id") == [
        ("use_0", "use_1", "2024-03-02", "2024-03-02", "2024-03-02"),
        ("use_1", "use_1", "2024-01-01", "2024-01-01", "2024-03-01"),
        ("use_2", "use_1", "2024-02-01", "2024-02-01", "2024-03-02"),
    ]


def test_what_people_changed_by_hand_is_mended(warehouse: Warehouse):
    mirror(warehouse)
    before = traits(warehouse)
    table = warehouse.table("user_traits")
    warehouse.run(f"DELETE FROM {table} WHERE name = 'age'", f"UPDATE {table} SET value = 'lead' WHERE name = 'plan'")
    warehouse.run(f"INSERT INTO {table} (canonical_segment_id, name, value) VALUES ('use_1', 'x', 'y')")
    assert mirror(warehouse, 2)["user_traits"] == (9, 3, 1)
    assert traits(warehouse) == before


def test_views_are_what_customers_build(warehouse: Warehouse):
    mirror(warehouse, merges=[("use_9", "use_1", LATER, "m9")])
    assert warehouse.rows("id_graph", "segment_id", "canonical_segment_id") == [
        ("use_1", "use_1"),
        ("use_2", "use_2"),
        ("use_9", "use_1"),
    ]
    query = f"SELECT external_id_type FROM {warehouse.table('external_id_mapping')} WHERE external_id_value = 'u1'"
    assert warehouse.run(query) == [("user_id",)]


def test_a_run_without_anybody_leaves_empty_tables(warehouse: Warehouse):
    empty = {"traits": {"profile_id": []}, **{name: [] for name in SCHEMAS}}
    assert set(mirror(warehouse, **empty).values()) == {(0, 0, 0)}
    assert traits(warehouse) == []
    mirror(warehouse, 2)
    assert set(mirror(warehouse, 3, **empty).values()) == {(0, 0, 9), (0, 0, 3), (0, 0, 2)}


def test_a_value_that_postgresql_cannot_hold_does_not_stop_the_others(warehouse: Warehouse):
    mirror(warehouse, custom_traits=[("use_1", "odd", '"a\\u0000b"', NOON, "web")])
    replaced = "a\ufffdb" if warehouse.is_postgres else "a\0b"
    assert ("use_1", "odd", replaced) in traits(warehouse)


def test_a_dropped_table_is_made_again(warehouse: Warehouse):
    mirror(warehouse)
    warehouse.run(f"DROP TABLE {warehouse.table('user_traits')}")
    assert mirror(warehouse)["user_traits"] == (9, 9, 0)


def test_a_table_that_is_not_ours_is_left_alone(warehouse: Warehouse):
    if warehouse.is_postgres:
        warehouse.run(f"CREATE SCHEMA {warehouse.schema}")
    table = warehouse.table("user_identifiers")
    warehouse.run(f"CREATE TABLE {table} (type text)", f"INSERT INTO {table} VALUES ('theirs')")
    with pytest.raises(Refused, match="user_identifiers that is not ours"):
        mirror(warehouse)
    assert warehouse.rows("user_identifiers", "type") == [("theirs",)]
    assert len(traits(warehouse)) == 9


def test_without_the_setting_nothing_is_mirrored(warehouse: Warehouse):
    with warehouse.sender() as sender:
        assert sender.mirrored == ()
        assert sender.mirror(run()) == {}


def test_a_database_that_cannot_be_reached_is_an_error_with_its_reason():
    unreachable = Warehouse("postgresql://me:hunter2@127.0.0.1:1/shop", settings={"profiles": "true"})
    with unreachable.sender() as sender, pytest.raises(Transient, match="cannot be reached"):
        sender.mirror(run())


def test_a_lost_table_of_the_lake_undoes_what_was_begun(warehouse: Warehouse):
    mirror(warehouse)
    warehouse.settings["profiles"] = "true"
    lost = run() | {"custom_traits": pl.scan_parquet("/nowhere/custom_traits.parquet")}
    with warehouse.sender("run-2") as sender:
        with pytest.raises(Exception, match="nowhere"):
            sender.mirror(lost)
        assert sender.mirror(run())["user_traits"] == {"rows": 9, "written": 0, "removed": 0}

"""What is read back of a warehouse, also when people worked in it: the basis of finding out where it differs."""

from pathlib import Path

import polars as pl
import pytest

from populace.errors import Refused, Transient
from populace.space import OpenSpace
from tests.deliveries import acknowledged, publish, send
from tests.warehouses import Warehouse, delivering_to

KEY = ["kind", "key", "form", "id_type", "id_value"]
KEYS = ("plan", "ltv", "active", "tags_seen", "big", "order_count", "buyers", "vips")
FIRST = {
    "profile_id": ["p1", "p2", "p3"],
    "plan": ["gold", 'it\'s "é"\n\t\\', None],
    "ltv": [1e-7, 0.1, 12345.678],
    "active": [True, False, None],
    "tags_seen": [["a", "é"], [], None],
    "big": [2**62, -(2**62), 0],
    "order_count": [1, 2, None],
}


@pytest.fixture
def space(tmp_path: Path, warehouse: Warehouse) -> OpenSpace:
    opened = delivering_to(warehouse, tmp_path, *KEYS)
    publish(opened, 1, FIRST, {"buyers": ["p1", "p3"], "vips": ["p1"]})
    send(opened)
    return opened


def difference(space: OpenSpace, warehouse: Warehouse) -> list[tuple]:
    """Where what is held differs from what was acknowledged: (key, id_value, acknowledged, held)."""
    expected = acknowledged(space)
    with warehouse.sender() as sender:
        held = sender.held(expected)
    assert held.columns == [*KEY, "value"]
    assert not held.select(KEY).is_duplicated().any()
    both = expected.select(*KEY, "value").join(held, on=KEY, how="full", coalesce=True)
    both = both.filter(pl.col("value").ne_missing(pl.col("value_right")))
    return sorted(both.select("key", "id_value", "value", "value_right").rows(), key=str)


def test_untouched_warehouse_holds_what_was_acknowledged(space: OpenSpace, warehouse: Warehouse):
    assert acknowledged(space).height > 10
    assert difference(space, warehouse) == []


def test_values_edited_by_hand_are_seen(space: OpenSpace, warehouse: Warehouse):
    warehouse.run(
        f"UPDATE {warehouse.users} SET plan = 'say \"hi\"', ltv = 7, active = false WHERE id_value = 'p1'",
        f"UPDATE {warehouse.users} SET plan = NULL, order_count = 3 WHERE id_value = 'p2'",
        f"UPDATE {warehouse.users} SET plan = 'new' WHERE id_value = 'p3'",
    )
    held_active = "false" if warehouse.is_postgres else "0"
    assert difference(space, warehouse) == [
        ("active", "p1", "true", held_active),
        ("ltv", "p1", "1e-7", "7"),
        ("order_count", "p2", "2", "3"),
        ("plan", "p1", '"gold"', '"say \\"hi\\""'),
        ("plan", "p2", '"it\'s \\"é\\"\\n\\t\\\\"', None),
        ("plan", "p3", None, '"new"'),
    ]


def test_deleted_rows_are_seen(space: OpenSpace, warehouse: Warehouse):
    warehouse.run(f"DELETE FROM {warehouse.users} WHERE id_value = 'p3'")
    assert difference(space, warehouse) == [
        ("big", "p3", "0", None),
        # In the table of members still: half of what was told.
        ("buyers", "p3", "true", "false"),
        ("ltv", "p3", "12345.678", None),
    ]


def test_members_who_came_and_went_by_hand_are_seen(space: OpenSpace, warehouse: Warehouse):
    warehouse.run(
        f"DELETE FROM {warehouse.members} WHERE id_value = 'p3'",
        f"INSERT INTO {warehouse.members} (audience, id_type, id_value) VALUES ('buyers', 'email', 'x@y.org')",
        f"UPDATE {warehouse.users} SET vips = true WHERE id_value = 'p2'",
        f"UPDATE {warehouse.users} SET vips = false WHERE id_value = 'p1'",
    )
    assert difference(space, warehouse) == [
        ("buyers", "p3", "true", "false"),
        ("buyers", "x@y.org", None, "true"),
        ("vips", "p1", "true", "false"),
        ("vips", "p2", None, "true"),
    ]


def test_former_members_and_lost_values_are_not_held(space: OpenSpace, warehouse: Warehouse):
    before = acknowledged(space)
    publish(space, 2, {**FIRST, "plan": [None, "gold", None]}, {"buyers": ["p3"]})
    send(space)
    assert difference(space, warehouse) == []
    with warehouse.sender() as sender:
        held = sender.held(before)
    assert held.filter(pl.col("key").is_in(["plan", "buyers", "vips"])).select("key", "id_value").sort(
        "key"
    ).rows() == [
        ("buyers", "p3"),
        ("plan", "p2"),
    ]


def test_a_value_is_held_however_its_column_is_typed(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "plan")
    publish(space, 1, {"profile_id": ["p1", "p2"], "plan": [10, 7]})
    send(space)
    publish(space, 2, {"profile_id": ["p1", "p2"], "plan": ["ten", "7"]})
    send(space)
    assert difference(space, warehouse) == []


def test_columns_that_people_gave_other_types_are_read(tmp_path: Path, postgres: Warehouse):
    space = delivering_to(postgres, tmp_path, "ltv", "seen_at")
    publish(space, 1, {"profile_id": ["p1"], "ltv": [0.1], "seen_at": ["2024-03-01T12:00:00Z"]})
    send(space)
    alter = f"ALTER TABLE {postgres.users} ALTER COLUMN"
    postgres.run(f"{alter} ltv TYPE double precision", f"{alter} seen_at TYPE timestamptz USING seen_at::timestamptz")
    assert difference(space, postgres) == []
    postgres.run(f"UPDATE {postgres.users} SET seen_at = seen_at + interval '1 second'")
    assert [row[:3] for row in difference(space, postgres)] == [("seen_at", "p1", '"2024-03-01T12:00:00Z"')]


def test_missing_column_or_table_holds_nothing(space: OpenSpace, warehouse: Warehouse):
    expected = acknowledged(space)
    warehouse.run(f"ALTER TABLE {warehouse.users} DROP COLUMN plan")
    assert {row[0] for row in difference(space, warehouse)} == {"plan"}
    warehouse.run(f"DROP TABLE {warehouse.users}")
    warehouse.run(f"DROP TABLE {warehouse.members}" + (" CASCADE" if warehouse.is_postgres else ""))
    with warehouse.sender() as sender:
        assert sender.held(expected).is_empty()
    assert send(space, resync=True)["status"] == "success"
    assert difference(space, warehouse) == []


def test_events_hold_what_was_told_last(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "plan", "ltv", "buyers", forms=("event",))
    publish(space, 1, {"profile_id": ["p1", "p2"], "plan": ["gold", "free"], "ltv": [0.5, 1]}, {"buyers": ["p1", "p2"]})
    send(space)
    assert difference(space, warehouse) == []
    publish(space, 2, {"profile_id": ["p1", "p2"], "plan": ["free", None], "ltv": [0.5, 1]}, {"buyers": ["p2"]})
    send(space)
    assert len(acknowledged(space)) == 4
    assert difference(space, warehouse) == []
    publish(space, 3, {"profile_id": ["p1", "p2"], "plan": ["free", None], "ltv": [0.5, 1]}, {"buyers": ["p1", "p2"]})
    send(space)
    assert difference(space, warehouse) == []
    computed, entered = warehouse.table("trait_computed"), warehouse.table("audience_entered")
    warehouse.run(f"DELETE FROM {computed} WHERE plan = 'free' AND run_id = 'run-2'")
    warehouse.run(f"DELETE FROM {entered} WHERE run_id = 'run-3'")
    warehouse.run(f"DELETE FROM {computed} WHERE trait_key = 'ltv' AND id_value = 'p2'")
    assert difference(space, warehouse) == [
        ("buyers", "p1", "true", None),
        ("ltv", "p2", "1", None),
        ("plan", "p1", '"free"', '"gold"'),
    ]


def test_of_events_of_one_instant_the_acknowledged_one_is_held(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "plan", "buyers", forms=("event",))
    publish(space, 1, {"profile_id": ["p1", "p2"], "plan": ["gold", "gold"]}, {"buyers": ["p1", "p2"]})
    send(space)
    publish(space, 2, {"profile_id": ["p1", "p2"], "plan": ["free", None]}, {"buyers": ["p2"]})
    send(space)
    first = f'(SELECT min("timestamp") FROM {warehouse.table("audience_entered")})'
    for table in ("trait_computed", "audience_entered", "audience_exited"):
        warehouse.run(f'UPDATE {warehouse.table(table)} SET "timestamp" = {first}')
    assert difference(space, warehouse) == []


def test_both_forms_are_read_apart(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "plan", "buyers", forms=("property", "event"))
    publish(space, 1, {"profile_id": ["p1"], "plan": ["gold"]}, {"buyers": ["p1"]})
    send(space)
    assert acknowledged(space).height == 4
    assert difference(space, warehouse) == []
    warehouse.run(f"UPDATE {warehouse.users} SET plan = 'free'")
    assert [row[0] for row in difference(space, warehouse)] == ["plan"]


def test_reading_changes_nothing_and_may_be_repeated(space: OpenSpace, warehouse: Warehouse):
    before = warehouse.run(f"SELECT * FROM {warehouse.users} ORDER BY id_value")
    with warehouse.sender() as sender:
        first, again = (sender.held(acknowledged(space)).sort(KEY) for _ in range(2))
        assert first.height == acknowledged(space).height
        assert first.equals(again)
        assert sender.held(acknowledged(space).clear()).is_empty()
    assert warehouse.run(f"SELECT * FROM {warehouse.users} ORDER BY id_value") == before


def test_database_that_cannot_be_read_is_an_error_with_its_reason(postgres_url: str, tmp_path: Path):
    nothing = pl.DataFrame(schema=dict.fromkeys([*KEY, "profile_id", "value"], pl.String))
    with (
        Warehouse("postgresql://me:hunter2@127.0.0.1:1/shop").sender() as sender,
        pytest.raises(Transient, match="cannot be reached"),
    ):
        sender.held(nothing)
    (tmp_path / "text.db").write_text("this is no database\n" * 100)
    with (
        Warehouse(f"sqlite://{tmp_path}/text.db").sender() as sender,
        pytest.raises(Refused, match="not an SQLite database"),
    ):
        sender.held(nothing)

"""The queries of docs/destinations/warehouse.md run, on both databases; its tables have the columns that it lists."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from populace import loading
from populace.destinations.warehouse import profiles, tables
from tests.integration.test_warehouse_profiles import mirror
from tests.warehouses import Warehouse, records, tell

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/destinations/warehouse.md").read_text()
QUERIES = [
    each.strip()
    for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    for each in block.split(";")
    if each.strip()
]
COUNTS = re.findall(r"`(SELECT count[^`]*)`", PAGE)


@pytest.fixture
def filled(warehouse: Warehouse) -> Iterator[Warehouse]:
    """The documents' audience and trait, two people, a profile, and tables of one's own."""
    told = [("set", "total_revenue", each, "12.5") for each in ("u1", "u2")]
    frame = records("property", *told, ("set", "new_users_7_days", "u1", "true"), ("set", "vips", "u1", "true"))
    tell(warehouse, 1, frame)
    mirror(warehouse)
    warehouse.run("CREATE TABLE orders (order_id text, user_id text)", "INSERT INTO orders VALUES ('o1', 'u1')")
    warehouse.run("CREATE TABLE events (event text, segment_id text)", "INSERT INTO events VALUES ('e', 'use_1')")
    yield warehouse
    warehouse.run("DROP TABLE orders", "DROP TABLE events")


def test_queries_run_and_find_somebody(filled: Warehouse):
    assert len(QUERIES) >= 7
    for query in [*QUERIES, *COUNTS]:
        text = query.replace("populace_prod.", filled.table("")).replace("ann@example.com", "a@x.org")
        assert filled.run(text), query
    assert {filled.run(each.replace("populace_prod.", filled.table("")))[0][0] for each in COUNTS} == {1}


def test_the_entry_is_a_destination_and_takes_both_forms(tmp_path: Path):
    shutil.copytree(ROOT / "definitions", tmp_path, dirs_exist_ok=True)
    (entry,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    _, _, others = (tmp_path / "dev/destinations.yaml").read_text().partition("\namplitude:")
    (tmp_path / "dev/destinations.yaml").write_text(f"{entry}\namplitude:{others}")
    audiences = (tmp_path / "dev/audiences.yaml").read_text()
    both = audiences.replace("destinations: [warehouse]", "destinations: [warehouse, {warehouse: event}]", 1)
    (tmp_path / "dev/audiences.yaml").write_text(both)
    found = loading.load("dev", tmp_path, {"WAREHOUSE_URL": "sqlite:w.db"})
    (warehouse,) = (each for each in found.destinations if each.name == "warehouse")
    assert warehouse.options["history"] == warehouse.options["profiles"] == "false"
    assert warehouse.bounds.records_per_request == 10_000
    ways = [way for each in found.audiences for way in each.deliveries if way.destination == "warehouse"]
    forms = {way.form or "property" for way in ways}
    assert forms == {"property", "event"}


def test_tables_have_the_columns_that_are_listed():
    listed = re.findall(
        r"^\| (`[a-z_`, ]+) \| (.*) \|$", PAGE.partition("### Columns")[2].partition("\n* ")[0], re.MULTILINE
    )
    found: dict[str, set[str]] = {}
    for names, columns in listed:
        own = set(re.findall(r"`([a-z_]+)`", columns))
        for name in re.findall(r"`([a-z_]+)`", names):
            found[name] = own
    calls = found["identifies"] - {"trait", "audience"}
    found |= {"identifies": calls, "audience_past_members": found["audience_past_members"] | found["audience_members"]}
    for name in ("audience_entered", "audience_exited", "trait_computed", "groups"):
        found[name] = found[name] - {"identifies"} | calls
    assert found.pop("populace_mirrored") == set()
    expected = {**tables.TABLES, **{each.table.name: each.table for each in profiles.MIRRORS}}
    assert found == {name: set(each.columns) for name, each in expected.items()}

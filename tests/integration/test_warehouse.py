"""What the warehouse holds after deliveries, read back from real databases: SQLite and PostgreSQL."""

import socket
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from populace.destinations.warehouse import batches, failures, tables
from populace.errors import Refused, Transient
from populace.space import OpenSpace
from tasks.delivery import failure
from tasks.sending import Pace
from tests.deliveries import ledger, outcomes, publish, send
from tests.warehouses import Warehouse, delivering_to, records

IMPATIENT = Pace(window=0.3, first=0.01, longest=0.05, timeout=2.0)


@pytest.fixture
def space(tmp_path: Path, warehouse: Warehouse) -> OpenSpace:
    return delivering_to(warehouse, tmp_path, "plan", "ltv", "active", "tags_seen", "order_count", "buyers", "vips")


FIRST = {
    "profile_id": ["p1", "p2", "p3"],
    "plan": ["gold", 'it\'s "é"', None],
    "ltv": [10.0, 0.1, None],
    "active": [True, False, None],
    "tags_seen": [["a", "b"], [], None],
    "order_count": [1, 2, None],
}


# --- what is written --------------------------------------------------------------------------


def test_first_sync_writes_a_row_for_each_person_with_typed_columns(space: OpenSpace, warehouse: Warehouse):
    publish(space, 1, FIRST, {"buyers": ["p1", "p3"], "vips": ["p1"]})
    assert outcomes(send(space)) == {"delivered": 13}
    assert warehouse.values("plan") == {"p1": "gold", "p2": 'it\'s "é"', "p3": None}
    assert {key: float(value) for key, value in warehouse.values("ltv").items() if value} == {"p1": 10, "p2": 0.1}
    assert warehouse.values("active") == {"p1": True, "p2": False, "p3": None}
    assert warehouse.values("tags_seen") == {"p1": '["a","b"]', "p2": "[]", "p3": None}
    assert warehouse.values("buyers") == {"p1": True, "p2": None, "p3": True}
    assert warehouse.of("buyers") == ["p1", "p3"]
    rows = warehouse.run(f"SELECT audience, id_type, id_value, profile_id, entered_run FROM {warehouse.members}")
    assert ("vips", "user_id", "p1", "p1", "run-1") in rows


def test_second_sync_sends_nothing(space: OpenSpace, warehouse: Warehouse):
    publish(space, 1, FIRST, {"buyers": ["p1"]})
    send(space)
    before = warehouse.run(f"SELECT * FROM {warehouse.users} ORDER BY id_value")
    assert outcomes(send(space)) == {"unchanged": 11 + 1 - 1}
    assert warehouse.run(f"SELECT * FROM {warehouse.users} ORDER BY id_value") == before


def test_unset_is_null_and_exit_is_false_and_no_member(space: OpenSpace, warehouse: Warehouse):
    publish(space, 1, FIRST, {"buyers": ["p1", "p2"]})
    send(space)
    gone = {**FIRST, "plan": [None, "free", None], "order_count": [None, None, None]}
    publish(space, 2, gone, {"buyers": ["p2", "p3"]})
    summary = send(space)
    assert summary["status"] == "success"
    assert warehouse.values("plan") == {"p1": None, "p2": "free", "p3": None}
    assert warehouse.values("buyers") == {"p1": False, "p2": True, "p3": True}
    assert warehouse.of("buyers") == ["p2", "p3"]
    assert {key: str(value) for key, value in warehouse.values("order_count").items()} == {
        "p1": "0",
        "p2": "0",
        "p3": "None",
    }


def test_changed_identifier_moves_the_person(space: OpenSpace, warehouse: Warehouse):
    publish(space, 1, FIRST, {"buyers": ["p1"]}, {"p1": ("email", "ann@x.org")})
    send(space)
    publish(space, 2, FIRST, {"buyers": ["p1"]}, {"p1": "ann"})
    send(space)
    assert warehouse.values("plan") == {"ann@x.org": None, "ann": "gold"}
    assert warehouse.of("buyers") == ["ann"]


def test_merged_profile_is_followed(space: OpenSpace, warehouse: Warehouse):
    publish(space, 1, FIRST, {"buyers": ["p1"]})
    send(space)
    merged = {**FIRST, "profile_id": ["p9", "p2", "p3"]}
    publish(space, 2, merged, {"buyers": ["p9"]}, {"p9": "p1", "p2": "p2", "p3": "p3"})
    assert outcomes(send(space))["delivered"] == 6
    rows = warehouse.run(f"SELECT profile_id, entered_run FROM {warehouse.members}")
    assert rows == [("p9", "run-1")]


def test_new_keys_add_columns_and_removed_ones_stay(tmp_path: Path, warehouse: Warehouse):
    few, more = (delivering_to(warehouse, tmp_path, *keys) for keys in (["plan"], ["ltv", "profile_id", "select"]))
    publish(few, 1, FIRST)
    send(few)
    odd = {"profile_id": ["p1"], "ltv": [1.5], "select": ["x"]}
    publish(more, 2, odd)
    assert send(more)["status"] == "success"
    assert warehouse.values("plan") == {"p1": None, "p2": None}
    assert warehouse.values("select")["p1"] == "x"


# --- awkward values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([10, 7], ["ten", "seven"], ["ten", "seven"]),
        ([True, False], ["yes", "no"], ["yes", "no"]),
        ([10, 7], [True, False], ["true", "false"]),
        (["10", "x"], [10, 7], ["10", "7"]),
        ([10, 7], [10.5, 7.25], ["10.5", "7.25"]),
        ([1, 2], [2**62, -(2**62)], [str(2**62), str(-(2**62))]),
        (["a", "b"], [["a"], ["b"]], ['["a"]', '["b"]']),
    ],
    ids=["number to text", "boolean to text", "number to boolean", "text to number", "to decimal", "large", "to list"],
)
def test_a_trait_that_changes_its_type_changes_its_column(
    tmp_path: Path, warehouse: Warehouse, before: list, after: list, expected: list[str]
):
    space = delivering_to(warehouse, tmp_path, "plan")
    publish(space, 1, {"profile_id": ["p1", "p2"], "plan": before})
    send(space)
    publish(space, 2, {"profile_id": ["p1", "p2"], "plan": after})
    assert send(space)["status"] == "success"
    found = warehouse.values("plan")
    if not warehouse.is_postgres:
        found = {key: {0: "false", 1: "true"}.get(value, value) for key, value in found.items()}
    assert [str(found[key]) for key in ("p1", "p2")] == expected


def test_values_that_the_old_type_kept_survive_the_change(tmp_path: Path, warehouse: Warehouse):
    space = delivering_to(warehouse, tmp_path, "plan")
    publish(space, 1, {"profile_id": ["p1", "p2"], "plan": ["10", "20"]})
    send(space)
    publish(space, 2, {"profile_id": ["p1", "p2"], "plan": ["10", "x'); DROP TABLE users; --"]})
    send(space)
    assert {key: str(value) for key, value in warehouse.values("plan").items()} == {
        "p1": "10",
        "p2": "x'); DROP TABLE users; --",
    }


def test_a_value_postgresql_cannot_hold_is_found_and_parked(tmp_path: Path, postgres: Warehouse):
    space = delivering_to(postgres, tmp_path, "plan")
    people = [f"p{each}" for each in range(50)]
    publish(space, 1, {"profile_id": people, "plan": ["a\0b" if each == "p31" else "ok" for each in people]})
    assert outcomes(send(space)) == {"delivered": 49, "invalid": 1}
    (letter,) = ledger(space).letters().select("id_value", "reason").rows()
    assert letter[0] == "p31"
    assert "22P05" in letter[1]
    assert postgres.values("plan") == {each: "ok" for each in people if each != "p31"}
    assert outcomes(send(space)) == {"unchanged": 49, "invalid": 1}


def test_a_column_that_a_view_holds_fast_does_not_stop_the_others(tmp_path: Path, postgres: Warehouse):
    space = delivering_to(postgres, tmp_path, "plan")
    publish(space, 1, {"profile_id": ["p1", "p2"], "plan": [1, 2]})
    send(space)
    postgres.run("CREATE VIEW populace_dev.report AS SELECT plan FROM populace_dev.users")
    publish(space, 2, {"profile_id": ["p1", "p2"], "plan": ["x", "3"]})
    # "3" is text too, so neither fits: each is named, none is lost.
    assert outcomes(send(space)) == {"invalid": 2}
    assert set(ledger(space).letters()["id_value"]) == {"p1", "p2"}


# --- failures ---------------------------------------------------------------------------------


def test_wrong_user_holds_the_destination_and_shows_no_password(tmp_path: Path, postgres_url: str):
    address = urlsplit(postgres_url).netloc.rpartition("@")[2]
    url = f"postgresql://nobody:hunter2@{address}/postgres"
    space = delivering_to(Warehouse(url), tmp_path, "plan")
    publish(space, 1, FIRST)
    summary = send(space)
    assert summary["status"] == "paused"
    assert isinstance(failure(summary), Refused)
    assert "hunter2" not in f"{summary} {failure(summary)} {ledger(space).report()}"


def test_database_that_cannot_be_reached_waits(tmp_path: Path):
    space = delivering_to(Warehouse("postgresql://me:hunter2@127.0.0.1:1/shop"), tmp_path, "plan")
    publish(space, 1, FIRST)
    summary = send(space, pace=IMPATIENT)
    assert outcomes(summary) == {"transient": 2}
    assert summary["reason"] == "cannot be reached"
    assert "hunter2" not in str(failure(summary))


def test_bounds_say_how_long_to_insist_and_nothing_else_waits(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/shop"
        warehouse = Warehouse(url, settings={"profiles": "true"})
        told = records("property", *(("set", "plan", f"u{each}", "1") for each in range(50)))
        start = time.monotonic()
        bounds = {"patience": timedelta(seconds=0.1), "timeout": timedelta(seconds=2), "records_per_request": 5}
        with warehouse.sender(**bounds) as sender:
            verdicts = [each for _, found in sender.send(told) for each in found]
            assert {(each.outcome, each.reason) for each in verdicts} == {("transient", "cannot be reached")}
            for asked in (lambda: sender.held(told), lambda: sender.mirror({})):
                with pytest.raises(Transient, match="cannot be reached"):
                    asked()
        assert 1.5 < time.monotonic() - start < 4


def test_bounds_say_how_many_records_a_transaction_has(warehouse: Warehouse):
    told = records("property", *(("set", "plan", f"u{each}", "1") for each in range(12)))
    with warehouse.sender(records_per_request=5) as sender:
        assert [len(positions) for positions, _ in sender.send(told)] == [5, 5, 2]
    assert len(warehouse.values("plan")) == 12


def test_a_lock_that_somebody_holds_is_waited_for_as_long_as_patience_allows(postgres: Warehouse):
    from adbc_driver_postgresql import dbapi

    told = records("property", ("set", "plan", "u1", "1"))
    with dbapi.connect(postgres.url) as other, other.cursor() as cursor:
        cursor.execute(str(batches.lock_statement(tables.place("dev", tables.POSTGRESQL))))
        assert cursor.fetchall() == [(1,)]
        with postgres.sender(patience=timedelta(seconds=0.5)) as sender:
            ((_, (verdict,)),) = sender.send(told)
        assert (verdict.outcome, "55P03" in verdict.reason) == ("transient", True)
        other.rollback()
        with postgres.sender() as sender:
            ((_, (verdict,)),) = sender.send(told)
        assert verdict.outcome == "delivered"


def test_two_writers_at_once_make_the_tables_once(warehouse: Warehouse):
    def write(key: str) -> list[str]:
        rows = (("set", f"{key}_{number}", f"u{each}", "1") for number in range(5) for each in range(100))
        with warehouse.sender(records_per_request=50) as sender:
            return [each.outcome for _, found in sender.send(records("property", *rows)) for each in found]

    with ThreadPoolExecutor() as threads:
        assert [set(each) for each in threads.map(write, ["plan", "level", "tier"])] == [{"delivered"}] * 3
    columns = (f"{key}_{each}" for key in ("plan", "level", "tier") for each in range(5))
    assert [set(map(str, row)) for row in warehouse.rows("users", *columns)] == [{"1"}] * 100


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        *((each, "transient") for each in ("08006", "08P01", "53100", "53300", "57P01", "57P03", "40001", "40P01")),
        *((each, "transient") for each in ("55P03", "57014")),
        *((each, "refused") for each in ("28P01", "28000", "3D000", "42501", "25006", "57P04")),
        *((each, "invalid") for each in ("22003", "22P02", "22P05", "23505", "42804", "42P10", "0A000", "54011")),
        ("XX000", "unknown"),
    ],
)
def test_states_of_sql_have_the_outcomes_of_the_reference(state: str, outcome: str):
    found, reason = failures.meaning(state, "a message with data")
    assert (found, state in reason, "data" in reason.replace("database", "")) == (outcome, True, False)


def test_file_that_cannot_be_opened_holds_the_destination(tmp_path: Path):
    missing = delivering_to(Warehouse(f"sqlite://{tmp_path}/nowhere/w.db"), tmp_path, "plan")
    publish(missing, 1, FIRST)
    assert send(missing)["status"] == "paused"
    (tmp_path / "text.db").write_text("this is no database\n" * 100)
    broken = delivering_to(Warehouse(f"sqlite://{tmp_path}/text.db"), tmp_path / "b", "plan")
    publish(broken, 1, FIRST)
    summary = send(broken)
    assert summary["status"] == "paused"
    assert "not an SQLite database" in summary["reason"]


def test_relative_path_starts_at_the_base(tmp_path: Path):
    space = delivering_to(Warehouse("sqlite:w.db"), tmp_path, "plan")
    publish(space, 1, FIRST)
    assert send(space, base=tmp_path)["status"] == "success"
    assert (tmp_path / "w.db").is_file()


def test_another_writer_is_waited_for(tmp_path: Path):
    file = tmp_path / "warehouse.db"
    hold = (
        "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('create table t(a)'); c.execute('begin exclusive'); print(flush=True); time.sleep(1)"
    )
    space = delivering_to(Warehouse(f"sqlite://{file}"), tmp_path, "plan")
    publish(space, 1, FIRST)
    with subprocess.Popen([sys.executable, "-c", hold, str(file)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert send(space)["status"] == "success"


def test_a_connection_that_breaks_is_opened_again(tmp_path: Path, postgres: Warehouse):
    def interrupt(done: int, due: int) -> None:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND"
        postgres.run(f"{others} backend_type = 'client backend'")

    space = delivering_to(postgres, tmp_path, "plan")
    publish(space, 1, {"profile_id": [f"p{each}" for each in range(25_000)], "plan": ["x"] * 25_000})
    assert outcomes(send(space, progress=interrupt)) == {"delivered": 25_000}
    assert len(postgres.values("plan")) == 25_000


def test_an_identifier_postgresql_cannot_hold_is_found_and_parked(tmp_path: Path, postgres: Warehouse):
    space = delivering_to(postgres, tmp_path, "plan")
    publish(space, 1, FIRST, people={"p1": "a\0b", "p2": "bo"})
    assert outcomes(send(space)) == {"delivered": 1, "invalid": 1}


def test_a_kill_in_a_transaction_leaves_nothing_half_done(tmp_path: Path, warehouse: Warehouse):
    class Killed(BaseException):
        pass

    def kill(done: int, due: int) -> None:
        raise Killed

    space = delivering_to(warehouse, tmp_path, "plan")
    publish(space, 1, {"profile_id": [f"p{each}" for each in range(500)], "plan": ["x"] * 500})
    with pytest.raises(Killed):
        send(space, progress=kill)
    assert outcomes(send(space)) == {"delivered": 500}
    assert warehouse.values("plan") == {f"p{each}": "x" for each in range(500)}


def test_a_hundred_thousand_records(tmp_path: Path, warehouse: Warehouse):
    keys = [f"trait_{each}" for each in range(4)]
    space = delivering_to(warehouse, tmp_path, *keys, "buyers")
    people = [f"user-{uuid.uuid5(uuid.NAMESPACE_URL, str(each))}" for each in range(20_000)]
    publish(space, 1, {"profile_id": people, **{key: ["gold"] * 20_000 for key in keys}}, {"buyers": people})
    start = time.monotonic()
    assert outcomes(send(space)) == {"delivered": 100_000}
    assert time.monotonic() - start < 30
    assert len(warehouse.of("buyers")) == 20_000

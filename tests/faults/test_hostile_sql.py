"""No statement of an SQL trait writes, leaves its database, or runs for ever; and if one layer errs, the next holds."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest

from populace import sql
from populace.errors import PopulaceError, StatementError
from populace.sql import lake, postgresql
from tasks import databases
from tests.faults.hostile_sql import ON_POSTGRESQL, OVER_THE_LAKE, PLACES_ON_POSTGRESQL, PLACES_OVER_THE_LAKE
from tests.warehouses import Warehouse

pytestmark = pytest.mark.faults
AS_OF = datetime(2024, 3, 1, tzinfo=UTC)
CANARY = "canary@example.com"  # in the rows that may be read, and must not be told
STRANGER = "stranger@example.com"  # in those that may not be read
LIMITS = {"timeout": timedelta(seconds=1), "most_rows": 1_000, "most_columns": 25}
PATIENT = LIMITS | {"timeout": timedelta(seconds=30)}  # for statements that end, on a machine that is busy
ENDLESS = "took longer than"

hidden_frame = pl.DataFrame({"user_id": [STRANGER]})  # a scan of variables would find it


def names(corpus: list[tuple[str, str]]) -> list[str]:
    return [statement[:60].replace("\n", " ").replace("\0", "") or "nothing" for statement, _ in corpus]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of somebody else."""
    found = tmp_path / "others"
    found.mkdir()
    (found / "secret.csv").write_text(f"a,b\n{STRANGER},1\n")
    pl.DataFrame({"user_id": [STRANGER]}).write_parquet(found / "other_space.parquet")
    return found


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into" / "answer.parquet"


def state_of(folder: Path) -> dict[str, str]:
    files = (each for each in folder.rglob("*") if each.is_file())
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


@pytest.mark.parametrize("place", PLACES_ON_POSTGRESQL)
def test_a_function_is_found_wherever_it_stands(place: str):
    assert any("pg_sleep()" in each for each in sql.reasons(place.replace("{it}", "pg_sleep(1)"), "postgresql"))
    assert ("", "remember") in postgresql.uses(place.replace("{it}", "remember()")).functions


@pytest.mark.parametrize("place", PLACES_OVER_THE_LAKE)
def test_chance_is_found_wherever_it_stands(place: str):
    assert any("md5()" in each for each in sql.reasons(place.replace("{it}", "random()"), "lake"))


# --- PostgreSQL -----------------------------------------------------------------------------------------------------

# The role may do all that a role can be allowed without being mighty, so what stops a statement is not its rights.
PREPARED = """
    CREATE TABLE customers (id int PRIMARY KEY, email text, plan text)
    INSERT INTO customers VALUES (1, 'canary@example.com', 'pro'), (2, 'b@example.com', 'free')
    CREATE TABLE hidden (secret text)
    CREATE TABLE diary (at timestamptz DEFAULT now())
    CREATE SEQUENCE numbers
    CREATE FUNCTION remember() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$INSERT INTO diary DEFAULT VALUES RETURNING 1$$
    CREATE FUNCTION touched(customers) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT remember()'
    CREATE FUNCTION of_two(int, int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT remember()'
    CREATE OPERATOR @@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = of_two)
    CREATE VIEW remembering AS SELECT remember() AS remembered
    CREATE FUNCTION pretending() RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN INSERT INTO diary DEFAULT VALUES; RETURN 1; END$$
    CREATE FUNCTION telling(t text) RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN RAISE EXCEPTION 'not %', t; END$$
    CREATE PROCEDURE forget() LANGUAGE sql AS 'DELETE FROM customers'
    CREATE ROLE reader LOGIN PASSWORD 'hunter2'
    GRANT ALL ON customers, diary, remembering TO reader
    GRANT ALL ON SEQUENCE numbers TO reader
    GRANT CREATE, USAGE ON SCHEMA public TO reader
"""  # noqa: E501
STATE = """
    SELECT (SELECT string_agg(c::text, ';' ORDER BY id) FROM customers c) AS customers,
        (SELECT count(*) FROM diary) AS diary, (SELECT count(*) FROM pg_largeobject_metadata) AS objects,
        (SELECT last_value || ' ' || is_called FROM numbers) AS numbers,
        (SELECT count(*) FROM pg_class WHERE relpersistence = 't') AS temporary,
        (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'v', 'S', 'm')) AS relations,
        (SELECT count(*) FROM pg_proc) AS functions, (SELECT count(*) FROM pg_extension) AS extensions,
        (SELECT string_agg(r::text, ';' ORDER BY oid) FROM pg_roles r) AS roles,
        (SELECT relacl::text FROM pg_class WHERE relname = 'customers') AS rights,
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks,
        (SELECT count(*) FROM pg_file_settings) AS settings
"""


@pytest.fixture(scope="module")
def admin(postgres_url: str) -> Iterator[Warehouse]:
    """A database with things to break."""
    server = Warehouse(postgres_url)
    server.run(*(each.strip() for each in PREPARED.strip().splitlines()))
    yield server
    server.run("DROP OWNED BY reader", "DROP ROLE reader")


@pytest.fixture(scope="module")
def reader(admin: Warehouse) -> str:
    return f"postgresql://reader:hunter2@{urlsplit(admin.url).netloc.rpartition('@')[2]}/postgres"


@pytest.fixture(scope="module")
def session(reader: str) -> Iterator[int]:
    """Another session of the role, which nobody may end."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(reader) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid() AS pid")
        yield pl.DataFrame(cursor.fetch_arrow()).item()
        cursor.execute("SELECT 1 AS alive")
        assert cursor.fetchone() == (1,)


def filled(statement: str, **values: object) -> str:
    for name, value in values.items():
        statement = statement.replace(f"{{{name}}}", str(value))
    return statement


def fetched(url: str, statement: str, into: Path, reason: str = "") -> str:
    """What a statement is refused with."""
    limits = LIMITS if reason == ENDLESS else PATIENT
    with pytest.raises(StatementError) as caught:
        databases.fetch(url, statement, into, **limits)
    return str(caught.value)


@pytest.mark.integration
@pytest.mark.parametrize(("statement", "reason"), ON_POSTGRESQL, ids=names(ON_POSTGRESQL))
def test_postgresql_stays_as_it_is(
    statement: str, reason: str, admin: Warehouse, reader: str, session: int, folder: Path, into: Path
):
    before = admin.run(STATE.strip()), state_of(folder)
    text = fetched(reader, filled(statement, folder=folder, pid=session), into, reason)
    assert reason in text
    assert (admin.run(STATE.strip()), state_of(folder)) == before
    assert list(into.parent.iterdir()) == []
    assert not any(each in text for each in ("hunter2", "@example.com", "127.0.0.1", CANARY))


@pytest.mark.integration
@pytest.mark.parametrize(("statement", "_reason"), ON_POSTGRESQL, ids=names(ON_POSTGRESQL))
def test_the_transaction_holds_where_the_parser_would_err(
    statement: str,
    _reason: str,
    admin: Warehouse,
    reader: str,
    session: int,
    folder: Path,
    into: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    if "pg_terminate_backend" in statement or "pg_cancel_backend" in statement:
        pytest.skip("a role may end its own sessions; only the parser and the question for volatile functions stop it")
    monkeypatch.setattr(postgresql, "reasons", lambda _: [])
    monkeypatch.setattr(postgresql, "bare", lambda text: text)
    monkeypatch.setattr(databases, "_check_functions", lambda *_: None)
    before = admin.run(STATE.strip()), state_of(folder)
    told = ""
    try:
        databases.fetch(reader, filled(statement, folder=folder, pid=session), into, **LIMITS)
    except (PopulaceError, ValueError) as error:
        told = str(error)
    assert "hunter2" not in told
    assert (admin.run(STATE.strip()), state_of(folder)) == before


@pytest.mark.integration
@pytest.mark.parametrize("role", ["populace", "filer", "heir"])
def test_a_mighty_role_is_not_used(role: str, admin: Warehouse, into: Path):
    admin.run("CREATE ROLE filer LOGIN", "CREATE ROLE heir LOGIN")
    admin.run("GRANT pg_read_server_files TO filer", "GRANT populace TO heir")
    url = f"postgresql://{role}@{urlsplit(admin.url).netloc.rpartition('@')[2]}/postgres"
    text = fetched(url, "SELECT id FROM customers", into)
    assert "GRANT SELECT ON ALL TABLES" in text
    admin.run("DROP ROLE filer", "DROP ROLE heir")


# --- the lake -------------------------------------------------------------------------------------------------------


@pytest.fixture
def views(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "lake").mkdir()
    frame = pl.DataFrame({"user_id": [CANARY, "b@example.com"], "total": [100, 2]})
    frame.write_parquet(tmp_path / "lake" / "events.parquet")
    return {"events": tmp_path / "lake" / "events.parquet"}


@pytest.mark.parametrize(("statement", "reason"), OVER_THE_LAKE, ids=names(OVER_THE_LAKE))
def test_the_lake_stays_as_it_is(statement: str, reason: str, views: dict[str, Path], folder: Path, into: Path):
    before = state_of(folder.parent)
    limits = LIMITS if reason == ENDLESS else PATIENT
    with pytest.raises(StatementError) as caught:
        sql.ask(filled(statement, folder=folder, view=views["events"]), views, AS_OF, into, **limits)
    assert reason in str(caught.value)
    assert state_of(folder.parent) == before
    assert list(into.parent.iterdir()) == []
    assert "@example.com" not in str(caught.value)


@pytest.mark.parametrize(("statement", "_reason"), OVER_THE_LAKE, ids=names(OVER_THE_LAKE))
def test_the_connection_holds_where_the_parser_would_err(
    statement: str, _reason: str, views: dict[str, Path], folder: Path, into: Path, monkeypatch: pytest.MonkeyPatch
):
    if any(each in statement for each in ("range(1000000000)", "repeat(", "lpad(", "printf(")):
        pytest.skip("the memory of one value is bounded by the parser alone")
    monkeypatch.setattr(lake, "checked", lambda text, _views: text)
    before = state_of(folder.parent)
    try:
        sql.ask(filled(statement, folder=folder, view=views["events"]), views, AS_OF, into, **LIMITS)
        told = str(pl.read_parquet(into).rows()).replace(CANARY, "")  # which is in a view
    except StatementError as error:
        told = str(error)
    assert STRANGER not in told
    assert CANARY not in told
    into.unlink(missing_ok=True)
    assert state_of(folder.parent) == before

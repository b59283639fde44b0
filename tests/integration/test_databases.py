"""A statement on a real PostgreSQL: what its types become, what is told of errors, and how a database is missing."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest

from populace.errors import Refused, StatementError, Transient
from tasks import databases
from tests.warehouses import Warehouse

pytestmark = pytest.mark.integration
LIMITS = {"timeout": timedelta(seconds=30), "most_rows": 100, "most_columns": 25}


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Iterator[str]:
    """A database with a few customers, as the role sees it that may read them."""
    server = Warehouse(postgres_url)
    server.run(
        "CREATE TYPE tier AS ENUM ('free', 'pro')",
        "CREATE DOMAIN points AS int CHECK (VALUE >= 0)",
        "CREATE TABLE customers (user_id text, email varchar(9), tier tier, points points, spent numeric(10, 2))",
        "INSERT INTO customers VALUES ('u1', 'a@x.com', 'pro', 3, 1.5), ('u2', 'b@x.com', 'free', 0, 'NaN')",
        "CREATE FUNCTION halved(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 2'",
        "CREATE FUNCTION unmarked(numeric) RETURNS numeric LANGUAGE sql AS 'SELECT $1 / 2'",
        "CREATE ROLE looker LOGIN PASSWORD 'hunter2'",
        "GRANT SELECT ON customers TO looker",
    )
    yield f"postgresql://looker:hunter2@{urlsplit(postgres_url).netloc.rpartition('@')[2]}/postgres"
    server.run("DROP TABLE customers", "DROP FUNCTION halved, unmarked", "DROP TYPE tier", "DROP DOMAIN points")
    server.run("DROP ROLE looker")


def rows(url: str, statement: str, folder: Path, **limits: object) -> pl.DataFrame:
    into = folder / "answer.parquet"
    databases.fetch(url, statement, into, **LIMITS | limits)
    assert [each.name for each in folder.iterdir()] == [into.name]
    return pl.read_parquet(into)


def refused(url: str, statement: str, folder: Path, **limits: object) -> str:
    with pytest.raises(StatementError) as caught:
        rows(url, statement, folder, **limits)
    assert list(folder.iterdir()) == []
    return str(caught.value)


def test_t35_values_are_text_whole_numbers_floats_and_booleans(url: str, tmp_path: Path):
    found = rows(url, "SELECT *, points > 1 AS active FROM customers ORDER BY 1; -- all", tmp_path)
    assert str(found.rows()) == str([
        ("u1", "a@x.com", "pro", 3, 1.5, True),
        ("u2", "b@x.com", "free", 0, float("nan"), False),
    ])  # fmt: skip
    found = rows(
        url,
        """SELECT DATE '2024-02-29' AS a, TIMESTAMP '2024-02-29 01:02:03' AS b, 'infinity'::timestamp AS c,
            TIMESTAMPTZ '2024-02-29 01:02:03.000004+01' AS d, '5c6b7a20-0000-4000-8000-000000000000'::uuid AS e,
            NULL AS f, 1::smallint AS g, sum(n) AS h, count(*) AS i, 0.5::real AS j, '-infinity'::float8 AS k,
            '99999-01-01'::date AS l FROM generate_series(1, 3) n""",
        tmp_path,
    )
    instants = ("2024-02-29", "2024-02-29T01:02:03.000Z", None, "2024-02-29T00:02:03.000004Z")
    rest = (None, 1, 6.0, 3, 0.5, float("-inf"), None)
    assert found.row(0) == (*instants, "5c6b7a20-0000-4000-8000-000000000000", *rest)


@pytest.mark.parametrize(
    ("column", "remedy"),
    [
        ("ARRAY[1]", "array_to_string(bad, ',')"),
        ("ARRAY[[now()]]", "array_to_string(bad, ',')"),
        ("ARRAY['pro'::tier]", "bad::text"),
        ("'{}'::json", "bad ->> 'a_field'"),
        ("'{}'::jsonb", "bad ->> 'a_field'"),
        ("'x'::bytea", "encode(bad, 'hex')"),
        ("INTERVAL '1 day'", "extract(epoch FROM bad)"),
        ("'1'::money", "bad::numeric"),
        ("TIME '01:02'", "bad::text"),
        ("'<a/>'::xml", "bad::text"),
        ("customers", "a field of bad"),
    ],
)
def test_t35_other_types_are_told_with_what_to_select_instead(url: str, tmp_path: Path, column: str, remedy: str):
    text = refused(url, f"SELECT user_id, {column} AS bad FROM customers", tmp_path)
    assert text.startswith("column 'bad' is of type ")
    assert text.endswith(f"select {remedy} AS bad") or column in ("ARRAY['pro'::tier]", "customers")


def test_t32_t34_t36_columns_and_rows_have_bounds(url: str, tmp_path: Path):
    assert "3 columns, at most 2" in refused(url, "SELECT 1 AS a, 2 AS b, 3 AS c", tmp_path, most_columns=2)
    assert "more than 100 rows" in refused(url, "SELECT n FROM generate_series(1, 101) n", tmp_path)
    assert rows(url, "SELECT n FROM generate_series(1, 100) n", tmp_path).height == 100
    (tmp_path / "answer.parquet").unlink()
    assert "two columns are called 'a'" in refused(url, "SELECT 1 AS a, 2 AS a", tmp_path)
    assert "'?column?'; write `AS a_lower_case_name`" in refused(url, "SELECT 1", tmp_path)


def test_functions_that_change_nothing_are_called(url: str, tmp_path: Path):
    assert rows(url, "SELECT halved(spent) AS half FROM customers WHERE user_id = 'u1'", tmp_path).item() == 0.75
    (tmp_path / "answer.parquet").unlink()
    text = refused(url, "SELECT unmarked(spent) AS half FROM customers", tmp_path)
    assert "ALTER FUNCTION … STABLE" in text


def test_the_database_says_where_an_error_is(url: str, tmp_path: Path):
    text = refused(url, "SELECT 'é' AS a,\n  nope\nFROM customers", tmp_path)
    assert text == 'line 2, column 3: column "nope" does not exist'
    assert refused(url, "SELECT 1 AS a FROM nobody", tmp_path) == 'line 1, column 20: relation "nobody" does not exist'
    assert refused(url, "SELECT 1 / (points - points) AS a FROM customers", tmp_path) == "division by zero"


def test_an_answer_of_before_stays_where_a_statement_fails(url: str, tmp_path: Path):
    rows(url, "SELECT 'before' AS a", tmp_path)
    with pytest.raises(StatementError):
        rows(url, "SELECT email::int AS a FROM customers", tmp_path)
    assert pl.read_parquet(tmp_path / "answer.parquet").item() == "before"


def test_a_database_that_cannot_be_reached_is_worth_another_try(tmp_path: Path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql://me:hunter2@127.0.0.1:{closed.getsockname()[1]}/shop"
        with pytest.raises(Transient) as caught:
            rows(url, "SELECT 1 AS a", tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://me:hunter2@127.0.0.1/shop", "sqlite:shop.db", "hello hunter2", ""])
def test_what_is_no_postgresql_is_not(url: str, tmp_path: Path):
    with pytest.raises(Refused, match="its URL does not begin with postgresql://") as caught:
        rows(url, "SELECT 1 AS a", tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_not_there_is_not(url: str, tmp_path: Path):
    with pytest.raises(Refused, match="no such user or database"):
        rows(f"{url.rpartition('/')[0]}/nowhere", "SELECT 1 AS a", tmp_path)


def test_a_session_that_the_server_ends_is_worth_another_try(url: str, postgres_url: str, tmp_path: Path):
    import threading

    end = "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity WHERE usename = 'looker'"
    timer = threading.Timer(2, lambda: Warehouse(postgres_url).run(end))
    timer.start()
    with pytest.raises(Transient):
        rows(url, "SELECT count(*) AS a FROM generate_series(1, 1000000000) n", tmp_path)
    timer.join()

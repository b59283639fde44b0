"""Statements of SQL traits: what they may be, what they give, and what is said of those that fail (T-30 to T-47)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from populace import sql
from populace.errors import StatementError

AS_OF = datetime(2024, 3, 31, 12, tzinfo=UTC)
Ask = Callable[..., pl.DataFrame]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Runs a statement over a small lake."""
    lake, into = tmp_path / "lake", tmp_path / "into"
    (lake / "parts").mkdir(parents=True)
    into.mkdir()
    events = {
        "user_id": ["u1", "u2", "u1"],
        "total": [1.5, 2.0, 4.0],
        "seen": [datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 30, tzinfo=UTC), AS_OF],
    }
    pl.DataFrame(events).write_parquet(lake / "events.parquet")
    for number in range(3):
        pl.DataFrame({"user_id": [f"u{number}"], "n": [number]}).write_parquet(lake / "parts" / f"{number}.parquet")
    views = {"events": lake / "events.parquet", "event.order_completed": lake / "parts" / "*.parquet"}

    def run(statement: str, **limits: object) -> pl.DataFrame:
        told = {"timeout": timedelta(seconds=30), "most_rows": 100, "most_columns": 25, **limits}
        try:
            rows = sql.ask(statement, views, AS_OF, into / "answer.parquet", **told)
            found = pl.read_parquet(into / "answer.parquet")
            assert found.height == rows
            return found.sort(pl.all())
        finally:
            left = [each.name for each in into.iterdir()]
            (into / "answer.parquet").unlink(missing_ok=True)
            assert left in ([], ["answer.parquet"])

    return run


def refused(ask: Ask, statement: str, **limits: object) -> str:
    with pytest.raises(StatementError) as caught:
        ask(statement, **limits)
    return str(caught.value)


def test_t30_a_statement_reads_views_of_the_lake_of_one_file_or_several(ask: Ask):
    found = ask("SELECT user_id, sum(total) AS spent FROM events JOIN event.order_completed USING (user_id) GROUP BY 1")
    assert found.rows() == [("u1", 5.5), ("u2", 2.0)]
    assert ask("FROM Event.Order_Completed; -- all of it\n").rows() == [("u0", 0), ("u1", 1), ("u2", 2)]


def test_t30_views_that_are_read_are_named_as_they_are_written():
    assert sql.tables("SELECT * FROM Events, event.a WHERE EXISTS (FROM profiles)") == {"Events", "event.a", "profiles"}
    # A name that WITH gives hides a view behind it, but not in what it is made of.
    assert sql.tables("WITH events AS (SELECT * FROM events) SELECT * FROM events") == {"events"}
    assert sql.tables("WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b") == frozenset()
    assert sql.tables("WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT * FROM a) SELECT * FROM a") == frozenset()
    assert sql.tables("SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a), a") == {"a"}
    assert sql.tables("no statement") == frozenset()


def test_t30_a_view_that_nobody_made_is_told_with_those_that_there_are(ask: Ask):
    assert refused(ask, "SELECT user_id FROM evnts") == (
        "the lake has no view evnts; there is event.order_completed, events"
    )


def test_as_of_is_the_instant_of_the_run_in_utc(ask: Ask):
    found = ask("SELECT user_id, as_of() AS run FROM events WHERE seen > as_of() - INTERVAL 2 DAYS AND seen < as_of()")
    assert found.rows() == [("u2", "2024-03-31T12:00:00.000Z")]
    assert ask("SELECT date_trunc('day', as_of())::VARCHAR AS day").rows() == [("2024-03-31 00:00:00+00",)]


def test_t32_at_most_as_many_columns_as_are_allowed(ask: Ask):
    assert ask("SELECT 1 AS a, 2 AS b", most_columns=2).width == 2
    assert "3 columns, at most 2" in refused(ask, "SELECT 1 AS a, 2 AS b, 3 AS c", most_columns=2)


def test_t34_at_most_as_many_rows_as_are_allowed(ask: Ask):
    assert ask("SELECT i FROM range(100) t(i)").height == 100
    text = refused(ask, "SELECT i FROM range(101) t(i)")
    assert text == "it gives more than 100 rows; let it give fewer, or raise `rows`"


def test_no_rows_are_an_answer_too(ask: Ask):
    found = ask("SELECT user_id, total FROM events WHERE false")
    assert dict(found.schema) == {"user_id": pl.String, "total": pl.Float64}


def test_t35_values_are_text_whole_numbers_floats_and_booleans(ask: Ask):
    found = ask("""
        SELECT 1::UTINYINT AS a, sum(i) AS b, 0.1::DECIMAL(10, 2) AS c, 0.5::FLOAT AS d, true AS e,
            'x'::ENUM('x', 'y') AS f, DATE '2024-02-29' AS g, TIMESTAMP '2024-02-29 01:02:03' AS h,
            TIMESTAMPTZ '2024-02-29 01:02:03.000004+01' AS i, NULL AS j, 'NaN'::DOUBLE AS k,
            uuid '5c6b7a20-0000-4000-8000-000000000000' AS l, 'infinity'::TIMESTAMP AS m
        FROM range(3) t(i)
    """)
    a, b, c, d, e, f, g, h, i, j, k, u, m = found.row(0)
    assert (a, b, c, d, e, f) == (1, 3, 0.1, 0.5, True, "x")
    assert (g, h, i) == ("2024-02-29", "2024-02-29T01:02:03.000Z", "2024-02-29T00:02:03.000004Z")
    assert (j, str(k), u, m) == (None, "nan", "5c6b7a20-0000-4000-8000-000000000000", None)


@pytest.mark.parametrize(
    ("column", "remedy"),
    [
        ("[1, 2]", "array_to_string(bad, ',')"),
        ("[DATE '2024-01-01']", "array_to_string(bad, ',')"),
        ("[0.5]", "array_to_string(bad, ',')"),
        ("{'b': 1}", "bad.a_field"),
        ("MAP {'b': 1}", "bad['a key']"),
        ("'{}'::JSON", "bad ->> 'a_field'"),
        ("'x'::BLOB", "hex(bad)"),
        ("INTERVAL 1 DAY", "extract(epoch FROM bad)"),
        ("TIME '01:02:03'", "CAST(bad AS VARCHAR)"),
    ],
)
def test_t35_other_types_are_told_with_what_to_select_instead(ask: Ask, column: str, remedy: str):
    text = refused(ask, f"SELECT 'u1' AS user_id, {column} AS bad")
    assert text.startswith("column 'bad' is of type ")
    assert text.endswith(f"select {remedy} AS bad")


@pytest.mark.parametrize(
    ("selected", "told"),
    [
        ("1 AS a, 2 AS a", "two columns are called 'a'"),
        ("1 AS UserId", "a column cannot be called 'UserId'; write `AS a_lower_case_name`"),
        ("count(*)", "write `AS a_lower_case_name`"),
        ('1 AS "a""b"', "a column cannot be called 'a\"b'"),
        ("1 AS _a", "a column cannot be called '_a'"),
        (f"1 AS {'a' * 256}", "a column cannot be called"),
    ],
)
def test_t36_columns_are_called_as_traits_are(ask: Ask, selected: str, told: str):
    assert told in refused(ask, f"SELECT {selected}")


def test_the_database_says_where_an_error_is(ask: Ask):
    assert refused(ask, "SELECT user_id\nFROM events\nWHERE nope = 1").startswith("line 3, column 7: Referenced column")
    assert refused(ask, "SELECT user_id\n  FORM events x y").startswith("line 2, column ")
    assert sql.reasons("SELECT 'é',\n  2 FRM x y", "postgresql") == ['line 2, column 9: syntax error at or near "x"']


def test_a_broken_view_is_told_without_its_place(ask: Ask, tmp_path: Path):
    (tmp_path / "lake" / "events.parquet").write_bytes(b"no parquet")
    assert str(tmp_path) not in refused(ask, "SELECT user_id FROM events")


def test_the_same_statement_gives_the_same_file(ask: Ask):
    statement = "SELECT md5(i::VARCHAR) AS user_id, sum(1 / (i + 1)) OVER (ORDER BY i) AS a FROM range(99) t(i)"
    assert ask(statement).equals(ask(statement))


GOOD = [
    "TABLE customers",
    "VALUES (1, 'x')",
    "SELECT user_id, count(*) FILTER (WHERE paid) AS orders FROM orders GROUP BY ROLLUP (user_id)",
    "WITH RECURSIVE t(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM t WHERE a < 9) SELECT a FROM t -- done",
    "SELECT now() AS a, current_date AS b, extract(epoch FROM clock_timestamp()) AS c, x AT TIME ZONE 'UTC' AS d",
    "SELECT data ->> 'plan' AS plan, tags[1] AS tag, (address).city AS city, x::numeric(9, 2) AS x FROM shop.a",
    "SELECT DISTINCT ON (a) a, row_number() OVER (PARTITION BY a ORDER BY b DESC NULLS LAST) AS n FROM t ORDER BY a",
    "SELECT c.id, o.total FROM customers c LEFT JOIN LATERAL (SELECT sum(total) AS total FROM orders) o ON true",
    "SELECT CASE WHEN a IN (1, 2) THEN 'x' WHEN a BETWEEN 3 AND 4 THEN 'y' ELSE coalesce(b, 'z') END AS a FROM t",
    "SELECT string_agg(sku, ',' ORDER BY sku) AS skus FROM (SELECT 1 UNION SELECT 2 EXCEPT SELECT 3) AS t(sku)",
    "SELECT json_build_object('a', 1) ->> 'a' AS a, xmlserialize(CONTENT x AS text) AS b, GROUPING(a) AS c FROM t",
    "SELECT 'it''s; DROP TABLE x' AS a, $$;$$ AS b, E'\\';' AS c /* ; */;",
]


@pytest.mark.parametrize("statement", GOOD)
def test_t30_a_query_of_postgresql_may_run(statement: str):
    assert sql.reasons(statement, "postgresql") == []


GOOD_OVER_THE_LAKE = [
    "FROM profiles",
    "SELECT user_id, max(seen) AS last, arg_max(plan, seen) AS plan, median(total) AS m FROM events GROUP BY ALL",
    "SELECT a, row_number() OVER (ORDER BY b) AS n, lag(a) OVER (ORDER BY b) AS l FROM events QUALIFY n = 1",
    "SELECT string_agg(sku, ',' ORDER BY sku) AS skus, first(a ORDER BY b) AS f FROM event.order_completed",
    "SELECT lower(trim(a)) || '-' || lpad(b, 5, '0') AS a, c[1] AS c, d.e AS d, f ->> 'g' AS f FROM events",
    "SELECT unnest(items).sku AS sku, list_filter(b, x -> x > 1)[1] AS b, [y FOR y IN c IF y > 1][1] AS c FROM events",
    "SELECT * EXCLUDE (a) REPLACE (round(b, 2) AS b) FROM events ASOF JOIN profiles USING (profile_id, seen)",
    "SELECT date_diff('day', seen, as_of()) AS days, strftime(seen, '%Y') AS y, age(as_of(), seen) AS a FROM events",
    "WITH RECURSIVE t(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM t WHERE a < 9) SELECT a FROM t",
    "SELECT * FROM (PIVOT events ON plan IN ('a', 'b') USING sum(total) GROUP BY user_id)",
    "SELECT if(a, 1, 2) AS a, nullif(b, 0) AS b, regexp_extract(c, 'x(.)', 1) AS c, md5(d) AS d FROM events",
]  # fmt: skip


@pytest.mark.parametrize("statement", GOOD_OVER_THE_LAKE)
def test_t30_a_query_over_the_lake_may_run(statement: str):
    assert sql.reasons(statement, "lake") == []


def test_as_of_is_refused_nowhere_and_every_clock_is_told_of_it():
    from populace.sql import lake

    for name in lake.CLOCK:
        assert "as_of()" in sql.reasons(f"SELECT {name}() AS a", "lake")[0]
    assert sql.reasons("SELECT as_of() AS a", "lake") == []


def test_time_is_over_even_where_there_was_nothing_to_interrupt(ask: Ask, monkeypatch: pytest.MonkeyPatch):
    import time

    from populace.sql import asking

    described = asking._described

    def slowly(*arguments):
        time.sleep(0.6)  # longer than the statement may take, and between two queries
        return described(*arguments)

    monkeypatch.setattr(asking, "_described", slowly)
    endless = "WITH RECURSIVE t(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM t) SELECT sum(a) AS a FROM t"
    assert "took longer than 0.3 seconds" in refused(ask, endless, timeout=timedelta(seconds=0.3))

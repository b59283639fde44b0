"""What a statement of an SQL trait costs us beside the query itself: CPU seconds and memory, on both dialects.

    python -m benchmarks.statements lake [ROWS]
    python -m benchmarks.statements postgresql://reader@… [ROWS]

ROWS (5,000,000 unless told) have a user_id and five columns: a whole number, a float, a Boolean, text and an instant.
PostgreSQL makes them by generate_series, so a role without any table will do. Its own time is not ours and is not
counted; over the lake DuckDB is a part of this process, and so the query alone is timed first and taken off.
"""

import json
import resource
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time

import duckdb

from populace import sql
from tasks import databases

LIMITS = {"timeout": timedelta(minutes=30), "most_rows": 25_000_000, "most_columns": 25}
AS_OF = datetime(2024, 1, 1, tzinfo=UTC)
OVER_LAKE = "SELECT user_id, orders, total, active, plan, seen FROM events"
IN_POSTGRESQL = """
    SELECT 'user-' || n AS user_id, n % 50 AS orders, n * 0.37::float8 AS total, n % 3 = 0 AS active,
        'plan ' || n % 7 AS plan, TIMESTAMPTZ '2024-01-01' + n * INTERVAL '1 second' AS seen
    FROM generate_series(1, {rows}) AS n
"""
LAKE_ROWS = """
    SELECT 'user-' || n AS user_id, n % 50 AS orders, n * 0.37::DOUBLE AS total, n % 3 = 0 AS active,
        'plan ' || n % 7 AS plan, TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_seconds(n) AS seen
    FROM range({rows}) AS t(n)
"""


def over_lake(rows: int, folder: Path) -> dict[str, float]:
    """A copy of a view, and what DuckDB needs to read it."""
    events = folder / "events.parquet"
    duckdb.sql(f"COPY ({LAKE_ROWS.format(rows=rows)}) TO '{events}' (FORMAT parquet)")
    began = process_time()
    duckdb.sql(f"SELECT count(*), {', '.join(f'max({c})' for c in _columns())} FROM '{events}'").fetchall()
    alone = process_time() - began
    found = _measured(lambda: sql.ask(OVER_LAKE, {"events": events}, AS_OF, folder / "into.parquet", **LIMITS))
    return found | {"query_alone_cpu_s": round(alone, 1)}


def in_postgresql(url: str, rows: int, folder: Path) -> dict[str, float]:
    """Rows that the server makes."""
    return _measured(lambda: databases.fetch(url, IN_POSTGRESQL.format(rows=rows), folder / "into.parquet", **LIMITS))


def _columns() -> list[str]:
    return OVER_LAKE.removeprefix("SELECT ").partition(" FROM")[0].split(", ")


def _measured(work) -> dict[str, float]:
    began, cpu = perf_counter(), process_time()
    rows = work()
    return {
        "rows": rows,
        "wall_s": round(perf_counter() - began, 1),
        "cpu_s": round(process_time() - cpu, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def main(where: str, rows: str = "5000000") -> None:
    """Print what it took, as JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = over_lake(int(rows), folder) if where == "lake" else in_postgresql(where, int(rows), folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Statements of SQL traits: which tables they read, and their answers over views of the lake."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

from populace.errors import StatementError

__all__ = ["ask", "reasons", "tables"]


def reasons(statement: str, dialect: Literal["postgresql", "lake"]) -> list[str]:
    """Why a statement would not be run; what a database refuses only the database says."""
    if dialect == "postgresql":
        return []
    found = _parsed(statement)
    return [found["error_message"]] if found["error"] else []


def tables(statement: str) -> frozenset[str]:
    """The views that a statement over the lake reads, such as `profiles` and `event.order_completed`."""
    nodes = list(_walk(_parsed(statement)))
    inner = {each["key"] for node in nodes for each in node.get("cte_map", {}).get("map", [])}
    read = (node for node in nodes if node.get("type") == "BASE_TABLE")
    named = {".".join(filter(None, (node["schema_name"], node["table_name"]))) for node in read}
    return frozenset(named - inner)


def ask(
    statement: str,
    views: Mapping[str, Path],
    as_of: datetime,
    into: Path,
    *,
    timeout: timedelta,
    most_rows: int,
    most_columns: int,
) -> int:
    """Write the rows of a statement over some views as Parquet; returns how many there are."""
    del as_of, timeout
    try:
        with duckdb.connect() as connection:
            for name, path in views.items():
                schema, _, view = name.rpartition(".")
                connection.execute(f'create schema if not exists "{schema or "main"}"')
                place = str(path).replace("'", "''")
                connection.execute(
                    f'create view "{schema or "main"}"."{view}" as select * from read_parquet(\'{place}\')'
                )
            found = connection.sql(statement)
            if len(found.columns) > most_columns:
                message = f"it gives {len(found.columns)} columns, and may give {most_columns}"
                raise StatementError(message)
            found.write_parquet(str(into))
            rows = connection.sql("select count(*) from read_parquet($1)", params=[str(into)]).fetchall()[0][0]
    except duckdb.Error as cause:
        message = str(cause).splitlines()[0]
        raise StatementError(message) from None
    if rows > most_rows:
        message = f"it gives {rows:,} rows, and may give {most_rows:,}"
        raise StatementError(message)
    return rows


def _parsed(statement: str) -> dict[str, Any]:
    found = duckdb.execute("select json_serialize_sql($1::varchar)", [statement]).fetchall()
    return json.loads(found[0][0])


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from _walk(each)
    elif isinstance(node, list):
        for each in node:
            yield from _walk(each)

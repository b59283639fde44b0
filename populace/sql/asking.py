"""Runs a statement over the lake, in a DuckDB that can read its views and nothing else."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from glob import glob
from pathlib import Path

import duckdb

from populace.errors import StatementError
from populace.sql import answers, lake, wording
from populace.sql.answers import Column
from populace.sql.limits import Alarm, Limits

__all__ = ["Limits", "ask"]

MEMORY = "2GB"
# Sums of floats depend on the order of additions, and with one thread that is always the same.
THREADS = 1
DESCRIBE = "DESCRIBE "
# What is wrong with a statement itself: these messages are made before any row is read.
UNBOUND = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.SyntaxException)
ROWS = 100_000  # in memory at a time

PLAIN = frozenset({
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT", "DOUBLE",
})  # fmt: skip
WIDE = frozenset({"UBIGINT", "HUGEINT", "UHUGEINT"})  # sums of whole numbers are, although few are larger than BIGINT
TEXTS = frozenset({"VARCHAR", "UUID", '"NULL"', "NULL"})
REMEDIES = {
    "JSON": "{name} ->> 'a_field'",
    "BLOB": "hex({name})",
    "INTERVAL": "extract(epoch FROM {name})",
    "STRUCT": "{name}.a_field",
    "MAP": "{name}['a key']",
}


def ask(statement: str, views: Mapping[str, Path], as_of: datetime, into: Path, limits: Limits) -> int:
    """Write the rows of a statement over views to a Parquet file; returns how many there are.

    Raises
    ------
    StatementError
        If it must not run, fails, takes too long, or gives what traits cannot be.
    """
    text = lake.checked(statement, views)
    with answers.beside(into) as folder, _opened(views, as_of, folder) as connection:
        with Alarm(limits.timeout, connection.interrupt) as alarm:
            try:
                rows = _written(connection, text, folder / "answer.parquet", limits, alarm)
            except duckdb.InterruptException:
                raise limits.too_slow() from None
            except duckdb.Error as error:
                raise limits.too_slow() if alarm.is_over else _failure(error) from None
        (folder / "answer.parquet").replace(into)
    return rows


def _written(connection: duckdb.DuckDBPyConnection, text: str, file: Path, limits: Limits, alarm: Alarm) -> int:
    columns = _described(connection, text)
    query = answers.selected(text, columns, limits, _expression, _remedy)
    reader = connection.sql(query).to_arrow_reader(ROWS)

    def batches() -> Iterator:
        for batch in reader:
            if alarm.is_over:  # it rang while a batch was written, when there was nothing to interrupt
                raise limits.too_slow()
            yield batch

    return answers.write(batches(), reader.schema, file, limits)


def _described(connection: duckdb.DuckDBPyConnection, text: str) -> list[Column]:
    """The columns that a statement will have."""
    try:
        # The files of views can be written as well as read, so this is asked a second time, of the database itself.
        statements = connection.extract_statements(text)
        if [each.type for each in statements] != [duckdb.StatementType.SELECT]:
            message = "it is no single SELECT"
            raise StatementError(message)
        found = connection.execute(DESCRIBE + text).fetchall()
    except UNBOUND as error:
        raise _refusal(error, text) from None
    return [Column(name, kind) for name, kind, *_ in found]


@contextmanager
def _opened(views: Mapping[str, Path], as_of: datetime, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory with these views and `as_of()`, which can be changed no more."""
    spill = folder / "spill"
    config = lake.LOCKED | {"threads": THREADS, "memory_limit": MEMORY, "temp_directory": str(spill)}
    files = {name: _files(name, path) for name, path in views.items()}
    with duckdb.connect(":memory:", config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # Views read their files whenever they are asked, so the files have to stay within reach; a statement cannot
        # name them, for it has neither functions that read files nor tables with such names.
        connection.execute(f"SET allowed_paths = {_listed(each for found in files.values() for each in found)}")
        for name, found in files.items():
            _make_view(connection, name, found)
        instant = as_of.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
        connection.execute(f"CREATE MACRO {lake.AS_OF}() AS TIMESTAMPTZ '{instant}+00'")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def _files(name: str, path: Path) -> list[str]:
    # PTH207: a path may be absolute, and Path.glob takes none that is
    found = [str(path)] if path.is_file() else sorted(glob(str(path), recursive=True))  # noqa: PTH207
    if not found:
        message = f"the view {name} has no file"
        raise StatementError(message)
    return found


def _make_view(connection: duckdb.DuckDBPyConnection, name: str, files: list[str]) -> None:
    schema, _, view = name.rpartition(".")  # which may be there already in another spelling, Events and events
    place = ".".join(_quoted(each) for each in (schema, view) if each)
    if schema:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
    source = f"read_parquet({_listed(files)}, union_by_name = true, hive_partitioning = false)"
    try:
        connection.execute(f"CREATE OR REPLACE VIEW {place} AS SELECT * FROM {source}")
    except duckdb.Error:
        message = f"the view {name} cannot be read; its files are damaged, or not Parquet"
        raise StatementError(message) from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _listed(texts: object) -> str:
    quoted = ("'" + each.replace("'", "''") + "'" for each in texts)  # type: ignore[attr-defined]
    return f"[{', '.join(quoted)}]"


# --- types and errors -----------------------------------------------------------------------------------------------


def _expression(name: str, kind: str) -> str | None:
    """A column in a type of ours; None where there is none (T-35)."""
    if kind in PLAIN:
        return name
    if kind in WIDE:
        return f"CAST({name} AS BIGINT)"
    if kind.startswith("DECIMAL(") and not kind.endswith("]"):
        return f"CAST({name} AS DOUBLE)"
    if kind in TEXTS or (kind.startswith("ENUM(") and not kind.endswith("]")):
        return f"CAST({name} AS VARCHAR)"
    if kind == "DATE" or (kind.startswith("TIMESTAMP") and not kind.endswith("]")):
        return answers.within_years(name if kind != "TIMESTAMP_NS" else f"CAST({name} AS TIMESTAMP)")
    return None


def _remedy(name: str, kind: str) -> str:
    if kind.endswith("]"):
        return f"array_to_string({name}, ',')"
    return REMEDIES.get(kind.partition("(")[0], "CAST({name} AS VARCHAR)").format(name=name)


def _refusal(error: duckdb.Error, statement: str) -> StatementError:
    """What the database says of a statement before it reads a row, and where."""
    try:
        found = json.loads(str(error).partition(": ")[2])
    except ValueError:
        return _failure(error)
    position = int(found["position"]) - len(DESCRIBE) if "position" in found else None
    return StatementError(wording.at_byte(statement, position) + found["exception_message"].partition("\n")[0])


def _failure(error: duckdb.Error) -> StatementError:
    """What happened while rows were read; the message of the database may hold values of them, and is not told."""
    if isinstance(error, duckdb.OutOfMemoryException):
        message = f"it needs more than {MEMORY} of memory; let it read or group less"
    elif isinstance(error, duckdb.IOException):
        message = "a file of the lake cannot be read, or there is no space to sort and group on disk"
    else:
        kind = str(error).partition(":")[0]
        message = f"a value of a row does not fit ({kind}); look at its casts, and use TRY_CAST where they may fail"
    return StatementError(message)

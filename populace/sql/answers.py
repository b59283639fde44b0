"""The rows that a statement gives: what columns may be called, what types they may have, and their file."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from populace.errors import StatementError
from populace.expressions import texts
from populace.sql.limits import Limits

NAME = re.compile(r"[a-z][a-z0-9_]{0,254}")
# Years that ISO 8601 writes with four digits; what is outside, and infinity, is nothing.
FIRST, LAST = "0001-01-01", "9999-12-31 23:59:59.999999"


class Column(NamedTuple):
    """A column of an answer, and its type as the database calls it."""

    name: str
    type: str


Written = Callable[[str, str], str | None]
Remedy = Callable[[str, str], str]


def selected(statement: str, columns: Sequence[Column], limits: Limits, written: Written, remedy: Remedy) -> str:
    """The query that gives the rows of a statement in types that traits have.

    Parameters
    ----------
    statement
        One SELECT, without a semicolon.
    written
        From a quoted name and its type to the expression that gives it a type of ours; None where there is none.
    remedy
        From a name and a type that traits do not have to what to write instead (T-35).

    Raises
    ------
    StatementError
        If columns are too many, or one has a name or a type that traits do not have.
    """
    found = {each.name: written(f'"{each.name}"', each.type) for each in columns}
    bad = [each for each in columns if found[each.name] is None]
    problems = [*_about_names(columns, limits), *(_about_type(each, remedy) for each in bad)]
    if problems:
        raise StatementError("; ".join(problems))
    listed = ", ".join(f'{expression} AS "{name}"' for name, expression in found.items())
    # On lines of its own, so that a comment at the end of the statement ends with it. One row too many is enough to
    # know that there are too many.
    return f"SELECT {listed} FROM (\n{statement}\n) AS answer LIMIT {limits.most_rows + 1}"


def within_years(name: str) -> str:
    """An expression that gives an instant or a date only where ISO 8601 can write it."""
    return f"CASE WHEN {name} BETWEEN '{FIRST}' AND '{LAST}' THEN {name} END"


def _about_names(columns: Sequence[Column], limits: Limits) -> Iterable[str]:
    names = [each.name for each in columns]
    if len(names) > limits.most_columns:
        yield f"it gives {len(names)} columns, at most {limits.most_columns} are allowed; select fewer"
    for name in sorted({each for each in names if names.count(each) > 1}):
        yield f"two columns are called '{name}'; give one another name with AS"
    for name in dict.fromkeys(each for each in names if not NAME.fullmatch(each)):
        yield f"a column cannot be called '{name}'; write `AS a_lower_case_name` behind it"


def _about_type(column: Column, remedy: Remedy) -> str:
    instead = remedy(column.name, column.type)
    return f"column '{column.name}' is of type {column.type}, which no trait has; select {instead} AS {column.name}"


# --- the file -------------------------------------------------------------------------------------------------------


@contextmanager
def beside(into: Path) -> Iterator[Path]:
    """A folder that only we can read, in the file system of a file that is to be written, and gone afterwards."""
    with TemporaryDirectory(prefix=".statement-", dir=into.parent) as folder:
        yield Path(folder)


def write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: Path, limits: Limits) -> int:
    """Write batches of rows as they come; returns how many rows there were.

    Raises
    ------
    StatementError
        If they are more than may be.
    """
    rows = 0
    empty = _converted(schema.empty_table())
    with pq.ParquetWriter(file, empty.schema, compression="zstd") as writer:
        for batch in batches:
            rows += batch.num_rows
            if rows > limits.most_rows:
                raise limits.too_many()
            writer.write_table(_converted(pa.Table.from_batches([batch])))
    return rows


def _converted(table: pa.Table) -> pa.Table:
    frame = pl.DataFrame(table)
    return frame.select(_plain(name, dtype) for name, dtype in frame.schema.items()).to_arrow()


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype.is_integer():
        return column.cast(pl.Int64)
    if dtype.is_float():
        return column.cast(pl.Float64)
    if dtype == pl.Date:
        return column.dt.to_string("iso:strict")
    if isinstance(dtype, pl.Datetime):
        return texts.iso(column).alias(name)
    return column if dtype == pl.Boolean else column.cast(pl.String)

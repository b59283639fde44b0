"""What every layout shares: the shape of canonical rows, and identifiers as text.

Canonical rows are one row per row of an object, in its order. `COLUMNS` all of them have. The payload comes in one of
three forms: as JSON text (`JSONS`), as JSON text whose context is taken apart already (`context_column`), or typed, in
columns that `typed` makes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from polars import selectors

from populace.events.jsontext import Path, pointer
from populace.events.layouts.instants import NAMES as INSTANTS

ROW = "\ufdd0row"  # where a row stands in its object; begins with what Unicode keeps for a program's own use
TEXTS = ("message_id", "type", "event", "user_id", "anonymous_id", "group_id", "previous_id")
JSONS = ("properties", "traits", "context")
GROUP_ID = ("groupId",)  # of a context; blank it drops an event (E-13)
COLUMNS = ("row", *TEXTS, "timestamp", "received_at", "unreadable", "problem")

Schema = Mapping[str, pl.DataType]
Columns = Mapping[str, str]  # the name of a column in the file, by its canonical name


@dataclass(frozen=True, slots=True)
class Wanted:
    """The paths below `context` that someone reads: identity, definitions, `keep_context`.

    The raw layout hands on the whole context; all others read only those. `integrations` are paths below the object of
    that name, which hardly anyone needs.
    """

    context: frozenset[Path] = frozenset()
    integrations: frozenset[Path] = frozenset()

    @property
    def in_context(self) -> list[Path]:
        """These and the one that decides whether an event counts at all, sorted."""
        return sorted({*self.context, GROUP_ID})


def context_column(path: Path) -> str:
    """The name of the column that holds the values at a path below `context`, as JSON."""
    return f"context{pointer(path)}"


def integrations_column(path: Path) -> str:
    """The same for a path below `integrations`."""
    return f"integrations{pointer(path)}"


def spelled_alike(schema: Schema) -> Columns:
    """The columns of a file that is written in canonical names."""
    return {name: name for name in (*TEXTS, *INSTANTS) if name in schema}


def exactly(name: str) -> pl.Expr:
    """The column of that very name, also where polars would take it for a pattern."""
    return selectors.by_name(name).as_expr() if is_pattern(name) else pl.col(name)


def is_pattern(name: str) -> bool:
    """Whether polars takes a name for that of several columns."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def row() -> pl.Expr:
    """Where the row stands in its object, as the caller numbered it."""
    return pl.col(ROW).cast(pl.UInt32).alias("row")


def no_problem() -> pl.Expr:
    """The column `problem` of a layout that finds none."""
    return pl.lit(None, dtype=pl.String).alias("problem")


def text(schema: Schema, name: str | None) -> pl.Expr:
    """A column as text, null where the file has none; numbers are written out (E-51).

    Of a decimal or a float, which is what an inferred type makes of 12, a fraction of nothing is cut: "12".
    """
    if name is None or name not in schema:
        return pl.lit(None, dtype=pl.String)
    dtype, written = schema[name], pl.col(name).cast(pl.String)
    return written.str.replace(r"\.0+$", "") if dtype.is_float() or dtype.is_decimal() else written

"""The raw layout (E-81): one Parquet table of calls, whose properties, traits and context are JSON text.

Required are `message_id`, `type`, and `timestamp` or `received_at`. Other columns may be absent or of Parquet's type
Null. Ids given as numbers are cast (E-51); an instant is any Datetime, or ISO 8601 text with a zone (E-25).
"""

from datetime import datetime
from typing import Literal

import polars as pl

from populace.errors import ArchiveError
from populace.events.layouts import instants
from populace.events.layouts.canonical import JSONS, TEXTS, Schema, Wanted, no_problem, row, spelled_alike, text

TEXT = (pl.Null, pl.String, pl.Categorical, pl.Enum)  # dictionaries are text, too


class Raw:
    """Any Parquet object, in any folder structure: nothing is read from the path."""

    container: Literal["parquet"] = "parquet"

    def reads(self, path: str) -> bool:
        return path.lower().endswith(".parquet")

    def partition(self, path: str) -> datetime | None:
        return None

    def is_summary(self, path: str) -> bool:
        return False

    def columns(self, schema: Schema, path: str, wanted: Wanted) -> list[pl.Expr]:
        """The canonical columns, and `JSONS` as the file holds them; `null` as text counts as nothing sent.

        Raises
        ------
        ArchiveError
            If a required column is missing, or a column has a type that cannot be read.
        """
        check(schema, path)
        return [
            row(),
            *(text(schema, name).alias(name) for name in TEXTS),
            *instants.expressions(schema, spelled_alike(schema)),
            no_problem(),
            *(_json(schema, name) for name in JSONS),
            *(_json(schema, name) for name in ("integrations",) if wanted.integrations and _is_text(schema, name)),
        ]


def check(schema: Schema, path: str) -> None:
    """Refuse an object that is not of the raw layout, naming it and what is wrong.

    Raises
    ------
    ArchiveError
        If a required column is missing, or a column has a type that cannot be read.
    """
    missing = [name for name in ("message_id", "type") if name not in schema]
    if "timestamp" not in schema and "received_at" not in schema:
        missing.append("timestamp or received_at")
    if missing:
        message = (
            f"{path}: not of the raw layout, no column {', '.join(missing)}; "
            "move it out of the archive, or set the source's `archive` to the folder that holds raw events"
        )
        raise ArchiveError(message)
    instants.check(schema, spelled_alike(schema), path)
    for name in (*TEXTS, *JSONS):
        dtype = schema.get(name, pl.Null())
        if dtype not in TEXT and not (name.endswith("_id") and dtype.is_integer()):
            raise instants.wrong_type(name, dtype, "text", path)


def _is_text(schema: Schema, name: str) -> bool:
    return schema.get(name, pl.Null()) in TEXT


def _json(schema: Schema, name: str) -> pl.Expr:
    written = text(schema, name)
    # `null` is how some writers say that nothing was sent.
    return pl.when(written != "null").then(written).alias(name)

"""What people's archives look like, and how each form becomes canonical rows.

`canonical` says what those are, `instants` when they happened, `paths` what a path says. `raw` and `flattened` read
Parquet, column by column; `json_lines` reads lines of JSON. A layout touches no file: containers do that.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

import polars as pl

from populace.events.jsontext import JsonReader
from populace.events.layouts.canonical import Schema, Wanted
from populace.events.layouts.flattened import SegmentLake, Warehouse
from populace.events.layouts.json_lines import RUDDERSTACK, SEGMENT
from populace.events.layouts.raw import Raw


class Layout(Protocol):
    """How one kind of archive is read."""

    @property
    def container(self) -> Literal["parquet", "lines"]:
        """What its objects are."""

    def reads(self, path: str) -> bool:
        """Whether an object of the archive is one to read, by its path below the archive."""

    def partition(self, path: str) -> datetime | None:
        """The hour or midnight of receipt that the path says, in UTC (E-26); None where it says nothing."""

    def is_summary(self, path: str) -> bool:
        """Whether other objects hold the same calls with more, so that its copies count last."""


class ParquetLayout(Layout, Protocol):
    """A layout of Parquet objects."""

    def columns(self, schema: Schema, path: str, wanted: Wanted) -> list[pl.Expr]:
        """The canonical columns as expressions over the file's columns and `ROW`.

        Raises
        ------
        ArchiveError
            If the file is not of the layout; names the file by its path below the archive, what is wrong, the remedy.
        """


class LinesLayout(Layout, Protocol):
    """A layout of objects that hold a call a line."""

    def rows(self, lines: pl.DataFrame, path: str, wanted: Wanted, json: JsonReader) -> pl.DataFrame:
        """Canonical rows, one a line and in their order.

        Parameters
        ----------
        lines
            (ROW: u32, line: str, null where it cannot be read; reason: str, the code of why, else null).
        """


# By the name in sources.yaml.
LAYOUTS: Mapping[str, Layout] = {
    "raw": Raw(),
    "segment_lake": SegmentLake(),
    "segment_json": SEGMENT,
    "rudderstack_json": RUDDERSTACK,
    "warehouse": Warehouse(),
}

__all__ = ["LAYOUTS", "JsonReader", "Layout", "LinesLayout", "ParquetLayout", "Schema", "Wanted"]

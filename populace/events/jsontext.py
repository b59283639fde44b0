"""Reading JSON text with DuckDB, which is the fastest reader we measured (docs/decisions.md).

DuckDB never touches a file or the network here: it is handed Arrow columns and hands some back.
"""

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import duckdb
import polars as pl

# How deep a path may be followed; deeper levels stay JSON text at the last one.
DEPTH = 16

# json_type aborts the whole query on a bad value, so it only ever sees good ones.
IS_OBJECT = "{j} is null or (json_valid({j}) and json_type(case when json_valid({j}) then {j} end) = 'OBJECT')"


class JsonReader:
    """One in-memory DuckDB connection that only reads JSON from columns; closed at the end of a `with`.

    Opening one costs as much as reading a small slice, so a replay opens one for all its slices.
    """

    def __init__(self) -> None:
        self.connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "enable_external_access": False,
                "python_enable_replacements": False,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.connection.close()

    def are_objects(self, texts: pl.DataFrame) -> pl.DataFrame:
        """For each column: true where the text is a JSON object, or null (nothing was sent)."""
        asked = ", ".join(f"coalesce({IS_OBJECT.format(j=name)}, false) as {name}" for name in texts.columns)
        return self._query(texts, f"select {asked} from input")

    def structures(self, objects: pl.Series) -> list[dict]:
        """The distinct shapes of JSON objects: nested names with the type of each leaf."""
        if objects.null_count() == objects.len():
            return []
        query = "select distinct json_structure(j) as shape from input where j is not null order by 1"
        shapes = self._query(_column(objects), query)
        return [json.loads(each) for each in shapes.get_column("shape") if each not in ('"JSON"', '"NULL"')]

    def texts(self, objects: pl.Series, pointers: Sequence[str]) -> list[pl.Series]:
        """For each JSON pointer the values as text: strings without quotes, null for JSON null."""
        return self._extract(objects, pointers, "json_extract_string")

    def values(self, objects: pl.Series, pointers: Sequence[str]) -> list[pl.Series]:
        """For each JSON pointer the values as JSON: strings with quotes, `null` for JSON null."""
        return self._extract(objects, pointers, "json_extract")

    def _extract(self, objects: pl.Series, pointers: Sequence[str], function: str) -> list[pl.Series]:
        if objects.null_count() == objects.len():
            return [pl.Series(values=[None] * objects.len(), dtype=pl.String) for _ in pointers]
        if not pointers:
            return []
        listed = ", ".join(_quoted(each) for each in pointers)
        picked = ", ".join(f"v[{n}]::varchar as v{n}" for n in range(1, len(pointers) + 1))
        found = self._query(
            _column(objects), f"select {picked} from (select {function}(j, [{listed}]) as v from input)"
        )
        return found.get_columns()

    def _query(self, input: pl.DataFrame, query: str) -> pl.DataFrame:
        self.connection.register("input", input.to_arrow())
        try:
            return pl.DataFrame(pl.from_arrow(self.connection.sql(query).to_arrow_table()))
        finally:
            self.connection.unregister("input")


def _column(texts: pl.Series) -> pl.DataFrame:
    return texts.alias("j").cast(pl.String).to_frame()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def pointer(names: Sequence[str]) -> str:
    """A JSON pointer (RFC 6901), which unlike a JSON path can name any key."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def names(path: str) -> tuple[str, ...]:
    r"""The keys of a dotted path; a dot written `\.` belongs to the key (Q-9)."""
    parts = path.replace("\\.", "\0").split(".")
    return tuple(part.replace("\0", ".") for part in parts)


def dotted(names: Sequence[str]) -> str:
    """The canonical dotted path of keys; `names` reads it back."""
    return ".".join(name.replace(".", "\\.") for name in names)

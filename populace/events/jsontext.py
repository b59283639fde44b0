"""Reading JSON text with DuckDB, which is the fastest reader we measured (docs/decisions.md).

DuckDB never touches a file or the network here: it is handed Arrow columns and hands some back.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import duckdb
import polars as pl

# How deep a path may be followed; deeper levels stay JSON text at the last one.
DEPTH = 16

# json_structure aborts the whole query at this depth, and DuckDB takes NaN and Infinity for JSON. What may hold
# either is found by a cheap pattern first, and then looked at character by character.
LEVELS = 128
SUSPECT = r"(?i)[:,\[]\s*-?(?:nan|inf)"
TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]|(?i:nan|inf)')

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
        """For each column: true where the text is a JSON object below 128 levels, or null (nothing was sent)."""
        asked = ", ".join(f"coalesce({IS_OBJECT.format(j=name)}, false) as {name}" for name in texts.columns)
        return self._query(texts, f"select {asked} from input").with_columns(
            pl.col(each.name) & _are_sound(each) for each in texts.iter_columns()
        )

    def structures(self, objects: pl.Series) -> list[dict]:
        """The distinct shapes of JSON objects: nested names with the type of each leaf."""
        if objects.null_count() == objects.len():
            return []
        query = "select distinct json_structure(j) as shape from input where j is not null order by 1"
        with self._input(_column(objects)):
            # As Python objects, which for a handful of rows takes a third of the time of Arrow.
            shapes = self.connection.execute(query).fetchall()
        return [json.loads(each) for (each,) in shapes if each not in ('"JSON"', '"NULL"')]

    def texts(self, objects: pl.Series, pointers: Sequence[str]) -> list[pl.Series]:
        """For each JSON pointer the values as text: strings without quotes, null for JSON null."""
        return self._extract(objects, pointers, "json_extract_string")

    def values(self, objects: pl.Series, pointers: Sequence[str]) -> list[pl.Series]:
        """For each JSON pointer the values as JSON: strings with quotes, `null` for JSON null."""
        return self._extract(objects, pointers, "json_extract")

    def entries(self, arrays: pl.Series, fields: Sequence[str]) -> pl.Series:
        """JSON arrays as lists of structs of these fields, each as JSON; what is no object has only nulls."""
        shape = json.dumps([dict.fromkeys(fields, "JSON")])
        return self._query(_column(arrays), f"select from_json(j, {_quoted(shape)}) as v from input").to_series()

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
        with self._input(input):
            return pl.DataFrame(pl.from_arrow(self.connection.sql(query).to_arrow_table()))

    @contextmanager
    def _input(self, frame: pl.DataFrame) -> Iterator[None]:
        """The frame as the table `input`, for as long as this lasts."""
        self.connection.register("input", frame.to_arrow())
        try:
            yield
        finally:
            self.connection.unregister("input")


def _are_sound(texts: pl.Series) -> pl.Series:
    suspect = texts.str.contains(SUSPECT) | (texts.str.count_matches(r"[\[{]") >= LEVELS)
    unsound = [text for text in texts.filter(suspect).unique() if not _is_sound(text)]
    return ~texts.is_in(pl.Series(unsound, dtype=pl.String).implode()).fill_null(value=False)


def _is_sound(text: str) -> bool:
    depth = 0
    for token in TOKENS.findall(text):
        depth += (token in "[{") - (token in "]}")
        if depth >= LEVELS or token[0] in "nNiI":
            return False
    return True


def _column(texts: pl.Series) -> pl.DataFrame:
    return texts.alias("j").cast(pl.String).to_frame()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def pointer(names: Sequence[str]) -> str:
    """A JSON pointer (RFC 6901), which unlike a JSON path can name any key."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def names(path: str) -> tuple[str, ...]:
    r"""The keys of a dotted path; a dot written `\.` belongs to the key (Q-9), as does one of two `\` before a dot."""
    parts = [""]
    for slashes, dot, text in re.findall(r"(\\*)(\.)|(\\*[^\\.]+|\\+$)", path):
        parts[-1] += text + slashes[: len(slashes) // 2]
        if dot and len(slashes) % 2:
            parts[-1] += dot
        elif dot:
            parts.append("")
    return tuple(parts)


def dotted(names: Sequence[str]) -> str:
    """The canonical dotted path of keys; `names` reads it back."""
    inner = [re.sub(r"(\\*)\.", r"\1\1\\.", name) for name in names]
    return ".".join([*(re.sub(r"(\\+)$", r"\1\1", name) for name in inner[:-1]), *inner[-1:]])

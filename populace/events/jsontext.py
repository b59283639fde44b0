"""Reading JSON text with DuckDB, which is the fastest reader we measured (docs/decisions.md).

DuckDB never touches a file or the network here: it is handed Arrow columns and hands some back.
What costs is a query, about 2 ms whatever it reads, so several event tables are read by one: each
*group* of rows, such as the events of one name, is asked for paths of its own.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import duckdb
import polars as pl

# How deep a path may be followed; deeper levels stay JSON text at the last one.
DEPTH = 16

# DuckDB takes NaN and Infinity for JSON. What may hold one is found by a cheap pattern, then by a closer one, and
# then looked at token by token.
HINT, SUSPECT = r"(?i)nan|inf", r"(?i)[:,\[]\s*-?(?:nan|inf)"
TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|(?i:nan|inf)')

MEMBERS = """
select n, k as name, json_extract(j, '/' || replace(replace(k, '~', '~0'), '/', '~1'))::varchar as value
from (select n, j, unnest(list_distinct(json_keys(j))) as k from input where j is not null)
"""

MASK = (1 << 63) - 1

Path = tuple[str, ...]
"""The keys that lead to a value."""

Asked = Mapping[int, Sequence[str]]
"""For each group the JSON pointers that its rows are asked for."""


class JsonReader:
    """One in-memory DuckDB connection that only reads JSON from columns; closed at the end of a `with`.

    Opening one costs as much as reading a small part, so a replay opens one for each of its threads.
    """

    def __init__(self) -> None:
        self.connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "enable_external_access": False,
                "python_enable_replacements": False,
                "produce_arrow_string_view": True,  # the form in which polars holds text, so it is not copied
                "threads": 1,  # parts are read beside each other, each by a reader of its own
            }
        )
        self.connection.execute("set enable_progress_bar = false")  # which it would write to a terminal in use

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection's memory back."""
        self.connection.close()

    def are_objects(self, texts: pl.DataFrame) -> pl.DataFrame:
        """For each column: true where the text is a JSON object, or null (nothing was sent)."""
        asked = ", ".join(f"{name} is null or json_valid({name}) as {name}" for name in texts.columns)
        valid = self._query(texts, f"select {asked} from input")
        return pl.DataFrame([is_valid & is_object(texts.get_column(is_valid.name)) for is_valid in valid])

    def tried(self, texts: pl.Series, pointers: Sequence[str]) -> tuple[list[pl.Series], pl.Series]:
        """`values` of texts that need not be JSON, and whether they are; both by one look at each."""
        # One bad text ends a query, unless it is tried; then DuckDB looks once more at the thousand around it.
        query = f"from (select j, try(json_extract(j, {_listed(pointers)})) as v from input)"
        found = self._query(_column(texts), f"select {_picked(len(pointers))}, v is not null {query}")
        return found.get_columns()[:-1], found.get_columns()[-1]

    # --- one column, one list of pointers ---------------------------------------------------------

    def values(self, objects: pl.Series, pointers: Sequence[str]) -> list[pl.Series]:
        """For each JSON pointer the values as JSON: strings with quotes, `null` for JSON null."""
        if objects.null_count() == objects.len() or not pointers:
            return [pl.Series(values=[None] * objects.len(), dtype=pl.String) for _ in pointers]
        query = f"from (select json_extract(j, {_listed(pointers)}) as v from input)"
        return self._query(_column(objects), f"select {_picked(len(pointers))} {query}").get_columns()

    def entries(self, arrays: pl.Series, fields: Sequence[str]) -> pl.Series:
        """JSON arrays as lists of structs of these fields, each as JSON; what is no object has only nulls.

        Null where the text is no JSON: of a warehouse, which cuts long texts, it need not be whole (E-92).
        """
        shape = json.dumps([dict.fromkeys(fields, "JSON")])
        query = f"select from_json(case when json_valid(j) then j end, {_quoted(shape)}) as v from input"
        return self._query(_column(arrays), query).to_series()

    def elements(self, values: pl.Series, below: Sequence[Path]) -> pl.Series:
        """The elements of JSON arrays, each as JSON: lists without null; what is no array is null, and has no elements.

        Parameters
        ----------
        below
            The keys that lead down from an element, through objects only. Of several each leads to a further array,
            whose elements are taken in its place.
        """
        found = "case when json_type(j) = 'ARRAY' then json_extract(j, '$[*]') end"
        for number, path in enumerate(below):
            if number:
                found = f"flatten(list_transform({found}, lambda e: json_extract(e, '$[*]')))"
            for name in path:
                child = f"case when json_type(e) = 'OBJECT' then json_extract(e, {_quoted(pointer((name,)))}) end"
                found = f"list_transform({found}, lambda e: {child})"
        held = f"list_filter({found}, lambda e: json_type(e) <> 'NULL')"
        return self._query(_column(values), f"select {held}::varchar[] as v from input").to_series()

    def members(self, objects: pl.Series) -> pl.DataFrame:
        """(n: u32, name, value), one row per object and top-level name; `n` counts the objects, value is JSON."""
        if objects.null_count() == objects.len():
            return pl.DataFrame(schema={"n": pl.UInt32, "name": pl.String, "value": pl.String})
        return self._query(_column(objects).with_row_index("n"), MEMBERS)

    # --- many groups at once ------------------------------------------------------------------------

    def pick(self, rows: pl.DataFrame, asked: Asked) -> pl.DataFrame:
        """`values` of each row for the pointers of its group, one column per position.

        Parameters
        ----------
        rows
            (g: u16, j: JSON objects or null).

        Returns
        -------
        As many rows, in the same order; column `v<n>` answers the n-th pointer of the row's group.
        """
        width = max((len(pointers) for pointers in asked.values()), default=0)
        if not width:
            return pl.DataFrame()
        return self._query(rows, f"select {_picked(width)} from (select {_by_group(asked)} as v from input)")

    def keys(self, rows: pl.DataFrame) -> list[tuple[int, list[str], int]]:
        """(group, keys, count): how many objects of a group of (g: u16, j: JSON objects or null) have the same keys."""
        # As text, by which DuckDB groups in half the time that lists take.
        found = "select g, to_json(json_keys(j))::varchar as found from input where j is not null"
        counted = self._query(rows, f"select g, found, count(*) as count from ({found}) group by all")
        return [(group, json.loads(keys), count) for group, keys, count in counted.iter_rows()]

    # --- numbers ------------------------------------------------------------------------------------

    def digests(self, texts: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Two independent numbers for each text: 63 bits as Int64, and 64 more as UInt64 (halves of MD5)."""
        # By way of one number, which is eight times as fast as asking for its halves.
        halves = f"(n & {MASK}::uhugeint)::bigint as low, (n >> 64)::ubigint as high"
        found = self._query(_column(texts), f"select {halves} from (select md5_number(j) as n from input)")
        return found.get_column("low"), found.get_column("high")

    def sha256(self, texts: pl.Series, digits: int = 64) -> pl.Series:
        """The first hexadecimal digits of SHA-256 of each text, a quarter of a second a million."""
        return self._query(_column(texts), f"select left(sha256(j), {digits}) as h from input").to_series()

    def _query(self, input: pl.DataFrame, query: str) -> pl.DataFrame:
        with self._input(input):
            return pl.DataFrame(pl.from_arrow(self.connection.sql(query).to_arrow_table()))

    @contextmanager
    def _input(self, frame: pl.DataFrame) -> Iterator[None]:
        """The frame as the table `input`, for as long as this lasts; its text is not copied."""
        self.connection.register("input", frame.to_arrow(compat_level=pl.CompatLevel.newest()))
        try:
            yield
        finally:
            self.connection.unregister("input")


def _picked(width: int) -> str:
    return ", ".join(f"v[{n}]::varchar as v{n}" for n in range(1, width + 1))


def _by_group(asked: Asked) -> str:
    cases = (f"when {group} then json_extract(j, {_listed(each)})" for group, each in asked.items() if each)
    return f"case g {' '.join(cases)} end"


def _listed(pointers: Sequence[str]) -> str:
    return f"[{', '.join(_quoted(each) for each in pointers)}]"


def whole_only(texts: pl.Series) -> pl.Series:
    """Texts without those that cannot be objects because they are cut off, which is how most bad ones are."""
    is_cut = ~texts.str.ends_with("}")
    if not is_cut.any():
        return texts
    return texts.set(is_cut & ~texts.str.strip_chars_end().str.ends_with("}"), None)


def is_object(texts: pl.Series) -> pl.Series:
    """True where valid JSON is an object without NaN and Infinity, or null."""
    bad = _unsound(texts)
    begins = begins_an_object(texts)
    return begins & ~texts.is_in(bad.implode()).fill_null(value=False) if bad.len() else begins


def begins_an_object(texts: pl.Series) -> pl.Series:
    """True where valid JSON is an object, or null; that it begins with a brace spares a second look at all of it."""
    begins = texts.is_null() | texts.str.starts_with("{")
    return begins if begins.all() else begins | texts.str.strip_chars_start().str.starts_with("{")


def _unsound(texts: pl.Series) -> pl.Series:
    """The distinct texts that hold NaN or Infinity outside of quotes."""
    suspect = texts.gather(suspects(texts)).unique()
    return pl.Series([text for text in suspect if _holds_no_number(text)], dtype=pl.String)


def suspects(texts: pl.Series) -> pl.Series:
    """Where texts stand that may hold NaN or Infinity outside of quotes."""
    hinted = texts.str.contains(HINT).fill_null(value=False).arg_true()
    return hinted.filter(texts.gather(hinted).str.contains(SUSPECT))


def _holds_no_number(text: str) -> bool:
    return any(token[0] in "nNiI" for token in TOKENS.findall(text))


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

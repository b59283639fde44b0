"""Segment's and RudderStack's raw archives: files of lines, each one whole call as JSON (E-60).

DuckDB takes all lines of a frame apart in one query. What it hands back as text no longer says whether it was text, so
lines with a value that looks like something else, `7` or `[1]`, are looked at once more; they are few.
"""

import json as texts
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb
import polars as pl

from populace.events.jsontext import JsonReader, whole_only
from populace.events.layouts import paths
from populace.events.layouts.canonical import JSONS, ROW, TEXTS
from populace.events.layouts.instants import NAMES as INSTANTS
from populace.events.layouts.instants import Moments

TITLED, TITLES = ("page", "screen"), ("name", "category")  # calls with fields that other calls have as properties
FIELDS = (*TEXTS, *INSTANTS, *JSONS, *TITLES)
CAMEL = tuple(re.sub(r"_([a-z])", lambda found: found[1].upper(), name) for name in FIELDS)
SNAKE = tuple(name for name, camel in zip(FIELDS, CAMEL, strict=True) if name != camel)

# The code of 1.7 for a field that is no text, whether a number will do as well (E-51), and the calls it is a field of.
IDS = ("message_id", "user_id", "anonymous_id", "group_id", "previous_id")
TYPED: dict[str, tuple[str, bool, tuple[str, ...]]] = {
    **dict.fromkeys(IDS, ("id_not_string", True, ())),
    "event": ("event_not_string", False, ("track",)),
    "name": ("name_not_string", False, TITLED),
    "category": ("category_not_string", False, TITLED),
}
# What begins like something else than text, in what DuckDB gives as text.
NO_TEXT = r"^(?:[\[{]|true$|false$|-?(?i:nan|inf))"
NO_TEXT_NOR_NUMBER = r"^(?:[\[{\d-]|true$|false$|(?i:nan|inf))"
NO_NUMBER = r"(?i)nan|inf"
ODD, KIND = "is odd: ", "type of: "  # before the names of columns that say so
NUMBERS = ("BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT", "DOUBLE")

BYTE_ORDER_MARK = "\ufeff"
NO_LINES = (".parquet", ".orc", ".avro")
REPORT = re.compile(r"report[^/]*\.json$")


@dataclass(frozen=True)
class JsonLines:
    """Lines of JSON, with what differs between the two vendors.

    Parameters
    ----------
    arrival
        The hour or midnight of receipt that a path says.
    traits_in_context
        Whether an Identify call without traits of its own has them in `context.traits`, as RudderStack's SDKs send it.
    """

    arrival: Callable[[str], datetime | None]
    traits_in_context: bool = False
    container: Literal["lines"] = "lines"

    def reads(self, path: str) -> bool:
        """Every object but hidden ones, Segment's `dummy-object.txt` (E-68), reports and files of other kinds."""
        is_other = path.endswith(("dummy-object.txt", *NO_LINES)) or REPORT.search(path) is not None
        return not is_other and not paths.is_hidden(path)

    def partition(self, path: str) -> datetime | None:
        return self.arrival(path)

    def is_summary(self, path: str) -> bool:
        return False

    def rows(self, lines: pl.DataFrame, path: str, json: JsonReader) -> pl.DataFrame:
        """Canonical rows in the JSON form, one a line and in their order, with `name` and `category`.

        Parameters
        ----------
        lines
            (ROW: u32, line: str, null where it cannot be read; reason: str, the code of why, else null).

        Returns
        -------
        Keys are those of Segment, `messageId`; a line without that one is read by its snake_case keys as well. Of a key
        that stands twice the first counts. JSON null is like an absent key. `properties`, `traits` and `context` are
        handed on as they are, objects or not.

        Numbers as identifiers are text as DuckDB writes them (E-51): whole numbers digit by digit, 12.0 as "12.0".
        `problem` is the line's `reason`; else `not_json` where it is no JSON object; else `id_not_string`,
        `event_not_string`, `name_not_string`, `category_not_string` where such a field is of another type (1.7).
        """
        found = fields(lines.get_column("line"), json)
        if self.traits_in_context:
            found = found.with_columns(_traits(found, json))
        moments = Moments(found.select(INSTANTS), self.arrival(path))
        is_titled = pl.col("type").is_in(TITLED)
        return found.select(
            lines.get_column(ROW).cast(pl.UInt32).alias("row"),
            *TEXTS,
            moments.timestamp.alias("timestamp"),
            moments.received_at.alias("received_at"),
            moments.unreadable.alias("unreadable"),
            pl.coalesce(lines.get_column("reason"), "problem").alias("problem"),
            *JSONS,
            *(pl.when(is_titled).then(name).alias(name) for name in TITLES),
        )


SEGMENT = JsonLines(paths.midnight)
RUDDERSTACK = JsonLines(lambda path: paths.day_or_hour(path, month_first=True), traits_in_context=True)


def fields(lines: pl.Series, json: JsonReader) -> pl.DataFrame:
    """`FIELDS` and `problem` of each line, all String; null where the line has none."""
    if lines.str.starts_with(BYTE_ORDER_MARK).any():  # the first line of a file from Windows
        lines = lines.str.strip_prefix(BYTE_ORDER_MARK)
    found, is_object = _extracted(whole_only(lines), CAMEL, json)
    unnamed = is_object & found.get_column("message_id").is_null()
    if _has_snake(lines.filter(unnamed), json):
        others, _ = _extracted(_only(lines, unnamed), FIELDS, json)
        found = found.select(pl.coalesce(name, others.get_column(name)).alias(name) for name in FIELDS)
    found = found.with_columns(problem=pl.when(~is_object).then(pl.lit("not_json")))
    return found.with_columns(problem=pl.coalesce("problem", _wrong_type(found, lines, json)))


def _has_snake(lines: pl.Series, json: JsonReader) -> bool:
    """Whether any of some lines has a key in snake_case."""
    if not lines.len():
        return False
    found, _ = _extracted(lines, FIELDS, json)
    return any(found.get_column(name).is_not_null().any() for name in SNAKE)


def _extracted(lines: pl.Series, keys: Sequence[str], json: JsonReader) -> tuple[pl.DataFrame, pl.Series]:
    """The values of these keys in each line, named as `FIELDS`, and whether the line is a JSON object."""
    shape = {key: "JSON" if name in JSONS else "VARCHAR" for name, key in zip(FIELDS, keys, strict=True)}
    # One bad line ends a query, unless it is tried, which costs more: DuckDB then looks once more at those around it.
    taken = f"from_json(line, '{texts.dumps(shape)}')"
    query = "select unnest(v), v is not null from (select {} as v from lines)"
    try:
        found = _query(lines, query.format(taken), json)
    except duckdb.InvalidInputException:
        found = _query(lines, query.format(f"try({taken})"), json)
    found.columns = [*FIELDS, "is_object"]
    return found.drop("is_object"), found.get_column("is_object")


def _wrong_type(found: pl.DataFrame, lines: pl.Series, json: JsonReader) -> pl.Series:
    """The first code of `TYPED` that applies to each line."""
    odd = found.select(_looks_odd(name).fill_null(value=False).alias(ODD + name) for name in TYPED)
    asked = odd.select(pl.any_horizontal(pl.all())).to_series()
    if not asked.any():
        return pl.repeat(None, found.height, dtype=pl.String, eager=True)
    looked_at = found.hstack(odd).hstack(_kinds(_only(lines, asked), json))
    codes = (pl.when(pl.col(ODD + name) & _is_wrong(name)).then(pl.lit(code)) for name, (code, *_) in TYPED.items())
    return looked_at.select(pl.coalesce(codes)).to_series()


def _looks_odd(name: str) -> pl.Expr:
    _, takes_numbers, calls = TYPED[name]
    odd = pl.col(name).str.contains(NO_TEXT if takes_numbers else NO_TEXT_NOR_NUMBER)
    return odd & pl.col("type").is_in(calls) if calls else odd


def _is_wrong(name: str) -> pl.Expr:
    kind, takes_numbers = pl.col(KIND + name), TYPED[name][1]
    is_number = kind.is_in(NUMBERS) & ~pl.col(name).str.contains(NO_NUMBER)
    return (kind != "VARCHAR") & ~is_number if takes_numbers else kind != "VARCHAR"


def _kinds(lines: pl.Series, json: JsonReader) -> pl.DataFrame:
    """DuckDB's name for the type of each field of `TYPED`, in columns named with `KIND`."""
    keys = [(name, CAMEL[FIELDS.index(name)]) for name in TYPED]
    asked = ", ".join(f"'/{key}'" for both in keys for key in both)
    listed = _query(lines, f"select json_type(line, [{asked}]) as kinds from lines", json).to_series()
    # By the key that `fields` took the value from; where it took none, the type says nothing.
    return listed.to_frame("kinds").select(
        pl.coalesce(_kind(2 * at + 1), _kind(2 * at)).alias(KIND + name) for at, (name, _) in enumerate(keys)
    )


def _kind(at: int) -> pl.Expr:
    kind = pl.col("kinds").list.get(at, null_on_oob=True)
    return pl.when(kind != "NULL").then(kind)


def _traits(found: pl.DataFrame, json: JsonReader) -> pl.Series:
    """The traits of each call, for an Identify call without any those of its context."""
    traits = found.get_column("traits")
    lacks = (found.get_column("type") == "identify").fill_null(value=False) & (traits.fill_null("{}") == "{}")
    if not lacks.any():
        return traits
    contexts = _only(found.get_column("context"), lacks)
    inner = _query(contexts, "select json_extract(line, '/traits')::varchar as traits from lines", json).to_series()
    return inner.zip_with((lacks & inner.is_not_null() & (inner != "null")).fill_null(value=False), traits)


def _only(texts: pl.Series, where: pl.Series) -> pl.Series:
    """The texts with null where they are not asked for, so that what is found stays aligned."""
    return texts.set(~where, None)


def _query(lines: pl.Series, query: str, json: JsonReader) -> pl.DataFrame:
    json.connection.register("lines", lines.alias("line").to_frame().to_arrow(compat_level=pl.CompatLevel.newest()))
    try:
        return pl.DataFrame(pl.from_arrow(json.connection.sql(query).to_arrow_table()))
    finally:
        json.connection.unregister("lines")

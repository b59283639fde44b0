"""Segment's and RudderStack's raw archives: files of lines, each one whole call as JSON (E-60).

DuckDB takes all lines of a frame apart in one query, contexts too, of which only what is wanted is read. Whether a
context is an object at all shows by what stands in it; lines in which nothing does, or which may hold NaN, are looked
at once more.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb
import polars as pl

from populace.events.jsontext import JsonReader, Path, begins_an_object, is_object, pointer, suspects, whole_only
from populace.events.layouts import paths
from populace.events.layouts.canonical import ROW, TEXTS, Wanted, context_column, integrations_column
from populace.events.layouts.instants import NAMES as INSTANTS
from populace.events.layouts.instants import Moments
from populace.events.values import as_text, without_null

TITLED, TITLES = ("page", "screen"), ("name", "category")  # calls with fields that other calls have as properties
PAYLOAD = ("properties", "traits")
FIELDS = (*TEXTS, *INSTANTS, *PAYLOAD, *TITLES)
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
NUMBER = r"^-?\d"
LIBRARY, SEEN = ("library", "name"), "library"  # of the SDK that sent a call: in almost every context
TRAITS = ("traits",)

Inner = Mapping[str, Path]  # where something stands in a call, by the name of the column that it becomes

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
        is_other = path.lower().endswith(("dummy-object.txt", *NO_LINES)) or REPORT.search(path) is not None
        return not is_other and not paths.is_hidden(path)

    def partition(self, path: str) -> datetime | None:
        return self.arrival(path)

    def is_summary(self, path: str) -> bool:
        return False

    def rows(self, lines: pl.DataFrame, path: str, wanted: Wanted, json: JsonReader) -> pl.DataFrame:
        """Canonical rows in the JSON form, one a line and in their order, with `name` and `category`.

        Of contexts the columns `context_column` of what is wanted, and `context_not_object`; of integrations likewise.

        Parameters
        ----------
        lines
            (ROW: u32, line: str, null where it cannot be read; reason: str, the code of why, else null).

        Returns
        -------
        Keys are those of Segment, `messageId`; a line without that one is read by its snake_case keys as well. Of a key
        that stands twice the first counts. JSON null is like an absent key. `properties` and `traits` are handed on as
        they are, objects or not, as valid JSON.

        Numbers as identifiers are text as DuckDB writes them (E-51): whole numbers digit by digit, 12.0 as "12.0".
        `problem` is the line's `reason`; else `not_json` where it is no JSON object; else `id_not_string`,
        `event_not_string`, `name_not_string`, `category_not_string` where such a field is of another type (1.7).
        """
        contexts = {*wanted.in_context, *([TRAITS] if self.traits_in_context else [])}
        asked = {context_column(path): ("context", *path) for path in sorted(contexts)}
        asked |= {integrations_column(path): ("integrations", *path) for path in sorted(wanted.integrations)}
        found = fields(lines.get_column("line"), asked, json)
        if self.traits_in_context:
            found = found.with_columns(_traits(found))
        moments = Moments(found.select(INSTANTS), self.arrival(path))
        is_titled = pl.col("type").is_in(TITLED)
        return found.select(
            lines.get_column(ROW).cast(pl.UInt32).alias("row"),
            *TEXTS,
            moments.timestamp.alias("timestamp"),
            moments.received_at.alias("received_at"),
            moments.unreadable.alias("unreadable"),
            pl.coalesce(lines.get_column("reason"), "problem").alias("problem"),
            *PAYLOAD,
            "context_not_object",
            *map(context_column, wanted.in_context),
            *map(integrations_column, sorted(wanted.integrations)),
            *(pl.when(is_titled).then(name).alias(name) for name in TITLES),
        )


SEGMENT = JsonLines(paths.midnight)
RUDDERSTACK = JsonLines(lambda path: paths.day_or_hour(path, month_first=True), traits_in_context=True)


def fields(lines: pl.Series, inner: Inner, json: JsonReader) -> pl.DataFrame:
    """Of each line `FIELDS`, the inner paths by name, `context_not_object`, `problem`; null where it has none.

    Payload and what is in contexts is JSON, all else text.
    """
    if lines.str.starts_with(BYTE_ORDER_MARK).any():  # the first line of a file from Windows
        lines = lines.str.strip_prefix(BYTE_ORDER_MARK)
    found, is_sound = _extracted(lines, CAMEL, inner, json)
    unnamed = is_sound & found.get_column("message_id").is_null()
    if _has_snake(lines.filter(unnamed), json):
        others, _ = _extracted(_only(lines, unnamed), FIELDS, {}, json)
        found = found.with_columns(pl.coalesce(name, others.get_column(name)).alias(name) for name in FIELDS)
    texts = as_text(found.select(name for name in FIELDS if name not in PAYLOAD))
    problem = pl.select(pl.when(~is_sound).then(pl.lit("not_json"))).to_series()
    return found.with_columns(
        *texts,
        problem=pl.coalesce(problem, _wrong_type(found, texts.get_column("type"))),
        context_not_object=_wrong_context(found, lines, is_sound, json),
    ).drop(SEEN)


def _has_snake(lines: pl.Series, json: JsonReader) -> bool:
    """Whether any of some lines has a key in snake_case."""
    if not lines.len():
        return False
    found, _ = _extracted(lines, FIELDS, {}, json)
    return any(found.get_column(name).is_not_null().any() for name in SNAKE)


def _extracted(lines: pl.Series, keys: Sequence[str], inner: Inner, json: JsonReader) -> tuple[pl.DataFrame, pl.Series]:
    """What stands in each line, as JSON, and whether the line is a JSON object.

    That is the values of these keys, named as `FIELDS`, those of the inner paths, and `SEEN` of the library.
    """
    paths = (*zip(keys, strict=True), *inner.values(), ("context", *LIBRARY))
    pointers, whole = [pointer(path) for path in paths], whole_only(lines)
    try:
        values, are_valid = json.values(whole, pointers), whole.is_not_null()
    except duckdb.InvalidInputException:  # one bad line ends a query, unless it is tried, which costs more
        values, are_valid = json.tried(whole, pointers)
    found = pl.DataFrame(values)
    found.columns = [*FIELDS, *inner, SEEN]
    return without_null(found), lines.is_not_null() & are_valid & begins_an_object(lines)


def _wrong_type(found: pl.DataFrame, types: pl.Series) -> pl.Series:
    """The first code of `TYPED` that applies to each line."""
    is_other = {name: ~pl.col(name).str.starts_with('"') for name in TYPED}
    some = found.select(each.any().alias(name) for name, each in is_other.items()).row(0, named=True)
    codes = [pl.repeat(None, found.height, dtype=pl.String)]
    for name, (code, takes_numbers, calls) in TYPED.items():
        if some[name]:
            is_wrong = is_other[name] & ~pl.col(name).str.contains(NUMBER) if takes_numbers else is_other[name]
            codes.append(pl.when(is_wrong & (types.is_in(calls) if calls else True)).then(pl.lit(code)))
    return found.select(pl.coalesce(codes).alias("code")).to_series()


def _wrong_context(found: pl.DataFrame, lines: pl.Series, is_sound: pl.Series, json: JsonReader) -> pl.Series:
    """Where a context is something else than an object, or has NaN or Infinity in it."""
    # An array has elements at paths that begin with a number.
    below = [name for name in found.columns if name.startswith("context/") and not re.match(r"context/\d", name)]
    is_empty = found.select(pl.all_horizontal(pl.col(*below, SEEN).is_null())).to_series()
    asked = is_sound & is_empty.scatter(suspects(lines), True)
    contexts = json.values(_only(lines, asked), ["/context"])[0]
    return ~is_object(contexts.set(contexts == "null", None))


def _traits(found: pl.DataFrame) -> pl.Series:
    """The traits of each call, for an Identify call without any those of its context."""
    traits, inner = found.get_column("traits"), found.get_column(context_column(TRAITS))
    lacks = (found.get_column("type") == "identify").fill_null(value=False) & (traits.fill_null("{}") == "{}")
    return inner.zip_with(lacks & inner.is_not_null(), traits).alias("traits")


def _only(texts: pl.Series, where: pl.Series) -> pl.Series:
    """The texts with null where they are not asked for, so that what is found stays aligned."""
    return texts.set(~where, None)

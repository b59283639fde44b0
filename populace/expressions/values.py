"""What an operand is in each row, seen as every type that it may have.

A property with mixed types is a number in one row and a string in the next, so a value is seen through *views*: null
where it is of another type, and None where it can never be of that type.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from populace.expressions.lists import Items, flat, is_array, nested
from populace.expressions.texts import INSTANT, instant, json_text
from populace.nodes import Literal

JSON = ":json"  # ends the name of a column that holds JSON text, so that 10, "10" and true stay apart


@dataclass(frozen=True, slots=True)
class Number:
    """A number as 64-bit integer, as float, or both: null where it is not such a number.

    Integers beside floats, because a float cannot tell 2**53 from 2**53 + 1. `real` is None where every
    number is an integer, `integer` where none is known to be one.
    """

    integer: pl.Expr | None
    real: pl.Expr | None

    def as_real(self) -> pl.Expr:
        return self.real if self.real is not None else self._integer().cast(pl.Float64)

    def _integer(self) -> pl.Expr:
        assert self.integer is not None, "a number has one form at least"
        return self.integer


@dataclass(frozen=True, slots=True)
class Value:
    """What one operand is in each row.

    `number`, `text`, `truth` and `instant` are its views. `numeric_text`, `truth_text` and `dated_text` read the text
    view as number ("39.95"), as boolean ("true") and as instant ("2024-03-31"). `present` is never null; a list or an
    object is present and has no view. `items` are the elements of a list, or `nested` is the text of one that holds
    objects or lists.
    A value with `choice` is any one of these: a comparison holds if it holds for one of them (A-14).
    """

    present: pl.Expr
    number: Number | None = None
    text: pl.Expr | None = None
    truth: pl.Expr | None = None
    instant: pl.Expr | None = None
    numeric_text: Number | None = None
    truth_text: pl.Expr | None = None
    dated_text: pl.Expr | None = None
    items: Items | None = None
    nested: pl.Expr | None = None
    choice: Items | None = None


MISSING = Value(present=pl.lit(value=False))
PRESENT = pl.lit(value=True)


# --- constants --------------------------------------------------------------------------------------


def literal(node: Literal) -> Value:
    """A constant; what it can be coerced to is decided now and not once a row."""
    if isinstance(node.value, str):
        return _constant_text(node.value)
    if isinstance(node.value, date):
        return Value(PRESENT, instant=pl.lit(at(node.value), dtype=INSTANT))
    return Value(PRESENT, number=_constant_number(node.value))


def at(moment: date) -> datetime:
    """A date, or an instant, as an instant; a date is its midnight in UTC."""
    return moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day, tzinfo=UTC)


def _constant_text(value: str) -> Value:
    as_truth = {"true": True, "false": False}.get(value)
    as_instant = pl.select(instant(pl.lit(value))).item()
    return Value(
        PRESENT,
        text=pl.lit(value),
        numeric_text=_constant_numeric_text(value),
        truth_text=None if as_truth is None else pl.lit(as_truth),
        dated_text=None if as_instant is None else pl.lit(as_instant, dtype=INSTANT),
    )


def _constant_number(value: float) -> Number:
    if isinstance(value, int):
        return Number(pl.lit(value, dtype=pl.Int64), None)
    return Number(None, pl.lit(value, dtype=pl.Float64))


def _constant_numeric_text(value: str) -> Number | None:
    # By the same rules as a column of text: polars says what is numeric.
    number = _numeric(pl.lit(value))
    real = pl.select(number.as_real()).item()
    integer = pl.select(number.integer).item()
    if integer is not None:
        return _constant_number(integer)
    return None if real is None else _constant_number(real)


def is_word(text: str) -> bool:
    """Whether a constant is neither a number nor an instant: then it equals nothing but the same text, or boolean."""
    value = _constant_text(text)
    return value.numeric_text is None and value.dated_text is None


# --- columns ----------------------------------------------------------------------------------------


def column(name: str, dtype: pl.DataType, *, null_is_zero: bool = False) -> Value:
    """A column of one type, or of JSON text where its name ends in `:json`. Null is missing, or 0."""
    expression = pl.col(name).fill_null(0) if null_is_zero else pl.col(name)
    if name.endswith(JSON):
        return _json(expression)
    if isinstance(dtype, pl.List):
        return Value(expression.is_not_null(), items=Items(expression.is_not_null(), expression, are_json=False))
    if dtype == pl.Boolean:
        return Value(expression.is_not_null(), truth=expression)
    if dtype == pl.String:
        return text(expression)
    if isinstance(dtype, pl.Datetime):
        return Value(expression.is_not_null(), instant=expression)
    if dtype.is_integer():
        return Value(expression.is_not_null(), number=Number(expression.cast(pl.Int64), None))
    if dtype.is_float():
        return Value(expression.is_not_null(), number=Number(None, expression.cast(pl.Float64)))
    return Value(expression.is_not_null())


def text(expression: pl.Expr) -> Value:
    """A String expression."""
    return Value(
        expression.is_not_null(),
        text=expression,
        numeric_text=_numeric(expression),
        truth_text=_truth(expression),
        dated_text=instant(expression),
    )


def inside(expression: pl.Expr, segments: Iterable[str]) -> Value:
    """A value inside a JSON object, as text or as a list: `segments` are the keys on the way down.

    What is numeric text compares with numbers and 'true' with booleans (Q-21), so the lost type shows only
    where 10.0 meets '10' in quotes.
    """
    *above, last = ["['{}']".format(key.replace("'", "\\'")) for key in segments]
    found = expression.str.json_path_match("".join(["$", *above, last]))
    # Text may begin like a list, too; only text is greater than other text.
    bracketed = pl.when(found.str.starts_with("[")).then(expression)
    is_text = bracketed.str.json_path_match("".join(["$", *above, f"[?(@{last} >= '')]"])).is_not_null()
    lists = pl.when(is_array(found) & ~is_text).then(found)
    return replace(text(pl.when(lists.is_null()).then(found)), present=found.is_not_null(), **_views(lists))


def any_element(name: str) -> Value:
    """A column of lists whose elements are JSON, each of which is a value of its own."""
    there = (pl.col(name).list.len() > 0).fill_null(value=False)
    return Value(there, choice=Items(there, pl.col(name)))


def element(name: str) -> Value:
    """A column of single elements; those that are lists or objects themselves have no view."""
    return replace(column(name, pl.String()), items=None, nested=None)


def _json(expression: pl.Expr) -> Value:
    is_string = expression.str.starts_with('"')
    inner = pl.when(is_string).then(json_text(expression))
    return Value(
        expression.is_not_null() & (expression != "null").fill_null(value=False),
        number=_numeric(expression),  # a quoted number does not parse, so this is null for strings
        text=inner,
        truth=_truth(expression),
        numeric_text=_numeric(inner),
        truth_text=_truth(inner),
        dated_text=instant(inner),
        **_views(expression),
    )


def _views(json: pl.Expr) -> dict[str, Any]:
    return {"items": Items(is_array(json), flat(json)), "nested": nested(json)}


def _numeric(expression: pl.Expr) -> Number:
    real = expression.cast(pl.Float64, strict=False)
    # "inf" and "nan" parse as well, and are words rather than numbers.
    return Number(expression.cast(pl.Int64, strict=False), pl.when(real.is_finite()).then(real))


def _truth(expression: pl.Expr) -> pl.Expr:
    return pl.when(expression.is_in(["true", "false"])).then(expression == "true")

"""Query nodes to polars expressions over one row: an event, or a profile.

A value is seen through *views*, one for each type it may have: a property with mixed types is a number in
one row and a string in the next. A comparison pairs the views that Q-21 lets meet. At most one pair has both
sides in a row, so a comparison is true where any pair says so. No expression here is ever null (Q-20).
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from populace.definitions import (
    Absent,
    And,
    Compare,
    Condition,
    Context,
    Exists,
    Literal,
    Not,
    OneOf,
    Operand,
    Or,
    Property,
)

JSON = ":json"  # ends the name of a column that holds JSON text, so that 10, "10" and true stay apart

Comparison = Callable[[Any, Any], pl.Expr]
ORDERINGS: dict[str, Comparison] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


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

    `number`, `text` and `truth` are its views, null where it is of another type and None where it can never
    be of that type. `numeric_text` and `truth_text` read the text view as number ("39.95") and as boolean
    ("true"). `present` is never null; a list or an object is present and has no view.
    """

    present: pl.Expr
    number: Number | None = None
    text: pl.Expr | None = None
    truth: pl.Expr | None = None
    numeric_text: Number | None = None
    truth_text: pl.Expr | None = None


MISSING = Value(present=pl.lit(value=False))


def condition(node: Condition, read: Callable[[Any], Value]) -> pl.Expr:
    """A condition as a Boolean expression over one row; never null.

    Parameters
    ----------
    node
        The condition.
    read
        Gives the value of every operand that is not a literal.

    Notes
    -----
    Missing compares false also under `!=` (Q-20); NOT is the plain opposite, so `NOT a = 1` holds where `a`
    is missing. Types meet by Q-21.
    """

    def value(operand: Operand) -> Value:
        return literal(operand) if isinstance(operand, Literal) else read(operand)

    match node:
        case Compare(left, sign, right):
            return _compare(value(left), sign, value(right))
        case Exists(operand):
            return value(operand).present
        case Absent(operand):
            return ~value(operand).present
        case OneOf(operand, choices):
            return _one_of(value(operand), choices)
        case And(terms):
            return pl.all_horizontal([condition(each, read) for each in terms])
        case Or(terms):
            return pl.any_horizontal([condition(each, read) for each in terms])
        case Not(term):
            return ~condition(term, read)
    raise AssertionError(node)


# --- where values come from -----------------------------------------------------------------


def literal(node: Literal) -> Value:
    """A constant; what it can be coerced to is decided now and not once a row."""
    if not isinstance(node.value, str):
        return Value(present=pl.lit(value=True), number=_constant_number(node.value))
    as_truth = {"true": True, "false": False}.get(node.value)
    return Value(
        present=pl.lit(value=True),
        text=pl.lit(node.value),
        numeric_text=_constant_numeric_text(node.value),
        truth_text=None if as_truth is None else pl.lit(as_truth),
    )


def column(name: str, dtype: pl.DataType, *, null_is_zero: bool = False) -> Value:
    """A column of one type, or of JSON text where its name ends in `:json`. Null is missing, or 0."""
    expression = pl.col(name).fill_null(0) if null_is_zero else pl.col(name)
    if name.endswith(JSON):
        return _json(expression)
    if dtype == pl.Boolean:
        return Value(expression.is_not_null(), truth=expression)
    if dtype == pl.String:
        return text(expression)
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
    )


def field_column(schema: Mapping[str, pl.DataType], field: Property | Context) -> str | None:
    """The column of events that holds a field; None where no event has it."""
    name = f"{'p' if isinstance(field, Property) else 'c'}.{field.path}"
    # A path that ends in `:json` is stored as JSON always: its bare name is the JSON form of another path.
    spelled = (name + JSON,) if name.endswith(JSON) else (name, name + JSON)
    return next((each for each in spelled if each in schema), None)


def field(schema: Mapping[str, pl.DataType], node: Property | Context) -> Value:
    """A field of the event at hand."""
    name = field_column(schema, node)
    return MISSING if name is None else column(name, schema[name])


EXACT = 2**53  # up to here a Float64 holds every whole number


def json_number(value: pl.Expr) -> pl.Expr:
    """A Float64 as JSON, with one text for one number: 10.0 is `10`, as if it had been written so."""
    is_whole = (value == value.round(0)) & value.is_between(-EXACT, EXACT)
    return pl.when(is_whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))


def json_text(expression: pl.Expr) -> pl.Expr:
    r"""JSON as the text people mean: strings without quotes, everything else as it is.

    Examples
    --------
    >>> frame = pl.DataFrame({"value": ['"a"', "10", "true", '["a"]', '"a \\"b\\""', None]})
    >>> frame.select(json_text(pl.col("value"))).to_series().to_list()
    ['a', '10', 'true', '["a"]', 'a "b"', None]
    """
    # Only strings with an escape need a JSON parser, and few have one.
    is_string = expression.str.starts_with('"')
    is_escaped = is_string & expression.str.contains("\\", literal=True)
    parsed = pl.when(is_escaped).then(expression).str.json_path_match("$")
    plain = expression.str.strip_prefix('"').str.strip_suffix('"')
    return pl.when(is_escaped).then(parsed).when(is_string).then(plain).otherwise(expression)


def nested(expression: pl.Expr, segments: Iterable[str]) -> Value:
    """A value inside a JSON object, as text: `segments` are the keys on the way down.

    What is numeric text compares with numbers and 'true' with booleans (Q-21), so the lost type shows only
    where 10.0 meets '10' in quotes.
    """
    keys = [key.replace("'", "\\'") for key in segments]
    return text(expression.str.json_path_match("$" + "".join(f"['{key}']" for key in keys)))


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
    )


def _numeric(expression: pl.Expr) -> Number:
    real = expression.cast(pl.Float64, strict=False)
    # "inf" and "nan" parse as well, and are words rather than numbers.
    return Number(expression.cast(pl.Int64, strict=False), pl.when(real.is_finite()).then(real))


def _truth(expression: pl.Expr) -> pl.Expr:
    return pl.when(expression.is_in(["true", "false"])).then(expression == "true")


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


# --- comparing ------------------------------------------------------------------------------


def _compare(left: Value, sign: str, right: Value) -> pl.Expr:
    if sign == "=":
        return _equal(left, right)
    if sign == "!=":
        return left.present & right.present & ~_equal(left, right)
    return _any([*_numbers(left, right, ORDERINGS[sign]), *_texts(left, right, ORDERINGS[sign])])


def _equal(left: Value, right: Value) -> pl.Expr:
    return _any([*_numbers(left, right, operator.eq), *_texts(left, right, operator.eq), *_truths(left, right)])


def _one_of(value: Value, choices: tuple[Literal, ...]) -> pl.Expr:
    # The choices that are text meet the text view in one look-up instead of one comparison each.
    known = [literal(choice) for choice in choices]
    pairs = [pair for each in known for pair in (*_numbers(value, each, operator.eq), *_truths(value, each))]
    words = [choice.value for choice in choices if isinstance(choice.value, str)]
    if value.text is not None and words:
        pairs.append(value.text.is_in(words))
    return _any(pairs)


def _any(pairs: list[pl.Expr]) -> pl.Expr:
    if not pairs:
        return pl.lit(value=False)
    return pl.any_horizontal([pair.fill_null(value=False) for pair in pairs])


def _numbers(left: Value, right: Value, compare: Comparison) -> Iterator[pl.Expr]:
    # Text is read as a number only where the other side is one: '10' < '9' compares texts.
    pairs = [(left.number, right.number), (left.number, right.numeric_text), (left.numeric_text, right.number)]
    for one, other in pairs:
        if one is not None and other is not None:
            yield _compare_numbers(one, other, compare)


def _compare_numbers(left: Number, right: Number, compare: Comparison) -> pl.Expr:
    if left.integer is None or right.integer is None:
        return compare(left.as_real(), right.as_real())
    exact = compare(left.integer, right.integer)
    if left.real is None and right.real is None:
        return exact
    # Null where one of them is no integer, and then the float decides.
    return pl.when(exact.is_not_null()).then(exact).otherwise(compare(left.as_real(), right.as_real()))


def _texts(left: Value, right: Value, compare: Comparison) -> Iterator[pl.Expr]:
    # polars compares UTF-8 bytes, which is code-point order.
    if left.text is not None and right.text is not None:
        yield compare(left.text, right.text)


def _truths(left: Value, right: Value) -> Iterator[pl.Expr]:
    pairs = [(left.truth, right.truth), (left.truth, right.truth_text), (left.truth_text, right.truth)]
    for one, other in pairs:
        if one is not None and other is not None:
            yield one == other

"""Conditions over one row, two-valued: no expression here is ever null (Q-20).

A comparison pairs the views that Q-21 lets meet. At most one pair has both sides in a row, so a comparison is true
where any pair says so.
"""

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from populace.expressions.lists import Items, any_of
from populace.expressions.values import JSON, Number, Value, at, element, literal
from populace.nodes import (
    Absent,
    And,
    Compare,
    Condition,
    Contains,
    Dated,
    Duration,
    EndsWith,
    Exists,
    Literal,
    NoneOf,
    Not,
    OneOf,
    Operand,
    Or,
    Property,
    Relative,
    StartsWith,
)
from populace.query import fingerprint
from populace.viewpoints import is_beside

Comparison = Callable[[Any, Any], pl.Expr]
ORDERINGS: dict[str, Comparison] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def condition(node: Condition, read: Callable[[Any], Value], as_of: datetime) -> pl.Expr:
    """A condition as a Boolean expression over one row; never null.

    Parameters
    ----------
    node
        The condition.
    read
        Gives the value of every operand that is not a literal.
    as_of
        What "today" is (Q-22).

    Notes
    -----
    Missing compares false also under `!=` (Q-20); NOT is the plain opposite, so `NOT a = 1` holds where `a`
    is missing. Types meet by Q-21. What takes other rows than the one at hand (`viewpoints.is_beside`) is answered
    before, and read from the column that `answer` names.
    """
    return _Conditions(read, as_of).holds(node)


@dataclass(frozen=True, slots=True)
class _Element:
    """An operand: one element of a list, in a column of its own."""

    column: str


PLACES = ("left", "right", "operand", "affix", "choices")  # where a comparison has an operand


@dataclass(frozen=True, slots=True)
class _Conditions:
    """Conditions on one kind of row; `depth` says how many elements it holds already."""

    read: Callable[[Any], Value]
    as_of: datetime
    depth: int = 0

    def value(self, operand: Any) -> Value:
        if isinstance(operand, _Element):
            return element(operand.column)
        return literal(operand) if isinstance(operand, Literal) else self.read(operand)

    def holds(self, node: Condition) -> pl.Expr:
        if is_beside(node):
            return pl.col(answer(node))
        match node:
            case And(terms):
                return pl.all_horizontal(list(map(self.holds, terms)))
            case Or(terms):
                return pl.any_horizontal(list(map(self.holds, terms)))
            case Not(term):
                return ~self.holds(term)
            case Exists(operand):
                return self.value(operand).present
            case Absent(operand):
                return ~self.value(operand).present
            case NoneOf(operand, choices) if not self._is_any(operand):
                return self.value(operand).present & ~self.holds(OneOf(operand, choices))
            case OneOf(_, choices) | Contains(_, choices) if len(choices) > 1 and any(map(self._is_any, choices)):
                return self.holds(Or(tuple(replace(node, choices=(each,)) for each in choices)))
        place = next((place for place in PLACES if self._is_any(_at(node, place))), None)
        return self._among(node) if place is None else self._bound(node, place, self.value(_at(node, place)).choice)

    def _among(self, node: Condition) -> pl.Expr:
        match node:
            case Compare(left, sign, right):
                return _compare(self.value(left), sign, self.value(right))
            case OneOf(operand, choices):
                value = self.value(operand)
                return _any([self._one_of(value, choices), *self._in_list(node, value.items)])
            case Contains(operand, choices):
                value = self.value(operand)
                parts = [pair for each in choices for pair in self._affixed((value.text, value.nested), each, _has)]
                return _any([*parts, *self._in_list(node, value.items)])
            case StartsWith(operand, affix):
                return _any(list(self._affixed((self.value(operand).text,), affix, _starts)))
            case EndsWith(operand, affix):
                return _any(list(self._affixed((self.value(operand).text,), affix, _ends)))
            case Dated(operand, side, than):
                return _any([_BESIDE[side](each, _fixed(than)) for each in _instants_of(self.value(operand))])
            case Relative(operand, side, duration):
                return _any([_near(each, side, duration, self.as_of) for each in _instants_of(self.value(operand))])
        raise AssertionError(node)

    def _one_of(self, value: Value, choices: tuple[Operand, ...]) -> pl.Expr:
        # Choices that are text meet the text view in one look-up instead of one comparison each.
        words = [each.value for each in choices if isinstance(each, Literal) and isinstance(each.value, str)]
        known = [value.text.is_in(words)] if value.text is not None and words else []
        pairs = [pair for each in choices for pair in self._equal_to(value, each)]
        return _any([*known, *pairs])

    def _equal_to(self, value: Value, choice: Operand) -> Iterator[pl.Expr]:
        other = self.value(choice)
        yield from _equalities(value, other, texts=not isinstance(choice, Literal))

    def _affixed(self, texts: Iterable[pl.Expr | None], affix: Operand, holds: Comparison) -> Iterator[pl.Expr]:
        """Only text has parts; a number that is written in a definition is sought as its text."""
        sought = self._sought(affix)
        return (holds(text, sought) for text in texts if text is not None and sought is not None)

    def _sought(self, affix: Operand) -> pl.Expr | None:
        if isinstance(affix, Literal) and isinstance(affix.value, int | float):
            return pl.lit(number_text(affix.value))
        return self.value(affix).text

    # --- lists --------------------------------------------------------------------------------------

    def _is_any(self, operand: Any) -> bool:
        return isinstance(operand, Property) and self.value(operand).choice is not None

    def _bound(self, node: Any, place: str, items: Items | None) -> pl.Expr:
        """A comparison that holds for any one element, in place of the operand that has them."""
        assert items is not None, "only what has elements is asked about them"
        name = f"element {self.depth}" + (JSON if items.are_json else "")
        one = (_Element(name),) if place == "choices" else _Element(name)
        below = replace(self, depth=self.depth + 1)
        return any_of(items, name, below.holds(replace(node, **{place: one})))

    def _in_list(self, node: OneOf | Contains, items: Items | None) -> Iterator[pl.Expr]:
        """Whether a list has an element that equals one of the choices (A-12)."""
        if items is not None:
            yield self._bound(OneOf(node.operand, node.choices), "operand", items)


def answer(node: Condition) -> str:
    """The column that says whether a condition holds which takes other rows than the one at hand."""
    return f"holds {fingerprint(node)}"


def _at(node: Any, place: str) -> Any:
    found = getattr(node, place, None)
    return found[0] if isinstance(found, tuple) else found


def number_text(value: float) -> str:
    """A constant as canonical JSON: 10.0 is `10`."""
    if isinstance(value, int) or not value.is_integer():
        return str(value)
    return str(Decimal(value).to_integral_value()) if abs(value) <= 2**53 else str(value)


def _has(text: pl.Expr, sought: pl.Expr) -> pl.Expr:
    return text.str.contains(sought, literal=True)


def _starts(text: pl.Expr, sought: pl.Expr) -> pl.Expr:
    return text.str.starts_with(sought)


def _ends(text: pl.Expr, sought: pl.Expr) -> pl.Expr:
    return text.str.ends_with(sought)


# --- comparing --------------------------------------------------------------------------------------


def _compare(left: Value, sign: str, right: Value) -> pl.Expr:
    if sign == "=":
        return _any(list(_equalities(left, right)))
    if sign == "!=":
        return left.present & right.present & ~_any(list(_equalities(left, right)))
    compare = ORDERINGS[sign]
    return _any([*_numbers(left, right, compare), *_texts(left, right, compare), *_instants(left, right, compare)])


def _equalities(left: Value, right: Value, *, texts: bool = True) -> Iterator[pl.Expr]:
    yield from _numbers(left, right, operator.eq)
    yield from _instants(left, right, operator.eq)
    yield from _truths(left, right)
    if texts:
        yield from _texts(left, right, operator.eq)


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
    return (one == other for one, other in pairs if one is not None and other is not None)


def _instants(left: Value, right: Value, compare: Comparison) -> Iterator[pl.Expr]:
    pairs = [(left.instant, right.instant), (left.instant, right.dated_text), (left.dated_text, right.instant)]
    return (compare(one, other) for one, other in pairs if one is not None and other is not None)


# --- instants beside others -------------------------------------------------------------------------

_BESIDE: dict[str, Comparison] = {"before_date": operator.lt, "after_date": operator.gt}


def _fixed(literal: Literal) -> datetime:
    assert isinstance(literal.value, date), "the language takes nothing else here"
    return at(literal.value)


def _instants_of(value: Value) -> Iterator[pl.Expr]:
    return (each for each in (value.instant, value.dated_text) if each is not None)


def _near(instant: pl.Expr, side: str, duration: Duration, as_of: datetime) -> pl.Expr:
    """Days are those of the calendar, in UTC; hours are counted from the instant itself (Q-24)."""
    days = duration.unit == "days"
    now = as_of.replace(hour=0, minute=0, second=0, microsecond=0) if days else as_of
    moment = instant.dt.truncate("1d") if days else instant
    return _within(moment, side, now, duration.length)


def _within(moment: pl.Expr, side: str, now: datetime, length: timedelta) -> pl.Expr:
    match side:
        case "within_last":
            return moment.is_between(now - length, now)
        case "within_next":
            return moment.is_between(now, now + length)
        case "before_last":
            return moment <= now - length
    return moment >= now + length

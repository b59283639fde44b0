"""Nodes to text, in one canonical layout: parsing it gives the same nodes again."""

import hashlib
import re
from datetime import date, datetime
from decimal import Decimal
from types import UnionType

from populace.nodes import (
    Absent,
    AccountTrait,
    And,
    Average,
    Between,
    Compare,
    Condition,
    Contains,
    Context,
    Count,
    Dated,
    Duration,
    EndsWith,
    Entity,
    Event,
    Exists,
    ExpiresAfter,
    Field,
    Filter,
    First,
    Last,
    Literal,
    Max,
    Min,
    Mode,
    NoneOf,
    Not,
    OfAccount,
    OneOf,
    Operand,
    Or,
    Property,
    Quantified,
    Query,
    Relative,
    Sources,
    StartsWith,
    Stream,
    Sum,
    TraitValue,
    Unique,
    UniqueCount,
    Where,
    Within,
)

CALLS: dict[type, str] = {
    Exists: "exists",
    Absent: "absent",
    OneOf: "one_of",
    NoneOf: "none_of",
    Contains: "contains",
    StartsWith: "starts_with",
    EndsWith: "ends_with",
    Sum: "sum",
    Average: "avg",
    Min: "min",
    Max: "max",
    First: "first",
    Last: "last",
    Unique: "unique",
    Event: "event",
    Entity: "entity",
}


def print_query(node: Query | Operand | Stream) -> str:
    """The canonical text of a query or of a part of one; parsing it gives the node again.

    Parameters
    ----------
    node
        A whole query, or an operand or stream inside one.

    Returns
    -------
    One line, unless a string in it has several. Parentheses stand only where the nodes nest against
    the precedence of AND over OR, or an AND directly inside an AND.
    """
    match node:
        case And(terms):
            return " AND ".join(_term(each, And | Or) for each in terms)
        case Or(terms):
            return " OR ".join(_term(each, Or) for each in terms)
        case Not(term):
            return f"NOT {_term(term, And | Or)}"
        case Quantified(quantifier, term):
            return f"{quantifier} {_term(term, And | Or)}"
        case Compare(left, operator, right):
            return f"{_operand(left)} {operator} {_operand(right)}"
        case Exists(operand) | Absent(operand):
            return f"{_head(operand)}.{CALLS[type(node)]}()"
        case OneOf(operand, choices) | NoneOf(operand, choices) | Contains(operand, choices):
            return f"{_head(operand)}.{CALLS[type(node)]}({', '.join(map(_operand, choices))})"
        case StartsWith(operand, affix) | EndsWith(operand, affix):
            return f"{_head(operand)}.{CALLS[type(node)]}({_operand(affix)})"
        case Dated(operand, side, than):
            return f"{_head(operand)}.{side}({_literal(than.value)})"
        case Relative(operand, side, duration):
            return f"{_head(operand)}.{side}({_duration(duration)})"
    return _operand(node)


def fingerprint(node: Query | Operand) -> str:
    """A short name for what a query says, whatever its layout: 16 hexadecimal digits.

    Nodes are told apart by this and not by `==`, for which `Literal(1)` and `Literal(1.0)` are the same.

    Examples
    --------
    >>> from populace.query import parse_trait
    >>> fingerprint(parse_trait("event('X') . count( )")) == fingerprint(parse_trait("event('X').count()"))
    True
    """
    return hashlib.sha256(print_query(node).encode()).hexdigest()[:16]


def _term(node: Condition, parenthesised: type | UnionType) -> str:
    text = print_query(node)
    return f"({text})" if isinstance(node, parenthesised) else text


def _operand(node: Query | Operand | Stream) -> str:
    match node:
        case Literal(value):
            return _literal(value)
        case Property() | Context():
            return _field(node)
        case TraitValue(key):
            return f"trait({_path(key)})"
        case AccountTrait(key):
            return f"account.trait({_path(key)})"
        case Event(name, filters) | Entity(name, filters):
            return f"{CALLS[type(node)]}({_quoted(name)})" + "".join(f".{_filter(each)}" for each in filters)
        case Count(stream):
            return f"{_operand(stream)}.count()"
        case UniqueCount(stream, of):
            return f"{_operand(stream)}.unique({_field(of)}).count()"
        case Sum(stream, of) | Average(stream, of) | First(stream, of) | Last(stream, of) | Unique(stream, of):
            return f"{_operand(stream)}.{CALLS[type(node)]}({_field(of)})"
        case Min(stream, of, cast) | Max(stream, of, cast):
            return f"{_operand(stream)}.{CALLS[type(node)]}({_field(of)}{_cast(cast, 'number')})"
        case Mode(stream, of, least, cast):
            return f"{_operand(stream)}.mode({_field(of)}{_cast(cast, 'string')}, {least})"
    raise AssertionError(node)


def _head(node: Operand) -> str:
    # A bare constant takes no calls; only literal('…') does.
    text = _operand(node)
    return f"literal({text})" if isinstance(node, Literal) else text


def _field(node: Field) -> str:
    match node:
        case Property(path, parent):
            return f"property({_parent(parent)}{_path(path)})"
        case Context(path):
            return f"context({_path(path)})"


def _cast(name: str, default: str) -> str:
    return "" if name == default else f" as {name}"


def _filter(node: Filter) -> str:
    match node:
        case Where(condition):
            return f"where({print_query(condition)})"
        case Within(duration, parent):
            return f"within({_parent(parent)}{_duration(duration)})"
        case Between(first, second, parent):
            return f"between({_parent(parent)}{_duration(first)}, {_duration(second)})"
        case Sources(exclude):
            return f"sources(exclude: {', '.join(map(_quoted, exclude))})"
        case ExpiresAfter(gap, expire):
            return f"expires_after({'expire: ' if expire else ''}{_duration(gap)})"
        case OfAccount():
            return "of_account()"


def _parent(is_parent: bool) -> str:  # noqa: FBT001, as in the node
    return "parent: " if is_parent else ""


def _duration(length: Duration) -> str:
    return f"{length.amount} {length.unit if length.amount != 1 else length.unit[:-1]}"


def _literal(value: str | float | date) -> str:
    match value:
        case str():
            return _quoted(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
    text = format(Decimal(repr(value)), "f")  # never 1e+22, which the grammar does not know
    return text if isinstance(value, int) or "." in text else f"{text}.0"


def _quoted(text: str) -> str:
    return "'" + re.sub(r"[\\']", r"\\\g<0>", text) + "'"


def _path(path: str) -> str:
    return "'" + re.sub(r"\\(?!\.)|'", r"\\\g<0>", path) + "'"

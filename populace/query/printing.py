"""Nodes to text, in one canonical layout: parsing it gives the same nodes again."""

import hashlib
import re
from decimal import Decimal
from types import UnionType

from populace.definitions import (
    Absent,
    And,
    Compare,
    Condition,
    Context,
    Count,
    Event,
    Exists,
    Last,
    Literal,
    Not,
    OneOf,
    Operand,
    Or,
    Property,
    Query,
    Sum,
    TraitValue,
    Where,
    Within,
)


def print_query(node: Query | Operand | Event) -> str:
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
        case Compare(left, operator, right):
            return f"{_operand(left)} {operator} {_operand(right)}"
        case Exists(operand):
            return f"{_head(operand)}.exists()"
        case Absent(operand):
            return f"{_head(operand)}.absent()"
        case OneOf(operand, choices):
            return f"{_head(operand)}.one_of({', '.join(map(_operand, choices))})"
        case And(terms):
            return " AND ".join(_term(each, And | Or) for each in terms)
        case Or(terms):
            return " OR ".join(_term(each, Or) for each in terms)
        case Not(term):
            return f"NOT {_term(term, And | Or)}"
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


def _operand(node: Query | Operand | Event) -> str:
    match node:
        case Literal(value):
            return _literal(value)
        case Property(path) | Context(path):
            return f"{type(node).__name__.lower()}({_path(path)})"
        case TraitValue(key):
            return f"trait({_path(key)})"
        case Event(name, filters):
            return f"event({_quoted(name)})" + "".join(map(_filter, filters))
        case Count(stream):
            return f"{_operand(stream)}.count()"
        case Sum(stream, of) | Last(stream, of):
            return f"{_operand(stream)}.{type(node).__name__.lower()}({_operand(of)})"
    raise AssertionError(node)


def _head(node: Operand) -> str:
    # A bare constant takes no calls; only literal('…') does.
    text = _operand(node)
    return f"literal({text})" if isinstance(node, Literal) else text


def _filter(node: Where | Within) -> str:
    if isinstance(node, Where):
        return f".where({print_query(node.condition)})"
    return f".within({node.amount} {node.unit if node.amount != 1 else node.unit[:-1]})"


def _literal(value: str | float) -> str:
    if isinstance(value, str):
        return _quoted(value)
    text = format(Decimal(repr(value)), "f")  # never 1e+22, which the grammar does not know
    return text if isinstance(value, int) or "." in text else f"{text}.0"


def _quoted(text: str) -> str:
    return "'" + re.sub(r"[\\']", r"\\\g<0>", text) + "'"


def _path(path: str) -> str:
    return "'" + re.sub(r"\\(?!\.)|'", r"\\\g<0>", path) + "'"

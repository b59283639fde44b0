"""Text to nodes: audiences and traits, and what is said where the text is no sentence of the language."""

from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from populace.nodes import (
    Absent,
    Compare,
    Condition,
    Contains,
    Dated,
    EndsWith,
    Exists,
    Field,
    NoneOf,
    OneOf,
    Reducer,
    Relative,
    StartsWith,
    Stream,
    walk,
)
from populace.paths import has_elements
from populace.query.chains import build
from populace.query.names import QueryError, fail
from populace.query.types import KEYWORDS, Level, Part, Scope, truth

MOST_EXPRESSIONS = 50
EXPRESSIONS = Compare | Exists | Absent | OneOf | NoneOf | Contains | StartsWith | EndsWith | Dated | Relative


def parse_trait(text: str, level: Level = "users") -> Reducer:
    """The reducer of a computed trait.

    Parameters
    ----------
    text
        A chain such as `event('X').within(7 days).count()`.
    level
        Whose trait it is. One of accounts is written in the same way, over the events of the account.

    Raises
    ------
    QueryError
        If the text is not in the language, or says something else than one value, or one list of values,
        per profile (Q-2).
    """
    tree, node = _parse(text, Scope(level, has_events=True))
    if isinstance(node, Stream):
        fail(tree, "a stream is not a value; add .count(), .sum(…) or .last(…)")
    if isinstance(node, Condition):
        fail(tree, "a trait needs a value, and this is true or false; drop the comparison or make it an audience")
    if not isinstance(node, Reducer):
        fail(tree, "a trait is computed from events; start with event('…')")
    return node


def parse_field(text: str) -> Field:
    """What `for_each` of a family names: one field of its events.

    Raises
    ------
    QueryError
        If the text is anything but `property('…')` or `context('…')` of one value an event.
    """
    tree, node = _parse(text, Scope("users", has_events=True, rows=("event",)))
    if not isinstance(node, Field):
        fail(tree, "for_each takes property('…') or context('…')")
    if has_elements(node.path):
        fail(tree, "for_each takes one value an event, and $ is any of several")
    return node


def parse_audience(text: str, level: Level = "users") -> Condition:
    """The condition of an audience.

    Parameters
    ----------
    text
        Comparisons joined by AND, OR and NOT.
    level
        Whose audience it is. One of accounts asks for ANY or ALL of an account's users (Q-7); a trait
        outside of these is the account's, an event outside of them is refused (Q-26).

    Raises
    ------
    QueryError
        If the text is not in the language, or is not true or false for a profile (Q-2).
    """
    tree, node = _parse(text, Scope(level, has_events=level == "users"))
    return truth(tree, node)


@cache
def _grammar() -> Lark:
    text = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _parse(text: str, scope: Scope) -> tuple[Part, Any]:
    try:
        tree: Any = _grammar().parse(text).children[0]
        node = build(tree, scope)
        _check_size(tree, node)
    except UnexpectedCharacters as error:
        message = "this string is not closed" if error.char in "'\"" else f"{error.char!r} is not part of the language"
        raise QueryError(message, error.line, error.column) from None
    except UnexpectedToken as error:
        raise _about_token(error, text) from None
    except RecursionError:
        message = "the query is nested too deeply"
        raise QueryError(message, 1, 1) from None
    return tree, node


def _about_token(error: UnexpectedToken, text: str) -> QueryError:
    token, previous = error.token, _before(error)
    if token.type == "$END":
        lines = text.rstrip().split("\n")
        return QueryError("the query ends too early", len(lines), len(lines[-1]) + 1)
    if previous is not None and previous.upper() in KEYWORDS and not previous.isupper():
        token = previous
    message = f"{str(token)!r} cannot stand here"
    if token.upper() in KEYWORDS and not token.isupper():
        message += f"; write {token.upper()} in capitals"
    elif token.type == "_AS":
        message += "; it belongs in min(), max() and mode()"
    elif token.type == "NAME" and "_AND" in error.expected:
        message += "; conditions are joined by AND or OR"
    elif token.type == "DOT":
        message += "; only event(…), trait(…), property(…), context(…) and literal(…) take calls"
    return QueryError(message, token.line or 1, token.column or 1)


def _before(error: UnexpectedToken) -> Token | None:
    """The name before the token that does not fit, as in `not trait('a') = 1`."""
    stack = error.state.value_stack
    return stack[-1] if stack and isinstance(stack[-1], Token) and stack[-1].type == "NAME" else None


def _check_size(tree: Part, node: Any) -> None:
    count = sum(isinstance(each, EXPRESSIONS) for each in walk(node))
    if count > MOST_EXPRESSIONS:
        fail(tree, f"{count} expressions; a query has at most {MOST_EXPRESSIONS}")

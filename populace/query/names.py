"""What may stand between quotes: strings, and the dotted names of properties, context fields and traits."""

import re
from typing import NoReturn

from lark import Token, Tree

from populace.paths import has_elements

ANY_ELEMENT = "$"


class QueryError(Exception):
    """A query that cannot be understood; `line` and `column` count from 1 within its text."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


def fail(at: Tree[Token] | Token, message: str) -> NoReturn:
    """Raise a QueryError that points at the beginning of a token or of a part of the tree."""
    place = at if isinstance(at, Token) else at.meta
    raise QueryError(message, place.line or 1, place.column or 1)


def string(token: Token) -> str:
    """The text of a quoted string."""
    return re.sub(r"\\(.)", lambda found: _unescaped(token, found[1]), token[1:-1], flags=re.DOTALL)


def path(token: Token) -> str:
    """A dotted name, canonical: each literal dot with one backslash before it (Q-9, Q-17)."""
    name = path_with_elements(token)
    if has_elements(name):
        fail(token, "$ (any element of an array) belongs in property()")
    return name


def path_with_elements(token: Token) -> str:
    """A dotted name in which a part `$` stands for any element of an array (A-14)."""
    name = re.sub(r"(\\+)\.|\\(.)", lambda found: _escape_in_path(token, found), token[1:-1], flags=re.DOTALL)
    if name.split(".")[0] == ANY_ELEMENT:
        fail(token, "$ (any element of an array) follows the name of the array, for example 'items.$.sku'")
    return name


def _escape_in_path(token: Token, found: re.Match[str]) -> str:
    if found[1] is None:
        return _unescaped(token, found[2])
    if len(found[1]) not in {1, 2, 4}:
        fail(token, "a literal dot is written with one, two or four backslashes before it")
    return r"\."


def _unescaped(token: Token, char: str) -> str:
    # '\n' could mean a line break or an n; the language does not say, so it is neither.
    if char.isalnum():
        fail(token, rf"\{char} is not an escape; write \\{char} for a backslash and {char}")
    return char

"""What a database says of a statement, without what its rows hold."""

import re

QUOTED = re.compile(r"(?<!\w)'.*'|\".*\"", re.DOTALL)


def at(statement: str, position: int | None) -> str:
    r"""Where that character of a statement is, as the beginning of a message; nothing where it is not known.

    Examples
    --------
    >>> at("SELECT a\nFROM b", 14)
    'line 2, column 6: '
    """
    if position is None or not 0 <= position <= len(statement):
        return ""
    before = statement[:position]
    return f"line {before.count(chr(10)) + 1}, column {position - before.rfind(chr(10))}: "


def at_byte(statement: str, position: int | None) -> str:
    """The same for a position in the statement's UTF-8."""
    if position is None:
        return ""
    return at(statement, len(statement.encode()[: max(position, 0)].decode(errors="ignore")))


def without_values(message: str) -> str:
    """A message that was made while rows were read, without what it quotes: that may be a value.

    Examples
    --------
    >>> without_values('invalid input syntax for type integer: "ann@example.com"')
    'invalid input syntax for type integer: "…"'
    """
    return QUOTED.sub(lambda found: f"{found[0][0]}…{found[0][0]}", message)

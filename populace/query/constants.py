"""Constants written in a query: numbers, dates and timestamps."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

from lark import Token

from populace.nodes import Literal
from populace.query.names import fail

ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<time>T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
WRITTEN = "write 2024-06-30, or with a time 2024-06-30T23:59:59Z"


def whole(token: Token) -> int:
    """An integer of any length, where int() of a text stops at 4,300 digits."""
    return int(Decimal(token))


def number(token: Token) -> Literal:
    """An integer of 64 bits, or with a point a float."""
    value = float(token) if "." in token else whole(token)
    if not -(2**63) <= value < 2**63:
        fail(token, "this number is too large")
    return Literal(value)


def instant(token: Token) -> Literal:
    """A date, or a timestamp in UTC; one without a zone is in UTC already."""
    value = _instant(token)
    if value is None:
        fail(token, f"{token} is not a date of the calendar; {WRITTEN}")
    return Literal(value)


def dated(text: str) -> Literal | None:
    """A string as what it says: a date, or a timestamp that names its zone. None if it is neither."""
    found = ISO.fullmatch(text)
    value = _instant(text) if found and (found["zone"] or not found["time"]) else None
    return None if value is None else Literal(value)


def _instant(text: str) -> date | datetime | None:
    if not ISO.fullmatch(text):
        return None
    try:
        if "T" not in text:
            return date.fromisoformat(text)
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # no such day or time, or none in UTC, as 0001-01-01T00:00+01:00
        return None

"""What single values mean to the oracle: numbers, truths, instants and texts, and how two of them compare (Q-21).

A value is whatever JSON has, or an instant: a datetime, or the date of a literal. Missing is None.
"""

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

NUMERIC = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
DAY = "([0-9]{4})-([0-9]{2})-([0-9]{2})"
TIME = r"T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
ZONE = "(?:Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)"
ISO = re.compile(f"{DAY}(?:{TIME}{ZONE})?")


# --- two values -------------------------------------------------------------------------------


def compare(left, operator, right):
    if left is None or right is None:
        return False
    if operator == "!=":
        return not compare(left, "=", right)
    pair = meet(left, right)
    if pair is None:
        return False
    one, other = pair
    if operator == "=":
        return one == other
    if isinstance(one, bool):
        return False
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[operator]


def meet(left, right):
    """Both sides as values that Python may compare, or None where they cannot be (Q-21)."""
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    if is_instant(left) or is_instant(right):
        instants = as_instant(left), as_instant(right)
        return None if None in instants else instants
    if is_number(left) or is_number(right):
        numbers = as_number(left), as_number(right)
        if None in numbers:
            return None
        both_exact = all(isinstance(number, int) for number in numbers)
        return numbers if both_exact else (float(numbers[0]), float(numbers[1]))
    truths = as_truth(left), as_truth(right)
    return None if None in truths else truths


# --- numbers and truths -----------------------------------------------------------------------


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def as_number(value):
    if is_number(value):
        return value
    if not isinstance(value, str) or not NUMERIC.fullmatch(value):
        return None
    if re.fullmatch("[+-]?[0-9]+", value) and -(2**63) <= int(value) < 2**63:
        return int(value)
    number = float(value)
    return None if number in {float("inf"), float("-inf")} else number


def amount(value):
    """A number of 6 decimals, or None for what is no number."""
    number = as_number(value)
    return None if number is None else Decimal(repr(number)).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


def as_truth(value):
    return (
        {True: True, False: False, "true": True, "false": False}.get(value) if isinstance(value, bool | str) else None
    )


# --- instants ---------------------------------------------------------------------------------


def is_instant(value):
    return isinstance(value, date)  # a datetime is one, too


def as_instant(value):
    """An instant, a date's midnight, or the instant that a text says; None for anything else."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    found = ISO.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    *clock, digits, sign, hours, minutes = found.groups()
    numbers = [int(each or 0) for each in clock]
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        return None
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        return datetime(*numbers, int(f"{digits or ''}000000"[:6]), tzinfo=UTC) - ahead
    except (ValueError, OverflowError):
        return None


def dated(value, side, than):
    instant, limit = as_instant(value), as_instant(than)
    if instant is None or limit is None:
        return False
    return instant < limit if side == "before_date" else instant > limit


def relative(value, side, duration, as_of):
    """Days are counted on the calendar of UTC, hours on the clock (Q-24)."""
    instant = as_instant(value)
    if instant is None:
        return False
    if duration.unit == "days":
        instant, as_of = (each.astimezone(UTC).date() for each in (instant, as_of))
    back, ahead = as_of - length(duration), as_of + length(duration)
    return {
        "within_last": back <= instant <= as_of,
        "within_next": as_of <= instant <= ahead,
        "before_last": instant <= back,
        "after_next": instant >= ahead,
    }[side]


def length(duration):
    return timedelta(seconds=duration.amount * {"seconds": 1, "hours": 3_600, "days": 86_400}[duration.unit])


# --- lists ------------------------------------------------------------------------------------


class AnyOf(list):
    """Values of which a condition needs only one."""


def is_any(path):
    return "$" in below(path)


def below(path):
    r"""The names of a path; a dot written `\.` belongs to a name."""
    return [name.replace("\0", ".") for name in path.replace("\\.", "\0").split(".")]


def array_at(path):
    """Where the array of a path with `$` is, and what leads on from it: names and further `$`."""
    before, rest = path.split(".$", 1)
    return before, below(rest[1:]) if rest else []


def elements(array, rest=()):
    """The values at the end of the way, from any element of an array and of those on the way."""
    found = AnyOf(array if isinstance(array, list) else [])
    for name in rest:
        if name == "$":
            found = [inner for each in found if isinstance(each, list) for inner in each]
        else:
            found = [each[name] for each in found if isinstance(each, dict) and name in each]
    return AnyOf(each for each in found if each is not None)


def is_flat(array):
    return not any(isinstance(each, list | dict) for each in array)


def as_json(value):
    """JSON as the lake holds it; of numbers the one text that they have as values of their own."""
    if is_number(value):
        return number_text(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# --- texts ------------------------------------------------------------------------------------


def as_text(value):
    """A value as text; None for lists, objects and what is missing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value):
        return number_text(value)
    return written(value) if is_instant(value) else None


def number_text(number):
    is_integral = isinstance(number, float) and number.is_integer() and abs(number) < 1e16
    return json.dumps(int(number) if is_integral else number)


def written(instant):
    """An instant in three digits if they are enough for it, else in six."""
    digits = "microseconds" if instant.microsecond % 1000 else "milliseconds"
    return instant.astimezone(UTC).isoformat(timespec=digits).replace("+00:00", "Z")

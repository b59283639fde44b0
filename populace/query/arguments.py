"""What stands between the parentheses of a call: how many arguments, names in quotes, durations, labels, lists."""

from typing import Any, NoReturn
from typing import Literal as OneOfThese

from lark import Token

from populace.nodes import Duration
from populace.query import names
from populace.query.constants import whole
from populace.query.names import fail

LONGEST_WINDOW_IN_DAYS = 36_500  # a century; much further back a window would leave the calendar
SHORTEST_SESSION, LONGEST_SESSION = Duration(1800, "seconds"), Duration(90, "days")  # T-21
IN_A_DAY = {"seconds": 86_400, "hours": 24, "days": 1}

Unit = OneOfThese["seconds", "hours", "days"]
UNITS: dict[str, Unit] = {
    "second": "seconds",
    "seconds": "seconds",
    "hour": "hours",
    "hours": "hours",
    "day": "days",
    "days": "days",
}

# What may be written as an argument, and in which calls; anywhere else it is refused in these words.
REFUSALS = {
    "cast": "'as' belongs in min(), max() and mode()",
    "duration": "a duration belongs in a window, for example within(7 days)",
    "listed": "a list belongs in one_of(), none_of(), contains() and sources()",
}
LABELS = {
    "parent": "parent: belongs at the start of within(), between() and property()",
    "exclude": "exclude: belongs at the start of sources()",
    "expire": "expire: belongs at the start of expires_after()",
}


# --- how many ---------------------------------------------------------------------------------


def all_of(call: Any) -> list[Any]:
    """The arguments of a call, none or more."""
    return call.children[1].children if len(call.children) > 1 else []


def only(call: Any) -> Any:
    """The argument of a call that takes one."""
    found = all_of(call)
    if len(found) != 1:
        fail(call.children[0], f"{call.children[0]}() takes one argument")
    return found[0]


def check_empty(call: Any) -> None:
    """Refuse arguments where none belong."""
    if all_of(call):
        fail(call.children[0], f"{call.children[0]}() takes no argument")


def listed(call: Any, found: list[Any]) -> list[Any]:
    """At least one argument, as a bare list or in brackets (Q-13)."""
    if not found:
        fail(call.children[0], f"{call.children[0]}() takes at least one value")
    return found[0].children[0].children if len(found) == 1 and found[0].data == "listed" else found


# --- labels and names ---------------------------------------------------------------------------


def refuse(argument: Any) -> NoReturn:
    """Say where an argument of this form belongs."""
    if argument.data == "labelled":
        label = argument.children[0]
        fail(argument, LABELS.get(label, f"there is no {label}:"))
    fail(argument, REFUSALS[argument.data])


def without(label: str, argument: Any) -> tuple[Any, bool]:
    """An argument without its label, and whether it had it."""
    if argument.data != "labelled":
        return argument, False
    if argument.children[0] != label:
        refuse(argument)
    return argument.children[1], True


def quoted(argument: Any, name: str) -> Token:
    """A name in quotes."""
    if argument.data == "labelled":
        refuse(argument)
    if argument.data != "string" or len(argument.children[0]) == len("''"):
        fail(argument, f"{name}() takes a name in quotes")
    token: Token = argument.children[0]
    return token


def excluded(call: Any) -> tuple[str, ...]:
    """The sources that sources() drops; the label stands once, before the first of them."""
    found = all_of(call)
    first, is_labelled = without("exclude", found[0]) if found else (None, False)
    if not is_labelled:
        fail(call.children[0], "sources() says what it drops, for example sources(exclude: 'test')")
    return tuple(names.string(quoted(each, "sources")) for each in listed(call, [first, *found[1:]]))


# --- durations ----------------------------------------------------------------------------------


def window(call: Any, argument: Any, *, least: int) -> Duration:
    """A number of hours or days, up to a century."""
    found, amount = _duration(call, argument, "7 days", "hours or days")
    most = LONGEST_WINDOW_IN_DAYS * IN_A_DAY[found]
    if not amount.isdecimal() or not least <= whole(amount) <= most:
        name = call.children[0]
        hint = "; leave within() out for ever" if name == "within" else ""
        fail(amount, f"{name}() takes a whole number from {least} to {most}{hint}")
    return Duration(whole(amount), found)


def session(call: Any, argument: Any) -> Duration:
    """The longest gap between two events of a session, from 30 minutes to 90 days (T-21)."""
    found, amount = _duration(call, argument, "1 hour", "seconds, hours or days")
    in_range = amount.isdecimal() and whole(amount) <= IN_A_DAY[found] * LONGEST_SESSION.amount
    if not in_range or Duration(whole(amount), found).length < SHORTEST_SESSION.length:
        fail(amount, "a session ends after 30 minutes (1800 seconds) to 90 days without an event")
    return Duration(whole(amount), found)


def _duration(call: Any, argument: Any, example: str, units: str) -> tuple[Unit, Token]:
    name = call.children[0]
    if argument.data == "labelled":
        refuse(argument)
    if argument.data != "duration":
        fail(argument, f"{name}() takes a number of {units}, for example {name}({example})")
    amount, unit = argument.children
    if unit not in UNITS or UNITS[unit] not in units:
        fail(unit, f"{unit} is not a unit of {name}(); it takes {units}")
    return UNITS[unit], amount

"""What queries mean, walked in plain Python over lists of dicts: obvious, slow, and nothing shared with the engine.

An event is `{"event", "profile", "timestamp", "received_at", "message_id", "p": {path: value}, "c": {…}}`, a value
is whatever JSON has. Missing is None.
"""

import json
import re
from decimal import ROUND_HALF_EVEN, Decimal

from populace import definitions as nodes

NUMERIC = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


# --- streams and reducers ---------------------------------------------------------------------


def stream(node, events, as_of):
    """The events of a stream that exist at `as_of` and pass its filters."""
    found = []
    for event in events:
        exists = event["event"] == node.name and event["timestamp"] <= as_of
        if exists and all(passes(each, event, as_of) for each in node.filters):
            found.append(event)
    return found


def passes(node, event, as_of):
    if isinstance(node, nodes.Within):
        hours = node.amount * (24 if node.unit == "days" else 1)
        age = as_of - event["timestamp"]
        return age.total_seconds() <= hours * 3600 and age.total_seconds() >= 0
    return holds(node.condition, lambda operand: field(operand, event))


def field(node, event):
    return event["p" if type(node) is nodes.Property else "c"].get(node.path)


def reduced(node, events, as_of):
    """The value of a reducer for the events of one profile; None where the table of traits has null."""
    kept = stream(node.stream, events, as_of)
    if type(node) is nodes.Count:
        return len(kept) or None
    values = [(event, field(node.of, event)) for event in kept]
    if type(node) is nodes.Last:
        newest = None
        for event, value in values:
            place = (event["timestamp"], event["received_at"], event["message_id"])
            if value is not None and (newest is None or place > newest[0]):
                newest = (place, value)
        return newest[1] if newest else None
    numbers = [number for number in (amount(value) for _, value in values) if number is not None]
    return float(sum(numbers)) if numbers else None


def amount(value):
    """A number of 6 decimals, or None for what is no number."""
    number = as_number(value)
    return None if number is None else Decimal(repr(number)).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


def read_reduced(node, events, as_of):
    """The same inside an expression, where nothing counted and nothing summed is 0."""
    value = reduced(node, events, as_of)
    return 0 if value is None and type(node) is not nodes.Last else value


# --- conditions -------------------------------------------------------------------------------


def holds(node, read):
    """Whether a condition holds; `read` gives the value of every operand that is not a literal."""

    def value(operand):
        return operand.value if type(operand) is nodes.Literal else read(operand)

    kind = type(node)
    if kind is nodes.And:
        return all(holds(term, read) for term in node.terms)
    if kind is nodes.Or:
        return any(holds(term, read) for term in node.terms)
    if kind is nodes.Not:
        return not holds(node.term, read)
    if kind is nodes.Exists:
        return value(node.operand) is not None
    if kind is nodes.Absent:
        return value(node.operand) is None
    if kind is nodes.OneOf:
        return any(compare(value(node.operand), "=", choice.value) for choice in node.choices)
    return compare(value(node.left), node.operator, value(node.right))


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
    if is_number(left) or is_number(right):
        numbers = as_number(left), as_number(right)
        if None in numbers:
            return None
        both_exact = all(isinstance(number, int) for number in numbers)
        return numbers if both_exact else (float(numbers[0]), float(numbers[1]))
    truths = as_truth(left), as_truth(right)
    return None if None in truths else truths


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_number(value):
    if is_number(value):
        return value
    if not isinstance(value, str) or not NUMERIC.fullmatch(value):
        return None
    if re.fullmatch("[+-]?[0-9]+", value) and -(2**63) <= int(value) < 2**63:
        return int(value)
    number = float(value)
    return None if number in {float("inf"), float("-inf")} else number


def as_truth(value):
    return (
        {True: True, False: False, "true": True, "false": False}.get(value) if isinstance(value, bool | str) else None
    )


# --- profiles ---------------------------------------------------------------------------------


def members(space, as_of):
    """Who is in each audience: `{key: [profile, …]}`.

    `space` has events, profiles ({number: has a known id}), custom (lists of rows), traits and audiences
    ({key: node}) and anonymous ({key: whether anonymous profiles are included}).
    """
    return {
        key: [profile for profile in sorted(space["profiles"]) if is_member(space, key, profile, as_of)]
        for key in space["audiences"]
    }


def is_member(space, key, profile, as_of):
    if not space["profiles"][profile] and not space["anonymous"][key]:
        return False
    events = [event for event in space["events"] if event["profile"] == profile]

    def read(operand):
        if type(operand) is nodes.TraitValue:
            return trait(space, operand.key, profile, events, as_of)
        return read_reduced(operand, events, as_of)

    return holds(space["audiences"][key], read)


def trait(space, key, profile, events, as_of):
    if key in space["traits"]:
        return read_reduced(space["traits"][key], events, as_of)
    if key in space["audiences"]:
        return is_member(space, key, profile, as_of)
    first, *below = [part.replace("\0", ".") for part in key.replace("\\.", "\0").split(".")]
    value = newest(space["custom"], profile, first, as_of)
    return inside(value, below) if below else value


def newest(custom, profile, name, as_of):
    """The value of a custom trait; None where there is none or it was removed by null."""
    rows = [row for row in custom if (row["profile"], row["name"]) == (profile, name) and row["timestamp"] <= as_of]
    rows.sort(key=lambda row: (row["timestamp"], row["received_at"], row["message_id"]))
    return rows[-1]["value"] if rows else None


def inside(value, below):
    """A value below an object, as text."""
    for key in below:
        value = value.get(key) if isinstance(value, dict) else None
    return value if value is None or isinstance(value, str) else json.dumps(value)

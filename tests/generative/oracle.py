"""What queries mean, walked in plain Python over lists of dicts: obvious, slow, and nothing shared with the engine.

An event is `{"event", "profile", "source", "timestamp", "received_at", "message_id", "p": {path: value}, "c": {…}}`;
`oracle_values` says what a value is.

Where a condition is about an event, `around` holds that event first, then the one whose where() it is looked for in,
and so on outwards (A-55). For a profile it is empty.
"""

import itertools
import json
import math
from collections import Counter
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from populace import nodes
from tests.generative import oracle_values as values

PSEUDO = {name: name for name in ("timestamp", "received_at", "event", "source")} | {"source_id": "source"}
MOST_UNIQUE = 10_000


class Person(NamedTuple):
    """One profile of a space at an instant; `space` has at least the events of all profiles, see `members`."""

    space: dict
    profile: int
    as_of: datetime


class Given(NamedTuple):
    """An operand whose value is known; it stands for what only `account_oracle` can read."""

    value: object


# --- streams ----------------------------------------------------------------------------------


def stream(node, person, around=()):
    """The events of a stream that exist at `as_of` and pass its filters."""
    found = []
    for event in person.space["events"]:
        exists = event["profile"] == person.profile and event["timestamp"] <= person.as_of
        if exists and event["event"] == node.name and all(passes(each, event, person, around) for each in node.filters):
            found.append(event)
    newest = [session(found, each, person.as_of) for each in node.filters if type(each) is nodes.ExpiresAfter]
    return [event for event in found if all(event["message_id"] in ids for ids in newest)]


def session(events, node, as_of):
    """The message ids of the newest run of events between which nothing is longer than the gap (T-21)."""
    ids, before, gap = set(), None, values.length(node.gap)
    for event in sorted(events, key=lambda event: event["timestamp"]):
        if before is not None and event["timestamp"] - before > gap:
            ids = set()
        ids.add(event["message_id"])
        before = event["timestamp"]
    is_over = node.expire and before is not None and as_of - before > gap
    return set() if is_over else ids


def passes(node, event, person, around):
    if type(node) is nodes.ExpiresAfter:
        return True  # is about all that pass the others
    if type(node) is nodes.Where:
        return holds(node.condition, person, (event, *around))
    if type(node) is nodes.Sources:
        return event["source"] not in node.exclude
    if type(node) is nodes.OfAccount:
        return event["names"] is not None and event["names"] == person.space["account"]
    if type(node) is nodes.Within:
        lengths = [values.length(node.duration) * 0, values.length(node.duration)]
    else:
        lengths = sorted([values.length(node.first), values.length(node.second)])
    return in_window(event, lengths, person, around[0] if node.parent else None)


def in_window(event, lengths, person, parent):
    """Both ends included; what is to follow a parent comes strictly after it, in order (A-54)."""
    shortest, longest = lengths
    if parent is None:
        return person.as_of - longest <= event["timestamp"] <= person.as_of - shortest
    after = parent["timestamp"] + shortest <= event["timestamp"] <= parent["timestamp"] + longest
    return after and place(event) > place(parent)


def place(event):
    return event["timestamp"], event["received_at"], event["message_id"]


def field(node, person, around):
    event = around[1] if type(node) is nodes.Property and node.parent else around[0]
    return of_event(node, event, person)


def of_event(node, event, person):
    if values.is_any(node.path):
        array, rest = values.array_at(node.path)
        return values.elements(event["c" if type(node) is nodes.Context else "p"].get(array), rest)
    if type(node) is nodes.Context:
        return event["c"].get(node.path)
    if node.path in PSEUDO and not everywhere(node, event["event"], person):  # T-10
        return event[PSEUDO[node.path]]
    return event["p"].get(node.path)


def everywhere(node, name, person):
    """What is there of a field in all events of that name: of any profile, at any time."""
    key = "c" if type(node) is nodes.Context else "p"
    found = [event[key].get(node.path) for event in person.space["events"] if event["event"] == name]
    return [value for value in found if value is not None]


# --- reducers ---------------------------------------------------------------------------------


def reduced(node, person, around=()):
    """The value of a reducer for a profile; None where the table of traits has null."""
    kept = sorted(stream(node.stream, person, around), key=place)
    kind = type(node)
    if kind is nodes.Count:
        return len(kept) or None
    if kind is nodes.Mode and node.cast == "array":
        return mode_of_arrays(node, kept)
    found = [field(node.of, person, (event, *around)) for event in kept]
    found = [each for value in found for each in values_in(value, kind) if each is not None]
    if kind in (nodes.First, nodes.Last):
        return plain(found[0 if kind is nodes.First else -1]) if found else None
    if kind in (nodes.Sum, nodes.Average):
        return of_numbers(kind, [each for each in map(values.amount, found) if each is not None])
    if kind in (nodes.Min, nodes.Max) and node.cast == "number":
        everything = everywhere(node.of, node.stream.name, person)
        whole = not values.is_any(node.of.path) and all(map(values.is_whole, everything))
        numbers = [each if whole else float(each) for each in map(values.as_number, found) if each is not None]
        return extreme(kind, numbers)
    return of_texts(node, [each for each in map(values.as_text, found) if each is not None])


def values_in(value, kind):
    """What a reducer sees in the field of one event: each element is a value."""
    if isinstance(value, values.AnyOf):
        return value
    if isinstance(value, list) and kind in (nodes.Unique, nodes.UniqueCount, nodes.Mode):
        return value
    return [value]


def mode_of_arrays(node, events):
    path = node.of.path if values.is_any(node.of.path) else f"{node.of.path}.$"
    array, rest = values.array_at(path)
    arrays = [event["c" if type(node.of) is nodes.Context else "p"].get(array) for event in events]
    found = [values.elements(each, rest) for each in arrays if isinstance(each, list)]
    texts = {f"[{','.join(map(values.as_json, each))}]": each for each in found}
    seen = Counter(f"[{','.join(map(values.as_json, each))}]" for each in found)
    most = max(seen.values(), default=0)
    if not most or most < node.least:
        return None
    first = min(text for text in seen if seen[text] == most)
    return [each if isinstance(each, str) else values.as_json(each) for each in texts[first]]


def plain(value):
    return values.written(value) if values.is_instant(value) else value


def of_numbers(kind, numbers):
    if not numbers:
        return None
    total = float(sum(numbers))
    return total if kind is nodes.Sum else average(sum(numbers), len(numbers))


def average(total, count):
    """To six decimals, of two the greater one."""
    return math.floor(Fraction(total) * 10**6 / count + Fraction(1, 2)) / 10**6


def extreme(kind, found):
    if not found:
        return None
    return min(found) if kind is nodes.Min else max(found)


def of_texts(node, texts):
    if type(node) is nodes.Unique:
        return sorted(set(texts))[:MOST_UNIQUE] or None
    if type(node) is nodes.UniqueCount:
        return len(set(texts)) or None
    if type(node) is not nodes.Mode:
        return extreme(type(node), texts)
    seen = Counter(texts)
    most = max(seen.values(), default=0)
    return min(text for text in seen if seen[text] == most) if most and most >= node.least else None


def read_reduced(node, person, around=()):
    """The same inside an expression, where nothing counted and nothing summed is 0."""
    value = reduced(node, person, around)
    return 0 if value is None and type(node) in (nodes.Count, nodes.Sum, nodes.UniqueCount) else value


# --- conditions -------------------------------------------------------------------------------


def holds(node, person, around=()):
    """Whether a condition holds for a profile, or for the event at hand."""

    def read(operand):
        return value_of(operand, person, around)

    kind = type(node)
    if kind is nodes.And:
        return all(holds(term, person, around) for term in node.terms)
    if kind is nodes.Or:
        return any(holds(term, person, around) for term in node.terms)
    if kind is nodes.Not:
        return not holds(node.term, person, around)
    if kind is nodes.Compare:
        pairs = itertools.product(any_of(read(node.left)), any_of(read(node.right)))
        return any(values.compare(left, node.operator, right) for left, right in pairs)
    value = read(node.operand)
    there = [each for each in any_of(value) if each is not None]
    if kind in (nodes.Exists, nodes.Absent):
        return bool(there) == (kind is nodes.Exists)
    is_element = isinstance(value, values.AnyOf)
    return any(holds_of(node, each, read, person, is_element) for each in there)


def any_of(value):
    return value if isinstance(value, values.AnyOf) else [value]


def holds_of(node, value, read, person, is_element):
    """Whether a condition holds for one value; an element that is a list itself has no elements."""
    kind = type(node)
    if kind is nodes.Dated:
        return values.dated(value, node.side, node.than.value)
    if kind is nodes.Relative:
        return values.relative(value, node.side, node.duration, person.as_of)
    is_list = isinstance(value, list) and not is_element
    if kind in (nodes.OneOf, nodes.NoneOf):
        return equals_any(node, value, read, is_list) == (kind is nodes.OneOf)
    if kind is nodes.Contains and is_list:
        text = values.as_json(value)
        return equals_any(node, value, read, is_list) if values.is_flat(value) else has_part(node, text, read)
    return has_part(node, value, read)


def equals_any(node, value, read, is_list):
    """Whether a value equals any choice, or any element of a list without objects and lists does."""
    choices = [each for choice in node.choices for each in any_of(read(choice))]
    flat = values.elements(value) if is_list and values.is_flat(value) else []
    found = flat if is_list else [value]
    return any(values.compare(each, "=", choice) for each in found for choice in choices)


def has_part(node, value, read):
    """Whether a text contains, starts with or ends with another; what is no text does neither."""
    if not isinstance(value, str):
        return False
    if type(node) is nodes.Contains:
        needles = [each for choice in node.choices for each in needles_of(choice, read)]
        return any(part is not None and part in value for part in needles)
    affixes = [each for each in needles_of(node.affix, read) if each is not None]
    return any(value.startswith(each) if type(node) is nodes.StartsWith else value.endswith(each) for each in affixes)


def needles_of(operand, read):
    """The texts to look for: a text, or a number as it would be written; None, which is nowhere, for anything else."""
    value = read(operand)
    if type(operand) is nodes.Literal and values.is_number(value):
        return [values.number_text(value)]
    return [each if isinstance(each, str) else None for each in any_of(value)]


def value_of(operand, person, around):
    if type(operand) in (nodes.Literal, Given):
        return operand.value
    if type(operand) in (nodes.Property, nodes.Context):
        return field(operand, person, around)
    if type(operand) is nodes.TraitValue:
        return trait(person, operand.key)
    return read_reduced(operand, person, around)


# --- profiles ---------------------------------------------------------------------------------


def members(space, as_of):
    """Who is in each audience: `{key: [profile, …]}`.

    `space` has events, profiles ({number: has a known id}), custom (lists of rows), traits and audiences
    ({key: node}), anonymous ({key: whether anonymous profiles are included, None where the audience does not say}) and
    `include_anonymous`, which holds for those that do not.
    """
    return {
        key: [number for number in sorted(space["profiles"]) if is_member(key, Person(space, number, as_of))]
        for key in space["audiences"]
    }


def is_member(key, person):
    own = person.space["anonymous"][key]
    if not person.space["profiles"][person.profile] and not (person.space["include_anonymous"] if own is None else own):
        return False
    return holds(person.space["audiences"][key], person)


def trait(person, key):
    if "trait" in person.space:  # where people and accounts read each other, see `account_oracle`
        return person.space["trait"](person, key)
    if key in person.space["traits"]:
        return read_reduced(person.space["traits"][key], person)
    if key in person.space["audiences"]:
        return is_member(key, person)
    return custom(person, key)


def custom(person, key):
    first, *below = [part.replace("\0", ".") for part in key.replace("\\.", "\0").split(".")]
    value = newest(person, first)
    return inside(value, below) if below else value


def newest(person, name):
    """The value of a custom trait; None where there is none or it was removed by null."""
    about = person.profile, name
    rows = [row for row in person.space["custom"] if (row["profile"], row["name"]) == about]
    rows = sorted((row for row in rows if row["timestamp"] <= person.as_of), key=place)
    return rows[-1]["value"] if rows else None


def inside(value, below):
    """A value below an object, as text, or as the list that it is."""
    for key in below:
        value = value.get(key) if isinstance(value, dict) else None
    return value if value is None or isinstance(value, str | list) else json.dumps(value)

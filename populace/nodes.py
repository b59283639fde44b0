"""Query nodes: how one value, or one yes or no, follows from a profile's events and traits.

They are the contract between language, engine, oracle and printer: frozen, plain data that compares by value, hashes,
and knows nothing of polars, YAML or the outside world.

A stream (`Event`) is many rows per profile. A reducer makes it one value per profile. A condition is true or false,
never unknown (Q-20). An audience is a condition, a trait is a reducer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from typing import Literal as OneOfThese

Node = TypeVar("Node")

Sign = OneOfThese["=", "!=", "<", "<=", ">", ">="]

# --- values -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant written in the definition. Booleans are written as 'true' and 'false' (A-18), instants are in UTC."""

    value: str | int | float | date | datetime


@dataclass(frozen=True, slots=True)
class Property:
    r"""A property of the event at hand, by dotted path; a literal dot is written `\.` (Q-9), `$` is any element (A-14).

    With `parent` it is one of the event that the event at hand is compared with: the next one around it (A-55).
    """

    path: str
    parent: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """A value below `context` of the event at hand, by dotted path."""

    path: str


@dataclass(frozen=True, slots=True)
class TraitValue:
    """The profile's current value of a custom or computed trait, or its membership (Q-8)."""

    key: str


@dataclass(frozen=True, slots=True)
class AccountTrait:
    """What a trait is for the accounts of a user: a comparison holds if it holds for one of them (O-16)."""

    key: str


# --- streams and what keeps some of their events ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time, as written: 1 day is 24 hours."""

    amount: int
    unit: OneOfThese["seconds", "hours", "days"]

    @property
    def length(self) -> timedelta:
        return timedelta(**{self.unit: self.amount})


@dataclass(frozen=True, slots=True)
class Where:
    """Keeps the events for which the condition holds."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Within:
    """The last so long up to `as_of`, both ends included (T-26); of a parent: so long after it (Q-23)."""

    duration: Duration
    parent: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """From the longer of two lengths ago to the shorter, both ends included; of a parent: after it (Q-23)."""

    first: Duration
    second: Duration
    parent: bool = False

    @property
    def shortest(self) -> timedelta:
        return min(self.first.length, self.second.length)

    @property
    def longest(self) -> timedelta:
        return max(self.first.length, self.second.length)


@dataclass(frozen=True, slots=True)
class Sources:
    """Drops the events of some sources, by name."""

    exclude: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExpiresAfter:
    """The latest session: the newest run of events, kept by all other filters, with gaps of at most so long (T-21).

    With `expire` there is none once it is over: when its last event is longer ago than a gap may be.
    """

    gap: Duration
    expire: bool = False


@dataclass(frozen=True, slots=True)
class OfAccount:
    """Keeps the events whose `context.groupId` names the account at hand (O-15)."""


@dataclass(frozen=True, slots=True)
class Event:
    """The profile's events of one exact name, less what the filters drop. Many rows per profile."""

    name: str
    filters: tuple["Filter", ...] = ()


@dataclass(frozen=True, slots=True)
class Entity:
    """Rows of a linked table."""

    relationship: str
    filters: tuple["Filter", ...] = ()


# --- reducers: one value per profile ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Count:
    """How many events; 0 where there are none."""

    stream: "Stream"


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of a numeric field, numeric text included, exact to 6 decimals; 0 where nothing matches."""

    stream: "Stream"
    of: "Field"


@dataclass(frozen=True, slots=True)
class Average:
    """The sum by the number of numbers, to 6 decimals; of two that are as near, the greater one."""

    stream: "Stream"
    of: "Field"


@dataclass(frozen=True, slots=True)
class Min:
    """The least number, numeric text included, or the least text by code points."""

    stream: "Stream"
    of: "Field"
    cast: OneOfThese["number", "string"] = "number"


@dataclass(frozen=True, slots=True)
class Max:
    """The greatest number, numeric text included, or the greatest text by code points."""

    stream: "Stream"
    of: "Field"
    cast: OneOfThese["number", "string"] = "number"


@dataclass(frozen=True, slots=True)
class Mode:
    """The value seen most often, as text, if it was seen `least` times; of several the first by code points."""

    stream: "Stream"
    of: "Field"
    least: int
    cast: OneOfThese["string", "number", "array"] = "string"


@dataclass(frozen=True, slots=True)
class First:
    """The oldest value by (timestamp, received_at, message_id); events without the field are skipped."""

    stream: "Stream"
    of: "Field"


@dataclass(frozen=True, slots=True)
class Last:
    """The newest value by (timestamp, received_at, message_id); events without the field are skipped."""

    stream: "Stream"
    of: "Field"


@dataclass(frozen=True, slots=True)
class Unique:
    """The distinct values as texts, sorted by code points, at most 10,000 (T-15)."""

    stream: "Stream"
    of: "Field"


@dataclass(frozen=True, slots=True)
class UniqueCount:
    """How many distinct values, without a bound; 0 where there are none."""

    stream: "Stream"
    of: "Field"


# --- conditions: true or false ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compare:
    """`=`, `!=`, `<`, `<=`, `>`, `>=` with the coercions of Q-21; a missing side makes it false (Q-20)."""

    left: "Operand"
    operator: Sign
    right: "Operand"


@dataclass(frozen=True, slots=True)
class Exists:
    """The value is there and not null (A-13)."""

    operand: "Operand"


@dataclass(frozen=True, slots=True)
class Absent:
    """The value is missing or null."""

    operand: "Operand"


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value equals any of the given ones (A-11), or some element of a list does; a missing value equals none."""

    operand: "Operand"
    choices: tuple["Operand", ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """The value is there and equals none of the given ones, nor does any element of a list."""

    operand: "Operand"
    choices: tuple["Operand", ...]


@dataclass(frozen=True, slots=True)
class Contains:
    """Any of the given texts is part of the value, which has to be text (A-11); of a list an element equals one (A-12).

    `omits` is its opposite and stands as `Not(Contains(…))`.
    """

    operand: "Operand"
    choices: tuple["Operand", ...]


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The text begins with another."""

    operand: "Operand"
    affix: "Operand"


@dataclass(frozen=True, slots=True)
class EndsWith:
    """The text ends with another."""

    operand: "Operand"
    affix: "Operand"


@dataclass(frozen=True, slots=True)
class Dated:
    """The value is an instant strictly before or after a fixed one (A-15); what is no instant is neither."""

    operand: "Operand"
    side: OneOfThese["before_date", "after_date"]
    than: Literal


@dataclass(frozen=True, slots=True)
class Relative:
    """The value is an instant at most, or at least, so long before or after `as_of` (A-16); by days or hours, Q-24."""

    operand: "Operand"
    side: OneOfThese["within_last", "within_next", "before_last", "after_next"]
    duration: Duration


@dataclass(frozen=True, slots=True)
class And:
    """All terms hold."""

    terms: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one term holds."""

    terms: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The term does not hold. Two-valued: the opposite of false is true, also where a value is missing."""

    term: "Condition"


@dataclass(frozen=True, slots=True)
class Quantified:
    """Of an account: the term holds for some user, or for every one of at least one (A-92)."""

    quantifier: OneOfThese["ANY", "ALL"]
    term: "Condition"


Field = Property | Context
Filter = Where | Within | Between | Sources | ExpiresAfter | OfAccount
Stream = Event | Entity
Reducer = Count | Sum | Average | Min | Max | Mode | First | Last | Unique | UniqueCount
Tally = Count | Sum | UniqueCount  # in a condition these are 0 where nothing matches, instead of missing
Operand = Literal | Property | Context | TraitValue | AccountTrait | Reducer
Condition = (
    Compare | Exists | Absent | OneOf | NoneOf | Contains | StartsWith | EndsWith | Dated | Relative
    | And | Or | Not | Quantified
)  # fmt: skip
Query = Reducer | Condition


def walk(node: Any) -> Iterator[Any]:
    """The node and every node below it, parents first, in the order they are written."""
    yield node
    for child in children(node):
        yield from walk(child)


def outermost(node: Any) -> Iterator[Any]:
    """The same, without what is inside reducers."""
    yield node
    if not isinstance(node, Reducer):
        for child in children(node):
            yield from outermost(child)


def references(node: Any) -> set[str]:
    """The keys of every trait() and account.trait() in a node, at whatever depth."""
    return {each.key for each in walk(node) if isinstance(each, TraitValue | AccountTrait)}


def rewritten(node: Node, change: Callable[[Any], Any]) -> Node:
    """The node with every node below it changed, children first, and then itself."""
    below: Any = node
    if isinstance(node, tuple):
        return tuple(rewritten(each, change) for each in node)  # type: ignore[return-value]
    if not is_dataclass(node):
        return node
    below = replace(below, **{each.name: rewritten(getattr(node, each.name), change) for each in fields(node)})
    return change(below)


def children(node: Any) -> Iterator[Any]:
    """The nodes right below a node, in the order they are written."""
    for each in fields(node) if is_dataclass(node) else ():
        value = getattr(node, each.name)
        yield from (child for child in (value if isinstance(value, tuple) else (value,)) if is_dataclass(child))

"""What a company wants, as frozen nodes: the contract between language, engine, oracle and printer.

Two families live here. *Query* nodes say how one value or one yes/no follows from a profile's
events and traits; *definition* nodes say what a space consists of. Both are plain data: they
compare by value, hash, and know nothing of polars, YAML or the outside world.

A stream (`Event`) is many rows per profile. A reducer makes it one value per profile. A
comparison makes values true or false. An audience is a condition, a trait is a reducer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import timedelta
from typing import Any
from typing import Literal as OneOfThese

# --- queries: one row of thought per node -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant written in the definition. Booleans are written as 'true' and 'false' (A-18)."""

    value: str | int | float


@dataclass(frozen=True, slots=True)
class Property:
    r"""A property of the event at hand; `path` is dotted, a literal dot is written `\.` (Q-9)."""

    path: str


@dataclass(frozen=True, slots=True)
class Context:
    """A value below `context` of the event at hand, by dotted path."""

    path: str


@dataclass(frozen=True, slots=True)
class TraitValue:
    """The profile's current value of a custom or computed trait, or its membership (Q-8)."""

    key: str


@dataclass(frozen=True, slots=True)
class Within:
    """The last `amount` hours or days up to `as_of`, both ends included (T-26, Q-23)."""

    amount: int
    unit: OneOfThese["hours", "days"]

    @property
    def length(self) -> timedelta:
        return timedelta(**{self.unit: self.amount})


@dataclass(frozen=True, slots=True)
class Where:
    """Keeps the events for which the condition holds."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Event:
    """The profile's events of one exact name, less what the filters drop. Many rows per profile."""

    name: str
    filters: tuple[Where | Within, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """How many events; 0 where there are none."""

    stream: Event


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of a numeric field, numeric text included, exact to 6 decimals; 0 where nothing matches."""

    stream: Event
    of: Property | Context


@dataclass(frozen=True, slots=True)
class Last:
    """The newest value by (timestamp, received_at, message_id); events without the field are skipped."""

    stream: Event
    of: Property | Context


@dataclass(frozen=True, slots=True)
class Compare:
    """`=`, `!=`, `<`, `<=`, `>`, `>=` with the coercions of Q-21; a missing side makes it false (Q-20)."""

    left: "Operand"
    operator: OneOfThese["=", "!=", "<", "<=", ">", ">="]
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
    """The value equals any of the given ones (A-11); a missing value equals none."""

    operand: "Operand"
    choices: tuple[Literal, ...]


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


Reducer = Count | Sum | Last
Operand = Literal | Property | Context | TraitValue | Reducer
Condition = Compare | Exists | Absent | OneOf | And | Or | Not
Query = Reducer | Condition


def walk(node: Any) -> Iterator[Any]:
    """The node and every node below it, parents first, in the order they are written."""
    yield node
    for each in fields(node) if is_dataclass(node) else ():
        value = getattr(node, each.name)
        for child in value if isinstance(value, tuple) else (value,):
            if is_dataclass(child):
                yield from walk(child)


# --- definitions: what a space consists of -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written; for messages, never for comparing."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


NOWHERE = Place("", 0)


@dataclass(frozen=True, slots=True)
class Storage:
    """How to reach an object store; credentials come from the environment, never from here."""

    endpoint_url: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One archive of events.

    `archive` is a `file:` or `s3:` URI prefix. `since` overrides how far back the first replay reads.
    """

    name: str
    archive: str
    layout: str = "raw"
    storage: Storage = Storage()
    since: str | None = None
    keep_context: tuple[str, ...] = ()
    at: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many values of a type on one profile: ever, or added within the period up to an event (I-20 to I-24).

    `period` is a sliding window: a value added exactly one period ago does not count any more.
    """

    most: int
    period: timedelta | None = None

    @property
    def microseconds(self) -> int | None:
        return None if self.period is None else self.period // timedelta(microseconds=1)


GROUP_ID = "group_id"  # names accounts, never users (I-70)

# Identifier types with places of their own (2.2).
BUILT_IN = (
    "user_id", "email", "anonymous_id", GROUP_ID, "android.id", "android.idfa", "android.push_token", "ios.id",
    "ios.idfa", "ios.push_token", "ga_client_id", "braze_id", "cross_domain_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Identifier:
    """A type of external id: where it is read, how it is normalised, and how many of it a profile may hold.

    `read_from` names the trait or property of a custom identifier (I-3); None for the built-in types.
    """

    id_type: str
    normalize: OneOfThese["none", "trim", "trim_lower"] = "trim"
    read_from: str | None = None
    limit: Limit | None = None
    blocked: tuple[str, ...] = ()
    at: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Two identifiers, each (type, value), that never share a profile, and why."""

    pair: tuple[tuple[str, str], tuple[str, str]]
    because: str = ""
    at: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """The rules that make profiles of identifiers.

    `identifiers` are in order of priority, highest first (I-30). A blocked text that starts with `^`
    is a pattern, any other matches the normalised value exactly.
    """

    identifiers: tuple[Identifier, ...]
    blocked: tuple[str, ...] = ()
    forbidden: tuple[Forbidden, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One destination a trait or audience goes to, and in which of its forms; None: its first."""

    destination: str
    form: str | None = None


@dataclass(frozen=True, slots=True)
class Trait:
    """A computed trait: one value per profile that has one."""

    key: str
    query: Reducer
    description: str = ""
    deliveries: tuple[Delivery, ...] = ()
    at: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Audience:
    """A set of profiles: those for which the condition holds."""

    key: str
    query: Condition
    name: str = ""
    description: str = ""
    include_anonymous: bool | None = None
    deliveries: tuple[Delivery, ...] = ()
    at: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Destination:
    """A tool that is kept equal to the computed state.

    `settings` are the keys its adapter asks for, as written: `${NAME}` is resolved when it is used.
    """

    name: str
    kind: str
    settings: tuple[tuple[str, str], ...] = ()
    enabled: bool = True
    at: Place = field(default=NOWHERE, compare=False)

    @property
    def options(self) -> dict[str, str]:
        return dict(self.settings)


@dataclass(frozen=True, slots=True)
class Space:
    """Everything defined for one space, validated; `warnings` are legal but suspicious things.

    `salt` goes into the numbers of identifiers: another one gives all of them other numbers.
    `notify` are URLs to post to when something is done, as written: `${NAME}` is resolved when one is used.
    """

    name: str
    lake: str
    storage: Storage = Storage()
    window: timedelta = timedelta(days=30)
    include_anonymous: bool = False
    salt: int = 0
    sources: tuple[Source, ...] = ()
    identity: Identity = Identity(())
    traits: tuple[Trait, ...] = ()
    audiences: tuple[Audience, ...] = ()
    destinations: tuple[Destination, ...] = ()
    notify: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def computed(self) -> "tuple[Trait | Audience, ...]":
        """Everything with a query: traits, then audiences."""
        return (*self.traits, *self.audiences)

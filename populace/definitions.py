"""What a space consists of, as frozen data: the contract between the loader and everything behind it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal as OneOfThese

from populace.nodes import Condition, Field, Reducer


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

    `archive` is a `file:` or `s3:` URI prefix. `since` overrides how far back the first replay reads. A source of which
    nothing arrived for longer than `silent_after` is taken for broken, and nothing is sent until somebody confirms it.
    """

    name: str
    archive: str
    layout: str = "raw"
    storage: Storage = Storage()
    since: str | None = None
    keep_context: tuple[str, ...] = ()
    silent_after: timedelta | None = None
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


RESERVED = ("profile", "profile_id")  # keys that no trait may have: columns of the tables that hold traits


@dataclass(frozen=True, slots=True)
class Trait:
    """A computed trait: one value per profile that has one."""

    key: str
    query: Reducer
    description: str = ""
    deliveries: tuple[Delivery, ...] = ()
    at: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Family:
    """Computed traits with one query: one for each value that a field of its events has, and named by it.

    They are `most` at most. `for_each` has one value an event, and each trait looks at the events with its own.
    """

    key: str
    for_each: Field
    query: Reducer
    most: int
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
class Bounds:
    """How fast and how patiently a destination is sent to; None leaves it to what its adapter says.

    `patience` is the time that failures may cost in one sync; what is left then waits for the next.
    """

    requests_per_second: float | None = None
    records_per_request: int | None = None
    timeout: timedelta | None = None
    patience: timedelta | None = None


Strategy = OneOfThese["first", "last", "all"]


@dataclass(frozen=True, slots=True)
class Known:
    """By which external ids people are told to a destination: (type, which of several values), in order of preference.

    A person goes by the first type that they have, or, with `is_each`, by every one of them (D-43).
    """

    types: tuple[tuple[str, Strategy], ...] = ()
    is_each: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """A tool that is kept equal to the computed state.

    `settings` are the keys its adapter asks for, as written: `${NAME}` is resolved when it is used. Up to `brake` of an
    audience may be removed at once without somebody's confirming it: 1 is all of it. `identifiers` is None where it is
    left to the adapter. What was acknowledged longer than `reassert_every` ago is sent again. `lists` has the ids of
    lists that exist over there already, by the key of their audience, as written.
    """

    name: str
    kind: str
    settings: tuple[tuple[str, str], ...] = ()
    enabled: bool = True
    brake: float = 0.5
    at: Place = field(default=NOWHERE, compare=False)
    identifiers: Known | None = None
    bounds: Bounds = Bounds()
    reassert_every: timedelta | None = None
    lists: tuple[tuple[str, str], ...] = ()

    @property
    def options(self) -> dict[str, str]:
        return dict(self.settings)


@dataclass(frozen=True, slots=True)
class Space:
    """Everything defined for one space, validated; `warnings` are legal but suspicious things.

    The traits of `families` are known when a run has seen their values, and are `traits` of that run then.
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
    families: tuple[Family, ...] = ()
    audiences: tuple[Audience, ...] = ()
    destinations: tuple[Destination, ...] = ()
    notify: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def computed(self) -> "tuple[Trait | Audience, ...]":
        """Every trait, then every audience; of families what a run expanded them to."""
        return (*self.traits, *self.audiences)

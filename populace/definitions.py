"""What a space consists of, as frozen data: the contract between the loader and everything behind it."""

from dataclasses import dataclass, field, replace
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
    is a pattern, any other matches the normalised value exactly. A user's link to an account ends `link_ttl` after
    the last call that made it, or never (I-73); with `link_from_context` every call that names an account in its
    context makes one, not only Group calls (I-74).
    """

    identifiers: tuple[Identifier, ...]
    blocked: tuple[str, ...] = ()
    forbidden: tuple[Forbidden, ...] = ()
    link_ttl: timedelta | None = None
    link_from_context: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """One destination a trait or audience goes to, and in which of its forms; None: its first."""

    destination: str
    form: str | None = None


RESERVED = ("profile", "profile_id")  # keys that no trait may have: columns of the tables that hold traits


Level = OneOfThese["user", "account"]
EventsOf = OneOfThese["users", "account"]  # of an account: all of its users' events, or those that name it (O-15)


@dataclass(frozen=True, slots=True)
class Trait:
    """A computed trait: one value per profile that has one.

    One of accounts is computed from the events of all users of each account together (T-11).
    """

    key: str
    query: Reducer
    description: str = ""
    deliveries: tuple[Delivery, ...] = ()
    at: Place = field(default=NOWHERE, compare=False)
    level: Level = "user"
    events_of: EventsOf = "users"


@dataclass(frozen=True, slots=True)
class Sql:
    """Traits that the rows of a statement give people, or accounts: one for each of its columns (T-30 to T-47).

    `connection` is `lake`, or a name of `Space.connections`. The statement runs at every instant of `schedule`, a cron
    expression in UTC; None, only for the lake, is with every run. It may take `timeout` and give `most_rows` rows.
    """

    key: str
    connection: str
    statement: str
    schedule: str | None = None
    timeout: timedelta = timedelta(minutes=10)
    most_rows: int = 25_000_000  # T-34
    description: str = ""
    deliveries: tuple[Delivery, ...] = ()
    at: Place = field(default=NOWHERE, compare=False)
    level: Level = "user"


@dataclass(frozen=True, slots=True)
class SqlTrait:
    """A trait that is a column of a statement; which there are is known when it has run."""

    key: str
    of: Sql

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        return self.of.deliveries

    @property
    def description(self) -> str:
        return self.of.description

    @property
    def level(self) -> Level:
        return self.of.level

    @property
    def at(self) -> Place:
        return self.of.at


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
    """A set of profiles: those for which the condition holds.

    One of accounts may ask for ANY or ALL of an account's users; `include_anonymous` says whether anonymous ones are
    among these.
    """

    key: str
    query: Condition
    name: str = ""
    description: str = ""
    include_anonymous: bool | None = None
    deliveries: tuple[Delivery, ...] = ()
    at: Place = field(default=NOWHERE, compare=False)
    level: Level = "user"
    events_of: EventsOf = "users"


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

    The traits of `families` are known when a run has seen their values, and are `traits` of that run then; those of
    `sql` when its statements have run, and are `sql_traits` then. `connections` are the databases that statements run
    on, by name, as written: `${NAME}` is resolved when one is used.
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
    sql: tuple[Sql, ...] = ()
    sql_traits: tuple[SqlTrait, ...] = ()
    connections: tuple[tuple[str, str], ...] = ()
    audiences: tuple[Audience, ...] = ()
    destinations: tuple[Destination, ...] = ()
    notify: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def computed(self) -> "tuple[Trait | Audience, ...]":
        """Every trait with a query, then every audience; of families what a run expanded them to."""
        return (*self.traits, *self.audiences)

    @property
    def delivered(self) -> "tuple[Trait | SqlTrait | Audience, ...]":
        """Everything that destinations may be told of: what is computed, and the columns of SQL."""
        return (*self.traits, *self.sql_traits, *self.audiences)

    def at_level(self, level: Level) -> "Space":
        """The space with the traits and audiences of users alone, or of accounts."""
        return replace(
            self,
            traits=tuple(each for each in self.traits if each.level == level),
            audiences=tuple(each for each in self.audiences if each.level == level),
        )

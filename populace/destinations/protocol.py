"""What an adapter is: a pure description of one vendor's wire, read by one sender.

An adapter is a module with an `ABOUT`. It turns records into updates, and has a conversation about a batch of
them: it yields requests, is handed their responses, and ends with what became of each update. It never
sleeps, retries, opens a connection, looks at the clock or reads the environment; `tasks/` does that for all.

    records --updates()--> updates --packed()--> batches --exchange()--> requests and responses --> outcomes
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

# The outcomes of destinations.md 15.2. `populace.sync` says what each one does to the ledger.
Outcome = Literal[
    "delivered", "noop", "warning", "invalid", "throttled", "transient", "refused", "too_large", "unknown"
]

Settings = Mapping[str, str]
Record = Mapping[str, Any]  # one row of `sync.difference`: action, message_id, kind, key, form, profile_id, …

PEOPLE = ("user_id", "email")  # how most tools know a person: by the first of these that there is


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a destination in `destinations.yaml`, beside those that all have.

    `text` says what it is, in a phrase for the page of its kind. What is secret appears in no log, error or report.
    """

    name: str
    text: str
    is_required: bool = False
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """What the loader, the sender and the pages in `docs/destinations/` need to know of a kind of destination.

    Parameters
    ----------
    title
        What people call it.
    forms
        What can be sent; the first is meant where a definition names none.
    settings
        Its keys in `destinations.yaml`, in the order in which a page lists them.
    identifies
        The types of external id that it can address people by, in order of preference; empty: any type.
    grain
        What a record is about: a 'person', or an 'audience' or trait as a whole, for tools that are told numbers.
    compared
        The columns of a record whose change is sent.
    reserved
        Names of properties that mean something else over there, such as who somebody is.
    readable
        The forms that can be read back (`ReadableAdapter`), each with the types of identifier by which it can.
    normal
        How it spells identifiers of a type, where two spellings are one person there: text in, text out; None for one
        that it cannot know anybody by. What is spelled so already stays as it is, for the ledger is spelled again
        whenever it is read.
    """

    title: str = ""
    forms: tuple[str, ...] = ("property",)
    settings: tuple[Setting, ...] = ()
    identifies: tuple[str, ...] = PEOPLE
    grain: Literal["person", "audience"] = "person"
    compared: tuple[str, ...] = ("value",)
    reserved: frozenset[str] = frozenset()
    readable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    normal: Mapping[str, Callable[[str], str | None]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its settings."""
        return tuple(each.name for each in self.settings)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.settings if each.is_required)

    @property
    def secret(self) -> frozenset[str]:
        return frozenset(each.name for each in self.settings if each.is_secret)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a delivery comes from.

    `as_of` is the instant the run describes, in ISO 8601; `generation` counts resyncs, so that a
    resync of one run is not taken for a repetition. `names` are those that people gave audiences, and `lists` what the
    destination calls the lists they are kept in there, by key.
    """

    space: str
    destination: str
    run_id: str
    as_of: str
    generation: int = 0
    names: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)

    @property
    def salt(self) -> str:
        return "\x1f".join((self.space, self.destination, self.run_id, str(self.generation)))


@dataclass(frozen=True, slots=True)
class Update:
    """The smallest thing a vendor accepts or refuses: one element of a request.

    Parameters
    ----------
    records
        Positions in the records handed over: one, or several where the adapter coalesces what concerns one person.
    body
        As it stands in the request.
    group
        An endpoint, or a list and what is done to it: only updates of one group share a request.
    stage
        What is of a later stage is sent when all of the earlier ones is settled: people before the lists they join.
        Only the first stage may have several requests under way, so a list never has.
    once
        The vendor would take a repetition for something new. Where no answer comes it is not sent again.
    problem
        Why it can never succeed, where that is known before: it is parked with this reason, and not sent.
    """

    records: tuple[int, ...]
    body: bytes
    group: str = ""
    stage: int = 0
    once: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    `endpoint` says whose pace it counts for (`Limits.rates`); `after` how many seconds to wait before, for an answer
    that takes its time. What `asks` changes nothing over there though it is no GET, and may be asked again. Of
    the reply no more than `reply_bytes` are read.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    endpoint: str = ""
    after: float = 0.0
    asks: bool = False
    reply_bytes: int = 1_000_000

    @property
    def is_question(self) -> bool:
        """Whether it changes nothing over there."""
        return self.asks or self.method == "GET"


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; the names of headers are in lower case. One that `is_cut` was longer than what was read of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an update, or of a whole request.

    Parameters
    ----------
    outcome
        One of the nine.
    reason
        For people: never a secret, never personal data.
    after
        Seconds the vendor asks us to wait; None where it does not say.
    in_doubt
        It may have been taken all the same: a server that answered 500 may have stored what it read.
    attempts
        How often it was sent within this run.
    sent, reply
        What was sent and answered, of what can never succeed: personal data, for the letters in the lake alone.
    """

    outcome: Outcome
    reason: str = ""
    after: float | None = None
    in_doubt: bool = False
    attempts: int = 0
    sent: str = ""
    reply: str = ""


# One verdict for the request as a whole, or one for each of its updates in their order.
Answer = Verdict | list[Verdict]
Exchange = Generator[Request, Response, Answer]

# What the destination calls the list of an audience, or why there is none.
Listing = Generator[Request, Response, "str | Verdict"]

# What a destination holds of people: (id_type, id_value, value), the value as JSON has it; or why nobody knows.
Found = list[tuple[str, str, Any]]
Reading = Generator[Request, Response, "Found | Verdict"]

PROPERTY, LIST, EVENT = "property", "list", "event"  # the forms; LIST is of those who are kept in lists over there
# The form that tells of an account itself, not of its users: its records have the id_type `group_id` (D-14).
GROUP = "group"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a vendor takes, and how fast.

    Parameters
    ----------
    updates, request_bytes, update_bytes
        What fits into one request; bytes are those of the encoded body.
    envelope
        Bytes of a request's body around its updates and the commas between them.
    rates
        Requests a second by endpoint; '' stands for those that are not named. Without a rate there is no limit.
    lanes
        How many requests may be under way, each for other people.
    timeout
        Seconds that each step of a request may take: connecting, sending, waiting for bytes.
    """

    updates: int
    request_bytes: int
    update_bytes: int
    rates: Mapping[str, float] = field(default_factory=dict)
    lanes: int = 1
    timeout: float = 10.0
    envelope: int = 2


class Adapter(Protocol):
    """What the loader asks of every kind of destination."""

    @property
    def ABOUT(self) -> About:
        """Its forms, settings and identifiers."""

    def account(self, settings: Settings) -> str:
        """Which account the settings reach, as written and without secrets: two spaces must differ."""

    def problems(self, settings: Settings) -> list[str]:
        """What is wrong with the settings as written; `${NAME}` is not resolved yet and passes."""


class HttpAdapter(Adapter, Protocol):
    """A destination behind HTTP."""

    def limits(self, settings: Settings) -> Limits:
        """How updates are packed into requests, and how many of those a second."""

    def updates(self, records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
        """What to say about each person, whose records stand together; every record is in exactly one update."""

    def exchange(self, updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
        """The conversation about updates of one group, at this second of Unix time; also about halves of a batch."""


@runtime_checkable
class ListAdapter(Protocol):
    """A destination that keeps people in lists: with the form `list`, beside what every HTTP destination has."""

    def listing(self, key: str, name: str, settings: Settings) -> Listing:
        """Find the list of an audience by its name, or make it; the same again must find what was made."""


@runtime_checkable
class ReadableAdapter(Protocol):
    """A destination that can be asked what it holds: one whose `ABOUT.readable` names a form."""

    def held(
        self, key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings
    ) -> Reading:
        """What is there of the trait or audience `key`: of a list everybody on it, else of these (id_type, id_value).

        Somebody on the list whom we know by one of these is called by it. Whoever has no value, or false, is not in
        it. Everything it yields is a question.
        """


FINDING = "finding lists"  # what a list whose id nobody wrote down needs beside the form `list`


@runtime_checkable
class ParticularAdapter(Protocol):
    """A destination of which one form needs settings that others do not."""

    def lacking(self, form: str, settings: Settings) -> str:
        """What a form, or `FINDING`, needs and is not there; empty where nothing is. `${NAME}` counts as there."""


def in_order(updates: Iterable[Update]) -> list[Update]:
    """Updates as they are sent: stage by stage, and what may share a request together."""
    return sorted(updates, key=lambda each: (each.stage, each.group))


def packed(updates: Iterable[Update], limits: Limits) -> Iterator[list[Update]]:
    """Updates in batches that fit into one request each, in their order, by count and bytes.

    An update that is too large by itself is a batch by itself.
    """
    batch: list[Update] = []
    size = 0
    for update in updates:
        weight = len(update.body) + 1  # and the comma behind it
        is_full = len(batch) == limits.updates or size + weight > limits.request_bytes - limits.envelope + 1
        if batch and (is_full or (update.stage, update.group) != (batch[0].stage, batch[0].group)):
            yield batch
            batch, size = [], 0
        batch.append(update)
        size += weight
    if batch:
        yield batch


ALLOW_PRIVATE = Setting("allow_private", "`true` by default; `false` refuses addresses that are not public")


def one_of(settings: Settings, name: str, *known: str) -> list[str]:
    """What is wrong with a setting that is one of a few words, the first by default."""
    written = settings.get(name, known[0])
    return [] if written in known or "${" in written else [f"{name!r} must be {' or '.join(known)}"]


def address(settings: Settings, name: str) -> list[str]:
    """What is wrong with the setting that holds an address, where it is set, and with `allow_private`."""
    found = []
    if not settings.get(name, "https://").startswith(("http://", "https://", "${")):
        found.append(f"{name!r} must start with https:// or http://")
    allowed = settings.get("allow_private", "true")
    if allowed.lower() not in {"true", "false"} and not allowed.startswith("${"):
        found.append("'allow_private' must be true or false")
    return found


# --- what HTTP statuses mean, unless a vendor says otherwise ----------------------------------------

# Faults of the endpoint or of our access to it, not of a record: nothing more is sent until a person acts.
HELD = {
    401: "the credentials are not accepted; check them",
    402: "the account must be paid for",
    403: "the credentials are accepted but not allowed to do this; check the rights",
    404: "there is nothing at this address; check it",
    405: "the address does not take this method; check it",
    410: "the address is gone for good; change it or disable the destination",
    501: "the address cannot do this; check it",
}
RETRIED = {408, 423, 425}
ABOUT_RECORDS = {400, 409, 422}


def by_status(status: int) -> Verdict:
    """The verdict that an HTTP status stands for (destinations.md 11 and 15.2).

    A redirect is not followed: it would carry the signature, and the data, elsewhere.
    """
    reason = f"HTTP {status}"
    if 200 <= status < 300:
        return Verdict("delivered", reason)
    if status == 429:
        return Verdict("throttled", f"{reason}: told to send less")
    if status == 413:
        return Verdict("too_large", f"{reason}: too large")
    if status in RETRIED or (status >= 500 and status not in HELD):
        return Verdict("transient", reason, in_doubt=True)
    if status in ABOUT_RECORDS:
        return Verdict("invalid", f"{reason}: refused as invalid")
    if 300 <= status < 400:
        return Verdict("refused", f"{reason}: redirects are not followed; set the address it leads to")
    return Verdict("refused", f"{reason}: {HELD.get(status, 'not accepted; check the settings')}")

"""What an adapter is: a pure description of one vendor's wire, read by one sender.

An adapter is a module. It says which forms it has and which settings it needs, turns records
into updates and updates into requests, and reads answers. It never sleeps, retries, opens a
connection, looks at the clock or reads the environment; `tasks/` does that for all of them.

    records --updates()--> updates --packed()--> requests --signed()--> the wire
    outcomes <---------------------answer()----------------------------- response
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

# The outcomes of destinations.md 15.2. `populace.sync` says what each one does to the ledger.
Outcome = Literal[
    "delivered", "noop", "warning", "invalid", "throttled", "transient", "refused", "too_large", "unknown"
]

Settings = Mapping[str, str]
Record = Mapping[str, Any]  # one row of `sync.difference`: action, message_id, kind, key, form, profile_id, …


@dataclass(frozen=True, slots=True)
class Origin:
    """What a delivery comes from.

    `as_of` is the instant the run describes, in ISO 8601; `generation` counts resyncs, so that a
    resync of one run is not taken for a repetition.
    """

    space: str
    destination: str
    run_id: str
    as_of: str
    generation: int = 0

    @property
    def salt(self) -> str:
        return "\x1f".join((self.space, self.destination, self.run_id, str(self.generation)))


@dataclass(frozen=True, slots=True)
class Update:
    """The smallest thing a vendor accepts or refuses: one element of a request.

    `records` are positions in the records handed over: one, or several where the adapter coalesces
    what concerns one person. Only updates of one `group` (an endpoint, a list) share a request.
    """

    records: tuple[int, ...]
    body: bytes
    group: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete but for what depends on the time it is sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
    """

    outcome: Outcome
    reason: str = ""
    after: float | None = None
    in_doubt: bool = False


# One verdict for the request as a whole, or one for each of its updates in their order.
Answer = Verdict | list[Verdict]


@dataclass(frozen=True, slots=True)
class Limits:
    """What fits into one request; bytes are those of the encoded body."""

    updates: int
    request_bytes: int
    update_bytes: int


class Adapter(Protocol):
    """What the loader asks of every kind of destination."""

    @property
    def FORMS(self) -> tuple[str, ...]:
        """What can be sent; the first form is meant where a definition names none."""

    @property
    def REQUIRED(self) -> tuple[str, ...]:
        """Settings that must be there."""

    @property
    def OPTIONAL(self) -> tuple[str, ...]:
        """Settings that may be."""

    @property
    def SECRET(self) -> frozenset[str]:
        """Settings that never appear in a log, an error or a report."""

    @property
    def COMPARED(self) -> tuple[str, ...]:
        """The columns of a record whose change is sent."""

    def account(self, settings: Settings) -> str:
        """Which account the settings reach, as written and without secrets: two spaces must differ."""

    def problems(self, settings: Settings) -> list[str]:
        """What is wrong with the settings as written; `${NAME}` is not resolved yet and passes."""


class HttpAdapter(Adapter, Protocol):
    """A destination behind HTTP."""

    def limits(self, settings: Settings) -> Limits:
        """How updates are packed into requests."""

    def updates(self, records: Sequence[Record], origin: Origin) -> Iterator[Update]:
        """What to say about each person; every record is in exactly one update."""

    def request(self, updates: Sequence[Update], settings: Settings) -> Request:
        """One request for updates of one group; also used for the halves of a refused one."""

    def signed(self, request: Request, settings: Settings, at: int) -> dict[str, str]:
        """The headers to send at this second of Unix time: those of the request and the signatures."""

    def answer(self, response: Response, count: int) -> Answer:
        """What became of the `count` updates of a request."""


def packed(updates: Iterable[Update], limits: Limits) -> Iterator[list[Update]]:
    """Updates in batches that fit into one request each, in their order, by count and bytes.

    An update that is too large by itself is a batch by itself.
    """
    batch: list[Update] = []
    size = 0
    for update in updates:
        weight = len(update.body) + 1  # and the comma behind it
        is_full = len(batch) == limits.updates or size + weight + 2 > limits.request_bytes
        if batch and (is_full or update.group != batch[0].group):
            yield batch
            batch, size = [], 0
        batch.append(update)
        size += weight
    if batch:
        yield batch


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

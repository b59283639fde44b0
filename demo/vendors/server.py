"""A loopback vendor: it keeps state, refuses what it does not know, measures how it is treated, and can misbehave.

A vendor is a subclass with an `answer`: a call in, a reply out, under a lock. Everything that vendors have in common is
here, and nothing here knows our code: what it says of us is what a stranger would see on the wire.
"""

import base64
import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

OUTAGE = b"<!doctype html><html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"


@dataclass(frozen=True)
class Call:
    """One request as it was read; the names of headers are in lower case, `path` is not decoded."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float  # seconds of a steady clock, when it came

    @cached_property
    def steps(self) -> list[str]:
        """The parts of the path, decoded."""
        return [unquote(each) for each in self.path.strip("/").split("/")]

    def json(self) -> Any:
        """The body; a reply of 400 where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refusal(400, {"error": "invalid_json"}) from None

    def basic(self) -> tuple[str, str]:
        """User and password of basic authentication; empty where there is none."""
        kind, _, code = self.headers.get("authorization", "").partition(" ")
        user, _, password = base64.b64decode(code).decode().partition(":") if kind == "Basic" else ("", "", "")
        return user, password


@dataclass(frozen=True)
class Reply:
    """What is answered; a body that is not bytes is JSON."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Refusal(Exception):
    """Raised by a vendor that has seen enough of a request."""

    def __init__(self, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.reply = Reply(status, body, headers or {})


@dataclass
class Vendor(ABC):
    """What every vendor has.

    `script` holds what to do with the next requests, one entry each; `always` with all after it:

    * a status, (status, headers) or (status, headers, body): answered so, and nothing is stored
    * 'unread': the connection is closed before the body is read; 'drop': after that, nothing is stored
    * 'reset': stored, and the connection is closed; 'lost': stored, and answered with 500
    * 'slow': answered after `delay`; 'late': stored, and answered after `delay`, when nobody waits any more
    * 'html': a page instead of an answer, with 503; 'page': one with 200
    * None or 200: as usual

    `rate` are requests a second it takes, by how the path begins or '' for any; `most_items`, `most_bytes` what
    it takes in a request. `latency` is how long every answer takes, in seconds. `unwanted` are people of whom it takes
    nothing, and says so in its own way.
    """

    url: str = ""
    script: list[Any] = field(default_factory=list)
    always: Any = None
    rate: dict[str, float] = field(default_factory=dict)
    most_items: int = 1_000
    most_bytes: int = 1_000_000
    latency: float = 0.0
    unwanted: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    delay: float = 0.1
    calls: list[Call] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)  # how often each message was stored
    polls: int = 2  # how often a job is asked for until it is done
    jobs: dict[str, list[Any]] = field(default_factory=dict)  # [polls left, result]
    most_under_way: int = 0
    most_per_person: int = 0
    most_per_list: int = 0
    throttled: int = 0
    under_way: int = 0
    _busy: Counter[tuple[str, str]] = field(default_factory=Counter)
    _recent: dict[str, deque[float]] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock)
    closing: threading.Event = field(default_factory=threading.Event)

    # --- what a vendor says of itself ----------------------------------------------------------------

    def is_allowed(self, call: Call) -> bool:
        """Whether the credentials are good."""
        return True

    @abstractmethod
    def answer(self, call: Call) -> Reply:
        """Check, store, and say so; raises Refusal instead where that reads better."""

    def people(self, call: Call) -> Iterable[str]:
        """Whom the call writes about: nobody may be in two at once."""
        return ()

    def lists(self, call: Call) -> Iterable[str]:
        """The lists the call writes to: none may be in two at once."""
        return ()

    # --- what people see in its screens, for tests to compare -------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        """What stands in destinations.yaml to reach it."""
        return {}

    def meet(self, people: Iterable[str]) -> None:
        """Let these be known, where somebody has to be before they can join a list."""
        self.known.update(people)

    def make(self, name: str) -> str:
        """Make a list by hand, where there is no other way; returns its id."""
        message = f"no list {name!r} can be made here"
        raise LookupError(message)

    def known_as(self, person: str) -> str:
        """What it calls somebody, for whom we have a plain identifier."""
        return person

    def properties(self, key: str) -> dict[str, Any]:
        """Each person's value of a property, for those who have it."""
        return {}

    def of_accounts(self, key: str) -> dict[str, Any]:
        """Each account's value of a property, by the account's group id, for those who have it."""
        return {}

    def members(self, key: str) -> set[str]:
        """Who is on the list of an audience."""
        return set()

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        """How often each person entered (true) or left (false) an audience, told as an event."""
        return Counter()

    # --- what vendors do --------------------------------------------------------------------------------

    def store(self, message: str, write: Callable[[], None]) -> None:
        """Write, unless this message was written before; count it in any case."""
        self.seen[message] += 1
        if self.seen[message] == 1:
            write()

    def check(self, items: list[Any], body: bytes) -> None:
        """Refuse what is too much at once."""
        if len(body) > self.most_bytes or len(items) > self.most_items:
            raise Refusal(413, {"code": "too_large"})

    def queue(self, result: Any) -> str:
        """The name of a new job, which will have this result when it was asked for often enough."""
        name = f"job-{len(self.jobs)}"
        self.jobs[name] = [self.polls, result]
        return name

    def polled(self, name: str) -> Any:
        """The result of a job; None as long as it is not done."""
        if name not in self.jobs:
            raise Refusal(404, {"code": "no_such_job"})
        job = self.jobs[name]
        job[0] -= 1
        return job[1] if job[0] <= 0 else None

    def handle(self, call: Call) -> Reply | None:
        """The reply to a call; None to say nothing at all."""
        people = {("person", each) for each in self._safely(self.people, call)}
        busy = people | {("list", each) for each in self._safely(self.lists, call)}
        with self._lock:
            self.calls.append(call)
            planned = self.script.pop(0) if self.script else self.always
            self._count(busy, 1)
        try:
            return self._planned(planned, call)
        finally:
            with self._lock:
                self._count(busy, -1)

    def _planned(self, planned: Any, call: Call) -> Reply | None:
        self.closing.wait(self.latency)
        if planned in ("drop", "reset", "lost", "late", "slow", 200, None):
            reply = Reply() if planned == "drop" else self._usual(call)
            if planned in ("late", "slow"):
                self.closing.wait(self.delay)
            return {"drop": None, "reset": None, "lost": Reply(500)}.get(planned, reply)
        if planned in ("html", "page"):
            return Reply(503 if planned == "html" else 200, OUTAGE, {"Content-Type": "text/html"})
        return Reply(planned) if isinstance(planned, int) else _scripted(*planned)

    def _usual(self, call: Call) -> Reply:
        with self._lock:
            if not self.is_allowed(call):
                return Reply(401, {"error": "unauthorized"})
            if reply := self._too_fast(call):
                return reply
            try:
                return self.answer(call)
            except Refusal as refusal:
                return refusal.reply

    def _too_fast(self, call: Call) -> Reply | None:
        """429 with the usual headers where more came within a second than the endpoint takes."""
        endpoint = next((each for each in self.rate if each and call.path.startswith(f"/{each}")), "")
        if endpoint not in self.rate:
            return None
        times = self._recent.setdefault(endpoint, deque())
        while times and times[0] <= call.at - 1:
            times.popleft()
        if len(times) < max(self.rate[endpoint], 1):
            times.append(call.at)
            return None
        self.throttled += 1
        wait = str(max(round(times[0] + 1 - call.at), 1))
        return Reply(429, {"code": "rate_limited"}, {"Retry-After": wait, "X-RateLimit-Reset": wait})

    def _count(self, busy: set[tuple[str, str]], step: int) -> None:
        self.under_way += step
        self.most_under_way = max(self.most_under_way, self.under_way)
        for each in busy:
            self._busy[each] += step
            if each[0] == "person":
                self.most_per_person = max(self.most_per_person, self._busy[each])
            else:
                self.most_per_list = max(self.most_per_list, self._busy[each])

    def _safely(self, asked: Callable[[Call], Iterable[str]], call: Call) -> list[str]:
        """What a call is about, or nothing where it is nonsense: that is for `answer` to say."""
        try:
            return list(asked(call))
        except (ValueError, LookupError, TypeError, AttributeError, Refusal):
            return []

    def fastest(self, path: str = "") -> int:
        """The most calls within any one second, of those whose path begins so."""
        times = sorted(each.at for each in self.calls if each.path.startswith(path))
        start, most = 0, 0
        for end, at in enumerate(times):
            while times[start] <= at - 1:
                start += 1
            most = max(most, end - start + 1)
        return most


def only(item: dict[str, Any], *fields: str) -> None:
    """Refuse an object that has fields nobody knows."""
    if unknown := set(item) - set(fields):
        raise Refusal(400, {"code": "unknown_field", "fields": sorted(unknown)})


def _scripted(status: int, headers: dict[str, str], body: Any = b"") -> Reply:
    return Reply(status, body, headers)


V = TypeVar("V", bound=Vendor)


@contextmanager
def serve(vendor: V) -> Iterator[V]:
    """The vendor on a free port, for as long as this lasts; its `url` is the address without a path."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement
        wbufsize = -1  # head and body of an answer leave together

        def handle_one(self) -> None:
            at = time.monotonic()
            if vendor.script and vendor.script[0] == "unread":
                vendor.script.pop(0)
                return self.hang_up()
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            reply = vendor.handle(Call(self.command, url.path, dict(parse_qsl(url.query)), headers, body, at))
            return self.hang_up() if reply is None else self.say(reply)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

        def say(self, reply: Reply) -> None:
            self.send_response(reply.status)
            body = reply.bytes
            for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def hang_up(self) -> None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Say nothing on standard error."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False  # a client that keeps its connection open would hold us for ever

        def handle_error(self, *_: Any) -> None:
            """A client that hung up is no news here."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        vendor.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield vendor
        finally:
            vendor.closing.set()
            server.shutdown()
            thread.join()

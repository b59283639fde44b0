"""A proxy on the loopback interface in front of an object store, which does mischief by a plan.

What befalls a request depends on the plan's seed, on the request, and on how often it was made before: not on the
order in which threads come. Signatures stay valid, since the header `Host` passes through as the client signed it.
"""

import hashlib
import http.client
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

KINDS = ("error", "slow_down", "conflict", "cut", "stall", "reset", "lost")
SURROUNDS = {"connection", "expect", "keep-alive", "transfer-encoding"}  # headers of one hop, not of the request
CODES = {
    "error": (500, "InternalError"),
    "slow_down": (503, "SlowDown"),
    "conflict": (409, "ConditionalRequestConflict"),
}


@dataclass(frozen=True)
class Plan:
    """Which share of the requests each mischief befalls; it befalls no request more than `most` times in a row.

    `error` and `slow_down` are answers 500 and 503, `conflict` is the 409 that AWS gives while another writer is at
    the object; `cut` promises the whole body and sends a part of it, often nothing; `stall` waits for `seconds` in
    the middle of the body; `reset` hangs up before the store hears of the request, `lost` after the store has done
    what was asked.
    """

    error: float = 0
    slow_down: float = 0
    conflict: float = 0
    cut: float = 0
    stall: float = 0
    reset: float = 0
    lost: float = 0
    seconds: float = 2
    seed: int = 0
    most: int = 4

    def draw(self, *request: object) -> tuple[str, float]:
        """What befalls this request, '' for nothing; and the share of the body that comes before it."""
        digest = hashlib.blake2b(repr((self.seed, *request)).encode(), digest_size=16).digest()
        chance, where = (number / 2**64 for number in struct.unpack("<QQ", digest))
        where = max(0, (where - 1 / 3) * 3 / 2)  # nothing before it in a third of the cases
        for kind in KINDS:
            if chance < getattr(self, kind):
                return kind, where
            chance -= getattr(self, kind)
        return "", where


CALM = Plan()


@dataclass
class Storm:
    """A running proxy: where it listens, its plan, which may be replaced at any time, and what it has done."""

    url: str
    plan: Plan
    done: Counter[str] = field(default_factory=Counter)  # by kind of mischief, '' for none
    asked: Counter[tuple[str, ...]] = field(default_factory=Counter)
    struck: Counter[tuple[str, ...]] = field(default_factory=Counter)  # mischief in a row
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def requests(self) -> int:
        return self.done.total()

    def befalls(self, *request: str) -> tuple[str, float]:
        with self.lock:
            kind, where = self.plan.draw(*request, self.asked[request])
            if self.struck[request] >= self.plan.most or (kind == "conflict" and request[0] != "PUT"):
                kind = ""
            self.asked[request] += 1
            self.struck[request] = self.struck[request] + 1 if kind else 0
            return kind, where

    def count(self, kind: str) -> None:
        with self.lock:
            self.done[kind] += 1


class Answer(NamedTuple):
    """What the store said."""

    status: int
    headers: Message
    body: bytes


@contextmanager
def storm(endpoint: str, plan: Plan = CALM) -> Iterator[Storm]:
    """A proxy to the endpoint on a free loopback port, for as long as this lasts."""
    store = urlsplit(endpoint).netloc

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind, where = state.befalls(*identity(self.command, self.path, self.headers))
            if kind == "reset":
                self.hang_up(kind)
            elif kind in CODES:
                self.refuse(kind)
            else:
                answer = ask(store, self.command, self.path, self.headers, body)
                self.answer(answer, kind, where)

        def answer(self, answer: Answer, kind: str, where: float) -> None:
            if kind == "lost":
                self.hang_up(kind)
                return
            if kind == "cut" and not answer.body:
                kind = ""  # there is nothing to cut
            state.count(kind)
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in SURROUNDS:
                    self.send_header(name, value)
            if self.command != "HEAD" and answer.status != 204 and "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            half = int(where * len(answer.body))
            self.wfile.write(answer.body[:half])
            if kind == "cut":
                self.close_connection = True
                return
            if kind == "stall":
                time.sleep(state.plan.seconds)
            self.wfile.write(answer.body[half:])

        def refuse(self, kind: str) -> None:
            status, code = CODES[kind]
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a storm</Message></Error>".encode()
            state.count(kind)
            self.send_response_only(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def hang_up(self, kind: str) -> None:
            """Reset the connection: what is closed with nothing left to linger for is reset, not ended."""
            state.count(kind)
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

        def log_message(self, *_: object) -> None:
            """Say nothing on standard error."""

    with Server(("127.0.0.1", 0), Handler) as server:
        state = Storm(f"http://127.0.0.1:{server.server_port}", plan)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def identity(method: str, target: str, headers: Message) -> tuple[str, ...]:
    """A request as the plan knows it: without what differs from one run of the tests to the next."""
    parts = urlsplit(target)
    path = parts.path.partition("/")[2].partition("/")[2]  # without the bucket
    options = sorted(each.partition("=")[0] for each in parts.query.split("&"))
    return method, path, ",".join(options), headers.get("Range", "")


def ask(store: str, method: str, target: str, headers: Message, body: bytes) -> Answer:
    """Send the request to the store as it came."""
    connection = http.client.HTTPConnection(store, timeout=60)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in SURROUNDS:
                connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()

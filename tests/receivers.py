"""A strict webhook receiver that can misbehave.

It knows nothing of our code: it checks the signature over the bytes it got, refuses what it does not know,
ignores a messageId it has seen, and keeps the last value of every key of every person.
"""

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "correct-horse"
FIELDS = {"type", "userId", "messageId", "timestamp", "traits", "context", "integrations"}

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Receiver:
    """What the other side knows, and how it will behave.

    `script` holds what to do with the next requests, one entry each: a status; (status, headers); 'reset' to close
    the connection after storing; 'lost' to store and answer 500. `poison` are user ids it finds invalid.
    """

    url: str = ""
    secret: str = SECRET
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    script: list[Any] = field(default_factory=list)
    poison: set[str] = field(default_factory=set)
    partial: bool = False  # answers 207 and names the poisonous ones
    requests: list[list[str]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    def answer(self, headers: Any, body: bytes) -> Answer | None:
        """Status, headers and body to answer with; None to say nothing at all."""
        if not self.is_signed(headers, body):
            return 401, {}, b""
        calls = json.loads(body)
        self.requests.append([each["messageId"] for each in calls])
        planned = self.script.pop(0) if self.script else 200
        if planned in ("reset", "lost"):
            self.store(calls)
            return None if planned == "reset" else (500, {}, b"")
        status, more = planned if isinstance(planned, tuple) else (planned, {})
        if status >= 300:
            return status, more, b""
        bad = [at for at, each in enumerate(calls) if self.is_wrong(each)]
        if bad and not self.partial:
            return 400, {}, b"one of them is wrong"
        self.store([each for at, each in enumerate(calls) if at not in bad])
        results = [{"index": at, "status": 422} for at in bad]
        return (207, {}, json.dumps({"results": results}).encode()) if bad else (200, {}, b"ok")

    def is_signed(self, headers: Any, body: bytes) -> bool:
        stamp, _, code = headers["X-Signature-256"].partition(",v1=")
        at = stamp.removeprefix("t=")
        sound = hmac.new(self.secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        compatible = hmac.new(self.secret.encode(), body, hashlib.sha1).hexdigest()
        is_fresh = abs(time.time() - int(at)) < 300
        return is_fresh and hmac.compare_digest(code, sound) and headers["X-Signature"] == compatible

    def is_wrong(self, call: dict[str, Any]) -> bool:
        personas = call["context"]["personas"]
        is_known = set(call) <= FIELDS and personas["computation_class"] in {"trait", "audience"}
        return not is_known or call["userId"] in self.poison

    def store(self, calls: list[dict[str, Any]]) -> None:
        for call in calls:
            if call["messageId"] not in self.seen:
                self.seen.add(call["messageId"])
                self.held.setdefault(call["userId"], {}).update(call["traits"])

    def values(self, key: str) -> dict[str, Any]:
        """Each person's value of a key, where there is one: not null, and not the false of a former member."""
        return {user: held[key] for user, held in self.held.items() if held.get(key) not in {None, False}}


@contextmanager
def serve(receiver: Receiver | None = None) -> Iterator[Receiver]:
    """A receiver on a free loopback port, for as long as this lasts."""
    state = receiver or Receiver()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

        def do_POST(self) -> None:
            with lock:
                state.under_way += 1
                state.most_under_way = max(state.most_under_way, state.under_way)
            answer = state.answer(self.headers, self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                state.under_way -= 1
            if answer is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}/in"
        yield state
        server.shutdown()
        thread.join()

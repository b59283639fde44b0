"""A webhook receiver for the demo: checks every signature, keeps what it is told, and says how much that is."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """What the other side knows: for each person the last value of each key, and how many requests it took."""

    url: str = ""
    people: dict[str, dict] = field(default_factory=dict)
    requests: int = 0

    def take(self, body: bytes) -> None:
        self.requests += 1
        for call in json.loads(body):
            self.people.setdefault(call["userId"], {}).update(call["traits"])


@contextmanager
def serve(secret: str) -> Iterator[Receiver]:
    """A receiver on a free loopback port, for as long as this lasts."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_signed = hmac.compare_digest(self.headers.get("X-Signature", ""), _signature(secret, body))
            if is_signed:
                receiver.take(body)
            self.send_response(200 if is_signed else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: the demo's own summary does."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/populace"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


def _signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()

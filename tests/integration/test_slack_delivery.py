"""Messages over HTTP to a server that behaves as Slack's incoming webhooks do."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import polars as pl
import pytest

from populace.destinations import slack
from populace.destinations.protocol import Origin
from tasks.http import Sender
from tasks.sending import Pace

ORIGIN = Origin("dev", "growth", "run-1", "2026-03-01T00:00:00.000000Z", names={"buyers": "Buyers"})
QUICK = Pace(window=8.0, first=0.002, longest=0.01, timeout=2.0)


@dataclass
class Channel:
    """What was posted; `script` holds how to answer the next requests: (status, word, headers)."""

    url: str = ""
    script: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)
    requests: int = 0

    def answer(self, body: bytes) -> tuple[int, str, dict[str, str]]:
        self.requests += 1
        if self.script:
            return self.script.pop(0)
        message = json.loads(body)
        if not message.get("text") or not set(message) <= {"text", "channel", "username", "icon_url"}:
            return 400, "invalid_payload", {}
        self.posted.append(message["text"])
        return 200, "ok", {}


@pytest.fixture
def channel() -> Iterator[Channel]:
    state = Channel()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, word, headers = state.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(word))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(word.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}/services/T0/B0/s3cret"
        yield state
        server.shutdown()
        thread.join()


def record(key: str, action: str = "set") -> dict[str, Any]:
    value = json.dumps({"as_of": ORIGIN.as_of, "entered": 2, "left": 1, "members": 10})
    return {
        "action": action,
        "message_id": key,
        "kind": "audience",
        "key": key,
        "form": "summary",
        "profile_id": "",
        "id_type": "destination",
        "id_value": "growth",
        "value": value if action == "set" else "false",
    }


def send(channel: Channel, *records: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Outcome and reason by key."""
    with Sender(slack, {"url": channel.url}, ORIGIN, QUICK) as sender:
        found = list(sender.send(pl.DataFrame(list(records))))
    return {
        records[position]["key"]: (verdict.outcome, verdict.reason)
        for positions, verdicts in found
        for position, verdict in zip(positions, verdicts, strict=True)
    }


def test_a_sync_is_one_message_and_what_is_gone_needs_no_request(channel: Channel):
    found = send(channel, record("buyers"), record("old", "exit"), record("fans"))
    assert {key: outcome for key, (outcome, _) in found.items()} == {
        "buyers": "delivered",
        "fans": "delivered",
        "old": "noop",
    }
    assert channel.requests == 1
    assert channel.posted == [
        "As of 2026-03-01 00:00 UTC in space dev:\n"
        "• *Buyers* (`buyers`): 10 members, +2 −1\n"
        "• `fans`: 10 members, +2 −1"
    ]


def test_only_what_is_gone_opens_no_connection(channel: Channel):
    channel.url = "http://127.0.0.1:9/"
    assert send(channel, record("old", "exit"))["old"][0] == "noop"


@pytest.mark.parametrize("trouble", [(500, "rollup_error", {}), (429, "rate_limited", {"Retry-After": "0"})])
def test_passing_trouble_is_waited_for_and_the_message_is_posted_once(channel: Channel, trouble: tuple):
    channel.script = [trouble, trouble]
    assert send(channel, record("buyers"))["buyers"][0] == "delivered"
    assert (channel.requests, len(channel.posted)) == (3, 1)


def test_a_channel_that_is_archived_holds_the_destination_without_its_address(channel: Channel):
    channel.script = [(410, "channel_is_archived", {})]
    outcome, reason = send(channel, record("buyers"))["buyers"]
    assert (outcome, channel.posted) == ("refused", [])
    assert "channel_is_archived" in reason
    assert "s3cret" not in reason

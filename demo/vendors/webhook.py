"""A strict receiver of webhooks.

It checks the signature over the bytes it got, refuses what it does not know, ignores a messageId it has seen, and keeps
the last value of every key of every person, and every event.
"""

import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor, serve

SECRET = "correct-horse"
IDENTIFY = {"type", "userId", "anonymousId", "messageId", "timestamp", "traits", "context", "integrations"}
GROUP = {"type", "groupId", "anonymousId", "messageId", "timestamp", "traits", "context", "integrations"}
TRACK = {"type", "userId", "anonymousId", "messageId", "timestamp", "event", "properties", "context", "integrations"}


@dataclass
class Receiver(Vendor):
    """What the other side knows. `partial` names those it does not want in a 207."""

    secret: str = SECRET
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    partial: bool = False
    named: int = 422  # with what status a 207 names them
    requests: list[list[str]] = field(default_factory=list)  # the message ids of each, in the order they came

    def is_allowed(self, call: Call) -> bool:
        stamp, _, code = call.headers["x-signature-256"].partition(",v1=")
        at = stamp.removeprefix("t=")
        sound = hmac.new(self.secret.encode(), f"{at}.".encode() + call.body, hashlib.sha256).hexdigest()
        compatible = hmac.new(self.secret.encode(), call.body, hashlib.sha1).hexdigest()
        is_fresh = abs(time.time() - int(at)) < 300
        return is_fresh and hmac.compare_digest(code, sound) and call.headers["x-signature"] == compatible

    def handle(self, call: Call) -> Reply | None:
        with self._lock:
            self.requests.append([each["messageId"] for each in call.json()])
        return super().handle(call)

    def people(self, call: Call) -> Iterable[str]:
        return {_about(each) for each in call.json()}

    def answer(self, call: Call) -> Reply:
        calls = call.json()
        self.check(calls, call.body)
        bad = [at for at, each in enumerate(calls) if self.is_wrong(each)]
        if bad and not self.partial:
            raise Refusal(400, b"one of them is wrong")
        for at, each in enumerate(calls):
            if at not in bad:
                self.store(each["messageId"], lambda each=each: self.keep(each))
        results = [{"index": at, "status": self.named} for at in bad]
        return Reply(207, {"results": results}) if bad else Reply(200, b"ok")

    def is_wrong(self, call: dict[str, Any]) -> bool:
        personas = call["context"]["personas"]
        fields = {"identify": IDENTIFY, "track": TRACK, "group": GROUP}[call["type"]]
        is_known = set(call) <= fields and personas["computation_class"] in {"trait", "audience"}
        return not is_known or _about(call) in self.unwanted

    def keep(self, call: dict[str, Any]) -> None:
        if call["type"] == "track":
            self.events.append(call)
        elif call["type"] == "group":
            self.groups.setdefault(call["groupId"], {}).update(call["traits"])
        else:
            self.held.setdefault(call["userId"], {}).update(call["traits"])

    @property
    def settings(self) -> dict[str, str]:
        return {"url": f"{self.url}/in", "secret": self.secret}

    def properties(self, key: str) -> dict[str, Any]:
        return {person: held[key] for person, held in self.held.items() if held.get(key) is not None}

    def of_accounts(self, key: str) -> dict[str, Any]:
        return {group: held[key] for group, held in self.groups.items() if held.get(key) is not None}

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [each for each in self.events if each["properties"].get("audience_key") == key]
        return Counter((each["userId"], each["properties"][key]) for each in told)

    def values(self, key: str) -> dict[str, Any]:
        """Each person's value of a key, where there is one: not null, and not the false of a former member."""
        return {user: held[key] for user, held in self.held.items() if held.get(key) not in {None, False}}


def _about(call: dict[str, Any]) -> str:
    """The person, or the account, of a call."""
    return str(call["groupId"] if call["type"] == "group" else call["userId"])


def receiving() -> AbstractContextManager[Receiver]:
    """A receiver on a free port, for as long as this lasts."""
    return serve(Receiver())

"""Segment's HTTP API as its documentation has it: 200 for nearly everything, also for what is dropped."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor, only

KEY = "wk-0123456789"
FIELDS = ("type", "userId", "anonymousId", "messageId", "timestamp", "context", "integrations")
MORE = {"identify": ["traits"], "track": ["event", "properties"], "group": ["groupId", "traits"]}
CALL_BYTES = 32 * 1024


@dataclass
class Segment(Vendor):
    """A source and what it took: traits by person and group, events, and the calls that it dropped without a word."""

    key: str = KEY
    most_items: int = 2_500
    most_bytes: int = 500_000
    traits: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)

    def is_allowed(self, call: Call) -> bool:
        return call.basic() == (self.key, "")

    def check(self, items: list[Any], body: bytes) -> None:
        if len(body) > self.most_bytes or len(items) > self.most_items:
            raise Refusal(400, {"success": False, "message": "too large"})

    def people(self, call: Call) -> Iterable[str]:
        return {str(_person(each)) for each in call.json()["batch"]}

    def answer(self, call: Call) -> Reply:
        if (call.method, call.path) != ("POST", "/v1/batch"):
            raise Refusal(404)
        batch = call.json()["batch"]
        self.check(batch, call.body)
        for each in batch:
            if is_sound(each):
                self.store(each["messageId"], lambda each=each: self.keep(each))
            else:
                self.dropped.append(each)
        return Reply(200, {"success": True})

    def keep(self, call: dict[str, Any]) -> None:
        if call["type"] == "identify":
            self.traits.setdefault(_person(call), {}).update(call["traits"])
        elif call["type"] == "group":
            self.groups.setdefault(call["groupId"], {}).update(call["traits"])
        else:
            self.events.append(call)

    @property
    def settings(self) -> dict[str, str]:
        return {"endpoint": f"{self.url}/v1", "write_key": self.key}

    def properties(self, key: str) -> dict[str, Any]:
        return {person: held[key] for person, held in self.traits.items() if held.get(key) is not None}

    def of_accounts(self, key: str) -> dict[str, Any]:
        return {group: held[key] for group, held in self.groups.items() if held.get(key) is not None}

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [each for each in self.events if each["properties"].get("audience_key") == key]
        return Counter((_person(each), each["properties"][key]) for each in told)

    def values(self, key: str) -> dict[str, Any]:
        """Each person's value of a trait, where it is neither null nor false."""
        return {user: held[key] for user, held in self.traits.items() if held.get(key) not in (None, False)}


def is_sound(call: dict[str, Any]) -> bool:
    """What the pipeline behind the API takes."""
    try:
        only(call, *FIELDS, *MORE[call["type"]])
    except (Refusal, KeyError):
        return False
    # Who makes a call has to be said of a group call, too.
    is_named = bool(_person(call)) and (call["type"] != "group" or bool(call.get("groupId")))
    return is_named and 0 < len(call["messageId"]) < 100 and len(call.get("traits", ())) <= 300


def _person(call: dict[str, Any]) -> Any:
    return call.get("userId") or call.get("anonymousId")

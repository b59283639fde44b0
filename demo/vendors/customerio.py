"""Customer.io as its documentation has it: the Track API for people and segments, the App API for what is there.

People are kept by the text they are addressed with. What is wrong with one item of a batch is told by its place in a
207; what is wrong with a request, by 400. Segments ignore ids that belong to nobody.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor

SITE = "5f1c0d2ab9e4"
KEY = "track-key-91c3"
APP_KEY = "app-key-44d0"
ITEM_BYTES = 32_000
EVENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9A-HJKMNP-TV-Z]{26}")
IDENTIFY = {"type", "action", "identifiers", "attributes"}
FIELDS = {"identify": IDENTIFY, "event": IDENTIFY | {"name", "id", "timestamp"}, "delete": IDENTIFY - {"attributes"}}


@dataclass
class CustomerIo(Vendor):
    """A workspace: people with attributes, what happened to them, and segments."""

    site: str = SITE
    key: str = KEY
    app_key: str = APP_KEY
    most_items: int = 1_000
    most_bytes: int = 500_000
    rate: dict[str, float] = field(default_factory=lambda: {"api/": 100.0, "v1/": 10.0})
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)  # who has which cio_id
    events: list[dict[str, Any]] = field(default_factory=list)
    segments: dict[int, dict[str, Any]] = field(default_factory=dict)
    page: int = 1_000
    is_vague: bool = False  # does not say which item is wrong

    @property
    def settings(self) -> dict[str, str]:
        return {"site_id": self.site, "api_key": self.key, "app_api_key": self.app_key, "endpoint": self.url}

    def is_allowed(self, call: Call) -> bool:
        if call.steps[0] == "v1":
            return call.headers.get("authorization") == f"Bearer {self.app_key}"
        return call.basic() == (self.site, self.key)

    def people(self, call: Call) -> Iterable[str]:
        if call.path == "/api/v2/batch":
            return {self.named(each["identifiers"]) for each in call.json()["batch"]}
        return call.json()["ids"] if call.steps[0] == "api" else ()

    def lists(self, call: Call) -> Iterable[str]:
        return [call.steps[3]] if call.steps[:3] == ["api", "v1", "segments"] else ()

    def answer(self, call: Call) -> Reply:
        if (call.method, call.path) == ("POST", "/api/v2/batch"):
            return self._batch(call)
        if call.steps[:3] == ["api", "v1", "segments"] and len(call.steps) == 5 and call.method == "POST":
            return self._moved(call)
        if call.steps[:2] == ["v1", "segments"]:
            return self._app(call)
        raise Refusal(404, {"meta": {"error": "not found"}})

    # --- people -------------------------------------------------------------------------------------------

    def _batch(self, call: Call) -> Reply:
        body = call.json()
        if set(body) != {"batch"} or not isinstance(body["batch"], list) or not body["batch"]:
            raise Refusal(400, _said("batch"))
        self.check(body["batch"], call.body)
        errors = []
        for at, item in enumerate(body["batch"]):
            if problem := self._problem(item):
                reason, place = problem
                place_in_batch = {} if self.is_vague else {"batch_index": at}
                errors.append({**place_in_batch, "reason": reason, "field": place, "message": f"{item} is wrong"})
            else:
                self._take(item)
        return Reply(207, {"errors": errors}) if errors else Reply(200, {})

    def check(self, items: list[Any], body: bytes) -> None:
        if len(body) > self.most_bytes or len(items) > self.most_items:
            raise Refusal(400, _said("the request is too large"))

    def _problem(self, item: Any) -> tuple[str, str] | None:
        """What is wrong with an item, and where."""
        if not isinstance(item, dict) or item.get("type") != "person" or item.get("action") not in FIELDS:
            return "invalid", "action"
        if (
            set(item) - FIELDS[item["action"]]
            or len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()) > ITEM_BYTES
        ):
            return "invalid", "item"
        if not self._is_known(item.get("identifiers")):
            return "invalid", "identifiers"
        if not _are_sound(item.get("attributes", {}), item["action"] == "identify"):
            return "invalid", "attributes"
        if item["action"] == "event" and not _is_event(item):
            return "invalid", "event"
        return ("unwanted", "identifiers") if self.named(item["identifiers"]) in self.unwanted else None

    def _is_known(self, identifiers: Any) -> bool:
        """Whether it is one identifier, and a sound one; ids that Customer.io gives are known to it, or wrong."""
        if not isinstance(identifiers, dict) or len(identifiers) != 1:
            return False
        ((name, person),) = identifiers.items()
        if not isinstance(person, str) or not 0 < len(person.encode()) <= 150:
            return False
        return {"id": True, "email": "@" in person, "cio_id": person in self.given}.get(name, False)

    def named(self, identifiers: dict[str, str]) -> str:
        """The text a person is kept under."""
        ((name, person),) = identifiers.items()
        return self.given[person] if name == "cio_id" else person

    def _take(self, item: dict[str, Any]) -> None:
        person = self.named(item["identifiers"])
        if item["action"] == "delete":
            self.attributes.pop(person, None)
            return
        there = self.attributes.setdefault(person, {})
        if item["action"] == "event":
            self.store(item["id"], lambda: self.events.append({**item, "person": person}))
            return
        there.update(item["attributes"])
        for name in [name for name, value in there.items() if value in ("", None)]:
            del there[name]

    # --- segments -----------------------------------------------------------------------------------------

    def _moved(self, call: Call) -> Reply:
        segment, action = self._segment(call.steps[3]), call.steps[4]
        body, kind = call.json(), call.query.get("id_type", "id")
        is_sound = action in ("add_customers", "remove_customers") and kind in ("id", "email", "cio_id")
        if set(body) != {"ids"} or not is_sound or segment["type"] != "manual" or set(call.query) - {"id_type"}:
            raise Refusal(400, _said("segments"))
        if not body["ids"] or len(body["ids"]) > 1_000 or not all(isinstance(each, str) for each in body["ids"]):
            raise Refusal(400, _said("ids"))
        if self.unwanted & set(body["ids"]):
            raise Refusal(400, _said("ids"))
        found = {self.given.get(each, "") if kind == "cio_id" else each for each in body["ids"]}
        there = {each for each in found if each in self.attributes or each in self.known}
        fitting = {each for each in there if kind == "cio_id" or ("@" in each) == (kind == "email")}
        (segment["members"].update if action == "add_customers" else segment["members"].difference_update)(fitting)
        return Reply(200, {})

    def _segment(self, number: str) -> dict[str, Any]:
        if not number.isdecimal() or int(number) not in self.segments:
            raise Refusal(404, {"meta": {"error": "segment not found"}})
        return self.segments[int(number)]

    def _app(self, call: Call) -> Reply:
        if call.method == "POST" and call.path == "/v1/segments":
            body = call.json()
            if (
                set(body) != {"segment"}
                or set(body["segment"]) - {"name", "description"}
                or not body["segment"]["name"]
            ):
                raise Refusal(400, {"errors": [{"detail": "segment is wrong"}]})
            return Reply(200, {"segment": self.shown(self.add(body["segment"]["name"]))})
        if call.method == "GET" and call.path == "/v1/segments":
            return Reply(200, {"segments": [self.shown(each) for each in self.segments]})
        if call.method == "GET" and call.steps[3:] == ["membership"]:
            return self._membership(self._segment(call.steps[2]), call.query)
        raise Refusal(404)

    def add(self, name: str, kind: str = "manual") -> int:
        """The number of a new segment."""
        number = len(self.segments) + 1
        self.segments[number] = {"name": name, "type": kind, "members": set()}
        return number

    def shown(self, number: int) -> dict[str, Any]:
        segment = self.segments[number]
        return {"id": number, "name": segment["name"], "type": segment["type"], "state": "finished", "tags": None}

    def _membership(self, segment: dict[str, Any], query: dict[str, str]) -> Reply:
        start, size = int(query.get("start", 0)), min(int(query.get("limit", 100)), self.page)
        members = sorted(segment["members"])
        page = members[start : start + size]
        following = str(start + size) if start + size < len(members) else ""
        known = {person: number for number, person in self.given.items()}
        found = [
            {"id": "" if "@" in each else each, "email": each if "@" in each else None, "cio_id": known.get(each, "")}
            for each in page
        ]
        return Reply(200, {"identifiers": found, "ids": [each["id"] for each in found], "next": following})

    # --- what people see in its screens ---------------------------------------------------------------------

    def properties(self, key: str) -> dict[str, Any]:
        return {person: there[key] for person, there in self.attributes.items() if key in there}

    def members(self, key: str) -> set[str]:
        return {each for segment in self.segments.values() if segment["name"] == key for each in segment["members"]}

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [each for each in self.events if each["attributes"].get("audience_key") == key]
        return Counter((each["person"], each["attributes"][key]) for each in told)


def _said(what: str) -> dict[str, Any]:
    return {"meta": {"error": f"{what} is wrong"}}


def _are_sound(attributes: Any, is_limited: bool) -> bool:  # noqa: FBT001, it is what attributes belong to
    if not isinstance(attributes, dict) or len(attributes) > 300:
        return False
    sizes = [len(each.encode()) for each in attributes.values() if isinstance(each, str)]
    return all(0 < len(each.encode()) <= 150 for each in attributes) and (
        not is_limited or max(sizes, default=0) <= 1_000
    )


def _is_event(item: dict[str, Any]) -> bool:
    is_named = isinstance(item.get("name"), str) and 0 < len(item["name"].encode()) <= 100
    is_timed = type(item.get("timestamp")) is int and item["timestamp"] < 10_000_000_000  # else it is milliseconds
    return is_named and is_timed and isinstance(item.get("id"), str) and bool(EVENT_ID.fullmatch(item["id"]))

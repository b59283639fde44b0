"""Braze's REST API as its documentation has it: `users/track` with errors by place in a 201, `users/export/ids`."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor

KEY = "braze-rest-key-0123"
ARRAYS = ("attributes", "events", "purchases")
MOST_OBJECTS = 75  # of each array
OBJECT_BYTES = 100_000
MOST_EXPORTED = 50
LONGEST_ID = 997
ALONE = ("external_id", "braze_id", "user_alias")  # of these exactly one, or one of those below
OTHERWISE = ("email", "phone")
EVENT_FIELDS = {"app_id", "name", "time", "properties", "_update_existing_only", *ALONE, *OTHERWISE}
STANDARD = {"country", "dob", "email", "first_name", "gender", "home_city", "language", "last_name", "phone"}
STANDARD |= {"time_zone"}
EXPORTED = {"external_id", "braze_id", "custom_attributes", "custom_events", *STANDARD}
FLAGS = {"_update_existing_only", "_merge_objects"}


@dataclass
class Braze(Vendor):
    """A workspace: attributes by person, and every event as often as it came.

    `nameless` errors name neither array nor place.
    """

    key: str = KEY
    most_items: int = MOST_OBJECTS
    most_bytes: int = 4_000_000
    rate: dict[str, float] = field(default_factory=lambda: {"users/track": 1_000.0})
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    data_points: int = 0  # attributes written, which is what is paid for
    nameless: bool = False

    @property
    def settings(self) -> dict[str, str]:
        return {"endpoint": self.url, "api_key": self.key}

    def is_allowed(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"Bearer {self.key}"

    def people(self, call: Call) -> Iterable[str]:
        if call.path != "/users/track":
            return ()
        return {_person(each) for array in ARRAYS for each in call.json().get(array, [])}

    def check(self, items: list[Any], body: bytes) -> None:
        if len(body) > self.most_bytes:
            raise Refusal(413, {"message": "Request entity too large", "errors": []})
        if len(items) > self.most_items:
            raise Refusal(400, _fatal(f"at most {self.most_items} objects of an array"))

    def answer(self, call: Call) -> Reply:
        if call.method != "POST" or call.path not in ("/users/track", "/users/export/ids"):
            raise Refusal(404, {"message": "Not Found"})
        if call.headers.get("content-type") != "application/json":
            raise Refusal(400, _fatal("the content type must be application/json"))
        body = call.json()
        if not isinstance(body, dict):
            raise Refusal(400, _fatal("the body must be an object"))
        return self._track(body, call.body) if call.path == "/users/track" else self._export(body)

    def _track(self, body: dict[str, Any], written: bytes) -> Reply:
        if unknown := set(body) - set(ARRAYS):
            raise Refusal(400, _fatal(f"unknown fields {sorted(unknown)}"))
        if not any(body.values()):
            raise Refusal(400, _fatal("nothing to track"))
        errors: list[dict[str, Any]] = []
        taken: Counter[str] = Counter()
        for array in ("attributes", "events"):  # attributes are processed first
            self.check(body.get(array, []), written)
            for index, each in enumerate(body.get(array, [])):
                if wrong := self._wrong(array, each):
                    errors.append({"type": wrong} | ({} if self.nameless else {"input_array": array, "index": index}))
                else:
                    self._keep(array, each)
                    taken[array] += 1
        processed = {f"{array}_processed": count for array, count in taken.items()}
        return Reply(201, {"message": "success", **processed} | ({"errors": errors} if errors else {}), _pace())

    def _wrong(self, array: str, item: Any) -> str:
        """What is wrong with one object, as a type of error; empty where it is sound."""
        if not isinstance(item, dict) or not _is_addressed(item):
            return "MISSING_IDENTIFIER"
        person = _person(item)
        if len(person.encode()) > LONGEST_ID:
            return "EXTERNAL_USER_ID_TOO_LARGE"
        if person in self.unwanted:
            return "BLOCKLISTED_USER"
        if len(str(item).encode()) > OBJECT_BYTES or not isinstance(item.get("_update_existing_only", False), bool):
            return "INVALID_OBJECT"
        return _wrong_event(item) if array == "events" else ""

    def _keep(self, array: str, item: dict[str, Any]) -> None:
        person = _person(item)
        if item.get("_update_existing_only") and person not in self.attributes and person not in self.known:
            return  # taken without a word, and nobody is made
        held = self.attributes.setdefault(person, {})
        if array == "events":
            self.events.append(item)
            return
        told = {key: value for key, value in item.items() if key not in {*FLAGS, *_naming(item)}}
        self.data_points += len(told)
        for key, value in told.items():
            if value is None:
                held.pop(key, None)
            elif isinstance(value, dict) and value.keys() & {"inc", "add", "remove", "update"}:
                held[key] = _obeyed(held.get(key), value)
            else:
                held[key] = value

    def _export(self, body: dict[str, Any]) -> Reply:
        asked, fields = body.get("external_ids"), body.get("fields_to_export")
        if set(body) != {"external_ids", "fields_to_export"} or not asked or not fields:
            raise Refusal(400, _fatal("external_ids and fields_to_export are required"))
        if len(asked) > MOST_EXPORTED or set(fields) - EXPORTED:
            raise Refusal(400, _fatal(f"at most {MOST_EXPORTED} external_ids, and fields that there are"))
        users = [self._exported(each, fields) for each in asked if each in self.attributes]
        missing = [each for each in asked if each not in self.attributes]
        return Reply(201, {"message": "success", "users": users} | ({"invalid_user_ids": missing} if missing else {}))

    def _exported(self, person: str, fields: list[str]) -> dict[str, Any]:
        held = self.attributes[person]
        own = {key: value for key, value in held.items() if key not in STANDARD}
        found = {"external_id": person, "custom_attributes": own, **{key: held[key] for key in STANDARD & held.keys()}}
        return {name: found[name] for name in fields if name in found and found[name] != {}}

    def properties(self, key: str) -> dict[str, Any]:
        return {person: held[key] for person, held in self.attributes.items() if key in held}

    def members(self, key: str) -> set[str]:
        """Who is in a segment of those for whom the attribute is true."""
        return {person for person, value in self.properties(key).items() if value is True}

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [each for each in self.events if each["properties"].get("audience_key") == key]
        return Counter((_person(each), each["name"] == "Audience Entered") for each in told)


def limited(seconds: int, *, by_reset: bool = False) -> tuple[int, dict[str, str], dict[str, Any]]:
    """The answer to too many requests, for a script: the seconds to wait, or the instant when there is room again."""
    instant = {"X-RateLimit-Limit": "3000", "X-RateLimit-Remaining": "0"}
    instant |= {"X-RateLimit-Reset": str(int(time.time()) + seconds)}
    headers = instant if by_reset else {**instant, "X-Ratelimit-Retry-After": str(seconds)}
    return 429, headers, {"message": "Rate limit exceeded"}


def _pace() -> dict[str, str]:
    return {
        "X-RateLimit-Limit": "3000",
        "X-RateLimit-Remaining": "2999",
        "X-RateLimit-Reset": str(int(time.time()) + 3),
    }


def _fatal(message: str) -> dict[str, Any]:
    """The body where nothing of a request was taken."""
    return {"message": message, "errors": []}


def _naming(item: dict[str, Any]) -> list[str]:
    """The fields that say whom an object is about; beside one of the first the others are attributes."""
    return [each for each in ALONE if each in item] or [each for each in OTHERWISE if each in item]


def _is_addressed(item: dict[str, Any]) -> bool:
    """Whether exactly one identifier says whom an object is about."""
    named = _naming(item)
    return len(named) == 1 and (named == ["user_alias"] or (isinstance(item[named[0]], str) and bool(item[named[0]])))


def _person(item: dict[str, Any]) -> str:
    return str(item[_naming(item)[0]])


def _wrong_event(item: dict[str, Any]) -> str:
    is_named = isinstance(item.get("name"), str) and 0 < len(item["name"]) <= 255
    is_known = set(item) <= EVENT_FIELDS and isinstance(item.get("properties", {}), dict)
    return "" if is_named and is_known and _is_instant(item.get("time")) else "INVALID_EVENT"


def _is_instant(text: Any) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _obeyed(held: Any, order: dict[str, Any]) -> Any:
    """What an order leaves of a value."""
    if "inc" in order:
        return (held or 0) + order["inc"]
    kept = [each for each in held or [] if each not in order.get("remove", [])]
    return kept + [each for each in order.get("add", []) if each not in kept]

"""Appcues as its documentation has it: one person a request, plain values only, segments that are told user ids.

Lists and objects are ignored without a word, null takes a value away, an event is counted as often as it comes, and
nobody says which id of a request about a segment was wrong. It also answers as the intake of Segment-shaped calls.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor, only

ACCOUNT, KEY, SECRET = "48151", "ac-key-0815", "ac-secret-4711"
CALL = ("type", "userId", "messageId", "timestamp")
LONGEST_EVENT = 127  # characters of its name


@dataclass
class Appcues(Vendor):
    """Profiles, events and segments of one account."""

    account: str = ACCOUNT
    key: str = KEY
    secret: str = SECRET
    ids: str = "user_ids"
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    segments: dict[str, dict[str, str]] = field(default_factory=dict)
    membership: dict[str, set[str]] = field(default_factory=dict)

    # --- what tests and people see --------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        return {"endpoint": self.url, "account_id": self.account, "api_key": self.key, "api_secret": self.secret}

    def properties(self, key: str) -> dict[str, Any]:
        return {user: held[key] for user, held in self.profiles.items() if key in held}

    def members(self, key: str) -> set[str]:
        ids = [each["id"] for each in self.segments.values() if each["name"] == key]
        return set(self.membership[ids[0]]) if ids else set()

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [each for each in self.events if each["attributes"].get("audience_key") == key]
        return Counter((each["user"], each["name"] == "Audience Entered") for each in told)

    # --- what the sender is measured by -----------------------------------------------------------------

    def is_allowed(self, call: Call) -> bool:
        return call.basic() == (self.key, self.secret)

    def people(self, call: Call) -> Iterable[str]:
        if call.method == "GET":
            return []
        if call.steps[3:] == ["segment", "direct"]:
            return [call.json()["userId"]]
        return [call.steps[4]] if call.steps[3] == "users" else []

    def lists(self, call: Call) -> Iterable[str]:
        return [call.steps[4]] if call.steps[5] in ("add_user_ids", "remove_user_ids") else []

    # --- the API ------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        if call.steps[:3] != ["v2", "accounts", self.account]:
            raise Refusal(404, {"error": "not_found"})
        match (call.method, *call.steps[3:]):
            case ("GET", "users", user, "profile") if user in self.profiles:
                return Reply(200, self.profiles[user])
            case ("PATCH", "users", user, "profile"):
                return self._update(self._wanted(user), call.json())
            case ("POST", "users", user, "events"):
                return self._track(self._wanted(user), call.json())
            case ("GET", "segments"):
                return Reply(200, list(self.segments.values()))
            case ("POST", "segments"):
                return self._create(call.json())
            case ("POST", "segments", segment, "add_user_ids" | "remove_user_ids" as action):
                return self._change(segment, action, call)
            case ("POST", "segment", "direct"):
                return self._intake(call.json())
        raise Refusal(404, {"error": "not_found"})

    def _wanted(self, user: str) -> str:
        if not user or user in self.unwanted:
            raise Refusal(422, {"error": "unprocessable", "message": f"{user} is not wanted"})
        return user

    def _update(self, user: str, values: Any) -> Reply:
        if not isinstance(values, dict):
            raise Refusal(400, {"error": "invalid_profile"})
        profile = self.profiles.setdefault(user, {})
        for name, value in values.items():
            if value is None:
                profile.pop(name, None)
            elif not isinstance(value, (dict, list)):
                profile[name] = value
        return Reply(200, {})

    def _track(self, user: str, event: Any) -> Reply:
        only(event, "name", "timestamp", "attributes", "group_id")
        _is_instant(event["timestamp"])
        if not 0 < len(event["name"]) <= LONGEST_EVENT or not isinstance(event["attributes"], dict):
            raise Refusal(400, {"error": "invalid_event"})
        self.profiles.setdefault(user, {})
        self.events.append({**event, "user": user})
        return Reply(202, {"status": "accepted"})

    def _create(self, segment: Any) -> Reply:
        only(segment, "name", "description")
        if not isinstance(segment.get("name"), str) or not segment["name"]:
            raise Refusal(400, {"error": "name_required"})
        made = {"id": f"seg-{len(self.segments) + 1}", "description": "", **segment}
        self.segments[made["id"]] = made
        self.membership[made["id"]] = set()
        return Reply(201, made)

    def _change(self, segment: str, action: str, call: Call) -> Reply:
        if segment not in self.segments:
            raise Refusal(404, {"error": "no_such_segment"})
        body = call.json()
        only(body, self.ids)
        people = body[self.ids]
        self.check(people, call.body)
        if not all(isinstance(each, str) for each in people) or self.unwanted & set(people):
            raise Refusal(422, {"error": "invalid_user_ids"})
        held = self.membership[segment]
        held.update(people) if action == "add_user_ids" else held.difference_update(people)
        return Reply(200, {})

    # --- the intake -----------------------------------------------------------------------------------------

    def _intake(self, call: Any) -> Reply:
        fields = {"identify": ("traits",), "track": ("event", "properties")}.get(call.get("type"))
        if fields is None:
            raise Refusal(400, {"error": "invalid_type"})
        only(call, *CALL, *fields)
        user = self._wanted(call.get("userId", ""))
        if call["type"] == "identify":
            return self._update(user, call["traits"])
        event = {"name": call["event"], "timestamp": call["timestamp"], "attributes": call["properties"]}
        return self._track(user, event)


def _is_instant(text: Any) -> None:
    """Seconds of Unix time or an instant in ISO 8601; 400 otherwise."""
    try:
        datetime.fromtimestamp(text) if isinstance(text, int) else datetime.fromisoformat(text)
    except (TypeError, ValueError, OverflowError):
        raise Refusal(400, {"error": "invalid_timestamp"}) from None

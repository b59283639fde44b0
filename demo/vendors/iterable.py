"""An Iterable project: 200 that names who failed, static lists, and bulk requests with the limits of their own.

The project is a hybrid one: it knows people by address or by user id, and addresses are the same in any case.
"""

import json
from collections import Counter
from collections.abc import Iterable as Several
from dataclasses import dataclass, field
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor

KEY = "it-0123456789abcdef"
RATES = {"api/users/bulkUpdate": 5.0, "api/events/trackBulk": 10.0, "api/lists": 100.0}
USER = ("email", "userId", "preferUserId", "dataFields", "mergeNestedObjects")
EVENT = ("email", "userId", "eventName", "id", "createdAt", "dataFields", "campaignId", "templateId", "createNewFields")
ITEMS = {"bulkUpdate": "users", "trackBulk": "events", "subscribe": "subscribers", "unsubscribe": "subscribers"}
KINDS = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}


@dataclass
class Iterable(Vendor):
    """A project and what it holds.

    `forgotten` are people who were erased; `unnamed` of whom it only counts that they failed; `drops` the fields that
    the project takes no notice of; `disallowed` the events it does not want.
    """

    key: str = KEY
    most_items: int = 1_000
    most_bytes: int = 4_000_000
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)  # the type of each field, by its first value
    on: dict[int, set[str]] = field(default_factory=dict)  # who is on each list
    catalogue: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    unnamed: set[str] = field(default_factory=set)
    drops: set[str] = field(default_factory=set)
    disallowed: set[str] = field(default_factory=set)
    channels_left: set[str] = field(default_factory=set)  # who lost all mail of a channel

    # --- what a request may be ---------------------------------------------------------------------------------

    def is_allowed(self, call: Call) -> bool:
        return call.headers.get("api-key") == self.key

    def _usual(self, call: Call) -> Reply:
        if not self.is_allowed(call):
            return Reply(401, {"msg": "Invalid API key", "code": "BadApiKey", "params": {"endpoint": call.path}})
        return super()._usual(call)

    def _too_fast(self, call: Call) -> Reply | None:
        reply = super()._too_fast(call)
        wait = {"rateLimitLimit": 5, "rateLimitRemaining": 0, "rateLimitReset": 1}
        return reply and Reply(429, {"msg": "Too many", "code": "RateLimitExceeded", "params": wait})

    def check(self, items: list[Any], body: bytes) -> None:
        if len(items) > self.most_items:
            refuse("BatchTooLarge")
        if len(body) > self.most_bytes:
            raise Refusal(413, b"Payload Too Large")

    def people(self, call: Call) -> Several[str]:
        return {name(each) for each in call.json()[ITEMS[call.steps[-1]]]}

    def lists(self, call: Call) -> Several[str]:
        return [str(call.json()["listId"])] if call.steps[-1].endswith("subscribe") else []

    def answer(self, call: Call) -> Reply:
        routes = {
            ("POST", "/api/users/bulkUpdate"): self._update,
            ("POST", "/api/events/trackBulk"): self._track,
            ("POST", "/api/lists/subscribe"): self._subscribe,
            ("POST", "/api/lists/unsubscribe"): self._unsubscribe,
            ("GET", "/api/lists"): lambda _: Reply(200, {"lists": self.catalogue}),
            ("POST", "/api/lists"): self._make,
            ("GET", "/api/lists/getUsers"): self._users,
        }
        if (call.method, call.path) not in routes:
            refuse("NotFound", 404)
        return routes[call.method, call.path](call)

    # --- people ------------------------------------------------------------------------------------------------

    def _update(self, call: Call) -> Reply:
        body = read(call, "users", "updateOnly", "createNewFields")
        self._checked(body["users"], call, *USER)
        failed = Failed()
        for each in body["users"]:
            is_meant = name(each) in self.profiles or not body.get("updateOnly")
            if is_meant and not self._judged(each, failed, "invalid"):
                self._written(each, failed)
        given = {key for each in body["users"] for key in each.get("dataFields", ())}
        return failed.reply(len(body["users"]), filteredOutFields=sorted(self.drops & given))

    def _written(self, user: dict[str, Any], failed: "Failed") -> None:
        fields = {key: value for key, value in user.get("dataFields", {}).items() if key not in self.drops}
        kinds = {key: KINDS[type(value)] for key, value in fields.items() if value is not None}
        if any(self.kinds.get(key, kind) != kind for key, kind in kinds.items()):
            failed.add("invalidData", user)
            return
        self.kinds |= kinds
        profile = self.profiles.setdefault(name(user), {})
        for key, value in fields.items():
            is_merged = user.get("mergeNestedObjects") and isinstance(value, dict)
            profile[key] = {**profile.get(key, {}), **value} if is_merged else value

    # --- lists -------------------------------------------------------------------------------------------------

    def _make(self, call: Call) -> Reply:
        body = read(call, "name", "description")
        number = 1_000 + len(self.catalogue)
        listed = {"id": number, "name": body["name"], "createdAt": 1_700_000_000_000, "listType": "Standard"}
        self.catalogue.append(listed)
        return Reply(200, {"listId": number})

    def _subscribe(self, call: Call) -> Reply:
        body = read(call, "listId", "subscribers", "updateExistingUsersOnly")
        members = self._list(body)
        self._checked(body["subscribers"], call, *USER)
        failed = Failed()
        for each in body["subscribers"]:
            who = name(each)
            if (who in self.profiles or not body.get("updateExistingUsersOnly")) and not self._judged(
                each, failed, "conflict"
            ):
                self.profiles.setdefault(who, {})
                members.add(who)
        return failed.reply(len(body["subscribers"]))

    def _unsubscribe(self, call: Call) -> Reply:
        body = read(call, "listId", "subscribers", "channelUnsubscribe", "campaignId")
        members = self._list(body)
        self._checked(body["subscribers"], call, "email", "userId")
        failed = Failed()
        for each in body["subscribers"]:
            if self._judged(each, failed, "conflict"):
                continue
            if name(each) not in self.profiles:
                failed.add("notFound", each)
            members.discard(name(each))
            if body.get("channelUnsubscribe", True):  # one of the two defaults that people report
                self.channels_left.add(name(each))
        return failed.reply(len(body["subscribers"]))

    def _list(self, body: dict[str, Any]) -> set[str]:
        if type(body["listId"]) is not int or body["listId"] not in {each["id"] for each in self.catalogue}:
            refuse("BadParams")
        return self.on.setdefault(body["listId"], set())

    def _users(self, call: Call) -> Reply:
        if set(call.query) - {"listId", "preferUserId"}:
            refuse("BadParams")
        lines = "\n".join(sorted(self.on.get(int(call.query["listId"]), ())))
        return Reply(200, lines.encode(), {"Content-Type": "text/plain"})

    # --- events ------------------------------------------------------------------------------------------------

    def _track(self, call: Call) -> Reply:
        body = read(call, "events")
        self._checked(body["events"], call, *EVENT)
        failed, unwanted = Failed(), set()
        for each in body["events"]:
            if type(each.get("createdAt", 0)) is not int or len(each.get("id", "").encode()) > 512:
                refuse("BadParams")
            if each["eventName"] in self.disallowed:
                unwanted.add(each["eventName"])
                failed.count += 1
            elif not self._judged(each, failed, "invalid"):
                self.events.append(each)
        return failed.reply(len(body["events"]), disallowedEventNames=sorted(unwanted))

    # --- of all ------------------------------------------------------------------------------------------------

    def _checked(self, items: list[dict[str, Any]], call: Call, *fields: str) -> None:
        """Refuse a request with anything that no request has."""
        self.check(items, call.body)
        for each in items:
            if set(each) - set(fields) or ("email" in each) == ("userId" in each):
                refuse("BadParams")
            if not isinstance(each.get("dataFields", {}), dict) or type(each.get("preferUserId", True)) is not bool:
                refuse("BadParams")

    def _judged(self, item: dict[str, Any], failed: "Failed", bucket: str) -> bool:
        """Whether somebody is not taken for what they are called."""
        who = name(item)
        if who in self.unnamed:
            failed.count += 1
        elif who in self.forgotten:
            failed.add("forgotten", item)
        elif who in self.unwanted or ("email" in item and "@" not in who) or len(item.get("userId", "")) > 52:
            failed.add(bucket, item)
        else:
            return False
        return True

    # --- what people see in its screens ------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        return {"endpoint": self.url, "api_key": self.key, "read_by": "email"}

    def properties(self, key: str) -> dict[str, Any]:
        return {who: held[key] for who, held in self.profiles.items() if held.get(key) is not None}

    def members(self, key: str) -> set[str]:
        numbers = [each["id"] for each in self.catalogue if each["name"] == key]
        return set(self.on.get(numbers[0], ())) if numbers else set()

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [each for each in self.events if each["dataFields"].get("audience_key") == key]
        assert all(each["eventName"] in ("Audience Entered", "Audience Exited") for each in told)
        return Counter((name(each), each["eventName"] == "Audience Entered") for each in told)


@dataclass
class Failed:
    """Who failed in a request, as its answer names them."""

    count: int = 0
    named: dict[str, list[str]] = field(default_factory=dict)

    def add(self, bucket: str, item: dict[str, Any]) -> None:
        """Name somebody; addresses are named in capitals, since nothing promises that they come back as they went."""
        suffix, who = ("Emails", item["email"].upper()) if "email" in item else ("UserIds", item["userId"])
        self.named.setdefault(bucket + suffix, []).append(who)
        self.count += 1

    def reply(self, items: int, **more: Any) -> Reply:
        """What is answered: 200, whoever failed; at its top stand lists of an older kind, of everybody who did."""
        older = {
            f"invalid{suffix}": [who for of, named in self.named.items() if of.endswith(suffix) for who in named]
            for suffix in ("Emails", "UserIds")
        }
        counts = {"successCount": items - self.count, "failCount": self.count, "createdFields": []}
        return Reply(200, {**counts, **older, "filteredOutFields": [], "failedUpdates": self.named, **more})


def name(item: dict[str, Any]) -> str:
    """What somebody goes by: an address in small letters, or a user id as it is."""
    return str(item["email"]).lower() if "email" in item else str(item["userId"])


def read(call: Call, *fields: str) -> dict[str, Any]:
    """The body of a request that has no other fields."""
    try:
        body = json.loads(call.body)
    except ValueError:
        refuse("BadJsonBody")
    if not isinstance(body, dict) or set(body) - set(fields):
        refuse("BadParams")
    return body


def refuse(code: str, status: int = 400) -> None:
    """Refuse a request with one of the vendor's codes."""
    raise Refusal(status, {"msg": "Not taken", "code": code, "params": None})

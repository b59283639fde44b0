"""Mixpanel's ingestion and query APIs as their documentation has them: `engage` says 200 to everything."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from demo.vendors.server import Call, Refusal, Reply, Vendor

TOKEN = "mp-token-0123456789"
SECRET = "mp-secret-9876543210"
NOBODY = {"", "null", "none", "nil", "anon", "anonymous", "undefined", "unknown", "n/a", "0", "-1", "true", "false"}
FIELDS = {"$token", "$distinct_id", "$ip", "$ignore_time", "$ignore_alias"}
OPERATIONS = {"$set", "$set_once", "$add", "$union", "$append", "$remove", "$unset", "$delete"}
RESERVED = {"$email", "$first_name", "$last_name", "$name", "$phone", "$created"}
MOST_ITEMS = 2_000
ITEM_BYTES = 1_000_000
MOST_PROPERTIES = 255
QUERY_FIELDS = {"distinct_ids", "output_properties", "session_id", "page"}


@dataclass
class Mixpanel(Vendor):
    """A project: properties by profile, and each event once by what makes it the same.

    Values are kept by distinct_id. `page_size` is how many profiles a query answers at once; `forgetful` imports say
    that they took fewer events than they name as failed.
    """

    token: str = TOKEN
    project: str = "314159"
    service: str = "populace.1a2b.mp-service-account"
    secret: str = SECRET
    most_items: int = MOST_ITEMS
    most_bytes: int = 10_000_000
    page_size: int = 1_000
    queries: int = 60  # left within the hour
    forgetful: bool = False
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[tuple[str, str, int, str], dict[str, Any]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        return {"endpoint": self.url, "token": self.token}

    @property
    def service_settings(self) -> dict[str, str]:
        """The same with a service account, by which profiles can be read."""
        account = {"service_account": self.service, "service_secret": self.secret, "project_id": self.project}
        return {**self.settings, **account}

    def is_allowed(self, call: Call) -> bool:
        is_service = call.basic() == (self.service, self.secret) and call.query.get("project_id") == self.project
        is_token = call.basic() == (self.token, "") and call.path == "/import"
        return call.path == "/engage" or is_service or is_token  # engage looks for tokens in the operations

    def people(self, call: Call) -> Iterable[str]:
        if call.path == "/engage":
            return {each["$distinct_id"] for each in call.json()}
        return {each["properties"]["distinct_id"] for each in call.json()} if call.path == "/import" else ()

    def check(self, items: list[Any], body: bytes) -> None:
        if len(body) > self.most_bytes:
            raise Refusal(
                413, {"code": 413, "error": "request exceeds max limit", "status": "Request Entity Too Large"}
            )
        if len(items) > self.most_items:
            raise Refusal(413, {"code": 413, "error": "too many items", "status": "Request Entity Too Large"})

    def answer(self, call: Call) -> Reply:
        found = {"/engage": self._engage, "/import": self._import, "/api/query/engage": self._query}.get(call.path)
        if found is None or call.method != "POST":
            raise Refusal(404, b"404 page not found")
        if "content-encoding" in call.headers:
            raise Refusal(400, {"error": "encoding not supported", "status": 0})
        return found(call)

    # --- profiles -------------------------------------------------------------------------------------

    def _engage(self, call: Call) -> Reply:
        items = call.json()
        if not isinstance(items, list) or not set(call.query) <= {"verbose", "ip"}:
            raise Refusal(400, {"error": "a list of operations is expected", "status": 0})
        self.check(items, call.body)
        # One answer for all of them, and nothing of an array is taken where one of it is wrong.
        error = next((wrong for each in items if (wrong := self._wrong(each))), None)
        if error is None:
            for each in items:
                self._operate(each)
        if "verbose" not in call.query:
            return Reply(200, b"0" if error else b"1")
        return Reply(200, {"error": error, "status": 0 if error else 1})

    def _wrong(self, item: Any) -> str | None:
        if not isinstance(item, dict) or item.get("$token") != self.token:
            return "token, missing or empty"
        operations = set(item) - FIELDS
        if len(operations) != 1 or not operations <= OPERATIONS:
            return "exactly one operation is expected"
        person = item.get("$distinct_id")
        if not isinstance(person, str) or person.lower() in NOBODY or person in self.unwanted:
            return f"'$distinct_id' {person} is not valid"
        if len(json.dumps(item)) > ITEM_BYTES:
            return "record too large"
        (operation,) = operations
        return _wrong_set(item["$set"]) if operation == "$set" else _wrong_unset(item.get("$unset"))

    def _operate(self, item: dict[str, Any]) -> None:
        held = self.profiles.setdefault(item["$distinct_id"], {})
        held.update(item.get("$set", {}))
        for name in item.get("$unset", []):
            held.pop(name, None)
        if item.get("$ip") != "0":
            held["$city"] = "where the server is"

    # --- events ---------------------------------------------------------------------------------------

    def _import(self, call: Call) -> Reply:
        items = call.json()
        if call.query.get("strict") != "1" or not set(call.query) <= {"strict", "project_id"}:
            raise Refusal(400, {"code": 400, "error": "strict=1 is expected here", "status": "Bad Request"})
        self.check(items, call.body)
        failed = []
        for index, each in enumerate(items):
            if wrong := self._wrong_event(each):
                identifier = each.get("properties", {}).get("$insert_id", "")
                told = {"index": index, "$insert_id": identifier, "field": wrong, "message": f"'{wrong}' is invalid"}
                failed.append(told)
            else:
                self._happen(each)
        count = len(items) - len(failed) - self.forgetful
        if not failed:
            return Reply(200, {"code": 200, "num_records_imported": count, "status": "OK"})
        error = "some data points in the request failed validation"
        body = {"code": 400, "error": error, "num_records_imported": count, "status": "Bad Request"}
        return Reply(400, {**body, "failed_records": failed})

    def _happen(self, item: dict[str, Any]) -> None:
        told = item["properties"]
        same = (item["event"], told["distinct_id"], told["time"], told["$insert_id"])
        self.store("\x1f".join(map(str, same)), lambda: self.events.update({same: item}))

    def _wrong_event(self, item: Any) -> str:
        """The field that is wrong; empty where the event is sound."""
        if not isinstance(item, dict) or set(item) != {"event", "properties"} or not isinstance(item["event"], str):
            return "event"
        told = item["properties"]
        person, at, same = told.get("distinct_id"), told.get("time"), told.get("$insert_id")
        if not isinstance(person, str) or person.lower() in NOBODY or person in self.unwanted:
            return "properties.distinct_id"
        if type(at) is not int or not 31_536_000_000 < at < (time.time() + 3_600) * 1_000:
            return "properties.time"
        if not isinstance(same, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,36}", same):
            return "properties.$insert_id"
        return "properties" if len(told) > MOST_PROPERTIES else ""

    # --- queries --------------------------------------------------------------------------------------

    def _query(self, call: Call) -> Reply:
        if call.headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Refusal(400, {"error": "a form is expected"})
        asked = dict(parse_qsl(call.body.decode()))
        page = int(asked.get("page", 0))
        if set(asked) - QUERY_FIELDS or (page and asked.get("session_id") != "session-1"):
            raise Refusal(400, {"error": "unknown parameter, or a page without its session"})
        if self.queries == 0:
            raise Refusal(429, {"error": "Query rate limit exceeded"})
        self.queries -= 1
        wanted = json.loads(asked["output_properties"])
        known = [each for each in json.loads(asked["distinct_ids"]) if each in self.profiles]
        results = [self._profile(each, wanted) for each in known[page * self.page_size : (page + 1) * self.page_size]]
        around = {"page": page, "page_size": self.page_size, "session_id": "session-1", "total": len(known)}
        return Reply(200, {**around, "status": "ok", "results": results})

    def _profile(self, person: str, wanted: list[str]) -> dict[str, Any]:
        held = self.profiles[person]
        return {"$distinct_id": person, "$properties": {name: held[name] for name in wanted if name in held}}

    # --- what people see ------------------------------------------------------------------------------

    def properties(self, key: str) -> dict[str, Any]:
        return {person: held[key] for person, held in self.profiles.items() if key in held}

    def members(self, key: str) -> set[str]:
        """Who is in a cohort of those for whom the property is true."""
        return {person for person, value in self.properties(key).items() if value is True}

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [(each["event"], each["properties"]) for each in self.events.values()]
        return Counter(
            (properties["distinct_id"], event == "Audience Entered")
            for event, properties in told
            if properties.get("audience_key") == key
        )


def _wrong_set(told: Any) -> str | None:
    if not isinstance(told, dict) or not told:
        return "'$set' must be an object with properties"
    own = {each for each in told if each.startswith("$")}
    return None if own <= RESERVED and None not in told.values() else "'$set' has a value that cannot be set"


def _wrong_unset(told: Any) -> str | None:
    is_list = isinstance(told, list) and bool(told) and all(isinstance(each, str) for each in told)
    return None if is_list else "'$unset' must be a list of names"

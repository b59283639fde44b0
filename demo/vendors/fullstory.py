"""FullStory as its documentation has it: jobs of users or events, which are asked for until they are done.

A job is handed in once under each Idempotency-Key. What failed is told page by page, each with what was handed in. A
name that begins with no letter fails its user; a value that is too long, or a list of objects, is dropped silently.
"""

import re
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor, only

KEY = "na1.RlVMTFNUT1JZLUtFWQ"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,511}")
LONGEST_UID = 256
MOST_PROPERTIES = 500
VALUE_BYTES = 8_192
MOST_JOBS, MOST_OPERATIONS = 200, 500_000
PAGE = 2  # errors on one
CREATED = "2024-03-01T00:00:00.000Z"


@dataclass
class FullStory(Vendor):
    """Users with their properties, and events. `silent`: errors are counted, and not told."""

    key: str = KEY
    most_items: int = 50_000
    most_bytes: int = 10_000_000
    silent: bool = False
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    handed_in: dict[str, tuple[bytes, Reply]] = field(default_factory=dict)  # by Idempotency-Key
    sizes: dict[str, int] = field(default_factory=dict)  # of jobs
    keys: Counter[str] = field(default_factory=Counter)

    # --- what tests and people see --------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        return {"endpoint": self.url, "api_key": self.key}

    def properties(self, key: str) -> dict[str, Any]:
        """Empty text is how a value of text is taken away."""
        return {user: held[key] for user, held in self.users.items() if held.get(key, "") != ""}

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [each for each in self.events if each["properties"].get("audience_key") == key]
        return Counter((each["user"]["uid"], each["name"] == "Audience Entered") for each in told)

    # --- what the sender is measured by -----------------------------------------------------------------

    def is_allowed(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"Basic {self.key}"

    def people(self, call: Call) -> Iterable[str]:
        if call.method != "POST":
            return []
        return {each.get("uid") or each["user"]["uid"] for each in call.json()["requests"]}

    # --- the API ------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        match (call.method, *call.steps):
            case ("POST", "v2", "users" | "events" as what, "batch"):
                return self._hand_in(call, what)
            case ("GET", "v2", "users" | "events", "batch", job):
                return self._job(job)
            case ("GET", "v2", "users" | "events", "batch", job, "errors"):
                return self._errors(job, int(call.query.get("page_token", "p0")[1:]))
            case ("GET", "v2", "users"):
                uid = call.query["uid"]
                found = [{"id": "1", "uid": uid, "properties": self.users[uid]}] if uid in self.users else []
                return Reply(200, {"results": found, "total_records": str(len(found))})
        raise Refusal(404, {"code": "not_found", "message": "nothing is here"})

    def _hand_in(self, call: Call, what: str) -> Reply:
        body, key = call.json(), call.headers.get("idempotency-key", "")
        self.keys[key] += 1
        if key in self.handed_in and self.handed_in[key][0] == call.body:
            return self.handed_in[key][1]
        if key in self.handed_in or (key and not _is_uuid(key)):
            raise Refusal(400, {"code": "invalid_idempotency_key", "message": "not a key of its own"})
        only(body, "requests")
        self.check(body["requests"], call.body)
        self._check_room(len(body["requests"]))
        reply = self._job_of(body["requests"], what)
        self.handed_in[key] = call.body, reply
        return reply

    def _check_room(self, count: int) -> None:
        running = [name for name, (left, _) in self.jobs.items() if left > 0]
        if len(running) >= MOST_JOBS or sum(self.sizes[each] for each in running) + count > MOST_OPERATIONS:
            raise Refusal(429, {"code": "rate_limit", "message": "too many jobs"}, {"Retry-After": "1"})

    def _job_of(self, items: list[Any], what: str) -> Reply:
        keep = self._user if what == "users" else self._event
        failures = [failure for each in items if (failure := self._failure(keep, each, what))]
        job = self.queue((len(items) - len(failures), failures))
        self.sizes[job] = len(items)
        return Reply(200, {"job": {"id": job, "status": "PROCESSING", "created": CREATED}})

    def _failure(self, keep: Any, item: Any, what: str) -> dict[str, Any] | None:
        """The error for an item that is not kept, with the item in it; none for one that is."""
        try:
            keep(item)
        except Refusal as refusal:
            why = refusal.reply.body.get("code")
            return {"message": f"{item} is not valid", "code": why, what.removesuffix("s"): item}
        return None

    def _user(self, user: dict[str, Any]) -> None:
        only(user, "uid", "display_name", "email", "properties", "schema")
        self._check_person(user)
        self.users.setdefault(user["uid"], {}).update(_properties(user["properties"]))

    def _event(self, event: dict[str, Any]) -> None:
        only(event, "user", "name", "timestamp", "properties", "schema", "context")
        only(event["user"], "uid", "id")
        self._check_person(event["user"])
        datetime.fromisoformat(event["timestamp"])
        self.users.setdefault(event["user"]["uid"], {})
        self.events.append({**event, "properties": _properties(event["properties"])})

    def _check_person(self, user: dict[str, Any]) -> None:
        if not isinstance(user.get("uid"), str) or not 0 < len(user["uid"]) <= LONGEST_UID:
            raise Refusal(400, {"code": "invalid_uid"})
        if user["uid"] in self.unwanted:
            raise Refusal(400, {"code": "unwanted_user"})

    def _job(self, job: str) -> Reply:
        result = self.polled(job)
        state = {"id": job, "status": "PROCESSING", "created": CREATED}
        if result is None:
            return Reply(200, {"job": state})
        imports, failures = result
        state = {**state, "status": "FAILED" if failures else "COMPLETED", "finished": CREATED}
        return Reply(200, {"imports": imports, **({"errors": len(failures)} if failures else {}), "job": state})

    def _errors(self, job: str, page: int) -> Reply:
        if job not in self.jobs:
            raise Refusal(404, {"code": "not_found", "message": "no such job"})
        failures = [] if self.silent else self.jobs[job][1][1]
        start = page * PAGE
        more = {"next_page_token": f"p{page + 1}"} if start + PAGE < len(failures) else {}
        return Reply(200, {"results": failures[start : start + PAGE], "total_records": str(len(failures)), **more})


def _is_uuid(key: str) -> bool:
    try:
        return str(uuid.UUID(key)) == key
    except ValueError:
        return False


def _properties(found: Any) -> dict[str, Any]:
    """What is kept of properties."""
    if not isinstance(found, dict) or len(found) > MOST_PROPERTIES or not all(map(NAME.fullmatch, found)):
        raise Refusal(400, {"code": "invalid_property_name"})
    return {name: value for name, value in found.items() if value is not None and _is_kept(value)}


def _is_kept(value: Any) -> bool:
    is_plain = not (isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value))
    return is_plain and len(Reply(200, value).bytes) <= VALUE_BYTES

"""Amplitude as its documentation has it: `/batch`, which takes all of a request or nothing, and cohorts of people.

It is stricter than the real one: fields that nobody knows are at fault, and so is a person twice in one change of a
cohort.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor, only

KEY, SECRET = "amp-key-0123456789", "amp-secret-0123456789"
OWNER, SEED = "owner@populace.example", "seed-user"
APP = 4711

FIELDS = frozenset({"event_type", "user_id", "device_id", "time", "insert_id", "event_properties", "user_properties"})
TYPES = {"user_id": str, "device_id": str, "time": int, "insert_id": str, "event_type": str}
OBJECTS = ("event_properties", "user_properties")
OPERATIONS = frozenset({"$set", "$setOnce", "$add", "$append", "$prepend", "$unset", "$remove"})
USUAL_LENGTH = 5  # of an identifier, unless a request asks for less
FIRST_TIME = 10**11  # in milliseconds; what is less was meant in seconds
MOST_IDS = 100_000


@dataclass
class Cohort:
    """A cohort of people who were named one by one."""

    name: str
    members: set[str]
    archived: bool = False


@dataclass
class Amplitude(Vendor):
    """A project: properties by person, events, cohorts; `busy` are people of whom too much was told lately."""

    key: str = KEY
    secret: str = SECRET
    most_items: int = 2_000
    most_bytes: int = 20_000_000
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    cohorts: dict[str, Cohort] = field(default_factory=dict)
    known: set[str] = field(default_factory=lambda: {SEED})
    busy: set[str] = field(default_factory=set)
    is_elsewhere: bool = False  # files of cohorts are handed out at another address

    @property
    def settings(self) -> dict[str, str]:
        reached = {"endpoint": self.url, "api_key": self.key, "secret_key": self.secret}
        return {**reached, "app_id": str(APP), "owner": OWNER, "seed_user": SEED}

    def properties(self, key: str) -> dict[str, Any]:
        return {person: held[key] for person, held in self.held.items() if key in held}

    def members(self, key: str) -> set[str]:
        return {person for each in self.cohorts.values() if each.name == key for person in each.members}

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [each for each in self.events if each["event_properties"].get("audience_key") == key]
        return Counter((_person(each), each["event_type"] == "Audience Entered") for each in told)

    def check(self, items: list[Any], body: bytes) -> None:
        if len(body) > self.most_bytes or len(items) > self.most_items:
            raise Refusal(413, {"code": 413, "error": "Payload too large"})

    def people(self, call: Call) -> Iterable[str]:
        if call.path == "/batch":
            return {_person(each) for each in call.json()["events"]}
        return {person for each in call.json()["memberships"] for person in each["ids"]}

    def lists(self, call: Call) -> Iterable[str]:
        return [call.json()["cohort_id"]]

    def answer(self, call: Call) -> Reply:
        if (call.method, call.path) == ("POST", "/batch"):
            return self.upload(call)
        if call.steps[0] == "signed":
            return self.file(call.steps[1])
        if call.basic() != (self.key, self.secret):
            raise Refusal(401, {"error": {"http_code": 401, "type": "invalid_credentials"}})
        match call.method, call.steps:
            case "GET", ["api", "3", "cohorts"]:
                shown = [_shown(*each) for each in self.cohorts.items()]
                return Reply(200, {"cohorts": shown})
            case "POST", ["api", "3", "cohorts", "upload"]:
                return self.make(call.json())
            case "POST", ["api", "3", "cohorts", "membership"]:
                return self.change(call.json())
            case "GET", ["api", "5", "cohorts", *steps]:
                return self.download(steps)
        raise Refusal(404, {"error": "not_found"})

    # --- events -------------------------------------------------------------------------------------------

    def upload(self, call: Call) -> Reply:
        """Take all events or none."""
        if call.headers.get("content-type") != "application/json":
            raise _at_fault(error="Invalid Content-Type")
        body = call.json()
        if not isinstance(body, dict) or set(body) - {"api_key", "events", "options"}:
            raise _at_fault(error="Invalid JSON request body")
        if body.get("api_key") != self.key:
            raise _at_fault(error=f"Invalid API key: {body.get('api_key')}")
        events, options = body.get("events"), body.get("options", {})
        if not isinstance(options, dict) or set(options) - {"min_id_length"}:
            raise _at_fault(error="Invalid JSON request body")
        if not events:
            raise _at_fault(error="Request missing required field", missing_field="events")
        self.check(events, call.body)
        self.refuse(events, options.get("min_id_length", USUAL_LENGTH))
        for each in events:
            self.store(f"{each.get('device_id', '')} {each['insert_id']}", lambda each=each: self.keep(each))
        told = {"server_upload_time": 1_709_251_200_000, "payload_size_bytes": len(call.body)}
        return Reply(200, {"code": 200, "events_ingested": len(events), **told})

    def refuse(self, events: list[dict[str, Any]], shortest: int) -> None:
        """Name all that is at fault, or all of whom too much is told."""
        found: dict[str, dict[str, list[int]]] = {}
        for at, each in enumerate(events):
            for fault, name in self.faults(each, shortest):
                found.setdefault(fault, {}).setdefault(name, []).append(at)
        if found:
            raise _at_fault(error="Invalid events", **found)
        throttled = [at for at, each in enumerate(events) if _person(each) in self.busy]
        if throttled:
            users = {_person(events[at]): 1_200 for at in throttled}
            told = {"eps_threshold": 1_000, "throttled_users": users, "throttled_devices": {}}
            raise Refusal(429, {"code": 429, "error": "Too many requests", **told, "throttled_events": throttled})

    def faults(self, event: dict[str, Any], shortest: int) -> Iterable[tuple[str, str]]:
        """What is wrong with an event, and in which field."""
        for name in sorted(set(event) - FIELDS):
            yield "events_with_invalid_fields", name
        for name, needed in TYPES.items():
            if name in event and (type(event[name]) is not needed or event[name] == ""):
                yield "events_with_invalid_fields", name
        for name in OBJECTS:
            if name in event and not (isinstance(event[name], dict) and event[name]):
                yield "events_with_invalid_fields", name
        for name in ("event_type", "time", "insert_id"):
            if name not in event:
                yield "events_with_missing_fields", name
        if not {"user_id", "device_id"} & set(event):
            yield "events_with_missing_fields", "user_id"
        for name in ("user_id", "device_id"):
            if isinstance(event.get(name), str) and len(event[name]) < shortest:
                yield "events_with_invalid_id_lengths", name
        if type(event.get("time")) is int and event["time"] < FIRST_TIME:
            yield "events_with_invalid_fields", "time"
        if _person(event) in self.unwanted:
            yield "events_with_invalid_fields", "user_id"
        if event.get("event_type") == "$identify" and not _is_sound(event.get("user_properties")):
            yield "events_with_invalid_fields", "user_properties"

    def keep(self, event: dict[str, Any]) -> None:
        if "user_id" in event:
            self.known.add(event["user_id"])
        if event["event_type"] != "$identify":
            self.events.append(event)
            return
        held = self.held.setdefault(_person(event), {})
        held.update(event["user_properties"].get("$set", {}))
        for name in event["user_properties"].get("$unset", {}):
            held.pop(name, None)

    # --- cohorts ------------------------------------------------------------------------------------------

    def make(self, body: dict[str, Any]) -> Reply:
        only(body, "name", "app_id", "id_type", "ids", "owner", "published")
        is_sound = body["app_id"] == APP and body["id_type"] == "BY_USER_ID" and body["owner"] == OWNER
        if not is_sound or not body["name"] or not body["ids"] or set(body["ids"]) - self.known:
            raise Refusal(400, {"error": "invalid_request"})
        number = f"c{len(self.cohorts) + 1}abc"
        self.cohorts[number] = Cohort(body["name"], set(body["ids"]))
        return Reply(200, {"cohortId": number})

    def change(self, body: dict[str, Any]) -> Reply:
        """Add and remove, but for people who are not known."""
        only(body, "cohort_id", "skip_invalid_ids", "memberships")
        cohort = self.cohorts.get(body["cohort_id"])
        if cohort is None:
            raise Refusal(404, {"error": "cohort_not_found"})
        if self._busy["list", body["cohort_id"]] > 1:
            raise Refusal(429, {"error": "cohort_is_being_changed"})
        results = [self.changed(cohort, each, body["skip_invalid_ids"]) for each in body["memberships"]]
        return Reply(200, {"cohort_id": body["cohort_id"], "memberships_result": results})

    def changed(self, cohort: Cohort, change: dict[str, Any], skips: object) -> dict[str, Any]:
        only(change, "ids", "id_type", "operation")
        ids, operation = change["ids"], change["operation"]
        is_sound = change["id_type"] == "BY_NAME" and operation in ("ADD", "REMOVE") and ids
        is_sound = is_sound and all(isinstance(each, str) for each in ids) and len(set(ids)) == len(ids) <= MOST_IDS
        skipped = [each for each in ids if each not in self.known or each in self.unwanted]
        if not is_sound or type(skips) is not bool or (skipped and not skips):
            raise Refusal(400, {"error": "invalid_request"})
        people = set(ids) - set(skipped)
        cohort.members = cohort.members | people if operation == "ADD" else cohort.members - people
        return {"skipped_ids": skipped, "id_type": "BY_NAME", "operation": operation}

    def download(self, steps: list[str]) -> Reply:
        """A job that writes a file: asked for, waited for, fetched."""
        match steps:
            case ["request", cohort]:
                if cohort not in self.cohorts:
                    raise Refusal(404, {"error": "cohort_not_found"})
                return Reply(202, {"cohort_id": cohort, "request_id": self.queue(cohort)})
            case ["request-status", job]:
                cohort = self.polled(job)
                told = {"request_id": job, "cohort_id": cohort or "", "async_status": "JOB COMPLETED"}
                return Reply(200, told) if cohort else Reply(202, {**told, "async_status": "JOB INPROGRESS"})
            case ["request", job, "file"]:
                address = f"{self.url}/signed/{job}"
                return Reply(302, b"", {"Location": address}) if self.is_elsewhere else self.file(job)
        raise Refusal(404, {"error": "not_found"})

    def file(self, job: str) -> Reply:
        members = sorted(self.cohorts[self.polled(job)].members)
        lines = ['"amplitude_id","user_id"', *(f'"{at}","{each}"' for at, each in enumerate(members))]
        # Of some people Amplitude knows the device alone.
        return Reply(200, "\n".join([*lines, '"356896327775",""']).encode(), {"Content-Type": "text/csv"})


def _person(event: dict[str, Any]) -> str:
    return str(event.get("user_id") or event.get("device_id"))


def _is_sound(properties: object) -> bool:
    """Operations alone: what is written beside one is not seen."""
    if not isinstance(properties, dict) or set(properties) - OPERATIONS:
        return False
    return all(isinstance(each, dict) and each for each in properties.values())


def _at_fault(**told: Any) -> Refusal:
    return Refusal(400, {"code": 400, **told})


def _shown(number: str, cohort: Cohort) -> dict[str, Any]:
    told = {
        "appId": APP,
        "owners": [OWNER],
        "published": True,
        "archived": cohort.archived,
        "size": len(cohort.members),
    }
    return {"id": number, "name": cohort.name, **told}

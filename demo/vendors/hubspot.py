"""HubSpot as its documentation has it: contacts with text for values, lists of record ids, and custom events.

What is wrong with one input is told under its trace id in a 207; `is_vague` leaves the trace ids out, as HubSpot does
now and then, and `is_whole` refuses the whole request with 400 instead.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor

TOKEN = "pat-na1-5d0c77"
PORTAL = "123456"
UNIQUE = "external_id"
INPUT = {"idProperty", "id", "objectWriteTraceId", "properties"}
EVENT = {"eventName", "email", "objectId", "utk", "occurredAt", "uuid", "properties"}
EVENT_PROPERTIES = {
    f"pe{PORTAL}_audience_entered": {"audience_key"},
    f"pe{PORTAL}_audience_exited": {"audience_key"},
    f"pe{PORTAL}_trait_computed": {"trait_key", "value"},
}


@dataclass
class HubSpot(Vendor):
    """An account: contacts by record id, lists, and events. `undefined` are properties that nobody has created."""

    token: str = TOKEN
    most_items: int = 100
    most_bytes: int = 10_000_000
    rate: dict[str, float] = field(default_factory=lambda: {"crm/": 10.0, "events/": 1_250.0})
    contacts: dict[str, dict[str, str]] = field(default_factory=dict)
    known_by: dict[tuple[str, str], str] = field(default_factory=dict)  # record ids by name and value
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    undefined: set[str] = field(default_factory=set)
    is_vague: bool = False
    is_whole: bool = False
    page: int = 250

    @property
    def settings(self) -> dict[str, str]:
        return {"portal_id": PORTAL, "access_token": self.token, "id_property": UNIQUE, "endpoint": self.url}

    def is_allowed(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"Bearer {self.token}"

    def _too_fast(self, call: Call) -> Reply | None:
        if super()._too_fast(call):
            said = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}
            return Reply(429, said, {"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"})
        return None

    def people(self, call: Call) -> Iterable[str]:
        if call.path.endswith("/batch/upsert"):
            return [each["id"] for each in call.json()["inputs"]]
        if call.path.startswith("/events/"):
            return {each["email"] for each in call.json()["inputs"]}
        if call.path.endswith("/add-and-remove"):
            return [self.shown(each) for name in ("recordIdsToAdd", "recordIdsToRemove") for each in call.json()[name]]
        return ()

    def lists(self, call: Call) -> Iterable[str]:
        return [call.steps[3]] if call.path.endswith("/add-and-remove") else ()

    def answer(self, call: Call) -> Reply:
        place = call.method, *call.steps
        if place == ("POST", "crm", "v3", "objects", "contacts", "batch", "upsert"):
            return self._upsert(call)
        if place == ("POST", "crm", "v3", "objects", "contacts", "batch", "read"):
            return self._read(call)
        if place == ("POST", "events", "v3", "send", "batch"):
            return self._happened(call)
        if call.steps[:3] == ["crm", "v3", "lists"]:
            return self._lists(call)
        raise Refusal(404, _error("OBJECT_NOT_FOUND"))

    # --- contacts -------------------------------------------------------------------------------------------

    def inputs(self, call: Call, *others: str) -> list[Any]:
        """The inputs of a batch, each contact once."""
        body = call.json()
        if not isinstance(body.get("inputs"), list) or not body["inputs"] or set(body) - {"inputs", *others}:
            raise Refusal(400, _error("VALIDATION_ERROR"))
        if len(body["inputs"]) > self.most_items or len(call.body) > self.most_bytes:
            raise Refusal(400, _error("VALIDATION_ERROR"))
        return body["inputs"]

    def _upsert(self, call: Call) -> Reply:
        inputs = self.inputs(call)
        ids = [str(each.get("id", "")).lower() for each in inputs]
        if len(set(ids)) < len(ids):
            raise Refusal(400, _error("VALIDATION_ERROR"))
        wrong = [each for each in inputs if self._is_wrong(each)]
        if wrong and self.is_whole:
            raise Refusal(400, _error("VALIDATION_ERROR"))
        results = [self._written(each) for each in inputs if each not in wrong]
        said = {"status": "COMPLETE", "results": results}
        if not wrong:
            return Reply(200, said)
        errors = [self._said(each) for each in wrong]
        return Reply(207, {**said, "errors": errors, "numErrors": len(errors)})

    def _said(self, each: dict[str, Any]) -> dict[str, Any]:
        context = {} if self.is_vague else {"context": {"objectWriteTraceId": [each["objectWriteTraceId"]]}}
        return {**_error("VALIDATION_ERROR"), "message": f"{each['id']} is not valid", **context}

    def _is_wrong(self, each: dict[str, Any]) -> bool:
        properties, name = each.get("properties", {}), each.get("idProperty")
        is_text = all(isinstance(value, str) and len(value) <= 65_536 for value in properties.values())
        is_named = name in ("email", UNIQUE) and isinstance(each.get("id"), str) and each["id"] != ""
        is_address = name != "email" or "@" in each["id"]
        is_known = not self.undefined & set(properties) and all(key == key.lower() for key in properties)
        return (
            set(each) - INPUT != set()
            or not (is_text and is_named and is_address and is_known)
            or (each["id"] in self.unwanted)
        )

    def _written(self, each: dict[str, Any]) -> dict[str, Any]:
        record = self.found(each["idProperty"], each["id"]) or self.create(each["idProperty"], each["id"])
        self.contacts[record].update(each["properties"])
        for name in each["properties"].keys() & {"email", UNIQUE}:
            self.known_by[name, each["properties"][name].lower()] = record
        for name in [name for name, value in self.contacts[record].items() if value == ""]:
            del self.contacts[record][name]
        return {
            "id": record,
            "properties": dict(self.contacts[record]),
            "objectWriteTraceId": each["objectWriteTraceId"],
        }

    def found(self, name: str, person: str) -> str:
        """The record id of a contact, mail addresses without regard to case; empty where there is none."""
        record = self.known_by.get((name, person.lower()), "")
        return record if self.contacts.get(record, {}).get(name, "").lower() == person.lower() else ""

    def create(self, name: str, person: str) -> str:
        record = str(100 + len(self.contacts))
        self.contacts[record] = {name: person.lower() if name == "email" else person}
        self.known_by[name, person.lower()] = record
        return record

    def shown(self, record: str) -> str:
        """What a contact goes by."""
        return self.contacts[record].get("email") or self.contacts[record][UNIQUE]

    def meet(self, people: Iterable[str]) -> None:
        for each in people:
            name = "email" if "@" in each else UNIQUE
            if not self.found(name, each):
                self.create(name, each)

    def _read(self, call: Call) -> Reply:
        body, inputs = call.json(), self.inputs(call, "properties", "idProperty")
        if any(set(each) != {"id"} for each in inputs):
            raise Refusal(400, _error("VALIDATION_ERROR"))
        name = body.get("idProperty")
        ids = [each["id"] for each in inputs]
        records = [self.found(name, each) if name else each for each in ids]
        found = [
            {"id": each, "properties": {name: self.contacts[each].get(name) for name in body["properties"]}}
            for each in records
            if each in self.contacts
        ]
        missed = [each for each, record in zip(ids, records, strict=True) if record not in self.contacts]
        if not missed:
            return Reply(200, {"status": "COMPLETE", "results": found})
        errors = [{**_error("OBJECT_NOT_FOUND"), "context": {"ids": missed}}]
        return Reply(207, {"status": "COMPLETE", "results": found, "errors": errors, "numErrors": 1})

    # --- events ---------------------------------------------------------------------------------------------

    def _happened(self, call: Call) -> Reply:
        events = self.inputs(call)
        if any(set(each) - EVENT or each["email"] in self.unwanted or not _is_defined(each) for each in events):
            raise Refusal(400, _error("VALIDATION_ERROR"))
        self.events += events
        return Reply(204)

    # --- lists ----------------------------------------------------------------------------------------------

    def _lists(self, call: Call) -> Reply:
        steps = call.steps[3:]
        if call.method == "POST" and not steps:
            return self._made(call.json())
        if call.method == "GET" and steps[:2] == ["object-type-id", "0-1"] and steps[2:3] == ["name"]:
            named = [each for each in self.listed.values() if each["name"] == steps[3]]
            return Reply(200, {"list": _list(named[0])}) if named else Reply(404, _error("OBJECT_NOT_FOUND"))
        if steps[0] not in self.listed:
            raise Refusal(404, _error("OBJECT_NOT_FOUND"))
        if call.method == "GET" and steps[1:] == ["memberships"]:
            return self._members(self.listed[steps[0]]["members"], call.query)
        if call.method == "PUT" and steps[1:] == ["memberships", "add-and-remove"]:
            return self._moved(self.listed[steps[0]], call.json())
        raise Refusal(405, _error("METHOD_NOT_ALLOWED"))

    def _made(self, body: dict[str, Any]) -> Reply:
        if set(body) != {"name", "objectTypeId", "processingType"} or body["objectTypeId"] != "0-1":
            raise Refusal(400, _error("VALIDATION_ERROR"))
        if any(each["name"] == body["name"] for each in self.listed.values()):
            raise Refusal(400, {**_error("VALIDATION_ERROR"), "subCategory": "ILS.DUPLICATE_LIST_NAMES"})
        return Reply(200, {"list": _list(self.add(body["name"], body["processingType"]))})

    def add(self, name: str, kind: str = "MANUAL") -> dict[str, Any]:
        """A new list."""
        number = str(len(self.listed) + 1)
        self.listed[number] = {"listId": number, "name": name, "processingType": kind, "members": set()}
        return self.listed[number]

    def _moved(self, there: dict[str, Any], body: dict[str, Any]) -> Reply:
        if set(body) - {"recordIdsToAdd", "recordIdsToRemove"} or there["processingType"] == "DYNAMIC":
            raise Refusal(400, _error("VALIDATION_ERROR"))
        adding, removing = set(body.get("recordIdsToAdd", ())), set(body.get("recordIdsToRemove", ()))
        if not adding | removing or adding & removing:
            raise Refusal(400, _error("VALIDATION_ERROR"))
        missing = {each for each in adding | removing if each not in self.contacts}
        added, removed = adding - missing - there["members"], removing & there["members"]
        there["members"].update(added)
        there["members"].difference_update(removed)
        said = {"recordIdsAdded": added, "recordIdsRemoved": removed, "recordIdsMissing": missing}
        return Reply(200, {name: sorted(each) for name, each in said.items()})

    def _members(self, members: set[str], query: dict[str, str]) -> Reply:
        ids = sorted((each for each in members if each > query.get("after", "")), key=int)
        page = ids[: min(int(query.get("limit", 100)), self.page)]
        paging = {"paging": {"next": {"after": page[-1]}}} if len(page) < len(ids) else {}
        return Reply(200, {"results": [{"recordId": each} for each in page], "total": len(members), **paging})

    # --- what people see in its screens ---------------------------------------------------------------------

    def properties(self, key: str) -> dict[str, Any]:
        return {self.shown(record): each[key] for record, each in self.contacts.items() if key in each}

    def members(self, key: str) -> set[str]:
        return {self.shown(each) for there in self.listed.values() if there["name"] == key for each in there["members"]}

    def happened(self, key: str) -> Counter[tuple[str, bool]]:
        told = [each for each in self.events if each["properties"].get("audience_key") == key]
        return Counter((each["email"], each["eventName"].endswith("_entered")) for each in told)


def _error(category: str) -> dict[str, Any]:
    return {"status": "error", "category": category, "message": "see the category", "correlationId": "c-1"}


def _list(there: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in there.items() if name != "members"}


def _is_defined(event: dict[str, Any]) -> bool:
    """Whether it is an event of the account, with properties of its definition."""
    known = EVENT_PROPERTIES.get(event["eventName"], set())
    is_said = all(isinstance(each, str) for each in event["properties"].values())
    return set(event["properties"]) <= known and is_said and "@" in event["email"] and "T" in event["occurredAt"]

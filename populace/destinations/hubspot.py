"""HubSpot: properties of contacts, manual lists and custom events (destinations.md 7).

Values are text there, and empty text takes one away. A request upserts up to 100 contacts, by their mail address or by
another property whose values are unique; no contact may be in it twice. Lists know people by record ids alone, so a
conversation about a list asks for those of its people first.

Answers: 207, and now and then a 200, name what failed by the trace ids that we set; where they name nobody, and where
400 refuses everything, halves are tried until the fault is alone. Record ids that are not there are `recordIdsMissing`
(so HubSpot's client libraries spell it). Events in batches are answered with 204 and no body; `uuid` is said of each,
and nobody says that it keeps one from being counted twice, so none is sent again (developers.hubspot.com, "Send a batch
of event occurrences").
"""

import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from populace.destinations import calls, hashing, hosts
from populace.destinations.bodies import TYPE, document, encoded, listed, message_id, named, unexpected, uuid, value
from populace.destinations.protocol import (
    EVENT,
    LIST,
    PROPERTY,
    About,
    Answer,
    Exchange,
    Found,
    Limits,
    Listing,
    Origin,
    Reading,
    Record,
    Request,
    Response,
    Setting,
    Settings,
    Update,
    Verdict,
    by_status,
)
from populace.destinations.together import together

HOSTS = {"": "https://api.hubapi.com"}  # accounts in Europe are found from here

ABOUT = About(
    title="HubSpot",
    forms=(PROPERTY, LIST, EVENT),
    settings=(
        Setting("portal_id", "the number of the account (Hub ID); tells accounts apart", is_required=True),
        Setting("access_token", "of a private app", is_required=True, is_secret=True),
        Setting("id_property", "the contact property with unique values that holds the `user_id`, where there is one"),
        Setting("event_prefix", "what full names of your custom events begin with; `pe<portal_id>_` by default"),
        *hosts.settings_of(HOSTS),
    ),
    identifies=("email", "user_id"),
    readable={LIST: ("email", "user_id")},
    reserved=frozenset({"email", "hs_object_id"}),
    normal={"email": hashing.email},
)

BATCH = 100
REQUEST_BYTES = 4_000_000  # no size is documented; nothing is known to be refused for it
INPUT_BYTES = 300_000
AROUND = 2_048  # bytes of an input that are not its values
VALUE_SIGNS = 65_536
RATES = {"": 10.0, "events": 1_250.0}  # a second
LANES = 4
TIMEOUT = 30.0
PAGE = 250  # members of a list
CONTACTS = "crm/v3/objects/contacts/batch"
DAY = 86_400.0

Contacts = Generator[Request, Response, "list[dict[str, Any]] | Verdict"]


def account(settings: Settings) -> str:
    """The number of the account: tokens come and go."""
    return f"{hosts.host(settings, HOSTS)} {settings['portal_id']}"


def problems(settings: Settings) -> list[str]:
    portal = settings["portal_id"]
    wrong = [] if portal.isdecimal() or "${" in portal else ["'portal_id' must be a number, in quotes"]
    return wrong + hosts.problems(settings, HOSTS)


def limits(settings: Settings) -> Limits:
    around = len(b'{"inputs":[]}')
    return Limits(BATCH, REQUEST_BYTES, INPUT_BYTES, RATES, lanes=LANES, timeout=TIMEOUT, envelope=around)


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    told: Counter[tuple[str, str]] = Counter()
    for positions in together(records, INPUT_BYTES - AROUND, is_shared=lambda each: _is_shared(each, settings)):
        group = [records[each] for each in positions]
        found = _update(group, origin, settings)
        if group[0]["form"] == PROPERTY:
            # A request with one contact twice is refused: what is said of somebody again is of another group.
            person = found.group, _spelled(group[0]["id_value"])
            told[person] += 1
            found = replace(found, group=f"{found.group}/{told[person]:06}")
        yield replace(found, records=tuple(positions), problem=_problem(group[0], settings))


def _update(group: Sequence[Record], origin: Origin, settings: Settings) -> Update:
    first = group[0]
    name = _property(first["id_type"], settings)
    if first["form"] == EVENT:
        return Update((), encoded(_event(first, origin, settings)), "events", once=True)
    if first["form"] == LIST:
        action = "add" if first["value"] == "true" else "remove"
        place = quote(origin.lists[first["key"]], safe="")
        return Update((), encoded(first["id_value"]), f"lists/{place}/{action}/{name}", stage=1)
    return Update((), encoded(_input(group, name)), f"contacts/{name}")


def _input(group: Sequence[Record], name: str) -> dict[str, Any]:
    person = group[0]["id_value"]
    values = {**{each["key"]: text(value(each)) for each in group}, name: person}
    return {"idProperty": name, "id": person, "objectWriteTraceId": message_id(group), "properties": values}


def text(found: Any) -> str:
    """A value as HubSpot has it: several choices with semicolons between them, nothing as empty text."""
    if isinstance(found, list):
        return ";".join(text(each) for each in found)
    if isinstance(found, str):
        return found
    return "" if found is None else encoded(found).decode()


def _event(record: Record, origin: Origin, settings: Settings) -> dict[str, Any]:
    """An event has the properties of its definition and no others: which audience or trait, and a trait's value."""
    prefix = settings.get("event_prefix", f"pe{settings['portal_id']}_")
    trait = {"trait_key": record["key"], "value": text(value(record))}
    return {
        "eventName": prefix + calls.event(record).lower().replace(" ", "_"),
        "email": record["id_value"],
        "occurredAt": origin.as_of,
        "uuid": uuid(record["message_id"]),
        "properties": trait if record["kind"] == "trait" else {"audience_key": record["key"]},
    }


def _property(id_type: str, settings: Settings) -> str:
    """The property that holds identifiers of this type."""
    return "email" if id_type == "email" else settings.get("id_property", "")


def _is_shared(record: Record, settings: Settings) -> bool:
    return record["form"] == PROPERTY and not _problem(record, settings)


def _problem(record: Record, settings: Settings) -> str:
    """Why it will never be taken."""
    if record["id_type"] == "email" and "@" not in record["id_value"]:
        return "this is no email address"
    if record["id_type"] != "email" and record["form"] == EVENT:
        return "events are told by an email address alone"
    if not _property(record["id_type"], settings):
        return "nobody is known by user_id: set id_property, or identify people by email"
    if record["form"] == PROPERTY and record["key"] == _property(record["id_type"], settings):
        return "this property says who somebody is there; call the trait otherwise"
    is_long = record["form"] == PROPERTY and len(text(value(record))) > VALUE_SIGNS
    return f"the value has more than {VALUE_SIGNS} signs" if is_long else ""


# --- lists ------------------------------------------------------------------------------------------


def listing(key: str, name: str, settings: Settings) -> Listing:
    """The manual list of contacts of this name, made where there is none."""
    path = f"crm/v3/lists/object-type-id/0-1/name/{quote(name, safe='')}"
    found = yield _request("GET", path, settings)
    if found.status == 404:
        made = {"name": name, "objectTypeId": "0-1", "processingType": "MANUAL"}
        found = yield _request("POST", "crm/v3/lists", settings, encoded(made))
        if document(found).get("subCategory") == "ILS.DUPLICATE_LIST_NAMES":  # somebody else was faster
            found = yield _request("GET", path, settings)
    there = document(found).get("list")
    if by_status(found.status).outcome != "delivered" or not isinstance(there, dict) or "listId" not in there:
        return _unexpected(found)
    if there.get("processingType", "MANUAL") not in ("MANUAL", "SNAPSHOT"):
        return Verdict("invalid", "the list of this name is not a manual one; rename it")
    return str(there["listId"])


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    kind = updates[0].group.partition("/")[0]
    return {"contacts": _upserted, "events": _happened, "lists": _moved}[kind](updates, settings)


def _upserted(updates: Sequence[Update], settings: Settings) -> Exchange:
    response = yield _request("POST", f"{CONTACTS}/upsert", settings, _inputs(updates))
    return answer(response, [json.loads(each.body)["objectWriteTraceId"] for each in updates])


def answer(response: Response, traces: Sequence[str]) -> Answer:
    verdict, body = _verdict(response), document(response)
    if verdict.outcome != "delivered":
        return verdict
    if not {"results", "errors"} & body.keys():
        return unexpected(response)
    errors = [each if isinstance(each, dict) else {} for each in listed(body.get("errors"))]
    wrong = {trace: each for each in errors for trace in _traces(each)}
    if any(not set(_traces(each)) & set(traces) for each in errors):
        return Verdict("invalid", f"HTTP {response.status}: something is wrong, and nobody says with which contact")
    nobody = Verdict("unknown", f"HTTP {response.status}: no contact is named", in_doubt=True)
    others = verdict if listed(body.get("results")) else nobody
    return [named(wrong[each].get("category")) if each in wrong else others for each in traces]


def _traces(error: Mapping[str, Any]) -> list[str]:
    context = error.get("context")
    named = listed(context.get("objectWriteTraceId")) if isinstance(context, dict) else []
    return [each for each in named if isinstance(each, str)]


def _happened(updates: Sequence[Update], settings: Settings) -> Exchange:
    response = yield _request("POST", "events/v3/send/batch", settings, _inputs(updates), endpoint="events")
    verdict = _verdict(response)
    if verdict.outcome != "delivered":
        return verdict
    if response.body.strip():  # success has no body; whatever this says, some may be counted
        return Verdict("unknown", f"HTTP {response.status}: the answer cannot be read", in_doubt=True)
    return replace(verdict, reason=f"HTTP {response.status}: received")


def _moved(updates: Sequence[Update], settings: Settings) -> Exchange:
    """Ask for the record ids of these people, then put them on the list or take them off."""
    _, place, action, name = updates[0].group.split("/")
    people = [json.loads(each.body) for each in updates]
    found = yield from _contacts(people, name, settings)
    if isinstance(found, Verdict):
        return found
    ids = {_spelled(each["properties"].get(name)): str(each.get("id", "")) for each in found}
    wanted = [ids.get(_spelled(each), "") for each in people]
    absent = Verdict("noop", "nobody is known by this there")
    if action == "add":
        absent = Verdict("invalid", "nobody is known by this there: deliver a property as well")
    if not any(wanted):
        return [absent] * len(people)
    moved = sorted({each for each in wanted if each})
    body = {"recordIdsToAdd": moved if action == "add" else [], "recordIdsToRemove": [] if action == "add" else moved}
    path = f"crm/v3/lists/{place}/memberships/add-and-remove"
    response = yield _request("PUT", path, settings, encoded(body))
    verdict = _verdict(response)
    if response.status == 404:
        return replace(verdict, reason="HTTP 404: there is no such list; check lists, or resync")
    if verdict.outcome != "delivered":
        return verdict
    if not response.body.lstrip().startswith(b"{"):
        return unexpected(response)
    missing = {str(each) for each in listed(document(response).get("recordIdsMissing"))}
    return [verdict if each and each not in missing else absent for each in wanted]


def _contacts(people: Sequence[str], name: str, settings: Settings) -> Contacts:
    """The contacts whose property has these values, or whose record ids they are; those that are not there left out."""
    asked = {"inputs": [{"id": each} for each in people], "properties": _names(settings)}
    body = encoded({**asked, **({"idProperty": name} if name else {})})
    response = yield _request("POST", f"{CONTACTS}/read", settings, body, asks=True)
    found = document(response).get("results")
    if _verdict(response).outcome != "delivered" or not isinstance(found, list):
        return _unexpected(response)
    return [
        each for each in found if isinstance(each, dict) and "id" in each and isinstance(each.get("properties"), dict)
    ]


def _names(settings: Settings) -> list[str]:
    return [each for each in ("email", settings.get("id_property")) if each]


def _spelled(found: Any) -> str:
    """An identifier as they are compared: HubSpot keeps mail addresses in lower case."""
    return str(found or "").strip().lower()


def _verdict(response: Response) -> Verdict:
    if response.status == 477:  # the account is being moved
        return Verdict("transient", "HTTP 477", in_doubt=True)
    verdict = by_status(response.status)
    # The quota of the day is nothing to wait for: what is left waits for a later sync.
    is_daily = verdict.outcome == "throttled" and document(response).get("policyName") == "DAILY"
    return replace(verdict, reason=f"{verdict.reason} (the day's quota)", after=DAY) if is_daily else verdict


def _unexpected(response: Response) -> Verdict:
    verdict = _verdict(response)
    return unexpected(response) if verdict.outcome == "delivered" else verdict


# --- reading back -----------------------------------------------------------------------------------


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    """Everybody on the list, under those of their identifiers that `people` has, else under their first."""
    members: list[str] = []
    path, after = f"crm/v3/lists/{quote(origin.lists[key], safe='')}/memberships?limit={PAGE}", ""
    while True:
        response = yield _request("GET", f"{path}&after={quote(after, safe='')}" if after else path, settings)
        body = document(response)
        if response.status != 200 or "results" not in body:
            return _unexpected(response)
        members += [str(each["recordId"]) for each in listed(body["results"]) if isinstance(each, dict)]
        after = ((body.get("paging") or {}).get("next") or {}).get("after", "")
        if not after:
            break
    found: Found = []
    for start in range(0, len(members), BATCH):
        contacts = yield from _contacts(members[start : start + BATCH], "", settings)
        if isinstance(contacts, Verdict):
            return contacts
        for each in contacts:
            found += _known(each["properties"], set(people), settings)
    return found


def _known(properties: Mapping[str, Any], people: set[tuple[str, str]], settings: Settings) -> Found:
    names = [(each, properties.get(_property(each, settings))) for each in ABOUT.identifies]
    told = [(ours, _spelled(each) if ours == "email" else str(each)) for ours, each in names if each]
    return [(*each, True) for each in told if each in people] or [(*each, True) for each in told[:1]]


def _inputs(updates: Sequence[Update]) -> bytes:
    return b'{"inputs":[%s]}' % b",".join(each.body for each in updates)


def _request(
    method: str, path: str, settings: Settings, body: bytes = b"", *, endpoint: str = "", asks: bool = False
) -> Request:
    headers = {**TYPE, "Authorization": f"Bearer {settings['access_token']}"}
    return Request(method, f"{hosts.host(settings, HOSTS)}/{path}", headers, body, endpoint, asks=asks)

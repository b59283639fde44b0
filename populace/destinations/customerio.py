"""Customer.io: attributes, events and manual segments of people (destinations.md 6).

Attributes and events share requests of the Track API, each an item of a batch; attributes of one person are one item.
Lists are manual segments: the Track API puts people on them, and the App API, which has a key of its own, finds and
makes them and says who is on them (docs.customer.io: "Create a manual segment", "List customers in a segment").

A person is addressed by the type of their identifier, whatever it looks like. One exception: `cio_…` is how Customer.io
itself writes ids that it has given (in addresses of its API, in links); as an `id` it would make a second person.

Answers: 200 took everything; 207 took everything but what `errors` names by its place, which will never be taken. Ids
in a segment that nobody has are ignored without a word, so nobody is ever called a member here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from populace.destinations import calls, hashing, hosts
from populace.destinations.bodies import (
    TYPE,
    basic,
    document,
    encoded,
    listed,
    named,
    problems_of_unset,
    taken_away,
    unexpected,
    unset,
    uuid,
    value,
)
from populace.destinations.protocol import (
    EVENT,
    FINDING,
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
    one_of,
)
from populace.destinations.together import together

HOSTS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
APP_HOSTS = {"us": "https://api.customer.io", "eu": "https://api-eu.customer.io"}

# How Customer.io calls our types of identifier.
NAMES = {"user_id": "id", "email": "email", "cio_id": "cio_id"}
GIVEN = "cio_"  # what stands before an id that Customer.io has given

ABOUT = About(
    title="Customer.io",
    forms=(PROPERTY, LIST, EVENT),
    settings=(
        Setting("site_id", "of the workspace, from its Track API credentials", is_required=True),
        Setting("api_key", "beside it", is_required=True, is_secret=True),
        Setting("app_api_key", "a key of the App API: finds, makes and reads manual segments", is_secret=True),
        Setting("dates", "`seconds`: text that is a date or an instant is sent in Unix seconds; `text` by default"),
        unset("empty"),
        *hosts.settings_of(HOSTS),
    ),
    identifies=tuple(NAMES),
    reserved=frozenset({"id", "email", "cio_id"}),
    readable={LIST: tuple(NAMES)},
    normal={"email": hashing.email},  # case makes no difference in workspaces that identify by mail addresses
)

BATCH = 1_000
REQUEST_BYTES = 500_000
ITEM_BYTES = 32_000
AROUND = 1_024  # bytes of an item that are not its attributes
ATTRIBUTES = 300
NAME_BYTES = 150  # of an attribute, and of an identifier
VALUE_BYTES = 1_000
RATES = {"": 100.0, "app": 10.0}  # a second
LANES = 4
PAGE = 10_000  # people of a segment
DESCRIBED = "Kept by Populace: who is on it is decided there."
NO_KEY = "set app_api_key, a key of the App API"


def account(settings: Settings) -> str:
    return f"{hosts.host(settings, HOSTS)} {settings['site_id']}"


def problems(settings: Settings) -> list[str]:
    return [
        *one_of(settings, "dates", "text", "seconds"),
        *problems_of_unset(settings),
        *hosts.problems(settings, HOSTS),
    ]


def limits(settings: Settings) -> Limits:
    return Limits(BATCH, REQUEST_BYTES, ITEM_BYTES, RATES, lanes=LANES, envelope=len(b'{"batch":[]}'))


def lacking(form: str, settings: Settings) -> str:
    return f"to find segments {NO_KEY}, or write their ids under `lists`" if _cannot_find(form, settings) else ""


def _cannot_find(form: str, settings: Settings) -> bool:
    return form == FINDING and not settings.get("app_api_key")


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    for positions in together(records, ITEM_BYTES - AROUND, ATTRIBUTES, _is_shared):
        told = [records[each] for each in positions]
        yield replace(_update(told, origin, settings), records=tuple(positions), problem=_problem(told[0]))


def _update(told: Sequence[Record], origin: Origin, settings: Settings) -> Update:
    if told[0]["form"] == LIST:
        name, person = _person(told[0])
        action = "add_customers" if told[0]["value"] == "true" else "remove_customers"
        segment = quote(origin.lists[told[0]["key"]], safe="")
        return Update((), encoded(person), f"segments/{segment}/{action}?id_type={name}", stage=1)
    item = _event(told[0], origin, settings) if told[0]["form"] == EVENT else _attributes(told, settings)
    return Update((), encoded(item), "batch")


def _attributes(records: Sequence[Record], settings: Settings) -> dict[str, Any]:
    # A former member has the value false; `action: delete` would delete the person.
    values = {each["key"]: _value(each, settings) for each in records}
    return {"type": "person", "action": "identify", "identifiers": dict([_person(records[0])]), "attributes": values}


def _value(record: Record, settings: Settings) -> Any:
    found = value(record)
    return taken_away(settings, "empty") if found is None else _dated(found, settings)


def _event(record: Record, origin: Origin, settings: Settings) -> dict[str, Any]:
    return {
        "type": "person",
        "action": "event",
        "identifiers": dict([_person(record)]),
        "name": calls.event(record),
        # One that was stored before is ignored; it must be a UUID or a ULID.
        "id": uuid(record["message_id"]),
        "timestamp": _seconds(origin.as_of),
        "attributes": {name: _dated(each, settings) for name, each in calls.event_properties(record).items()},
    }


def _dated(found: Any, settings: Settings) -> Any:
    """A date or an instant in seconds, where that is asked for; anything else as it is."""
    is_text = isinstance(found, str) and found[:4].isdecimal() and found[4:5] == "-"
    if not is_text or settings.get("dates") != "seconds":
        return found
    try:
        return _seconds(found)
    except ValueError:
        return found


def _seconds(text: str) -> int:
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _person(record: Record) -> tuple[str, str]:
    """What the identifier is called there, and the identifier."""
    name, found = NAMES[record["id_type"]], str(record["id_value"])
    is_given = found.startswith(GIVEN) and name != "email"
    return ("cio_id", found.removeprefix(GIVEN)) if is_given else (name, found)


def _is_shared(record: Record) -> bool:
    return record["form"] == PROPERTY and not _problem(record)


def _problem(record: Record) -> str:
    """Why it will never be taken."""
    name, person = _person(record)
    if len(person.encode()) > NAME_BYTES:
        return f"the identifier has more than {NAME_BYTES} bytes"
    if name == "email" and "@" not in person:
        return "this is no email address"
    if record["form"] != PROPERTY:
        return ""
    if len(record["key"].encode()) > NAME_BYTES:
        return f"the name of the attribute has more than {NAME_BYTES} bytes"
    found = value(record)
    size = len(found.encode() if isinstance(found, str) else encoded(found))
    return f"the value has more than {VALUE_BYTES} bytes" if size > VALUE_BYTES else ""


# --- lists ------------------------------------------------------------------------------------------


def listing(key: str, name: str, settings: Settings) -> Listing:
    """The manual segment of this name, made where there is none."""
    if "app_api_key" not in settings:
        return Verdict("refused", f"{NO_KEY}, or write the id of a manual segment under lists")
    response = yield _asked("GET", "segments", settings)
    body = document(response)
    if response.status != 200 or not isinstance(body.get("segments"), list):
        return unexpected(response)
    named = [each for each in body["segments"] if isinstance(each, dict) and each.get("name") == name]
    if manual := sorted(each.get("id", 0) for each in named if each.get("type") == "manual"):
        return str(manual[0])
    if named:
        return Verdict("invalid", "the segment of this name is not a manual one; rename it")
    made = yield _asked("POST", "segments", settings, encoded({"segment": {"name": name, "description": DESCRIBED}}))
    segment = document(made).get("segment")
    return str(segment["id"]) if isinstance(segment, dict) and "id" in segment else unexpected(made)


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    told = b",".join(each.body for each in updates)
    if updates[0].group != "batch":
        return _moved((yield _told(f"v1/{updates[0].group}", b'{"ids":[%s]}' % told, settings)))
    return answer((yield _told("v2/batch", b'{"batch":[%s]}' % told, settings)), len(updates))


def answer(response: Response, count: int) -> Answer:
    verdict = by_status(response.status)
    if verdict.outcome != "delivered":
        return verdict
    body = document(response)
    errors = [each if isinstance(each, dict) else {} for each in listed(body.get("errors"))]
    is_readable = errors if response.status == 207 else body or response.body.strip() in (b"", b"{}")
    if not is_readable:
        return unexpected(response)
    if any(each.get("batch_index") not in range(count) for each in errors):
        # Nothing that is said twice counts twice there: halves tell which it is.
        return Verdict("invalid", f"HTTP {response.status}: something is wrong, and nobody says what")
    wrong = {each["batch_index"]: each for each in errors}
    return [named(wrong[each].get("reason")) if each in wrong else verdict for each in range(count)]


def _moved(response: Response) -> Verdict:
    verdict = by_status(response.status)
    if verdict.outcome == "delivered":
        return replace(verdict, reason=f"HTTP {response.status}: received; who is not known there is not added")
    if response.status == 404:
        return replace(verdict, reason="HTTP 404: there is no such segment; check lists, or resync")
    return verdict


# --- reading back -----------------------------------------------------------------------------------


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    """Everybody on the segment, under those of their identifiers that `people` has, else under their first."""
    if "app_api_key" not in settings:
        return Verdict("refused", NO_KEY)
    found: Found = []
    known, start = set(people), ""
    while True:
        path = f"segments/{quote(origin.lists[key], safe='')}/membership?limit={PAGE}"
        response = yield _asked("GET", f"{path}&start={quote(start, safe='')}" if start else path, settings)
        body = document(response)
        if response.status != 200 or "identifiers" not in body:
            return unexpected(response)
        for each in listed(body["identifiers"]):
            names = _names(each)
            found += [(*name, True) for name in names if name in known] or [(*name, True) for name in names[:1]]
        start = body.get("next") or ""
        if not start:
            return found


def _names(identifiers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What we may call somebody, the usual first."""
    told = {ours: str(identifiers[theirs]) for ours, theirs in NAMES.items() if identifiers.get(theirs)}
    names = [(ours, each.strip().lower() if ours == "email" else each) for ours, each in told.items()]
    given = [f"{GIVEN}{each.removeprefix(GIVEN)}" for ours, each in names if ours == "cio_id"]
    return names + [(ours, each) for each in given for ours in ("cio_id", "user_id")]


def _told(path: str, body: bytes, settings: Settings) -> Request:
    headers = {**TYPE, "Authorization": basic(settings["site_id"], settings["api_key"])}
    return Request("POST", f"{hosts.host(settings, HOSTS)}/api/{path}", headers, body)


def _asked(method: str, path: str, settings: Settings, body: bytes = b"") -> Request:
    """A request to the App API."""
    headers = {**TYPE, "Authorization": f"Bearer {settings['app_api_key']}"}
    return Request(method, f"{hosts.host(settings, APP_HOSTS)}/v1/{path}", headers, body, "app")

"""Braze: attributes and events of users (destinations.md 5).

A request holds up to 75 objects of one array. Attributes of one person are one object; null takes one away. Braze has
no lists that others may write to: a membership is a boolean attribute, on which a segment is built there.

Answers: 201 with `message: success` took everything but what `errors` names by its place; another message says that
nothing was taken. Events are counted as often as they come, so one that may have arrived is not sent again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from populace.destinations import calls
from populace.destinations.bodies import TYPE, code, document, encoded, is_there, listed, unexpected, value
from populace.destinations.protocol import (
    EVENT,
    PROPERTY,
    About,
    Answer,
    Exchange,
    Found,
    Limits,
    Origin,
    Reading,
    Record,
    Request,
    Response,
    Setting,
    Settings,
    Update,
    Verdict,
    address,
    by_status,
)
from populace.destinations.together import together

# How Braze calls our types of identifier.
NAMES = {"user_id": "external_id", "braze_id": "braze_id", "email": "email", "phone": "phone"}

ABOUT = About(
    title="Braze",
    forms=(PROPERTY, EVENT),
    settings=(
        Setting("endpoint", "of your instance, such as `https://rest.iad-01.braze.com`", is_required=True),
        Setting("api_key", "a REST key with the permission `users.track`", is_required=True, is_secret=True),
        Setting("existing_only", "`true`: nobody is created there; `false` by default"),
    ),
    identifies=tuple(NAMES),
    readable={PROPERTY: ("user_id",)},
)

BATCH = 75  # of one array
REQUEST_BYTES = 4_000_000
OBJECT_BYTES = 100_000
AROUND = 1_024  # bytes of an object that are not its attributes
RATES = {"": 1_000.0, "users/export/ids": 250 / 60}  # a second
LANES = 8
TIMEOUT = 30.0
READ = 50  # people of one question


def account(settings: Settings) -> str:
    return settings["endpoint"].rstrip("/")


def problems(settings: Settings) -> list[str]:
    is_known = settings.get("existing_only", "false") in ("true", "false")
    wrong = [] if is_known or "${" in settings["existing_only"] else ["'existing_only' must be true or false"]
    return wrong + address(settings, "endpoint")


def limits(settings: Settings) -> Limits:
    around = len(b'{"attributes":[]}')
    return Limits(BATCH, REQUEST_BYTES, OBJECT_BYTES, RATES, lanes=LANES, timeout=TIMEOUT, envelope=around)


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    for positions in together(records, OBJECT_BYTES - AROUND):
        told = [records[each] for each in positions]
        if told[0]["form"] == EVENT:
            yield Update(tuple(positions), encoded(_event(told[0], origin)), "events", once=True)
        else:
            yield Update(tuple(positions), encoded(_attributes(told, settings)), "attributes")


def _attributes(records: Sequence[Record], settings: Settings) -> dict[str, Any]:
    only = {"_update_existing_only": True} if settings.get("existing_only") == "true" else {}
    return {**_person(records[0]), **only, **{each["key"]: value(each) for each in records}}


def _event(record: Record, origin: Origin) -> dict[str, Any]:
    told = {"name": calls.event(record), "time": origin.as_of, "properties": calls.event_properties(record)}
    return {**_person(record), **told}


def _person(record: Record) -> dict[str, str]:
    return {NAMES[record["id_type"]]: record["id_value"]}


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    array = updates[0].group
    body = b'{"%s":[%s]}' % (array.encode(), b",".join(each.body for each in updates))
    return answer((yield _request("users/track", body, settings)), array, len(updates))


def answer(response: Response, array: str, count: int) -> Answer:
    verdict, body = by_status(response.status), document(response)
    if verdict.outcome != "delivered":
        return verdict
    if "message" not in body:
        return unexpected(response)
    if body["message"] != "success":
        return Verdict("invalid", f"HTTP {response.status}: not taken")
    named = [each for each in listed(body.get("errors")) if isinstance(each, dict)]
    wrong = {each.get("index"): each for each in named if each.get("input_array") == array}
    missed = [each for each in named if each.get("input_array") not in ("attributes", "events")]
    rest = Verdict("transient", "some failed, and nobody says which", in_doubt=True) if missed else verdict
    return [_refused(wrong[at]) if at in wrong else rest for at in range(count)]


def _refused(error: Mapping[str, Any]) -> Verdict:
    return Verdict("invalid", f"named in the answer{f': {why}' if (why := code(error.get('type'))) else ''}")


# --- reading back -----------------------------------------------------------------------------------


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    found: Found = []
    for start in range(0, len(people), READ):
        asked = {"external_ids": [each for _, each in people[start : start + READ]]}
        fields = {"fields_to_export": ["external_id", "custom_attributes"]}
        response = yield _request("users/export/ids", encoded({**asked, **fields}), settings, asks=True)
        body = document(response)
        if "users" not in body:
            return unexpected(response)
        for each in listed(body["users"]):
            there = each.get("custom_attributes", {}).get(key)
            found += [("user_id", each["external_id"], there)] if is_there(there) else []
    return found


def _request(path: str, body: bytes, settings: Settings, *, asks: bool = False) -> Request:
    headers = {**TYPE, "Authorization": f"Bearer {settings['api_key']}"}
    return Request("POST", f"{account(settings)}/{path}", headers, body, path, asks=asks)

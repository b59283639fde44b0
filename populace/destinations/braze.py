"""Braze: attributes and events of users (destinations.md 5).

A request holds up to 75 objects of one array. Attributes of one person are one object; null takes one away. Braze has
no lists that others may write to: a membership is a boolean attribute, on which a segment is built there.

Answers: 201 with `message: success` took everything but what `errors` names by its place; another message says that
nothing was taken. An error that names no place is about one of them all the same: attributes are halved until it is
alone, events, which are counted as often as they come, are left in doubt and not sent again.

Some names are Braze's own. A trait that is called as an identifier would be told of somebody else, and an object that
reads as an order (`{"inc": 1}`) would be obeyed: neither is sent.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from populace.destinations import calls
from populace.destinations.bodies import TYPE, document, encoded, is_there, listed, named, unexpected, value
from populace.destinations.protocol import (
    ALLOW_PRIVATE,
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
    one_of,
)
from populace.destinations.together import is_property, together
from populace.destinations.waiting import asked

# How Braze calls our types of identifier.
NAMES = {"user_id": "external_id", "braze_id": "braze_id", "email": "email", "phone": "phone"}

# What stands in an object beside attributes: it says whom they are of, and how they are taken.
RESERVED = {"external_id", "braze_id", "user_alias", "app_id", "push_tokens", "push_token_import"}
FLAGS = {"_update_existing_only", "_merge_objects"}
# What Braze does with an object instead of keeping it (V: array attributes, numbers, nested attributes).
ORDERS = {"add", "remove", "update", "inc", "$add", "$remove", "$update", "$identifier_key"}
# Attributes that every person has there; an export has them beside the custom ones.
STANDARD = {
    "country",
    "dob",
    "email",
    "first_name",
    "gender",
    "home_city",
    "language",
    "last_name",
    "phone",
    "time_zone",
}

ABOUT = About(
    title="Braze",
    forms=(PROPERTY, EVENT),
    settings=(
        Setting("endpoint", "of your instance, such as `https://rest.iad-01.braze.com`", is_required=True),
        Setting("api_key", "a REST key with the permission `users.track`", is_required=True, is_secret=True),
        Setting("existing_only", "`true`: nobody is created there; `false` by default"),
        ALLOW_PRIVATE,
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
WAITS = ("x-ratelimit-retry-after", "x-ratelimit-reset")  # headers of a 429
TIMEOUT = 30.0
READ = 50  # people of one question


def account(settings: Settings) -> str:
    """The instance, which many workspaces share, and what is left of the key of ours: it opens none."""
    return f"{_endpoint(settings)} {hashlib.sha256(settings['api_key'].encode()).hexdigest()[:12]}"


def problems(settings: Settings) -> list[str]:
    wrong = one_of(settings, "existing_only", "false", "true")
    return wrong + address(settings, "endpoint")


def limits(settings: Settings) -> Limits:
    around = len(b'{"attributes":[]}')
    return Limits(BATCH, REQUEST_BYTES, OBJECT_BYTES, RATES, lanes=LANES, timeout=TIMEOUT, envelope=around)


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    for positions in together(records, OBJECT_BYTES - AROUND, is_shared=_is_shared):
        told = [records[each] for each in positions]
        if told[0]["form"] == EVENT:
            yield Update(tuple(positions), encoded(_event(told[0], origin, settings)), "events", once=True)
        else:
            body = encoded(_attributes(told, settings))
            yield Update(tuple(positions), body, "attributes", problem=_problem(told[0]))


def _is_shared(record: Record) -> bool:
    return is_property(record) and not _problem(record)


def _problem(record: Record) -> str:
    """Why an attribute cannot be told."""
    found = value(record)
    # Who goes by one of these is found by it, whichever of them comes: beside an external_id they are attributes.
    naming = {"email", "phone"} if record["id_type"] in ("email", "phone") else set()
    if record["key"] in RESERVED | FLAGS | naming:
        return "its name says there whom attributes are of, or how they are taken; give it another name"
    if isinstance(found, dict) and ORDERS & found.keys():
        return "an object with such a name in it is an order to Braze, and not a value"
    return ""


def _attributes(records: Sequence[Record], settings: Settings) -> dict[str, Any]:
    return {**{each["key"]: value(each) for each in records}, **_person(records[0], settings)}


def _event(record: Record, origin: Origin, settings: Settings) -> dict[str, Any]:
    told = {"name": calls.event(record), "time": origin.as_of, "properties": calls.event_properties(record)}
    return {**_person(record, settings), **told}


def _person(record: Record, settings: Settings) -> dict[str, Any]:
    """Whom an object is about, and whether they may be made."""
    only = {"_update_existing_only": True} if settings.get("existing_only") == "true" else {}
    return {NAMES[record["id_type"]]: record["id_value"], **only}


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    array = updates[0].group
    body = b'{"%s":[%s]}' % (array.encode(), b",".join(each.body for each in updates))
    return answer((yield _request("users/track", body, settings)), array, len(updates), at)


def answer(response: Response, array: str, count: int, at: int) -> Answer:
    verdict, body = by_status(response.status), document(response)
    if verdict.outcome == "throttled":
        return replace(verdict, after=asked(response, at, *WAITS))
    if verdict.outcome != "delivered":
        return verdict
    if not isinstance(body.get("message"), str):
        return unexpected(response)
    if body["message"] != "success":
        return Verdict("invalid", f"HTTP {response.status}: not taken")
    return _told(verdict, body.get("errors") or [], array, count)


def _told(verdict: Verdict, errors: Any, array: str, count: int) -> Answer:
    """What became of each, by its place; an error that has none of these may be about any of them."""
    wrong = {at: each for each in listed(errors) if (at := _place(each, array, count)) is not None}
    is_placed = isinstance(errors, list) and all(_place(each, array, count) is not None for each in errors)
    if not is_placed and (array == "attributes" or count == 1):
        return Verdict("invalid", "failed, and nobody says which")
    rest = verdict if is_placed else Verdict("transient", "some failed, and nobody says which", in_doubt=True)
    return [named(wrong[at].get("type")) if at in wrong else rest for at in range(count)]


def _place(error: Any, array: str, count: int) -> int | None:
    """The place in our array that an error names."""
    at = error.get("index") if isinstance(error, dict) and error.get("input_array") == array else None
    return at if type(at) is int and 0 <= at < count else None


# --- reading back -----------------------------------------------------------------------------------


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    found: Found = []
    fields = ["external_id", key if key in STANDARD else "custom_attributes"]
    for start in range(0, len(people), READ):
        asked_for = [each for _, each in people[start : start + READ]]
        question = encoded({"external_ids": asked_for, "fields_to_export": fields})
        response = yield _request("users/export/ids", question, settings, asks=True)
        users = document(response).get("users")
        if response.status >= 300 or not isinstance(users, list):
            return unexpected(response)
        named = [each for each in users if isinstance(each, dict)]
        found += [("user_id", str(each.get("external_id")), there) for each in named for there in _there(each, key)]
    return found


def _there(user: Mapping[str, Any], key: str) -> list[Any]:
    """The value a person has, where there is one that is not false."""
    attributes = user if key in STANDARD else user.get("custom_attributes")
    there = attributes.get(key) if isinstance(attributes, dict) else None
    return [there] if is_there(there) else []


def _request(path: str, body: bytes, settings: Settings, *, asks: bool = False) -> Request:
    headers = {**TYPE, "Authorization": f"Bearer {settings['api_key']}"}
    return Request("POST", f"{_endpoint(settings)}/{path}", headers, body, path, asks=asks)


def _endpoint(settings: Settings) -> str:
    return settings["endpoint"].rstrip("/")

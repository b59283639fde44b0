"""Appcues: profiles, events and segments by its API, or by its intake for Segment-shaped calls (destinations.md 3).

A profile is written by `PATCH …/users/{id}/profile` with an object of plain values, an event is posted for one person,
and a segment is told user ids to add or to remove, many at once. There is no batch of people: every one is a request
of its own, in lanes. The intake takes one identify or track call a request and knows no segments.

Lists and objects are ignored there without a word (Appcues' page "Supported Data Types"), so they go as JSON text; the
same page has null for a value that does not exist. Answers: any 2xx took it, 202 into a queue; nothing names people.
Events are counted as often as they come, so one that may have arrived is not sent again.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from populace.destinations import calls, hosts
from populace.destinations.bodies import (
    TYPE,
    basic,
    document,
    encoded,
    is_there,
    problems_of_unset,
    taken_away,
    unexpected,
    unset,
    value,
)
from populace.destinations.protocol import (
    EVENT,
    LIST,
    PROPERTY,
    About,
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

HOSTS = {"us": "https://api.appcues.com", "eu": "https://api.eu.appcues.com"}
INTAKES = {"us": "https://segment.appcues.com", "eu": "https://segment.eu.appcues.com"}
WAYS = ("api", "segment")
UNSET = "null"
IDS = "user_ids"

ABOUT = About(
    title="Appcues",
    forms=(PROPERTY, LIST, EVENT),
    settings=(
        Setting("account_id", "the number of your account in Appcues", is_required=True),
        Setting("api_key", "an API key with the permission Publisher", is_required=True, is_secret=True),
        Setting("api_secret", "what was shown beside the key when it was made", is_required=True, is_secret=True),
        Setting("intake", "`api` by default; `segment` for the intake of Segment-shaped calls, which has no lists"),
        unset(UNSET),
        Setting("segment_ids_field", f"the field that holds the ids of people for a segment; `{IDS}` by default"),
        *hosts.settings_of(HOSTS),
    ),
    identifies=("user_id",),
    readable={PROPERTY: ("user_id",)},
)

NO_SEGMENTS = "the intake knows no segments; use 'intake: api'"
LIST_STAGE = 1  # people before the segments they join
MEMBERS = 1_000  # in one request about a segment
REQUEST_BYTES = 1_000_000
UPDATE_BYTES = 100_000
AROUND = 4_096  # bytes of an update that are not its values
RATES = {"": 10.0}  # a second: our own caution, since nothing is documented
LANES = 16
UNADDRESSABLE = ("", ".", "..")  # as a step of a path these mean another path


def account(settings: Settings) -> str:
    return f"{hosts.host(settings, HOSTS)}/v2/accounts/{settings['account_id']}"


def problems(settings: Settings) -> list[str]:
    return one_of(settings, "intake", *WAYS) + problems_of_unset(settings) + hosts.problems(settings, HOSTS)


def limits(settings: Settings) -> Limits:
    around = len(_members([], settings))
    return Limits(MEMBERS, REQUEST_BYTES, UPDATE_BYTES, RATES, lanes=LANES, envelope=around)


def lacking(form: str, settings: Settings) -> str:
    return NO_SEGMENTS if form == LIST and _is_intake(settings) else ""


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    tell = _call if _is_intake(settings) else _told
    for positions in together(records, UPDATE_BYTES - AROUND):
        told = [_plain(records[each], settings) for each in positions]
        if told[0]["form"] == LIST:
            yield _member(positions[0], told[0], origin, settings)
        else:
            yield tell(tuple(positions), told, origin)


def _told(positions: tuple[int, ...], told: Sequence[Record], origin: Origin) -> Update:
    """Values or an event of one person; the position makes a group of its own, since no two share a request."""
    person = f"users/{_step(told[0]['id_value'])}"
    problem = _problem(told[0])
    if told[0]["form"] == EVENT:
        body = encoded(_event(told[0], origin))
        return Update(positions, body, f"{person}/events/{positions[0]}", once=True, problem=problem)
    body = encoded({each["key"]: value(each) for each in told})
    return Update(positions, body, f"{person}/profile/{positions[0]}", problem=problem)


def _event(record: Record, origin: Origin) -> dict[str, Any]:
    return {"name": calls.event(record), "timestamp": origin.as_of, "attributes": calls.event_properties(record)}


def _call(positions: tuple[int, ...], told: Sequence[Record], origin: Origin) -> Update:
    """The same for the intake, which reads who, what and when of a call, and not where it comes from."""
    is_event = told[0]["form"] == EVENT
    call = calls.track(told[0], origin) if is_event else calls.identify(told, origin)
    del call["context"]
    return Update(positions, encoded(call), f"segment/direct/{positions[0]}", once=is_event)


def _member(position: int, record: Record, origin: Origin, settings: Settings) -> Update:
    body = encoded(record["id_value"])
    if _is_intake(settings):
        return Update((position,), body, stage=LIST_STAGE, problem=NO_SEGMENTS)
    action = "add_user_ids" if value(record) else "remove_user_ids"
    return Update((position,), body, f"segments/{_step(origin.lists[record['key']])}/{action}", LIST_STAGE)


def _plain(record: Record, settings: Settings) -> Record:
    """The record with a value that Appcues reads: text, a number, true or false, or what takes one away."""
    found = value(record)
    if found is None and record["form"] == PROPERTY:
        found = taken_away(settings, UNSET)
    return {**record, "value": encoded(record["value"] if isinstance(found, (dict, list)) else found).decode()}


def _problem(record: Record) -> str:
    return "this user id cannot stand in an address" if record["id_value"] in UNADDRESSABLE else ""


def _step(name: str) -> str:
    """A name as one step of a path, whatever it has in it."""
    return quote(name, safe="")


def _is_intake(settings: Settings) -> bool:
    return settings.get("intake") == "segment"


# --- lists ------------------------------------------------------------------------------------------


def listing(key: str, name: str, settings: Settings) -> Listing:
    """The id of the segment with this name, or of a new one."""
    if _is_intake(settings):
        return Verdict("invalid", "the intake knows no segments; use 'intake: api'")
    response = yield _request("GET", "segments", b"", settings)
    known = _segments(response)
    if known is None:
        return unexpected(response)
    if found := next((each["id"] for each in known if each.get("name") == name and each.get("id")), None):
        return str(found)
    body = encoded({"name": name, "description": f"Kept by Populace: {key}"})
    made = yield _request("POST", "segments", body, settings)
    found = document(made).get("id")
    return found if isinstance(found, str) and found and made.status < 300 else unexpected(made)


def _segments(response: Response) -> list[dict[str, Any]] | None:
    """The segments of an answer, which is a list of them or has one; None where nobody can read it."""
    found = _json(response)
    found = found.get("segments") if isinstance(found, dict) else found
    if response.status != 200 or not isinstance(found, list):
        return None
    return [each for each in found if isinstance(each, dict)]


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    group = updates[0].group
    if group.startswith("segments/"):
        body = _members([each.body for each in updates], settings)
        return answer((yield _request("POST", group, body, settings)))
    path = group.rpartition("/")[0]
    method = "PATCH" if path.endswith("/profile") else "POST"
    return answer((yield _request(method, path, updates[0].body, settings)))


def _members(people: Sequence[bytes], settings: Settings) -> bytes:
    return b"{%s:[%s]}" % (encoded(settings.get("segment_ids_field", IDS)), b",".join(people))


def answer(response: Response) -> Verdict:
    verdict = by_status(response.status)
    if verdict.outcome != "delivered":
        return verdict
    if response.body.strip() and _json(response) is None:
        return unexpected(response)  # a page of somebody in between, who took nothing
    return Verdict("delivered", f"HTTP {response.status}: {'queued' if response.status == 202 else 'accepted'}")


def _json(response: Response) -> Any:
    try:
        return json.loads(response.body)
    except ValueError:
        return None


# --- reading back -----------------------------------------------------------------------------------


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    found: Found = []
    for id_type, id_value in people:
        response = yield _request("GET", f"users/{_step(id_value)}/profile", b"", settings)
        profile = _json(response)
        if response.status == 404:
            continue  # nobody of this name
        if response.status != 200 or not isinstance(profile, dict):
            return unexpected(response)
        there = profile.get(key)
        found += [(id_type, id_value, there)] if is_there(there) else []
    return found


def _request(method: str, path: str, body: bytes, settings: Settings) -> Request:
    host = hosts.host(settings, INTAKES if path == "segment/direct" else HOSTS)
    url = f"{host}/v2/accounts/{_step(settings['account_id'])}/{path}"
    return Request(method, url, {**TYPE, "Authorization": basic(settings["api_key"], settings["api_secret"])}, body)

"""Iterable: fields of people, lists of them, and events (destinations.md 2).

A request holds up to 1,000 people or events. Values of one person are one object; how one is taken away nobody
confirms, so `unset` says it. A list is a static list of the audience's name; whoever leaves it stays subscribed to
every channel.

Answers: 200 says how many failed and names them by what they were called by, never by place. Where fewer are named than
failed nothing is believed of the others. What the vendor's own OpenAPI description says beyond our reference: a list is
read in one plain reply without pages, a removal takes no `preferUserId`, and an event with a known `id` is updated.
Whether bulk requests keep to that is not verified, so an event that may have arrived is not sent again.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from populace.destinations import bodies, calls, hashing, hosts
from populace.destinations.bodies import TYPE, code, document, encoded, listed, unexpected
from populace.destinations.protocol import (
    EVENT,
    LIST,
    PROPERTY,
    About,
    Answer,
    Exchange,
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

HOSTS = {"us": "https://api.iterable.com", "eu": "https://api.eu.iterable.com"}
NAMES = {"email": "email", "user_id": "userId"}  # how Iterable calls our types of identifier

# What may stand in settings that are a choice, the usual one first.
CHOICES = {
    "existing_only": ("false", "true"),
    "dates": ("iterable", "iso"),
    "created_at": ("omit", "seconds", "milliseconds"),
    "read_by": ("email", "user_id"),
}

ABOUT = About(
    title="Iterable",
    forms=(PROPERTY, LIST, EVENT),
    settings=(
        Setting("api_key", "of the type *server-side*, of the project", is_required=True, is_secret=True),
        *hosts.settings_of(HOSTS),
        Setting("existing_only", "`true`: nobody is created there; `false` by default"),
        bodies.unset("null"),
        Setting("dates", "how instants are written: `iterable` by default, `2024-03-01 00:00:00 +00:00`; or `iso`"),
        Setting(
            "created_at", "the time of an event: `omit` by default, that of its arrival; `seconds`; `milliseconds`"
        ),
        Setting("read_by", "`email` or `user_id`, to read lists back of people whom we know by both"),
    ),
    # Mail is sent to addresses, and most projects know people by them; where one knows people by userId alone,
    # `identifiers` says so. A user id that is not known there makes somebody whom no mail reaches.
    identifies=("email", "user_id"),
    reserved=frozenset({"email"}),
    readable={LIST: ("email", "user_id")},
    normal={"email": hashing.email},
)

BATCH = 1_000
REQUEST_BYTES = 4_000_000
AROUND = 1_024  # bytes of a request, or of a person in it, that are neither people nor values
FIELDS = 10_000  # more than a project has, so that nobody is twice in a request
RATES = {
    "bulkUpdate": 5.0,  # all of them a second
    "trackBulk": 10.0,
    "lists": 100.0,
    "getUsers": 5 / 60,
}
LANES = 4
TIMEOUT = 30.0
LONGEST_LIST = 50_000_000  # bytes: about two million addresses

# Profiles before their events: groups are sent in the order of their names.
PEOPLE, EVENTS = "bulkUpdate", "trackBulk"
LIST_STAGE = 1

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
USER_ID = re.compile(r"[ -~]{0,51}[!-~]")  # 52 characters of ASCII, without a space at the end
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
PLACEHOLDER = "@placeholder.email"  # of somebody without an address, in a project that knows people by address

# Why somebody was not taken, by the start of the name of a list in the answer; an earlier one is more exact.
REASONS = {
    "forgotten": "erased there; never sent again",
    "notFound": "not known there",
    "conflict": "taken by somebody else there",
    "invalidData": "a value is not taken; is it of the type that its field has there?",
    "invalid": "the identifier is not taken",
}
BUCKETS = {"ForgottenUserError": "forgotten", "UnknownEmailError": "notFound", "UnknownUserIdError": "notFound"}


def account(settings: Settings) -> str:
    """The region and the project; what is left of its key tells projects apart and opens none."""
    return f"{_host(settings)} {hashlib.sha256(settings['api_key'].encode()).hexdigest()[:12]}"


def problems(settings: Settings) -> list[str]:
    wrong = [each for name, known in CHOICES.items() for each in one_of(settings, name, *known)]
    return [*wrong, *bodies.problems_of_unset(settings), *hosts.problems(settings, HOSTS)]


def limits(settings: Settings) -> Limits:
    most = REQUEST_BYTES - AROUND
    return Limits(BATCH, REQUEST_BYTES, most, RATES, lanes=LANES, timeout=TIMEOUT, envelope=AROUND)


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    for positions in together(records, REQUEST_BYTES - 2 * AROUND, FIELDS):
        yield _update(tuple(positions), [records[each] for each in positions], origin, settings)


def _update(positions: tuple[int, ...], told: Sequence[Record], origin: Origin, settings: Settings) -> Update:
    first, problem = told[0], _problem(told[0])
    if first["form"] == EVENT:
        return Update(positions, encoded(_event(first, origin, settings)), EVENTS, once=True, problem=problem)
    if first["form"] == PROPERTY:
        return Update(positions, encoded(_fields(told, settings)), PEOPLE, problem=problem)
    joins = first["value"] == "true"
    group = f"lists/{origin.lists[first['key']]}/{'subscribe' if joins else 'unsubscribe'}"
    body = {**_named(first), **(_made(first, settings) if joins else {})}
    return Update(positions, encoded(body), group, LIST_STAGE, problem=problem)


def _problem(record: Record) -> str:
    """Why nobody can go by this identifier there."""
    if record["id_type"] == "email":
        return "" if ADDRESS.fullmatch(record["id_value"]) else "not an address of mail"
    return "" if USER_ID.fullmatch(record["id_value"]) else "not a user id there: at most 52 characters of ASCII"


def _named(record: Record) -> dict[str, Any]:
    return {NAMES[record["id_type"]]: record["id_value"]}


def _made(record: Record, settings: Settings) -> dict[str, bool]:
    """Whether somebody is made by a user id where people are known by address."""
    return {"preferUserId": not _existing_only(settings)} if record["id_type"] == "user_id" else {}


def _fields(records: Sequence[Record], settings: Settings) -> dict[str, Any]:
    """Values of one person. An object replaces the one before, or what is gone from it would stay."""
    fields = {each["key"]: _value(each, settings) for each in records}
    return {**_named(records[0]), **_made(records[0], settings), "dataFields": fields, "mergeNestedObjects": False}


def _value(record: Record, settings: Settings) -> Any:
    value = bodies.value(record)
    if value is None:
        return bodies.taken_away(settings, "null")
    return _date(value) if settings.get("dates") != "iso" else value


def _date(value: Any) -> Any:
    """An instant as Iterable writes them, so that its field becomes a date; anything else as it is."""
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        return value
    try:
        return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +00:00")
    except (ValueError, OverflowError):  # no such day, or one before the calendar
        return value


def _event(record: Record, origin: Origin, settings: Settings) -> dict[str, Any]:
    factor = {"seconds": 1, "milliseconds": 1_000}.get(settings.get("created_at", "omit"))
    at = {"createdAt": int(datetime.fromisoformat(origin.as_of).timestamp()) * factor} if factor else {}
    told = {"eventName": calls.event(record), "id": record["message_id"], **at}
    return {**_named(record), **told, "dataFields": calls.event_properties(record)}


# --- lists ------------------------------------------------------------------------------------------


def listing(key: str, name: str, settings: Settings) -> Listing:
    """Find the static list of this name, the first that was made, or make it."""
    response = yield _request("GET", "lists", b"", settings, "lists", LONGEST_LIST)
    if response.status != 200 or "lists" not in (body := document(response)):
        return _not_taken(response)
    found = [each["id"] for each in listed(body["lists"]) if _is_ours(each, name)]
    if found:
        return str(min(found))
    response = yield _request("POST", "lists", encoded({"name": name}), settings, "lists")
    made = document(response).get("listId")
    return str(made) if response.status == 200 and made else _not_taken(response)


def _is_ours(found: Any, name: str) -> bool:
    """Whether people can be added to a list, and it has this name."""
    is_list = isinstance(found, dict) and isinstance(found.get("id"), int)
    return is_list and found.get("name") == name and found.get("listType", "Standard") == "Standard"


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    group, items = updates[0].group, b",".join(each.body for each in updates)
    if group == EVENTS:
        request = _request("POST", "events/trackBulk", b'{"events":[%s]}' % items, settings, EVENTS)
    elif group == PEOPLE:
        opening = encoded({"updateOnly": _existing_only(settings)})[:-1]
        request = _request("POST", "users/bulkUpdate", b'%s,"users":[%s]}' % (opening, items), settings, PEOPLE)
    else:
        _, number, action = group.split("/")
        opening = encoded({"listId": _number(number), **_about_list(action, settings)})[:-1]
        request = _request("POST", f"lists/{action}", b'%s,"subscribers":[%s]}' % (opening, items), settings, "lists")
    return answer((yield request), updates)


def _about_list(action: str, settings: Settings) -> dict[str, bool]:
    # Sources differ on the default, and the wrong one unsubscribes people from all mail.
    if action == "unsubscribe":
        return {"channelUnsubscribe": False}
    return {"updateExistingUsersOnly": _existing_only(settings)}


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def answer(response: Response, updates: Sequence[Update]) -> Answer:
    body = document(response)
    if by_status(response.status).outcome != "delivered":
        return _not_taken(response, updates)
    failed, taken = body.get("failCount"), body.get("successCount")
    if not isinstance(failed, int) or not isinstance(taken, int):
        return unexpected(response)
    people = [json.loads(each.body) for each in updates]
    failures = _failures(body)
    named = [_named_in(body, failures, *each) for each in zip(people, updates, strict=True)]
    if failed > sum(each is not None for each in named):
        return _unnamed(named, taken, is_once=updates[0].once)
    dropped = set(map(str, listed(body.get("filteredOutFields"))))
    lost = [dropped.intersection(each.get("dataFields", ())) for each in people]
    return [each or _taken(fields) for each, fields in zip(named, lost, strict=True)]


def _failures(body: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Why each person failed whom an answer names; the most exact reason where there are several."""
    exact = body.get("failedUpdates")
    # At the top stand lists of an older kind, which say no more than that somebody failed.
    places = [(body, "invalid"), *((exact, each) for each in reversed(REASONS) if isinstance(exact, dict))]
    found: dict[tuple[str, str], str] = {}
    for place, reason in places:
        found |= {("email", str(each).strip().lower()): reason for each in listed(place.get(f"{reason}Emails"))}
        found |= {("userId", str(each)): reason for each in listed(place.get(f"{reason}UserIds"))}
    return found


def _named_in(
    body: Mapping[str, Any], failures: Mapping[tuple[str, str], str], told: Mapping[str, Any], update: Update
) -> Verdict | None:
    """What an answer says of one update by the name of its person, or of its event; None where it says nothing."""
    if told.get("eventName", "") in listed(body.get("disallowedEventNames")):
        return Verdict("invalid", "the project does not allow this event")
    # Addresses are the same in any case, and user ids are not.
    who = ("email", told["email"].strip().lower()) if "email" in told else ("userId", told["userId"])
    return _failed(failures[who], update) if who in failures else None


def _failed(reason: str, update: Update) -> Verdict:
    is_gone = reason == "forgotten" or (reason == "notFound" and update.group.endswith("/unsubscribe"))
    return Verdict("noop" if is_gone else "invalid", REASONS[reason])


def _unnamed(named: Sequence[Verdict | None], taken: int, *, is_once: bool) -> Answer:
    """Some failed and are not named: halves tell who, but what was taken and counted must not be sent again."""
    why, in_doubt = "some failed, and nobody says which", taken > 0
    if is_once and taken:
        rest = Verdict("unknown", why, in_doubt=True)
    elif any(named):
        rest = Verdict("transient", why, in_doubt=in_doubt)  # without those who are named it is asked again
    else:
        return Verdict("invalid", why, in_doubt=in_doubt)
    return [each or rest for each in named]


def _taken(lost: set[str]) -> Verdict:
    if lost:
        return Verdict("warning", f"the project drops fields that it does not know: {', '.join(sorted(lost))}")
    return Verdict("delivered", "accepted")


def _not_taken(response: Response, updates: Sequence[Update] = ()) -> Verdict:
    """What became of a request that was not taken as a whole."""
    body = document(response)
    said, verdict = code(body.get("code")), unexpected(response)
    reason = f"{verdict.reason} ({said})" if said else verdict.reason
    if verdict.outcome == "throttled":
        return Verdict("throttled", reason, after=_reset(body))
    if response.status == 400 and said == "BatchTooLarge":
        return Verdict("too_large", reason)
    # Of several nobody says which one it is; alone it is this one.
    if response.status in (400, 409) and said in BUCKETS and len(updates) == 1:
        return _failed(BUCKETS[said], updates[0])
    return Verdict(verdict.outcome, reason, in_doubt=verdict.in_doubt)


def _reset(body: Mapping[str, Any]) -> float | None:
    """Seconds until another request is taken, which stand in the body."""
    params = body.get("params")
    seconds = params.get("rateLimitReset") if isinstance(params, dict) else None
    return max(float(seconds), 0.0) if isinstance(seconds, int | float) and seconds < 86_400 else None


# --- reading back -----------------------------------------------------------------------------------


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    """Everybody on a list, by the one identifier that all of them are known by: a profile with two answers to one.

    Told apart wrongly, somebody would be taken for a stranger and removed; so where we know people by both, `read_by`
    has to be written.
    """
    types = {id_type for id_type, _ in people}
    by = settings.get("read_by") or ("".join(types) if len(types) == 1 else "")
    if not by:
        return Verdict("refused", "write in 'read_by' what everybody on the lists is known by: email or user_id")
    query = f"listId={origin.lists[key]}&preferUserId={str(by == 'user_id').lower()}"
    response = yield _request("GET", f"lists/getUsers?{query}", b"", settings, "getUsers", LONGEST_LIST)
    # Any text would do for a list of names, so it has to say that it is one.
    if response.status != 200 or not response.headers.get("content-type", "").startswith(("text/plain", "text/csv")):
        return _not_taken(response)
    if response.is_cut:
        return Verdict("refused", f"the list is longer than {LONGEST_LIST:,} bytes, too long to be read back")
    names = response.body.decode(errors="replace").splitlines()
    if by == "email" and any(each.strip().lower().endswith(PLACEHOLDER) for each in names):
        return Verdict("refused", "people without an address are on the list, whom nobody can tell apart")
    return [(*_read(each, by), True) for each in names if each.strip()]


def _read(line: str, by: str) -> tuple[str, str]:
    return ("email", line.strip().lower()) if by == "email" and "@" in line else ("user_id", line)


def _existing_only(settings: Settings) -> bool:
    return settings.get("existing_only") == "true"


def _host(settings: Settings) -> str:
    return hosts.host(settings, HOSTS)


def _request(
    method: str, path: str, body: bytes, settings: Settings, endpoint: str, reply_bytes: int = 1_000_000
) -> Request:
    headers = {**TYPE, "Api-Key": settings["api_key"]}
    return Request(method, f"{_host(settings)}/api/{path}", headers, body, endpoint, reply_bytes=reply_bytes)

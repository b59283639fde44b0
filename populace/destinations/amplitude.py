"""Amplitude: user properties and events of one project, and cohorts that people are put into (destinations.md 1).

Properties and events go to `/batch`, which takes up to 2,000 events. What one person is to have is one `$identify`
event of operations alone, `$set` and `$unset`: Amplitude drops updates of a person beyond 1,800 an hour without a word.
Every event has an `insert_id`, so a repetition within seven days is ignored.

Answers of `/batch`: 200 took everything. A 400 took nothing and names the events at fault by their place, so the others
are sent again without them, within the same conversation; a 429 may name the people who are told too much at once, and
is dealt with likewise. A wrong key is a 400 as well, which the vendor's own libraries tell by the text of its `error`.

A cohort is found by its name. It cannot be made empty, so one is made with somebody who is known there and is taken out
again. Only people whom Amplitude knows can join: `skipped_ids` are the others, and the only thing said about anybody.
A cohort is read back as a file of comma-separated values, which lies at another address where it is large.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from populace.destinations import calls, hosts
from populace.destinations.bodies import TYPE, basic, code, document, encoded, listed, message_id, unexpected, value
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

HOSTS = {"us": "https://api2.amplitude.com", "eu": "https://api.eu.amplitude.com"}
COHORT_HOSTS = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}

# How Amplitude calls our types of identifier.
NAMES = {"user_id": "user_id", "anonymous_id": "device_id", "ios.id": "device_id", "android.id": "device_id"}

SEED = ("app_id", "owner", "seed_user")  # what it takes to make a cohort

ABOUT = About(
    title="Amplitude",
    forms=(PROPERTY, LIST, EVENT),
    settings=(
        Setting("api_key", "of the project", is_required=True, is_secret=True),
        Setting("secret_key", "of the project; for cohorts, the form `list`", is_secret=True),
        *hosts.settings_of(HOSTS),
        Setting("app_id", "number of the project; with `owner` and `seed_user`, to make cohorts that are not there"),
        Setting("owner", "login of whom new cohorts belong to"),
        Setting("seed_user", "user_id of somebody Amplitude knows, who is in a new cohort for a moment"),
    ),
    identifies=tuple(NAMES),
    readable={LIST: ("user_id",)},
)

BATCH = 2_000
REQUEST_BYTES = 20_000_000
UPDATE_BYTES = 1_000_000
AROUND = 2_048  # bytes of an event that are not its properties
RATES = {"": 100.0, "cohorts/request": 0.1}  # a second: batches of the smallest plan; downloads, 60 in ten minutes
LANES = 4
SHORTEST_ID = {"min_id_length": 1}  # else identifiers of less than five characters are refused
ROUNDS = 10  # of one conversation, each without those whom the one before named
PAUSE = 30.0  # seconds for a person who is told too much at once
POLLS, BETWEEN_POLLS = 60, 5.0

# How the events at fault are named, and what that means.
FAULTS = {
    "events_with_invalid_fields": "not valid",
    "events_with_missing_fields": "missing",
    "events_with_invalid_id_lengths": "of a length that is not taken",
}

NO_SECRET = Verdict("refused", "cohorts need 'secret_key'")
NO_SEED = Verdict(
    "refused", "no cohort has the name of the audience: set 'app_id', 'owner' and 'seed_user', or name one in 'lists'"
)
GONE = Verdict("refused", "HTTP 404: the cohort is not there any more; sync with --resync to find or make it")
NOT_KNOWN = Verdict("invalid", "not known there, so not in the cohort; replay the letters once Amplitude has seen them")
NOBODY = Verdict("noop", "not known there")
LEFT = Verdict("transient", "not taken, because others of the request are at fault")
NOT_NAMED = "cohorts take people by user_id alone"


def account(settings: Settings) -> str:
    """The host and the project; what is left of its key tells projects apart and opens none."""
    return f"{hosts.host(settings, HOSTS)} {hashlib.sha256(settings['api_key'].encode()).hexdigest()[:12]}"


def problems(settings: Settings) -> list[str]:
    found = hosts.problems(settings, HOSTS)
    given = [each for each in SEED if each in settings]
    if given and len(given) < len(SEED):
        found.append("'app_id', 'owner' and 'seed_user' are given together, or none of them")
    if given and "secret_key" not in settings:
        found.append("cohorts need 'secret_key'")
    app_id = settings.get("app_id", "0")
    if not app_id.isdecimal() and "${" not in app_id:
        found.append("'app_id' must be a number")
    return found


def limits(settings: Settings) -> Limits:
    around = len(_batch_body([], settings))
    return Limits(BATCH, REQUEST_BYTES, UPDATE_BYTES, RATES, lanes=LANES, envelope=around)


def lacking(form: str, settings: Settings) -> str:
    return NO_SECRET.reason if form == LIST and not settings.get("secret_key") else ""


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    for positions in together(records, UPDATE_BYTES - AROUND):
        told = [records[each] for each in positions]
        if told[0]["form"] == LIST:
            yield _membership(positions[0], told[0], origin)
        else:
            yield Update(tuple(positions), encoded(_event(told, origin)), "batch")


def _membership(at: int, record: Record, origin: Origin) -> Update:
    """Who is added goes before who is removed, by the names of their groups."""
    problem = "" if record["id_type"] == "user_id" else NOT_NAMED
    group = f"cohorts/{origin.lists[record['key']]}/{'add' if record['value'] == 'true' else 'remove'}"
    return Update((at,), encoded(record["id_value"]), group, stage=1, problem=problem)


def _event(records: Sequence[Record], origin: Origin) -> dict[str, Any]:
    first = records[0]
    told = {
        NAMES[first["id_type"]]: first["id_value"],
        "time": round(datetime.fromisoformat(origin.as_of).timestamp() * 1000),
        "insert_id": message_id(records),
    }
    if first["form"] == EVENT:
        return {"event_type": calls.event(first), **told, "event_properties": calls.event_properties(first)}
    return {"event_type": "$identify", **told, "user_properties": _operations(records)}


def _operations(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    values = {each["key"]: value(each) for each in records}
    given = {key: each for key, each in values.items() if each is not None}
    taken = {key: "-" for key, each in values.items() if each is None}
    return {**({"$set": given} if given else {}), **({"$unset": taken} if taken else {})}


# --- lists ------------------------------------------------------------------------------------------


def listing(key: str, name: str, settings: Settings) -> Listing:
    """Find the cohort by its name, or make it, and take out whom it was made with.

    Whatever comes of that, the next time finds the cohort and takes them out: nobody has been added before.
    """
    if "secret_key" not in settings:
        return NO_SECRET
    there = yield _cohorts("GET", "api/3/cohorts", b"", settings)
    if not isinstance(document(there).get("cohorts"), list):
        return unexpected(there)
    cohort = next((each["id"] for each in document(there)["cohorts"] if _is_it(each, name)), None)
    if cohort is None:
        if not all(each in settings for each in SEED):
            return NO_SEED
        made = yield _cohorts("POST", "api/3/cohorts/upload", encoded(_new(name, settings)), settings)
        cohort = document(made).get("cohortId")
        if not cohort:
            return _not_made(made)
    if "seed_user" in settings:
        emptied = yield _changed(str(cohort), "REMOVE", [settings["seed_user"]], settings)
        if by_status(emptied.status).outcome != "delivered":
            return _not_made(emptied)
    return str(cohort)


def _is_it(cohort: Any, name: str) -> bool:
    is_one = isinstance(cohort, dict) and bool(cohort.get("id"))
    return is_one and cohort.get("name") == name and not cohort.get("archived")


def _new(name: str, settings: Settings) -> dict[str, Any]:
    seed = {"id_type": "BY_USER_ID", "ids": [settings["seed_user"]]}
    return {"name": name, "app_id": int(settings["app_id"]), **seed, "owner": settings["owner"], "published": True}


def _not_made(response: Response) -> Verdict:
    """Why there is no cohort: never the fault of who is to join, so nobody is parked for it."""
    verdict = unexpected(response)
    if verdict.outcome != "invalid":
        return verdict
    reason = "the cohort can be neither made nor written; check 'app_id', 'owner' and 'seed_user'"
    return Verdict("refused", f"HTTP {response.status}: {reason}")


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    return (_told if updates[0].group == "batch" else _joined)(updates, settings)


def _told(updates: Sequence[Update], settings: Settings) -> Exchange:
    """Send until a request is taken: one that names those at fault took nothing, so the rest is sent without them."""
    verdicts: dict[int, Verdict] = {}
    everybody = range(len(updates))
    for _ in range(ROUNDS):
        waiting = [each for each in everybody if each not in verdicts]
        if not waiting:
            break
        response = yield _batch([updates[each].body for each in waiting], settings)
        found = named(response, len(waiting))
        if not found:
            return _of_the_rest(taken(response, len(waiting)), verdicts, len(updates))
        verdicts |= {waiting[place]: verdict for place, verdict in found.items()}
    return [verdicts.get(each, LEFT) for each in everybody]


def _of_the_rest(verdict: Verdict, verdicts: Mapping[int, Verdict], count: int) -> Answer:
    """The answer where the last request named nobody; what is to be halved, or stops everything, is so as a whole."""
    if not verdicts or verdict.outcome in ("invalid", "too_large", "refused"):
        return verdict
    return [verdicts.get(each, verdict) for each in range(count)]


def named(response: Response, count: int) -> dict[int, Verdict]:
    """The events that an answer names by their place, of so many; each is the reason why the others were not taken."""
    body = document(response)
    if response.status == 429:
        busy = Verdict("throttled", "HTTP 429: too much about this person at once", after=PAUSE)
        return dict.fromkeys(_places(body.get("throttled_events"), count), busy)
    if response.status != 400:
        return {}
    silenced = Verdict("invalid", "HTTP 400: the device is silenced there")
    found = dict.fromkeys(_places(body.get("silenced_events"), count), silenced)
    for fault, means in FAULTS.items():
        fields = body.get(fault)
        for field, places in (fields if isinstance(fields, dict) else {}).items():
            wrong = Verdict("invalid", f"HTTP 400: {code(field) or 'a field'} is {means}")
            found |= dict.fromkeys(_places(places, count), wrong)
    return found


def _places(found: Any, count: int) -> list[int]:
    return [each for each in listed(found) if type(each) is int and 0 <= each < count]


def taken(response: Response, count: int) -> Verdict:
    """What an answer says of all events of its request."""
    verdict, body = by_status(response.status), document(response)
    if verdict.outcome == "throttled":
        return replace(verdict, after=PAUSE)
    if response.status == 400 and _is_about_key(body):
        return Verdict("refused", "HTTP 400: the API key is not accepted; check it, and the region")
    if verdict.outcome != "delivered":
        return verdict
    if body.get("code") != 200:
        return unexpected(response)
    ingested = body.get("events_ingested", count)
    if type(ingested) is int and ingested < count:
        return Verdict("warning", f"HTTP {response.status}: {ingested} of {count} events were ingested")
    return verdict


def _is_about_key(body: Mapping[str, Any]) -> bool:
    return str(body.get("error", "")).startswith("Invalid API key") or body.get("missing_field") == "api_key"


def _joined(updates: Sequence[Update], settings: Settings) -> Exchange:
    if "secret_key" not in settings:
        return NO_SECRET
    cohort, _, doing = updates[0].group.removeprefix("cohorts/").rpartition("/")
    people = [json.loads(each.body) for each in updates]
    operation = doing.upper()
    # Nobody may be named twice in one request.
    response = yield _changed(cohort, operation, list(dict.fromkeys(people)), settings)
    return joined(response, operation, people)


def joined(response: Response, operation: str, people: Sequence[str]) -> Answer:
    """What became of each who was to join or to leave a cohort."""
    verdict = by_status(response.status)
    if response.status == 404:
        return GONE
    if verdict.outcome != "delivered":
        return verdict
    results = [each for each in listed(document(response).get("memberships_result")) if isinstance(each, dict)]
    if not results:
        return unexpected(response)
    skipped = {str(each) for result in results for each in listed(result.get("skipped_ids"))}
    passed = NOT_KNOWN if operation == "ADD" else NOBODY
    return [passed if each in skipped else verdict for each in people]


# --- reading back -----------------------------------------------------------------------------------


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    """Ask for the cohort as a file, wait until it is written, and read it."""
    if "secret_key" not in settings:
        return NO_SECRET
    path = f"api/5/cohorts/request/{quote(origin.lists[key], safe='')}"
    asked = yield _cohorts("GET", path, b"", settings, endpoint="cohorts/request")
    job = quote(str(document(asked).get("request_id") or ""), safe="")
    if not job:
        return unexpected(asked)
    for _ in range(POLLS):
        path = f"api/5/cohorts/request-status/{job}"
        done = yield _cohorts("GET", path, b"", settings, after=BETWEEN_POLLS)
        if done.status != 202:
            break
    if done.status != 200:
        return unexpected(done)
    file = yield _cohorts("GET", f"api/5/cohorts/request/{job}/file", b"", settings)
    if file.status == 302 and file.headers.get("location", "").startswith(("https://", "http://")):
        file = yield Request("GET", file.headers["location"], {}, b"", "file")  # signed: the key stays here
    return _members(file)


def _members(file: Response) -> Found | Verdict:
    if file.status != 200:
        return unexpected(file)
    rows = csv.DictReader(io.StringIO(file.body.decode(errors="replace"), newline=""))
    try:
        users = [row["user_id"] for row in rows] if "user_id" in (rows.fieldnames or ()) else None
    except csv.Error:
        users = None
    return unexpected(file) if users is None else [("user_id", each, True) for each in users if each]


# --- requests ---------------------------------------------------------------------------------------


def _batch_body(bodies: Sequence[bytes], settings: Settings) -> bytes:
    opening = encoded({"api_key": settings["api_key"], "options": SHORTEST_ID})
    return b'%s,"events":[%s]}' % (opening.removesuffix(b"}"), b",".join(bodies))


def _batch(bodies: Sequence[bytes], settings: Settings) -> Request:
    return Request("POST", f"{hosts.host(settings, HOSTS)}/batch", TYPE, _batch_body(bodies, settings), "batch")


def _changed(cohort: str, operation: str, people: Sequence[str], settings: Settings) -> Request:
    """Add people to a cohort, or remove them; those who are not known there are passed over."""
    change = {"ids": people, "id_type": "BY_NAME", "operation": operation}
    body = {"cohort_id": cohort, "skip_invalid_ids": True, "memberships": [change]}
    return _cohorts("POST", "api/3/cohorts/membership", encoded(body), settings)


def _cohorts(
    method: str, path: str, body: bytes, settings: Settings, *, endpoint: str = "cohorts", after: float = 0.0
) -> Request:
    headers = {**TYPE, "Authorization": basic(settings["api_key"], settings["secret_key"])}
    return Request(method, f"{hosts.host(settings, COHORT_HOSTS)}/{path}", headers, body, endpoint, after)

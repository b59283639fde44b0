"""FullStory: properties and events of users, imported by jobs (destinations.md 4).

A request hands in a job of up to 50,000 users or events. It is asked for until it is done, and then for its errors,
page by page: whoever failed is known by the user, or the event, that an error repeats. A job is handed in under an
Idempotency-Key made from the ids of its messages, so a repetition leads to the job that is there already.

FullStory keeps no lists that others may write to: a membership is a boolean property. It has no way to take a property
away that we could find; it infers the type of a value, knows no lists of objects, and drops what is too long without
failing the user (its pages "Custom Properties" and "Create Batch Import"; what errors look like is in its SDK).
"""

import hashlib
import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from populace.destinations import calls, hosts
from populace.destinations.bodies import (
    TYPE,
    code,
    document,
    encoded,
    listed,
    message_id,
    problems_of_unset,
    taken_away,
    unexpected,
    unset,
    value,
)
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
    by_status,
)
from populace.destinations.together import together

HOSTS = {"": "https://api.fullstory.com"}  # the key says which data centre is meant
UNSET = "empty"

ABOUT = About(
    title="FullStory",
    forms=(PROPERTY, EVENT),
    settings=(
        Setting("api_key", "as it was issued, with the `na1.` or `eu1.` in front", is_required=True, is_secret=True),
        unset(UNSET),
        *hosts.settings_of(HOSTS),
    ),
    identifies=("user_id",),
    readable={PROPERTY: ("user_id",)},
)

BATCH = 50_000
REQUEST_BYTES = 5_000_000  # ours: nothing is documented
UPDATE_BYTES = 250_000
AROUND = 1_024  # bytes of an update that are not its properties
PROPERTIES = 500
UNNAMED = re.compile(r"x*[^a-z]")  # what has no letter in front, and what would be mistaken for it when it got one
LONGEST_UID, LONGEST_NAME = 256, 512  # characters
VALUE_BYTES = 8_192
RATES = {"": 50.0}  # a second: ours; what FullStory limits is the number of jobs
LANES = 4  # full jobs of which stay under the 500,000 operations that it takes at once
# Seconds before each question after a job: soon for a small one, then every ten for as long as the sender waits.
PAUSES = (*(0.05 * 2**each for each in range(8)), *(10.0,) * 60)
MOST_PAGES = 500

Pages = Generator[Request, Response, "list[dict[str, Any]] | Verdict"]


def account(settings: Settings) -> str:
    """The address, and what is left of a key that tells accounts apart and opens none."""
    return f"{hosts.host(settings, HOSTS)} {hashlib.sha256(settings['api_key'].encode()).hexdigest()[:12]}"


def problems(settings: Settings) -> list[str]:
    return problems_of_unset(settings) + hosts.problems(settings, HOSTS)


def limits(settings: Settings) -> Limits:
    around = len(b'{"requests":[]}')
    return Limits(BATCH, REQUEST_BYTES, UPDATE_BYTES, RATES, lanes=LANES, envelope=around)


def name(key: str) -> str:
    """What a key is called there, where names begin with a letter: `_2024_prices` is `x_2024_prices`.

    No two keys have one name: whatever looks as if it had got its x here gets another.
    """
    return f"x{key}" if UNNAMED.match(key) else key


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    """Each with the id of its message, from which the key of its job is made."""

    def is_shared(record: Record) -> bool:
        return record["form"] == PROPERTY and not _problem(record, settings)

    for positions in together(records, UPDATE_BYTES - AROUND, PROPERTIES, is_shared):
        told = [records[each] for each in positions]
        is_event = told[0]["form"] == EVENT
        said = _event(told[0], origin, settings) if is_event else _user(told, settings)
        body = encoded([message_id(told), said])
        group = "events" if is_event else "users"
        yield Update(tuple(positions), body, group, problem=_problem(told[0], settings))


def _user(records: Sequence[Record], settings: Settings) -> dict[str, Any]:
    properties = {name(each["key"]): _value(each, settings) for each in records}
    return {"uid": records[0]["id_value"], "properties": properties}


def _event(record: Record, origin: Origin, settings: Settings) -> dict[str, Any]:
    """The session is left out: FullStory takes even `false` for one."""
    told = {**calls.event_properties(record), record["key"]: _value(record, settings)}
    return {
        "name": calls.event(record),
        "timestamp": origin.as_of,
        "user": {"uid": record["id_value"]},
        "properties": {name(each): found for each, found in told.items()},
    }


def _value(record: Record, settings: Settings) -> Any:
    """A value that FullStory infers a type of; one that is taken away stays what it was in kind, as far as we know."""
    found = value(record)
    if found is None:
        return False if record["kind"] == "audience" else taken_away(settings, UNSET)
    return found if _is_plain(found) else record["value"]


def _is_plain(found: Any) -> bool:
    """Whether it is text, a number, true or false, or a list of one kind of these."""
    if isinstance(found, list):
        return all(_is_plain(each) and not isinstance(each, list) for each in found) and len(_kinds(found)) <= 1
    return isinstance(found, (str, int, float))


def _kinds(found: Sequence[Any]) -> set[type]:
    return {float if type(each) is int else type(each) for each in found}


def _problem(record: Record, settings: Settings) -> str:
    if not 0 < len(record["id_value"]) <= LONGEST_UID:
        return f"a uid has at most {LONGEST_UID} characters, and one at least"
    if len(name(record["key"])) > LONGEST_NAME:
        return f"the name of a property has at most {LONGEST_NAME} characters"
    if len(encoded(_value(record, settings))) > VALUE_BYTES:
        return f"a value has at most {VALUE_BYTES} bytes, and FullStory drops a longer one"
    return ""


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    """Hand in a job, ask for it until it is done, and then for whom it failed."""
    group, told = updates[0].group, [json.loads(each.body) for each in updates]
    said = [each for _, each in told]
    path, headers = f"{group}/batch", {"Idempotency-Key": _key([group, *(each for each, _ in told)])}
    response = yield _request("POST", path, settings, encoded({"requests": said}), headers)
    job = _job(response).get("id")
    if not isinstance(job, str) or not job:
        return unexpected(response)
    place = f"{path}/{quote(job, safe='')}"
    for pause in PAUSES:
        response = yield _request("GET", place, settings, after=pause)
        state = _job(response).get("status")
        if state in ("COMPLETED", "FAILED"):
            return (yield from _finished(place, document(response), said, settings))
        if state != "PROCESSING":
            return _lost(response)
    return Verdict("unknown", "the job is not finished", in_doubt=True)


def _key(ids: Sequence[str]) -> str:
    """A UUID that follows from these ids: later, the same value of the same person is another message."""
    digits = hashlib.sha256("\x1f".join(ids).encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


def _finished(place: str, done: Mapping[str, Any], said: Sequence[Any], settings: Settings) -> Exchange:
    if done["job"]["status"] == "COMPLETED" and not _number(done.get("errors")):
        return Verdict("delivered", "the job is done")
    failures = yield from _failures(place, settings)
    return failures if isinstance(failures, Verdict) else _settled(done, said, failures)


def _settled(done: Mapping[str, Any], said: Sequence[Any], failures: Sequence[Mapping[str, Any]]) -> Answer:
    """What became of each, where some failed."""
    wrong = {_who(each): code(each.get("code")) for each in failures}
    refused = [_refused(wrong, each) for each in said]
    ours = {each for one in said for each in (_identity(one), (_identity(one)[0], ""))}
    named = sum(_who(each) in ours for each in failures)
    if not named and not _number(done.get("imports")):
        return Verdict("invalid", "the job failed")  # and is halved, until whoever fails is alone
    rest = Verdict("delivered", "the job is done")
    if named < max(_number(done.get("errors")), len(failures), 1):
        rest = Verdict("unknown", "some of the job failed, and nobody says which", in_doubt=True)
    return [each or rest for each in refused]


def _failures(place: str, settings: Settings) -> Pages:
    """What went wrong, from all pages."""
    found: list[dict[str, Any]] = []
    page = ""
    for _ in range(MOST_PAGES):
        response = yield _request("GET", f"{place}/errors{page}", settings)
        body = document(response)
        if response.status != 200 or not isinstance(body.get("results"), list):
            return _lost(response)
        found += [each for each in listed(body["results"]) if isinstance(each, dict)]
        token = body.get("next_page_token")
        if not token:
            break
        page = f"?page_token={quote(str(token), safe='')}"
    return found


def _refused(wrong: Mapping[tuple[str, str], str], said: Mapping[str, Any]) -> Verdict | None:
    """Why this one failed, where an error repeats it, or at least its user."""
    who = _identity(said)
    if found := [why for each in (who, (who[0], "")) if (why := wrong.get(each)) is not None]:
        return Verdict("invalid", f"the job names it{f': {found[0]}' if found[0] else ''}")
    return None


def _who(failure: Mapping[str, Any]) -> tuple[str, str]:
    said = failure.get("event") or failure.get("user")
    return _identity(said) if isinstance(said, dict) else ("", "")


def _identity(said: Mapping[str, Any]) -> tuple[str, str]:
    """Whose it is, and which event of them; empty for a user."""
    user = said.get("user")
    if not isinstance(user, dict):
        return str(said.get("uid") or ""), ""
    found = said.get("properties")
    which = [found.get("audience_key"), found.get("trait_key")] if isinstance(found, dict) else []
    return str(user.get("uid") or ""), f"{said.get('name')} {which}" if which else ""


def _job(response: Response) -> dict[str, Any]:
    found = document(response).get("job") if by_status(response.status).outcome == "delivered" else None
    return found if isinstance(found, dict) else {}


def _lost(response: Response) -> Verdict:
    """What an answer about a job means that does not tell of it; the job may have done all that it was to do."""
    if response.status == 404:
        return Verdict("unknown", "HTTP 404: the job is not there", in_doubt=True)
    return unexpected(response)


def _number(found: Any) -> int:
    """A count, which may stand there as text."""
    return int(found) if str(found).isdecimal() else 0


# --- reading back -----------------------------------------------------------------------------------


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    found: Found = []
    for id_type, id_value in people:
        response = yield _request("GET", f"users?uid={quote(id_value, safe='')}", settings)
        users = document(response).get("results")
        if response.status != 200 or not isinstance(users, list):
            return unexpected(response)
        there = [_property(each, key) for each in users if isinstance(each, dict) and each.get("uid") == id_value]
        found += [(id_type, id_value, each) for each in there if _is_there(each)]
    return found


def _is_there(found: Any) -> bool:
    """Whether it is a value; 0 is one, and false and empty text, which take values away, are none."""
    return found is not None and found is not False and found != ""


def _property(user: Mapping[str, Any], key: str) -> Any:
    properties = user.get("properties")
    return properties.get(name(key)) if isinstance(properties, dict) else None


def _request(
    method: str,
    path: str,
    settings: Settings,
    body: bytes = b"",
    headers: Mapping[str, str] = {},
    after: float = 0.0,
) -> Request:
    plain = {**TYPE, "Authorization": f"Basic {settings['api_key']}", **headers}
    return Request(method, f"{hosts.host(settings, HOSTS)}/v2/{path}", plain, body, after=after)

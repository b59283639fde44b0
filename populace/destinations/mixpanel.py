"""Mixpanel: properties of user profiles, and imported events (destinations.md 8).

A request holds up to 2,000 operations on profiles, or events. An operation sets properties of one profile or takes some
away, so what concerns one person may be two of them; they name different properties, and their order does not matter.
Nobody else may write cohorts: a membership is a boolean property, of which a cohort is made there.

Answers: `engage` says 200 to everything and hides in `status` whether it took the array; one `error` is about all of
it, so that what fails is halved until it is alone. `import` names in `failed_records` what it did not take by its
place, also with 400, and has taken the rest. It knows an event again by `$insert_id`, name, person and time.

Requests are not compressed: `engage` does not read gzip. From the vendor's own pages, beside the reference: the limits
of both endpoints and of queries, `POST /api/query/engage`, and the identifiers that it takes for nobody.
"""

import hashlib
import re
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from populace.destinations import calls, hosts
from populace.destinations.bodies import TYPE, basic, document, encoded, is_there, listed, named, unexpected, value
from populace.destinations.protocol import (
    EVENT,
    PEOPLE,
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

HOSTS = {
    "us": "https://api.mixpanel.com",
    "eu": "https://api-eu.mixpanel.com",
    "in": "https://api-in.mixpanel.com",
}
QUERIED = {"us": "https://mixpanel.com", "eu": "https://eu.mixpanel.com", "in": "https://in.mixpanel.com"}

ABOUT = About(
    title="Mixpanel",
    forms=(PROPERTY, EVENT),
    settings=(
        Setting("token", "of the project", is_required=True, is_secret=True),
        Setting("project_id", "of the project; this and the next two belong together, and values can be read by them"),
        Setting("service_account", "the name of a service account; left out, events are imported by the token"),
        Setting("service_secret", "of the service account", is_secret=True),
        Setting("ip", "what stands in `$ip`: `0` by default, so that our server's place is not taken for a person's"),
        *hosts.settings_of(HOSTS),
    ),
    readable={PROPERTY: PEOPLE},
)

BATCH = 2_000
# 10 MB are documented for events, and nothing for profiles: older pages of the vendor said 2 MB of everything.
REQUEST_BYTES = 2_000_000
OBJECT_BYTES = 1_000_000
AROUND = 1_024  # bytes of an operation that are not its properties
QUERIES = "api/query/engage"
# A second. The vendor takes 30,000 events a second, which are 15 full requests, and 60 queries an hour.
RATES = {"": 15.0, QUERIES: 60 / 3_600}
LANES = 4
READ = 1_000  # people of one question: a page of answers
OWN = {"time", "distinct_id", "token", "ip"}  # properties by which Mixpanel knows when, whose and whence an event is
ABOUT_TOKEN = re.compile(r"\W*token\b", re.IGNORECASE)  # an error that begins so is about all operations alike
INSERT_ID = re.compile(r"[A-Za-z0-9-]{1,36}")
ACCOUNT = ("project_id", "service_account", "service_secret")

# What applications send where nobody is known: strict imports refuse it, and a profile of it would be everybody's.
NOBODY = {"-1", "0", "00000000-0000-0000-0000-000000000000", "<nil>", "[]", "anon", "anonymous", "false", "lmy47d"}
NOBODY |= {"n/a", "na", "nil", "none", "null", "true", "undefined", "unknown", "{}"}


def account(settings: Settings) -> str:
    """The address and the project; what is left of its token tells projects apart and opens none."""
    return f"{hosts.host(settings, HOSTS)} {hashlib.sha256(settings['token'].encode()).hexdigest()[:12]}"


def problems(settings: Settings) -> list[str]:
    found = hosts.problems(settings, HOSTS)
    if 0 < sum(bool(settings.get(each)) for each in ACCOUNT) < len(ACCOUNT):
        found.append("'project_id', 'service_account' and 'service_secret' belong together: all of them, or none")
    return found


def limits(settings: Settings) -> Limits:
    opening = len(_opening(settings))  # the token stands in every operation, and comes in when it is sent
    return Limits(
        BATCH, REQUEST_BYTES, OBJECT_BYTES - opening, RATES, lanes=LANES, envelope=len(b"[]") + BATCH * opening
    )


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    for positions in together(records, OBJECT_BYTES - AROUND - len(_opening(settings))):
        if records[positions[0]]["form"] == EVENT:
            yield _imported(positions[0], records, origin)
            continue
        lost = [each for each in positions if value(records[each]) is None]
        for part in (sorted(set(positions) - set(lost)), lost):
            if part:
                told = [records[each] for each in part]
                body = encoded({**_person(told[0], settings), **_operation(told)})
                yield Update(tuple(part), body, "engage", problem=_problem(told[0]))


def _operation(records: Sequence[Record]) -> dict[str, Any]:
    if value(records[0]) is None:
        return {"$unset": [each["key"] for each in records]}
    return {"$set": {each["key"]: value(each) for each in records}}


def _person(record: Record, settings: Settings) -> dict[str, str]:
    ip = settings.get("ip", "0")
    return {"$distinct_id": record["id_value"], **({"$ip": ip} if ip else {})}


def _imported(position: int, records: Sequence[Record], origin: Origin) -> Update:
    record = records[position]
    properties = {
        **calls.event_properties(record),
        "time": int(datetime.fromisoformat(origin.as_of).timestamp() * 1_000),
        "distinct_id": record["id_value"],
        "$insert_id": _insert_id(record["message_id"]),
    }
    body = encoded({"event": calls.event(record), "properties": properties})
    return Update((position,), body, "import", problem=_problem(record))


def _insert_id(message_id: str) -> str:
    """At most 36 letters, digits and hyphens, the same for the same message."""
    return message_id if INSERT_ID.fullmatch(message_id) else hashlib.sha256(message_id.encode()).hexdigest()[:36]


def _problem(record: Record) -> str:
    if record["id_value"].lower() in NOBODY:
        return "the identifier is one that applications send for nobody in particular"
    if record["form"] == EVENT and record["key"] in OWN:
        return "its name says there when, whose and whence an event is; give it another name"
    return ""


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    if updates[0].group == "engage":
        opening = _opening(settings)
        body = b"[%s]" % b",".join(opening + each.body[1:] for each in updates)
        return engaged((yield _request("engage", {"verbose": "2"}, body, settings)))
    query = {"strict": "1"} | ({"project_id": settings["project_id"]} if settings.get("project_id") else {})
    body = b"[%s]" % b",".join(each.body for each in updates)
    return imported((yield _request("import", query, body, settings)), len(updates))


def _opening(settings: Settings) -> bytes:
    """How an operation begins: with the token, which updates do not hold, since they are kept with letters."""
    return b'{"$token":%s,' % encoded(settings["token"])


def engaged(response: Response) -> Answer:
    verdict, body = by_status(response.status), document(response)
    if verdict.outcome != "delivered":
        return verdict
    if body.get("status") not in (0, 1):
        return unexpected(response)
    if body["status"] == 1 and not body.get("error"):
        return verdict
    if ABOUT_TOKEN.match(str(body.get("error"))):
        return Verdict("refused", f"HTTP {response.status}: the token is not accepted; check it")
    return Verdict("invalid", f"HTTP {response.status}, but status {int(body['status'])} or an error: not taken")


def imported(response: Response, count: int) -> Answer:
    verdict, body = by_status(response.status), document(response)
    failed = body.get("failed_records") or []
    if verdict.outcome not in ("delivered", "invalid") or (verdict.outcome == "invalid" and not failed):
        return verdict
    if not failed and "num_records_imported" not in body:
        return unexpected(response)
    wrong = _by_place(failed, count)
    if wrong is None:
        return Verdict("invalid", f"HTTP {response.status}: some failed, and nobody says which")
    rest = Verdict("delivered", f"HTTP {response.status}: imported")
    # An event that comes twice is known by its id, so where the vendor counts fewer all of them may come again.
    if body.get("num_records_imported", count - len(wrong)) != count - len(wrong):
        rest = Verdict("unknown", f"HTTP {response.status}: fewer were imported, and nobody says which", in_doubt=True)
    return [named(wrong[at].get("field")) if at in wrong else rest for at in range(count)]


def _by_place(failed: Any, count: int) -> dict[int, dict[str, Any]] | None:
    """What failed, by its place in our array; None where one of them has none there."""
    named = [each for each in listed(failed) if isinstance(each, dict) and type(each.get("index")) is int]
    wrong = {each["index"]: each for each in named}
    is_sound = isinstance(failed, list) and len(named) == len(failed) and wrong.keys() <= set(range(count))
    return wrong if is_sound else None


# --- reading back -----------------------------------------------------------------------------------


def held(key: str, form: str, people: Sequence[tuple[str, str]], origin: Origin, settings: Settings) -> Reading:
    if not settings.get("service_account"):
        return Verdict("refused", "reading needs 'service_account', 'service_secret' and 'project_id'")
    found: Found = []
    for start in range(0, len(people), READ):
        types = {name: id_type for id_type, name in people[start : start + READ]}
        profiles = yield from _asked(list(types), key, settings)
        if isinstance(profiles, Verdict):
            return profiles
        named = [(str(each.get("$distinct_id")), each.get("$properties")) for each in profiles]
        there = [(name, each.get(key)) for name, each in named if name in types and isinstance(each, dict)]
        found += [(types[name], name, each) for name, each in there if is_there(each)]
    return found


def _asked(names: list[str], key: str, settings: Settings) -> Generator[Request, Response, list[Any] | Verdict]:
    """The profiles of these people, page by page; all pages belong to the session of the first."""
    question = {"distinct_ids": encoded(names), "output_properties": encoded([key])}
    found: list[Any] = []
    session: dict[str, Any] = {}
    while len(found) < len(names):
        response = yield _query({**question, **session}, settings)
        body = document(response)
        results = body.get("results")
        if response.status >= 300 or not isinstance(results, list):
            return unexpected(response)
        found += results
        if not results or len(results) < (body.get("page_size") or len(results) + 1):
            break
        session = {"session_id": body.get("session_id"), "page": session.get("page", 0) + 1}
    return [each for each in found if isinstance(each, dict)]


def _query(fields: dict[str, Any], settings: Settings) -> Request:
    address = settings.get("endpoint", QUERIED[settings.get("region", "us")]).rstrip("/")
    url = f"{address}/{QUERIES}?{urlencode({'project_id': settings['project_id']})}"
    headers = {**TYPE, "Content-Type": "application/x-www-form-urlencoded", "Authorization": _basic(settings)}
    return Request("POST", url, headers, urlencode(fields).encode(), QUERIES, asks=True)


def _request(path: str, query: dict[str, str], body: bytes, settings: Settings) -> Request:
    authorized = {"Authorization": _basic(settings)} if path == "import" else {}
    url = f"{hosts.host(settings, HOSTS)}/{path}?{urlencode(query)}"
    return Request("POST", url, {**TYPE, **authorized}, body, path)


def _basic(settings: Settings) -> str:
    """The service account and its secret; where there is none, the token and no password."""
    name, secret = settings.get("service_account") or settings["token"], settings.get("service_secret", "")
    return basic(name, secret)

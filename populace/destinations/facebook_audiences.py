"""Facebook Custom Audiences: people on lists that advertisements are shown to, or not (destinations.md 9).

`POST /{version}/{audience}/users` adds people and DELETE removes them, both with the same body: the type of identifier,
and a row for each person. A request is about one audience, one of the two, and one type. Emails and phone numbers are
hashed; ids of ours (EXTERN_ID) and of phones (MADID) are not.

Answers: 200 counts what was received and what is invalid, of all together: nobody says whom it means, and nobody says
who was found. Errors are told by a number in the body, whatever the status. A page is an outage. How long to wait is
in X-Business-Use-Case-Usage, in minutes (Graph API, "Rate limits"); that 100 with 33 means a missing object is in its
"Handling errors".
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from populace.destinations import hashing, hosts
from populace.destinations.bodies import TYPE, document, encoded, listed, unexpected
from populace.destinations.protocol import (
    LIST,
    About,
    Answer,
    Exchange,
    Limits,
    Listing,
    Origin,
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

HOSTS = {"global": "https://graph.facebook.com"}
SOURCES = ("USER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED", "PARTNER_PROVIDED_ONLY")
VERSION = "v25.0"

# How Facebook calls our types of identifier. An email first: by an id of ours it knows only those whom it was told of
# under that id and something else together.
NAMES = {"email": "EMAIL", "phone": "PHONE", "ios.idfa": "MADID", "android.idfa": "MADID", "user_id": "EXTERN_ID"}
NORMAL = {
    "email": hashing.email,
    "phone": hashing.digits,
    "ios.idfa": hashing.device,
    "android.idfa": hashing.device,
}
HASHED = ("email", "phone")

ABOUT = About(
    title="Facebook Custom Audiences",
    forms=(LIST,),
    settings=(
        Setting("access_token", "of a system user, with `ads_management`", is_required=True, is_secret=True),
        Setting("ad_account_id", "the account of the audiences, with or without `act_`", is_required=True),
        Setting("app_secret", "of the app of the token; every request then proves that it has it", is_secret=True),
        Setting(
            "customer_file_source",
            "where people come from, said of audiences that are made: `USER_PROVIDED_ONLY` by default, "
            "`PARTNER_PROVIDED_ONLY` or `BOTH_USER_AND_PARTNER_PROVIDED`",
        ),
        hashing.SETTING,
        Setting("api_version", f"of the Graph API; `{VERSION}` by default"),
        Setting("session", "`false`: requests do not say which upload they belong to; `true` by default"),
        *hosts.settings_of(HOSTS),
    ),
    identifies=tuple(NAMES),
    normal=NORMAL,
)

BATCH = 10_000
REQUEST_BYTES = 1_000_000  # nobody documents a limit; so many hashes fit
ROW_BYTES = 1_024
ENVELOPE = 256  # bytes of a request that are not rows, at most
PAGE = 100  # audiences of one answer
MOST_PAGES = 1_000

MISSING = "there is no such audience any more, or the token may not change it; `--resync` looks for it by its name"
# Numbers of errors (9), and what a person can do about those that concern the account.
RETRIED = {1, 2, 341, 368, 5000, 21009}
THROTTLED = {4, 17, 80003}
ABOUT_ROWS = {100}
TOO_MUCH = {105}
REMEDIES = {
    10: "the token may not do this; check the rights of its system user",
    102: "the token is not accepted; make a new one",
    190: "the token is not accepted; make a new one",
    294: "the app may not manage advertisements; it needs the permission ads_management",
    2650: "the audience cannot be changed; look at it in Audiences",
    2655: "the terms of custom audiences are not accepted; accept them in Audiences",
    1487301: MISSING,
    1487366: MISSING,
}
PERMISSIONS = range(200, 300)
BLOCKED = (100, 1713230)
REMEDIES_BY_BOTH = {
    BLOCKED: "uploads to the audience are blocked (operation_status 471); appeal, or make another, in Audiences",
    (100, 33): MISSING,
}


def account(settings: Settings) -> str:
    return f"{hosts.host(settings, HOSTS)} {_ad_account(settings)}"


def problems(settings: Settings) -> list[str]:
    found = [] if re.fullmatch(r"act_\d+|.*\$\{.*", _ad_account(settings)) else ["'ad_account_id' must be a number"]
    version = settings.get("api_version", VERSION)
    found += [] if re.fullmatch(r"v\d+\.\d+|.*\$\{.*", version) else [f"'api_version' must be as in {VERSION}"]
    found += one_of(settings, "customer_file_source", *SOURCES)
    found += one_of(settings, "hashed", "refuse", "pass") + one_of(settings, "session", "true", "false")
    return found + hosts.problems(settings, HOSTS)


def limits(settings: Settings) -> Limits:
    return Limits(BATCH, REQUEST_BYTES, ROW_BYTES, envelope=ENVELOPE)


def _ad_account(settings: Settings) -> str:
    return f"act_{settings['ad_account_id'].removeprefix('act_')}"


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    yield from hashing.members(records, origin, settings, NORMAL, HASHED, _member)


def _member(id_type: str, found: str) -> tuple[str, bytes]:
    return NAMES[id_type], encoded([found])


# --- lists ------------------------------------------------------------------------------------------


def listing(key: str, name: str, settings: Settings) -> Listing:
    """Read the names of the account's audiences page by page, and make the one that is not there."""
    path, after = f"{_ad_account(settings)}/customaudiences", ""
    for _ in range(MOST_PAGES):
        asked = {"fields": "id,name", "limit": PAGE, **({"after": after} if after else {})}
        response = yield _request("GET", path, b"", settings, asked)
        body = document(response)
        if (failure := _failure(response, body)) or "data" not in body:
            return failure or unexpected(response)
        if found := _called(name, listed(body["data"])):
            return found
        if not (after := _following(body)):
            break
    told = {"subtype": "CUSTOM", "customer_file_source": settings.get("customer_file_source", SOURCES[0])}
    described = {"name": name, **told, "description": f"Audience {key}, kept by Populace"}
    response = yield _request("POST", path, encoded(described), settings)
    body = document(response)
    if (failure := _failure(response, body)) or not body.get("id"):
        return failure or unexpected(response)
    return str(body["id"])


def _called(name: str, audiences: Sequence[Any]) -> str:
    """The id of the audience of this name; empty where none is."""
    found = [each.get("id") for each in audiences if isinstance(each, dict) and each.get("name") == name]
    return str(found[0]) if found and found[0] else ""


def _following(body: Mapping[str, Any]) -> str:
    """Where the next page begins; nothing where there is none. Its address holds the token, so it is not used."""
    paging = body.get("paging")
    if not isinstance(paging, dict) or not paging.get("next"):
        return ""
    cursors = paging.get("cursors")
    return str(cursors.get("after", "")) if isinstance(cursors, dict) else ""


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    audience, done, name = updates[0].group.removeprefix("lists/").rsplit("/", 2)
    rows = b",".join(each.body for each in updates)
    session = b"" if settings.get("session") == "false" else b'"session":%s,' % encoded(_session(updates, at))
    body = b'{%s"payload":{"schema":["%s"],"data":[%s]}}' % (session, name.encode(), rows)
    method = "POST" if done == "add" else "DELETE"
    return answer((yield _request(method, f"{quote(audience, safe='')}/users", body, settings)), len(updates))


def _session(updates: Sequence[Update], at: int) -> dict[str, Any]:
    """An upload of one part. The same people may be added again after they were removed: that is another upload."""
    named = "\x1f".join((updates[0].group, str(at), *(each.body.decode() for each in updates)))
    number = int(hashlib.sha256(named.encode()).hexdigest()[:13], 16)  # exact where numbers are floats
    return {"session_id": number, "batch_seq": 1, "last_batch_flag": True, "estimated_num_total": len(updates)}


def answer(response: Response, count: int) -> Answer:
    body = document(response)
    if failure := _failure(response, body):
        return failure
    if not body.keys() & {"num_received", "audience_id", "success"}:
        return unexpected(response)
    wrong, received = _count(body, "num_invalid_entries", 0), _count(body, "num_received", count)
    if wrong >= count:
        return [Verdict("invalid", f"HTTP {response.status}: received, and every one is invalid")] * count
    if wrong or received < count:
        told = f"received {received} of {count}, {wrong} of them invalid; nobody says which"
        return Verdict("warning", f"HTTP {response.status}: {told}")
    return Verdict("delivered", f"HTTP {response.status}: received; nobody says who was found")


def _failure(response: Response, body: Mapping[str, Any]) -> Verdict | None:
    """Why nothing was taken; None where something was."""
    verdict = by_status(response.status)
    if isinstance(body.get("error"), dict):
        return _named(response, body["error"])
    if verdict.outcome == "invalid" and not body:
        return Verdict("transient", f"HTTP {response.status}: no answer of the API", in_doubt=True)
    return None if verdict.outcome == "delivered" else verdict


def _named(response: Response, error: Mapping[str, Any]) -> Verdict:
    """What a number stands for. The words beside it may name somebody, so they are not repeated."""
    code, part = _count(error, "code", 0), _count(error, "error_subcode", 0)
    told = f"HTTP {response.status}: error {code}"
    remedy = REMEDIES_BY_BOTH.get((code, part)) or REMEDIES.get(code)
    if code == 100 and "appsecret_proof" in str(error.get("message")):
        remedy = "the app wants a proof, or another one; check 'app_secret'"
    if remedy or code in PERMISSIONS:
        return Verdict("refused", f"{told}: {remedy or REMEDIES[10]}")
    if code in THROTTLED or response.status == 429:
        return Verdict("throttled", f"{told}: told to send less", after=_wait(response))
    if code in RETRIED or error.get("is_transient") is True:
        return Verdict("transient", told, in_doubt=True)
    if code in TOO_MUCH:
        return Verdict("too_large", told)
    verdict = Verdict("invalid", told) if code in ABOUT_ROWS else by_status(response.status)
    # A good status with an error that nobody knows of: nothing can be said.
    return verdict if verdict.outcome != "delivered" else Verdict("unknown", told, in_doubt=True)


def _wait(response: Response) -> float | None:
    """Seconds until there is room again, for the use that takes longest."""
    try:
        uses = json.loads(response.headers.get("x-business-use-case-usage", "{}"))
        minutes = [each["estimated_time_to_regain_access"] for use in uses.values() for each in use]
        return 60.0 * max(minutes) if minutes else None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _count(body: Mapping[str, Any], name: str, otherwise: int) -> int:
    found = body.get(name)
    return int(found) if isinstance(found, int) or (isinstance(found, str) and found.isdecimal()) else otherwise


def _request(method: str, path: str, body: bytes, settings: Settings, asked: Mapping[str, Any] = {}) -> Request:
    token = settings["access_token"]
    headers = {**TYPE, "Authorization": f"Bearer {token}"}
    if secret := settings.get("app_secret"):
        proof = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        asked = {**asked, "appsecret_proof": proof}
    query = f"?{urlencode(asked)}" if asked else ""
    version = settings.get("api_version", VERSION)
    endpoint = "users" if path.endswith("/users") else "customaudiences"
    return Request(method, f"{hosts.host(settings, HOSTS)}/{version}/{path}{query}", headers, body, endpoint)

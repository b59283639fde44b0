"""Google Customer Match: people on lists that advertisements are shown to, through the Data Manager API (10).

`POST /v1/audienceMembers:ingest` adds people to a list, `:remove` removes them; the list is named by the number that
Google Ads gives it. Emails and phone numbers are hashed (`userData`), ids of ours are not (`userIdData`); a request
holds one of the two, for a list is of one type. Only adding tells what people consented to and which terms hold.

A token is given, or asked for anew in each conversation with a refresh token.

Answers: a request is taken as a whole or not at all ("Understand API errors": it fails fast). One that is not says by
`fieldViolations` which members are wrong, and the others are sent again without them. 200 means received: what became
of whom is known hours later, and told there alone. The scope, the codes of errors and that `:remove` takes neither
consent nor terms are in the vendor's reference of the API.
"""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from populace.destinations import hashing, hosts
from populace.destinations.bodies import TYPE, code, document, encoded, listed, unexpected
from populace.destinations.protocol import (
    LIST,
    About,
    Exchange,
    Limits,
    Origin,
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

HOSTS = {"global": "https://datamanager.googleapis.com"}
TOKENS = "https://oauth2.googleapis.com/token"
FORM = {**TYPE, "Content-Type": "application/x-www-form-urlencoded"}
RENEWING = ("client_id", "client_secret", "refresh_token")
NO_TOKEN = f"there is nothing to ask with; set access_token, or {', '.join(RENEWING)}"
CONSENT = {"ad_user_data": "adUserData", "ad_personalization": "adPersonalization"}

NAMES = {"email": "emailAddress", "phone": "phoneNumber"}  # how Google calls what is hashed
NORMAL = {"email": hashing.google_email, "phone": hashing.e164}
CONTACTS, IDS = "userData", "userIdData"

ABOUT = About(
    title="Google Customer Match",
    forms=(LIST,),
    settings=(
        Setting("account_id", "of Google Ads, ten digits with or without hyphens", is_required=True),
        Setting(
            "customer_match_terms",
            "`accepted`: whoever writes it says that the account keeps Google's terms of Customer Match",
            is_required=True,
        ),
        Setting("login_account_id", "the manager account by which the token reaches `account_id`, where it does"),
        Setting(
            "ad_user_data", "`granted` or `denied`: what people consented to; nothing is said where it is left out"
        ),
        Setting("ad_personalization", "likewise"),
        Setting("access_token", "one that something else renews; or the next three", is_secret=True),
        Setting("client_id", "of an OAuth client"),
        Setting("client_secret", "its secret", is_secret=True),
        Setting("refresh_token", "with the scope `https://www.googleapis.com/auth/datamanager`", is_secret=True),
        hashing.SETTING,
        Setting("token_endpoint", f"another address than `{TOKENS}`"),
        *hosts.settings_of(HOSTS),
    ),
    identifies=(*NAMES, "user_id"),
    normal=NORMAL,
)

BATCH = 10_000
REQUEST_BYTES = 2_000_000  # nobody documents a limit; so many hashes fit
MEMBER_BYTES = 2_048
ENVELOPE = 1_024  # bytes of a request that are not members, at most
RATES = {"audienceMembers": 300 / 60}  # a second
ROUNDS = 20  # how often a request is sent again without those it named

# Faults of the list or the account, which no member can help, and what a person can do about them.
REMEDIES = {
    "INVALID_USER_LIST_ID": "there is no such list; check `lists`",
    "INVALID_USER_LIST_TYPE": "the list is of another type than what it is told; check `identifiers`",
    "INVALID_DESTINATION": "the account does not take this; check 'account_id' and 'login_account_id'",
    "TERMS_AND_CONDITIONS_NOT_SIGNED": "the terms of Customer Match are not accepted; accept them in Google Ads",
    "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE": "the account may not use Customer Match; ask Google",
    "FAILED_PRECONDITION": "the account or the list does not take this; look at it in Google Ads",
}
MEMBER = re.compile(r"(?:^|\.)audience_?[mM]embers\[(\d+)\]")
DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


def account(settings: Settings) -> str:
    return f"{hosts.host(settings, HOSTS)} {_number(settings['account_id'])}"


def problems(settings: Settings) -> list[str]:
    found = [
        f"{name!r} must be a number, with or without hyphens"
        for name in ("account_id", "login_account_id")
        if not _number(settings.get(name, "0")).isdecimal() and "${" not in settings[name]
    ]
    found += one_of(settings, "customer_match_terms", "accepted")
    found += [each for name in CONSENT for each in one_of(settings, name, "granted", "denied")]
    found += one_of(settings, "hashed", "refuse", "pass")
    if 0 < len(missing := _missing(settings)) < len(RENEWING):
        found.append(f"{', '.join(RENEWING)} belong together; {', '.join(missing)} is missing")
    return list(dict.fromkeys([*found, *address(settings, "token_endpoint"), *hosts.problems(settings, HOSTS)]))


def limits(settings: Settings) -> Limits:
    return Limits(BATCH, REQUEST_BYTES, MEMBER_BYTES, RATES, envelope=ENVELOPE)


def lacking(form: str, settings: Settings) -> str:
    return NO_TOKEN if form == LIST and _missing(settings) and not settings.get("access_token") else ""


def _number(written: str) -> str:
    return written.replace("-", "").strip()


def _missing(settings: Settings) -> list[str]:
    return [name for name in RENEWING if not settings.get(name)]


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    yield from hashing.members(records, origin, settings, NORMAL, NAMES, _member)


def _member(id_type: str, found: str) -> tuple[str, bytes]:
    if id_type not in NAMES:
        return IDS, encoded({IDS: {"userId": found}})
    return CONTACTS, encoded({CONTACTS: {"userIdentifiers": [{NAMES[id_type]: found}]}})


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    token = yield from _token(settings)
    if isinstance(token, Verdict):
        return token
    wrong: dict[int, Verdict] = {}
    left = list(range(len(updates)))
    for _ in range(ROUNDS):
        response = yield _request([updates[each] for each in left], token, settings)
        verdict = answer(response)
        named = [left[each] for each in _named(response) if each < len(left)] if verdict.outcome == "invalid" else []
        wrong |= dict.fromkeys(named, Verdict("invalid", f"{verdict.reason}, and it is named"))
        left = [each for each in left if each not in wrong]
        if not named or not left:
            break
    if not wrong:
        return verdict
    # Who was not named when others were is not known to be wrong: sent again by themselves.
    is_open = verdict.outcome == "invalid"
    rest = Verdict("transient", "not taken, because others of the request were refused") if is_open else verdict
    return [wrong.get(each, rest) for each in range(len(updates))]


def answer(response: Response) -> Verdict:
    verdict, body = by_status(response.status), document(response)
    if verdict.outcome == "delivered":
        received = Verdict("delivered", f"HTTP {response.status}: received; results come later, in Google Ads")
        return received if body.get("requestId") else unexpected(response)
    if verdict.outcome == "invalid" and not body:
        return Verdict("transient", f"HTTP {response.status}: no answer of the API", in_doubt=True)
    codes = _codes(body)
    told = f"HTTP {response.status}{''.join(f': {each}' for each in codes[:1])}"
    if "RESOURCE_EXHAUSTED" in codes or verdict.outcome == "throttled":
        return Verdict("throttled", f"{told}: told to send less", after=_wait(body))
    if verdict.outcome != "invalid":
        return verdict
    if "ABORTED" in codes:
        return Verdict("transient", told, in_doubt=True)
    if known := [each for each in codes if each in REMEDIES]:
        return Verdict("refused", f"HTTP {response.status}: {known[0]}: {REMEDIES[known[0]]}")
    if any(field.startswith("destinations") for field, _ in _violations(body)):
        return Verdict("refused", f"{told}: {REMEDIES['INVALID_DESTINATION']}")
    return replace(verdict, reason=f"{told}: refused as invalid")


def _named(response: Response) -> list[int]:
    """The places of members that an answer names."""
    found = [MEMBER.search(field) for field, _ in _violations(document(response))]
    return sorted({int(each[1]) for each in found if each})


def _codes(body: Mapping[str, Any]) -> list[str]:
    """What an answer calls its failure, the most special first; words of people are left out."""
    found = [reason for _, reason in _violations(body)] + [each.get("reason") for each in _details(body)]
    error = body.get("error")
    return list(filter(None, map(code, [*found, error.get("status") if isinstance(error, dict) else ""])))


def _violations(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(field, reason) of all that is wrong in a request."""
    found = [each for detail in _details(body) for each in listed(detail.get("fieldViolations"))]
    return [(str(each.get("field")), str(each.get("reason", ""))) for each in found if isinstance(each, dict)]


def _details(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    error = body.get("error")
    found = listed(error.get("details")) if isinstance(error, dict) else []
    return [each for each in found if isinstance(each, dict)]


def _wait(body: Mapping[str, Any]) -> float | None:
    """Seconds to wait, by `RetryInfo`."""
    found = [DELAY.fullmatch(str(each.get("retryDelay"))) for each in _details(body)]
    return max((float(each[1]) for each in found if each), default=None)


def _request(updates: Sequence[Update], token: str, settings: Settings) -> Request:
    named, done, kind = updates[0].group.removeprefix("lists/").rsplit("/", 2)
    around: dict[str, Any] = {"destinations": [_destination(named, settings)]}
    if kind == CONTACTS:
        around["encoding"] = "HEX"
    if done == "add":
        consent = {to: f"CONSENT_{settings[name].upper()}" for name, to in CONSENT.items() if settings.get(name)}
        around |= {"consent": consent} if consent else {}
        around["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
    members = b",".join(each.body for each in updates)
    body = b'%s,"audienceMembers":[%s]}' % (encoded(around)[:-1], members)
    url = f"{hosts.host(settings, HOSTS)}/v1/audienceMembers:{'ingest' if done == 'add' else 'remove'}"
    return Request("POST", url, {**TYPE, "Authorization": f"Bearer {token}"}, body, "audienceMembers")


def _destination(named: str, settings: Settings) -> dict[str, Any]:
    accounts = {"operatingAccount": "account_id", "loginAccount": "login_account_id"}
    numbers = {to: _number(settings[name]) for to, name in accounts.items() if settings.get(name)}
    told = {to: {"accountType": "GOOGLE_ADS", "accountId": number} for to, number in numbers.items()}
    return {**told, "productDestinationId": named}


# --- the token --------------------------------------------------------------------------------------


def _token(settings: Settings) -> Generator[Request, Response, str | Verdict]:
    """The one that is set, or a new one."""
    if settings.get("access_token"):
        return settings["access_token"]
    if _missing(settings):
        return Verdict("refused", NO_TOKEN)
    asked = {"grant_type": "refresh_token", **{name: settings[name] for name in RENEWING}}
    address = settings.get("token_endpoint", TOKENS)
    response = yield Request("POST", address, FORM, urlencode(asked).encode(), "token", asks=True)
    token, verdict = document(response).get("access_token"), by_status(response.status)
    if verdict.outcome == "invalid":
        told = code(document(response).get("error"))
        return Verdict("refused", f"HTTP {response.status}{told and f': {told}'}: no token; make a new refresh token")
    is_sound = isinstance(token, str) and token.isascii() and token.isprintable()
    return str(token) if token and is_sound and verdict.outcome == "delivered" else unexpected(response)

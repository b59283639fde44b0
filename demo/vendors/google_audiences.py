"""Google's Data Manager API as its reference has it: it takes a request as a whole, or names what is wrong in it."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from demo.vendors.server import Call, Refusal, Reply, Vendor

CLIENT = {"client_id": "77.apps.example", "client_secret": "GOCSPX-0123456789", "refresh_token": "1//0e-0123456789"}
KINDS = {"userData", "userIdData", "mobileData", "pairData"}
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
COMMON = {"destinations", "audienceMembers", "validateOnly", "encoding", "encryptionInfo"}
CONSENT = {"CONSENT_GRANTED", "CONSENT_DENIED", "CONSENT_STATUS_UNSPECIFIED"}


@dataclass
class Google(Vendor):
    """An account of Google Ads: its lists by number, and who is on them by hash or id."""

    account: str = "1234567890"
    tokens: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)  # of lists, by number
    kinds: dict[str, str] = field(default_factory=dict)  # what a list is of; the first member decides
    held: dict[str, set[str]] = field(default_factory=dict)
    most_items: int = 10_000
    most_bytes: int = 10_000_000
    rate: dict[str, float] = field(default_factory=lambda: {"v1/audienceMembers": 5.0})
    says_who: bool = True  # whether a refusal names members by their place
    verbs: list[str] = field(default_factory=list)  # what was done to lists, in its order
    consents: list[Any] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """What stands in destinations.yaml; the numbers of lists stand under `lists` there."""
        where = {"endpoint": self.url, "token_endpoint": f"{self.url}/token"}
        return {"account_id": "123-456-7890", "customer_match_terms": "accepted", **CLIENT, **where}

    def make(self, name: str) -> str:
        """A new list, as somebody makes it in Google Ads; its number."""
        number = f"99{len(self.names):04}"
        self.names[number], self.held[number] = name, set()
        return number

    def known_as(self, person: str) -> str:
        """The hash of an email or a phone number; ids as they are."""
        if "@" in person:
            local, _, domain = "".join(person.lower().split()).partition("@")
            if domain in ("gmail.com", "googlemail.com"):
                local = re.sub(r"\+.*|\.", "", local)
            return hashlib.sha256(f"{local}@{domain}".encode()).hexdigest()
        is_phone = person.startswith("+")
        return hashlib.sha256(re.sub(r"[^0-9+]", "", person).encode()).hexdigest() if is_phone else person

    def members(self, key: str) -> set[str]:
        found = [each for each, name in self.names.items() if name == key]
        return set(self.held[found[0]]) if found else set()

    def people(self, call: Call) -> Iterable[str]:
        members = call.json()["audienceMembers"] if call.path.startswith("/v1/") else []
        return [value for each in members for value in _values(each)]

    def lists(self, call: Call) -> Iterable[str]:
        named = call.json()["destinations"] if call.path.startswith("/v1/") else []
        return [each["productDestinationId"] for each in named]

    def is_allowed(self, call: Call) -> bool:
        return True  # said in the manner of the API: see `answer`

    def _too_fast(self, call: Call) -> Reply | None:
        if super()._too_fast(call) is None:
            return None
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.3s"}
        return failure(429, "RESOURCE_EXHAUSTED", retry).reply

    def answer(self, call: Call) -> Reply:
        if (call.method, call.path) == ("POST", "/token"):
            return self._token(call)
        if call.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise failure(401, "UNAUTHENTICATED")
        methods = {"/v1/audienceMembers:ingest": self._ingested, "/v1/audienceMembers:remove": self._removed}
        if call.method != "POST" or call.path not in methods:
            raise Refusal(404, b"<html>404. That's an error.</html>")
        try:
            return methods[call.path](call.json(), call.body)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise failure(400, "INVALID_ARGUMENT") from None

    def _token(self, call: Call) -> Reply:
        asked = dict(parse_qsl(call.body.decode()))
        is_form = call.headers.get("content-type") == "application/x-www-form-urlencoded"
        if not is_form or asked.pop("grant_type", "") != "refresh_token" or set(asked) != set(CLIENT):
            raise Refusal(400, {"error": "invalid_request"})
        if any(asked[each] != CLIENT[each] for each in ("client_id", "client_secret")):
            raise Refusal(401, {"error": "invalid_client"})
        if asked["refresh_token"] != CLIENT["refresh_token"]:
            raise Refusal(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
        token = f"ya29.{len(self.tokens)}"
        self.tokens.add(token)
        return Reply(200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    def _ingested(self, body: dict[str, Any], sent: bytes) -> Reply:
        number, values = self._checked(body, sent, COMMON | {"consent", "termsOfService"})
        consent = body.get("consent", {})
        if set(consent) - {"adUserData", "adPersonalization"} or set(consent.values()) - CONSENT:
            raise refusal(field="consent", reason="INVALID_ENUM_VALUE")
        if body.get("termsOfService") != {"customerMatchTermsOfServiceStatus": "ACCEPTED"}:
            raise refusal(field="terms_of_service", reason="TERMS_AND_CONDITIONS_NOT_SIGNED")
        self.consents.append(consent)
        self.verbs.append("ingest")
        self.held[number] |= values
        return Reply(200, {"requestId": f"r-{len(self.verbs)}"})

    def _removed(self, body: dict[str, Any], sent: bytes) -> Reply:
        number, values = self._checked(body, sent, COMMON)
        self.verbs.append("remove")
        self.held[number] -= values
        return Reply(200, {"requestId": f"r-{len(self.verbs)}"})

    def _checked(self, body: dict[str, Any], sent: bytes, fields: set[str]) -> tuple[str, set[str]]:
        """The list, and who is to be on it or not."""
        members = body["audienceMembers"]
        if set(body) - fields or not members:
            raise refusal(field="", reason="")
        if len(members) > self.most_items or len(sent) > self.most_bytes:
            raise refusal(field="audience_members", reason="TOO_MANY_AUDIENCE_MEMBERS")
        number = self._list(body["destinations"])
        kinds = {name for each in members for name in each}
        if len(kinds) != 1 or kinds - KINDS:
            raise refusal(field="audience_members", reason="MULTIPLE_DATA_TYPES_NOT_ALLOWED")
        if self.kinds.setdefault(number, kind := kinds.pop()) != kind:
            raise refusal(field="destinations.destinations[0]", reason="INVALID_USER_LIST_TYPE")
        if kind == "userData" and body.get("encoding") != "HEX":
            raise refusal(field="encoding", reason="REQUIRED_FIELD_MISSING")
        if wrong := [(at, why) for at, each in enumerate(members) if (why := self._fault(each))]:
            raise self._refused(wrong)
        return number, {value.lower() if kind == "userData" else value for each in members for value in _values(each)}

    def _list(self, destinations: list[dict[str, Any]]) -> str:
        (one,) = destinations
        own = {"accountType": "GOOGLE_ADS", "accountId": self.account}
        if set(one) - {"operatingAccount", "loginAccount", "productDestinationId"} or one["operatingAccount"] != own:
            raise refusal(field="destinations.destinations[0].operating_account", reason="INVALID_DESTINATION")
        if one["productDestinationId"] not in self.names:
            raise refusal(field="destinations.destinations[0].product_destination_id", reason="INVALID_USER_LIST_ID")
        return one["productDestinationId"]

    def _fault(self, member: dict[str, Any]) -> str:
        """Why a member is refused; an identifier has exactly one of three fields, an address none of ours."""
        values = _values(member)
        if {self.known_as(each) for each in self.unwanted} & set(values):
            return "INVALID_AUDIENCE_MEMBER"
        if "userIdData" in member:
            return "" if list(member["userIdData"]) == ["userId"] and values[0] else "REQUIRED_FIELD_MISSING"
        identifiers = member.get("userData", {}).get("userIdentifiers", [])
        if not 0 < len(identifiers) <= 10 or any(len(each) != 1 for each in identifiers):
            return "INVALID_AUDIENCE_MEMBER"
        if {name for each in identifiers for name in each} - {"emailAddress", "phoneNumber"}:
            return "INVALID_ARGUMENT"
        is_sound = all(SHA256.fullmatch(each) and each.lower() != NOTHING for each in values)
        return "" if is_sound else "INVALID_SHA256_FORMAT"

    def _refused(self, wrong: list[tuple[int, str]]) -> Refusal:
        if not self.says_who:
            return failure(400, "INVALID_ARGUMENT")
        place = "audience_members.audience_members[{}].user_data.user_identifiers"
        violations = [{"field": place.format(at), "description": "", "reason": why} for at, why in wrong]
        return failure(400, "INVALID_ARGUMENT", {"@type": BAD_REQUEST, "fieldViolations": violations})


def refusal(*, field: str, reason: str) -> Refusal:
    """A request with something wrong in this field."""
    violation = {"field": field, "description": "", "reason": reason}
    return failure(400, "INVALID_ARGUMENT", {"@type": BAD_REQUEST, "fieldViolations": [violation]})


def failure(number: int, status: str, *details: dict[str, Any]) -> Refusal:
    """An error as Google's APIs word it."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": status, "domain": "datamanager"}
    error = {"code": number, "message": "There was a problem with the request.", "status": status}
    return Refusal(number, {"error": {**error, "details": [info, *details]}})


def _values(member: dict[str, Any]) -> list[str]:
    """What a member is known by."""
    if "userIdData" in member:
        return [member["userIdData"].get("userId", "")]
    identifiers = member.get("userData", {}).get("userIdentifiers", [])
    return [value for each in identifiers for value in each.values() if isinstance(value, str)]

"""Facebook's Custom Audiences as the Marketing API has them: lists of hashes, answers that count, errors by number."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from demo.vendors.server import Call, Refusal, Reply, Vendor

TOKEN = "EAAB-system-user-0123456789"
HASHED = ("EMAIL", "PHONE", "FN", "LN", "GEN", "DOBY", "DOBM", "DOBD", "FI", "CT", "ST", "ZIP", "COUNTRY")
PLAIN = ("EXTERN_ID", "MADID")
SHA256 = re.compile(r"[0-9a-f]{64}")
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SESSION = {"session_id": int, "batch_seq": int, "last_batch_flag": bool, "estimated_num_total": int}
SOURCES = {"USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"}


@dataclass
class Facebook(Vendor):
    """An ad account: its audiences by id, who is on them by what rows hold, and the uploads that it saw."""

    token: str = TOKEN
    ad_account: str = "1234567890"
    app_secret: str = ""  # where it is set, calls have to prove that they know it
    version: str = "v25.0"
    wants_session: bool = True
    page: int = 2  # audiences of one answer, however many are asked for
    most_items: int = 10_000
    names: dict[str, str] = field(default_factory=dict)  # of audiences, by id
    held: dict[str, set[str]] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)  # audiences that are flagged (operation_status 471)
    sessions: dict[tuple[int, int], Any] = field(default_factory=dict)  # what came as which part of which upload
    verbs: list[str] = field(default_factory=list)  # what was done to audiences, in its order

    @property
    def settings(self) -> dict[str, str]:
        """What stands in destinations.yaml."""
        proof = {"app_secret": self.app_secret} if self.app_secret else {}
        return {"access_token": self.token, "ad_account_id": self.ad_account, "endpoint": self.url, **proof}

    def known_as(self, person: str) -> str:
        """The hash of an email or a phone number; others as they are."""
        if "@" in person:
            return hashlib.sha256(person.strip().lower().encode()).hexdigest()
        if person.startswith("+"):
            return hashlib.sha256(re.sub(r"[^0-9]", "", person).encode()).hexdigest()
        return person

    def members(self, key: str) -> set[str]:
        found = [each for each, name in self.names.items() if name == key]
        return set(self.held[found[0]]) if found else set()

    def people(self, call: Call) -> Iterable[str]:
        return [cell for row in call.json()["payload"]["data"] for cell in row] if call.steps[-1] == "users" else []

    def lists(self, call: Call) -> Iterable[str]:
        return [call.steps[1]] if call.steps[-1] == "users" else []

    def is_allowed(self, call: Call) -> bool:
        return True  # said in the manner of the API: see `_authorised`

    def answer(self, call: Call) -> Reply:
        self._authorised(call)
        try:
            return self._answered(call)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise failure(100, message="invalid parameter") from None

    def _answered(self, call: Call) -> Reply:
        match [call.method, *call.steps]:
            case ["GET", self.version, account, "customaudiences"] if account == f"act_{self.ad_account}":
                return self._page(call)
            case ["POST", self.version, account, "customaudiences"] if account == f"act_{self.ad_account}":
                return self._made(self._read(call, "name", "subtype", "customer_file_source", "description"))
            case ["POST" | "DELETE" as verb, self.version, audience, "users"] if audience in self.names:
                return self._written(verb, audience, self._read(call, "session", "payload"))
        raise failure(100, 400, subcode=33, message="Unsupported request. Object does not exist")

    def _authorised(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise failure(190, 401, kind="OAuthException")
        sound = hmac.new(self.app_secret.encode(), self.token.encode(), hashlib.sha256).hexdigest()
        if self.app_secret and call.query.get("appsecret_proof") != sound:
            raise failure(100, message="API calls from the server require an appsecret_proof argument")
        if set(call.query) - {"appsecret_proof", "fields", "limit", "after"}:
            raise failure(100, message="unknown parameter")

    def _read(self, call: Call, *fields: str) -> dict[str, Any]:
        body = call.json()
        if call.headers.get("content-type") != "application/json" or set(body) - set(fields):
            raise failure(100, message="unknown parameter")
        return body

    def _page(self, call: Call) -> Reply:
        if call.query.get("fields") != "id,name":
            raise failure(100, message="fields")
        every = sorted(self.names)
        start = every.index(call.query["after"]) + 1 if "after" in call.query else 0
        shown = every[start : start + self.page]
        paging: dict[str, Any] = {"cursors": {"before": shown[0], "after": shown[-1]}} if shown else {}
        if start + self.page < len(every):
            paging["next"] = f"https://graph.facebook.com/{call.path}?access_token={self.token}&after={shown[-1]}"
        return Reply(200, {"data": [{"id": each, "name": self.names[each]} for each in shown], "paging": paging})

    def _made(self, body: dict[str, Any]) -> Reply:
        if body.get("subtype") != "CUSTOM" or body.get("customer_file_source") not in SOURCES or not body.get("name"):
            raise failure(100, message="invalid parameter")
        number = f"2384{len(self.names):04}"
        self.names[number], self.held[number] = body["name"], set()
        return Reply(200, {"id": number})

    def _written(self, verb: str, audience: str, body: dict[str, Any]) -> Reply:
        if audience in self.blocked:
            raise failure(100, subcode=1713230, message="Audience Upload Blocked")
        session = self._session(body)
        payload = body["payload"]
        if set(payload) != {"schema", "data"} or not isinstance(payload["schema"], list):
            raise failure(100, message="payload")
        schema, rows = payload["schema"], payload["data"]
        if len(rows) > self.most_items or not rows:
            raise failure(105, message="the number of parameters exceeded the maximum")
        if not all(_is_sound(row, schema) for row in rows):
            raise failure(100, message="the data is not hashed, or no row of the schema")
        refused = self.unwanted | {self.known_as(each) for each in self.unwanted}
        good = {cell for row in rows for cell in row if cell and not refused & set(row)}
        self.verbs.append(verb)
        self.held[audience] = self.held[audience] | good if verb == "POST" else self.held[audience] - good
        wrong = sum(bool(refused & set(row)) for row in rows)
        counts = {"num_received": len(rows), "num_invalid_entries": wrong, "invalid_entry_samples": {}}
        return Reply(200, {"audience_id": audience, "session_id": str(session), **counts})

    def _session(self, body: dict[str, Any]) -> int:
        session = body.get("session")
        if session is None and not self.wants_session:
            return 0
        if not isinstance(session, dict) or set(session) != set(SESSION):
            raise failure(100, message="session")
        if not all(type(session[name]) is kind for name, kind in SESSION.items()) or session["session_id"] <= 0:
            raise failure(100, message="session")
        if self.sessions.setdefault((session["session_id"], session["batch_seq"]), body) != body:
            raise failure(100, message="another part of that session has this number")
        return session["session_id"]


def failure(
    code: int, status: int = 400, *, subcode: int = 0, message: str = "", kind: str = "GraphMethodException"
) -> Refusal:
    """An error as the Graph API words it; people may be named in what it says."""
    error: dict[str, Any] = {"message": f"(#{code}) {message}", "type": kind, "code": code, "fbtrace_id": "AbC1"}
    return Refusal(status, {"error": {**error, **({"error_subcode": subcode} if subcode else {})}})


def throttled(minutes: int, code: int = 80003) -> tuple[int, dict[str, str], bytes]:
    """What stands in a script for a call too many."""
    use = {"type": "custom_audience", "call_count": 100, "estimated_time_to_regain_access": minutes}
    return 400, {"X-Business-Use-Case-Usage": json.dumps({"77": [use]})}, failure(code).reply.bytes


def _is_sound(row: Any, schema: list[str]) -> bool:
    """Whether a row has a cell for each column, hashed where that is asked for; an empty cell is unknown."""
    if not isinstance(row, list) or len(row) != len(schema) or not any(row):
        return False
    return all(_is_cell(cell, name) for cell, name in zip(row, schema, strict=True))


def _is_cell(cell: Any, name: str) -> bool:
    if not isinstance(cell, str):
        return False
    if name in HASHED:
        return cell == "" or (bool(SHA256.fullmatch(cell)) and cell != NOTHING)
    return name in PLAIN and not SHA256.fullmatch(cell)

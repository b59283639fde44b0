"""JSON on the wire: values of records, bodies of requests, and what can be read of answers."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from populace.destinations.protocol import Record, Response, Setting, Settings, Verdict, by_status

TYPE = {"Content-Type": "application/json", "User-Agent": "Populace"}

NAMESPACE = bytes.fromhex("6ba7b8119dad11d180b400c04fd430c8")  # of URLs, in RFC 9562
CODE = re.compile(r"[A-Za-z][A-Za-z_.-]{1,60}")
UNSET = {"null": None, "false": False, "empty": ""}  # how a value may be taken away where nobody is sure how


def value(record: Record) -> Any:
    """The value a person is to have; None where it is taken away."""
    return None if record["value"] is None else json.loads(record["value"])


def is_there(found: Any) -> bool:
    """Whether a value that was read back is one: nobody has null, and a former member false; 0 is a value."""
    return found is not None and found is not False


def encoded(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def message_id(records: Sequence[Record]) -> str:
    """That of the record, or one that follows from those of all; readers ignore what they have seen."""
    if len(records) == 1:
        return str(records[0]["message_id"])
    return hashlib.sha256("\x1f".join(each["message_id"] for each in records).encode()).hexdigest()[:32]


def uuid(text: str) -> str:
    """The UUID that follows from a text, for vendors whose ids must be of this form (version 5, RFC 9562)."""
    found = hashlib.sha1(NAMESPACE + text.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(found[16], 16) % 4]
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{variant}{found[17:20]}-{found[20:32]}"


def basic(user: str, password: str) -> str:
    """Credentials as the header Authorization has them."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def document(response: Response) -> dict[str, Any]:
    """The JSON object of an answer; empty where it is none."""
    try:
        found = json.loads(response.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def listed(found: Any) -> list[Any]:
    """A part of an answer that should be a list; empty where it is none."""
    return found if isinstance(found, list) else []


def code(found: Any) -> str:
    """A code that a vendor gives a failure; empty where it is free text, which may name somebody."""
    return found if isinstance(found, str) and CODE.fullmatch(found) else ""


def named(found: Any) -> Verdict:
    """What is refused by name in an answer, with the code that the vendor gives for it."""
    why = code(found)
    return Verdict("invalid", f"named in the answer{f': {why}' if why else ''}")


def unexpected(response: Response) -> Verdict:
    """What a status means that should not be there; a good one with a body that says nothing leaves everything open."""
    verdict = by_status(response.status)
    if verdict.outcome != "delivered":
        return verdict
    return Verdict("unknown", f"HTTP {response.status}: the answer cannot be read", in_doubt=True)


# --- what takes a value away, where the vendor's documentation does not say it for certain -------------------


def unset(by_default: str) -> Setting:
    """The setting that says how."""
    return Setting("unset", f"what takes a value away: `null`, `false` or `empty` (text); `{by_default}` by default")


def taken_away(settings: Settings, by_default: str) -> Any:
    return UNSET[settings.get("unset", by_default)]


def problems_of_unset(settings: Settings) -> list[str]:
    written = settings.get("unset", "null")
    return [] if written in UNSET or "${" in written else ["'unset' must be null, false or empty"]

"""Webhook: signed POSTs of Segment-shaped calls to an address of yours.

A request is a JSON array of bodies (destinations.md 0.2 and 11), one body for each record: a trait or a membership of
one person or account, or an event about somebody. Several traits of a person are not merged into one body, because
`context.personas` names exactly one computation and receivers find what changed by it. They follow each other in the
same request wherever they fit.

Signatures cover the exact bytes of the body:

* `X-Signature`: hex HMAC-SHA1, as Segment's webhooks have it. Segment signs only the first element
  of a batch; `signature: first` does the same for receivers that expect it.
* `X-Signature-256: t=<unix seconds>,v1=<hex>`: HMAC-SHA256 over `t`, a dot and the body. Receivers
  should refuse a `t` that is more than 5 minutes away.

Answers: 2xx delivered. A 207 may name what went wrong, `{"results": [{"index": 3, "status": 422}]}`;
an index it does not name is delivered. A receiver that sees a `messageId` again must ignore it.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from populace.destinations import calls
from populace.destinations.bodies import encoded
from populace.destinations.protocol import (
    ALLOW_PRIVATE,
    About,
    Answer,
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
)

ABOUT = About(
    title="Webhook",
    forms=calls.FORMS,
    settings=(
        Setting(
            "url",
            "where bodies are posted; a secret, since such addresses often hold a token",
            is_required=True,
            is_secret=True,
        ),
        Setting("secret", "signs every request", is_required=True, is_secret=True),
        Setting("batch_size", "bodies a request, 1,000 by default, 4,000 at most"),
        Setting(
            "signature", "what `X-Signature` covers: `body` (all bytes) or `first` (the first element, as Segment does)"
        ),
        ALLOW_PRIVATE,
    ),
    identifies=(),
)

BATCH = 1_000
GREATEST_BATCH = 4_000  # Segment's, destinations.md 11
REQUEST_BYTES = 1_000_000  # what common servers take without being told to

HEADERS = {"Content-Type": "application/json", "User-Agent": "Populace"}


def account(settings: Settings) -> str:
    parts = urlsplit(settings["url"])
    return f"{parts.hostname}:{parts.port or ''}{parts.path}" if parts.hostname else settings["url"]


def problems(settings: Settings) -> list[str]:
    found = address(settings, "url")
    size = settings.get("batch_size", str(BATCH))
    if not (size.isdecimal() and 1 <= int(size) <= GREATEST_BATCH):
        found.append(f"'batch_size' must be a number from 1 to {GREATEST_BATCH}")
    if settings.get("signature", "body") not in {"body", "first"}:
        found.append("'signature' must be 'body' (all bytes) or 'first' (the first element, as Segment does)")
    return found


def limits(settings: Settings) -> Limits:
    return Limits(int(settings.get("batch_size", BATCH)), REQUEST_BYTES, calls.CALL_BYTES)


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    # One output feeds one receiver (D-32): who passes the calls on to others passes them to nobody else.
    addressee = {"integrations": {"All": False, origin.destination: True}}
    for position, record in enumerate(records):
        yield Update((position,), encoded({**calls.call([record], origin), **addressee}))


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    body = b"[" + b",".join(each.body for each in updates) + b"]"
    response = yield Request("POST", settings["url"], headers(body, updates[0].body, settings, at), body)
    return answer(response, len(updates))


def headers(body: bytes, first: bytes, settings: Settings, at: int) -> dict[str, str]:
    """The signatures of these bytes at this second of Unix time."""
    secret = settings["secret"].encode()
    covered = first if settings.get("signature") == "first" else body
    sound = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    compatible = hmac.new(secret, covered, hashlib.sha1).hexdigest()
    return {**HEADERS, "X-Signature": compatible, "X-Signature-256": f"t={at},v1={sound}"}


def answer(response: Response, count: int) -> Answer:
    if response.status != 207:
        return by_status(response.status)
    try:
        named = {int(each["index"]): int(each["status"]) for each in json.loads(response.body)["results"]}
    except (ValueError, LookupError, TypeError):
        named = {-1: 0}
    if not named.keys() <= set(range(count)):
        return Verdict("unknown", "HTTP 207: its results cannot be read", in_doubt=True)
    return [by_status(named.get(index, 207)) for index in range(count)]

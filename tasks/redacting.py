"""What may be shown of an exchange: its shape, our own words, and nothing about a person.

A report, a log or an artifact may be read by people who must not see whom a batch was about. So what is not known to
be harmless is replaced. Of a body only JSON, and forms that hold it, is shown at all, and of its strings only those
that are our own (keys, actions, message ids, runs, names of destinations) or codes in the places where vendors put
codes; the ids and values of the batch, addresses, long numbers and every other text are placeholders.

Letters are another matter: they keep what was sent and answered, for the lake alone, and only secrets are masked.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from populace.destinations.protocol import Origin, Record, Request, Settings

LETTER = 4_096  # bytes of a body that a letter keeps
SAMPLE = 2_000  # characters of a body that a sample shows
ELEMENTS = 2  # of a list that a sample shows
DEEPEST = 20

TEXT, VALUE, NUMBER = "<text>", "<value>", "<number>"
LONG_NUMBER = re.compile(r"\d{6}")
PLAIN_KEY = re.compile(r"[$@]?[A-Za-z][A-Za-z0-9_.$-]{0,39}")
PLAIN_SEGMENT = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,39}|\d{1,3}|)(:[a-zA-Z]+)?")
# Where vendors put words of their own, and what such a word looks like.
CODES = frozenset({"code", "error", "error_code", "errorcode", "category"})
CODE = re.compile(r"[A-Z]+(_[A-Z]+)+|[a-z]+(_[a-z]+)+|([A-Z][a-z]+){2,}|[a-z]+([A-Z][a-z]+)+")
LARGEST_PLAIN_NUMBER = 999
LARGEST_EXACT = 2**53  # from here on a float is not the number any more
# What calls are made of; a value that is spelled so is a value all the same.
WORDS = frozenset(
    {"identify", "track", "users", "none", "set", "unset", "exit", "add", "remove", "trait", "audience"}
    | {"true", "false", "ok", "success", "error", "failed", "completed", "processing", "queued", "pending"}
    | {"Audience Entered", "Audience Exited", "Trait Computed"}
)
SHORTEST_PATH_SECRET = 8


def secrets(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """What to mask, in every spelling, and the placeholder for it; the longest first."""
    found = {}
    for name in names:
        for part in _parts(settings.get(name, "")):
            for spelling in _spellings(part):
                found[spelling] = f"<{name}>"
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _parts(secret: str) -> list[str]:
    """A secret, and the parts of an address that may be secret by themselves."""
    if "://" not in secret:
        return [secret] if secret else []
    url = urlsplit(secret)
    paths = [each for each in url.path.split("/") if len(each) >= SHORTEST_PATH_SECRET]
    return [secret, *(value for _, value in parse_qsl(url.query)), *paths, *([url.password] if url.password else [])]


def _spellings(secret: str) -> set[str]:
    """A secret as it stands in text, JSON, forms, addresses and the header of basic authentication."""
    encoded = {base64.b64encode(each.encode()).decode() for each in (secret, f"{secret}:")}
    return {secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe=""), quote_plus(secret), *encoded}


def masked(text: str, secrets: Mapping[str, str]) -> str:
    """The text without secrets."""
    for secret, placeholder in secrets.items():
        text = text.replace(secret, placeholder)
    return text


def letter(body: bytes, secrets: Mapping[str, str], *, status: int | None = None) -> str:
    """The start of a body for a letter, without secrets; a reply after a line with its status."""
    # Masked before it is cut: half a secret would not be found.
    text = masked(body[: 2 * LETTER].decode(errors="replace"), secrets)
    text = f"HTTP {status}\n{text}" if status is not None else text
    return text.encode()[:LETTER].decode(errors="ignore")


def words(origin: Origin) -> frozenset[str]:
    """Our own names in what a delivery sends."""
    return WORDS | {origin.run_id, origin.space, origin.destination, origin.as_of, *origin.names.values()}


@dataclass(frozen=True)
class Redaction:
    """What is known of one batch: whom and what it is about, and which words in it are ours."""

    records: Sequence[Record]
    secrets: Mapping[str, str]
    words: frozenset[str] = frozenset()

    @cached_property
    def known(self) -> dict[str, str]:
        """Each text about a person, in small letters, since vendors spell as they like; and its placeholder."""
        found: dict[str, str] = {}
        for record in self.records:
            for leaf in _leaves(json.loads(record["value"]) if record["value"] else None):
                found[leaf.casefold()] = VALUE
        for record in self.records:
            found[record["id_value"].casefold()] = f"<{record['id_type']}>"
            # Who was read back and is a stranger here has no profile.
            found[(record["profile_id"] or "").casefold()] = "<profile_id>"
        return {text: placeholder for text, placeholder in found.items() if text}

    @cached_property
    def ours(self) -> frozenset[str]:
        keys = {record["key"] for record in self.records}
        ids = {record["message_id"] for record in self.records}
        return self.words | keys | ids | {f"{kind}_{key}" for key in keys for kind in ("aud", "tra")}

    def body(self, body: bytes) -> str:
        """A body, as far as it may be shown."""
        text = masked(body.decode(errors="replace"), self.secrets)
        if not text.strip():
            return ""
        try:
            shown = json.dumps(self._shown(json.loads(text)), ensure_ascii=False)
        except (ValueError, RecursionError):
            shown = self._form(text)
        return shown[:SAMPLE]

    def endpoint(self, request: Request) -> str:
        """Method and path of a request."""
        address = masked(request.url, self.secrets)
        if address.startswith("<"):
            return f"{request.method} {address.partition('>')[0]}>"
        path = urlsplit(address).path
        return f"{request.method} {'/'.join(self._segment(unquote(each)) for each in path.split('/'))}"

    def _segment(self, text: str) -> str:
        if found := self.known.get(text.casefold()):
            return found
        return text if PLAIN_SEGMENT.fullmatch(text) or text in self.secrets.values() else "<id>"

    def _form(self, text: str) -> str:
        """A form whose fields are shown like the leaves of JSON; other text only by its length."""
        fields = parse_qsl(text) if re.fullmatch(r"[^\s<>]+=[^\s]*", text) else []
        if not fields:
            return f"<text of {len(text)} characters>"
        return "&".join(f"{self._key(name)}={self._field(name, value)}" for name, value in fields)

    def _field(self, name: str, value: str) -> str:
        try:
            return json.dumps(self._shown(json.loads(value), name), ensure_ascii=False)
        except (ValueError, RecursionError):
            return self._text(value, name)

    def _shown(self, value: Any, key: str = "", depth: int = 0) -> Any:
        if depth > DEEPEST:
            return TEXT
        if isinstance(value, dict):
            return {self._key(name): self._shown(each, name, depth + 1) for name, each in value.items()}
        if isinstance(value, list):
            rest = [f"… {len(value) - ELEMENTS} more"] if len(value) > ELEMENTS else []
            return [self._shown(each, key, depth + 1) for each in value[:ELEMENTS]] + rest
        if isinstance(value, str):
            return self._text(value, key)
        # true, false and null say nothing about somebody whose name is not there.
        return value if value is None or isinstance(value, bool) else self._number(value)

    def _number(self, value: float) -> Any:
        is_plain = isinstance(value, int) and abs(value) <= LARGEST_PLAIN_NUMBER
        return self.known.get(_spelled(value).casefold()) or (value if is_plain else NUMBER)

    def _text(self, text: str, key: str) -> str:
        if found := self.known.get(text.casefold()):
            return found
        is_code = key.lower() in CODES and CODE.fullmatch(text) and len(text) <= 60
        is_ours = text in self.ours or text.lower() in WORDS or text in self.secrets.values()
        return text if is_ours or is_code else TEXT

    def _key(self, name: str) -> str:
        """The name of a field; names that come from data are not shown."""
        if found := self.known.get(name.casefold()):
            return found
        is_plain = PLAIN_KEY.fullmatch(name) and not LONG_NUMBER.search(name)
        return name if name in self.ours or is_plain else TEXT


def _leaves(value: Any) -> Iterable[str]:
    """The texts and numbers in a value, and the names in it, as texts."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif value is not None and not isinstance(value, bool):
        yield _spelled(value)


def _spelled(value: str | float) -> str:
    """A text as it is, a number as Python's float spells it: 450 and 450.0 are one."""
    if isinstance(value, str):
        return value
    return repr(float(value)) if abs(value) < LARGEST_EXACT else str(value)

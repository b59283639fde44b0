"""Identifiers as advertisers take them: normalised, then SHA-256 in lower-case hex (destinations.md 0.3).

Each of these is text in and text out, changes nothing when it is asked a second time, and is None for what names
nobody: the hash of an empty text is never sent. A hash that somebody else made passes through in lower case; whether a
destination takes it is its setting `hashed`.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import wraps

from populace.destinations.bodies import encoded
from populace.destinations.protocol import Origin, Record, Setting, Settings, Update

Normal = Callable[[str], str | None]
Telling = Callable[[str, str], tuple[str, bytes]]  # of a type and a value: what shares a request, and the body

HASHED = re.compile(r"[0-9a-f]{64}")
NOTHING = hashlib.sha256(b"").hexdigest()
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
GMAIL = ("gmail.com", "googlemail.com")
# Letters stand for an extension or no number at all, so that nobody's number would be left without them.
NUMBER = re.compile(r"\+?[0-9\s().,/_\u00ad\u2010-\u2015-]+")
SHORTEST, LONGEST = 7, 15  # digits of a number with its country (E.164)

SETTING = Setting(
    "hashed",
    "what becomes of emails and phone numbers that are hashes already: `refuse` (the default: parked with a letter) or "
    "`pass` (sent as they are)",
)


def sha256(text: str) -> str:
    """The hash of a normalised value; one that is a hash already stays as it is."""
    return text if is_hashed(text) else hashlib.sha256(text.encode()).hexdigest()


def is_hashed(text: str) -> bool:
    return bool(HASHED.fullmatch(text))


def _or_hash(normal: Normal) -> Normal:
    """The same for texts; a hash stays one, but for that of nothing."""

    @wraps(normal)
    def found(text: str) -> str | None:
        bare = text.strip().lower()
        if is_hashed(bare):
            return None if bare == NOTHING else bare
        return normal(text)

    return found


@_or_hash
def email(text: str) -> str | None:
    """Trimmed, in lower case."""
    return _address(text.strip().lower())


@_or_hash
def google_email(text: str) -> str | None:
    """Without any white space, in lower case; of Gmail without all dots and what follows a plus in the local part."""
    local, at, domain = "".join(text.split()).lower().rpartition("@")
    if domain in GMAIL:
        local = local.partition("+")[0].replace(".", "")
    return _address(f"{local}{at}{domain}")


@_or_hash
def digits(text: str) -> str | None:
    """A phone number as Meta has it: country and number in digits, nothing before them."""
    bare = text.strip().replace("(0)", "")  # what is dialled within the country, beside the country
    if not NUMBER.fullmatch(bare):
        return None
    found = "".join(each for each in bare if each in "0123456789")
    found = found if bare.startswith("+") else found.removeprefix("00")
    # No country begins with 0: what does is a number within some country, and nobody knows which.
    return found if SHORTEST <= len(found) <= LONGEST and found[0] != "0" else None


@_or_hash
def e164(text: str) -> str | None:
    """A phone number as Google has it: the same behind a plus."""
    found = digits(text)
    return f"+{found}" if found else None


def device(text: str) -> str | None:
    """The advertising id of a phone, in lower case; one of zeros is what phones say that tell nobody who they are."""
    found = text.strip().lower()
    return found if found.strip("0-") else None


def _address(found: str) -> str | None:
    return found if ADDRESS.fullmatch(found) else None


def members(
    records: Sequence[Record],
    origin: Origin,
    settings: Settings,
    normal: Mapping[str, Normal],
    hashed: Collection[str],
    tell: Telling,
) -> Iterator[Update]:
    """An update for each identifier that joins a list or leaves it; identifiers of the types in `hashed` are hashes."""
    for at, record in enumerate(records):
        id_type, written = record["id_type"], record["id_value"]
        found = normal.get(id_type, str)(written)
        if why := problem(found, settings, is_hashable=id_type in hashed):
            yield Update((at,), encoded(written), problem=why)
            continue
        shared, body = tell(id_type, sha256(str(found)) if id_type in hashed else str(found))
        # Of one list all that is added comes before what is removed, for groups go in the order of their names.
        done = "add" if record["value"] == "true" else "remove"
        yield Update((at,), body, f"lists/{origin.lists[record['key']]}/{done}/{shared}", stage=1)


def problem(found: str | None, settings: Settings, *, is_hashable: bool) -> str:
    """Why nobody can be known by an identifier, as it was normalised; nothing where somebody can."""
    if found is None:
        return "the identifier names nobody: it is empty, or not of the form that its type has"
    if is_hashable and is_hashed(found) and settings.get("hashed", "refuse") != "pass":
        return "the identifier is a hash already, and 'hashed' is not 'pass'"
    return ""

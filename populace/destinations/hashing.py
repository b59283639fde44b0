"""Identifiers as advertisers take them: normalised, then SHA-256 in lower-case hex (destinations.md 0.3).

What normalises to nothing names nobody: the hash of an empty text is never sent.
"""

import hashlib
import re

HASHED = re.compile(r"[0-9a-f]{64}")
GMAIL = ("gmail.com", "googlemail.com")


def sha256(text: str) -> str:
    """The hash of a normalised value; one that is a hash already stays as it is."""
    return text if HASHED.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()


def email(text: str) -> str | None:
    """Trimmed, in lower case."""
    return text.strip().lower() or None

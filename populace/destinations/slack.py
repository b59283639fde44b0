"""Slack: how large audiences are and how they changed, as messages in a channel.

Nobody is named there: a record is about an audience or a trait as a whole, and its value is a JSON
object of counts, `{"as_of", "members", "entered", "left"}` or `{"as_of", "profiles"}`; where it is about
accounts, `accounts` stands for `members` and `profiles`. All that one
sync has to say stands in one message; a long one is split between lines. What is delivered no
longer says nothing: its update has an empty body, and no request.

Wire (destinations.md 12): an incoming webhook takes one POST of JSON a message, about one a second.
It answers 200 `ok`, or a word as plain text. It cannot recognise a repetition, so a message that
may have arrived is not sent again.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from populace.destinations.protocol import (
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
    by_status,
)

ABOUT = About(
    title="Slack",
    forms=("summary",),
    settings=(
        # A secret, for whoever has it may post.
        Setting(
            "url", "of an incoming webhook, `https://hooks.slack.com/services/…`", is_required=True, is_secret=True
        ),
        Setting("channel", 'such as `"#growth"`; this and the next two for older webhooks only'),
        Setting("username", "under which it posts"),
        Setting("icon_url", "the picture beside the name"),
    ),
    identifies=(),
    grain="audience",
)

HEADERS = {"Content-Type": "application/json", "User-Agent": "Populace"}
MESSAGE = 3_000  # characters; Slack folds longer ones, and cuts at 40,000
LONGEST_NAME = 150
BYTES = 32 * 1024
A_SECOND = 1.0  # messages to one channel

SIZES = {"members": "member", "profiles": "profile", "accounts": "account"}
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
WORD = re.compile(rb"[a-z_]{1,60}")

# Faults of one message; the next may be good.
ABOUT_MESSAGE = {"invalid_payload", "invalid_blocks", "invalid_attachments", "no_text", "msg_too_long"}
# Words for faults of the webhook or its channel, and what a person can do.
REMEDIES = {
    "action_prohibited": "an administrator of the workspace does not allow it",
    "channel_is_archived": "unarchive the channel, or set the webhook of another",
    "channel_not_found": "there is no such channel; check 'channel', or make a new webhook",
    "invalid_token": "the webhook is not valid; check 'url'",
    "no_active_hooks": "the webhook is switched off; make a new one",
    "no_service": "the webhook is gone or switched off; make a new one",
    "no_service_id": "the address is cut short; check 'url'",
    "no_team": "there is no such workspace; check 'url'",
    "posting_to_general_channel_denied": "not everybody may post to this channel; set another",
    "team_disabled": "the workspace is not active any more; set another webhook",
    "user_not_found": "there is no such person; check 'channel'",
}


def account(settings: Settings) -> str:
    """Workspace, webhook and channel: the last part of the path is what makes the address a secret."""
    parts = urlsplit(settings["url"])
    where = f"{parts.netloc}{parts.path.rpartition('/')[0]}" if parts.hostname else settings["url"]
    return f"{where} {settings.get('channel', '')}".strip()


def problems(settings: Settings) -> list[str]:
    return [
        f"{name!r} must start with https:// or http://"
        for name in ("url", "icon_url")
        if settings.get(name) and not settings[name].startswith(("https://", "http://", "${"))
    ]


def limits(settings: Settings) -> Limits:
    return Limits(1, BYTES, BYTES, {"": A_SECOND})


# --- what is said -----------------------------------------------------------------------------------


def updates(records: Sequence[Record], origin: Origin, settings: Settings) -> Iterator[Update]:
    """A message for all that changed, or several; and an update without one for what is delivered no longer."""
    ordered = sorted(range(len(records)), key=lambda each: (records[each]["kind"], records[each]["key"]))
    moments: dict[str, list[tuple[int, str]]] = {}
    for each in ordered:
        if records[each]["action"] == "set":
            counts = json.loads(records[each]["value"])
            moments.setdefault(counts["as_of"], []).append((each, line(records[each], counts, origin.names)))
    for as_of, lines in moments.items():
        for message in _split(lines):
            body = {"text": text([each for _, each in message], as_of, origin.space), **_appearance(settings)}
            encoded = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            yield Update(tuple(each for each, _ in message), encoded, once=True)
    if gone := tuple(each for each in ordered if records[each]["action"] != "set"):
        yield Update(gone, b"")


def line(record: Record, counts: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """An audience or trait and its size, such as `*Buyers* (`buyers`): 1,234 members, +120 −40`."""
    name = escaped(" ".join(names.get(record["key"], "").split())[:LONGEST_NAME])
    called = f"*{name}* (`{record['key']}`)" if name else f"`{record['key']}`"
    size = next(_counted(counts[key], noun) for key, noun in SIZES.items() if key in counts)
    if record["kind"] == "trait":
        return f"{called}: {size}"
    changes = [f"{sign}{counts[key]:,}" for sign, key in (("+", "entered"), ("−", "left")) if counts[key]]
    return f"{called}: {size}, {' '.join(changes) or 'no change'}"


def text(lines: Sequence[str], as_of: str, space: str) -> str:
    """One line as a sentence, several as a list."""
    moment = f"{as_of[:16].replace('T', ' ')} UTC in space {space}"
    if len(lines) == 1:
        return f"{lines[0]}, as of {moment}"
    return "\n".join([f"As of {moment}:", *(f"• {each}" for each in lines)])


def escaped(text: str) -> str:
    """Text that mentions nobody and links nothing."""
    return text.translate(ESCAPES)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _split(lines: Sequence[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """The lines of one message after the other."""
    message: list[tuple[int, str]] = []
    size = 0
    for each in lines:
        if message and size + len(each[1]) > MESSAGE:
            yield message
            message, size = [], 0
        message.append(each)
        size += len(each[1])
    yield message


def _appearance(settings: Settings) -> dict[str, str]:
    return {name: settings[name] for name in ("channel", "username", "icon_url") if settings.get(name)}


# --- the conversation -------------------------------------------------------------------------------


def exchange(updates: Sequence[Update], settings: Settings, at: int) -> Exchange:
    (update,) = updates
    if not update.body:
        return Verdict("noop", "delivered no longer; nothing is said")
    response = yield Request("POST", settings["url"], HEADERS, update.body)
    return answer(response)


def answer(response: Response) -> Answer:
    """What a status and its word mean; only words that Slack may use are repeated."""
    found = WORD.fullmatch(response.body.strip())
    word = found[0].decode() if found else ""
    told = f"HTTP {response.status}{': ' if word else ''}{word}"
    if response.status == 200 and word != "ok":
        return Verdict("refused", "HTTP 200, but not Slack's ok; check 'url'")
    if word in REMEDIES:
        return Verdict("refused", f"{told}; {REMEDIES[word]}")
    if word in ABOUT_MESSAGE:
        return Verdict("invalid", told)
    if response.status == 500 and word:
        return Verdict("transient", told)  # Slack itself says that nothing was posted
    return by_status(response.status)

"""Messages to the addresses that a space's `notify` names: JSON for a webhook, one line of text for Slack.

An address is a secret, so it appears in no warning. What a message is about is done, so a message that does not
arrive is a warning and nothing else.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from populace.destinations import slack
from populace.errors import Refused
from tasks.settings import Secret, resolve

SLACK = "hooks.slack.com"
WRONG_ADDRESS = (httpx.InvalidURL, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to insist: tries, the first pause between two of them (then doubled), and seconds for each step."""

    tries: int = 3
    pause: float = 1.0
    timeout: float = 5.0


def send(
    addresses: Sequence[str],
    message: Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    secret: Secret | None,
    warn: Callable[[str], None],
    pace: Pace = Pace(),
) -> None:
    """Post a message to every address; never fails.

    Parameters
    ----------
    addresses
        URLs as the definitions have them; one that is empty once `${NAME}` is replaced is nobody's.
    message
        What to post as JSON; of it Slack gets `text`.
    environ, secret
        What `${NAME}` stands for: the first that knows it.
    warn
        Told of every address that did not get it, by its number.
    """
    # httpx logs every address it calls.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for number, written in enumerate(addresses, 1):
        try:
            problem = _problem(written, message, environ, secret, pace)
        except Refused as refusal:
            problem = str(refusal)
        except Exception as error:  # whatever it is, what the message is about is done
            problem = type(error).__name__
        if problem:
            warn(f"notification {number} of {len(addresses)} was not delivered: {problem}")


def _problem(
    written: str, message: Mapping[str, Any], environ: Mapping[str, str], secret: Secret | None, pace: Pace
) -> str:
    """Post to one address; what was wrong with the last try, nothing where it was accepted."""
    address = resolve({"url": written}, environ, secret)["url"].strip()
    if not address:
        return ""
    is_slack = urlsplit(address).hostname == SLACK
    document = {"text": slack.escaped(message["text"])} if is_slack else dict(message)
    problem = ""
    with httpx.Client(timeout=pace.timeout, follow_redirects=False) as client:
        for attempt in range(pace.tries):
            if attempt:
                time.sleep(pace.pause * 2 ** (attempt - 1))
            problem, is_worth_another = _post(client, address, document)
            if not is_worth_another:
                break
    return problem


def _post(client: httpx.Client, address: str, document: dict[str, Any]) -> tuple[str, bool]:
    """One try: what was wrong, and whether another one may help."""
    try:
        with client.stream("POST", address, json=document) as answer:
            status = answer.status_code
    except WRONG_ADDRESS:
        return "the address cannot be used; it must start with https:// or http://", False
    except httpx.HTTPError as error:
        return type(error).__name__, True
    if 200 <= status < 300:
        return "", False
    return f"it was answered with status {status}", status == 429 or status >= 500

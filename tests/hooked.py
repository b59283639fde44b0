"""A space that delivers to a webhook, and what its receiver should know then."""

from pathlib import Path
from typing import Any

from demo.vendors.webhook import Receiver
from populace.definitions import Destination
from populace.space import OpenSpace
from tests.deliveries import open_space, publish, send

USERS = [f"u{each:02d}" for each in range(100)]


def plans(count: int, value: str = "gold") -> dict[str, list]:
    return {"profile_id": USERS[:count], "plan": [value] * count}


def sync(space: OpenSpace, receiver: Receiver, **options: Any) -> dict[str, Any]:
    return send(space, environ={"HOOK_URL": receiver.url}, **options)


def assert_equal(receiver: Receiver, count: int = 20, buyers: int = 10, value: str = "gold") -> None:
    assert receiver.values("plan") == dict.fromkeys(USERS[:count], value)
    assert receiver.values("buyers") == dict.fromkeys(USERS[:buyers], True)


def hooked(folder: Path) -> OpenSpace:
    """Twenty people with a plan, the first ten of them buyers; five records a request."""
    settings = {"url": "${HOOK_URL}", "secret": "${HOOK_SECRET:-correct-horse}", "batch_size": "5"}
    opened = open_space(folder, Destination("hook", "webhook", tuple(settings.items())), "plan", "buyers")
    publish(opened, 1, plans(20), {"buyers": USERS[:10]})
    return opened

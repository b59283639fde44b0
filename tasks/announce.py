"""Saying that something is done: an event in Prefect, on which automations can act, and a message to `notify`.

Counts, and names from the definitions; no personal data.
"""

import os
from dataclasses import dataclass
from typing import Any

from prefect import get_run_logger
from prefect.events import emit_event

from populace.space import OpenSpace
from tasks import notify
from tasks.blocks import secret_block

BROKEN = ("failed", "unreadable")


@dataclass(frozen=True, slots=True)
class Announcement:
    """What happened, by its event's name, in a line for people, and in numbers."""

    event: str
    text: str
    payload: dict[str, Any]


def replayed(space: str, summaries: dict[str, dict], *, is_limited: bool) -> Announcement | None:
    """How a replay ended, by the ledger's summaries of all sources.

    Completed where everything is in the lake, failed where something could not be read or the replay broke off. None
    for one that was told to leave something out (`is_limited`), and did only that.
    """
    statuses = {found["status"] for found in summaries.values()}
    is_complete = statuses <= {"complete"}
    if is_limited and not is_complete and not statuses.intersection(BROKEN):
        return None
    sources = {
        name: {"status": found["status"], "days": sum(day["kept"] > 0 for day in found["days"].values())}
        | found["rows"]
        for name, found in summaries.items()
    }
    told = "; ".join(_told(name, summaries[name], counts) for name, counts in sources.items())
    name = "completed" if is_complete else "failed"
    return Announcement(f"populace.replay.{name}", f"{space}: replay {name}: {told}", {"sources": sources})


def _told(name: str, found: dict, counts: dict[str, Any]) -> str:
    rows = ", ".join(f"{counts[each]:,} {each}" for each in ("read", "kept", "duplicate", "rejected"))
    failed = len(found.get("failed", ()))
    broken = f", {failed:,} object{'s' if failed > 1 else ''} cannot be read" if failed else ""
    return f"{name} {counts['status']}{broken} ({rows})"


def published(space: str, manifest: dict[str, Any]) -> Announcement:
    """A run that is current now, by its manifest."""
    sizes = manifest["audiences"]
    told = ", ".join(f"{name} {count:,}" for name, count in sizes.items()) or "no audiences"
    moment = manifest["as_of"][:16].replace("T", " ")
    text = f"{space}: run {manifest['run_id']} is published, as of {moment} UTC: {told}"
    payload = {"run_id": manifest["run_id"], "as_of": manifest["as_of"], "audiences": sizes}
    return Announcement("populace.run.published", text, payload)


def announce(opening: OpenSpace, found: Announcement | None) -> None:
    """Tell Prefect and everybody whom the space notifies."""
    if found is None:
        return
    space = opening.definition.name
    resource = {"prefect.resource.id": f"populace.space.{space}", "prefect.resource.name": space}
    emit_event(found.event, resource, payload=found.payload)
    message = {"text": found.text, "event": found.event, "space": space} | found.payload
    notify.send(
        opening.definition.notify, message, environ=os.environ, secret=secret_block, warn=get_run_logger().warning
    )

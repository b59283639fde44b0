"""Saying that something is done, or stuck: an event in Prefect that automations can act on, and a message to `notify`.

Counts, and names from the definitions; no personal data.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prefect import get_run_logger
from prefect.events import emit_event

from populace import sync
from populace.space import OpenSpace
from tasks import notify
from tasks.blocks import secret_block
from tasks.delivery import failure

BROKEN = ("failed", "unreadable")

NOT_SYNCED = ("disabled", "dry_run")
SYNCED = ("success", "partial")  # everything that could be sent was; other statuses mean that somebody has to look
COUNTED = ("computed", sync.UNCHANGED, sync.NO_IDENTIFIER, *sync.OUTCOMES)
HELD_BACK = (*sync.WAITING, sync.REFUSED)  # sent by a later sync

ADDRESS = re.compile(r'[^\s"<>(),;]+@[^\s"<>(),;]+')
LONGEST_REASON = 300  # characters


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


def synced(space: str, summaries: Iterable[Mapping[str, Any]]) -> Announcement | None:
    """How a sync ended, by the accounts of its destinations, each with `destination` and `status`.

    Completed where every destination has what it can take; what is invalid is told, and waits for nobody. Failed where
    one is held or paused, broke off, or has records that wait for a later sync. None where nothing was to be sent: all
    destinations are disabled, or it was a dry run.
    """
    told = [each for each in summaries if each["status"] not in NOT_SYNCED]
    if not told:
        return None
    is_complete = all(each["status"] in SYNCED and failure(each) is None for each in told)
    name = "completed" if is_complete else "failed"
    text = f"{space}: sync {name}: {'; '.join(_told_of(each) for each in told)}"
    return Announcement(
        f"populace.sync.{name}", text, {"destinations": {each["destination"]: _counts(each) for each in told}}
    )


def _counts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The status and every count of a destination, and why where it says so."""
    counts = {name: summary.get(name, 0) for name in COUNTED}
    reason = _reason(summary)
    return {"status": summary["status"], **counts, **({"reason": reason} if reason else {})}


def _told_of(summary: Mapping[str, Any]) -> str:
    counts = {
        "computed": summary.get("computed", 0),
        "delivered": _sum(summary, sync.ADVANCING),
        "waiting": _sum(summary, HELD_BACK),
        "invalid": _sum(summary, sync.PARKED),
    }
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    reason = _reason(summary)
    return f"{summary['destination']} {summary['status']} ({told}){': ' if reason else ''}{reason}"


def _sum(summary: Mapping[str, Any], names: Iterable[str]) -> int:
    return sum(summary.get(name, 0) for name in names)


def _reason(summary: Mapping[str, Any]) -> str:
    return _without_addresses(summary.get("reason", ""))


def _without_addresses(reason: str) -> str:
    """A reason holds no personal data; should a database or vendor have put an address into it, it is left out."""
    line = " ".join(ADDRESS.sub("…", reason[: 10 * LONGEST_REASON]).split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"


def paused(space: str, destination: str, reason: str) -> Announcement:
    """A destination that nothing is sent to any more until a person acts."""
    why = _without_addresses(reason)
    text = f"{space}: {destination} is paused, nothing is sent there until somebody acts: {why}"
    return Announcement("populace.destination.paused", text, {"destination": destination, "reason": why})


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

"""Segment-shaped calls: identify, track for events, group for accounts (destinations.md 0.2, D-14, D-30 to D-33).

Whoever reads them finds a computation by `context.personas`, which names exactly one: so a membership is a call by
itself. Traits are read by their names, and may be told together where the reader needs no more than that; such a call
says of its class that it is a trait, and names no key.
"""

from collections.abc import Sequence
from typing import Any

from populace.destinations.bodies import message_id, value
from populace.destinations.protocol import EVENT, GROUP, PROPERTY, Origin, Record

FORMS = (PROPERTY, EVENT, GROUP)
CALL_BYTES = 32 * 1024  # D-38
TRAITS = 300  # in one identify call
TRAIT_EVENT = "Trait Computed"
ENTERED, EXITED = "Audience Entered", "Audience Exited"


def call(records: Sequence[Record], origin: Origin) -> dict[str, Any]:
    """The call that tells these values of one person or account; an event is told alone.

    Null takes a trait away, false ends a membership.
    """
    form = records[0]["form"]
    if form == EVENT:
        return track(records[0], origin)
    return group(records, origin) if form == GROUP else identify(records, origin)


def identify(records: Sequence[Record], origin: Origin) -> dict[str, Any]:
    """One call for the values of one person, who goes by one identifier."""
    body = _valued("identify", records, origin)
    # Where a trait has this name itself, the address goes where track calls have it.
    place = body["traits"] if "email" not in body["traits"] else body["context"].setdefault("traits", {})
    return _addressed(body, records[0], place)


def group(records: Sequence[Record], origin: Origin) -> dict[str, Any]:
    """One call for the values of one account (D-14).

    Segment's API wants to know who makes a call, and here it is nobody: the account's own profile stands for them.
    """
    body = _valued("group", records, origin)
    return {**body, "groupId": records[0]["id_value"], "anonymousId": records[0]["profile_id"]}


def _valued(kind: str, records: Sequence[Record], origin: Origin) -> dict[str, Any]:
    return {
        "type": kind,
        "messageId": message_id(records),
        "timestamp": origin.as_of,
        "traits": {each["key"]: value(each) for each in records},
        "context": {"personas": personas(records, origin)},
    }


def track(record: Record, origin: Origin) -> dict[str, Any]:
    """One event: somebody entered, exited, or has another value."""
    body: dict[str, Any] = {
        "type": "track",
        "messageId": record["message_id"],
        "timestamp": origin.as_of,
        "event": event(record),
        "properties": event_properties(record),
        "context": {"personas": personas([record], origin)},
    }
    return _addressed(body, record, None)


def event(record: Record) -> str:
    """What a change is called as an event."""
    if record["kind"] == "trait":
        return TRAIT_EVENT
    return ENTERED if record["value"] == "true" else EXITED


def event_properties(record: Record) -> dict[str, Any]:
    """Which computation changed, and to what."""
    return {f"{record['kind']}_key": record["key"], record["key"]: value(record)}


def personas(records: Sequence[Record], origin: Origin) -> dict[str, str]:
    """Which computation a call comes from: what filters and mappings key on (D-30)."""
    first = records[0]
    prefix = "aud" if first["kind"] == "audience" else "tra"
    one = {"computation_id": f"{prefix}_{first['key']}", "computation_key": first["key"]} if len(records) == 1 else {}
    return {
        "computation_class": first["kind"],
        **one,
        "namespace": origin.space,
        "space_id": origin.space,
        "computation_run_id": origin.run_id,
    }


def _addressed(body: dict[str, Any], record: Record, traits: dict[str, Any] | None) -> dict[str, Any]:
    """The identifier in the slot Segment gives its type (D-33); mail addresses in these traits, or the context's."""
    id_type, id_value = record["id_type"], record["id_value"]
    if id_type == "user_id":
        body["userId"] = id_value
    elif id_type == "anonymous_id":
        body["anonymousId"] = id_value
    elif id_type == "email":
        (body["context"].setdefault("traits", {}) if traits is None else traits)["email"] = id_value
    else:
        body["context"]["externalIds"] = [{"id": id_value, "type": id_type, "collection": "users", "encoding": "none"}]
    return body

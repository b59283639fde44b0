"""One profile, whole: a person, or an account with its users."""

from typing import Any

import polars as pl

from populace.definitions import GROUP_ID, Identifier
from populace.errors import UsageError
from populace.events import identifiers
from populace.events.tables import event_of, is_event
from populace.lake import runs, tables
from populace.space import people, recompute, views
from populace.space.opening import OpenSpace

LATEST_EVENTS = 10
SHOWN = 10  # users of an account, or accounts of a user


def show(space: OpenSpace, id_type: str, value: str) -> dict[str, Any]:
    """Everything known of the profile that holds an identifier: `profile_id:use_…` works as well.

    An account is asked for as `group_id:…`; its events are those of its users.

    Raises
    ------
    UsageError
        If no profile of the current run holds it.
    """
    run_id = views.current(space)
    profile_id = _profile_with(space, run_id, id_type, value)

    def rows(name: str) -> pl.DataFrame:
        return runs.table(space.lake, run_id, name).filter(pl.col("profile_id") == profile_id).collect()

    profile, links = rows("profiles"), _links(space, run_id, profile_id)
    computed = rows("traits").drop("profile_id").rows(named=True)
    return {
        "run_id": run_id,
        "profile_id": profile_id,
        "collection": profile.get_column("collection").item(),
        "created_at": profile.get_column("created_at").item(),
        "identifiers": rows("external_ids").select("id_type", "id_value", "added_at", "source").rows(named=True),
        "merged": runs.table(space.lake, run_id, "merges")
        .filter(pl.col("canonical_id") == profile_id)
        .select("profile_id", "merged_at")
        .collect()
        .rows(named=True),
        "traits": {name: each for name, each in (computed[0] if computed else {}).items() if each is not None},
        "custom_traits": dict(rows("custom_traits").select("name", "value").iter_rows()),
        "audiences": dict(rows("memberships").select("audience", "entered_at").iter_rows()),
        "links": {whose: _told(space, run_id, each) for whose, each in links.items() if each.height},
        "events": _latest_events(space, run_id, _sightings(space, run_id, profile_id, links)),
    }


def _profile_with(space: OpenSpace, run_id: str, id_type: str, value: str) -> str:
    if id_type == "profile_id":
        wanted, known = (pl.col("profile_id") == value), runs.table(space.lake, run_id, "profiles")
    else:
        same = pl.col("id_value") == normalised(space, id_type, value)
        wanted, known = (pl.col("id_type") == id_type) & same, runs.table(space.lake, run_id, "external_ids")
    found = known.filter(wanted).select("profile_id").collect()
    if found.is_empty():
        # Not the value itself: messages may end in logs.
        message = f"no profile of the current run has that {id_type}"
        raise UsageError(message)
    return found.item()


def normalised(space: OpenSpace, id_type: str, value: str) -> str:
    """An external id as the space keeps it; UsageError where it has no such type."""
    rules = {each.id_type: each for each in (Identifier(GROUP_ID), *space.definition.identity.identifiers)}
    if id_type in rules:
        return identifiers.normalised(pl.Series([value]), rules[id_type]).item()
    known = ", ".join(sorted(rules, key=lambda each: each == GROUP_ID))
    message = f"no identifier '{id_type}' in space '{space.definition.name}'; there is {known}, profile_id"
    raise UsageError(message)


def _links(space: OpenSpace, run_id: str, profile_id: str) -> dict[str, pl.DataFrame]:
    """The accounts of a person, or the users of an account: (profile_id, linked_at), by whose they are."""
    found = runs.table(space.lake, run_id, "links")
    accounts = found.filter(pl.col("profile_id") == profile_id).select("linked_at", profile_id="account_id")
    users = found.filter(pl.col("account_id") == profile_id).select("linked_at", "profile_id")
    return {"accounts": accounts.collect(), "users": users.collect()}


def _told(space: OpenSpace, run_id: str, links: pl.DataFrame) -> dict[str, Any]:
    """How many there are, and the first that were linked, each with its identifiers."""
    first = links.sort("linked_at", "profile_id").head(SHOWN)
    named = first.lazy().join(views.identifiers_of(space, run_id), on="profile_id", how="left", maintain_order="left")
    rows = named.select("profile_id", "identifiers", "linked_at").collect().rows(named=True)
    return {"count": links.height, "first": [row | {"identifiers": _by_type(row["identifiers"])} for row in rows]}


def _by_type(identifiers: list[dict[str, Any]] | None) -> dict[str, list[str]]:
    return {each["id_type"]: each["id_value"] for each in identifiers or ()}


def _sightings(space: OpenSpace, run_id: str, profile_id: str, links: dict[str, pl.DataFrame]) -> pl.Series:
    """The identifier sets of a person, or of all users of an account."""
    whose = [profile_id, *links["users"].get_column("profile_id")]
    found = runs.table(space.lake, run_id, "sightings").filter(pl.col("profile_id").is_in(whose))
    return found.select("sighting").collect().to_series()


def _latest_events(space: OpenSpace, run_id: str, sightings: pl.Series) -> list[dict[str, Any]]:
    run = recompute.reopen(space, run_id, strict=False)
    named = [each for each in tables.names(run.entries) if is_event(each)]
    streams = [
        frame.filter(pl.col("sighting").is_in(sightings.implode()) & (pl.col("timestamp") <= run.as_of)).select(
            pl.lit(event_of(table)).alias("event"), "timestamp", "source", "received_at", "message_id"
        )
        for table in named
        if (frame := tables.events(space.lake, run.entries, table, [], people.FromJson())) is not None
    ]
    if not streams:
        return []
    order = ["timestamp", "received_at", "message_id"]
    latest = pl.concat(streams).sort(order, descending=True).head(LATEST_EVENTS)
    return latest.select("event", "timestamp", "source").collect().rows(named=True)

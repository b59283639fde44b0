"""A space with a published run in a folder, so that deliveries can be tested without the stages before them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from populace import sync
from populace.definitions import GROUP_ID, Audience, Delivery, Destination, Space, Trait
from populace.lake import runs
from populace.lake.delivery import Ledger
from populace.lake.objects import open_store
from populace.nodes import Count, Event, Exists, Last, Property
from populace.space import OpenSpace
from populace.space.schemas import RUN
from tasks.delivery import Ways, deliver
from tasks.sending import Pace

QUICK = Pace(window=1.0, first=0.002, longest=0.01, timeout=2.0)
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)


def of_accounts(space: OpenSpace, *forms: str) -> OpenSpace:
    """The same space with definitions of accounts, which its destination gets in these forms."""
    (destination,) = space.definition.destinations
    changed: dict[str, Any] = {
        "level": "account",
        "deliveries": tuple(Delivery(destination.name, each) for each in forms),
    }
    told: dict[str, Any] = {
        name: tuple(replace(each, **changed) for each in getattr(space.definition, name))
        for name in ("traits", "audiences")
    }
    return replace(space, definition=replace(space.definition, **told))


def open_space(folder: Path, destination: Destination, *keys: str) -> OpenSpace:
    """A space whose destination gets the traits and audiences of these keys.

    A key in -s is an audience, one that ends in _count a counting trait, any other a trait.
    """
    deliveries = (Delivery(destination.name),)
    traits, audiences = [], []
    for key in keys:
        if key.endswith("s"):
            audiences.append(Audience(key, Exists(Property("x")), deliveries=deliveries))
        else:
            query = Count(Event("E")) if key.endswith("_count") else Last(Event("E"), Property(key))
            traits.append(Trait(key, query, deliveries=deliveries))
    definition = Space(
        "dev", folder.as_uri(), traits=tuple(traits), audiences=tuple(audiences), destinations=(destination,)
    )
    return OpenSpace(definition, open_store(definition.lake, definition.storage))


def publish(
    space: OpenSpace,
    number: int,
    traits: Mapping[str, list] | None = None,
    members: Mapping[str, list[str]] | None = None,
    people: Mapping[str, str | tuple[str, str]] | None = None,
    links: Iterable[tuple[str, str, int]] | None = None,
) -> str:
    """Publish a run.

    `traits` has a column for each key and one `profile_id`; `people` says which user_id, or which
    (id_type, id_value), each profile has; by default the profile's own id is its user_id. Whoever has a group_id is an
    account. `links` are (user, account, day of March), and without them there is no such table.
    """
    table = pl.DataFrame(traits or {"profile_id": []}, schema_overrides={"profile_id": pl.String}, strict=False)
    membership = [(key, each) for key, profiles in (members or {}).items() for each in profiles]
    named = (
        people if people is not None else {each: each for each in {*table["profile_id"], *(m[1] for m in membership)}}
    )
    pairs = {profile: ("user_id", given) if isinstance(given, str) else given for profile, given in named.items()}
    rows = [
        (profile, "accounts" if given[0] == GROUP_ID else "users", *given, BEGINNING, "m1")
        for profile, given in pairs.items()
    ]
    schema = dict.fromkeys(("profile_id", "collection", "id_type", "id_value"), pl.String)
    schema |= {"added_at": pl.Datetime("us", "UTC"), "message_id": pl.String}
    run_id = f"run-{number}"
    runs.write(space.lake, run_id, "traits", table)
    memberships = pl.DataFrame(membership, schema={"audience": pl.String, "profile_id": pl.String}, orient="row")
    runs.write(space.lake, run_id, "memberships", memberships)
    runs.write(space.lake, run_id, "external_ids", pl.DataFrame(rows, schema=schema, orient="row"))
    if links is not None:
        runs.write(space.lake, run_id, "links", linked(*links))
    assert runs.publish(space.lake, run_id, f"2024-03-{number:02d}T00:00:00Z")
    return run_id


def linked(*links: tuple[str, str, int]) -> pl.DataFrame:
    """The table of links: (user, account, day of March)."""
    rows = [(user, account, datetime(2024, 3, day, tzinfo=UTC), "m1") for user, account, day in links]
    return pl.DataFrame(rows, schema=RUN["links"], orient="row")


def send(space: OpenSpace, **options: Any) -> dict[str, Any]:
    """Deliver to the space's only destination, impatiently."""
    (destination,) = space.definition.destinations
    ways = {name: options.pop(name) for name in ("environ", "secret", "base", "pace", "progress") if name in options}
    return deliver(space, destination.name, Ways(**{"environ": {}, "pace": QUICK, **ways}), **options)


def ledger(space: OpenSpace) -> Ledger:
    (destination,) = space.definition.destinations
    return Ledger(space.lake, destination.name)


def acknowledged(space: OpenSpace) -> pl.DataFrame:
    """Everything that the ledger of the space's only destination says it holds: (kind, key, form, …, value, at)."""
    books, parts = ledger(space), [pl.DataFrame(schema={**sync.STATE, **sync.HELD})]
    for computation in books.computations():
        named = dict(zip(sync.COMPUTATION, computation, strict=True))
        held = books.acknowledged(computation).with_columns(**{name: pl.lit(each) for name, each in named.items()})
        parts.append(held.select(parts[0].columns))
    return pl.concat(parts)


def outcomes(summary: dict[str, Any]) -> dict[str, int]:
    """The outcomes of a summary that are not zero."""
    names = (*sync.OUTCOMES, sync.UNCHANGED, sync.NO_IDENTIFIER)
    return {name: summary[name] for name in names if summary[name]}

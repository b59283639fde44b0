"""From identifier sets to profiles: a pure function of the sets seen up to `as_of` and the rules.

The rule itself is sequential (`walk`). Most people never come near a limit, though, and what sets of identifiers that
share one make of them does not depend on order: they are resolved as connected components, all at once (`graph`,
`placing`). Only components in which a rule can interfere are walked in event order (E-27).
"""

from datetime import datetime

import polars as pl

from populace.definitions import Identity
from populace.identity import graph, placing, report, tables
from populace.identity.graph import account, is_pattern, names_nobody
from populace.identity.placing import Events
from populace.identity.report import Report, sizes
from populace.identity.tables import ID_LENGTH, Resolution, prefix, profile_id, successors
from populace.identity.walk import Caps

__all__ = [
    "ID_LENGTH", "Caps", "Events", "Report", "Resolution", "account", "describe", "is_pattern", "names_nobody",
    "prefix", "profile_id", "resolve", "sizes", "successors",
]  # fmt: skip


def describe(
    sightings: pl.LazyFrame, identifiers: pl.LazyFrame, rules: Identity, as_of: datetime, found: Resolution
) -> Report:
    """What the graph of these sets looks like; `found` is what was made of it, and the rest is as for `resolve`."""
    return report.describe(graph.build(sightings, identifiers, rules, as_of), rules, found)


def resolve(
    sightings: pl.LazyFrame,
    identifiers: pl.LazyFrame,
    rules: Identity,
    as_of: datetime,
    events: Events,
    caps: Caps = Caps(),  # noqa: B008, frozen
) -> Resolution:
    """Profiles, their identifiers and their merges.

    Parameters
    ----------
    sightings
        One row per identifier set and part: (sighting, check, ids: list[i64], first_timestamp,
        first_received_at, first_message_id, count, source). A set has the same number in every part.
    identifiers
        One row per identifier and part: (identifier, check, collection, id_type, value, raw_value: null where it is
        the value, first_timestamp).
    as_of
        Sets first seen later do not exist.
    events
        Called at most once, for the few sets whose events have to be looked at one by one; it gives
        those up to `as_of` only.

    Returns
    -------
    profiles
        (profile_id, collection, created_at), one row per profile that is not merged away.
    sightings
        (sighting, profile_id); null where every identifier of the set is blocked.
    external_ids
        (profile_id, collection, id_type, id_value, raw_value, added_at, message_id, source),
        one row per identifier; `added_at` and what follows are of the event that mapped it.
    merges
        (profile_id, canonical_id, merged_at, message_id), one row per profile merged away;
        `canonical_id` is the profile that it counts as now.
    violations
        (kind, collection, id_type, id_value, profile_id, message_id, timestamp), the first of each
        kind, identifier and profile that the event resolved to.

    Notes
    -----
    A profile is called after the highest-priority identifier of the event that created it, so a
    rebuild gives the same ids. Of merging profiles the one created first survives (I-44).
    """
    found = graph.build(sightings, identifiers, rules, as_of)
    return tables.resolution(found, placing.place(found, rules, events, caps))

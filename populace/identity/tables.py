"""The identity tables of a run, from numbers back to names."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from populace.identity.graph import Graph
from populace.identity.placing import NOWHERE, Placed
from populace.identity.walk import BLOCKED

ID_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Resolution:
    """The identity tables of a run (design of a run in docs/architecture.md), each sorted by its first columns."""

    profiles: pl.DataFrame
    sightings: pl.DataFrame
    external_ids: pl.DataFrame
    merges: pl.DataFrame
    violations: pl.DataFrame


def profile_ids(identifiers: pl.DataFrame) -> list[str]:
    """The ids of profiles named after these identifiers (collection, id_type, value)."""
    columns = (identifiers.get_column(name).to_list() for name in ("collection", "id_type", "value"))
    return [profile_id(*each) for each in zip(*columns, strict=True)]


def profile_id(collection: str, id_type: str, value: str) -> str:
    """`use_` or `acc_` and a hash; two profiles cannot share it, for an identifier creates only one."""
    digest = hashlib.sha256("\0".join((collection, id_type, value)).encode()).hexdigest()
    return f"{collection[:3]}_{digest[:ID_LENGTH]}"


def resolution(graph: Graph, placed: Placed, identifiers: pl.LazyFrame) -> Resolution:
    """Everything that is promised of who is who; `identifiers` say how values were written."""
    names = _names(graph, placed)
    sets = _profile_of_sets(graph, placed, names)
    return Resolution(
        profiles=_profiles(placed, names),
        sightings=graph.sets.select("sighting").hstack([sets]).sort("sighting"),
        external_ids=_external_ids(graph, placed, names, identifiers),
        merges=_merges(placed, names),
        violations=_violations(graph, placed, names, sets),
    )


def _names(graph: Graph, placed: Placed) -> pl.DataFrame:
    """(profile, root, profile_id, collection) of every profile ever created, by `profile`."""
    after = graph.nodes.select("collection", "id_type", "value")[placed.created.get_column("node")]
    ids = pl.Series("profile_id", profile_ids(after), dtype=pl.String)
    return placed.created.select("profile", "root").hstack([ids, after.get_column("collection")])


def _profiles(placed: Placed, names: pl.DataFrame) -> pl.DataFrame:
    alive = names.filter(pl.col("profile") == pl.col("root"))
    created = placed.moments.get_column("timestamp").gather(alive.get_column("profile"))
    return alive.select("profile_id", "collection").hstack([created.alias("created_at")]).sort("profile_id")


def _current(names: pl.DataFrame, moments: int) -> pl.Series:
    """By the number of a profile, its id; null where a moment created none."""
    ids = pl.repeat(None, moments, dtype=pl.UInt32, eager=True)
    ids = ids.scatter(names.get_column("profile"), pl.int_range(names.height, dtype=pl.UInt32, eager=True))
    return names.get_column("profile_id").gather(ids)


def _profile_of_sets(graph: Graph, placed: Placed, names: pl.DataFrame) -> pl.Series:
    """The profile of each set: that of its strongest identifier that is mapped; null where there is none."""
    at, node = (graph.members.get_column(name).to_numpy() for name in ("set", "node"))
    found = np.full(graph.sets.height, NOWHERE)
    profiles = placed.profile_of[node]
    is_mapped = profiles != NOWHERE
    found[at[is_mapped][::-1]] = profiles[is_mapped][::-1]
    numbers = pl.Series(found).replace(NOWHERE, None)
    return _current(names, placed.moments.height).gather(numbers).alias("profile_id")


def _external_ids(graph: Graph, placed: Placed, names: pl.DataFrame, identifiers: pl.LazyFrame) -> pl.DataFrame:
    mapped = np.flatnonzero(placed.profile_of != NOWHERE)
    nodes = graph.nodes[mapped].join(_raw_values(identifiers), on="identifier", how="left", maintain_order="left")
    moments = placed.moments[placed.since[mapped]]
    ids = _current(names, placed.moments.height).gather(placed.profile_of[mapped])
    found = nodes.hstack([ids.alias("profile_id"), *moments])
    return found.select(
        "profile_id",
        "collection",
        "id_type",
        pl.col("value").alias("id_value"),
        pl.coalesce("raw_value", "value").alias("raw_value"),
        pl.col("timestamp").alias("added_at"),
        "message_id",
        "source",
    ).sort("profile_id", "collection", "id_type", "id_value")


def _raw_values(identifiers: pl.LazyFrame) -> pl.DataFrame:
    """(identifier, raw_value) of those that were at first spelled otherwise than they are compared.

    Of several spellings at one instant it is the one that sorts first.
    """
    spelled = identifiers.select("identifier", "value", "raw_value", "first_timestamp")
    other = spelled.filter(pl.col("raw_value").is_not_null()).select("identifier").unique()
    dated = spelled.join(other, on="identifier", how="semi").with_columns(pl.coalesce("raw_value", "value"))
    firsts = dated.sort("first_timestamp", "raw_value").unique("identifier", keep="first", maintain_order=True)
    return firsts.select("identifier", "raw_value").collect()


def _merges(placed: Placed, names: pl.DataFrame) -> pl.DataFrame:
    moments = placed.moments.select(merged_at="timestamp", message_id="message_id")
    dated = placed.merges.hstack(moments[placed.merges.get_column("moment")])
    merged = dated.join(names, on="profile", how="left")
    canonical = _current(names, placed.moments.height).gather(merged.get_column("root"))
    listed = merged.with_columns(canonical.alias("canonical_id"))
    return listed.select("profile_id", "canonical_id", "merged_at", "message_id").sort("profile_id")


def _violations(graph: Graph, placed: Placed, names: pl.DataFrame, sets: pl.Series) -> pl.DataFrame:
    """The first time each kind fired for an identifier and a profile; blocked values of no profile among them."""
    current = _current(names, placed.moments.height)
    limits = graph.nodes.select("collection", "id_type", id_value="value")[placed.violations.get_column("node")]
    limits = limits.hstack([
        placed.violations.get_column("kind"),
        current.gather(placed.violations.get_column("root")).alias("profile_id"),
        placed.violations.get_column("moment"),
    ])  # fmt: skip
    blocked = graph.blocked_ids.select("collection", "id_type", id_value="value")[graph.blocked.get_column("node")]
    blocked = blocked.hstack([
        sets.gather(graph.blocked.get_column("set")),
        graph.blocked.get_column("set").cast(pl.Int64).alias("moment"),
    ])  # fmt: skip
    both = pl.concat([limits, blocked.with_columns(kind=pl.lit(BLOCKED))], how="diagonal")
    keys = ("kind", "collection", "id_type", "id_value", "profile_id")
    firsts = both.group_by(keys).agg(pl.col("moment").min())
    moments = placed.moments.select("message_id", "timestamp")[firsts.get_column("moment")]
    return firsts.drop("moment").hstack(moments).sort(keys)


def successors(published: Iterable[str], found: Resolution) -> pl.DataFrame:
    """Where ids that were published once lead now.

    Returns
    -------
    (profile_id, successor), one row per published id that is no current profile: the profile it
    was merged into, or the one that holds the identifier it is named after; null where that
    identifier is mapped nowhere. Sorted by id.
    """
    ids = pl.DataFrame({"profile_id": sorted(set(published))}, schema={"profile_id": pl.String})
    gone = ids.join(found.profiles, on="profile_id", how="anti")
    leads = found.merges.select("profile_id", successor="canonical_id")
    if gone.join(leads, on="profile_id", how="anti").height:
        # Hashing every identifier costs seconds a million, so it is done only where an id is lost.
        named = found.external_ids.select("collection", "id_type", value="id_value")
        holders = pl.DataFrame(
            {"profile_id": profile_ids(named), "successor": found.external_ids.get_column("profile_id")}
        )
        leads = pl.concat([leads, holders]).unique("profile_id", keep="first", maintain_order=True)
    return gone.join(leads, on="profile_id", how="left").sort("profile_id")

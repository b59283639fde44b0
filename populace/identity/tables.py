"""The identity tables of a run, from numbers back to names."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from populace.identity.graph import Graph
from populace.identity.placing import NOWHERE, Placed
from populace.identity.walk import BLOCKED, KINDS

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
    return f"{prefix(collection)}{digest[:ID_LENGTH]}"


def prefix(collection: str) -> str:
    """What the ids of profiles of a collection begin with."""
    return f"{collection[:3]}_"


def resolution(graph: Graph, placed: Placed) -> Resolution:
    """Everything that is promised of who is who."""
    names = _names(graph, placed)
    place = _places(names, placed.moments.height)
    sets = place.gather(_profile_of_sets(graph, placed))
    return Resolution(
        profiles=_profiles(placed, names),
        sightings=graph.sets.select("sighting").hstack([_id(names, sets)]).sort("sighting"),
        external_ids=_external_ids(graph, placed, names, place),
        merges=_merges(placed, names, place),
        violations=_violations(graph, placed, names, place, sets),
    )


def _names(graph: Graph, placed: Placed) -> pl.DataFrame:
    """(profile, root, profile_id, collection) of every profile ever created, by `profile_id`.

    Its rows are what the other tables are sorted by, for text is sorted ten times slower than numbers.
    """
    after = graph.nodes.select("collection", "id_type", "value")[placed.created.get_column("node")]
    ids = profile_ids(after)
    named = placed.created.select("profile", "root").hstack([pl.Series("profile_id", ids, pl.String)])
    return named.hstack([after.get_column("collection")])[np.argsort(np.array(ids, np.bytes_))]


def _places(names: pl.DataFrame, moments: int) -> pl.Series:
    """By the number of a profile, its row in `names`; null where a moment created none."""
    rows = pl.int_range(names.height, dtype=pl.UInt32, eager=True)
    return pl.repeat(None, moments, dtype=pl.UInt32, eager=True).scatter(names.get_column("profile"), rows)


def _id(names: pl.DataFrame, place: pl.Series) -> pl.Series:
    return names.get_column("profile_id").gather(place)


def _profiles(placed: Placed, names: pl.DataFrame) -> pl.DataFrame:
    alive = names.filter(pl.col("profile") == pl.col("root"))
    created = placed.moments.get_column("timestamp").gather(alive.get_column("profile"))
    return alive.select("profile_id", "collection").hstack([created.alias("created_at")])


def _profile_of_sets(graph: Graph, placed: Placed) -> pl.Series:
    """The profile of each set: that of its strongest identifier that is mapped; null where there is none."""
    at, node = (graph.members.get_column(name).to_numpy() for name in ("set", "node"))
    found = np.full(graph.sets.height, NOWHERE)
    profiles = placed.profile_of[node]
    is_mapped = profiles != NOWHERE
    found[at[is_mapped][::-1]] = profiles[is_mapped][::-1]
    return pl.Series(found).replace(NOWHERE, None)


def _external_ids(graph: Graph, placed: Placed, names: pl.DataFrame, place: pl.Series) -> pl.DataFrame:
    mapped = np.flatnonzero(placed.profile_of != NOWHERE)
    rows = pl.DataFrame({"place": place.gather(placed.profile_of[mapped]), "node": mapped})
    rows = rows.hstack([_type(graph.nodes[mapped])]).sort("place", "type", "node")
    node = rows.get_column("node")
    moments = placed.moments[placed.since[node]]
    found = graph.nodes[node].hstack([_id(names, rows.get_column("place")), *moments])
    return found.select(
        "profile_id",
        "collection",
        "id_type",
        pl.col("value").alias("id_value"),
        pl.coalesce("raw_value", "value").alias("raw_value"),
        pl.col("timestamp").alias("added_at"),
        "message_id",
        "source",
    )


def _type(nodes: pl.DataFrame) -> pl.Series:
    """Where the collection and type of nodes stand in the order of names; nodes of one type are sorted by value."""
    named = nodes.select("kind", "collection", "id_type").unique().sort("collection", "id_type").get_column("kind")
    places = pl.int_range(named.len(), dtype=pl.UInt8, eager=True)
    return nodes.get_column("kind").replace_strict(named, places, return_dtype=pl.UInt8).alias("type")


def _merges(placed: Placed, names: pl.DataFrame, place: pl.Series) -> pl.DataFrame:
    merged = placed.merges.with_columns(place.gather(placed.merges.get_column("profile")).alias("place")).sort("place")
    gone = names[merged.get_column("place")]
    canonical = _id(names, place.gather(gone.get_column("root"))).alias("canonical_id")
    moments = placed.moments.select(merged_at="timestamp", message_id="message_id")[merged.get_column("moment")]
    return gone.select("profile_id").hstack([canonical, *moments])


def _violations(graph: Graph, placed: Placed, names: pl.DataFrame, place: pl.Series, sets: pl.Series) -> pl.DataFrame:
    """The first time each kind fired for an identifier and a profile; blocked values of no profile among them."""
    nodes = pl.concat([graph.nodes, graph.blocked_ids])
    limits = placed.violations.select(
        "kind", "node", place.gather(placed.violations.get_column("root")).alias("place"), "moment"
    )
    blocked = graph.blocked.select(
        pl.lit(BLOCKED, pl.Enum(KINDS)).alias("kind"),
        pl.col("node").cast(pl.Int64) + graph.nodes.height,
        sets.gather(graph.blocked.get_column("set")).alias("place"),
        pl.col("set").cast(pl.Int64).alias("moment"),
    )
    both = pl.concat([limits, blocked])
    keys = ("kind", "type", "node", "place")
    both = both.hstack([_type(nodes).gather(both.get_column("node"))])
    firsts = both.group_by(keys).agg(pl.col("moment").min()).sort(keys)
    moments = placed.moments.select("message_id", "timestamp")[firsts.get_column("moment")]
    named = nodes.select("collection", "id_type", id_value="value")[firsts.get_column("node")]
    kind = firsts.get_column("kind").cast(pl.String)
    return pl.DataFrame([kind, *named, _id(names, firsts.get_column("place")), *moments])


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

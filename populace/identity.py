"""From identifier sets to profiles: a pure function of the sets seen up to `as_of` and the rules.

Two sets that share an identifier belong to one profile, in any order and any split of the input.
Order decides only what a profile is called and which merges it went through, and for that the
sets are walked in event order (E-27). Limits on identifiers (I-20) are not applied yet.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from populace.definitions import Identity
from populace.errors import LakeError

EVENT_ORDER = ("first_timestamp", "first_received_at", "first_message_id")
ID_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Resolution:
    """The identity tables of a run (design of a run in docs/architecture.md), each sorted by its first columns."""

    profiles: pl.DataFrame
    sightings: pl.DataFrame
    external_ids: pl.DataFrame
    merges: pl.DataFrame


def resolve(sightings: pl.LazyFrame, identifiers: pl.LazyFrame, rules: Identity, as_of: datetime) -> Resolution:
    """Profiles, their identifiers and their merges.

    Parameters
    ----------
    sightings
        One row per identifier set and part: (sighting, check, ids: list[i64], first_timestamp,
        first_received_at, first_message_id, source). A set has the same number in every part.
    identifiers
        One row per identifier and part: (identifier, check, collection, id_type, value, raw_value: null where it is
        the value, first_timestamp).
    as_of
        Sets first seen later do not exist.

    Returns
    -------
    profiles
        (profile_id, collection, created_at), one row per profile that is not merged away.
    sightings
        (sighting, profile_id); null where every identifier of the set is blocked.
    external_ids
        (profile_id, collection, id_type, id_value, raw_value, added_at, message_id, source),
        one row per identifier; the last four as of its first event.
    merges
        (profile_id, canonical_id, merged_at, message_id), one row per profile merged away;
        `canonical_id` is the profile that it counts as now.

    Notes
    -----
    A profile is called after the highest-priority identifier of the event that created it, so a
    rebuild gives the same ids. Of merging profiles the one created first survives (I-44).
    """
    spelled = identifiers.with_columns(pl.coalesce("raw_value", "value").alias("raw_value")).collect()
    known = _firsts(spelled, "identifier", ("first_timestamp", "raw_value"))
    nodes = _nodes(known, rules)
    seen = _firsts(sightings.filter(pl.col("first_timestamp") <= as_of).collect(), "sighting", EVENT_ORDER)
    members = _members(seen, known, nodes)
    sets = members.group_by("set", maintain_order=True).agg(pl.col("node").sort())
    walk = _Walk(nodes.height)
    for number, ids in zip(sets.get_column("set").to_list(), sets.get_column("node").to_list(), strict=True):
        walk.add(number, ids)
    return _tables(walk, seen, members, nodes)


def _firsts(found: pl.DataFrame, number: str, order: Sequence[str]) -> pl.DataFrame:
    """One row per number, the first by an order, in that order.

    Raises
    ------
    LakeError
        If two different things have one number, of which the chance is one in a thousand at a hundred million.
    """
    checks = found.group_by(number).agg(pl.col("check").n_unique())
    if checks.filter(pl.col("check") > 1).height:
        message = f"two different {number}s have one number; set another `salt` in space.yaml and replay again"
        raise LakeError(message)
    return found.sort(order).unique(number, keep="first", maintain_order=True)


def _nodes(known: pl.DataFrame, rules: Identity) -> pl.DataFrame:
    """Distinct identifiers that are not blocked, numbered by priority: the smaller node is the stronger (I-30)."""
    ranks = {each.id_type: rank for rank, each in enumerate(rules.identifiers)}
    distinct = known.select("collection", "id_type", "value").unique()
    ranked = distinct.with_columns(rank=pl.col("id_type").replace_strict(ranks, default=None, return_dtype=pl.Int32))
    usable = ranked.filter(pl.col("rank").is_not_null() & ~_blocked(rules))
    return usable.sort("rank", "value").drop("rank").with_row_index("node")


def _blocked(rules: Identity) -> pl.Expr:
    """True for values that must not become identifiers (I-10 to I-14)."""
    everywhere = _matches(rules.blocked)
    for each in rules.identifiers:
        if each.blocked:
            everywhere = everywhere | ((pl.col("id_type") == each.id_type) & _matches(each.blocked))
    return everywhere


def _matches(blocked: Sequence[str]) -> pl.Expr:
    exact = [each for each in blocked if not is_pattern(each)]
    found = pl.col("value").is_in(exact)
    for pattern in filter(is_pattern, blocked):
        found = found | pl.col("value").str.contains(pattern)
    return found


def is_pattern(blocked: str) -> bool:
    """A blocked text that starts with `^` is a pattern, any other an exact value."""
    return bool(re.match(r"\^", blocked))


def _members(seen: pl.DataFrame, known: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """(set: u32 in event order, node: u32), blocked identifiers left out."""
    numbers = known.join(nodes, on=["collection", "id_type", "value"]).select("identifier", "node", "raw_value")
    pairs = seen.with_row_index("set").select("set", identifier="ids").explode("identifier")
    return pairs.join(numbers, on="identifier", maintain_order="left")


class _Walk:
    """Ordered union-find over integers: which profile each node is in, and who was merged into whom.

    A profile is known by the set that created it, so the smaller of two was created first.
    """

    def __init__(self, nodes: int) -> None:
        self.profile_of: list[int] = [-1] * nodes
        self.parent: dict[int, int] = {}
        self.named_after: dict[int, int] = {}
        self.merges: list[tuple[int, int]] = []

    def find(self, profile: int) -> int:
        root = profile
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[profile] != root:
            self.parent[profile], profile = root, self.parent[profile]
        return root

    def add(self, number: int, ids: list[int]) -> None:
        """The next set in event order; `ids` are sorted, so the first is its strongest."""
        met = {self.find(self.profile_of[node]) for node in ids if self.profile_of[node] >= 0}
        if not met:
            self.parent[number] = number
            self.named_after[number] = ids[0]
        survivor = min(met, default=number)
        for loser in sorted(met - {survivor}):
            self.parent[loser] = survivor
            self.merges.append((loser, number))
        for node in ids:
            if self.profile_of[node] < 0:
                self.profile_of[node] = survivor


def _tables(walk: _Walk, seen: pl.DataFrame, members: pl.DataFrame, nodes: pl.DataFrame) -> Resolution:
    events = seen.with_row_index("set")
    names = _names(walk, nodes)
    roots = pl.DataFrame(
        [(profile, walk.find(profile)) for profile in walk.parent],
        schema={"profile": pl.UInt32, "root": pl.UInt32},
        orient="row",
    )
    current = roots.join(names, left_on="root", right_on="profile").select("profile", "root", canonical_id="profile_id")
    return Resolution(
        profiles=_profiles(roots, names, events),
        sightings=_sightings(members, walk, current, events),
        external_ids=_external_ids(members, walk, current, events, nodes),
        merges=_merges(walk, current, names, events),
    )


def _names(walk: _Walk, nodes: pl.DataFrame) -> pl.DataFrame:
    """(profile, profile_id, collection) of every profile ever created."""
    created = pl.DataFrame(
        list(walk.named_after.items()), schema={"profile": pl.UInt32, "node": pl.UInt32}, orient="row"
    ).join(nodes, on="node", how="left", maintain_order="left")
    return created.select("profile", pl.Series("profile_id", profile_ids(created), dtype=pl.String), "collection")


def profile_ids(identifiers: pl.DataFrame) -> list[str]:
    """The ids of profiles named after these identifiers (collection, id_type, value)."""
    columns = (identifiers.get_column(name).to_list() for name in ("collection", "id_type", "value"))
    return [profile_id(*each) for each in zip(*columns, strict=True)]


def profile_id(collection: str, id_type: str, value: str) -> str:
    """`use_` or `acc_` and a hash; two profiles cannot share it, for an identifier creates only one."""
    digest = hashlib.sha256("\0".join((collection, id_type, value)).encode()).hexdigest()
    return f"{collection[:3]}_{digest[:ID_LENGTH]}"


def _profiles(roots: pl.DataFrame, names: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    alive = roots.filter(pl.col("profile") == pl.col("root")).select("profile")
    created = events.select(profile="set", created_at="first_timestamp")
    return (
        alive.join(names, on="profile")
        .join(created, on="profile")
        .select("profile_id", "collection", "created_at")
        .sort("profile_id")
    )


def _in_profiles(members: pl.DataFrame, walk: _Walk, current: pl.DataFrame) -> pl.DataFrame:
    """`members` with the id of the profile each node is in now."""
    placed = pl.DataFrame({"profile": pl.Series(walk.profile_of, dtype=pl.Int64)}).with_row_index("node")
    placed = placed.filter(pl.col("profile") >= 0).with_columns(pl.col("profile").cast(pl.UInt32))
    return members.join(placed.join(current, on="profile"), on="node").select("set", "node", profile_id="canonical_id")


def _sightings(members: pl.DataFrame, walk: _Walk, current: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    placed = _in_profiles(members.unique("set", keep="any"), walk, current)
    return events.join(placed, on="set", how="left").select("sighting", "profile_id").sort("sighting")


def _external_ids(
    members: pl.DataFrame, walk: _Walk, current: pl.DataFrame, events: pl.DataFrame, nodes: pl.DataFrame
) -> pl.DataFrame:
    first = members.group_by("node").agg(pl.col("set", "raw_value").get(pl.col("set").arg_min()))
    return (
        _in_profiles(first.select("set", "node"), walk, current)
        .join(first.select("node", "raw_value"), on="node")
        .join(nodes, on="node")
        .join(events, on="set")
        .select(
            "profile_id",
            "collection",
            "id_type",
            pl.col("value").alias("id_value"),
            "raw_value",
            pl.col("first_timestamp").alias("added_at"),
            pl.col("first_message_id").alias("message_id"),
            "source",
        )
        .sort("profile_id", "collection", "id_type", "id_value")
    )


def _merges(walk: _Walk, current: pl.DataFrame, names: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    merged = pl.DataFrame(walk.merges, schema={"profile": pl.UInt32, "set": pl.UInt32}, orient="row")
    return (
        merged.join(names, on="profile")
        .join(current, on="profile")
        .join(events, on="set")
        .select("profile_id", "canonical_id", merged_at="first_timestamp", message_id="first_message_id")
        .sort("profile_id")
    )


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

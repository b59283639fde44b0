"""The graph: identifiers as nodes, identifier sets as the edges between them, both as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from populace.definitions import GROUP_ID, Identifier, Identity
from populace.errors import LakeError

# E-27; two sources may call two events alike.
SET_ORDER = ("first_timestamp", "first_received_at", "first_message_id", "source", "sighting")

Numbers = np.ndarray


@dataclass(frozen=True, slots=True)
class Graph:
    """Sets in event order and nodes in order of priority; rows are numbered by their place.

    `sets` is (sighting, first_*, source), `nodes` (identifier, collection, id_type, value, raw_value, kind: u8), where
    the smaller node is the stronger (I-30). `members` is (set: u32, node: u32), ascending. `blocked` is the same for
    identifiers that are blocked (I-10), as rows of `blocked_ids`.
    """

    sets: pl.DataFrame
    nodes: pl.DataFrame
    members: pl.DataFrame
    blocked: pl.DataFrame
    blocked_ids: pl.DataFrame


def build(sightings: pl.LazyFrame, identifiers: pl.LazyFrame, rules: Identity, as_of: datetime) -> Graph:
    """What was seen up to `as_of`, see `resolve`."""
    sets = _sets(sightings.filter(pl.col("first_timestamp") <= as_of))
    ranks = {each.id_type: rank for rank, each in enumerate(rules.identifiers)}
    kind = pl.col("id_type").replace_strict(ranks, default=None, return_dtype=pl.UInt8)
    ranked = _distinct(identifiers).with_columns(kind=kind).drop_nulls("kind").sort("kind", "value")
    is_blocked = ranked.select(names_nobody(rules)).to_series()
    nodes, blocked_ids = ranked.filter(~is_blocked), ranked.filter(is_blocked)
    pairs = sets.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("set"), "ids").explode("ids", empty_as_null=False)
    members, blocked = (_members(pairs, each) for each in (nodes, blocked_ids))
    return Graph(sets.drop("ids"), nodes, members, blocked, blocked_ids)


def _sets(sightings: pl.LazyFrame) -> pl.DataFrame:
    """One row per set, by its least event, in event order."""
    seen = sightings.select("sighting", "check", "first_timestamp").group_by("sighting")
    least = seen.agg(pl.col("first_timestamp").min(), *CHECKED).collect(engine="streaming")
    _check(least, "sighting")
    first = sightings.drop("check", "count").join(
        least.lazy().select("sighting", "first_timestamp"), on=["sighting", "first_timestamp"], how="semi"
    )
    # Hardly any set was first seen in several parts at one instant.
    return _ordered(first.collect(engine="streaming")).unique("sighting", keep="first", maintain_order=True)


def _ordered(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in event order. Most instants are of one row only, and numbers are sorted faster than text."""
    by_time = rows.get_column("first_timestamp").arg_sort()
    tied = rows.get_column("first_timestamp").is_duplicated()
    places = tied.gather(by_time).arg_true()
    ties = rows.select(SET_ORDER).with_row_index("at").filter(tied).sort(SET_ORDER)
    return rows[by_time.scatter(places, ties.get_column("at"))]


def _distinct(identifiers: pl.LazyFrame) -> pl.DataFrame:
    """(identifier, collection, id_type, value, raw_value), one row per identifier, as it was first spelled.

    Of several spellings at one instant it is the one that sorts first.
    """
    least = identifiers.group_by("identifier").agg(pl.col("first_timestamp").min(), *CHECKED)
    firsts = least.collect(engine="streaming")
    _check(firsts, "identifier")
    spelled = identifiers.drop("check").join(firsts.lazy(), on=["identifier", "first_timestamp"], how="semi")
    rows = spelled.drop("first_timestamp").collect(engine="streaming")
    tied = rows.get_column("identifier").is_duplicated()
    least_of_tied = rows.filter(tied).sort(pl.coalesce("raw_value", "value")).unique("identifier", keep="first")
    return pl.concat([rows.filter(~tied), least_of_tied])


CHECKED = (pl.col("check").min().alias("least"), pl.col("check").max().alias("greatest"))


def _check(numbered: pl.DataFrame, number: str) -> None:
    """Make sure that nothing different has one number.

    Raises
    ------
    LakeError
        If two things do, of which the chance is one in a thousand at a hundred million.
    """
    if numbered.filter(pl.col("least") != pl.col("greatest")).height:
        message = f"two different {number}s have one number; set another `salt` in space.yaml and replay again"
        raise LakeError(message)


def _members(pairs: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """(set, node), ascending, of the identifiers that are among the nodes."""
    numbered = nodes.select("identifier").with_row_index("node")
    found = pairs.join(numbered, left_on="ids", right_on="identifier").select("set", "node")
    at = found.select(pl.col("set").cast(pl.UInt64) * (1 << 32) + pl.col("node")).to_series().arg_sort()
    return found[at]


# --- blocked values ---------------------------------------------------------------------------------


def names_nobody(rules: Identity) -> pl.Expr:
    """True for values that must not become identifiers (I-10 to I-14)."""
    own = ((pl.col("id_type") == each.id_type) & _matches(pl.col("value"), each.blocked) for each in rules.identifiers)
    return pl.any_horizontal(_matches(pl.col("value"), rules.blocked), *own)


def _matches(value: pl.Expr, blocked: Sequence[str]) -> pl.Expr:
    patterns = (value.str.contains(each) for each in blocked if is_pattern(each))
    return pl.any_horizontal(value.is_in([each for each in blocked if not is_pattern(each)]), *patterns)


def account(rules: Identity) -> tuple[pl.Expr, pl.Expr]:
    """Of `group_id` the account that it names, and whether it is blocked; by the rule of that type, if it is listed."""
    rule = next((each for each in rules.identifiers if each.id_type == GROUP_ID), Identifier(GROUP_ID))
    raw = pl.col(GROUP_ID)
    trimmed = raw if rule.normalize == "none" else raw.str.strip_chars()
    value = trimmed.str.to_lowercase() if rule.normalize == "trim_lower" else trimmed
    return value, _matches(value, (*rules.blocked, *rule.blocked))


def is_pattern(blocked: str) -> bool:
    """A blocked text that starts with `^` is a pattern, any other an exact value."""
    return blocked.startswith("^")


# --- components -------------------------------------------------------------------------------------


def components(graph: Graph) -> Numbers:
    """For each node the number of its component: what could be one profile if nothing were limited (I-50)."""
    at, node = (graph.members.get_column(name).to_numpy() for name in ("set", "node"))
    return connected(at, node, graph.nodes.height)


def connected(at: Numbers, node: Numbers, size: int) -> Numbers:
    """The same for the members of some sets, sorted by set."""
    from scipy.sparse import csgraph, csr_array  # a third of a second of import that a look does not pay

    begins = np.flatnonzero(np.diff(at, prepend=-1))
    first = np.repeat(node[begins], np.diff(begins, append=len(node)))
    edges = csr_array((np.ones(len(node), np.int8), (first, node)), shape=(size, size))
    return csgraph.connected_components(edges, directed=False)[1]

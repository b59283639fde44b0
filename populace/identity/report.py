"""What the graph looks like: how large profiles are, which identifiers glue others together, and what would help."""

import json
from dataclasses import dataclass

import numpy as np
import polars as pl

from populace.definitions import Identity
from populace.identity.graph import Graph, Numbers, components, connected
from populace.identity.tables import Resolution

CANDIDATES, SHOWN = 50, 20
GLUE = {
    "id_type": pl.String, "id_value": pl.String, "identifiers": pl.Int64, "pieces": pl.Int64, "apart": pl.String,
    "remedy": pl.String,
}  # fmt: skip
USUAL = 5  # of a type a person may have, I-20
SEVERAL = 3
BUCKETS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Report:
    """Tables about one resolution.

    `sizes`
        (identifiers: such as "3 to 5", components, profiles), up to the largest.
    `largest`
        (profile_id, identifiers, merges, by_type: such as "user_id 1, anonymous_id 40"), the largest first.
    `glue`
        (id_type, id_value, identifiers: of its component, pieces: into which that would fall without it, apart: the
        type whose limit keeps these from being one profile already, remedy: what to write below `identifiers`, null
        where nothing is needed), the worst first.
    `violations`
        (kind, violations, identifiers, profiles), sorted by kind.
    """

    sizes: pl.DataFrame
    largest: pl.DataFrame
    glue: pl.DataFrame
    violations: pl.DataFrame


def describe(graph: Graph, rules: Identity, found: Resolution) -> Report:
    """The tables for what these rules made of a graph."""
    component = components(graph)
    seen = component[np.unique(graph.members.get_column("node").to_numpy())]
    return Report(_sizes(seen, found), _largest(found), _glue(graph, component, rules), _violations(found))


def _sizes(component: Numbers, found: Resolution) -> pl.DataFrame:
    """Components are what profiles would be if nothing were limited."""
    of_components = _bucketed(pl.Series(np.unique(component, return_counts=True)[1], dtype=pl.Int64))
    of_profiles = _bucketed(_per_profile(found.external_ids))
    return _trimmed(of_components.rename({"count": "components"}).hstack([of_profiles["count"].alias("profiles")]))


def sizes(external_ids: pl.DataFrame) -> pl.DataFrame:
    """(identifiers: such as "3 to 5", profiles), up to the largest profile."""
    return _trimmed(_bucketed(_per_profile(external_ids)).rename({"count": "profiles"}))


def _per_profile(external_ids: pl.DataFrame) -> pl.Series:
    return external_ids.group_by("profile_id").len().get_column("len")


def _bucketed(sizes: pl.Series) -> pl.DataFrame:
    """(identifiers, count) for all buckets."""
    places = np.searchsorted(BUCKETS, sizes.to_numpy()).clip(max=len(BUCKETS) - 1)
    counts = np.bincount(places, minlength=len(BUCKETS))
    spans = zip((0, *BUCKETS), BUCKETS, strict=False)
    names = [f"{low + 1:,} to {high:,}" if high > low + 1 else f"{high:,}" for low, high in spans]
    names[-1] = f"more than {BUCKETS[-2]:,}"
    return pl.DataFrame({"identifiers": names, "count": counts}, schema={"identifiers": pl.String, "count": pl.Int64})


def _trimmed(counted: pl.DataFrame) -> pl.DataFrame:
    """Without the empty buckets at the end."""
    filled = counted.select(pl.any_horizontal(pl.exclude("identifiers") > 0)).to_series().arg_true()
    return counted.head(0 if filled.is_empty() else filled[-1] + 1)


def _largest(found: Resolution) -> pl.DataFrame:
    by_type = found.external_ids.group_by("profile_id", "id_type").len()
    told = pl.format("{} {}", "id_type", "len")
    sizes = by_type.sort("profile_id", "id_type").group_by("profile_id").agg(
        identifiers=pl.col("len").sum(), by_type=told.str.join(", ")
    )  # fmt: skip
    merges = found.merges.group_by(profile_id="canonical_id").agg(merges=pl.len())
    largest = sizes.sort("identifiers", "profile_id", descending=[True, False]).head(SHOWN)
    both = largest.join(merges, on="profile_id", how="left", maintain_order="left")
    return both.select("profile_id", "identifiers", pl.col("merges").fill_null(0), "by_type")


def _violations(found: Resolution) -> pl.DataFrame:
    identifiers = pl.struct("id_type", "id_value").n_unique()
    counted = found.violations.group_by("kind").agg(
        violations=pl.len(), identifiers=identifiers, profiles=pl.col("profile_id").drop_nulls().n_unique()
    )
    return counted.sort("kind")


# --- glue -------------------------------------------------------------------------------------------


def _glue(graph: Graph, component: Numbers, rules: Identity) -> pl.DataFrame:
    """Identifiers without which a component falls apart: those seen beside the most others are tried."""
    tried = [_without(graph, component, node) for node in _candidates(graph)]
    worst = sorted((each for each in tried if _is_glue(graph, each)), key=lambda each: (-each.pieces, each.node))[
        :SHOWN
    ]
    named = [graph.nodes.select("id_type", "value").row(each.node) for each in worst]
    rows = [
        (*name, each.identifiers, each.pieces, *_remedy(name, each, rules))
        for name, each in zip(named, worst, strict=True)
    ]
    return pl.DataFrame(rows, schema=GLUE, orient="row")


def _candidates(graph: Graph) -> list[int]:
    """The nodes that are in the most sets with others."""
    shared = graph.members.filter(pl.len().over("set") > 1)
    counted = shared.group_by("node").agg(pl.col("set").len()).filter(pl.col("set") > 1)
    return counted.sort("set", "node", descending=[True, False]).get_column("node").head(CANDIDATES).to_list()


@dataclass(frozen=True, slots=True)
class _Without:
    """A component without one of its nodes: the pieces it falls into, and how many of them hold each type."""

    node: int
    identifiers: int
    pieces: int
    holding: dict[int, int]


def _without(graph: Graph, component: Numbers, node: int) -> _Without:
    nodes = np.flatnonzero(component == component[node])
    mine = graph.members.filter(pl.col("node").is_in(nodes) & (pl.col("node") != node))
    at, other = (mine.get_column(name).to_numpy() for name in ("set", "node"))
    if not len(other):
        return _Without(node, len(nodes), 0, {})
    left, others = np.unique(other, return_inverse=True)
    label = connected(at, others, len(left))
    held = pl.DataFrame({"kind": graph.nodes.get_column("kind").gather(other), "piece": label[others]})
    holding = dict(held.group_by("kind").agg(pl.col("piece").n_unique()).iter_rows())
    return _Without(node, len(nodes), int(label.max()) + 1, holding)


def _is_glue(graph: Graph, found: _Without) -> bool:
    """Whether an identifier holds more together than one person usually has, or three who are known otherwise."""
    kind = graph.nodes.get_column("kind")[found.node]
    stronger = (count for each, count in found.holding.items() if each < kind)
    return found.pieces > USUAL or max(stronger, default=0) >= SEVERAL


def _remedy(name: tuple, found: _Without, rules: Identity) -> tuple[str | None, str | None]:
    """The type whose limit keeps the pieces apart already, or else what to write below `identifiers`.

    Only a limit on something stronger does: then the event goes without this identifier, and not the other way round.
    """
    id_type, value = name
    order = [each.id_type for each in rules.identifiers]
    stronger = rules.identifiers[: order.index(id_type)]
    shared = [(each, found.holding.get(kind, 0)) for kind, each in enumerate(stronger)]
    for each, count in shared:
        if each.limit is not None and count > each.limit.most:
            return each.id_type, None
    if any(each.id_type == "user_id" and count > 1 for each, count in shared):
        return None, "user_id: {limit: 1 ever}"
    return None, f"{id_type}: {{blocked: [{json.dumps(value, ensure_ascii=False)}]}}"

"""Which profile each node is in: whole components at once where no rule can interfere, else one set after another."""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import polars as pl

from populace.definitions import Identity
from populace.identity.graph import Graph, Numbers, components
from populace.identity.walk import KINDS, TOO_LARGE, TOO_MERGED, Caps, Walk

Events = Callable[[pl.Series], pl.DataFrame]
"""For numbers of sets all of their events: (sighting, timestamp, received_at, message_id, source), in any order."""

NOWHERE = -1
MOMENT = ("timestamp", "message_id", "source")


@dataclass(frozen=True, slots=True)
class Placed:
    """Where nodes are, in numbers. A profile is known by the moment that created it, see `walk`.

    `moments` is (timestamp, message_id, source), one row per moment: the sets of the graph, and then events.
    `profile_of` and `since` say for each node the profile that it is in now and the moment at which it was mapped,
    `NOWHERE` where it was not. `created` is (profile, node it is named after, root: what it counts as now), `merges`
    is (profile merged away, moment), `violations` is (kind, node, root, moment).
    """

    moments: pl.DataFrame
    profile_of: Numbers
    since: Numbers
    created: pl.DataFrame
    merges: pl.DataFrame
    violations: pl.DataFrame


def place(graph: Graph, rules: Identity, events: Events, caps: Caps) -> Placed:
    """Resolve every set of the graph."""
    shape = _Shape.of(graph)
    by_set, by_event = _suspects(graph, shape, rules, caps)
    with _no_collection():
        walk = _walk_sets(graph, shape, rules, caps, by_set & ~by_event)
        if refused := {shape.component[node] for kind, node, _ in walk.violations if kind in (TOO_LARGE, TOO_MERGED)}:
            by_event[list(refused)] = True
            walk = _walk_sets(graph, shape, rules, caps, by_set & ~by_event)
        late = _walk_events(walk, graph, shape, by_event[shape.component_of_set], events)
        return _placed(graph, shape, walk, by_set | by_event, late)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Nothing here refers to itself, and looking for what does takes a third of the time of millions of profiles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# --- components ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """What follows from the graph alone. Sets without a node do not occur; `places` are the numbers of the others.

    `begins` says where each one's members begin, `strongest` is its first node, `creates` whether all of its nodes
    are first seen in it. `creators` counts such sets by component; at most one fewer profiles are merged away.
    """

    component: Numbers
    first_set: Numbers
    places: Numbers
    begins: Numbers
    strongest: Numbers
    creates: Numbers
    creators: Numbers

    @classmethod
    def of(cls, graph: Graph) -> "_Shape":
        at, node = (graph.members.get_column(name).to_numpy() for name in ("set", "node"))
        component = components(graph)
        begins = np.flatnonzero(np.diff(at, prepend=NOWHERE))
        first_set = np.full(graph.nodes.height, NOWHERE)
        first_set[node[::-1]] = at[::-1]  # of several values of one place the last one stays
        is_new = first_set[node] == at
        creates = np.logical_and.reduceat(is_new, begins) if len(begins) else is_new
        strongest = node[begins]
        count = component.max(initial=NOWHERE) + 1
        creators = np.bincount(component[strongest[creates]], minlength=count)
        return cls(component, first_set, at[begins], begins, strongest, creates, creators)

    @property
    def component_of_set(self) -> Numbers:
        return self.component[self.strongest]

    @property
    def first_creator(self) -> Numbers:
        """For each component the set that created its first profile."""
        found = np.full(len(self.creators), NOWHERE)
        found[self.component_of_set[self.creates][::-1]] = self.places[self.creates][::-1]
        return found


def _suspects(graph: Graph, shape: _Shape, rules: Identity, caps: Caps) -> tuple[Numbers, Numbers]:
    """The components that are walked, and those of them whose events have to be looked at one by one.

    The first event of each set says all where limits hold ever: counts only grow, so a set seen again changes
    nothing, and nothing else is told of it. That is not so where values may be added again later, and where a set may
    be told for another reason than before: for a limit instead of a forbidden pair or a refused merge.
    """
    found, by_event = np.zeros((2, len(shape.creators)), np.bool_)
    counted = graph.nodes.select("kind", component=pl.Series(shape.component)).group_by("component", "kind").len()
    for kind, each in enumerate(rules.identifiers):
        if each.limit is not None:
            over = counted.filter((pl.col("kind") == kind) & (pl.col("len") > each.limit.most)).get_column("component")
            (found if each.limit.period is None else by_event)[over] = True
    sizes = np.bincount(shape.component, minlength=len(shape.creators))
    found |= (sizes > caps.mappings) | (shape.creators - 1 > caps.merges)
    for one, others in _apart(graph, rules).items():
        by_event[shape.component[one]] |= any(shape.component[other] == shape.component[one] for other in others)
    return found | (shape.creators > 1), by_event


def _apart(graph: Graph, rules: Identity) -> dict[int, set[int]]:
    """For nodes in forbidden pairs those they never share a profile with."""
    if not rules.forbidden:
        return {}
    named = pl.DataFrame(
        [identifier for each in rules.forbidden for identifier in each.pair],
        schema={"id_type": pl.String, "value": pl.String},
        orient="row",
    )
    numbered = graph.nodes.select("id_type", "value").with_row_index("node")
    nodes = (
        named.join(numbered, on=["id_type", "value"], how="left", maintain_order="left").get_column("node").to_list()
    )
    apart: dict[int, set[int]] = {}
    for one, other in zip(nodes[::2], nodes[1::2], strict=True):
        if one is not None and other is not None:
            apart.setdefault(one, set()).add(other)
            apart.setdefault(other, set()).add(one)
    return apart


# --- one after the other --------------------------------------------------------------------------------


def _nodes_of(graph: Graph, shape: _Shape, chosen: Numbers) -> Iterator[list[int]]:
    """The nodes of each chosen set, ascending."""
    node = graph.members.get_column("node").to_numpy()
    ends = np.append(shape.begins[1:], len(node))
    spans = zip(shape.begins[chosen].tolist(), ends[chosen].tolist(), strict=True)
    listed = node.tolist()
    return (listed[begin:end] for begin, end in spans)


def _walk_sets(graph: Graph, shape: _Shape, rules: Identity, caps: Caps, chosen: Numbers) -> Walk:
    """Walk the sets of the chosen components."""
    kinds = graph.nodes.get_column("kind").to_numpy().tobytes()
    walk = Walk(kinds, [each.limit for each in rules.identifiers], _apart(graph, rules), caps)
    mine = chosen[shape.component_of_set]
    numbers = shape.places[mine]
    times = graph.sets.get_column("first_timestamp").to_physical().gather(numbers).to_list()
    for moment, time, nodes in zip(numbers.tolist(), times, _nodes_of(graph, shape, mine), strict=True):
        walk.add(moment, time, nodes)
    return walk


def _walk_events(walk: Walk, graph: Graph, shape: _Shape, chosen: Numbers, events: Events) -> pl.DataFrame:
    """Walk all events of the chosen sets; returns them as moments."""
    numbers = shape.places[chosen]
    wanted = graph.sets.get_column("sighting").gather(numbers)
    if wanted.is_empty():
        return pl.DataFrame(schema={})
    found = events(wanted).sort("timestamp", "received_at", "message_id", "source", "sighting")
    order = pl.DataFrame({"sighting": wanted}).with_row_index("place")
    places = found.join(order, on="sighting", how="left", maintain_order="left").get_column("place").to_list()
    nodes, settled = list(_nodes_of(graph, shape, chosen)), [False] * wanted.len()
    times = found.get_column("timestamp").to_physical().to_list()
    for moment, (place, time) in enumerate(zip(places, times, strict=True), graph.sets.height):
        if not settled[place]:
            settled[place] = walk.add(moment, time, nodes[place])
    return found.select(MOMENT)


# --- both together ----------------------------------------------------------------------------------------


def _placed(graph: Graph, shape: _Shape, walk: Walk, walked: Numbers, late: pl.DataFrame) -> Placed:
    sets = graph.sets.select(timestamp="first_timestamp", message_id="first_message_id", source="source")
    plain = ~walked[shape.component]
    profile_of = np.where(plain, shape.first_creator[shape.component], NOWHERE)
    since = np.where(plain, shape.first_set, NOWHERE)
    mapped = np.fromiter(walk.mapped, np.int64)
    profile_of[mapped] = np.fromiter(map(walk.find, walk.mapped.values()), np.int64)
    since[mapped] = np.fromiter(walk.since.values(), np.int64)
    alone = shape.creates & ~walked[shape.component_of_set]
    created = pl.concat([
        _numbers(profile=shape.places[alone], node=shape.strongest[alone], root=shape.places[alone]),
        _numbers(profile=walk.parent, node=walk.named_after.values(), root=map(walk.find, walk.named_after)),
    ])  # fmt: skip
    merges = _numbers(profile=(loser for loser, _ in walk.merges), moment=(moment for _, moment in walk.merges))
    moments = pl.concat([sets, late]) if late.width else sets
    return Placed(moments, profile_of, since, created, merges, _violations(walk))


def _numbers(**columns: Iterable[int] | Numbers) -> pl.DataFrame:
    listed = {name: each if isinstance(each, np.ndarray) else list(each) for name, each in columns.items()}
    return pl.DataFrame(listed, schema=dict.fromkeys(listed, pl.Int64))


def _violations(walk: Walk) -> pl.DataFrame:
    found = [(kind, node, walk.find(profile), moment) for (kind, node, profile), moment in walk.violations.items()]
    schema = pl.Schema({"kind": pl.Enum(KINDS), "node": pl.Int64(), "root": pl.Int64(), "moment": pl.Int64()})
    return pl.DataFrame(found, schema=schema, orient="row")

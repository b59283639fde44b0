"""The sequential rule (I-40 to I-50): one moment after the other, each resolved by what is mapped by then.

Everything is a number here. A *node* is an identifier that is not blocked; the smaller one has the higher priority
(I-30), so that a list of nodes in ascending order begins with the strongest. A *moment* is an event, or the first
event of an identifier set, numbered in event order. A *profile* is known by the moment that created it, so that of
two profiles the smaller was created first (I-44).
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import combinations

from populace.definitions import Limit

MOST_MAPPINGS = 1_000  # I-45
MOST_MERGES = 100  # I-46
FORBIDDEN, BLOCKED = "forbidden_pair", "value_blocked"
TOO_MANY, TOO_OFTEN = "value_limit_exceeded", "time_limit_exceeded"
TOO_LARGE, TOO_MERGED = "mapping_limit_exceeded", "merge_limit_exceeded"
KINDS = tuple(sorted((FORBIDDEN, BLOCKED, TOO_MANY, TOO_OFTEN, TOO_LARGE, TOO_MERGED)))  # of violations


@dataclass(frozen=True, slots=True)
class Caps:
    """How large a profile may grow."""

    mappings: int = MOST_MAPPINGS
    merges: int = MOST_MERGES


class Profile:
    """What one profile holds: how many nodes of each type, and what limits of other kinds ask for."""

    __slots__ = ("added", "counts", "mappings", "merges", "paired")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.added: dict[int, list[int]] = {}  # of types whose limit has a period: when, ascending
        self.paired: frozenset[int] = frozenset()  # nodes that stand in a forbidden pair
        self.mappings = 0
        self.merges = 0

    def take_over(self, other: "Profile") -> None:
        """Hold what the other one held, with its times (I-24)."""
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
        for kind, times in other.added.items():
            mine = self.added.get(kind)
            self.added[kind] = list(merge(mine, times)) if mine else times
        self.paired |= other.paired
        self.mappings += other.mappings
        self.merges += other.merges + 1


@dataclass(slots=True)
class Together:
    """What would be one profile: the nodes of an event, those of them that are new, and the profiles they are in.

    `new` counts the new ones by type, `met` by profile how many of the nodes are in it.
    """

    nodes: list[int]
    fresh: list[int]
    new: dict[int, int]
    met: dict[int, int]


class Walk:
    """Profiles as they grow. Moments have to come in order; those of other components do not matter to one (I-50).

    Parameters
    ----------
    kinds
        For each node the number of its type; the smaller one has the higher priority.
    limits
        For each type its limit; None where there is none.
    apart
        For nodes in forbidden pairs those they must never share a profile with.
    """

    def __init__(
        self, kinds: Sequence[int], limits: Sequence[Limit | None], apart: Mapping[int, set[int]], caps: Caps
    ) -> None:
        self.kinds = kinds
        self.limits = [None if each is None else each.most for each in limits]
        self.periods = [None if each is None else each.microseconds for each in limits]
        self.apart = apart
        self.caps = caps
        self.held: dict[int, Profile] = {}  # by profiles that are not merged away
        self.parent: dict[int, int] = {}
        self.mapped: dict[int, int] = {}  # the profile that a node was mapped to
        self.since: dict[int, int] = {}  # the moment at which it was
        self.named_after: dict[int, int] = {}
        self.merges: list[tuple[int, int]] = []  # (merged away, moment)
        self.violations: dict[tuple[str, int, int], int] = {}  # by kind, node and profile the first moment

    def find(self, profile: int) -> int:
        """What a profile counts as now."""
        parent = self.parent
        root = profile
        while parent[root] != root:
            root = parent[root]
        while parent[profile] != root:
            parent[profile], profile = root, parent[profile]
        return root

    def add(self, moment: int, time: int, nodes: Sequence[int]) -> bool:
        """Resolve one moment.

        Parameters
        ----------
        time
            Of the event, in microseconds.
        nodes
            What it carries, in ascending order.

        Returns
        -------
        Whether the same nodes, seen again, can change nothing any more.
        """
        one, demoted = self._together(nodes), []
        while len(one.nodes) > 1 and (kind := self._exceeded(one, time)):
            demoted.append((kind, self._demote(one)))
        refused = self._refusal(one.met)
        profile = self._resolve(moment, one, refused)
        if refused:
            outside = [node for node in one.nodes if node in self.mapped and self.find(self.mapped[node]) != profile]
            demoted += [(refused, node) for node in outside]
        full = self._map(profile, one.fresh, moment, time)
        for kind, node in [*demoted, *((TOO_LARGE, node) for node in full)]:
            self.violations.setdefault((kind, node, profile), moment)
        return not demoted and not full

    def _together(self, nodes: Sequence[int]) -> Together:
        one = Together(list(nodes), [], {}, {})
        for node in nodes:
            if (profile := self.mapped.get(node)) is None:
                one.fresh.append(node)
                one.new[self.kinds[node]] = one.new.get(self.kinds[node], 0) + 1
            else:
                root = self.find(profile)
                one.met[root] = one.met.get(root, 0) + 1
        return one

    def _demote(self, one: Together) -> int:
        """Take away the identifier with the lowest priority, and what was met for its sake only."""
        node = one.nodes.pop()
        if one.fresh and one.fresh[-1] == node:
            one.fresh.pop()
            one.new[self.kinds[node]] -= 1
        else:
            root = self.find(self.mapped[node])
            one.met[root] -= 1
            if not one.met[root]:
                del one.met[root]
        return node

    # --- what must not be -------------------------------------------------------------------------

    def _exceeded(self, one: Together, time: int) -> str | None:
        """Why these profiles and nodes must not become one profile, told of the node that is demoted for it.

        Of several reasons it is that of the node's own type, or of the type with the highest priority.
        """
        if len(one.met) == 1 and not one.fresh:
            return None
        if reasons := self._over_limit(one, time):
            kind = self.kinds[one.nodes[-1]]
            kind = kind if kind in reasons else min(reasons)
            return TOO_MANY if self.periods[kind] is None else TOO_OFTEN
        return FORBIDDEN if self.apart and self._is_forbidden(one) else None

    def _over_limit(self, one: Together, time: int) -> list[int]:
        """The types of which the profile would hold too many, and more than any of its parts does already."""
        parts = [self.held[each] for each in one.met]
        asked = one.new if len(parts) < 2 else one.new.keys() | {kind for part in parts for kind in part.counts}
        return [kind for kind in asked if self._is_over(kind, one.new.get(kind, 0), parts, time)]

    def _is_over(self, kind: int, new: int, parts: list[Profile], time: int) -> bool:
        most = self.limits[kind]
        if most is None:
            return False
        counts = [part.counts.get(kind, 0) for part in parts]
        if sum(counts) + new <= most:
            return False
        if (period := self.periods[kind]) is not None:
            counts = [_within(part.added.get(kind, []), time - period) for part in parts]
        total = sum(counts) + new
        return total > most and total > max(counts, default=0)

    def _is_forbidden(self, one: Together) -> bool:
        groups = [self.held[each].paired for each in one.met]
        groups += [frozenset({node}) for node in one.fresh if node in self.apart]
        return any(not other.isdisjoint(self.apart[node]) for each, other in combinations(groups, 2) for node in each)

    def _refusal(self, met: Collection[int]) -> str | None:
        """Why profiles that may become one do not: they are too large, or too often merged (I-45, I-46)."""
        if len(met) < 2:
            return None
        parts = [self.held[each] for each in met]
        if sum(part.merges for part in parts) + len(met) - 1 > self.caps.merges:
            return TOO_MERGED
        return TOO_LARGE if sum(part.mappings for part in parts) > self.caps.mappings else None

    # --- what becomes of it -----------------------------------------------------------------------

    def _resolve(self, moment: int, one: Together, refused: str | None) -> int:
        """The profile that the moment resolves to: a new one, the one that was met, or what several become."""
        if not one.met:
            return self._create(moment, one.nodes[0])
        if refused:
            strongest = next(node for node in one.nodes if node in self.mapped)
            return self.find(self.mapped[strongest])
        survivor = min(one.met)
        for loser in sorted(one.met):
            if loser != survivor:
                self._merge(survivor, loser, moment)
        return survivor

    def _create(self, moment: int, node: int) -> int:
        self.parent[moment] = moment
        self.held[moment] = Profile()
        self.named_after[moment] = node
        return moment

    def _merge(self, survivor: int, loser: int, moment: int) -> None:
        self.parent[loser] = survivor
        self.held[survivor].take_over(self.held.pop(loser))
        self.merges.append((loser, moment))

    def _map(self, profile: int, fresh: list[int], moment: int, time: int) -> list[int]:
        """Map nodes to a profile, the strongest first, until it is full; returns those it has no room for."""
        held = self.held[profile]
        room = self.caps.mappings - held.mappings
        for node in fresh[:room]:
            kind = self.kinds[node]
            self.mapped[node], self.since[node] = profile, moment
            held.counts[kind] = held.counts.get(kind, 0) + 1
            held.mappings += 1
            if self.periods[kind] is not None:
                held.added.setdefault(kind, []).append(time)
            if node in self.apart:
                held.paired |= {node}
        return fresh[max(room, 0) :]


def _within(times: list[int], after: int) -> int:
    """How many of these lie after an instant (I-24: the period's own begin is outside)."""
    return len(times) - bisect_right(times, after)

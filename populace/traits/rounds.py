"""In which order reducers can be computed, where events are compared with traits of their person."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from populace.nodes import Query, Reducer, references
from populace.query import fingerprint
from populace.traits.planning import reducers


def rounds(queries: Iterable[Query], defined: Mapping[str, Query]) -> list[list[Reducer]]:
    """The distinct reducers of some queries, and of what their where() refers to, in rounds.

    Parameters
    ----------
    defined
        The queries of traits and audiences by key, which do not refer to each other in a ring.

    Returns
    -------
    Each round needs traits and audiences of the rounds before it only. Most spaces have one.
    """
    graph = _Graph(defined)
    wanted = reducers(queries)
    below = graph.below(key for reducer in wanted for key in references(reducer))
    every = {fingerprint(each): each for each in (*wanted, *reducers(defined[key] for key in sorted(below)))}
    found: dict[int, list[Reducer]] = {}
    for reducer in every.values():
        found.setdefault(graph.depth(reducer), []).append(reducer)
    return [found[depth] for depth in sorted(found)]


@dataclass(frozen=True, slots=True)
class _Graph:
    """What definitions refer to; each is looked at once, however many refer to it."""

    defined: Mapping[str, Query]
    depths: dict[str, int] = field(default_factory=dict)

    def below(self, keys: Iterable[str]) -> set[str]:
        """The definitions of these keys, and those that they cannot do without."""
        found: set[str] = set()
        waiting = list(keys)
        while waiting:
            if (key := waiting.pop()) in self.defined and key not in found:
                found.add(key)
                waiting += references(self.defined[key])
        return found

    def depth(self, reducer: Reducer) -> int:
        """How many rounds come before."""
        return max((1 + self._depth_of(key) for key in references(reducer) if key in self.defined), default=0)

    def _depth_of(self, key: str) -> int:
        if key not in self.depths:
            query = self.defined[key]
            own = [self.depth(each) for each in reducers([query])]
            others = [self._depth_of(each) for each in references(query) if each in self.defined]
            self.depths[key] = max([*own, *others], default=0)
        return self.depths[key]

"""In which order reducers can be computed, where events are compared with traits of their person."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from populace.errors import DefinitionError
from populace.nodes import Query, Reducer, references
from populace.query import fingerprint
from populace.traits.planning import reducers


def rounds(queries: Iterable[Query], defined: Mapping[str, Query]) -> list[list[Reducer]]:
    """The distinct reducers of some queries, and of what their where() refers to, in rounds.

    Parameters
    ----------
    defined
        The queries of traits and audiences by key.

    Raises
    ------
    DefinitionError
        If they refer to each other in a ring, which the loader cannot know of the traits of families.

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
    path: list[str] = field(default_factory=list)  # of what is being looked at

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
        if key in self.path:
            ring = " → ".join([*self.path[self.path.index(key) :], key])
            raise DefinitionError([f"definitions refer to each other in a ring: {ring}"])
        if key not in self.depths:
            self.path.append(key)
            self.depths[key] = self._depth_below(self.defined[key])
            self.path.pop()
        return self.depths[key]

    def _depth_below(self, query: Query) -> int:
        own = [self.depth(each) for each in reducers([query])]
        others = [self._depth_of(each) for each in references(query) if each in self.defined]
        return max([*own, *others], default=0)

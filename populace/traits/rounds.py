"""In which order reducers can be computed, where events are compared with traits of their person."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from populace.nodes import Query, Reducer, TraitValue, walk
from populace.query import fingerprint
from populace.traits.planning import reducers, references


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
    below = {key for reducer in wanted for key in graph.needed(reducer)}
    every = {fingerprint(each): each for each in (*wanted, *reducers(defined[key] for key in sorted(below)))}
    found: dict[int, list[Reducer]] = {}
    for reducer in every.values():
        found.setdefault(graph.depth(reducer), []).append(reducer)
    return [found[depth] for depth in sorted(found)]


@dataclass(frozen=True, slots=True)
class _Graph:
    defined: Mapping[str, Query]

    def needed(self, reducer: Reducer) -> set[str]:
        """The definitions that a reducer cannot do without."""
        return {key for first in self._known(references(reducer)) for key in self._below(first)}

    def _below(self, key: str) -> Iterator[str]:
        yield key
        for each in self._known(_referred(self.defined[key])):
            yield from self._below(each)

    def _known(self, keys: Iterable[str]) -> set[str]:
        return {key for key in keys if key in self.defined}

    def depth(self, reducer: Reducer) -> int:
        """How many rounds come before."""
        return max((1 + self._depth_of(key) for key in self._known(references(reducer))), default=0)

    def _depth_of(self, key: str) -> int:
        query = self.defined[key]
        own = [self.depth(each) for each in reducers([query])]
        return max([*own, *map(self._depth_of, self._known(_referred(query)))], default=0)


def _referred(query: Query) -> set[str]:
    return {node.key for node in walk(query) if isinstance(node, TraitValue)}

"""In which order audiences can be evaluated: each after those that it refers to (A-61)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from populace.definitions import Audience, Trait
from populace.errors import DefinitionError
from populace.nodes import references


def order(audiences: Sequence[Audience], traits: Sequence[Trait]) -> list[Audience]:
    """The audiences, each after those it refers to (A-61).

    Parameters
    ----------
    audiences
        Of one space.
    traits
        Of the same space; `trait('k')` means the trait where a trait and an audience share a key.

    Raises
    ------
    DefinitionError
        If audiences refer to each other in a circle; the message names it.
    """
    return [audience for level in levels(audiences, traits) for audience in level]


def levels(audiences: Sequence[Audience], traits: Sequence[Trait]) -> Iterator[list[Audience]]:
    """The same in levels, none of which refers to itself."""
    by_key = {audience.key: audience for audience in audiences}
    known = by_key.keys() - {trait.key for trait in traits}
    sorter = TopologicalSorter({audience.key: sorted(references(audience.query) & known) for audience in audiences})
    try:
        sorter.prepare()
    except CycleError as error:
        raise DefinitionError([_about(error.args[1], by_key)]) from None
    while sorter:
        ready = sorter.get_ready()
        yield [by_key[key] for key in ready]
        sorter.done(*ready)


def _about(cycle: list[str], by_key: Mapping[str, Audience]) -> str:
    # graphlib lists the one referred to before the one that refers to it.
    path = cycle[::-1]
    start = path.index(min(path))
    turned = [*path[start:-1], *path[:start], path[start]]
    return f"{by_key[turned[0]].at}: audiences refer to each other in a circle: {' → '.join(turned)}"


def needed(keys: Collection[str], audiences: Sequence[Audience]) -> tuple[Audience, ...]:
    """The audiences of these keys, and those that they refer to."""
    chosen = [each for each in audiences if each.key in keys]
    below = {key for each in chosen for key in references(each.query)}
    return needed({*keys, *below}, audiences) if not below <= set(keys) else tuple(chosen)

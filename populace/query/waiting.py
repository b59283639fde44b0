"""Funnels that wait: an event counts only once the time in which another may follow it is over (A-53)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from populace.nodes import Between, Duration, Event, Node, Reducer, Where, Within, outermost, rewritten

EVER = Duration(36_500, "days")  # the longest window there is


def waiting(node: Node) -> Node:
    """The query with each parent left out whose windows are still open at `as_of`.

    It says so in the language itself: to `event('Added').where(… within(parent: 1 day) …)` it adds
    `.between(1 day, 36500 days)`.
    """
    return rewritten(node, _closed)


def _closed(node: Any) -> Any:
    if not isinstance(node, Event):
        return node
    lengths = sorted(_windows(node), key=lambda each: each.length)
    closed = (Between(lengths[-1], EVER),) if lengths else ()
    return replace(node, filters=(*node.filters, *closed))


def _windows(parent: Event) -> Iterator[Duration]:
    """How long after the parent the events inside its where() may come."""
    for each in parent.filters:
        for node in outermost(each.condition) if isinstance(each, Where) else ():
            if isinstance(node, Reducer):
                yield from _after(node.stream.filters)


def _after(filters: tuple[Any, ...]) -> Iterator[Duration]:
    for each in filters:
        if isinstance(each, Within) and each.parent:
            yield each.duration
        if isinstance(each, Between) and each.parent:
            yield max(each.first, each.second, key=lambda duration: duration.length)

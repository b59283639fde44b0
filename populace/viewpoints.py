"""Whose values the parts of a query read: outside of ANY and ALL an account's own, inside of them its users'."""

from collections.abc import Iterator
from typing import Any

from populace.nodes import Quantified, children, walk


def quantified(node: Any) -> tuple[Quantified, ...]:
    """What ANY and ALL of a query are about, in the order they are written; a query about people has none."""
    return tuple(each for each in walk(node) if isinstance(each, Quantified))


def outside_quantifiers(node: Any) -> Iterator[Any]:
    """The node and every node below it, without what ANY and ALL say of the users of an account."""
    yield node
    if not isinstance(node, Quantified):
        for child in children(node):
            yield from outside_quantifiers(child)

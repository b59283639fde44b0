"""Events that count for the account that they name alone, and not for every account of their user (O-15)."""

from dataclasses import replace
from typing import Any

from populace.nodes import Event, Node, OfAccount, rewritten


def attributed(node: Node) -> Node:
    """The query with `.of_account()` added to each of its streams of events."""
    return rewritten(node, _attributed)


def _attributed(node: Any) -> Any:
    return replace(node, filters=(*node.filters, OfAccount())) if isinstance(node, Event) else node

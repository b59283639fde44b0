"""Traits of sessions that end: the value is gone with the session, instead of staying until the next one (T-21)."""

from dataclasses import replace
from typing import Any

from populace.nodes import ExpiresAfter, Node, rewritten


def expiring(node: Node) -> Node:
    """The query with all its sessions expiring, as `expires_after(expire: 1 hour)` says in the language itself."""
    return rewritten(node, _expiring)


def _expiring(node: Any) -> Any:
    return replace(node, expire=True) if isinstance(node, ExpiresAfter) else node

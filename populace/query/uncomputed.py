"""What the language says and the engine cannot compute yet, each by its name. Nothing is ignored."""

from populace.nodes import Entity, Operand, Query
from populace.nodes import walk as every_node


def not_computed(node: Query | Operand) -> str | None:
    """Why the engine cannot compute a query yet, by the first thing in it that it cannot; None if it can."""
    return next((reason for each in every_node(node) if (reason := _reason(each))), None)


def _reason(node: object) -> str | None:
    match node:
        case Entity():
            return "entity() needs linked tables, which Populace does not have"
    return None

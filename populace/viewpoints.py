"""Whose values the parts of a query read: outside of ANY and ALL an account's own, inside of them its users'."""

from collections.abc import Iterator
from typing import Any

from populace.nodes import (
    Absent,
    AccountTrait,
    And,
    Condition,
    Exists,
    NoneOf,
    Not,
    OneOf,
    Or,
    Quantified,
    TraitValue,
    children,
    rewritten,
    walk,
)


def quantified(node: Any) -> tuple[Quantified, ...]:
    """What ANY and ALL of a query are about, in the order they are written; a query about people has none."""
    return tuple(each for each in walk(node) if isinstance(each, Quantified))


def outside_quantifiers(node: Any) -> Iterator[Any]:
    """The node and every node below it, without what ANY and ALL say of the users of an account."""
    yield node
    if not isinstance(node, Quantified):
        for child in children(node):
            yield from outside_quantifiers(child)


def own_keys(query: Any) -> set[str]:
    """The keys of each trait() that reads whom the query is about; not of those that read an account's users."""
    return {node.key for node in outside_quantifiers(query) if isinstance(node, TraitValue)}


def account_keys(query: Any) -> set[str]:
    """The keys of each account.trait()."""
    return {node.key for node in walk(query) if isinstance(node, AccountTrait)}


# --- what is answered beside the row at hand ----------------------------------------------------------


def is_beside(node: Condition) -> bool:
    """Whether a condition takes other rows than the one at hand: ANY and ALL, and comparisons of account.trait()."""
    if isinstance(node, And | Or | Not):
        return False
    return isinstance(node, Quantified) or any(isinstance(each, AccountTrait) for each in children(node))


def beside(node: Condition) -> Iterator[Condition]:
    """The parts of a condition that are answered beside the row, in the order they are written."""
    if is_beside(node):
        yield node
    elif isinstance(node, And | Or | Not):
        for each in children(node):
            yield from beside(each)


def plain(node: Condition) -> Condition:
    """The same with what is said of all accounts of a user put as what is said of one of them.

    None has a trait if it is not so that one has; a trait is none of some values if one account has it, and no account
    has one of these.
    """
    return rewritten(node, _plain)


def _plain(node: Any) -> Any:
    match node:
        case Absent(AccountTrait() as operand):
            return Not(Exists(operand))
        case NoneOf(AccountTrait() as operand, choices):
            return And((Exists(operand), Not(OneOf(operand, choices))))
    return node

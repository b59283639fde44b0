"""Whose trait each trait() names: that of a person, or that of an account.

Keys are unique in a space, so a key says whose it is. A condition about people reads accounts by account.trait(), and
one about accounts reads people by ANY and ALL; an audience of accounts may be named by trait() among conditions about
people, and says whether one of the person's accounts is a member of it (A-33).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from populace.definitions import Audience, Level, Space, SqlTrait, Trait
from populace.loading.documents import Document
from populace.nodes import (
    AccountTrait,
    Reducer,
    TraitValue,
    references,
    walk,
)
from populace.viewpoints import outside_quantifiers, quantified

Defined = Trait | Audience


def check(space: Space, documents: Mapping[str, Document]) -> None:
    """Report what definitions read of whom they cannot read it."""
    for each in space.computed:
        name = "audiences" if isinstance(each, Audience) else "traits"
        for problem in problems(each, space):
            documents[name].report((each.key, "query"), f"'{each.key}': {problem}")


def problems(each: Defined, space: Space) -> list[str]:
    """What a definition reads of whom it cannot read it."""
    by_key = {each.key: each for each in space.computed}
    known: dict[str, Defined | SqlTrait] = {each.key: each for each in (*space.sql_traits, *space.computed)}
    return list(dict.fromkeys([*_misplaced(each, known), *_inside(each, by_key)]))


def _misplaced(each: Defined, by_key: Mapping[str, Defined | SqlTrait]) -> Iterator[str]:
    """What is read as somebody's who does not have it."""
    own = list(outside_quantifiers(each.query))
    about_users = own if each.level == "user" else [node for term in quantified(each.query) for node in walk(term)]
    about_accounts = [] if each.level == "user" else own
    for key in _traits(about_users, "account", by_key):
        if not isinstance(by_key[key], Audience):
            yield f"'{key}' is a trait of accounts; write account.trait('{key}')"
    for key in _traits(about_accounts, "user", by_key):
        remedy = "write ANY or ALL before the condition that reads it"
        yield f"'{key}' is people's; {remedy if isinstance(each, Audience) else 'a trait of accounts cannot read it'}"
    for node in about_users:
        if isinstance(node, AccountTrait) and node.key in by_key and by_key[node.key].level == "user":
            yield f"'{node.key}' is people's; write trait('{node.key}')"


def _traits(nodes: Iterable[Any], level: Level, by_key: Mapping[str, Defined | SqlTrait]) -> list[str]:
    keys = [node.key for node in nodes if isinstance(node, TraitValue)]
    return [key for key in keys if key in by_key and by_key[key].level == level]


def _inside(each: Defined, by_key: Mapping[str, Defined]) -> Iterator[str]:
    """What the events of a where() cannot be compared with: it is known only when all events have been read."""
    inside = {key for node in walk(each.query) if isinstance(node, Reducer) for key in references(node)}
    for key in sorted(inside & by_key.keys()):
        if each.level == "account" and isinstance(by_key[key], Audience):
            yield f"'{key}' is an audience, which cannot stand inside where() of an account's events; compare it beside"
        elif _is_passed(each, by_key[key]) or _reads_accounts(key, by_key, set()):
            yield f"'{key}' reads accounts, so it cannot stand inside where(); compare it beside the event"


def _is_passed(each: Defined, other: Defined) -> bool:
    """Whether a definition of people names an audience of accounts, which asks for theirs (A-33)."""
    return each.level == "user" and other.level == "account" and isinstance(other, Audience)


def _reads_accounts(key: str, by_key: Mapping[str, Defined], seen: set[str]) -> bool:
    if key not in by_key or key in seen:
        return False
    seen.add(key)
    each = by_key[key]
    if any(isinstance(node, AccountTrait) for node in walk(each.query)):
        return True
    others = [other for other in references(each.query) if other in by_key]
    return any(_is_passed(each, by_key[other]) or _reads_accounts(other, by_key, seen) for other in others)

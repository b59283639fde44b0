"""What a form of delivery needs: settings of its destination, and `lists:`, the ids of lists that exist over there."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from populace import destinations as adapters
from populace.definitions import Audience, Destination, Space, Trait
from populace.destinations.protocol import FINDING, LIST, About, ListAdapter, ParticularAdapter
from populace.loading.checks import meant
from populace.loading.documents import Document, Keys

HOW = "write {key_of_an_audience: id of its list over there}"

Ids = tuple[tuple[str, str], ...]


def ids(document: Document, destination: str, written: Any, kind: str, about: About) -> Ids:
    """The ids of one destination as texts, as written: `${NAME}` is resolved when one is used."""
    keys: Keys = (destination, "lists")
    if written is None:
        return ()
    if LIST not in about.forms:
        document.report(keys, f"'{destination}': {kind} keeps nobody in lists; leave `lists` out")
    elif not isinstance(written, dict) or not written:
        document.report(keys, f"'{destination}.lists': {HOW}")
    else:
        return tuple(_texts(document, keys, written))
    return ()


def _texts(document: Document, keys: Keys, written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    others: dict[str, str] = {}
    for key, value in written.items():
        text = str(value) if type(value) is int else value
        if problem := _problem(key, text, others):
            document.report((*keys, key), f"'{'.'.join(map(str, keys))}.{key}': {problem}")
        # What is wrong stays, so that it is not told as missing, too.
        others.setdefault(str(text), key)
        yield key, str(text)


def _problem(key: str, text: Any, others: Mapping[str, str]) -> str:
    """What is wrong with an id, after those that stand before it."""
    if text is None or (isinstance(text, str) and not text.strip()):
        return "the id is empty; write what the list is called over there, or leave the line out"
    if not isinstance(text, str):
        return "the id is a text or a whole number; write it in quotes if need be"
    if text in others:
        return f"'{others[text]}' has the same list; who leaves one audience would leave the other"
    return ""


# --- what only all files together show -------------------------------------------------------------------


def check(space: Space, documents: Mapping[str, Document]) -> None:
    """Report ids of lists that no audience is delivered to, and audiences without the id that they need."""
    for destination in space.destinations:
        audiences = [each for each in space.audiences if _is_listed(each, destination)]
        listed = {each.key for each in audiences}
        _check_names(destination, audiences, documents["audiences"])
        _check_keys(space, destination, listed, documents)
        forms = _forms(space.computed, destination)
        _check_forms(destination, forms | ({FINDING} if listed - dict(destination.lists).keys() else set()), documents)
        if not isinstance(adapters.ADAPTERS[destination.kind], ListAdapter):
            for key in sorted(listed - dict(destination.lists).keys()):
                documents["destinations"].report((destination.name, "lists"), _lacking(destination, key))


def _check_forms(destination: Destination, asked: set[str], documents: Mapping[str, Document]) -> None:
    """Report what is asked of a destination and cannot be told with its settings."""
    adapter = adapters.ADAPTERS[destination.kind]
    if not isinstance(adapter, ParticularAdapter):
        return
    for form in sorted(asked):
        if lacking := adapter.lacking(form, destination.options):
            documents["destinations"].report((destination.name,), f"'{destination.name}': {lacking}")


def _forms(computed: Iterable[Trait | Audience], destination: Destination) -> set[str]:
    first = adapters.ADAPTERS[destination.kind].ABOUT.forms[0]
    ways = (way for each in computed for way in each.deliveries if way.destination == destination.name)
    return {way.form or first for way in ways}


def _is_listed(audience: Audience, destination: Destination) -> bool:
    return LIST in _forms([audience], destination)


def _check_names(destination: Destination, audiences: list[Audience], document: Document) -> None:
    """Lists are found by their names, so that two audiences of one name would share one."""
    others: dict[str, str] = {}
    for each in audiences:
        name = (each.name or each.key).casefold()
        if each.key in dict(destination.lists):
            continue
        if name in others:
            shared = f"'{others[name]}' is called so as well, and '{destination.name}' would keep both in one list"
            document.report((each.key,), f"'{each.key}': {shared}; give one of them another name")
        others.setdefault(name, each.key)


def _lacking(destination: Destination, key: str) -> str:
    told = f"'{destination.name}': {destination.kind} cannot find or make lists, so '{key}' needs the id of one"
    return f"{told}; make it over there and write `lists: {{{key}: its id}}`"


def _check_keys(space: Space, destination: Destination, listed: set[str], documents: Mapping[str, Document]) -> None:
    # One that is there and could not be read has its own problems.
    known = {*documents["audiences"].data, *(each.key for each in space.audiences)}
    unread = known - {each.key for each in space.audiences}
    if documents["audiences"].problems and not known:
        return
    for key, _ in destination.lists:
        if key in listed or key in unread:
            continue
        way = f"`destinations: [{{{destination.name}: {LIST}}}]`"
        problem = f"'{key}' is not kept in a list of '{destination.name}'; write {way} below it, or leave the line out"
        if key not in known:
            problem = f"no audience '{key}'; {way} keeps one in a list{meant(key, listed or known)}"
        documents["destinations"].report((destination.name, "lists", key), problem)

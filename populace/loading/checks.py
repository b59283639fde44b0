"""What must hold between definitions, and what is probably not meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from os.path import normpath
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from populace import destinations as adapters
from populace.definitions import RESERVED, Destination, Family, Space, Sql, Trait
from populace.loading.documents import Document
from populace.loading.variables import resolve_text
from populace.nodes import Between, references, walk

Documents = dict[str, Document]

UNKNOWN = "file:///nowhere"  # the lake of a space whose own is not to be read


@dataclass(frozen=True, slots=True)
class Around:
    """What settings mean where they are used: the environment, and the folder that relative paths start at."""

    environ: Mapping[str, str]
    base: Path

    def account(self, destination: Destination) -> tuple[str, str]:
        """The account that a destination reaches, however it is written; what is not known here stays as written."""
        settings = {name: self._placed(self._known(text)) for name, text in destination.settings}
        return destination.kind, adapters.ADAPTERS[destination.kind].account(settings)

    def _known(self, text: str) -> str:
        try:
            return resolve_text(text, self.environ)
        except KeyError:
            return text

    def _placed(self, text: str) -> str:
        """A file by its full path, without the detours that lead there."""
        parts = urlsplit(text)
        if parts.scheme not in ("sqlite", "file"):
            return text
        path = normpath(self.base / unquote(parts.path))
        return f"{parts.scheme}:///{path.lstrip('/')}"


def check(space: Space, others: list[Space], documents: Documents, around: Around) -> None:
    """Report what one file alone cannot show: keys used twice, rings, things two spaces share."""
    _check_keys(space, documents)
    _check_cycles(space, documents)
    _check_accounts(space, documents, around)
    _check_places(space, documents)
    for other in others:
        _check_shared(space, other, documents, around)


def _check_keys(space: Space, documents: Documents) -> None:
    defined: tuple[Trait | Family | Sql, ...] = (*space.traits, *space.families, *space.sql)
    places = {each.key: each.at for each in defined}
    for key in places:
        if key in RESERVED:
            documents["traits"].report((key,), f"'{key}' is a column of every table; choose another key")
    for audience in space.audiences:
        if audience.key in places:
            problem = f"'{audience.key}' is also a trait, at {places[audience.key]}"
            documents["audiences"].report((audience.key,), problem)


def _check_cycles(space: Space, documents: Documents) -> None:
    graph = {each.key: references(each.query) for each in space.computed}
    while ring := _ring(graph):
        problem = f"definitions refer to each other in a ring: {' → '.join(ring)}"
        kind = "traits" if ring[0] in {each.key for each in space.traits} else "audiences"
        documents[kind].report((ring[0],), problem)
        graph = {key: read for key, read in graph.items() if key not in ring}


def _ring(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as cause:
        return cause.args[1][::-1]
    return []


def _overlap(one: str, other: str) -> bool:
    """Whether two places are the same, or one lies within the other."""
    first, second = sorted((one.rstrip("/") + "/", other.rstrip("/") + "/"))
    return second.startswith(first) and UNKNOWN not in (one, other)


def _check_places(space: Space, documents: Documents) -> None:
    for source in space.sources:
        if _overlap(source.archive, space.lake):
            problem = f"'{source.name}': archive and lake lie within each other; give each a folder of its own"
            documents["sources"].report((source.name, "archive"), problem)


def _check_accounts(space: Space, documents: Documents, around: Around) -> None:
    taken: dict[tuple[str, str], str] = {}
    for each in _written(space):
        other = taken.setdefault(around.account(each), each.name)
        if other != each.name:
            problem = f"'{each.name}' is the same account as '{other}'; one would overwrite what the other writes"
            documents["destinations"].report((each.name,), problem)


def _check_shared(space: Space, other: Space, documents: Documents, around: Around) -> None:
    if _overlap(space.lake, other.lake):
        documents["space"].report(("lake",), f"space '{other.name}' has the same lake; give each its own")
    theirs = {around.account(each): each.name for each in _written(other)}
    for each in _written(space):
        if same := theirs.get(around.account(each)):
            problem = f"'{each.name}' is the same account as '{same}' of space '{other.name}'; give each its own"
            documents["destinations"].report((each.name,), problem)


def _written(space: Space) -> list[Destination]:
    """Destinations that keep what they are told: messages of several spaces may go to one channel."""
    return [each for each in space.destinations if adapters.ADAPTERS[each.kind].ABOUT.grain == "person"]


def _shared_archives(space: Space) -> list[str]:
    return [
        f"{each.at}: '{each.name}' and '{other.name}' read the same archive, so each event counts once for one of them"
        for number, each in enumerate(space.sources)
        for other in space.sources[:number]
        if _overlap(each.archive, other.archive)
    ]


def warnings(space: Space) -> tuple[str, ...]:
    """Legal things that are probably not meant (Q-28)."""
    found = []
    keys = {each.key for each in (*space.computed, *space.sql)}
    families = {each.key for each in space.families}
    others = ["a custom trait", *(["one of a family"] if families else []), *(["a column of SQL"] if space.sql else [])]
    other = ", or ".join(others)
    for each in (*space.computed, *space.families):
        for key in sorted(references(each.query) - keys):
            if key in families:
                found.append(f"{each.at}: '{each.key}' reads '{key}', which is a family; name one of its traits")
                continue
            close = get_close_matches(key, keys - {each.key}, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            found.append(f"{each.at}: '{each.key}' reads '{key}', which must be {other}{hint}")
        found += [f"{each.at}: '{each.key}' {told}" for told in _swapped(each.query)]
    return (*found, *_shared_archives(space))


def _swapped(node: Any) -> list[str]:
    """Windows whose two lengths are read in the other order (Q-23)."""
    windows = (each for each in walk(node) if isinstance(each, Between) and each.first.length > each.second.length)
    return [f"has a between() with its longer time first: it means {_window(each)}" for each in windows]


def _window(each: Between) -> str:
    parent = "parent: " if each.parent else ""
    return f"between({parent}{each.second.amount} {each.second.unit}, {each.first.amount} {each.first.unit})"


def meant(given: str, known: Any) -> str:
    """What a message adds about a name that is not known: the nearest known one, or all there are."""
    close = get_close_matches(given, list(known), n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there is {', '.join(sorted(known))}" if known else ""

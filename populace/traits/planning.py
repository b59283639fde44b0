"""What has to be read and computed: reducers, each once, by the event table that they need."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from populace.nodes import (
    Absent,
    Between,
    Compare,
    Context,
    Event,
    Exists,
    First,
    Last,
    Mode,
    NoneOf,
    OfAccount,
    Property,
    Query,
    Reducer,
    TraitValue,
    Unique,
    UniqueCount,
    Where,
    Within,
    outermost,
)  # fmt: skip
from populace.paths import elements_of, has_elements
from populace.query import fingerprint, print_query

ORDER = ("timestamp", "received_at", "message_id")  # E-27

Reducers = Mapping[str, Reducer]  # by fingerprint
GROUP_PATH = "groupId"  # below context: the account that an event names (I-74)


@dataclass(frozen=True, slots=True)
class Needs:
    """What the reducers read of one event table.

    Of the properties in `objects` it matters whether they are there even if they are objects, which have no value.
    `window` reaches back from `as_of` and holds every event that can matter; None means ever. `ordered` says
    whether `received_at` and `message_id` are read, `timestamp` always is.
    """

    properties: frozenset[str] = frozenset()
    contexts: frozenset[str] = frozenset()
    window: timedelta | None = None
    ordered: bool = False
    objects: frozenset[str] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        """What either of them reads."""
        return Needs(
            self.properties | other.properties,
            self.contexts | other.contexts,
            None if self.window is None or other.window is None else max(self.window, other.window),
            self.ordered or other.ordered,
            self.objects | other.objects,
        )


def reducers(queries: Iterable[Query]) -> tuple[Reducer, ...]:
    """The distinct reducers of some queries, in the order they are first written; not those inside where().

    Distinct by fingerprint, not by `==`, for which `Literal(1)` and `Literal(1.0)` are the same.
    """
    found = (node for query in queries for node in outermost(query) if isinstance(node, Reducer))
    return tuple({fingerprint(reducer): reducer for reducer in found}.values())


def inside(stream: Event) -> tuple[Reducer, ...]:
    """The distinct reducers inside where() of a stream: each has a value for every event of it (A-50)."""
    return reducers(each.condition for each in stream.filters if isinstance(each, Where))


def refers(stream: Event) -> bool:
    """Whether where() of a stream reads traits of the person."""
    conditions = [each.condition for each in stream.filters if isinstance(each, Where)]
    return any(isinstance(node, TraitValue) for each in conditions for node in outermost(each))


# --- event tables -------------------------------------------------------------------------------------


def requirements(queries: Iterable[Query]) -> dict[str, Needs]:
    """What has to be read to compute some queries, by event name.

    Parameters
    ----------
    queries
        Of traits and audiences, or reducers alone.

    Returns
    -------
    One entry per event table. A query without events, such as one on custom traits, needs none.
    """
    found: dict[str, Needs] = {}
    for reducer in reducers(queries):
        for name, needs in _needs(reducer, None):
            found[name] = found[name] | needs if name in found else needs
    return found


def explain(queries: Iterable[Query]) -> dict[str, list[str]]:
    """Which reducers are computed in the scan of which event table, as text.

    One key is one scan; N definitions on one event are one scan. What is compared with each event of another table is
    listed below its own.
    """
    found: dict[str, dict[str, None]] = {}
    waiting = list(reducers(queries))
    for reducer in waiting:
        found.setdefault(stream_of(reducer).name, {})[print_query(reducer)] = None
        waiting += inside(stream_of(reducer))
    return {name: list(texts) for name, texts in found.items()}


def by_event(found: Iterable[Reducer]) -> dict[str, dict[str, Reducer]]:
    """Reducers by the table that they are computed from."""
    groups: dict[str, dict[str, Reducer]] = {}
    for reducer in found:
        groups.setdefault(stream_of(reducer).name, {})[fingerprint(reducer)] = reducer
    return groups


def stream_of(reducer: Reducer) -> Event:
    """The events that a reducer is about."""
    assert isinstance(reducer.stream, Event), "definitions with entity() are refused before"
    return reducer.stream


def window_of(found: Iterable[Reducer]) -> timedelta | None:
    """How far some reducers look back at their own events; None is for ever."""
    windows = [_window(stream_of(reducer)) for reducer in found]
    known = [window for window in windows if window is not None]
    return max(known) if len(known) == len(windows) else None


def _window(stream: Event) -> timedelta | None:
    # Filters are ANDed, so the narrowest of several windows is the one that counts.
    lengths = [each.duration.length for each in stream.filters if isinstance(each, Within) and not each.parent]
    lengths += [each.longest for each in stream.filters if isinstance(each, Between) and not each.parent]
    return min(lengths, default=None)


def _needs(reducer: Reducer, parent: timedelta | None) -> Iterator[tuple[str, Needs]]:
    """What a reducer reads, table by table; `parent` is how far back the events go that its own come after."""
    stream, below = stream_of(reducer), inside(stream_of(reducer))
    windows = [_window(stream), parent if after_parent(stream) else None]
    window = min((each for each in windows if each is not None), default=None)
    own = [node for node in _own(reducer) if not (isinstance(node, Property) and node.parent)]
    asked = [node for each in below for node in _own(each) if isinstance(node, Property) and node.parent]
    there = set(_asked_to_be_there(reducer, parent=False))
    there.update(path for each in below for path in _asked_to_be_there(each, parent=True))
    yield (
        stream.name,
        Needs(
            properties=frozenset(node.path for node in (*own, *asked) if isinstance(node, Property)),
            contexts=frozenset(node.path for node in own if isinstance(node, Context)) | _named(stream),
            objects=frozenset(there),
            window=window,
            ordered=isinstance(reducer, First | Last) or bool(below) or after_parent(stream),
        ),
    )
    for each in below:
        yield from _needs(each, window)


def _named(stream: Event) -> frozenset[str]:
    """Where events name an account, if it matters which one they name."""
    return frozenset({GROUP_PATH} if any(isinstance(each, OfAccount) for each in stream.filters) else ())


def _own(reducer: Reducer) -> Iterator[Any]:
    """The nodes of a reducer, without those inside the reducers of its where()."""
    yield from outermost(reducer.stream)
    yield getattr(reducer, "of", None)
    if isinstance(reducer, Mode | Unique | UniqueCount):
        yield elements_of(reducer.of)


def _asked_to_be_there(reducer: Reducer, *, parent: bool) -> Iterator[str]:
    """The properties of which some condition asks whether there is a value at all."""
    for node in outermost(reducer.stream):
        match node:
            case Exists(of) | Absent(of) | NoneOf(of, _) if isinstance(of, Property):
                found = [of]
            case Compare(left, "!=", right):
                found = [each for each in (left, right) if isinstance(each, Property)]
            case _:
                continue
        yield from (each.path for each in found if each.parent == parent and not has_elements(each.path))


def after_parent(stream: Event) -> bool:
    """Whether only events after the parent's are looked at."""
    return any(isinstance(each, Within | Between) and each.parent for each in stream.filters)

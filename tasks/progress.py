"""How far a long step is, for whoever listens: the terminal's bars, or nobody on a worker."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """How far one step is: what is done of what there is to do, in the step's own unit.

    A replay counts bytes of its archive, and says how many rows it has read and how many received days are left.
    """

    name: str
    done: int
    todo: int
    rows: int | None = None
    days_left: int | None = None


Listener = Callable[[Step], None]

_listeners: list[Listener] = []


def report(step: Step) -> None:
    """Tell every listener how far a step is."""
    for listener in _listeners:
        listener(step)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told while this lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)

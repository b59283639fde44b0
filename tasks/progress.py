"""How far a long step is, for whoever listens: the terminal's bars, or nobody on a worker."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str, int, int], None]
"""Called with the step's name, what is done and what there is to do."""

_listeners: list[Listener] = []


def report(step: str, done: int, todo: int) -> None:
    """Tell every listener how far a step is."""
    for listener in _listeners:
        listener(step, done, todo)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told while this lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)

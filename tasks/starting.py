"""Starting a flow in this process, without any server set up beforehand, and telling how it ended."""

import importlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect import Flow, State
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from populace.errors import PopulaceError

DONE, FAILED, IN_PART, INTERRUPTED = 0, 1, 3, 130
GRACE = 3.0  # seconds that Prefect's own server gets to end in


@dataclass(frozen=True, slots=True)
class Ending:
    """How a flow ended: the exit code it means, and one message for each thing that failed."""

    exit_code: int
    messages: tuple[str, ...] = ()


def start(name: str, parameters: dict[str, Any]) -> Ending:
    """Run the flow `flows.<name>.<name>` here and now."""
    flow: Flow = getattr(importlib.import_module(f"flows.{name}"), name)
    # A run in the foreground needs no heartbeat, and stopping one takes a second a flow.
    with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), _ending_at_once():
        return ending(flow(**parameters, return_state=True))


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """Ctrl-C ends the process there and then.

    The same key press ends Prefect's own server below this process, for which everything else would
    wait for minutes. Stopping anywhere is safe: the next run goes on from what stands in the lake.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    before = signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(_signal: int, _frame: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end is on its way
    os.write(sys.stderr.fileno(), b"\ninterrupted; start it again to go on from here\n")
    for server in SubprocessASGIServer._instances.values():
        if server.server_process:
            _end(server.server_process)
    os._exit(INTERRUPTED)


def _end(server: subprocess.Popen) -> None:
    """Ask a server to end, and end it when it does not hear: its database is made for that."""
    server.terminate()
    try:
        server.wait(GRACE)
    except subprocess.TimeoutExpired:
        server.kill()


def ending(state: State) -> Ending:
    """What a final state means: all done, nothing done, or some parts of several failed."""
    if state.is_completed():
        return Ending(DONE)
    causes = list(dict.fromkeys(_causes(state)))
    messages = tuple(_message(each) for each in causes)
    # A flow that returned the states of its parts has come to its end.
    result = state.result(raise_on_failure=False)
    code = getattr(result, "exit_code", FAILED) if isinstance(result, BaseException) else IN_PART
    return Ending(code, messages)


def require(state: State) -> None:
    """Go no further unless everything of a flow within this one is done.

    Prefect does not: a call of a flow that returned its futures gives these back, whatever became of them.

    Raises
    ------
    PopulaceError
        With everything that failed.
    """
    if not state.is_completed():
        raise PopulaceError("\n".join(ending(state).messages))


def _causes(state: Any) -> Iterator[BaseException]:
    result = state.result(raise_on_failure=False) if isinstance(state, State) else state
    if isinstance(result, BaseException):
        yield result
    for each in result if isinstance(result, list | tuple | set) else [result]:
        # What never began, for want of what it waits for, has nothing to say.
        if isinstance(each, State) and each is not state and each.is_final() and not each.is_completed():
            yield from _causes(each)


def _message(cause: BaseException) -> str:
    return str(cause) if isinstance(cause, PopulaceError) else f"{type(cause).__name__}: {cause}"

"""A destination that remembers what it was told and what it answered, and a lake whose process may die."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from demo.vendors import server as vendors
from demo.vendors.webhook import SECRET, Receiver
from populace.errors import LakeError
from populace.lake.delivery import Ledger
from populace.lake.objects import LocalStore
from tests.generative.delivery_oracle import Told

__all__ = ["SECRET", "Call", "Hook", "Killed", "Mortal", "bury", "hook"]


@dataclass(frozen=True)
class Call:
    """What was told of one person, and the answer: 'taken', 'doubt', 'invalid' or 'no'."""

    told: Told
    value: Any
    message_id: str
    answer: str


@dataclass
class Hook(Receiver):
    """A receiver that knows people by any identifier."""

    heard: list[Call] = field(default_factory=list)

    def handle(self, call: vendors.Call) -> vendors.Reply | None:
        reply = super().handle(call)
        status = reply.status if reply else 0
        bad = {each["index"] for each in reply.body["results"]} if reply and status == 207 else set()
        said = call.json()
        for at, each in enumerate(said):
            answer = "invalid" if at in bad else answered(status, len(said))
            self.heard.append(Call(*meant(each), each["messageId"], answer))
        return reply

    def people(self, call: vendors.Call) -> Iterator[str]:
        return (value for (_, (_, value)), _ in map(meant, call.json()))

    def is_wrong(self, call: dict[str, Any]) -> bool:
        (_, (_, value)), _ = meant(call)
        return value in self.unwanted

    def keep(self, call: dict[str, Any]) -> None:
        told, value = meant(call)
        self.held[told] = value

    def begin(self) -> None:
        """As if nobody had ever told it anything."""
        for each in (self.held, self.seen, self.script, self.unwanted, self.requests, self.calls, self.heard):
            each.clear()
        self.most_under_way = self.most_per_person = 0


def meant(call: dict[str, Any]) -> tuple[Told, Any]:
    key = call["context"]["personas"]["computation_key"]
    who = ("user_id", call["userId"]) if "userId" in call else ("email", call["traits"]["email"])
    return (key, who), call["traits"][key]


def answered(status: int, count: int) -> str:
    """What an answer says of each call of a request; 0 is no answer."""
    if status == 400:
        return "invalid" if count == 1 else "no"
    if status in (200, 207):
        return "taken"
    return "doubt" if status in (0, 500, 503) else "no"


@contextmanager
def hook() -> Iterator[Hook]:
    with vendors.serve(Hook()) as found:
        yield found


class Killed(BaseException):
    """What a killed process looks like from inside: nothing after it runs."""


class Mortal(LocalStore):
    """A lake whose process dies at the n-th moment of writing: before a write, amid it, or after it.

    What is dead writes nothing any more, whatever it does on its way out. `batches` are those that it wrote before.
    """

    def __init__(self, folder: str, moment: int = 0) -> None:
        super().__init__(folder, LakeError)
        self.left = moment
        self.is_dead = False
        self.batches: list[bytes] = []

    def die(self) -> None:
        self.is_dead = True
        raise Killed

    def delete(self, path: str) -> None:
        self._pass()
        super().delete(path)
        self._pass()

    @contextmanager
    def _draft(self, path: str, data: bytes) -> Iterator[Path]:
        self._pass()
        with super()._draft(path, data) as draft:
            self._pass()
            yield draft
        if "/batches/" in path:
            self.batches.append(data)
        self._pass()

    def _pass(self) -> None:
        self.left -= 1
        if self.is_dead or self.left == 0:
            self.die()


def bury(ledger: Ledger) -> None:
    """The one who died had the turn: to others it is a process of this machine that is gone."""
    number, holder = ledger.turn()
    if holder:
        ledger.renew_turn(number, holder | {"pid": gone()})


@cache
def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        return ended.pid


def sign(host: str | None = None, pid: int | None = None, seen: datetime | None = None) -> dict[str, Any]:
    """What somebody leaves who is sending; by default it is this very process, a moment ago."""
    at = (seen or datetime.now(UTC)).isoformat(timespec="seconds")
    return {"host": host or socket.gethostname(), "pid": pid or os.getpid(), "since": at, "seen": at}

"""Reads back what an HTTP destination holds, by conversations that its adapter leads; nothing is written by them."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import polars as pl

from populace import sync
from populace.destinations.protocol import LIST, Answer, Exchange, Found, ReadableAdapter, Verdict
from populace.errors import DestinationError, Refused, Throttled, Transient
from tasks import http
from tasks.sending import Courier, Patience

CHUNK = 5_000  # people of one conversation

People = Sequence[tuple[str, str]]  # (id_type, id_value)


class Sender(http.Sender):
    """A sender of a destination that can be read back."""

    def readable(self, acknowledged: pl.DataFrame) -> pl.DataFrame:
        """The part of what was acknowledged that the destination can be asked about."""
        known = self.adapter.ABOUT.readable
        types = [pl.col("form").eq(form) & pl.col("id_type").is_in(known[form]) for form in known]
        return acknowledged.filter(pl.any_horizontal(types))

    def held(self, acknowledged: pl.DataFrame) -> pl.DataFrame:
        """As `tasks.senders.Reader` says."""
        parts = acknowledged.partition_by(sync.COMPUTATION, as_dict=True, include_key=False)
        found = [self._held(sync.Computation(*map(str, of)), part) for of, part in sorted(parts.items())]
        return pl.concat([pl.DataFrame(schema=dict.fromkeys((*sync.KEY, "value"), pl.String)), *found])

    def _held(self, computation: sync.Computation, acknowledged: pl.DataFrame) -> pl.DataFrame:
        if computation.form == LIST and computation.key not in self.lists.known:
            for verdict in self._listed([computation.key]).values():
                raise _error(verdict)
        # A list is read whole.
        size = max(acknowledged.height, 1) if computation.form == LIST else CHUNK
        parts = acknowledged.select(sync.IDENTIFIER).iter_slices(size)
        found = [each for people in parts for each in self._asked_for(computation, people.rows())]
        rows = spelled(self._normally(found), acknowledged)
        named = {name: pl.lit(each) for name, each in computation._asdict().items()}
        there = pl.DataFrame(rows, schema=dict.fromkeys((*sync.IDENTIFIER, "value"), pl.String), orient="row")
        return there.with_columns(**named).select(*sync.KEY, "value")

    def _normally(self, found: Found) -> Found:
        """What was found by the spelling of identifiers that the ledger has."""
        normal = self.adapter.ABOUT.normal
        if not normal:
            return found
        return [(kind, (normal[kind](who) if kind in normal else who) or who, value) for kind, who, value in found]

    def _asked_for(self, computation: sync.Computation, people: People) -> Found:
        """What the destination answers about these people, or about a whole list; patient as in sending."""
        found: Found = []
        patience = Patience(self.pace)

        def attempt(_: Sequence[str]) -> Answer:
            found.clear()
            return self._attempt(partial(self._reading, computation, people, found), (), patience)

        (verdict,) = Courier[str](attempt, patience, standing=self.standing).settle([computation.key])
        if verdict.outcome != "delivered":
            raise _error(verdict)
        return found

    def _reading(self, computation: sync.Computation, people: People, into: Found) -> Exchange:
        assert isinstance(self.adapter, ReadableAdapter)
        origin = self._origin()
        found = yield from self.adapter.held(computation.key, computation.form, people, origin, self.settings)
        if isinstance(found, Verdict):
            return found
        into.extend(found)
        return Verdict("delivered")


def spelled(found: Found, acknowledged: pl.DataFrame) -> list[tuple[str, str, str]]:
    """What was found as the ledger has it: a value that equals the acknowledged one is spelled as it is."""
    known: Mapping[tuple[str, str], str] = {
        (id_type, id_value): value
        for id_type, id_value, value in acknowledged.select(*sync.IDENTIFIER, "value").iter_rows()
        if value is not None
    }
    there = {}
    for id_type, id_value, value in found:
        text, before = comparable(value), known.get((id_type, id_value))
        there[id_type, id_value] = before if before is not None and _is_same(value, json.loads(before)) else text
    return [(*who, text) for who, text in there.items()]


def _is_same(found: Any, told: Any) -> bool:
    """Whether a value is the one that was told; some vendors keep a list or an object as its JSON text."""
    if isinstance(told, list | dict) and isinstance(found, str):
        return _parsed(found) == comparable(told)
    return comparable(found) == comparable(told)


def _parsed(text: str) -> str:
    try:
        return comparable(json.loads(text))
    except ValueError:
        return ""


def comparable(value: Any) -> str:
    """JSON that is equal for equal values: 10.0 is 10, and the order of names in an object says nothing."""
    return json.dumps(_whole(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {name: _whole(each) for name, each in value.items()} if isinstance(value, dict) else value


def _error(verdict: Verdict) -> DestinationError:
    """Why nothing can be read."""
    if verdict.outcome == "throttled":
        return Throttled(verdict.reason, verdict.after)
    kind = Transient if verdict.outcome in ("transient", "unknown") else Refused
    return kind(verdict.reason)

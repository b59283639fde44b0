"""Records by hand, and a sender that sends them impatiently: for tests of the sender and of adapters."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import polars as pl

from populace import sync
from populace.definitions import Bounds
from populace.destinations.protocol import HttpAdapter, Origin, Verdict
from tasks import http, pacing
from tasks.listing import Lists
from tasks.sending import Pace


class Numbered(dict[str, str]):
    """A list for every audience, called after it."""

    def __missing__(self, key: str) -> str:
        return f"l-{key}"


ORIGIN = Origin("dev", "crm", "run-1", "2024-03-01T00:00:00Z", lists=Numbered())
UNBOUNDED = Bounds()
QUICK = Pace(window=1.0, first=0.002, longest=0.01, timeout=2.0)


def record(
    person: str = "ann", key: str = "plan", value: str | None = '"gold"', **changes: str | None
) -> dict[str, Any]:
    """What a person is told to have: by default a plan, as a property, under their user_id."""
    kind = "audience" if value in ("true", "false") else "trait"
    action = "unset" if value is None else "exit" if (kind, value) == ("audience", "false") else "set"
    plain = {
        "action": action,
        "message_id": f"m-{person}-{key}",
        "kind": kind,
        "key": key,
        "form": "property",
        "profile_id": f"p-{person}",
        "id_type": "user_id",
        "id_value": person,
        "value": value,
    }
    return {**plain, **changes}


def frame(records: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(records, schema=dict(sync.RECORDS))


@contextmanager
def opened(
    adapter: HttpAdapter,
    settings: Mapping[str, str],
    pace: Pace = QUICK,
    bounds: Bounds = UNBOUNDED,
    lists: Lists | None = None,
) -> Iterator[http.Sender]:
    """A sender in a process that has sent nothing yet."""
    pacing.forget()
    with http.Sender(adapter, settings, ORIGIN, pace, bounds, "test", lists) as found:
        yield found


def send(sender: http.Sender, records: list[dict[str, Any]]) -> list[Verdict]:
    """The verdict of each record, in their order; each must have one."""
    verdicts: dict[int, Verdict] = {}
    for positions, found in sender.send(frame(records)):
        assert not verdicts.keys() & set(positions), "two verdicts for one record"
        verdicts |= dict(zip(positions, found, strict=True))
    assert verdicts.keys() == set(range(len(records)))
    return [verdicts[each] for each in range(len(records))]


def outcomes(verdicts: list[Verdict]) -> dict[str, int]:
    return dict(Counter(each.outcome for each in verdicts))

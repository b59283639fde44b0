"""Small random archives, worlds to replay them in, and ways to cut them."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from populace.definitions import Family
from populace.events import parts, shred
from populace.nodes import Property
from populace.query import parse_trait
from populace.space import reading
from tests import driving

START = datetime(2024, 3, 1, tzinfo=UTC)
AS_OF = START + timedelta(days=5)
SOURCES = ("app", "web")
TRAITS = {
    "last": "event('E').last(property('x'))",
    "inner": "event('E').last(property('x.k'))",
    "where": "event('E').last(context('n'))",
    "spent": "event('E').sum(property('n'))",
    "pages": "event('Page Viewed').last(property('n'))",
    "often": "event('E').mode(property('x'), 2)",
    "all": "event('E').unique(property('x'))",
    "elements": "event('E').unique(property('x.$')).count()",
    "followed": "event('E').where(event('F').within(parent: 1 day).count() >= 1).first(property('timestamp'))",
    "visit": "event('E').expires_after(24 hours).count()",
}
FAMILY = Family("sums", Property("n"), parse_trait("event('F').where(property('n').one_of(1, 2, 7, 100)).count()"), 50)
AUDIENCES = {
    "some": "event('E').count() >= 1",
    "vip": "trait('plan') = 'pro'",
    "hundred": "event('F').where(property('x') = 100).count() >= 1",
    "absent": "event('E').where(property('x').absent()).count() >= 1",
    "referring": "trait('followed').exists() AND NOT trait('some') = 'true' OR trait('_2') >= 1",
    "list": "trait('all').contains('a', 1)",
}
TABLES = (
    "profiles",
    "external_ids",
    "merges",
    "memberships",
    "traits",
    "custom_traits",
    "links",
    "changes",
    "violations",
    "families",
)


def budget(examples):
    """As many examples as POPULACE_EXAMPLES says, else so many and always the same."""
    return settings(
        max_examples=int(os.environ.get("POPULACE_EXAMPLES", examples)),
        derandomize="POPULACE_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        phases=(Phase.generate,),  # a case is two numbers, which are no clearer for being smaller
        suppress_health_check=list(HealthCheck),
    )


# --- drawing --------------------------------------------------------------------------------

# Few of everything, so that people share identifiers and messages are sent again by other sources on other days.
PEOPLE = ["u1", "u2", "u3", None, None, "anonymous", " u1 "]
BROWSERS = ["a1", "a2", "a3", None, "0-0"]
EMAILS = ["e1@x.com", "E1@x.com ", "e2@x.com", None, None, ""]
MOMENTS = [START + timedelta(hours=hours) for hours in (0, 1, 5, 23, 24, 25, 47, 72)]
DELAYS = [timedelta(), timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)]
# As they are written, for what is equal may be written in several ways; some kinds often, so that columns have types.
VALUES = ["1", "2", "3", "2.5", "1e2", "100.0", "9007199254740993", "1e400", '"a"', r'"\u00e9"', '"é"', "true", "null"]
VALUES += ["[1]", "[1.0]", "[]", "{}", '{"k":"v"}', '{"k":5}', '{"k":{"l":1}}', '{"k":null}', '{"k":{}}', '"1"', "-0"]
VALUES += ["-0.0", "1e22", "12345678901234567890123", "9007199254740992.0", r'"\b\u0001\u2028\/\""', "0.1", "5e-324"]
USUAL = {"x": VALUES, "n": ["1", "2", "2.5", "1e2", "7", "7.0"]}
FAULTS = [
    {"message_id": None},
    {"message_id": "x" * 101},
    {"type": "purchase"},
    {"properties": "[1]"},
    {"properties": '{"x":'},
    {"user_id": None, "anonymous_id": None},
    {"timestamp": None, "received_at": None},
]


def archives(most=12):
    """Archives as `archive` makes them: hypothesis chooses seed and size, for its own draws are too much alike."""
    return st.builds(archive, st.integers(0, 2**32), st.integers(5, most))


def archive(seed, size):
    """Rows as (source, row), in no order. Copies of a message are received at different instants or are alike."""
    chance = Random(seed)
    rows = [message(chance, number) for number in range(size)]
    again = [copy(chance, *chance.choice(rows)) for _ in range(chance.randint(0, size // 2 + 1))]
    return chance.sample([*rows, *again], len(rows) + len(again))


def message(chance, number):
    kind = chance.choice(["track", "track", "identify", "page", "group"])
    timestamp = chance.choice(MOMENTS)
    drawn, context = (fields(chance, "xn"), fields(chance, "n"))
    traits = {"email": chance.choice(EMAILS), "plan": chance.choice([None, "pro", "free"])}
    row = {
        "message_id": f"m{number}",
        "type": kind,
        "event": chance.choice("EF") if kind == "track" else None,
        "user_id": chance.choice(PEOPLE),
        "anonymous_id": chance.choice(BROWSERS),
        "group_id": chance.choice(["g1", "g2"]) if kind == "group" else None,
        "timestamp": timestamp,
        "received_at": timestamp + chance.choice(DELAYS),
        "properties": drawn,
        "context": context,
        "traits": json.dumps(traits) if kind in ("identify", "group") else None,
    }
    return chance.choice(SOURCES), row | (chance.choice(FAULTS) if chance.random() < 0.1 else {})


def fields(chance, names):
    """A JSON object of some of these names, or nothing."""
    pools = {name: USUAL[name] if chance.random() < 0.7 else VALUES for name in names if chance.random() < 0.6}
    return "{" + ",".join(f'"{name}":{chance.choice(pool)}' for name, pool in pools.items()) + "}" if pools else None


def copy(chance, source, row):
    """The same row once more, or another one under its id: later, earlier, broken, or through another source."""
    when = chance.choice(["same", "broken", "elsewhere", "later", "earlier"])
    if when == "same" or row["received_at"] is None:
        return source, row
    if when == "elsewhere":
        return SOURCES[1 - SOURCES.index(source)], row
    if when == "broken":
        return source, row | {"received_at": row["received_at"] - timedelta(minutes=1), "properties": "5"}
    shift = timedelta(days=chance.randint(0, 1), seconds=chance.randint(2, 9_999))
    received = row["received_at"] + (shift if when == "later" else -shift)
    return chance.choice(SOURCES), row | {"received_at": received, "properties": json.dumps({"x": when})}


# --- replaying ------------------------------------------------------------------------------

SCHEMA = {
    **dict.fromkeys(("message_id", "type", "event", "user_id", "anonymous_id", "group_id"), pl.String),
    **dict.fromkeys(("timestamp", "received_at"), pl.Datetime("us", "UTC")),
    **dict.fromkeys(("properties", "traits", "context"), pl.String),
}


class World:
    """A space in a folder of its own that is gone afterwards; it may have other definitions."""

    def __init__(self, **fields):
        self.folder = Path(tempfile.mkdtemp(prefix="populace-"))
        self.space = driving.space_in(
            self.folder,
            **{"sources": SOURCES, "traits": TRAITS, "audiences": AUDIENCES, "include_anonymous": True}
            | {"families": (FAMILY,)}
            | fields,
        )
        for source in self.space.source_names:  # an archive may hold nothing for a while, but it is there
            self.put(source, "empty", [])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def put(self, source, name, rows):
        driving.put(self.space, source, name, pl.DataFrame(rows, schema=SCHEMA))

    def replay(self):
        return driving.replay_all(self.space, AS_OF)

    def published(self):
        """The tables of a run of what is in the lake; `run` is its id."""
        run_id = driving.run(self.space, AS_OF)
        tables = {name: driving.table(self.space, run_id, name) for name in TABLES}
        return tables | {"run": pl.DataFrame({"run_id": [run_id]})}

    def kept(self, summaries):
        """(message_id, source, received_at) of every event in the lake, sorted."""
        files = [
            (summary["source"], output["path"])
            for summary in summaries.values()
            for part in summary["parts"].values()
            for output in part["outputs"]
            if output["kind"] in ("events", "few")
        ]
        ids = pl.col("message_id"), pl.col("received_at")
        read = [(source, pl.read_parquet(self.space.lake.url(path)).select(ids).rows()) for source, path in files]
        return sorted((message_id, source, received_at) for source, rows in read for message_id, received_at in rows)

    def counts(self):
        return {name: summary["rows"] for name, summary in self.replay().items()}


def written(rows, split=None):
    """A world that holds the rows, shuffled and split into files as `split` (a Random) says."""
    world, files = World(), {}
    for position, (source, row) in enumerate(split.sample(rows, len(rows)) if split else rows):
        name = f"{split.choice('zyx')}/{split.randrange(3)}" if split else f"{position:03}"
        files.setdefault((source, name), []).append(row)
    for (source, name), found in files.items():
        world.put(source, name, found)
    return world


def differing(found, expected, tables=TABLES):
    return [
        name for name in tables if found[name].schema != expected[name].schema or not found[name].equals(expected[name])
    ]


# --- cutting --------------------------------------------------------------------------------


@contextmanager
def cut(*, rows: int | None = None, own: int | None = None, columns: int | None = None) -> Iterator[None]:
    """Parts of at most so many rows, with so many tables of their own, whose properties have so many columns."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (reading, "MOST_ROWS", rows), (parts, "OWN_TABLES", own), (shred, "MOST_COLUMNS", columns),
        ):  # fmt: skip
            if value is not None:
                patch.setattr(module, name, value)
        yield


def arriving(rows, turns):
    """A world in which each row arrived as a file of its own, in as many replays as there are turns."""
    world = World()
    for turn in sorted(set(turns)):
        for position, (source, row) in enumerate(rows):
            if turns[position] == turn:
                world.put(source, f"{position:03}", [row])
        world.replay()
    return world

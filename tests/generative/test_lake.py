"""The lake and its runs depend on what an archive holds, never on how it came to hold it.

Small random archives are replayed in many ways: rows split into files differently, days in increments, everything
sent twice. The published tables must be the same, and agree with an oracle in plain Python that shares no line with
the engine. `POPULACE_EXAMPLES=500` draws more, and afresh each time.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import driving

pytestmark = pytest.mark.generative

START = datetime(2024, 3, 1, tzinfo=UTC)
AS_OF = START + timedelta(days=5)
SOURCES = ("app", "web")
TRAITS = {
    "last": "event('E').last(property('x'))",
    "inner": "event('E').last(property('x.k'))",
    "where": "event('E').last(context('n'))",
    "spent": "event('E').sum(property('n'))",
    "pages": "event('Page Viewed').last(property('n'))",
}
AUDIENCES = {
    "some": "event('E').count() >= 1",
    "vip": "trait('plan') = 'pro'",
    "hundred": "event('F').where(property('x') = 100).count() >= 1",
    "absent": "event('E').where(property('x').absent()).count() >= 1",
}
TABLES = ("profiles", "external_ids", "merges", "memberships", "traits", "custom_traits", "links", "changes")


def budget(examples):
    """As many examples as POPULACE_EXAMPLES says, else so many and always the same."""
    return settings(
        max_examples=int(os.environ.get("POPULACE_EXAMPLES", examples)),
        derandomize="POPULACE_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
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
VALUES += ["[1]", "[]", "{}", '{"k":"v"}', '{"k":5}', '{"k":{"l":1}}', '{"k":null}']
USUAL = {"x": VALUES, "n": ["1", "2", "2.5", "1e2", "7"]}
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
    """A space in a folder of its own that is gone afterwards."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="populace-"))
        self.space = driving.space_in(
            self.folder, sources=SOURCES, traits=TRAITS, audiences=AUDIENCES, include_anonymous=True
        )
        for source in SOURCES:  # an archive may hold nothing for a while, but it is there
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
        name
        for name in tables
        if found[name].schema != expected[name].schema or not found[name].equals(expected[name])
    ]


def replayed(rows):
    with written(rows) as world:
        counted = world.counts()
        return counted, world.published()


@budget(8)
@given(rows=archives(), seed=st.integers(0, 99))
def test_tables_do_not_depend_on_how_rows_are_split_into_files(rows, seed):
    counted, expected = replayed(rows)
    with written(rows, Random(seed)) as world:
        assert world.counts() == counted
        assert differing(world.published(), expected) == []


@budget(6)
@given(rows=archives(), data=st.data())
def test_tables_do_not_depend_on_the_increments_in_which_files_arrive(rows, data):
    turns = [data.draw(st.integers(0, 2)) for _ in rows]
    assert_increments_do_not_matter(rows, turns)


@budget(4)
@given(rows=archives())
def test_tables_do_not_depend_on_replaying_day_by_day(rows):
    assert_increments_do_not_matter(rows, [(row["received_at"] or START).date() for _, row in rows])


def assert_increments_do_not_matter(rows, turns):
    counted, expected = replayed(rows)
    with World() as world:
        for turn in sorted(set(turns)):
            for position, (source, row) in enumerate(rows):
                if turns[position] == turn:
                    world.put(source, f"{position:03}", [row])
            found = world.counts()
        assert found == counted
        assert differing(world.published(), expected) == []


@budget(5)
@given(rows=archives())
def test_everything_sent_twice_changes_nothing_but_the_counts(rows):
    counted, expected = replayed(rows)
    with written(rows) as world:
        for position, (source, row) in enumerate(rows):
            world.put(source, f"zz-again/{position:03}", [row])
        twice = world.counts()
        assert differing(world.published(), expected) == []
    for source in SOURCES:
        once = counted[source]
        assert twice[source]["read"] == 2 * once["read"]
        assert twice[source]["kept"] == once["kept"]
        assert twice[source]["rejected"] == 2 * once["rejected"]


@budget(5)
@given(rows=archives())
def test_replaying_again_changes_no_byte(rows):
    with written(rows) as world:
        counted = world.counts()
        world.published()
        before = {each.path: world.space.lake.read(each.path) for each in world.space.lake.list()}
        assert world.counts() == counted
        world.published()
        assert {each.path: world.space.lake.read(each.path) for each in world.space.lake.list()} == before


@budget(12)
@given(rows=archives(), data=st.data())
def test_files_that_are_deleted_leave_no_trace(rows, data):
    gone = data.draw(st.sets(st.integers(0, len(rows) - 1)))
    counted, expected = replayed([row for position, row in enumerate(rows) if position not in gone])
    with written(rows) as world:
        world.replay()
        for position in gone:
            source, _ = rows[position]
            (world.folder / f"archive/{source}/{position:03}.parquet").unlink()
        assert world.counts() == counted
        assert differing(world.published(), expected) == []


STRANGER = {
    "message_id": "s1",
    "type": "track",
    "event": "E",
    "user_id": "stranger",
    "properties": '{"x":7}',  # a whole number, which makes no one else's value another one
    "timestamp": START + timedelta(hours=2),
    "received_at": START + timedelta(hours=2),
}


@budget(6)
@given(rows=archives())
def test_a_stranger_changes_nobody_else(rows):
    _, expected = replayed(rows)
    _, found = replayed([("web", dict.fromkeys(SCHEMA) | STRANGER), *rows])
    theirs = set(found["profiles"]["profile_id"]) - set(expected["profiles"]["profile_id"])
    assert len(theirs) == 1
    others = {name: table.filter(~pl.col("profile_id").is_in(list(theirs))) for name, table in found.items()}
    # The type of a trait may widen for all; what it says stays.
    as_text = pl.exclude("profile_id").cast(pl.String)
    others["traits"], expected["traits"] = (each["traits"].with_columns(as_text) for each in (others, expected))
    assert differing(others, expected) == []


# --- the oracle -----------------------------------------------------------------------------


def is_good(row):
    if not row["message_id"] or len(row["message_id"]) > 100 or row["type"] == "purchase":
        return False
    if row["timestamp"] is None or not (row["user_id"] or row["anonymous_id"]):
        return False
    try:
        return row["properties"] is None or type(json.loads(row["properties"])) is dict
    except ValueError:
        return False


def kept_copies(rows):
    """The good copy of each message that was received first: {message_id: (source, row)}."""
    best = {}
    for source, row in rows:
        if is_good(row):
            rival = best.get(row["message_id"])
            if rival is None or (row["received_at"], source) < (rival[1]["received_at"], rival[0]):
                best[row["message_id"]] = (source, row)
    return best


def counted_by_hand(rows):
    good = Counter(source for source, row in rows if is_good(row))
    read, kept = Counter(source for source, _ in rows), Counter(source for source, _ in kept_copies(rows).values())
    return {
        source: {
            "read": read[source],
            "kept": kept[source],
            "duplicate": good[source] - kept[source],
            "rejected": read[source] - good[source],
        }
        for source in SOURCES
    }


def identifiers(row):
    found = {("user_id", (row["user_id"] or "").strip()), ("anonymous_id", (row["anonymous_id"] or "").strip())}
    if row["type"] == "identify":
        found.add(("email", (json.loads(row["traits"])["email"] or "").strip().lower()))
    return {each for each in found if each[1] not in ("", "anonymous", "0-0")}


def people(rows):
    """The groups of identifiers that belong together, by union-find."""
    above = {}

    def root(each):
        while above.setdefault(each, each) != each:
            each = above[each]
        return each

    for _, row in kept_copies(rows).values():
        first, *others = sorted(identifiers(row)) or [None]
        for each in others:
            above[root(each)] = root(first)
        if first:
            root(first)
    groups = {}
    for each in above:
        groups.setdefault(root(each), set()).add(each)
    return sorted(sorted(group) for group in groups.values())


STRENGTH = ["user_id", "email", "anonymous_id"]


def created(rows):
    """The profiles by id, and when they were created: each by the first event of its people."""
    groups = {each: tuple(group) for group in people(rows) for each in group}
    first = {}
    for _, row in kept_copies(rows).values():
        moment = (row["timestamp"], row["received_at"], row["message_id"])
        for group in {groups[each] for each in identifiers(row)}:
            first[group] = min(first.get(group, (moment, row)), (moment, row), key=lambda each: each[0])
    found = {}
    for (moment, *_), row in first.values():
        kind, value = min(identifiers(row), key=lambda each: (STRENGTH.index(each[0]), each[1]))
        digest = hashlib.sha256(f"users\0{kind}\0{value}".encode()).hexdigest()
        found[f"use_{digest[:20]}"] = moment
    return found


def newest_traits(rows):
    """The newest value of each custom trait: {(any identifier of its owner, name): (value, source)}."""
    groups = {each: tuple(group) for group in people(rows) for each in group}
    newest = {}
    for source, row in kept_copies(rows).values():
        if row["type"] == "identify" and identifiers(row):
            owner = groups[min(identifiers(row))]
            moment = (row["timestamp"], row["received_at"], row["message_id"])
            for name, value in json.loads(row["traits"]).items():
                newest[owner, name] = max(newest.get((owner, name), ()), (moment, json.dumps(value), source))
    return {key: (value, source) for key, (_, value, source) in newest.items() if value != "null"}


@budget(25)
@given(rows=archives(most=14))
def test_the_lake_and_its_run_agree_with_plain_python(rows):
    with written(rows) as world:
        summaries, found = world.replay(), world.published()
        kept = world.kept(summaries)
    assert {name: summary["rows"] for name, summary in summaries.items()} == counted_by_hand(rows)
    assert kept == sorted((key, source, row["received_at"]) for key, (source, row) in kept_copies(rows).items())

    groups = {}
    for profile, *identifier in found["external_ids"].select("profile_id", "id_type", "id_value").rows():
        groups.setdefault(profile, []).append(tuple(identifier))
    assert sorted(sorted(group) for group in groups.values()) == people(rows)
    assert dict(found["profiles"].select("profile_id", "created_at").rows()) == created(rows)
    assert set(groups) == set(created(rows))

    traits = found["custom_traits"].select("profile_id", "name", "value", "source").rows()
    by_owner = {(tuple(sorted(groups[profile])), name): (value, source) for profile, name, value, source in traits}
    assert by_owner == newest_traits(rows)

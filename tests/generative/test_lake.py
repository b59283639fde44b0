"""The lake and its runs depend on what an archive holds, never on how it came to hold it.

Small random archives are replayed in many ways: rows split into files differently, days in increments, everything
sent twice. The published tables must be the same, and agree with an oracle in plain Python that shares no line with
the engine. `POPULACE_EXAMPLES=500` draws more, and afresh each time.
"""

import hashlib
import json
from collections import Counter
from datetime import timedelta
from random import Random

import polars as pl
import polars.selectors as cs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generative.archives import SCHEMA, SOURCES, START, TABLES, archives, arriving, budget, differing, written

pytestmark = pytest.mark.generative


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
    with arriving(rows, turns) as world:
        assert world.counts() == counted
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
    is_theirs = pl.col("profile_id").is_in(list(theirs)).fill_null(value=False)  # a blocked value may be nobody's
    others = {name: found[name].filter(~is_theirs) for name in TABLES if name != "families"}
    others["families"] = found["families"]
    # The type of a trait may widen for all; what it says stays.
    as_text = cs.exclude("profile_id", cs.list()).cast(pl.String)
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


def accounts(rows):
    """The accounts that Group calls name, and when the first one did."""
    calls = [row for _, row in kept_copies(rows).values() if row["type"] == "group"]
    return {
        name: min(row["timestamp"] for row in calls if row["group_id"] == name)
        for name in {c["group_id"] for c in calls}
    }


def _of_people(table):
    return table.filter(~pl.col("profile_id").str.starts_with("acc_")) if "profile_id" in table.columns else table


@budget(25)
@given(rows=archives(most=14))
def test_the_lake_and_its_run_agree_with_plain_python(rows):
    with written(rows) as world:
        summaries, found = world.replay(), world.published()
        kept = world.kept(summaries)
    assert {name: summary["rows"] for name, summary in summaries.items()} == counted_by_hand(rows)
    assert kept == sorted((key, source, row["received_at"]) for key, (source, row) in kept_copies(rows).items())

    of_accounts = dict(found["external_ids"].filter(collection="accounts").select("id_value", "added_at").rows())
    assert of_accounts == accounts(rows)
    found = {name: _of_people(each) for name, each in found.items()}
    groups = {}
    for profile, *identifier in found["external_ids"].select("profile_id", "id_type", "id_value").rows():
        groups.setdefault(profile, []).append(tuple(identifier))
    assert sorted(sorted(group) for group in groups.values()) == people(rows)
    assert dict(found["profiles"].select("profile_id", "created_at").rows()) == created(rows)
    assert set(groups) == set(created(rows))

    traits = found["custom_traits"].select("profile_id", "name", "value", "source").rows()
    by_owner = {(tuple(sorted(groups[profile])), name): (value, source) for profile, name, value, source in traits}
    assert by_owner == newest_traits(rows)

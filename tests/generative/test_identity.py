"""Identity against the sequential rule, on random streams in which nearly everything collides."""

import os
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from populace import identity
from populace.definitions import Forbidden, Identifier, Identity, Limit
from tests.generative.identity_oracle import DAYS, Config, Happening, Oracle

STREAMS = int(os.environ.get("POPULACE_STREAMS", "20000"))
SEED = int(os.environ.get("POPULACE_SEED", "0"))
TOGETHER, BATCHES = 50, 40  # streams of one set of rules, and sets of rules a test
START = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
TYPES = ("user_id", "email", "anonymous_id", "app_id")
GRIDS = ((0, 1), (6, 12, 24), (24, 7 * 24), (7 * 24, 30 * 24), (30 * 24, 365 * 24))  # hours between events


def micros(instant):
    return (instant - EPOCH) // timedelta(microseconds=1)


def drawn_config(rng):
    types = rng.sample(TYPES, rng.randint(2, 4))
    limits = {}
    for each in types:
        if rng.random() < 0.8:
            limits[each] = (rng.choice((1, 1, 2, 3)), rng.choice(("ever", "ever", *DAYS)))
    config = Config(types, limits, {"0"} if rng.random() < 0.4 else set())
    if rng.random() < 0.3:
        config.mappings = rng.randint(1, 6)
    if rng.random() < 0.3:
        config.merges = rng.randint(0, 3)
    return replace(config, pairs=rng.random() < 0.4)


def drawn_stream(rng, config, number):
    """Events over a few values; `number` keeps the values of one stream apart from those of another."""
    pool = [(each, f"{number}.{each}{n}") for each in config.priority for n in range(rng.randint(1, 4))]
    pool += [(each, value) for each in config.priority for value in config.blocked]
    if config.pairs:
        config.forbidden += [tuple(rng.sample(pool, 2)) for _ in range(rng.randint(1, 2))]
    grid, time, events = rng.choice(GRIDS), micros(START), []
    for at in range(rng.randint(1, 14)):
        time += rng.choice((0, 0, *grid, *grid)) * HOUR
        carried = frozenset(rng.sample(pool, min(len(pool), rng.choice((1, 1, 2, 2, 2, 3, 4)))))
        received = time + rng.choice((0, 0, 1, HOUR))
        events.append(Happening(time, received, f"{number}-{rng.randint(0, 99):02}-{at}", carried))
        if rng.random() < 0.2:  # seen again, later
            events.append(Happening(time + rng.choice(grid) * HOUR, received, f"{number}-{at}-again", carried))
    return events


def rules_of(config):
    periods = {name: timedelta(days=days) for name, days in DAYS.items()} | {"ever": None}
    listed = []
    for each in config.priority:
        limit = config.limits.get(each)
        listed.append(Identifier(each, limit=None if limit is None else Limit(limit[0], periods[limit[1]])))
    return Identity(tuple(listed), tuple(config.blocked), tuple(Forbidden(pair) for pair in config.forbidden))


def number_of(numbers, key):
    return numbers.setdefault(key, len(numbers) * 7919 % 1_000_003)


class Lake:
    """Events as the tables that identity reads, cut into parts."""

    def __init__(self, events, parts, rng):
        self.sets, self.ids = {}, {}
        for event in sorted(events, key=lambda each: each.message):  # numbers do not depend on the order of rows
            number_of(self.sets, event.carried)
            for each in sorted(event.carried):
                number_of(self.ids, each)
        cut = [rng.randrange(parts) for _ in events]
        self.events = pl.DataFrame([self.row(event, part) for event, part in zip(events, cut, strict=True)])
        instants = pl.col("timestamp", "received_at").cast(pl.Datetime("us", "UTC"))
        self.events = self.events.with_columns(instants, pl.col("ids").cast(pl.List(pl.Int64)))

    def row(self, event, part):
        ids = sorted(number_of(self.ids, each) for each in event.carried)
        number = number_of(self.sets, event.carried)
        told = {"sighting": number, "check": number, "ids": ids, "timestamp": event.time, "part": part}
        return told | {"received_at": event.received, "message_id": event.message, "source": f"s{part}"}

    @property
    def sightings(self):
        order = ["timestamp", "received_at", "message_id"]
        firsts = self.events.sort(order).unique(["sighting", "part"], keep="first", maintain_order=True)
        renamed = firsts.rename({each: f"first_{each}" for each in order})
        return renamed.with_columns(pl.col("check").cast(pl.UInt64), count=pl.lit(1, pl.UInt32)).drop("part")

    @property
    def identifiers(self):
        rows = [
            {"identifier": number, "check": number, "collection": "users", "id_type": each[0], "value": each[1]}
            for each, number in self.ids.items()
        ]
        return pl.DataFrame(rows).with_columns(
            pl.col("check").cast(pl.UInt64),
            raw_value=pl.lit(None, pl.String),
            first_timestamp=pl.lit(START).cast(pl.Datetime("us", "UTC")),
        )

    def resolve(self, rules, caps, as_of=datetime(2100, 1, 1, tzinfo=UTC)):
        def read(sightings):
            found = self.events.filter(pl.col("sighting").is_in(sightings.implode()), pl.col("timestamp") <= as_of)
            return found.select("sighting", "timestamp", "received_at", "message_id", "source")

        return identity.resolve(self.sightings.lazy(), self.identifiers.lazy(), rules, as_of, read, caps)


def told(found):
    """The engine's tables in the oracle's terms: profiles by the identifier they are named after."""
    held = found.external_ids.select("id_type", "id_value").rows()
    names = {identity.profile_id("users", *each): each for each in held} | {None: None}
    return {
        "profiles": {(names[name], micros(created)) for name, _, created in found.profiles.rows()},
        "mapped": {
            (names[name], (id_type, value), micros(added), message)
            for name, _, id_type, value, _, added, message, _ in found.external_ids.rows()
        },
        "merges": {(names[a], names[b], micros(when), message) for a, b, when, message in found.merges.rows()},
        "sightings": {number: names[name] for number, name in found.sightings.rows()},
        "violations": {
            (kind, (id_type, value), names[name], message, micros(when))
            for kind, _, id_type, value, name, message, when in found.violations.rows()
        },
    }


def expected(oracle, events, lake):
    blocked = oracle.config.blocked
    return {
        "profiles": oracle.profile_rows(),
        "mapped": oracle.mapped_rows(),
        "merges": oracle.merge_rows(),
        "sightings": {
            number: oracle.of_set({each for each in carried if each[1] not in blocked})
            for carried, number in lake.sets.items()
        },
        "violations": oracle.violation_rows(events),
    }


def batch(seed):
    rng = random.Random(seed)
    config = drawn_config(rng)
    events = [event for number in range(TOGETHER) for event in drawn_stream(rng, config, number)]
    return rng, config, events


@pytest.mark.parametrize("seed", range(SEED, SEED + STREAMS // TOGETHER, BATCHES))
def test_the_engine_agrees_with_the_sequential_rule(seed):
    for each in range(seed, seed + BATCHES):
        rng, config, events = batch(each)
        lake = Lake(events, rng.randint(1, 3), rng)
        found = told(lake.resolve(rules_of(config), identity.Caps(config.mappings, config.merges)))
        wanted = expected(Oracle(config, events), events, lake)
        for name, rows in wanted.items():
            assert found[name] == rows, f"seed {each}, {name}"


def shuffled(events, rng):
    again = list(events)
    rng.shuffle(again)
    return again


@pytest.mark.parametrize("seed", range(10))
def test_order_split_and_repetition_change_nothing(seed):
    rng, config, events = batch(seed)
    rules, caps = rules_of(config), identity.Caps(config.mappings, config.merges)
    found = told(Lake(events, 1, rng).resolve(rules, caps))
    assert told(Lake(shuffled(events, rng), 5, rng).resolve(rules, caps)) == found
    assert told(Lake(shuffled([*events, *events], rng), 3, rng).resolve(rules, caps)) == found


@pytest.mark.parametrize("seed", range(10))
def test_an_unrelated_person_changes_nothing(seed):
    rng = random.Random(seed)
    config = replace(drawn_config(rng), blocked=set(), pairs=False)
    rules, caps = rules_of(config), identity.Caps(config.mappings, config.merges)
    events = [event for number in range(TOGETHER) for event in drawn_stream(rng, config, number)]
    more = [*events, *drawn_stream(rng, config, "other")]
    found, with_more = (told(Lake(each, 2, rng).resolve(rules, caps)) for each in (events, more))
    for name in ("profiles", "mapped", "merges", "violations"):
        assert {row for row in with_more[name] if "other" not in str(row)} == found[name]


@pytest.mark.parametrize("seed", range(10))
def test_later_events_do_not_exist(seed):
    rng, config, events = batch(seed)
    rules, caps = rules_of(config), identity.Caps(config.mappings, config.merges)
    now = sorted(event.time for event in events)[len(events) // 2]
    before = [event for event in events if event.time <= now]
    found = told(Lake(events, 2, rng).resolve(rules, caps, EPOCH + timedelta(microseconds=now)))
    wanted = told(Lake(before, 2, rng).resolve(rules, caps))
    assert [found[name] for name in ("profiles", "mapped", "merges", "violations")] == [
        wanted[name] for name in ("profiles", "mapped", "merges", "violations")
    ]

"""How an archive is cut never shows: into files, into arrivals, into parts, into tables and columns.

The same rows are replayed in the one way and in the other, and what is published must be the same.
"""

import json
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.definitions import Audience, Trait
from populace.space import archive
from tests import driving
from tests.generative import drawing
from tests.generative.archives import SOURCES, TABLES, World, archives, arriving, budget, cut, differing
from tests.tables import AS_OF

pytestmark = pytest.mark.generative

ROWS = st.sampled_from([1, 3, 7, None])  # of a part at most
EVERYTHING = (*TABLES, "run")  # a run's name says what it was made of, and hence what it must say


def in_one_file(rows):
    """A world in which all rows of a source are one file."""
    world = World()
    for source in SOURCES:
        world.put(source, "all", [row for each, row in rows if each == source])
    return world


def at_once(rows):
    return arriving(rows, [0] * len(rows))


@budget(8)
@given(rows=archives(), most=ROWS)
def test_one_file_of_many_parts_is_as_many_files_of_one_part(rows, most):
    with at_once(rows) as world:
        counted, expected = world.counts(), world.published()
    with cut(rows=most), in_one_file(rows) as world:
        assert world.counts() == counted
        assert differing(world.published(), expected) == []


@budget(12)
@given(rows=archives(), most=ROWS, data=st.data())
def test_parts_of_any_size_that_come_in_any_order_make_the_same_run(rows, most, data):
    turns = [data.draw(st.integers(0, 3)) for _ in rows]
    with at_once(rows) as world:
        counted, expected = world.counts(), world.published()
    with cut(rows=most), arriving(rows, turns) as world:
        assert world.counts() == counted
        assert differing(world.published(), expected, EVERYTHING) == []


@budget(4)
@given(rows=archives(), most=ROWS)
def test_a_replay_after_every_file_makes_the_same_run(rows, most):
    with at_once(rows) as world:
        counted, expected = world.counts(), world.published()
    with cut(rows=most), arriving(rows, range(len(rows))) as world:
        assert world.counts() == counted
        assert differing(world.published(), expected, EVERYTHING) == []


@budget(12)
@given(rows=archives(), most=ROWS, own=st.sampled_from([0, 1, 2]), columns=st.sampled_from([0, 1, 2]), data=st.data())
def test_it_does_not_show_which_tables_and_properties_have_a_place_of_their_own(rows, most, own, columns, data):
    turns = [data.draw(st.integers(0, 1)) for _ in rows]
    with at_once(rows) as world:
        counted, expected = world.counts(), world.published()
    with cut(rows=most, own=own, columns=columns), arriving(rows, turns) as world:
        assert world.counts() == counted
        assert differing(world.published(), expected, EVERYTHING) == []


@pytest.mark.slow
def test_there_are_few_parts_after_two_hundred_arrivals():
    with World(sources=("web",)) as world:
        row = {"message_id": "m", "type": "track", "event": "E", "user_id": "u1", "timestamp": AS_OF}
        for number in range(200):
            world.put("web", f"{number:03}", [row | {"message_id": f"m{number}"}])
            found = world.replay()["web"]
            assert found["status"] == "complete"
            assert len(found["parts"]) <= 2 * archive.TOGETHER
        assert found["rows"] == {"read": 200, "kept": 200, "duplicate": 0, "rejected": 0}


# --- any definition ---------------------------------------------------------------------------------


@st.composite
def definitions(draw):
    """Traits and audiences that read events only, from any table and any property."""
    reducers = draw(st.lists(drawing.reducers, min_size=3, max_size=6))
    conditions = draw(st.lists(drawing.leaves(drawing.reducers), min_size=1, max_size=3))
    return {
        "traits": tuple(Trait(f"t{number}", node) for number, node in enumerate(reducers)),
        "audiences": tuple(Audience(f"a{number}", node) for number, node in enumerate(conditions)),
    }


@budget(20)
@given(
    events=drawing.events(names=("E", "E", "F", "G"), most=14),
    defined=definitions(),
    own=st.sampled_from([0, 1, 2]),
    columns=st.sampled_from([0, 1, 2, 4]),
    most=ROWS,
)
def test_every_definition_has_the_same_values(events, defined, own, columns, most):
    expected = computed(events, defined)
    with cut(rows=most, own=own, columns=columns):
        assert differing(computed(events, defined), expected, expected) == []


def computed(events, defined):
    """The values, traits and members of a run over these events."""
    with World(sources=("web",), traits={}, audiences={}) as world:
        world.space = replace(world.space, definition=replace(world.space.definition, **defined))
        world.put("web", "a", [called(each) for each in events[::2]])
        world.put("web", "b", [called(each) for each in events[1::2]])
        run_id = driving.recomputed(world.space, AS_OF)
        names = ("profiles", "values", "traits", "memberships")
        return {name: driving.table(world.space, run_id, name) for name in names} | {"run": pl.DataFrame([run_id])}


def called(event):
    """The call that would have made this event."""
    sent = {name: json.dumps(nested(event[key])) for name, key in (("properties", "p"), ("context", "c"))}
    kept = {name: event[name] for name in ("message_id", "event", "timestamp", "received_at")}
    return {"type": "track", "user_id": f"u{event['profile']}", **kept, **sent}


def nested(fields):
    found = {name: value for name, value in fields.items() if value is not None}
    inner = found.pop(r"a\.b.c", None)
    return found if inner is None else found | {"a.b": {"c": inner}}

"""What must not change a value: the order of rows, how things are called, which numbers profiles have.

That duplicates, files and increments change nothing is shown of whole runs, in `test_lake`.
"""

import re
from dataclasses import replace
from random import Random

import polars as pl
import pytest
from hypothesis import given

from populace import nodes, traits
from tests.generative import drawing, making
from tests.generative.making import several
from tests.generative.test_queries import REDUCERS, as_lists, budget
from tests.tables import AS_OF

pytestmark = pytest.mark.generative

EVENTS = {"E": "Order Completed: ünusual", "F": "e", "Never": "F"}
FIELDS = {"n": "Number of things", "t": "x", "m": "t", "items": "lines", "tags": "n"}
NUMBERS = {1: 40_000, 2: 0, 3: 77}
ANYTHING = making.either(*REDUCERS.values(), making.scalars)


def drawn(seed):
    chance = Random(seed)
    return making.events(chance), several(ANYTHING, 1, 3)(chance), chance


def values(frames, asked):
    return as_lists(traits.reduce(frames, traits.reducers(asked), AS_OF))


@budget
@given(seed=drawing.seeds)
def test_the_order_of_rows_changes_nothing(seed):
    made, asked, chance = drawn(seed)
    frames = drawing.frames(made, asked)
    shuffled = {
        name: frame.collect().sample(fraction=1, shuffle=True, seed=chance.randint(0, 99)).lazy()
        for name, frame in frames.items()
    }
    assert values(shuffled, asked) == values(frames, asked), (made, asked)


@budget
@given(seed=drawing.seeds)
def test_names_of_events_and_fields_change_nothing(seed):
    made, asked, _ = drawn(seed)
    asked = [each for each in asked if not reads_names(each)]
    frames = drawing.frames(made, asked)
    called = {EVENTS[name]: frame.rename(column, strict=False) for name, frame in frames.items()}
    assert list(values(called, [renamed(each) for each in asked]).items()) == list(values(frames, asked).items()), asked


@budget
@given(seed=drawing.seeds)
def test_numbers_of_profiles_change_nothing(seed):
    made, asked, _ = drawn(seed)
    frames = drawing.frames(made, asked)
    numbered = {
        name: frame.with_columns(pl.col("profile").replace_strict(NUMBERS, return_dtype=pl.UInt32))
        for name, frame in frames.items()
    }
    expected = {NUMBERS[profile]: found for profile, found in values(frames, asked).items()}
    assert values(numbered, asked) == expected, (made, asked)


# --- other names ------------------------------------------------------------------------------------


def column(name):
    return re.sub(r"^([pc])\.(\w+)", lambda found: f"{found[1]}.{FIELDS.get(found[2], found[2])}", name)


def renamed(node):
    if isinstance(node, tuple):
        return tuple(map(renamed, node))
    if isinstance(node, nodes.Property | nodes.Context):
        return replace(node, path=column(f"p.{node.path}")[2:])
    if isinstance(node, nodes.Event):
        return nodes.Event(EVENTS[node.name], renamed(node.filters))
    if not hasattr(node, "__dataclass_fields__"):
        return node
    return type(node)(*(renamed(getattr(node, name)) for name in node.__dataclass_fields__))


def reads_names(reducer):
    """Whether the name of an event is a value here."""
    return any(isinstance(node, nodes.Property) and node.path == "event" for node in nodes.walk(reducer))

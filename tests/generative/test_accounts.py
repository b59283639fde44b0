"""Accounts and what is defined of them, from calls in an archive to the tables of a run, against the oracle.

Every kind of condition and reducer has a budget of its own, as in `test_queries`. A run has many definitions of one
kind over one crowd: `BATCH` of them make one example.
"""

import os
from random import Random

import pytest
from hypothesis import given

from populace import nodes, query
from populace.definitions import Audience
from tests.generative import account_making as making
from tests.generative import drawing
from tests.generative.account_driving import computed
from tests.generative.account_oracle import World
from tests.generative.archives import budget
from tests.generative.oracle_values import as_text
from tests.tables import AS_OF

pytestmark = pytest.mark.generative

BATCH = 100
EXAMPLES = int(os.environ.get("POPULACE_EXAMPLES", "300"))


@pytest.mark.parametrize("kind", making.KINDS)
@budget(EXAMPLES // BATCH)
@given(seed=drawing.seeds)
def test_definitions_agree(kind, seed):
    chance = Random(seed)
    people = making.people(chance)
    definitions = making.definitions(chance, making.KINDS[kind], BATCH)
    found, world = computed(people, definitions, AS_OF), World(people, definitions, AS_OF)
    check_people(found, world, seed)
    for each in definitions:
        if isinstance(each, Audience):
            assert found.members[each.key] == world.members(each.key), told(seed, each)
        else:
            pair = found.traits[each.key], world.values(each.key)
            got, meant = (comparable(each.query, values) for values in pair)
            assert got == meant, told(seed, each)


@budget(EXAMPLES // 4)
@given(seed=drawing.seeds)
def test_accounts_links_and_custom_traits_agree_at_any_instant_and_however_calls_arrive(seed):
    chance = Random(seed)
    people = making.people(chance)
    as_of = chance.choice([AS_OF, *making.MOMENTS])
    check_people(computed(people, [], as_of, objects=chance.randint(1, 2)), World(people, [], as_of), seed)


def check_people(found, world, seed):
    assert found.accounts == world.accounts, f"seed {seed}"
    assert found.links == world.links, f"seed {seed}"
    assert found.custom == world.custom_values(), f"seed {seed}"


def comparable(reducer, values):
    """The table of traits has the values of a field as texts, if not all that it has anywhere are of one type."""
    may_be_mixed = isinstance(reducer, nodes.First | nodes.Last) and reducer.of == nodes.Property("m")
    return {each: as_text(value) for each, value in values.items()} if may_be_mixed else values


def told(seed, definition):
    written = query.print_query(definition.query)
    return f"seed {seed}, {definition.key} of {definition.level}s, events of {definition.events_of}: {written}"


@pytest.mark.parametrize("kind", [name for name, each in making.KINDS.items() if each.what != "trait"])
def test_conditions_of_accounts_are_printed_and_parsed_unchanged(kind):
    chance = Random(kind)
    level = "accounts" if making.KINDS[kind].what == "account" else "users"
    for _ in range(EXAMPLES):
        node = making.definition(chance, "k", making.KINDS[kind]).query
        assert query.parse_audience(query.print_query(node), level) == node


@pytest.mark.parametrize("kind", making.KINDS)
def test_definitions_are_made_so_that_some_hold_and_some_do_not(kind):
    """A budget spent on what nobody has would test nothing; here the oracle is alone."""
    yes = no = 0
    for seed in range(3):
        chance = Random(seed)
        people = making.people(chance)
        definitions = making.definitions(chance, making.KINDS[kind], BATCH)
        world = World(people, definitions, AS_OF)
        for each in definitions[-BATCH:]:
            held = world.members(each.key) if isinstance(each, Audience) else world.values(each.key)
            yes += len(held)
            no += len(set(world.everybody(each.key)) - set(held))
    assert min(yes, no) > 20, (yes, no)

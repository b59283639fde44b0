"""The engine against the oracle, with a budget for each kind of node, function and operator.

Mixed examples hardly reach some kinds: 300 of them missed three of five planted faults, 200 for each kind found all.
`POPULACE_EXAMPLES=5000` makes more, and afresh each time. A failing case is as it was made: it is not shrunk.
"""

import json
import os
from random import Random

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from populace import nodes, query, traits
from populace.definitions import Audience, Trait
from populace.space import people
from tests.generative import drawing, making, oracle
from tests.generative import oracle_values as values
from tests.generative.making import built, each, either, just, several
from tests.spec import evaluating
from tests.tables import AS_OF

pytestmark = pytest.mark.generative

budget = settings(
    max_examples=int(os.environ.get("POPULACE_EXAMPLES", "300")),
    derandomize="POPULACE_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    phases=(Phase.generate,),  # a case is a number, which is no clearer for being smaller
    suppress_health_check=list(HealthCheck),
)

# --- one value per profile -------------------------------------------------------------------


def counted(*filters):
    return built(nodes.Count, making.streams(each(*filters)))


def where(conditions):
    return counted(built(nodes.Where, conditions))


def everything(kind, *more):
    """Of all events, so that nothing but the reducer is tested."""
    return making.reducing(kind, *more, kept=just(()))


FIELDS = making.event_fields
TIMES = either(making.timed_fields, making.timed_fields, FIELDS)
TEXTS = either(making.text_fields, making.text_fields, FIELDS)
PSEUDO = making.of([nodes.Property(name) for name in making.PSEUDO])
SIDES = ("before_date", "after_date")
REACHES = ("within_last", "within_next", "before_last", "after_next")
LEAVES = {
    "exists": built(nodes.Exists, FIELDS),
    "absent": built(nodes.Absent, FIELDS),
    "one_of": making.choices(FIELDS),
    "none_of": making.choices(FIELDS, nodes.NoneOf),
    "contains": making.containing(TEXTS),
    "starts_with": making.affixed(TEXTS, nodes.StartsWith),
    "ends_with": making.affixed(TEXTS, nodes.EndsWith),
    **{side: making.dated(TIMES, [side]) for side in SIDES},
    **{side: making.relative(TIMES, [side]) for side in REACHES},
}
REDUCERS = {
    "count": making.counts,
    "sum": making.sums,
    "sum of everything": everything(nodes.Sum),
    "average": making.averages,
    "average of everything": everything(nodes.Average),
    "least": making.reducing(nodes.Min, making.casts),
    "least number of everything": everything(nodes.Min, just("number")),
    "least text of everything": everything(nodes.Min, just("string")),
    "greatest": making.reducing(nodes.Max, making.casts),
    "greatest number of everything": everything(nodes.Max, just("number")),
    "greatest text of everything": everything(nodes.Max, just("string")),
    "mode": making.modes,
    "mode of everything": everything(nodes.Mode, making.of([1, 2, 3]), making.casts),
    "first": making.reducing(nodes.First),
    "first of everything": everything(nodes.First),
    "last": making.reducing(nodes.Last),
    "last of everything": everything(nodes.Last),
    "unique": making.uniques,
    "unique of everything": everything(nodes.Unique),
    "unique count": making.unique_counts,
    "unique count of everything": everything(nodes.UniqueCount),
    "of what every event has": making.either(
        *[making.reducing(kind, fields=PSEUDO) for kind in (nodes.First, nodes.Last, nodes.Unique, nodes.UniqueCount)],
        *[making.reducing(kind, making.casts, fields=PSEUDO) for kind in (nodes.Min, nodes.Max)],
        making.reducing(nodes.Mode, just(1), just("string"), fields=PSEUDO),
    ),
    "within": counted(making.windows),
    "within twice": counted(making.windows, making.windows),
    "between": counted(making.betweens),
    "between and within": counted(making.betweens, making.windows),
    "sources": counted(making.sources),
    "expires_after": counted(making.sessions),
    "expires_after twice": counted(making.sessions, making.sessions),
    "expires_after and where": counted(making.wheres, making.sessions),
    "expires_after and others": making.reducing(
        nodes.Last, kept=each(making.sessions, either(making.sources, making.windows, making.betweens))
    ),
    "where": counted(making.wheres),
    "where and within": counted(making.wheres, making.windows),
    **{f"where {sign}": where(making.comparisons(FIELDS, [sign])) for sign in making.OPERATORS},
    **{f"where {name}": where(made) for name, made in LEAVES.items()},
    "where dates": where(making.comparisons(TIMES, others=making.times)),
    "where times": where(making.comparisons(TIMES, others=TIMES)),
    "where what every event has": where(making.leaves(PSEUDO)),
    "where and": where(making.junctions(nodes.And, making.leaves(FIELDS))),
    "where or": where(making.junctions(nodes.Or, making.leaves(FIELDS))),
    "where not": where(built(nodes.Not, making.leaves(FIELDS))),
    "where literals": where(making.leaves(making.literals)),
}


ANY, LIST = making.elements, making.lists
ARRAYS = either(ANY, LIST)
LISTS = {
    **{f"any element {sign}": making.comparisons(ANY, [sign], making.likely) for sign in making.OPERATORS},
    "any element beside a field": making.comparisons(ANY, others=FIELDS),
    "any two elements": making.comparisons(ANY, others=ANY),
    "any element is there": either(built(nodes.Exists, ANY), built(nodes.Absent, ANY)),
    "any element one_of": making.choices(ANY),
    "any element none_of": making.choices(ANY, nodes.NoneOf),
    "one_of elements": built(nodes.OneOf, FIELDS, several(either(ANY, making.likely), 1, 3)),
    "none_of elements": built(nodes.NoneOf, FIELDS, several(either(ANY, making.likely), 1, 3)),
    "any element contains": making.containing(ANY),
    "contains elements": built(nodes.Contains, either(FIELDS, LIST), several(ANY, 1, 2)),
    "any element starts": making.affixed(ANY, nodes.StartsWith),
    "any element ends": making.affixed(ANY, nodes.EndsWith),
    "starts or ends with elements": either(built(nodes.StartsWith, TEXTS, ANY), built(nodes.EndsWith, TEXTS, ANY)),
    "any element and dates": either(making.dated(ANY), making.comparisons(ANY, others=making.times)),
    "any element and days": making.relative(ANY),
    "any elements": making.conditions(either(ANY, FIELDS)),
    "list contains": built(nodes.Contains, LIST, several(making.likely, 1, 3)),
    "list contains fields": built(nodes.Contains, LIST, several(either(FIELDS, ANY), 1, 3)),
    "list one_of": built(nodes.OneOf, LIST, several(making.likely, 1, 3)),
    "list none_of": built(nodes.NoneOf, LIST, several(making.likely, 1, 3)),
    "lists": making.conditions(either(LIST, ANY)),
}
REDUCERS |= {f"where {name}": where(made) for name, made in LISTS.items()}
REDUCERS |= {
    "sum of elements": making.reducing(nodes.Sum, fields=ANY),
    "average of elements": making.reducing(nodes.Average, fields=ANY),
    "least of elements": making.reducing(nodes.Min, making.casts, fields=ANY),
    "greatest of elements": making.reducing(nodes.Max, making.casts, fields=ANY),
    "first of elements": making.reducing(nodes.First, fields=ARRAYS),
    "last of elements": making.reducing(nodes.Last, fields=ARRAYS),
    "last of all elements": making.reducing(nodes.Last, kept=just(()), fields=ANY),
    "unique of elements": making.reducing(nodes.Unique, fields=ARRAYS),
    "unique count of elements": making.reducing(nodes.UniqueCount, fields=ARRAYS),
    "mode of elements": making.reducing(nodes.Mode, making.of([1, 2, 3]), making.casts, fields=ARRAYS),
    "mode of arrays": making.reducing(nodes.Mode, making.of([1, 1, 2]), just("array"), fields=ARRAYS),
}


@pytest.mark.parametrize("kind", REDUCERS)
@budget
@given(seed=drawing.seeds)
def test_reducers_agree(kind, seed):
    chance = Random(seed)
    made = making.events(chance)
    asked = several(REDUCERS[kind], 1, 3)(chance)
    assert computed(made, asked) == expected(made, asked), (made, asked)


# Inside a run profiles are numbers from 0 on; what is added up has an array with a place for each.
FAR = {1: 0, 2: 40, 3: 1_000_000}


@pytest.mark.parametrize("kind", ["count", "average", "last", "unique"])
@budget
@given(seed=drawing.seeds)
def test_the_numbers_of_profiles_mean_nothing(kind, seed):
    chance = Random(seed)
    made = making.events(chance)
    asked = several(REDUCERS[kind], 1, 3)(chance)
    assert in_order(computed(renumbered(made, FAR), asked), FAR) == expected(made, asked), (made, asked)


def renumbered(made, numbers):
    return [event | {"profile": numbers[event["profile"]]} for event in made]


def in_order(found, numbers):
    """Values by the profiles that have these numbers, which come in order."""
    assert list(found) == sorted(found)
    return {profile: found[number] for profile, number in numbers.items() if number in found}


def computed(made, asked):
    return as_lists(traits.reduce(drawing.frames(made, asked), traits.reducers(asked), AS_OF))


def expected(made, asked):
    needed = traits.reducers(asked)
    rows = {
        profile: [oracle.reduced(node, oracle.Person({"events": made}, profile, AS_OF)) for node in needed]
        for profile in (1, 2, 3)
    }
    return {profile: values for profile, values in rows.items() if any_value(values)}


def as_lists(found):
    """Values by profile, with the types that JSON columns remember."""
    columns = list(found.iter_columns())[1:]
    decoded = [[decode(series.name, value) for value in series.to_list()] for series in columns]
    return {profile: list(row) for profile, *row in zip(found["profile"], *decoded, strict=True)}


def decode(name, value):
    return json.loads(value) if value is not None and name.endswith(":json") else value


def any_value(values):
    return any(value is not None for value in values)


# --- members ---------------------------------------------------------------------------------

OPERANDS = making.operands
AUDIENCES = {
    **{f"{sign}": making.comparisons(OPERANDS, [sign]) for sign in making.OPERATORS},
    "count": making.comparisons(making.counts),
    "sum": making.comparisons(making.sums),
    "average": making.comparisons(making.averages),
    "least and greatest": making.comparisons(making.extremes),
    "mode": making.leaves(making.modes),
    "first": making.leaves(making.reducing(nodes.First)),
    "last": making.leaves(making.reducing(nodes.Last)),
    "unique count": making.leaves(making.unique_counts),
    "instants": making.leaves(making.reducing(nodes.Last, fields=TIMES)),
    "trait": making.leaves(making.trait_values),
    "computed traits": making.leaves(making.of([nodes.TraitValue("computed"), nodes.TraitValue("other")])),
    "exists": built(nodes.Exists, OPERANDS),
    "absent": built(nodes.Absent, OPERANDS),
    "one_of": making.choices(OPERANDS),
    "none_of": making.choices(OPERANDS, nodes.NoneOf),
    "contains": making.containing(OPERANDS),
    "starts_with": making.affixed(OPERANDS, nodes.StartsWith),
    "ends_with": making.affixed(OPERANDS, nodes.EndsWith),
    "dates": making.comparisons(OPERANDS, others=making.times),
    **{side: making.dated(OPERANDS, [side]) for side in SIDES},
    **{side: making.relative(OPERANDS, [side]) for side in REACHES},
    "and": making.junctions(nodes.And, making.leaves(OPERANDS)),
    "or": making.junctions(nodes.Or, making.leaves(OPERANDS)),
    "not": built(nodes.Not, making.leaves(OPERANDS)),
    "anything": making.audiences,
}

# Lists that are traits: custom ones, those inside objects, and computed ones.
LISTED = either(
    making.reducing(nodes.First, fields=ARRAYS),
    making.reducing(nodes.Last, fields=ARRAYS),
    making.reducing(nodes.Mode, just(1), just("array"), fields=ARRAYS),
)
LIST_TRAITS = making.of([*map(nodes.TraitValue, ["list", "list", "object.l", "object.o", "custom", "listed"])])
AUDIENCES |= {
    "trait contains element": built(nodes.Contains, LIST_TRAITS, several(making.likely, 1, 3)),
    "trait one_of elements": built(nodes.OneOf, LIST_TRAITS, several(making.likely, 1, 3)),
    "trait none_of elements": built(nodes.NoneOf, LIST_TRAITS, several(making.likely, 1, 3)),
    "list traits": making.conditions(either(LIST_TRAITS, LISTED)),
    "lists of events": making.leaves(LISTED),
}
VALUED = making.of([*map(nodes.TraitValue, ["computed", "other", "custom"])])  # that many people have
FUNNELS = {
    "followed within": making.funnels(making.plainly_followed(making.within_hours)),
    "followed between": making.funnels(making.plainly_followed(making.between_hours)),
    "followed": making.funnels(making.following()),
    "not followed": making.funnels(built(nodes.Not, making.following())),
    "by what is like it": making.funnels(
        making.following(
            either(
                making.comparisons(FIELDS, others=making.parent_fields),
                making.comparisons(PSEUDO, others=making.parent_pseudo),
            )
        )
    ),
    "twice": making.funnels(making.following(making.following())),
    "thrice": making.funnels(making.following(making.following(making.following()))),
    "traits": making.funnels(making.beside_traits),
    "some with traits": making.funnels(
        either(making.comparisons(FIELDS), making.comparisons(FIELDS, others=just(nodes.TraitValue("custom"))))
    ),
    "followed by what is like traits": making.funnels(
        making.plainly_followed(making.within_hours, built(nodes.Where, making.comparisons(FIELDS, others=VALUED)))
    ),
    "followed, with traits": making.funnels(making.following(making.beside_traits)),
    "elements of the parent": making.funnels(
        making.following(making.comparisons(FIELDS, others=making.parent_elements))
    ),
    "elements of both": making.funnels(making.following(making.comparisons(ANY, others=making.parent_elements))),
    "elements beside traits": making.funnels(making.comparisons(ANY, others=LIST_TRAITS)),
    "lists beside traits": making.funnels(either(making.containing(LIST), making.choices(LIST_TRAITS))),
}


@pytest.mark.parametrize("kind", AUDIENCES | FUNNELS)
@budget
@given(seed=drawing.seeds)
def test_members_agree(kind, seed):
    space = make_space(Random(seed), (AUDIENCES | FUNNELS)[kind])
    assert engine_members(space) == oracle.members(space, AS_OF), space


TRAITS = {
    "computed": making.scalars,
    "other": making.scalars,
    "listed": either(LISTED, making.reducing(nodes.Unique, fields=ARRAYS)),
}


@budget
@given(seed=drawing.seeds)
def test_the_newest_custom_traits_agree(seed):
    rows = making.custom_rows(Random(seed), ["custom", "list"])
    found = traits.newest(drawing.custom_frame(rows), AS_OF)
    about = {(row["profile"], row["name"]) for row in rows}
    meant = {each: oracle.newest(oracle.Person({"custom": rows}, each[0], AS_OF), each[1]) for each in about}
    assert {(profile, name): json.loads(value) for profile, name, value, *_ in found.rows()} == {
        each: value for each, value in meant.items() if value is not None
    }


def make_space(chance, conditions):
    """Two audiences of which the second may refer to the first, over four profiles; one may have no events."""
    keys = {
        "first": refused(conditions, ("first", "second"))(chance),
        "second": refused(conditions, ("second",))(chance),
    }
    read = {each.key for node in keys.values() for each in nodes.walk(node) if isinstance(each, nodes.TraitValue)}
    return {
        "events": making.events(chance),
        "profiles": {profile: chance.random() < 0.7 for profile in (1, 2, 3, 4)},
        "custom": making.custom_rows(chance),
        # A trait that nobody reads would only take time.
        "traits": {key: maker(chance) for key, maker in TRAITS.items() if key in read},
        "audiences": keys,
        "anonymous": {key: chance.choice([None, True, True, False]) for key in keys},
        "include_anonymous": chance.random() < 0.5,
    }


def beside(key):
    """How many events there are that compare in some way with a trait."""
    return where(making.comparisons(FIELDS, others=just(nodes.TraitValue(key))))


def compared(operand, *constants):
    return built(nodes.Compare, operand, making.of(["=", "!=", ">="]), built(nodes.Literal, making.of(constants)))


# Each audience refers to the one before it and to nothing else, the first to a trait that refers to the other one.
LADDER = {
    "traits": {"computed": beside("other"), "other": making.scalars},
    "audiences": {
        "first": compared(just(nodes.TraitValue("computed")), 0, 1),
        "second": compared(where(compared(just(nodes.TraitValue("first")), "true", "false")), 0, 1),
    },
}


@budget
@given(seed=drawing.seeds)
def test_what_builds_on_each_other_agrees(seed):
    chance = Random(seed)
    made = {kind: {key: maker(chance) for key, maker in makers.items()} for kind, makers in LADDER.items()}
    space = make_space(chance, making.audiences) | made
    assert engine_members(space) == oracle.members(space, AS_OF), space


def refused(maker, keys):
    """Made again until it refers to none of these."""

    def make(chance):
        while True:
            node = maker(chance)
            if not any(isinstance(part, nodes.TraitValue) and part.key in keys for part in nodes.walk(node)):
                return node

    return make


def engine_members(space):
    defined = [
        Audience(key, node, include_anonymous=space["anonymous"][key])
        for key, node in reversed(space["audiences"].items())
    ]
    computing = [Trait(key, node) for key, node in space["traits"].items()]
    profiles = {"profile": pl.UInt32, "has_known_id": pl.Boolean}
    found = evaluating.computed_of(
        drawing.frames(space["events"], [*space["audiences"].values(), *space["traits"].values()]),
        computing,
        defined,
        pl.DataFrame(list(space["profiles"].items()), profiles, orient="row"),
        traits.newest(drawing.custom_frame(space["custom"]), AS_OF),
        include_anonymous=space["include_anonymous"],
    )
    return {key: found.filter(audience=key)["profile"].to_list() for key in space["audiences"]}


# --- reading ---------------------------------------------------------------------------------

HELD = [maker(Random(seed)) for seed in range(2_000) for maker in (making.some_list, making.some_objects)]
HELD += [None, "[1]", 5, {"sku": [1]}, {"0": "a"}, True]


@pytest.mark.parametrize("path", [*dict.fromkeys(making.ANY), "o.$.0", "o.$.tags.$.$", r"a\.b.$.sku", "o.$.tags.$.sku"])
def test_elements_are_read_as_the_oracle_reads_them(path):
    texts = pl.Series([None if each is None else json.dumps(each, ensure_ascii=False) for each in HELD])
    found = people.FromJson().elements(texts, path=f"p.{path}").to_list()
    _, rest = values.array_at(path)
    meant = [values.elements(each, rest) if isinstance(each, list) else None for each in HELD]
    assert found == [None if each is None else [values.as_json(one) for one in each] for each in meant]


# --- text ------------------------------------------------------------------------------------


@budget
@given(drawing.audiences)
def test_printing_an_audience_and_parsing_it_changes_nothing(node):
    assert query.parse_audience(query.print_query(node)) == node


@budget
@given(drawing.all_reducers)
def test_printing_a_trait_and_parsing_it_changes_nothing(node):
    assert query.parse_trait(query.print_query(node)) == node


@budget
@given(st.text(), st.text(min_size=1), st.integers(-(2**63), 2**63 - 1), st.floats(-(2.0**62), 2.0**62))
def test_any_constant_survives_printing(text, name, integer, real):
    terms = tuple(nodes.Compare(nodes.TraitValue("k"), "=", nodes.Literal(value)) for value in (text, integer, real))
    counting = nodes.Compare(nodes.Count(nodes.Event(name)), ">=", nodes.Literal(1))
    node = nodes.And((*terms, counting))
    assert query.parse_audience(query.print_query(node)) == node

"""Families of traits (design 3): one trait for each value that is seen, and reducers that differ in a value only."""

import json
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from populace import query, traits
from populace.definitions import Audience, Delivery, Family, Place, Trait
from populace.errors import DefinitionError
from populace.lake import runs
from populace.nodes import Property
from populace.space import families, previews, recompute, unknown
from tests import driving
from tests.slicing import NOON, called
from tests.tables import AS_OF, events

FLAGS = """
    profile | timestamp | p.split     | p.treatment
    1       | d-5       | new-search  | off
    1       | d-4       | newCheckout | on
    1       | d-3       | new-search  | on
    2       | d-3       | new-search  | v2
    2       | d-2       | Prices 2024 | on
    2       | d-1       |             | on
    2       | d+1       | to come     | on
"""


def family(text="event('E').last(property('treatment'))", of="property('split')", most=200):
    at = Place("traits.yaml", 3)
    return Family("flags", query.parse_field(of), query.parse_trait(text), most, "a flag", (Delivery("crm"),), at)


def expanded(*families, rows=FLAGS, taken=()):
    seen = traits.seen({"E": events(rows)}, families, AS_OF)
    return traits.expanded(families, seen, taken)


def values_of(*families, rows=FLAGS):
    made = [trait for _, _, trait in expanded(*families, rows=rows)]
    values = traits.reduce({"E": events(rows)}, traits.reducers([each.query for each in made]), AS_OF)
    return traits.compute(values, made).sort("profile").rows(named=True)


def problems(*families, rows=FLAGS):
    with pytest.raises(DefinitionError) as error:
        expanded(*families, rows=rows)
    return error.value.problems


def valued(*values):
    return "profile|timestamp|p.split\n" + "".join(f'1|d-1|"{each}"\n' for each in values)


# --- which traits there are -------------------------------------------------------------------------


def test_a_family_has_a_trait_for_each_value_named_by_it():
    assert [(value, trait.key) for _, value, trait in expanded(family())] == [
        ("Prices 2024", "prices_2024"), ("new-search", "new_search"), ("newCheckout", "new_checkout"),
    ]  # fmt: skip


def test_each_trait_looks_at_the_events_with_its_value():
    assert values_of(family()) == [
        {"profile": 1, "prices_2024": None, "new_search": "on", "new_checkout": "on"},
        {"profile": 2, "prices_2024": "on", "new_search": "v2", "new_checkout": None},
    ]


def test_a_trait_of_a_family_is_what_it_would_be_by_itself():
    (_, value, trait), *_ = expanded(family())
    alone = "event('E').where(property('split') = 'Prices 2024').last(property('treatment'))"
    assert query.print_query(trait.query) == alone
    assert (trait.description, trait.deliveries, value) == ("a flag", (Delivery("crm"),), "Prices 2024")


def test_only_values_of_events_that_the_query_keeps_make_traits():
    kept = family("event('E').where(property('treatment') != 'off').within(3 days).count()")
    assert [trait.key for _, _, trait in expanded(kept)] == ["prices_2024", "new_search"]


def test_what_is_compared_with_traits_or_other_events_decides_values_not_traits():
    rows = FLAGS.replace("newCheckout", "alone")
    followed = family("event('E').where(event('E').within(parent: 1 hour).count() >= 1).count()")
    compared = family("event('E').where(property('treatment') = trait('plan')).count()")
    for each in (followed, compared):
        assert [trait.key for _, _, trait in expanded(each, rows=rows)] == ["prices_2024", "alone", "new_search"]


def test_values_that_are_no_text_are_written_as_in_json():
    rows = "profile|timestamp|p.level\n1|d-2|7\n1|d-1|12\n"
    counted = family("event('E').count()", "property('level')")
    assert values_of(counted, rows=rows) == [{"profile": 1, "_12": 1, "_7": 1}]


def test_a_family_of_context_and_one_without_events():
    rows = "profile|timestamp|c.app.name\n1|d-2|Shop App\n"
    assert values_of(family("event('E').count()", "context('app.name')"), rows=rows) == [{"profile": 1, "shop_app": 1}]
    assert expanded(family("event('Nothing').count()")) == []
    assert expanded(family(of="property('nothing')")) == []


# --- what is refused --------------------------------------------------------------------------------


def test_a_family_leaves_out_a_key_that_is_defined():
    assert [trait.key for _, _, trait in expanded(family(), taken={"new_search"})] == ["prices_2024", "new_checkout"]


def test_more_values_than_max_are_an_error_that_says_how_many():
    assert problems(family(most=2)) == [
        "traits.yaml:3: family 'flags': property('split') has 3 values, and at most 2 may become traits; "
        "leave some out with where(), or write a greater `max`"
    ]
    assert len(expanded(family(most=3))) == 3


def test_two_values_with_one_name_are_an_error_that_names_both():
    assert problems(family("event('E').count()"), rows=valued("newSearch", "new-search")) == [
        "traits.yaml:3: the values 'new-search' of 'flags' and 'newSearch' of 'flags' both make a trait 'new_search'; "
        "leave one out with where(), or define 'new_search' by itself"
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("!?", "the value '!?' has no letter from a to z and no digit to name a trait by"),
        ("Profile ID", "the value 'Profile ID' would name a trait 'profile_id', which is a column of every table"),
        ("x" * 256, f"the value '{'x' * 80}…' is too long to name a trait"),
    ],
)
def test_a_value_that_names_no_trait_is_an_error(value, problem):
    told = f"traits.yaml:3: family 'flags': {problem}; leave it out with where(property('split') != '…')"
    assert problems(family("event('E').count()"), rows=valued(value)) == [told]


def test_a_ring_through_a_family_is_an_error():
    text = "event('E').where(property('x') = trait('{}')).count()"
    ring = {"a": text.format("b"), "b": text.format("a")}
    defined = {key: query.parse_trait(text) for key, text in ring.items()}
    with pytest.raises(DefinitionError, match="in a ring: b → a → b"):
        traits.rounds(defined.values(), defined)


# --- how they are written ---------------------------------------------------------------------------

WRITTEN = """
flags:
  description: a flag
  for_each: property('split')
  max: 20
  query: |
    event('E').last(property('treatment'))
"""


def test_a_family_is_a_trait_with_for_each(load):
    space = load({"dev/traits.yaml": WRITTEN})
    assert space.traits == ()
    (found,) = space.families
    assert (found.key, found.for_each, found.most) == ("flags", Property("split"), 20)
    assert load({"dev/traits.yaml": WRITTEN.replace("  max: 20\n", "")}).families[0].most == 200


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("property('split')", "trait('split')", "'flags': column 1: for_each takes property('…') or context('…')"),
        ("property('split')", "property('split') = 'a'", "'flags': column 1: for_each takes property('…') or context("),
        ("property('split')", "property('a.$')", "'flags': column 1: for_each takes one value an event, and $ is any"),
        ("max: 20", "max: 2000", "'flags.max': input should be less than or equal to 1000"),
        ("max: 20", "max: 0", "'flags.max': input should be greater than or equal to 1"),
        ("  for_each: property('split')\n", "", "'flags' is one trait; `max` belongs to `for_each`"),
        ("max: 20", "expire: true", "'flags' has no expires_after() that may expire; leave `expire` out"),
        ("flags:", "profile_id:", "'profile_id' is a column of every table; choose another key"),
    ],
)
def test_what_is_wrong_with_a_family_is_told_with_its_line(problems, old, new, problem):
    (found,) = problems({"dev/traits.yaml": WRITTEN.replace(old, new)})
    assert found.split(": ", 1)[1].startswith(problem)


def test_t21_a_trait_may_expire_with_its_session(load):
    text = "a: {query: \"event('E').expires_after(1 hour).count()\", expire: true}"
    (trait,) = load({"dev/traits.yaml": text}).traits
    assert query.print_query(trait.query) == "event('E').expires_after(expire: 1 hour).count()"


def test_q28_what_may_be_of_a_family_is_warned_of_so(load):
    space = load({"dev/traits.yaml": WRITTEN, "dev/audiences.yaml": "a: {query: \"trait('new_search') = 'on'\"}"})
    (warning,) = space.warnings
    assert warning.endswith("'a' reads 'new_search', which must be a custom trait, or one of a family")


# --- in a run -----------------------------------------------------------------------------------------


def call(message_id, user, flag, treatment):
    told = json.dumps({"split": flag, "treatment": treatment})
    return {"message_id": f"m{message_id}", "user_id": user, "received_at": NOON, "properties": told}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A space with a family, a trait that has one of its keys, and audiences that refer to both; two runs of it."""
    flags = family()
    space = driving.space_in(
        tmp_path_factory.mktemp("families"),
        traits={"new_search": "event('E').count()"},
        audiences={"on": "trait('new_checkout') = 'on'", "many": "trait('new_search') >= 2"},
        families=(flags,),
    )
    told = [("u1", "new-search", "on"), ("u1", "newCheckout", "on"), ("u2", "Prices 2024", "off")]
    driving.put(space, "web", "a", called(*(call(number, *each) for number, each in enumerate(told))))
    return space, driving.recomputed(space, AS_OF)


def test_a_run_holds_the_traits_of_its_families(ran):
    space, run_id = ran
    assert driving.table(space, run_id, "traits").drop("profile_id").sort("new_search").rows(named=True) == [
        {"new_search": 1, "new_checkout": None, "prices_2024": "off"},
        {"new_search": 2, "new_checkout": "on", "prices_2024": None},
    ]
    assert driving.table(space, run_id, "families").rows() == [
        ("flags", "new_checkout", "newCheckout"), ("flags", "prices_2024", "Prices 2024"),
    ]  # fmt: skip
    assert runs.manifest(space.lake, run_id)["traits"] == {"new_search": 2, "new_checkout": 1, "prices_2024": 1}


def test_audiences_refer_to_traits_of_families(ran):
    space, run_id = ran
    assert runs.manifest(space.lake, run_id)["audiences"] == {"many": 1, "on": 1}


def test_preview_of_a_family_and_of_one_of_its_traits(ran):
    space, _ = ran
    found = previews.preview(space, "flags")
    assert (found.count, [each["key"] for each in found.traits]) == (2, ["new_checkout", "prices_2024"])
    assert previews.preview(space, "prices_2024").count == 1
    assert previews.preview(space, text="trait('prices_2024') = 'off'").unknown == []


def test_a_run_sees_a_new_flag_without_an_edit(ran):
    space, first = ran
    driving.put(space, "web", "b", called(call(9, "u2", "dark mode", "on")))
    second = driving.recomputed(space, AS_OF + timedelta(hours=1))
    added = driving.table(space, second, "families").join(driving.table(space, first, "families"), on="key", how="anti")
    assert added.rows() == [("flags", "dark_mode", "dark mode")]


@pytest.mark.parametrize(
    ("queries", "problem"),
    [
        (
            {"pro": "trait('new_search') = 'pro'"},
            "traits.yaml:3: family 'flags': the value 'new-search' would name a trait 'new_search', which is a custom "
            "trait that 'pro' reads; leave the value out with where(), or define 'new_search' by itself",
        ),
        (
            {"a": "event('E').where(property('x') = trait('dark')).count() >= 1"},
            "traits.yaml:3: by way of a family, definitions refer to each other in a ring: a → dark → a",
        ),
    ],
)
def test_a_family_takes_nobodys_place_and_closes_no_ring(tmp_path, queries, problem):
    flags = family("event('E').where(property('treatment') = trait('a') OR property('treatment') = 'on').count()")
    space = driving.space_in(tmp_path, audiences=queries, families=(flags,))
    custom = {"message_id": "i", "type": "identify", "received_at": NOON, "traits": '{"new_search":"pro"}'}
    driving.put(space, "web", "a", called(call(1, "u1", "new-search" if "pro" in queries else "dark", "on"), custom))
    with pytest.raises(DefinitionError) as error:
        driving.recomputed(space, AS_OF)
    assert error.value.problems == [problem]


def test_q28_names_of_families_are_no_traits(ran, load):
    space, _ = ran
    assert previews.preview(space, text="trait('flags') = 'on'").unknown == [
        "'flags' is a family; name one of its traits"
    ]
    found = load({"dev/traits.yaml": WRITTEN, "dev/audiences.yaml": "a: {query: \"trait('flags') = 'on'\"}"})
    assert found.warnings[0].endswith("'a' reads 'flags', which is a family; name one of its traits")


def test_q28_a_preview_warns_of_a_misspelt_field(ran):
    space, _ = ran
    misspelt = replace(space, definition=replace(space.definition, families=(family(of="property('splt')"),)))
    found = previews.preview(misspelt, "flags")
    assert (found.count, found.unknown) == (0, ["no event 'E' has a property 'splt'; did you mean 'split'?"])


def test_q28_a_run_tells_what_its_definitions_read_and_nobody_has(ran):
    space, run_id = ran
    run = recompute.reopen(space, run_id, strict=False)
    wrong = replace(space.definition, audiences=(Audience("a", query.parse_audience("trait('new_serch') = 1")),))
    assert unknown.in_definitions(families.of_run(replace(space, definition=wrong), run_id), run) == [
        "'a': nobody has a trait 'new_serch' and nothing here is called so; did you mean 'new_search'?"
    ]
    assert unknown.in_definitions(families.of_run(space, run_id), run) == []


def test_traits_of_a_family_go_where_it_goes(ran):
    space, run_id = ran
    delivered = {each.key: each.deliveries for each in families.of_run(space, run_id).definition.traits}
    assert delivered == {"new_search": (), "new_checkout": (Delivery("crm"),), "prices_2024": (Delivery("crm"),)}


# --- reducers that differ in the value of a field only ------------------------------------------------

REDUCED = [
    "count()", "sum(property('n'))", "avg(property('n'))", "first(property('n'))", "last(property('mixed'))",
    "max(property('n') as string)", "mode(property('n'), 2)", "unique(property('mixed'))",
    "unique(property('n')).count()", "expires_after(1 hour).count()", "within(3 days).count()",
]  # fmt: skip
MIXED = ("1", '"1"', "true")
MANY = "profile | timestamp | p.flag | p.other | p.n | p.mixed:json\n" + "\n".join(
    f"{number % 3 + 1} | d-{number / 4} | {'abcde'[number % 5]} | {'ab'[number % 2]} | {number % 4} | "
    f"{MIXED[number % 3]}"
    for number in range(40)
)


@pytest.mark.parametrize("call", REDUCED)
def test_many_values_at_once_give_what_each_gives_alone(call):
    wheres = [f"where(property('{field}') = '{flag}')" for field in ("flag", "other") for flag in "abcdefghi"]
    reducers = [query.parse_trait(f"event('E').{where}.{call}") for where in wheres]
    together = traits.reduce({"E": events(MANY)}, reducers, AS_OF).sort("profile")
    for each in reducers:
        alone = traits.reduce({"E": events(MANY)}, [each], AS_OF).sort("profile")
        kept = together.select("profile", traits.column(together, each)).drop_nulls()
        assert kept.equals(alone.select("profile", traits.column(alone, each)).drop_nulls())


def test_q21_values_that_are_numbers_or_booleans_keep_their_coercions():
    rows = "profile | timestamp | p.x:json\n" + "".join(f"1|d-1|{each}\n" for each in ("1.0", '"1"', '"01"', "true"))
    texts = ("1", "01", "true", *"bcdefghi")
    reducers = {text: query.parse_trait(f"event('E').where(property('x') = '{text}').count()") for text in texts}
    found = traits.reduce({"E": events(rows)}, reducers.values(), AS_OF)
    counts = {text: found[traits.column(found, each)].item() for text, each in reducers.items()}
    assert counts == {"1": 2, "01": 2, "true": 1} | dict.fromkeys("bcdefghi")


def test_traits_of_the_person_are_read_beside_values():
    people = pl.DataFrame({"profile": [1, 2], "custom limit:json": ["2", "9"]}, schema_overrides={"profile": pl.UInt32})
    call = "where(property('n') >= trait('limit')).where(property('flag') = '{}').count()"
    reducers = [query.parse_trait(f"event('E').{call.format(flag)}") for flag in "abcdefghi"]
    together = traits.reduce({"E": events(MANY)}, reducers, AS_OF, people)
    assert together.get_column("profile").to_list() == [1]
    alone = [traits.reduce({"E": events(MANY)}, [each], AS_OF, people) for each in reducers]
    assert [each.row(0)[1] if each.height else None for each in alone] == list(together.row(0)[1:])


def test_traits_that_are_defined_by_themselves_are_not_a_family():
    assert isinstance(expanded(family())[0][2], Trait)

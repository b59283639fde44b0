"""Audiences: populations, references, and differences between runs."""

import pytest

from populace import audiences, query
from populace.definitions import Audience, Place, Trait
from populace.errors import DefinitionError
from tests.spec.evaluating import members, members_of
from tests.tables import table

THREE = "profile|has_known_id\n1|true\n2|true\n3|false\n"
SIGN_UPS = {"Signed Up": "profile|timestamp\n1|d-6\n2|d-8\n3|d-1\n"}
RECENT = "event('Signed Up').within(7 days).count() >= 1"


# --- who can be a member --------------------------------------------------------------------


def test_a73_anonymous_profiles_are_left_out_by_default():
    assert members(RECENT, SIGN_UPS, profiles=THREE) == [1]


def test_a73_anonymous_profiles_can_be_included():
    """Who can be a member: With `include_anonymous: true`, in the audience or the space, everybody can."""
    assert members(RECENT, SIGN_UPS, profiles=THREE, include_anonymous=True) == [1, 3]


def test_t2_null_removes_a_trait():
    """Traits and audiences: `null` removes a custom trait; an empty text does not."""
    custom = 'profile|name|value|timestamp\n1|plan|"pro"|d-2\n1|plan|null|d-1\n1|city|""|d-1\n'
    assert members("trait('plan').absent()", custom=custom) == [1]
    assert members("trait('city').exists()", custom=custom) == [1]


def test_a74_the_population_comes_before_negative_conditions():
    assert (
        members("event('Signed Up').count() = 0", SIGN_UPS, profiles="profile|has_known_id\n3|false\n4|false\n") == []
    )


def test_a31_a_profile_without_events_has_none():
    """Who can be a member: …"Has not" holds of everybody who can be a member and has not, also of who has no event."""
    rows = {"Signed Up": "profile|timestamp\n1|d-6\n"}
    assert members("event('Signed Up').count() = 0", rows, profiles="profile|has_known_id\n1|true\n4|true\n") == [4]


def test_a31_nobody_has_what_never_happened():
    assert members("event('Never').count() = 0", SIGN_UPS, profiles=THREE) == [1, 2]


# --- conditions on events -------------------------------------------------------------------


def test_a60_conditions_on_several_events_combine():
    """Conditions: Conditions on several events are joined by `AND`, `OR` and `NOT`."""
    tables = {"Viewed": "profile|timestamp\n1|d-1\n2|d-1\n", "Ordered": "profile|timestamp\n2|d-1\n4|d-1\n"}
    text = "event('Viewed').within(14 days).count() >= 1 AND event('Ordered').within(14 days).count() <= 0"
    assert members(text, tables, profiles=THREE) == [1]


def test_t19_sums_read_zero_where_nothing_matches():
    assert members("event('Signed Up').sum(property('x')) <= 0", SIGN_UPS, profiles=THREE) == [1, 2]


def test_t19_last_is_missing_where_nothing_matches():
    rows = {"E": "profile|timestamp|p.treatment\n1|d-2|off\n1|d-1|on\n2|d-1|\n"}
    assert members("event('E').last(property('treatment')) = 'on'", rows, profiles=THREE) == [1]
    assert members("event('E').last(property('treatment')) != 'on'", rows, profiles=THREE) == []
    assert members("event('E').last(property('treatment')).absent()", rows, profiles=THREE) == [2]


def test_q21_last_of_mixed_types_still_knows_them():
    rows = {"E": 'profile|timestamp|p.x:json\n1|d-1|10\n2|d-1|"10"\n'}
    assert members("event('E').last(property('x')) = '10.0'", rows, profiles=THREE) == [1]


# --- traits ---------------------------------------------------------------------------------

CUSTOM = r"""
    profile | name      | value                       | timestamp
    1       | plan      | "pro"                       | d-1
    1       | age       | 18                          | d-1
    1       | vip       | true                        | d-1
    1       | address   | {"country":"NL","a.b":"x"}  | d-1
    2       | age       | "17"                        | d-1
    2       | plan      | null                        | d-1
    2       | acme.id   | "7"                         | d-1
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trait('plan') = 'pro'", [1]),
        ("trait('plan') != 'free'", [1]),
        ("NOT trait('plan') = 'pro'", [2]),
        ("trait('plan').absent()", [2]),
        ("trait('age') >= literal(18)", [1]),
        ("trait('age') < 18", [2]),
        ("trait('vip') = 'true'", [1]),
        ("trait('address.country') = 'NL'", [1]),
        (r"trait('address.a\.b') = 'x'", [1]),
        ("trait('address.street').absent()", [1, 2]),
        ("trait('address').exists()", [1]),
        (r"trait('acme\.id') = 7", [2]),
        ("trait('acme.id').exists()", []),
        ("trait('never').exists()", []),
        ("trait('plan').one_of('free', 'pro')", [1]),
    ],
)
def test_q8_custom_traits(text, expected):
    assert members(text, profiles=THREE, custom=CUSTOM) == expected


def test_n41_dots_lead_into_an_object():
    """Traits and audiences: `trait('key')` is a custom trait; a dot leads into an object, and `\\.`
    is a dot of the name."""
    custom = 'profile|name|value|timestamp\n1|address|{"country":"NL"}|d-1\n1|acme.id|7|d-1\n'
    assert members("trait('address.country') = 'NL'", custom=custom) == [1]
    assert members(r"trait('acme\.id') = 7", custom=custom) == [1]
    assert members("trait('acme.id') = 7", custom=custom) == []


def test_q8_computed_traits():
    """Traits and audiences: `trait('key')` is the computed trait of that key, where there is one."""
    computed = {"sign_ups": "event('Signed Up').within(7 days).count()"}
    two, rows = "profile|has_known_id\n1|true\n2|true\n", {"Signed Up": "profile|timestamp\n1|d-6\n2|d-8\n"}
    assert members("trait('sign_ups') = 1", rows, profiles=two, computed=computed) == [1]
    assert members("trait('sign_ups') = 0", rows, profiles=two, computed=computed) == [2]


def test_q8_a_computed_trait_goes_before_a_custom_one():
    """Traits and audiences: …It goes before a custom trait that is called so."""
    custom = "profile|name|value|timestamp\n1|plan|5|d-1\n"
    computed = {"plan": "event('Signed Up').count()"}
    assert members("trait('plan') = 5", computed=computed, custom=custom) == []


def test_n48_an_audience_is_a_trait_that_is_true_or_false():
    """Traits and audiences: `trait('key')` of an audience is `'true'` or `'false'`."""
    texts = {"recent": RECENT, "others": "trait('recent') = 'false'"}
    two = "profile|has_known_id\n1|true\n2|true\n"
    rows = {"Signed Up": "profile|timestamp\n1|d-6\n2|d-8\n"}
    assert members_of(texts, rows, profiles=two) == {"recent": [1], "others": [2]}


def test_a61_audiences_refer_to_audiences_of_the_same_run():
    texts = {
        "lapsed": "NOT trait('recent') = 'true'",
        "recent": RECENT,
        "both": "trait('lapsed') = 'true' OR trait('recent') = 'true'",
    }
    assert members_of(texts, SIGN_UPS, profiles=THREE) == {"lapsed": [2], "recent": [1], "both": [1, 2]}


def test_a61_audiences_come_after_those_they_refer_to():
    found = audiences.order([audience("c", "b"), audience("b", "a"), audience("a", "x")], [])
    assert [each.key for each in found] == ["a", "b", "c"]


def test_a61_a_circle_is_refused_and_named():
    circle = [audience("b", "c"), audience("c", "a"), audience("a", "b")]
    with pytest.raises(DefinitionError) as caught:
        audiences.order(circle, [])
    assert caught.value.problems == ["audiences.yaml:1: audiences refer to each other in a circle: a → b → c → a"]


def test_a61_an_audience_that_refers_to_itself_is_a_circle():
    with pytest.raises(DefinitionError, match="a → a"):
        audiences.order([audience("a", "a")], [])


def test_a61_a_trait_of_the_same_key_is_no_reference_to_an_audience():
    computed = Trait("a", query.parse_trait("event('E').count()"))
    assert audiences.order([audience("a", "a")], [computed])[0].key == "a"


def audience(key, refers_to):
    return Audience(key, query.parse_audience(f"trait('{refers_to}') = 'true'"), at=Place("audiences.yaml", 1))


# --- runs -----------------------------------------------------------------------------------


def test_a80_entered_and_exited_are_the_differences():
    before = table("audience|profile_id\na|p1\na|p2\nold|p1\n")
    now = table("audience|profile_id\na|p2\na|p3\nnew|p1\n")
    assert audiences.changes(now, before).rows() == [
        ("a", "p1", "exited"),
        ("a", "p3", "entered"),
        ("new", "p1", "entered"),
        ("old", "p1", "exited"),
    ]


def test_a80_a_run_without_audiences_has_no_members():
    assert members_of({}, SIGN_UPS, profiles=THREE) == {}


def test_q21_one_and_one_point_zero_are_two_queries_with_one_answer():
    # Their nodes are equal to Python; only their fingerprints differ.
    texts = {name: f"event('E').where(property('x') = {name}).count() = 1" for name in ("1", "1.0")}
    assert members_of(texts, {"E": "profile|timestamp|p.x\n1|d-1|1\n"}, profiles=THREE) == {"1": [1], "1.0": [1]}

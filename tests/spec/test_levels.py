"""Whose trait each trait() names, in definitions of people and of accounts, and what is refused at load."""

import pytest

from populace import query
from populace.nodes import Compare, Literal, Quantified, TraitValue
from tests.definition_files import COUNT

ACCOUNTS = "level: account, "
OWN = ACCOUNTS + "events_of: account, "
K = "k: {level: account, query: \"trait('tier') = 'x'\"}\n"  # an audience of accounts
U = "u: {query: \"trait('x') = 1\"}\n"  # one of people
S, T = f'ours: {{query: "{COUNT}"}}\n', f'theirs: {{level: account, query: "{COUNT}"}}\n'  # a trait of each


def entry(key, text, more=""):
    return f'{key}: {{{more}query: "{text}"}}\n'


def is_true(node):
    return Compare(node, "=", Literal("true"))


# --- what is meant ---------------------------------------------------------------------------


def test_definitions_are_about_people_unless_they_say_otherwise(load):
    space = load({"dev/audiences.yaml": U + K, "dev/traits.yaml": S + T})
    assert {each.key: (each.level, each.events_of) for each in space.computed} == {
        "u": ("user", "users"),
        "k": ("account", "users"),
        "ours": ("user", "users"),
        "theirs": ("account", "users"),
    }
    assert [each.key for each in space.at_level("account").computed] == ["theirs", "k"]
    assert [each.key for each in space.at_level("user").computed] == ["ours", "u"]


def test_o15_the_events_of_an_account_alone_may_be_asked_for(load):
    text = entry("a", "ANY event('E').count() = 1", OWN)
    space = load({"dev/audiences.yaml": text, "dev/traits.yaml": entry("t", COUNT, OWN)})
    assert [each.events_of for each in space.computed] == ["account", "account"]
    written = entry("a", "ANY event('E').of_account().count() = 1", ACCOUNTS)
    assert load({"dev/audiences.yaml": written}).audiences[0].query == space.audiences[0].query


def test_i73_links_are_kept_as_the_rules_of_identity_say(load):
    text = "identifiers: {user_id: , group_id: {normalize: trim_lower}}\nlink_ttl: 90 days\n"
    found = load({"dev/identity.yaml": text + "link_from_context_group_id: true\n"}).identity
    assert (found.link_ttl.days, found.link_from_context) == (90, True)
    assert (load({"dev/identity.yaml": "{}"}).identity.link_ttl, found.identifiers[-1].id_type) == (None, "group_id")


@pytest.mark.parametrize("written", ["30", "1.5"])
def test_a_length_without_its_unit_says_how_to_write_one(problems, written):
    (problem,) = problems({"dev/identity.yaml": f"identifiers: {{user_id: }}\nlink_ttl: {written}\n"})
    assert problem == f"identity.yaml:2: '{written}': write a length such as 60 days or 36 hours"


@pytest.mark.parametrize("sign", ["ANY", "ALL"])
def test_a33_an_audience_of_accounts_may_be_named_among_conditions_about_people(load, sign):
    text = K + entry("of_user", "trait('k') = 'true'") + entry("of_account", "trait('k') = 'true'", ACCOUNTS)
    text += entry("inside", f"{sign} trait('k') = 'true'", ACCOUNTS)
    found = {each.key: each.query for each in load({"dev/audiences.yaml": text}).audiences}
    assert found["of_user"] == found["of_account"] == is_true(TraitValue("k"))
    assert found["inside"] == Quantified(sign, is_true(TraitValue("k")))


def test_q8_a_key_that_nothing_computes_is_a_custom_trait_of_whoever_it_is_about(load):
    text = entry("a", "trait('plan') = 1 AND ANY trait('plan') = 2", ACCOUNTS)
    text += entry("u", "trait('plan') = 1 AND account.trait('plan') = 2")
    found = load({"dev/audiences.yaml": text}).audiences
    assert [each.query for each in found] == [
        query.parse_audience("trait('plan') = 1 AND ANY trait('plan') = 2", "accounts"),
        query.parse_audience("trait('plan') = 1 AND account.trait('plan') = 2"),
    ]


def test_q28_a_trait_of_accounts_that_is_nearly_known_is_told(load):
    text = entry("u", "account.trait('their') = 1") + entry("a", "trait('thers') = 1", ACCOUNTS)
    found = load({"dev/audiences.yaml": text, "dev/traits.yaml": T}).warnings
    assert [each.partition("audiences.yaml:")[2] for each in found] == [
        "1: 'u' reads 'their', which must be a custom trait; did you mean 'theirs'?",
        "2: 'a' reads 'thers', which must be a custom trait; did you mean 'theirs'?",
    ]


# --- what is read as somebody's who does not have it ------------------------------------------


@pytest.mark.parametrize(
    ("text", "more", "problem"),
    [
        ("trait('theirs') = 1", "", "'theirs' is a trait of accounts; write account.trait('theirs')"),
        ("NOT trait('theirs').exists()", "", "'theirs' is a trait of accounts; write account.trait('theirs')"),
        ("ANY trait('theirs') = 1", ACCOUNTS, "'theirs' is a trait of accounts; write account.trait('theirs')"),
        ("account.trait('ours') = 1", "", "'ours' is people's; write trait('ours')"),
        ("account.trait('u') = 'true'", "", "'u' is people's; write trait('u')"),
        ("ALL account.trait('ours') = 1", ACCOUNTS, "'ours' is people's; write trait('ours')"),
        ("trait('ours') = 1", ACCOUNTS, "'ours' is people's; write ANY or ALL before the condition that reads it"),
        ("trait('u') = 'true'", ACCOUNTS, "'u' is people's; write ANY or ALL before the condition that reads it"),
        (
            "ANY trait('x') = 1 AND trait('ours') = 1",
            ACCOUNTS,
            "'ours' is people's; write ANY or ALL before the condition that reads it",
        ),
    ],
)
def test_a90_a_trait_of_the_wrong_level_is_refused(problems, text, more, problem):
    files = {"dev/audiences.yaml": U + entry("a", text, more), "dev/traits.yaml": S + T}
    assert problems(files) == [f"audiences.yaml:2: 'a': {problem}"]


def test_a90_traits_of_the_wrong_level_are_refused_inside_where(problems):
    text = S + T + entry("r", "event('E').where(trait('theirs') = 1).count()")
    text += entry("v", "event('E').where(trait('ours') = 1).count()", ACCOUNTS)
    assert [each[: each.index(";")] for each in problems({"dev/traits.yaml": text})] == [
        "traits.yaml:3: 'r': 'theirs' is a trait of accounts",
        "traits.yaml:4: 'v': 'ours' is people's",
    ]


def test_one_trait_that_is_read_twice_is_told_once_and_others_too(problems):
    text = entry("a", "trait('theirs') = 1 OR trait('theirs') = 2 OR account.trait('ours') = 1")
    assert problems({"dev/audiences.yaml": text, "dev/traits.yaml": S + T}) == [
        "audiences.yaml:1: 'a': 'theirs' is a trait of accounts; write account.trait('theirs')",
        "audiences.yaml:1: 'a': 'ours' is people's; write trait('ours')",
    ]


# --- what stands inside where() ---------------------------------------------------------------

BESIDE = "reads accounts, so it cannot stand inside where(); compare it beside the event"
OF_ACCOUNTS = "is an audience, which cannot stand inside where() of an account's events; compare it beside"


def seen(key, sign=""):
    return f"{sign}event('E').where(trait('{key}') = 'true').count() >= 1"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (U + entry("a", seen("u", "ANY "), ACCOUNTS), f"audiences.yaml:2: 'a': 'u' {OF_ACCOUNTS}"),
        (K + entry("a", seen("k", "ALL "), ACCOUNTS), f"audiences.yaml:2: 'a': 'k' {OF_ACCOUNTS}"),
        (K + entry("v", seen("k")), f"audiences.yaml:2: 'v': 'k' {BESIDE}"),
        (
            entry("by", "account.trait('x') = 1") + entry("v", seen("by")),
            f"audiences.yaml:2: 'v': 'by' {BESIDE}",
        ),
        (
            entry("by", "account.trait('x') = 1") + entry("on", "NOT trait('by') = 'true'") + entry("v", seen("on")),
            f"audiences.yaml:3: 'v': 'on' {BESIDE}",
        ),
    ],
)
def test_what_is_known_only_when_all_events_are_read_stands_beside_them(problems, files, problem):
    assert problems({"dev/audiences.yaml": files}) == [problem]


def test_an_audience_stands_beside_the_events_of_a_trait_of_accounts(problems):
    reducer = seen("k").removesuffix(" >= 1")
    files = {"dev/audiences.yaml": K, "dev/traits.yaml": entry("t", reducer, ACCOUNTS) + entry("r", reducer)}
    assert problems(files) == [f"traits.yaml:1: 't': 'k' {OF_ACCOUNTS}", f"traits.yaml:2: 'r': 'k' {BESIDE}"]


def test_traits_of_the_same_level_may_stand_inside_where(load):
    traits = S + T + entry("t", "event('E').where(property('n') > trait('theirs')).count()", ACCOUNTS)
    text = entry("a", "ANY event('E').where(property('n') > trait('ours')).count() = 1", ACCOUNTS)
    text += U + entry("v", seen("u"))
    assert len(load({"dev/audiences.yaml": text, "dev/traits.yaml": traits}).computed) == 6


# --- rings and other refusals -----------------------------------------------------------------


@pytest.mark.parametrize("named", ["trait('a')", "account.trait('a')"])
def test_a61_a_ring_may_lead_through_both_levels(problems, named):
    text = entry("a", "ANY trait('u') = 'true'", ACCOUNTS) + entry("u", f"{named} = 'true'")
    assert problems({"dev/audiences.yaml": text}) == [
        "audiences.yaml:1: definitions refer to each other in a ring: a → u → a"
    ]


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("traits", entry("t", COUNT, "level: accounts, "), "'t.level': input should be 'user' or 'account'"),
        ("traits", entry("t", COUNT, "events_of: users, "), "'t' is about people; `events_of` belongs to `level: acc"),
        ("traits", entry("t", COUNT, ACCOUNTS + "events_of: all, "), "'t.events_of': input should be 'users' or 'acc"),
        (
            "traits",
            entry("t", COUNT, ACCOUNTS + "for_each: \"property('x')\", "),
            "'t': the traits of `for_each` are people's; leave `level` out",
        ),
        (
            "audiences",
            entry("a", "event('E').count() = 1", "events_of: account, "),
            "'a' is about people; `events_of` belo",
        ),
        ("audiences", entry("a", "ANY trait('x') = 1", OWN), "'a' has no event(); leave `events_of` out"),
        (
            "audiences",
            entry("a", "event('E').of_account().count() = 1"),
            "'a': column 12: of_account() keeps the events that name an account; it belongs in definitions of",
        ),
        ("audiences", entry("a", "account.trait('x') = 1", ACCOUNTS), "'a': column 1: this is about accounts already;"),
        ("audiences", entry("a", "account.event('x')"), "'a': column 1: account.event() does not exist; of a user's"),
        ("audiences", entry("a", "event('E').count() = 1", ACCOUNTS), "'a': column 1: event() belongs to a user, and"),
        ("audiences", entry("a", "ANY trait('x') = 1"), "'a': column 1: ANY belongs in audiences of accounts, and"),
        (
            "audiences",
            entry("a", "event('E').where(account.trait('x') = 1).count() = 1"),
            "'a': column 18: account.trait() cannot stand inside where(); compare it beside the event, joined by AND",
        ),
        (
            "audiences",
            entry("a", "ALL (trait('x') = 1 AND ANY trait('y') = 2)", ACCOUNTS),
            "'a': column 25: ANY cannot stand inside another ANY or ALL",
        ),
    ],
)
def test_what_a_level_does_not_have_is_refused(problems, file, text, problem):
    (found,) = problems({f"dev/{file}.yaml": text})
    assert found.startswith(f"{file}.yaml:1: {problem}")


def test_i30_groups_alone_are_no_people(problems):
    assert problems({"dev/identity.yaml": "identifiers:\n  group_id: {}\n"}) == [
        "identity.yaml:1: nothing here names people; list user_id, email or another identifier too"
    ]

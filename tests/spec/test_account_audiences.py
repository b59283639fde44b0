"""Audiences of accounts: what accounts have themselves, and what some or all of their users have."""

from datetime import timedelta

import pytest
from click.testing import CliRunner

from populace.cli import main
from tests.groups import HEADER, IDENTIFIERS, company, identify, track
from tests.tables import AS_OF


@pytest.fixture
def members(groups):
    """The accounts of one audience."""
    return lambda query, text, **more: groups(text, audiences={"a": query}, **more).members("a")


# --- what accounts have themselves ------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("trait('tier') = 'business'", ["g1", "g3"]),
        ("trait('tier') != 'business'", ["g2"]),
        ("NOT trait('seats') >= 10", ["g2", "g3"]),
        ("trait('seats').absent()", ["g3"]),
        ("trait('seats') < 10 OR trait('tags').contains('b')", ["g1", "g2"]),
        ("trait('tier').none_of('trial')", ["g1", "g3"]),
        ("trait('tier').omits('ia')", ["g1", "g3"]),
        ("trait('never').exists()", []),
        ("trait('never').absent()", ["g1", "g2", "g3"]),
    ],
)
def test_a90_custom_traits_of_the_account(members, query, expected):
    assert members(query, company(identify("u1", '{"tier":"trial","seats":99}'))) == expected


def test_n62_a_computed_trait_of_the_account(members):
    """Of g1 there are ten in 30 days by two users together; where nothing is counted it is 0 (T-19)."""
    traits = {"logins_past_30_days": "event('Logged In').within(30 days).count()"}
    rows = [track("u1", "Logged In", f"d-{day}") for day in (1, 2, 3, 4, 5, 6)]
    rows += [track("u2", "Logged In", f"d-{day}") for day in (1, 2, 3, 4, 45)]
    assert members("trait('logins_past_30_days') < 10", company(*rows), traits=traits) == ["g2", "g3"]


def test_a61_audiences_of_accounts_refer_to_each_other(groups):
    audiences = {
        "quiet": "trait('busy') = 'false'",
        "busy": "ANY event('E').count() >= 1",
        "both": "trait('quiet') = 'true' AND trait('tier') = 'business'",
    }
    found = groups(company(track("u2", "E", "d-1"), "group|u4||g4||d-1|||"), audiences=audiences)
    assert {key: found.members(key) for key in audiences} == {
        "quiet": ["g3", "g4"],
        "busy": ["g1", "g2"],
        "both": ["g3"],
    }


def test_q8_a_computed_trait_of_accounts_goes_before_a_custom_one(members):
    traits = {"seats": "event('E').count()"}
    assert members("trait('seats') = 1", company(track("u1", "E", "d-1")), traits=traits) == ["g1"]


# --- ANY, ALL and none ------------------------------------------------------------------------

BOUGHT = "event('Shoes Bought').count() >= 1"


def test_d6_any_user(members):
    assert members(f"ANY {BOUGHT}", company(track("u1", "Shoes Bought", "d-9"))) == ["g1"]


def test_d5_all_users_have_not(members):
    assert members(f"ALL NOT {BOUGHT}", company(track("u1", "Shoes Bought", "d-9"))) == ["g2"]


def test_d4_all_users_with_a_trait(members):
    rows = [
        track("u1", "Shoes Bought", "d-9", spend=300),
        track("u2", "Shoes Bought", "d-9", spend=150),
        track("u2", "Shoes Bought", "d-8", spend=51),
        "group|u1||g4||d-9|||",
        track("u5", "Shoes Bought", "d-9", spend=100),
        "group|u5||g5||d-9|||",
        "group|u1||g5||d-9|||",
    ]
    query = f"ALL ( {BOUGHT} AND trait('total_spend') > 200 )"
    spend = {"total_spend": "event('Shoes Bought').sum(property('spend'))"}
    assert members(query, company(*rows), user_traits=spend) == ["g1", "g2", "g4"]


def test_a92_accounts_without_users(groups):
    audiences = {
        "any": "ANY trait('x').absent()",
        "all": "ALL trait('x').absent()",
        "none": "NOT ANY trait('x').exists()",
        "nobody": "NOT ANY trait('x').absent()",
        "not_all": "NOT ALL trait('x').absent()",
    }
    found = groups(company(), audiences=audiences)
    assert {key: found.members(key) for key in audiences} == {
        "any": ["g1", "g2"],
        "all": ["g1", "g2"],
        "none": ["g1", "g2", "g3"],
        "nobody": ["g3"],
        "not_all": ["g3"],
    }


def test_a91_all_is_not_any(groups):
    audiences = {"any": f"ANY {BOUGHT}", "all": f"ALL {BOUGHT}", "none": f"NOT ANY {BOUGHT}"}
    rows = [track("u2", "Shoes Bought", "d-1"), "group|u1||g4||d-1|||"]
    found = groups(company(*rows), audiences=audiences)
    assert [found.members(key) for key in audiences] == [["g1", "g2"], ["g2"], ["g3", "g4"]]


def test_n58_some_user_lately(members):
    query = "ANY event('Logged In').within(30 days).count() >= 1"
    assert members(query, company(track("u1", "Logged In", "d-30"), track("u2", "Logged In", "d-31"))) == ["g1"]


def test_n59_a_quantifier_beside_a_trait_of_the_account(members):
    query = "ALL NOT event('Logged In').within(60 days).count() >= 1 AND trait('tier') = 'business'"
    more = ['group|u3||g4||d-9|{"tier":"business"}||', 'group|u1||g5||d-9|{"tier":"business"}||']
    assert members(query, company(*more, track("u1", "Logged In", "d-9"), track("u3", "Logged In", "d-61"))) == ["g4"]


ADMIN = "trait('role') = 'Admin'"
VIEWED = "event('Invoice Viewed').within(30 days).count() >= 1"
OFFICE = [identify("u1", '{"role":"Admin"}'), track("u2", "Invoice Viewed", "d-9")]


@pytest.mark.parametrize(("when", "expected"), [("d-31", []), ("d-30", ["g1"])])
def test_n60_one_and_the_same_user(members, when, expected):
    rows = [*OFFICE, track("u1", "Invoice Viewed", when)]
    assert members(f"ANY ( {ADMIN} AND {VIEWED} )", company(*rows)) == expected


def test_n61_two_users_are_enough(members):
    """A-93: Each quantifier is by itself."""
    assert members(f"ANY {ADMIN} AND ANY {VIEWED}", company(*OFFICE)) == ["g1"]


def test_a94_every_event_of_a_user_counts_for_each_account(members):
    assert members(f"ANY {BOUGHT}", company(track("u2", "Shoes Bought", "d-9", group="g1"))) == ["g1", "g2"]


def test_a90_inside_a_quantifier_traits_and_audiences_are_the_users(groups):
    found = groups(
        company(identify("u1", '{"tier":"gold"}'), track("u1", "E", "d-1"), track("u1", "E", "d-2")),
        audiences={
            "gold": "ANY trait('tier') = 'gold'",
            "business": "ANY trait('tier') = 'business'",
            "often": "ANY trait('times') = 2",
            "active": "ALL trait('regular') = 'true'",
            "none": "ALL trait('regular') = 'false'",
        },
        of_users={"regular": "trait('times') >= 2"},
        user_traits={"times": "event('E').count()"},
    )
    keys = ["gold", "business", "often", "active", "none"]
    assert [found.members(key) for key in keys] == [["g1"], [], ["g1"], [], ["g2"]]


def test_a36_inside_where_a_trait_is_the_users(members):
    text = company(identify("u1", '{"limit":5}'), identify("u2", '{"limit":9}'), track("u1", "E", "d-1", n=7))
    query = "ANY event('E').where(property('n') > trait('limit')).count() = 1"
    assert members(query, text.replace('"seats":20', '"limit":99')) == ["g1"]


def test_a92_links_that_ended_make_no_users(members):
    text = company(track("u1", "Shoes Bought", "d-1"), "group|u2||g2||d-10|||")
    assert members(f"NOT ANY {BOUGHT}", text, rules={"link_ttl": "10 days"}) == ["g1", "g2", "g3"]


def test_i75_users_that_merge_are_one_user(members):
    rows = [
        "group||a1|g4||d-9|||",
        "track||a1||Shoes Bought|d-8|||",
        "identify|u1|a1|||d-7|||",
    ]
    assert members(f"ALL ({BOUGHT} AND trait('role').exists())", company(*rows, identify("u1", '{"role":"x"}'))) == [
        "g4"
    ]


# --- who is a user ----------------------------------------------------------------------------

ANONYMOUS = [track("u1", "E", "d-1"), "group||a1|g1||d-9|||", "group||a1|g4||d-9|||", "group||a2|g4||d-9|||"]
DID = "event('E').count() >= 1"


def test_a73_anonymous_users_do_not_count_by_default(groups):
    found = groups(
        company(*ANONYMOUS, "track||a2||E|d-1|||", track("u2", "E", "d-1")),
        audiences={"any": f"ANY {DID}", "all": f"ALL {DID}", "none": f"NOT ANY {DID}"},
    )
    assert [found.members(key) for key in ("any", "all", "none")] == [["g1", "g2"], ["g1", "g2"], ["g3", "g4"]]


def test_a73_anonymous_users_count_where_the_audience_says_so(groups):
    asked = {"any": f"ANY {DID}", "all": f"ALL {DID}", "none": f"NOT ANY {DID}"}
    found = groups(
        company(*ANONYMOUS, "track||a2||E|d-1|||", track("u2", "E", "d-1")),
        audiences={key: {"query": each, "include_anonymous": True} for key, each in asked.items()},
    )
    assert [found.members(key) for key in asked] == [["g1", "g2", "g4"], ["g2"], ["g3"]]


def test_a73_the_space_says_it_for_audiences_that_do_not(groups):
    found = groups(
        company(*ANONYMOUS, "track||a2||E|d-1|||"),
        audiences={"a": f"ANY {DID}", "b": {"query": f"ANY {DID}", "include_anonymous": False}},
        settings={"include_anonymous": True},
    )
    assert [found.members(key) for key in "ab"] == [["g1", "g4"], ["g1"]]


def test_a73_every_account_can_be_a_member(members):
    assert members("trait('x').absent()", HEADER + "group||a1|g1||d-9|||") == ["g1"]


def test_a73_an_email_makes_a_user_known(members):
    text = HEADER + 'group||a1|g1||d-9|||\nidentify||a1|||d-8|{"email":"e@x.com"}||'
    assert members("ANY trait('email').exists()", text) == ["g1"]


# --- events of the account alone --------------------------------------------------------------


def test_o15_an_audience_may_look_at_the_events_alone_that_name_the_account(groups):
    own = {"query": f"ANY {BOUGHT}", "events_of": "account"}
    rows = [track("u2", "Shoes Bought", "d-9", group="g1"), track("u1", "Shoes Bought", "d-9")]
    found = groups(company(*rows), audiences={"own": own, "all": f"ANY {BOUGHT}"})
    assert [found.members(key) for key in ("own", "all")] == [["g1"], ["g1", "g2"]]


def test_o15_by_the_rule_of_the_id_and_only_for_linked_users(groups):
    own = {"query": f"ANY {BOUGHT}", "events_of": "account"}
    rules = {"identifiers": IDENTIFIERS | {"group_id": {"normalize": "trim_lower"}}}
    rows = [track("u2", "Shoes Bought", "d-9", group=" G2 "), track("u1", "Shoes Bought", "d-9", group="g2")]
    found = groups(company(*rows), audiences={"own": own, "two": dict(own, query=f"ALL {BOUGHT}")}, rules=rules)
    assert [found.members(key) for key in ("own", "two")] == [["g2"], ["g2"]]


def test_o15_all_asks_each_user_for_such_events(members):
    own = {"query": f"ALL NOT {BOUGHT}", "events_of": "account"}
    assert members(own, company(track("u2", "Shoes Bought", "d-9", group="g1"))) == ["g2"]


def test_o15_what_follows_an_event_names_the_account_too(members):
    followed = "ANY event('E').where(event('F').within(parent: 2 days).count() >= 1).count() = 1"
    rows = [
        track("u2", "E", "d-9", group="g1"),
        track("u2", "F", "d-8", group="g2"),
        track("u2", "E", "d-5", group="g2"),
    ]
    rows += [track("u2", "F", "d-4", group="g2")]
    assert members({"query": followed, "events_of": "account"}, company(*rows)) == ["g2"]


def test_o15_it_may_be_written_for_some_events_alone(members):
    query = "ANY (event('E').of_account().count() >= 1 AND event('F').count() >= 1)"
    rows = [track("u2", "E", "d-9", group="g2"), track("u2", "F", "d-9"), track("u1", "E", "d-9", group="g1")]
    assert members(query, company(*rows)) == ["g2"]


@pytest.mark.parametrize(
    "query",
    [
        "ANY event('E').last(property('at')).within_last(30 days)",
        "ANY event('E').where(property('at').after_date(2024-01-01)).count() >= 1",
    ],
)
def test_o15_what_is_compared_with_dates_may_be_of_such_events(groups, query):
    rows = [track("u2", "E", "d-9", group="g2", at='"2024-03-30"'), track("u1", "E", "d-9", group="g1", at='"soon"')]
    found = groups(company(*rows), audiences={"a": {"query": query, "events_of": "account"}})
    assert found.members("a") == ["g2"]
    assert found.table("undated")["count"].to_list() == [1]


def test_o15_traits_of_users_are_as_they_are(members):
    own = {"query": f"ANY (trait('times') = 1 AND NOT {BOUGHT})", "events_of": "account"}
    times = {"times": "event('E').count()"}
    assert members(own, company(track("u2", "E", "d-9", group="g9")), user_traits=times) == ["g1", "g2"]


def test_o16_inside_a_quantifier_a_users_other_accounts_can_be_asked_for(members):
    """Of g1, too: u2 is in g2 as well."""
    assert members("ANY account.trait('tier') = 'trial'", company()) == ["g1", "g2"]


# --- collections are apart --------------------------------------------------------------------


def test_a74_users_are_in_no_audience_of_accounts(members):
    assert members("trait('x').absent()", company(identify("u9", '{"tier":"business"}'))) == ["g1", "g2", "g3"]


def test_a80_accounts_enter_and_leave(groups):
    found = groups(company(), audiences={"a": "ANY trait('x').absent()"}, rules={"link_ttl": "90 days"}, as_of=AS_OF)
    assert found.members("a") == ["g1", "g2"]
    assert set(found.table("changes")["change"]) == {"entered"}
    later = found.again(AS_OF + timedelta(days=1))
    assert later.members("a") == []
    assert later.table("changes")["change"].to_list() == ["exited", "exited"]


# --- refusals, as `check` tells them ----------------------------------------------------------


@pytest.mark.parametrize(
    ("audiences", "of_users", "problem"),
    [
        ({"a": "event('E').count() >= 1"}, {}, "event() belongs to a user, and this is an account; write ANY or ALL"),
        ({"a": "ANY (ALL trait('x') = 1)"}, {}, "ALL cannot stand inside another ANY or ALL"),
        ({"a": "account.trait('x') = 1"}, {}, "this is about accounts already; write trait('…')"),
        ({}, {"a": "ANY trait('x') = 1"}, "ANY belongs in audiences of accounts, and this is about users"),
        ({"a": "trait('u') = 'true'"}, {"u": "trait('x') = 1"}, "'u' is people's; write ANY or ALL before"),
        (
            {"a": "ANY trait('u') = 'true'"},
            {"u": "trait('a') = 'true'"},
            "definitions refer to each other in a ring: a → u → a",
        ),
    ],
)
def test_q26_check_says_what_is_wrong(write, audiences, of_users, problem):
    entries = [f'{key}: {{level: account, query: "{each}"}}\n' for key, each in audiences.items()]
    entries += [f'{key}: {{query: "{each}"}}\n' for key, each in of_users.items()]
    folder = write({"dev/audiences.yaml": "".join(entries)})
    found = CliRunner().invoke(main, ["check", "dev", "--definitions", str(folder)])
    told = " ".join(f"{found.output} {found.exception}".split())
    assert found.exit_code != 0
    assert problem in told
    assert "audiences.yaml:1" in told

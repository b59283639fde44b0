"""Audiences of users by what their accounts are: account.trait(), and audiences of accounts that they name."""

import pytest

from tests.groups import company, identify, track


@pytest.fixture
def users(groups):
    """The users of one audience."""
    return lambda query, text, **more: groups(text, of_users={"a": query}, **more).members("a")


NOBODYS = identify("u9", '{"tier":"business"}')  # a user without an account


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("account.trait('tier') = 'business'", ["u1", "u2"]),
        ("account.trait('tier') = 'trial'", ["u2"]),
        ("account.trait('tier') != 'business'", ["u2"]),
        ("NOT account.trait('tier') = 'trial'", ["u1", "u9"]),
        ("account.trait('seats') > 10", ["u1", "u2"]),
        ("account.trait('seats') <= 3", ["u2"]),
        ("account.trait('tier').exists()", ["u1", "u2"]),
        ("account.trait('tier').absent()", ["u9"]),
        ("account.trait('never').absent()", ["u1", "u2", "u9"]),
        ("account.trait('tier').one_of('trial', 'x')", ["u2"]),
        ("account.trait('tier').none_of('trial', 'x')", ["u1"]),
        ("account.trait('tier').none_of('x')", ["u1", "u2"]),
        ("account.trait('tier').contains('usi')", ["u1", "u2"]),
        ("account.trait('tier').omits('ria')", ["u1", "u9"]),
        ("account.trait('tier').starts_with('tr')", ["u2"]),
        ("account.trait('tier').ends_with('s')", ["u1", "u2"]),
        ("account.trait('tags').contains('b')", ["u1", "u2"]),
        ("trait('tier') = 'business' AND account.trait('tier').absent()", ["u9"]),
        ("'business' = account.trait('tier')", ["u1", "u2"]),
    ],
)
def test_o16_a_trait_of_the_accounts_of_a_user(users, query, expected):
    """Of u1 there is one account, of u2 there are two; u9 has none."""
    assert users(query, company(NOBODYS)) == expected


def test_o16_dates_of_accounts(groups):
    text = company(NOBODYS).replace('"tier":"trial"', '"renewal":"2024-04-05"')
    of_users = {
        "soon": "account.trait('renewal').within_next(14 days)",
        "before": "account.trait('renewal').before_date(2024-04-01)",
    }
    found = groups(text, of_users=of_users)
    assert [found.members(key) for key in of_users] == [["u2"], []]


def test_o16_computed_traits_of_accounts(groups):
    found = groups(
        company(NOBODYS, track("u1", "E", "d-1")),
        traits={"times": "event('E').count()", "last": "event('E').last(property('timestamp'))"},
        of_users={
            "some": "account.trait('times') >= 1",
            "zero": "account.trait('times') = 0",
            "seen": "account.trait('last').exists()",
        },
    )
    assert [found.members(key) for key in ("some", "zero", "seen")] == [["u1", "u2"], ["u2"], ["u1", "u2"]]


def test_o16_audiences_of_accounts_are_true_or_false_of_each(groups):
    found = groups(
        company(NOBODYS),
        audiences={"big": "trait('seats') > 10"},
        of_users={
            "in": "account.trait('big') = 'true'",
            "out": "account.trait('big') = 'false'",
            "never": "NOT account.trait('big') = 'true'",
            "there": "account.trait('big').exists()",
        },
    )
    keys = ["in", "out", "never", "there"]
    assert [found.members(key) for key in keys] == [["u1", "u2"], ["u2"], ["u9"], ["u1", "u2"]]


def test_a33_an_audience_of_accounts_may_be_named_in_one_of_users(groups):
    found = groups(
        company(NOBODYS),
        audiences={"big": "trait('seats') > 10", "small": "trait('seats') <= 10"},
        of_users={
            "of_big": "trait('big') = 'true'",
            "of_none": "trait('big') = 'false'",
            "not_big": "NOT trait('big') = 'true'",
            "not_small": "trait('small') != 'true'",
            "known": "trait('big').exists()",
        },
    )
    keys = ["of_big", "of_none", "not_big", "not_small", "known"]
    assert [found.members(key) for key in keys] == [["u1", "u2"], ["u9"], ["u9"], ["u1", "u9"], ["u1", "u2", "u9"]]


def test_a61_references_cross_levels_in_one_run(groups):
    """Of users, by accounts, by users again."""
    found = groups(
        company(NOBODYS, track("u1", "E", "d-1")),
        audiences={"lively": "ANY trait('active') = 'true'", "dull": "trait('lively') = 'false'"},
        of_users={
            "active": "event('E').count() >= 1",
            "colleagues": "trait('lively') = 'true' AND trait('active') = 'false'",
        },
    )
    keys = ["lively", "dull", "active", "colleagues"]
    assert [found.members(key) for key in keys] == [["g1"], ["g2", "g3"], ["u1"], ["u2"]]


def test_o16_anonymous_users_have_accounts_too(users):
    text = company("group||a1|g1||d-9|||")
    asked = {"query": "account.trait('tier') = 'business'", "include_anonymous": True}
    assert users(asked, text) == ["a1", "u1", "u2"]


def test_o16_a_link_that_ended_shows_no_account(users):
    text = company("group|u2||g1||d-9|||")
    assert users("account.trait('tier') = 'business'", text, rules={"link_ttl": "10 days"}) == ["u2"]


# --- collections are apart --------------------------------------------------------------------


def test_a74_accounts_are_in_no_audience_of_users(users):
    asked = {"query": "event('Never').count() = 0", "include_anonymous": True}
    assert users(asked, company("group||a1|g1||d-9|||")) == ["a1", "u1", "u2"]

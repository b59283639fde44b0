"""The oracle of accounts against results that were worked out by hand; nothing of the engine is used here."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from populace.nodes import (
    Absent,
    AccountTrait,
    And,
    Compare,
    Contains,
    Count,
    Event,
    Exists,
    Literal,
    NoneOf,
    Not,
    OneOf,
    Quantified,
    Sum,
    TraitValue,
)
from tests.generative.account_oracle import People, World
from tests.generative.by_hand import X, at_least_one
from tests.tables import AS_OF

DID = at_least_one("E")


def call(kind, days_ago, user=None, **more):
    usual = {"type": kind, "event": "E", "user": user, "anonymous": None, "group": None, "context_group": None}
    instant = AS_OF - timedelta(days=days_ago)
    usual |= {"source": "web", "timestamp": instant, "received_at": instant, "traits": None, "p": {}}
    return usual | more


def group(account, days_ago, user="u1", **more):
    return call("group", days_ago, user, group=account, **more)


def track(user, days_ago, **more):
    return call("track", days_ago, user, **more)


def audience(query, level="account", *, key="a", include_anonymous=None, events_of="users"):
    return SimpleNamespace(key=key, query=query, level=level, include_anonymous=include_anonymous, events_of=events_of)


def trait(query, level="account", *, key="t", events_of="users"):
    return SimpleNamespace(key=key, query=query, level=level, events_of=events_of)


def world(*calls, defined=(), **rules):
    numbered = [each | {"message_id": f"m{number}"} for number, each in enumerate(calls)]
    return World(People(numbered, **rules), defined, AS_OF)


def user(name, id_type="user_id"):
    return frozenset({(id_type, name)})


# --- accounts and links -----------------------------------------------------------------------


def test_accounts_and_links_are_made_by_group_calls():
    found = world(
        group(" g1 ", 3), group("g2", 4), group("g1", 5, "u2"), group("null", 2), group("g3", 1, "anonymous"),
        group("g4", -1), track("u1", 1, context_group="g5"),
    )  # fmt: skip
    assert list(found.accounts) == ["g1", "g2", "g3"]
    assert set(found.links) == {(user("u1"), "g1"), (user("u1"), "g2"), (user("u2"), "g1")}


def test_a_context_makes_them_too_where_it_may():
    found = world(track("u1", 1, context_group="g5"), from_context=True)
    assert (list(found.accounts), set(found.links)) == (["g5"], {(user("u1"), "g5")})


@pytest.mark.parametrize(("days", "is_linked"), [(10, True), (10 + 1 / 86_400e6, False), (3, True)])
def test_a_link_ends_after_its_last_call(days, is_linked):
    found = world(group("g1", 20), group("g1", days), ttl=timedelta(days=10))
    assert set(found.links) == ({(user("u1"), "g1")} if is_linked else set())
    assert list(found.accounts) == ["g1"]


def test_users_that_merge_unite_their_links():
    found = world(
        group("g1", 5), group("g2", 4, None, anonymous="a1"), call("identify", 1, "u1", anonymous="a1"),
    )  # fmt: skip
    both = frozenset({("user_id", "u1"), ("anonymous_id", "a1")})
    assert set(found.links) == {(both, "g1"), (both, "g2")}


def test_custom_traits_of_accounts_are_the_newest():
    found = world(
        group("g1", 2, traits={"x": 1, "y": 1}), group("g1", 1, "u2", traits={"x": None}),
        group("g1", 3, traits={"x": 3, "z": 3}), call("identify", 1, "u1", traits={"x": 9}),
    )  # fmt: skip
    assert found.custom_values() == {"g1": {"y": 1, "z": 3}, user("u1"): {"x": 9}}


# --- computed traits --------------------------------------------------------------------------

TWO = [group("g1", 9), group("g1", 9, "u2"), group("g2", 9, "u2"), group("g3", 9, "anonymous")]


@pytest.mark.parametrize(
    ("events_of", "expected"), [("users", {"g1": 7.0, "g2": 6.0}), ("account", {"g1": 2.0, "g2": 4.0})]
)
def test_a_trait_is_over_the_events_of_all_users_or_of_those_that_name_the_account(events_of, expected):
    events = [
        track("u1", 3, p={"x": 1}, context_group="g2"),
        track("u2", 2, p={"x": 2}, context_group="g1"),
        track("u2", 1, p={"x": 4}, context_group=" g2 "),
    ]
    found = world(*TWO, *events, defined=[trait(Sum(Event("E"), X), events_of=events_of)])
    assert found.values("t") == expected


# --- audiences --------------------------------------------------------------------------------


def any_of(term):
    return Quantified("ANY", term)


def all_of(term):
    return Quantified("ALL", term)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (any_of(DID), {"g1"}),
        (all_of(DID), set()),
        (all_of(Not(DID)), {"g2"}),
        (Not(any_of(DID)), {"g2", "g3"}),
        (Not(all_of(DID)), {"g1", "g2", "g3"}),
        (And((any_of(DID), any_of(Not(DID)))), {"g1"}),
        (any_of(And((DID, Not(DID)))), set()),
        (any_of(Compare(TraitValue("x"), "=", Literal(5))), {"g1"}),
        (Compare(TraitValue("x"), "=", Literal(7)), {"g2"}),
        (any_of(Compare(AccountTrait("x"), "=", Literal(7))), {"g1", "g2"}),
    ],
)
def test_quantifiers(query, expected):
    calls = [*TWO, track("u1", 1), call("identify", 1, "u1", traits={"x": 5}), group("g2", 1, "u2", traits={"x": 7})]
    assert world(*calls, defined=[audience(query)]).members("a") == expected


@pytest.mark.parametrize(
    ("own", "of_space", "expected"), [(None, False, {"g2"}), (None, True, set()), (True, False, set())]
)
def test_anonymous_users_count_where_it_is_said(own, of_space, expected):
    calls = [group("g1", 1, None, anonymous="a1"), group("g2", 1), group("g2", 1, None, anonymous="a1"), track("u1", 1)]
    defined = [audience(all_of(DID), include_anonymous=own)]
    assert world(*calls, defined=defined, include_anonymous=of_space).members("a") == expected


def test_events_that_name_the_account_alone():
    calls = [*TWO, track("u2", 1, context_group="g2"), track("u1", 1)]
    assert world(*calls, defined=[audience(any_of(DID), events_of="account")]).members("a") == {"g2"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Compare(AccountTrait("x"), "=", Literal(1)), {"u2"}),
        (Compare(AccountTrait("x"), "!=", Literal(1)), {"u1", "u2"}),
        (Not(Compare(AccountTrait("x"), "=", Literal(1))), {"u1", "u3"}),
        (Compare(Literal(0), "<", AccountTrait("x")), {"u2"}),
        (Exists(AccountTrait("x")), {"u1", "u2"}),
        (Absent(AccountTrait("x")), {"u3"}),
        (OneOf(AccountTrait("x"), (Literal(1), Literal(9))), {"u2"}),
        (NoneOf(AccountTrait("x"), (Literal(1), Literal(9))), {"u1"}),
        (Contains(AccountTrait("x"), (Literal("b"),)), {"u1", "u2"}),
        (Contains(AccountTrait("l"), (Literal("b"),)), {"u1", "u2"}),
        (OneOf(Literal(1), (AccountTrait("x"),)), {"u2"}),
        (Compare(AccountTrait("n"), "=", Literal(0)), {"u2"}),
        (Compare(AccountTrait("k"), "=", Literal("true")), {"u1", "u2"}),
        (Compare(AccountTrait("k"), "=", Literal("false")), {"u2"}),
        (Compare(TraitValue("k"), "=", Literal("false")), {"u3"}),
        (Not(Compare(TraitValue("k"), "=", Literal("true"))), {"u3"}),
    ],
)
def test_of_several_accounts_one_is_enough(query, expected):
    """The account of u1 has "b", another one of u2 has 1, and u2 alone is in both."""
    calls = [group("g1", 2, traits={"x": "b", "l": ["b", 2]}), group("g1", 2, "u2")]
    calls += [group("g2", 2, "u2", traits={"x": 1}), track("u1", 1), call("identify", 1, "u3")]
    defined = [audience(query, "user"), audience(any_of(DID), key="k"), trait(Count(Event("E")), key="n")]
    found = world(*calls, defined=defined).members("a")
    assert {name for each in found for _, name in each} == expected

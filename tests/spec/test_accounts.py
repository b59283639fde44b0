"""Accounts: what makes them, who is linked to them, and which traits they have."""

from datetime import timedelta

import polars as pl

from populace import identity
from tests.graphs import calls
from tests.groups import IDENTIFIERS
from tests.tables import AS_OF, instant

FROM_CONTEXT = {"link_from_context_group_id": True}
JUST_BEFORE = "2024-03-21T11:59:59.999999"  # a microsecond more than ten days before AS_OF
COUNT = "event('E').count()"
SUM = "event('E').sum(property('n'))"


def account_id(name):
    return identity.profile_id("accounts", "group_id", name)


def named(context_group):
    return f'{{"groupId":"{context_group}"}}'


# --- which accounts there are ----------------------------------------------------------------


def test_i70_a_group_call_makes_an_account(groups):
    found = groups(
        calls("type|user_id|timestamp\ngroup|u1|d-2\ngroup|u2|d-3").with_columns(
            group_id=pl.Series(["Acme", " Acme "]),
        )
    )
    assert account_id("Acme").startswith("acc_")
    profiles = found.table("profiles").filter(collection="accounts")
    assert profiles.rows() == [(account_id("Acme"), "accounts", instant("d-3"))]
    (row,) = found.table("external_ids").filter(collection="accounts").rows(named=True)
    assert row == {
        "profile_id": account_id("Acme"),
        "collection": "accounts",
        "id_type": "group_id",
        "id_value": "Acme",
        "raw_value": " Acme ",
        "added_at": instant("d-3"),
        "message_id": "e2",
        "source": "web",
    }


def test_i70_an_account_goes_by_its_normalised_id_and_keeps_how_it_was_first_written(groups):
    rules = {"identifiers": IDENTIFIERS | {"group_id": {"normalize": "trim_lower"}}}
    found = groups("type|user_id|group_id|timestamp\ngroup|u1|acme|d-2\ngroup|u2|ACME|d-3", rules=rules)
    ids = found.table("external_ids").filter(collection="accounts")
    assert ids.select("id_value", "raw_value", "message_id").rows() == [("acme", "ACME", "e2")]
    assert found.accounts() == ["acme"]


def test_i70_letters_tell_accounts_apart_by_default(groups):
    assert groups("type|user_id|group_id\ngroup|u1|acme\ngroup|u1|Acme").accounts() == ["acme", "Acme"]


def test_i70_an_account_is_made_by_its_first_call_in_the_order_of_events(groups):
    found = groups("type|user_id|group_id|timestamp\ngroup|u1|b|d-1\ngroup|u1|a|d-2\ngroup|u1|b|d-3")
    assert found.accounts() == ["b", "a"]
    created = found.table("profiles").filter(collection="accounts")
    assert dict(created.select("profile_id", "created_at").rows()) == {
        account_id("a"): instant("d-2"),
        account_id("b"): instant("d-3"),
    }


def test_e27_of_two_calls_at_one_instant_the_smaller_message_id_comes_first(groups):
    rules = {"identifiers": IDENTIFIERS | {"group_id": {"normalize": "trim_lower"}}}
    found = groups("type|user_id|group_id|timestamp\ngroup|u1|ACME|d-2\ngroup|u2|acme|d-2", rules=rules)
    ids = found.table("external_ids").filter(collection="accounts")
    assert ids.select("raw_value", "message_id").rows() == [("ACME", "e1")]


def test_i11_a_blocked_id_makes_no_account(groups):
    rules = {"identifiers": IDENTIFIERS | {"group_id": {"blocked": ["demo", "^test-"]}}}
    text = "type|user_id|group_id\ngroup|u1|null\ngroup|u1|000\ngroup|u1|demo\ngroup|u1|test-7\ngroup|u1|real"
    found = groups(text, rules=rules)
    assert found.accounts() == ["real"]
    assert found.links() == [("u1", "real")]


def test_i70_what_comes_after_as_of_does_not_exist(groups):
    found = groups("type|user_id|group_id|timestamp\ngroup|u1|g1|d-3\ngroup|u1|g2|d+1")
    assert found.accounts() == ["g1"]
    assert found.again(AS_OF + timedelta(days=1)).accounts() == ["g1", "g2"]


def test_i70_an_account_of_nobody_is_there_all_the_same(groups):
    found = groups('type|user_id|group_id|traits\ngroup|anonymous|g1|{"plan":"pro"}')
    assert found.accounts() == ["g1"]
    assert found.links() == []
    assert found.custom() == {"g1": {"plan": "pro"}}


def test_i70_an_account_is_no_user_that_is_called_like_it(groups):
    found = groups("type|user_id|group_id\ngroup|acme|acme")
    assert found.table("profiles")["collection"].sort().to_list() == ["accounts", "users"]
    assert found.table("links").select("profile_id", "account_id").rows() == [
        (identity.profile_id("users", "user_id", "acme"), account_id("acme"))
    ]


def test_i72_the_email_of_a_group_is_no_identifier(groups):
    text = "type|user_id|group_id|email\ngroup|u1|g1|office@x.com\ngroup|u2|g1|office@x.com\nidentify|u3||office@x.com"
    found = groups(text)
    assert found.table("external_ids").filter(id_type="email").height == 1
    assert found.links() == [("u1", "g1"), ("u2", "g1")]
    assert found.custom()["g1"] == {"email": "office@x.com"}


# --- links -----------------------------------------------------------------------------------


def test_i71_users_and_accounts_are_linked_many_to_many(groups):
    text = "type|user_id|group_id|timestamp\ngroup|u1|g1|d-3\ngroup|u2|g1|d-2\ngroup|u1|g2|d-1\ngroup|u1|g1|d-4"
    found = groups(text)
    assert found.links() == [("u1", "g1"), ("u1", "g2"), ("u2", "g1")]
    links = found.table("links").filter(account_id=account_id("g1")).sort("linked_at")
    assert links.select("linked_at", "message_id").rows() == [(instant("d-4"), "e4"), (instant("d-2"), "e2")]


def test_i71_the_user_may_be_known_by_anything(groups):
    text = "type|user_id|anonymous_id|group_id\ngroup||a1|g1\ngroup|u2||g1\nidentify|u1|a1|"
    assert groups(text).links() == [("a1", "g1"), ("u2", "g1")]


def test_i73_links_stay_by_default(groups):
    assert groups("type|user_id|group_id|timestamp\ngroup|u1|g1|d-300").links() == [("u1", "g1")]


def test_i73_a_link_ends_when_its_last_call_is_longer_ago_than_the_ttl(groups):
    text = f"type|user_id|group_id|timestamp\ngroup|u1|g1|d-10\ngroup|u2|g1|{JUST_BEFORE}\ngroup|u3|g2|d-300"
    found = groups(text, rules={"link_ttl": "10 days"})
    assert found.links() == [("u1", "g1")]
    assert found.accounts() == ["g2", "g1"]


def test_i73_a_later_call_keeps_a_link_as_old_as_it_is(groups):
    text = "type|user_id|group_id|timestamp\ngroup|u1|g1|d-50\ngroup|u1|g1|d-9\ngroup|u1|g1|d+1"
    found = groups(text, rules={"link_ttl": "10 days"})
    assert found.table("links").select("linked_at", "message_id").rows() == [(instant("d-50"), "e1")]


def test_i74_the_group_of_a_context_makes_no_link_by_default(groups):
    found = groups(f"type|user_id|context\ntrack|u1|{named('g1')}\nidentify|u1|{named('g1')}")
    assert (found.accounts(), found.links()) == ([], [])


def test_i74_the_group_of_a_context_may_make_accounts_and_links(groups):
    text = f"""
        type     | user_id   | group_id | context       | timestamp
        track    | u1        |          | {named("g1")} | d-5
        page     | anonymous |          | {named("g2")} | d-4
        identify | u2        |          | {named("g1")} | d-3
        group    | u1        | g1       |               | d-6
        track    | u1        |          | {named("null")} | d-2
    """
    found = groups(text, rules=FROM_CONTEXT)
    assert found.accounts() == ["g1", "g2"]
    assert found.links() == [("u1", "g1"), ("u2", "g1")]
    assert sorted(found.table("links")["message_id"]) == ["e3", "e4"]


def test_i74_an_account_may_be_made_by_a_context_first(groups):
    text = f"type|user_id|group_id|context|timestamp\ngroup|u1|g1||d-3\ntrack|u1||{named('g1')}|d-5"
    found = groups(text, rules=FROM_CONTEXT)
    ids = found.table("external_ids").filter(collection="accounts")
    assert ids.select("added_at", "message_id").rows() == [(instant("d-5"), "e2")]
    assert found.table("links")["message_id"].to_list() == ["e2"]


def test_i73_calls_that_name_a_group_in_their_context_keep_a_link(groups):
    text = f"type|user_id|group_id|context|timestamp\ngroup|u1|g1||d-50\ntrack|u1||{named('g1')}|d-5"
    assert groups(text, rules={"link_ttl": "10 days", **FROM_CONTEXT}).links() == [("u1", "g1")]


def test_i75_users_that_merge_unite_their_links(groups):
    text = """
        type     | user_id | anonymous_id | group_id | timestamp
        group    | u1      |              | g1       | d-9
        group    |         | a1           | g2       | d-8
        group    |         | a1           | g1       | d-10
        identify | u1      | a1           |          | d-1
    """
    found = groups(text)
    assert found.table("links").group_by("profile_id").len()["len"].to_list() == [2]
    first = found.table("links").filter(account_id=account_id("g1"))
    assert first.select("linked_at", "message_id").rows() == [(instant("d-10"), "e3")]


def test_i75_accounts_never_merge(groups):
    found = groups("type|user_id|group_id\ngroup|u1|g1\ngroup|u1|g2\ngroup|u2|g1\ngroup|u2|g2")
    assert found.accounts() == ["g1", "g2"]
    assert found.table("merges").height == 0


# --- custom traits ---------------------------------------------------------------------------


def test_t1_the_newest_trait_of_an_account_wins_by_event_time(groups):
    text = """
        type  | user_id | group_id | timestamp | traits
        group | u1      | g1       | d-1       | {"plan":"pro"}
        group | u2      | g1       | d-2       | {"plan":"free","seats":7}
        group | u1      | g2       | d-9       | {"plan":"trial"}
        group | u1      | g2       | d+9       | {"plan":"later"}
    """
    assert groups(text).custom() == {"g1": {"plan": "pro", "seats": 7}, "g2": {"plan": "trial"}}


def test_t2_null_removes_a_trait_of_an_account(groups):
    text = """
        type  | user_id | group_id | timestamp | traits
        group | u1      | g1       | d-3       | {"plan":"pro","city":"Oslo","tags":["a"]}
        group | u1      | g1       | d-2       | {"plan":null,"city":""}
    """
    assert groups(text).custom() == {"g1": {"city": "", "tags": ["a"]}}


def test_t5_an_object_of_an_account_is_replaced_as_a_whole(groups):
    text = """
        type  | user_id | group_id | timestamp | traits
        group | u1      | g1       | d-3       | {"address":{"city":"Oslo","zip":"0150"}}
        group | u1      | g1       | d-2       | {"address":{"city":"Rome"}}
    """
    assert groups(text).custom() == {"g1": {"address": {"city": "Rome"}}}


def test_t1_a_trait_of_an_account_says_when_and_from_where_it_is(groups):
    found = groups('type|user_id|group_id|timestamp|traits\ngroup|u1|g1|d-3|{"plan":"pro"}').table("custom_traits")
    assert found.rows() == [(account_id("g1"), "plan", '"pro"', instant("d-3"), "web")]


def test_t1_traits_of_users_and_of_accounts_are_apart(groups):
    text = """
        type     | user_id | group_id | context        | traits
        group    | u1      | g1       |                | {"plan":"pro"}
        identify | u1      |          | {"groupId":"g1"} | {"plan":"free"}
        group    | u1      | g1       | {"traits":{"plan":"none"}} | {}
    """
    assert groups(text, rules=FROM_CONTEXT).custom() == {"g1": {"plan": "pro"}, "u1": {"plan": "free"}}


def test_t1_the_rule_of_the_id_holds_for_traits_too(groups):
    rules = {"identifiers": IDENTIFIERS | {"group_id": {"normalize": "trim_lower", "blocked": ["demo"]}}}
    text = """
        type  | user_id | group_id | traits
        group | u1      | ACME     | {"plan":"pro"}
        group | u1      | acme     | {"seats":3}
        group | u1      | Demo     | {"plan":"demo"}
    """
    assert groups(text, rules=rules).custom() == {"acme": {"plan": "pro", "seats": 3}}


# --- what does not change --------------------------------------------------------------------


def test_a_company_without_groups_has_empty_tables(groups):
    found = groups("user_id\nu1", traits={"t": COUNT}, audiences={"a": "NOT ANY trait('x').exists()"})
    assert found.table("links").schema == {
        "profile_id": pl.String, "account_id": pl.String, "linked_at": pl.Datetime("us", "UTC"),
        "message_id": pl.String,
    }  # fmt: skip
    assert (found.accounts(), found.values("t"), found.members("a")) == ([], {}, [])

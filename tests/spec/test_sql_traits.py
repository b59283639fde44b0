"""SQL traits: what the rows of a statement give people, and accounts (T-30 to T-47)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from populace import query
from populace.definitions import Audience, Delivery, Destination, Family, Place
from populace.destinations import ADAPTERS
from populace.errors import StatementError, UsageError
from populace.lake import runs
from populace.loading import computed
from populace.space import families, graphs, previews, recompute, showing, sql_previews, unknown
from tests import driving
from tests.shops import AT, TICK, entry, over_lake
from tests.slicing import NOON, called
from tests.tables import AS_OF


def test_t36_traits_are_called_like_the_columns_and_stand_beside_computed_ones(shop):
    found = shop(entry(), traits={"revenue": "event('Order Completed').sum(property('total'))"})
    found.answer("user_id | ltv | tier\n u1 | 30.5 | gold\n u2 | | ")
    found.run()
    assert found.values("revenue", "ltv", "tier") == {
        "u1": (20, 30.5, "gold"), "u2": (7.5, None, None), "a1": (1, None, None),
    }  # fmt: skip
    assert found.table("sql_traits").rows() == [("orders", "ltv", "Float64"), ("orders", "tier", "String")]
    assert found.counts() == {"rows": 2, "known": 2}


def test_t36_audiences_read_columns_and_are_no_slip(shop):
    queries = {"gold": "trait('tier') = 'gold'", "rich": "trait('ltv') > 20", "not_rich": "NOT trait('ltv') > 20"}
    found = shop(entry(), audiences=queries)
    found.answer("user_id | ltv | tier\n u1 | 30.5 | gold\n u2 | 3 | silver")
    found.run()
    assert runs.manifest(found.space.lake, found.run_id)["audiences"] == {"gold": 1, "not_rich": 1, "rich": 1}
    run = recompute.reopen(found.space, found.run_id, strict=False)
    assert unknown.in_definitions(families.of_run(found.space, found.run_id), run) == []
    assert previews.preview(found.space, text="trait('tier') = 'gold'").count == 1
    assert previews.preview(found.space, text="trait('orders') = 'gold'").unknown == [
        "'orders' comes from SQL and has no column of that name; name one of its columns"
    ]


def test_t38_t39_columns_go_where_their_entry_goes_and_whoever_is_gone_has_no_value(shop):
    found = shop(entry(deliveries=(Delivery("crm"),)), destinations=(Destination("crm", "webhook"),))
    found.answer("user_id | ltv\n u1 | 1\n u2 | 2")
    found.run()
    found.answer("user_id | ltv\n u2 | 2", TICK + timedelta(hours=12))
    found.run(AS_OF + timedelta(hours=12))
    assert found.values("ltv") == {"u2": (2,)}
    (told,) = families.of_run(found.space, found.run_id).definition.sql_traits
    assert (told.key, told.deliveries, told.level) == ("ltv", (Delivery("crm"),), "user")


def test_t40_a_row_of_nobody_makes_a_person_who_goes_when_the_row_goes(shop):
    found = shop(entry(), audiences={"all": "trait('ltv') > 0"})
    found.answer("email | ltv\n New@x.org | 5\n ADA@x.org | 6")
    found.run()
    assert found.counts() == {"rows": 2, "known": 1, "created": 1}
    made = found.who("new@x.org")
    assert made["profile_id"].startswith("use_")
    assert (made["added_at"], made["source"], made["message_id"]) == (TICK, "@sql", "sql:orders")
    assert found.table("profiles").filter(profile_id=made["profile_id"]).row(0) == (made["profile_id"], "users", TICK)
    assert found.table("profiles").get_column("profile_id").is_sorted()
    assert made["profile_id"] in found.table("memberships").get_column("profile_id")
    assert showing.show(found.space, "email", "new@x.org")["traits"] == {"ltv": 5}

    found.answer("email | ltv\n ADA@x.org | 6", TICK + timedelta(hours=12))
    found.run(AS_OF + timedelta(hours=12))
    assert "new@x.org" not in found.table("external_ids").get_column("id_value")
    assert found.table("retired").rows() == [(made["profile_id"], None)]


def test_t40_a_person_of_a_statement_stays_the_same_when_an_event_comes(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u9 | 5")
    made = found.run().who("u9")["profile_id"]
    found.run(AS_OF + timedelta(hours=1))
    assert found.table("retired").is_empty()
    later = {"message_id": "x", "user_id": "u9", "received_at": NOON, "type": "track", "event": "E"}
    driving.put(found.space, "web", "b", called(later))
    driving.replay_all(found.space, AS_OF)
    found.run(AS_OF + timedelta(hours=2))
    assert (found.who("u9")["profile_id"], found.who("u9")["source"]) == (made, "web")
    assert found.counts() == {"rows": 1, "known": 1}


def test_t40_two_statements_make_one_person(shop):
    found = shop(entry("a"), entry("b"))
    found.answer("user_id | x\n u9 | 1", TICK, "a")
    found.answer("user_id | y\n u9 | 2\n u8 | 3", TICK - timedelta(hours=12), "b")
    found.run()
    assert found.values("x", "y") == {"u9": (1, 2), "u8": (None, 3)}
    assert found.who("u9")["message_id"] == "sql:b"


def test_of_several_rows_of_one_person_the_identifier_that_sorts_first_counts(shop):
    found = shop(entry())
    found.answer("email | ltv\n lovelace@x.org | 1\n ada@x.org | 2")
    found.run()
    assert found.values("ltv") == {"u1": (2,)}
    assert found.counts() == {"rows": 2, "known": 1, "repeated": 1}


def test_accounts_have_values_of_their_own(shop):
    found = shop(entry(level="account"))
    found.answer("group_id | seats\n g1 | 5\n null | 6")
    found.run()
    (row,) = found.table("external_ids").filter(source="@sql").rows(named=True)
    assert (row["collection"], row["id_type"], row["id_value"]) == ("accounts", "group_id", "g1")
    assert row["profile_id"].startswith("acc_")
    assert found.counts() == {"rows": 2, "created": 1, "blocked": 1}


def test_audiences_of_accounts_and_of_their_people_read_the_columns_of_accounts(shop):
    found = shop(entry(level="account"))
    audiences = (
        Audience("large", query.parse_audience("trait('seats') > 4", "accounts"), level="account"),
        Audience("in_large", query.parse_audience("account.trait('seats') > 4")),
    )
    found.space = replace(found.space, definition=replace(found.space.definition, audiences=audiences))
    member = {"message_id": "g", "user_id": "u1", "type": "group", "group_id": "g1", "received_at": NOON}
    driving.put(found.space, "web", "g", called(member))
    driving.replay_all(found.space, AS_OF)
    found.answer("group_id | seats\n g1 | 5\n g2 | 6\n g3 | 1")
    found.run()
    manifest = runs.manifest(found.space.lake, found.run_id)
    assert manifest["audiences"] == {"large": 2, "in_large": 1}
    assert manifest["of_accounts"] == ["large", "seats"]
    assert found.counts() == {"rows": 3, "known": 1, "created": 2}


@pytest.mark.parametrize(
    ("queries", "told"),
    [
        ({"a": ("trait('ltv') = 1", "account")}, "'ltv' is people's; write ANY or ALL before the condition"),
        ({"a": ("trait('seats') >= 5", "user")}, "'seats' is a trait of accounts; write account.trait('seats')"),
        ({"a": ("account.trait('ltv') >= 1", "user")}, "'ltv' is people's; write trait('ltv')"),
        ({"a": ("ANY trait('seats') >= 5", "account")}, "'seats' is a trait of accounts; write account.trait"),
    ],
)
def test_columns_that_are_read_of_whom_they_are_not_about_are_refused(shop, queries, told):
    found = shop(entry("a1", level="account"), entry("b1"))
    audiences = tuple(
        Audience(key, query.parse_audience(text, computed.VIEWPOINTS[level]), level=level, at=AT)
        for key, (text, level) in queries.items()
    )
    found.space = replace(found.space, definition=replace(found.space.definition, audiences=audiences))
    found.answer("group_id | seats\n g1 | 5", TICK, "a1")
    found.answer("user_id | ltv\n u1 | 5", TICK, "b1")
    assert f"traits.yaml:7: 'a': {told}" in found.refused()


@pytest.mark.parametrize(
    ("text", "level", "told"),
    [
        ("trait('ltv') = 1", "account", "'ltv' is people's; write ANY or ALL"),
        ("ANY trait('seats') >= 5", "account", "'seats' is a trait of accounts"),
        ("event('E').count() >= 1", "account", "ANY or ALL"),
    ],
)
def test_a_preview_says_whose_a_trait_is(shop, text, level, told):
    found = shop(entry("a1", level="account"), entry("b1"))
    found.answer("group_id | seats\n g1 | 5", TICK, "a1")
    found.answer("user_id | ltv\n u1 | 5", TICK, "b1")
    found.run()
    with pytest.raises(UsageError, match=told):
        previews.preview(found.space, text=text, level=level)


def test_the_manifest_is_json(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1")
    assert json.dumps(runs.manifest(found.run().space.lake, found.run_id)["sql"])


def test_the_lab_of_identity_leaves_people_and_audiences_of_sql_out(shop, tmp_path):
    found = shop(entry(), audiences={"rich": "trait('ltv') > 1", "buyers": "event('Order Completed').count() = 0"})
    found.answer("user_id | ltv\n u9 | 5")
    found.run()
    rules = tmp_path / "rules.yaml"
    rules.write_text("identifiers: {user_id: {}, email: {}, anonymous_id: {}, app_id: {from: app_id}}")
    tried = graphs.trial(found.space, rules)
    assert tried.before == tried.after
    assert tried.audiences == [{"audience": "buyers", "before": 0, "after": 0}]
    assert runs.manifest(found.space.lake, found.run_id)["audiences"] == {"buyers": 1, "rich": 1}


# --- nothing is published -----------------------------------------------------------------------------


def test_t46_a_column_that_is_something_else_is_an_error_that_names_both(shop):
    flags = Family("flags", query.parse_field("property('mixed')"),
                   query.parse_trait("event('Order Completed').count()"), 9, at=Place("traits.yaml", 3))  # fmt: skip
    found = shop(
        entry(), entry("more"), traits={"ltv": "event('E').count()"}, audiences={"a": "trait('x') = 1"},
        families=(flags,),
    )  # fmt: skip
    found.answer("user_id | ltv | a | flags | two | more | same\n u1 | 1 | 1 | 1 | 1 | 1 | 1")
    found.answer("user_id | same\n u1 | 1", key="more")
    assert found.refused().splitlines() == [
        f"traits.yaml:7: 'orders': its column '{each}' is also {other}; call one of them otherwise"
        for each, other in [
            ("ltv", "'ltv' at :0"),
            ("a", "'a' at :0"),
            ("flags", "'flags' at traits.yaml:3"),
            ("two", "'two' at traits.yaml:3"),
            ("more", "'more' at traits.yaml:7"),
            ("same", "a column of 'more' at traits.yaml:7"),
        ]
    ]


def test_t47_a_row_that_breaks_a_rule_stops_the_run_and_names_the_entry(shop):
    found = shop(over_lake("select 'u1' as user_id, 1 as x union all select ' u1 ', 2"))
    told = found.refused(StatementError)
    assert told.startswith("traits.yaml:7: 'orders': 1 of 2 rows have the user_id of another row")


def test_columns_that_conditions_on_events_read_are_refused(shop):
    audiences = {"a": "event('Order Completed').where(property('total') > trait('b')).count() >= 1"}
    audiences["b"] = "trait('ltv') > 1"
    found = shop(entry(), audiences=audiences)
    found.answer("user_id | ltv\n u1 | 1")
    assert "'a' compares events with 'ltv', a column of 'orders', which is known only after" in found.refused()


def test_a_column_that_says_who_somebody_is_over_there_is_refused(shop):
    crm = Destination("crm", "hubspot")
    found = shop(entry(deliveries=(Delivery("crm"),)), destinations=(crm,))
    name = min(ADAPTERS["hubspot"].ABOUT.reserved - {"email", "user_id"})
    found.answer(f"user_id | {name}\n u1 | 1")
    assert f"its column '{name}' says who somebody is to HubSpot" in found.refused()


# --- looking first ------------------------------------------------------------------------------------


def test_t42_a_preview_says_whom_the_run_knows(shop):
    found = shop(over_lake("select 'u1' as user_id, 5 as ltv union all select 'u9', 6 union all select '-1', 7"))
    found.run()
    before = {each.path for each in found.space.lake.list("")}
    (statement,) = found.space.definition.sql
    told = sql_previews.of_lake(found.space, statement)
    assert told.columns == {"user_id": "String", "ltv": "Int64"}
    assert told.counts == {"rows": 3, "known": 1, "unknown": 1, "blocked": 1, "too_large": 0}
    assert told.sample == [
        {"@known": "✓", "user_id": "u1", "ltv": 5}, {"@known": "?", "user_id": "u9", "ltv": 6},
    ]  # fmt: skip
    assert {each.path for each in found.space.lake.list("")} == before

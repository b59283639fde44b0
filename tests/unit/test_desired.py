"""What a destination should hold, and by which identifiers people are told to it."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from populace import sync
from populace.definitions import Audience, Delivery, Known
from populace.nodes import Exists, Property
from tests.states import (
    BUYERS,
    NEWEST,
    PEOPLE,
    PLAN,
    actions,
    desired,
    external_ids,
    forgotten,
    members,
    state,
    traits,
    wanted,
)


def test_only_what_is_delivered_to_the_destination_is_desired():
    table = traits(plan=["gold", None], secret_score=["1", "2"])
    assert wanted(table, buyers=["p2"], strangers=["p1"]) == [
        ("buyers", "email", "bo@x.org", "true"),
        ("plan", "user_id", "ann", '"gold"'),
    ]


def test_a_definition_that_the_run_does_not_know_yet_has_no_rows():
    assert wanted(traits(plan=[None])) == []


def test_a_profile_without_identifier_is_counted_and_not_sent():
    people = external_ids(("p1", "anonymous_id", "a1", 1, "m1"))
    assert wanted(traits(plan=["gold"]), people) == [("plan", None, None, None)]


def test_identifier_of_another_collection_does_not_count():
    accounts = PEOPLE.with_columns(collection=pl.lit("accounts"))
    assert wanted(traits(plan=["gold"]), accounts) == [("plan", None, None, None)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("email", "new@x.org", 9, "m9"), ("user_id", "old", 1, "m1")], "old"),
        ([("user_id", "early", 1, "m9"), ("user_id", "late", 2, "m1")], "late"),
        ([("user_id", "first", 1, "m1"), ("user_id", "second", 1, "m2")], "second"),
        ([("user_id", "b", 1, "m1"), ("user_id", "a", 1, "m1")], "a"),
    ],
    ids=["user_id before email", "added last", "tie by message", "tie by value"],
)
def test_identifier_is_the_last_user_id_else_the_last_email(rows: list[tuple], expected: str):
    people = external_ids(*(("p1", *row) for row in rows))
    assert [row[2] for row in wanted(traits(plan=["gold"]), people)] == [expected]


SEVERAL = external_ids(
    ("p1", "user_id", "u-old", 1, "m1"),
    ("p1", "user_id", "u-new", 2, "m2"),
    ("p1", "email", "ann@x.org", 1, "m1"),
    ("p1", "email", "ann@y.org", 3, "m3"),
    ("p2", "email", "bo@x.org", 1, "m4"),
)


@pytest.mark.parametrize(
    ("types", "is_each", "ann"),
    [
        ([("user_id", "first")], False, ["u-old"]),
        ([("user_id", "all"), ("email", "last")], False, ["u-new", "u-old"]),
        ([("email", "first"), ("user_id", "last")], False, ["ann@x.org"]),
        ([("user_id", "last"), ("email", "last")], True, ["ann@y.org", "u-new"]),
        ([("user_id", "all"), ("email", "all")], True, ["ann@x.org", "ann@y.org", "u-new", "u-old"]),
        ([("email", "all")], True, ["ann@x.org", "ann@y.org"]),
        ([("ios.id", "last")], True, []),
    ],
    ids=["first", "all of the first type", "other order", "each type", "all of each", "all of one", "none"],
)
def test_people_go_by_the_identifiers_that_the_strategy_names(types: list, is_each: bool, ann: list[str]):
    """D-41, D-43, D-47: each identifier is told alone."""
    found = sync.identified(SEVERAL, Known(tuple(types), is_each))
    assert sorted(found.filter(profile_id="p1")["id_value"]) == ann
    assert found.filter(pl.col("profile_id") == "p1")["is_first"].sum() == bool(ann)


def test_an_identifier_that_is_added_is_told_what_the_others_know():
    """D-22: the value is sent again, unchanged, under the identifier that is new."""
    by = Known((("user_id", "all"),), is_each=True)
    before, after = SEVERAL.filter(pl.col("id_value") != "u-new"), SEVERAL
    table = traits(plan=["gold"])
    held = desired([PLAN], [], table, members(), before, by)
    assert actions(desired([PLAN], [], table, members(), after, by), held) == [("set", "plan", "u-new", '"gold"')]


def test_an_exit_goes_to_every_identifier_that_was_told_whatever_the_strategy_is_now():
    """D-44."""
    all_of_them = Known((("user_id", "all"), ("email", "all")), is_each=True)
    held = desired([], [BUYERS], traits(), members(buyers=["p1"]), SEVERAL, all_of_them)
    found = desired([], [BUYERS], traits(), members(), SEVERAL, NEWEST)
    assert {each[2] for each in actions(found, held)} == {"u-old", "u-new", "ann@x.org", "ann@y.org"}
    assert {each[0] for each in actions(found, held)} == {"exit"}


def test_people_with_several_identifiers_count_once_where_they_have_none():
    found = desired([PLAN], [], traits(plan=["gold", "free", "gold"]), members(), SEVERAL, NEWEST)
    assert sorted(found["id_value"].to_list(), key=str) == [None, "bo@x.org", "u-new"]


def test_two_forms_of_one_definition_are_two_records():
    both = Audience("buyers", Exists(Property("plan")), deliveries=(Delivery("crm", "list"), Delivery("crm")))
    found = desired([], [both], traits(plan=[]), members(buyers=["p1"]), PEOPLE)
    assert sorted(found["form"]) == ["list", "property"]


def test_an_account_is_named_by_its_group_id_alone():
    rows = external_ids(("acc_1", "group_id", "acme", 1, "m1"), ("acc_1", "domain", "acme.org", 1, "m1"))
    users = external_ids(("p1", "user_id", "ann", 1, "m2"), ("p2", "group_id", "no account", 1, "m3"))
    table = pl.concat([rows.with_columns(collection=pl.lit("accounts")), users])
    assert sync.named(table).select("profile_id", "id_type", "id_value").rows() == [("acc_1", "group_id", "acme")]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([10, None], pl.Int64, ["10", None]),
        ([10.0, -0.0], pl.Float64, ["10", "0"]),
        ([0.1, float("nan")], pl.Float64, ["0.1", None]),
        ([float("inf"), 1e300], pl.Float64, [None, "1e+300"]),
        ([2**53 + 1], pl.Int64, ["9007199254740993"]),
        ([Decimal("10.500000"), Decimal("100.000000")], pl.Decimal(20, 6), ["10.5", "100"]),
        ([True, False], pl.Boolean, ["true", "false"]),
        (['a"\\é\x00\n', ""], pl.String, ['"a\\"\\\\é\\u0000\\n"', '""']),
        ([["a", 'b"}'], [], None], pl.List(pl.String), ['["a","b\\"}"]', "[]", None]),
        ([datetime(2024, 3, 1, 12)], pl.Datetime("us"), ['"2024-03-01T12:00:00.000000"']),
    ],
    ids=["integer", "whole float", "nan", "infinite", "large integer", "decimal", "boolean", "text", "list", "instant"],
)
def test_canonical_json(values: list, dtype: Any, expected: list):
    frame = pl.DataFrame({"x": pl.Series(values, dtype=dtype)})
    found = frame.select(sync.canonical("x", frame.schema["x"])).to_series().to_list()
    assert found == expected
    assert all(json.loads(text) is not None for text in found if text)


def test_a_count_that_matches_nothing_is_zero_only_where_a_value_was_sent():
    held = state(("trait", "orders", "p1", "user_id", "ann", "3"))
    people = sync.identified(PEOPLE, NEWEST)
    assert actions(state(), held, zeros=people) == [("set", "orders", "ann", "0")]
    zero = state(("trait", "orders", "p1", "user_id", "ann", "0"))
    assert actions(state(), zero, zeros=people) == []
    assert actions(state(), forgotten(zero), zeros=people) == [("set", "orders", "ann", "0")]


def test_a_sum_is_not_set_to_zero_under_an_identifier_the_person_lost():
    held = state(("trait", "total", "p1", "user_id", "old", "3"))
    assert actions(state(), held, zeros=sync.identified(PEOPLE, NEWEST)) == [("unset", "total", "old", None)]

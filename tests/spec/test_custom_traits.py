"""Custom traits from Identify calls, all the way from the archive to a run."""

import json
from datetime import timedelta

import polars as pl
import pytest

from tests import driving
from tests.tables import AS_OF, instant


@pytest.fixture
def custom(tmp_path):
    """The custom traits of one person by name, after Identify calls given as (timestamp, traits, more columns)."""

    def found(*calls, as_of=AS_OF, **audiences):
        space = driving.space_in(tmp_path, audiences=audiences)
        usual = {"type": "identify", "user_id": "u1", "event": None}
        rows = [
            usual | {"message_id": f"m{number}", "timestamp": instant(when), "traits": json.dumps(traits)} | more
            for number, (when, traits, more) in enumerate((*call, {})[:3] for call in calls)
        ]
        names = dict.fromkeys(name for row in rows for name in row)
        frame = pl.DataFrame([{name: row.get(name) for name in names} for row in rows])
        for day, part in (
            frame.with_columns(day=pl.col("timestamp").dt.date())
            .partition_by("day", as_dict=True, include_key=False)
            .items()
        ):
            driving.put(space, "web", f"{day[0]}", part)
        run_id = driving.recomputed(space, as_of)
        traits = driving.table(space, run_id, "custom_traits").filter(pl.col("profile_id").str.starts_with("use_"))
        members = driving.table(space, run_id, "memberships")["audience"].to_list()
        return members if audiences else dict(traits.select("name", "value").rows())

    return found


def test_t1_the_newest_value_wins_by_event_time(custom):
    assert custom(("d-1", {"plan": "pro"}), ("d-2", {"plan": "free", "age": 7})) == {"plan": '"pro"', "age": "7"}


def test_t1_a_late_call_does_not_bring_an_old_value_back(custom):
    late = {"received_at": AS_OF}
    assert custom(("d-1", {"plan": "pro"}), ("d-3", {"plan": "free"}, late)) == {"plan": '"pro"'}


def test_t1_what_comes_after_as_of_does_not_exist(custom):
    found = custom(("d-3", {"plan": "free"}), ("d-1", {"plan": "pro"}), as_of=AS_OF - timedelta(days=2))
    assert found == {"plan": '"free"'}


def test_t2_null_removes_a_trait_and_an_empty_text_does_not(custom):
    found = custom(("d-3", {"plan": "pro", "name": "Jane", "age": 7}), ("d-2", {"plan": None, "name": ""}))
    assert found == {"name": '""', "age": "7"}


def test_t2_a_removal_has_a_time_of_its_own(custom):
    calls = ("d-1", {"plan": None}), ("d-2", {"plan": "pro"})
    assert custom(*calls) == {}
    assert custom(*calls, as_of=AS_OF - timedelta(days=2)) == {"plan": '"pro"'}


def test_t5_an_object_is_replaced_as_a_whole(custom):
    first = {"address": {"city": "Oslo", "zip": "0150"}, "tags": ["a", "b"]}
    found = custom(("d-2", first), ("d-1", {"address": {"city": "Rome"}, "tags": []}))
    assert found == {"address": '{"city":"Rome"}', "tags": "[]"}


def test_t4_an_object_is_read_with_dots(custom):
    call = ("d-1", {"address": {"city": "Oslo"}, "a.b": 1})
    assert custom(
        call, oslo="trait('address.city') = 'Oslo'", dotted=r"trait('a\.b') = 1", none="trait('a.b') = 1"
    ) == [
        "dotted",
        "oslo",
    ]


def test_t6_names_keep_their_spelling(custom):
    traits = {"first Name": 1, "FIRST Name": 2, "First Name": 3, "a/b": 4, "a~b": 5, "😀": 6, "": 7, "x:json": 8}
    assert custom(("d-1", traits)) == {name: str(value) for name, value in traits.items()}


@pytest.mark.parametrize("kind", ["track", "page", "group", "alias"])
def test_e2_only_identify_calls_set_traits(custom, kind):
    assert custom(("d-1", {"plan": "pro"}, {"type": kind, "event": "E", "group_id": "g1"})) == {}


def test_e2_traits_in_the_context_are_not_written_to_the_profile(custom):
    more = {"context": '{"traits":{"plan":"pro"}}', "traits": None}
    assert custom(("d-1", {}, more), ("d-1", {"age": 1}, {"type": "identify", "message_id": "m9"})) == {"age": "1"}


def test_i60_traits_of_merged_profiles_are_those_of_one(custom):
    calls = [
        ("d-4", {"plan": "free", "age": 7}, {"user_id": None, "anonymous_id": "a1"}),
        ("d-3", {"plan": "pro"}, {"user_id": "u1"}),
        ("d-2", {"seen": True}, {"user_id": "u1", "anonymous_id": "a1"}),
    ]
    assert custom(*calls) == {"plan": '"pro"', "age": "7", "seen": "true"}


def test_i6_traits_of_nobody_are_nobodys(custom):
    assert custom(("d-1", {"plan": "pro"}, {"user_id": "anonymous"})) == {}

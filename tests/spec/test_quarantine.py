"""Rejected rows: how many there are and why, which they are, and how they get in after all."""

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from populace.errors import UsageError
from populace.events import rows
from populace.events.layouts import json_lines
from populace.events.reasons import MEANINGS
from populace.space import quarantine
from populace.space.quarantine import Asked
from tests import driving
from tests.slicing import NOON, archived, called
from tests.tables import AS_OF

NEXT = NOON + timedelta(days=1)
OBJECTS = [
    ("web", "first", [{"message_id": "m1"}, {"message_id": None}, {"message_id": "m2", "type": "purchase"}]),
    ("web", "then", [{"message_id": "m3", "type": "sale", "timestamp": NEXT}, {"message_id": "m4", "timestamp": None}]),
    ("app", "only", [{"message_id": "m5", "user_id": None, "properties": '{"email": "jane@example.com"}'}]),
]


@pytest.fixture
def space(tmp_path):
    return archived(tmp_path, *OBJECTS, sources=("web", "app"))[0]


def counted(space, **asked):
    return [(row["source"], row["reason"], row["rows"]) for row in quarantine.counts(space, Asked(**asked))]


def sampled(space, most=3, *, whole=False, **asked):
    return list(quarantine.samples(space, Asked(**asked), most, whole=whole))


# --- how many and why ----------------------------------------------------------------------------------------------


def test_rejected_rows_are_counted_by_source_and_reason(space):
    assert counted(space) == [
        ("web", "type_unknown", 2),
        ("web", "message_id_required", 1),
        ("web", "timestamp_missing", 1),
        ("app", "no_user_anon_id", 1),
    ]


def test_a_count_says_its_share_of_what_was_read_its_first_and_last_day_and_what_it_means(space):
    assert quarantine.counts(space, Asked("web", "type_unknown")) == [
        {
            "source": "web",
            "reason": "type_unknown",
            "rows": 2,
            "share": 2 / 5,
            "first_day": "2024-03-01",
            "last_day": "2024-03-02",
            "meaning": "the type is none of identify, track, page, screen, group, alias",
        }
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"source": "app"}, [("app", "no_user_anon_id", 1)]),
        ({"reason": "type_unknown"}, [("web", "type_unknown", 2)]),
        ({"day": "2024-03-02"}, [("web", "type_unknown", 1)]),
        ({"day": "undated"}, [("web", "timestamp_missing", 1)]),
        ({"day": "2024-03-02", "reason": "message_id_required"}, []),
    ],
)
def test_some_of_them_may_be_asked_for(space, asked, expected):
    assert counted(space, **asked) == expected
    assert [(each["source"], each["reason"]) for each in sampled(space, 1, **asked)] == [each[:2] for each in expected]


def test_the_share_of_a_day_is_that_of_the_rows_of_the_day(space):
    assert [row["share"] for row in quarantine.counts(space, Asked(day="2024-03-02"))] == [1.0]


def test_nothing_is_rejected_before_anything_is_read(tmp_path):
    space = driving.space_in(tmp_path)
    assert counted(space) == sampled(space) == quarantine.whole_rows(space, Asked()).collect().rows() == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"source": "shop"}, "no source 'shop'"),
        ({"reason": "no_idea"}, "no reason 'no_idea'; there is .*type_unknown"),
        ({"day": "2024-02-30"}, "'2024-02-30' is no day; write it like 2026-08-31, or undated"),
        ({"day": "20240301"}, "is no day"),
    ],
)
def test_what_cannot_be_asked_for_is_told(space, asked, told):
    with pytest.raises(UsageError, match=told):
        counted(space, **asked)


def test_the_documentation_lists_every_reason_with_its_meaning():
    lines = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("| `") and line[3:].partition("`")[0] in MEANINGS] == [
        f"| `{code}` | {meaning} |" for code, meaning in MEANINGS.items()
    ]


def test_every_reason_has_a_meaning():
    found = {*rows._envelope_checks(), *rows.PAYLOAD, *(code for code, *_ in json_lines.TYPED.values())}
    assert found | {"not_json", "not_utf8", "line_too_long"} == set(MEANINGS)


# --- which ---------------------------------------------------------------------------------------------------------


def test_a_sample_says_where_the_row_stands_and_what_is_wrong_with_it(space):
    assert sampled(space, source="app") == [
        {
            "source": "app",
            "reason": "no_user_anon_id",
            "meaning": "there is neither a userId nor an anonymousId",
            "object": "only.parquet",
            "row": 0,
            "day": "2024-03-01",
        }
    ]


def test_samples_are_of_those_received_last(space):
    found = sampled(space, 1, reason="type_unknown")
    assert [(each["object"], each["row"], each["day"]) for each in found] == [("then.parquet", 0, "2024-03-02")]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 9])
def test_there_are_so_many_samples_of_each_source_and_reason_at_most(tmp_path, most):
    rows = [{"message_id": None, "event": f"E{n}"} for n in range(3)] + [{"type": "?", "message_id": "m"}]
    space, _ = archived(tmp_path, ("web", "a", rows), ("web", "b", rows[:1]))
    found = [each["reason"] for each in sampled(space, most)]
    assert found == ["message_id_required"] * min(most, 4) + ["type_unknown"] * min(most, 1)


def test_a_sample_has_the_row_itself_only_where_that_is_asked_for(space):
    assert all("whole" not in each for each in sampled(space))
    (found,) = sampled(space, source="app", whole=True)
    assert json.loads(found["whole"])["properties"] == '{"email": "jane@example.com"}'


def test_all_of_them_can_be_had_whole(space):
    found = quarantine.whole_rows(space, Asked()).sort("source", "object", "row").collect()
    assert found.drop("whole").rows() == [
        ("app", "no_user_anon_id", "only.parquet", 0, NOON.date()),
        ("web", "message_id_required", "first.parquet", 1, NOON.date()),
        ("web", "type_unknown", "first.parquet", 2, NOON.date()),
        ("web", "type_unknown", "then.parquet", 0, NEXT.date()),
        ("web", "timestamp_missing", "then.parquet", 1, None),
    ]
    assert json.loads(found["whole"][2])["type"] == "purchase"
    assert quarantine.whole_rows(space, Asked("web", day="2024-03-02")).collect()["row"].to_list() == [0]


# --- how they get in -----------------------------------------------------------------------------------------------


def test_a_mended_file_is_let_in_by_the_next_replay(space):
    driving.put(space, "app", "only", called({"message_id": "m5"}))
    summaries = driving.replay_all(space, AS_OF)
    assert summaries["app"]["rows"] == {"read": 1, "kept": 1, "duplicate": 0, "rejected": 0}
    assert counted(space, source="app") == []
    assert len(counted(space, source="web")) == 3


def test_a_file_that_is_taken_away_takes_its_rejected_rows_along(space):
    driving.put(space, "web", "then", called({"message_id": "m3"})).unlink()
    driving.replay_all(space, AS_OF)
    assert {row["object"] for row in quarantine.whole_rows(space, Asked("web")).collect().rows(named=True)} == {
        "first.parquet"
    }


def test_rows_before_the_replayed_days_are_not_rejected(tmp_path):
    early = pl.DataFrame({"message_id": [None], "type": ["track"], "timestamp": [NOON - timedelta(days=4000)]})
    space = driving.space_in(tmp_path)
    driving.put(space, "web", "early", early.with_columns(pl.col("message_id").cast(pl.String)))
    driving.put(space, "web", "late", called({"message_id": "m1"}))
    driving.replay_all(space, AS_OF)
    assert counted(space) == []

"""Of several copies of a message one counts: the one received first, wherever the others lie (E-35)."""

import json
from datetime import UTC, datetime

import pytest

from tests import driving
from tests.slicing import archived, called, kept
from tests.tables import AS_OF

FIRST, SECOND = datetime(2024, 3, 1, 10, tzinfo=UTC), datetime(2024, 3, 1, 11, tzinfo=UTC)
NEXT_DAY = datetime(2024, 3, 2, 10, tzinfo=UTC)


def copy(name, received_at, **more):
    return {"message_id": "m1", "received_at": received_at, "properties": json.dumps({"copy": name}), **more}


def test_e35_the_copy_received_first_wins_in_one_file(tmp_path):
    found = archived(tmp_path, ("web", "a", [copy("second", SECOND), copy("first", FIRST), copy("third", SECOND)]))
    assert kept(*found) == [("web", "2024-03-01", "first")]
    assert found[1]["web"]["rows"] == {"read": 3, "kept": 1, "duplicate": 2, "rejected": 0}


def test_e35_the_copy_received_first_wins_over_files(tmp_path):
    found = archived(tmp_path, ("web", "a", [copy("second", SECOND)]), ("web", "b", [copy("first", FIRST)]))
    assert kept(*found) == [("web", "2024-03-01", "first")]


def test_e35_of_copies_received_at_once_the_first_in_the_archive_wins(tmp_path):
    same = [copy("row 0", FIRST), copy("row 1", FIRST)]
    found = archived(tmp_path, ("web", "b", [copy("b", FIRST)]), ("web", "a", same))
    assert kept(*found) == [("web", "2024-03-01", "row 0")]


def test_e35_the_copy_received_first_wins_over_days(tmp_path):
    found = archived(tmp_path, ("web", "a", [copy("second", NEXT_DAY)]), ("web", "b", [copy("first", FIRST)]))
    assert kept(*found) == [("web", "2024-03-01", "first")]


def test_e35_the_copy_received_first_wins_over_sources(tmp_path):
    found = archived(
        tmp_path,
        ("app", "a", [copy("second", SECOND)]),
        ("web", "a", [copy("first", FIRST)]),
        sources=("app", "web"),
    )
    assert kept(*found) == [("web", "2024-03-01", "first")]
    assert found[1]["app"]["rows"] == {"read": 1, "kept": 0, "duplicate": 1, "rejected": 0}


def test_e35_a_malformed_first_copy_does_not_beat_a_good_one(tmp_path):
    broken = {**copy("first", FIRST), "properties": '{"copy":"fi'}
    found = archived(
        tmp_path,
        ("web", "a", [broken, copy("second", SECOND)]),
        ("web", "b", [copy("third", NEXT_DAY)]),
    )
    assert kept(*found) == [("web", "2024-03-01", "second")]
    assert found[1]["web"]["rows"] == {"read": 3, "kept": 1, "duplicate": 1, "rejected": 1}


def test_e35_a_malformed_copy_of_the_day_before_does_not_beat_a_good_one(tmp_path):
    found = archived(
        tmp_path,
        ("web", "a", [copy("first", FIRST, user_id=None)]),
        ("web", "b", [copy("second", NEXT_DAY)]),
    )
    assert kept(*found) == [("web", "2024-03-02", "second")]


def test_e35_an_earlier_copy_that_arrives_later_in_the_archive_wins(tmp_path):
    space, before = archived(tmp_path, ("web", "b", [copy("second", NEXT_DAY)]))
    assert kept(space, before) == [("web", "2024-03-02", "second")]
    driving.put(space, "web", "a", called(copy("first", FIRST)))
    assert kept(space, driving.replay_all(space, AS_OF)) == [("web", "2024-03-01", "first")]


def test_e67_a_copy_comes_back_when_the_one_before_it_is_deleted(tmp_path):
    space, _ = archived(tmp_path, ("web", "a", [copy("first", FIRST)]), ("web", "b", [copy("second", NEXT_DAY)]))
    (tmp_path / "archive/web/a.parquet").unlink()
    after = driving.replay_all(space, AS_OF)
    assert kept(space, after) == [("web", "2024-03-02", "second")]
    assert after["web"]["rows"] == {"read": 1, "kept": 1, "duplicate": 0, "rejected": 0}


def test_e67_a_file_that_changes_under_its_name_is_read_again(tmp_path):
    space, _ = archived(tmp_path, ("web", "a", [copy("old", FIRST)]))
    driving.put(space, "web", "a", called(copy("new", FIRST), {**copy("other", FIRST), "message_id": "m2"}))
    assert kept(space, driving.replay_all(space, AS_OF)) == [
        ("web", "2024-03-01", "new"),
        ("web", "2024-03-01", "other"),
    ]


@pytest.mark.parametrize("trusted", [True, False])
def test_read_is_the_sum_of_kept_duplicate_and_rejected(tmp_path, trusted):
    calls = [copy("a", FIRST), copy("a", FIRST), copy("b", NEXT_DAY), {"message_id": None}, {"message_id": "m2"}]
    calls += [] if trusted else [{"message_id": "m3", "timestamp": None}]
    _, summaries = archived(tmp_path, ("web", "a", calls), ("app", "a", calls[:1]), sources=("app", "web"))
    for summary in summaries.values():
        counted = summary["rows"]
        assert counted["read"] == counted["kept"] + counted["duplicate"] + counted["rejected"]
    assert sum(each["rows"]["read"] for each in summaries.values()) == len(calls) + 1
    assert sum(each["rows"]["kept"] for each in summaries.values()) == 2

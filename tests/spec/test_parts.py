"""Parts: how an archive is cut never shows, and only what changed is read again."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from populace.lake import ledger, messages
from populace.space import archive, reading, replay
from tests import driving
from tests.lakes import Lake, copy
from tests.slicing import NOON
from tests.tables import AS_OF

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

# --- what is read again -----------------------------------------------------------------------------


def test_nothing_new_touches_nothing(lake, tmp_path):
    lake.replay()  # the files here are copies, whose content is looked at once more
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*")}
    lake.replay()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "lake").rglob("*")} == before


def test_a_new_object_is_read_alone(lake):
    lake.put("d", copy("m9", "d"))
    assert lake.touched() == {"d"}
    assert lake.parts() == [["a"], ["b"], ["c"], ["d"]]


def test_an_object_written_again_with_the_same_content_is_not_read(lake):
    lake.put("b", copy("m1", "b", NOON + DAY))
    assert lake.touched() == set()


def test_e67_an_object_that_changed_is_read_again_alone(lake):
    lake.put("b", copy("m1", "b again", NOON + DAY))
    assert lake.touched() == {"b"}
    assert lake.kept() == ["a", "b again", "c"]


def test_e67_an_object_that_vanished_takes_its_part_with_it_alone(lake):
    lake.remove("b")
    assert lake.touched() == {"b"}
    assert lake.kept() == ["a", "c"]
    assert lake.parts() == [["a"], ["c"]]


def test_objects_of_the_part_of_one_that_changed_are_read_again_with_it(tmp_path):
    lake = Lake(tmp_path)
    for name in "ab":
        lake.put(name, copy(f"m{name}", name))
    lake.replay()
    lake.put("c", copy("mc", "c"))
    lake.replay()
    lake.put("a", copy("ma", "a again"))
    assert lake.touched() == {"a", "b"}
    assert lake.kept() == ["a again", "b", "c"]


def test_an_earlier_copy_has_the_part_of_the_other_made_again_and_no_other(lake):
    lake.put("d", copy("m1", "d", NOON))
    assert lake.touched() == {"b", "d"}
    assert lake.kept() == ["a", "c", "d"]


def test_a_later_copy_touches_no_other_part(lake):
    lake.put("d", copy("m1", "d", NOON + 5 * DAY))
    assert lake.touched() == {"d"}
    assert lake.kept() == ["a", "b", "c"]


@pytest.mark.parametrize("gone", ["it vanished", "it holds another message", "its copy is later", "its copy is broken"])
def test_e67_the_part_whose_copy_counts_again_is_made_again_and_no_other(lake, gone):
    lake.put("d", copy("m1", "d", NOON), copy("m7", "beside", NOON))
    lake.replay()
    change = {
        "it vanished": lambda: lake.remove("d"),
        "it holds another message": lambda: lake.put("d", copy("m8", "d")),
        "its copy is later": lambda: lake.put("d", copy("m1", "d", NOON + 9 * DAY)),
        "its copy is broken": lambda: lake.put("d", copy("m1", "d", NOON, user_id=None)),
    }[gone]
    change()
    assert lake.touched() == {"b", "d"}
    assert [name for name in lake.kept() if name in "abc"] == ["a", "b", "c"]


def test_parts_of_other_sources_are_made_again_for_a_copy_too(tmp_path):
    lake = Lake(tmp_path, sources=("app", "web"))
    lake.put("a", copy("m1", "a", NOON + DAY), source="app")
    lake.put("b", copy("m2", "b", NOON + DAY), source="web")
    lake.replay()
    lake.put("c", copy("m1", "c", NOON), source="web")
    assert lake.touched() == {"a", "c"}
    assert lake.kept() == ["b", "c"]
    assert {name: found["status"] for name, found in lake.summaries().items()} == {"app": "complete", "web": "complete"}
    lake.remove("c")
    assert lake.touched() == {"a", "c"}
    assert lake.kept() == ["a", "b"]


def test_messages_that_look_alike_to_the_index_stay_two(lake, monkeypatch):
    monkeypatch.setattr(messages, "hashes", lambda names: np.zeros(len(names), np.uint64))
    lake.put("d", copy("m5", "d", NOON - DAY))
    assert lake.touched() == {"d"}
    assert lake.kept() == ["a", "b", "c", "d"]
    lake.put("e", copy("m1", "e", NOON - DAY))
    assert lake.touched() == {"b", "e"}
    assert lake.kept() == ["a", "c", "d", "e"]
    lake.remove("e")
    assert lake.touched() == {"b", "e"}
    assert lake.kept() == ["a", "b", "c", "d"]


def test_without_the_index_the_same_copies_count(lake):
    for each in lake.space.lake.list("replay/@messages"):
        lake.space.lake.delete(each.path)
    lake.put("d", copy("m1", "d", NOON), copy("m2", "too late", NOON + 9 * DAY))
    assert lake.touched() == {"b", "d"}
    assert lake.kept() == ["a", "c", "d"]


def test_other_rules_have_everything_read_again(lake):
    other = driving.space_in(lake.folder, traits={"t": "event('E').last(context('page'))"})
    lake.space = replace(lake.space, definition=other.definition)
    assert lake.touched() == {"a", "b", "c"}


# --- since ------------------------------------------------------------------------------------------


def since(lake, day):
    definition = lake.space.definition
    sources = tuple(replace(each, since=day) for each in definition.sources)
    lake.space = replace(lake.space, definition=replace(definition, sources=sources))


def test_what_was_received_before_since_is_left_out_and_comes_back(lake):
    since(lake, "2024-03-02")
    assert lake.touched() == {"a"}
    assert lake.kept() == ["b", "c"]
    since(lake, "2024-03-01")
    assert lake.touched() == {"a"}
    assert lake.kept() == ["a", "b", "c"]


def test_rows_before_since_are_left_out_of_an_object_that_holds_later_ones(tmp_path):
    lake = Lake(tmp_path)
    lake.put("a", copy("m1", "early", NOON), copy("m2", "late", NOON + DAY), {"message_id": "m3", "timestamp": None})
    since(lake, "2024-03-02")
    assert lake.replay()["web"]["rows"] == {"read": 2, "kept": 1, "duplicate": 0, "rejected": 1}
    since(lake, "2024-03-01")
    assert lake.replay()["web"]["rows"] == {"read": 3, "kept": 2, "duplicate": 0, "rejected": 1}


# --- parts are bounded, and few -------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3, 7])
def test_parts_have_at_most_so_many_rows_and_leave_no_row_out(tmp_path, monkeypatch, most):
    monkeypatch.setattr(reading, "MOST_ROWS", most)
    lake = Lake(tmp_path)
    lake.put("a", *(copy(f"a{number}", f"a{number}") for number in range(10)))
    lake.put("b", *(copy(f"b{number}", f"b{number}") for number in range(2)))
    found = lake.replay()["web"]
    assert found["status"] == "complete"
    assert max(each["rows"]["read"] for each in found["parts"].values()) == most
    assert len(lake.kept()) == 12
    assert lake.touched() == set()
    lake.put("b", copy("b1", "b1 again"))
    assert lake.touched() <= {"a", "b"}
    assert lake.kept() == [*(f"a{number}" for number in range(10)), "b1 again"]


@pytest.mark.parametrize("lost", range(4))
def test_only_rows_that_no_part_holds_are_read(tmp_path, monkeypatch, lost):
    """As after a stop: some parts of an object have an entry, and some have not."""
    monkeypatch.setattr(reading, "MOST_ROWS", 3)
    lake = Lake(tmp_path)
    lake.put("a", *(copy(f"m{number}", f"{number}", NOON + number * DAY) for number in range(10)))
    store, summary = lake.space.lake, lake.replay()["web"]
    entries = ledger.entries(store, "web")
    part = list(entries)[lost]
    ledger.forget(store, "web", part)
    ledger.write_summary(store, "web", {**summary, "status": "running", "unsettled": None})
    assert {path for path, _ in lake.written().items() if part in path} == set()
    before = lake.written()
    found = lake.replay()["web"]
    assert (found["rows"], found["slices"]) == (summary["rows"], summary["slices"])
    assert ledger.entries(store, "web") == entries
    assert {path for path, when in lake.written().items() if before.get(path) != when} == {
        output["path"] for output in entries[part]["outputs"]
    }


def test_parts_that_are_full_by_their_bytes_are_not_made_again_for_being_small(tmp_path, monkeypatch):
    lake = Lake(tmp_path)
    calls = [copy(f"m{number}", "x" * 5_000) for number in range(10)]
    monkeypatch.setattr(reading, "MOST_BYTES", 10_000)
    monkeypatch.setattr(archive, "TOGETHER", 4)
    lake.put("a", *calls)
    assert len(lake.replay()["web"]["parts"]) > archive.TOGETHER
    lake.put("b", copy("n1", "b"))
    assert lake.touched() == {"b"}


def test_small_parts_are_made_again_as_one_once_there_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "TOGETHER", 4)
    lake, whole = Lake(tmp_path / "many"), Lake(tmp_path / "whole")
    for number in range(archive.TOGETHER + 1):
        for each in (lake, whole):
            each.put(f"{number}", copy(f"m{number % 3}", f"{number}", NOON - number * HOUR), copy(f"n{number}", "n"))
        found = lake.replay()["web"]
        assert found["status"] == "complete"
    assert len(lake.parts()) == 1
    expected = whole.replay()["web"]
    assert found["rows"] == expected["rows"]
    assert found["days"] == expected["days"]
    assert found["slices"] == expected["slices"]
    assert lake.kept() == whole.kept()


def outgrown(folder, monkeypatch):
    """A lake with as many small parts as are made again together."""
    monkeypatch.setattr(archive, "TOGETHER", 4)
    lake = Lake(folder)
    for number in range(archive.TOGETHER):
        lake.put(f"{number}", copy(f"m{number}", f"{number}"))
        lake.replay()
    return lake


def test_a_replay_of_some_days_alone_leaves_small_parts_as_they_are(tmp_path, monkeypatch):
    lake = outgrown(tmp_path, monkeypatch)
    lake.put("new", copy("new", "new"))
    space = lake.space
    archive.look(space, space.source("web"))
    replay.begin(space, driving.survey(space, space.source("web"), AS_OF), is_limited=True)
    assert len(lake.parts()) == archive.TOGETHER
    due = driving.survey(space, space.source("web"), AS_OF)
    assert [each.path for each in due.todo] == ["new.parquet"]


def test_a_source_that_goes_leaves_nothing(tmp_path):
    lake = Lake(tmp_path)
    lake.put("1", copy("m1", "1"))
    lake.replay()
    (part,) = ledger.entries(lake.space.lake, "web")
    ledger.forget(lake.space.lake, "web", part)  # as a stop would, before its tables are deleted
    replay.drop_removed(driving.space_in(tmp_path, sources=()))
    assert [each.path for each in lake.space.lake.list() if "web" in each.path] == []


def test_parts_are_made_again_together_only_when_something_is_to_be_done_anyway(tmp_path, monkeypatch):
    lake = outgrown(tmp_path, monkeypatch)
    assert len(lake.parts()) == archive.TOGETHER
    assert lake.touched() == set()

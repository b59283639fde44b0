"""Parts: how an archive is cut never shows, and only what changed is read again."""

import gzip
import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from populace.definitions import Source
from populace.errors import ArchiveError
from populace.lake import ledger, messages
from populace.space import archive, reading, replay
from tests import driving
from tests.slicing import NOON, called, kept
from tests.tables import AS_OF

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def copy(message_id, name, received_at=NOON, **more):
    """A call that says in a property which copy of its message it is."""
    return {"message_id": message_id, "received_at": received_at, "properties": json.dumps({"copy": name}), **more}


class Lake:
    """A space of which each test changes the archive, replays, and asks what that touched."""

    def __init__(self, folder, sources=("web",)):
        self.folder = folder
        self.space = driving.space_in(folder, sources=sources)

    def put(self, name, *calls, source="web"):
        driving.put(self.space, source, name, called(*calls))

    def remove(self, name, source="web"):
        (self.folder / f"archive/{source}/{name}.parquet").unlink()

    def replay(self):
        return driving.replay_all(self.space, AS_OF)

    def kept(self):
        """Which copy of each message counts, sorted."""
        return sorted(copy for _, _, copy in kept(self.space, self.summaries()))

    def summaries(self):
        return {name: ledger.summary(self.space.lake, name) for name in ledger.sources(self.space.lake)}

    def parts(self):
        """For each part the names of the objects that it was made of."""
        named = (ledger.parts(self.space.lake, source).values() for source in self.space.source_names)
        return sorted(
            sorted({each["path"].removesuffix(".parquet") for each in found["objects"]})
            for found in (
                ledger.entry(self.space.lake, each["source"], each["part"]) for parts in named for each in parts
            )
        )

    def touched(self):
        """The objects whose parts are written by a replay, or had been dropped in it and are no more."""
        before = self.written()
        self.replay()
        after = self.written()
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        return {name for path, (_, names) in (before | after).items() if path in changed for name in names}

    def written(self):
        """When each object of each part was written, and what the part was made of."""
        found = {}
        for source in self.space.source_names:
            for part in ledger.entries(self.space.lake, source).values():
                names = {each["path"].removesuffix(".parquet") for each in part["objects"]}
                for output in part["outputs"]:
                    stat = Path(self.space.lake.url(output["path"])).stat()
                    found[output["path"]] = ((stat.st_mtime_ns, stat.st_ino), names)
        return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    lake = Lake(tmp_path_factory.mktemp("prepared"))
    for position, name in enumerate("abc"):
        lake.put(name, copy(f"m{position}", name, NOON + position * DAY))
        lake.replay()
    assert lake.parts() == [["a"], ["b"], ["c"]]
    return lake.folder


@pytest.fixture
def lake(prepared, tmp_path):
    """Three parts, one a day: objects a, b and c, which hold message m0, m1 and m2."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return Lake(tmp_path)


# --- what is read again -----------------------------------------------------------------------------


def test_nothing_new_touches_nothing(lake, tmp_path):
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


def test_parts_are_made_again_together_only_when_something_is_to_be_done_anyway(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "TOGETHER", 4)
    lake = Lake(tmp_path)
    for number in range(archive.TOGETHER):
        lake.put(f"{number}", copy(f"m{number}", f"{number}"))
        lake.replay()
    assert len(lake.parts()) == archive.TOGETHER
    assert lake.touched() == set()


# --- what cannot be read --------------------------------------------------------------------------------


def broken(lake, name):
    """Puts an object there that is none; returns what a mended one is."""
    file = lake.folder / f"archive/web/{name}.parquet"
    file.write_bytes(b"PAR1, but no more")
    return file


def test_an_object_that_cannot_be_read_stops_no_other(lake):
    broken(lake, "b0")
    broken(lake, "b1")
    lake.put("d", copy("m9", "d"))
    with pytest.raises(ArchiveError, match=r"b0\.parquet.*\n.*b1\.parquet"):
        lake.replay()
    assert lake.kept() == ["a", "b", "c", "d"]
    found = lake.summaries()["web"]
    assert found["status"] == "failed"
    assert [each["path"] for each in found["failed"]] == ["b0.parquet", "b1.parquet"]


def test_a_source_with_such_an_object_is_complete_once_it_is_mended_or_removed(lake):
    file = broken(lake, "d")
    for _ in range(2):
        with pytest.raises(ArchiveError, match=r"d\.parquet"):
            lake.replay()
    lake.put("d", copy("m9", "d"))
    assert lake.touched() == {"d"}
    assert lake.summaries()["web"]["status"] == "complete"
    file.write_bytes(b"nothing")
    with pytest.raises(ArchiveError, match=r"d\.parquet"):
        lake.replay()
    assert lake.kept() == ["a", "b", "c"]
    file.unlink()
    assert lake.touched() == set()
    assert lake.summaries()["web"]["status"] == "complete"


def test_other_sources_go_on_where_one_cannot_be_listed(tmp_path):
    lake = Lake(tmp_path, sources=("app", "web"))
    lake.put("a", copy("m1", "a", NOON + DAY), source="app")
    lake.put("b", copy("m2", "b"), source="web")
    lake.replay()
    lake.remove("a", source="app")
    lake.put("c", copy("m1", "c", NOON), source="web")
    with pytest.raises(ArchiveError, match="app: no object"):
        lake.replay()
    assert lake.summaries()["app"]["status"] == "unreadable"


def test_a_copy_that_could_not_be_given_up_is_given_up_the_next_time(lake):
    """An earlier copy arrives, and the object with the other one cannot be read just then."""
    lake.put("d", copy("m1", "d", NOON))
    source = lake.space.source("web")
    archive.look(lake.space, source)
    replay.begin(lake.space, driving.survey(lake.space, source, AS_OF))
    hidden = (lake.folder / "archive/web/b.parquet").rename(lake.folder / "hidden")
    survey = driving.survey(lake.space, source, AS_OF)
    with pytest.raises(ArchiveError, match=r"b\.parquet"):
        replay.run_source(lake.space, survey, survey.todo, lambda _: None)
    assert replay.finish(lake.space, driving.survey(lake.space, source, AS_OF))["status"] == "running"
    hidden.rename(lake.folder / "archive/web/b.parquet")
    assert lake.touched() == {"b"}
    assert lake.kept() == ["a", "c", "d"]
    assert lake.summaries()["web"]["status"] == "complete"


def test_objects_may_have_any_name_in_a_folder_of_any_name(tmp_path):
    lake = Lake(tmp_path / "a b%20[c]*?é#")
    names = [
        "x=1/a b",
        "x=2/%41",
        "[z]",
        "*",
        "?",
        "é",
        "e\u0301",
        "a#b",
        "a:b",
        "q?x=1",
        "{a,b}",
        "a\\b",
        "~",
        "@file",
    ]
    for position, name in enumerate(names):
        lake.put(name, *(copy(f"m{position}.{row}", name) for row in range(position + 1)))
    lake.replay()
    assert lake.kept() == sorted(name for position, name in enumerate(names) for _ in range(position + 1))


@pytest.mark.parametrize("content", [b"", gzip.compress(b""), b"\n \n", gzip.compress(b"\n")])
def test_an_object_without_a_line_is_read_and_done(tmp_path, content):
    space = driving.space_in(tmp_path)
    source = Source("web", (tmp_path / "archive/web").as_uri(), layout="segment_json")
    space = replace(space, definition=replace(space.definition, sources=(source,)))
    (tmp_path / "archive/web").mkdir(parents=True)
    (tmp_path / "archive/web/a.json.gz").write_bytes(content)
    assert driving.replay_all(space, AS_OF)["web"]["status"] == "complete"


def test_an_object_without_a_row_is_read_and_done(lake):
    driving.put(lake.space, "web", "d", called(copy("m9", "d")).clear())
    assert lake.replay()["web"]["status"] == "complete"
    assert lake.touched() == set()


def test_sources_may_have_any_name(tmp_path):
    lake = Lake(tmp_path, sources=("messages", "few"))
    lake.put("a", copy("m1", "a"), source="messages")
    lake.put("b", copy("m1", "b", NOON + DAY), copy("m2", "c"), source="few")
    for _ in range(2):
        assert {name: each["status"] for name, each in lake.replay().items()} == {
            "messages": "complete",
            "few": "complete",
        }
        assert lake.kept() == ["a", "c"]

"""Objects that cannot be read or hold nothing, and objects of any name: none of them stops the others."""

import gzip
from dataclasses import replace
from datetime import timedelta

import pytest

from populace.definitions import Source
from populace.errors import ArchiveError
from populace.space import archive, replay
from tests import driving
from tests.lakes import Lake, copy
from tests.slicing import NOON, called
from tests.tables import AS_OF

DAY = timedelta(days=1)


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


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0), b"\n \n", gzip.compress(b"\n", mtime=0)])
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

"""The lake on a local disk: whole objects, and published runs."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from populace.definitions import Storage
from populace.errors import ArchiveError, LakeError
from populace.lake import objects, runs

WRITERS = 8


# --- objects --------------------------------------------------------------------------------


def test_what_was_written_is_read_listed_and_deleted(store):
    store.replace("a/b.txt", b"1")
    store.replace("a/c/d.txt", b"22")
    assert store.read("a/b.txt") == b"1"
    assert [(each.path, each.size) for each in store.list()] == [("a/b.txt", 1), ("a/c/d.txt", 2)]
    store.delete("a/b.txt")
    store.delete("a/b.txt")
    assert [each.path for each in store.list()] == ["a/c/d.txt"]


def test_what_is_missing_is_none(store):
    store.replace("a/b.txt", b"1")
    assert store.read("a/x.txt") is None
    assert store.read("a/b.txt/below") is None
    assert objects.read_json(store, "a/x.json") is None
    assert store.list("never/") == []


def test_a_listing_goes_by_the_beginning_of_the_path(store):
    for path in ("run/1", "runs/1", "runs/2/x", "runs.json"):
        store.replace(path, b"")
    assert [each.path for each in store.list("runs/")] == ["runs/1", "runs/2/x"]
    assert [each.path for each in store.list("runs/1")] == ["runs/1"]
    assert [each.path for each in store.list("run")] == ["run/1", "runs.json", "runs/1", "runs/2/x"]


def test_a_listing_hides_drafts_and_hidden_folders(store, tmp_path):
    store.replace("a/b.txt", b"1")
    (tmp_path / "lake/a/.draft").write_bytes(b"half")
    (tmp_path / "lake/.hidden").mkdir()
    (tmp_path / "lake/.hidden/c.txt").write_bytes(b"1")
    assert [each.path for each in store.list()] == ["a/b.txt"]


def test_a_reader_sees_a_whole_object_or_the_one_before(store):
    bodies = [bytes([each]) * 300_000 for each in range(2)]
    store.replace("a", bodies[0])
    with ThreadPoolExecutor(2) as pool:
        written = pool.submit(lambda: [store.replace("a", body) for body in bodies * 50])
        while not written.done():
            assert store.read("a") in bodies
        written.result()


def test_a_listing_survives_what_appears_and_disappears(store):
    store.replace("a/stays", b"1")

    def churn(number):
        for _ in range(100):
            store.replace(f"a/{number}", b"1")
            store.delete(f"a/{number}")

    with ThreadPoolExecutor(4) as pool:
        churning = [pool.submit(churn, number) for number in range(3)]
        while not all(each.done() for each in churning):
            assert "a/stays" in [each.path for each in store.list("a/")]
        for each in churning:
            each.result()


def test_of_several_creators_exactly_one_wins(store):
    with ThreadPoolExecutor(WRITERS) as pool:
        for turn in range(20):
            created = list(pool.map(lambda who, turn=turn: store.create(f"{turn}", bytes([who])), range(WRITERS)))
            assert sum(created) == 1
            assert store.read(f"{turn}") == bytes([created.index(True)])
    assert len(store.list()) == 20


def test_creating_leaves_what_is_there(store):
    store.replace("a", b"first")
    assert not store.create("a", b"second")
    assert store.read("a") == b"first"


def test_no_draft_stays_behind(store, tmp_path):
    store.replace("a", b"1")
    store.create("a", b"2")
    store.create("b", b"2")
    assert sorted(each.name for each in (tmp_path / "lake").iterdir()) == ["a", "b"]


def test_a_digest_says_nothing_but_the_content(store, tmp_path):
    store.replace("a", b"same")
    store.replace("b", b"same")
    store.replace("c", b"else")
    os.utime(tmp_path / "lake/a", (0, 0))
    a, b, c = store.list()
    assert a.tag != b.tag
    assert store.digest(a) == store.digest(b) != store.digest(c)


def test_a_tag_changes_with_the_time_of_change_and_the_size(store, tmp_path):
    store.replace("a", b"1")
    before = store.list()[0].tag
    os.utime(tmp_path / "lake/a", (1, 1))
    assert store.list()[0].tag != before


def test_a_store_that_fails_says_where_and_as_what(tmp_path):
    (tmp_path / "file").write_text("no folder")
    store = objects.open_store((tmp_path / "file").as_uri(), Storage(), ArchiveError)
    with pytest.raises(ArchiveError, match=rf"{tmp_path}/file/a: .*check the folder"):
        store.replace("a", b"1")


@pytest.mark.parametrize("uri", ["http://x/y", "s3://", "lake", "ftp://x"])
def test_other_places_are_refused_with_what_to_write(uri):
    with pytest.raises(LakeError, match=r"write file:///folder or s3://bucket/prefix"):
        objects.open_store(uri, Storage())


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "a b%20[c]*?é"
    store = objects.open_store(folder.as_uri(), Storage())
    objects.write_table(store, "x=1/t{a,b}.parquet", pl.DataFrame({"a": [1]}))
    assert objects.scan(store, "x=1/t{a,b}.parquet").collect().to_dict(as_series=False) == {"a": [1]}


def test_equal_frames_and_documents_are_equal_bytes(store):
    frame = pl.DataFrame({"a": range(10), "b": ["x"] * 10})
    objects.write_table(store, "1", frame)
    objects.write_table(store, "2", pl.concat([frame[:3], frame[3:]]))
    assert store.read("1") == store.read("2")
    assert objects.to_json({"b": 1, "a": "é"}) == objects.to_json({"a": "é", "b": 1})


# --- runs -----------------------------------------------------------------------------------


def test_before_the_first_run_there_is_none(store):
    assert runs.current(store) is None
    assert runs.latest(store) is None
    assert runs.before(store, "2024-03-01") is None


def test_a_published_run_is_current(store):
    assert runs.publish(store, "r1", "2024-03-01")
    assert runs.publish(store, "r2", "2024-03-02")
    assert runs.current(store) == "r2"
    assert runs.latest(store) == {"number": 2, "run_id": "r2", "as_of": "2024-03-02"}
    assert objects.read_json(store, "runs/current.json") == runs.latest(store)


def test_an_older_run_is_never_published_over_a_later_one(store):
    runs.publish(store, "r2", "2024-03-02")
    assert not runs.publish(store, "r1", "2024-03-01")
    assert runs.current(store) == "r2"


def test_another_run_of_the_same_instant_takes_its_place(store):
    runs.publish(store, "r1", "2024-03-01")
    assert runs.publish(store, "r1-again", "2024-03-01")
    assert runs.current(store) == "r1-again"


def test_publishing_the_current_run_again_changes_nothing(store):
    runs.publish(store, "r1", "2024-03-01")
    before = {each.path: store.read(each.path) for each in store.list()}
    assert runs.publish(store, "r1", "2024-03-01")
    assert {each.path: store.read(each.path) for each in store.list()} == before


def test_a_kill_before_the_copy_is_made_good_by_publishing_again(store):
    runs.publish(store, "r1", "2024-03-01")
    store.delete("runs/current.json")
    runs.publish(store, "r1", "2024-03-01")
    assert objects.read_json(store, "runs/current.json")["run_id"] == "r1"


@pytest.mark.parametrize("turn", range(10))
def test_of_publishers_at_once_the_latest_instant_is_current(store, turn):
    instants = [f"2024-03-{day:02}" for day in range(1, WRITERS + 1)]
    with ThreadPoolExecutor(WRITERS) as pool:
        order = instants[turn % WRITERS :] + instants[: turn % WRITERS]
        published = dict(zip(order, pool.map(lambda at: runs.publish(store, f"r-{at}", at), order), strict=True))
    pointers = [json.loads(store.read(each.path)) for each in store.list(runs.POINTERS)]
    assert runs.current(store) == f"r-{instants[-1]}"
    assert published[instants[-1]]
    assert {each["run_id"] for each in pointers} == {f"r-{at}" for at, is_current in published.items() if is_current}
    assert [each["number"] for each in pointers] == list(range(1, len(pointers) + 1))
    assert [each["as_of"] for each in pointers] == sorted(each["as_of"] for each in pointers)
    assert objects.read_json(store, "runs/current.json") == pointers[-1]


def test_a_run_is_compared_with_the_newest_published_one_before_its_instant(store):
    for at in ("2024-03-01", "2024-03-03", "2024-03-05"):
        runs.publish(store, f"r-{at}", at)
    assert runs.before(store, "2024-03-01") is None
    assert runs.before(store, "2024-03-02") == "r-2024-03-01"
    assert runs.before(store, "2024-03-03") == "r-2024-03-01"
    assert runs.before(store, "2024-03-09") == "r-2024-03-05"


def test_a_run_published_twice_at_one_instant_is_not_compared_with_itself(store):
    runs.publish(store, "r1", "2024-03-01")
    runs.publish(store, "r2", "2024-03-02")
    runs.publish(store, "r2-again", "2024-03-02")
    assert runs.before(store, "2024-03-02") == "r1"


def test_a_run_without_a_manifest_is_not_complete(store):
    runs.write(store, "r1", "profiles", pl.DataFrame({"a": [1, 2]}))
    assert runs.manifest(store, "r1") is None
    runs.complete(store, "r1", {"run_id": "r1"})
    assert runs.manifest(store, "r1") == {"run_id": "r1"}
    assert runs.rows(store, "r1", "profiles") == 2


def test_the_lake_is_plain_files(store, tmp_path):
    runs.write(store, "r1", "profiles", pl.DataFrame({"a": [1]}))
    assert pl.read_parquet(Path(tmp_path) / "lake/runs/r1/profiles.parquet")["a"].to_list() == [1]

"""One object at a time: files to read and seek in, files put in one step, listings of a disk, drafts left behind."""

import io
import os
import random

import polars as pl
import pyarrow.parquet as pq
import pytest

from populace.definitions import Storage
from populace.errors import ArchiveError, LakeError
from populace.lake import objects
from populace.lake.local import DRAFT_SECONDS
from populace.lake.s3 import RangedFile

BYTES = bytes(range(256)) * 4


@pytest.fixture
def store(tmp_path):
    return objects.open_store((tmp_path / "lake").as_uri(), Storage())


# --- where a store is -----------------------------------------------------------------------------------------------


def test_a_folder_may_be_called_anything_and_its_uri_reads_back(tmp_path):
    folder = tmp_path / "sp ace#h?q%20é"
    folder.mkdir()
    store = objects.open_store(folder.as_uri(), Storage())
    store.replace("a", b"1")
    assert (folder / "a").read_bytes() == b"1"
    assert objects.open_store(store.root, Storage()).read("a") == b"1"


@pytest.mark.parametrize("uri", ["file:///a/b#c", "s3://bucket/b?c"])
def test_what_would_be_cut_off_a_uri_is_refused(uri):
    with pytest.raises(ArchiveError, match="write %3F and %23"):
        objects.open_store(uri, Storage(), ArchiveError)


# --- a file on a disk -----------------------------------------------------------------------------------------------


def test_an_object_is_opened_to_read_and_seek_in(store):
    store.replace("a/b", BYTES)
    with store.open("a/b") as file:
        assert file.seek(-4, os.SEEK_END) == len(BYTES) - 4
        assert file.read() == BYTES[-4:]
        file.seek(1)
        assert file.read(3) == BYTES[1:4]


def test_an_opened_object_stays_what_it_was(store):
    store.replace("a", b"before")
    with store.open("a") as file:
        store.replace("a", b"later")
        assert file.read() == b"before"


@pytest.mark.parametrize("path", ["x", "a/b/below"])
def test_what_is_missing_cannot_be_opened(tmp_path, path):
    store = objects.open_store(tmp_path.as_uri(), Storage(), ArchiveError)
    store.replace("a/b", b"1")
    with pytest.raises(ArchiveError, match=f"{path}: there is no such object"):
        store.open(path)


def test_a_file_is_put_in_place_of_what_was_there(store, tmp_path):
    mine = tmp_path / "mine"
    mine.write_bytes(BYTES)
    store.replace("a/b", b"before")
    store.put_file("a/b", mine)
    mine.write_bytes(b"changed afterwards")
    assert store.read("a/b") == BYTES
    assert [path.name for path in (tmp_path / "lake/a").iterdir()] == ["b"]


def test_a_file_that_is_not_there_leaves_what_was(store, tmp_path):
    store.replace("a/b", b"before")
    with pytest.raises(LakeError, match="a/b"):
        store.put_file("a/b", tmp_path / "none")
    assert store.read("a/b") == b"before"
    assert [path.name for path in (tmp_path / "lake/a").iterdir()] == ["b"]


# --- listings of a disk ---------------------------------------------------------------------------------------------


def test_a_listing_has_size_and_tag_of_each_file(store, tmp_path):
    store.replace("a/b/c", b"123")
    (found,) = store.list()
    stat = (tmp_path / "lake/a/b/c").stat()
    assert found == objects.Object("a/b/c", f"{stat.st_mtime_ns}-{stat.st_ctime_ns}-3", 3)


def test_a_file_that_is_made_to_look_as_before_has_another_tag(store, tmp_path):
    store.replace("a", b"123")
    (before,), stat = store.list(), (tmp_path / "lake/a").stat()
    (tmp_path / "lake/a").write_bytes(b"456")
    os.utime(tmp_path / "lake/a", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert [each.tag for each in store.list()] != [before.tag]


def test_a_listing_is_in_order_of_the_whole_path(store):
    paths = ["a-1", "a.b", "a/1", "a/b/2", "a0", "b"]
    for path in reversed(paths):
        store.replace(path, b"")
    assert [each.path for each in store.list()] == paths
    assert [each.path for each in store.list("a/")] == ["a/1", "a/b/2"]
    assert [each.path for each in store.list("a/b")] == ["a/b/2"]


@pytest.mark.parametrize("prefix", [".hidden/", ".hidden/c", ".", "a/.", "a/.hidden/", "a/b/below/"])
def test_a_listing_of_nothing(store, tmp_path, prefix):
    store.replace("a/b", b"1")
    for folder in ("lake/.hidden", "lake/a/.hidden"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c").write_bytes(b"1")
    assert store.list(prefix) == []


def test_links_are_followed_but_not_in_circles(store, tmp_path):
    store.replace("a/b", b"1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/c").write_bytes(b"12")
    (tmp_path / "lake/link").symlink_to("a/b")
    (tmp_path / "lake/folder").symlink_to("../elsewhere")
    (tmp_path / "lake/a/loop").symlink_to("..")
    (tmp_path / "lake/broken").symlink_to("nowhere")
    assert [(each.path, each.size) for each in store.list()] == [("a/b", 1), ("folder/c", 2), ("link", 1)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_no_empty_one(store, tmp_path):
    store.replace("a/b", b"1")
    (tmp_path / "lake/a").chmod(0)
    with pytest.raises(LakeError, match="check the folder and its rights"):
        store.list()
    (tmp_path / "lake/a").chmod(0o700)


# --- drafts left behind ---------------------------------------------------------------------------------------------


def draft(folder, name, age):
    path = folder / name
    path.write_bytes(b"half")
    written = path.stat().st_mtime - age
    os.utime(path, (written, written))
    return path


def test_drafts_of_killed_processes_go_when_their_folder_is_written_to(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    forgotten = draft(folder, "." + "0" * 32, DRAFT_SECONDS + 60)
    recent = draft(folder, "." + "1" * 32, DRAFT_SECONDS - 60)
    not_ours = draft(folder, ".keep", DRAFT_SECONDS + 60)
    objects.open_store(tmp_path.as_uri(), Storage()).replace("a/b", b"1")
    assert not forgotten.exists()
    assert recent.exists()
    assert not_ours.exists()


# --- a file whose bytes are fetched by ranges -----------------------------------------------------------------------


class Fetched:
    """A file of those bytes, and the ranges that were fetched for it."""

    def __init__(self, data: bytes, ahead: int) -> None:
        self.data = data
        self.ranges: list[tuple[int, int]] = []
        self.file = RangedFile(self.fetch, len(data), ahead)

    def fetch(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= len(self.data)
        self.ranges.append((start, stop))
        return self.data[start:stop]


def test_small_reads_fetch_ahead_once():
    fetched = Fetched(BYTES, 100)
    assert b"".join(fetched.file.read(10) for _ in range(20)) == BYTES[:200]
    assert fetched.ranges == [(0, 100), (100, 200)]


def test_large_reads_fetch_what_they_ask_for():
    fetched = Fetched(BYTES, 100)
    fetched.file.seek(50)
    assert fetched.file.read(300) == BYTES[50:350]
    assert fetched.ranges == [(50, 350)]


def test_nothing_is_fetched_past_the_end():
    fetched = Fetched(BYTES, 100)
    fetched.file.seek(-10, os.SEEK_END)
    assert fetched.file.read(50) == BYTES[-10:]
    assert fetched.file.read(50) == b""
    fetched.file.seek(5_000)
    assert fetched.file.read() == b""
    assert fetched.ranges == [(len(BYTES) - 10, len(BYTES))]


def test_an_empty_object_is_an_empty_file():
    assert Fetched(b"", 100).file.read() == b""


def test_a_failed_read_leaves_the_position():
    def fail(_start: int, _stop: int) -> bytes:
        raise LakeError

    file = RangedFile(fail, 100, 10)
    file.seek(7)
    with pytest.raises(LakeError):
        file.read(5)
    assert file.tell() == 7


def test_nothing_lies_before_the_beginning():
    file = Fetched(BYTES, 100).file
    with pytest.raises(ValueError, match="before the beginning"):
        file.seek(-1)


def test_a_closed_file_is_not_read():
    file = Fetched(BYTES, 100).file
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


@pytest.mark.parametrize("seed", range(20))
def test_it_reads_as_any_file_does(seed):
    draw = random.Random(seed)
    mine, other = Fetched(BYTES, draw.choice([1, 16, 100, 5_000])).file, io.BytesIO(BYTES)
    for _ in range(200):
        match draw.randrange(5):
            case 0:
                where = draw.randrange(len(BYTES) + 20)
                assert mine.seek(where) == other.seek(where)
            case 1:
                back = -draw.randrange(len(BYTES))
                assert mine.seek(back, os.SEEK_END) == other.seek(back, os.SEEK_END)
            case 2:
                size = draw.randrange(200)
                assert mine.read(size) == other.read(size)
            case 3:
                ours, theirs = (bytearray(size) for size in [draw.randrange(200)] * 2)
                assert mine.readinto(ours) == other.readinto(theirs)
                assert ours == theirs
            case 4:
                assert mine.seek(3, os.SEEK_CUR) == other.seek(3, os.SEEK_CUR)
        assert mine.tell() == other.tell()
    mine.seek(0)
    assert mine.readall() == BYTES


def test_it_can_be_buffered_and_read_by_line():
    text = b"one\ntwo\nthree"
    assert list(io.BufferedReader(Fetched(text, 4).file)) == [b"one\n", b"two\n", b"three"]


@pytest.mark.parametrize("ahead", [1, 1_000, 2**20])
def test_pyarrow_and_polars_read_tables_from_it(ahead):
    frame = pl.DataFrame({"a": range(50_000), "b": [f"x{each % 97}" for each in range(50_000)]})
    buffer = io.BytesIO()
    frame.write_parquet(buffer, row_group_size=10_000)
    fetched = Fetched(buffer.getvalue(), ahead)
    assert pl.from_arrow(pq.ParquetFile(fetched.file).read(columns=["b"])).equals(frame.select("b"))
    assert len(fetched.ranges) <= 2 + 2 * 5
    fetched.file.seek(0)
    assert pl.read_parquet(fetched.file).equals(frame)

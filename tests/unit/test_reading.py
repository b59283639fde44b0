"""Objects read a bounded number of rows at a time: whole or by pages, as Parquet or as lines."""

import gzip
import io
from itertools import pairwise

import polars as pl
import pytest

from populace.definitions import Storage
from populace.errors import ArchiveError
from populace.events.layouts import LAYOUTS
from populace.events.layouts.canonical import ROW, Wanted
from populace.lake.objects import open_store
from populace.space import lines, reading
from populace.space import parquet as parquet_reader
from populace.space.archive import Stretch

ROWS = 23


def parquet(rows=ROWS, columns=("message_id", "type", "timestamp"), **options):
    frame = pl.DataFrame({"message_id": [f"m{row}" for row in range(rows)], "type": "track", "timestamp": None})
    buffer = io.BytesIO()
    frame.cast({"timestamp": pl.String}).select(columns).write_parquet(buffer, **options)
    return buffer.getvalue()


def text(rows=ROWS):
    return b"".join(b'{"messageId":"m%d"}\n' % row for row in range(rows))


CONTENTS = {
    "Parquet": ("raw", parquet()),
    "Parquet in row groups": ("raw", parquet(row_group_size=5)),
    "lines": ("segment_json", text()),
    "lines without an end": ("segment_json", text()[:-1]),
    "compressed lines": ("segment_json", gzip.compress(text())),
}


@pytest.fixture
def store(tmp_path):
    """An archive."""
    return open_store((tmp_path / "archive").as_uri(), Storage(), ArchiveError)


@pytest.fixture(params=CONTENTS, ids=CONTENTS)
def content(request):
    return CONTENTS[request.param]


@pytest.fixture(params=[0, 1 << 26], ids=["by pages", "whole"])
def _sizes(request, monkeypatch):
    """Objects are read whole or by pages, and lines a few bytes at a time."""
    monkeypatch.setattr(reading, "WHOLE", request.param)
    monkeypatch.setattr(parquet_reader, "PAGE_ROWS", 4)
    monkeypatch.setattr(lines, "BLOCK", 50)


def chunks(store, layout, *stretches, failed=None):
    """(stretch, positions) of every piece, chunk by chunk."""
    told = failed if failed is not None else []
    read = reading.chunks(store, LAYOUTS[layout], Wanted(), stretches, lambda *each: told.append(each))
    found = [[(each.stretch, each.rows[ROW].to_list()) for each in chunk.pieces] for chunk in read]
    assert failed is not None or told == []
    return found


def stretch(path="a", **more):
    return Stretch(path, "", 1 << 20, None, **more)


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("most", [1, 3, 7, 100])
def test_every_row_is_in_one_piece_and_no_chunk_is_too_large(store, monkeypatch, content, most):
    monkeypatch.setattr(reading, "MOST_ROWS", most)
    layout, data = content
    store.replace("a", data)
    found = [piece for chunk in chunks(store, layout, stretch()) for piece in chunk]
    assert [row for _, rows in found for row in rows] == list(range(ROWS))
    assert max(len(rows) for _, rows in found) <= most
    assert found[0][0].start == 0
    assert found[-1][0].stop is None
    assert all(one.stop == other.start == rows[0] for (one, _), (other, rows) in pairwise(found))


@pytest.mark.usefixtures("_sizes")
def test_a_piece_that_is_read_again_has_the_rows_it_had(store, monkeypatch, content):
    layout, data = content
    store.replace("a", data)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "MOST_ROWS", 3)
        pieces = [piece for chunk in chunks(store, layout, stretch()) for piece in chunk]
    assert [chunks(store, layout, each) for each, _ in pieces] == [[[piece]] for piece in pieces]


@pytest.mark.usefixtures("_sizes")
def test_rows_that_follow_each_other_go_together_until_a_chunk_is_full(store, monkeypatch):
    monkeypatch.setattr(reading, "MOST_ROWS", 10)
    objects = {"a": 4, "b": 5, "c": 0, "d": 2, "e": 12, "f": 1}
    for name, rows in objects.items():
        store.replace(name, parquet(rows))
    found = chunks(store, "raw", *map(stretch, objects))
    read = [(each.path, row) for chunk in found for each, rows in chunk for row in rows]
    assert read == [(name, row) for name, rows in objects.items() for row in range(rows)]
    sizes = [sum(len(rows) for _, rows in chunk) for chunk in found]
    assert max(sizes) <= 10
    assert all(one + other > 10 for one, other in pairwise(sizes))


def test_a_chunk_has_so_many_bytes(store, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 100)
    store.replace("a", parquet())
    found = chunks(store, "raw", stretch())
    assert len(found) > 2
    assert [row for chunk in found for _, rows in chunk for row in rows] == list(range(ROWS))


def test_empty_lines_are_no_rows_and_are_counted(store):
    store.replace("a", b"\n{}\n \n\n{}\n\n")
    assert chunks(store, "segment_json", stretch()) == [[(stretch(), [1, 4])]]


@pytest.mark.parametrize("data", [b"", b"\n", gzip.compress(b"", mtime=0)])
def test_an_object_without_lines_is_read_to_its_end(store, data):
    store.replace("a", data)
    assert chunks(store, "segment_json", stretch()) == [[(stretch(), [])]]


BROKEN = {
    "cut short": ("raw", parquet()[:-20], "a: cannot be read, is it cut short"),
    "no Parquet": ("raw", b"message_id,type\n", "a: cannot be read"),
    "other columns": ("raw", parquet(columns=["type"]), "a: not of the raw layout"),
    "compressed and cut short": ("segment_json", gzip.compress(text())[:-12], "a: cannot be decompressed, is it cut"),
}


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize(("layout", "data", "words"), BROKEN.values(), ids=BROKEN)
def test_an_object_that_cannot_be_read_is_named_and_the_next_is_read(store, layout, data, words):
    store.replace("a", data)
    store.replace("b", CONTENTS["Parquet" if layout == "raw" else "lines"][1])
    failed = []
    found = chunks(store, layout, stretch(), stretch("b"), failed=failed)
    assert found[-1][-1] == (stretch("b"), list(range(ROWS)))
    ((which, error),) = failed
    assert which.path == "a"
    assert isinstance(error, ArchiveError)
    assert words in str(error)
    assert store.root in str(error)


@pytest.mark.usefixtures("_sizes")
def test_an_object_that_vanished_is_named(store):
    failed = []
    assert chunks(store, "raw", stretch(), failed=failed) == []
    assert f"{store.root}/a" in str(failed[0][1])


def test_how_full_a_part_is(store, monkeypatch):
    monkeypatch.setattr(reading, "MOST_ROWS", 1024)
    tiers = {}
    for rows in (1, 2, 15, 16, 127, 128, 1024):
        store.replace("a", parquet(rows))
        (chunk,) = reading.chunks(store, LAYOUTS["raw"], Wanted(), [stretch()], lambda *_: None)
        tiers[rows] = chunk.tier
    assert tiers == {1: 0, 2: 1, 15: 1, 16: 2, 127: 2, 128: 3, 1024: 3}

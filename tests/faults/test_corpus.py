"""Rows and objects as no one should send them: nothing stops a replay, and every row is accounted for."""

import gzip
import json
import re
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from populace.definitions import Source
from populace.errors import ArchiveError
from populace.events.reasons import MEANINGS
from populace.lake import ledger
from populace.lake.objects import scan
from populace.space import OpenSpace
from tests import driving
from tests.faults import judging, mutated_tables, mutations

pytestmark = pytest.mark.faults

SEED = 20_261_121
AS_OF = datetime(2024, 3, 31, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
TRAITS = {"total": "event('Order Completed').last(property('total'))", "url": "event('E').last(context('page.url'))"}


def space_of(folder: Path, layout: str) -> OpenSpace:
    """One source of that layout, replayed from the beginning of time."""
    space = driving.space_in(folder, traits=TRAITS)
    source = Source("web", (folder / "archive/web").as_uri(), layout=layout, since="0001-01-01")
    return replace(space, definition=replace(space.definition, sources=(source,)))


def put(space: OpenSpace, name: str, data: bytes) -> Path:
    file = Path(space.archive(space.source("web")).url(name))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


# --- rows -------------------------------------------------------------------------------------------


@dataclass
class Corpus:
    """An archive of spoiled rows that was replayed.

    `rows` are those that were put in, by object and position; of lines and of the raw layout whether each is a call.
    """

    space: OpenSpace
    rows: dict[tuple[str, int], bool | None] = field(default_factory=dict)
    texts: dict[tuple[str, int], str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    def put_lines(self, name: str, found: list[bytes]) -> None:
        data = b"\n".join(found) + b"\n"
        put(self.space, name, gzip.compress(data, 1))
        for number, line in enumerate(data.split(b"\n")):
            if line.decode(errors="replace").strip():
                self.rows[name, number] = judging.is_call(line)
                self.texts[name, number] = line.decode(errors="backslashreplace").rstrip("\r")

    def put_frame(self, name: str, frame: pl.DataFrame) -> None:
        driving.put(self.space, "web", name.removesuffix(".parquet"), frame)
        self.rows |= dict.fromkeys(((name, number) for number in range(frame.height)), None)

    def table(self, kind: str, *columns: str) -> pl.DataFrame:
        """Some columns of all objects of a kind."""
        paths = [
            each["path"] for part in self.summary["parts"].values() for each in part["outputs"] if each["kind"] == kind
        ]
        return pl.concat([scan(self.space.lake, path).select(columns).collect() for path in paths])


def of_lines(corpus: Corpus) -> None:
    for number in range(4):
        path = f"segment-logs/x/{('1709251200', '1709337600000')[number % 2]}/{number}.gz"
        corpus.put_lines(path, mutations.lines(SEED + number, 400, f"m{number}."))


def of_raw(corpus: Corpus) -> None:
    frame = mutated_tables.raw(SEED, 1_600)
    for number, part in enumerate(frame.iter_slices(700)):
        name = f"2024/03/0{number + 1}/a.parquet"
        corpus.put_frame(name, part)
        corpus.rows |= {(name, at): judging.is_call(row) for at, row in enumerate(part.iter_rows(named=True))}


def of_tables(corpus: Corpus) -> None:
    layout = corpus.space.source("web").layout
    for name, frame in mutated_tables.tables(SEED, 24, 60, layout).items():
        corpus.put_frame(name, frame)


MADE: dict[str, Callable[[Corpus], None]] = {
    "segment_json": of_lines,
    "rudderstack_json": of_lines,
    "raw": of_raw,
    "segment_lake": of_tables,
    "warehouse": of_tables,
}


@pytest.fixture(scope="module", params=MADE, ids=MADE)
def corpus(request, tmp_path_factory) -> Corpus:
    found = Corpus(space_of(tmp_path_factory.mktemp(request.param), request.param))
    MADE[request.param](found)
    found.summary = driving.replay_all(found.space, AS_OF)["web"]
    return found


def test_the_corpus_is_large():
    assert 4 * 400 * 2 + 1_600 + 24 * 60 * 2 > 6_000


def test_every_row_is_read_and_is_kept_a_duplicate_or_rejected(corpus):
    found, parts = corpus.summary, corpus.summary["parts"].values()
    assert found["status"] == "complete"
    assert found["rows"]["read"] == len(corpus.rows)
    for rows in (found["rows"], *(each["rows"] for each in parts), *found["days"].values()):
        assert rows["read"] == rows["kept"] + rows["duplicate"] + rows["rejected"]
    for counted in ([each["rows"] for each in parts], [*found["days"].values()]):
        assert ledger.total(counted) == found["rows"]


def test_every_rejected_row_is_in_quarantine_whole(corpus):
    found = corpus.table("quarantine", "object", "row", "reason", "whole")
    assert found.height == found.select("object", "row").n_unique() == corpus.summary["rows"]["rejected"]
    assert set(found["reason"]) <= set(MEANINGS)
    assert Counter(found["reason"]) == Counter(ledger.reasons(corpus.summary["parts"].values()))
    for name, row, _, whole in found.iter_rows():
        label = name.removeprefix("~")
        if (label, row) in corpus.texts:
            assert whole == corpus.texts[label, row]
        else:
            assert isinstance(json.loads(whole), dict)


def test_what_is_a_call_is_kept_and_nothing_else(corpus):
    """By an oracle in plain Python, as far as it has an opinion."""
    rejected = {(name, row) for name, row in corpus.table("quarantine", "object", "row").iter_rows()}
    wrong = {at: is_call for at, is_call in corpus.rows.items() if is_call is not None and is_call == (at in rejected)}
    assert wrong == {}
    if corpus.space.source("web").layout in ("segment_json", "raw"):
        assert sum(each is not None for each in corpus.rows.values()) > 0.95 * len(corpus.rows)


def test_every_kept_message_is_one_row_of_one_event_table_and_every_row_is_one(corpus):
    events = [*corpus.table("events", "message_id")["message_id"]]
    if any(each["kind"] == "few" for part in corpus.summary["parts"].values() for each in part["outputs"]):
        events += [*corpus.table("few", "message_id")["message_id"]]
    kept = corpus.table("copies", "message_id", "kept").filter("kept")["message_id"]
    assert len(events) == corpus.summary["rows"]["kept"]
    assert sorted(events) == sorted(kept)
    assert len(set(events)) == len(events)


def test_a_second_replay_reads_nothing(corpus):
    def changes() -> dict[str, tuple[int, int]]:
        stats = {each.path: Path(corpus.space.lake.url(each.path)).stat() for each in corpus.space.lake.list("")}
        return {path: (stat.st_mtime_ns, stat.st_ino) for path, stat in stats.items()}

    before = changes()
    assert driving.replay_all(corpus.space, AS_OF)["web"] == corpus.summary
    assert changes() == before


def test_it_can_be_computed(corpus):
    assert driving.table(corpus.space, driving.run(corpus.space, AS_OF), "profiles").height >= 1


def test_every_reason_is_documented():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) >= set(MEANINGS)


# --- objects ----------------------------------------------------------------------------------------

GOOD = json.dumps(
    {"messageId": "m1", "type": "track", "event": "E", "userId": "u1", "timestamp": "2024-03-01T12:00:00Z"}
).encode()
LINES = [GOOD.replace(b'"m1"', b'"m%d"' % number) for number in range(1_000)]
WHOLE = mutations.gzipped(LINES)
RAW = pl.DataFrame({"message_id": [f"m{number}" for number in range(1_000)]}).with_columns(
    type=pl.lit("track"), event=pl.lit("E"), user_id=pl.lit("u1"), timestamp=pl.lit(AS_OF)
)


def parquet(table: pa.Table | pl.DataFrame, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table.to_arrow() if isinstance(table, pl.DataFrame) else table, sink, **options)
    return sink.getvalue().to_pybytes()


def not_utf8() -> bytes:
    """A column that says it is text and is none."""
    ids = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    return parquet(RAW.head(2).to_arrow().set_column(0, "message_id", ids))


def with_bad_sum(data: bytes) -> bytes:
    return data[:-8] + bytes(4) + data[-4:]


PARQUET = parquet(RAW)
# What cannot be read, by layout: the object's content, and words of the message that say what to do.
BROKEN: dict[str, tuple[str, bytes, str]] = {
    "gzip cut short": ("segment_json", WHOLE[: len(WHOLE) // 2], "Put the whole file there again"),
    "gzip without its end": ("segment_json", WHOLE[:-8], "Put the whole file there again"),
    "gzip's magic alone": ("segment_json", b"\x1f\x8b", "Put the whole file there again"),
    "gzip's magic and noise": ("segment_json", b"\x1f\x8b" + bytes(range(256)) * 9, "Put the whole file there again"),
    "gzip with a wrong sum": ("segment_json", with_bad_sum(WHOLE), "Put the whole file there again"),
    "gzip damaged inside": ("segment_json", WHOLE[:500] + bytes(99) + WHOLE[599:], "Put the whole file there again"),
    "gzip and then something else": ("segment_json", WHOLE + b"more", "Put the whole file there again"),
    "a second member cut short": ("segment_json", WHOLE + WHOLE[:-9], "Put the whole file there again"),
    "Parquet cut short": ("raw", PARQUET[: len(PARQUET) // 2], "Put the whole file there again"),
    "Parquet without its beginning": ("raw", PARQUET[len(PARQUET) // 2 :], "Put the whole file there again"),
    "Parquet damaged inside": ("raw", PARQUET[:100] + bytes(2_000) + PARQUET[2_100:], "Put the whole file there again"),
    "Parquet's magic alone": ("raw", b"PAR1", "Put the whole file there again"),
    "nothing": ("raw", b"", "Put the whole file there again"),
    "gzip instead of Parquet": ("raw", WHOLE, "Put the whole file there again"),
    "text that is no text": ("raw", not_utf8(), "Put the whole file there again"),
    "a column twice": (
        "raw",
        parquet(RAW.to_arrow().append_column("type", pa.array(["x"] * 1_000))),
        "Put the whole file",
    ),
    "other columns": ("raw", parquet(pa.table({"id": [1]})), "move it out of the archive"),
    "a table of whole calls": ("warehouse", parquet(RAW.drop("timestamp")), "layout"),
    "numbers for instants": ("segment_lake", parquet(RAW.with_columns(timestamp=pl.lit(5))), "write it again"),
}


@pytest.mark.parametrize(("layout", "content", "remedy"), BROKEN.values(), ids=BROKEN)
def test_an_object_that_cannot_be_read_is_named_and_stops_no_other(tmp_path, layout, content, remedy):
    space = space_of(tmp_path, layout)
    good = {"segment_json": mutations.gzipped([GOOD])}.get(layout) or parquet(
        RAW.head(1).rename({"message_id": "id"} if layout == "warehouse" else {})
    )
    ending = "gz" if layout == "segment_json" else "parquet"
    for name in ("a", "c"):
        put(space, f"2024-03-01/e/{name}1.{ending}", good)
    file = put(space, f"2024-03-01/e/b1.{ending}", content)
    with pytest.raises(ArchiveError) as told:
        driving.replay_all(space, AS_OF)
    (line,) = str(told.value).splitlines()
    assert str(file) in line
    assert remedy in line
    found = ledger.summary(space.lake, "web")
    assert (found["status"], [each["path"] for each in found["failed"]]) == ("failed", [f"2024-03-01/e/b1.{ending}"])
    assert found["rows"]["kept"] == 1
    file.write_bytes(good)
    mended = driving.replay_all(space, AS_OF)["web"]
    assert (mended["status"], mended["rows"]) == ("complete", {"read": 3, "kept": 1, "duplicate": 2, "rejected": 0})


# What looks odd and is whole: the content, and how many rows it holds.
ODD: dict[str, tuple[bytes, int]] = {
    "several members": (b"".join(mutations.gzipped(LINES[at : at + 100]) for at in range(0, 1_000, 100)), 1_000),
    "a line over two members": (gzip.compress(LINES[0][:50]) + gzip.compress(LINES[0][50:]), 1),
    "an empty member between": (mutations.gzipped(LINES[:5]) + gzip.compress(b"") + mutations.gzipped(LINES[5:9]), 9),
    "zeros behind": (WHOLE + bytes(512), 1_000),
    "not compressed": (b"\n".join(LINES), 1_000),
    "a byte order mark": (b"\xef\xbb\xbf" + b"\r\n".join(LINES), 1_000),
    "blank lines": (b"\n\n \r\n\t\n".join(LINES), 1_000),
    "nothing": (b"", 0),
    "nothing, compressed": (gzip.compress(b""), 0),
    "compressed twice": (gzip.compress(WHOLE), 0),
}


@pytest.mark.parametrize(("content", "rows"), ODD.values(), ids=ODD)
def test_an_object_that_looks_odd_is_read_to_its_end(tmp_path, content, rows):
    space = space_of(tmp_path, "segment_json")
    put(space, "2024-03-01/a.gz", content)
    found = driving.replay_all(space, AS_OF)["web"]
    assert found["status"] == "complete"
    assert found["rows"]["kept"] == rows
    assert found["rows"]["read"] == rows + found["rows"]["rejected"]


# --- bombs ------------------------------------------------------------------------------------------

MOST_MEMORY = 2.5 * 2**30  # of the 3 GiB that a replay may have in use


def squeezed(unit: bytes, times: int) -> bytes:
    """The same bytes very often, as gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(unit) for _ in range(times)) + packer.flush()


def bombs(folder: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """Small objects with very much in them, each with what becomes of its rows."""
    lines, tables = space_of(folder / "lines", "segment_json"), space_of(folder / "raw", "raw")
    put(lines, "zeros.gz", squeezed(bytes(1 << 20), 1_024))
    yield "lines", {"read": 1, "rejected": 1}
    put(lines, "empty.gz", squeezed(b"\n" * 1_000_000, 10))
    put(lines, "braces.gz", squeezed(b"{}\n" * 100_000, 10))
    yield "lines", {"read": 1_000_000, "rejected": 1_000_000}
    put(lines, "long.gz", squeezed(GOOD[:-1] + b', "properties": {"a": "' + b"x" * 8_000_000 + b'"}}\n', 12))
    yield "lines", {"read": 12, "kept": 1, "duplicate": 11}
    put(tables, "equal.parquet", parquet(RAW.head(1).select(pl.all().repeat_by(1_000_000).explode())))
    yield "raw", {"read": 1_000_000, "kept": 1, "duplicate": 999_999}
    more = RAW.head(1).with_columns(user_id=None, message_id=pl.lit("m2"))
    rows = more.select(pl.all().repeat_by(1_000_000).explode()).cast({"user_id": pl.String}).to_arrow()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, rows.schema) as writer:
        for _ in range(7):  # more than are read at once
            writer.write_table(rows)
    put(tables, "many.parquet", sink.getvalue().to_pybytes())
    yield "raw", {"read": 7_000_000, "rejected": 7_000_000}


# Prints the totals and the most memory that it had in use. The kernel's own record begins with what the parent used.
REPLAY = """
import sys
from pathlib import Path
from tests import driving
from tests.faults import test_corpus as corpus
space = corpus.space_of(Path(sys.argv[1]), sys.argv[2])
rows = driving.replay_all(space, corpus.AS_OF)["web"]["rows"]
status = Path("/proc/self/status").read_text()
print(*(rows[name] for name in ("read", "kept", "duplicate", "rejected")), status.partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_small_and_holds_very_much_is_read_in_bounded_memory(tmp_path):
    expected = {"lines": Counter(), "raw": Counter()}
    for name, rows in bombs(tmp_path):
        expected[name].update(rows)
    put(space_of(tmp_path / "lines", "segment_json"), "z.gz", mutations.gzipped([GOOD.replace(b"m1", b"m9")]))
    driving.put(space_of(tmp_path / "raw", "raw"), "web", "z", RAW.tail(1))
    assert max(file.stat().st_size for file in tmp_path.rglob("archive/web/*")) < 2_000_000
    for name, layout in {"lines": "segment_json", "raw": "raw"}.items():
        command = [sys.executable, "-c", REPLAY, str(tmp_path / name), layout]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        *counted, kilobytes = map(int, done.stdout.split())
        rows = expected[name] + Counter({"read": 1, "kept": 1})
        assert dict(zip(("read", "kept", "duplicate", "rejected"), counted, strict=True)) == {
            each: rows[each] for each in ("read", "kept", "duplicate", "rejected")
        }
        assert kilobytes * 1_024 < MOST_MEMORY

"""Lines of a text object, compressed or not, a bounded number at a time and whatever is in them."""

import gzip
import io
from collections.abc import Iterator
from typing import IO, cast

import numpy as np
import polars as pl
import pyarrow as pa
from isal import igzip
from isal.igzip_lib import IsalError
from numpy.typing import NDArray

from populace.errors import ArchiveError
from populace.events.layouts.canonical import ROW

BLOCK = 1 << 24  # bytes that are split into lines together, few enough to stay in a processor's cache
LONGEST_LINE = 1 << 24  # a call has at most 32 KB; what is longer than this is no line of calls
SHOWN = 1_000  # bytes that are kept of a line too long to be kept whole
GZIP = b"\x1f\x8b"
CORRUPT = cast(type[Exception], IsalError)
LINE_END = ord("\n")
MOST_LINES = 1 << 32  # which a row's number can count
TOGETHER = 256  # lines that are looked at one by one where one of them is no UTF-8

Bytes = NDArray[np.uint8]
Ends = NDArray[np.int64]
EMPTY, NO_ENDS = np.empty(0, np.uint8), np.empty(0, np.int64)

LINES = {ROW: pl.UInt32, "line": pl.String, "reason": pl.String, "bytes": pl.String}
"""`line` is null where its bytes are no UTF-8 or too many: `reason` then says so, and `bytes` shows them."""


def frames(file: IO[bytes], where: str) -> Iterator[pl.DataFrame]:
    """The lines of an object as frames of `LINES`; empty lines are no rows, and count in `ROW`.

    Raises
    ------
    ArchiveError
        If it is compressed and cannot be decompressed to its end, or has more lines than can be counted.
    """
    with file:
        at = 0
        for content, ends in _cut(file, where):
            found, count = _split(content, ends, at) if ends.size else (_too_long(content, at), 1)
            at += count
            if at > MOST_LINES:
                message = f"{where}: has more than {MOST_LINES:,} lines; split it into several files"
                raise ArchiveError(message)
            yield _without_blank(found)
        if not at:
            yield pl.DataFrame(schema=LINES)  # an object without a byte has been read, too


def _cut(file: IO[bytes], where: str) -> Iterator[tuple[Bytes, Ends]]:
    """Whole lines, with where each ends; or the beginning of a line that is too long, with no end."""
    rest, is_skipping = EMPTY, False
    plain = _plain(file)
    while (content := _more(plain, rest, where)).size > rest.size:
        ends = np.flatnonzero(content == LINE_END) + 1
        if is_skipping:
            behind = ends[0] if ends.size else content.size
            content, is_skipping = content[behind:], not ends.size
            ends = ends[1:] - behind
        last = ends[-1] if ends.size else 0
        if last:
            yield content[:last], ends
        rest = content[last:]
        if rest.size > LONGEST_LINE:
            yield rest[:SHOWN], NO_ENDS
            rest, is_skipping = EMPTY, True
    if rest.size:
        yield rest, np.array([rest.size])


def _plain(file: IO[bytes]) -> io.BufferedIOBase:
    """The content, decompressed if it begins like gzip, whatever the object is called (E-64)."""
    magic = file.read(2)
    file.seek(0)
    return cast(io.BufferedIOBase, igzip.IGzipFile(fileobj=file) if magic == GZIP else file)


def _more(plain: io.BufferedIOBase, rest: Bytes, where: str) -> Bytes:
    """What was left over, and as much of the content behind it as there is, up to `BLOCK`."""
    # Of Arrow's memory, which gives back what is done with; large blocks of Python's own leave holes.
    content = np.frombuffer(pa.allocate_buffer(rest.size + BLOCK), np.uint8)
    content[: rest.size] = rest
    size, view = rest.size, content.data
    try:
        while size < content.size and (count := plain.readinto(view[size:])):
            size += count
    except (EOFError, gzip.BadGzipFile, CORRUPT) as cause:
        message = (
            f"{where}: cannot be decompressed, is it cut short? Put the whole file there again, or remove it ({cause})"
        )
        raise ArchiveError(message) from cause
    return content if size == content.size else content[:size].copy()


def _split(content: Bytes, ends: Ends, first: int) -> tuple[pl.DataFrame, int]:
    """Lines that hold anything, and how many there are with those that do not."""
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    raw = pa.Array.from_buffers(pa.large_binary(), len(ends), buffers)
    numbers = np.arange(first, first + len(ends), dtype=np.int64)
    is_full = content[offsets[:-1]] != LINE_END
    if not is_full.all():
        raw, numbers = raw.filter(pa.array(is_full)), numbers[is_full]
    found = _decoded(raw, numbers)
    return _without_long(found) if content.size > LONGEST_LINE else found, len(ends)


def _without_blank(found: pl.DataFrame) -> pl.DataFrame:
    # Almost every line begins with a brace; to strip all of them would copy them.
    odd = found.select(pl.col("reason").is_null() & ~pl.col("line").str.starts_with("{")).to_series()
    if not odd.any():
        return found
    return found.filter(~odd | (pl.when(odd).then("line").str.strip_chars() != ""))


def _decoded(raw: pa.Array, numbers: NDArray[np.int64]) -> pl.DataFrame:
    try:
        text = pl.Series("line", pl.from_arrow(raw.cast(pa.large_string())))  # which looks at every byte
    except pa.ArrowInvalid:
        if len(raw) <= TOGETHER:
            return _odd(raw.to_pylist(), numbers)
        half = len(raw) // 2
        return pl.concat([_decoded(raw[:half], numbers[:half]), _decoded(raw[half:], numbers[half:])])
    row = pl.Series(ROW, numbers).cast(pl.UInt32, strict=False)
    return pl.DataFrame([row, text]).with_columns(reason=pl.lit(None, pl.String), bytes=pl.lit(None, pl.String))


def _odd(lines: list[bytes], numbers: NDArray[np.int64]) -> pl.DataFrame:
    """Lines of which some are no UTF-8."""
    rows: list[tuple[int, str | None, str | None, str | None]] = []
    for number, line in zip(numbers.tolist(), lines, strict=True):
        try:
            rows.append((number, line.decode(), None, None))
        except UnicodeDecodeError:
            rows.append((number, None, "not_utf8", line.decode(errors="backslashreplace")))
    return pl.DataFrame(rows, schema=LINES, orient="row")


def _without_long(found: pl.DataFrame) -> pl.DataFrame:
    """The same where a line that is too long happened to end within what was read."""
    line = pl.col("line")
    is_long = line.str.len_bytes() > LONGEST_LINE
    return found.with_columns(
        line=pl.when(~is_long).then(line),
        reason=pl.when(is_long).then(pl.lit("line_too_long")).otherwise("reason"),
        bytes=pl.when(is_long).then(line.str.slice(0, SHOWN) + "…").otherwise("bytes"),
    )


def _too_long(beginning: Bytes, at: int) -> pl.DataFrame:
    shown = beginning.tobytes().decode(errors="backslashreplace") + "…"
    return pl.DataFrame([(at, None, "line_too_long", shown)], schema=LINES, orient="row")

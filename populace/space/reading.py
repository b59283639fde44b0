"""Rows of archive objects, a bounded number at a time, whatever the size of the objects."""

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars import selectors
from polars.exceptions import PanicException, PolarsError

from populace.errors import ArchiveError, PopulaceError
from populace.events.jsontext import JsonReader
from populace.events.layouts import LAYOUTS, Layout, LinesLayout, ParquetLayout, paths
from populace.events.layouts.canonical import ROW, Schema, Wanted, exactly, is_pattern
from populace.events.layouts.typed import encodable
from populace.lake.objects import Store
from populace.space import lines
from populace.space.archive import TIERS, Stretch

MOST_ROWS: int = 262_144  # of a part; more would cost memory, fewer would cost objects and the fixed price of a part
MOST_BYTES: int = 1 << 28  # of the columns of a part
STEPS = 4  # in which a part is gathered: what is read ahead of it is not a part, but a step
WHOLE = 1 << 26  # objects up to this size are fetched at once
BUFFER = 1 << 22  # bytes of each column chunk of a large object that are fetched together
PAGE_ROWS, PAGE_BYTES, PROBED = 65_536, 1 << 27, 256
MOST_CELLS = 1 << 25  # read at once of an object, however small: equal values take no room in Parquet
NEVER = 1 << 32  # more rows than an object has
SMALL, TOGETHER = 1 << 20, 64  # objects up to this size are read so many at a time
FETCHERS = 16  # objects fetched together; on S3 the time goes into waiting
FILE = "@file"
RAW = LAYOUTS["raw"]
READABLE = (PolarsError, PanicException, OSError, ValueError, pa.ArrowException)  # polars panics at some damaged pages


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one object as they were read: Parquet columns, or lines; `@row` says where each stands."""

    stretch: Stretch
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pieces that make one part."""

    pieces: Sequence[Piece]
    store: Store = field(repr=False)
    layout: Layout = field(repr=False)
    wanted: Wanted = field(repr=False)

    @property
    def stretches(self) -> list[Stretch]:
        return [each.stretch for each in self.pieces]

    @property
    def tier(self) -> int:
        """How many of the `TIERS` the rows or the bytes of a part reach."""
        rows = sum(each.rows.height for each in self.pieces) / MOST_ROWS
        size = sum(each.rows.estimated_size() for each in self.pieces) / MOST_BYTES
        return sum(max(rows, size) >= each for each in TIERS)

    def frames(self, json: JsonReader) -> list[pl.DataFrame]:
        """Canonical rows with the object they are from; objects that are alike in one frame."""
        return [self._canonical(alike, json) for alike in self._alike()]

    def _alike(self) -> Iterable[list[Piece]]:
        """Pieces whose rows are read in the same way: of the same columns, and their paths say the same."""
        groups: dict[tuple, list[Piece]] = defaultdict(list)
        for each in self.pieces:
            groups[self._said(each), tuple(each.rows.schema.items())].append(each)
        return groups.values()

    def _said(self, piece: Piece) -> tuple:
        path, rows = piece.stretch.path, piece.rows
        if self.layout is RAW:
            return ()
        table = path if self.layout is LAYOUTS["warehouse"] else paths.segment_type(path)
        is_dated = "received_at" in rows.columns and not rows.get_column("received_at").null_count()
        return table, None if is_dated else self.layout.partition(path)

    def _canonical(self, alike: list[Piece], json: JsonReader) -> pl.DataFrame:
        path = alike[0].stretch.path
        rows = pl.concat([each.rows for each in alike], rechunk=True)  # expressions are slow on many small chunks
        if self.layout.container == "lines":
            found = cast(LinesLayout, self.layout).rows(rows, path, json)
        else:
            found = rows.select(cast(ParquetLayout, self.layout).columns(rows.schema, path, self.wanted))
        labels = [pl.repeat(self.label(each.stretch.path), each.rows.height, dtype=pl.String) for each in alike]
        return found.with_columns(object=pl.concat([pl.select(each).to_series() for each in labels]))

    def label(self, path: str) -> str:
        """An object's name among copies, by which ties are decided: summaries come last."""
        return f"~{path}" if self.layout.is_summary(path) else path

    def whole(self, rejected: pl.DataFrame) -> pl.DataFrame:
        """(object, row, whole): rejected rows (object, row) as the object holds them, as JSON or as a line (E-50)."""
        frames = [_nothing()]
        for each in self.pieces:
            name = self.label(each.stretch.path)
            at = rejected.filter(object=name).get_column("row")
            rows = each.rows.filter(pl.col(ROW).is_in(at.implode()))
            if rows.height and self.layout.container == "parquet" and self.layout is not RAW:
                rows = _all_columns(self.store, each.stretch, rows.get_column(ROW))
            if rows.height:
                whole = _line() if self.layout.container == "lines" else _whole(rows)
                frames.append(rows.select(pl.lit(name).alias("object"), pl.col(ROW).alias("row"), whole=whole))
        return pl.concat(frames)


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={"object": pl.String, "row": pl.UInt32, "whole": pl.String})


def _line() -> pl.Expr:
    return pl.coalesce("line", "bytes").str.strip_chars_end("\r\n")


def _whole(rows: pl.DataFrame) -> pl.Expr:
    fields = [_readable(name, dtype) for name, dtype in rows.schema.items() if name != ROW]
    return pl.struct(fields).struct.json_encode()


def _readable(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as polars can write it into JSON, which holds no bytes: those are hexadecimal."""
    return encodable(exactly(name), dtype).alias(name) if "Binary" in str(dtype) else exactly(name)


# --- chunks -------------------------------------------------------------------------------------------


Failed = Callable[[Stretch, PopulaceError], None]
"""Told of an object that cannot be read; the others go on."""


def chunks(
    store: Store, layout: Layout, wanted: Wanted, stretches: Iterable[Stretch], failed: Failed
) -> Iterator[Chunk]:
    """The rows of some stretches in their order, as chunks of at most `MOST_ROWS` rows and about `MOST_BYTES`."""
    gathered: list[Piece] = []
    rows, size = 0, 0.0
    for piece in _pieces(store, layout, wanted, stretches, failed):
        more = piece.rows.height, piece.rows.estimated_size()
        if gathered and (rows + more[0] > MOST_ROWS or size + more[1] > MOST_BYTES):
            yield Chunk(gathered, store, layout, wanted)
            gathered, rows, size = [], 0, 0.0
        gathered[-1:] = _joined(gathered[-1:], piece)
        rows, size = rows + more[0], size + more[1]
    if gathered:
        yield Chunk(gathered, store, layout, wanted)


def _joined(last: list[Piece], piece: Piece) -> list[Piece]:
    """The last piece, if there is one, and the next; as one piece where it goes on."""
    for each in last:
        if (each.stretch.path, each.stretch.stop) == (piece.stretch.path, piece.stretch.start):
            return [Piece(replace(each.stretch, stop=piece.stretch.stop), pl.concat([each.rows, piece.rows]))]
    return [*last, piece]


def _pieces(
    store: Store, layout: Layout, wanted: Wanted, stretches: Iterable[Stretch], failed: Failed
) -> Iterator[Piece]:
    for batch in _batches(stretches):
        together = _together(store, layout, wanted, batch)
        if together is not None:
            yield from together
            continue
        with ThreadPoolExecutor(FETCHERS) as pool:
            fetched = [pool.submit(_fetch, store, each) for each in batch]
            for stretch, future in zip(batch, fetched, strict=True):
                try:
                    yield from _spans(stretch, _frames(store, layout, wanted, stretch, future.result()))
                except ArchiveError as cause:
                    failed(stretch, cause)
                except READABLE as cause:
                    failed(stretch, _unreadable(store, stretch.path, cause))


def _batches(stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    """Small whole objects that follow each other, so many that a part is not exceeded; all others alone."""
    batch: list[Stretch] = []
    for each in stretches:
        is_small = each.size <= SMALL and each.start == 0 and each.stop is None
        if batch and (not is_small or len(batch) == TOGETHER):
            yield batch
            batch = []
        batch.append(each)
        if not is_small:
            yield batch
            batch = []
    if batch:
        yield batch


def _fetch(store: Store, stretch: Stretch) -> bytes | None:
    """The bytes of an object that is small and far; None for one that is read where it is."""
    if "://" not in store.url(stretch.path) or stretch.size > WHOLE:
        return None
    data = store.read(stretch.path)
    if data is None:
        message = f"{store.root}/{stretch.path}: vanished while the archive was read; start again"
        raise ArchiveError(message)
    return data


def _frames(
    store: Store, layout: Layout, wanted: Wanted, stretch: Stretch, data: bytes | None
) -> Iterator[pl.DataFrame]:
    if layout.container == "lines":
        file = store.open(stretch.path) if data is None else io.BytesIO(data)
        return _regrouped(_within(stretch, lines.frames(file, f"{store.root}/{stretch.path}")))
    if stretch.size > WHOLE:
        return _regrouped(parquet_pages(store, layout, wanted, stretch))
    source = store.url(stretch.path) if data is None else io.BytesIO(data)
    return _regrouped(parquet_whole(store, layout, wanted, stretch, source))


def _within(stretch: Stretch, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The rows of the stretch; lines behind it are not read."""
    for frame in frames:
        yield frame.filter((pl.col(ROW) >= stretch.start) & (pl.col(ROW) < (stretch.stop or NEVER)))
        if stretch.stop is not None and frame.height and frame.item(-1, ROW) + 1 >= stretch.stop:
            return


def _regrouped(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows as frames that are neither larger than a step nor, but for the last, much smaller."""
    gathered: list[pl.DataFrame] = []
    most_rows, most_bytes = max(1, MOST_ROWS // STEPS), MOST_BYTES // STEPS
    for frame in frames:
        fits = max(1, int(most_bytes * frame.height / max(1, frame.estimated_size())))
        for part in frame.iter_slices(min(most_rows, fits)) if frame.height else [frame]:
            rows = sum(each.height for each in gathered) + part.height
            size = sum(each.estimated_size() for each in gathered) + part.estimated_size()
            if gathered and (rows > most_rows or size > most_bytes):
                yield pl.concat(gathered)
                gathered = []
            gathered.append(part)
    if gathered:
        yield pl.concat(gathered)


def _spans(stretch: Stretch, frames: Iterable[pl.DataFrame]) -> Iterator[Piece]:
    """Pieces that cover the stretch without a gap: each reaches to where the next one begins."""
    held: tuple[int, pl.DataFrame] | None = None
    for frame in frames:
        if held is None:
            held = stretch.start, frame
        elif frame.height:
            start = frame.item(0, ROW)
            yield Piece(replace(stretch, start=held[0], stop=start), held[1])
            held = start, frame
    if held is not None:
        yield Piece(replace(stretch, start=held[0]), held[1])


def _unreadable(store: Store, path: str, cause: Exception) -> ArchiveError:
    first = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    return ArchiveError(
        f"{store.root}/{path}: cannot be read, is it cut short? Put the whole file there again, or remove it ({first})"
    )


# --- Parquet ------------------------------------------------------------------------------------------


def parquet_whole(
    store: Store, layout: Layout, wanted: Wanted, stretch: Stretch, source: str | io.BytesIO
) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet object, only the columns that its layout needs, at once if there are not too many."""
    lazy = pl.scan_parquet(source, glob=False, hive_partitioning=False)
    needed = _needed(store, layout, wanted, lazy.collect_schema(), stretch.path)
    most = MOST_CELLS // len(needed)
    length = most + 1 if stretch.stop is None else min(most + 1, stretch.stop - stretch.start)
    rows = lazy.select(selectors.by_name(needed)).with_row_index(ROW).slice(stretch.start, length).collect()
    if rows.height <= most:
        yield rows
    else:
        del rows
        yield from parquet_pages(store, layout, wanted, stretch)


def _together(store: Store, layout: Layout, wanted: Wanted, batch: list[Stretch]) -> list[Piece] | None:
    """Small Parquet objects on a local disk, opened by one scan, which takes a third of the time.

    None where that cannot be: there is one, it is elsewhere, their columns differ, or one of them is broken.
    """
    places = {store.url(each.path): each for each in batch}
    if len(batch) == 1 or layout.container == "lines" or any("://" in place for place in places):
        return None
    lazy = pl.scan_parquet(list(places), glob=False, hive_partitioning=False, include_file_paths=FILE)
    try:
        schema = {name: dtype for name, dtype in lazy.collect_schema().items() if name != FILE}
        needed = _needed(store, layout, wanted, schema, batch[0].path)
        most = MOST_CELLS // len(needed)
        rows = lazy.select(selectors.by_name(needed), FILE).head(most + 1).collect()
    except (ArchiveError, *READABLE):
        return None  # one by one, so that the one that is meant can be named
    if rows.height > most:
        return None
    counts = dict(rows.group_by(FILE).len().iter_rows())
    if len(counts) < len(places):
        return None  # the columns of a file without a row are not compared with those of the others
    pieces: list[Piece] = []
    start = 0
    for place, each in places.items():
        mine = rows.drop(FILE).slice(start, counts.get(place, 0)).with_row_index(ROW)
        pieces += _spans(each, _regrouped([mine]))
        start += mine.height
    return pieces


def _needed(store: Store, layout: Layout, wanted: Wanted, schema: Schema, path: str) -> list[str]:
    try:
        expressions = cast(ParquetLayout, layout).columns({**schema, ROW: pl.UInt32()}, path, wanted)
    except ArchiveError as cause:
        message = f"{store.root}/{cause}"
        raise ArchiveError(message) from cause
    roots = {name for each in expressions for name in each.meta.root_names()}
    # Raw files have few columns beside those, and rejected rows need not be fetched again then.
    needed = (name for name in schema if name in roots or is_pattern(name) or layout is RAW)
    return [name for name in needed if name != ROW]


def parquet_pages(store: Store, layout: Layout, wanted: Wanted, stretch: Stretch) -> Iterator[pl.DataFrame]:
    """The same of a large object, some pages at a time, so that no row group has to fit into memory."""
    with store.open(stretch.path) as file:
        parquet = pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)  # which would keep all that it has read
        schema = pl.DataFrame(pl.from_arrow(parquet.schema_arrow.empty_table())).schema
        needed = _needed(store, layout, wanted, schema, stretch.path)
        groups, at = _groups_after(parquet.metadata, stretch.start)
        first = next(parquet.iter_batches(PROBED, row_groups=groups, columns=needed), None) if groups else None
        fits = PAGE_ROWS if not first else PAGE_BYTES * first.num_rows // max(1, first.nbytes)
        for batch in parquet.iter_batches(min(PAGE_ROWS, max(1, fits)), row_groups=groups, columns=needed):
            rows = pl.DataFrame(pl.from_arrow(batch)).with_row_index(ROW, at)
            at += rows.height
            yield rows.filter((pl.col(ROW) >= stretch.start) & (pl.col(ROW) < (stretch.stop or NEVER)))
            if stretch.stop is not None and at >= stretch.stop:
                return


def _groups_after(footer: pq.FileMetaData, start: int) -> tuple[list[int], int]:
    """The row groups that hold a row or what follows it, and the position of the first of their rows."""
    at = 0
    for number in range(footer.num_row_groups):
        rows = footer.row_group(number).num_rows
        if at + rows > start:
            return list(range(number, footer.num_row_groups)), at
        at += rows
    return [], at


def _all_columns(store: Store, stretch: Stretch, at: pl.Series) -> pl.DataFrame:
    """Some rows of a Parquet object with all that stands in them."""
    data = _fetch(store, stretch)
    if stretch.size <= WHOLE:
        source = store.url(stretch.path) if data is None else io.BytesIO(data)
        lazy = pl.scan_parquet(source, glob=False, hive_partitioning=False).drop(ROW, strict=False).with_row_index(ROW)
        return lazy.filter(pl.col(ROW).is_in(at.implode())).collect()
    with store.open(stretch.path) if data is None else io.BytesIO(data) as file:
        return _taken(pq.ParquetFile(file), at)


def _taken(parquet: pq.ParquetFile, at: pl.Series) -> pl.DataFrame:
    found = []
    start = 0
    for number in range(parquet.metadata.num_row_groups):
        rows = parquet.metadata.row_group(number).num_rows
        mine = at.filter(at.is_between(start, start + rows, closed="left")).cast(pl.Int64)
        if mine.len():
            table = parquet.read_row_group(number).take((mine - start).to_arrow())
            found.append(pl.DataFrame(pl.from_arrow(table)).hstack([mine.cast(pl.UInt32).alias(ROW)]))
        start += rows
    return pl.concat(found)

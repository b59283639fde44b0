"""Rows of archive objects, a bounded number at a time, whatever the size of the objects."""

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import cast

import polars as pl
from polars import selectors

from populace.errors import ArchiveError, PopulaceError
from populace.events.jsontext import JsonReader
from populace.events.layouts import LAYOUTS, Layout, LinesLayout, ParquetLayout, paths
from populace.events.layouts.canonical import ROW, Wanted, exactly, is_pattern
from populace.events.layouts.typed import encodable
from populace.lake.objects import Store
from populace.space import lines
from populace.space.archive import TIERS, Stretch
from populace.space.parquet import FILE, READABLE, Parquet

MOST_ROWS: int = 262_144  # of a part; more would cost memory, fewer would cost objects and the fixed price of a part
MOST_BYTES: int = 1 << 28  # of what is read for a part; a replay holds some nine times as much at its worst
STEPS = 4  # in which a part is gathered: what is read ahead of it is not a part, but a step
WHOLE = 1 << 26  # objects up to this size are fetched at once
NEVER = 1 << 32  # more rows than an object has
SMALL, TOGETHER = 1 << 20, 64  # objects up to this size are read so many at a time
FETCHERS = 16  # objects fetched together; on S3 the time goes into waiting
RAW = LAYOUTS["raw"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one object as they were read: Parquet columns, or lines; `ROW` says where each stands."""

    stretch: Stretch
    rows: pl.DataFrame

    @property
    def size(self) -> float:
        """What the rows take in memory; lines count for more, since what is in them is copied into columns."""
        return self.rows.estimated_size() * (1.25 if self.rows.columns == list(lines.LINES) else 1)


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
        size = sum(each.size for each in self.pieces) / MOST_BYTES
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
        # As one, for expressions are slow on many small chunks.
        if self.layout.container == "lines":
            lines = pl.concat([each.rows for each in alike], rechunk=True)
            found = cast(LinesLayout, self.layout).rows(lines, path, self.wanted, json)
        else:
            schema = alike[0].rows.schema
            asked = cast(ParquetLayout, self.layout).columns(schema, path, self.wanted)
            roots = {name for each in asked for name in each.meta.root_names()}
            needed = selectors.by_name([name for name in schema if name in roots or is_pattern(name)])
            found = pl.concat([each.rows.select(needed) for each in alike], rechunk=True).select(asked)
        labels = [pl.repeat(self.label(each.stretch.path), each.rows.height, dtype=pl.String) for each in alike]
        return found.with_columns(object=pl.concat([pl.select(each).to_series() for each in labels]))

    def label(self, path: str) -> str:
        """An object's name among copies, by which ties are decided: summaries come last."""
        return f"~{path}" if self.layout.is_summary(path) else path

    def whole(self, rejected: pl.DataFrame) -> pl.DataFrame:
        """(object, row, whole): rejected rows (object, row) as the object holds them, as JSON or as a line (E-50)."""
        wrong = {
            name: part.get_column("row") for (name,), part in rejected.partition_by("object", as_dict=True).items()
        }
        held: dict[tuple, list[tuple[str, pl.DataFrame]]] = defaultdict(list)
        for each in self.pieces:
            name = self.label(each.stretch.path)
            if name in wrong:
                held[tuple(each.rows.schema.items())].append((name, each.rows))
        whole = _line if self.layout.container == "lines" else _whole
        alike = (_picked(pieces, wrong) for pieces in held.values())
        return pl.concat([_nothing(), *(rows.select(object=FILE, row=ROW, whole=whole(rows)) for rows in alike)])


def _picked(pieces: list[tuple[str, pl.DataFrame]], wanted: Mapping[str, pl.Series]) -> pl.DataFrame:
    """Some rows of objects that are alike, with the name of each one's object as `FILE`."""
    are_wanted = [rows.get_column(ROW).is_in(wanted[name].implode()) for name, rows in pieces]
    names = [name for (name, _), each in zip(pieces, are_wanted, strict=True) for _ in range(int(each.sum()))]
    rows = pl.concat([rows for _, rows in pieces])[pl.concat(are_wanted).arg_true()]
    return rows.with_columns(pl.Series(FILE, names, dtype=pl.String))


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={"object": pl.String, "row": pl.UInt32, "whole": pl.String})


def _line(rows: pl.DataFrame) -> pl.Expr:
    return pl.coalesce("line", "bytes").str.strip_chars_end("\r\n")


def _whole(rows: pl.DataFrame) -> pl.Expr:
    fields = [_readable(name, dtype) for name, dtype in rows.schema.items() if name not in (ROW, FILE)]
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
        more = piece.rows.height, piece.size
        if gathered and (rows + more[0] > MOST_ROWS or size + more[1] > MOST_BYTES):
            rows, size = 0, 0.0
            yield Chunk(_emptied(gathered), store, layout, wanted)
        gathered[-1:] = _joined(gathered[-1:], piece)
        rows, size = rows + more[0], size + more[1]
    if gathered:
        yield Chunk(gathered, store, layout, wanted)


def _emptied(gathered: list[Piece]) -> list[Piece]:
    """What was gathered, which is then held by its receiver alone."""
    found = gathered.copy()
    gathered.clear()
    return found


def _joined(last: list[Piece], piece: Piece) -> list[Piece]:
    """The last piece, if there is one, and the next; as one piece where it goes on."""
    for each in last:
        if (each.stretch.path, each.stretch.stop) == (piece.stretch.path, piece.stretch.start):
            return [Piece(replace(each.stretch, stop=piece.stretch.stop), pl.concat([each.rows, piece.rows]))]
    return [*last, piece]


def _pieces(
    store: Store, layout: Layout, wanted: Wanted, stretches: Iterable[Stretch], failed: Failed
) -> Iterator[Piece]:
    read = Parquet(store, layout, wanted)
    for batch in _batches(stretches):
        for alike in _alike(store, layout, batch):
            together = read.together(alike)
            if together is not None:
                for stretch, rows in zip(alike, together, strict=True):
                    yield from _spans(stretch, _regrouped([rows]))
            else:
                yield from _one_by_one(store, layout, read, alike, failed)


def _one_by_one(store: Store, layout: Layout, read: Parquet, batch: list[Stretch], failed: Failed) -> Iterator[Piece]:
    with ThreadPoolExecutor(FETCHERS) as pool:
        fetched = [pool.submit(_fetch, store, each) for each in batch]
        for stretch, future in zip(batch, fetched, strict=True):
            try:
                yield from _spans(stretch, _frames(store, layout, read, stretch, future.result()))
            except ArchiveError as cause:
                failed(stretch, cause)
            except READABLE as cause:
                failed(stretch, _unreadable(store, stretch.path, cause))


def _alike(store: Store, layout: Layout, batch: list[Stretch]) -> Iterable[list[Stretch]]:
    """The same in smaller batches if they are Parquet on a local disk, where files of one table can be opened together.

    Objects elsewhere are fetched, and the more of them together the better.
    """
    if layout.container == "lines" or "://" in store.url(batch[0].path):
        return [batch]
    return [list(group) for _, group in groupby(batch, lambda each: paths.segment_type(each.path))]


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
    store: Store, layout: Layout, read: Parquet, stretch: Stretch, data: bytes | None
) -> Iterator[pl.DataFrame]:
    if layout.container == "lines":
        file = store.open(stretch.path) if data is None else io.BytesIO(data)
        return _regrouped(_within(stretch, lines.frames(file, f"{store.root}/{stretch.path}")))
    if stretch.size > WHOLE:
        return _regrouped(read.pages(stretch))
    return _regrouped(read.whole(stretch, store.url(stretch.path) if data is None else io.BytesIO(data)))


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

"""Rows of Parquet objects: small ones together, large ones some pages at a time."""

import io
from collections.abc import Iterator, Sequence
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.exceptions import PanicException, PolarsError

from populace.errors import ArchiveError
from populace.events.layouts import Layout, ParquetLayout, paths
from populace.events.layouts.canonical import ROW, Schema, Wanted
from populace.lake.objects import Store
from populace.space.archive import Stretch

BUFFER = 1 << 22  # bytes of each column chunk of a large object that are fetched together
PAGE_ROWS, PAGE_BYTES, PROBED = 65_536, 1 << 27, 256
MOST_CELLS = 1 << 25  # read at once of an object, however small: equal values take no room in Parquet
FILE = "\ufdd0file"
READABLE = (PolarsError, PanicException, OSError, ValueError, pa.ArrowException)  # polars panics at some damaged pages


class Parquet:
    """Reads Parquet objects of one layout, with all their columns, and `ROW`."""

    def __init__(self, store: Store, layout: Layout, wanted: Wanted) -> None:
        self.store = store
        self.layout = cast(ParquetLayout, layout)
        self.wanted = wanted
        self.accepted: set[tuple] = set()

    def together(self, batch: Sequence[Stretch]) -> list[pl.DataFrame] | None:
        """The rows of each of some whole small objects, opened by one scan, which takes a third of the time.

        None where that cannot be: there is one, it is elsewhere, their columns differ, or one of them is broken.
        """
        places = [self.store.url(each.path) for each in batch]
        if len(batch) == 1 or self.layout.container != "parquet" or any("://" in place for place in places):
            return None
        lazy = pl.scan_parquet(places, glob=False, hive_partitioning=False, include_file_paths=FILE)
        try:
            schema = {name: dtype for name, dtype in lazy.collect_schema().items() if name != FILE}
            self._refuse(schema, batch[0].path)
            most = MOST_CELLS // len(schema)
            rows = lazy.head(most + 1).collect()
        except (ArchiveError, *READABLE):
            return None  # one by one, so that the one that is meant can be named
        runs = rows.get_column(FILE).rle().struct.unnest()
        # The columns of a file without a row are not compared with those of the others.
        if rows.height > most or runs.get_column("value").to_list() != places:
            return None
        return _cut(rows.drop(FILE, ROW, strict=False), runs.get_column("len").to_list())

    def whole(self, stretch: Stretch, source: str | io.BytesIO) -> Iterator[pl.DataFrame]:
        """The rows of an object, at once if there are not too many.

        Raises
        ------
        ArchiveError
            If the object is not of the layout.
        """
        lazy = pl.scan_parquet(source, glob=False, hive_partitioning=False)
        schema = lazy.collect_schema()
        self._refuse(schema, stretch.path)
        most = MOST_CELLS // len(schema)
        length = most + 1 if stretch.stop is None else min(most + 1, stretch.stop - stretch.start)
        rows = lazy.drop(ROW, strict=False).with_row_index(ROW).slice(stretch.start, length).collect()
        if rows.height <= most:
            yield rows
        else:
            del rows
            yield from self.pages(stretch)

    def pages(self, stretch: Stretch) -> Iterator[pl.DataFrame]:
        """The same of a large object, some pages at a time, so that no row group has to fit into memory."""
        with self.store.open(stretch.path) as file:
            # Without the buffer that would keep all that has been read.
            parquet = pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)
            self._refuse(pl.DataFrame(pl.from_arrow(parquet.schema_arrow.empty_table())).schema, stretch.path)
            groups, at = _groups_after(parquet.metadata, stretch.start)
            first = next(parquet.iter_batches(PROBED, row_groups=groups), None) if groups else None
            fits = PAGE_ROWS if not first else PAGE_BYTES * first.num_rows // max(1, first.nbytes)
            for batch in parquet.iter_batches(min(PAGE_ROWS, max(1, fits)), row_groups=groups):
                rows = pl.DataFrame(pl.from_arrow(batch)).drop(ROW, strict=False).with_row_index(ROW, at)
                at += rows.height
                is_asked = (pl.col(ROW) >= stretch.start) & (stretch.stop is None or pl.col(ROW) < stretch.stop)
                yield rows.filter(is_asked)
                if stretch.stop is not None and at >= stretch.stop:
                    return

    def _refuse(self, schema: Schema, path: str) -> None:
        """Raise where an object's columns are not those of its layout; asked once of objects that are alike."""
        alike = (self.layout.partition(path) is None, paths.segment_type(path) or path, *schema.items())
        if alike in self.accepted:
            return
        try:
            self.layout.columns({**schema, ROW: pl.UInt32()}, path, self.wanted)
        except ArchiveError as cause:
            message = f"{self.store.root}/{cause}"
            raise ArchiveError(message) from cause
        self.accepted.add(alike)


def _cut(rows: pl.DataFrame, heights: Sequence[int]) -> list[pl.DataFrame]:
    """Rows that follow each other as frames of these heights, each numbered from 0."""
    frames = []
    start = 0
    for height in heights:
        frames.append(rows.slice(start, height).with_row_index(ROW))
        start += height
    return frames


def _groups_after(footer: pq.FileMetaData, start: int) -> tuple[list[int], int]:
    """The row groups that hold a row or what follows it, and the position of the first of their rows."""
    at = 0
    for number in range(footer.num_row_groups):
        rows = footer.row_group(number).num_rows
        if at + rows > start:
            return list(range(number, footer.num_row_groups)), at
        at += rows
    return [], at

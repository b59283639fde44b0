"""Writes the files that `populace.destinations.object_storage` describes, and when all are there the manifest."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote, urlsplit

import polars as pl

from populace.definitions import Bounds, Storage
from populace.destinations import object_files, object_storage
from populace.destinations.object_storage import MANIFEST, Computation, File, Manifest, State
from populace.destinations.protocol import Answer, Origin, Settings, Verdict
from populace.errors import DestinationError, Refused, Throttled, Transient
from populace.lake.faults import fault
from populace.lake.objects import Keys, Store, open_store, read_json, write_json
from tasks.sending import Courier, Pace, Patience

COMPUTATION = ["kind", "key", "form"]
HELD = pl.Schema(dict.fromkeys((*COMPUTATION, *object_files.IDENTIFIER, "value"), pl.String()))
ERRORS = {"refused": Refused, "throttled": Throttled, "transient": Transient}

LOST = "{} files were missing or not as written; what they held is gone unless it was sent again: `--resync` sends all"
LEFT = "all is written, but files that nobody needs any more could not be removed: {}"


class Sender:
    """Rewrites the state of each computation that has records.

    It may be given the records of a sync in several calls, but each call reads and writes whole states.
    """

    chunk = None  # all records at once, please
    store: Store  # from when it is entered

    def __init__(
        self,
        settings: Settings,
        origin: Origin,
        pace: Pace,
        base: Path,
        bounds: Bounds = Bounds(),  # noqa: B008, it is frozen
    ) -> None:
        self.settings = settings
        self.origin = origin
        self.base = base
        self.form = settings.get("format", object_storage.FORMATS[0])
        self.sync = object_storage.sync_name(origin)
        self.complaints: dict[Computation, str] = {}
        window = pace.window if bounds.patience is None else bounds.patience.total_seconds()
        self.courier = Courier(self._attempt, Patience(replace(pace, window=window)))

    def __enter__(self) -> Self:
        if found := object_storage.problems(self.settings):
            raise Refused("; ".join(found))
        self.store = opened(self.settings, self.origin.space, self.base)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing stays open."""

    def send(self, records: pl.DataFrame) -> Iterator[tuple[list[int], list[Verdict]]]:
        """All positions and what became of each, once the manifest names what they changed."""
        self.complaints = {}
        (verdict,) = self.courier.settle([records])  # one thing, whether it holds ten records or ten million
        verdicts = [verdict] * records.height
        if self.complaints and verdict.outcome == "delivered":
            computations = records.select(COMPUTATION).iter_rows()
            found = (self.complaints.get(each) for each in computations)
            verdicts = [Verdict("warning", each) if each else verdict for each in found]
        yield list(range(records.height)), verdicts

    def readable(self, acknowledged: pl.DataFrame) -> pl.DataFrame:
        """All of it."""
        return acknowledged

    def held(self, acknowledged: pl.DataFrame) -> pl.DataFrame:
        """What the valid files hold of the computations that `acknowledged` has rows of.

        Returns
        -------
        One row for each identifier: (kind, key, form, id_type, id_value, value). What a file held that is missing
        now, or is not as it was written, has no row.

        Raises
        ------
        Refused, Throttled, Transient
            If the store does not answer.
        """
        asked = acknowledged.select(COMPUTATION).unique().sort(COMPUTATION).rows()
        try:
            manifest = self._manifest()
            states = [manifest.state(each) if manifest else None for each in asked]
            parts = [_named(self._read(each)[0], each) for each in states if each]
        except ValueError:
            parts = []
        except DestinationError as error:
            raise ERRORS[fault(error)](str(error)) from error
        return pl.concat([HELD.to_frame(), *parts])

    # --- one try ----------------------------------------------------------------------------------

    def _attempt(self, batches: Sequence[pl.DataFrame]) -> Answer:
        """Everything once, from the manifest that stands to the one that takes its place."""
        (records,) = batches
        try:
            before = self._standing()
            manifest = self._prepared(records, before)
            if self._standing() != before:
                return Verdict("transient", f"{self.store.root}: another sync has written meanwhile")
        except DestinationError as error:
            return _verdict(error)
        try:
            write_json(self.store, MANIFEST, object_storage.document(manifest))
        except DestinationError as error:
            verdict = _verdict(error)
            return replace(verdict, in_doubt=verdict.outcome != "refused")
        return self._swept(before, manifest)

    def _standing(self) -> Manifest | None:
        """The manifest that stands, if it is ours."""
        where = f"{self.store.root}/{MANIFEST}"
        try:
            manifest = self._manifest()
        except ValueError as cause:
            message = f"{where} cannot be read; remove it, resume the destination, and sync with --resync"
            raise Refused(message) from cause
        if manifest and manifest.destination != self.origin.destination:
            message = f"{where} is that of the destination '{manifest.destination}'; set another url, or remove it"
            raise Refused(message)
        return manifest

    def _manifest(self) -> Manifest | None:
        document = read_json(self.store, MANIFEST)
        return None if document is None else object_storage.read(document)

    def _prepared(self, records: pl.DataFrame, before: Manifest | None) -> Manifest:
        """Write all files; returns the manifest that makes them valid."""
        changes = self._changes(records, before) if object_storage.kept_changes(self.settings) else ()
        new = records.partition_by(COMPUTATION, as_dict=True)
        others = object_storage.written_otherwise(before, self.form)
        states = [self._rewritten(each, new.get(each, records.clear()), before) for each in sorted({*new, *others})]
        return object_storage.following(before, self.origin, self.settings, states, changes)

    def _rewritten(self, computation: Computation, records: pl.DataFrame, before: Manifest | None) -> State:
        """The state of a computation after its records, in files; what has not changed stays where it is."""
        standing = before.state(computation) if before else None
        held, valid = self._read(standing)
        if standing and len(valid) < len(standing.files):
            self.complaints[computation] = LOST.format(len(standing.files) - len(valid))
        rows = object_files.applied(held, records)
        value = object_files.value_type(
            computation[0], rows["value"], standing.value if standing else object_files.JSON
        )
        parts = list(rows.iter_slices(object_storage.FILE_ROWS[self.form])) or [rows]
        files = tuple(self._kept_or_put(computation, *each, value, valid) for each in enumerate(parts))
        if standing and (standing.files, standing.value) == (files, value):
            return standing
        return State(*computation, value, rows.height, self.sync, files)

    def _kept_or_put(
        self, computation: Computation, number: int, rows: pl.DataFrame, value: str, valid: dict[str, File]
    ) -> File:
        data = object_files.encoded(rows, value, self.form)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in valid:
            return valid[sha256]
        path = object_storage.state_path(computation, self.sync, number, sha256, self.form)
        self.store.replace(path, data)
        return File(path, rows.height, sha256)

    def _changes(self, records: pl.DataFrame, before: Manifest | None) -> tuple[File, ...]:
        """Write what this sync has not said yet, behind the parts that stand."""
        standing = before.changed(self.sync) if before else ()
        said = [object_files.from_bytes(data, form) for data, form in map(self._valid, standing) if data]
        new = object_files.unrepeated(records.select(object_files.CHANGES), said)
        found = list(standing)
        for part in new.iter_slices(object_storage.FILE_ROWS[self.form]):
            path = object_storage.changes_path(self.sync, len(found), self.form)
            data = object_files.to_bytes(part, self.form)
            self.store.replace(path, data)
            found.append(File(path, part.height, hashlib.sha256(data).hexdigest()))
        return tuple(found)

    def _read(self, state: State | None) -> tuple[pl.DataFrame, dict[str, File]]:
        """The rows of a state, and those of its files that are as they were written, by their digests."""
        parts: list[pl.DataFrame] = [object_files.HELD.to_frame()]
        valid: dict[str, File] = {}
        if state is None:
            return parts[0], valid
        for file in state.files:
            data, form = self._valid(file)
            with suppress(pl.exceptions.PolarsError):  # whoever made the digests fit may not have made the columns fit
                if data is not None:
                    parts.append(object_files.decoded(data, state.value, form))
                    valid[file.sha256] = file
        return pl.concat(parts), valid

    def _valid(self, file: File) -> tuple[bytes | None, str]:
        """The bytes of a file as it was written, None where it is another one or gone; and its format."""
        data = self.store.read(file.path)
        is_valid = data is not None and hashlib.sha256(data).hexdigest() == file.sha256
        return data if is_valid else None, object_storage.form_of(file)

    def _swept(self, before: Manifest | None, manifest: Manifest) -> Verdict:
        """Remove what nobody needs; a manifest stands already, so that a failure is a complaint and no more."""
        try:
            paths = [each.path for each in self.store.list()]
            for path in object_storage.obsolete(paths, before, manifest):
                self.store.delete(path)
        except DestinationError as error:
            return Verdict("warning", LEFT.format(error))
        return Verdict("delivered")


def opened(settings: Settings, space: str, base: Path) -> Store:
    """The store of one space; a relative folder (`file:folder`) starts at `base`."""
    url, keys = settings["url"].rstrip("/"), None
    if urlsplit(url).scheme == "file":
        url = (base / unquote(urlsplit(url).path)).absolute().as_uri()
    if settings.get("access_key_id"):
        keys = Keys(settings["access_key_id"], settings["secret_access_key"])
    storage = Storage(settings.get("endpoint_url"), settings.get("region"))
    return open_store(f"{url}/{quote(space, safe='')}", storage, DestinationError, keys)


def _verdict(error: DestinationError) -> Verdict:
    return Verdict("refused" if isinstance(error, Refused) else fault(error), str(error))


def _named(rows: pl.DataFrame, state: State) -> pl.DataFrame:
    """The rows with the computation that they are of."""
    names = zip(COMPUTATION, state.computation, strict=True)
    return rows.with_columns(pl.lit(value).alias(name) for name, value in names).select(list(HELD))

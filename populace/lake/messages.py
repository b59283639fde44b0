"""Which parts hold a message: an index that finds duplicates among a billion ids in bounded memory.

A message is known by 44 bits of a hash, and stands in a sorted array together with the number of the
part that holds it: eight bytes. Arrays of similar size are merged, so there are only a few, and large
ones are files that are mapped, not read. What the index finds are candidates: two messages may share a
hash, so the ids themselves decide, which stand in the parts' `copies`.

    replay/@messages.json       the arrays and the numbers of the parts; no source has such a name
    replay/@messages/<n>.npy    an array in numpy's format

It is a cache: what is missing in it is added from `copies`, and when the hash itself changes with a new
version of polars, everything is.
"""

import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from populace.lake.objects import Store, read_json, scan, write_json

Keys = NDArray[np.uint64]

PART_BITS = np.uint64(20)
PART_MASK = np.uint64((1 << 20) - 1)
MOST_NUMBERS = 1 << 19  # given out before the index is made again and they begin anew
LARGEST = 1 << 25  # keys of an array that is not merged any further: 256 MiB
IN_MEMORY = 1 << 22  # keys of an array that is kept in memory; larger ones are mapped files
PROBES = pl.Series(["", "populace", "0b1c6a3e-91a4-4b3a-8a43-2f0d2f0f9f10"])
INDEX, ARRAYS = "replay/@messages.json", "replay/@messages/"


def hashes(message_ids: pl.Series) -> Keys:
    """The 44 bits by which messages are known here, shifted to make room for a part's number."""
    found = message_ids.hash(seed=0).to_numpy()
    return (found >> PART_BITS) << PART_BITS


class Messages:
    """The index of one lake, open for looking up and adding; `save` makes what was added last."""

    def __init__(self, store: Store, copies: Mapping[str, str]) -> None:
        """Open the index of these parts, each with the path of its `copies`."""
        self.store = store
        self.folder = tempfile.TemporaryDirectory(prefix="populace-")
        known = self._known()
        self.next = known.get("next", 0)
        self.numbers: dict[str, int] = {part: n for part, n in known.get("parts", {}).items() if part in copies}
        self.paths: list[str | None] = list(known.get("arrays", {}))
        self.arrays: list[Keys] = [self._load(path) for path in self.paths if path]
        for part in sorted(set(copies) - set(self.numbers)):
            ids = scan(store, copies[part]).select("message_id").collect().to_series()
            self.add(part, hashes(ids))

    def _known(self) -> dict[str, Any]:
        """What `save` wrote, if it can be used."""
        found = read_json(self.store, INDEX) or {"probes": None}
        there = {each.path for each in self.store.list(ARRAYS)}
        is_whole = found["probes"] == hashes(PROBES).tolist() and there.issuperset(found["arrays"])
        return found if is_whole and found["next"] < MOST_NUMBERS else {}

    def _load(self, path: str) -> Keys:
        place = self.store.url(path)
        if "://" in place:
            local = Path(self.folder.name) / path.rpartition("/")[2]
            local.write_bytes(self.store.read(path) or b"")
            place = str(local)
        return np.load(place, mmap_mode="r")

    # --- looking up -------------------------------------------------------------------------------

    def find(self, keys: Keys) -> dict[str, NDArray[np.int64]]:
        """For each part that may hold some of these messages which of them: positions in `keys`."""
        names = {number: part for part, number in self.numbers.items()}
        order = pl.Series(keys).arg_sort().to_numpy()  # twice as fast as numpy
        found: list[tuple[NDArray[np.int64], Keys]] = [_matches(array, keys[order], order) for array in self.arrays]
        positions = np.concatenate([each for each, _ in found] or [np.empty(0, np.int64)])
        numbers = np.concatenate([each for _, each in found] or [np.empty(0, np.uint64)])
        held = {int(number): positions[numbers == number] for number in np.unique(numbers)}
        return {names[number]: each for number, each in held.items() if number in names}

    def contested(self) -> Iterator[tuple[Keys, list[str]]]:
        """Keys that more than one part holds, with these parts, a share of all keys at a time."""
        names = {number: part for part, number in self.numbers.items()}
        shares = 1 + sum(len(each) for each in self.arrays) // IN_MEMORY
        bounds = [np.uint64(n * (1 << 64) // shares) & ~PART_MASK for n in range(shares)]
        for low, high in zip(bounds, [*bounds[1:], None], strict=True):
            keys = self._live(
                np.sort(np.concatenate([np.empty(0, np.uint64), *(_between(a, low, high) for a in self.arrays)]))
            )
            known = keys >> PART_BITS
            again = np.zeros(len(keys), bool)
            again[1:] = known[1:] == known[:-1]
            again[:-1] |= again[1:]
            numbers = np.unique(keys[again] & PART_MASK)
            yield np.unique((keys[again] >> PART_BITS) << PART_BITS), [names[int(number)] for number in numbers]

    def _live(self, keys: Keys) -> Keys:
        alive = np.zeros(self.next + 1, bool)
        alive[list(self.numbers.values())] = True
        return keys if alive[: self.next].all() else keys[alive[(keys & PART_MASK).astype(np.int64)]]

    # --- adding -----------------------------------------------------------------------------------

    def add(self, part: str, keys: Keys) -> None:
        """Say which messages a part holds; a part that is known already is replaced."""
        self.numbers[part] = self.next
        self.arrays.append(pl.Series(keys | np.uint64(self.next)).sort().to_numpy())
        self.paths.append(None)
        self.next += 1
        while self._has_two_alike():
            merged = self._live(np.sort(np.concatenate(self.arrays[-2:]), kind="stable"))
            self.arrays[-2:], self.paths[-2:] = [self._placed(merged)], [None]

    def _has_two_alike(self) -> bool:
        sizes = [len(each) for each in self.arrays[-2:]]
        return len(sizes) == 2 and sizes[0] <= 2 * sizes[1] and sum(sizes) <= LARGEST

    def _placed(self, keys: Keys) -> Keys:
        """The array in memory, or in a mapped file where it is large."""
        if len(keys) < IN_MEMORY:
            return keys
        place = Path(self.folder.name) / f"merged-{self.next}.npy"
        np.save(place, keys)
        return np.load(place, mmap_mode="r")

    def forget(self, part: str) -> None:
        """A part is no more."""
        self.numbers.pop(part, None)

    def save(self) -> None:
        """Write the arrays that are new, then say so, then remove those they replace."""
        there = [each.path for each in self.store.list(ARRAYS)]
        number = 1 + max((int(Path(path).stem) for path in there), default=-1)
        for position, path in enumerate(self.paths):
            if path is None:
                self.paths[position] = f"{ARRAYS}{number:08d}.npy"
                self.store.replace(self.paths[position] or "", _bytes(self.arrays[position]))
                number += 1
        arrays = {path: len(array) for path, array in zip(self.paths, self.arrays, strict=True) if path}
        document: dict[str, Any] = {"probes": hashes(PROBES).tolist(), "next": self.next}
        write_json(self.store, INDEX, document | {"parts": self.numbers, "arrays": arrays})
        for path in set(there) - set(arrays):
            self.store.delete(path)

    def close(self) -> None:
        """Give temporary files back."""
        self.arrays = []
        self.folder.cleanup()


def _matches(array: Keys, keys: Keys, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], Keys]:
    """Which of the sorted keys an array holds, and the number of the part beside each."""
    first = np.searchsorted(array, keys)
    hit = np.zeros(len(keys), bool)
    inside = first < len(array)
    hit[inside] = (array[first[inside]] >> PART_BITS) == (keys[inside] >> PART_BITS)
    first, wanted = first[hit], keys[hit]
    last = np.searchsorted(array, wanted | PART_MASK, side="right")
    counts = last - first
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(positions[hit], counts), array[np.repeat(first, counts) + offsets] & PART_MASK


def _between(array: Keys, low: np.uint64, high: np.uint64 | None) -> Keys:
    start = np.searchsorted(array, low)
    return array[start : None if high is None else np.searchsorted(array, high)]


def _bytes(keys: Keys) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, keys)
    return buffer.getvalue()


def matching(message_ids: pl.Series, keys: Iterable[int] | Keys) -> pl.Series:
    """True for ids whose key is among these."""
    return pl.Series(np.isin(hashes(message_ids), np.asarray(keys, dtype=np.uint64)))

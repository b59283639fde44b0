"""Where object storage is written in tests, how a test gets at it without our code, and states to send there."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import polars as pl

from populace import sync
from populace.definitions import Destination
from populace.destinations.protocol import Origin
from tasks import object_storage
from tests.deliveries import QUICK
from tests.shelves import Shelf

KEYS = ("plan", "ltv", "active", "tags_seen", "order_count", "buyers")


@dataclass
class Place:
    """Where a destination writes, and how a test gets at the objects without our code."""

    settings: dict[str, str]
    read: Callable[[str], bytes | None]
    write: Callable[[str, bytes | None], None]  # None removes the object
    names: Callable[[], list[str]]

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.read)

    def destination(self, **more: str) -> Destination:
        return Destination("files", "object_storage", tuple({**self.settings, **more}.items()))


def on_disk(folder: Path) -> Place:
    below = folder / "out" / "dev"

    def write(name: str, data: bytes | None) -> None:
        (below / name).unlink() if data is None else (below / name).write_bytes(data)

    return Place(
        {"url": f"file://{folder}/out"},
        lambda name: (below / name).read_bytes() if (below / name).exists() else None,
        write,
        lambda: sorted(path.relative_to(below).as_posix() for path in below.rglob("*") if path.is_file()),
    )


def in_s3(s3: Any) -> Place:
    client, prefix = boto3.client("s3", endpoint_url=s3.endpoint), "out/dev/"

    def read(name: str) -> bytes | None:
        try:
            return client.get_object(Bucket=s3.bucket, Key=prefix + name)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None

    def write(name: str, data: bytes | None) -> None:
        if data is None:
            client.delete_object(Bucket=s3.bucket, Key=prefix + name)
        else:
            client.put_object(Bucket=s3.bucket, Key=prefix + name, Body=data)

    def names() -> list[str]:
        found = client.list_objects_v2(Bucket=s3.bucket, Prefix=prefix).get("Contents", [])
        return sorted(each["Key"].removeprefix(prefix) for each in found)

    return Place({"url": f"s3://{s3.bucket}/out", "endpoint_url": s3.endpoint}, read, write, names)


def people(**columns: list[Any]) -> dict[str, list[Any]]:
    first = {
        "profile_id": ["p1", "p2", "p3"],
        "plan": ["gold", 'it\'s "é"\n=1,', None],
        "ltv": [10.0, 0.1, None],
        "active": [True, False, None],
        "tags_seen": [["a", "b"], [], None],
        "order_count": [1, 2, None],
    }
    return first | columns


def states_of(traits: dict[str, Any], members: list[str]) -> pl.DataFrame:
    rows = [("trait", "plan", "property", f"use_{who}", "user_id", who, json.dumps(v)) for who, v in traits.items()]
    rows += [("audience", "buyers", "property", f"use_{who}", "user_id", who, "true") for who in members]
    return pl.DataFrame(rows, schema=sync.STATE, orient="row")


NOBODY = states_of({}, [])
ONE = states_of({f"u{n}": "abc"[n % 3] for n in range(9)}, [f"u{n}" for n in range(6)])
TWO = states_of({f"u{n}": "bbc"[n % 3] for n in range(2, 11)}, [f"u{n}" for n in range(3, 8)])


HELD = {
    "plan": {"p1": "gold", "p2": 'it\'s "é"\n=1,'},
    "ltv": {"p1": 10, "p2": 0.1},
    "active": {"p1": True, "p2": False},
    "tags_seen": {"p1": ["a", "b"], "p2": []},
    "order_count": {"p1": 1, "p2": 2},
    "buyers": {"p1": True, "p3": True},
}


def held(shelf: Shelf) -> dict[str, dict[str, Any]]:
    """The states, with the lists that Parquet keeps as JSON read as lists."""
    return {
        key: {
            who: json.loads(each) if key == "tags_seen" and isinstance(each, str) else each for who, each in of.items()
        }
        for key, of in shelf.states().items()
    }


class Killed(BaseException):
    """What no code catches."""


class Mortal:
    """A store in front of which the process dies at a write: before it, or when it is done."""

    def __init__(self, store: Any, writes: int, *, is_done: bool) -> None:
        self.store, self.left, self.is_done = store, writes, is_done

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def replace(self, path: str, data: bytes) -> None:
        self._write(lambda: self.store.replace(path, data))

    def delete(self, path: str) -> None:
        self._write(lambda: self.store.delete(path))

    def _write(self, write: Callable[[], None]) -> None:
        self.left -= 1
        if self.left == 0 and not self.is_done:
            raise Killed
        write()
        if self.left == 0:
            raise Killed


def origin(number: int = 1, generation: int = 0) -> Origin:
    return Origin("dev", "files", f"run-{number}", f"2024-03-{number:02}T00:00:00Z", generation)


def difference(after: pl.DataFrame, before: pl.DataFrame, salt: str) -> pl.DataFrame:
    """The records that change one state into the other, as a sync hands them over, each with an id of its own."""
    was, will = ({row[:3] + row[4:6]: row for row in state.rows()} for state in (before, after))
    records = [("set", row) for key, row in will.items() if was.get(key) != row]
    gone = [row for key, row in was.items() if key not in will]
    records += [("exit", (*row[:6], "false")) if row[0] == "audience" else ("unset", (*row[:6], None)) for row in gone]
    rows = [
        (action, f"{salt} {action} {row}", *row) for action, row in sorted(records, key=lambda each: each[1][5][::-1])
    ]
    return pl.DataFrame(rows, schema=sync.RECORDS, orient="row")


def sent(place: Place, before: pl.DataFrame, after: pl.DataFrame, by: Origin, size: int | None = None, **more: str):
    """Send what changes one state into the other; the verdicts."""
    records = difference(after, before, by.salt)
    with object_storage.Sender({**place.settings, **more}, by, QUICK, Path()) as sender:
        parts = records.iter_slices(size or records.height)
        return [verdict for part in parts for _, verdicts in sender.send(part) for verdict in verdicts]


def read_back(place: Place, asked: pl.DataFrame, **more: str) -> pl.DataFrame:
    with object_storage.Sender({**place.settings, **more}, origin(), QUICK, Path()) as sender:
        return sender.held(asked)


def texts(frame: pl.DataFrame) -> set[tuple]:
    return set(frame.select(*sync.KEY, "value").rows())

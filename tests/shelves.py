"""What somebody reads from object storage who knows its manifest and none of our code."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq

Read = Callable[[str], bytes | None]  # of an object below the folder of the space

VALUES = {
    "boolean": lambda text: {"true": True, "false": False}[text],
    "integer": int,
    "number": float,
    "text": str,
    "json": json.loads,
}


class Shelf:
    """The files of a space; reading them fails the test where the manifest says something that is not so."""

    def __init__(self, read: Read) -> None:
        self.read = read

    @property
    def manifest(self) -> dict[str, Any] | None:
        data = self.read("manifest.json")
        return None if data is None else json.loads(data)

    def states(self) -> dict[str, dict[str, Any]]:
        """For each key what each identifier has; members have True."""
        return {each["key"]: self._state(each) for each in (self.manifest or {"computations": []})["computations"]}

    def _state(self, state: dict[str, Any]) -> dict[str, Any]:
        rows = [row for file in state["files"] for row in self._rows(file)]
        assert [(row["id_type"], row["id_value"]) for row in rows] == sorted(
            {(r["id_type"], r["id_value"]) for r in rows}
        )
        assert len(rows) == state["rows"]
        assert all(row["profile_id"] for row in rows)
        if state["kind"] == "audience":
            assert all("value" not in row for row in rows)
            return dict.fromkeys((row["id_value"] for row in rows), True)
        assert all(row["value"] is not None for row in rows)
        is_typed = state["files"][0]["path"].endswith(".parquet") and state["value"] != "json"
        spoken = (lambda value: value) if is_typed else VALUES[state["value"]]
        return {row["id_value"]: spoken(row["value"]) for row in rows}

    def changes(self) -> list[list[dict[str, Any]]]:
        """The records of each sync that is kept, oldest first."""
        return [
            [row for file in each["files"] for row in self._rows(file)] for each in (self.manifest or {})["changes"]
        ]

    def replayed(self) -> dict[str, dict[str, Any]]:
        """The states that follow from all changes; keys that nobody has any more are left out."""
        found: dict[str, dict[str, Any]] = {}
        for row in (row for sync in self.changes() for row in sync):
            people = found.setdefault(row["key"], {})
            if row["action"] == "set":
                people[row["id_value"]] = json.loads(row["value"])
            else:
                people.pop(row["id_value"], None)
        return {key: people for key, people in found.items() if people}

    def _rows(self, file: dict[str, Any]) -> list[dict[str, Any]]:
        data = self.read(file["path"])
        assert data is not None, f"{file['path']} is not there"
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        rows = parquet_rows(data) if file["path"].endswith(".parquet") else csv_rows(data)
        assert len(rows) == file["rows"]
        return rows


def parquet_rows(data: bytes) -> list[dict[str, Any]]:
    return pq.read_table(io.BytesIO(data)).to_pylist()


def csv_rows(data: bytes) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))

"""Frames for Parquet objects with something wrong in them: `raw` is all text, `tables` have columns of any type."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import polars as pl

from tests.faults.mutations import CALLS, DAYS, START, call, deep, spoiled
from tests.faults.oddities import LITERALS, NAMES

# --- frames of the raw layout ---------------------------------------------------------------------------

SNAKE = {
    "messageId": "message_id",
    "type": "type",
    "event": "event",
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "groupId": "group_id",
    "previousId": "previous_id",
    "timestamp": "timestamp",
    "receivedAt": "received_at",
    "properties": "properties",
    "traits": "traits",
    "context": "context",
}


def raw(seed: int, count: int) -> pl.DataFrame:
    """Rows of the raw layout, all columns text: what `lines` holds of them, and texts that are no objects."""
    chance = Random(seed)
    return pl.DataFrame(
        [_raw(chance, number) for number in range(count)], schema=dict.fromkeys(SNAKE.values(), pl.String)
    )


def _raw(chance: Random, number: int) -> dict[str, str | None]:
    found = call(chance, number, "r")
    row = {own: found.get(name) for name, own in SNAKE.items()}
    for name in ("properties", "traits", "context"):
        row[name] = None if row[name] is None else json.dumps(row[name])
    if number % 10:
        _spoil(chance, row, number)
    return row


def _spoil(chance: Random, row: dict[str, Any], number: int) -> None:
    name = chance.choice(list(row))
    if name in ("properties", "traits", "context") or chance.random() < 0.5:
        name = name if name in ("properties", "traits", "context") else "properties"
        line = spoiled(chance, number, "r") if number % 50 else deep(chance, {"properties": {}})
        row[name] = chance.choice([*LITERALS, *NAMES, *[line.decode(errors="replace")] * 60])
    else:
        row[name] = chance.choice(
            [None, *NAMES, "x" * 101, "x" * 501, "2024-03-01", "1969-12-31T23:59:59Z", "3000-01-01T00:00:00Z"]
        )


# --- columns of any type ----------------------------------------------------------------------------------

ODD = {
    "int8": pl.Series([-128, 127, None, 0], dtype=pl.Int8),
    "uint64": pl.Series([2**64 - 1, 0, None, 2**53], dtype=pl.UInt64),
    "int128": pl.Series([2**100, -(2**100), None, 0], dtype=pl.Int128),
    "float": pl.Series([float("nan"), float("inf"), -0.0, None]),
    "float32": pl.Series([1.1, 3e38, None, -1.0], dtype=pl.Float32),
    "decimal": pl.Series(
        [Decimal("1.50"), None, Decimal("99999999999999999999.999999"), Decimal(0)], dtype=pl.Decimal(38, 6)
    ),
    "boolean": pl.Series([True, None, False, True]),
    "binary": pl.Series([b"\xff\x00", b"", None, b"x"]),
    "date": pl.Series([date(1, 1, 1), date(9999, 12, 31), None, date(2024, 2, 29)]),
    "time": pl.Series([time(23, 59, 59, 999_999), None, time(0), time(1)]),
    "duration": pl.Series([timedelta(days=-1), None, timedelta(microseconds=1), timedelta(days=99_999)]),
    "datetime": pl.Series([datetime(1, 1, 1), datetime(9999, 12, 31, 23), None, datetime(2024, 3, 1)]),
    "zoned": pl.Series([datetime(2024, 3, 1, tzinfo=UTC), None, None, None]).dt.convert_time_zone("Asia/Kathmandu"),
    "nanoseconds": pl.Series([datetime(2024, 3, 1), None, None, None]).cast(pl.Datetime("ns")),
    "category": pl.Series(["a", None, "é", ""]).cast(pl.Categorical),
    "enum": pl.Series(["a", None, "b", "a"]).cast(pl.Enum(["a", "b"])),
    "list": pl.Series([[1, None], [], None, [2]]),
    "lists": pl.Series([[["a"], []], None, [None], [["\0", '"']]]),
    "bytes": pl.Series([[b"\xff"], None, [], [None]], dtype=pl.List(pl.Binary)),
    "struct": pl.Series([{"a": 1, "b": "x"}, None, {"a": None, "b": None}, {"a": 2, "b": '"'}]),
    "structs": pl.Series([[{"a": {"b": b"\xff"}}], [], None, [None]]),
    "array": pl.Series([[1.5, None], None, [0.0, 1.0], [2.0, 3.0]], dtype=pl.Array(pl.Float64, 2)),
    "null": pl.Series([None] * 4),
    "text": pl.Series(["\0", "😀" * 400, "NaN", "{"]),
    "json": pl.Series(['{"a":', "[1]", "{}", '{"a":NaN}']),
}


def columns(chance: Random, height: int, names: list[str]) -> dict[str, pl.Series]:
    """A column of a random type for each name."""
    kinds = [chance.choice(list(ODD)) for _ in names]
    at = [[chance.randrange(4) for _ in range(height)] for _ in names]
    return {name: ODD[kind][rows].alias(name) for name, kind, rows in zip(names, kinds, at, strict=True)}


def spellings(prefix: str, most: int, chance: Random) -> list[str]:
    """Names of columns that begin so."""
    return [prefix + name for name in chance.sample([each for each in NAMES if each], most)]


def tables(seed: int, objects: int, rows: int, layout: str) -> dict[str, pl.DataFrame]:
    """Objects by path of the flattened layouts `segment_lake` and `warehouse`: a table each, columns of any type."""
    chance = Random(seed)
    found = {}
    for number in range(objects):
        kind = CALLS[number % len(CALLS)]
        made = [_row(chance, call(chance, number * rows + row, layout[0]), kind, layout) for row in range(rows)]
        frame = pl.DataFrame(made, infer_schema_length=None)
        prefix = {"segment_lake": "traits_" if kind in ("identify", "group") else "properties_"}.get(layout, "")
        odd = [
            *spellings(prefix, 8, chance),
            *spellings("context_", 2, chance),
            "context_externalIds",
            *spellings("", 1, chance),
        ]
        more = columns(chance, rows, [name for name in odd if name not in frame.columns])
        found[_path(chance, kind, number, layout)] = frame.with_columns(**more)
    return found


def _row(chance: Random, found: dict[str, Any], kind: str, layout: str) -> dict[str, Any]:
    """The envelope of a call as a row of a table; a third have something odd in it."""
    own = "message_id" if layout == "segment_lake" else "id"
    row: dict[str, Any] = {
        own: found["messageId"],
        "user_id": found["userId"],
        "anonymous_id": found["anonymousId"],
        "timestamp": datetime.fromisoformat(found["timestamp"]),
        "received_at": datetime.fromisoformat(found["receivedAt"]),
    }
    row |= {"group": {"group_id": "g1"}, "alias": {"previous_id": "p1"}, "track": {"event": "e x"}}.get(kind, {})
    if layout == "segment_lake":
        row["type"] = kind
    if chance.random() < 0.3:
        name = chance.choice(list(row))
        row[name] = None if isinstance(row[name], datetime) else chance.choice([None, *NAMES, "x" * 101, "x" * 501])
    return row


def _path(chance: Random, kind: str, number: int, layout: str) -> str:
    day = START + timedelta(days=number % DAYS)
    if layout == "segment_lake":
        table = kind if kind != "track" else "order_completed"
        return f"data/abc/segment_type={table}/day={day:%Y-%m-%d}/hr=10/{number}.parquet"
    table = {"identify": "identifies", "track": "order_completed", "alias": "aliases"}.get(kind, f"{kind}s")
    return f"{table}/part-{number:05}.parquet"

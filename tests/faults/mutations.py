"""Calls with something wrong in them, drawn by a seed: what archives hold after years of many hands.

`lines` are lines of JSON as bytes, `raw` and `tables` are frames for Parquet objects. Most rows are spoiled in one way,
some are good; nothing here says which are which, for that is what a test asks.
"""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import polars as pl

START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 5
CALLS = ("track", "track", "track", "identify", "page", "screen", "group", "alias")

# Names that mean something to SQL, JSON pointers, file systems, or to ourselves.
NAMES = (
    "",
    " ",
    ".",
    "..",
    "a.b",
    "a..b",
    ".a",
    "a.",
    "\\",
    "a\\.b",
    "~",
    "~0",
    "~1",
    "/",
    "a/b",
    "../../x",
    '"',
    "'",
    "''",
    "\0",
    "\n",
    "\t",
    "\r\n",
    "😀",
    "é",
    "e\u0301",
    "ß",
    "\u202e",
    "\u2028",
    "_rest",
    "@row",
    "@few",
    "@identify",
    "row",
    "reason",
    "object",
    "p.x",
    "c.x",
    "x:json",
    ":json",
    "message_id",
    "timestamp",
    "sighting",
    "event",
    "source",
    "g",
    "j",
    "$",
    "$.x",
    "$[0]",
    "*",
    "[0]",
    "0",
    "#",
    "%s",
    "{}",
    "{0}",
    "null",
    "con",
    "nul",
    "x" * 300,
    "😀" * 120,
    "E",
    "e",
    "; drop table input; --",
    "${HOME}",
    "<script>",
    "--",
    "%00",
    "a b",
    "Order Completed",
    "order completed",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    7,
    1.5,
    -0.0,
    2**53 + 1,
    2**63 - 1,
    2**64,
    2**70,
    1e308,
    5e-324,
    "",
    " ",
    "x",
    "7",
    "true",
    "null",
    "NaN",
    "inf",
    "[1]",
    "{}",
    "\0",
    "\ud800",
    "\udfff\ud800",
    "😀",
    "\\u0000",
    "a\nb",
    [],
    [[]],
    [1, "a", None],
    {},
    {"": {}},
    {"a": {"b": [1, {"c": 2}]}},
    [{"id": 1, "type": "user_id", "collection": "users"}],
)
# What a parser may take for JSON and should not, and what it should though it looks odd.
LITERALS = (
    "NaN",
    "-NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "inf",
    "1e400",
    "-1e400",
    "1e-400",
    "0123",
    "-",
    "+1",
    ".5",
    "1.",
    "1e",
    "0x1F",
    "1_000",
    "9" * 400,
    "0." + "3" * 400,
    "-0",
    "1E5",
    "True",
    "None",
    "undefined",
    "'x'",
    "x",
    "",
    "[1,]",
    '{"a":1,}',
    "/* c */ 1",
    "1 // c",
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\u0000"',
    '"\\x41"',
    '"\t"',
    '"unclosed',
    '"\\u12"',
    "[1 2]",
    "{1:2}",
    "{a:1}",
    "[NaN]",
    '{"a":{"b":-Infinity}}',
    '"NaN, [inf"',
    "\ufeff1",
    "1;",
    "()",
    "`1`",
)
BYTES = (
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf5\x80\x80\x80",
    b"\0",
    b"\x1f\x8b",
    b"\xef\xbb\xbf",
    b"\r",
    b"\x7f",
)
BYTES += ("\u2028".encode(), "\u0085".encode(), b"\x0b", b"\\", b'"', b"\n")


# --- calls ------------------------------------------------------------------------------------------


def call(chance: Random, number: int, prefix: str = "m") -> dict[str, Any]:
    """A good call, as Segment writes it."""
    kind = chance.choice(CALLS)
    received = START + timedelta(seconds=chance.randrange(DAYS * 86_400))
    found: dict[str, Any] = {
        "messageId": f"{prefix}{number}",
        "type": kind,
        "userId": f"u{chance.randrange(50)}",
        "anonymousId": chance.choice([None, f"a{chance.randrange(50)}"]),
        "timestamp": f"{received - timedelta(minutes=chance.randrange(90)):%Y-%m-%dT%H:%M:%S.123Z}",
        "receivedAt": f"{received:%Y-%m-%dT%H:%M:%S.%fZ}",
        "context": {"page": {"url": "https://x.example"}, "traits": {"email": f"E{chance.randrange(50)}@x.com"}},
    }
    own: dict[str, dict[str, Any]] = {
        "track": {"event": chance.choice(["Order Completed", "E", "é/😀"]), "properties": _properties(chance)},
        "identify": {"traits": {"email": f"e{chance.randrange(50)}@x.com", "plan": chance.choice(["pro", 1, None])}},
        "page": {"name": "Home", "category": "Docs", "properties": _properties(chance)},
        "screen": {"name": "Home", "properties": _properties(chance)},
        "group": {"groupId": "g1", "traits": {"seats": 5}},
        "alias": {"previousId": "p1"},
    }
    return found | own[kind]


def _properties(chance: Random) -> dict[str, Any]:
    return {
        "total": chance.randrange(100),
        "price": 1.5,
        "sku": "x",
        "is_new": True,
        "items": [1, {"a": 2}],
        "o": {"a": {"b": 1}},
    }


# --- lines --------------------------------------------------------------------------------------------

Line = Callable[[Random, dict[str, Any]], bytes]


def _text(found: Any, *, ascii_only: bool = True) -> bytes:
    return json.dumps(found, ensure_ascii=ascii_only).encode(errors="surrogatepass")


def _places(found: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a call."""
    pairs = list(found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ())
    return [(found, key) for key, _ in pairs] + [place for _, value in pairs for place in _places(value)]


def _object(chance: Random, found: dict[str, Any]) -> dict[str, Any]:
    """One of its objects: properties, traits or context, which it may get only now."""
    return found.setdefault(chance.choice(["properties", "properties", "traits", "context"]), {})


def swapped(chance: Random, found: dict[str, Any]) -> bytes:
    """A value of another type somewhere."""
    container, key = chance.choice(_places(found))
    container[key] = chance.choice(VALUES)
    return _text(found)


def missing(chance: Random, found: dict[str, Any]) -> bytes:
    """Some fields are not there."""
    for name in chance.sample(list(found), chance.randint(1, 4)):
        del found[name]
    return _text(found)


def odd_literal(chance: Random, found: dict[str, Any]) -> bytes:
    """Something that is nearly JSON in place of a value."""
    container, key = chance.choice(_places(found))
    container[key] = "@here@"
    return _text(found).replace(b'"@here@"', chance.choice(LITERALS).encode(), 1)


def odd_name(chance: Random, found: dict[str, Any]) -> bytes:
    """Keys that other people would not choose."""
    for name in chance.sample(NAMES, 3):
        _object(chance, found)[name] = chance.choice(VALUES)
    return _text(found, ascii_only=chance.random() < 0.5)


def odd_field(chance: Random, found: dict[str, Any]) -> bytes:
    """An odd name, id, type or instant."""
    fields = ["event", "userId", "anonymousId", "groupId", "messageId", "type", "name", "timestamp", "receivedAt"]
    odd = [*NAMES, "x" * 101, "2024-03-01", "2024-03-01T10:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1e9"]
    found[chance.choice(fields)] = chance.choice([*odd, *VALUES])
    return _text(found, ascii_only=chance.random() < 0.5)


def twice(chance: Random, found: dict[str, Any]) -> bytes:
    """A key that stands twice, at the top or below."""
    text = _text(found)
    name, value = chance.choice(list(found.items()))
    if chance.random() < 0.5:
        return text[:-1] + b", " + _text({name: chance.choice([value, *VALUES])})[1:]
    inner = b'{"a": 1, "b": {"c": 1, "c": "x"}, "a": "1", "a": null, "b": 5}'
    return text[:-1] + b', "properties": ' + inner + b"}"


def flipped(chance: Random, found: dict[str, Any]) -> bytes:
    """A few bits are others."""
    data = bytearray(_text(found, ascii_only=False))
    for _ in range(chance.choice([1, 1, 2, 8])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def patched(chance: Random, found: dict[str, Any]) -> bytes:
    """Bytes put in, left out or cut off."""
    data = _text(found, ascii_only=False)
    at = chance.randrange(len(data))
    end = at + chance.choice([0, 0, 1, 5])
    return chance.choice(
        [data[:at], data[:at] + chance.choice(BYTES) + data[end:], data[:at] + data[at - 9 : at] + data[end:]]
    )


def garbage(chance: Random, _: dict[str, Any]) -> bytes:
    """No call at all."""
    return chance.choice(
        [
            b"",
            b" ",
            b"\r",
            b"\t ",
            b"null",
            b"[]",
            b"{}",
            b"{",
            b"}",
            b'"x"',
            b"5",
            b"true",
            b"{}{}",
            b"[{}]",
            b"\x00",
            b"\x00" * 99,
            b"\xef\xbb\xbf",
            b"\xff" * 9,
            b"message_id,type",
            b"<html>",
            b"PAR1",
            b"\x1f\x8b\x08",
            b"NaN",
            b'{"a"}',
            b"{}]",
            chance.randbytes(chance.randrange(1, 200)),
            b"# comment",
            b'{"messageId": "m", "type": "track"',
            b"{}\x00",
        ]
    )


def surrounded(chance: Random, found: dict[str, Any]) -> bytes:
    """A good call between other bytes, or several on a line."""
    text = _text(found)
    return chance.choice(
        [
            text + b"\r",
            b"\xef\xbb\xbf" + text,
            b" \t" + text + b" \t",
            text + b",",
            text + text,
            text + b"\x00",
            b"[" + text + b"]",
            b"\x1e" + text,
            text + b" {}",
            b"data: " + text,
            "\xa0".encode() + text,
            text + "\u2028".encode(),
            b"\xff\xfe" + text,
        ]
    )


def deep(chance: Random, found: dict[str, Any]) -> bytes:
    """Nested a hundred or thousands deep, now and then not closed."""
    levels = chance.choice([16, 17, 100, 100, 127, 128, 1_000, 5_000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a.b":', b"}]"), (b'{"":', b"}")])
    nested = opening * levels + b"1" + closing * (levels - (chance.random() < 0.1))
    _object(chance, found)["deep"] = "@here@"
    return _text(found).replace(b'"@here@"', nested, 1)


def huge(chance: Random, found: dict[str, Any]) -> bytes:
    """A megabyte of text, ten thousand keys, or three hundred and one."""
    wide = {f"k{number}": chance.choice(VALUES) for number in range(chance.choice([300, 301, 10_000]))}
    value = chance.choice(["x" * 1_000_000, "😀" * 250_000, "\\" * 400_000, wide, [wide], list(range(100_000))])
    if value is wide and chance.random() < 0.5:
        found["properties"] = wide
    else:
        _object(chance, found)[chance.choice(["big", "x" * 10_000])] = value
    return _text(found)


SPOILED: tuple[Line, ...] = (
    swapped,
    swapped,
    missing,
    odd_literal,
    odd_literal,
    odd_name,
    odd_name,
    odd_field,
    odd_field,
    twice,
    flipped,
    flipped,
    patched,
    patched,
    garbage,
    surrounded,
)


def lines(seed: int, count: int, prefix: str = "m") -> list[bytes]:
    """So many lines; a tenth are good, every fiftieth is deep and every two-hundredth huge."""
    chance = Random(seed)
    return [_line(chance, number, prefix) for number in range(count)]


def _line(chance: Random, number: int, prefix: str) -> bytes:
    found = call(chance, number, prefix)
    if number % 200 == 199:
        return huge(chance, found)
    if number % 50 == 49:
        return deep(chance, found)
    return _text(found) if number % 10 == 0 else chance.choice(SPOILED)(chance, found)


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
        line = _line(chance, number, "r") if number % 50 else deep(chance, {"properties": {}})
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


# --- objects ------------------------------------------------------------------------------------------------


def gzipped(found: list[bytes], ending: bytes = b"\n") -> bytes:
    """Lines as an object of an archive."""
    return gzip.compress(ending.join(found) + ending, 1)

"""Calls with something wrong in them, drawn by a seed: what archives hold after years of many hands.

`lines` are lines of JSON as bytes. Most are spoiled in one way, some are good; nothing here says which are which, for
that is what a test asks.
"""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.faults.oddities import BYTES, LITERALS, NAMES, VALUES

START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 5
CALLS = ("track", "track", "track", "identify", "page", "screen", "group", "alias")

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
    return [spoiled(chance, number, prefix) for number in range(count)]


def spoiled(chance: Random, number: int, prefix: str) -> bytes:
    found = call(chance, number, prefix)
    if number % 200 == 199:
        return huge(chance, found)
    if number % 50 == 49:
        return deep(chance, found)
    return _text(found) if number % 10 == 0 else chance.choice(SPOILED)(chance, found)


# --- objects ------------------------------------------------------------------------------------------------


def gzipped(found: list[bytes], ending: bytes = b"\n") -> bytes:
    """Lines as an object of an archive."""
    return gzip.compress(ending.join(found) + ending, 1)

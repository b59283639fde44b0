"""What `making` makes, as hypothesis draws it and as the stages take it."""

import json
from random import Random

import polars as pl
from hypothesis import strategies as st

from tests.generative import making

seeds = st.integers(0, 2**32)


def made(maker):
    """Draws from a maker; the seed alone decides."""
    return seeds.map(lambda seed: maker(Random(seed)))


def events(names=("E", "E", "F"), most=10):
    return made(lambda chance: making.events(chance, names, most))


reducers = made(making.scalars)
all_reducers = made(making.either(*[making.scalars] * 8, making.uniques))
audiences = made(making.audiences)


def leaves(operands):
    """Conditions about a few of these operands."""
    few = st.lists(operands, min_size=3, max_size=3)
    return st.builds(lambda drawn, seed: making.leaves(making.of(drawn))(Random(seed)), few, seeds)


# --- the same as frames ---------------------------------------------------------------------


def frames(drawn):
    """Event tables as the stages take them; a field that no event has is no column."""
    names = {event["event"] for event in drawn}
    return {name: _frame([event for event in drawn if event["event"] == name]) for name in sorted(names)}


def _frame(drawn):
    keys = {"profile": pl.UInt32, "message_id": pl.String, "source": pl.String}
    instants = dict.fromkeys(("timestamp", "received_at"), pl.Datetime("us", "UTC"))
    columns = [pl.Series(name, [event[name] for event in drawn], dtype) for name, dtype in {**keys, **instants}.items()]
    for prefix, types in (("p", making.TYPES | making.PSEUDO), ("c", making.TYPES)):
        for path, dtype in types.items():
            found = [event[prefix][path] for event in drawn]
            if any(value is not None for value in found):
                columns.append(_column(f"{prefix}.{path}", found, dtype))
    return pl.DataFrame(columns).lazy()


def _column(name, found, dtype):
    if dtype is None and all(value is None or type(value) is int for value in found):
        dtype = pl.Int64  # as shredding stores what is a whole number everywhere
    if dtype is not None:
        return pl.Series(name, found, dtype)
    return pl.Series(f"{name}:json", [None if value is None else _stored(value) for value in found], pl.String)


def _stored(value):
    """JSON as shredding writes it, where 10.0 is 10."""
    is_whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if is_whole else value, separators=(",", ":"))


def custom_frame(rows):
    schema = {"profile": pl.UInt32, "name": pl.String, "value": pl.String, "message_id": pl.String}
    instants = dict.fromkeys(("timestamp", "received_at"), pl.Datetime("us", "UTC"))
    written = [{**row, "value": json.dumps(row["value"], ensure_ascii=False), "source": "web"} for row in rows]
    return pl.DataFrame(written, schema={**schema, **instants, "source": pl.String}).lazy()

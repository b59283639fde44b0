"""What `making` makes, as hypothesis draws it and as the stages take it."""

import json
from random import Random

import polars as pl
from hypothesis import strategies as st

from populace import nodes
from tests.generative import making
from tests.generative import oracle_values as values

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


def frames(drawn, queries=()):
    """Event tables as the stages take them, with the elements that queries read; what no event has is no column."""
    names = {event["event"] for event in drawn}
    asked = sorted({path for each in queries for path in _elements(each)})
    return {name: _frame([event for event in drawn if event["event"] == name], asked) for name in sorted(names)}


def _elements(query):
    """The columns of elements that a query may read."""
    for node in nodes.walk(query):
        if isinstance(node, nodes.Property | nodes.Context):
            prefix = "p" if isinstance(node, nodes.Property) else "c"
            yield f"{prefix}.{node.path}" if values.is_any(node.path) else f"{prefix}.{node.path}.$"


def _lists(drawn, column):
    prefix, path = column.split(".", 1)
    array, rest = values.array_at(path)
    arrays = [event[prefix].get(array) for event in drawn]
    found = [values.elements(each, rest) if isinstance(each, list) else None for each in arrays]
    texts = [None if each is None else [_stored(inner) for inner in each] for each in found]
    return pl.Series(column, texts, pl.List(pl.String))


def _frame(drawn, asked):
    keys = {"profile": pl.UInt32, "message_id": pl.String, "source": pl.String}
    instants = dict.fromkeys(("timestamp", "received_at"), pl.Datetime("us", "UTC"))
    columns = [pl.Series(name, [event[name] for event in drawn], dtype) for name, dtype in {**keys, **instants}.items()]
    for prefix, types in (("p", making.TYPES | making.PSEUDO | dict.fromkeys(making.LISTS)), ("c", making.TYPES)):
        for path, dtype in types.items():
            found = [event[prefix][path] for event in drawn]
            if any(value is not None for value in found):
                columns.append(_column(f"{prefix}.{path}", found, dtype))
    columns += [each for column in asked if not (each := _lists(drawn, column)).is_null().all()]
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
    return json.dumps(int(value) if is_whole else value, separators=(",", ":"), ensure_ascii=False)


def _written(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def custom_frame(rows):
    schema = {"profile": pl.UInt32, "name": pl.String, "value": pl.String, "message_id": pl.String}
    instants = dict.fromkeys(("timestamp", "received_at"), pl.Datetime("us", "UTC"))
    written = [{**row, "value": _written(row["value"]), "source": "web"} for row in rows]
    return pl.DataFrame(written, schema={**schema, **instants, "source": pl.String}).lazy()

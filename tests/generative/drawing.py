"""What the generative tests draw: values that are easily confused, events on window edges, queries of each kind."""

import json
from datetime import timedelta
from random import Random

import polars as pl
from hypothesis import strategies as st

from populace import definitions as nodes
from tests.tables import AS_OF

INTEGERS = [0, 1, -1, 10, 2**53, 2**53 + 1]
REALS = [0.0, 0.5, 10.0, -1.5, 0.1, 0.2, 0.7, 1.1, 2.0**53, 1e15]
TEXTS = ["", "a", "B", "é", "10", "10.0", "9", "1e1", ".5", " 10", "-1", "true", "false", "True", "null", "inf", "nan"]
TEXTS += ["x'y\\z", str(2**53 + 1), "1_0", "+10", '"', "[1]"]
BOOLEANS = [True, False]
SCALARS = (int, float, str, bool)
COMPLEX = [[1], [], {"a": 1}, ["a", "b"]]

# Half of all draws come from these few, so that values that are nearly the same meet.
CONFUSABLE = [10, 10.0, "10", "10.0", True, False, "true", "é"]

# One path for each way a field can be stored: typed, or JSON where types mix.
TYPES = {"n": pl.Int64, "f": pl.Float64, "t": pl.String, "b": pl.Boolean, "m": None, r"a\.b.c": None}
POOLS = {"n": INTEGERS, "f": REALS, "t": TEXTS, "b": BOOLEANS}
MIXED = [*INTEGERS, *REALS, *TEXTS, *BOOLEANS, *COMPLEX]
OPERATORS = ["=", "!=", "<", "<=", ">", ">="]

windows = st.builds(nodes.Within, st.sampled_from([1, 2, 24]), st.sampled_from(["hours", "days"]))
EDGES = [timedelta(hours=hours) for hours in (0, 1, 2, 24, 48, 576)]
MOMENTS = [AS_OF - edge + timedelta(microseconds=by) for edge in EDGES for by in (-1, 0, 1)]


def _fields(chance):
    return {path: _value(chance, POOLS.get(path, MIXED)) for path in TYPES}


def _value(chance, pool):
    confusable = [value for value in pool if type(value) in SCALARS and value in CONFUSABLE]
    return chance.choice([None, chance.choice(pool), chance.choice(confusable)])


# Drawn once, simple ones first: drawing each value of each event would take longer than computing it.
FIELDS = [dict.fromkeys(TYPES), *(_fields(Random(number)) for number in range(2_000))]
fields = st.sampled_from(FIELDS)


@st.composite
def events(draw, names=("E", "E", "F"), most=10):
    """Events of few profiles, many of them at the same instant; message ids are unique and in no order."""
    moments = draw(st.lists(st.sampled_from(MOMENTS), min_size=1, max_size=3))
    count = draw(st.integers(0, most))
    ids = draw(st.permutations(range(count)))
    return [
        {
            "event": draw(st.sampled_from(names)),
            "profile": draw(st.integers(1, 3)),
            "timestamp": draw(st.sampled_from(moments)),
            "received_at": AS_OF + timedelta(hours=draw(st.integers(0, 1))),
            "message_id": f"m{number}",
            "p": draw(fields),
            "c": draw(fields),
        }
        for number in ids
    ]


constants = st.sampled_from([value for value in CONFUSABLE if not isinstance(value, bool)]) | st.sampled_from(
    [*INTEGERS, *REALS, *TEXTS]
)
literals = st.builds(nodes.Literal, constants)
# Mostly what can be of any type; context is read by the same code and so seldom.
PROPERTIES = [*TYPES, "m", "m", "never"]
event_fields = st.sampled_from([*map(nodes.Property, PROPERTIES), *map(nodes.Context, ("m", "t"))])


def comparisons(operands, operators=OPERATORS):
    constants = operands | literals
    return st.builds(nodes.Compare, operands, st.sampled_from(operators), constants) | st.builds(
        nodes.Compare, constants, st.sampled_from(operators), operands
    )


def choices(operands):
    return st.builds(nodes.OneOf, operands, st.lists(literals, min_size=1, max_size=4).map(tuple))


def leaves(operands):
    return st.one_of(
        comparisons(operands),
        st.builds(nodes.Exists, operands),
        st.builds(nodes.Absent, operands),
        choices(operands),
    )


def junctions(kind, terms):
    return st.builds(kind, st.lists(terms, min_size=2, max_size=3).map(tuple))


def conditions(operands):
    return st.recursive(
        leaves(operands),
        lambda inner: junctions(nodes.And, inner) | junctions(nodes.Or, inner) | st.builds(nodes.Not, inner),
        max_leaves=4,
    )


def streams(filters=None):
    each = st.builds(nodes.Where, conditions(event_fields)) | windows
    chosen = st.lists(each, max_size=2).map(tuple) if filters is None else filters
    return st.builds(nodes.Event, st.sampled_from(["E", "E", "E", "F", "Never"]), chosen)


counts = st.builds(nodes.Count, streams())
sums = st.builds(nodes.Sum, streams(), event_fields)
lasts = st.builds(nodes.Last, streams(), event_fields)
reducers = counts | sums | lasts

TRAITS = ["computed", "other", "first", "second", "custom", "custom.a", r"cust\.om", "custom.a.b", "unknown", "object"]
trait_values = st.builds(nodes.TraitValue, st.sampled_from(TRAITS))
operands = reducers | trait_values
audiences = conditions(operands)


@st.composite
def custom_rows(draw):
    row = st.fixed_dictionaries(
        {
            "profile": st.integers(1, 4),
            "name": st.sampled_from(["custom", "cust.om", "computed", "first", "object"]),
            "value": st.sampled_from([None, *MIXED, {"a": "x"}, {"a": {"b": 10}}, {"a": None}, {"a": True}]),
            "timestamp": st.sampled_from(MOMENTS),
            "received_at": st.just(AS_OF) | st.just(AS_OF + timedelta(hours=1)),
        }
    )
    rows = draw(st.lists(row, max_size=8))
    ids = draw(st.permutations(range(len(rows))))
    return [{**each, "message_id": f"m{number}"} for each, number in zip(rows, ids, strict=True)]


# --- the same as frames ---------------------------------------------------------------------


def frames(drawn):
    """Event tables as the stages take them; a field that no event has is no column."""
    names = {event["event"] for event in drawn}
    return {name: _frame([event for event in drawn if event["event"] == name]) for name in sorted(names)}


def _frame(drawn):
    keys = {"profile": pl.UInt32, "message_id": pl.String}
    instants = dict.fromkeys(("timestamp", "received_at"), pl.Datetime("us", "UTC"))
    columns = [pl.Series(name, [event[name] for event in drawn], dtype) for name, dtype in {**keys, **instants}.items()]
    for prefix in ("p", "c"):
        for path, dtype in TYPES.items():
            found = [event[prefix][path] for event in drawn]
            if any(value is not None for value in found):
                columns.append(_column(f"{prefix}.{path}", found, dtype))
    return pl.DataFrame(columns).lazy()


def _column(name, found, dtype):
    if dtype is not None:
        return pl.Series(name, found, dtype)
    return pl.Series(f"{name}:json", [None if value is None else json.dumps(value) for value in found], pl.String)


def custom_frame(rows):
    schema = {"profile": pl.UInt32, "name": pl.String, "value": pl.String, "message_id": pl.String}
    instants = dict.fromkeys(("timestamp", "received_at"), pl.Datetime("us", "UTC"))
    written = [{**row, "value": json.dumps(row["value"], ensure_ascii=False), "source": "web"} for row in rows]
    return pl.DataFrame(written, schema={**schema, **instants, "source": pl.String}).lazy()

"""What the generative tests make by chance: values that are easily confused, events on window edges, queries.

A maker is a function of a `Random`. Hypothesis chooses the seeds: drawing every value and every node by itself takes
longer than computing them, and what it draws is too much alike.
"""

from datetime import UTC, date, datetime, timedelta
from random import Random

import polars as pl

from populace import nodes
from tests.tables import AS_OF

# --- makers of makers -------------------------------------------------------------------------


def just(value):
    return lambda chance: value


def of(pool):
    return lambda chance: chance.choice(pool)


def either(*makers):
    return lambda chance: chance.choice(makers)(chance)


def built(kind, *makers):
    return lambda chance: kind(*(make(chance) for make in makers))


def several(maker, least, most):
    return lambda chance: tuple(maker(chance) for _ in range(chance.randint(least, most)))


def each(*makers):
    return lambda chance: tuple(make(chance) for make in makers)


# --- values -----------------------------------------------------------------------------------

INTEGERS = [0, 1, -1, 10, 2**53, 2**53 + 1]
REALS = [0.0, 0.5, 10.0, -1.5, 0.1, 0.2, 0.7, 1.1, 2.0**53, 1e15]
REALS += [17021890286.0, 0.151525, 1e13]  # together of more than 53 bits in millionths, alone of more than 63
PLAIN = ["", "a", "B", "é", "10", "10.0", "9", "1e1", ".5", " 10", "-1", "true", "false", "True", "null", "inf", "nan"]
PLAIN += ["x'y\\z", str(2**53 + 1), "1_0", "+10", '"', "[1]", "ab", "Éa", "ba", "\uffff", "\U0001f600"]

# Instants at and beside the edges of every duration below, by clock and by calendar.
ISO = ["2024-03-31", "2024-03-30", "2024-04-01", "2024-03-29", "2024-03-07", "2024-04-24", "2024-02-29", "2024-03-06"]
ISO += ["2024-03-31T12:00:00Z", "2024-03-31T12:00:00.000Z", "2024-03-31T12:00:00.000000999Z", "2024-03-31T14:00:00+02"]
ISO += [
    "2024-03-31T12:00:00.000001Z",
    "2024-03-31T11:59:59.999999Z",
    "2024-03-31T07:30:00-0430",
    "2024-03-31T11:00:00Z",
]
ISO += ["2024-03-31T10:00:00.0Z", "2024-03-31T13:00:00Z", "2024-03-31T13:00:00.000001Z", "2024-03-30T12:00:00+00:00"]
ISO += ["2024-03-31T00:30:00+01:00", "2024-03-30T23:59:59.999999Z", "2024-03-31T00:00:00Z", "2024-04-01T00:00:00Z"]
ISO += ["2024-03-31T23:30:00-01:00", "2024-03-29T23:59:59Z", "2024-04-01T12:00:00Z", "2024-04-02T00:00:00.5Z"]
NEARLY_ISO = ["2024-02-30", "2023-02-29", "2024-13-01", "2024-00-10", "2024-3-31", "20240331", "2024-03-31Z", "2024"]
NEARLY_ISO += ["2024-03-31T12:00:00", "2024-03-31T12:00", "2024-03-31T12:00Z", "2024-03-31 12:00:00Z", " 2024-03-31"]
NEARLY_ISO += ["2024-03-31 ", "2024-03-31\n", "2024-03-31T24:00:00Z", "2024-03-31T12:60:00Z", "2024-03-31T12:00:60Z"]
NEARLY_ISO += ["2024-03-31t12:00:00z", "2024-03-31T12:00:00.Z", "2024-03-31T12:00:00 Z", "2024-03-31T12:00:00,5Z"]
NEARLY_ISO += ["2024-03-31T12:00:00+1:00", "2024-03-31T12:00:00+010", "2024-03-31T", "x2024-03-31", "२०२४-03-31"]
TIMED = [*ISO, *NEARLY_ISO]
TEXTS = [*PLAIN, *TIMED]
BOOLEANS = [True, False]
SCALARS = (int, float, str, bool)
COMPLEX = [[1], [], {"a": 1}, ["a", "b"]]

# Many of all values come from these few, so that values that are nearly the same meet.
CONFUSABLE = [10, 10.0, "10", "10.0", True, False, "true", "é", "2024-03-31", "2024-03-31T12:00:00Z"]

# One path for each way a field can be stored: typed, or JSON where types mix. Few events have properties named as what
# every event has.
TYPES = {"n": pl.Int64, "f": pl.Float64, "t": pl.String, "d": pl.String, "b": pl.Boolean, "m": None, r"a\.b.c": None}
PSEUDO = {"timestamp": pl.String, "received_at": None, "event": pl.Int64, "source": None}
POOLS = {"n": INTEGERS, "f": REALS, "t": PLAIN, "d": TIMED, "b": BOOLEANS, "timestamp": ISO, "event": INTEGERS}
MIXED = [*INTEGERS, *REALS, *PLAIN, *BOOLEANS, *COMPLEX, *ISO, *NEARLY_ISO[:8]]


# Lists of what is easily confused, of nothing, of lists, and of objects in which names are missing.
ELEMENTS = [*CONFUSABLE, None, None, 0, "", "a", "B", 2**53, 2**53 + 1, 0.5, 'a"b', "a,b", "[", "null", " 10"]
BROKEN = [[], {}, [1], ["a", None], [[1], "a"], {"a": 1}]


def some_list(chance):
    pool = chance.choice([ELEMENTS, ELEMENTS, CONFUSABLE[:4], [*ELEMENTS[:12], *BROKEN]])
    return [chance.choice(pool) for _ in range(chance.randint(0, 3))]


def some_object(chance):
    held = {
        "sku": chance.choice([*ELEMENTS, *BROKEN]),
        "tags": chance.choice([some_list(chance), [some_list(chance)], "a"]),
    }
    return {name: held[name] for name in held if chance.random() < 0.8}


def some_objects(chance):
    return [
        some_object(chance) if chance.random() < 0.8 else chance.choice(ELEMENTS) for _ in range(chance.randint(0, 3))
    ]


LISTS = {"l": [some_list(Random(seed)) for seed in range(150)] + ELEMENTS[:8]}
LISTS["o"] = [some_objects(Random(seed)) for seed in range(150)] + [{"sku": 1}, "a"]
POOLS |= LISTS
OBJECTS = [{"l": one, "o": other} for one, other in zip(LISTS["l"], LISTS["o"], strict=False)]
OBJECTS += [{"l": text, "o": {"l": [1]}} for text in ("[1]", "[]", "[", "a")] + [[1], None]


def fields(chance, paths):
    return {path: value(chance, POOLS.get(path, MIXED)) for path in paths}


def value(chance, pool):
    confusable = [each for each in pool if type(each) in SCALARS and each in CONFUSABLE]
    return chance.choice([None, chance.choice(pool), chance.choice(confusable or pool)])


def instances(paths, most=1_000):
    """Made once: making each value of each event would take longer than computing it."""
    return [dict.fromkeys(paths), *(fields(Random(number), paths) for number in range(most))]


PROPERTIES, CONTEXTS = instances([*TYPES, *PSEUDO, *LISTS]), instances(TYPES)

# --- events -----------------------------------------------------------------------------------

EDGES = [timedelta(hours=hours) for hours in (0, 1, 2, 12, 24, 48, 576)] + [timedelta(minutes=30)]
MOMENTS = [AS_OF - edge + timedelta(microseconds=by) for edge in EDGES for by in (-1, 0, 1)]
SOURCES = ["web", "app"]


def events(chance, names=("E", "E", "F"), most=10):
    """Events of few profiles, many of them at the same instant; message ids are unique and in no order."""
    # Half of the time events are whole hours apart, so that one is at the very end of another's window.
    pool = chance.choice([MOMENTS, [AS_OF - edge for edge in EDGES]])
    moments = [chance.choice(pool) for _ in range(chance.randint(1, 4))]
    count = chance.randint(0, most)
    own = {name for name in PSEUDO if chance.random() < 0.15}
    without = dict.fromkeys(set(PSEUDO) - own)
    return [
        {
            "event": chance.choice(names),
            "profile": chance.randint(1, 3),
            "source": chance.choice(SOURCES),
            "timestamp": chance.choice(moments),
            "received_at": AS_OF + timedelta(hours=chance.randint(0, 1)),
            "message_id": f"m{number}",
            "p": chance.choice(PROPERTIES) | without,
            "c": chance.choice(CONTEXTS),
        }
        for number in chance.sample(range(count), count)
    ]


CUSTOM = ["custom", "custom", "cust.om", "computed", "first", "object", "list"]


def custom_rows(chance, pool=CUSTOM):
    """What was said of few profiles, much of it at the same instant, or taken back."""
    held = [None, *MIXED, *ISO, {"a": "x"}, {"a": {"b": 10}}, {"a": None}, {"a": True}, {"a": "2024-03-31"}]
    count = chance.randint(0, 8)
    named = {"list": LISTS["l"] + LISTS["o"], "object": OBJECTS}
    names = [chance.choice(pool) for _ in range(count)]
    moments = [chance.choice(MOMENTS) for _ in range(chance.randint(1, 4))]
    return [
        {
            "profile": chance.randint(1, 4),
            "name": names[number],
            "value": None if chance.random() < 0.1 else chance.choice(named.get(names[number], held)),
            "timestamp": chance.choice(moments),
            "received_at": AS_OF + timedelta(hours=chance.randint(0, 1)),
            "message_id": f"m{number}",
        }
        for number in chance.sample(range(count), count)
    ]


# --- operands ---------------------------------------------------------------------------------

OPERATORS = ["=", "!=", "<", "<=", ">", ">="]
DATES = [date(2024, 3, 31), date(2024, 3, 30), date(2024, 4, 1), date(2024, 3, 7), date(2024, 2, 29)]
INSTANTS = [*MOMENTS, datetime(2024, 3, 31, tzinfo=UTC), datetime(2024, 3, 31, 13, 0, 0, 1, tzinfo=UTC)]
PARTS = [
    "",
    "a",
    "B",
    "é",
    "1",
    "0",
    "10",
    ".",
    "2024",
    "-03-",
    "T12",
    "Z",
    "e",
    "w",
    "E",
    "E\u0301",
    "true",
    "b",
    "[1",
]

times = built(nodes.Literal, either(of(DATES), of(INSTANTS)))
constants = built(
    nodes.Literal,
    either(of([each for each in CONFUSABLE if not isinstance(each, bool)]), of([*INTEGERS, *REALS, *PLAIN]), of(TIMED)),
)
literals = either(constants, constants, constants, times)

# Mostly what can be of any type; context is read by the same code and so seldom.
event_fields = of(
    [
        *map(nodes.Property, [*TYPES, "m", "m", "t", "d", "never", "timestamp", "received_at", "event", "source"]),
        *map(nodes.Context, ("m", "t")),
    ]
)
timed_fields = of([*map(nodes.Property, ["d", "d", "m", "timestamp", "received_at"]), nodes.Context("d")])
text_fields = of(
    [*map(nodes.Property, ["t", "t", "d", "m", "m", "event", "source", "timestamp"]), nodes.Context("t")],
)

lengths = built(nodes.Duration, of([1, 2, 24]), of(["hours", "days"]))
gaps = either(
    of([nodes.Duration(1_800, "seconds"), nodes.Duration(3_600, "seconds"), nodes.Duration(43_200, "seconds")]),
    built(nodes.Duration, of([1, 2, 10, 11, 12, 22, 24]), just("hours")),
    built(nodes.Duration, of([1, 22]), just("days")),
)

# --- conditions -------------------------------------------------------------------------------


def comparisons(operands, operators=OPERATORS, others=None):
    others = others or either(operands, literals)
    left = built(nodes.Compare, operands, of(operators), others)
    return either(left, built(nodes.Compare, others, of(operators), operands))


def choices(operands, kind=nodes.OneOf):
    return built(kind, operands, several(either(literals, literals, operands), 1, 4))


def parts(operands):
    """What to look for in texts; often so short that it is found."""
    short = built(nodes.Literal, of(PARTS))
    return either(short, short, built(nodes.Literal, of([10, 10.0, 0, 0.5, 1])), constants, times, operands)


def containing(operands):
    return built(nodes.Contains, operands, several(parts(operands), 1, 3))


def affixed(operands, kind):
    return built(kind, operands, parts(operands))


def dated(operands, sides=("before_date", "after_date")):
    return built(nodes.Dated, operands, of(sides), times)


def relative(operands, sides=("within_last", "within_next", "before_last", "after_next")):
    return built(nodes.Relative, operands, of(sides), lengths)


def leaves(operands):
    return either(
        comparisons(operands),
        comparisons(operands),
        built(nodes.Exists, operands),
        built(nodes.Absent, operands),
        choices(operands),
        choices(operands, nodes.NoneOf),
        containing(operands),
        either(affixed(operands, nodes.StartsWith), affixed(operands, nodes.EndsWith)),
        dated(operands),
        relative(operands),
    )


def junctions(kind, terms):
    return built(kind, several(terms, 2, 3))


def conditions(operands, depth=2):
    """Leaves, half of them below AND, OR and NOT, which may nest."""
    leaf = leaves(operands)
    if depth == 0:
        return leaf
    inner = conditions(operands, depth - 1)
    joined = either(junctions(nodes.And, inner), junctions(nodes.Or, inner), built(nodes.Not, inner))
    return either(leaf, leaf, joined)


# --- streams, reducers and audiences ----------------------------------------------------------

wheres = built(nodes.Where, conditions(event_fields))
windows = built(nodes.Within, lengths)
betweens = built(nodes.Between, lengths, lengths)
sources = built(nodes.Sources, of([("web",), ("app",), ("app", "web"), ("other",)]))
sessions = built(nodes.ExpiresAfter, gaps, of([False, False, True]))
filters = several(either(wheres, wheres, windows, betweens, sources, sessions), 0, 2)


def streams(kept=filters):
    return built(nodes.Event, of(["E", "E", "E", "F", "Never"]), kept)


def reducing(kind, *more, kept=filters, fields=event_fields):
    return built(kind, streams(kept), fields, *more)


casts = of(["number", "string"])
counts = built(nodes.Count, streams())
sums = reducing(nodes.Sum)
averages = reducing(nodes.Average)
extremes = either(reducing(nodes.Min, casts), reducing(nodes.Max, casts))
modes = reducing(nodes.Mode, of([1, 2, 2, 3]), casts)
ends = either(reducing(nodes.First), reducing(nodes.Last))
unique_counts = reducing(nodes.UniqueCount)
scalars = either(counts, sums, averages, extremes, modes, ends, ends, unique_counts)
uniques = reducing(nodes.Unique)

TRAITS = ["computed", "other", "first", "second", "custom", "custom.a", r"cust\.om", "custom.a.b", "unknown", "object"]
trait_values = built(nodes.TraitValue, of(TRAITS))
operands = either(scalars, trait_values)
audiences = conditions(operands)

# --- funnels, and traits beside properties ----------------------------------------------------

OF_PARENT = True
parent_fields = built(nodes.Property, of([*TYPES, "m", "t", "timestamp", "event"]), just(OF_PARENT))
parent_pseudo = built(nodes.Property, of([*PSEUDO]), just(OF_PARENT))
child_windows = either(
    built(nodes.Within, lengths, just(OF_PARENT)),
    built(nodes.Between, lengths, lengths, just(OF_PARENT)),
)
# As long as events are often apart, see EDGES.
hours = built(nodes.Duration, of([1, 1, 2, 24]), just("hours"))
within_hours = built(nodes.Within, hours, just(OF_PARENT))
between_hours = built(nodes.Between, hours, hours, just(OF_PARENT))
fields_or_traits = either(event_fields, trait_values)
beside_traits = either(comparisons(event_fields, others=trait_values), leaves(fields_or_traits))
beside_parents = either(comparisons(event_fields, others=parent_fields), leaves(either(event_fields, parent_fields)))


def children(inner):
    """Events looked for beside another one: most of them after it, or like it, or with some of their own."""
    found = built(nodes.Where, inner)
    anything = several(either(found, child_windows, windows, betweens, sources, sessions), 0, 3)
    return streams(either(each(child_windows), each(found, child_windows), each(child_windows, found), anything))


def following(inner=beside_parents):
    """Conditions of an event about others; `inner` is what is asked of those."""
    kept = children(inner)
    number = built(nodes.Literal, of([0, 1, 2]))
    compared = built(nodes.Compare, built(nodes.Count, kept), of(OPERATORS), number)
    others = [built(kind, kept, event_fields) for kind in (nodes.Sum, nodes.Last, nodes.First, nodes.UniqueCount)]
    return either(compared, compared, comparisons(event_fields, others=either(*others)), leaves(either(*others)))


def plainly_followed(window, *more):
    """Conditions on how many events come after another one, and on little else."""
    number, after = built(nodes.Literal, of([0, 1])), streams(each(window, *more))
    return built(nodes.Compare, built(nodes.Count, after), of(["=", ">="]), number)


def funnels(condition, kept=several(windows, 0, 1)):  # noqa: B008, a maker has no state
    """Audiences of those with events for which the condition holds."""

    def parents(chance):
        wanted = [nodes.Where(condition(chance)), *kept(chance)]
        return nodes.Event(chance.choice(["E", "E", "F"]), tuple(chance.sample(wanted, len(wanted))))

    some = built(nodes.Compare, built(nodes.Count, parents), of([">=", "="]), built(nodes.Literal, of([0, 1])))
    return either(some, comparisons(built(nodes.Last, parents, event_fields)))


# --- lists ------------------------------------------------------------------------------------

ANY = ["l.$", "l.$", "l.$", "m.$", "o.$.sku", "o.$.sku", "o.$.tags.$", "l.$.$", "o.$", "o.$.sku.a", "t.$", "never.$"]
elements = of([*map(nodes.Property, ANY)])
parent_elements = built(nodes.Property, of(ANY), just(OF_PARENT))
lists = of([*map(nodes.Property, ["l", "l", "l", "o", "m", "m"]), nodes.Context("m")])
# What elements are equal to now and then.
known = built(
    nodes.Literal, of([10, 10.0, "10", "10.0", "true", "a", "é", 0, 2**53 + 1, "2024-03-31", "null", "[1]", "{"])
)
likely = either(known, known, known, literals)


def asked_of_elements(conditions):
    """Conditions of which half stand beside others."""
    return either(conditions, conditions, built(nodes.Not, conditions), junctions(nodes.And, conditions))

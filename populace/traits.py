"""Events to values: every reducer of a space in one pass over each event table.

Reducers of all definitions are collected and equal ones computed once. A table is scanned once, grouped by
profile once, and the filters of each reducer are masks on its rows. Nothing is sorted and nothing depends on
the order of rows: where order matters it is (timestamp, received_at, message_id), E-27.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce as fold

import polars as pl

from populace import expressions
from populace.definitions import (
    Context,
    Count,
    Event,
    Last,
    Operand,
    Property,
    Query,
    Reducer,
    Sum,
    Trait,
    Where,
    Within,
    walk,
)
from populace.query import fingerprint, print_query

ORDER = ("timestamp", "received_at", "message_id")  # E-27
AMOUNT = pl.Decimal(38, 6)  # what sums add up, so that they do not depend on the order of rows

Reducers = Mapping[str, Reducer]  # by fingerprint
Schema = Mapping[str, pl.DataType]


@dataclass(frozen=True, slots=True)
class Needs:
    """What the reducers read of one event table.

    `window` reaches back from `as_of` and holds every event that can matter; None means ever. `ordered` says
    whether `received_at` and `message_id` are read, `timestamp` always is.
    """

    properties: frozenset[str] = frozenset()
    contexts: frozenset[str] = frozenset()
    window: timedelta | None = None
    ordered: bool = False


# --- planning -------------------------------------------------------------------------------


def reducers(queries: Iterable[Query]) -> tuple[Reducer, ...]:
    """The distinct reducers of some queries, in the order they are first written.

    Distinct by fingerprint, not by `==`, for which `Literal(1)` and `Literal(1.0)` are the same.
    """
    found = (node for query in queries for node in walk(query) if isinstance(node, Reducer))
    return tuple({fingerprint(reducer): reducer for reducer in found}.values())


def requirements(queries: Iterable[Query]) -> dict[str, Needs]:
    """What has to be read to compute some queries, by event name.

    Parameters
    ----------
    queries
        Of traits and audiences, or reducers alone.

    Returns
    -------
    One entry per event table. A query without events, such as one on custom traits, needs none.
    """
    return {event: _needs(group.values()) for event, group in _by_event(reducers(queries)).items()}


def explain(queries: Iterable[Query]) -> dict[str, list[str]]:
    """Which reducers are computed in the scan of which event table, as text.

    One key is one scan; N definitions on one event are one scan.
    """
    return {
        event: [print_query(reducer) for reducer in group.values()]
        for event, group in _by_event(reducers(queries)).items()
    }


def _by_event(found: Iterable[Reducer]) -> dict[str, dict[str, Reducer]]:
    groups: dict[str, dict[str, Reducer]] = {}
    for reducer in found:
        groups.setdefault(reducer.stream.name, {})[fingerprint(reducer)] = reducer
    return groups


def _needs(group: Collection[Reducer]) -> Needs:
    nodes = [node for reducer in group for node in walk(reducer)]
    windows = [_window(reducer.stream) for reducer in group]
    known = [window for window in windows if window is not None]
    return Needs(
        properties=frozenset(node.path for node in nodes if isinstance(node, Property)),
        contexts=frozenset(node.path for node in nodes if isinstance(node, Context)),
        window=max(known) if len(known) == len(windows) else None,
        ordered=any(isinstance(reducer, Last) for reducer in group),
    )


def _window(stream: Event) -> timedelta | None:
    # Filters are ANDed, so the narrowest of several windows is the one that counts.
    return min((each.length for each in stream.filters if isinstance(each, Within)), default=None)


# --- reducing events ------------------------------------------------------------------------


def reduce(events: Mapping[str, pl.LazyFrame], reducers: Collection[Reducer], as_of: datetime) -> pl.DataFrame:
    """The value of each reducer for every profile that has one.

    Parameters
    ----------
    events
        By event name, many rows per profile: (profile: u32, timestamp: datetime[us, UTC], then what
        `requirements` asks for: received_at, message_id, and for each path `p.<path>`, `c.<path>` or its
        `:json` form). A table or column that is not there is missing for every row.
    reducers
        What to compute.
    as_of
        The instant the values describe. Later events are not seen; a window reaches back from it and
        includes both ends: [as_of - window, as_of] (T-26).

    Returns
    -------
    One row per profile with any value, in no order: profile, then a column for each distinct reducer, in the
    order given, named by its fingerprint, with null where there is no value. A count is Int64 and a sum
    Float64, null where no event matches, or none with a number. `last` has the type of its field; where the
    field is JSON text the column is too, and its name ends in `:json`, so that 10 and "10" still compare
    differently.

    Notes
    -----
    Sums are of numbers rounded to 6 decimals and exact from there, so no order of rows changes them.
    Numeric text counts, other text does not (T, "Aggregation").
    """
    groups = _by_event(reducers)
    scans = [_scan(events[name], group, as_of) for name, group in groups.items() if name in events]
    tables = [table.filter(_any_value(table)) for table in pl.collect_all(scans, engine="streaming")]
    values = fold(_join, tables, pl.DataFrame(schema={"profile": pl.UInt32}))
    distinct = {fingerprint(reducer): reducer for reducer in reducers}
    return values.select("profile", *(_in(values, key, reducer) for key, reducer in distinct.items()))


def _join(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    return left.join(right, on="profile", how="full", coalesce=True) if left.width > 1 else right


def _any_value(table: pl.DataFrame) -> pl.Expr:
    return pl.any_horizontal(pl.exclude("profile").is_not_null()) if table.width > 1 else pl.lit(value=False)


def _in(values: pl.DataFrame, key: str, reducer: Reducer) -> pl.Expr:
    name = column(values, reducer)
    if name in values.columns:
        return pl.col(name)
    kind = {Count: pl.Int64, Sum: pl.Float64}.get(type(reducer), pl.String)
    return pl.lit(None, dtype=kind).alias(key)


def column(values: pl.DataFrame, reducer: Reducer) -> str:
    """The column of `reduce` that holds a reducer: its fingerprint, with `:json` after it for JSON text."""
    key = fingerprint(reducer)
    return key + expressions.JSON if key + expressions.JSON in values.columns else key


def _scan(table: pl.LazyFrame, group: Reducers, as_of: datetime) -> pl.LazyFrame:
    schema = table.collect_schema()
    masks = {print_query(reducer.stream): reducer.stream for reducer in group.values()}
    names = {text: f"mask {number}" for number, text in enumerate(masks)}
    window = _needs(group.values()).window
    return (
        table.filter(_in_window(window, as_of))
        .with_columns(_mask(stream, schema, as_of).alias(names[text]) for text, stream in masks.items())
        # Rows that no reducer wants are dropped before they are grouped, which is what costs.
        .filter(pl.any_horizontal(list(names.values())))
        .group_by("profile")
        .agg(_aggregate(reducer, schema, pl.col(names[print_query(reducer.stream)])) for reducer in group.values())
        .select("profile", *(_finish(key, reducer, schema) for key, reducer in group.items()))
    )


def _in_window(window: timedelta | None, as_of: datetime) -> pl.Expr:
    timestamp = pl.col("timestamp")
    return timestamp <= as_of if window is None else timestamp.is_between(as_of - window, as_of, closed="both")


def _mask(stream: Event, schema: Schema, as_of: datetime) -> pl.Expr:
    def read(operand: Operand) -> expressions.Value:
        assert isinstance(operand, Property | Context), "the language refuses everything else in where()"
        return expressions.field(schema, operand)

    def holds(each: Where | Within) -> pl.Expr:
        if isinstance(each, Within):
            return _in_window(each.length, as_of)
        return expressions.condition(each.condition, read)

    # A literal alone would be one row, not one a row.
    return pl.all_horizontal([pl.col("profile").is_not_null(), *map(holds, stream.filters)])


def _aggregate(reducer: Reducer, schema: Schema, mask: pl.Expr) -> pl.Expr:
    key = fingerprint(reducer)
    if isinstance(reducer, Count):
        return mask.sum().alias(key)
    if isinstance(reducer, Sum):
        amounts = pl.when(mask).then(_amounts(reducer, schema))
        # The sum of nothing is 0, so the number of numbers comes along.
        return pl.struct(total=amounts.sum(), count=amounts.count()).alias(key)
    return _newest(reducer, schema, mask).alias(key)


def _amounts(reducer: Sum, schema: Schema) -> pl.Expr:
    value = expressions.field(schema, reducer.of)
    numbers = [number for number in (value.number, value.numeric_text) if number is not None]
    forms = [form for number in numbers for form in (number.integer, number.real) if form is not None]
    # What has more than 32 digits does not fit and is skipped like what is no number.
    amounts = [form.cast(AMOUNT, strict=False) for form in forms]
    return pl.coalesce(*amounts, pl.lit(None, dtype=AMOUNT))


def _newest(reducer: Last, schema: Schema, mask: pl.Expr) -> pl.Expr:
    name = expressions.field_column(schema, reducer.of)
    if name is None:
        return pl.lit(None, dtype=pl.String).first()
    present = expressions.field(schema, reducer.of).present
    return pl.col(name).max_by(pl.when(mask & present).then(pl.struct(ORDER)))


def _finish(key: str, reducer: Reducer, schema: Schema) -> pl.Expr:
    found = pl.col(key)
    if isinstance(reducer, Count):
        return pl.when(found > 0).then(found.cast(pl.Int64)).alias(key)
    if isinstance(reducer, Sum):
        total = found.struct.field("total").cast(pl.Float64)
        return pl.when(found.struct.field("count") > 0).then(total).alias(key)
    name = expressions.field_column(schema, reducer.of) or ""
    return found.alias(key + expressions.JSON if name.endswith(expressions.JSON) else key)


# --- traits ---------------------------------------------------------------------------------


def compute(values: pl.DataFrame, traits: Sequence[Trait]) -> pl.DataFrame:
    """The table of computed traits.

    Parameters
    ----------
    values
        From `reduce`, with the reducers of these traits among others.
    traits
        In the order of their columns.

    Returns
    -------
    One row per profile with any of the traits, in no order: profile, then one typed column per trait key.
    Null is no value, also for a count or sum that nothing matches, although expressions read 0 there (T-19).
    A field of mixed types becomes text: strings as they are, other values as JSON.
    """
    table = values.select("profile", *(_typed(values, trait) for trait in traits))
    return table.filter(_any_value(table))


def _typed(values: pl.DataFrame, trait: Trait) -> pl.Expr:
    name = column(values, trait.query)
    value = pl.col(name)
    return (expressions.json_text(value) if name.endswith(expressions.JSON) else value).alias(trait.key)


def newest(custom: pl.LazyFrame, as_of: datetime) -> pl.DataFrame:
    """The custom traits that profiles have: for each name the newest value up to an instant.

    Parameters
    ----------
    custom
        Many rows per profile and name: (profile: u32, name: str, value: str holding JSON,
        timestamp, received_at: datetime[us, UTC], message_id: str, source: str).
    as_of
        Values set later are not seen.

    Returns
    -------
    One row per profile and name, in no order: (profile, name, value, updated_at, source).

    Notes
    -----
    Newest by event order (T-1). JSON `null` removes a trait and is itself a value with a time, so an older
    value that arrives late does not bring it back (T-2); an empty string is a value.
    """
    seen = custom.filter(pl.col("timestamp") <= as_of)
    last = seen.group_by("profile", "name").agg(pl.col("timestamp").max()).collect(engine="streaming")
    rows = seen.join(last.lazy(), on=last.columns, how="semi").collect(engine="streaming")
    # Hardly ever do two events of one instant set one trait, and only those have to be sorted.
    tied = rows.select(pl.struct("profile", "name").is_duplicated()).to_series()
    newest_of_tied = rows.filter(tied).sort(*ORDER, "source", "value").unique(["profile", "name"], keep="last")
    found = pl.concat([rows.filter(~tied), newest_of_tied]).filter(pl.col("value") != "null")
    return found.select("profile", "name", "value", pl.col("timestamp").alias("updated_at"), "source")

"""Reducers as columns of one grouping by profile."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from functools import reduce as fold

import polars as pl

from populace.expressions import JSON, Number, Row, Value, iso
from populace.nodes import Average, Count, Field, First, Last, Max, Min, Mode, Reducer, Sum, Unique, UniqueCount
from populace.query import fingerprint, print_query
from populace.traits import listing
from populace.traits.elements import by_elements, laid_out, order
from populace.traits.given import Given, Tables
from populace.traits.masks import Names, in_window, masked
from populace.traits.planning import Reducers, by_event, inside, stream_of, window_of
from populace.traits.related import attached
from populace.traits.values import any_value, column, empty

AMOUNT = pl.Decimal(38, 6)  # what sums add up, so that they do not depend on the order of rows
BY_VALUE = Mode | Unique | UniqueCount


def reduce(
    events: Tables,
    reducers: Iterable[Reducer],
    as_of: datetime,
    people: pl.DataFrame | None = None,
    computed: Mapping[str, Reducer] | None = None,
) -> pl.DataFrame:
    """The value of each reducer for every profile that has one.

    Parameters
    ----------
    events
        By event name, many rows per profile: (profile: u32, timestamp: datetime[us, UTC], then what
        `requirements` asks for: received_at, message_id, source, and for each path `p.<path>`, `c.<path>` or its
        `:json` form). A table or column that is not there is missing for every row.
    reducers
        What to compute.
    as_of
        The instant the values describe. Later events are not seen; a window reaches back from it and
        includes both ends: [as_of - window, as_of] (T-26).
    people
        What trait() inside where() reads: (profile, columns as `expressions.Person` names them), one row per profile.
    computed
        The reducers of computed traits, by key.

    Returns
    -------
    One row per profile with any value, in no order: profile, then a column for each distinct reducer, in the
    order given, named by its fingerprint, with null where there is no value. Counts are Int64, sums and averages
    Float64, null where no event matches, or none with a number; a list is List(String). The least and greatest number
    are Int64 where the field holds whole numbers, else Float64. `first` and `last` have the type of their field; where
    it is JSON text the column is too, and its name ends in `:json`, so that 10 and "10" still compare differently.

    Notes
    -----
    Sums are of numbers rounded to 6 decimals and exact from there, so no order of rows changes them.
    Numeric text counts, other text does not (T, "Aggregation").
    """
    return _over(events, reducers, Given(events, as_of, people, computed or {}))


def _over(tables: Tables, reducers: Iterable[Reducer], given: Given) -> pl.DataFrame:
    """The same for some tables, whose events may be followed by any that are given."""
    distinct = {fingerprint(reducer): reducer for reducer in reducers}
    groups = {name: group for name, group in by_event(distinct.values()).items() if name in tables}
    scans = [scan for name, group in groups.items() for scan in _scans(name, tables[name], group, given)]
    found = pl.collect_all([each.rows for each in scans], engine="streaming")
    made = [each.finish(rows) for each, rows in zip(scans, found, strict=True)]
    values = fold(_join, [each.filter(any_value(each)) for each in made], pl.DataFrame(schema={"profile": pl.UInt32}))
    return values.select("profile", *(_in(values, key, reducer) for key, reducer in distinct.items()))


def _join(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    return left.join(right, on="profile", how="full", coalesce=True) if left.width > 1 else right


def _in(values: pl.DataFrame, key: str, reducer: Reducer) -> pl.Expr:
    name = column(values, reducer)
    return pl.col(name) if name in values.columns else pl.lit(None, dtype=empty(reducer)).alias(key)


@dataclass(frozen=True, slots=True)
class _Scan:
    """A grouping of one event table, and how it becomes one row per profile and one column per reducer."""

    rows: pl.LazyFrame
    finish: Callable[[pl.DataFrame], pl.DataFrame]


def _scans(name: str, table: pl.LazyFrame, group: Reducers, given: Given) -> Iterator[_Scan]:
    """The groupings of one table: polars computes them in one scan of it, funnels have another one."""
    seen = table.filter(in_window(window_of(group.values()), given.as_of)).with_columns(event=pl.lit(name))
    funnels = {key: each for key, each in group.items() if inside(stream_of(each))}
    plain = {key: each for key, each in group.items() if key not in funnels}
    if plain:
        yield from _groupings(given.beside(seen, plain), plain, given)
    if funnels:
        beside = given.beside(seen, funnels)
        yield from _groupings(attached(beside, funnels, given, partial(_over, given=given)), funnels, given)


def _groupings(seen: pl.LazyFrame, group: Reducers, given: Given) -> Iterator[_Scan]:
    row = given.row(seen)
    rows, masks = masked(seen, row, map(stream_of, group.values()), given.as_of)
    flat = {key: each for key, each in group.items() if not isinstance(each, BY_VALUE)}
    for field, some in by_elements(flat):
        yield _Scan(_grouped(*laid_out(rows, row, field), some, masks), lambda found: found)
    for values, apart in listing.by_field(group).items():
        yield _Scan(listing.counted(rows, row, values, apart, masks), partial(listing.listed, apart, masks))


def _grouped(rows: pl.LazyFrame, row: Row, group: Reducers, masks: Names) -> pl.LazyFrame:
    keyed = rows.group_by("profile").agg(
        _aggregate(each, row, pl.col(masks[print_query(stream_of(each))])).alias(key) for key, each in group.items()
    )
    return keyed.select("profile", *(_finish(key, each, row) for key, each in group.items()))


# --- one reducer --------------------------------------------------------------------------------------


def _aggregate(reducer: Reducer, row: Row, mask: pl.Expr) -> pl.Expr:
    match reducer:
        case Count():
            return mask.sum()
        case Sum(_, of) | Average(_, of):
            amounts = pl.when(mask).then(_amounts(row.value(of)))
            # The sum of nothing is 0, so the number of numbers comes along.
            return pl.struct(total=amounts.sum(), count=amounts.count())
        case Min(_, of, cast):
            return pl.when(mask).then(_ordered(row, of, cast)).min()
        case Max(_, of, cast):
            return pl.when(mask).then(_ordered(row, of, cast)).max()
        case First(_, of) | Last(_, of):
            return _at_the_end(reducer, row, of, mask)
    raise AssertionError(reducer)


def _amounts(value: Value) -> pl.Expr:
    forms = [form for number in _numbers(value) for form in (number.integer, number.real) if form is not None]
    # What has more than 32 digits does not fit and is skipped like what is no number.
    amounts = [form.cast(AMOUNT, strict=False) for form in forms]
    return pl.coalesce(*amounts, pl.lit(None, dtype=AMOUNT))


def _numbers(value: Value) -> list[Number]:
    return [number for number in (value.number, value.numeric_text) if number is not None]


def _ordered(row: Row, of: Field, cast: str) -> pl.Expr:
    """What the least and the greatest are of: whole numbers where there is nothing else, else floats; or texts."""
    if cast == "string":
        return row.form(of)
    value = row.value(of)
    if value.number is not None and value.number.real is None and value.number.integer is not None:
        return value.number.integer
    return pl.coalesce(*(number.as_real() for number in _numbers(value)), pl.lit(None, dtype=pl.Float64))


def _at_the_end(reducer: First | Last, row: Row, of: Field, mask: pl.Expr) -> pl.Expr:
    name = row.column(of)
    if name is None:
        return pl.lit(None, dtype=pl.String).first()
    place = pl.when(mask & row.value(of).present).then(pl.struct(order(row)))
    return pl.col(name).max_by(place) if isinstance(reducer, Last) else pl.col(name).min_by(place)


def _finish(key: str, reducer: Reducer, row: Row) -> pl.Expr:
    found = pl.col(key)
    match reducer:
        case Count():
            return pl.when(found > 0).then(found.cast(pl.Int64)).alias(key)
        case Sum() | Average():
            total, count = found.struct.field("total").cast(pl.Float64), found.struct.field("count")
            return pl.when(count > 0).then(total / count if isinstance(reducer, Average) else total).alias(key)
        case First(_, of) | Last(_, of):
            return _typed(key, row, row.column(of))
    return found


def _typed(key: str, row: Row, name: str | None) -> pl.Expr:
    """Instants as text, and JSON under a name that says so."""
    if name is not None and isinstance(row.schema[name], pl.Datetime):
        return iso(pl.col(key)).alias(key)
    return pl.col(key).alias(key + JSON if name is not None and name.endswith(JSON) else key)

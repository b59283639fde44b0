"""Reducers as columns of one row per profile."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import polars as pl

from populace.expressions import JSON, Row, iso
from populace.nodes import Field, First, Last, Max, Min, Mode, Reducer, Unique, UniqueCount
from populace.query import fingerprint, print_query
from populace.traits import adding, listing, splitting
from populace.traits.elements import by_elements, laid_out, order
from populace.traits.given import Given, Tables
from populace.traits.masks import Names, in_window, masked
from populace.traits.planning import Reducers, by_event, inside, stream_of, window_of
from populace.traits.related import attached
from populace.traits.splitting import Split
from populace.traits.values import any_value, column, empty

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
    One row per profile with any value, in order: profile, then a column for each distinct reducer, in the
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
    values = adding.everybody([scan.whose(rows) for scan, rows in zip(scans, found, strict=True)])
    for scan, rows in zip(scans, found, strict=True):
        values = scan.finish(values, rows)
    named = values.select("profile", *(_in(values, key, reducer) for key, reducer in distinct.items()))
    return named.filter(any_value(named))


def _beside(values: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    return values.join(found, on="profile", how="left", maintain_order="left")


def _in(values: pl.DataFrame, key: str, reducer: Reducer) -> pl.Expr:
    name = column(values, reducer)
    return pl.col(name) if name in values.columns else pl.lit(None, dtype=empty(reducer)).alias(key)


def _profile(rows: pl.DataFrame) -> pl.Series:
    return rows.get_column("profile")


@dataclass(frozen=True, slots=True)
class _Scan:
    """What is read of one event table, how values get a column per reducer from it, and whose the rows are."""

    rows: pl.LazyFrame
    finish: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
    whose: Callable[[pl.DataFrame], pl.Series] = _profile


def _scans(name: str, table: pl.LazyFrame, group: Reducers, given: Given) -> Iterator[_Scan]:
    """The groupings of one table: polars computes them in one scan of it, funnels have another one."""
    seen = table.filter(in_window(window_of(group.values()), given.as_of)).with_columns(event=pl.lit(name))
    funnels = {key: each for key, each in group.items() if inside(stream_of(each))}
    plain = {key: each for key, each in group.items() if key not in funnels}
    shared = splitting.splits(plain)
    alone = {key: each for key, each in plain.items() if not any(key in split.keys.values() for split in shared)}
    for split in shared:
        yield from _apart(given.beside(seen, plain), split, given)
    if alone:
        yield from _groupings(given.beside(seen, alone), alone, given)
    if funnels:
        beside = given.beside(seen, funnels)
        yield from _groupings(attached(beside, funnels, given, partial(_over, given=given)), funnels, given)


def _apart(seen: pl.LazyFrame, split: Split, given: Given) -> Iterator[_Scan]:
    """The groupings of reducers that differ in the value of a field only."""
    rows = splitting.numbered(seen, split, given.row(seen))
    for scan in _groupings(rows, {fingerprint(split.reducer): split.reducer}, given):
        yield _Scan(scan.rows, partial(_spread, scan, split), partial(splitting.whose, split))


def _spread(scan: _Scan, split: Split, values: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    found = scan.finish(adding.everybody([_profile(rows)]), rows)
    return _beside(values, splitting.spread(found, split))


def _groupings(seen: pl.LazyFrame, group: Reducers, given: Given) -> Iterator[_Scan]:
    row = given.row(seen)
    rows, masks = masked(seen, row, map(stream_of, group.values()), given.as_of)
    flat = {key: each for key, each in group.items() if not isinstance(each, BY_VALUE)}
    for field, some in by_elements(flat):
        yield from _single(*laid_out(rows, row, field), some, masks)
    for values, apart in listing.by_field(group).items():
        yield _Scan(listing.counted(rows, row, values, apart, masks), partial(_listed, apart, masks))


def _single(rows: pl.LazyFrame, row: Row, group: Reducers, masks: Names) -> Iterator[_Scan]:
    """Those that make one value of all: what is added up, and the others."""
    added = {key: each for key, each in group.items() if isinstance(each, adding.Adder)}
    if added:
        yield _Scan(adding.marked(rows, row, added, masks), partial(adding.added, added, masks))
    others = {key: each for key, each in group.items() if key not in added}
    if others:
        yield _Scan(_grouped(rows, row, others, masks), _beside)


def _listed(apart: listing.Apart, masks: Names, values: pl.DataFrame, counts: pl.DataFrame) -> pl.DataFrame:
    return _beside(values, listing.listed(apart, masks, counts))


def _grouped(rows: pl.LazyFrame, row: Row, group: Reducers, masks: Names) -> pl.LazyFrame:
    keyed = rows.group_by("profile").agg(
        _aggregate(each, row, pl.col(masks[print_query(stream_of(each))])).alias(key) for key, each in group.items()
    )
    return keyed.select("profile", *(_finish(key, each, row) for key, each in group.items()))


# --- one reducer --------------------------------------------------------------------------------------


def _aggregate(reducer: Reducer, row: Row, mask: pl.Expr) -> pl.Expr:
    match reducer:
        case Min(_, of, cast):
            return pl.when(mask).then(_ordered(row, of, cast)).min()
        case Max(_, of, cast):
            return pl.when(mask).then(_ordered(row, of, cast)).max()
        case First(_, of) | Last(_, of):
            return _at_the_end(reducer, row, of, mask)
    raise AssertionError(reducer)


def _ordered(row: Row, of: Field, cast: str) -> pl.Expr:
    """What the least and the greatest are of: whole numbers where there is nothing else, else floats; or texts."""
    if cast == "string":
        return row.form(of)
    value = row.value(of)
    if value.number is not None and value.number.real is None and value.number.integer is not None:
        return value.number.integer
    return pl.coalesce(*(number.as_real() for number in adding.numbers(value)), pl.lit(None, dtype=pl.Float64))


def _at_the_end(reducer: First | Last, row: Row, of: Field, mask: pl.Expr) -> pl.Expr:
    name = row.column(of)
    if name is None:
        return pl.lit(None, dtype=pl.String).first()
    place = pl.when(mask & row.value(of).present).then(pl.struct(order(row)))
    return pl.col(name).max_by(place) if isinstance(reducer, Last) else pl.col(name).min_by(place)


def _finish(key: str, reducer: Reducer, row: Row) -> pl.Expr:
    return _typed(key, row, row.column(reducer.of)) if isinstance(reducer, First | Last) else pl.col(key)


def _typed(key: str, row: Row, name: str | None) -> pl.Expr:
    """Instants as text, and JSON under a name that says so."""
    if name is not None and isinstance(row.schema[name], pl.Datetime):
        return iso(pl.col(key)).alias(key)
    return pl.col(key).alias(key + JSON if name is not None and name.endswith(JSON) else key)

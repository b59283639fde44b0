"""Counts, sums and averages: what is added up, profile by profile.

Inside a run profiles are numbers without large gaps, so it is added up in arrays with a place for every number, several
times as fast as polars groups columns.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from populace.expressions import Number, Row, Value
from populace.nodes import Average, Count, Field, Sum
from populace.query import print_query
from populace.traits.masks import Names
from populace.traits.planning import stream_of

AMOUNT = pl.Decimal(38, 6)  # what sums add up, so that they do not depend on the order of rows
MILLION = 10**6
LARGE = 1e30  # from here on an amount does not fit, and is carried as the float that it is
SPARSE = 16  # times as long as what it holds, an array with a place for every number is too long

Adder = Count | Sum | Average
Adders = Mapping[str, Adder]  # by fingerprint


def everybody(whose: Sequence[pl.Series]) -> pl.DataFrame:
    """(profile), one row per profile that any of the rows are of, in order."""
    dtype = whose[0].dtype if whose else pl.UInt32()
    profiles = [each.to_numpy() for each in whose]
    greatest = max((int(each.max(initial=0)) for each in profiles), default=0)
    if greatest > SPARSE * sum(map(len, profiles)):
        return pl.concat([pl.Series("profile", dtype=dtype), *whose]).unique().sort().to_frame("profile")
    is_known = np.zeros(1 + greatest, dtype=bool)
    for each in profiles:
        is_known[each] = True
    return pl.DataFrame({"profile": np.flatnonzero(is_known)}, schema={"profile": dtype})


def marked(rows: pl.LazyFrame, row: Row, group: Adders, masks: Names) -> pl.LazyFrame:
    """(profile, masks, an amount for each field that is summed), one row per event that any mask holds for."""
    used = sorted({_mask(each, masks) for each in group.values()})
    fields = dict.fromkeys(each.of for each in group.values() if not isinstance(each, Count))
    amounts = [each for of in fields for each in _amounts(row.value(of), _column(of))]
    return rows.filter(pl.any_horizontal(used)).select("profile", *used, *amounts)


def numbers(value: Value) -> list[Number]:
    """The numbers that a value may be; numeric text is one."""
    return [number for number in (value.number, value.numeric_text) if number is not None]


def _mask(reducer: Adder, masks: Names) -> str:
    return masks[print_query(stream_of(reducer))]


def _column(of: Field) -> str:
    return f"amount {of}"


def _amounts(value: Value, name: str) -> tuple[pl.Expr, pl.Expr]:
    """A field as an amount, null where it is no number or too large, and as a float where it is too large."""
    reals = [each.real for each in numbers(value) if each.real is not None]
    exact = [each.integer.cast(AMOUNT) for each in numbers(value) if each.integer is not None]
    exact += [pl.when(each.abs() < LARGE).then(each).cast(AMOUNT, strict=False) for each in reals]
    large = [pl.when(each.abs() >= LARGE).then(each) for each in reals]
    return (
        pl.coalesce(*exact, pl.lit(None, dtype=AMOUNT)).alias(name),
        pl.coalesce(*large, pl.lit(None, dtype=pl.Float64)).alias(f"large {name}"),
    )


# --- adding up ----------------------------------------------------------------------------------------


def added(group: Adders, masks: Names, values: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The values with a column for each reducer, null where nothing is added up.

    Parameters
    ----------
    values
        (profile, …), one row per profile of these rows at least, in order.
    rows
        From `marked`.
    """
    profiles = values.get_column("profile").to_numpy()
    fields = [each for each in rows.iter_columns() if each.dtype == AMOUNT]
    whole = rows.with_columns(_millionths(each, rows.get_column(f"large {each.name}")) for each in fields)
    return values.hstack([_added(each, _mask(each, masks), whole, profiles).alias(key) for key, each in group.items()])


def _added(reducer: Adder, mask: str, rows: pl.DataFrame, profiles: np.ndarray) -> pl.Series:
    mark, whose = rows.get_column(mask), rows.get_column("profile")
    if isinstance(reducer, Count):
        times = _times(whose.filter(mark), profiles)
        return times.set(times == 0, None)
    amounts = rows.get_column(_column(reducer.of))
    has_number = mark & amounts.is_not_null()
    owners = whose.filter(has_number)
    times, total = _times(owners, profiles), _total(owners, amounts.filter(has_number), profiles)
    total = _averages(total, times) if isinstance(reducer, Average) else total
    # The sum of nothing is 0.
    return pl.Series(_divided(total)).set(times == 0, None)


def _times(owners: pl.Series, profiles: np.ndarray) -> pl.Series:
    """How often each profile is among the owners of some rows."""
    return pl.Series(_placed(owners, np.ones(1, np.uint32), profiles)).cast(pl.Int64)


def _total(owners: pl.Series, millionths: pl.Series, profiles: np.ndarray) -> np.ndarray:
    # Numpy has no whole numbers of more than 64 bits, Python has.
    is_short = millionths.dtype == pl.Int64
    exact = millionths.to_numpy() if is_short else np.array(millionths.to_list(), dtype=object)
    return _placed(owners, exact, profiles)


def _placed(owners: pl.Series, amounts: np.ndarray, profiles: np.ndarray) -> np.ndarray:
    """The sum of the amounts of each profile."""
    sums = np.zeros(int(profiles.max(initial=0)) + 1, amounts.dtype)
    np.add.at(sums, owners.to_numpy(), amounts)
    return sums[profiles]


def _millionths(amounts: pl.Series, large: pl.Series) -> pl.Series:
    """Amounts as whole numbers, of 64 bits where no sum of them can have more, and of any size where some are large."""
    whole = amounts.to_physical()
    if large.null_count() < large.len():
        pairs = zip(whole.to_list(), large.to_list(), strict=True)
        return pl.Series(amounts.name, [one if real is None else int(real) * MILLION for one, real in pairs], pl.Object)
    return whole.cast(pl.Int64) if amounts.cast(pl.Float64).abs().sum() < 2**62 / MILLION else whole


def _averages(millionths: np.ndarray, times: pl.Series) -> np.ndarray:
    """The nearest whole millionths, of two the greater one."""
    count = times.to_numpy().clip(1).astype(millionths.dtype)
    return (2 * millionths + count) // (2 * count)


def _divided(millionths: np.ndarray) -> np.ndarray:
    """The nearest floats: above 2**53 numpy would round before it divides as well, Python does not."""
    if np.abs(millionths).max(initial=0) < 2**53:
        return (millionths / MILLION).astype(np.float64)
    return np.array([_float(int(each)) for each in millionths], np.float64)


def _float(millionths: int) -> float:
    try:
        return millionths / MILLION
    except OverflowError:  # more than any float
        return float("inf") if millionths > 0 else float("-inf")

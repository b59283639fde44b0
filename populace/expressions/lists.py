"""Lists: the elements of JSON arrays, and conditions that hold for any one element (A-12, A-14).

A condition looks at one value a row, so rows are laid out with a row for each element, the condition is asked of
these, and a row holds if any of its elements does. Whatever holds for a value then holds for an element.
"""

from dataclasses import dataclass
from functools import partial

import polars as pl

SCALAR = r'"(?:[^"\\]|\\.)*"|[^\s"\[\]{},]+'
FLAT = rf"^\[\s*(?:(?:{SCALAR})\s*(?:,\s*(?:{SCALAR})\s*)*)?\]\s*$"
PAIRS = 8_192  # rows that are laid out together, so that two long lists beside each other stay small
ROW = "row of the element"


@dataclass(frozen=True, slots=True)
class Items:
    """The elements of the list in each row: List(String) of JSON, or of plain texts; null where there is no list."""

    elements: pl.Expr
    are_json: bool


def array(json: pl.Expr) -> pl.Expr:
    """JSON that is an array, null where it is something else."""
    return pl.when(json.str.starts_with("[")).then(json)


def flat(array: pl.Expr) -> Items:
    """The elements of arrays that hold neither objects nor arrays.

    Examples
    --------
    >>> frame = pl.DataFrame({"v": ['["a, b",10, null]', "[]", "[[1]]", None]})
    >>> frame.select(flat(pl.col("v")).elements).to_series().to_list()
    [['"a, b"', '10', 'null'], [], None, None]
    """
    return Items(pl.when(array.str.contains(FLAT)).then(array).str.extract_all(SCALAR), are_json=True)


def nested(array: pl.Expr) -> pl.Expr:
    """Arrays that hold objects or arrays, as the text that they are (T-4)."""
    return pl.when(~array.str.contains(FLAT)).then(array)


def any_of(elements: pl.Expr, name: str, holds: pl.Expr) -> pl.Expr:
    """True where a condition holds for any one element of a list; never null.

    Parameters
    ----------
    name
        The column that the condition reads the element from; the other columns it reads are those of the row.
    """
    others = [each for each in dict.fromkeys(holds.meta.root_names()) if each != name]
    rows = pl.struct(*others, elements.alias(name))
    return rows.map_batches(partial(_any_of, name, holds), return_dtype=pl.Boolean, is_elementwise=True)


def _any_of(name: str, holds: pl.Expr, rows: pl.Series) -> pl.Series:
    frame = rows.struct.unnest().with_row_index(ROW)
    some = frame.filter(pl.col(name).list.len() > 0)
    found = [pl.Series([], dtype=pl.UInt32), *(_laid_out(part, name, holds) for part in some.iter_slices(PAIRS))]
    return frame.get_column(ROW).is_in(pl.concat(found).implode())


def _laid_out(rows: pl.DataFrame, name: str, holds: pl.Expr) -> pl.Series:
    """The numbers of the rows of which some element makes the condition hold."""
    return rows.lazy().explode(name).filter(holds).select(pl.col(ROW).unique()).collect().to_series()

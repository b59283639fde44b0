"""Lists: the elements of JSON arrays, and conditions that hold for any one element (A-12, A-14).

A condition looks at one value a row, so rows are laid out with a row for each element, the condition is asked of
these, and a row holds if any of its elements does. Whatever holds for a value then holds for an element.
"""

from dataclasses import dataclass
from functools import partial

import polars as pl

SCALAR = r'"(?:[^"\\]|\\.)*"|[^\s"\[\]{},]+'
FLAT = rf"^\[\s*(?:(?:{SCALAR})\s*(?:,\s*(?:{SCALAR})\s*)*)?\]\s*$"
TOGETHER = 8_192  # rows that are laid out at once, so that pairs of elements of long lists stay few
ROW, THERE = "number of the row", "is there a list"


@dataclass(frozen=True, slots=True)
class Items:
    """The elements of the list in each row: List(String) of JSON, or of plain texts.

    `there` is true where there is a list, which is told at little cost: only these rows are looked at further.
    """

    there: pl.Expr
    elements: pl.Expr
    are_json: bool = True


def is_array(json: pl.Expr) -> pl.Expr:
    """True for JSON that is an array."""
    return json.str.starts_with("[")


def flat(arrays: pl.Expr) -> pl.Expr:
    """The elements of JSON arrays that hold neither objects nor arrays, each as JSON; null for anything else.

    Examples
    --------
    >>> frame = pl.DataFrame({"v": ['["a, b",10, null]', "[]", "[[1]]", None]})
    >>> frame.select(flat(pl.col("v"))).to_series().to_list()
    [['"a, b"', '10', 'null'], [], None, None]
    """
    return pl.when(arrays.str.contains(FLAT)).then(arrays).str.extract_all(SCALAR)


def nested(json: pl.Expr) -> pl.Expr:
    """JSON arrays that hold objects or arrays, as the text that they are (T-4); null for anything else."""
    arrays = pl.when(is_array(json)).then(json)
    return pl.when(~arrays.str.contains(FLAT)).then(arrays)


def any_of(items: Items, name: str, holds: pl.Expr) -> pl.Expr:
    """True where a condition holds for any one element of a list; never null.

    Parameters
    ----------
    name
        The column that the condition reads the element from; the other columns it reads are those of the row.
    """
    read = dict.fromkeys([*items.elements.meta.root_names(), *holds.meta.root_names()])
    rows = pl.struct(items.there.alias(THERE), *(each for each in read if each != name))
    laid_out = partial(_any_of, items.elements.alias(name), holds)
    return rows.map_batches(laid_out, return_dtype=pl.Boolean, is_elementwise=True)


def _any_of(elements: pl.Expr, holds: pl.Expr, rows: pl.Series) -> pl.Series:
    if not rows.struct.field(THERE).any():
        return pl.repeat(value=False, n=rows.len(), eager=True)
    frame = rows.struct.unnest().with_row_index(ROW)
    found = [_that_hold(part, elements, holds) for part in frame.filter(THERE).iter_slices(TOGETHER)]
    return frame.get_column(ROW).is_in(pl.concat(found).implode())


def _that_hold(rows: pl.DataFrame, elements: pl.Expr, holds: pl.Expr) -> pl.Series:
    """The numbers of the rows of which some element makes the condition hold."""
    laid_out = rows.lazy().with_columns(elements).explode(elements.meta.output_name())
    return laid_out.filter(holds).select(pl.col(ROW).unique()).collect().to_series()

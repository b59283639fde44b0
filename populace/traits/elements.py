"""Reducers of elements: events laid out with a row for each element, so that each is a value of its own (A-14)."""

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from populace.expressions import JSON, Row
from populace.nodes import Field
from populace.paths import has_elements
from populace.traits.planning import ORDER, Reducers

POSITION = "position"  # of an element in its list


def by_elements(group: Reducers) -> Iterator[tuple[Field | None, Reducers]]:
    """These reducers by the field whose elements they reduce; None for those that reduce events."""
    found: dict[Field | None, dict] = {}
    for key, each in group.items():
        of = getattr(each, "of", None)
        found.setdefault(of if of is not None and has_elements(of.path) else None, {})[key] = each
    yield from found.items()


def laid_out(rows: pl.LazyFrame, row: Row, field: Field | None) -> tuple[pl.LazyFrame, Row]:
    """One row per element of a field, with its position: a column of JSON in place of the lists.

    Rows without elements are left out. Where the field is None, or no event has it, rows stay as they are.
    """
    name = None if field is None else row.elements(field)
    if name is None:
        return rows, row
    elements = name + JSON
    numbered = rows.with_columns(pl.int_ranges(pl.col(name).list.len()).alias(POSITION))
    exploded = numbered.explode(name, POSITION).drop_nulls(name).rename({name: elements})
    schema = {each: dtype for each, dtype in row.schema.items() if each != name}
    return exploded, replace(row, schema=schema | {elements: pl.String(), POSITION: pl.Int64()})


def order(row: Row) -> tuple[str, ...]:
    """What says which of two values comes first: the order of events, then the position in one event."""
    return (*ORDER, POSITION) if POSITION in row.schema else ORDER

"""What is compared with dates and is none: neither before nor after any, so somebody should hear of it."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import date
from typing import Any

from populace.nodes import (
    And,
    Between,
    Condition,
    Count,
    Dated,
    Event,
    Exists,
    Filter,
    Literal,
    Not,
    Operand,
    Or,
    Property,
    Query,
    Relative,
    Where,
    Within,
)
from populace.query.printing import print_query

BEFORE, AFTER = Literal(date(2000, 1, 2)), Literal(date(2000, 1, 1))  # every instant is one of these
Around = tuple[Event, ...]  # the streams whose where() a condition stands in, innermost first


def undated(query: Query) -> dict[str, Query]:
    """For each value that a query compares with dates, what finds those that are none, by a text that names it.

    Returns
    -------
    Of a field of events the number of such events of a profile, of anything else whether the profile has such a value.

    Examples
    --------
    >>> from populace.query import parse_audience
    >>> list(undated(parse_audience("trait('renewal').within_next(7 days)")))
    ["trait('renewal')"]
    """
    return dict(_found(query, ()))


def _found(node: Any, around: Around) -> Iterator[tuple[str, Query]]:
    if isinstance(node, Dated | Relative):
        yield from _search(node.operand, around)
    inner = (node, *around) if isinstance(node, Event) else around
    for each in fields(node) if is_dataclass(node) else ():
        value = getattr(node, each.name)
        for child in value if isinstance(value, tuple) else (value,):
            yield from _found(child, inner)


def _search(operand: Operand, around: Around) -> Iterator[tuple[str, Query]]:
    if isinstance(operand, Property) and operand.parent:
        yield from _search(Property(operand.path), around[1:])
    elif not around:
        yield print_query(operand), _is_no_date(operand)
    elif not isinstance(operand, Literal):
        stream = replace(around[0], filters=tuple(filter(_is_own_window, around[0].filters)))
        asked = replace(stream, filters=(*stream.filters, Where(_is_no_date(operand))))
        yield f"{print_query(operand)} of {print_query(stream)}", Count(asked)


def _is_own_window(each: Filter) -> bool:
    return isinstance(each, Within | Between) and not each.parent


def _is_no_date(operand: Operand) -> Condition:
    is_date = Or((Dated(operand, "before_date", BEFORE), Dated(operand, "after_date", AFTER)))
    return And((Exists(operand), Not(is_date)))

"""Which records are told in one update: properties of one person together, everything else by itself."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from populace.destinations.bodies import encoded, value
from populace.destinations.protocol import PROPERTY, Record


def is_property(record: Record) -> bool:
    return bool(record["form"] == PROPERTY)


def together(
    records: Sequence[Record],
    size: int,
    most: int = 500,
    is_shared: Callable[[Record], bool] = is_property,
) -> Iterator[list[int]]:
    """Positions of what is told in one update, person by person.

    Parameters
    ----------
    size
        Bytes that the names and values of one update may have; what has more by itself is alone.
    most
        How many values one update may have.
    is_shared
        What may be told with others.
    """
    for _, run in groupby(range(len(records)), key=lambda each: _person(records[each])):
        positions = list(run)
        yield from _filled([each for each in positions if is_shared(records[each])], records, size, most)
        yield from ([each] for each in positions if not is_shared(records[each]))


def _person(record: Record) -> tuple[str, str]:
    return record["id_type"], record["id_value"]


def _filled(positions: Iterable[int], records: Sequence[Record], size: int, most: int) -> Iterator[list[int]]:
    """Parts that fit into one update each, by count and bytes."""
    part: list[int] = []
    filled = 0
    for position in positions:
        weight = _weight(records[position])
        if part and (len(part) == most or filled + weight > size):
            yield part
            part, filled = [], 0
        part.append(position)
        filled += weight
    if part:
        yield part


def _weight(record: Record) -> int:
    """The bytes of a value under its name, with the signs around it."""
    return len(encoded({record["key"]: value(record)}))

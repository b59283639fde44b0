"""Which sender a kind of destination has, and what a delivery asks of every sender."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

import polars as pl

from populace.definitions import Destination
from populace.destinations import FILES, HTTP
from populace.destinations.protocol import Origin, Settings, Verdict
from tasks import http, object_storage, reading, warehouse
from tasks.listing import Lists
from tasks.sending import Courier, Pace


class Sender(AbstractContextManager, Protocol):
    """One destination, for as long as one delivery lasts."""

    @property
    def courier(self) -> Courier:
        """Who settles batches, and knows why nothing more is sent."""

    def send(self, records: pl.DataFrame) -> Iterator[tuple[list[int], list[Verdict]]]:
        """Positions of records and what became of each, after every exchange; each record once."""


@runtime_checkable
class Reader(Sender, Protocol):
    """A sender whose destination can be read back."""

    def readable(self, acknowledged: pl.DataFrame) -> pl.DataFrame:
        """The part of what was acknowledged that it can be asked about."""

    def held(self, acknowledged: pl.DataFrame) -> pl.DataFrame:
        """What the destination holds now of the computations that were acknowledged.

        Parameters
        ----------
        acknowledged
            (kind, key, form, profile_id, id_type, id_value, value). A value that equals it is spelled as it is.

        Returns
        -------
        (kind, key, form, id_type, id_value, value), a row for each member, with 'true', and each value that is there.

        Raises
        ------
        Transient, Throttled, Refused
            If it cannot be read now, or not at all.
        """


def sender(
    node: Destination, settings: Settings, origin: Origin, pace: Pace, base: Path, lists: Lists | None = None
) -> Sender:
    """The sender of a destination; nothing is opened before it is entered."""
    if node.kind in HTTP:
        kind = reading.Sender if HTTP[node.kind].ABOUT.readable else http.Sender
        return kind(HTTP[node.kind], settings, origin, pace, node.bounds, node.kind, lists)
    if node.kind in FILES:
        return object_storage.Sender(settings, origin, pace, base, node.bounds)
    return warehouse.Sender(settings, origin, pace, base, node.bounds)

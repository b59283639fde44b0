"""Which sender a kind of destination has, and what a delivery asks of every sender."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import polars as pl

from populace.definitions import Destination
from populace.destinations import HTTP
from populace.destinations.protocol import Origin, Settings, Verdict
from tasks import http, warehouse
from tasks.sending import Courier, Pace


class Sender(AbstractContextManager, Protocol):
    """One destination, for as long as one delivery lasts."""

    @property
    def courier(self) -> Courier:
        """Who settles batches, and knows why nothing more is sent."""

    def send(self, records: pl.DataFrame) -> Iterator[tuple[list[int], list[Verdict]]]:
        """Positions of records and what became of each, after every exchange; each record once."""


def sender(node: Destination, settings: Settings, origin: Origin, pace: Pace, base: Path) -> Sender:
    """The sender of a destination; nothing is opened before it is entered."""
    if node.kind in HTTP:
        return http.Sender(HTTP[node.kind], settings, origin, pace)
    return warehouse.Sender(settings, origin, pace, base, node.bounds)

"""What a destination refuses for good: how many records for which reason, and those of them that somebody asks for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from populace import sync
from populace.errors import UsageError
from populace.space import showing
from populace.space.opening import OpenSpace


@dataclass(frozen=True, slots=True)
class Asked:
    """Which letters are meant; all where nothing is said.

    Parameters
    ----------
    reason
        Text that is in their reason, or their outcome: 'invalid' or 'too_large'.
    since
        Those that were tried at this instant or later.
    record
        Those about the person who has this external id: its type and value. 'profile_id' is a type, too.
    """

    reason: str | None = None
    since: datetime | None = None
    record: tuple[str, str] | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Asked()


def chosen(space: OpenSpace, letters: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """The letters that are asked for.

    Raises
    ------
    UsageError
        If none of them is, though some were asked for in particular; or if the space has no such type of external id.
    """
    found = letters
    if asked.reason is not None:
        is_meant = pl.col("reason").str.contains(asked.reason, literal=True) | (pl.col("outcome") == asked.reason)
        found = found.filter(is_meant)
    if asked.since is not None:
        found = found.filter(pl.col("at") >= asked.since)
    if asked.record is not None:
        found = found.filter(_about(space, *asked.record))
    if found.is_empty() and not asked.is_everything:
        message = f"none of {letters.height:,} letters is asked for; without --reason, --since and --record all are"
        raise UsageError(message)
    return found


def _about(space: OpenSpace, id_type: str, value: str) -> pl.Expr:
    if id_type == "profile_id":
        return pl.col("profile_id") == value
    return (pl.col("id_type") == id_type) & (pl.col("id_value") == showing.normalised(space, id_type, value))


def reasons(letters: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """One row for each outcome and reason, the most frequent first: records, attempts, first and last time."""
    counted = letters.group_by("outcome", "reason").agg(
        records=pl.len(),
        attempts=pl.col("attempts").sum(),
        first=pl.col("since").min(),
        last=pl.col("at").max(),
    )
    order = counted.sort("records", "outcome", "reason", descending=[True, False, False])
    yield from order.select("reason", "outcome", "records", "attempts", "first", "last").iter_rows(named=True)


def without(letters: pl.DataFrame, taken: pl.DataFrame) -> pl.DataFrame:
    """The other letters."""
    return letters.join(taken, on=sync.KEY, how="anti", maintain_order="left")

"""The brake: a wave of removals that is too large to be meant is held until somebody confirms it.

A source that lost its events, a rule that splits everybody, a definition that was deleted by mistake: all of them look
like people who left, and no vendor gives back what was removed.
"""

from dataclasses import dataclass

import polars as pl

FEWEST = 100  # members; fewer may leave at once


@dataclass(frozen=True, slots=True)
class Removal:
    """How many of an audience's acknowledged members a sync would remove from a destination."""

    audience: str
    removed: int
    members: int

    def __str__(self) -> str:
        share = self.removed / self.members
        return f"{self.removed:,} of {self.members:,} members of '{self.audience}' ({share:.0%}) would be removed"


def removal(audience: str, records: pl.DataFrame, held: pl.DataFrame, share: float) -> Removal | None:
    """The removal of members from an audience, if it is too large to be sent unasked.

    Parameters
    ----------
    records, held
        The difference, and what the destination holds of the audience; who is in doubt counts as a member.
    share
        Up to this part of an audience may be removed at once: 0.5 is half of it.
    """
    removed = records.filter(pl.col("action") == "exit").height
    members = held.filter(pl.col("value").is_null() | (pl.col("value") == "true")).height
    is_too_much = removed >= FEWEST and removed > members * share
    return Removal(audience, removed, members) if is_too_much else None

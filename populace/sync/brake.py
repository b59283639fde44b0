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


def removals(records: pl.DataFrame, acknowledged: pl.DataFrame, share: float) -> list[Removal]:
    """The audiences of which too many would be removed, by key.

    Parameters
    ----------
    records
        The whole difference.
    acknowledged
        What the destination holds; who is in doubt counts as a member.
    share
        Up to this part of an audience may be removed at once: 0.5 is half of it.
    """
    leaving = _sizes(records.filter(pl.col("action") == "exit"), "removed")
    held = _sizes(acknowledged.filter(pl.col("value").is_null() | (pl.col("value") == "true")), "members")
    found = leaving.join(held, on=["key", "form"]).filter(
        (pl.col("removed") >= FEWEST) & (pl.col("removed") > pl.col("members") * share)
    )
    return [Removal(*row) for row in found.sort("key", "form").select("key", "removed", "members").rows()]


def _sizes(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.filter(pl.col("kind") == "audience").group_by("key", "form").agg(pl.len().alias(name))

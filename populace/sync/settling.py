"""What an exchange leaves behind: the ledger, what waits, the letters, and the account of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from populace.sync.alignment import in_order, merged
from populace.sync.states import (
    ADVANCING,
    HELD,
    IDENTIFIER,
    INVALID,
    KEY,
    LETTERS,
    NO_IDENTIFIER,
    OUTCOMES,
    PARKED,
    QUEUE,
    REFUSED,
    SETTLED,
    UNCHANGED,
    UNKNOWN,
    WAITING,
)

SEEN = (*ADVANCING, INVALID, UNKNOWN)

# What nobody knows the fate of and may not be sent twice counts as done: sent at most once.
IS_DONE = pl.col("outcome").is_in(ADVANCING) | ((pl.col("outcome") == UNKNOWN) & ~pl.col("in_doubt"))


def acknowledge(held: pl.DataFrame, settled: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """What a destination holds of one computation after an exchange.

    `settled` are records of it with their outcomes, in the order they were sent; of several with one identifier the
    last counts. Only what was delivered, a no-op or warned about advances the ledger. What may have arrived or not
    has a null value from then on: the next difference then sends whatever is desired, a removal included, instead of
    trusting a value that may have been overwritten. Doing it twice is doing it once.
    """
    if settled.is_empty():
        return held
    touched = settled.filter(IS_DONE | pl.col("in_doubt")).unique(IDENTIFIER, keep="last", maintain_order=True)
    kept = in_order(held).join(touched, on=IDENTIFIER, how="anti", maintain_order="left")
    is_known = touched.filter(IS_DONE, pl.col("action") == "set").with_columns(at=pl.lit(at, HELD["at"]))
    in_doubt = touched.filter(~IS_DONE).with_columns(
        pl.lit(None, pl.String).alias("value"), at=pl.lit(None, HELD["at"])
    )
    return merged(kept, pl.concat([is_known.select(list(HELD)), in_doubt.select(list(HELD))]))


def under_way(sending: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """What a killed delivery left behind, with the outcomes that nobody wrote down: unknown, and in doubt."""
    rest = sending.join(settled, on=KEY, how="anti", maintain_order="left")
    lost = {"outcome": UNKNOWN, "reason": "the sync was interrupted", "in_doubt": True, "attempts": 1}
    named = {name: pl.lit(value, SETTLED[name]) for name, value in lost.items()}
    return rest.with_columns(**named, sent=pl.lit(None, pl.String), reply=pl.lit(None, pl.String)).select(list(SETTLED))


def forget(held: pl.DataFrame) -> pl.DataFrame:
    """The ledger for a resync: what was sent to whom stays known, its values do not."""
    return held.with_columns(pl.lit(None, pl.String).alias("value"), at=pl.lit(None, HELD["at"]))


def queue(waiting: pl.DataFrame, settled: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """What waits for the next sync, each record with the time it has been waiting since and all its attempts."""
    left = settled.filter(pl.col("outcome").is_in((*WAITING, REFUSED)), ~IS_DONE)
    return _dated(left, waiting, at).select(list(QUEUE)).sort(KEY)


def park(letters: pl.DataFrame, waiting: pl.DataFrame, settled: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """The letters after an exchange: of what was sent, only what was refused now; the others as they were.

    Where a kill came before another value was written down, it may have been taken: the older letter is obsolete.
    """
    refused = _dated(settled.filter(pl.col("outcome").is_in(PARKED)), waiting, at).select(list(LETTERS))
    return pl.concat([letters.join(settled, on=KEY, how="anti"), refused]).unique(KEY, keep="last").sort(KEY)


def _dated(records: pl.DataFrame, before: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """Records with the first and the last time they were tried, and the attempts of earlier syncs added."""
    known = before.select("message_id", tried="attempts", since="since")
    found = records.join(known, on="message_id", how="left", maintain_order="left")
    now = pl.lit(at, QUEUE["at"])
    attempts = (pl.col("attempts").fill_null(0) + pl.col("tried").fill_null(0)).cast(pl.Int32)
    return found.with_columns(attempts=attempts, since=pl.coalesce("since", now), at=now)


def summary(desired: int, without: int, records: pl.DataFrame, outcomes: Mapping[str, int]) -> dict[str, Any]:
    """The honest account of a sync: computed = sum of outcomes, everything under its own name.

    Parameters
    ----------
    desired, without
        How many values and memberships there should be, and how many of them have no identifier.
    records
        The whole difference.
    outcomes
        How many records of it, parked ones included, had which. `status` is 'success' only if nothing is invalid,
        waiting, refused or unknown.
    """
    sets = records.filter(pl.col("action") == "set").height
    removals = records.height - sets
    counts = {name: outcomes.get(name, 0) for name in OUTCOMES}
    counts |= {UNCHANGED: desired - without - sets, NO_IDENTIFIER: without}
    computed = desired + removals
    assert computed == sum(counts.values()), "a record without an outcome, or with two"
    return {"status": _status(counts), "computed": computed, "to_set": sets, "to_remove": removals, **counts}


def counted(*settled: pl.DataFrame) -> dict[str, int]:
    """How many records have which outcome."""
    together = pl.concat([each.select("outcome") for each in settled])
    return dict(together.group_by("outcome").len().iter_rows())


def seen(settled: pl.DataFrame) -> int:
    """How many records the destination has seen, or may have seen."""
    return settled.filter(pl.col("outcome").is_in(SEEN) | pl.col("in_doubt")).height


def _status(outcomes: dict[str, int]) -> str:
    if outcomes[REFUSED]:
        return "held"
    return "partial" if any(outcomes[name] for name in (*PARKED, *WAITING)) else "success"

"""What an exchange leaves behind: the ledger, the letters, and the account of it."""

from typing import Any

import polars as pl

from populace.sync.states import (
    ADVANCING,
    KEY,
    NO_IDENTIFIER,
    OUTCOMES,
    PARKED,
    REFUSED,
    STATE,
    UNCHANGED,
    WAITING,
)


def acknowledge(acknowledged: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """The ledger after an exchange: only what was delivered, a no-op or warned about advances it.

    `settled` are records with `outcome`, in the order they were sent; of several with one key the
    last counts. Doing it twice is doing it once.
    """
    advanced = settled.filter(pl.col("outcome").is_in(ADVANCING)).unique(KEY, keep="last", maintain_order=True)
    kept = acknowledged.join(advanced, on=KEY, how="anti")
    held = advanced.filter(pl.col("action") == "set")
    return pl.concat([kept, held.select(list(STATE))]).sort(KEY)


def doubt(acknowledged: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The ledger when nobody knows whether these records arrived: their values become null.

    The next difference then sends whatever is desired for them, a removal included, instead of
    trusting a value that may have been overwritten.
    """
    unsure = records.unique(KEY, keep="last").with_columns(value=pl.lit(None, pl.String)).select(list(STATE))
    return pl.concat([acknowledged.join(unsure, on=KEY, how="anti"), unsure]).sort(KEY)


def forget(acknowledged: pl.DataFrame) -> pl.DataFrame:
    """The ledger for a resync: what was sent to whom stays known, its values do not."""
    return acknowledged.with_columns(value=pl.lit(None, pl.String))


def doubtful(settled: pl.DataFrame) -> pl.DataFrame:
    """The records that one of several attempts may have delivered, whatever the last one came to."""
    return settled.filter(pl.col("in_doubt"), ~pl.col("outcome").is_in(ADVANCING))


def park(letters: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """The letters after an exchange: those that can never succeed, the newest for each key."""
    return pl.concat([letters, settled.filter(pl.col("outcome").is_in(PARKED))]).unique(KEY, keep="last").sort(KEY)


def summary(desired: pl.DataFrame, records: pl.DataFrame, settled: pl.DataFrame) -> dict[str, Any]:
    """The honest account of a sync: computed = sum of outcomes, everything under its own name.

    `records` is the whole difference, `settled` has one outcome for each of them, parked ones
    included. `status` is 'success' only if nothing is invalid, waiting, refused or unknown.
    """
    sets = records.filter(pl.col("action") == "set").height
    removals = records.height - sets
    without = desired["id_value"].null_count()
    counts = dict(settled.group_by("outcome").len().iter_rows())
    outcomes = {name: counts.get(name, 0) for name in OUTCOMES}
    outcomes |= {UNCHANGED: desired.height - without - sets, NO_IDENTIFIER: without}
    computed = desired.height + removals
    assert computed == sum(outcomes.values()), "a record without an outcome, or with two"
    return {"status": _status(outcomes), "computed": computed, "to_set": sets, "to_remove": removals, **outcomes}


def _status(outcomes: dict[str, int]) -> str:
    if outcomes[REFUSED]:
        return "held"
    return "partial" if any(outcomes[name] for name in (*PARKED, *WAITING)) else "success"

"""Custom traits: what Identify calls say of people."""

from datetime import datetime

import polars as pl

from populace.traits.planning import ORDER


def newest(custom: pl.LazyFrame, as_of: datetime) -> pl.DataFrame:
    """The custom traits that profiles have: for each name the newest value up to an instant.

    Parameters
    ----------
    custom
        Many rows per profile and name: (profile: u32, name: str, value: str holding JSON,
        timestamp, received_at: datetime[us, UTC], message_id: str, source: str).
    as_of
        Values set later are not seen.

    Returns
    -------
    One row per profile and name, in no order: (profile, name, value, updated_at, source).

    Notes
    -----
    Newest by event order (T-1). JSON `null` removes a trait and is itself a value with a time, so an older
    value that arrives late does not bring it back (T-2); an empty string is a value.
    """
    seen = custom.filter(pl.col("timestamp") <= as_of)
    last = seen.group_by("profile", "name").agg(pl.col("timestamp").max()).collect(engine="streaming")
    rows = seen.join(last.lazy(), on=last.columns, how="semi").collect(engine="streaming")
    # Hardly ever do two events of one instant set one trait, and only those have to be sorted.
    tied = rows.select(pl.struct("profile", "name").is_duplicated()).to_series()
    newest_of_tied = rows.filter(tied).sort(*ORDER, "source", "value").unique(["profile", "name"], keep="last")
    found = pl.concat([rows.filter(~tied), newest_of_tied]).filter(pl.col("value") != "null")
    return found.select("profile", "name", "value", pl.col("timestamp").alias("updated_at"), "source")

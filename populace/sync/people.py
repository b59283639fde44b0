"""By which of their external ids people are told to a destination (D-41, D-43, D-47; destinations.md 15.6)."""

from collections.abc import Sequence

import polars as pl

from populace.definitions import Destination, Known
from populace.sync.alignment import in_order

ADDED = ("added_at", "message_id")


def known(destination: Destination, preferred: Sequence[str]) -> Known:
    """By what a destination knows people: as it is written, else by the newest of the first type that they have."""
    return destination.identifiers or Known(tuple((each, "last") for each in preferred))


def identified(external_ids: pl.LazyFrame, by: Known) -> pl.DataFrame:
    """Who is told about whom: the identifiers that each profile goes by.

    Parameters
    ----------
    external_ids
        The table of a run; accounts are left out.
    by
        The types, and which of several values of one: the one added first or last by (added_at, message_id), of those
        added at once the value that sorts first, or all.

    Returns
    -------
    (profile_id, id_type, id_value, is_first), one row per identifier; `is_first` in one row of each profile. A profile
    without any of the types has none.
    """
    types = [each for each, _ in by.types]
    rank = pl.col("id_type").replace_strict(types, range(len(types)), default=None, return_dtype=pl.Int8)
    columns = ("profile_id", "id_type", "id_value", *ADDED)
    of_users = external_ids.filter(pl.col("collection") == "users", pl.col("id_type").is_in(types))
    found = of_users.select(*columns, rank=rank).with_columns(pl.col("profile_id").cast(pl.String)).collect()
    # Most people have one identifier: only the others need to be looked at closely.
    several = pl.col("profile_id").is_duplicated()
    alone, rest = found.filter(~several), found.filter(several)
    if not by.is_each:
        rest = rest.filter(pl.col("rank") == pl.col("rank").min().over("profile_id"))
    chosen = [_chosen(rest.filter(pl.col("id_type") == each), strategy) for each, strategy in by.types]
    told = ("profile_id", "id_type", "id_value")
    several_of_them = pl.concat(chosen).select(told).with_columns(is_first=pl.col("profile_id").is_first_distinct())
    return in_order(pl.concat([alone.select(*told, is_first=True), several_of_them]))


def _chosen(rows: pl.DataFrame, strategy: str) -> pl.DataFrame:
    """The rows of one type that count."""
    if strategy == "all":
        return rows
    is_last = strategy == "last"
    ordered = rows.sort(*ADDED, "id_value", descending=[is_last, is_last, False])
    return ordered.unique("profile_id", keep="first", maintain_order=True)

"""By which of their external ids people are told to a destination (D-41, D-43, D-47; destinations.md 15.6)."""

from collections.abc import Sequence

import polars as pl

from populace.definitions import GROUP_ID, Destination, Known
from populace.sync.alignment import in_order
from populace.sync.spellings import AS_WRITTEN, Normal, spelled

TOLD = ("profile_id", "id_type", "id_value")
ADDED = ("added_at", "message_id")


def known(destination: Destination, preferred: Sequence[str]) -> Known:
    """By what a destination knows people: as it is written, else by the newest of the first type that they have."""
    return destination.identifiers or Known(tuple((each, "last") for each in preferred))


def identified(external_ids: pl.LazyFrame, by: Known, normal: Normal = AS_WRITTEN) -> pl.DataFrame:
    """Who is told about whom: the identifiers that each profile goes by.

    Parameters
    ----------
    external_ids
        The table of a run; accounts are left out.
    by
        The types, and which of several values of one: the one added first or last by (added_at, message_id), of those
        added at once the value that sorts first, or all.
    normal
        How the destination spells identifiers of a type. They are spelled before any is chosen: a person whose value
        names nobody there has none of that type, and may go by another one.

    Returns
    -------
    (profile_id, id_type, id_value, is_first), one row per identifier; `is_first` in one row of each profile. A profile
    without any of the types has none. Only with `normal`, several profiles may have one identifier.
    """
    of_users = external_ids.filter(pl.col("collection") == "users").with_columns(pl.col("profile_id").cast(pl.String))
    found: list[pl.DataFrame] = []
    for id_type, strategy in by.types:
        rows = of_users.filter(pl.col("id_type") == id_type)
        rows = _spelled(rows, normal, strategy) if id_type in normal else rows
        known = rows.select(TOLD).collect()
        for earlier in [] if by.is_each else found:
            known = known.join(earlier, on="profile_id", how="anti")
        found.append(known if strategy == "all" else _one_each(known, rows, is_last=strategy == "last"))
    together = pl.concat(found)
    is_single = len(found) == 1 or not by.is_each
    first = (
        pl.lit(True) if is_single and "all" not in dict(by.types).values() else pl.col("profile_id").is_first_distinct()
    )
    return in_order(together.with_columns(is_first=first))


def named(external_ids: pl.LazyFrame) -> pl.DataFrame:
    """The accounts themselves, each by its group id: the columns of `identified`."""
    is_name = (pl.col("collection") == "accounts") & (pl.col("id_type") == GROUP_ID)
    found = external_ids.filter(is_name).select(pl.col("profile_id").cast(pl.String), "id_type", "id_value").collect()
    return in_order(found.with_columns(is_first=pl.col("profile_id").is_first_distinct()))


def _spelled(rows: pl.LazyFrame, normal: Normal, strategy: str) -> pl.LazyFrame:
    """The rows of one type as the destination knows people; without those that it knows nobody by."""
    found = spelled(rows.select(*TOLD, *ADDED).collect(), normal).drop_nulls("id_value")
    return (found.unique(TOLD, maintain_order=True) if strategy == "all" else found).lazy()


def _one_each(known: pl.DataFrame, dated: pl.LazyFrame, *, is_last: bool) -> pl.DataFrame:
    """One identifier for each profile. When they were added is only looked up for those who have several."""
    is_alone = ~pl.col("profile_id").is_duplicated()
    several = known.filter(~is_alone).select("profile_id").unique()
    if several.is_empty():
        return known
    rows = dated.join(several.lazy(), on="profile_id", how="semi").select(*TOLD, *ADDED).collect()
    ordered = rows.sort(*ADDED, "id_value", descending=[is_last, is_last, False])
    chosen = ordered.unique("profile_id", keep="first", maintain_order=True).select(TOLD)
    return pl.concat([known.filter(is_alone), chosen])

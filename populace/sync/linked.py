"""What users have because of their accounts: most tools know people, and no accounts (D-14, 6.3)."""

import polars as pl


def values(traits: pl.LazyFrame, links: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """A trait of accounts as one of their users.

    Parameters
    ----------
    traits
        The table of a run; its rows of users have no value of this trait.
    links
        (profile_id: a user, account_id, linked_at), one row a pair.

    Returns
    -------
    (profile_id, the trait), one row for each user of an account that has a value. Of several accounts, the one that the
    user was linked to last counts, and of those linked at once the one whose id sorts last. Infinity and NaN are no
    values, as everywhere in a delivery.
    """
    value = pl.col(key)
    is_known = value.is_finite() if traits.collect_schema()[key].is_float() else value.is_not_null()
    of_accounts = traits.filter(is_known).select(pl.col("profile_id").cast(pl.String).alias("account_id"), key)
    found = links.join(of_accounts, on="account_id").sort("linked_at", "account_id", descending=True, nulls_last=True)
    return found.unique("profile_id", keep="first", maintain_order=True).select("profile_id", key)


def members(memberships: pl.LazyFrame, links: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """(audience, profile_id), one row for each user who has an account in this audience."""
    inside = memberships.filter(pl.col("audience") == key).select(pl.col("profile_id").cast(pl.String))
    users = links.join(inside, left_on="account_id", right_on="profile_id", how="semi").select("profile_id").unique()
    return users.select(pl.lit(key).alias("audience"), "profile_id")

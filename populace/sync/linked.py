"""What users have because of their accounts: most tools know people, and no accounts (D-14, 6.3)."""

from dataclasses import dataclass

import polars as pl

from populace.sync.desired import NOTHING, Wanted, canonical, is_known, told_of
from populace.sync.spellings import once
from populace.sync.states import Computation


@dataclass(frozen=True, slots=True)
class Linked:
    """What a destination should hold of a run about the users of accounts, computation by computation.

    A user has the value of the account that they were linked to last, of those that have one; of accounts linked at
    once, that of the one whose id sorts last. They are a member if any of their accounts is one.

    Parameters
    ----------
    people
        `identified`: the identifiers of those who have an account, with the number of the `user`.
    pairs
        (user, account), numbers; those of one user together, and the account that counts first before the others.
    accounts
        (account_id, row), in the order of their numbers; `row` is theirs in the table of traits, null where they have
        none.
    traits, memberships, is_shared
        As `Desired` has them.
    """

    people: pl.DataFrame
    pairs: pl.DataFrame
    accounts: pl.DataFrame
    traits: pl.LazyFrame
    memberships: pl.LazyFrame
    is_shared: bool = False

    @classmethod
    def of_run(
        cls,
        people: pl.DataFrame,
        links: pl.LazyFrame,
        traits: pl.LazyFrame,
        memberships: pl.LazyFrame,
        *,
        is_shared: bool = False,
    ) -> "Linked":
        """From tables of a run; ids are compared once, and only their numbers with each computation."""
        found = links.select("profile_id", "account_id", "linked_at").collect()
        accounts = found.select(pl.col("account_id").unique().sort()).with_row_index("account")
        users = found.select(pl.col("profile_id").unique()).with_row_index("user")
        numbered = found.join(accounts, on="account_id").join(users, on="profile_id")
        order = ["user", "linked_at", "account"]
        pairs = numbered.select(order).sort(order, descending=[False, True, True])
        ids = traits.select(account_id=pl.col("profile_id").cast(pl.String)).with_row_index("row").collect()
        rows = accounts.join(ids.join(accounts, on="account_id"), on="account_id", how="left", maintain_order="left")
        return cls(
            people.join(users, on="profile_id", maintain_order="left"),
            pairs.select("user", "account"),
            rows.select("account_id", "row"),
            traits,
            memberships,
            is_shared,
        )

    @property
    def told(self) -> pl.DataFrame:
        """Who has an account, each identifier once."""
        return once(self.people) if self.is_shared else self.people

    def of(self, computation: Computation) -> Wanted:
        """A value that is null or not a finite number has no row."""
        return self._trait(computation.key) if computation.kind == "trait" else self._audience(computation.key)

    def _trait(self, key: str) -> Wanted:
        schema = self.traits.collect_schema()
        if key not in schema:
            return NOTHING
        column = self.traits.select(key).collect().get_column(key)
        values = self.accounts.select(value=column.gather(self.accounts.get_column("row")))
        texts = values.select(value=canonical("value", schema[key]), known=is_known("value", schema[key]))
        chosen = self._first(texts.get_column("known"))
        return self._wanted(chosen.with_columns(value=texts.get_column("value").gather(chosen.get_column("account"))))

    def _audience(self, key: str) -> Wanted:
        inside = self.memberships.filter(pl.col("audience") == key).select(pl.col("profile_id").cast(pl.String))
        members = inside.collect().get_column("profile_id")
        is_member = self.accounts.get_column("account_id").is_in(members.implode())
        return self._wanted(self._first(is_member).with_columns(value=pl.lit("true")))

    def _first(self, is_meant: pl.Series) -> pl.DataFrame:
        """(user, account), one row for each user who has such an account: the one that counts."""
        found = self.pairs.filter(is_meant.gather(self.pairs.get_column("account")))
        return found.filter((pl.col("user") != pl.col("user").shift()).fill_null(value=True))

    def _wanted(self, chosen: pl.DataFrame) -> Wanted:
        rows = self.people.join(chosen.select("user", "value"), on="user", maintain_order="left")
        return told_of(rows, chosen.height, is_shared=self.is_shared)

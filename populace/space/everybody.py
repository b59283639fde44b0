"""People and accounts together: what definitions of both give, each by way of the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from populace import audiences, traits
from populace.definitions import Audience, Level, Trait
from populace.nodes import Condition, Query, Reducer
from populace.space import accounts, people
from populace.space.accounts import Accounts
from populace.space.opening import OpenSpace
from populace.space.people import People
from populace.viewpoints import quantified

Definitions = Iterable[Trait | Audience]


@dataclass(frozen=True, slots=True)
class Everybody:
    """Who is who, and whose users are linked to which accounts."""

    users: People
    accounts: Accounts

    @classmethod
    def of_run(cls, space: OpenSpace, run_id: str) -> "Everybody":
        users = People.of_run(space, run_id)
        return cls(users, Accounts.of_run(space, run_id, users))

    @property
    def numbered(self) -> pl.DataFrame:
        """(profile: u32, profile_id) of people, then of accounts."""
        return pl.concat([people.numbered(self.users.profiles), self.accounts.numbered])

    def by_number(self, table: pl.LazyFrame) -> pl.DataFrame:
        """A table of the run by the numbers of its profiles."""
        return people.by_number(table, self.numbered.lazy()).collect()

    def by_id(self, table: pl.DataFrame) -> pl.DataFrame:
        """The same the other way round, sorted."""
        named = table.join(self.numbered, on="profile").select("profile_id", pl.exclude("profile", "profile_id"))
        return named.sort("profile_id")

    def links_by_number(self, table: pl.LazyFrame) -> pl.DataFrame:
        """A table of users and accounts by their numbers."""
        ids = self.accounts.numbered.lazy().rename({"profile": "account", "profile_id": "account_id"})
        by_user = people.by_number(table, people.numbered(self.users.profiles).lazy())
        return by_user.join(ids, on="account_id").drop("account_id").collect()

    def links_by_id(self, table: pl.DataFrame) -> pl.DataFrame:
        """The same the other way round, sorted."""
        ids = self.numbered.rename({"profile": "account", "profile_id": "account_id"})
        named = table.join(self.numbered, on="profile").join(ids, on="account")
        keys = ("profile_id", "account_id")
        return named.select(*keys, pl.exclude("profile", "account", *keys)).sort(keys)


@dataclass(frozen=True, slots=True)
class Values:
    """What definitions reduce: `of_profiles` (profile, …) of people and accounts, `of_links` of single links."""

    of_profiles: pl.DataFrame
    of_links: pl.DataFrame


def reduced(
    space: OpenSpace,
    entries: Sequence[dict],
    everybody: Everybody,
    wanted: Definitions,
    as_of: datetime,
    more: Iterable[Query] = (),
) -> Values:
    """The reducers of some definitions over the events of some parts, each of the people or accounts it is about.

    Parameters
    ----------
    more
        Further queries, about people.
    """
    definitions = list(wanted)
    users, there = everybody.users, everybody.accounts
    of_people = people.reduced(space, entries, users, [*of_users(definitions), *more], as_of)
    of_accounts = [each.query for each in definitions if isinstance(each, Trait) and each.level == "account"]
    values = [of_people]
    if of_accounts:
        values.append(accounts.reduced(space, entries, users, there, of_accounts, as_of))
    of_links = accounts.of_links(space, entries, users, there, attributed(definitions), of_people, as_of)
    return Values(pl.concat(values, how="diagonal_relaxed"), of_links)


def traits_of(values: pl.DataFrame, everybody: Everybody, computing: Sequence[Trait]) -> pl.DataFrame:
    """The table of computed traits: (profile, one column per key), those of accounts in rows of accounts alone."""
    is_account = pl.col("profile") >= everybody.users.profiles.height
    levels: dict[Level, pl.Expr] = {"user": ~is_account, "account": is_account}
    found = [
        traits.compute(values.filter(rows), [each for each in computing if each.level == level])
        for level, rows in levels.items()
    ]
    together = pl.concat(found, how="diagonal")
    return together.select("profile", *(each.key for each in computing))


def of_users(definitions: Definitions) -> list[Query]:
    """What is reduced for people: their own definitions, and what ANY and ALL ask of them."""
    every = list(definitions)
    own: list[Query] = [each.query for each in every if each.level == "user"]
    return own + [each for each in traits.reducers(_terms(every)) if not audiences.is_attributed(each)]


def attributed(definitions: Definitions) -> list[Reducer]:
    """The reducers inside ANY and ALL that look at events which name the account (O-15)."""
    return [each for each in traits.reducers(_terms(definitions)) if audiences.is_attributed(each)]


def _terms(definitions: Definitions) -> list[Condition]:
    about_accounts = (each for each in definitions if each.level == "account")
    return [term.term for each in about_accounts for term in quantified(each.query)]


def members_of(
    space: OpenSpace,
    everybody: Everybody,
    wanted: Sequence[Audience],
    values: Values,
    computed: pl.DataFrame,
    as_of: datetime,
) -> pl.DataFrame:
    """(audience, profile_id) of the members; `computed` traits are by number."""
    there = everybody.accounts
    population, custom = people.about(everybody.users)
    of_accounts, traits_of_accounts = there.about()
    found = audiences.evaluate(
        audiences.Parts(population, values.of_profiles, computed, custom),
        wanted,
        as_of,
        traits=space.definition.traits,
        include_anonymous=space.definition.include_anonymous,
        accounts=audiences.Accounts(
            audiences.Parts(of_accounts, values.of_profiles, computed, traits_of_accounts), there.links, values.of_links
        ),
    )
    by_id = found.join(everybody.numbered, on="profile")
    return by_id.select(pl.col("audience").cast(pl.String), "profile_id")

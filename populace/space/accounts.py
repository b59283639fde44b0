"""What definitions give for accounts: their events are those of all their users together (T-11, A-94)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import polars as pl

from populace import identity, traits
from populace.definitions import GROUP_ID, Identity
from populace.expressions import Row
from populace.lake import runs
from populace.nodes import Context, Query, Reducer, references
from populace.space import people
from populace.space.opening import OpenSpace
from populace.space.people import People

LINK = ("profile", "account")  # whose events, and for which account they count


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of a run.

    `profiles` is (profile: u32, profile_id, group: their name), numbered after all people; `links` is (profile: the
    user, account), both numbers; `custom_traits` is (profile, name, value, …).
    """

    profiles: pl.DataFrame
    links: pl.DataFrame
    custom_traits: pl.DataFrame

    @classmethod
    def of_run(cls, space: OpenSpace, run_id: str, users: People) -> "Accounts":
        tables = {name: runs.table(space.lake, run_id, name) for name in ("external_ids", "links", "custom_traits")}
        return cls.of_tables(users, **tables)

    @classmethod
    def of_tables(
        cls, users: People, external_ids: pl.LazyFrame, links: pl.LazyFrame, custom_traits: pl.LazyFrame
    ) -> "Accounts":
        """From the tables of a run, or of one that is only tried."""
        named = external_ids.filter(pl.col("collection") == "accounts").select("profile_id", group="id_value")
        numbered = named.sort("profile_id").with_row_index("profile", users.profiles.height).collect()
        ids = numbered.lazy().select("profile", "profile_id")
        by_user = people.by_number(links, people.numbered(users.profiles).lazy()).select("profile", "account_id")
        pairs = by_user.join(ids.rename({"profile": "account", "profile_id": "account_id"}), on="account_id")
        return cls(
            numbered,
            pairs.select(LINK).sort(LINK).collect(),
            people.by_number(custom_traits, ids).collect(),
        )

    @property
    def numbered(self) -> pl.DataFrame:
        """(profile: u32, profile_id)."""
        return self.profiles.select("profile", "profile_id")

    def about(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Every account and its custom traits: see `audiences.Parts`."""
        return self.profiles.select("profile", has_known_id=pl.lit(value=True)), self.custom_traits

    def by_number(self, table: pl.LazyFrame) -> pl.DataFrame:
        """The rows of accounts in a table of the run, by their numbers."""
        return people.by_number(table, self.numbered.lazy()).collect()


# --- values -------------------------------------------------------------------------------------------


def reduced(
    space: OpenSpace,
    entries: Sequence[dict],
    users: People,
    accounts: Accounts,
    queries: Sequence[Query],
    as_of: datetime,
) -> pl.DataFrame:
    """The reducers of some queries over the events of each account: (profile: the account, one column per reducer)."""
    definition = replace(space.definition.at_level("account"), audiences=())
    batches = traits.rounds(queries, {each.key: each.query for each in definition.traits})
    placed = _placed(users, accounts.links, accounts.profiles, "account")
    found = streams(space, entries, placed, [each for batch in batches for each in batch], as_of)
    return people.in_rounds(batches, found, accounts.about, definition, as_of)


def of_links(
    space: OpenSpace,
    entries: Sequence[dict],
    users: People,
    accounts: Accounts,
    asked: Sequence[Reducer],
    values: pl.DataFrame,
    as_of: datetime,
) -> pl.DataFrame:
    """What counts for one account of a user alone: (profile, account, one column per reducer), a row where any does.

    Parameters
    ----------
    values
        Of people, with all that the events are compared with.
    """
    if not asked:
        return accounts.links.clear()
    definition = space.definition.at_level("user")
    links = accounts.links.with_row_index("link")
    found = streams(space, entries, _placed(users, links, accounts.profiles, "link"), asked, as_of)
    keys = {key for each in asked for key in references(each)}
    about = partial(people.about, users)
    known = _of_pairs(links, people.known(about, values, keys, definition, as_of)) if keys else None
    computed = {each.key: each.query for each in definition.traits}
    values_of_links = traits.reduce(found, asked, as_of, known, computed)
    return links.join(values_of_links.rename({"profile": "link"}), on="link").drop("link")


def _of_pairs(links: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """What is known of people for each of their links: (profile: the link, …)."""
    return links.select("profile", "link").join(known, on="profile").drop("profile").rename({"link": "profile"})


# --- events -------------------------------------------------------------------------------------------


def _placed(users: People, links: pl.DataFrame, profiles: pl.DataFrame, whose: str) -> pl.LazyFrame:
    """(sighting, profile: the account or the link, group), one row for each account of a sighting's user."""
    named = links.lazy().join(profiles.lazy().select("group", account="profile"), on="account")
    owned = people.placed(users).join(named, on="profile")
    return owned.select("sighting", "group", profile=pl.col(whose))


def streams(
    space: OpenSpace, entries: Sequence[dict], placed: pl.LazyFrame, queries: Iterable[Reducer], as_of: datetime
) -> Mapping[str, pl.LazyFrame]:
    """As `people.streams`, with a column that says of each event whether it names the account it counts for."""
    found = people.streams(space, entries, placed, queries, as_of)
    return {name: _naming(each, space.definition.identity) for name, each in found.items()}


def _naming(stream: pl.LazyFrame, rules: Identity) -> pl.LazyFrame:
    row, named = Row(stream.collect_schema()), Context(traits.GROUP_PATH)
    if row.column(named) is None:
        return stream.drop("group").with_columns(pl.lit(value=False).alias(traits.NAMES_ACCOUNT))
    value, _ = identity.account(rules)
    texts = stream.with_columns(row.form(named).alias(GROUP_ID))
    return texts.with_columns((value == pl.col("group")).alias(traits.NAMES_ACCOUNT)).drop("group", GROUP_ID)

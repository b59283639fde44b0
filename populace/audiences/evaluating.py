"""Who is in which audience: level by level, people and accounts beside each other."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from populace import expressions
from populace.audiences import beside
from populace.audiences.beside import Side
from populace.audiences.frames import Accounts, Parts, names_in, referred, wide
from populace.audiences.ordering import levels
from populace.definitions import Audience, Level, Trait
from populace.expressions import segments
from populace.nodes import Condition, Quantified
from populace.query import fingerprint
from populace.viewpoints import account_keys, own_keys, plain, quantified
from populace.viewpoints import beside as answered_beside

NO_LINKS = pl.DataFrame(schema={"profile": pl.UInt32, "account": pl.UInt32})


def evaluate(
    parts: Parts,
    audiences: Sequence[Audience],
    as_of: datetime,
    *,
    traits: Sequence[Trait] = (),
    include_anonymous: bool = False,
    accounts: Accounts | None = None,
) -> pl.DataFrame:
    """The members of each audience.

    Parameters
    ----------
    parts
        Of people.
    audiences
        In any order, with the audiences they refer to.
    as_of
        What "today" is.
    traits
        The definitions of computed traits: a count or sum reads 0 where the table holds null.
    include_anonymous
        What holds for an audience that does not say it.
    accounts
        None where no audience is about accounts, or reads any.

    Returns
    -------
    One row per member: (audience: enum of the keys, profile: u32), sorted by both; an account is a profile.

    Notes
    -----
    Without anonymous profiles only those with a known id are members, whatever the condition (A-73, A-74); accounts
    are members all the same, and have no anonymous users then. A profile without events satisfies `count() = 0`
    (A-31). `trait('k')` is the computed trait of that key, else the audience of that key in this run (A-18, A-61), else
    the custom trait.
    """
    world = _World.of(parts, audiences, as_of, set(), traits, include_anonymous, accounts)
    return _members(_evaluated(world, audiences, traits), audiences)


def known(
    parts: Parts,
    audiences: Sequence[Audience],
    as_of: datetime,
    keys: Collection[str],
    *,
    traits: Sequence[Trait],
    include_anonymous: bool,
) -> pl.DataFrame:
    """What trait() of some keys reads, one row per profile: (profile, columns as `expressions.Person` names them).

    The rest is as for `evaluate`; audiences are those that are needed, and none of them reads accounts.
    """
    names = {segments(key)[0] for key in keys}
    world = _World.of(parts, audiences, as_of, names, traits, include_anonymous, None)
    rows = _evaluated(world, audiences, traits).people.rows
    values = {f"value {fingerprint(each.query)}" for each in traits if each.key in names}
    wanted = values | {f"{kind} {name}" for name in names for kind in ("trait", "audience", "custom")}
    return rows.select("profile", *(name for name in rows.columns if name.removesuffix(expressions.JSON) in wanted))


@dataclass(frozen=True, slots=True)
class _World:
    """People and accounts, and what is known of them so far; `names` are those that trait() of people reads."""

    people: Side
    accounts: Side
    links: pl.DataFrame
    named: pl.DataFrame
    as_of: datetime
    include_anonymous: bool
    names: set[str]

    @classmethod
    def of(
        cls,
        parts: Parts,
        audiences: Sequence[Audience],
        as_of: datetime,
        more: set[str],
        traits: Sequence[Trait],
        include_anonymous: bool,  # noqa: FBT001
        accounts: Accounts | None,
    ) -> "_World":
        """What the conditions of some audiences read, and `more` names that trait() of people can."""
        of_people = _about_people(audiences)
        names = names_in(key for each in of_people for key in own_keys(each)) | more
        nobody = Side(parts.population.clear())
        return cls(
            _side(parts, names, of_people, traits, "user"),
            _accounts(accounts, audiences, of_people, traits) if accounts else nobody,
            accounts.links if accounts else NO_LINKS,
            accounts.named if accounts else NO_LINKS,
            as_of,
            include_anonymous,
            names,
        )

    def with_audiences(self, audiences: Sequence[Audience]) -> "_World":
        """The same with a column for each of these audiences, which do not refer to each other."""
        world = self._with_people([each for each in audiences if each.level == "user"])
        of_accounts = [each for each in audiences if each.level == "account"]
        for is_included in sorted({world.takes_anonymous(each) for each in of_accounts}):
            some = [each for each in of_accounts if world.takes_anonymous(each) == is_included]
            world = world._with_accounts(some, takes_anonymous=is_included)
        return world

    def takes_anonymous(self, audience: Audience) -> bool:
        return self.include_anonymous if audience.include_anonymous is None else audience.include_anonymous

    def _with_people(self, audiences: Sequence[Audience]) -> "_World":
        world = self._asking_accounts(plain(each.query) for each in audiences)
        return replace(world, people=_joined(world.people, [world._person(each) for each in audiences]))

    def _person(self, audience: Audience) -> pl.Expr:
        holds = self.people.read(plain(audience.query), self.as_of)
        is_counted = holds if self.takes_anonymous(audience) else pl.col("has_known_id") & holds
        return is_counted.alias(f"audience {audience.key}")

    def _asking_accounts(self, conditions: Iterable[Condition]) -> "_World":
        """With what conditions about people ask of their accounts."""
        asked = [each for condition in conditions for each in answered_beside(condition)]
        if not asked:
            return self
        found = beside.of_accounts(asked, self.people, self.accounts, self.links, self.as_of)
        return replace(self, people=_answered(self.people, found))

    def _with_accounts(self, audiences: Sequence[Audience], *, takes_anonymous: bool) -> "_World":
        world, side = self, self.accounts
        if asked := [each for audience in audiences for each in quantified(plain(audience.query))]:
            world = self._asking_accounts(each.term for each in asked)
            side = _answered(side, world._of_users(asked, takes_anonymous=takes_anonymous))
        exprs = [side.read(plain(each.query), self.as_of).alias(f"audience {each.key}") for each in audiences]
        kept = [name for name in side.rows.columns if not name.startswith("holds ")]
        side = _joined(side, exprs, [*kept, *(f"audience {each.key}" for each in audiences)])
        return replace(world, accounts=side)._passing([each.key for each in audiences if each.key in self.names])

    def _passing(self, keys: Sequence[str]) -> "_World":
        """With what people know of some audiences of accounts: whether one of theirs is a member (A-33)."""
        if not keys:
            return self
        told = self.accounts.rows.select(pl.col("profile").alias("account"), *(f"audience {key}" for key in keys))
        pairs = self.links.join(told, on="account")
        found = pairs.group_by("profile").agg(pl.col(f"audience {key}").any() for key in keys)
        return replace(self, people=_answered(self.people, found))

    def _of_users(self, asked: Iterable[Quantified], *, takes_anonymous: bool) -> pl.DataFrame:
        rows = self.people.rows
        counted = rows if takes_anonymous else rows.filter("has_known_id")
        links = self.links.join(counted.select("profile"), on="profile", how="semi")
        return beside.of_users(asked, self.people, links, self.named, self.as_of)


def _about_people(audiences: Iterable[Audience]) -> list[Condition]:
    """What is said of people: audiences of them, and what ANY and ALL say of the users of accounts."""
    of_users = [term.term for each in audiences if each.level == "account" for term in quantified(each.query)]
    return [*(each.query for each in audiences if each.level == "user"), *of_users]


def _accounts(
    accounts: Accounts, audiences: Iterable[Audience], of_people: Iterable[Condition], traits: Sequence[Trait]
) -> Side:
    own = {key for each in audiences if each.level == "account" for key in own_keys(each.query)}
    asked = {key for each in of_people for key in account_keys(each)}
    return _side(accounts.parts, names_in(own | asked), (), traits, "account")


def _side(parts: Parts, names: set[str], queries: Iterable[Condition], traits: Sequence[Trait], level: Level) -> Side:
    own = referred([each for each in traits if each.level == level], names)
    return Side(wide(parts, names, [*queries, *(each.query for each in own)]), own)


def _evaluated(world: _World, audiences: Sequence[Audience], traits: Sequence[Trait]) -> _World:
    for level in levels(audiences, traits):
        world = world.with_audiences(level)
    return world


def _joined(side: Side, columns: Sequence[pl.Expr], kept: Sequence[str] = ()) -> Side:
    # Lazy, because eager polars 2.1 makes one row of a comparison with a column that holds one value throughout.
    rows = side.rows.lazy().with_columns(columns)
    return replace(side, rows=(rows.select(kept) if kept else rows).collect()) if columns else side


def _answered(side: Side, found: pl.DataFrame) -> Side:
    """With the answers of other rows; of nobody who has none does any of them hold."""
    answers = [name for name in found.columns if name != "profile"]
    rows = side.rows.drop(answers, strict=False).join(found, on="profile", how="left", maintain_order="left")
    return replace(side, rows=rows.with_columns(pl.col(answers).fill_null(value=False)))


def _members(world: _World, audiences: Sequence[Audience]) -> pl.DataFrame:
    sides: dict[Level, pl.DataFrame] = {"user": world.people.rows, "account": world.accounts.rows}
    keys = {level: [f"audience {each.key}" for each in audiences if each.level == level] for level in sides}
    ordered = {level: rows.select("profile", *keys[level]).sort("profile") for level, rows in sides.items()}
    # A text for each member would take more memory and time than all the rest.
    named = pl.Enum(sorted(each.key for each in audiences))
    parts = [_of_one(ordered[each.level], each.key, named) for each in sorted(audiences, key=lambda each: each.key)]
    return pl.concat([pl.DataFrame(schema={"audience": named, "profile": pl.UInt32}), *parts])


def _of_one(rows: pl.DataFrame, key: str, named: pl.Enum) -> pl.DataFrame:
    # Column by column: filtering the frame would copy its other columns for each audience.
    members = rows["profile"].filter(rows[f"audience {key}"])
    return members.to_frame().select(audience=pl.lit(key, dtype=named), profile="profile")

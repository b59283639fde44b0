"""What a condition takes from other rows than its own: the accounts of a person, or the users of an account.

Both follow the links between the two. A comparison of account.trait() is asked of each pair of a person and an account,
and holds for the person if it holds for one of them (O-16). What ANY and ALL say is asked of each user, and counted by
account: of one without users neither holds (A-92).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from populace.audiences.frames import names_in, valued
from populace.definitions import Trait
from populace.expressions import JSON, Person, answer, condition
from populace.nodes import AccountTrait, Condition, OfAccount, Quantified, Reducer, Tally, TraitValue, rewritten, walk
from populace.query import fingerprint
from populace.viewpoints import account_keys

ACCOUNT = "@account "  # begins the names of an account's traits where they stand beside a person's


@dataclass(frozen=True, slots=True)
class Side:
    """Everything known of people, or of accounts: one row each, as `frames.wide` has it, and their computed traits."""

    rows: pl.DataFrame
    traits: Sequence[Trait] = ()

    @property
    def computed(self) -> dict[str, Reducer]:
        return {each.key: each.query for each in self.traits}

    def read(self, node: Condition, as_of: datetime) -> pl.Expr:
        """A condition over these rows."""
        return condition(node, Person(dict(self.rows.schema), self.computed).read, as_of).alias(answer(node))


def of_accounts(
    asked: Iterable[Condition], people: Side, accounts: Side, links: pl.DataFrame, as_of: datetime
) -> pl.DataFrame:
    """For comparisons of account.trait() whether they hold: (profile, `answer` of each), one row per linked person."""
    distinct = {answer(each): each for each in asked}
    told = _of_accounts(accounts, {key for each in distinct.values() for key in account_keys(each)})
    schema = {**people.rows.schema, **told.schema}
    person = Person(schema, people.computed)
    found = {name: condition(rewritten(each, _own), person.read, as_of) for name, each in distinct.items()}
    pairs = _with_columns(links, found.values(), people.rows).join(told, on="account", how="left")
    holds = [each.alias(name) for name, each in found.items()]
    return pairs.lazy().select("profile", *holds).group_by("profile").agg(pl.col(list(found)).any()).collect()


def _own(node: object) -> object:
    return TraitValue(ACCOUNT + node.key) if isinstance(node, AccountTrait) else node


def _of_accounts(accounts: Side, keys: Iterable[str]) -> pl.DataFrame:
    """(account, their traits of these keys under names of their own)."""
    renamed = [each for name in sorted(names_in(keys)) for each in _renamed(accounts, name)]
    return accounts.rows.select(pl.col("profile").alias("account"), *renamed)


def _renamed(accounts: Side, name: str) -> Iterator[pl.Expr]:
    """The columns that say what a name is for an account, so that `Person` finds them as it finds a person's."""
    reducer = accounts.computed.get(name)
    for form in ("", JSON):
        value = f"value {fingerprint(reducer)}{form}" if reducer is not None else ""
        if value in accounts.rows.columns:
            read = pl.col(value).fill_null(0) if isinstance(reducer, Tally) else pl.col(value)
            yield read.alias(f"trait {ACCOUNT}{name}{form}")
    kinds = ("audience", "custom") if reducer is not None else ("trait", "audience", "custom")
    for kind, form in ((kind, form) for kind in kinds for form in ("", JSON)):
        if f"{kind} {name}{form}" in accounts.rows.columns:
            yield pl.col(f"{kind} {name}{form}").alias(f"{kind} {ACCOUNT}{name}{form}")


def of_users(
    asked: Iterable[Quantified], people: Side, links: pl.DataFrame, named: pl.DataFrame, as_of: datetime
) -> pl.DataFrame:
    """For ANY and ALL whether they hold: (profile: the account, `answer` of each), one row per account with users.

    Parameters
    ----------
    links
        (profile, account) of the users that count.
    named
        See `frames.Accounts`.
    """
    distinct = {answer(each): each for each in asked}
    terms = {fingerprint(each.term): each.term for each in distinct.values()}
    attributed = {name: each for name, each in terms.items() if is_attributed(each)}
    plain = {name: each for name, each in terms.items() if name not in attributed}
    held = people.rows.lazy().select("profile", *_terms(people, plain, as_of)).collect()
    pairs = links.join(held, on="profile", how="left", maintain_order="left")
    if attributed:
        pairs = pairs.hstack(_on_pairs(attributed, people, links, named, as_of))
    return pairs.group_by(pl.col("account").alias("profile")).agg(_counted(each) for each in distinct.values())


def is_attributed(node: object) -> bool:
    """Whether it looks at events that name the account."""
    return any(isinstance(each, OfAccount) for each in walk(node))


def _terms(side: Side, terms: Mapping[str, Condition], as_of: datetime) -> list[pl.Expr]:
    return [side.read(each, as_of).alias(name) for name, each in terms.items()]


def _on_pairs(
    terms: Mapping[str, Condition], people: Side, links: pl.DataFrame, named: pl.DataFrame, as_of: datetime
) -> pl.DataFrame:
    """Conditions on each pair of a user and an account, of whose events some count for this account alone."""
    values = valued(named, terms.values(), "profile", "account")
    schema = {**people.rows.schema, **values.schema}
    person = Person(schema, people.computed)
    found = [condition(each, person.read, as_of).alias(name) for name, each in terms.items()]
    own = people.rows.drop([name for name in values.columns if name != "profile"], strict=False)
    rows = _with_columns(links, found, own).join(values, on=["profile", "account"], how="left", maintain_order="left")
    return rows.lazy().select("account", *found).drop("account").collect()


def _counted(asked: Quantified) -> pl.Expr:
    holds = pl.col(fingerprint(asked.term))
    return (holds.any() if asked.quantifier == "ANY" else holds.all()).alias(answer(asked))


def _with_columns(links: pl.DataFrame, asked: Iterable[pl.Expr], rows: pl.DataFrame) -> pl.DataFrame:
    """The links with the columns of their people that some expressions read."""
    read = {name for each in asked for name in each.meta.root_names()} & set(rows.columns)
    wanted = sorted(read - {"profile"})
    return links.join(rows.select("profile", *wanted), on="profile", how="left", maintain_order="left")

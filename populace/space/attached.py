"""Whom the rows of statements name, and the users that they link to accounts (T-41).

Links are known before events are counted, as those of Group calls are: they come from answers of databases that were
there when the run was planned.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from populace import identity
from populace.definitions import GROUP_ID, Identity, Sql
from populace.errors import StatementError
from populace.events import identifiers
from populace.events.jsontext import JsonReader
from populace.lake.objects import scan
from populace.space.opening import OpenSpace
from populace.space.schemas import INSTANT, RUN, Columns, empty
from populace.sql import rows
from populace.sql.rows import PROFILE_ID, USER_ID

LINKS = "@links"  # the source of accounts and users that only a link of a statement knows
LINK: Columns = {
    "account": pl.String, "raw_value": pl.String, "user": pl.String, "message_id": pl.String, "at": INSTANT,
}  # fmt: skip


def normalised(raw: pl.Series, id_type: str, rules: Identity) -> tuple[pl.Series, pl.Series]:
    """Identifiers as they are compared, and which of them name nobody: blocked, empty and overlong ones (I-9, I-10).

    Raises
    ------
    StatementError
        If the space has no identifiers of that type (T-40).
    """
    if id_type == PROFILE_ID:
        return raw, pl.repeat(value=False, n=raw.len(), dtype=pl.Boolean, eager=True)
    who, is_blocked = (_account if id_type == GROUP_ID else _person)(raw, id_type, rules)
    return who, is_blocked | ~who.str.len_chars().is_between(1, identifiers.LONGEST_VALUE)


def _account(raw: pl.Series, id_type: str, rules: Identity) -> tuple[pl.Series, pl.Series]:
    value, is_blocked = identity.account(rules)
    found = raw.to_frame(id_type).select(value)
    return found.to_series(), found.select(is_blocked).to_series()


def _person(raw: pl.Series, id_type: str, rules: Identity) -> tuple[pl.Series, pl.Series]:
    rule = next((each for each in rules.identifiers if each.id_type == id_type), None)
    if rule is None:
        known = ", ".join(each.id_type for each in rules.identifiers)
        message = f"its rows are known by {id_type}, which identity.yaml does not list; it lists {known}"
        raise StatementError(message)
    who = identifiers.normalised(raw, rule)
    named = pl.DataFrame({"value": who}).with_columns(id_type=pl.lit(id_type))
    return who, named.select(identity.names_nobody(rules)).to_series()


def ids(who: pl.Series, collection: str, id_type: str) -> pl.Series:
    """The same as `identity.profile_id` of each, for millions."""
    texts = pl.select(pl.concat_str(pl.lit(collection), pl.lit(id_type), who, separator="\0")).to_series()
    with JsonReader() as reader:
        digests = reader.sha256(texts, identity.ID_LENGTH)
    return (identity.prefix(collection) + digests).alias(PROFILE_ID)


# --- links ------------------------------------------------------------------------------------------


def links(space: OpenSpace, chosen: Mapping[str, Mapping[str, Any]], external_ids: pl.DataFrame) -> pl.DataFrame:
    """One row per account and user that an answer of a statement names together.

    Parameters
    ----------
    chosen
        From `snapshots.chosen`.
    external_ids
        Of people.

    Returns
    -------
    (account, raw_value, user, at, message_id, profile_id: of the user; is_new: whether nobody has that `user_id`).
    """
    parts = [_of(space, each, chosen[each.key]) for each in space.definition.sql if "snapshot" in chosen[each.key]]
    found = pl.concat([empty(LINK), *parts])
    is_asked = (pl.col("collection") == "users") & (pl.col("id_type") == USER_ID)
    held = external_ids.lazy().filter(is_asked).select(PROFILE_ID, user="id_value")
    known = found.lazy().join(held, on="user", how="left").collect()
    made = ids(known.get_column("user"), "users", USER_ID)
    return known.with_columns(pl.coalesce(PROFILE_ID, made).alias(PROFILE_ID), is_new=pl.col(PROFILE_ID).is_null())


def _of(space: OpenSpace, statement: Sql, entry: Mapping[str, Any]) -> pl.DataFrame:
    """The links of one answer."""
    answer = scan(space.lake, entry["object"])
    chosen = rows.columns(answer.collect_schema().names(), statement)
    if not chosen.user:
        return empty(LINK)
    at, message_id = datetime.fromisoformat(entry["at"]), f"sql:{statement.key}"
    told = pairs(answer.rename(chosen.names), space.definition.identity)
    return told.with_columns(pl.lit(at, INSTANT).alias("at"), pl.lit(message_id).alias("message_id")).select(*LINK)


def pairs(answer: pl.LazyFrame, rules: Identity) -> pl.DataFrame:
    """(account, raw_value, user), one row per account and user that rows of `rows.typed` name, of those that count."""
    is_dropped = rows.is_large(answer.collect_schema())
    named = answer.filter(~is_dropped).select(rows.WHO, rows.USER).drop_nulls().collect()
    account, is_no_account = normalised(named.get_column(rows.WHO), GROUP_ID, rules)
    user, is_nobody = normalised(named.get_column(rows.USER), rows.USER_ID, rules)
    found = named.select(account.alias("account"), pl.col(rows.WHO).alias("raw_value"), user.alias("user"))
    return found.filter(~is_no_account & ~is_nobody).sort("raw_value").unique(["account", "user"], keep="first")


def made(links: pl.DataFrame) -> pl.DataFrame:
    """The users whom only links know, as rows of `external_ids` by profile id; each as of the first that knows them."""
    firsts = links.filter("is_new").sort("at", "message_id").unique(PROFILE_ID, keep="first")
    named = firsts.with_columns(id_value="user", raw_value="user", added_at="at", source=pl.lit(LINKS))
    named = named.with_columns(collection=pl.lit("users"), id_type=pl.lit(USER_ID))
    return named.select(RUN["external_ids"].keys()).sort(PROFILE_ID)

"""Accounts and whose users are linked to them: what Group calls say (2.8).

An account is a profile of the collection `accounts`, named by its `group_id`. Accounts never merge, and links unite
where users do (I-75): both follow from the calls seen up to `as_of` and from whose identifiers they carry.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl

from populace import identity, traits
from populace.definitions import GROUP_ID, Identity
from populace.events.identifiers import LONGEST_VALUE
from populace.events.jsontext import JsonReader
from populace.expressions import Row
from populace.lake import tables
from populace.nodes import Context
from populace.space import attached
from populace.space.opening import OpenSpace
from populace.space.people import FromJson
from populace.space.schemas import INSTANT, RUN, empty

ORDER = [*traits.ORDER, "source", "raw_value"]  # E-27; two sources may call two events alike
TOGETHER = 1 << 20  # calls whose traits are read at once
CALL = ("sighting", "account", "raw_value", "timestamp", "received_at", "message_id", "source")
CALL_TYPES = (pl.Int64, pl.String, pl.String, INSTANT, INSTANT, pl.String, pl.String)


def accounts(
    space: OpenSpace,
    entries: Sequence[dict],
    as_of: datetime,
    found: identity.Resolution,
    answers: Mapping[str, Mapping[str, Any]],
) -> dict[str, pl.DataFrame]:
    """What a run knows of accounts.

    Parameters
    ----------
    found
        Who is who among people.
    answers
        From `snapshots.chosen`: statements may link users too.

    Returns
    -------
    The rows of accounts in `profiles`, `external_ids` and `custom_traits`, and the table `links`, each sorted; `users`
    are rows of `external_ids` of people whom only links of statements know.
    """
    told = attached.links(space, answers, found.external_ids)
    pairs = _placed(_firsts(_calls(space, entries, as_of)), found.sightings, told, as_of)
    named = _named(pairs)
    return {
        "profiles": named.select("profile_id", "collection", created_at="timestamp").sort("profile_id"),
        "external_ids": _external_ids(named),
        "links": _links(pairs, named, space.definition.identity, as_of),
        "custom_traits": _custom_traits(space, entries, as_of, named),
        "users": attached.made(told),
    }


def with_users(found: identity.Resolution, accounts: Mapping[str, pl.DataFrame]) -> identity.Resolution:
    """Who is who among people, with those whom only links know."""
    users = accounts["users"]
    if users.is_empty():
        return found
    new = users.select("profile_id", "collection", created_at="added_at")
    profiles, external_ids = (
        ours.lazy().merge_sorted(more.lazy(), "profile_id").collect()
        for ours, more in ((found.profiles, new), (found.external_ids, users))
    )
    return replace(found, profiles=profiles, external_ids=external_ids)


def beside(found: identity.Resolution, accounts: Mapping[str, pl.DataFrame]) -> identity.Resolution:
    """Who is who, accounts before people: their ids sort so."""
    users = with_users(found, accounts)
    profiles = pl.concat([accounts["profiles"], users.profiles])
    return replace(users, profiles=profiles, external_ids=pl.concat([accounts["external_ids"], users.external_ids]))


# --- calls --------------------------------------------------------------------------------------------


def _calls(space: OpenSpace, entries: Sequence[dict], as_of: datetime) -> pl.LazyFrame:
    """Every call up to `as_of` that names an account: (sighting: whose call it is, account, …), see `CALL`."""
    rules = space.definition.identity
    group_calls = tables.read(space.lake, entries, "links")
    found = [] if group_calls is None else [group_calls]
    if rules.link_from_context:
        found += _of_contexts(space, entries)
    if not found:
        return pl.LazyFrame(schema=dict(zip(CALL, CALL_TYPES, strict=True)))
    together = pl.concat([each.select(*tables.ENVELOPE, GROUP_ID) for each in found])
    return _naming(together.filter(pl.col("timestamp") <= as_of), rules).select(CALL)


def _naming(calls: pl.LazyFrame, rules: Identity) -> pl.LazyFrame:
    """Calls that name an account, with its name as it is compared (I-8); blocked and blank ones name none."""
    value, is_blocked = identity.account(rules)
    named = calls.with_columns(account=value, raw_value=pl.col(GROUP_ID))
    return named.filter(pl.col("account").str.len_chars().is_between(1, LONGEST_VALUE) & ~is_blocked)


def _of_contexts(space: OpenSpace, entries: Sequence[dict]) -> Iterator[pl.LazyFrame]:
    """The events whose context names an account (I-74), with the name as `group_id`."""
    named = Context(traits.GROUP_PATH)
    for table in tables.names(entries):
        events = tables.events(space.lake, entries, table, [f"c.{traits.GROUP_PATH}"], FromJson())
        if events is not None and (row := Row(events.collect_schema())).column(named):
            yield events.with_columns(row.form(named).alias(GROUP_ID)).filter(pl.col(GROUP_ID).is_not_null())


def _firsts(calls: pl.LazyFrame) -> pl.DataFrame:
    """One row per identifier set and account: its first call, in event order, and when the last one was."""
    key = ["sighting", "account"]
    span = calls.group_by(key).agg(pl.col("timestamp").min(), last=pl.col("timestamp").max())
    spans = span.collect(engine="streaming")
    rows = calls.join(spans.lazy(), on=[*key, "timestamp"], nulls_equal=True).collect(engine="streaming")
    return rows.sort(ORDER).unique(key, keep="first", maintain_order=True)


def _placed(calls: pl.DataFrame, sightings: pl.DataFrame, told: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Calls with the profile that is linked, null where it is nobody, and what statements tell, in event order.

    What the newest answer of a statement tells holds until there is another, however long ago it was asked.
    """
    placed = calls.join(sightings, on="sighting", how="left", maintain_order="left").drop("sighting")
    if told.is_empty():
        return placed
    since, last = pl.col("at"), pl.lit(as_of, INSTANT)
    links = told.with_columns(timestamp=since, received_at=since, last=last, source=pl.lit(attached.LINKS))
    return pl.concat([placed, links.select(placed.columns)]).sort(ORDER)


# --- tables -------------------------------------------------------------------------------------------


def _named(pairs: pl.DataFrame) -> pl.DataFrame:
    """One row per account, by its first call: its profile."""
    firsts = pairs.unique("account", keep="first", maintain_order=True)
    ids = attached.ids(firsts.get_column("account"), "accounts", GROUP_ID)
    return firsts.with_columns(ids, collection=pl.lit("accounts"))


def _external_ids(named: pl.DataFrame) -> pl.DataFrame:
    rows = named.with_columns(id_type=pl.lit(GROUP_ID), id_value="account", added_at="timestamp")
    return rows.select(RUN["external_ids"].keys()).sort("profile_id")


def _links(pairs: pl.DataFrame, named: pl.DataFrame, rules: Identity, as_of: datetime) -> pl.DataFrame:
    """Which profile was linked to which account, by the first call that did it (I-71); without links that ended."""
    ids = named.select("account", account_id="profile_id")
    placed = pairs.drop_nulls("profile_id").join(ids, on="account", maintain_order="left")
    found = placed.group_by("profile_id", "account_id", maintain_order=True).agg(
        pl.col("timestamp").first().alias("linked_at"), pl.col("message_id").first(), pl.col("last").max()
    )
    kept = found.filter(pl.col("last") >= as_of - rules.link_ttl) if rules.link_ttl else found
    return kept.select(RUN["links"].keys()).sort("profile_id", "account_id")


def _custom_traits(space: OpenSpace, entries: Sequence[dict], as_of: datetime, named: pl.DataFrame) -> pl.DataFrame:
    """The newest value of each trait that Group calls give an account (I-70, T-1, T-2)."""
    paths = [each["path"] for each in tables.outputs(entries, "events", "@group")]
    if not paths:
        return empty(RUN["custom_traits"])
    calls = tables.calls(space.lake, paths, {GROUP_ID: pl.String(), "traits": pl.String()})
    seen = _naming(calls.filter(pl.col("timestamp") <= as_of), space.definition.identity)
    rows = seen.select("account", "traits", *traits.ORDER, "source").collect(engine="streaming")
    numbered = named.select("account", "profile_id").with_row_index("profile")
    newest = traits.newest(_members(rows).lazy().join(numbered.lazy(), on="account"), as_of)
    ids = numbered.get_column("profile_id").gather(newest.get_column("profile"))
    return newest.select(ids, "name", "value", "updated_at", "source").sort("profile_id", "name")


def _members(calls: pl.DataFrame) -> pl.DataFrame:
    """(account, name, value: JSON, …), one row per call and top-level name of its traits."""
    long = [_long(each) for each in calls.iter_slices(TOGETHER)]
    return pl.concat(long) if long else _long(calls)


def _long(calls: pl.DataFrame) -> pl.DataFrame:
    with JsonReader() as json:
        members = json.members(calls.get_column("traits"))
    return members.join(calls.drop("traits").with_row_index("n"), on="n").drop("n")

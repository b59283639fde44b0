"""Questions about the identity graph: what it looks like, and what other rules would make of it. Nothing is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from populace import identity, loading
from populace.definitions import Identity
from populace.errors import UsageError
from populace.lake import runs
from populace.space import families, lake_views, linking, recompute, sql_columns, views
from populace.space.accounts import Accounts
from populace.space.attached import LINKS
from populace.space.everybody import Everybody, members_of, reduced, traits_of
from populace.space.opening import OpenSpace
from populace.space.people import People

EXAMPLES = 5


# --- report -----------------------------------------------------------------------------------------


def report(space: OpenSpace) -> Iterator[dict[str, Any]]:
    """The current run, `about` says what each row tells: run, sizes, largest, glue, violations, unseen, splits.

    Components, which are what profiles would be without limits, and remedies follow from the definitions as they are.
    """
    run = recompute.reopen(space, views.current(space), strict=False)
    rules, found = space.definition.identity, resolution_of(space, run.run_id)
    told = identity.describe(*recompute.seen(space, run), rules, run.as_of, found)
    yield {"about": "run", "run_id": run.run_id, "as_of": runs.iso(run.as_of), "before": run.before} | _counts(found)
    for about in ("sizes", "largest", "glue", "violations"):
        yield from ({"about": about} | row for row in getattr(told, about).iter_rows(named=True))
    yield from ({"about": "unseen"} | row for row in unseen(rules, recompute.seen(space, run)[1]).iter_rows(named=True))
    if run.before:
        before = runs.table(space.lake, run.before, "external_ids")
        yield from (
            {"about": "splits"} | row for row in splits(before, found.external_ids.lazy()).iter_rows(named=True)
        )


def unseen(rules: Identity, identifiers: pl.LazyFrame) -> pl.DataFrame:
    """(id_type, id_value, at) of what a forbidden pair names and nobody has, so that it keeps nobody apart."""
    named = [(*identifier, str(each.at)) for each in rules.forbidden for identifier in each.pair]
    wanted = pl.LazyFrame(named, schema=dict.fromkeys(("id_type", "id_value", "at"), pl.String), orient="row")
    known = identifiers.select("id_type", id_value="value")
    return wanted.join(known, on=["id_type", "id_value"], how="anti", maintain_order="left").collect()


def summary(space: OpenSpace, run_id: str) -> tuple[dict[str, int], dict[str, int]]:
    """Of a run: how many profiles have how many identifiers, and how often each kind of violation fired."""
    found = resolution_of(space, run_id)
    return dict(identity.sizes(found.external_ids).iter_rows()), _kinds(found.violations)


def _counts(found: identity.Resolution) -> dict[str, int]:
    counted = {name: getattr(found, name).height for name in ("profiles", "external_ids", "merges", "violations")}
    return counted | {"unresolved_sets": found.sightings.get_column("profile_id").null_count()}


def _kinds(violations: pl.DataFrame) -> dict[str, int]:
    return dict(violations.group_by("kind").len().sort("kind").iter_rows())


def resolution_of(space: OpenSpace, run_id: str) -> identity.Resolution:
    """The identity tables of a run, without accounts and rows of SQL, which no rule of identity makes."""
    found = {name: runs.table(space.lake, run_id, name) for name in recompute.IDENTITY}
    is_made = pl.col("source").is_in([lake_views.SQL, LINKS])
    made = found["external_ids"].filter(is_made)
    for name in ("profiles", "external_ids"):
        users = found[name].filter(pl.col("collection") == "users")
        found[name] = users.join(made, on="profile_id", how="anti", maintain_order="left")
    return identity.Resolution(**{name: each.collect() for name, each in found.items()})


def splits(before: pl.LazyFrame, after: pl.LazyFrame) -> pl.DataFrame:
    """Profiles whose identifiers now stand in several: (profile_id, becomes: list[str], identifiers), by id."""
    keys = ["collection", "id_type", "id_value"]
    both = before.select(*keys, "profile_id").join(after.select(*keys, now="profile_id"), on=keys)
    found = both.group_by("profile_id").agg(becomes=pl.col("now").unique().sort(), identifiers=pl.len())
    return found.filter(pl.col("becomes").list.len() > 1).sort("profile_id").collect()


# --- lab --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trial:
    """What other rules would change.

    `splits` and `joins` are (profile_id, becomes) and (profile_id, made_of): each profile that would be several, and
    each that several would be. Violations are counted by kind, too. `audiences` is (audience, before, after), in the
    order of the definitions. `left_out` are identifier types of the space that the rules do not list.
    """

    run_id: str
    before: dict[str, int]
    after: dict[str, int]
    splits: pl.DataFrame
    joins: pl.DataFrame
    audiences: list[dict[str, Any]]
    left_out: list[str]


def trial(space: OpenSpace, file: Path) -> Trial:
    """Resolve everybody of the current run by the rules of another `identity.yaml`.

    Raises
    ------
    DefinitionError
        If the rules are wrong.
    UsageError
        If they read identifiers that the lake does not hold.
    """
    rules = loading.load_identity(file)
    _check_extracted(space.definition.identity, rules, file)
    run = recompute.reopen(space, views.current(space), strict=False)
    before, after = resolution_of(space, run.run_id), recompute.resolution(space, run, rules)
    moved = before.sightings.join(after.sightings, on="sighting", suffix="_after").drop_nulls()
    return Trial(
        run.run_id,
        _counts(before) | _kinds(before.violations),
        _counts(after) | _kinds(after.violations),
        _several(moved, "profile_id", "profile_id_after", "becomes"),
        _several(moved, "profile_id_after", "profile_id", "made_of").rename({"profile_id_after": "profile_id"}),
        _audiences(space, run, after),
        [each for each in _types(space.definition.identity) if each not in _types(rules)],
    )


def _types(rules: Identity) -> list[str]:
    return [each.id_type for each in rules.identifiers]


def _check_extracted(known: Identity, rules: Identity, file: Path) -> None:
    """What is read of events, and how it is normalised, is decided when they are replayed."""
    extracted = {(each.id_type, each.normalize, each.read_from) for each in known.identifiers}
    for each in rules.identifiers:
        if (each.id_type, each.normalize, each.read_from) not in extracted:
            message = (
                f"{file}: '{each.id_type}' is read or normalised otherwise than in the space, which takes a replay; "
                "the lab tries limits, blocked values, priority, forbidden pairs, and fewer identifiers"
            )
            raise UsageError(message)


def _several(moved: pl.DataFrame, one: str, others: str, name: str) -> pl.DataFrame:
    grouped = moved.group_by(one).agg(pl.col(others).unique().sort().alias(name))
    return grouped.filter(pl.col(name).list.len() > 1).sort(pl.col(name).list.len(), one, descending=[True, False])


def _audiences(space: OpenSpace, run: recompute.Run, after: identity.Resolution) -> list[dict[str, Any]]:
    definition = space.definition
    custom = recompute.custom_traits(space, run, after)
    there = linking.accounts(space, run.entries, run.as_of, after, run.document["sql"])
    after = linking.with_users(after, there)
    users = People(after.profiles, after.sightings, after.external_ids, custom)
    wanted = {name: there[name].lazy() for name in ("external_ids", "links", "custom_traits")}
    everybody = Everybody(users, Accounts.of_tables(users, **wanted))
    expanded, _ = families.expand(space, run.entries, users, run.as_of)
    values = reduced(expanded, run.entries, everybody, expanded.definition.computed, run.as_of)
    computed = traits_of(values.of_profiles, everybody, expanded.definition.traits)
    members = members_of(expanded, everybody, definition.audiences, values, computed, run.as_of)
    tried = dict(members.group_by("audience").len().iter_rows())
    memberships = lake_views.untouched(space, run.run_id, "memberships")
    held = dict(memberships.group_by("audience").len().collect().iter_rows())
    of_sql = sql_columns.readers(families.of_run(space, run.run_id))  # their columns belong to the people of the run
    return [
        {"audience": each.key, "before": held.get(each.key, 0), "after": tried.get(each.key, 0)}
        for each in definition.audiences
        if each.key not in of_sql
    ]

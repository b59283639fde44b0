"""A run: every profile, trait and audience of a space as of one instant.

A run is named after all it is made of, so its tables can be written in any number of attempts:
the same name means the same bytes. It is readable once its manifest stands, and current once it is
published.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import polars as pl

import populace
from populace import audiences, identity, query, traits
from populace.definitions import Audience, Family, Identity, Limit, Trait
from populace.errors import StaleError, UsageError
from populace.lake import ledger, runs, tables
from populace.lake.objects import read_json, write_json
from populace.space import families, linking, people, snapshots, undated
from populace.space.everybody import Everybody, Values, members_of, reduced, traits_of
from populace.space.opening import OpenSpace
from populace.space.schemas import LAKE, RUN, empty

IDENTITY = ("profiles", "sightings", "external_ids", "merges", "violations")  # the tables that identity makes


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is being made.

    `parts` are the ledger's entries by source; `before` is the published run it is
    compared with, None for the first.
    """

    run_id: str
    as_of: datetime
    parts: dict[str, dict[str, dict]]
    document: dict

    @property
    def before(self) -> str | None:
        return self.document["before"]

    @property
    def entries(self) -> list[dict]:
        """Every part, by source and then name."""
        return [entry for parts in self.parts.values() for entry in parts.values()]


def instant(text: str) -> datetime:
    """An ISO 8601 instant or a date; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"'{text}' is no instant; write it like 2026-09-23T14:00:00Z or 2026-09-23"
        raise UsageError(message) from None
    if not 1970 <= found.year < 9000:
        message = f"'{text}' lies outside of what can be computed, 1970 to 8999"
        raise UsageError(message)
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)


# --- what a run is made of --------------------------------------------------------------------------


def plan(space: OpenSpace, as_of: datetime, *, allow_stale: bool = False) -> Run:
    """Name a run after everything it will be made of.

    Raises
    ------
    StaleError
        If a connected source is not completely replayed, unless `allow_stale`.
    """
    stale = [
        each.name
        for each in space.definition.sources
        if not ledger.is_complete(space.lake, each.name, space.source_names)
    ]
    if stale and not allow_stale:
        message = (
            f"{', '.join(stale)}: not completely replayed, so results would be stale; "
            f"run `populace replay {space.definition.name}`, or pass --allow-stale"
        )
        raise StaleError(message)
    sources = [each.name for each in space.definition.sources]
    document = {
        "space": space.definition.name,
        "as_of": runs.iso(as_of),
        "before": runs.before(space.lake, runs.iso(as_of)),
        "code": f"{populace.__version__}+{_code()}",
        "definitions": _definitions(space),
        "sql": snapshots.chosen(space, as_of),
        "slices": _slices(space, sources),
        "stale": sorted(stale),
    }
    name = f"{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}-{ledger.fingerprint(document)[:12]}"
    document["run_id"] = name
    write_json(space.lake, f"runs/{name}/plan.json", document)
    return Run(name, as_of, {each: ledger.parts(space.lake, each) for each in sources}, document)


def _slices(space: OpenSpace, sources: Iterable[str]) -> dict[str, dict[str, str]]:
    """For each source and received day what it was made of; how it was cut into parts does not show."""
    return {name: ledger.slices(space.lake, name) for name in sources}


def reopen(space: OpenSpace, run_id: str, *, strict: bool = True) -> Run:
    """A run that was planned before, with the lake it was planned with.

    Parameters
    ----------
    strict
        Whether the lake must still be as it was planned; a look at what is there need not be.

    Raises
    ------
    StaleError
        If a received day has changed since: the tables would not be what their name says.
    """
    document = read_json(space.lake, f"runs/{run_id}/plan.json")
    if strict and _slices(space, document["slices"]) != document["slices"]:
        message = f"run {run_id}: the lake changed while it was computed; start it again"
        raise StaleError(message)
    parts = {name: ledger.parts(space.lake, name) for name in document["slices"]}
    return Run(run_id, instant(document["as_of"]), parts, document)


@cache
def _code() -> str:
    """A hash of the engine's own source: edited code never passes its results for those of the old."""
    here = Path(populace.__file__).parent
    files = sorted(each for each in here.rglob("*") if each.suffix in (".py", ".lark"))
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()[:8]


def _definitions(space: OpenSpace) -> dict:
    """What of the definitions enters the tables: not names, descriptions or where things are sent."""
    definition = space.definition
    return {
        "identity": _fingerprint(definition.identity),
        "traits": {each.key: query.fingerprint(each.query) for each in definition.traits},
        "families": {
            each.key: ledger.fingerprint([query.fingerprint(each.for_each), query.fingerprint(each.query), each.most])
            for each in definition.families
        },
        "audiences": {
            each.key: ledger.fingerprint([query.fingerprint(each.query), _anonymous(space, each)])
            for each in definition.audiences
        },
    }


def _fingerprint(rules: Identity) -> str:
    """Of everything but places in files and reasons given."""
    identifiers = [
        [each.id_type, each.normalize, each.read_from, each.blocked, each.limit and _limit(each.limit)]
        for each in rules.identifiers
    ]
    return ledger.fingerprint([identifiers, rules.blocked, sorted(each.pair for each in rules.forbidden)])


def _limit(limit: Limit) -> list[int | None]:
    return [limit.most, limit.microseconds]


def _anonymous(space: OpenSpace, audience: Audience) -> bool:
    return space.definition.include_anonymous if audience.include_anonymous is None else audience.include_anonymous


# --- stages -----------------------------------------------------------------------------------------


def resolve_identities(space: OpenSpace, run: Run) -> dict[str, int]:
    """Profiles, their identifiers, merges, links and custom traits."""
    found = resolution(space, run, space.definition.identity)
    accounts = linking.accounts(space, run.entries, run.as_of, found, run.document["sql"])
    custom = custom_traits(space, run, found)
    everybody = linking.beside(found, accounts)
    resolved = {name: getattr(everybody, name) for name in IDENTITY}
    resolved["retired"] = identity.successors(_published_ids(space, run), everybody)
    resolved["custom_traits"] = pl.concat([accounts["custom_traits"], custom])
    resolved["links"] = accounts["links"]
    for name, frame in resolved.items():
        runs.write(space.lake, run.run_id, name, frame)
    return {name: frame.height for name, frame in resolved.items()}


def resolution(space: OpenSpace, run: Run, rules: Identity) -> identity.Resolution:
    """What these rules make of the identifiers that a run knows."""

    def events(sightings: pl.Series) -> pl.DataFrame:
        found = tables.carrying(space.lake, run.entries, sightings).filter(pl.col("timestamp") <= run.as_of)
        return found.collect(engine="streaming")

    return identity.resolve(*seen(space, run), rules, run.as_of, events)


def seen(space: OpenSpace, run: Run) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The identifier sets and the identifiers of all parts."""
    sightings, identifiers = (tables.read(space.lake, run.entries, kind) for kind in ("sightings", "identifiers"))
    return (
        empty(LAKE["sightings"]).lazy() if sightings is None else sightings,
        empty(LAKE["identifiers"]).lazy() if identifiers is None else identifiers,
    )


def _published_ids(space: OpenSpace, run: Run) -> Iterable[str]:
    """Every profile id that the run before knew."""
    if run.before is None:
        return []
    known = [
        runs.table(space.lake, run.before, name).select("profile_id") for name in ("profiles", "merges", "retired")
    ]
    return pl.concat(known).collect().get_column("profile_id")


def custom_traits(space: OpenSpace, run: Run, found: identity.Resolution) -> pl.DataFrame:
    """The newest value of each custom trait of each profile (T-1, T-2)."""
    long = tables.read(space.lake, run.entries, "custom_traits")
    if long is None:
        return empty(RUN["custom_traits"])
    profiles = people.numbered(found.profiles)
    sightings = people.by_number(found.sightings.lazy(), profiles.lazy())
    newest = traits.newest(long.join(sightings, on="sighting").drop("sighting"), run.as_of).sort("profile", "name")
    ids = profiles.get_column("profile_id").gather(newest.get_column("profile"))
    return newest.select(ids, "name", "value", "updated_at", "source")


def compute_traits(space: OpenSpace, run: Run) -> dict[str, int]:
    """Every reducer of every definition in one scan per event table, and from them the computed traits."""
    everybody = Everybody.of_run(space, run.run_id)
    expanded, members = families.expand(space, run.entries, everybody.users, run.as_of)
    runs.write(space.lake, run.run_id, families.TABLE, members)
    computed = expanded.definition.computed
    found = reduced(expanded, run.entries, everybody, computed, run.as_of, undated.counts(undated.asked(computed)))
    values = found.of_profiles
    written = {"values": values, "traits": traits_of(values, everybody, expanded.definition.traits)}
    for name, frame in written.items():
        runs.write(space.lake, run.run_id, name, everybody.by_id(frame))
    runs.write(space.lake, run.run_id, "link_values", everybody.links_by_id(found.of_links))
    return {name: frame.height for name, frame in written.items()}


def evaluate_audiences(space: OpenSpace, run: Run) -> dict[str, int]:
    """Who is in each audience, since when, and what changed since the run before."""
    everybody = Everybody.of_run(space, run.run_id)
    names = ("values", "traits")
    values, computed = (everybody.by_number(runs.table(space.lake, run.run_id, name)) for name in names)
    of_links = everybody.links_by_number(runs.table(space.lake, run.run_id, "link_values"))
    expanded = families.of_run(space, run.run_id)
    asked = undated.asked(expanded.definition.computed)
    wanted = (*space.definition.audiences, *undated.audiences(asked))
    found = members_of(expanded, everybody, wanted, Values(values, of_links), computed, run.as_of)
    runs.write(space.lake, run.run_id, undated.TABLE, undated.counted(asked, values, found))
    members = found.filter(pl.col("audience").is_in([each.key for each in space.definition.audiences]))
    before = _before(space, run)
    entered = members.join(before, on=["audience", "profile_id"], how="left").with_columns(
        pl.col("entered_at").fill_null(run.as_of)
    )
    memberships = entered.select("audience", "profile_id", "entered_at").sort("audience", "profile_id")
    changed = audiences.changes(members, before.select("audience", "profile_id"))
    runs.write(space.lake, run.run_id, "memberships", memberships)
    runs.write(space.lake, run.run_id, "changes", changed)
    return {"memberships": memberships.height, "changes": changed.height}


def _before(space: OpenSpace, run: Run) -> pl.DataFrame:
    """Members of the run before, under the ids their profiles have now: (audience, profile_id, entered_at)."""
    if run.before is None:
        return empty(RUN["memberships"])
    leads = runs.table(space.lake, run.run_id, "retired").drop_nulls()
    members = runs.table(space.lake, run.before, "memberships").join(leads, on="profile_id", how="left")
    current = members.select("audience", pl.coalesce("successor", "profile_id").alias("profile_id"), "entered_at")
    return current.group_by("audience", "profile_id").agg(pl.col("entered_at").min()).collect()


def complete(space: OpenSpace, run: Run) -> dict:
    """Write the manifest, which makes the run readable."""
    counted = {name: runs.rows(space.lake, run.run_id, name) for name in (*RUN, "traits", "values")}
    audience_sizes = runs.table(space.lake, run.run_id, "memberships").group_by("audience").len().collect()
    sizes = {each.key: 0 for each in space.definition.audiences} | dict(audience_sizes.iter_rows())
    trait_sizes = runs.table(space.lake, run.run_id, "traits").select(pl.exclude("profile_id").count()).collect()
    profiles = runs.table(space.lake, run.run_id, "profiles")
    known = families.of_run(space, run.run_id).definition
    told = runs.table(space.lake, run.run_id, "sql_rows").collect().rows(named=True)
    document = run.document | {
        "sql": {each["sql"]: run.document["sql"][each["sql"]] | {"counts": each} for each in told},
        "tables": counted,
        "accounts": profiles.filter(pl.col("collection") == "accounts").select(pl.len()).collect().item(),
        "of_accounts": sorted(each.key for each in known.delivered if each.level == "account"),
        "audiences": sizes,
        "traits": trait_sizes.row(0, named=True) if trait_sizes.width else {},
        "undated": runs.table(space.lake, run.run_id, undated.TABLE).collect().rows(named=True),
    }
    runs.complete(space.lake, run.run_id, document)
    return document


def publish(space: OpenSpace, run: Run) -> bool:
    """Make the run the current one, unless one of a later instant is."""
    return runs.publish(space.lake, run.run_id, runs.iso(run.as_of))


def check_present(space: OpenSpace, now: datetime) -> None:
    """Refuse to go on with a current run of the future, for until then no other could replace it.

    Raises
    ------
    StaleError
        If the published run describes an instant after `now`; says how to take it back.
    """
    pointer = runs.latest(space.lake)
    if pointer and pointer["as_of"] > runs.iso(now):
        message = (
            f"the current run {pointer['run_id']} describes {pointer['as_of']}, which is still to come, so no run of "
            f"today can replace it; to take it back, remove {space.lake.root}/{runs.pointer_path(pointer['number'])}"
        )
        raise StaleError(message)


def named(space: OpenSpace, key: str) -> Trait | Audience | Family:
    """The trait, audience or family of that key; UsageError where there is none."""
    for each in (*space.definition.computed, *space.definition.families):
        if each.key == key:
            return each
    message = f"no trait or audience '{key}' in space '{space.definition.name}'"
    raise UsageError(message)

"""Questions about a published run: what there is, who is in it, and what a definition would give."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import polars as pl

from populace.definitions import Destination
from populace.errors import UsageError
from populace.lake import ledger, runs
from populace.lake.delivery import Ledger
from populace.space import standing
from populace.space.opening import OpenSpace

LATEST_EVENTS = 10
LATER: dict[str, Any] = {"undated": [], "accounts": 0, "of_accounts": [], "sql": {}}


def current(space: OpenSpace) -> str:
    """The id of the published run; UsageError before the first."""
    run_id = runs.current(space.lake)
    if run_id is None:
        name = space.definition.name
        message = f"space '{name}' has no published run yet; run `populace recompute {name}`"
        raise UsageError(message)
    return run_id


def run_at(space: OpenSpace, as_of: datetime | None) -> str:
    """The current run, or the newest complete one of `as_of` or before, backfilled ones included."""
    if as_of is None:
        return current(space)
    wanted = runs.iso(as_of)
    found = [each for each in ranked(space) if each["as_of"] <= wanted]
    if not found:
        message = f"no run as of {wanted} or before; make one with `populace backfill {space.definition.name}`"
        raise UsageError(message)
    return found[-1]["run_id"]


def ranked(space: OpenSpace) -> list[dict]:
    """The manifests of all complete runs, oldest first; of several of one instant the one that counts is the last."""
    published = runs.current(space.lake)
    return sorted(_manifests(space), key=lambda each: (each["as_of"], each["run_id"] == published, each["run_id"]))


def history(space: OpenSpace, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    """Every complete run that describes an instant between the two, oldest first."""
    for manifest in sorted(_manifests(space), key=lambda each: (each["as_of"], each["run_id"])):
        if runs.iso(since) <= manifest["as_of"] <= runs.iso(until):
            counts = {"profiles": manifest["tables"]["profiles"]} | manifest["audiences"]
            yield {"run_id": manifest["run_id"], "as_of": manifest["as_of"]} | counts


def _manifests(space: OpenSpace) -> list[dict]:
    paths = [each.path for each in space.lake.list("runs/") if each.path.endswith("/manifest.json")]
    return [found for path in paths if (found := runs.manifest(space.lake, path.split("/")[1]))]


# --- status -----------------------------------------------------------------------------------------


def status(
    space: OpenSpace, run_id: str | None = None, *, days: bool = False, with_samples: bool = False
) -> Iterator[dict[str, Any]]:
    """One row for each source, for a run (the current one), and for each destination; `about` says which.

    With `days` one for each received day of each source as well, with `with_samples` one for each sample of a delivery.
    """
    for source in space.definition.sources:
        yield standing.of_source(space, source.name)
        if days:
            yield from standing.of_days(space, source.name)
    published = runs.current(space.lake)
    shown = run_id or published
    manifest = runs.manifest(space.lake, shown) if shown else None
    if manifest:
        kept = ("run_id", "as_of", "before", "stale", "tables", "audiences", "traits")
        told = {name: manifest[name] for name in kept}
        # Manifests of earlier versions say nothing of these.
        told |= {name: manifest.get(name, missing) for name, missing in LATER.items()}
        yield {"about": "run", "current": shown == published} | told
    for destination in space.definition.destinations:
        yield _destination_status(space, destination)
    if with_samples:
        yield from samples(space)


def reasons(summary: dict) -> dict[str, int]:
    """How many rows of a source were rejected, by reason code."""
    return ledger.reasons(summary.get("parts", {}).values())


def _destination_status(space: OpenSpace, destination: Destination) -> dict[str, Any]:
    """The account of the last sync; whether it is paused is said by the ledger, for a person may have changed that."""
    about = {"about": "destination", "destination": destination.name, "kind": destination.kind}
    if not destination.enabled:
        return about | {"status": "disabled"}
    ledger = Ledger(space.lake, destination.name)
    report, paused = ledger.report() or {"status": "never synced"}, ledger.state().get("paused")
    told = {name: each for name, each in report.items() if name not in ("paused", "newly_paused")}
    if paused:
        return about | told | {"status": "paused", "paused": paused}
    return about | told | ({"status": "resumed"} if report["status"] == "paused" else {})


def samples(space: OpenSpace, only: str | None = None) -> Iterator[dict[str, Any]]:
    """A few requests and answers of each destination's last sync that sent anything, without personal data."""
    for each in space.definition.destinations:
        if only in (None, each.name):
            for sample in Ledger(space.lake, each.name).samples():
                yield {"about": "sample", "destination": each.name, **sample}


# --- members --------------------------------------------------------------------------------------------


def members(space: OpenSpace, key: str, as_of: datetime | None = None) -> pl.DataFrame:
    """(audience, profile_id, entered_at, identifiers), one row per member; identifiers by type."""
    run_id = run_at(space, as_of)
    check_audience(space, run_id, key)
    found = runs.table(space.lake, run_id, "memberships").filter(pl.col("audience") == key)
    return found.join(identifiers_of(space, run_id), on="profile_id", how="left").sort("profile_id").collect()


def check_audience(space: OpenSpace, run_id: str, key: str) -> None:
    """Refuse an audience that a complete run does not have."""
    sizes = runs.manifest(space.lake, run_id)["audiences"]  # type: ignore[index]
    if key not in sizes:
        message = f"run {run_id} has no audience '{key}'; it has {', '.join(sorted(sizes)) or 'none'}"
        raise UsageError(message)


def identifiers_of(space: OpenSpace, run_id: str) -> pl.LazyFrame:
    """(profile_id, identifiers), one row per profile: a list of {id_type, id_value: list}."""
    known = runs.table(space.lake, run_id, "external_ids").select("profile_id", "id_type", "id_value")
    types = known.group_by("profile_id", "id_type").agg(pl.col("id_value").sort())
    grouped = types.sort("id_type").group_by("profile_id", maintain_order=True)
    return grouped.agg(identifiers=pl.struct("id_type", "id_value"))

"""When people were members of an audience: from all complete runs, published and backfilled ones."""

from datetime import datetime

import polars as pl

from populace import identity
from populace.lake import runs
from populace.space import graphs, recompute, views
from populace.space.opening import OpenSpace
from populace.space.schemas import INSTANT


def spans(space: OpenSpace, key: str, as_of: datetime | None = None) -> pl.DataFrame:
    """When each profile entered an audience and left it.

    Parameters
    ----------
    as_of
        Only runs of this instant or before are looked at; all of them otherwise.

    Returns
    -------
    (audience, profile_id, entered_at, exited_at, identifiers), one row per stay, by profile and time. `exited_at` is
    null of who is a member in the newest run. Profiles have the ids that they have in the current run.

    Raises
    ------
    UsageError
        If there is no run, or the newest one has no such audience.

    Notes
    -----
    Somebody enters with the first run that holds them and leaves with the first one after it that does not, so the
    instants are as fine as runs are close. Runs that did not know the audience say nothing.
    """
    views.check_audience(space, views.run_at(space, as_of), key)
    looked = _runs(space, key, as_of)
    seen = [_members(space, run_id, key, number) for number, (_, run_id) in enumerate(looked)]
    moments = pl.Series([recompute.instant(moment) for moment, _ in looked], dtype=INSTANT)
    stays = _stays(_current(space, pl.concat(pl.collect_all(seen))), moments)
    known = views.identifiers_of(space, views.current(space)).collect()
    named = stays.select(pl.lit(key).alias("audience"), pl.all()).join(known, on="profile_id", how="left")
    return named.sort("profile_id", "entered_at")


def _runs(space: OpenSpace, key: str, as_of: datetime | None) -> list[tuple[str, str]]:
    """(as_of, run id) of the runs that know the audience, oldest first; one for each instant."""
    counting = {each["as_of"]: each["run_id"] for each in views.ranked(space) if key in each["audiences"]}
    return [(moment, run_id) for moment, run_id in counting.items() if as_of is None or moment <= runs.iso(as_of)]


def _members(space: OpenSpace, run_id: str, key: str, number: int) -> pl.LazyFrame:
    found = runs.table(space.lake, run_id, "memberships").filter(pl.col("audience") == key)
    return found.select("profile_id", "entered_at", run=pl.lit(number, pl.Int64))


def _current(space: OpenSpace, seen: pl.DataFrame) -> pl.DataFrame:
    """The same with the ids that profiles have in the current run: (profile_id, run, entered_at), one row for both."""
    found = graphs.resolution_of(space, views.current(space))
    leads = identity.successors(seen.get_column("profile_id"), found).drop_nulls()
    led = seen.join(leads, on="profile_id", how="left").with_columns(profile_id=pl.coalesce("successor", "profile_id"))
    return led.group_by("profile_id", "run").agg(pl.col("entered_at").min())


def _stays(seen: pl.DataFrame, moments: pl.Series) -> pl.DataFrame:
    """Consecutive runs as one row: (profile_id, entered_at, exited_at)."""
    ordered = seen.sort("profile_id", "run")
    # Along consecutive runs the number of the run grows as fast as the number of the row.
    stay = pl.col("run") - pl.int_range(pl.len()).over("profile_id")
    found = ordered.group_by("profile_id", stay.alias("stay")).agg(
        pl.col("entered_at").first(), first=pl.col("run").first(), last=pl.col("run").last()
    )
    entered = pl.when(pl.col("first") == 0).then("entered_at").otherwise(pl.lit(moments).gather("first"))
    exited = pl.lit(moments).gather(pl.col("last") + 1, null_on_oob=True)
    return found.select("profile_id", entered.alias("entered_at"), exited.alias("exited_at"))

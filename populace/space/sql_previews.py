"""What a statement gives now, and whom of that the current run knows; nothing is written (T-42)."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from populace.definitions import Sql
from populace.lake import runs
from populace.space import families, recompute, statements, views
from populace.space.attached import LINKS
from populace.space.lake_views import SQL
from populace.space.opening import OpenSpace
from populace.sql import rows
from populace.sql.rows import PROFILE_ID, WHO

SAMPLE = 5  # of each: people that are known, and that are not


@dataclass(frozen=True, slots=True)
class Found:
    """What a statement gives: its columns with their types, counts of its rows, and some of them.

    `run_id` is the run that knows people or does not; None before the first. Each row of the sample says first whether
    its person is known: ✓ or ?.
    """

    run_id: str | None
    columns: dict[str, str]
    counts: dict[str, int]
    sample: list[dict[str, Any]]


def of_lake(space: OpenSpace, statement: Sql) -> Found:
    """A statement over the lake, as of the current run; UsageError before the first."""
    run = recompute.reopen(space, views.current(space), strict=False)
    computed = [each.key for each in families.of_run(space, run.run_id).definition.traits]
    with tempfile.TemporaryDirectory(prefix="populace-") as folder, statements.placed(statement):
        found = statements.asked(space, run, statement, Path(folder), computed)
        return about(space, statement, found)


def about(space: OpenSpace, statement: Sql, found: pl.DataFrame) -> Found:
    """What is told of the rows of a statement, as `statements.checked` gives them."""
    run_id = runs.current(space.lake)
    chosen = rows.columns(found.columns, statement)
    got = statements.answer(found.rename(chosen.names), chosen.identifier, space.definition.identity)
    held = None if run_id is None else _held(space, run_id, statement, chosen.identifier)
    known = got.rows.select(WHO).with_columns(is_known=pl.lit(value=False))
    if held is not None:
        known = got.rows.lazy().select(WHO).join(held, on=WHO, how="left", maintain_order="left").collect()
        known = known.select(WHO, is_known=pl.col(PROFILE_ID).is_not_null())
    is_known = known.get_column("is_known")
    counts = {
        "rows": got.read,
        "known": int(is_known.sum()),
        "unknown": int((~is_known).sum()),
        "blocked": got.blocked,
        "too_large": got.too_large,
    } | ({"links": got.links} if chosen.user else {})
    sample = pl.concat([_sample(got.rows.filter(is_known), "✓"), _sample(got.rows.filter(~is_known), "?")])
    types = {name: str(dtype) for name, dtype in found.schema.items()}
    return Found(run_id, types, counts, sample.rename({WHO: chosen.identifier}).rows(named=True))


def _held(space: OpenSpace, run_id: str, statement: Sql, identifier: str) -> pl.LazyFrame:
    external_ids = runs.table(space.lake, run_id, "external_ids").filter(~pl.col("source").is_in([SQL, LINKS]))
    return statements.held(space, run_id, external_ids, statement.level, identifier)


def _sample(found: pl.DataFrame, mark: str) -> pl.DataFrame:
    return found.bottom_k(SAMPLE, by=WHO).sort(WHO).select(pl.lit(mark).alias("@known"), pl.all())

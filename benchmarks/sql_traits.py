"""What the rows of a statement cost a run, beside the query itself: CPU seconds and memory.

    python -m benchmarks.sql_traits [--rows 5000000] [--people 2000000] [--folder DIR]

Each row has a user_id, two numbers and two texts. The run knows `--people` of the identifiers, each with a computed
trait; the other rows make people. `keep` is checking an answer and keeping it in the lake, `stage` is what a run does
with it. Each measurement is a process.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from populace import query
from populace.definitions import Identifier, Identity, Space, Sql, Trait
from populace.lake import runs
from populace.lake.objects import open_store
from populace.space import OpenSpace, recompute, snapshots, statements
from populace.space.attached import ids
from populace.space.schemas import RUN, empty

AT = datetime(2026, 5, 4, tzinfo=UTC)
VISITS = Trait("visits", query.parse_trait("event('Page Viewed').count()"))
ORDERS = Sql("orders", "shop", "select …", "0 */12 * * *")


def opened(folder: Path) -> OpenSpace:
    """A space with a computed trait and a statement."""
    named = Identity((Identifier("user_id"),))
    definition = Space("dev", (folder / "lake").as_uri(), identity=named, traits=(VISITS,), sql=(ORDERS,))
    return OpenSpace(definition, open_store(definition.lake, definition.storage))


def prepare(folder: Path, rows: int, people: int) -> None:
    """The file that a database wrote, in no order."""
    number = pl.select(n=pl.int_range(rows)).sample(fraction=1, shuffle=True, seed=7)
    found = number.select(
        user_id=pl.format("user-{}", "n"),
        spent=pl.col("n") * 0.37,
        orders_paid=pl.col("n") % 50,
        tier=pl.format("tier {}", pl.col("n") % 7),
        last_order_on=pl.lit("2026-03-01"),
    )
    found.write_parquet(folder / "answer.parquet")
    _people(opened(folder), people)


def _people(space: OpenSpace, people: int) -> None:
    """A run that is planned, with the tables that the stage reads."""
    named = pl.select(id_value=pl.format("user-{}", pl.int_range(people)))
    named = named.with_columns(ids(named.get_column("id_value"), "users", "user_id")).sort("profile_id")
    users, at = pl.lit("users"), pl.lit(AT)
    run_id = recompute.plan(space, AT).run_id
    about = {"collection": users, "id_type": pl.lit("user_id"), "id_value": "id_value", "raw_value": "id_value"}
    event = {"added_at": at, "message_id": "id_value", "source": pl.lit("web")}
    tables = {
        "profiles": named.select("profile_id", collection=users, created_at=at),
        "external_ids": named.select("profile_id", **about, **event),
        "traits": named.select("profile_id", visits=pl.int_range(pl.len())),
        "retired": empty(RUN["retired"]),
    }
    for name, frame in tables.items():
        runs.write(space.lake, run_id, name, frame)


def keep(folder: Path) -> int:
    """Check the rows, and keep them as the answer of an instant."""
    space = opened(folder)
    found = statements.checked(ORDERS, folder / "answer.parquet", space.definition.identity)
    snapshots.keep(space, ORDERS, AT, found, folder)
    return found.height


def stage(folder: Path) -> int:
    """Add the answer to the run, which was planned before there was one."""
    space = opened(folder)
    planned = next(each.path.split("/")[1] for each in space.lake.list("runs/") if each.path.endswith("plan.json"))
    run = recompute.reopen(space, planned, strict=False)
    run.document["sql"] = snapshots.chosen(space, AT)
    return sum(statements.compute(space, run).values())


STEPS = {"keep": keep, "stage": stage}


def measured(folder: Path, step: str) -> dict:
    """One step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.sql_traits", "--folder", str(folder), "--only", step]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Prepare, measure, and print a line for each step."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=5_000_000)
    arguments.add_argument("--people", type=int, default=2_000_000)
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--only", choices=STEPS)
    given = arguments.parse_args()
    if given.only:
        began = time.monotonic()
        rows = STEPS[given.only](given.folder)
        used = resource.getrusage(resource.RUSAGE_SELF)
        took = {"cpu_s": round(used.ru_utime + used.ru_stime, 1), "wall_s": round(time.monotonic() - began, 1)}
        print(json.dumps({"step": given.only, "rows": rows} | took | {"peak_mib": used.ru_maxrss >> 10}))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        prepare(Path(name), given.rows, given.people)
        for step in STEPS:
            print(json.dumps(measured(Path(name), step)))


if __name__ == "__main__":
    main()

"""What finding differences costs: CPU seconds and memory of a plan and of writing down what came of it.

    python -m benchmarks.sync [--people 5000000] [--keys 10] [--changed 0.01] [--folder DIR]

Everybody has a user_id, three of five an email too. Half of the keys are traits that everybody has, half audiences that
half of the people are in. The ledger holds what
the first run says; in the second a share of all values and memberships (`--changed`) is another. Nothing is sent: the
account takes every record for delivered. Each measurement is a process.
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

import numpy as np
import polars as pl

from populace import sync
from populace.definitions import Audience, Delivery, Destination, Space, Trait
from populace.lake import runs
from populace.lake.delivery import Ledger
from populace.lake.objects import open_store
from populace.nodes import Event, Exists, Last, Property, Sum
from populace.space import OpenSpace, due

AT = datetime(2026, 5, 4, tzinfo=UTC)
TO = (Delivery("crm"),)
CRM = Destination("crm", "webhook", (("url", "http://127.0.0.1:9/"), ("secret", "s")))


def opened(folder: Path, keys: int) -> OpenSpace:
    """A space with half as many traits, every second of them a sum, and half as many audiences."""
    traits = [
        Trait(f"t{each}", Sum(Event("E"), Property("x")) if each % 2 else Last(Event("E"), Property("x")), "", TO)
        for each in range(keys // 2)
    ]
    audiences = [Audience(f"a{each}", Exists(Property("x")), deliveries=TO) for each in range(keys - keys // 2)]
    definition = Space("dev", folder.as_uri(), traits=tuple(traits), audiences=tuple(audiences), destinations=(CRM,))
    return OpenSpace(definition, open_store(definition.lake, definition.storage))


def publish(space: OpenSpace, number: int, people: int, changed: float) -> None:
    """A run; of the second one a share of everything differs from the first."""
    same, other = np.random.default_rng(7), np.random.default_rng(8)
    profile = pl.select(n=pl.int_range(people)).select(
        profile_id=pl.format("use_{}", (pl.col("n") * 0x9E3779B97F4A7C15).hash().cast(pl.String).str.zfill(20))
    ).get_column("profile_id").sort()  # fmt: skip
    columns = {}
    for trait in space.definition.traits:
        values = same.integers(0, 100_000, people)
        moved = other.random(people) < (changed if number > 1 else 0)
        columns[trait.key] = np.where(moved, values + 1, values)
    members = []
    for audience in space.definition.audiences:
        flipped = other.random(people) < (changed / 2 if number > 1 else 0)
        is_in = (same.random(people) < 0.5) ^ flipped
        members.append(pl.DataFrame({"audience": audience.key, "profile_id": profile.filter(pl.Series(is_in))}))
    row = pl.int_range(pl.len())
    user_ids = pl.DataFrame({"profile_id": profile}).with_columns(
        collection=pl.lit("users"), id_type=pl.lit("user_id"), added_at=pl.lit(AT),
        id_value=pl.format("usr_{}", row.cast(pl.String).str.zfill(9)), message_id=pl.format("ajs-{}", row),
    )  # fmt: skip
    has_email = pl.Series(np.random.default_rng(9).random(people) < 0.6)
    emails = user_ids.filter(has_email).with_columns(
        id_type=pl.lit("email"), id_value=pl.format("{}@mail.example", "id_value")
    )
    ids = pl.concat([user_ids, emails]).sort("profile_id", "id_type")
    run_id = f"run-{number}"
    runs.write(space.lake, run_id, "traits", pl.DataFrame({"profile_id": profile, **columns}))
    runs.write(space.lake, run_id, "memberships", pl.concat(members))
    runs.write(space.lake, run_id, "external_ids", ids)
    runs.publish(space.lake, run_id, f"2026-05-{number:02}T00:00:00Z")


def acknowledge_all(space: OpenSpace) -> None:
    """The ledger after everything of the current run was delivered."""
    ledger = Ledger(space.lake, CRM.name)
    run_id = runs.current(space.lake) or ""
    tables = [runs.table(space.lake, run_id, name) for name in ("external_ids", "traits", "memberships")]
    desired = sync.Desired(sync.identified(tables[0], sync.known(CRM, ("user_id", "email"))), *tables[1:])
    for each in sync.asked(CRM, [*space.definition.traits, *space.definition.audiences], "property"):
        ledger.keep(each, desired.of(each).rows.drop("number").with_columns(at=pl.lit(AT)))


def measured(folder: Path, keys: int) -> dict[str, float]:
    """In this process: CPU seconds of the plan and of the fold, and the largest size after each."""
    space = opened(folder, keys)
    ledger = Ledger(space.lake, CRM.name)
    cpu = time.process_time()
    books = due.opened(ledger, datetime.now(UTC))
    work = due.plan(space, CRM, books, due.origin(space, CRM, ledger))
    told = {"records": work.due.height, "plan_cpu_s": round(time.process_time() - cpu, 1), "plan_gb": _peak()}
    settled = work.due.with_columns(
        pl.lit(value, sync.SETTLED[name]).alias(name)
        for name, value in {"outcome": "delivered", "in_doubt": False, "attempts": 1}.items()
    ).with_columns(pl.lit(None, pl.String).alias(name) for name in ("reason", "sent", "reply"))
    cpu = time.process_time()
    books.fold(settled.select(list(sync.SETTLED)), work.queue, work.letters)
    return told | {"fold_cpu_s": round(time.process_time() - cpu, 1), "peak_gb": _peak()}


def _peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)


def main() -> None:
    """Make the two runs where they are not there, and measure in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sync", description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, default=5_000_000)
    parser.add_argument("--keys", type=int, default=10)
    parser.add_argument("--changed", type=float, default=0.01)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "populace-benchmarks")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        sys.stdout.write(json.dumps(measured(Path(asked.only), asked.keys)) + "\n")
        return
    folder = asked.folder / f"sync-{asked.people}-{asked.keys}-{asked.changed}"
    space = opened(folder, asked.keys)
    if not runs.has(space.lake, "run-2", "external_ids"):
        publish(space, 1, asked.people, asked.changed)
    else:
        (folder / "runs/published/000000000002.json").unlink(missing_ok=True)
    acknowledge_all(space)
    publish(space, 2, asked.people, asked.changed)
    command = [sys.executable, "-m", "benchmarks.sync", "--only", str(folder), "--keys", str(asked.keys)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    sys.stdout.write(json.dumps({"people": asked.people, "keys": asked.keys} | found) + "\n")


if __name__ == "__main__":
    main()

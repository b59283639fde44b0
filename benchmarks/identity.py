"""What identity costs: CPU seconds and memory from sightings to written tables, on made-up people.

    python -m benchmarks.identity [--events 2000000 20000000] [--over 0.01] [--kiosk 1000000] [--folder DIR]

For each number of events there are a tenth as many distinct identifier sets and a twentieth as many people, seen over
60 days. Then the largest once more with a share of people (`--over`) who have more browsers a week than the rules
allow, so that their events are read and walked, and with one browser that very many accounts share (`--kiosk`).
Everything is read from Parquet as a lake holds it and written as a run holds it. Each measurement is a process.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from populace import identity, traits
from populace.definitions import Identifier, Identity, Limit

DAYS, START = 60, datetime(2026, 5, 4, tzinfo=UTC)
DAY, HOUR = 86_400_000_000, 3_600_000_000
VISIT = 5  # events, as in `benchmarks.workload`
RULES = Identity(
    (
        Identifier("user_id", limit=Limit(1)),
        Identifier("email", "trim_lower", limit=Limit(5)),
        Identifier("anonymous_id", limit=Limit(5, timedelta(days=7))),
    ),
    ("^[0-]*$", "-1", "null", "anonymous"),
)
TYPES = ("user_id", "email", "anonymous_id")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many events, which share of people passes a limit, and how many accounts share one browser."""

    events: int
    over: float = 0.0
    kiosk: int = 0

    @property
    def people(self) -> int:
        return self.events // 20


# --- a lake -----------------------------------------------------------------------------------------


def sets(plan: Plan) -> pl.DataFrame:
    """(set, person, ids): two a person on average, {browser} and what the person is known by with a browser."""
    rng = np.random.default_rng(7)
    person = np.arange(plan.people)
    is_known = rng.random(plan.people) < 0.55
    browsers = np.where(rng.random(plan.people) < plan.over, 8, rng.choice([1, 2], plan.people, p=[0.7, 0.3]))
    rows = pl.DataFrame({"person": person, "is_known": is_known, "has_email": rng.random(plan.people) < 0.6})
    each = rows.with_columns(browser=pl.int_ranges(0, pl.Series(browsers))).explode("browser")
    anonymous = pl.col("person") * 16 + pl.col("browser") + (1 << 40)
    known = pl.concat_list(pl.col("person") + 1, anonymous)
    with_email = pl.concat_list(pl.col("person") + 1, pl.col("person") + (1 << 36), anonymous)
    alone = each.select("person", ids=pl.concat_list(anonymous))
    together = each.filter("is_known").select("person", ids=pl.when("has_email").then(with_email).otherwise(known))
    shared = pl.select(person=pl.int_range(plan.kiosk) % plan.people).select(
        "person", ids=pl.concat_list(pl.col("person") + (1 << 38) + pl.int_range(pl.len()), pl.lit(5, pl.Int64))
    )
    return pl.concat([alone, together, shared]).with_row_index("set")


def write(folder: Path, plan: Plan) -> None:
    """Sightings, identifiers, events and custom traits, a file a day."""
    rng = np.random.default_rng(11)
    found = sets(plan)
    number = (pl.col("set").cast(pl.UInt64) * 0x9E3779B97F4A7C15).reinterpret(signed=True)
    told = found.with_columns(sighting=number)
    visits = -(-plan.events // VISIT)
    begins = rng.integers(0, DAYS * DAY - HOUR, visits)
    each = np.repeat(rng.integers(0, told.height, visits), VISIT)[: plan.events]
    when = np.repeat(begins, VISIT)[: plan.events] + rng.integers(0, HOUR, plan.events)
    for day in range(DAYS):
        mine = np.flatnonzero(when // DAY == day)
        events = told[each[mine]].select("sighting", "ids").with_columns(
            timestamp=pl.Series(when[mine]).cast(pl.Duration("us")) + pl.lit(START).cast(pl.Datetime("us", "UTC")),
            message_id=pl.format("ajs-next-{}-4b1f-a0c2-7d3e5f6a8b9c", pl.Series(mine)),
            source=pl.lit("web"),
        ).with_columns(received_at=pl.col("timestamp") + timedelta(seconds=5))  # fmt: skip
        _write_day(folder, day, events)


def _write_day(folder: Path, day: int, events: pl.DataFrame) -> None:
    order = ["timestamp", "received_at", "message_id"]
    firsts = events.sort(order).group_by("sighting", maintain_order=True).agg(
        pl.col("ids").first(), *(pl.col(each).first().alias(f"first_{each}") for each in order), count=pl.len(),
        source=pl.col("source").first(),
    ).with_columns(check=pl.col("sighting").reinterpret(signed=False)).sort("sighting")  # fmt: skip
    seen = firsts.select("first_timestamp", identifier="ids").explode("identifier")
    seen = seen.group_by("identifier").agg(pl.col("first_timestamp").min()).sort("identifier")
    kind = pl.when(pl.col("identifier") >= 1 << 40).then(2).when(pl.col("identifier") == 5).then(2)
    kind = kind.when(pl.col("identifier").is_between(1 << 36, (1 << 38) - 1)).then(1).otherwise(0)
    value = pl.when(kind == 1).then(pl.format("person{}@mail.example", "identifier"))
    uuid = pl.format("{}-4f3a-9c1d-2b7e-5a6d8c9e0f1a", pl.col("identifier"))
    identifiers = seen.with_columns(
        check=pl.col("identifier").cast(pl.UInt64),
        collection=pl.lit("users"),
        id_type=kind.replace_strict(dict(enumerate(TYPES)), return_dtype=pl.String),
        value=value.when(kind == 2).then(uuid).otherwise(pl.format("usr_{}", "identifier")),
        raw_value=pl.lit(None, pl.String),
    )
    calls = events.gather_every(25).select("sighting", *order, "source")
    custom = pl.concat([calls.with_columns(name=pl.lit(name), value=pl.lit('"x"')) for name in ("plan", "city", "age")])
    tables = {"sightings": firsts, "identifiers": identifiers, "custom_traits": custom}
    tables["events"] = events.drop("ids").sort(order)
    for name, frame in tables.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        frame.write_parquet(folder / name / f"{day:02}.parquet", compression="zstd", compression_level=1)


# --- what it costs ----------------------------------------------------------------------------------


def resolved(folder: Path, out: Path) -> dict[str, int]:
    """From the lake's tables to those of a run."""
    scans = {name: pl.scan_parquet(folder / name / "*.parquet") for name in ("sightings", "identifiers", "events")}

    def events(sightings: pl.Series) -> pl.DataFrame:
        return scans["events"].filter(pl.col("sighting").is_in(sightings.implode())).collect(engine="streaming")

    as_of = START + timedelta(days=DAYS)
    found = identity.resolve(scans["sightings"], scans["identifiers"], RULES, as_of, events)
    written = {name: getattr(found, name) for name in ("profiles", "sightings", "external_ids", "merges", "violations")}
    profiles = found.profiles.select("profile_id").with_row_index("profile")
    sightings = found.sightings.lazy().join(profiles.lazy(), on="profile_id").select("sighting", "profile")
    custom = pl.scan_parquet(folder / "custom_traits" / "*.parquet").join(sightings, on="sighting").drop("sighting")
    newest = traits.newest(custom, as_of).sort("profile", "name")
    ids = profiles.get_column("profile_id").gather(newest.get_column("profile"))
    written["custom_traits"] = newest.select(ids, pl.exclude("profile"))
    for name, frame in written.items():
        frame.write_parquet(out / f"{name}.parquet", compression="zstd", compression_level=1)
    return {name: frame.height for name, frame in written.items()}


def measured(folder: Path) -> dict[str, float]:
    """In this process: CPU and wall seconds without imports, and the largest size."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        began, cpu = time.perf_counter(), time.process_time()
        counts = resolved(folder, Path(out))
        told = {"cpu_s": round(time.process_time() - cpu, 2), "wall_s": round(time.perf_counter() - began, 2)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return told | {"peak_gb": round(peak / 1e9, 2)} | counts


def main() -> None:
    """Measure what is asked for, a line of JSON each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identity", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, nargs="+", default=[2_000_000, 20_000_000])
    parser.add_argument("--over", type=float, default=0.01, help="share of people past a limit")
    parser.add_argument("--kiosk", type=int, default=1_000_000, help="accounts that share one browser")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "populace-benchmarks")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        sys.stdout.write(json.dumps(measured(Path(asked.only))) + "\n")
        return
    most = max(asked.events)
    for plan in [*map(Plan, asked.events), Plan(most, over=asked.over), Plan(most, kiosk=asked.kiosk)]:
        folder = asked.folder / f"identity-{plan.events}-{plan.over}-{plan.kiosk}"
        if not (folder / "events" / f"{DAYS - 1:02}.parquet").exists():
            write(folder, plan)
        command = [sys.executable, "-m", "benchmarks.identity", "--only", str(folder)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        sys.stdout.write(json.dumps(asdict(plan) | found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

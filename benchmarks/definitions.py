"""What traits and audiences cost, beside a script written by hand for the same: CPU seconds and memory.

    python -m benchmarks.definitions [--events 20000000] [--folder DIR]

Ten traits and six audiences, one of them a funnel, over made-up events of 60 days: by the engine from their
definitions, and by a polars script that knows them. Then ten audiences and a hundred over the same events. Each
measurement is a process.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from populace import audiences, query, traits
from populace.definitions import Audience, Space, Trait
from populace.space import people

AS_OF, DAYS, DAY = datetime(2026, 9, 1, tzinfo=UTC), 60, 86_400_000_000
SHARES = {"Page Viewed": 9, "Product Viewed": 6, "Product Added": 2.5, "Order Completed": 1.5, "Signed Up": 1}  # of 20
TRAITS = {
    "orders": "event('Order Completed').within(60 days).count()",
    "revenue": "event('Order Completed').sum(property('revenue'))",
    "average_order": "event('Order Completed').avg(property('revenue'))",
    "biggest_order": "event('Order Completed').max(property('revenue'))",
    "coupons": "event('Order Completed').where(property('coupon').exists()).count()",
    "plan": "event('Signed Up').last(property('plan'))",
    "first_page": "event('Page Viewed').first(property('path'))",
    "favourite": "event('Product Viewed').mode(property('category'), 2)",
    "categories": "event('Product Viewed').unique(property('category')).count()",
    "recent_views": "event('Product Viewed').within(7 days).count()",
}
AUDIENCES = {
    "new": "event('Signed Up').within(7 days).count() >= 1",
    "good": "trait('revenue') >= 200 AND trait('orders') >= 2",
    "pricing": "event('Page Viewed').where(property('path').contains('/p1')).within(7 days).count() >= 2",
    "lookers": (
        "event('Product Viewed').within(14 days).count() >= 1 AND event('Order Completed').within(14 days).count() = 0"
    ),
    "abandoned": (
        "event('Product Added').where(event('Order Completed').within(parent: 1 day).count() = 0)"
        ".within(7 days).count() >= 1"
    ),
    "fans": "trait('favourite') = 'c3' AND NOT trait('new') = 'true'",
}


def hundred() -> dict[str, str]:
    """A hundred audiences over the same events, no two alike."""
    found = {}
    for number in range(25):
        days = 2 * number + 2
        found[f"viewed {number}"] = f"event('Product Viewed').within({days} days).count() >= 2"
        found[f"bought {number}"] = f"event('Order Completed').within({days} days).sum(property('revenue')) > 50"
        found[f"page {number}"] = f"event('Page Viewed').where(property('path') = '/p{number}').count() >= 1"
        found[f"added {number}"] = f"event('Product Added').between({days} days, 60 days).count() >= 1"
    return found


# --- events -----------------------------------------------------------------------------------------


def write(folder: Path, events: int) -> None:
    """Event tables as a lake holds them, and whose sets of identifiers are whose."""
    rng = np.random.default_rng(3)
    profiles = events // 20
    people_of = pl.DataFrame(
        {"sighting": np.arange(profiles, dtype=np.int64) * 7919 + 13, "profile": np.arange(profiles)}
    )
    people_of.with_columns(pl.col("profile").cast(pl.UInt32)).write_parquet(folder / "sightings.parquet")
    for number, (name, share) in enumerate(SHARES.items()):
        count = int(events * share / 20)
        when = np.sort(rng.integers(0, DAYS * DAY, count)) + int((AS_OF - timedelta(days=DAYS)).timestamp() * 1e6)
        rows = pl.DataFrame({
            "timestamp": pl.Series(when).cast(pl.Datetime("us", "UTC")),
            "sighting": rng.integers(0, profiles, count) * 7919 + 13,
            "p.path": np.char.add("/p", rng.integers(0, 60, count).astype(str)),
            "p.category": np.char.add("c", rng.integers(0, 12, count).astype(str)),
            "p.plan": np.array(["free", "team", "pro"])[rng.integers(0, 3, count)],
            "p.revenue": np.round(rng.random(count) * 150, 2),
        }).with_columns(
            message_id=pl.format("ajs-next-{}-{}-4b1f-a0c2-7d3e5f6a8b9c", pl.lit(number), pl.int_range(pl.len())),
            received_at=pl.col("timestamp") + timedelta(seconds=5),
            source=pl.lit("web"),
            **{"p.coupon": pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("spring"))},
        )  # fmt: skip
        rows.write_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=1, row_group_size=262_144)


def streams(folder: Path) -> dict[str, pl.LazyFrame]:
    """Events with the numbers of their profiles."""
    whose = pl.scan_parquet(folder / "sightings.parquet")
    return {name: pl.scan_parquet(folder / f"{name}.parquet").join(whose, on="sighting") for name in SHARES}


# --- from definitions -------------------------------------------------------------------------------


def by_engine(folder: Path) -> dict[str, int]:
    """The ten traits and six audiences."""
    return _computed(folder, TRAITS, AUDIENCES)


def by_engine_ten(folder: Path) -> dict[str, int]:
    """Ten of the hundred audiences."""
    return _computed(folder, {}, dict(list(hundred().items())[:10]))


def by_engine_hundred(folder: Path) -> dict[str, int]:
    """A hundred audiences."""
    return _computed(folder, {}, hundred())


def _computed(folder: Path, traits_of: dict[str, str], audiences_of: dict[str, str]) -> dict[str, int]:
    computing = tuple(Trait(key, query.parse_trait(text)) for key, text in traits_of.items())
    defined = tuple(Audience(key, query.parse_audience(text)) for key, text in audiences_of.items())
    definition = Space("s", "file:///lake", traits=computing, audiences=defined, include_anonymous=True)
    whose = pl.read_parquet(folder / "sightings.parquet", columns=["profile"])
    population = whose.with_columns(has_known_id=True)
    custom = pl.DataFrame(schema={"profile": pl.UInt32, "name": pl.String, "value": pl.String})
    queries = {each.key: each.query for each in definition.computed}
    batches = traits.rounds(queries.values(), queries)
    values = people.in_rounds(batches, streams(folder), lambda: (population, custom), definition, AS_OF)
    table = traits.compute(values, computing)
    parts = audiences.Parts(population, values, table, custom)
    found = audiences.evaluate(parts, defined, AS_OF, traits=computing, include_anonymous=True)
    members = dict(found.group_by("audience").len().sort("audience").iter_rows())
    return {key: table.get_column(key).count() for key in traits_of} | members


# --- by hand ----------------------------------------------------------------------------------------


def by_hand(folder: Path) -> dict[str, int]:
    """The same, by somebody who knows polars and these definitions."""
    of, at = streams(folder), pl.col("timestamp")
    ago = {days: AS_OF - timedelta(days=days) for days in (7, 14, 60)}
    order = pl.struct("timestamp", "received_at", "message_id")
    revenue = pl.col("p.revenue").cast(pl.Decimal(38, 6))
    asked = [
        of["Order Completed"].group_by("profile").agg(
            orders=(at >= ago[60]).sum(), orders_14=(at >= ago[14]).sum(), coupons=pl.col("p.coupon").count(),
            revenue=revenue.sum().cast(pl.Float64), average_order=revenue.mean(),
            biggest_order=pl.col("p.revenue").max(),
        ),
        of["Signed Up"].group_by("profile").agg(plan=pl.col("p.plan").max_by(order), new=(at >= ago[7]).any()),
        of["Page Viewed"].group_by("profile").agg(
            first_page=pl.col("p.path").min_by(order),
            pricing=(pl.col("p.path").str.contains("/p1", literal=True) & (at >= ago[7])).sum() >= 2,
        ),
        of["Product Viewed"].group_by("profile").agg(
            recent_views=(at >= ago[7]).sum(), lookers=(at >= ago[14]).any()
        ),
        of["Product Viewed"].group_by("profile", "p.category").len(),
        of["Product Added"].filter(at >= ago[7]).select("profile", "timestamp"),
        of["Order Completed"].filter(at >= ago[7]).select("profile", "timestamp"),
    ]  # fmt: skip
    orders, signed, pages, views, seen, added, bought = pl.collect_all(asked, engine="streaming")
    often = seen.filter((pl.col("len") >= 2) & (pl.col("len") == pl.col("len").max().over("profile")))
    favourite = often.group_by("profile").agg(favourite=pl.col("p.category").min())
    kinds = seen.group_by("profile").agg(categories=pl.len())
    wide = pl.read_parquet(folder / "sightings.parquet", columns=["profile"])
    for each in (orders, signed, pages, views, favourite, kinds, _abandoned(added, bought)):
        wide = wide.join(each, on="profile", how="left")
    new = pl.col("new").fill_null(value=False)
    found = wide.with_columns(
        good=(pl.col("revenue") >= 200) & (pl.col("orders") >= 2),
        lookers=pl.col("lookers") & (pl.col("orders_14").fill_null(0) == 0),
        fans=(pl.col("favourite") == "c3") & ~new,
    )
    zero = ("orders", "coupons", "recent_views")
    values = {key: found.filter(pl.col(key) > 0).height if key in zero else found[key].count() for key in TRAITS}
    return values | {key: found[key].sum() for key in sorted(AUDIENCES)}


def _abandoned(added: pl.DataFrame, bought: pl.DataFrame) -> pl.DataFrame:
    """Whoever added something after which they bought nothing within a day."""
    numbered = added.with_row_index("row")
    pairs = numbered.lazy().join(bought.lazy(), on="profile", suffix="_bought")
    late = pl.col("timestamp") + timedelta(days=1)
    follows = (pl.col("timestamp_bought") > pl.col("timestamp")) & (pl.col("timestamp_bought") <= late)
    followed = pairs.filter(follows).select("row").unique().collect(engine="streaming")
    return numbered.join(followed, on="row", how="anti").select("profile", abandoned=True).unique("profile")


# --- what it costs ----------------------------------------------------------------------------------

WAYS: dict[str, Callable[[Path], dict[str, int]]] = {
    "by hand": by_hand, "engine": by_engine, "ten audiences": by_engine_ten, "a hundred audiences": by_engine_hundred,
}  # fmt: skip


def measured(way: str, folder: Path) -> dict[str, object]:
    """In this process: CPU and wall seconds without imports, and the largest size."""
    began, cpu = time.perf_counter(), time.process_time()
    found = WAYS[way](folder)
    told = {"cpu_s": round(time.process_time() - cpu, 2), "wall_s": round(time.perf_counter() - began, 2)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return told | {"peak_gb": round(peak / 1e9, 2), "found": found}


def main() -> None:
    """Measure every way, a line of JSON each; by hand and by the engine must find the same."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.definitions", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "populace-benchmarks")
    parser.add_argument("--only", choices=WAYS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    folder = asked.folder / f"definitions-{asked.events}"
    if asked.only:
        sys.stdout.write(json.dumps(measured(asked.only, folder)) + "\n")
        return
    if not (folder / "Signed Up.parquet").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, asked.events)
    told = {way: _process(way, asked) for way in WAYS}
    for way, each in told.items():
        sys.stdout.write(json.dumps({"way": way} | each) + "\n")
    if told["by hand"]["found"] != told["engine"]["found"]:
        sys.exit("the script by hand and the engine do not agree")


def _process(way: str, asked: argparse.Namespace) -> dict:
    command = [sys.executable, "-m", "benchmarks.definitions", "--events", str(asked.events), "--only", way]
    command += ["--folder", str(asked.folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()

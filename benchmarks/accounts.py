"""What traits and audiences of accounts cost, beside as many of people over the same events: CPU seconds and memory.

    python -m benchmarks.accounts [--events 20000000] [--accounts 50000] [--folder DIR]

The events are those of `benchmarks.definitions`. Each person is linked to 1.3 accounts on average. Five traits and
five audiences of each kind, as near to each other as their kinds allow. Each measurement is a process, and they
alternate.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.definitions import AS_OF, streams, write
from populace import audiences, query, traits
from populace.definitions import Audience, Level, Space, Trait
from populace.nodes import walk
from populace.space import people
from populace.viewpoints import quantified

TRAITS = {
    "orders": "event('Order Completed').within(60 days).count()",
    "revenue": "event('Order Completed').sum(property('revenue'))",
    "plan": "event('Signed Up').last(property('plan'))",
    "categories": "event('Product Viewed').unique(property('category')).count()",
    "recent_views": "event('Product Viewed').within(7 days).count()",
}
CONDITIONS = {
    "new": "event('Signed Up').within(7 days).count() >= 1",
    "pricing": "event('Page Viewed').where(property('path').contains('/p1')).within(7 days).count() >= 2",
    "lookers": "event('Product Viewed').within(14 days).count() >= 1 AND event('Order Completed').count() = 0",
}
GOOD = "trait('revenue') >= 200 AND trait('orders') >= 2"
OF_PEOPLE = CONDITIONS | {"good": GOOD, "best": "trait('good') = 'true' AND trait('plan') = 'pro'"}
OF_ACCOUNTS = {
    "new": f"ANY ({CONDITIONS['new']})",
    "pricing": f"ALL NOT ({CONDITIONS['pricing']})",
    "lookers": f"NOT ANY ({CONDITIONS['lookers']})",
    "good": GOOD,
    "best": "trait('good') = 'true' AND trait('plan') = 'pro'",
}
NOTHING = pl.DataFrame(schema={"profile": pl.UInt32, "name": pl.String, "value": pl.String})


def link(folder: Path, accounts: int) -> None:
    """(profile, account): everybody in one account, three in ten in another one as well."""
    profiles = pl.read_parquet(folder / "sightings.parquet", columns=["profile"]).get_column("profile")
    rng = np.random.default_rng(5)
    more = profiles.sample(fraction=0.3, seed=5)
    whose = pl.concat([profiles, more])
    numbers = profiles.len() + rng.integers(0, accounts, whose.len())
    links = pl.DataFrame({"profile": whose, "account": pl.Series(numbers).cast(pl.UInt32)})
    links.unique().sort("profile", "account").write_parquet(folder / f"links-{accounts}.parquet")


def computed(folder: Path, accounts: int, level: Level) -> dict[str, int]:
    """The five traits and audiences of one level: how many have each."""
    viewpoint = {"user": "users", "account": "accounts"}[level]
    texts = OF_PEOPLE if level == "user" else OF_ACCOUNTS
    computing = tuple(Trait(key, query.parse_trait(text, viewpoint), level=level) for key, text in TRAITS.items())
    defined = tuple(Audience(key, query.parse_audience(text, viewpoint), level=level) for key, text in texts.items())
    definition = Space("s", "file:///lake", traits=computing, audiences=(), include_anonymous=True)
    links = pl.read_parquet(folder / f"links-{accounts}.parquet")
    numbers = pl.read_parquet(folder / "sightings.parquet", columns=["profile"])
    asked = [term for each in defined for term in quantified(each.query)] if level == "account" else defined
    own = [node for each in asked for node in traits.reducers([getattr(each, "term", getattr(each, "query", None))])]
    of_people = [*own, *(each.query for each in computing if level == "user")]
    values = _values(folder, of_people, definition, links=None)
    if level == "account":
        of_accounts = _values(folder, [each.query for each in computing], definition, links)
        values = pl.concat([values, of_accounts], how="diagonal_relaxed")
    table = traits.compute(values, computing)
    there = links.select(profile="account").unique()
    parts = audiences.Parts(numbers.with_columns(has_known_id=True), values, table, NOTHING)
    about = audiences.Parts(there.with_columns(has_known_id=True), values, table, NOTHING)
    beside = audiences.Accounts(about, links, links.clear())
    found = audiences.evaluate(parts, defined, AS_OF, traits=computing, include_anonymous=True, accounts=beside)
    members = dict(found.group_by("audience").len().sort("audience").iter_rows())
    return {key: table.get_column(key).count() for key in TRAITS} | members


def _values(folder: Path, queries: list, definition: Space, links: pl.DataFrame | None) -> pl.DataFrame:
    batches = traits.rounds(queries, {})
    wanted = {node.name for each in queries for node in walk(each) if hasattr(node, "name")}
    found = {name: each for name, each in streams(folder).items() if name in wanted}
    if links is not None:
        found = {name: each.join(links.lazy(), on="profile").drop("profile") for name, each in found.items()}
        found = {name: each.rename({"account": "profile"}) for name, each in found.items()}
    return people.in_rounds(batches, found, lambda: (NOTHING, NOTHING), definition, AS_OF)


def measured(folder: Path, accounts: int, level: Level) -> dict[str, object]:
    """In this process: CPU and wall seconds without imports, and the largest size."""
    began, cpu = time.perf_counter(), time.process_time()
    found = computed(folder, accounts, level)
    told = {"cpu_s": round(time.process_time() - cpu, 2), "wall_s": round(time.perf_counter() - began, 2)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return told | {"peak_gb": round(peak / 1e9, 2), "found": found}


def main() -> None:
    """Measure both kinds three times each, a line of JSON each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accounts", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--accounts", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "populace-benchmarks")
    parser.add_argument("--only", choices=("user", "account"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    folder = asked.folder / f"definitions-{asked.events}"
    if asked.only:
        sys.stdout.write(json.dumps(measured(folder, asked.accounts, asked.only)) + "\n")
        return
    if not (folder / "Signed Up.parquet").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, asked.events)
    link(folder, asked.accounts)
    for level in ("user", "account") * 3:
        command = [sys.executable, "-m", "benchmarks.accounts", *sys.argv[1:], "--only", level]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        sys.stdout.write(json.dumps({"level": level} | found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

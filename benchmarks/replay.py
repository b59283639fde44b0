"""What a replay costs: CPU and wall seconds, memory, and bytes, on the archives of `benchmarks.workload`.

    python -m benchmarks.replay [--events 2000000] [--layout raw typed json] [--folder DIR] [--again] [--day]

Each archive is replayed into an empty lake, and then once more with nothing new: what that costs is Python, Prefect and
listing, and is taken off where events per CPU second are told. CPU seconds say most, since wall seconds depend on who
else uses the machine. With `--day` the archive then grows by one day. What came out is compared with the archive's
`truth.json`. Prefect's database is made beforehand, by replaying a few events.

This module imports nothing large, and archives are made by another process: Linux counts the largest size of a process
before exec as its child's, so a small parent is needed to measure small children.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POPULACE = [sys.executable, "-c", "from populace.cli import main; main()"]  # as the console script does
SPACE = "bench"
# For each layout what `sources.yaml` calls it, and the folder that holds the folder of the source.
LAYOUTS = {
    "raw": ("raw", None),
    "typed": ("segment_lake", "segment-data/data"),
    "json": ("segment_json", "segment-logs"),
}
DAYS = 60
MEGABYTE = 1_000_000

IDENTITY = """\
identifiers:
  user_id: {}
  email: {normalize: trim_lower}
  anonymous_id: {}
"""
TRAITS = """\
orders: {query: "event('Order Completed').within(60 days).count()"}
revenue: {query: "event('Order Completed').sum(property('revenue'))"}
last_campaign: {query: "event('Page Viewed').last(context('campaign.source'))"}
"""
AUDIENCES = """\
looked_did_not_buy:
  name: Looked, did not buy
  query: |
    event('Product Viewed').within(14 days).count() >= 3
    AND event('Order Completed').within(14 days).count() = 0
saw_the_sale:
  name: Saw the sale
  query: |
    event('Page Viewed').where(context('page.url') = 'https://www.shop.example/sale').count() >= 1
"""

Truth = dict[str, int]  # what must be kept, duplicate and rejected


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and all its children used, how it ended, and what it printed."""

    code: int
    wall: float
    cpu: float
    peak_bytes: int
    printed: str
    told: str


def measured(command: list[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end."""
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as told:
        began = time.perf_counter()
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=printed, stderr=told)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        told.seek(0)
        cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Cost(child.returncode, wall, cpu, peak, printed.read(), told.read())


# --- archives ---------------------------------------------------------------------------------------


def archive(folder: Path, layout: str, events: int, *, again: bool) -> Path:
    """The archive of that size, made if it is not there; a folder without `truth.json` is half an archive."""
    millions, rest = divmod(events, 1_000_000)
    place = folder / f"{layout}-{events if rest else f'{millions}m'}"
    if again or not (place / "truth.json").exists():
        shutil.rmtree(place, ignore_errors=True)
        workload(place, layout, events)
    return place


def workload(place: Path, layout: str, events: int, *more: str) -> Truth:
    """Have the generator write an archive, or a day of one."""
    arguments = [str(place), "--events", str(events), "--layout", layout, "--days", str(DAYS), *more]
    command = [sys.executable, "-m", "benchmarks.workload", *arguments]
    return expected(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def expected(truth: str) -> Truth:
    """What a replay must report for what a `truth.json` describes."""
    found = json.loads(truth)
    return {"kept": found["messages"], "duplicate": found["duplicates"], "rejected": sum(found["bad"].values())}


# --- a space over an archive ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bench:
    """A space of its own over one archive."""

    home: Path
    layout: str
    archive: Path

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    def define(self) -> None:
        """Write its definitions; they have no destinations."""
        name, holder = LAYOUTS[self.layout]
        source = next((self.archive / holder).iterdir()) if holder else self.archive
        folder = self.home / "definitions" / SPACE
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "space": f"space: {SPACE}\nlake: file://{self.lake}\nwindow: 3650 days\n",
            "sources": f'shop: {{archive: "file://{source}", layout: {name}}}\n',
            "identity": IDENTITY,
            "traits": TRAITS,
            "audiences": AUDIENCES,
        }
        for stem, text in files.items():
            (folder / f"{stem}.yaml").write_text(text, encoding="utf-8")

    def replay(self, prefect: Path) -> Cost:
        """Run `populace replay` of this checkout, without a Prefect server."""
        environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        environment |= {"PREFECT_HOME": str(prefect), "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        command = [*POPULACE, "replay", SPACE, "--definitions", str(self.home / "definitions"), "--json"]
        return measured(command, environment)

    def grow(self, events: int) -> Truth:
        """Let one more day arrive: the archive is from then on links to the same files, and the new ones."""
        grown = self.home / "archive"
        shutil.copytree(self.archive, grown, copy_function=os.link)
        more = workload(grown, self.layout, events, "--only-day", str(DAYS))
        Bench(self.home, self.layout, grown).define()
        return more

    def stored(self) -> list[int]:
        """The sizes of all objects in the lake."""
        return [each.stat().st_size for each in self.lake.rglob("*") if each.is_file()]


# --- what is told -----------------------------------------------------------------------------------


def row(bench: Bench, what: str, cost: Cost, empty: Cost | None, truth: Truth, before: int = 0) -> dict[str, str]:
    """A line of the table; `before` is how many of the rows had been read already."""
    told = {"layout": bench.layout, "what": what, "wall s": f"{cost.wall:.1f}", "CPU s": f"{cost.cpu:.1f}"}
    told["peak MB"] = f"{cost.peak_bytes / MEGABYTE:,.0f}"
    if cost.code:
        return told | {"rows": f"failed with {cost.code}"}
    if empty is not None:
        told["rows/CPU s"] = f"{(sum(truth.values()) - before) / max(cost.cpu - empty.cpu, 0.01):,.0f}"
    found = json.loads(cost.printed.splitlines()[0])
    sizes = bench.stored()
    told |= {"objects": f"{len(sizes):,}", "lake MB": f"{sum(sizes) / MEGABYTE:,.0f}"}
    counts = {name: found.get(name) for name in truth}
    told["rows"] = f"{found.get('read'):,} = " + " + ".join(f"{count:,}" for count in counts.values())
    return told | {"truth": "yes" if counts == truth else "no: " + " + ".join(f"{n:,}" for n in truth.values())}


def table(rows: list[dict[str, str]]) -> str:
    """The lines under their headings, numbers to the right."""
    names = ["layout", "what", "wall s", "CPU s", "rows/CPU s", "peak MB", "objects", "lake MB", "rows", "truth"]
    lines = [dict(zip(names, names, strict=True)), *rows]
    widths = {name: max(len(line.get(name, "")) for line in lines) for name in names}
    left = ("layout", "what", "rows", "truth")
    cells = [[f"{line.get(name, ''):{'<' if name in left else '>'}{widths[name]}}" for name in names] for line in lines]
    return "\n".join("  ".join(each).rstrip() for each in cells) + "\n"


def measure(asked: argparse.Namespace, layout: str, work: Path) -> list[dict[str, str]]:
    """Replay one layout: from nothing, with nothing new, and with a day more."""
    place = archive(asked.folder, layout, asked.events, again=asked.again)
    bench = Bench(work / layout, layout, place)
    bench.define()
    truth = expected((place / "truth.json").read_text(encoding="utf-8"))
    first = bench.replay(work / "prefect")
    if first.code:
        sys.stderr.write(first.told[:2000])
        return [row(bench, "all", first, None, truth)]
    empty = bench.replay(work / "prefect")
    rows = [row(bench, "all", first, empty, truth), row(bench, "nothing new", empty, None, truth)]
    if asked.day:
        more = bench.grow(asked.events)
        grown = {name: count + more[name] for name, count in truth.items()}
        rows.append(row(bench, "a day more", bench.replay(work / "prefect"), empty, grown, sum(truth.values())))
    return rows


def warm_up(work: Path) -> None:
    """Make Prefect's database and compile what is not yet compiled."""
    workload(work / "few", "raw", 1000)
    bench = Bench(work / "warm", "raw", work / "few")
    bench.define()
    bench.replay(work / "prefect")


def main() -> None:
    """Measure the layouts that are asked for and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--layout", nargs="+", choices=tuple(LAYOUTS), default=list(LAYOUTS))
    folder = Path(tempfile.gettempdir()) / "populace-benchmarks"
    parser.add_argument("--folder", type=Path, default=folder, help="where archives are kept; default: %(default)s")
    parser.add_argument("--again", action="store_true", help="make archives again that are there")
    parser.add_argument("--day", action="store_true", help="measure what one more day costs, too")
    asked = parser.parse_args()
    asked.folder = asked.folder.resolve()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=asked.folder) as work:
        warm_up(Path(work))
        rows = [each for layout in asked.layout for each in measure(asked, layout, Path(work))]
    sys.stdout.write(table(rows))


if __name__ == "__main__":
    main()

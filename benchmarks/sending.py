"""How long it takes to tell a destination of 100,000 changed people, encoding included; and whether its pace is kept.

    python -m benchmarks.sending [--kinds segment webhook] [--people 100000] [--traits 1 5] [--latency 5]
    python -m benchmarks.sending --paced [--seconds 10]

The vendor is the one of the demo and the tests in a process of its own: it reads every call, checks what it would
check, and takes so many milliseconds to answer. What is measured is what a delivery does between reading the difference
and writing down the outcomes: chunks of records, updates, batches, requests, verdicts. Pacing is off there: how fast a
vendor may be told is another question, which `--paced` answers. It sends requests of one record each at the pace that
the vendor documents, and the vendor says how many came in any one second, and how many on average.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from demo.vendors import server as loopback
from populace.definitions import Bounds
from populace.destinations.protocol import LIST, ListAdapter, Origin
from tasks import http
from tasks.listing import Lists
from tasks.sending import Pace
from tests.contract.conversing import settings as sound
from tests.contract.conversing import updates
from tests.vendors import VENDORS, adapter, id_type

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 20_000  # as a delivery has it
ORIGIN = Origin("bench", "vendor", "run-1", "2026-01-01T00:00:00Z")
KINDS = sorted(set(VENDORS) - {"rolodex"})


def records(kind: str, people: int, traits: int) -> pl.DataFrame:
    """So many traits of each person have changed, or memberships in lists: one row for each of them."""
    person = pl.select(person=pl.int_range(people))
    key = pl.select(trait=pl.int_range(traits))
    rows = person.join(key, how="cross").with_columns(text=pl.format("user-{}", "person"))
    is_list = adapter(kind).ABOUT.forms[0] == LIST
    spelled = {"email": "user-{}@example.org", "phone": "+1800{}"}.get(id_type(kind), "user-{}")
    return rows.select(
        action=pl.lit("set"),
        message_id=pl.format("{}-{}-0123456789abcdef", "text", "trait"),
        kind=pl.lit("audience" if is_list else "trait"),
        key=pl.format("trait_{}", "trait"),
        form=pl.lit(LIST if is_list else "property"),
        profile_id="text",
        id_type=pl.lit(id_type(kind)),
        id_value=pl.format(spelled, pl.col("person") + 10**7),
        value=pl.lit("true") if is_list else pl.format('"value {}"', "person"),
    )


class Served:
    """A vendor in another process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        told = json.loads(process.stdout.readline())
        self.settings: dict[str, str] = told["settings"]
        self.lists = Lists(told["lists"])

    def account(self) -> dict[str, float]:
        """How it was treated; it ends with that."""
        told, _ = self.process.communicate()
        return json.loads(told)


@contextmanager
def vendor(kind: str, latency: float) -> Iterator[Served]:
    """A vendor in another process, for as long as this lasts."""
    command = [sys.executable, "-m", "benchmarks.sending", "--serve", kind, "--latency", str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        yield Served(process)


def serve(kind: str, latency: float) -> None:
    """Be the vendor until standard input ends, and say how it was treated."""
    with loopback.serve(VENDORS[kind]()) as found:
        found.latency, found.rate = latency / 1000, {}  # it counts, and throttles nobody
        # Where no API makes lists, these are made by hand.
        is_made = isinstance(adapter(kind), ListAdapter) or LIST not in adapter(kind).ABOUT.forms
        made = {} if is_made else {key: found.make(key) for key in ("trait_0", "trait_1", "trait_2")}
        sys.stdout.write(json.dumps({"settings": found.settings, "lists": made}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
        # Questions have paces of their own.
        times = sorted(each.at for each in found.calls)
        mean = (len(times) - 1) / max(times[-1] - times[0], 1e-9) if times else 0.0
        sys.stdout.write(json.dumps({"requests": len(times), "mean": round(mean, 1), "fastest": found.fastest()}))


def told(opened: http.Sender, changed: pl.DataFrame) -> dict[str, int]:
    """Send, and count the outcomes."""
    found = Counter[str]()
    with opened:
        for chunk in changed.iter_slices(CHUNK):
            for _, verdicts in opened.send(chunk):
                found.update(each.outcome for each in verdicts)
    return dict(found)


def measured(kind: str, people: int, traits: int, latency: float) -> dict[str, object]:
    """Seconds, CPU seconds of this process, and what came of the records; as fast as can be."""
    changed = records(kind, people, traits)
    with vendor(kind, latency) as served:
        opened = http.Sender(adapter(kind), served.settings, ORIGIN, Pace(), kind=kind, lists=served.lists)
        opened.limits = replace(opened.limits, rates={})
        began, cpu = time.perf_counter(), time.process_time()
        outcomes = told(opened, changed)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        requests = served.account()["requests"]
    about = {"kind": kind, "people": people, "traits": traits, "seconds": round(seconds, 1), "cpu_s": round(used, 1)}
    return {**about, "requests": requests, "records_a_second": round(changed.height / seconds), **outcomes}


def documented(kind: str) -> float:
    """How many requests a second a vendor takes of what is sent here; 0 where nothing is documented."""
    rates = adapter(kind).limits(sound(kind)).rates
    (update,) = updates(kind, records(kind, 1, 1).rows(named=True))
    first = next(adapter(kind).exchange([update], sound(kind), 0))
    return rates.get(first.endpoint, rates.get("", 0.0))


def paced(kind: str, seconds: float, latency: float) -> dict[str, object]:
    """How many requests came a second, on average and at most, beside how many the vendor documents."""
    if not (rate := documented(kind)):
        return {"kind": kind, "documented": None}
    changed = records(kind, max(int(rate * seconds), 2), 1)
    with vendor(kind, latency) as served:
        opened = http.Sender(adapter(kind), served.settings, ORIGIN, Pace(), Bounds(records_per_request=1), kind)
        opened.lists = served.lists
        outcomes = told(opened, changed)
        return {"kind": kind, "documented": rate, **served.account(), **outcomes}


def main() -> None:
    """Measure what is asked for, a line of JSON each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sending", description=__doc__.partition("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--traits", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--latency", type=float, default=5.0, help="milliseconds that an answer takes")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--paced", action="store_true", help="whether the pace that is documented is kept and used")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to keep it")
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.latency)
        return
    for kind in asked.kinds:
        of_people = [partial(measured, kind, asked.people, traits, asked.latency) for traits in asked.traits]
        for each in [partial(paced, kind, asked.seconds, asked.latency)] if asked.paced else of_people:
            sys.stdout.write(json.dumps(each()) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""How long it takes to tell a destination of 100,000 changed people, encoding included.

    python -m benchmarks.sending [--kinds segment webhook] [--people 100000] [--traits 1 5] [--latency 5]

The vendor is the simulator of the tests in a process of its own: it reads every call, checks what it would check, and
takes so many milliseconds to answer. What is measured is what a delivery does between reading the difference and
writing down the outcomes: chunks of records, updates, batches, requests, verdicts.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from populace.definitions import Destination
from populace.destinations.protocol import Origin
from tasks.senders import sender
from tasks.sending import Pace

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 20_000  # as a delivery has it
ORIGIN = Origin("bench", "vendor", "run-1", "2026-01-01T00:00:00Z")
KINDS = ("segment", "webhook")


def settings(kind: str, url: str) -> dict[str, str]:
    """What reaches the simulator of this kind, at the batch size of its documentation."""
    if kind == "segment":
        return {"endpoint": f"{url}/v1", "write_key": "wk-0123456789"}
    return {"url": f"{url}/in", "secret": "correct-horse"}


def records(people: int, traits: int) -> pl.DataFrame:
    """So many traits of each person have changed: one row for each of them."""
    person = pl.select(person=pl.int_range(people))
    key = pl.select(trait=pl.int_range(traits))
    rows = person.join(key, how="cross").with_columns(text=pl.format("user-{}", "person"))
    return rows.select(
        action=pl.lit("set"),
        message_id=pl.format("{}-{}-0123456789abcdef", "text", "trait"),
        kind=pl.lit("trait"),
        key=pl.format("trait_{}", "trait"),
        form=pl.lit("property"),
        profile_id="text",
        id_type=pl.lit("user_id"),
        id_value="text",
        value=pl.format('"value {}"', "person"),
    )


@contextmanager
def vendor(kind: str, latency: float) -> Iterator[str]:
    """The address of a simulator in another process, for as long as this lasts."""
    command = [sys.executable, "-m", "benchmarks.sending", "--serve", kind, "--latency", str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()  # its standard input ends, and so does it


def serve(kind: str, latency: float) -> None:
    """Be the vendor until standard input ends."""
    from demo.vendors.segment import Segment
    from demo.vendors.server import serve
    from demo.vendors.webhook import Receiver

    with serve({"segment": Segment, "webhook": Receiver}[kind](latency=latency / 1000)) as found:
        sys.stdout.write(found.url + "\n")
        sys.stdout.flush()
        sys.stdin.read()


def measured(kind: str, people: int, traits: int, latency: float) -> dict[str, object]:
    """Seconds, CPU seconds of this process, and what came of the records."""
    changed = records(people, traits)
    with vendor(kind, latency) as url:
        node = Destination("vendor", kind, tuple(settings(kind, url).items()))
        began, cpu, outcomes = time.perf_counter(), time.process_time(), dict[str, int]()
        with sender(node, node.options, ORIGIN, Pace(), ROOT) as opened:
            for chunk in changed.iter_slices(CHUNK):
                for _, verdicts in opened.send(chunk):
                    for each in verdicts:
                        outcomes[each.outcome] = outcomes.get(each.outcome, 0) + 1
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    told = {"kind": kind, "people": people, "traits": traits, "seconds": round(seconds, 1), "cpu_s": round(used, 1)}
    return {**told, "records_a_second": round(changed.height / seconds), **outcomes}


def main() -> None:
    """Measure what is asked for, a line of JSON each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sending", description=__doc__.partition("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--traits", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--latency", type=float, default=5.0, help="milliseconds that an answer takes")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.latency)
        return
    for kind in asked.kinds:
        for traits in asked.traits:
            sys.stdout.write(json.dumps(measured(kind, asked.people, traits, asked.latency)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

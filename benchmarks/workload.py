"""A large archive of a made-up web shop, the same events in each of the layouts that Populace reads.

    python -m benchmarks.workload FOLDER --events N --layout raw|typed|json [--days 60] [--names 20] [--seed 7]

How fast a replay is depends on what it reads: how long `context` is, how many event names and properties there are,
how many rows come twice or broken. This is that, as analytics.js and Segment's own archives have it, and it follows
from the arguments alone: every call is drawn as numbers, a field is an expression over these, and a layout is a way to
write fields. A part of a day is made, written and forgotten, so that memory does not grow with the number of events.

raw     `day=YYYY-MM-DD/part-k.parquet`, JSON as text (E-81)
typed   `segment-data/data/SOURCE/segment_type=TABLE/day=YYYY-MM-DD/hr=HH/part-k.parquet`, a column a leaf (E-70 …)
json    `segment-logs/SOURCE/MIDNIGHT/part-k.gz`, a call a line (E-60 to E-62)

`FOLDER/truth.json` says what a replay must find: rows, messages, duplicates, and bad rows by kind. In the typed layout
there are fewer bad rows, since no column can hold what `UNTYPED` names.
"""

import argparse
import gzip
import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks import shop
from benchmarks.shop import DAY, Leaf, Tree

SOURCE = "b3Kq7XwvPzR4"
EPOCH = date(1970, 1, 1)
MINUTE = 60_000
PART_ROWS, GROUP_ROWS, HOURS = 250_000, 131_072, 6  # of a file, of a row group; received hours in one typed file
WEEK = np.array([1.0, 0.95, 0.97, 1.05, 1.1, 0.8, 1.15])
CLOCK = np.cumsum([0, 3, 2, 1, 1, 2, 4, 8, 12, 15, 16, 16, 17, 16, 15, 14, 14, 15, 18, 22, 25, 22, 16, 10, 6]) / 290
CALLS = {"page_viewed": 0.15, "identify": 0.04, "group": 0.01}  # tables that are no track call; shares of all events
TYPES = {"page_viewed": "page", "identify": "identify", "group": "group"}
COPIED = 0.005
VISIT, PAUSE = 5, 40_000  # calls of a visit and milliseconds between them, on average
FAULTS = ("no_ids", "no_message_id", "unknown_type", "array_properties", "truncated_context")
UNTYPED = FAULTS[3:]

# --- the plan: how much happens when ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What an archive follows from. `events` counts calls before some of them arrive twice."""

    events: int
    days: int = 60
    names: int = 20
    seed: int = 7

    @property
    def parts(self) -> int:
        """Files a day: one to three up to 45 million events in 60 days, and never larger ones."""
        return max(1, -(-self.events // (self.days * PART_ROWS)))

    @property
    def people(self) -> int:
        return max(1, self.events // 20)

    def before(self, day: int, part: int) -> int:
        """How many calls are received before this part of a day; goes on beyond the last day."""
        weight = np.append(0, np.cumsum(WEEK[np.arange(max(day, self.days) + 1) % 7]))
        done = weight[day] + (weight[day + 1] - weight[day]) * part / self.parts
        return round(self.events * done / weight[self.days])

    def tables(self) -> dict[str, float]:
        """Every table with its share of all events; track events by their names, the first ones most often."""
        names = [name for name in shop.EVENTS if name not in CALLS]
        names += [f"Feature {number} Used" for number in range(len(names) + 1, self.names + 1)]
        weights = 1 / np.arange(1, self.names + 1)
        shares = weights / weights.sum() * (1 - sum(CALLS.values()))
        return dict(zip(names[: self.names], shares.tolist(), strict=True)) | CALLS


def mixed(numbers: np.ndarray | int, stream: int) -> np.ndarray:
    """Different numbers for different ones, in no visible order: splitmix64 (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        value = np.asarray(numbers, np.uint64) + np.uint64(stream + 1) * np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))


def uuids(numbers: np.ndarray, stream: int) -> pl.Series:
    """A version 4 UUID for each number."""
    halves = np.stack([mixed(numbers, stream), mixed(numbers, stream + 1)], axis=1)
    text = np.full((len(numbers), 36), ord("-"), np.uint8)
    digits = [at for at in range(36) if at not in (8, 13, 18, 23)]
    text[:, digits] = np.frombuffer(halves.tobytes().hex().encode(), np.uint8).reshape(-1, 32)
    text[:, 14], text[:, 19] = ord("4"), ord("a")
    packed = pa.Array.from_buffers(pa.binary(36), len(text), [None, pa.py_buffer(text.tobytes())])
    return pl.Series(pl.from_arrow(packed.cast(pa.binary()).cast(pa.string())))


# --- the calls of a part of a day, as numbers -------------------------------------------------------


def own(plan: Plan, day: int, part: int) -> pl.DataFrame:
    """One row per call first received in this part of a day, bad ones included."""
    first, after = plan.before(day, part), plan.before(day, part + 1)
    rng = np.random.default_rng([plan.seed, day, part])
    low, high = _instants(day, np.array([part, part + 1]) / plan.parts).tolist()
    visit, received = _visits(plan, rng, day, part, count := after - first)
    shares, row = np.array([*plan.tables().values()]), np.arange(first, after)
    person = _who(plan, rng, visit, table := rng.choice(len(shares), count, p=shares / shares.sum()))
    columns = {
        **person,
        "row": row,
        "table": table,
        "message_id": uuids(row, 8 * plan.seed),
        "anonymous_id": uuids(person["device"], 8 * plan.seed + 2),
        "received": (high - 1 - abs(high - 1 - received)).clip(low),
        "high": np.full(count, high),
        "delay": np.exp(rng.normal(8.5, 1, count)).astype(np.int64).clip(1000, 10 * MINUTE),
        "product": (2000 * rng.random(count) ** 1.7).astype(np.int64),
        "page": rng.integers(0, 3000, count),
        "quantity": rng.geometric(0.6, count).clip(1, 9),
        "number": rng.integers(0, 1 << 31, count),
        **{name: rng.random(count) for name in ("campaign", "luck", "fate")},
    }
    return _dressed(pl.DataFrame(columns), plan)


def _visits(plan: Plan, rng: np.random.Generator, day: int, part: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The visit of each call and when the call was received, in that order; calls of a visit follow one another."""
    visit = np.cumsum(rng.random(count) < 1 / VISIT)
    begins = _instants(day, (part + rng.random(count + 1)) / plan.parts)[visit]
    passed = np.cumsum(rng.exponential(PAUSE, count).astype(np.int64))
    received = begins + passed - passed[np.searchsorted(visit, visit)]
    order = np.argsort(received, kind="stable")
    return visit[order], received[order]


def _instants(day: int, shares: np.ndarray) -> np.ndarray:
    """When these shares of a day's calls have been received."""
    hours = np.interp(shares, CLOCK, np.arange(25))
    return ((shop.FIRST_DAY - EPOCH).days + day) * DAY + (hours * (DAY / 24)).astype(np.int64)


def _who(plan: Plan, rng: np.random.Generator, visit: np.ndarray, table: np.ndarray) -> dict[str, np.ndarray]:
    """The person and the browser of each call; of twenty people the first eleven have an account."""
    each, which, signed_in = rng.random((3, len(table) + 1))[:, visit]
    person = (plan.people * each**1.5).astype(np.int64)
    is_account = table >= len(plan.tables()) - 2  # identify and group calls
    person = np.where(is_account, person - person % 20 + person % 11, person)
    browsers = (mixed(person, 1) % np.uint64(3)).astype(np.int64) + 1
    device = person * 3 + (which**2 * browsers).astype(np.int64)
    is_known = is_account | ((person % 20 < 11) & (signed_in < shop.IS_KNOWN / 0.55 - 0.05))
    return {"person": person, "device": device, "is_known": is_known, "made": mixed(device, 2) >> np.uint64(20)}


def _dressed(calls: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """What every layout needs of the envelope, and what is wrong with bad rows."""
    fate, names = pl.col("fate"), list(plan.tables())
    fault = pl.lit(pl.Series(FAULTS)).gather((fate / shop.BAD * len(FAULTS)).cast(pl.Int64).clip(0, len(FAULTS) - 1))
    no_browser = pl.col("is_known") & (pl.col("number") % 50 == 7)  # calls of the shop's server
    calls = calls.with_columns(
        bad=pl.when(fate < shop.BAD).then(fault),
        copies=pl.when(fate >= 1 - COPIED).then((fate >= 1 - COPIED / 2).cast(pl.Int64) + 1).otherwise(0),
        copy=pl.lit(value=False),
        timestamp=pl.col("received") - pl.col("delay"),
        skew=pl.when(pl.col("made") % 20 == 3).then(pl.col("made").cast(pl.Int64) % 400_000 - 200_000).otherwise(0),
        type=pl.lit(pl.Series([TYPES.get(name, "track") for name in names])).gather("table"),
        event=pl.lit(pl.Series([None if name in TYPES else name for name in names])).gather("table"),
        user_id=pl.when("is_known").then(pl.format("usr_{}", pl.col("person") + 100_000)),
        group_id=pl.when(pl.col("table") == len(names) - 1).then(pl.format("co_{}", pl.col("person") % 997)),
        anonymous_id=pl.when(~no_browser).then("anonymous_id"),
    )
    nobody = pl.when((pl.col("bad") == "no_ids").not_().fill_null(value=True))
    return calls.with_columns(
        nobody.then("user_id").alias("user_id"),
        nobody.then("anonymous_id").alias("anonymous_id"),
        message_id=pl.when(pl.col("bad").ne_missing("no_message_id")).then("message_id"),
        type=pl.when(pl.col("bad") == "unknown_type").then(pl.lit("trak")).otherwise("type"),
    )


def _copies(calls: pl.DataFrame, days: int) -> pl.DataFrame:
    """A second copy of some calls, received later in the same part of the same day, or of the next."""
    later = (pl.col("high") - pl.col("received")) * pl.col("luck")
    again = pl.col("received") + later.cast(pl.Int64) + days * DAY
    return calls.filter(pl.col("copies") == days + 1).with_columns(received=again, copy=pl.lit(value=True))


def parts(plan: Plan, days: Iterable[int]) -> Iterator[tuple[date, int, pl.DataFrame]]:
    """The rows of every part of these days, roughly in the order in which they were received."""
    carried: dict[tuple[int, int], pl.DataFrame] = {}
    for day in days:
        for part in range(plan.parts):
            calls = own(plan, day, part)
            late = carried.pop((day, part), None)
            if late is None:
                late = _copies(own(plan, day - 1, part), 1) if day else calls.clear()
            carried[day + 1, part] = _copies(calls, 1)
            rows = pl.concat([calls, _copies(calls, 0), late])
            jitter = pl.col("number") % MINUTE
            rows = rows.sort(pl.col("received") + jitter, "row").with_columns(place=pl.int_range(pl.len()))
            yield shop.FIRST_DAY + timedelta(days=day), part, rows


# --- layouts ----------------------------------------------------------------------------------------

IDS = ("message_id", "type", "event", "user_id", "anonymous_id", "group_id")
INSTANTS = {
    "timestamp": pl.col("timestamp"),
    "received_at": pl.col("received"),
    "sent_at": pl.col("received") + pl.col("skew"),
    "original_timestamp": pl.col("timestamp") + pl.col("skew"),
}
CHANNEL = pl.when(pl.col("anonymous_id").is_null()).then(pl.lit("server")).otherwise(pl.lit("client"))
ALL = pl.when(pl.col("number") % 20 == 7).then(pl.lit(value=True))  # integrations.All


def texts(rows: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """The columns of the raw layout, instants as milliseconds; and `bad`."""
    found = [_texts_of(rows.filter(pl.col("table") == number), name) for number, name in enumerate(plan.tables())]
    bad = pl.col("bad").fill_null("")
    return pl.concat(found).sort("place").with_columns(
        context=pl.when(bad == "truncated_context").then(pl.col("context").str.head(200)).otherwise("context"),
        properties=pl.when(bad == "array_properties").then(pl.lit('["Kettle",2]')).otherwise("properties"),
    )  # fmt: skip


def _texts_of(calls: pl.DataFrame, table: str) -> pl.DataFrame:
    absent = pl.lit(None, dtype=pl.String)
    told = {name: shop.as_json(tree) for name, tree in shop.contents(table).items()}
    objects = {name: told.get(name, absent) for name in ("context", "properties", "traits")}
    integrations = pl.when(ALL).then(pl.lit('{"All":true}')).otherwise(pl.lit("{}"))
    more = {"previous_id": absent, **INSTANTS, **objects, "integrations": integrations}
    return calls.select(*IDS, **more, channel=CHANNEL, bad="bad", place="place")


def write_raw(
    folder: Path, day: date, part: int, rows: pl.DataFrame, plan: Plan, *, text_instants: bool = False
) -> None:
    """One Parquet file with JSON as text."""
    written = texts(rows, plan).drop("channel", "bad", "place")
    spelled = shop.iso_text if text_instants else shop.instant
    target = _place(folder / f"day={day}" / f"part-{part}.parquet")
    written = written.with_columns(spelled(pl.col(name)).alias(name) for name in INSTANTS)
    written.write_parquet(target, compression="zstd", row_group_size=GROUP_ROWS)


def write_typed(folder: Path, day: date, part: int, rows: pl.DataFrame, plan: Plan) -> None:
    """For each table a Parquet file for every six hours of receipt; every file has all columns of its table."""
    rows = rows.filter(pl.col("bad").is_in(UNTYPED).not_().fill_null(value=True))
    hour = (pl.col("received") % DAY // (HOURS * 3_600_000) * HOURS).alias("hr")
    for number, name in enumerate(plan.tables()):
        columns = [column for prefix, tree in shop.contents(name).items() for column in shop.flattened(tree, prefix)]
        more = {each: shop.instant(value) for each, value in INSTANTS.items()} | {
            "channel": CHANNEL,
            "version": pl.lit("2"),
        }
        calls = rows.filter(pl.col("table") == number).select(*IDS, *columns, hour, integrations_All=ALL, **more)
        place = folder / f"segment-data/data/{SOURCE}/segment_type={name.lower().replace(' ', '_')}/day={day}"
        for (hr,), some in calls.partition_by("hr", as_dict=True, include_key=False).items():
            some.write_parquet(_place(place / f"hr={hr:02}" / f"part-{part}.parquet"), compression="snappy")


LINE: Tree = {
    "type": Leaf("word", pl.col("type")),
    "userId": Leaf("json", pl.format('"{}"', "user_id").fill_null("null")),
    "messageId?": Leaf("word", pl.col("message_id")),
    "anonymousId?": Leaf("word", pl.col("anonymous_id")),
    "groupId?": Leaf("word", pl.col("group_id")),
    "event?": Leaf("word", pl.col("event")),
    "context": Leaf("json", pl.col("context")),
    "properties?": Leaf("json", pl.col("properties")),
    "traits?": Leaf("json", pl.col("traits")),
    "integrations": Leaf("json", pl.col("integrations")),
    "channel": Leaf("word", pl.col("channel")),
    "version": Leaf("int", pl.lit(2)),
    "timestamp": Leaf("instant", pl.col("timestamp")),
    "receivedAt": Leaf("instant", pl.col("received_at")),
    "sentAt": Leaf("instant", pl.col("sent_at")),
    "originalTimestamp": Leaf("instant", pl.col("original_timestamp")),
}


def write_json(folder: Path, day: date, part: int, rows: pl.DataFrame, plan: Plan) -> None:
    """One gzip file, a call a line; a call with a truncated context ends there, and so does its line."""
    line = pl.when(pl.col("bad").eq_missing("truncated_context")).then(pl.col("line").str.head(300)).otherwise("line")
    lines = texts(rows, plan).select(shop.as_json(LINE).alias("line"), "bad").select(line)
    lines.write_csv(buffer := BytesIO(), include_header=False, quote_style="never")
    midnight = (day - EPOCH).days * DAY
    target = _place(folder / f"segment-logs/{SOURCE}/{midnight}/part-{part}.gz")
    target.write_bytes(gzip.compress(buffer.getbuffer(), 5, mtime=0))


def _place(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


# --- an archive -------------------------------------------------------------------------------------

Writer = Callable[[Path, date, int, pl.DataFrame, Plan], None]
WRITERS: dict[str, Writer] = {
    "raw": write_raw,
    "raw-text": partial(write_raw, text_instants=True),
    "typed": write_typed,
    "json": write_json,
}
TOGETHER = 2  # parts written while the next one is drawn


def write(folder: Path, plan: Plan, layout: str, days: Iterable[int] | None = None) -> dict[str, Any]:
    """Write an archive, or only some of its days, and say what it holds.

    Parameters
    ----------
    folder
        Where to; files of the same names are replaced.
    layout
        A key of `WRITERS`.
    days
        Numbers of days, the first is 0; those after the plan's last one go on like it. Default: the plan's.

    Returns
    -------
    What a replay must find: `rows`, and of these `messages` (distinct good ones), `duplicates`, and `bad` by kind.
    """
    counted: Counter[str] = Counter()
    pending: deque[Future[None]] = deque()
    with ThreadPoolExecutor(TOGETHER) as pool:
        for day, part, rows in parts(plan, range(plan.days) if days is None else days):
            pending.append(pool.submit(WRITERS[layout], folder, day, part, rows, plan))
            counted.update(_outcomes(rows, layout))
            if len(pending) > TOGETHER:
                pending.popleft().result()
    for each in pending:
        each.result()
    return {"layout": layout, "plan": asdict(plan), "rows": counted.total(), **_truth(counted)}


def _truth(counted: Counter[str]) -> dict[str, Any]:
    bad = {name: counted[name] for name in FAULTS if counted[name]}
    return {name: counted[name] for name in ("messages", "duplicates")} | {"bad": bad}


def _outcomes(rows: pl.DataFrame, layout: str) -> dict[str, int]:
    good = pl.when("copy").then(pl.lit("duplicates")).otherwise(pl.lit("messages"))
    counts = rows.group_by(pl.coalesce("bad", good)).len().rows()
    return {name: count for name, count in counts if layout != "typed" or name not in UNTYPED}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workload", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, required=True, help="calls, before some of them arrive twice")
    parser.add_argument("--layout", choices=("raw", "typed", "json"), required=True)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--names", type=int, default=20, help="names of track events")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--text-instants", action="store_true", help="raw: instants as ISO 8601 text")
    parser.add_argument("--only-day", type=int, metavar="N", help="add day N to an archive; the first is 0")
    return parser.parse_args()


def main() -> None:
    """Write an archive and its `truth.json`, or one day more; prints the truth of what was written."""
    asked = _arguments()
    plan = Plan(asked.events, asked.days, asked.names, asked.seed)
    layout = "raw-text" if asked.text_instants and asked.layout == "raw" else asked.layout
    if asked.only_day is not None:
        sys.stdout.write(json.dumps(write(asked.folder, plan, layout, [asked.only_day])) + "\n")
        return
    if asked.folder.exists() and any(asked.folder.iterdir()):
        sys.exit(f"{asked.folder} is not empty; name another folder, or remove it")
    truth = json.dumps(write(asked.folder, plan, layout))
    (asked.folder / "truth.json").write_text(truth + "\n", encoding="utf-8")
    sys.stdout.write(truth + "\n")


if __name__ == "__main__":
    main()

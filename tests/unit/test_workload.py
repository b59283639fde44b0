"""The benchmarks' archives: equal for equal arguments, the same events in every layout, and as their truth says."""

import gzip
import json
from collections import Counter
from datetime import datetime, timedelta

import polars as pl
import pytest

from benchmarks import workload
from benchmarks.workload import Plan

PLAN = Plan(events=6000, days=3, names=22, seed=7)  # of this seed there is something of everything
IDS = {"userId": "user_id", "anonymousId": "anonymous_id", "groupId": "group_id", "messageId": "message_id"}
INSTANTS = {"receivedAt": "received_at", "sentAt": "sent_at", "originalTimestamp": "original_timestamp"}
OBJECTS = ("context", "properties", "traits", "integrations")


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return {name: (folder / name, workload.write(folder / name, PLAN, name)) for name in workload.WRITERS}


def iso(value):
    return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}Z" if isinstance(value, datetime) else value


def parsed(text):
    try:
        return json.loads(text or "{}")
    except ValueError:
        return None


def raw(folder):
    """Rows of a raw archive, in the order of the files, with parsed JSON."""
    for file in sorted(folder.rglob("*.parquet")):
        for row in pl.read_parquet(file).drop("previous_id").iter_rows(named=True):
            yield {name: parsed(value) if name in OBJECTS else iso(value) for name, value in row.items()}


def lines(folder):
    """Calls of a JSON archive, named as in the raw layout; None for a line that cannot be read."""
    for file in sorted(folder.rglob("*.gz")):
        for line in gzip.decompress(file.read_bytes()).decode().splitlines():
            call = parsed(line)
            yield call and {(IDS | INSTANTS).get(name, name): value for name, value in call.items()}


def typed(folder):
    for file in folder.rglob("*.parquet"):
        for row in pl.read_parquet(file).iter_rows(named=True):
            yield {name: iso(value) for name, value in row.items() if value is not None}


def flat(value, name):
    """An object as the columns of the typed layout; a list is its JSON."""
    if isinstance(value, dict):
        return {path: leaf for key, below in value.items() for path, leaf in flat(below, f"{name}_{key}").items()}
    if isinstance(value, list):
        return {name: json.dumps(value, separators=(",", ":"), ensure_ascii=False)}
    return {} if value is None else {name: value}


def flattened(row):
    return {path: value for name, each in row.items() for path, value in flat(each, name).items()}


def by_message(rows):
    """Good rows, by message and arrival; what only some layouts say is left out."""
    left_out = ("channel", "version")
    good = [row for row in rows if row and fault(row) is None]
    keyed = {(row["message_id"], row["received_at"]): row for row in good}
    assert len(keyed) == len(good)
    return {key: {name: value for name, value in row.items() if name not in left_out} for key, row in keyed.items()}


def fault(row):
    if row.get("message_id") is None:
        return "no_message_id"
    if row["type"] not in ("track", "page", "identify", "group"):
        return "unknown_type"
    if row.get("user_id") is None and row.get("anonymous_id") is None:
        return "no_ids"
    if row.get("context", {}) is None:
        return "truncated_context"
    return "array_properties" if isinstance(row.get("properties", {}), list) else None


def test_equal_arguments_make_equal_files_whatever_days_are_written(archives, tmp_path):
    for layout, (folder, _) in archives.items():
        workload.write(tmp_path / layout, PLAN, layout, days=[1])
        again = [file.relative_to(tmp_path / layout) for file in (tmp_path / layout).rglob("part-*")]
        assert again
        assert [at for at in again if (tmp_path / layout / at).read_bytes() != (folder / at).read_bytes()] == []


def test_another_seed_makes_other_messages(archives, tmp_path):
    workload.write(tmp_path, Plan(PLAN.events, PLAN.days, PLAN.names, seed=2), "raw", days=[0])
    ours = {row["message_id"] for row in raw(archives["raw"][0])} - {None}
    assert not ours & {row["message_id"] for row in raw(tmp_path)}


@pytest.mark.parametrize("layout", ["raw", "raw-text"])
def test_the_truth_counts_messages_duplicates_and_bad_rows(archives, layout):
    folder, truth = archives[layout]
    rows = list(raw(folder))
    messages = Counter(row["message_id"] for row in rows if fault(row) is None)
    assert truth["rows"] == len(rows) == PLAN.events + truth["duplicates"]
    assert truth["messages"] == len(messages)
    assert truth["duplicates"] == messages.total() - len(messages) > 0
    assert truth["bad"] == Counter(fault(row) for row in rows if fault(row))
    assert set(truth["bad"]) == set(workload.FAULTS)


def test_other_layouts_count_the_same_less_what_they_cannot_hold(archives):
    told = {layout: truth | {"layout": ""} for layout, (_, truth) in archives.items()}
    assert told["json"] == told["raw-text"] == told["raw"]
    holdable = {name: count for name, count in told["raw"]["bad"].items() if name not in workload.UNTYPED}
    lost = sum(told["raw"]["bad"].values()) - sum(holdable.values())
    assert told["typed"] == told["raw"] | {"bad": holdable, "rows": told["raw"]["rows"] - lost}
    assert len(list(typed(archives["typed"][0]))) == told["typed"]["rows"]
    assert list(lines(archives["json"][0])).count(None) == told["json"]["bad"]["truncated_context"]


def test_json_lines_say_what_raw_rows_say(archives):
    rows, told = by_message(raw(archives["raw"][0])), by_message(lines(archives["json"][0]))
    assert {key: flattened(row) for key, row in told.items()} == {key: flattened(row) for key, row in rows.items()}
    assert by_message(raw(archives["raw-text"][0])) == rows


def test_typed_columns_say_what_raw_rows_say(archives):
    rows, columns = by_message(raw(archives["raw"][0])), by_message(typed(archives["typed"][0]))
    assert set(rows) == set(columns)
    odd = 0
    for key, row in rows.items():
        told, found = flattened(row), columns[key]
        for name, value in told.items():
            if type(found.get(name)) is int and isinstance(value, str):
                told[name], odd = int(value), odd + 1
        assert told == found
    assert odd > 0


def test_copies_are_received_later_on_the_same_day_or_the_next(archives):
    arrivals = {}
    for row in sorted(by_message(raw(archives["raw"][0])).values(), key=lambda row: row["received_at"]):
        arrivals.setdefault(row["message_id"], []).append(datetime.fromisoformat(row["received_at"]))
    days = {
        (late.date() - first.date()) // timedelta(days=1) for first, *copies in arrivals.values() for late in copies
    }
    assert days == {0, 1}


def test_rows_lie_where_they_were_received(archives):
    for layout, name in (("raw", "day={:%Y-%m-%d}"), ("typed", "day={:%Y-%m-%d}")):
        for file in archives[layout][0].rglob("*.parquet"):
            received = pl.read_parquet(file, hive_partitioning=False)["received_at"]
            assert {name.format(each) for each in received} <= set(file.parts)


def test_a_day_more_goes_on_where_the_archive_ends(archives, tmp_path):
    truth = workload.write(tmp_path, PLAN, "raw", days=[PLAN.days])
    before = {row["message_id"] for row in raw(archives["raw"][0])} - {None}
    late = [row for row in by_message(raw(tmp_path)).values() if row["message_id"] in before]
    assert 2100 < truth["messages"] < 2220
    assert 0 < len(late) <= truth["duplicates"]


def test_parts_cover_all_calls_once():
    plan = Plan(events=1_000_003, days=2, names=3)
    edges = [plan.before(day, part) for day in range(2) for part in range(plan.parts)]
    assert plan.parts == 3
    assert edges == sorted(set(edges))
    assert (edges[0], plan.before(1, plan.parts), plan.before(0, plan.parts)) == (0, plan.events, plan.before(1, 0))

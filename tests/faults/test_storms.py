"""The object store across a network that fails: errors, cut answers, stalls and resets change no byte, no outcome."""

import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from populace.definitions import Storage
from populace.errors import LakeError
from populace.lake import objects, runs
from populace.lake.objects import Store, open_store
from tests.faults.storms import CALM, KINDS, Plan, Storm, storm
from tests.integration import conftest as servers

pytestmark = pytest.mark.faults

s3_endpoint, s3 = servers.s3_endpoint, servers.s3

SEED = 20_260_901
THREADS = 4
STALL = 0.1  # seconds, for two
EACH = {
    "error": Plan(error=0.1),
    "slow_down": Plan(slow_down=0.04),  # few: botocore pauses longer where the store asks for it
    "cut": Plan(cut=0.15),
    "stall": Plan(stall=0.1),
    "reset": Plan(reset=0.1),
    "lost": Plan(lost=0.15),
}
ALL = Plan(error=0.03, slow_down=0.01, cut=0.03, stall=0.03, reset=0.02, lost=0.03)


@pytest.fixture
def weather(s3) -> Iterator[Storm]:
    """A proxy before the store, calm until a test says otherwise."""
    with storm(s3.endpoint) as found:
        yield found


@pytest.fixture
def direct(s3) -> Store:
    return open_store(f"s3://{s3.bucket}/lake", Storage(s3.endpoint))


@pytest.fixture
def store(s3, weather) -> Store:
    """The same objects through the proxy."""
    return open_store(f"s3://{s3.bucket}/lake", Storage(weather.url))


def brewed(plan: Plan) -> Plan:
    return replace(plan, seed=SEED, seconds=STALL)


def each(call: Callable[..., Any], *arguments: Any) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, *arguments))


def body(number: int) -> bytes:
    """Nothing, a few bytes or many."""
    return random.Random(number).randbytes((0, 1, 300, 70_000)[number % 4])


def paths(store: Store, prefix: str) -> list[str]:
    return [found.path for found in store.list(prefix)]


# --- each mischief alone, and all together -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*EACH, "all"])
def test_whatever_befalls_it_every_byte_and_every_outcome_is_right(kind, weather, store, direct, tmp_path):
    weather.plan = brewed(ALL if kind == "all" else EACH[kind])
    numbers = range(32 if kind != "all" else 100)
    named = [f"a/{number:04}" for number in numbers]
    each(store.replace, named, map(body, numbers))
    assert each(direct.read, named) == each(store.read, named) == [body(number) for number in numbers]
    assert store.list("a/") == direct.list("a/")
    assert paths(store, "a/") == named
    each(store.delete, named[::2])
    assert paths(direct, "a/") == paths(store, "a/") == named[1::2]

    rivals = [number // 4 for number in numbers]  # four at each object, with equal bytes
    created = each(store.create, [f"c/{number:04}" for number in rivals], [b"mine"] * len(rivals))
    assert [sum(created[at : at + 4]) for at in numbers[::4]] == [1] * (len(rivals) // 4)

    large = random.Random(SEED).randbytes(10_000_000)  # two parts
    (tmp_path / "large").write_bytes(large)
    store.put_file("large", tmp_path / "large")
    with store.open("large", ahead=2**20) as file:
        assert b"".join(iter(lambda: file.read(100_000), b"")) == large
    assert direct.read("large") == store.read("large") == large

    expected = [kind] if kind != "all" else EACH
    assert all(weather.done[name] >= 3 for name in expected), weather.done
    assert weather.done.keys() <= {"", *expected}


@pytest.mark.parametrize("kind", [*EACH, "all"])
def test_tables_are_scanned_whole(kind, weather, store, direct):
    """polars has a client of its own, which asks again for what fails and for the rest of what is cut."""
    small = pl.DataFrame({"n": range(50), "t": [f"x{number}" for number in range(50)]})
    named = [f"t/{number:03}.parquet" for number in range(24 if kind != "all" else 200)]
    each(lambda path: objects.write_table(direct, path, small), named)
    large = pl.DataFrame({f"c{column}": pl.int_range(200_000, eager=True).shuffle(column) for column in range(6)})
    objects.write_table(direct, "large.parquet", large)
    weather.plan = brewed(ALL if kind == "all" else EACH[kind])
    found = objects.scan(store, *named).select(pl.len(), pl.sum("n")).collect()
    assert found.row(0) == (len(named) * 50, len(named) * 1225)
    assert_frame_equal(objects.scan(store, "large.parquet").select("c1", "c4").collect(), large.select("c1", "c4"))
    assert weather.done.keys() > {""}


# --- listing -------------------------------------------------------------------------------------------------------


def test_a_long_listing_is_whole(weather, store, direct):
    """A page that comes without its body is no page without objects."""
    named = [f"{number:02}" for number in range(60)]
    each(direct.replace, named, [b""] * len(named))
    shorter = {"MaxKeys": 5}
    store.client.meta.events.register("provide-client-params.s3.ListObjectsV2", lambda params, **_: params | shorter)
    weather.plan = brewed(Plan(cut=0.2))
    for _ in range(10):
        assert paths(store, "") == named
    assert weather.done[""] >= 10 * len(named) / 5
    assert weather.done["cut"] > 15


# --- creating once -------------------------------------------------------------------------------------------------


def test_an_object_whose_answer_was_lost_is_ours(weather, store):
    weather.plan = Plan(lost=1, most=1)
    assert store.create("a", b"1") is True
    weather.plan = CALM
    assert store.create("a", b"1") is False
    weather.plan = Plan(lost=1, most=1)
    assert store.create("a", b"1") is False


def test_a_conflict_with_another_writer_passes(weather, store):
    weather.plan = Plan(conflict=1, most=2)
    assert store.create("a", b"1") is True
    assert store.create("a", b"1") is False


def test_where_no_answer_ever_comes_nobody_says_whose_it_is(s3, weather, store):
    with storm(s3.endpoint, Plan(lost=1, most=10**6)) as deaf:
        unheard = open_store(store.root, Storage(deaf.url))
        with pytest.raises(LakeError, match="check the endpoint and the network"):
            unheard.create("a", b"1")
    assert store.read("a") == b"1"


@pytest.mark.parametrize("kind", ["lost", "error"])
def test_publishers_win_one_number_each(kind, weather, store, s3):
    weather.plan = brewed(Plan(**{kind: 0.25}))
    stores = [open_store(store.root, Storage(weather.url)) for _ in range(THREADS)]
    names = [f"run-{number}" for number in range(THREADS)]
    assert each(lambda at, name: runs.publish(at, name, "2024-03-31"), stores, names) == [True] * THREADS
    pointers = [objects.read_json(store, path) for path in paths(store, runs.POINTERS)]
    assert [pointer["number"] for pointer in pointers] == list(range(1, THREADS + 1))
    assert sorted(pointer["run_id"] for pointer in pointers) == names


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_table_is_read_from_a_file_with_few_requests(weather, store, direct):
    frame = pl.DataFrame({f"c{column}": pl.int_range(400_000, eager=True).shuffle(column) for column in range(8)})
    objects.write_table(direct, "t.parquet", frame)  # two row groups
    with store.open("t.parquet") as file:
        found = pq.ParquetFile(file).read(columns=["c2", "c5"])
    assert_frame_equal(pl.from_arrow(found), frame.select("c2", "c5"))
    assert weather.requests <= 6  # its size and version, the footer, and each column of each row group
    weather.plan = brewed(Plan(error=0.15, cut=0.3, reset=0.1))
    with store.open("t.parquet", ahead=2**18) as file:
        assert_frame_equal(pl.from_arrow(pq.ParquetFile(file, pre_buffer=False).read()), frame)
    assert weather.requests - weather.done[""] >= 5


@pytest.mark.parametrize("later", [b"b" * 100, b"b" * 10, None], ids=["as long", "shorter", "gone"])
def test_a_file_that_changes_while_it_is_read_is_an_error(later, store):
    store.replace("a", b"a" * 100)
    with store.open("a", ahead=10) as file:
        assert file.read(20) == b"a" * 20
        if later is None:
            store.delete("a")
        else:
            store.replace("a", later)
        with pytest.raises(LakeError, match="a: changed while it was read"):
            file.read(20)


def test_a_missing_object_cannot_be_opened(store):
    with pytest.raises(LakeError, match="nothing: there is no such object"):
        store.open("nothing")


@pytest.mark.parametrize("kind", ["lost", "cut"])
def test_a_file_is_put_whatever_becomes_of_the_answers(kind, weather, store, direct, tmp_path):
    """The answer that names the upload, and the one that says that it is complete, are bodies too."""
    parts = random.Random(SEED).randbytes(9_000_000)
    (tmp_path / "parts").write_bytes(parts)
    for seed in range(3, 7):
        weather.plan = replace(brewed(Plan(**{kind: 0.4}, most=3)), seed=seed)
        store.put_file(f"{seed}", tmp_path / "parts")
        assert direct.read(f"{seed}") == parts
    assert weather.done[kind] >= 1


def test_an_empty_object_and_a_small_file(store, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    store.put_file("empty", tmp_path / "empty")
    assert store.read("empty") == store.open("empty").read() == b""


# --- giving up -----------------------------------------------------------------------------------------------------

CALLS = {
    "list": lambda store: store.list(),
    "read": lambda store: store.read("a"),
    "open": lambda store: store.open("a").read(),
    "replace": lambda store: store.replace("a", b"2"),
    "create": lambda store: store.create("b", b"2"),
    "delete": lambda store: store.delete("a"),
}


@pytest.mark.parametrize(
    ("kind", "call"),
    [("reset", "read"), ("error", "create")],
)
def test_what_never_ends_is_an_error_with_a_remedy(kind, call, weather, store):
    store.replace("a", b"1")
    weather.plan = Plan(**{kind: 1}, most=10**6)
    start = time.monotonic()
    with pytest.raises(LakeError, match=r"s3://.*(check the endpoint|try again later)"):
        CALLS[call](store)
    assert time.monotonic() - start < 15


@pytest.mark.parametrize("call", ["list", "read", "open"])
def test_what_is_always_cut_is_an_error_with_a_remedy(call, weather, store):
    store.replace("a", b"1")
    weather.plan = Plan(cut=1, most=10**6)
    with pytest.raises(LakeError, match="cut short; check the network"):
        CALLS[call](store)


@pytest.mark.parametrize("call", [name for name in CALLS if name != "open"])
def test_what_cannot_get_better_is_said_at_once(call, s3, store):
    missing = open_store(f"s3://{s3.bucket}-not/x", store.storage)
    assert missing.client  # boto3 takes its time to start
    start = time.monotonic()
    with pytest.raises(LakeError, match="the bucket does not exist"):
        CALLS[call](missing)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_a_refusal_that_is_cut_is_no_other_answer(seed, s3, weather):
    """Without its body, the answer that there is no such bucket is the one that there is no such object."""
    weather.plan = Plan(cut=0.7, most=2, seed=seed)
    missing = open_store(f"s3://{s3.bucket}-not/x", Storage(weather.url))
    with pytest.raises(LakeError, match="the bucket does not exist"):
        missing.read(f"{seed}")


@pytest.mark.skipif(not os.environ.get("S3_ENDPOINT_URL"), reason="moto takes any credentials")
@pytest.mark.parametrize("call", CALLS)
def test_wrong_credentials_are_said_at_once(call, store, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert store.client  # boto3 takes its time to start
    start = time.monotonic()
    with pytest.raises(LakeError, match=r"AWS_SECRET_ACCESS_KEY|access is denied"):
        CALLS[call](store)
    assert time.monotonic() - start < 1


# --- the proxy itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_strikes_its_share_of_requests_and_the_same_ones_again(kind):
    plan = brewed(Plan(**{kind: 0.1}))
    drawn = [plan.draw("GET", f"/{number}", 0) for number in range(5_000)]
    assert {name for name, _ in drawn} == {"", kind}
    assert 400 < sum(name == kind for name, _ in drawn) < 600
    assert all(0 <= where < 1 for _, where in drawn)
    assert drawn == [plan.draw("GET", f"/{number}", 0) for number in range(5_000)]
    assert drawn != [replace(plan, seed=1).draw("GET", f"/{number}", 0) for number in range(5_000)]

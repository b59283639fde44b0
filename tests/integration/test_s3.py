"""The lake and the archive in S3: the same tables as on a disk, one winner a number, objects with odd names."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from populace.definitions import Storage
from populace.errors import ArchiveError, LakeError
from populace.lake import ledger, objects, runs
from populace.lake.objects import Store, open_store
from populace.space import views
from populace.space.schemas import RUN
from tasks.delivery import Ways, deliver
from tests import driving
from tests.companies import AS_OF, Company, write_archive

PUBLISHERS, ROUNDS = 8, 5
ODD = ["a b.txt", "ä/ö ü.txt", "x=1/y=2.txt", "100%.txt", "a+b&c?d#e.txt", "~!'(),;@$.txt", "*[0-9].txt", "日本.txt"]


@pytest.fixture(params=["file", "s3"])
def store(request, tmp_path) -> Store:
    """An empty store below a prefix, on a disk and in S3."""
    if request.param == "file":
        return open_store((tmp_path / "lake" / "x").as_uri(), Storage())
    bucket = request.getfixturevalue("s3")
    return open_store(f"s3://{bucket.bucket}/lake/x", Storage(bucket.endpoint))


def paths(store: Store, prefix: str = "") -> list[str]:
    return [each.path for each in store.list(prefix)]


# --- objects -------------------------------------------------------------------------------------------------------


def test_what_is_put_is_read_until_it_is_removed(store):
    assert store.read("a/b.json") is None
    assert store.list() == []
    store.replace("a/b.json", b"1")
    assert store.read("a/b.json") == b"1"
    store.replace("a/b.json", b"")
    assert store.read("a/b.json") == b""
    store.delete("a/b.json")
    store.delete("a/b.json")
    assert store.read("a/b.json") is None
    assert store.list() == []


def test_listed_are_the_objects_that_begin_with_the_prefix(store):
    for path in ("b", "a/2", "a/1", "ab/1", "a-1"):
        store.replace(path, path.encode())
    assert paths(store) == ["a-1", "a/1", "a/2", "ab/1", "b"]
    assert paths(store, "a/") == ["a/1", "a/2"]
    assert paths(store, "a") == ["a-1", "a/1", "a/2", "ab/1"]
    assert paths(store, "c/") == []
    assert {each.path: each.size for each in store.list("a/")} == {"a/1": 3, "a/2": 3}


def test_nothing_beside_the_prefix_is_seen(s3):
    beside = open_store(f"s3://{s3.bucket}/lake", Storage(s3.endpoint))
    beside.replace("xy/1", b"")
    beside.replace("x/1", b"")
    below = open_store(f"s3://{s3.bucket}/lake/x", Storage(s3.endpoint))
    assert paths(below) == ["1"]
    assert paths(open_store(f"s3://{s3.bucket}", Storage(s3.endpoint))) == ["lake/x/1", "lake/xy/1"]


def test_more_objects_than_one_page_lists(s3):
    store = open_store(f"s3://{s3.bucket}/many", Storage(s3.endpoint))
    expected = [f"{number:04}" for number in range(1_005)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: store.replace(path, b""), expected))
    assert paths(store) == expected


def test_another_content_has_another_tag(store):
    store.replace("x", b"1")
    (before,) = store.list()
    store.replace("x", b"2")
    (after,) = store.list()
    assert before.tag != after.tag


def test_equal_content_has_an_equal_digest(store):
    store.replace("x", b"1")
    (first,) = store.list()
    digest = store.digest(first)
    store.replace("x", b"1")
    (again,) = store.list()
    assert store.digest(again) == digest


@pytest.mark.parametrize("path", ODD)
def test_an_object_with_an_odd_name(path, store):
    store.replace(path, b"1")
    assert paths(store) == [path]
    assert store.read(path) == b"1"
    assert store.create(path, b"2") is False
    store.delete(path)
    assert store.list() == []


@pytest.mark.parametrize("name", ODD)
def test_a_table_with_an_odd_name(name, store):
    """Nothing in its name is taken for a pattern or a partition when polars reads it."""
    path, beside = f"t/{name}.parquet", "t/7.txt.parquet"  # which `*[0-9].txt` would match
    frame = pl.DataFrame({"n": [1, 2, 3]})
    objects.write_table(store, path, frame)
    objects.write_table(store, beside, frame)
    assert_frame_equal(objects.scan(store, path).collect(), frame)


def test_no_pattern_in_a_table(store):
    objects.write_table(store, "t/1.parquet", pl.DataFrame({"n": [1]}))
    with pytest.raises((pl.exceptions.PolarsError, OSError)):
        objects.scan(store, "t/*.parquet").collect()


def test_equal_tables_are_equal_bytes(store):
    frame = pl.DataFrame({"n": range(1_000), "t": [f"x{n % 7}" for n in range(1_000)]})
    objects.write_table(store, "a", frame)
    objects.write_table(store, "b", frame.sort("n", descending=True).sort("n"))
    assert store.read("a") == store.read("b")


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_missing_bucket_is_named(s3):
    missing = open_store(f"s3://{s3.bucket}-not/x", Storage(s3.endpoint), ArchiveError)
    calls: list[Callable[[], Any]] = [
        missing.list, lambda: missing.read("x"), lambda: missing.replace("x", b""), lambda: missing.create("x", b""),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ArchiveError, match=f"s3://{s3.bucket}-not/x.*bucket does not exist"):
            call()


@pytest.mark.usefixtures("s3")  # for the credentials
def test_nobody_listens():
    store = open_store("s3://lake/x", Storage("http://127.0.0.1:1"))
    with pytest.raises(LakeError, match=r"s3://lake/x.*check the endpoint"):
        store.list()


# --- publishing ----------------------------------------------------------------------------------------------------


def test_of_several_creators_one_wins(store):
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        for number in range(ROUNDS):
            path, bodies = f"n/{number}", [f"{each}".encode() for each in range(PUBLISHERS)]
            made = list(pool.map(store.create, [path] * PUBLISHERS, bodies))
            assert sum(made) == 1
            assert store.read(path) == bodies[made.index(True)]


def test_of_several_publishers_one_wins_each_number(store):
    """All describe the same instant, so every one gets a number of its own, and the last is current."""
    names = [f"run-{each}" for each in range(PUBLISHERS)]
    stores = [_again(store) for _ in names]
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        done = list(pool.map(lambda at, name: runs.publish(at, name, "2024-03-31T00:00:00Z"), stores, names))
    assert done == [True] * PUBLISHERS
    pointers = [objects.read_json(store, path) for path in paths(store, runs.POINTERS)]
    assert [each["number"] for each in pointers] == list(range(1, PUBLISHERS + 1))
    assert sorted(each["run_id"] for each in pointers) == names
    assert runs.latest(store) == pointers[-1]


def test_publishers_of_different_instants_never_go_back(store):
    instants = [f"2024-03-{day:02}T00:00:00Z" for day in range(1, PUBLISHERS + 1)]
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        done = list(pool.map(lambda at: runs.publish(_again(store), f"run-{at}", at), instants))
    pointers = [objects.read_json(store, path) for path in paths(store, runs.POINTERS)]
    assert [each["as_of"] for each in pointers] == sorted({each["as_of"] for each in pointers})
    assert pointers[-1]["as_of"] == instants[-1]
    assert sum(done) == len(pointers)


def _again(store: Store) -> Store:
    """The same store through a client of its own, as another machine would have it."""
    if isinstance(store, objects.S3Store):
        return open_store(store.root, store.storage)
    return open_store(store.root, Storage())


# --- a company -----------------------------------------------------------------------------------------------------


@pytest.fixture
def companies(s3, tmp_path) -> dict[str, Company]:
    """The same archive twice: on a disk with the lake beside it, and in S3."""
    disk = Company(tmp_path / "disk", (tmp_path / "archive").as_uri())
    cloud = Company(tmp_path / "cloud", f"s3://{s3.bucket}/archive")
    cloud.more = {"POPULACE_LAKE": f"s3://{s3.bucket}/lake", "POPULACE_S3_ENDPOINT": s3.endpoint}
    write_archive(open_store(disk.archive, Storage()))
    write_archive(open_store(cloud.archive, Storage(s3.endpoint)))
    return {"disk": disk, "cloud": cloud}


def test_s3_and_a_disk_give_the_same_tables(companies):
    spaces = {name: each.open() for name, each in companies.items()}
    run_ids = {name: driving.recomputed(each, AS_OF) for name, each in spaces.items()}
    for name in (*RUN, "traits", "values"):
        found = {place: driving.table(spaces[place], run_ids[place], name) for place in spaces}
        assert_frame_equal(found["disk"], found["cloud"])
    disk, cloud = ({each["about"]: each for each in views.status(space)} for space in spaces.values())
    assert disk["run"]["tables"] == cloud["run"]["tables"]
    assert disk["source"] == cloud["source"]
    sent = [_sent(companies[name], spaces[name]) for name in spaces]
    assert sent[0] == sent[1]
    assert sent[0] > 0


def _sent(company: Company, space) -> int:
    return deliver(space, "warehouse", Ways(company.environment))["delivered"]


def test_s3_reads_what_is_new_and_only_that(companies, s3):
    """Run again, nothing is written; after one event more in one object, the part that holds it and another run are."""
    space = companies["cloud"].open()
    client = boto3.client("s3", endpoint_url=s3.endpoint)

    def written() -> dict[str, Any]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=s3.bucket, Prefix="lake/events/")
        return {each["Key"]: (each["ETag"], each["LastModified"]) for page in pages for each in page["Contents"]}

    kept = driving.replay_all(space, AS_OF)["web"]["rows"]["kept"]
    run_id = driving.run(space, AS_OF)
    before = written()
    assert driving.recomputed(space, AS_OF) == run_id
    assert written() == before

    archive = space.archive(space.source("web"))
    path = archive.list()[-1].path
    frame = objects.scan(archive, path).collect()
    more = frame.filter(pl.col("type") == "track").tail(1).with_columns(message_id=pl.lit("one-more"))
    objects.write_table(archive, path, pl.concat([frame, more]))
    assert driving.replay_all(space, AS_OF)["web"]["rows"]["kept"] == kept + 1
    assert driving.run(space, AS_OF) != run_id
    entries = ledger.entries(space.lake, "web")
    concerned = {name for name, entry in entries.items() if path in {each["path"] for each in entry["objects"]}}
    changed = {key for key, value in written().items() if value != before.get(key)}
    assert changed
    assert all(key.endswith(tuple(f"/web-{name}.parquet" for name in concerned)) for key in changed)

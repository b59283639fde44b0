"""The lake on a local disk: whole objects, ledger, tables of differing schemas, published runs."""

import itertools
import json
import os
import string
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from populace.definitions import Storage
from populace.errors import ArchiveError, LakeError
from populace.lake import ledger, objects, runs, tables

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
WRITERS = 8


@pytest.fixture
def store(tmp_path):
    return objects.open_store((tmp_path / "lake").as_uri(), Storage())


# --- objects --------------------------------------------------------------------------------


def test_what_was_written_is_read_listed_and_deleted(store):
    store.replace("a/b.txt", b"1")
    store.replace("a/c/d.txt", b"22")
    assert store.read("a/b.txt") == b"1"
    assert [(each.path, each.size) for each in store.list()] == [("a/b.txt", 1), ("a/c/d.txt", 2)]
    store.delete("a/b.txt")
    store.delete("a/b.txt")
    assert [each.path for each in store.list()] == ["a/c/d.txt"]


def test_what_is_missing_is_none(store):
    store.replace("a/b.txt", b"1")
    assert store.read("a/x.txt") is None
    assert store.read("a/b.txt/below") is None
    assert objects.read_json(store, "a/x.json") is None
    assert store.list("never/") == []


def test_a_listing_goes_by_the_beginning_of_the_path(store):
    for path in ("run/1", "runs/1", "runs/2/x", "runs.json"):
        store.replace(path, b"")
    assert [each.path for each in store.list("runs/")] == ["runs/1", "runs/2/x"]
    assert [each.path for each in store.list("runs/1")] == ["runs/1"]
    assert [each.path for each in store.list("run")] == ["run/1", "runs.json", "runs/1", "runs/2/x"]


def test_a_listing_hides_drafts_and_hidden_folders(store, tmp_path):
    store.replace("a/b.txt", b"1")
    (tmp_path / "lake/a/.draft").write_bytes(b"half")
    (tmp_path / "lake/.hidden").mkdir()
    (tmp_path / "lake/.hidden/c.txt").write_bytes(b"1")
    assert [each.path for each in store.list()] == ["a/b.txt"]


def test_a_reader_sees_a_whole_object_or_the_one_before(store):
    bodies = [bytes([each]) * 300_000 for each in range(2)]
    store.replace("a", bodies[0])
    with ThreadPoolExecutor(2) as pool:
        written = pool.submit(lambda: [store.replace("a", body) for body in bodies * 50])
        while not written.done():
            assert store.read("a") in bodies
        written.result()


def test_a_listing_survives_what_appears_and_disappears(store):
    store.replace("a/stays", b"1")

    def churn(number):
        for _ in range(100):
            store.replace(f"a/{number}", b"1")
            store.delete(f"a/{number}")

    with ThreadPoolExecutor(4) as pool:
        churning = [pool.submit(churn, number) for number in range(3)]
        while not all(each.done() for each in churning):
            assert "a/stays" in [each.path for each in store.list("a/")]
        for each in churning:
            each.result()


def test_of_several_creators_exactly_one_wins(store):
    with ThreadPoolExecutor(WRITERS) as pool:
        for turn in range(20):
            created = list(pool.map(lambda who, turn=turn: store.create(f"{turn}", bytes([who])), range(WRITERS)))
            assert sum(created) == 1
            assert store.read(f"{turn}") == bytes([created.index(True)])
    assert len(store.list()) == 20


def test_creating_leaves_what_is_there(store):
    store.replace("a", b"first")
    assert not store.create("a", b"second")
    assert store.read("a") == b"first"


def test_no_draft_stays_behind(store, tmp_path):
    store.replace("a", b"1")
    store.create("a", b"2")
    store.create("b", b"2")
    assert sorted(each.name for each in (tmp_path / "lake").iterdir()) == ["a", "b"]


def test_a_digest_says_nothing_but_the_content(store, tmp_path):
    store.replace("a", b"same")
    store.replace("b", b"same")
    store.replace("c", b"else")
    os.utime(tmp_path / "lake/a", (0, 0))
    a, b, c = store.list()
    assert a.tag != b.tag
    assert store.digest(a) == store.digest(b) != store.digest(c)


def test_a_tag_changes_with_the_time_of_change_and_the_size(store, tmp_path):
    store.replace("a", b"1")
    before = store.list()[0].tag
    os.utime(tmp_path / "lake/a", (1, 1))
    assert store.list()[0].tag != before


def test_a_store_that_fails_says_where_and_as_what(tmp_path):
    (tmp_path / "file").write_text("no folder")
    store = objects.open_store((tmp_path / "file").as_uri(), Storage(), ArchiveError)
    with pytest.raises(ArchiveError, match=rf"{tmp_path}/file/a: .*check the folder"):
        store.replace("a", b"1")


@pytest.mark.parametrize("uri", ["http://x/y", "s3://", "lake", "ftp://x"])
def test_other_places_are_refused_with_what_to_write(uri):
    with pytest.raises(LakeError, match=r"write file:///folder or s3://bucket/prefix"):
        objects.open_store(uri, Storage())


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "a b%20[c]*?é"
    store = objects.open_store(folder.as_uri(), Storage())
    objects.write_table(store, "x=1/t{a,b}.parquet", pl.DataFrame({"a": [1]}))
    assert objects.scan(store, "x=1/t{a,b}.parquet").collect().to_dict(as_series=False) == {"a": [1]}


def test_equal_frames_and_documents_are_equal_bytes(store):
    frame = pl.DataFrame({"a": range(10), "b": ["x"] * 10})
    objects.write_table(store, "1", frame)
    objects.write_table(store, "2", pl.concat([frame[:3], frame[3:]]))
    assert store.read("1") == store.read("2")
    assert objects.to_json({"b": 1, "a": "é"}) == objects.to_json({"a": "é", "b": 1})


# --- ledger ---------------------------------------------------------------------------------


def entry(day, **rows):
    counts = {"read": 0, "kept": 0, "duplicate": 0, "rejected": 0} | rows
    return {"day": day, "rows": counts, "outputs": [], "fingerprint": "f", "reasons": {}}


def test_a_source_that_was_never_replayed_has_no_summary(store):
    assert ledger.summary(store, "web") == {}
    assert ledger.entries(store, "web") == {}
    assert ledger.objects(store, "web").is_empty()


def test_a_slice_is_remembered_until_it_is_forgotten(store):
    ledger.record(store, "web", entry("2024-03-02"))
    ledger.record(store, "web", entry("2024-03-01", read=2, kept=2))
    assert list(ledger.entries(store, "web")) == ["2024-03-01", "2024-03-02"]
    ledger.forget(store, "web", "2024-03-02")
    assert ledger.entry(store, "web", "2024-03-02") is None
    assert list(ledger.entries(store, "web")) == ["2024-03-01"]


def test_sources_whose_names_begin_alike_are_kept_apart(store):
    ledger.record(store, "web", entry("2024-03-01"))
    ledger.record(store, "web_shop", entry("2024-03-02"))
    ledger.finish(store, "web_shop", "2024-01-01", "complete", ["web"])
    assert list(ledger.entries(store, "web")) == ["2024-03-01"]
    assert ledger.summary(store, "web") == {}


def test_a_summary_holds_its_slices_and_their_totals(store):
    ledger.record(store, "web", entry("2024-03-01", read=5, kept=3, duplicate=1, rejected=1))
    ledger.record(store, "web", entry("2024-03-02", read=2, kept=2))
    ledger.finish(store, "web", "2024-01-01", "complete", ["web"])
    found = ledger.summary(store, "web")
    assert found["rows"] == {"read": 7, "kept": 5, "duplicate": 1, "rejected": 1}
    assert list(found["slices"]) == ["2024-03-01", "2024-03-02"]


def test_a_source_that_begins_again_is_no_longer_complete(store):
    ledger.finish(store, "web", "2024-01-01", "complete", ["web"])
    ledger.begin(store, "web", "2024-01-01")
    assert ledger.summary(store, "web")["status"] == "running"


def test_a_source_is_complete_only_among_the_sources_it_was_settled_with(store):
    ledger.finish(store, "web", "2024-01-01", "complete", ["web"])
    assert ledger.is_complete(store, "web", ["web"])
    assert not ledger.is_complete(store, "web", ["app", "web"])


def test_only_a_complete_summary_is_trusted_to_list_the_slices(store):
    ledger.record(store, "web", entry("2024-03-01"))
    ledger.finish(store, "web", "2024-01-01", "complete", ["web"])
    ledger.begin(store, "web", "2024-01-01")
    ledger.record(store, "web", entry("2024-03-02"))
    assert list(ledger.slices(store, "web")) == ["2024-03-01", "2024-03-02"]


def test_a_fingerprint_depends_on_the_content_alone():
    assert ledger.fingerprint({"a": 1, "b": [2]}) == ledger.fingerprint({"b": [2], "a": 1})
    assert ledger.fingerprint([1, "2"]) != ledger.fingerprint([1, 2])


# --- tables ---------------------------------------------------------------------------------

NAMES = ["Order Completed", "order completed", "ORDER-COMPLETED", "a/b", "a.b", "..", ".", "~a", "A", "!a", "-", " ",
         "_", "é", "e\u0301", "😀", "con", "x" * 300, "x" * 299 + "y", "X" * 150, "x" * 120, "@identify", "@@identify",
         "a\\b", "a:b", "a\0b", "%20", "a\nb", "!!", "~", "*"]  # fmt: skip


def test_folders_of_different_tables_differ_on_any_file_system():
    short = ["".join(each) for each in itertools.product("aA~!- /é", repeat=2)] + list(string.printable)
    names = list(dict.fromkeys([*NAMES, *short]))
    folders = [tables.folder(name) for name in names]
    assert len({each.lower() for each in folders}) == len(names)
    assert all(each.isascii() and len(each) <= tables.LONGEST_NAME for each in folders)
    assert not set("".join(folders)) & set('/\\:*?"<>|.\0\n')


@pytest.mark.parametrize("name", NAMES)
def test_a_table_of_any_name_can_be_written(store, name):
    objects.write_table(store, f"events/{tables.folder(name)}/web.parquet", pl.DataFrame({"a": [1]}))
    assert len(store.list("events/")) == 1


def written(store, *frames):
    """Slices that hold one file of the table E each, with these property columns."""
    slices = []
    for number, columns in enumerate(frames):
        usual = {"message_id": f"m{number}", "timestamp": NOON, "received_at": NOON, "source": "web", "sighting": 1}
        frame = pl.DataFrame({**{name: [value] for name, value in usual.items()}, **columns}).cast(
            {"timestamp": tables.INSTANT, "received_at": tables.INSTANT}
        )
        objects.write_table(store, f"events/~e/{number}.parquet", frame)
        types = {name: str(frame.schema[name]) for name in columns}
        output = {"kind": "events", "table": "E", "path": f"events/~e/{number}.parquet", "columns": types}
        slices.append({"outputs": [output]})
    return slices


def united(store, slices, *columns):
    """The property columns of the united table, in the order of the messages."""
    found = tables.events(store, slices, "E", columns).collect().sort("message_id")
    return {each.name: (each.dtype, each.to_list()) for each in found.iter_columns() if each.name[:2] in ("p.", "c.")}


@pytest.mark.parametrize(
    ("values", "name", "dtype", "expected"),
    [
        ([1, 2], "p.x", pl.Int64, [1, 2]),
        ([1, 0.5], "p.x", pl.Float64, [1.0, 0.5]),
        (["a", 10], "p.x:json", pl.String, ['"a"', "10"]),
        ([True, 10], "p.x:json", pl.String, ["true", "10"]),
        ([True, "true"], "p.x:json", pl.String, ["true", '"true"']),
        ([0.5, "0.5", 1], "p.x:json", pl.String, ["0.5", '"0.5"', "1"]),
        (['said "é"\n\\', 1], "p.x:json", pl.String, ['"said \\"é\\"\\n\\\\"', "1"]),
    ],
)
def test_columns_of_differing_types_are_united(store, values, name, dtype, expected):
    slices = written(store, *({"p.x": [value]} for value in values))
    assert united(store, slices, "p.x") == {name: (dtype, expected)}


def test_a_column_that_is_json_somewhere_is_json(store):
    slices = written(store, {"p.x:json": ["[1]"]}, {"p.x": ["a"]}, {"p.x": [2.5]}, {"p.y": [1]})
    assert united(store, slices, "p.x") == {"p.x:json": (pl.String, ["[1]", '"a"', "2.5", None])}


def test_text_as_json_can_be_read_back(store):
    odd = ["", "}", '{"v":1}', "\u2028", "null", "a\tb", '"', "😀", "}}"]
    slices = written(store, *({"p.x": [value]} for value in odd), {"p.x": [1]})
    found = united(store, slices, "p.x")["p.x:json"][1]
    assert [json.loads(each) for each in found] == [*odd, 1]


def test_a_column_that_some_files_have_is_null_in_the_others(store):
    slices = written(store, {"p.x": [1]}, {"p.y": ["a"]}, {})
    assert united(store, slices, "p.x", "p.y") == {
        "p.x": (pl.Int64, [1, None, None]),
        "p.y": (pl.String, [None, "a", None]),
    }


def test_a_column_that_no_file_has_is_no_column(store):
    assert united(store, written(store, {"p.x": [1]}), "p.never") == {}


def test_only_the_columns_asked_for_are_read(store):
    assert list(united(store, written(store, {"p.x": [1], "p.y": [2], "c.z": [3]}), "c.z")) == ["c.z"]


def test_a_path_that_ends_like_a_json_column_is_not_taken_for_one(store):
    slices = written(store, {"p.x:json": ["1"], "p.x:json:json": ['"b"']})
    assert united(store, slices, "p.x:json") == {"p.x:json:json": (pl.String, ['"b"'])}
    assert united(store, slices, "p.x") == {"p.x:json": (pl.String, ["1"])}


def test_a_table_that_no_slice_has_is_none(store):
    assert tables.events(store, written(store, {}), "F", []) is None
    assert tables.read(store, [{"outputs": []}], "sightings") is None


# --- runs -----------------------------------------------------------------------------------


def test_before_the_first_run_there_is_none(store):
    assert runs.current(store) is None
    assert runs.latest(store) is None
    assert runs.before(store, "2024-03-01") is None


def test_a_published_run_is_current(store):
    assert runs.publish(store, "r1", "2024-03-01")
    assert runs.publish(store, "r2", "2024-03-02")
    assert runs.current(store) == "r2"
    assert runs.latest(store) == {"number": 2, "run_id": "r2", "as_of": "2024-03-02"}
    assert objects.read_json(store, "runs/current.json") == runs.latest(store)


def test_an_older_run_is_never_published_over_a_later_one(store):
    runs.publish(store, "r2", "2024-03-02")
    assert not runs.publish(store, "r1", "2024-03-01")
    assert runs.current(store) == "r2"


def test_another_run_of_the_same_instant_takes_its_place(store):
    runs.publish(store, "r1", "2024-03-01")
    assert runs.publish(store, "r1-again", "2024-03-01")
    assert runs.current(store) == "r1-again"


def test_publishing_the_current_run_again_changes_nothing(store):
    runs.publish(store, "r1", "2024-03-01")
    before = {each.path: store.read(each.path) for each in store.list()}
    assert runs.publish(store, "r1", "2024-03-01")
    assert {each.path: store.read(each.path) for each in store.list()} == before


def test_a_kill_before_the_copy_is_made_good_by_publishing_again(store):
    runs.publish(store, "r1", "2024-03-01")
    store.delete("runs/current.json")
    runs.publish(store, "r1", "2024-03-01")
    assert objects.read_json(store, "runs/current.json")["run_id"] == "r1"


@pytest.mark.parametrize("turn", range(10))
def test_of_publishers_at_once_the_latest_instant_is_current(store, turn):
    instants = [f"2024-03-{day:02}" for day in range(1, WRITERS + 1)]
    with ThreadPoolExecutor(WRITERS) as pool:
        order = instants[turn % WRITERS :] + instants[: turn % WRITERS]
        published = dict(zip(order, pool.map(lambda at: runs.publish(store, f"r-{at}", at), order), strict=True))
    pointers = [json.loads(store.read(each.path)) for each in store.list(runs.POINTERS)]
    assert runs.current(store) == f"r-{instants[-1]}"
    assert published[instants[-1]]
    assert {each["run_id"] for each in pointers} == {f"r-{at}" for at, is_current in published.items() if is_current}
    assert [each["number"] for each in pointers] == list(range(1, len(pointers) + 1))
    assert [each["as_of"] for each in pointers] == sorted(each["as_of"] for each in pointers)
    assert objects.read_json(store, "runs/current.json") == pointers[-1]


def test_a_run_is_compared_with_the_newest_published_one_before_its_instant(store):
    for at in ("2024-03-01", "2024-03-03", "2024-03-05"):
        runs.publish(store, f"r-{at}", at)
    assert runs.before(store, "2024-03-01") is None
    assert runs.before(store, "2024-03-02") == "r-2024-03-01"
    assert runs.before(store, "2024-03-03") == "r-2024-03-01"
    assert runs.before(store, "2024-03-09") == "r-2024-03-05"


def test_a_run_published_twice_at_one_instant_is_not_compared_with_itself(store):
    runs.publish(store, "r1", "2024-03-01")
    runs.publish(store, "r2", "2024-03-02")
    runs.publish(store, "r2-again", "2024-03-02")
    assert runs.before(store, "2024-03-02") == "r1"


def test_a_run_without_a_manifest_is_not_complete(store):
    runs.write(store, "r1", "profiles", pl.DataFrame({"a": [1, 2]}))
    assert runs.manifest(store, "r1") is None
    runs.complete(store, "r1", {"run_id": "r1"})
    assert runs.manifest(store, "r1") == {"run_id": "r1"}
    assert runs.rows(store, "r1", "profiles") == 2


def test_the_lake_is_plain_files(store, tmp_path):
    runs.write(store, "r1", "profiles", pl.DataFrame({"a": [1]}))
    assert pl.read_parquet(Path(tmp_path) / "lake/runs/r1/profiles.parquet")["a"].to_list() == [1]

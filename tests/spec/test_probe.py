"""What `populace sources SPACE probe URL` says of places that hold events, or something else."""

import gzip
import json
from datetime import UTC, datetime

import polars as pl
import pytest
from click.testing import CliRunner

from populace.cli.sources import sources
from populace.definitions import Source, Storage
from populace.errors import ArchiveError, UsageError
from populace.lake.objects import LocalStore, open_store
from populace.space import probe

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
DAY_MS = 86_400_000


def lines(folder, path, **extra):
    call = {"messageId": "m1", "type": "track", "event": "E", "userId": "u1", "timestamp": "2024-03-01T12:00:00Z"}
    put(folder, path, gzip.compress(json.dumps(call | extra).encode()))


def rows(folder, path, **columns):
    found = pl.DataFrame({"message_id": ["m1"], "type": ["track"], "event": ["E"], "user_id": ["u1"]} | columns)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    found.with_columns(timestamp=NOON, received_at=NOON).write_parquet(folder / path)


def put(folder, path, data):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)


def look(folder, *known):
    return probe.look(str(folder), Storage(), known)


def test_e61_an_entry_for_each_source_of_segments_archive_with_its_days(tmp_path):
    for source, days in (("abc", (0, 1, 4)), ("x-1", (2,))):
        for day in days:
            lines(tmp_path, f"segment-logs/{source}/{1709251200000 + day * DAY_MS}/1.gz")
    put(tmp_path, "segment-logs/dummy-object.txt", b"")
    found = look(tmp_path)
    assert (found.layout, found.certainty, found.objects, found.samples) == ("segment_json", "sure", 4, 4)
    assert [(each.name, each.first, each.last, each.days, each.missing) for each in found.sources] == [
        ("abc", "2024-03-01", "2024-03-05", 3, ("2024-03-03", "2024-03-04")),
        ("x_1", "2024-03-03", "2024-03-03", 1, ()),
    ]
    assert found.calls == (("track", "E", 4),)
    assert found.warnings == ("1 object is not read by the layout segment_json: segment-logs/dummy-object.txt",)
    assert found.entry == (
        f'abc: {{archive: "{tmp_path.as_uri()}/segment-logs/abc", layout: segment_json}}\n'
        f'x_1: {{archive: "{tmp_path.as_uri()}/segment-logs/x-1", layout: segment_json}}\n'
    )


@pytest.mark.parametrize(
    ("path", "extra"), [("rudder-logs/2Ab/03-01-2024/1.json.gz", {}), ("a/1.gz", {"rudderId": "r"})]
)
def test_rudderstack_is_told_by_its_folders_or_its_fields(path, extra, tmp_path):
    lines(tmp_path, path, **extra)
    assert (look(tmp_path).layout, look(tmp_path).certainty) == ("rudderstack_json", "sure")


def test_e71_a_lake_has_tables(tmp_path):
    for table in ("identify", "order_completed"):
        rows(tmp_path, f"data/abc/segment_type={table}/day=2024-03-01/hr=10/x.parquet", properties_x=[1])
    found = look(tmp_path)
    assert (found.layout, found.certainty, found.rows) == ("segment_lake", "sure", 2)
    assert found.tables == {"identify": 1, "order_completed": 1}
    assert [each.archive for each in found.sources] == [f"{tmp_path.as_uri()}/data/abc"]


def test_e90_the_latest_states_of_a_warehouse_are_not_read(tmp_path):
    for table in ("tracks", "e", "users"):
        (tmp_path / "web" / table).mkdir(parents=True)
        stored = pl.DataFrame({"id": ["m1"], "event": ["e"], "user_id": ["u1"], "received_at": [NOON]})
        stored.write_parquet(tmp_path / f"web/{table}/0.parquet")
    found = look(tmp_path)
    assert (found.layout, found.certainty, found.objects, found.rows) == ("warehouse", "sure", 2, 2)
    assert found.warnings == ("1 object is not read by the layout warehouse: web/users/0.parquet",)
    assert [each.name for each in found.sources] == ["web"]


def test_e81_known_sources_are_not_given_again_and_names_are_free(tmp_path):
    for folder in ("web/2024/03/01", "app", "source_id=web"):
        rows(tmp_path, f"{folder}/x.parquet", properties=["{}"])
    known = Source("web", f"{tmp_path.as_uri()}/web/")
    found = look(tmp_path, known)
    assert [(each.name, each.is_known) for each in found.sources] == [("app", False), ("web_2", False), ("web", True)]
    assert found.entry == (
        f'app: {{archive: "{tmp_path.as_uri()}/app", layout: raw}}\n'
        f'web_2: {{archive: "{tmp_path.as_uri()}/source_id=web", layout: raw}}\n'
    )


def test_what_is_odd_about_an_archive_is_said(tmp_path):
    rows(tmp_path, "a.parquet", properties=["{}"])
    rows(tmp_path, "a2.parquet", properties=["{}"], source_id=["s1"], user_id=[None])
    put(tmp_path, "b.parquet", b"PAR1")
    lines(tmp_path, "c.gz")
    put(tmp_path, "d.parquet", b"id,name\n")
    found = look(tmp_path)
    assert (found.layout, found.certainty) == ("raw", "likely")
    assert found.warnings[0] == "1 object is not read by the layout raw: c.gz"
    assert "1 of the 5 objects looked into cannot be read, such as b.parquet: " in found.warnings[1]
    assert found.warnings[2] == "1 object is of the layout segment_json: c.gz; give such objects a folder of their own"
    assert found.warnings[3].startswith("2 objects are of no layout, such as a2.parquet: 1 of its first 1 rows")


def test_where_no_layout_fits_it_says_why_and_what_it_saw(tmp_path):
    pl.DataFrame({"x": [1], "y": ["secret"]}).write_parquet(tmp_path / "a.parquet")
    found = look(tmp_path)
    assert (found.layout, found.certainty, found.entry) == (None, "none", "")
    assert found.columns == {"x": "Int64", "y": "String"}
    assert found.refusals["raw"].startswith("not of the raw layout, no column message_id, type")
    assert "secret" not in json.dumps(found.describe())


def test_only_a_few_objects_are_looked_into(tmp_path):
    for n in range(100):
        lines(tmp_path, f"segment-logs/abc/{1709251200000 + n * DAY_MS}/1.gz")
    found = look(tmp_path)
    assert (found.objects, found.samples, found.sources[0].days) == (100, 20, 100)


def test_an_empty_place_is_an_error(tmp_path):
    with pytest.raises(ArchiveError, match="no objects here; name one that holds some"):
        look(tmp_path)


def test_one_object_is_no_place(tmp_path):
    rows(tmp_path, "a.parquet", properties=["{}"])
    with pytest.raises(ArchiveError, match=r"a\.parquet: this is one object; name its folder"):
        look(tmp_path / "a.parquet")


@pytest.mark.parametrize("place", ["", "file:", "file://archive/web", "http://127.0.0.1:9/x", "s3:/bucket", "s3:///x"])
def test_what_is_no_place_is_refused(place):
    with pytest.raises(UsageError, match="is no place to look at"):
        probe.look(place, Storage())


@pytest.mark.parametrize("folder", ["100%", "100%25", "a#b", "q?x", "a b"])
def test_the_entry_of_an_oddly_named_folder_can_be_replayed(folder, tmp_path):
    rows(tmp_path, f"{folder}/a.parquet", properties=["{}"])
    (found,) = look(tmp_path).sources
    assert open_store(found.archive, Storage()).list() == LocalStore(str(tmp_path / folder), ArchiveError).list()


def test_a_relative_uri_is_taken_from_the_working_directory(tmp_path, monkeypatch):
    rows(tmp_path, "a b/a.parquet", properties=["{}"])
    monkeypatch.chdir(tmp_path)
    for place in ("file:a%20b", "a b", "file:./a%20b"):
        (found,) = probe.look(place, Storage()).sources
        assert found.archive == (tmp_path / "a b").as_uri()


@pytest.fixture
def space(tmp_path):
    folder = tmp_path / "definitions" / "dev"
    folder.mkdir(parents=True)
    (folder / "space.yaml").write_text(f"space: dev\nlake: {(tmp_path / 'lake').as_uri()}\n")
    return tmp_path


def test_the_command_prints_one_object_or_tables(space):
    lines(space, "archive/segment-logs/abc/1709251200000/1.gz")
    asked = ["dev", "probe", str(space / "archive"), "--definitions", str(space / "definitions")]
    found = json.loads(CliRunner().invoke(sources, [*asked, "--json"], catch_exceptions=False).stdout)
    assert (found["layout"], found["sources"][0]["name"], found["calls"]) == (
        "segment_json",
        "abc",
        [{"type": "track", "event": "E", "count": 1}],
    )
    shown = CliRunner().invoke(sources, asked, catch_exceptions=False)
    assert shown.exit_code == 0
    assert not (space / "lake").exists()


def test_the_command_fails_where_no_layout_fits(space):
    put(space, "archive/x.csv", b"a,b\n")
    asked = ["dev", "probe", str(space / "archive"), "--definitions", str(space / "definitions"), "--json"]
    answer = CliRunner().invoke(sources, asked, catch_exceptions=False)
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["layout"] is None

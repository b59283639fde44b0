"""Archives as people have them: which objects are read, what their paths say, instants, and the raw layout."""

from datetime import timedelta

import polars as pl
import pytest

from populace.errors import ArchiveError
from populace.events.layouts import LAYOUTS, Wanted
from populace.events.layouts.canonical import COLUMNS, ROW
from tests.spec.canonical import DAY, LAKE, MIDNIGHT, NOON, call, good, lines, parquet

# --- which objects are read (E-61, E-68, E-71, E-78, E-79) ------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "path", "is_read"),
    [
        ("raw", "2024/03/01/part-0.parquet", True),
        ("raw", "2024/03/01/part-0.json", False),
        ("segment_json", "segment-logs/abc/1709251200000/1476.gz", True),
        ("segment_json", "segment-logs/abc/1709251200000/1476", True),
        ("segment_json", "segment-logs/dummy-object.txt", False),
        ("segment_json", "segment-logs/.part/1476.gz", False),
        ("segment_json", "segment-logs/_SUCCESS", False),
        ("segment_json", "segment-logs/abc/", False),
        ("segment_json", "reports/day=2024-03-01/report.json", False),
        ("segment_json", "data/x.parquet", False),
        ("rudderstack_json", "rudder-logs/2Ab/03-01-2024/1637.2Ab.e0c1.json.gz", True),
        ("segment_lake", LAKE, True),
        ("segment_lake", "segment-data/data/logs/segment_type=identify/2024/03/01/x.gz.parquet", True),
        ("segment_lake", "logs/abc/x.parquet", False),
        ("segment_lake", "segment-stage/data/abc/segment_type=identify/day=2024-03-01/x.parquet", False),
        ("segment_lake", "reports/day=2024-03-01/source=abc/run_id=1/report.json", False),
        ("segment_lake", "data/abc/segment_type=identify/_SUCCESS", False),
        ("warehouse", "order_completed.parquet", True),
        ("warehouse", "web/tracks/000.parquet", True),
        ("warehouse", "users.parquet", False),
        ("warehouse", "web/users/part-0.parquet", False),
        ("warehouse", "PUBLIC/ACCOUNTS/data_0_0_0.snappy.parquet", False),
        ("warehouse", "tracks.csv", False),
    ],
)
def test_e68_e71_e78_objects_that_hold_events_are_read(layout, path, is_read):
    assert LAYOUTS[layout].reads(path) is is_read


@pytest.mark.parametrize(
    ("path", "is_summary"),
    [
        ("tracks.parquet", True),
        ("web/tracks/day=2024-03-01/000.parquet", True),
        ("TRACKS/data_0_0_0.parquet", True),
        ("prod.tracks_view.parquet", True),
        ("order_completed.parquet", False),
        ("identifies.parquet", False),
        ("product_view.parquet", False),
    ],
)
def test_e90_the_table_of_all_track_calls_is_a_summary(path, is_summary):
    assert LAYOUTS["warehouse"].is_summary(path) is is_summary


def test_other_layouts_have_no_summary():
    assert not any(LAYOUTS[name].is_summary("tracks.parquet") for name in LAYOUTS if name != "warehouse")


# --- what the path says (E-26, E-62, E-73) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "path", "said"),
    [
        ("segment_json", "segment-logs/abc/1709251200000/x.gz", MIDNIGHT),
        ("segment_json", "segment-logs/abc/1709251200/x.gz", MIDNIGHT),
        ("segment_json", "1709251200000/x.gz", MIDNIGHT),
        ("segment_json", "segment-logs/abc/1709251201/x.gz", None),
        ("segment_json", "segment-logs/1709251200/abc/x.gz", None),
        ("rudderstack_json", "rudder-logs/2Ab/03-01-2024/x.json.gz", MIDNIGHT),
        ("rudderstack_json", "prefix/rudder-logs/2Ab/2024-03-01/x.json.gz", MIDNIGHT),
        ("rudderstack_json", "rudder-logs/2Ab/2024/03/01/x.json.gz", MIDNIGHT),
        ("rudderstack_json", "rudder-logs/2Ab/03-01-2024/12/x.json.gz", NOON),
        ("rudderstack_json", "rudder-logs/2Ab/13-01-2024/x.json.gz", None),
        ("segment_lake", "data/abc/segment_type=identify/day=2024-03-01/hr=12/x.parquet", NOON),
        ("segment_lake", "segment_type=identify/2024/03/01/12/x.parquet", NOON),
        ("segment_lake", "2024/03/01/x.parquet", MIDNIGHT),
        ("segment_lake", "segment_type=identify/2024-03-01/x.parquet", MIDNIGHT),
        ("segment_lake", "segment_type=identify/2024-02-30/x.parquet", None),
        ("segment_lake", "segment_type=identify/x.parquet", None),
        ("raw", "2024/03/01/x.parquet", None),
        ("warehouse", "tracks/2024-03-01/x.parquet", None),
    ],
)
def test_e62_e73_the_folders_say_when_it_was_received(layout, path, said):
    assert LAYOUTS[layout].partition(path) == said


# --- instants (1.4, E-25, E-26) --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01T12:00:00.000Z",
        "2024-03-01T12:00Z",
        "2024-03-01t12:00:00z",
        "2024-03-01 14:00+02",
        "2024-03-01T14:00:00+02",
        "2024-03-01T14:00:00.000+0200",
        "2024-03-01T12:00:00.000000999Z",
        " 2024-03-01T07:00-05:00 ",
    ],
)
def test_e25_text_with_a_zone_is_an_instant_however_it_is_written(text, reader):
    assert lines(reader, call(timestamp=text)) == [good()]
    assert parquet("raw", "x.parquet", {"message_id": "m1", "type": "track", "timestamp": text})[0]["timestamp"] == NOON


@pytest.mark.parametrize(
    "value",
    ["2024-03-01T12:00:00", "2024-03-01", "2024-03-01T12:00", "soon", "", "2024-02-30T12:00Z", "12024-03-01T12:00Z",
     "+12024-03-01T12:00:00Z", "-0001-03-01T12:00:00Z", 1709294400, 1709294400.5, True, {"at": 1}, [1]],
)  # fmt: skip
def test_e25_what_is_no_instant_is_unreadable_and_stands_for_nothing(value, reader):
    received = "2024-03-01T12:00:00Z"
    assert lines(reader, call(timestamp=value, receivedAt=received)) == [good(unreadable=True)]
    assert lines(reader, call(receivedAt=value)) == [good(unreadable=True)]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_e25_datetimes_of_any_unit_are_instants_and_without_a_zone_they_are_utc(unit):
    column = pl.Series([NOON.replace(tzinfo=None)]).cast(pl.Datetime(unit))
    assert parquet("raw", "x.parquet", message_id=["m1"], type=["track"], timestamp=column)[0]["timestamp"] == NOON


def test_e21_without_a_timestamp_the_original_is_corrected_for_the_clock_of_the_sender(reader):
    sent = {"originalTimestamp": "2024-03-01T10:00:00Z", "sentAt": "2024-03-01T10:00:05Z"}
    found = lines(reader, call(timestamp=..., receivedAt="2024-03-01T12:00:05Z", **sent))
    assert found == [good(received_at=NOON + timedelta(seconds=5))]


def test_e26_without_sent_at_the_original_counts(reader):
    found = lines(reader, call(timestamp=..., receivedAt="2024-03-01T13:00:00Z", originalTimestamp="2024-03-01T12:00Z"))
    assert found == [good(received_at=NOON + timedelta(hours=1))]


def test_e26_without_received_at_the_partition_counts(reader):
    assert lines(reader, call(), path=DAY) == [good(received_at=MIDNIGHT)]
    assert lines(reader, call(timestamp=...), path=DAY) == [good(timestamp=MIDNIGHT, received_at=MIDNIGHT)]


def test_e26_the_partition_is_too_coarse_to_correct_a_clock(reader):
    sent = {"originalTimestamp": "2024-03-01T12:00:00Z", "sentAt": "2024-03-01T12:00:05Z"}
    assert lines(reader, call(timestamp=..., **sent), path=DAY) == [good(received_at=MIDNIGHT)]


def test_e26_without_anything_received_is_when_it_happened(reader):
    assert lines(reader, call()) == [good(received_at=NOON)]


def test_e26_a_row_without_any_instant_has_none(reader):
    assert lines(reader, '{"messageId":"m1"}') == [{"row": 0, "message_id": "m1", "unreadable": False}]


@pytest.mark.parametrize("name", ["timestamp", "received_at", "sent_at", "original_timestamp"])
def test_e81_instants_may_be_of_type_null(name):
    columns = {each: [NOON, NOON] for each in ("received_at", "sent_at", "original_timestamp")}
    columns |= {"timestamp": [None, NOON]} | {name: [None, None]}
    found = parquet("raw", "x.parquet", message_id=["a", "b"], type=["track"] * 2, **columns)
    assert [(row["timestamp"], row["received_at"], row["unreadable"]) for row in found] == [(NOON, NOON, False)] * 2


# --- raw (E-81) -------------------------------------------------------------------------------------------------


def test_e81_the_canonical_columns_stand_first_and_json_text_behind():
    frame = pl.DataFrame({"message_id": ["m"], "type": ["track"], "timestamp": [NOON]}).with_row_index(ROW, 7)
    found = frame.select(LAYOUTS["raw"].columns(frame.schema, "x.parquet", Wanted()))
    assert tuple(found.columns) == (*COLUMNS, "properties", "traits", "context")
    assert found.schema["row"] == pl.UInt32
    assert found["row"].to_list() == [7]


def test_e81_json_null_is_nothing_sent():
    row = {"message_id": "m1", "type": "track", "event": "E", "user_id": "u1", "timestamp": NOON}
    assert parquet("raw", "x.parquet", row | {"properties": "null", "traits": '{"a":1}'}) == [good(traits='{"a":1}')]


def test_e51_raw_ids_may_be_whole_numbers():
    found = parquet("raw", "x.parquet", {"message_id": 1, "type": "track", "timestamp": NOON, "user_id": -7})
    assert (found[0]["message_id"], found[0]["user_id"]) == ("1", "-7")


@pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Enum(["track", "{}"])], ids=["Categorical", "Enum"])
def test_e81_dictionaries_are_text(dtype):
    frame = pl.DataFrame({"message_id": ["m"], "type": ["track"], "timestamp": [NOON], "properties": ["{}"]})
    texts = frame.with_columns(pl.col("type", "properties").cast(dtype)).with_row_index(ROW)
    found = texts.select(LAYOUTS["raw"].columns(texts.schema, "x.parquet", Wanted()))
    assert found.select("type", "properties").rows() == [("track", "{}")]


def test_e81_a_column_of_type_null_stays_among_those_that_are_needed():
    schema = {ROW: pl.UInt32(), "message_id": pl.Null(), "type": pl.String(), "timestamp": pl.Null()}
    found = LAYOUTS["raw"].columns(schema, "x.parquet", Wanted())
    assert {name for each in found for name in each.meta.root_names()} == set(schema)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"type": ["track"], "timestamp": [NOON]}, "no column message_id; move it out of the archive"),
        ({"message_id": ["m1"], "type": ["track"]}, "no column timestamp or received_at"),
        ({"message_id": ["m1"], "type": ["track"], "timestamp": [5]}, "column timestamp is Int64, not a Datetime"),
        ({"message_id": ["m1"], "type": ["track"], "timestamp": [NOON], "user_id": [1.5]}, "column user_id is Float64"),
        ({"message_id": ["m1"], "type": ["track"], "timestamp": [NOON], "context": [{"a": 1}]}, "column context is"),
    ],
)
def test_e81_a_file_of_another_layout_is_named_with_what_is_wrong(columns, problem):
    with pytest.raises(ArchiveError, match=rf"^a/x\.parquet: .*{problem}"):
        parquet("raw", "a/x.parquet", **columns)

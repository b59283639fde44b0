"""From the rows of an archive to events: instants, copies, rejected rows, and properties as typed columns."""

import inspect
import json
import re
from datetime import UTC, date, datetime

import polars as pl
import pytest

from populace.errors import ArchiveError
from populace.events import layout, rows, slices
from populace.events.jsontext import JsonReader
from tests import driving
from tests.tables import AS_OF

DAY = date(2024, 3, 1)
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
RIVALS = {
    "message_id": pl.String,
    "received_at": pl.Datetime("us", "UTC"),
    "source": pl.String,
    "object": pl.String,
    "row": pl.UInt32,
}
COLUMNS = ("message_id", "type", "event", "user_id", "anonymous_id", "timestamp", "received_at")


def read(frame, context=()):
    """One slice of one object, whose rows are good unless the frame says otherwise."""
    numbers = pl.int_range(pl.len())
    usual = {
        "message_id": pl.format("m{}", numbers),
        "type": pl.lit("track"),
        "event": pl.lit("E"),
        "user_id": pl.lit("u1"),
        "timestamp": pl.lit(NOON),
    }
    missing = {name: value for name, value in usual.items() if name not in frame.columns}
    raw = frame.with_columns(**missing).with_row_index(slices.POSITION)
    rules = slices.Rules(driving.IDENTITY, context)
    with JsonReader() as reader:
        return slices.read(
            [("a.parquet", raw)], source="web", day=DAY, rules=rules, rivals=pl.DataFrame(schema=RIVALS), json=reader
        )


def properties(*texts, table="E", **columns):
    """The property columns of calls with these properties, by name without `p.`, with their types."""
    frame = pl.DataFrame({"properties": pl.Series(texts, dtype=pl.String), **columns})
    found = read(frame).events[table]
    return {each.name[2:]: (each.dtype, each.to_list()) for each in found.iter_columns() if each.name.startswith("p.")}


def archived(tmp_path, *objects, sources=("web",)):
    """The lake after a replay of objects, each (source, name, rows by the usual columns)."""
    space = driving.space_in(tmp_path, sources=sources)
    for source, name, found in objects:
        driving.put(space, source, name, called(*found))
    return space, driving.replay_all(space, AS_OF)


def called(*calls):
    """Rows of the raw layout: good Track calls but for what is said."""
    usual = {"type": "track", "event": "E", "user_id": "u1", "timestamp": NOON}
    names = dict.fromkeys(name for call in calls for name in (*usual, *call))
    return pl.DataFrame([{name: (usual | call).get(name) for name in names} for call in calls])


def kept(space, summaries):
    """Where each message was kept: (source, received day, property `copy`), sorted."""
    return sorted(
        (source, day, copy)
        for source, summary in summaries.items()
        for day, entry in summary["slices"].items()
        for output in entry["outputs"]
        if output["kind"] == "events"
        for copy in pl.read_parquet(space.lake.url(output["path"]))["p.copy"]
    )


# --- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "name"),
    [("page", "Page Viewed"), ("screen", "Screen Viewed"), ("identify", "@identify"), ("alias", "@alias")],
)
def test_e5_calls_without_an_event_are_found_by_their_type(call, name):
    found = read(pl.DataFrame({"type": [call], "event": [None]}))
    assert list(found.events) == [name]


def test_e5_the_name_of_a_page_is_also_page_name():
    found = properties('{"name":"Home"}', table="Page Viewed", type=["page"])
    assert found == {"name": (pl.String, ["Home"]), "page_name": (pl.String, ["Home"])}


def test_e5_the_name_of_a_screen_is_also_screen_name():
    assert "screen_name" in properties('{"name":"Home"}', table="Screen Viewed", type=["screen"])


def test_e5_a_page_name_of_its_own_counts_for_its_row_only():
    texts = ['{"name":"Home","page_name":"Own"}', '{"name":"Cart"}', '{"name":"Help","page_name":null}']
    assert properties(*texts, table="Page Viewed", type=["page"] * 3)["page_name"] == (
        pl.String,
        ["Own", "Cart", "Help"],
    )


def test_e5_page_names_of_several_types_stay_apart():
    found = properties('{"name":5}', '{"name":"5"}', table="Page Viewed", type=["page"] * 2)
    assert found["page_name:json"] == (pl.String, ["5", '"5"'])


def test_e5_the_name_of_a_track_event_is_a_property_like_any_other():
    assert properties('{"name":"Home"}') == {"name": (pl.String, ["Home"])}


def test_e6_an_event_cannot_pass_for_another_kind_of_call():
    found = read(pl.DataFrame({"type": ["track", "identify"], "event": ["@identify", None]}))
    assert list(found.events) == ["@@identify", "@identify"]
    assert [slices.is_event(name) for name in found.events] == [True, False]
    assert slices.event_of(slices.table_of("@identify")) == "@identify"


# --- instants -------------------------------------------------------------------------------

AT_10, AT_11, AT_11_05 = (datetime(2024, 3, 1, 11 - (n == 0), 5 * (n == 2), tzinfo=UTC) for n in range(3))


def instants(**columns):
    """(timestamp, received_at) of one row in which these columns are given."""
    frame = pl.DataFrame({"timestamp": [None], **{name: [value] for name, value in columns.items()}})
    found = read(frame).events["E"]
    return found["timestamp"][0], found["received_at"][0]


def test_e20_the_timestamp_that_is_given_counts():
    assert instants(timestamp=AT_10, received_at=AT_11_05, sent_at=AT_11, original_timestamp=AT_11)[0] == AT_10


def test_e21_without_one_it_is_the_original_corrected_by_the_clock_of_the_sender():
    # Sent one hour after it was made, so it happened an hour before it was received.
    found = instants(received_at=AT_11_05, sent_at=AT_11, original_timestamp=AT_10)
    assert found == (datetime(2024, 3, 1, 10, 5, tzinfo=UTC), AT_11_05)


def test_e26_without_sent_at_it_is_the_original():
    assert instants(received_at=AT_11_05, original_timestamp=AT_10)[0] == AT_10


def test_e26_without_the_original_it_is_when_it_was_received():
    assert instants(received_at=AT_11_05, sent_at=AT_11)[0] == AT_11_05


def test_e26_what_was_never_received_was_received_when_it_happened():
    assert instants(timestamp=AT_10) == (AT_10, AT_10)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01T10:00:00Z", AT_10),
        ("2024-03-01T12:00:00+02:00", AT_10),
        ("2024-03-01T05:00:00-0500", AT_10),
        (" 2024-03-01 10:00:00+00:00 ", AT_10),
        ("2024-03-01T10:00:00.123456789Z", AT_10.replace(microsecond=123456)),
    ],
)
def test_e25_text_with_a_zone_is_an_instant(text, expected):
    assert instants(timestamp=text)[0] == expected


@pytest.mark.parametrize(
    "text", ["2024-03-01T10:00:00", "2024-03-01", "", "yesterday", "1709287200", "2024-02-30T10:00:00Z"]
)
def test_e25_text_without_a_zone_or_a_sense_is_rejected(text):
    found = read(pl.DataFrame({"timestamp": [text], "received_at": [AT_11]}))
    assert found.reasons == {"timestamp_invalid": 1}


def test_instants_of_any_precision_and_zone_are_the_same():
    madrid = pl.Series([AT_10]).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone("Europe/Madrid")
    naive = pl.Series([AT_10.replace(tzinfo=None)]).cast(pl.Datetime("ns"))
    for column in (madrid, naive):
        assert read(pl.DataFrame({"timestamp": column})).events["E"]["timestamp"].to_list() == [AT_10]


def test_e27_events_stand_in_the_order_of_timestamp_arrival_and_message_id():
    frame = pl.DataFrame(
        {
            "message_id": ["m9", "m2", "m10", "m1"],
            "timestamp": [AT_10, AT_10, AT_10, AT_11],
            "received_at": [AT_11, AT_11_05, AT_11, AT_11],
        }
    )
    assert read(frame).events["E"]["message_id"].to_list() == ["m10", "m9", "m2", "m1"]


def test_the_received_day_is_that_of_utc_whatever_the_path_says(tmp_path):
    late = datetime(2024, 3, 1, 23, 30, tzinfo=UTC)
    zoned = called({"message_id": "m1", "timestamp": late}).with_columns(
        pl.col("timestamp").dt.convert_time_zone("Asia/Tokyo")
    )
    space = driving.space_in(tmp_path)
    driving.put(space, "web", "2023/01/01/part-0", zoned)
    assert list(driving.replay_all(space, AS_OF)["web"]["slices"]) == ["2024-03-01"]


# --- copies ---------------------------------------------------------------------------------

FIRST, SECOND, NEXT_DAY = AT_10, AT_11, datetime(2024, 3, 2, 10, tzinfo=UTC)


def copy(name, received_at, **more):
    return {"message_id": "m1", "received_at": received_at, "properties": json.dumps({"copy": name}), **more}


def test_e35_the_copy_received_first_wins_in_one_file(tmp_path):
    found = archived(tmp_path, ("web", "a", [copy("second", SECOND), copy("first", FIRST), copy("third", SECOND)]))
    assert kept(*found) == [("web", "2024-03-01", "first")]
    assert found[1]["web"]["rows"] == {"read": 3, "kept": 1, "duplicate": 2, "rejected": 0}


def test_e35_the_copy_received_first_wins_over_files(tmp_path):
    found = archived(tmp_path, ("web", "a", [copy("second", SECOND)]), ("web", "b", [copy("first", FIRST)]))
    assert kept(*found) == [("web", "2024-03-01", "first")]


def test_e35_of_copies_received_at_once_the_first_in_the_archive_wins(tmp_path):
    same = [copy("row 0", FIRST), copy("row 1", FIRST)]
    found = archived(tmp_path, ("web", "b", [copy("b", FIRST)]), ("web", "a", same))
    assert kept(*found) == [("web", "2024-03-01", "row 0")]


def test_e35_the_copy_received_first_wins_over_days(tmp_path):
    found = archived(tmp_path, ("web", "a", [copy("second", NEXT_DAY)]), ("web", "b", [copy("first", FIRST)]))
    assert kept(*found) == [("web", "2024-03-01", "first")]


def test_e35_the_copy_received_first_wins_over_sources(tmp_path):
    found = archived(
        tmp_path,
        ("app", "a", [copy("second", SECOND)]),
        ("web", "a", [copy("first", FIRST)]),
        sources=("app", "web"),
    )
    assert kept(*found) == [("web", "2024-03-01", "first")]
    assert found[1]["app"]["rows"] == {"read": 1, "kept": 0, "duplicate": 1, "rejected": 0}


def test_e35_a_malformed_first_copy_does_not_beat_a_good_one(tmp_path):
    broken = {**copy("first", FIRST), "properties": '{"copy":"fi'}
    found = archived(
        tmp_path,
        ("web", "a", [broken, copy("second", SECOND)]),
        ("web", "b", [copy("third", NEXT_DAY)]),
    )
    assert kept(*found) == [("web", "2024-03-01", "second")]
    assert found[1]["web"]["rows"] == {"read": 3, "kept": 1, "duplicate": 1, "rejected": 1}


def test_e35_a_malformed_copy_of_the_day_before_does_not_beat_a_good_one(tmp_path):
    found = archived(
        tmp_path,
        ("web", "a", [copy("first", FIRST, user_id=None)]),
        ("web", "b", [copy("second", NEXT_DAY)]),
    )
    assert kept(*found) == [("web", "2024-03-02", "second")]


def test_e35_an_earlier_copy_that_arrives_later_in_the_archive_wins(tmp_path):
    space, before = archived(tmp_path, ("web", "b", [copy("second", NEXT_DAY)]))
    assert kept(space, before) == [("web", "2024-03-02", "second")]
    driving.put(space, "web", "a", called(copy("first", FIRST)))
    assert kept(space, driving.replay_all(space, AS_OF)) == [("web", "2024-03-01", "first")]


def test_e67_a_copy_comes_back_when_the_one_before_it_is_deleted(tmp_path):
    space, _ = archived(tmp_path, ("web", "a", [copy("first", FIRST)]), ("web", "b", [copy("second", NEXT_DAY)]))
    (tmp_path / "archive/web/a.parquet").unlink()
    after = driving.replay_all(space, AS_OF)
    assert kept(space, after) == [("web", "2024-03-02", "second")]
    assert after["web"]["rows"] == {"read": 1, "kept": 1, "duplicate": 0, "rejected": 0}


def test_e67_a_file_that_changes_under_its_name_is_read_again(tmp_path):
    space, _ = archived(tmp_path, ("web", "a", [copy("old", FIRST)]))
    driving.put(space, "web", "a", called(copy("new", FIRST), {**copy("other", FIRST), "message_id": "m2"}))
    assert kept(space, driving.replay_all(space, AS_OF)) == [
        ("web", "2024-03-01", "new"),
        ("web", "2024-03-01", "other"),
    ]


# --- rejected rows --------------------------------------------------------------------------

REJECTED = {
    "message_id_required": [{"message_id": None}, {"message_id": ""}],
    "message_id_too_long": [{"message_id": "x" * 101}],
    "type_unknown": [{"type": None}, {"type": "purchase"}, {"type": "Track"}],
    "timestamp_invalid": [{"timestamp": "soon"}, {"timestamp": "2024-03-01T10:00:00Z", "received_at": "later"}],
    "timestamp_missing": [{"timestamp": None}],
    "timestamp_before_1970": [{"timestamp": "1969-12-31T23:59:59.999Z", "received_at": "2024-03-01T10:00:00Z"}],
    "received_after_2149": [{"received_at": "2149-06-07T00:00:00Z"}],
    "no_user_anon_id": [{"user_id": None}, {"user_id": "", "anonymous_id": "  "}],
    "event_not_defined": [{"event": None}, {"event": ""}],
    "id_required": [{"type": "group", "group_id": None}, {"type": "group", "group_id": ""}],
    "properties_not_object": [
        {"properties": text}
        for text in ("[1]", '"x"', "5", "", '{"a":', '{"a":1}{"b":2}', '{"a":NaN}', '{"a":-Infinity}')
    ],
    "traits_not_object": [{"type": "identify", "traits": "[]"}],
    "context_not_object": [{"context": "x"}, {"context": '{"a":"\\ud800"}'}],
}


def test_e50_every_reason_is_tested():
    assert re.findall(r'^ +"(\w+)": ', inspect.getsource(rows._reason), re.MULTILINE) == list(REJECTED)


@pytest.mark.parametrize(
    ("reason", "fault"), [(reason, fault) for reason, faults in REJECTED.items() for fault in faults]
)
def test_e50_a_row_is_rejected_for_its_reason_and_its_neighbours_are_not(reason, fault):
    usual = {"message_id": "m1", "timestamp": "2024-03-01T10:00:00Z", "type": "track", "event": "E", "user_id": "u1"}
    good = [{**usual, "message_id": "m0"}, {**usual, "message_id": "m2"}]
    names = dict.fromkeys([*usual, *fault])
    found = read(pl.DataFrame([{name: row.get(name) for name in names} for row in (good[0], usual | fault, good[1])]))
    assert found.reasons == {reason: 1}
    assert found.counts == {"read": 3, "kept": 2, "duplicate": 0, "rejected": 1}
    assert found.quarantine.select("reason", "row").rows() == [(reason, 1)]


def test_e81_json_null_is_nothing_sent():
    row = {"message_id": "m1", "timestamp": "2024-03-01T10:00:00Z", "type": "track", "event": "E", "user_id": "u1"}
    found = read(pl.DataFrame([row | dict.fromkeys(("properties", "traits", "context"), "null")]))
    assert found.counts["kept"] == 1


def test_e50_the_first_reason_of_several_is_given():
    found = read(pl.DataFrame({"message_id": [None], "type": ["purchase"], "properties": ["x"]}))
    assert found.reasons == {"message_id_required": 1}


def test_e50_a_rejected_row_is_kept_whole(tmp_path):
    row = {"message_id": "m1", "user_id": None, "properties": '{"a":1}', "extra": 5, "timestamp": NOON}
    space, summaries = archived(tmp_path, ("web", "a", [row]))
    outputs = summaries["web"]["slices"]["2024-03-01"]["outputs"]
    quarantine = pl.read_parquet(space.lake.url(next(each["path"] for each in outputs if each["kind"] == "quarantine")))
    assert quarantine.select("reason", "object", "row").rows() == [("no_user_anon_id", "a.parquet", 0)]
    assert json.loads(quarantine["whole"][0]) == {
        "type": "track",
        "event": "E",
        "user_id": None,
        "timestamp": "2024-03-01T12:00:00+00:00",
        "message_id": "m1",
        "properties": '{"a":1}',
        "extra": 5,
    }


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([b"\xff\x00"]),
        pl.Series([[b"\xff\x00"]]),
        pl.Series([2**70], dtype=pl.Int128),
        pl.Series(["1.50"]).cast(pl.Decimal(10, 2)),
        pl.Series([[1, 2]]),
        pl.Series([{"a": {"b": NOON}}]),
        pl.Series([NOON - NOON]),
        pl.Series([NOON.date()]),
        pl.Series([NOON.time()]),
        pl.Series(["x"]).cast(pl.Categorical),
        pl.Series([float("nan")]),
        pl.Series([None]),
    ],
    ids=lambda values: str(values.dtype),
)
def test_e50_a_rejected_row_may_have_columns_of_any_type(values):
    found = read(pl.DataFrame({"user_id": [None], "odd": values}))
    assert found.reasons == {"no_user_anon_id": 1}
    assert "odd" in json.loads(found.quarantine["whole"][0])


def test_e50_a_row_without_any_instant_is_kept_too(tmp_path):
    rows = [{"message_id": "m1", "timestamp": None}, {"message_id": "m2"}]
    _, summaries = archived(tmp_path, ("web", "a", rows))
    assert {day: entry["reasons"] for day, entry in summaries["web"]["slices"].items()} == {
        "2024-03-01": {},
        "undated": {"timestamp_missing": 1},
    }


@pytest.mark.parametrize("levels", [127, 128, 5_000])
def test_e50_json_of_any_depth_stops_nothing(levels):
    nested = "[" * (levels - 1) + "]" * (levels - 1)
    found = read(pl.DataFrame({"properties": [f'{{"a":{nested}}}', '{"a":1}'], "context": ['{"x":"NaN, {inf"}', None]}))
    assert found.reasons == ({} if levels < 128 else {"properties_not_object": 1})


def test_e50_text_that_looks_like_no_number_is_text():
    found = read(pl.DataFrame({"properties": ['{"a":"x, nan, [inf"}', json.dumps({"a": "[{" * 100})]}))
    assert found.reasons == {}


def test_e51_numeric_ids_are_text():
    frame = pl.DataFrame(
        {"message_id": [1, 2], "user_id": [7, 8], "anonymous_id": pl.Series([1, None], dtype=pl.UInt16)}
    )
    found = read(frame)
    assert found.events["E"]["message_id"].to_list() == ["1", "2"]
    assert found.identifiers.select("id_type", "value").rows() == [
        ("anonymous_id", "1"),
        ("user_id", "7"),
        ("user_id", "8"),
    ]


def test_e81_absent_columns_are_like_columns_of_type_null():
    plain = read(pl.DataFrame({"user_id": ["u1"]}))
    absent = [name for name in layout.TEXTS if name not in COLUMNS] + ["anonymous_id", "received_at", "sent_at"]
    nulls = read(pl.DataFrame({"user_id": ["u1"], **{name: pl.Series([None], dtype=pl.Null) for name in absent}}))
    assert plain.events["E"].equals(nulls.events["E"])
    assert plain.counts == nulls.counts == {"read": 1, "kept": 1, "duplicate": 0, "rejected": 0}


def test_e81_columns_of_our_own_may_stand_beside_those_of_the_layout():
    assert read(pl.DataFrame({"row": [5], "reason": ["x"], "object": ["y"], "sighting": [1]})).counts["kept"] == 1


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"type": ["track"], "timestamp": [NOON]}, "no column message_id"),
        ({"message_id": ["m1"], "type": ["track"]}, "no column timestamp or received_at"),
        ({"message_id": ["m1"], "type": ["track"], "timestamp": [1709287200]}, "column timestamp is Int64"),
        ({"message_id": ["m1"], "type": ["track"], "timestamp": [NOON], "user_id": [1.5]}, "column user_id is Float64"),
        ({"message_id": ["m1"], "type": ["track"], "timestamp": [NOON], "event": [5]}, "column event is Int64"),
        ({"message_id": ["m1"], "type": ["track"], "timestamp": [NOON], "context": [{"a": 1}]}, "column context is"),
    ],
)
def test_e81_a_file_of_another_layout_is_named_with_what_is_wrong(tmp_path, columns, problem):
    space = driving.space_in(tmp_path)
    driving.put(space, "web", "2024/odd", pl.DataFrame(columns))
    with pytest.raises(ArchiveError, match=rf"2024/odd\.parquet.*{problem}"):
        driving.replay_all(space, AS_OF)


def test_a_slice_without_a_good_row_is_complete_too(tmp_path):
    space, summaries = archived(tmp_path, ("web", "a", [{"message_id": None}]))
    assert summaries["web"]["status"] == "complete"
    assert driving.table(space, driving.run(space, AS_OF), "profiles").is_empty()


# --- properties as columns ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "dtype", "values"),
    [
        (["10", "-3", "null"], pl.Int64, [10, -3, None]),
        (["10", "0.5", "1e2"], pl.Float64, [10.0, 0.5, 100.0]),
        (["1.0"], pl.Float64, [1.0]),
        (["true", "false"], pl.Boolean, [True, False]),
        (['"10"', '""', '"null"', r'"\u00e9\n\"q\""'], pl.String, ["10", "", "null", 'é\n"q"']),
        (['"2024-03-01"'], pl.String, ["2024-03-01"]),
        (["9223372036854775807", "-9223372036854775808"], pl.Int64, [2**63 - 1, -(2**63)]),
    ],
)
def test_properties_of_one_type_are_columns_of_it(texts, dtype, values):
    assert properties(*(f'{{"x":{text}}}' for text in texts)) == {"x": (dtype, values)}


def test_a_property_of_several_types_remembers_each_value():
    written = ["10", '"10"', "true", "10.0", "null", "[1, 2]", '"a b"']
    expected = ["10", '"10"', "true", "10.0", None, "[1,2]", '"a b"']
    assert properties(*(f'{{"x":{text}}}' for text in written)) == {"x:json": (pl.String, expected)}


@pytest.mark.parametrize("text", [str(2**63), str(2**64), str(-(2**63) - 1), "123456789012345678901234567890", "1e400"])
def test_numbers_beyond_64_bits_lose_no_digit(text):
    assert properties(f'{{"x":{text}}}', '{"x":1}') == {"x:json": (pl.String, [text, "1"])}
    assert properties(f'{{"x":{text}}}', '{"x":0.5}') == {"x:json": (pl.String, [text, "0.5"])}


def test_nested_objects_are_flattened_with_dots():
    assert properties('{"a":{"b":{"c":1},"d":"x"}}', '{"a":{"d":"y"}}') == {
        "a.b.c": (pl.Int64, [1, None]),
        "a.d": (pl.String, ["x", "y"]),
    }


def test_a_literal_dot_is_escaped():
    assert properties('{"a.b":1,"a":{"b":2}}') == {"a.b": (pl.Int64, [2]), r"a\.b": (pl.Int64, [1])}


def test_backslashes_before_dots_keep_names_apart():
    found = properties(r'{"a\\":{"b":1},"a.b":2,"a\\.b":3,"a":{"b":4},"a\\b":5,"c\\":6}')
    assert {name: values for name, (_, values) in found.items()} == {
        r"a\\.b": [1],
        r"a\.b": [2],
        r"a\\\.b": [3],
        "a.b": [4],
        r"a\b": [5],
        "c\\": [6],
    }


def test_arrays_stay_json():
    texts = ['{"a":[1,"x",{"b":null}]}', '{"a":[]}', '{"a":[null]}']
    assert properties(*texts) == {"a:json": (pl.String, ['[1,"x",{"b":null}]', "[]", "[null]"])}


def test_an_object_here_and_a_value_there_are_both_kept():
    assert properties('{"a":{"b":1}}', '{"a":5}') == {
        "a:json": (pl.String, ['{"b":1}', "5"]),
        "a.b": (pl.Int64, [1, None]),
    }


def test_empty_objects_are_kept():
    assert properties('{"a":{}}') == {"a:json": (pl.String, ["{}"])}
    assert properties("{}", None) == {}


def test_a_property_that_is_only_ever_null_has_no_column():
    assert properties('{"a":null}', '{"a":null,"b":1}') == {"b": (pl.Int64, [None, 1])}


def test_names_that_differ_in_case_are_different():
    assert properties('{"Price":1,"price":"x","PRICE":true}') == {
        "PRICE": (pl.Boolean, [True]),
        "Price": (pl.Int64, [1]),
        "price": (pl.String, ["x"]),
    }


def test_any_name_is_a_name():
    names = ["a/b", "a~b", "~1", "😀 x", "it's", '"q"', "$", "*", "a[0]", "#", "", " ", "ключ", "0", "%", "a\nb"]
    assert properties(json.dumps(dict.fromkeys(names, 1))) == {name: (pl.Int64, [1]) for name in names}


def test_a_name_that_ends_like_a_json_column_is_not_taken_for_one():
    assert properties('{"x":1}', '{"x":"a"}', '{"x:json":"b"}') == {
        "x:json": (pl.String, ["1", '"a"', None]),
        "x:json:json": (pl.String, [None, None, '"b"']),
    }


def test_what_lies_deeper_than_sixteen_levels_stays_json():
    text = '{"a":' * 17 + "1" + "}" * 17
    assert properties(text) == {".".join("a" * 16) + ":json": (pl.String, ['{"a":1}'])}


def test_e4_only_the_context_that_is_asked_for_is_kept():
    contexts = ['{"page":{"path":"/a"},"n":5,"a.b":true}', '{"n":"x"}', None]
    found = read(pl.DataFrame({"context": contexts}), context=("page.path", "n", "never", r"a\.b")).events["E"]
    assert {name: found[name].to_list() for name in found.columns if name.startswith("c.")} == {
        r"c.a\.b": [True, None, None],
        "c.n:json": ["5", '"x"', None],
        "c.page.path": ["/a", None, None],
    }


@pytest.mark.parametrize("trusted", [True, False])
def test_read_is_the_sum_of_kept_duplicate_and_rejected(tmp_path, trusted):
    calls = [copy("a", FIRST), copy("a", FIRST), copy("b", NEXT_DAY), {"message_id": None}, {"message_id": "m2"}]
    calls += [] if trusted else [{"message_id": "m3", "timestamp": None}]
    _, summaries = archived(tmp_path, ("web", "a", calls), ("app", "a", calls[:1]), sources=("app", "web"))
    for summary in summaries.values():
        counted = summary["rows"]
        assert counted["read"] == counted["kept"] + counted["duplicate"] + counted["rejected"]
    assert sum(each["rows"]["read"] for each in summaries.values()) == len(calls) + 1
    assert sum(each["rows"]["kept"] for each in summaries.values()) == 2

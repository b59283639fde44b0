"""Archives as people have them: which objects are read, and what their rows become."""

import json
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from populace.errors import ArchiveError
from populace.events.jsontext import JsonReader
from populace.events.layouts import LAYOUTS, Wanted
from populace.events.layouts.canonical import COLUMNS, ROW

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
LAKE = "data/abc/segment_type=order_completed/day=2024-03-01/hr=10/x.parquet"
DAY = "segment-logs/abc/1709251200000/x.gz"


@pytest.fixture(scope="module")
def reader():
    with JsonReader() as opened:
        yield opened


def parquet(layout, path, *rows, wanted=(), **columns):
    """The canonical rows of a Parquet object, as dicts without what is null."""
    frame = pl.DataFrame(list(rows)) if rows else pl.DataFrame(columns)
    frame = frame.with_row_index(ROW)
    found = frame.select(LAYOUTS[layout].columns(frame.schema, path, Wanted(frozenset(wanted))))
    return [{name: value for name, value in row.items() if value is not None} for row in found.iter_rows(named=True)]


def lines(reader, *texts, layout="segment_json", path="x.gz", reasons=None):
    """The canonical rows of lines, as dicts without what is null."""
    frame = pl.DataFrame(
        {"line": texts, "reason": reasons or [None] * len(texts)}, schema={"line": pl.String, "reason": pl.String}
    ).with_row_index(ROW)
    found = LAYOUTS[layout].rows(frame, path, reader)
    return [{name: value for name, value in row.items() if value is not None} for row in found.iter_rows(named=True)]


def call(**fields):
    """A good Track call as a line, but for what is said."""
    usual = {"messageId": "m1", "type": "track", "event": "E", "userId": "u1", "timestamp": "2024-03-01T12:00:00.000Z"}
    return json.dumps({name: value for name, value in (usual | fields).items() if value is not ...})


def good(**fields):
    """What becomes of `call`, as far as it does not depend on fields."""
    usual = {"row": 0, "message_id": "m1", "type": "track", "event": "E", "user_id": "u1"}
    return usual | {"timestamp": NOON, "received_at": NOON, "unreadable": False} | fields


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


# --- lines of JSON (E-60, E-64) -----------------------------------------------------------------------------------


def test_e60_a_line_is_a_call(reader):
    text = call(
        anonymousId="a1", groupId="g1", previousId="p1", receivedAt="2024-03-01T12:00:01.5Z",
        properties={"price": 1.5, "tags": ["é", None]}, context={"page": {"url": "https://x.example"}}, traits={"a": 1},
    )  # fmt: skip
    assert lines(reader, text) == [
        good(
            anonymous_id="a1",
            group_id="g1",
            previous_id="p1",
            received_at=NOON + timedelta(seconds=1.5),
            properties='{"price":1.5,"tags":["é",null]}',
            context='{"page":{"url":"https://x.example"}}',
            traits='{"a":1}',
        )
    ]


def test_e60_rows_stand_in_the_order_of_lines(reader):
    frame = pl.DataFrame({"line": [call(messageId=f"m{n}") for n in range(5_000)], "reason": None})
    found = LAYOUTS["segment_json"].rows(frame.with_row_index(ROW, 7), "x.gz", reader)
    assert found["message_id"].to_list() == [f"m{n}" for n in range(5_000)]
    assert found["row"].to_list() == list(range(7, 5_007))


def test_e60_no_lines_are_no_rows_of_the_same_columns(reader):
    frame = pl.DataFrame(schema={ROW: pl.UInt32, "line": pl.String, "reason": pl.String})
    found = LAYOUTS["segment_json"].rows(frame, "x.gz", reader)
    assert tuple(found.columns) == (*COLUMNS, "properties", "traits", "context", "name", "category")
    assert found.height == 0


@pytest.mark.parametrize(
    "line", ["[1]", "5", "null", '"x"', "true", "", " ", "{", '{"a":1}{"b":2}', '{"a":"\\ud800"}', "{}x"]
)
def test_1_7_a_line_that_is_no_object_is_not_json_and_its_neighbours_are_good(line, reader):
    found = lines(reader, call(), line, call())
    assert found == [good(), {"row": 1, "unreadable": False, "problem": "not_json"}, good(row=2)]


def test_e60_space_around_an_object_and_a_byte_order_mark_are_nothing(reader):
    assert lines(reader, "\ufeff" + call(), f" \t{call()}\r\n") == [good(), good(row=1)]


def test_1_7_the_reason_of_the_container_counts_first(reader):
    found = lines(reader, None, None, "{", reasons=["not_utf8", "line_too_long", None])
    assert [row["problem"] for row in found] == ["not_utf8", "line_too_long", "not_json"]


def test_1_7_an_empty_object_is_a_row_for_the_later_checks(reader):
    assert lines(reader, "{}") == [{"row": 0, "unreadable": False}]


def test_e60_snake_case_keys_count_where_there_is_no_message_id_in_camel_case(reader):
    text = '{"message_id":"m1","type":"track","event":"E","user_id":"u1","received_at":"2024-03-01T12:00:00Z"}'
    assert lines(reader, text, call(), call(userId=..., user_id="u2")) == [
        good(),
        good(row=1),
        {name: value for name, value in good(row=2).items() if name != "user_id"},
    ]


def test_e60_json_null_is_like_an_absent_key(reader):
    assert lines(reader, call(groupId=None, properties=None, context=None, receivedAt=None)) == [good()]


def test_e60_of_a_key_that_stands_twice_the_first_counts(reader):
    text = call().replace('"timestamp"', '"messageId":"m2","userId":[],"timestamp"')
    assert lines(reader, text) == [good()]


def test_e60_escapes_are_read(reader):
    text = call(event='E"\\\n\u00e9\U0001f600', userId="a\u0000b")
    assert lines(reader, text) == [good(event='E"\\\né😀', user_id="a\x00b")]


def test_e60_text_that_looks_like_something_else_is_text(reader):
    text = call(messageId="[1]", event="7 days", userId="true", anonymousId="{}", groupId="-inf", previousId="NaN")
    ids = {"user_id": "true", "anonymous_id": "{}", "group_id": "-inf", "previous_id": "NaN"}
    assert lines(reader, text) == [good(message_id="[1]", event="7 days", **ids)]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("7", "7"),
        ("-7", "-7"),
        ("12.0", "12.0"),
        ("1.5", "1.5"),
        ("123456789012345678901234567890", None),
        ("1e3", "1000.0"),
    ],
)
def test_e51_numeric_ids_are_text(number, text, reader):
    line = call(userId="?", messageId="!").replace('"?"', number).replace('"!"', number)
    assert lines(reader, line) == [good(user_id=text or number, message_id=text or number)]


@pytest.mark.parametrize("value", ["true", "false", "{}", '{"a":1}', "[]", '["u1"]', "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("key", ["messageId", "userId", "anonymousId", "groupId", "previousId"])
def test_1_7_id_not_string(key, value, reader):
    found = lines(reader, call(), call(**{key: "?"}).replace('"?"', value), call())
    assert [row.get("problem") for row in found] == [None, "id_not_string", None]


def test_1_7_id_not_string_in_snake_case_too(reader):
    assert lines(reader, '{"message_id":"m1","user_id":["u"]}')[0]["problem"] == "id_not_string"


@pytest.mark.parametrize("value", [5, 1.5, -1, True, {}, []])
def test_1_7_event_not_string(value, reader):
    assert lines(reader, call(event=value))[0]["problem"] == "event_not_string"
    assert "problem" not in lines(reader, call(type="identify", event=value))[0]


@pytest.mark.parametrize("kind", ["page", "screen"])
def test_1_7_name_and_category_of_a_page_or_screen_call_are_strings(kind, reader):
    found = lines(reader, *(call(type=kind, **{key: 5}) for key in ("name", "category")))
    assert [row["problem"] for row in found] == ["name_not_string", "category_not_string"]


def test_e5_the_name_and_category_of_a_page_stand_outside_of_its_properties(reader):
    found = lines(reader, call(type="page", name="Home", category="Docs"), call(type="track", name=5, category="Docs"))
    assert [(row.get("name"), row.get("category"), row.get("problem")) for row in found] == [
        ("Home", "Docs", None),
        (None, None, None),
    ]


@pytest.mark.parametrize("value", ["[1]", '"x"', "5", "true"])
def test_1_7_payload_that_is_no_object_is_left_to_the_later_checks(value, reader):
    line = call(properties="?").replace('"?"', value)
    assert lines(reader, line) == [good(properties=value)]


@pytest.mark.parametrize("value", ["[" * 100 + "]" * 100, '{"a":' * 100 + "1" + "}" * 100, "[NaN,-Infinity]", "1e400"])
def test_e50_json_of_any_kind_below_properties_goes_through(value, reader):
    line = call(properties={"x": "?"}).replace('"?"', value)
    assert lines(reader, line) == [good(properties=f'{{"x":{value}}}')]


def test_rudderstack_keeps_the_traits_of_an_identify_call_in_its_context(reader):
    texts = [
        call(type="identify", context={"traits": {"a": 1}}),
        call(type="identify", context={"traits": {"a": 1}}, traits={}),
        call(type="identify", context={"traits": {"a": 1}}, traits={"b": 2}),
        call(type="track", context={"traits": {"a": 1}}),
        call(type="identify", context={"traits": None}),
    ]
    found = lines(reader, *texts, layout="rudderstack_json")
    assert [row.get("traits") for row in found] == ['{"a":1}', '{"a":1}', '{"b":2}', None, None]
    assert "traits" not in lines(reader, texts[0])[0]


# --- two thousand lines that something happened to --------------------------------------------------------------

ODD = [
    None,
    True,
    5,
    -1.5,
    "",
    "\u0000",
    [],
    {},
    [{}],
    {"a": [1]},
    "x" * 40_000,
    [[[]]] * 3,
    {"": {"": None}},
    "2024",
    10**40,
]
CODES = {"not_json", "id_not_string", "event_not_string", "name_not_string", "category_not_string", None}


def mutated(chance):
    """A call as a line, to which something happened."""
    kind = chance.choice(["track", "identify", "page", "screen", "group", "alias", "purchase"])
    keys = {
        "messageId": "m1", "type": kind, "event": "E", "userId": "u1", "anonymousId": "a1", "groupId": "g1",
        "name": "N", "category": "C", "timestamp": "2024-03-01T12:00:00.000Z", "receivedAt": "2024-03-01T12:00:00.000Z",
        "context": {"page": {"url": "x"}, "traits": {"email": "a@example.com"}}, "properties": {"a": 1},
        "traits": {"b": 2},
    }  # fmt: skip
    for key in chance.sample(sorted(keys), chance.randrange(4)):
        if chance.random() < 0.5:
            keys[key] = chance.choice(ODD)
        else:
            del keys[key]
    text = json.dumps(keys, ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.1:
        text = text.replace('"a": 1', '"a": ' + "[" * 100 + "]" * 100)
    if chance.random() < 0.3:
        text = "".join(chance.choice('{}[]":,\\x0\u00e9\x00 ') if chance.random() < 0.02 else each for each in text)
    return text[: chance.randrange(len(text))] if chance.random() < 0.1 else text


@pytest.mark.parametrize("layout", ["segment_json", "rudderstack_json"])
def test_e50_whatever_happened_to_lines_each_gives_one_row(layout, reader):
    chance = random.Random(20240301)
    frame = pl.DataFrame({"line": [mutated(chance) for _ in range(2_000)]}).with_row_index(ROW)
    frame = frame.with_columns(reason=pl.lit(None, dtype=pl.String))
    found = LAYOUTS[layout].rows(frame, DAY, reader)
    assert found["row"].to_list() == list(range(2_000))
    assert set(found["problem"]) == CODES
    # Bad lines do not show in their neighbours' rows.
    assert found.equals(pl.concat(LAYOUTS[layout].rows(part, DAY, reader) for part in frame.iter_slices(150)))


# --- the data lake (E-70 to E-76) ---------------------------------------------------------------------------------

TRACKED = {"message_id": "m1", "type": "track", "event": "E", "user_id": "u1", "timestamp": NOON, "received_at": NOON}


def test_e76_columns_with_a_prefix_are_the_payload():
    extra = {"properties_billing_address": "x", "properties_orderId": 5, "traits_email": "e", "integrations_All": True}
    found = parquet("segment_lake", LAKE, TRACKED | extra | {"channel": "web", "metadata_x": 1, "project_id": "p"})
    assert found == [good(**{"p.billing_address": "x", "p.orderId": 5, "t.email": "e"})]


@pytest.mark.parametrize(
    "spelled", [str.lower, lambda name: name, lambda name: name.replace("Id", "_id").replace("At", "_at")]
)
def test_e76_the_columns_of_a_call_are_found_in_any_spelling(spelled):
    names = {"messageId": "m1", "type": "track", "event": "E", "userId": "u1", "timestamp": NOON, "receivedAt": NOON}
    assert parquet("segment_lake", LAKE, {spelled(name): value for name, value in names.items()}) == [good()]


@pytest.mark.parametrize(
    ("table", "kind", "event"),
    [
        ("identify", "identify", None),
        ("identifies", "identify", None),
        ("page", "page", None),
        ("aliases", "alias", None),
        ("order_completed", "track", "order_completed"),
        ("track_order_completed", "track", "order_completed"),
        ("tracks", "track", None),
    ],
)
def test_e72_without_columns_for_them_the_table_says_type_and_event(table, kind, event):
    row = {"message_id": "m1", "timestamp": NOON}
    found = parquet("segment_lake", f"data/abc/segment_type={table}/2024/03/01/x.parquet", row)[0]
    assert (found["type"], found.get("event")) == (kind, event)


def test_e72_what_a_row_says_of_itself_counts_before_the_table():
    rows = [
        TRACKED | {"event": "Order Completed"},
        TRACKED | {"event": None},
        TRACKED | {"type": "page", "event": None},
    ]
    found = parquet("segment_lake", LAKE, *rows)
    assert [(row["type"], row.get("event")) for row in found] == [
        ("track", "Order Completed"),
        ("track", "order_completed"),
        ("page", None),
    ]


def test_e71_without_received_at_the_hour_of_the_partition_counts():
    row = {"message_id": "m1", "type": "track", "event": "E", "user_id": "u1", "timestamp": NOON}
    assert parquet("segment_lake", LAKE, row) == [good(received_at=datetime(2024, 3, 1, 10, tzinfo=UTC))]
    assert parquet("segment_lake", LAKE, {"message_id": "m1"})[0]["timestamp"] == datetime(2024, 3, 1, 10, tzinfo=UTC)


def test_e76_sent_at_is_as_sent_and_may_be_text():
    row = TRACKED | {"timestamp": None, "sent_at": "2024-03-01T11:00:05Z", "original_timestamp": "2024-03-01T11:00:00Z"}
    assert parquet("segment_lake", LAKE, row)[0]["timestamp"] == NOON - timedelta(seconds=5)


def test_e5_the_name_of_a_page_call_is_a_property():
    rows = [TRACKED | {"type": kind, "name": "Home", "category": "Docs"} for kind in ("page", "screen", "track")]
    found = parquet("segment_lake", LAKE, *rows)
    assert [(row.get("p.name"), row.get("p.category")) for row in found] == [("Home", "Docs")] * 2 + [(None, None)]


def test_e5_a_property_called_name_counts_before_the_name_of_the_page():
    rows = [TRACKED | {"type": "page", "name": "Home", "properties_name": own} for own in ("Own", None)]
    assert [row["p.name"] for row in parquet("segment_lake", LAKE, *rows)] == ["Own", "Home"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pl.Series([7, None], dtype=pl.Int64), ["7", None]),
        (pl.Series([7, 8], dtype=pl.UInt64), ["7", "8"]),
        (pl.Series([Decimal(7), Decimal("7.5")], dtype=pl.Decimal(38, 6)), ["7", "7.500000"]),
        (pl.Series([7.0, 7.5]), ["7", "7.5"]),
        (pl.Series(["07", ""]), ["07", ""]),
        (pl.Series(["07", "08"], dtype=pl.Categorical), ["07", "08"]),
        (pl.Series([None, None]), [None, None]),
    ],
    ids=lambda each: str(each.dtype) if isinstance(each, pl.Series) else "",
)
def test_e51_e75_ids_whose_type_was_inferred_are_text(values, expected):
    found = parquet("segment_lake", LAKE, message_id=["a", "b"], timestamp=[NOON, NOON], userid=values)
    assert [row.get("user_id") for row in found] == expected


# --- types of flattened columns (E-74, E-90, E-91) ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, None], pl.Int64, {"p.x": [1, None]}),
        ([1, None], pl.Int8, {"p.x": [1, None]}),
        ([1, None], pl.UInt32, {"p.x": [1, None]}),
        ([2**64 - 1, 1], pl.UInt64, {"p.x:json": ["18446744073709551615", "1"]}),
        ([2**70, None], pl.Int128, {"p.x:json": ["1180591620717411303424", None]}),
        ([1.5, None], pl.Float32, {"p.x": [1.5, None]}),
        ([1.5, float("nan"), float("inf"), None], pl.Float64, {"p.x": [1.5, None, None, None]}),
        ([True, None], pl.Boolean, {"p.x": [True, None]}),
        (["x", "", None], pl.String, {"p.x": ["x", "", None]}),
        (["x", None], pl.Categorical, {"p.x": ["x", None]}),
        ([Decimal("19.99"), None], pl.Decimal(12, 2), {"p.x": [19.99, None]}),
        ([Decimal(5), None], pl.Decimal(10, 0), {"p.x": [5, None]}),
        (
            [Decimal("19.99"), Decimal(2**53 - 1), Decimal(2**53 + 1), Decimal("-9007199254740993.5"), None],
            pl.Decimal(38, 6),
            {
                "p.x": [19.99, 9007199254740991.0, None, None, None],
                "p.x:json": [None, None, "9007199254740993", "-9007199254740993.5", None],
            },
        ),
        (
            [Decimal("1e20"), Decimal(100)],
            pl.Decimal(38, 0),
            {"p.x": [None, 100.0], "p.x:json": ["1" + "0" * 20, None]},
        ),
        (
            [datetime(2024, 3, 1, 12), datetime(2024, 3, 1, 12, 0, 0, 123456), None],
            pl.Datetime("us"),
            {"p.x": ["2024-03-01T12:00:00.000Z", "2024-03-01T12:00:00.123456Z", None]},
        ),
        ([NOON], pl.Datetime("ms", "UTC"), {"p.x": ["2024-03-01T12:00:00.000Z"]}),
        ([date(2024, 3, 1), None], pl.Date, {"p.x": ["2024-03-01T00:00:00.000Z", None]}),
        ([time(12, 30)], pl.Time, {"p.x": ["12:30:00"]}),
        ([timedelta(hours=1)], pl.Duration("us"), {"p.x": ["PT1H"]}),
        ([b"\xff\x00", None], pl.Binary, {"p.x:json": ['"ff00"', None]}),
        ([[1, None], [], None], pl.List(pl.Int64), {"p.x:json": ["[1,null]", "[]", None]}),
        ([[1, 2]], pl.Array(pl.Int64, 2), {"p.x:json": ["[1,2]"]}),
        ([[b"\xff"], None], pl.List(pl.Binary), {"p.x:json": ['["ff"]', None]}),
        (
            [[{"at": datetime(2024, 3, 1), "of": Decimal("1.50")}]],
            pl.List(pl.Struct({"at": pl.Datetime("us"), "of": pl.Decimal(38, 6)})),
            {"p.x:json": ['[{"at":"2024-03-01T00:00:00.000Z","of":1.5}]']},
        ),
        ([{"a": {"b": 1}}, None], pl.Struct({"a": pl.Struct({"b": pl.Int64})}), {"p.x:json": ['{"a":{"b":1}}', None]}),
        ([None, None], pl.Null, {}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_e74_e91_a_column_has_one_of_four_types_or_is_json(values, dtype, expected):
    frame = pl.DataFrame({"properties_x": pl.Series(values, dtype=dtype)}).with_columns(message_id=pl.lit("m"))
    frame = frame.with_row_index(ROW)
    found = frame.select(LAYOUTS["segment_lake"].columns(frame.schema, LAKE, Wanted()))
    assert {name: found[name].to_list() for name in found.columns if name.startswith("p.")} == expected


def test_e74_a_map_is_a_json_object():
    column = pl.Series(
        [[{"key": "k", "value": 1}], None], dtype=pl.List(pl.Struct({"key": pl.String, "value": pl.Int64}))
    )
    column = column.cast(pl.Map(pl.String, pl.Int64))
    found = parquet("segment_lake", LAKE, message_id=["a", "b"], properties_x=column)
    assert [row.get("p.x:json") for row in found] == ['{"k":1}', None]


@pytest.mark.parametrize(
    ("column", "name", "value"),
    [
        ("properties_a.b", r"p.a\.b", "x"),
        ("properties_a:json", "p.a:json:json", '"x"'),
        ("properties_properties_a", "p.properties_a", "x"),
        ("properties_ä ö", "p.ä ö", "x"),
    ],
)
def test_q9_the_name_of_a_column_is_one_key_of_a_path(column, name, value):
    assert parquet("segment_lake", LAKE, TRACKED | {column: "x"}) == [good(**{name: value})]


# --- context of flattened archives --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "path", "name"),
    [
        ("context_page_url", ("page", "url"), "c.page.url"),
        ("context_userAgent", ("userAgent",), "c.userAgent"),
        ("context_user_agent", ("userAgent",), "c.userAgent"),
        ("context_useragent", ("userAgent",), "c.userAgent"),
        ("context_device_advertising_id", ("device", "advertisingId"), "c.device.advertisingId"),
        ("context_traits_email", ("traits", "email"), "c.traits.email"),
        ("context_a.b", ("a.b",), r"c.a\.b"),
    ],
)
def test_e76_e90_wanted_paths_of_the_context_are_found_in_both_spellings(column, path, name):
    assert parquet("segment_lake", LAKE, TRACKED | {column: "x"}, wanted=[path]) == [good(**{name: "x"})]
    assert parquet("segment_lake", LAKE, TRACKED | {column: "x"}) == [good()]


def test_e90_the_exact_spelling_of_a_path_counts_before_others():
    row = TRACKED | {"context_useragent": "x", "context_user_agent": "y", "context_userAgent": "z"}
    assert parquet("segment_lake", LAKE, row, wanted=[("userAgent",)]) == [good(**{"c.userAgent": "z"})]


def test_e90_a_path_without_a_column_is_the_object_of_those_below_it():
    rows = [TRACKED | {"context_page_url": "x", "context_page_tags": ["a"], "context_pages": 1}, dict(TRACKED)]
    found = parquet("segment_lake", LAKE, *rows, wanted=[("page",), ("page", "url")])
    assert found[0] == good(**{"c.page:json": '{"url":"x","tags":["a"]}', "c.page.url": "x"})
    assert found[1] == good(row=1)


def test_e11_external_ids_are_json_whether_stored_as_text_or_as_a_list():
    path = [("externalIds",)]
    text = parquet("warehouse", "e.parquet", STORED | {"context_external_ids": '[{"id":"1"}]'}, wanted=path)
    assert text == [good(**{"c.externalIds:json": '[{"id":"1"}]'})]
    listed = parquet("segment_lake", LAKE, TRACKED | {"context_externalIds": [{"id": "1"}]}, wanted=path)
    assert listed == [good(**{"c.externalIds:json": '[{"id":"1"}]'})]


def test_e90_a_path_that_the_file_does_not_have_is_left_out():
    assert parquet("segment_lake", LAKE, TRACKED, wanted=[("page", "url")]) == [good()]


# --- the warehouse (E-90 to E-94) ---------------------------------------------------------------------------------

STORED = {"id": "m1", "event_text": "E", "event": "e", "user_id": "u1", "timestamp": NOON, "received_at": NOON}


def test_e90_columns_without_a_prefix_are_properties_of_a_track_call():
    extra = {
        "uuid": 1,
        "uuid_ts": NOON,
        "loaded_at": NOON,
        "sent_at": NOON,
        "original_timestamp": NOON,
        "context_ip": "x",
    }
    assert parquet("warehouse", "web/e.parquet", STORED | extra | {"price": 1.5}) == [good(**{"p.price": 1.5})]


def test_e93_a_property_called_like_a_reserved_column_keeps_its_prefix():
    assert parquet("warehouse", "e.parquet", STORED | {"_id": "x"}) == [good(**{"p._id": "x"})]


def test_e93_group_id_and_type_are_reserved_where_they_are_a_field_of_the_call():
    extra = {"group_id": "g1", "previous_id": "p1", "type": "page"}
    assert parquet("warehouse", "e.parquet", STORED | extra) == [
        good(**{"p.group_id": "g1", "p.previous_id": "p1", "p.type": "page"})
    ]
    found = parquet("warehouse", "groups.parquet", STORED | extra)[0]
    assert (found["type"], found["group_id"], found["t.type"]) == ("group", "g1", "page")
    found = parquet("warehouse", "aliases.parquet", STORED | extra)[0]
    assert (found["type"], found["previous_id"]) == ("alias", "p1")


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("identifies.parquet", "identify", "t.plan"),
        ("web/identifies/part-00000-0a1b2c3d-0000-4000-8000-00000000abcd-c000.snappy.parquet", "identify", "t.plan"),
        ("groups/000000000000.parquet", "group", "t.plan"),
        ("pages/2024/03/01/0000_part_00.parquet", "page", "p.plan"),
        ("public.screens.parquet", "screen", "p.plan"),
        ("identifies_view/0.parquet", "identify", "t.plan"),
        ("tracks.parquet", "track", "p.plan"),
        ("web/signed_up.parquet", "track", "p.plan"),
        ("signed_up/signed_up_01.parquet", "track", "p.plan"),
    ],
)
def test_e90_the_table_says_which_calls_it_holds(path, kind, name):
    found = parquet("warehouse", path, {"id": "m1", "received_at": NOON, "plan": "pro"})[0]
    assert (found["type"], found[name]) == (kind, "pro")


@pytest.mark.parametrize(
    ("columns", "event"),
    [
        ({"event_text": "Order Completed", "event": "order_completed"}, "Order Completed"),
        ({"event_text": None, "event": "order_completed"}, "order_completed"),
        ({"event": "order_completed"}, "order_completed"),
        ({}, "orders"),
    ],
)
def test_e90_the_event_is_called_as_event_text_says_else_event_else_the_table(columns, event):
    assert parquet("warehouse", "orders/0.parquet", {"id": "m1", "received_at": NOON} | columns)[0]["event"] == event


def test_e5_the_name_of_a_stored_page_is_a_property():
    found = parquet(
        "warehouse", "pages.parquet", {"id": "m1", "received_at": NOON, "name": "Home", "category": "Docs"}
    )[0]
    assert (found["p.name"], found["p.category"]) == ("Home", "Docs")


def test_e94_a_schema_in_capitals_is_taken_for_lower_case():
    row = {"ID": "m1", "EVENT_TEXT": "E", "USER_ID": "u1", "RECEIVED_AT": NOON, "PRICE": 1.5, "CONTEXT_PAGE_URL": "x"}
    found = parquet("warehouse", "WEB/E/data_0_0_0.parquet", row, wanted=[("page", "url")])
    assert found == [good(**{"p.price": 1.5, "c.page.url": "x"})]
    assert parquet("warehouse", "e.parquet", STORED | {"PRICE": 1.5}) == [good(**{"p.PRICE": 1.5})]


@pytest.mark.parametrize(
    ("layout", "path", "row", "problem"),
    [
        ("segment_lake", "a/x.parquet", {"message_id": "m"}, "no column timestamp or received_at; move it out"),
        ("segment_lake", LAKE, {"userid": "u"}, "not of the layout segment_lake, no column message_id"),
        (
            "segment_lake",
            "a/x.parquet",
            {"message_id": "m", "timestamp": NOON},
            "no folder says which .* `segment_type=…`",
        ),
        (
            "segment_lake",
            LAKE,
            TRACKED | {"properties": "{}"},
            "properties as one column; set the source's `layout` to raw",
        ),
        ("segment_lake", LAKE, TRACKED | {"user_id": True}, "column user_id is Boolean, not text or a number"),
        ("segment_lake", LAKE, TRACKED | {"sent_at": 5}, "column sent_at is Int64, not a Datetime"),
        ("warehouse", "e.parquet", {"received_at": NOON}, "not of the layout warehouse, no column id;"),
        ("warehouse", "e.parquet", {"id": "m1"}, "no column timestamp or received_at"),
        (
            "warehouse",
            "part-0.parquet",
            {"id": "m1", "received_at": NOON},
            "no folder says which .* named after tables",
        ),
    ],
)
def test_e70_e90_a_file_of_another_layout_is_named_with_what_is_wrong(layout, path, row, problem):
    with pytest.raises(ArchiveError, match=rf"^{path}: .*{problem}"):
        parquet(layout, path, row)

"""From the rows of an archive to events: names, instants, and rows that are rejected."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from populace.errors import ArchiveError
from populace.events import rows, tables
from populace.events.layouts.canonical import TEXTS
from populace.space import views
from tests import driving
from tests.slicing import COLUMNS, NOON, archived, called, properties, read
from tests.tables import AS_OF

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
    assert [tables.is_event(name) for name in found.events] == [True, False]
    assert tables.event_of(tables.table_of("@identify")) == "@identify"


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
    found = driving.replay_all(space, AS_OF)["web"]
    assert list(found["days"]) == list(found["slices"]) == ["2024-03-01"]


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
    "group_id_too_long": [{"type": "group", "group_id": "x" * 501}],
    "properties_not_object": [
        {"properties": text}
        for text in ("[1]", '"x"', "5", "", '{"a":', '{"a":1}{"b":2}', '{"a":NaN}', '{"a":-Infinity}')
    ],
    "traits_not_object": [{"type": "identify", "traits": "[]"}],
    "context_not_object": [{"context": "x"}, {"context": '{"a":"\\ud800"}'}],
    "too_many_properties": [{"properties": json.dumps(dict.fromkeys(map(str, range(301)), 1))}],
    "too_many_traits": [{"type": "identify", "traits": json.dumps(dict.fromkeys(map(str, range(300)), 1))}],
    "group_id_empty": [
        {"context": '{"groupId":""}'},
        {"context": '{"groupId":" "}'},
        {"context": '{"groupId":"\\u000b\\t"}'},
    ],
}


def test_e50_every_reason_is_tested():
    assert [*rows._envelope_checks(), *rows.PAYLOAD] == list(REJECTED)


def test_e50_a_row_at_a_limit_is_good():
    names = [str(number) for number in range(300)]
    calls = [
        {"message_id": "x" * 100},
        {"type": "group", "group_id": "x" * 500},
        {"properties": json.dumps({key: {"a": [1, 2], "b": 3} for key in names})},
        {"type": "identify", "traits": json.dumps(dict.fromkeys(names[:299], ",,,"))},
        {"context": '{"groupId":"g","x":{"groupId":""}}'},
    ]
    found = read(called(*({"message_id": f"m{number}"} | call for number, call in enumerate(calls))))
    assert found.reasons == {}


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
    (part,) = summaries["web"]["parts"].values()
    outputs = part["outputs"]
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
    assert views.reasons(summaries["web"]) == {"timestamp_missing": 1}
    assert {day: (entry["kept"], entry["rejected"]) for day, entry in summaries["web"]["days"].items()} == {
        "2024-03-01": (1, 0),
        "undated": (0, 1),
    }


@pytest.mark.parametrize("levels", [127, 128, 5_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
def test_e50_json_of_any_depth_is_an_event(levels, opening, closing):
    nested = opening * (levels - 1) + ("1" if closing == "}" else "") + closing * (levels - 1)
    found = read(pl.DataFrame({"properties": [f'{{"a":{nested}}}', '{"a":1}'], "context": ['{"x":"NaN, {inf"}', None]}))
    assert found.reasons == {}
    assert found.events["E"]["message_id"].to_list() == ["m0", "m1"]


def test_e50_text_that_looks_like_no_number_is_text():
    found = read(pl.DataFrame({"properties": ['{"a":"x, nan, [inf"}', json.dumps({"a": "[{" * 100})]}))
    assert found.reasons == {}


def test_e51_numeric_ids_are_text():
    frame = pl.DataFrame(
        {"message_id": [1, 2], "user_id": [7, 8], "anonymous_id": pl.Series([1, None], dtype=pl.UInt16)}
    )
    found = read(frame)
    assert found.events["E"]["message_id"].to_list() == ["1", "2"]
    assert sorted(found.tables.identifiers.select("id_type", "value").rows()) == [
        ("anonymous_id", "1"),
        ("user_id", "7"),
        ("user_id", "8"),
    ]


def test_e81_absent_columns_are_like_columns_of_type_null():
    plain = read(pl.DataFrame({"user_id": ["u1"]}))
    absent = [name for name in TEXTS if name not in COLUMNS] + ["anonymous_id", "received_at", "sent_at"]
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


def test_a_day_without_a_good_row_is_complete_too(tmp_path):
    space, summaries = archived(tmp_path, ("web", "a", [{"message_id": None}]))
    assert summaries["web"]["status"] == summaries["web"]["days"]["2024-03-01"]["status"] == "complete"
    assert driving.table(space, driving.run(space, AS_OF), "profiles").is_empty()

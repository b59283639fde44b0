"""Flattened archives, the data lake and exported warehouses: what their columns become."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from populace.errors import ArchiveError
from populace.events.layouts import LAYOUTS, Wanted
from populace.events.layouts.canonical import ROW
from tests.spec.canonical import LAKE, NOON, good, parquet

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

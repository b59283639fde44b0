"""Archives of JSON lines, Segment's and RudderStack's: what each line becomes."""

import json
import random
from datetime import timedelta

import polars as pl
import pytest

from populace.events.jsontext import pointer
from populace.events.layouts import LAYOUTS, Wanted
from populace.events.layouts.canonical import COLUMNS, ROW
from tests.spec.canonical import DAY, NOON, call, good, lines

# --- lines of JSON (E-60, E-64) -----------------------------------------------------------------------------------


def test_e60_a_line_is_a_call(reader):
    text = call(
        anonymousId="a1", groupId="g1", previousId="p1", receivedAt="2024-03-01T12:00:01.5Z",
        properties={"price": 1.5, "tags": ["é", None]}, context={"page": {"url": "https://x.example"}}, traits={"a": 1},
    )  # fmt: skip
    assert lines(reader, text, wanted=[("page", "url"), ("page",), ("ip",)]) == [
        good(
            anonymous_id="a1",
            group_id="g1",
            previous_id="p1",
            received_at=NOON + timedelta(seconds=1.5),
            properties='{"price":1.5,"tags":["é",null]}',
            traits='{"a":1}',
            **{"context/page": '{"url":"https://x.example"}', "context/page/url": '"https://x.example"'},
        )
    ]


@pytest.mark.parametrize(
    "value",
    [
        "5",
        '"x"',
        "true",
        "[]",
        '["a"]',
        '[{"page":{"url":"x"}}]',
        '{"a":NaN}',
        '{"library":{"name":1},"page":{"url":"x","b":[NaN]}}',
    ],
)
def test_1_7_a_context_that_is_no_object_is_told(value, reader):
    texts = [call().replace("{", f'{{"context":{each},', 1) for each in (value, "{}", '{"a":1}', "null")]
    found = lines(reader, *texts, wanted=[("page", "url"), ("0",), ("0", "page")])
    assert [row.get("context_not_object") for row in found] == [True, None, None, None]


def test_e60_a_context_is_read_with_any_names(reader):
    inner = {"a/b": {"~": 1}, "0": "zero", "": "", "appId": "A", "AppId": "B", "x": {"y": None}}
    paths = {("a/b", "~"): "1", ("0",): '"zero"', ("",): '""', ("appId",): '"A"', ("AppId",): '"B"'}
    found = lines(reader, call(context=inner), wanted=[*paths, ("x", "y"), ("a/b", "~", "c"), ("missing",)])
    assert found == [good(**{f"context{pointer(path)}": value for path, value in paths.items()})]


def test_e60_rows_stand_in_the_order_of_lines(reader):
    frame = pl.DataFrame({"line": [call(messageId=f"m{n}") for n in range(5_000)], "reason": None})
    found = LAYOUTS["segment_json"].rows(frame.with_row_index(ROW, 7), "x.gz", Wanted(), reader)
    assert found["message_id"].to_list() == [f"m{n}" for n in range(5_000)]
    assert found["row"].to_list() == list(range(7, 5_007))


def test_e60_no_lines_are_no_rows_of_the_same_columns(reader):
    frame = pl.DataFrame(schema={ROW: pl.UInt32, "line": pl.String, "reason": pl.String})
    found = LAYOUTS["segment_json"].rows(frame, "x.gz", Wanted(frozenset([("ip",)])), reader)
    contexts = ("context_not_object", "context/groupId", "context/ip")
    assert tuple(found.columns) == (*COLUMNS, "properties", "traits", *contexts, "name", "category")
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
    wanted = Wanted(frozenset([("page", "url"), ("traits", "email")]))
    found = LAYOUTS[layout].rows(frame, DAY, wanted, reader)
    assert found["row"].to_list() == list(range(2_000))
    assert set(found["problem"]) == CODES
    # Bad lines do not show in their neighbours' rows.
    assert found.equals(pl.concat(LAYOUTS[layout].rows(part, DAY, wanted, reader) for part in frame.iter_slices(150)))

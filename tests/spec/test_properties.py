"""Properties as typed columns, with nothing forgotten."""

import json

import polars as pl
import pytest

from tests.slicing import properties, read


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
    expected = ["10", '"10"', "true", "10", None, "[1,2]", '"a b"']  # 10.0 is the same number as 10
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
        "a": (pl.Int64, [None, 5]),
        "a.b": (pl.Int64, [1, None]),
    }
    assert properties('{"a":{"b":1}}', '{"a":5}', '{"a":"x"}') == {
        "a:json": (pl.String, [None, "5", '"x"']),
        "a.b": (pl.Int64, [1, None, None]),
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

"""Event tables read across objects: any name, columns of differing types, rare tables, objects kept whole."""

import itertools
import json
import string
from datetime import UTC, datetime

import polars as pl
import pytest

from populace.lake import objects, tables
from populace.space.people import FromJson

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)

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
    """Parts that hold one object of the table E each, with these property columns."""
    return [_part(store, number, "events", "E", columns) for number, columns in enumerate(frames)]


def few(store, number, *rows):
    """A part whose tables share an object; each row is (table, properties as they were sent)."""
    columns = {"event": [table for table, _ in rows], "_rest": [text for _, text in rows]}
    part = _part(store, number, "few", None, columns)
    part["outputs"][0]["events"] = sorted({table for table, _ in rows})
    return part


def _part(store, number, kind, table, columns):
    length = max((len(each) for each in columns.values() if isinstance(each, list)), default=1)
    usual = {"timestamp": NOON, "received_at": NOON, "source": "web", "sighting": 1}
    ids = [f"m{number}.{row}" for row in range(length)]
    values = {name: each if isinstance(each, list) else [each] for name, each in columns.items()}
    frame = pl.DataFrame({"message_id": ids, **{name: [each] * length for name, each in usual.items()}, **values}).cast(
        {"timestamp": tables.INSTANT, "received_at": tables.INSTANT}
    )
    path = f"{tables.place(kind, table)}/{number}.parquet"
    objects.write_table(store, path, frame)
    types = {each.name: tables.type_name(each) for each in frame.iter_columns() if each.name[:2] in ("p.", "c.", "_r")}
    return {"outputs": [{"kind": kind, "table": table, "path": path, "columns": types}]}


def united(store, parts, *columns, table="E"):
    """The property columns of the united table, in the order of the messages."""
    found = tables.events(store, parts, table, columns, FromJson()).collect().sort("message_id")
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
    parts = written(store, *({"p.x": value} for value in values))
    assert united(store, parts, "p.x") == {name: (dtype, expected)}


def test_a_column_that_is_json_somewhere_is_json(store):
    parts = written(store, {"p.x:json": ["[1]"]}, {"p.x": ["a"]}, {"p.x": [2.5]}, {"p.y": [1]})
    assert united(store, parts, "p.x") == {"p.x:json": (pl.String, ["[1]", '"a"', "2.5", None])}


def test_text_as_json_can_be_read_back(store):
    odd = ["", "}", '{"v":1}', "\u2028", "null", "a\tb", '"', "😀", "}}"]
    parts = written(store, *({"p.x": value} for value in odd), {"p.x": [1]})
    found = united(store, parts, "p.x")["p.x:json"][1]
    assert [json.loads(each) for each in found] == [*odd, 1]


def test_a_column_that_some_files_have_is_null_in_the_others(store):
    parts = written(store, {"p.x": [1]}, {"p.y": ["a"]}, {})
    assert united(store, parts, "p.x", "p.y") == {
        "p.x": (pl.Int64, [1, None, None]),
        "p.y": (pl.String, [None, "a", None]),
    }


def test_a_column_that_no_file_has_is_no_column(store):
    assert united(store, written(store, {"p.x": [1]}), "p.never") == {}


def test_only_the_columns_asked_for_are_read(store):
    assert list(united(store, written(store, {"p.x": [1], "p.y": [2], "c.z": [3]}), "c.z")) == ["c.z"]


def test_a_path_that_ends_like_a_json_column_is_not_taken_for_one(store):
    parts = written(store, {"p.x:json": ["1"], "p.x:json:json": ['"b"']})
    assert united(store, parts, "p.x:json") == {"p.x:json:json": (pl.String, ['"b"'])}
    assert united(store, parts, "p.x") == {"p.x:json": (pl.String, ["1"])}


def test_a_table_that_no_part_has_is_none(store):
    assert tables.events(store, written(store, {}), "F", [], FromJson()) is None
    assert tables.events(store, [few(store, 0, ("E", None))], "F", [], FromJson()) is None
    assert tables.read(store, [{"outputs": []}], "sightings") is None


def test_whole_numbers_that_no_float_holds_keep_their_digits_beside_fractions(store):
    large = 2**53 + 1
    assert united(store, written(store, {"p.x": large}, {"p.x": 1}), "p.x") == {"p.x": (pl.Int64, [large, 1])}
    assert united(store, written(store, {"p.x": large}, {"p.x": 0.5}), "p.x") == {
        "p.x:json": (pl.String, [str(large), "0.5"])
    }
    assert united(store, written(store, {"p.x": 2**53}, {"p.x": 0.5}), "p.x") == {
        "p.x": (pl.Float64, [float(2**53), 0.5])
    }


# --- rare tables, and objects with more properties than columns -------------------------------------


def test_tables_that_share_an_object_are_read_apart(store):
    parts = [few(store, 0, ("E", '{"x":1}'), ("F", '{"x":"a"}'), ("E", '{"x":2,"y":true}'), ("E", None))]
    assert united(store, parts, "p.x", "p.y") == {
        "p.x": (pl.Int64, [1, 2, None]),
        "p.y": (pl.Boolean, [None, True, None]),
    }
    assert united(store, parts, "p.x", "p.y", table="F") == {"p.x": (pl.String, ["a"])}
    assert tables.names(parts) == ["E", "F"]


def test_a_table_may_be_rare_here_and_have_an_object_of_its_own_there(store):
    parts = [*written(store, {"p.x": 1}), few(store, 1, ("E", '{"x":0.5}')), few(store, 2, ("E", '{"x":{}}'))]
    assert united(store, parts[:2], "p.x") == {"p.x": (pl.Float64, [1.0, 0.5])}
    assert united(store, parts, "p.x") == {"p.x:json": (pl.String, ["1", "0.5", "{}"])}


def test_what_has_no_column_is_read_from_the_whole_object(store):
    own = written(store, {"p.x": [1, 2], "_rest": ['{"x":1,"y":{"z":"a"}}', '{"x":2,"y":{"z":"b"},"x:json":5}']})
    assert united(store, own, "p.x", "p.y.z", "p.y", "p.x:json", "p.never") == {
        "p.x": (pl.Int64, [1, 2]),
        "p.y.z": (pl.String, ["a", "b"]),
        "p.x:json:json": (pl.String, [None, "5"]),
    }


@pytest.mark.parametrize("path", ["a/b", "a~b", r"a\.b", "a b", "é", '"', "x:json"])
def test_any_name_is_found_in_a_whole_object(store, path):
    name = path.replace("\\.", ".")
    parts = [few(store, 0, ("E", json.dumps({name: 5, "else": 6})))]
    (found,) = united(store, parts, f"p.{path}").values()
    assert found in ((pl.Int64, [5]), (pl.String, ["5"]))


def test_the_context_is_never_read_from_whole_objects(store):
    assert united(store, [few(store, 0, ("E", '{"x":1}'))], "c.x") == {}


def test_a_property_may_be_called_as_the_whole_object_is(store):
    assert united(store, written(store, {"p._rest": 1}, {"p._rest": 2}), "p._rest") == {"p._rest": (pl.Int64, [1, 2])}


def test_no_table_lies_where_the_rare_ones_do():
    assert {tables.place("events", name) for name in [*NAMES, "@@few", "few"]}.isdisjoint([tables.FEW])

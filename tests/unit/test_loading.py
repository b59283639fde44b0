"""Reading definition files: places, folders, odd YAML, variables."""

from pathlib import Path

import pytest

from populace import loading
from populace.definitions import Place
from populace.errors import UsageError
from populace.loading import documents

DEFINITIONS = Path(__file__).parents[2] / "definitions"


def read(folder, text, name="traits"):
    (folder / f"{name}.yaml").write_text(text)
    return documents.read(folder, name)


def test_every_key_and_item_has_its_line(tmp_path):
    document = read(tmp_path, "a:\n  b: [1,\n    2]\n  c:\n    - d\n")
    file = str(tmp_path / "traits.yaml")
    assert document.data == {"a": {"b": [1, 2], "c": ["d"]}}
    assert {keys: place.line for keys, place in document.places.items() if keys[-1] != "text"} == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "b", 0): 2,
        ("a", "b", 1): 3,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
    }
    assert document.place(("a", "b", 7, "x")) == Place(file, 2)
    assert document.place(("z",)) == Place(file, 1)


@pytest.mark.parametrize(
    ("text", "line"),
    [("q: x\n", 1), ("q: |\n  x\n", 2), ("q: >-\n  x\n", 2), ("\nq: 'x'\n", 2), ("q:\n  x\n", 2)],
)
def test_a_text_begins_on_its_own_line(tmp_path, text, line):
    assert read(tmp_path, text).places["q", "text"].line == line


def test_a_file_and_a_folder_of_one_name_are_read_together(tmp_path):
    (tmp_path / "traits").mkdir()
    (tmp_path / "traits/b.yaml").write_text("b: 1\n")
    (tmp_path / "traits/a.yaml").write_text("a: 1\n")
    (tmp_path / "traits/c.txt").write_text("c: 1\n")
    assert list(read(tmp_path, "z: 1\n").data) == ["z", "a", "b"]


def test_a_file_that_is_not_there_is_empty(tmp_path):
    document = documents.read(tmp_path, "traits")
    assert (document.data, document.problems) == ({}, [])


def test_a_file_that_is_no_text_is_a_problem(tmp_path):
    (tmp_path / "traits.yaml").write_bytes(b"a: \xff\xfe\n")
    (problem,) = documents.read(tmp_path, "traits").problems
    assert problem.startswith(f"{tmp_path}/traits.yaml:1: cannot be read: ")


def test_an_alias_may_stand_for_what_was_written_elsewhere(tmp_path):
    document = read(tmp_path, "a: &x {b: [1]}\nc: *x\nd: [*x, *x]\n")
    assert document.problems == []
    assert document.data == {"a": {"b": [1]}, "c": {"b": [1]}, "d": [{"b": [1]}, {"b": [1]}]}


def test_an_alias_of_what_it_stands_in_is_a_problem_and_ends(tmp_path):
    document = read(tmp_path, "a: &x\n  b: [1, *x]\n")
    assert document.problems == [f"{tmp_path}/traits.yaml:1: an alias of what it stands in"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("'1'", "1"), ("true", True), ("~", None), ("1.5", 1.5), ("1_000", 1000), ("no", False), ("", None)],
)
def test_scalars_are_what_yaml_says(tmp_path, text, value):
    assert read(tmp_path, f"a: {text}\n").data == {"a": value}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${A}", "1"),
        ("x${A}y${B_2}z", "x1y2z"),
        ("${C:-default}", "default"),
        ("${C:-}", ""),
        ("${A:-default}", "1"),
        ("${EMPTY:-default}", "default"),
        ("${C:-file:x}/y", "file:x/y"),
        ("$A {A} $${A}", "$A {A} $1"),
        ("${2x}", "${2x}"),
    ],
)
def test_variables_are_replaced(text, expected):
    assert loading.resolve_text(text, {"A": "1", "B_2": "2", "EMPTY": ""}) == expected


@pytest.mark.parametrize("environ", [{}, {"A": ""}])
def test_a_variable_that_is_not_set_is_an_error_that_names_it(environ):
    with pytest.raises(KeyError, match="A"):
        loading.resolve_text("${A}", environ)


def test_a_value_is_not_replaced_again():
    assert loading.resolve_text("${A}", {"A": "${B}", "B": "x"}) == "${B}"


def test_only_folders_with_a_space_file_are_spaces(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "one").mkdir()
    (tmp_path / "one/space.yaml").write_text("")
    assert loading.spaces_in(tmp_path) == ["one"]


def test_a_folder_without_spaces_says_so(tmp_path):
    with pytest.raises(UsageError, match="it holds none"):
        loading.load("dev", tmp_path, {})


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_definitions_of_the_repository_are_good(name):
    found = loading.load(name, DEFINITIONS, {"WAREHOUSE_URL": "sqlite:w"})
    assert found.warnings == ()
    assert {each.key for each in found.audiences} >= {"new_users_7_days"}
    assert {each.key for each in found.traits} >= {"back_end_roll_algorithm"}

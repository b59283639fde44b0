"""Spaces: kept apart from each other, and what they take from outside."""

import pytest

from populace.errors import UsageError
from tests.definition_files import HOOK, WAREHOUSE, prod

# --- spaces apart ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lake",
    ["file:///lakes/dev", "file:///lakes/dev/", "file:../../../lakes/dev", "file:///lakes", "file:///lakes/dev/p"],
)
def test_two_spaces_do_not_share_a_lake(problems, tmp_path, lake):
    ours = (tmp_path / "../../../lakes/dev").resolve().as_uri() if lake.startswith("file:..") else "file:///lakes/dev"
    assert problems({"dev/space.yaml": f"space: dev\nlake: {ours}\n", **prod(lake)}) == [
        "space.yaml:2: space 'prod' has the same lake; give each its own"
    ]


def test_two_spaces_do_not_share_an_account(problems):
    files = {"dev/destinations.yaml": f"hook: {HOOK}\n", **prod(destinations=f"other: {HOOK}\n")}
    assert problems(files) == [
        "destinations.yaml:1: 'hook' is the same account as 'other' of space 'prod'; give each its own"
    ]


def test_two_destinations_of_a_space_do_not_share_an_account(problems):
    (problem,) = problems({"dev/destinations.yaml": f"hook: {HOOK}\nother: {HOOK}\n"})
    assert problem.startswith("destinations.yaml:2: 'other' is the same account as 'hook'")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{kind: warehouse, url: 'sqlite:w.db'}", "{kind: warehouse, url: 'sqlite:./x/../w.db'}"),
        ("{kind: warehouse, url: 'sqlite:///tmp/w.db'}", "{kind: warehouse, url: 'sqlite:////tmp/w.db'}"),
        ("{kind: warehouse, url: 'sqlite:w.db'}", "{kind: warehouse, url: '${NOWHERE:-sqlite:w.db}'}"),
        ("{kind: object_storage, url: 'file:out'}", "{kind: object_storage, url: 'file:./out/'}"),
    ],
    ids=["detour", "slashes", "default of a variable", "folder"],
)
def test_an_account_is_the_same_however_it_is_written(problems, one, other):
    (problem,) = problems({"dev/destinations.yaml": f"one: {one}\nother: {other}\n"})
    assert problem.startswith("destinations.yaml:2: 'other' is the same account as 'one'")


def test_the_mistakes_of_another_space_are_its_own(load):
    assert load({"prod/space.yaml": "space: prod\nlak: [\n"}).name == "dev"


def test_two_spaces_without_a_lake_do_not_share_one(problems):
    found = problems({"dev/space.yaml": "space: dev\nlak: file:///l\n", "prod/space.yaml": "space: prod\nlak: x\n"})
    assert found == ["space.yaml:1: 'lake' is missing", "space.yaml:2: unknown key 'lak'; did you mean 'lake'?"]


def test_a_space_that_is_not_there_is_told_with_those_that_are(load):
    with pytest.raises(UsageError, match=r"no space 'staging' in .*; there is dev, prod"):
        load(prod(), name="staging")


@pytest.mark.parametrize(("enabled", "expected"), [("", False), ("enabled: true, ", True), ("enabled: false, ", False)])
def test_a_destination_of_dev_sends_nothing_until_it_is_enabled(load, enabled, expected):
    (found,) = load({"dev/destinations.yaml": f"w: {{{enabled}kind: warehouse, url: 'sqlite:w'}}\n"}).destinations
    assert found.enabled is expected


def test_a_destination_of_another_space_is_enabled_unless_it_says_otherwise(load):
    text = f"{WAREHOUSE}hook: {HOOK.replace('{', '{enabled: false, ')}\n"
    found = load(prod(destinations=text), name="prod").destinations
    assert [(each.name, each.enabled) for each in found] == [("warehouse", True), ("hook", False)]


# --- values from outside --------------------------------------------------------------------


def test_a_variable_stands_in_a_uri(load):
    files = {
        "dev/space.yaml": "space: dev\nlake: ${LAKE}/dev\nstorage: {endpoint_url: '${ENDPOINT:-}'}\n",
        "dev/sources.yaml": "web: {archive: '${ARCHIVE:-s3://archive}/web'}\n",
    }
    found = load(files, LAKE="s3://lakes")
    assert (found.lake, found.sources[0].archive, found.storage.endpoint_url) == (
        "s3://lakes/dev",
        "s3://archive/web",
        None,
    )
    assert load(files, LAKE="s3://l", ARCHIVE="s3://b", ENDPOINT="http://e").sources[0].archive == "s3://b/web"


def test_a_variable_that_is_not_set_is_named(problems):
    assert (
        problems({"dev/space.yaml": "space: dev\nlake: ${LAKE}/dev\n"})
        == [
            "space.yaml:2: environment variable LAKE is not set",
            "space.yaml:2: '${LAKE}/dev' is no place to read; write s3://bucket/prefix or file:///folder",
        ][:1]
    )


def test_a_destination_keeps_its_variables_until_they_are_used(load):
    (found,) = load({"dev/destinations.yaml": "w: {kind: warehouse, url: '${URL}'}\n"}).destinations
    assert found.options == {"url": "${URL}"}


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("False", False)])
def test_whether_a_destination_is_enabled_may_come_from_outside(load, value, expected):
    text = "w: {kind: warehouse, url: 'sqlite:w', enabled: '${ON:-true}'}\n"
    assert load({"dev/destinations.yaml": text}, ON=value).destinations[0].enabled is expected


def test_a_relative_file_uri_starts_where_the_definitions_are(load, tmp_path):
    files = {
        "dev/space.yaml": "space: dev\nlake: file:lakes/dev\n",
        "dev/sources.yaml": "web: {archive: 'file:./data/../a b'}\n",
    }
    found = load(files)
    assert found.lake == (tmp_path / "lakes/dev").as_uri()
    assert found.sources[0].archive == (tmp_path / "a b").as_uri()


# --- whom to notify -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ()),
        ("notify:\n", ()),
        ("notify: ''\n", ()),
        ("notify: '${NOTIFY_URL:-}'\n", ("${NOTIFY_URL:-}",)),
        ("notify: https://hooks.example/x\n", ("https://hooks.example/x",)),
        ("notify: ['${A}', 'http://127.0.0.1:8/${B:-c}', '']\n", ("${A}", "http://127.0.0.1:8/${B:-c}")),
    ],
)
def test_addresses_to_notify_are_kept_as_they_are_written(load, written, expected):
    files = {"dev/space.yaml": f"space: dev\nlake: file:///l\n{written}"}
    assert load(files, A="https://not.yet").notify == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5", "'notify': a list was expected, not a number"),
        ("[5]", "'notify': text was expected, in quotes if need be, not a number"),
        ("{url: 'https://h'}", "'notify': a list was expected, not a mapping"),
        ("hooks.slack.com/services/T0/B0/secret", "'notify' takes URLs that start with https:// or http://"),
        ("ftp://h/secret", "'notify' takes URLs that start with https:// or http://"),
    ],
)
def test_what_is_no_address_is_told_and_not_shown(problems, written, expected):
    (problem,) = problems({"dev/space.yaml": f"space: dev\nlake: file:///l\nnotify: {written}\n"})
    assert problem.startswith(f"space.yaml:3: {expected}")
    assert "secret" not in problem

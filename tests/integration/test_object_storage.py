"""What object storage holds after deliveries, read back by somebody who knows the manifest alone: a disk and S3."""

from pathlib import Path

import pytest

from populace.space import OpenSpace
from tasks import object_storage
from tests.deliveries import open_space, outcomes, publish, send
from tests.places import (
    HELD,
    KEYS,
    Place,
    held,
    in_s3,
    on_disk,
    people,
)


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return on_disk(tmp_path) if request.param == "file" else in_s3(request.getfixturevalue("s3"))


@pytest.fixture(params=["parquet", "csv"])
def space(request: pytest.FixtureRequest, tmp_path: Path, place: Place) -> OpenSpace:
    return open_space(tmp_path / "lake", place.destination(format=request.param), *KEYS)


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    return on_disk(tmp_path)


@pytest.fixture(params=["parquet", "csv"])
def local(request: pytest.FixtureRequest, tmp_path: Path, disk: Place) -> OpenSpace:
    return open_space(tmp_path / "lake", disk.destination(format=request.param), *KEYS)


@pytest.fixture
def parquet(tmp_path: Path, disk: Place) -> OpenSpace:
    return open_space(tmp_path / "lake", disk.destination(), *KEYS)


def test_a_first_sync_writes_the_state_and_the_changes_of_everything(space: OpenSpace, place: Place):
    publish(space, 1, people(), {"buyers": ["p1", "p3"]})
    assert outcomes(send(space)) == {"delivered": 12}
    assert held(place.shelf) == HELD == place.shelf.replayed()
    manifest = place.shelf.manifest
    assert (manifest["run_id"], manifest["as_of"], manifest["sync"]) == ("run-1", "2024-03-01T00:00:00Z", "run-1-0")
    types = {each["key"]: each["value"] for each in manifest["computations"]}
    assert types == {
        "plan": "text", "ltv": "number", "active": "boolean", "tags_seen": "json",
        "order_count": "integer", "buyers": "",
    }  # fmt: skip


def test_only_what_changed_is_written_again(space: OpenSpace, place: Place):
    publish(space, 1, people(), {"buyers": ["p1", "p3"]})
    send(space)
    before = {name: place.read(name) for name in place.names()}
    publish(space, 2, people(plan=["gold", None, "silver"]), {"buyers": ["p2", "p3"]})
    assert outcomes(send(space)) == {"delivered": 4, "unchanged": 10}
    assert held(place.shelf) == HELD | {"plan": {"p1": "gold", "p3": "silver"}, "buyers": {"p2": True, "p3": True}}
    new = {name.rpartition("/")[0] for name in place.names() if name not in before}
    assert new == {"traits/plan", "audiences/buyers", "changes/run-2-0"}
    assert all(place.read(name) == data for name, data in before.items() if name != "manifest.json")
    actions = sorted((row["action"], row["key"], row["id_value"]) for row in place.shelf.changes()[-1])
    assert actions == [
        ("exit", "buyers", "p1"),
        ("set", "buyers", "p2"),
        ("set", "plan", "p3"),
        ("unset", "plan", "p2"),
    ]


def test_nothing_is_written_where_nothing_changed(local: OpenSpace, disk: Place):
    publish(local, 1, people(), {"buyers": ["p1", "p3"]})
    send(local)
    before = {name: disk.read(name) for name in disk.names()}
    publish(local, 2, people(), {"buyers": ["p1", "p3"]})
    assert outcomes(send(local)) == {"unchanged": 12}
    assert {name: disk.read(name) for name in disk.names()} == before


def test_files_go_one_sync_after_they_were_last_named(local: OpenSpace, disk: Place):
    plans = ["a", "b", "c", "d"]
    files = []
    for number, plan in enumerate(plans, 1):
        publish(local, number, people(plan=[plan, None, None]))
        send(local)
        (of_plan,) = [each for each in disk.shelf.manifest["computations"] if each["key"] == "plan"]
        files.append(of_plan["files"][0]["path"])
        there = [name for name in disk.names() if name.startswith("traits/plan/")]
        assert there == files[-2:]
    assert len(set(files)) == 4


def test_nobody_left_is_a_file_without_rows(local: OpenSpace, disk: Place):
    publish(local, 1, people(), {"buyers": ["p1", "p3"]})
    send(local)
    publish(local, 2, people(plan=[None, None, None]), {"buyers": []})
    send(local, confirm=True)
    assert held(disk.shelf) == HELD | {"plan": {}, "buyers": {}}
    assert {len(each["files"]) for each in disk.shelf.manifest["computations"]} == {1}


def test_a_value_of_another_type_changes_the_type(local: OpenSpace, disk: Place):
    publish(local, 1, people(order_count=[1, None, None]))
    send(local)
    publish(local, 2, people(order_count=[1.5, None, None]))
    send(local)
    assert held(disk.shelf)["order_count"] == {"p1": 1.5}
    (state,) = [each for each in disk.shelf.manifest["computations"] if each["key"] == "order_count"]
    assert state["value"] == "number"


def test_another_format_is_that_of_all_files_at_the_next_change(tmp_path: Path, place: Place):
    before = open_space(tmp_path / "lake", place.destination(), *KEYS)
    publish(before, 1, people(), {"buyers": ["p1", "p3"]})
    send(before)
    after = open_space(tmp_path / "lake", place.destination(format="csv"), *KEYS)
    publish(after, 2, people(ltv=[11.0, 0.1, None]), {"buyers": ["p1", "p3"]})
    assert outcomes(send(after)) == {"delivered": 1, "unchanged": 11}
    assert held(place.shelf) == HELD | {"ltv": {"p1": 11, "p2": 0.1}} == place.shelf.replayed()
    states = place.shelf.manifest["computations"]
    assert {file["path"].rpartition(".")[2] for each in states for file in each["files"]} == {"csv"}


def test_a_resync_says_everything_again(local: OpenSpace, disk: Place):
    publish(local, 1, people(), {"buyers": ["p1", "p3"]})
    send(local)
    first = disk.shelf.manifest
    assert outcomes(send(local, resync=True)) == {"delivered": 12}
    assert held(disk.shelf) == HELD
    assert disk.shelf.manifest["computations"] == first["computations"]  # equal files stay where they are
    assert [each["sync"] for each in disk.shelf.manifest["changes"]] == ["run-1-0", "run-1-1"]


def test_long_states_lie_in_several_files(parquet: OpenSpace, disk: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(object_storage.object_storage.FILE_ROWS, "parquet", 4)
    names = [f"p{number:02}" for number in range(10)]
    publish(parquet, 1, {"profile_id": names, "plan": names}, {"buyers": names})
    send(parquet)
    assert disk.shelf.states() == {"plan": {each: each for each in names}, "buyers": dict.fromkeys(names, True)}
    assert {len(each["files"]) for each in disk.shelf.manifest["computations"]} == {3}
    publish(parquet, 2, {"profile_id": names, "plan": [*names[:-1], "x"]}, {"buyers": names})
    send(parquet)
    assert disk.shelf.states()["plan"] == {**{each: each for each in names}, "p09": "x"}
    (state,) = [each for each in disk.shelf.manifest["computations"] if each["key"] == "plan"]
    assert [file["path"].split("/")[-1][:13] for file in state["files"]] == [
        "run-1-0-00000", "run-1-0-00001", "run-2-0-00002",
    ]  # fmt: skip

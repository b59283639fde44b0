"""What object storage holds after deliveries, read back by somebody who knows the manifest alone: a disk and S3."""

import io
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest

from populace import sync
from populace.definitions import Bounds, Destination
from populace.destinations.protocol import Origin
from populace.errors import DestinationError, Transient
from populace.space import OpenSpace
from tasks import object_storage
from tests.deliveries import QUICK, acknowledged, ledger, open_space, outcomes, publish, send
from tests.faults.storms import Plan, storm
from tests.shelves import Shelf

KEYS = ("plan", "ltv", "active", "tags_seen", "order_count", "buyers")


@dataclass
class Place:
    """Where a destination writes, and how a test gets at the objects without our code."""

    settings: dict[str, str]
    read: Callable[[str], bytes | None]
    write: Callable[[str, bytes | None], None]  # None removes the object
    names: Callable[[], list[str]]

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.read)

    def destination(self, **more: str) -> Destination:
        return Destination("files", "object_storage", tuple({**self.settings, **more}.items()))


def on_disk(folder: Path) -> Place:
    below = folder / "out" / "dev"

    def write(name: str, data: bytes | None) -> None:
        (below / name).unlink() if data is None else (below / name).write_bytes(data)

    return Place(
        {"url": f"file://{folder}/out"},
        lambda name: (below / name).read_bytes() if (below / name).exists() else None,
        write,
        lambda: sorted(path.relative_to(below).as_posix() for path in below.rglob("*") if path.is_file()),
    )


def in_s3(s3: Any) -> Place:
    client, prefix = boto3.client("s3", endpoint_url=s3.endpoint), "out/dev/"

    def read(name: str) -> bytes | None:
        try:
            return client.get_object(Bucket=s3.bucket, Key=prefix + name)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None

    def write(name: str, data: bytes | None) -> None:
        if data is None:
            client.delete_object(Bucket=s3.bucket, Key=prefix + name)
        else:
            client.put_object(Bucket=s3.bucket, Key=prefix + name, Body=data)

    def names() -> list[str]:
        found = client.list_objects_v2(Bucket=s3.bucket, Prefix=prefix).get("Contents", [])
        return sorted(each["Key"].removeprefix(prefix) for each in found)

    return Place({"url": f"s3://{s3.bucket}/out", "endpoint_url": s3.endpoint}, read, write, names)


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


def people(**columns: list[Any]) -> dict[str, list[Any]]:
    first = {
        "profile_id": ["p1", "p2", "p3"],
        "plan": ["gold", 'it\'s "é"\n=1,', None],
        "ltv": [10.0, 0.1, None],
        "active": [True, False, None],
        "tags_seen": [["a", "b"], [], None],
        "order_count": [1, 2, None],
    }
    return first | columns


HELD = {
    "plan": {"p1": "gold", "p2": 'it\'s "é"\n=1,'},
    "ltv": {"p1": 10, "p2": 0.1},
    "active": {"p1": True, "p2": False},
    "tags_seen": {"p1": ["a", "b"], "p2": []},
    "order_count": {"p1": 1, "p2": 2},
    "buyers": {"p1": True, "p3": True},
}


def held(shelf: Shelf) -> dict[str, dict[str, Any]]:
    """The states, with the lists that Parquet keeps as JSON read as lists."""
    return {
        key: {
            who: json.loads(each) if key == "tags_seen" and isinstance(each, str) else each for who, each in of.items()
        }
        for key, of in shelf.states().items()
    }


# --- what is written -----------------------------------------------------------------------------------------------


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


# --- by records: repetitions, slices, reading back -----------------------------------------------------------------


def states_of(traits: dict[str, Any], members: list[str]) -> pl.DataFrame:
    rows = [("trait", "plan", "property", f"use_{who}", "user_id", who, json.dumps(v)) for who, v in traits.items()]
    rows += [("audience", "buyers", "property", f"use_{who}", "user_id", who, "true") for who in members]
    return pl.DataFrame(rows, schema=sync.STATE, orient="row")


NOBODY = states_of({}, [])
ONE = states_of({f"u{n}": "abc"[n % 3] for n in range(9)}, [f"u{n}" for n in range(6)])
TWO = states_of({f"u{n}": "bbc"[n % 3] for n in range(2, 11)}, [f"u{n}" for n in range(3, 8)])


def origin(number: int = 1, generation: int = 0) -> Origin:
    return Origin("dev", "files", f"run-{number}", f"2024-03-{number:02}T00:00:00Z", generation)


def difference(after: pl.DataFrame, before: pl.DataFrame, salt: str) -> pl.DataFrame:
    """The records that change one state into the other, as a sync hands them over, each with an id of its own."""
    was, will = ({row[:3] + row[4:6]: row for row in state.rows()} for state in (before, after))
    records = [("set", row) for key, row in will.items() if was.get(key) != row]
    gone = [row for key, row in was.items() if key not in will]
    records += [("exit", (*row[:6], "false")) if row[0] == "audience" else ("unset", (*row[:6], None)) for row in gone]
    rows = [
        (action, f"{salt} {action} {row}", *row) for action, row in sorted(records, key=lambda each: each[1][5][::-1])
    ]
    return pl.DataFrame(rows, schema=sync.RECORDS, orient="row")


def sent(place: Place, before: pl.DataFrame, after: pl.DataFrame, by: Origin, size: int | None = None, **more: str):
    """Send what changes one state into the other; the verdicts."""
    records = difference(after, before, by.salt)
    with object_storage.Sender({**place.settings, **more}, by, QUICK, Path()) as sender:
        parts = records.iter_slices(size or records.height)
        return [verdict for part in parts for _, verdicts in sender.send(part) for verdict in verdicts]


def read_back(place: Place, asked: pl.DataFrame, **more: str) -> pl.DataFrame:
    with object_storage.Sender({**place.settings, **more}, origin(), QUICK, Path()) as sender:
        return sender.held(asked)


def texts(frame: pl.DataFrame) -> set[tuple]:
    return set(frame.select(*sync.KEY, "value").rows())


def test_the_same_sync_twice_is_the_same_sync_once(place: Place):
    sent(place, NOBODY, ONE, origin())
    once = {name: place.read(name) for name in place.names()}
    assert {each.outcome for each in sent(place, NOBODY, ONE, origin())} == {"delivered"}
    assert {name: place.read(name) for name in place.names()} == once


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_slices_come_to_the_same_state(disk: Place, size: int, form: str):
    sent(disk, NOBODY, ONE, origin(1), size, format=form)
    sent(disk, ONE, TWO, origin(2), size, format=form)
    assert texts(read_back(disk, TWO, format=form)) == texts(TWO)
    replayed = disk.shelf.replayed()
    assert replayed == disk.shelf.states()
    messages = [row["message_id"] for row in disk.shelf.changes()[-1]]
    assert len(messages) == len(set(messages)) == difference(TWO, ONE, "").height


@pytest.mark.parametrize("size", [1, 2, 5])
def test_after_slices_the_files_of_the_sync_before_are_still_there(disk: Place, size: int):
    sent(disk, NOBODY, ONE, origin(1))
    before = {name: disk.read(name) for name in disk.names()}
    sent(disk, ONE, TWO, origin(2), size)
    assert all(disk.read(name) == data for name, data in before.items() if name != "manifest.json")


def test_while_a_sync_is_sent_in_slices_every_manifest_and_the_one_before_stay_readable(disk: Place):
    """The names of files that one sync writes one after the other for the same computation differ."""
    sent(disk, NOBODY, ONE, origin(1))
    records = difference(TWO, ONE, "x")
    read, manifests = disk.read, [disk.read("manifest.json")]
    for number, part in enumerate(records.iter_slices(2)):
        with object_storage.Sender(disk.settings, origin(2), QUICK, Path()) as sender:
            sender.store = Mortal(sender.store, 2 if number % 2 else 99, is_done=True)  # of its files two
            with suppress(Killed):
                list(sender.send(part))
        before = manifests[-1]
        Shelf(lambda name, said=before: said if name == "manifest.json" else read(name)).states()
        assert disk.shelf.states() == disk.shelf.replayed()
        manifests.append(disk.read("manifest.json"))
    assert len(set(manifests)) > 2


def test_a_text_that_reads_like_a_list_is_another_value(disk: Place):
    text, items = states_of({"u1": "[1]"}, []), states_of({"u1": [1]}, [])
    sent(disk, NOBODY, text, origin(1))
    sent(disk, text, items, origin(2))
    assert texts(read_back(disk, items)) == texts(items)


def test_a_part_of_a_sync_said_again_with_more_is_said_once(disk: Place):
    half = ONE.filter(pl.col("kind") == "trait")
    sent(disk, NOBODY, half, origin())
    sent(disk, NOBODY, ONE, origin())
    assert texts(read_back(disk, ONE)) == texts(ONE)
    assert len(disk.shelf.changes()) == 1
    assert len(disk.shelf.changes()[0]) == ONE.height


def test_what_is_held_is_what_was_sent(place: Place):
    sent(place, NOBODY, ONE, origin(), format="csv")
    assert texts(read_back(place, ONE)) == texts(ONE)
    assert read_back(place, ONE).columns == [*sync.KEY, "value"]
    asked = ONE.filter(pl.col("kind") == "audience")
    assert texts(read_back(place, asked)) == texts(asked)
    assert read_back(place, NOBODY).height == 0


def test_where_nothing_was_written_nothing_is_held(place: Place):
    assert read_back(place, ONE).height == 0


def table(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


OTHERS = table(pl.DataFrame({"id_type": ["user_id"], "id_value": ["u1"], "profile_id": ["use_u1"], "value": ["c"]}))


@pytest.mark.parametrize("data", [None, b"", b"PAR1", OTHERS], ids=["gone", "empty", "broken", "another"])
def test_a_file_that_is_gone_or_not_as_written_is_seen(disk: Place, data: bytes | None):
    place = disk
    sent(place, NOBODY, ONE, origin())
    (path,) = [name for name in place.names() if name.startswith("traits/plan/")]
    place.write(path, data)
    assert texts(read_back(place, ONE)) == texts(ONE.filter(pl.col("kind") == "audience"))
    verdicts = sent(place, ONE, TWO, origin(2))
    assert {each.outcome for each in verdicts} == {"delivered", "warning"}
    assert {each.reason for each in verdicts if each.outcome == "warning"} == {
        "1 files were missing or not as written; what they held is gone unless it was sent again: `--resync` sends all"
    }
    sent(place, NOBODY, TWO, origin(2, 1))
    assert texts(read_back(place, TWO)) == texts(TWO)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"version": 9}', b"\xff"])
def test_a_manifest_that_cannot_be_read_holds_nothing_and_stops_a_sync(disk: Place, data: bytes):
    place = disk
    sent(place, NOBODY, ONE, origin())
    place.write("manifest.json", data)
    assert read_back(place, ONE).height == 0
    (verdict,) = set(sent(place, ONE, TWO, origin(2)))
    assert verdict.outcome == "refused"
    assert "remove it, resume the destination, and sync with --resync" in verdict.reason
    place.write("manifest.json", None)
    sent(place, NOBODY, TWO, origin(2, 1))
    assert texts(read_back(place, TWO)) == texts(TWO)


def test_two_destinations_do_not_share_a_manifest(disk: Place):
    sent(disk, NOBODY, ONE, origin())
    (verdict,) = set(sent(disk, NOBODY, TWO, Origin("dev", "others", "run-1", "2024-03-01T00:00:00Z")))
    assert verdict.outcome == "refused"
    assert "destination 'files'" in verdict.reason


# --- a kill, at any write ------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What no code catches."""


class Mortal:
    """A store in front of which the process dies at a write: before it, or when it is done."""

    def __init__(self, store: Any, writes: int, *, is_done: bool) -> None:
        self.store, self.left, self.is_done = store, writes, is_done

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def replace(self, path: str, data: bytes) -> None:
        self._write(lambda: self.store.replace(path, data))

    def delete(self, path: str) -> None:
        self._write(lambda: self.store.delete(path))

    def _write(self, write: Callable[[], None]) -> None:
        self.left -= 1
        if self.left == 0 and not self.is_done:
            raise Killed
        write()
        if self.left == 0:
            raise Killed


def killed(space: OpenSpace, monkeypatch: pytest.MonkeyPatch, write: int, *, is_done: bool) -> bool:
    """Deliver, and die at that write; False where there are not so many."""
    opened = object_storage.opened
    with monkeypatch.context() as patch:
        patch.setattr(object_storage, "opened", lambda *them: Mortal(opened(*them), write, is_done=is_done))
        try:
            send(space)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("is_done", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("later", [False, True], ids=["same run", "later run"])
def test_a_kill_at_any_write_leaves_one_whole_state_and_the_next_sync_makes_it_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_done: bool, later: bool
):
    write = 0
    first = {"plan": {"p1": "c", "p2": "b"}, "buyers": {"p1": True}}
    second = {"plan": {"p1": "d", "p3": "e"}, "buyers": {"p1": True, "p2": True}}
    third = second | {"buyers": {"p1": True, "p2": True, "p3": True}} if later else second
    while True:
        write += 1
        place = on_disk(tmp_path / str(write))
        space = open_space(tmp_path / str(write) / "lake", place.destination(), "plan", "buyers")
        publish(space, 1, {"profile_id": ["p1", "p2"], "plan": ["a", "b"]}, {"buyers": ["p2"]})
        send(space)  # leaves a file that the third sync removes
        publish(space, 2, {"profile_id": ["p1", "p2"], "plan": ["c", "b"]}, {"buyers": ["p1"]})
        send(space, confirm=True)
        publish(space, 3, {"profile_id": ["p1", "p3"], "plan": ["d", "e"]}, {"buyers": ["p1", "p2"]})
        was_killed = killed(space, monkeypatch, write, is_done=is_done)
        assert place.shelf.states() in (first, second)
        assert place.shelf.states() == place.shelf.replayed()
        if later:
            publish(space, 4, {"profile_id": ["p1", "p3"], "plan": ["d", "e"]}, {"buyers": ["p1", "p2", "p3"]})
        assert send(space)["status"] == "success"
        assert place.shelf.states() == third == place.shelf.replayed()
        assert texts(acknowledged(space)) == texts(read_back(place, acknowledged(space)))
        if not was_killed:
            break
    assert write > 5  # two states, changes, the manifest, two files that go


# --- when the store fails ------------------------------------------------------------------------------------------


def test_a_missing_bucket_holds_everything_and_loses_nothing(s3: Any, tmp_path: Path):
    place = in_s3(s3)
    destination = place.destination(url=f"s3://{s3.bucket}-missing/out")
    space = open_space(tmp_path / "lake", destination, "plan")
    publish(space, 1, {"profile_id": ["p1"], "plan": ["a"]})
    summary = send(space)
    assert (summary["status"], summary["refused"]) == ("paused", 1)
    assert "the bucket does not exist" in summary["reason"]
    space = open_space(tmp_path / "lake", place.destination(), "plan")
    ledger(space).resume()
    assert outcomes(send(space)) == {"delivered": 1}


def test_nobody_listens(tmp_path: Path, s3: Any):
    destination = in_s3(s3).destination(endpoint_url="http://127.0.0.1:1")
    with object_storage.Sender(destination.options, origin(), QUICK, Path()) as sender, pytest.raises(Transient):
        sender.held(ONE)


def test_settings_that_turn_out_wrong_hold_everything(tmp_path: Path):
    options = (("url", "${OUT}"), ("secret_access_key", "hidden"), ("access_key_id", "hidden"))
    space = open_space(tmp_path / "lake", Destination("files", "object_storage", options), "plan")
    publish(space, 1, {"profile_id": ["p1"], "plan": ["a"]})
    summary = send(space, environ={"OUT": "ftp://somewhere"})
    assert (summary["status"], summary["refused"]) == ("held", 1)
    assert "'url' must be" in summary["reason"]
    assert "hidden" not in summary["reason"]


def test_a_folder_that_may_not_be_written_is_refused(disk: Place, tmp_path: Path):
    (tmp_path / "out").write_text("a file where the folder should be")
    (verdict,) = set(sent(disk, NOBODY, ONE, origin()))
    assert verdict.outcome == "refused"
    with object_storage.Sender(disk.settings, origin(), QUICK, Path()) as sender:
        assert sender.held(ONE).height == 0


def test_a_relative_folder_starts_at_the_base(tmp_path: Path):
    destination = Destination("files", "object_storage", (("url", "file:a/b c"),))
    space = open_space(tmp_path / "lake", destination, "plan")
    publish(space, 1, {"profile_id": ["p1"], "plan": ["a"]})
    send(space, base=tmp_path)
    assert (tmp_path / "a/b c/dev/manifest.json").is_file()


@pytest.mark.parametrize("plan", [Plan(error=0.2, most=2), Plan(lost=0.3, reset=0.1, most=2), Plan(cut=0.3, most=2)])
def test_what_passes_changes_nothing(s3: Any, plan: Plan):
    place = in_s3(s3)
    with storm(s3.endpoint, plan) as weather:
        for number, (before, after) in enumerate([(NOBODY, ONE), (ONE, TWO)], 1):
            verdicts = sent(place, before, after, origin(number), endpoint_url=weather.url)
            assert {each.outcome for each in verdicts} == {"delivered"}
        assert weather.done.total() > weather.done[""]
    assert texts(read_back(place, TWO)) == texts(TWO)
    assert place.shelf.replayed() == place.shelf.states()


def test_a_store_that_fails_for_good_keeps_everything_waiting(s3: Any, tmp_path: Path):
    place = in_s3(s3)
    with storm(s3.endpoint, Plan(reset=1, most=10**9)) as weather:
        settings = {**place.settings, "endpoint_url": weather.url}
        records = difference(ONE, NOBODY, "x")
        with object_storage.Sender(settings, origin(), QUICK, Path()) as sender:
            ((positions, verdicts),) = sender.send(records)
    assert positions == list(range(ONE.height))
    assert {(each.outcome, each.in_doubt) for each in verdicts} == {("transient", False)}
    assert place.names() == []


def test_an_answer_to_the_manifest_that_is_lost_leaves_doubt(disk: Place):
    class Silent(Mortal):
        def replace(self, path: str, data: bytes) -> None:
            self.store.replace(path, data)
            if path == "manifest.json":
                message = "no answer"
                raise DestinationError(message)

    with object_storage.Sender(disk.settings, origin(), replace(QUICK, window=0), Path()) as sender:
        sender.store = Silent(sender.store, 0, is_done=True)
        ((_, verdicts),) = sender.send(difference(ONE, NOBODY, "x"))
    assert {(each.outcome, each.in_doubt) for each in verdicts} == {("transient", True)}


def test_patience_of_the_destination_goes_before_the_usual(disk: Place):
    bounds = Bounds(patience=timedelta(minutes=7))
    assert object_storage.Sender(disk.settings, origin(), QUICK, Path(), bounds).courier.patience.pace.window == 420
    assert object_storage.Sender(disk.settings, origin(), QUICK, Path()).courier.patience.pace == QUICK


def test_another_writer_is_noticed_before_the_manifest_is_written(disk: Place):
    """Both begin at the same manifest; the one that comes second begins again and keeps what the first wrote."""
    ours, theirs = (ONE.filter(pl.col("kind") == kind) for kind in ("trait", "audience"))

    class Interrupted(Mortal):
        def replace(self, path: str, data: bytes) -> None:
            if path.startswith("traits/") and self.left:
                self.left = 0
                sent(disk, NOBODY, theirs, origin(2))
            self.store.replace(path, data)

    records = difference(ours, NOBODY, "x")
    with object_storage.Sender(disk.settings, origin(1), QUICK, Path()) as sender:
        sender.store = Interrupted(sender.store, 1, is_done=True)
        ((_, verdicts),) = sender.send(records)
    assert {each.outcome for each in verdicts} == {"delivered"}
    assert texts(read_back(disk, ONE)) == texts(ONE)


def test_what_cannot_be_swept_is_a_warning(disk: Place):
    class Keeping(Mortal):
        def delete(self, path: str) -> None:
            message = "no right to delete"
            raise DestinationError(message)

    sent(disk, NOBODY, ONE, origin(1))
    sent(disk, ONE, TWO, origin(2))
    with object_storage.Sender(disk.settings, origin(3), QUICK, Path()) as sender:
        sender.store = Keeping(sender.store, 0, is_done=True)
        ((_, verdicts),) = sender.send(difference(ONE, TWO, "x"))
    assert {each.outcome for each in verdicts} == {"warning"}
    assert texts(read_back(disk, ONE)) == texts(ONE)

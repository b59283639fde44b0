"""Object storage when the process dies at a write, or the store fails: one whole state stands, and nothing is lost."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from populace.definitions import Bounds, Destination
from populace.errors import DestinationError, Transient
from populace.space import OpenSpace
from tasks import object_storage
from tests.deliveries import QUICK, acknowledged, ledger, open_space, outcomes, publish, send
from tests.faults.storms import Plan, storm
from tests.places import (
    NOBODY,
    ONE,
    TWO,
    Killed,
    Mortal,
    Place,
    difference,
    in_s3,
    on_disk,
    origin,
    read_back,
    sent,
    texts,
)


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    return on_disk(tmp_path)


# --- a kill, at any write ------------------------------------------------------------------------------------------


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

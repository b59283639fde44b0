"""How far a source is, as a whole and by received day: before, while and after it is replayed."""

import os
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from populace.errors import ArchiveError
from populace.lake import ledger
from populace.space import archive, reading, replay, standing, views
from tests import driving
from tests.slicing import NOON, called
from tests.tables import AS_OF

NEXT = NOON + timedelta(days=1)
COUNTS = ("read", "kept", "duplicate", "rejected")


@pytest.fixture
def space(tmp_path):
    found = driving.space_in(tmp_path)
    driving.put(found, "web", "2024/03/01", called({"message_id": "m1"}, {"message_id": None}))
    driving.put(found, "web", "2024/03/02", called(*({"message_id": each, "timestamp": NEXT} for each in ("m2", "m1"))))
    return found


def in_archive(space, name):
    return Path(space.archive(space.source("web")).url(name))


def days(space):
    return [(each["day"], each["status"], *(each[name] for name in COUNTS)) for each in standing.of_days(space, "web")]


def stopped(space, after):
    """A replay that is broken off when so many parts have been made, and one is being made."""
    source, told = space.source("web"), []

    def progress(step):
        told.append(step)
        if len(told) > after:
            raise KeyboardInterrupt

    archive.look(space, source)
    survey = driving.survey(space, source, AS_OF)
    replay.begin(space, survey)
    with suppress(KeyboardInterrupt):
        replay.run_source(space, survey, survey.todo, progress)


def test_a_source_that_nobody_looked_at_is_pending_and_has_no_days(space):
    assert standing.of_source(space, "web")["status"] == "pending"
    assert days(space) == []


def test_objects_that_the_layout_does_not_read_are_told(space):
    for name in ("notes.txt", "x.csv"):
        in_archive(space, name).write_text("text")
    in_archive(space, "_SUCCESS").touch()
    driving.replay_all(space, AS_OF)
    assert standing.of_source(space, "web")["ignored"] == {"objects": 2, "first": ["notes.txt", "x.csv"]}


def test_another_layout_reads_other_objects(space):
    in_archive(space, "notes.txt").write_text("text")
    archive.look(space, space.source("web"))
    assert ledger.ignored(space.lake, "web") == ["notes.txt"]
    archive.look(space, replace(space.source("web"), layout="segment_json"))
    assert [each.rpartition(".")[2] for each in ledger.ignored(space.lake, "web")] == ["parquet", "parquet"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_object_that_may_not_be_read_fails_alone(space):
    driving.put(space, "web", "2024/03/03", called({"message_id": "m3"})).chmod(0)
    with pytest.raises(ArchiveError, match="Permission denied"):
        driving.replay_all(space, AS_OF)
    assert standing.of_source(space, "web")["kept"] == 2


def test_days_before_the_window_are_never_pending(space):
    archive.look(space, space.source("web"))
    found = archive.survey(space, replace(space.source("web"), since="2024-03-02", layout="segment_json"), "2024-03-02")
    assert set(found.pending) <= {"2024-03-02"}


def test_before_the_first_row_is_read_all_days_are_pending(space):
    archive.look(space, space.source("web"))
    replay.begin(space, driving.survey(space, space.source("web"), AS_OF))
    assert standing.of_source(space, "web")["status"] == "running"
    assert days(space) == [("2024-03-01", "pending", 0, 0, 0, 0), ("2024-03-02", "pending", 0, 0, 0, 0)]


def test_a_running_source_shows_what_is_done_so_far(space, monkeypatch):
    monkeypatch.setattr(reading, "MOST_ROWS", 1)
    later = NOON + timedelta(days=2)
    driving.put(space, "web", "2024/03/03", called(*({"message_id": f"n{n}", "timestamp": later} for n in range(9))))
    stopped(space, after=5)
    found = standing.of_source(space, "web")
    assert (found["status"], found["rejected"], found["reasons"]) == ("running", 1, {"message_id_required": 1})
    assert found["read"] in (5, 6)  # the sixth was being made
    assert found["first_event"] == f"{NOON:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert [each[:2] for each in days(space)] == [
        ("2024-03-01", "complete"),
        ("2024-03-02", "complete"),
        ("2024-03-03", "running"),
    ]


def test_a_replayed_source_is_complete_by_day(space):
    driving.replay_all(space, AS_OF)
    assert days(space) == [("2024-03-01", "complete", 2, 1, 0, 1), ("2024-03-02", "complete", 2, 1, 1, 0)]
    found = standing.of_source(space, "web")
    assert (found["status"], found["days"], found["failed"]) == ("complete", 2, [])


def test_a_source_is_failed_with_the_objects_that_cannot_be_read_and_so_are_their_days(space):
    broken = driving.put(space, "web", "2024/03/02b", called({"message_id": "m9"}))
    broken.write_bytes(broken.read_bytes()[:100])
    failed(space)
    found = standing.of_source(space, "web")
    assert (found["status"], found["failed"]) == ("failed", ["2024/03/02b.parquet"])
    assert [each[:3] for each in days(space)] == [("2024-03-01", "complete", 2), ("2024-03-02", "failed", 2)]


def test_an_object_that_does_not_say_its_day_fails_on_an_unknown_one(space):
    driving.put(space, "web", "odd", called({"message_id": "m9"})).write_text("nothing of the kind")
    failed(space)
    assert [each[:2] for each in days(space)][-1] == ("unknown", "failed")


def failed(space):
    with pytest.raises(ArchiveError):
        driving.replay_all(space, AS_OF)
    replay.finish(space, driving.survey(space, space.source("web"), AS_OF))


def test_days_stand_among_the_rows_of_status_only_where_they_are_asked_for(space):
    driving.replay_all(space, AS_OF)
    assert [row["about"] for row in views.status(space)] == ["source"]
    assert [row["about"] for row in views.status(space, days=True)] == ["source", "day", "day"]

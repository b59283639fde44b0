"""What is announced when a replay ends or a run is published: event, line for people, numbers."""

import json

import pytest

from tasks import announce

ROWS = {"read": 1200, "kept": 1100, "duplicate": 60, "rejected": 40}
MANIFEST = {
    "run_id": "20260901T000000Z-abc",
    "as_of": "2026-09-01T00:00:00.000000Z",
    "audiences": {"new_users_7_days": 1222, "good_customers": 0},
}


def summary(status, failed=(), days=2):
    return {"status": status, "days": dict.fromkeys(range(days), ROWS), "rows": ROWS, "failed": list(failed)}


@pytest.mark.parametrize(
    ("statuses", "is_limited", "event"),
    [
        (["complete"], False, "populace.replay.completed"),
        (["complete", "complete"], True, "populace.replay.completed"),
        (["complete", "failed"], False, "populace.replay.failed"),
        (["complete", "unreadable"], False, "populace.replay.failed"),
        (["complete", "running"], False, "populace.replay.failed"),  # it broke off
        (["complete", "running"], True, None),  # it did what it was told
        (["failed", "running"], True, "populace.replay.failed"),
    ],
)
def test_how_a_replay_ended(statuses, is_limited, event):
    summaries = {f"s{number}": summary(status) for number, status in enumerate(statuses)}
    found = announce.replayed("dev", summaries, is_limited=is_limited)
    assert (found and found.event) == event


def test_a_replay_is_told_by_source():
    objects = [{"path": "jane@example.com.parquet", "day": None}]
    found = announce.replayed("dev", {"web": summary("failed", objects), "app": summary("complete")}, is_limited=False)
    counts = "1,200 read, 1,100 kept, 60 duplicate, 40 rejected"
    assert found.text == f"dev: replay failed: web failed, 1 object cannot be read ({counts}); app complete ({counts})"
    assert found.payload == {
        "sources": {"web": {"status": "failed", "days": 2} | ROWS, "app": {"status": "complete", "days": 2} | ROWS}
    }
    assert "jane" not in json.dumps(found.payload) + found.text


def test_a_published_run_is_told_with_its_audiences():
    found = announce.published("dev", MANIFEST)
    assert found.event == "populace.run.published"
    assert found.text == (
        "dev: run 20260901T000000Z-abc is published, as of 2026-09-01 00:00 UTC: new_users_7_days 1,222, "
        "good_customers 0"
    )
    assert found.payload == MANIFEST


def test_a_run_without_audiences_is_published_too():
    assert announce.published("dev", MANIFEST | {"audiences": {}}).text.endswith("UTC: no audiences")

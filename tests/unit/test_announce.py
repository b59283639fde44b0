"""What is announced when a replay or a sync ends or a run is published: event, line for people, numbers."""

import json

import pytest

from populace.sync import OUTCOMES
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


# --- syncs ------------------------------------------------------------------------------------


def account(destination="warehouse", status="success", **counts):
    """What a delivery says of itself."""
    outcomes = dict.fromkeys(OUTCOMES, 0)
    known = {"kind": "warehouse", "run_id": "r", "computed": 1300, "to_set": 90, "to_remove": 10, "unchanged": 1200}
    return {"destination": destination, "status": status, **known, **outcomes, "no_identifier": 0, **counts}


@pytest.mark.parametrize(
    ("accounts", "event"),
    [
        ([account()], "populace.sync.completed"),
        ([account(status="partial", invalid=3, too_large=1)], "populace.sync.completed"),  # nothing waits
        ([account(status="partial", throttled=1)], "populace.sync.failed"),
        ([account(status="partial", transient=1)], "populace.sync.failed"),
        ([account(status="partial", unknown=1)], "populace.sync.failed"),
        ([account(), account("crm", "held", refused=100)], "populace.sync.failed"),
        ([account(), account("crm", "paused")], "populace.sync.failed"),
        ([account(), {"destination": "crm", "status": "running"}], "populace.sync.failed"),  # it broke off
        ([account(), {"destination": "crm", "status": "never synced"}], "populace.sync.failed"),
        ([account(), {"destination": "crm", "status": "disabled", "computed": 0}], "populace.sync.completed"),
        ([{"destination": "crm", "status": "disabled", "computed": 0}], None),
        ([{"destination": "crm", "status": "dry_run", "to_send": 9}], None),
        ([], None),
    ],
)
def test_how_a_sync_ended(accounts, event):
    found = announce.synced("dev", accounts)
    assert (found and found.event) == event


def test_a_sync_is_told_by_destination():
    held = account("crm", "held", refused=100, reason="HTTP 401: the credentials are not accepted; check them")
    good = account(status="partial", delivered=95, warning=1, noop=1, invalid=2, too_large=1)
    found = announce.synced("dev", [good, {"destination": "off", "status": "disabled", "computed": 0}, held])
    assert found.text == (
        "dev: sync failed: warehouse partial (1,300 computed, 97 delivered, 0 waiting, 3 invalid); "
        "crm held (1,300 computed, 0 delivered, 100 waiting, 0 invalid): "
        "HTTP 401: the credentials are not accepted; check them"
    )
    assert found.payload["destinations"].keys() == {"warehouse", "crm"}
    counts = dict.fromkeys(OUTCOMES, 0) | {"computed": 1300, "unchanged": 1200, "no_identifier": 0}
    expected = counts | {"delivered": 95, "warning": 1, "noop": 1, "invalid": 2, "too_large": 1}
    assert found.payload["destinations"]["warehouse"] == {"status": "partial"} | expected
    assert found.payload["destinations"]["crm"] == {
        "status": "held",
        "reason": "HTTP 401: the credentials are not accepted; check them",
    } | counts | {"refused": 100}


def test_a_reason_carries_no_address_and_is_short():
    leaking = "duplicate key (ann.o'x+1@example.org)\n at postgresql://me:pw@db/x; " + "and so on " * 100
    for found in (
        announce.synced("dev", [account("crm", "held", reason=leaking)]),
        announce.paused("dev", "crm", leaking),
    ):
        told = json.dumps(found.payload) + found.text
        assert not any(each in told for each in ("ann", "example", "pw", "db/x"))
        assert "duplicate key" in found.text
        assert "\n" not in found.text
        assert len(found.text) < 450


def test_a_paused_destination_is_told_with_what_stopped_it():
    found = announce.paused("dev", "crm", "HTTP 403: not allowed to do this")
    assert found.event == "populace.destination.paused"
    assert found.text == (
        "dev: crm is paused, nothing is sent there until somebody acts: HTTP 403: not allowed to do this"
    )
    assert found.payload == {"destination": "crm", "reason": "HTTP 403: not allowed to do this"}

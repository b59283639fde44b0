"""How flows end on a real Prefect server: states, exit codes, instants, and what people see of a run there."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.webhook import SECRET, Receiver, receiving
from tests.companies import AS_OF, Company, Terminal, environment, local_archive, terminal

DAY = f"{AS_OF:%Y-%m-%d}"
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")


@pytest.fixture(scope="module")
def typing(prefect_server) -> Iterator[Terminal]:
    """A terminal whose Prefect is the server of the session."""
    settings = {name: value for name, value in prefect_server.environment.items() if name.startswith("PREFECT_")}
    with terminal(environment(settings)) as found:
        yield found


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> str:
    return local_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def replayed(archive, tmp_path_factory) -> Company:
    """A company with a published run; copied, never changed."""
    company = Company(tmp_path_factory.mktemp("replayed"), archive)
    company.recompute()
    return company


@pytest.fixture
def company(replayed, tmp_path) -> Company:
    return replayed.copy(tmp_path / "company")


@pytest.fixture
def heard(company) -> Iterator[Receiver]:
    """What the company's webhook tells."""
    with receiving() as found:
        company.more |= {"DEMO_WEBHOOK": "true", "DEMO_WEBHOOK_URL": found.url, "DEMO_WEBHOOK_SECRET": SECRET}
        yield found


def latest(server, flow: str) -> dict[str, Any]:
    """The newest run of a flow, as the server knows it."""
    wanted = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC", "limit": 1}
    (run,) = server.call("POST", "/flow_runs/filter", wanted)
    return run


def pointers(company: Company, lake: Path | None = None) -> list[dict]:
    """Every published pointer, oldest first."""
    return [json.loads(file.read_text()) for file in sorted((lake or company.lake).glob("runs/published/*.json"))]


def delivered(rows: list[dict]) -> dict[str, str]:
    """How the destinations ended that are not disabled: the demo's tools are, where the demo does not run."""
    return {row["destination"]: row["status"] for row in rows if row["status"] != "disabled"}


def spoil(company: Company, folder: Path) -> None:
    """Give the company an archive of its own, with an object in it that is no Parquet."""
    source = Path(company.archive.removeprefix("file://"))
    for file in source.rglob("*.parquet"):
        place = folder / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file)
    (folder / "web" / "more.parquet").write_text("nothing of the kind")
    company.archive = folder.as_uri()


# --- how they end --------------------------------------------------------------------------------------------------


def test_one_destination_fails_and_the_other_delivers(company, heard, prefect_server, typing):
    company.more["DEMO_WAREHOUSE"] = f"sqlite:{company.folder / 'missing' / 'warehouse.db'}"
    answer = typing.type("recompute", "dev", "--as-of", DAY, "--json", company=company)
    assert answer.code == 3, answer
    assert answer.err.startswith("error: warehouse: paused, ")
    assert len(answer.err.splitlines()) == 1
    assert len(heard.held) > 10
    run = latest(prefect_server, "recompute")
    assert run["state"]["type"] == "FAILED"
    assert run["name"] == f"dev {DAY} 00:00"
    assert latest(prefect_server, "sync-destinations")["state"]["type"] == "FAILED"


def test_a_slow_destination_delays_no_other(company, typing):
    """The warehouse is through while the webhook still waits for its first answer."""
    with receiving() as slow:
        slow.secret, slow.latency = "demo", 3.0
        company.more |= {"DEMO_WEBHOOK": "true", "DEMO_WEBHOOK_URL": slow.url, "DEMO_WEBHOOK_SECRET": "demo"}
        answer = typing.type("sync", "dev", "--json", company=company)
    assert answer.code == 0, answer
    assert delivered(answer.rows) == {"warehouse": "success", "webhook": "success"}
    done = {name: (company.lake / f"ledger/{name}/report.json").stat().st_mtime for name in ("warehouse", "webhook")}
    assert done["webhook"] - done["warehouse"] > 2


def test_everything_is_done(company, heard, prefect_server, typing):
    answer = typing.type("recompute", "dev", "--as-of", DAY, "--json", company=company)
    assert (answer.code, answer.err) == (0, "")
    assert heard.requests
    assert latest(prefect_server, "recompute")["state"]["type"] == "COMPLETED"


def test_nothing_is_published(archive, prefect_server, typing, tmp_path):
    """The archive of one source cannot be read: the others are replayed, and there is no run."""
    company = Company(tmp_path / "new", archive)
    spoil(company, tmp_path / "archive")
    answer = typing.type("recompute", "dev", "--as-of", DAY, "--json", company=company)
    assert answer.code == 1
    assert "more.parquet" in answer.err
    assert latest(prefect_server, "recompute")["state"]["type"] == "FAILED"
    assert pointers(company) == []
    status = {row["source"]: row["status"] for row in typing.type("status", "dev", "--json", company=company).rows
              if row["about"] == "source"}  # fmt: skip
    assert status == {"web": "failed", "server": "complete", "split": "complete"}


def test_a_replay_of_which_a_part_fails(company, prefect_server, typing, tmp_path):
    spoil(company, tmp_path / "archive")
    answer = typing.type("replay", "dev", "--json", company=company)
    assert answer.code == 3
    assert "more.parquet" in answer.err
    assert len(answer.err.splitlines()) == 1
    assert {row["source"] for row in answer.rows} == {"web", "server", "split"}
    assert latest(prefect_server, "replay")["state"]["type"] == "FAILED"


def test_stale_is_published_only_when_it_is_allowed(company, typing, tmp_path):
    whole = company.archive
    spoil(company, tmp_path / "archive")
    later = f"{AS_OF + timedelta(days=1):%Y-%m-%d}"
    assert typing.type("recompute", "dev", "--as-of", later, "--json", company=company).code == 1
    refused = typing.type("recompute", "dev", "--as-of", later, "--no-replay", "--json", company=company)
    assert refused.code == 1
    assert "web: not completely replayed" in refused.err
    assert "--allow-stale" in refused.err
    assert [each["number"] for each in pointers(company)] == [1]

    allowed = typing.type("recompute", "dev", "--as-of", later, "--no-sync", "--allow-stale", "--json", company=company)
    assert allowed.code == 0, allowed
    (run,) = [row for row in allowed.rows if row["about"] == "run"]
    assert run["stale"] == ["web"]
    assert [each["number"] for each in pointers(company)] == [1, 2]

    company.archive = whole
    mended = typing.type("recompute", "dev", "--as-of", later, "--no-sync", "--json", company=company)
    assert (mended.code, mended.err) == (0, "")
    (run,) = [row for row in mended.rows if row["about"] == "run"]
    assert run["stale"] == []


def test_an_older_instant_is_history(company, prefect_server, typing):
    """It is computed, and readers see what they saw."""
    earlier = f"{AS_OF - timedelta(days=1):%Y-%m-%d}"
    answer = typing.type("recompute", "dev", "--as-of", earlier, "--no-sync", "--json", company=company)
    assert answer.code == 0, answer
    assert latest(prefect_server, "recompute")["state"]["type"] == "COMPLETED"
    assert [each["as_of"] for each in pointers(company)] == [f"{AS_OF:%Y-%m-%dT%H:%M:%S.%f}Z"]
    (shown,) = [row for row in answer.rows if row["about"] == "run"]
    assert (shown["as_of"][:10], shown["current"]) == (earlier, False)


def test_a_run_of_the_future_does_not_silently_stop_those_of_today(company, typing):
    assert typing.type("recompute", "dev", "--as-of", "2999-01-01", "--no-sync", "--json", company=company).code == 0
    answer = typing.type("recompute", "dev", "--no-sync", "--json", company=company)
    assert answer.code == 1
    assert "describes 2999-01-01T00:00:00.000000Z, which is still to come" in answer.err
    (company.lake / "runs" / "published" / "000000000002.json").unlink()
    assert typing.type("recompute", "dev", "--no-sync", "--json", company=company).code == 0


# --- backfill ------------------------------------------------------------------------------------------------------


def test_a_backfill_publishes_and_sends_nothing(company, heard, typing):
    assert typing.type("sync", "dev", "--json", company=company).code == 0
    requests, before, ledger = len(heard.requests), pointers(company), company.bytes("ledger")
    current = (company.lake / "runs" / "current.json").read_bytes()
    days = ["--since", "2026-08-28", "--until", "2026-08-30"]
    answer = typing.type("backfill", "dev", *days, "--json", company=company)
    assert (answer.code, answer.err) == (0, "")
    assert [row["as_of"][:10] for row in answer.rows] == ["2026-08-28", "2026-08-29", "2026-08-30"]
    assert pointers(company) == before
    assert (company.lake / "runs" / "current.json").read_bytes() == current
    assert company.bytes("ledger") == ledger
    assert len(heard.requests) == requests

    history = typing.type("members", "dev", "new_users_7_days", "--as-of", "2026-08-29", "--json", company=company)
    assert len(history.rows) == answer.rows[1]["new_users_7_days"]
    runs = company.bytes("runs")
    assert typing.type("backfill", "dev", *days, "--json", company=company).rows == answer.rows
    assert company.bytes("runs") == runs


# --- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_worker")
def test_a_late_run_describes_the_hour_it_was_scheduled_for(archive, prefect_server, deployments, tmp_path):
    """Asked for without an instant, due at 03:00 of some day past: as of then, not of now."""
    company = Company(tmp_path / "late", archive)
    (company.folder / "demo-data").mkdir()
    (company.folder / "demo-data" / "archive").symlink_to(archive.removeprefix("file://"))
    due = AS_OF + timedelta(hours=3)
    body = {
        "parameters": {"space": "dev", "deliver": False, "definitions": str(company.definitions)},
        "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}},
    }
    run = prefect_server.call("POST", f"/deployments/{deployments['recompute']}/create_flow_run", body)
    state = prefect_server.finish(run["id"], seconds=150)
    assert state["type"] == "COMPLETED", f"{state['message']}\n{prefect_server.logs(run['id'])}"
    (pointer,) = pointers(company, company.folder / "demo-data" / "lake")
    assert datetime.fromisoformat(pointer["as_of"]) == due


# --- what people see -----------------------------------------------------------------------------------------------


def test_artifacts_tell_counts_and_nobody(company, heard, prefect_server, typing):
    assert typing.type("recompute", "dev", "--as-of", DAY, "--json", company=company).code == 0
    found = prefect_server.call("POST", "/artifacts/latest/filter", {})
    by_key = {each["key"]: each for each in found if (each["key"] or "").startswith("populace-dev-")}
    assert {"populace-dev-replay", "populace-dev-run", "populace-dev-sync"} <= set(by_key)
    replay, run, sync = (by_key[f"populace-dev-{name}"]["data"] for name in ("replay", "run", "sync"))
    assert {row["source"] for row in _rows(replay)} == {"web", "server", "split"}
    assert pointers(company)[-1]["run_id"] in run
    assert delivered(_rows(sync)) == {"warehouse": "success", "webhook": "success"}
    everything = prefect_server.call("POST", "/artifacts/filter", {})
    assert [each["key"] for each in everything if EMAIL.search(json.dumps(each))] == []
    assert heard.held


def _rows(data: Any) -> list[dict]:
    return json.loads(data) if isinstance(data, str) else data


def test_logs_name_nobody(company, heard, prefect_server, typing):
    assert typing.type("recompute", "dev", "--as-of", DAY, "--json", company=company).code == 0
    lines = prefect_server.call("POST", "/logs/filter", {"limit": 200})
    assert lines
    assert [line["message"] for line in lines if EMAIL.search(line["message"])] == []
    assert not any(person in line["message"] for line in lines for person in heard.held)

"""The deployments of prefect.yaml against a real Prefect server: schedules become runs, and a worker finishes one."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

PEOPLE = 10
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

DEFINITIONS = {
    "space.yaml": "space: dev\nlake: {folder}/lake\nwindow: 60 days\n",
    "sources.yaml": "web: {{archive: {folder}/archive, layout: raw}}\n",
    "identity.yaml": """\
identifiers:
  user_id: {{}}
  email: {{normalize: trim_lower}}
  anonymous_id: {{}}
""",
    "traits.yaml": """\
revenue:
  description: What the person has paid so far.
  query: event('Order Completed').sum(property('total'))
  destinations: [warehouse]
""",
    "audiences.yaml": """\
new_users_7_days:
  name: New Users 7 days
  query: event('User Signed Up').within(7 days).count() >= 1
  destinations: [warehouse]
""",
    "destinations.yaml": "warehouse: {{kind: warehouse, url: 'sqlite:///{path}/warehouse.db', enabled: true}}\n",
}


def events() -> pl.DataFrame:
    """Fifty events in the raw layout: ten people look around twice, log in, sign up and buy, two days apart."""
    rows: list[dict[str, Any]] = []

    def add(kind: str, at: datetime, person: int, **fields: Any) -> None:
        blank = dict.fromkeys(("event", "user_id", "properties", "traits"))
        instants = {"timestamp": at, "received_at": at + timedelta(seconds=2)}
        known = {"message_id": f"m-{len(rows):03}", "type": kind, "anonymous_id": f"a-{person}", "context": "{}"}
        rows.append(blank | known | instants | fields)

    for person in range(PEOPLE):
        at = MIDNIGHT - timedelta(days=2 * person + 1, hours=-9)
        user = f"u-{person}"
        for look in range(2):
            viewed = {"event": "Product Viewed", "properties": json.dumps({"sku": f"s-{look}"})}
            add("track", at + timedelta(minutes=look), person, **viewed)
        email = json.dumps({"email": f"Person{person}@Example.com"})
        add("identify", at + timedelta(minutes=5), person, user_id=user, traits=email)
        add("track", at + timedelta(minutes=6), person, user_id=user, event="User Signed Up", properties="{}")
        total = json.dumps({"total": 10 * (person + 1)})
        add("track", at + timedelta(minutes=9), person, user_id=user, event="Order Completed", properties=total)
    instant = pl.Datetime("us", "UTC")
    texts = ("properties", "traits", "event", "user_id")
    return pl.DataFrame(
        rows,
        schema_overrides={"timestamp": instant, "received_at": instant} | dict.fromkeys(texts, pl.String),
        infer_schema_length=None,
    )


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A folder with a small archive, the definitions of a space over it, and room for its lake."""
    (tmp_path / "archive").mkdir()
    events().write_parquet(tmp_path / "archive" / "events.parquet")
    space = tmp_path / "definitions" / "dev"
    space.mkdir(parents=True)
    for name, text in DEFINITIONS.items():
        (space / name).write_text(text.format(folder=tmp_path.as_uri(), path=tmp_path))
    return tmp_path


def published(lake: Path) -> dict[str, pl.DataFrame]:
    """The tables of the current run, found as any reader outside would find them."""
    pointers = sorted((lake / "runs" / "published").glob("*.json"), key=lambda path: int(path.stem))
    run = lake / "runs" / json.loads(pointers[-1].read_text())["run_id"]
    return {path.stem: pl.read_parquet(path) for path in run.glob("*.parquet")}


def test_a_deployed_cron_yields_scheduled_runs(prefect_server, deployments, wait_until):
    """Under SQLAlchemy 2.1 everything here succeeds, and no run is ever created."""
    assert set(deployments) == {"recompute", "backfill", "refresh", "sync"}
    wanted = {
        "deployments": {"name": {"any_": ["recompute"]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    runs = wait_until(
        lambda: prefect_server.call("POST", "/flow_runs/filter", wanted), 60, "the server schedules a run of recompute"
    )
    due = {datetime.fromisoformat(run["expected_start_time"]) for run in runs}
    assert {(each.hour, each.minute, each.utcoffset()) for each in due} == {(3, 0, timedelta(0))}
    assert all(run["parameters"] == {"space": "prod"} for run in runs)


@pytest.mark.usefixtures("prefect_worker")
def test_a_worker_finishes_a_run_of_the_recompute_deployment(prefect_server, deployments, company):
    parameters = {"space": "dev", "as_of": MIDNIGHT.isoformat(), "definitions": str(company / "definitions")}
    flow_run = prefect_server.start(deployments["recompute"], parameters)

    state = prefect_server.finish(flow_run, seconds=120)

    assert state["type"] == "COMPLETED", f"{state['message']}\n{prefect_server.logs(flow_run)}"
    tables = published(company / "lake")
    assert tables["profiles"].height == PEOPLE
    assert tables["traits"]["revenue"].sum() == 10 * PEOPLE * (PEOPLE + 1) / 2
    assert tables["memberships"]["audience"].to_list() == ["new_users_7_days"] * 4  # 1, 3, 5 and 7 days less 9 hours
    with sqlite3.connect(company / "warehouse.db") as warehouse:
        names = [name for (name,) in warehouse.execute("select name from sqlite_master where type = 'table'")]
        assert any(warehouse.execute(f'select count(*) from "{name}"').fetchone()[0] for name in names), names

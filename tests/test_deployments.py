"""`prefect.yaml` says only what Prefect understands.

Prefect accepts unknown keys, and deploys flows that cannot be imported or parameters that do not fit; the run then
fails, or never comes. So this reads the file with its own eyes: known keys, real flows, valid parameters.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import construct_schedule
from prefect.events import DeploymentEventTrigger
from prefect.flows import load_flow_from_entrypoint

ROOT = Path(__file__).resolve().parent.parent

# --- the keys that Prefect reads ---------------------------------------------------------------------------------

TOP = {"name", "prefect-version", "build", "push", "pull", "definitions", "deployments"}
DEPLOYMENT = {
    "build",
    "concurrency_limit",
    "description",
    "enforce_parameter_schema",
    "entrypoint",
    "name",
    "parameters",
    "paused",
    "pull",
    "push",
    "schedules",
    "tags",
    "triggers",
    "version",
    "work_pool",
}
WORK_POOL = {"name", "work_queue_name", "job_variables"}
TIMING = {"cron", "interval", "rrule", "timezone", "anchor_date", "day_or"}
SCHEDULE = TIMING | {"active", "parameters", "slug", "replaces"}
CONCURRENCY_LIMIT = {"limit", "collision_strategy", "grace_period_seconds"}
TRIGGER = set(DeploymentEventTrigger.model_fields) | {"type"}

# --- what is passed when somebody starts a deployment by hand, beside the parameters in prefect.yaml -----------

BY_HAND: dict[str, dict[str, Any]] = {
    "recompute": {
        "as_of": "2026-08-01T03:00:00Z",
        "replay_first": False,
        "deliver": False,
        "allow_stale": True,
        "definitions": "definitions",
    },
    "backfill": {"since": "2026-07-01", "until": "2026-07-31", "every": "1d", "definitions": "definitions"},
    "refresh": {"deliver": False, "allow_stale": True, "definitions": "definitions"},
    "sync": {"destination": "warehouse", "resync": True, "confirm": True, "definitions": "definitions"},
}
REQUIRED_BY_HAND = {"backfill": ("since", "until")}


@pytest.fixture(autouse=True)
def _import_path_as_it_was(monkeypatch: pytest.MonkeyPatch):
    """Loading a flow from a file puts the file's folder first on the import path, for good."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.chdir(ROOT)


def unknown_keys(found: dict[str, Any], known: set[str], where: str) -> list[str]:
    return [f"{where}: Prefect knows no key '{key}'" for key in found if key not in known]


def problems(content: dict[str, Any]) -> list[str]:
    """Everything that is wrong with the content of a `prefect.yaml`."""
    found = unknown_keys(content, TOP, "top level")
    names = [deployment.get("name") for deployment in content["deployments"]]
    found += [f"{name}: two deployments have this name" for name in {*names} if names.count(name) > 1]
    for deployment in content["deployments"]:
        where = f"deployment {deployment.get('name')}"
        found += unknown_keys(deployment, DEPLOYMENT, where)
        found += unknown_keys(deployment.get("work_pool", {}), WORK_POOL, f"{where}, work_pool")
        if not deployment.get("work_pool", {}).get("name"):
            found.append(f"{where}: no work pool")
        found += wrong_limit(deployment.get("concurrency_limit", 1), where)
        try:
            flow = load_flow_from_entrypoint(deployment.get("entrypoint", ""), use_placeholder_flow=False)
        except Exception as error:  # whatever a flow file raises while it is imported
            found.append(f"{where}: cannot load {deployment.get('entrypoint')}: {error!r}")
            continue
        found += wrong_parameters(flow, deployment, where)
        for schedule in deployment.get("schedules", []):
            found += wrong_schedule(flow, deployment, schedule, f"{where}, schedule {schedule.get('slug')}")
        for trigger in deployment.get("triggers", []):
            found += wrong_trigger(flow, deployment, trigger, f"{where}, trigger")
    return found


def wrong_limit(limit: Any, where: str) -> list[str]:
    if not isinstance(limit, dict):
        return [] if isinstance(limit, int) else [f"{where}: {limit!r} is no concurrency limit"]
    found = unknown_keys(limit, CONCURRENCY_LIMIT, f"{where}, concurrency_limit")
    strategies = {each.value for each in ConcurrencyLimitStrategy}
    if limit.get("collision_strategy", "ENQUEUE") not in strategies:
        found.append(f"{where}: collision_strategy must be one of {', '.join(sorted(strategies))}")
    return found


def wrong_parameters(flow: Flow[..., Any], deployment: dict[str, Any], where: str) -> list[str]:
    """What the deployment itself gives must fit; what a person adds by hand must complete it."""
    given = deployment.get("parameters", {})
    added = {key: value for key, value in BY_HAND.get(deployment.get("name", ""), {}).items() if key not in given}
    return rejected(flow, given | added, where)


def wrong_schedule(flow: Flow[..., Any], deployment: dict[str, Any], schedule: dict[str, Any], where: str) -> list[str]:
    found = unknown_keys(schedule, SCHEDULE, where)
    try:
        timing = {key: value for key, value in schedule.items() if key in TIMING}
        DeploymentScheduleCreate(schedule=construct_schedule(**timing), slug=schedule.get("slug"))
    except (ValueError, TypeError) as error:
        found.append(f"{where}: {error}")
    # Nobody is there to add anything: what is given must be enough.
    return found + rejected(flow, deployment.get("parameters", {}) | schedule.get("parameters", {}), where)


def wrong_trigger(flow: Flow[..., Any], deployment: dict[str, Any], trigger: dict[str, Any], where: str) -> list[str]:
    found = unknown_keys(trigger, TRIGGER, where)
    return found + rejected(flow, deployment.get("parameters", {}) | trigger.get("parameters", {}), where)


def rejected(flow: Flow[..., Any], parameters: dict[str, Any], where: str) -> list[str]:
    try:
        flow.validate_parameters(parameters)
    except Exception as error:  # pydantic's and Prefect's errors have no common base
        return [f"{where}: flow {flow.name} does not take {parameters}: {error}"]
    return []


@pytest.fixture
def content() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "prefect.yaml").read_text())


def test_prefect_yaml_says_only_what_prefect_understands(content):
    assert problems(content) == []


def test_the_deployments_are_the_promised_ones(content):
    by_name = {deployment["name"]: deployment for deployment in content["deployments"]}
    assert list(by_name) == ["recompute", "backfill", "refresh", "sync"]
    (nightly,) = by_name["recompute"]["schedules"]
    assert (nightly["cron"], nightly["timezone"]) == ("0 3 * * *", "UTC")
    (hourly,) = by_name["refresh"]["schedules"]
    assert (hourly["cron"], hourly["timezone"]) == ("30 * * * *", "UTC")
    assert by_name["recompute"]["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert not any(by_name[name].get("schedules") for name in ("backfill", "sync"))


@pytest.mark.parametrize(("name", "missing"), [(name, key) for name, keys in REQUIRED_BY_HAND.items() for key in keys])
def test_a_deployment_by_hand_asks_for_what_it_needs(content, name, missing):
    (deployment,) = [each for each in content["deployments"] if each["name"] == name]
    flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    given = deployment["parameters"] | BY_HAND[name]
    del given[missing]
    assert rejected(flow, given, name)


def test_every_parameter_has_been_tried(content):
    for deployment in content["deployments"]:
        flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
        tried = deployment["parameters"] | BY_HAND[deployment["name"]]
        assert set(tried) == set(flow.parameters.properties), deployment["name"]


def test_every_flow_that_is_deployed_can_be_imported_as_a_module(content):
    """`python -m flows.recompute` and the command line need the module form."""
    names = sorted({"flows." + re.split(r"[./]", each["entrypoint"])[1] for each in content["deployments"]})
    code = "; ".join(f"import {name}" for name in names)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr


# --- each kind of mistake is caught ------------------------------------------------------------------------------

FLOW_FILE = '''
from datetime import date
from prefect import flow

@flow
def greet(name: str, since: date = date(2026, 1, 1), times: int = 1):
    """Say hello."""
'''

MISTAKES = [
    ({"shedules": []}, "no key 'shedules'"),
    ({"work_pool": {"name": "p", "queue": "q"}}, "no key 'queue'"),
    ({"work_pool": {}}, "no work pool"),
    ({"concurrency_limit": {"limit": 1, "strategy": "ENQUEUE"}}, "no key 'strategy'"),
    ({"concurrency_limit": {"limit": 1, "collision_strategy": "WAIT"}}, "collision_strategy must be one of"),
    ({"concurrency_limit": "one"}, "is no concurrency limit"),
    ({"entrypoint": "greeting.py:great"}, "cannot load greeting.py:great"),
    ({"entrypoint": "missing.py:greet"}, "cannot load missing.py:greet"),
    ({"entrypoint": "broken.py:greet"}, "cannot load broken.py:greet"),
    ({"parameters": {"name": "Ada", "since": "yesterday"}}, "does not take"),
    ({"parameters": {"nom": "Ada"}}, "does not take"),
    ({"schedules": [{"cron": "0 3 * *"}]}, "schedule None"),
    ({"schedules": [{"cron": "0 3 * * *", "timezone": "Mars/Olympus"}]}, "schedule None"),
    ({"schedules": [{"cron": "0 3 * * *", "timzone": "UTC"}]}, "no key 'timzone'"),
    ({"schedules": [{"timezone": "UTC", "slug": "never"}]}, "schedule never"),
    ({"schedules": [{"cron": "0 3 * * *", "parameters": {"times": "often"}}]}, "does not take"),
    ({"parameters": {}, "schedules": [{"cron": "0 3 * * *"}]}, "does not take"),
    ({"triggers": [{"match": {}, "expects": ["prefect.flow-run.Completed"]}]}, "no key 'expects'"),
    ({"triggers": [{"expect": ["prefect.flow-run.Completed"], "parameters": {"times": "often"}}]}, "does not take"),
]
GOOD = {"name": "greet", "entrypoint": "greeting.py:greet", "parameters": {"name": "Ada"}, "work_pool": {"name": "p"}}


@pytest.fixture
def flow_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "greeting.py").write_text(FLOW_FILE)
    (tmp_path / "broken.py").write_text("import a_module_that_is_nowhere\n" + FLOW_FILE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("flow_files")
@pytest.mark.parametrize(("mistake", "expected"), MISTAKES, ids=[expected for _, expected in MISTAKES])
def test_mistake_is_caught(mistake: dict[str, Any], expected: str):
    found = problems({"deployments": [GOOD | mistake]})
    assert any(expected in problem for problem in found), found


@pytest.mark.usefixtures("flow_files")
def test_good_deployment_passes():
    schedule = {"cron": "15 2 * * *", "timezone": "Europe/Paris", "slug": "nightly", "parameters": {"times": 2}}
    trigger = {"type": "event", "expect": ["prefect.flow-run.Completed"], "parameters": {"since": "2026-01-02"}}
    good = GOOD | {"schedules": [schedule], "triggers": [trigger], "concurrency_limit": 1, "tags": ["a"]}
    assert problems({"deployments": [good]}) == []


@pytest.mark.usefixtures("flow_files")
def test_unknown_top_level_key_and_double_name_are_caught():
    found = problems({"deployment": [], "deployments": [GOOD, GOOD]})
    assert "top level: Prefect knows no key 'deployment'" in found
    assert "greet: two deployments have this name" in found

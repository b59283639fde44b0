"""What others hear of a replay and of a published run: messages at an address, events and artifacts in Prefect."""

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from populace.space.replay import Step
from tasks import notify, progress, watching
from tasks.notify import Pace
from tests.companies import AS_OF, Company, Terminal, environment, local_archive, terminal

DAY = f"{AS_OF:%Y-%m-%d}"
HASTY = Pace(pause=0.01, timeout=0.5)
MESSAGE = {"text": "dev: replay completed", "event": "populace.replay.completed", "space": "dev", "sources": {"web": 1}}
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")


@dataclass
class Ear:
    """An address that hears messages; `script` holds how to answer the next ones: a status, or 'silence'."""

    url: str = ""
    script: list[Any] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def ear() -> Iterator[Ear]:
    state = Ear()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = state.script.pop(0) if state.script else 200
            if answer == "silence":
                time.sleep(2 * HASTY.timeout)
                return
            self.send_response(answer)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}/hook/t0ken"
        yield state
        server.shutdown()
        thread.join()


# --- messages ------------------------------------------------------------------------------------------------------


def told(*addresses: str, **environ: str) -> list[str]:
    """The warnings of sending the message."""
    warnings: list[str] = []
    notify.send(addresses, MESSAGE, environ=environ, secret=None, warn=warnings.append, pace=HASTY)
    return warnings


def test_a_message_is_delivered_as_json(ear):
    assert told(ear.url) == []
    assert ear.heard == [MESSAGE]


def test_slack_gets_the_text_alone(ear, monkeypatch):
    monkeypatch.setattr(notify, "SLACK", "127.0.0.1")
    assert told(ear.url) == []
    assert ear.heard == [{"text": "dev: replay completed"}]


def test_a_message_mentions_nobody_in_slack(ear, monkeypatch):
    monkeypatch.setattr(notify, "SLACK", "127.0.0.1")
    message = MESSAGE | {"text": "<!channel> & co"}
    notify.send([ear.url], message, environ={}, secret=None, warn=pytest.fail, pace=HASTY)
    assert ear.heard == [{"text": "&lt;!channel&gt; &amp; co"}]


def test_an_address_comes_from_the_environment_or_from_a_secret(ear):
    assert told("${EAR}", EAR=ear.url) == []
    notify.send(["${EAR}"], MESSAGE, environ={}, secret={"EAR": ear.url}.get, warn=pytest.fail, pace=HASTY)
    assert ear.heard == [MESSAGE, MESSAGE]


def test_nobody_is_told_where_nobody_is_named(ear):
    assert told() == told("${EAR:-}") == told("${EAR:- }", "") == []
    assert ear.heard == []


@pytest.mark.parametrize("trouble", [[500], [503, 429], ["silence"], ["silence", 500]], ids=str)
def test_it_is_tried_again(ear, trouble):
    ear.script = list(trouble)
    assert told(ear.url) == []
    assert ear.heard == [MESSAGE] * (len(trouble) + 1)


@pytest.mark.parametrize(
    ("script", "tries", "problem"),
    [
        ([500, 502, 503], 3, "it was answered with status 503"),
        (["silence"] * 3, 3, "ReadTimeout"),
        ([404], 1, "it was answered with status 404"),
        ([302], 1, "it was answered with status 302"),  # nobody is told where our messages went instead
    ],
    ids=str,
)
def test_one_that_is_not_accepted_is_a_warning_without_the_address(ear, script, tries, problem):
    ear.script = script
    assert told(ear.url) == [f"notification 1 of 1 was not delivered: {problem}"]
    assert len(ear.heard) == tries


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://127.0.0.1:9/t0ken", "ConnectError"),
        ("t0ken", "the address cannot be used"),
        ("https://[t0ken", ""),
        ("http://t0ken\u0000/", ""),
        ("${NOWHERE}", "NOWHERE is not set; export it, or keep it in the Prefect Secret block 'nowhere'"),
    ],
)
def test_one_address_that_cannot_be_used_keeps_nothing_from_the_others(ear, address, problem):
    (warning,) = told(address, ear.url)
    assert warning.startswith(f"notification 1 of 2 was not delivered: {problem}")
    assert "t0ken" not in warning
    assert ear.heard == [MESSAGE]


# --- on a Prefect server -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def typing(prefect_server) -> Iterator[Terminal]:
    settings = {name: value for name, value in prefect_server.environment.items() if name.startswith("PREFECT_")}
    with terminal(environment(settings)) as found:
        yield found


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> str:
    return local_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def company(archive, tmp_path, ear) -> Company:
    """A company that nothing was replayed of yet; its space looks far back from any day, and has two addresses."""
    found = Company(tmp_path / "company", archive, {"EAR": ear.url})
    space = found.definitions / "dev" / "space.yaml"
    text = space.read_text().replace("window: 60 days", "window: 9000 days")
    space.write_text(text + 'notify: ["${EAR:-}", "${OTHER_EAR:-}"]\n')
    return found


def events(server, wait_until, since: str, *names: str) -> dict[str, dict[str, Any]]:
    """The newest event of each name that the server has heard since; waits for the last of them."""

    def found() -> dict[str, dict[str, Any]]:
        asked = {"filter": {"event": {"name": list(names)}, "occurred": {"since": since}}, "limit": 50}
        listed = server.call("POST", "/events/filter", asked)["events"]
        by_name = {each["event"]: each for each in reversed(listed)}
        return by_name if set(by_name) == set(names) else {}

    return wait_until(found, 40, f"the server knows of {names}")


def artifacts(server) -> dict[str, list[dict[str, Any]]]:
    """Every artifact by its key, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in server.call("POST", "/artifacts/filter", {"sort": "ID_DESC"}):
        found.setdefault(each["key"], []).append(each)
    return {key: sorted(listed, key=lambda each: each["created"]) for key, listed in found.items()}


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_a_replay_and_a_run_are_announced_and_their_progress_is_kept(company, ear, prefect_server, typing, wait_until):
    since = now()
    answer = typing.type("recompute", "dev", "--as-of", DAY, "--no-sync", "--json", company=company)
    assert (answer.code, answer.err) == (0, ""), answer
    sources = {row["source"]: row for row in answer.rows if row["about"] == "source"}
    (run,) = [row for row in answer.rows if row["about"] == "run"]

    counts = ("read", "kept", "duplicate", "rejected", "status", "days")
    heard = {each["event"]: each for each in ear.heard}
    assert len(ear.heard) == 2
    assert heard["populace.replay.completed"]["sources"] == {
        name: {each: row[each] for each in counts} for name, row in sources.items()
    }
    published = heard["populace.run.published"]
    assert published["text"].startswith(f"dev: run {run['run_id']} is published, as of {DAY} 00:00 UTC: ")
    told = {"run_id": run["run_id"], "as_of": run["as_of"], "audiences": run["audiences"]}
    assert {name: published[name] for name in told} == told

    known = events(prefect_server, wait_until, since, *heard)
    for name, event in known.items():
        assert event["resource"]["prefect.resource.id"] == "populace.space.dev"
        assert event["payload"] == {
            key: heard[name][key] for key in heard[name] if key not in ("text", "event", "space")
        }
        assert any(each["prefect.resource.id"].startswith("prefect.flow-run.") for each in event["related"])

    kept = artifacts(prefect_server)
    for name, row in sources.items():
        progress = kept[f"populace-dev-replay-{name}"][-1]
        assert (progress["type"], progress["data"]) == ("progress", 100.0)
        assert progress["description"].startswith(f"{row['read']:,} rows, ")
        (summed,) = rows(kept[f"populace-dev-replay-{name}-summary"][-1]["data"])
        assert summed.pop("rows per second") > 0
        days = {"days": row["days"], "days left": 0, "failed objects": 0}
        assert summed == {"source": name, "rows": row["read"]} | days
    assert not EMAIL.search(json.dumps([kept, known, ear.heard]))


def rows(data: Any) -> list[dict[str, Any]]:
    return json.loads(data) if isinstance(data, str) else data


def test_an_automation_acts_on_a_published_run(company, prefect_server, typing, wait_until):
    """The trigger that docs/operations.md shows, with an action that anybody may have."""
    since = now()
    trigger = {
        "type": "event",
        "posture": "Reactive",
        "match": {"prefect.resource.id": "populace.space.dev"},
        "expect": ["populace.run.published"],
        "threshold": 1,
        "within": 0,
    }
    automation = {"name": "published", "trigger": trigger, "actions": [{"type": "do-nothing"}]}
    made = prefect_server.call("POST", "/automations/", automation)
    time.sleep(1)
    assert typing.type("recompute", "dev", "--as-of", DAY, "--no-sync", "--json", company=company).code == 0
    (acted,) = events(prefect_server, wait_until, since, "prefect.automation.action.executed").values()
    assert acted["resource"]["prefect.resource.id"] == f"prefect.automation.{made['id']}"


def test_a_failed_replay_is_announced_with_what_could_not_be_read(
    company, ear, prefect_server, typing, wait_until, tmp_path
):
    since = now()
    spoil(company, tmp_path / "archive")
    answer = typing.type("replay", "dev", "--json", company=company)
    assert answer.code == 3
    (heard,) = ear.heard
    assert heard["event"] == "populace.replay.failed"
    assert "web failed, 1 object cannot be read (" in heard["text"]
    assert {name: counts["status"] for name, counts in heard["sources"].items()} == {
        "web": "failed",
        "server": "complete",
        "split": "complete",
    }
    (event,) = events(prefect_server, wait_until, since, "populace.replay.failed").values()
    assert event["payload"] == {"sources": heard["sources"]}
    kept = artifacts(prefect_server)
    (summed,) = rows(kept["populace-dev-replay-web-summary"][-1]["data"])
    assert summed["failed objects"] == 1
    (web,) = [row for row in rows(kept["populace-dev-replay"][-1]["data"]) if row["source"] == "web"]
    assert (web["status"], web["failed objects"]) == ("failed", 1)
    listed = {row["source"]: row["failed"] for row in answer.rows}
    assert listed == {"web": ["2026/08/25/broken.parquet"], "server": [], "split": []}


def spoil(company: Company, folder: Path) -> None:
    """Give the company an archive of its own, with an object in it that is cut short."""
    source = Path(company.archive.removeprefix("file://"))
    for file in source.rglob("*.parquet"):
        place = folder / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file)
    whole = next((folder / "web" / "2026" / "08" / "25").glob("*.parquet"))
    (whole.parent / "broken.parquet").write_bytes(whole.read_bytes()[:1000])
    company.archive = folder.as_uri()


# --- progress ------------------------------------------------------------------------------------------------------


@pytest.fixture
def told_steps() -> Iterator[list[progress.Step]]:
    """What the bars of a terminal would be told."""
    steps: list[progress.Step] = []
    with progress.listening(steps.append), disable_run_logger():
        yield steps


def watched(steps: int) -> list[Step]:
    return [Step(each, steps, 1000 * each, steps - each) for each in range(1, steps + 1)]


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_an_artifact_is_not_updated_at_every_step_and_shows_the_last(prefect_server, told_steps, monkeypatch):
    key = "populace-some-space-replay-the-app"
    with temporary_settings({PREFECT_API_URL: prefect_server.api_url}):
        watch = watching.Watch("some_space", "the_app", size=50, days=50)
        for step in watched(50):
            watch.told(step)
        assert key not in artifacts(prefect_server)  # the first three seconds are not over
        monkeypatch.setattr(watching, "EVERY", 0.0)
        watch.told(Step(10, 50, 10_000, 40))
        assert [each["data"] for each in artifacts(prefect_server)[key]] == [20.0]
        monkeypatch.setattr(watching, "EVERY", 60.0)
        watch.told(Step(15, 50, 15_000, 35))
        assert [each["data"] for each in artifacts(prefect_server)[key]] == [20.0]
        monkeypatch.setattr(watching, "EVERY", 0.0)
        watch.told(Step(20, 50, 20_000, 30))
        (artifact,) = artifacts(prefect_server)[key]
        assert artifact["data"] == 40.0
        assert re.fullmatch(r"20,000 rows, [\d,]+ a second, 30 of 50 days left", artifact["description"])
    assert [(each.name, each.done, each.todo) for each in told_steps[:2]] == [
        ("replay the_app", 0, 50),
        ("replay the_app", 1, 50),
    ]
    assert (told_steps[-1].rows, told_steps[-1].days_left) == (20_000, 30)


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_a_replay_goes_on_where_its_artifacts_cannot_be_written(told_steps, monkeypatch):
    nowhere = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    monkeypatch.setattr(watching, "EVERY", 0.0)
    with temporary_settings(nowhere):
        watch = watching.Watch("dev", "web", size=9, days=9)
        for step in watched(8):
            watch.told(step)
        watch.ended(failed=0)
    assert [each.done for each in told_steps] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_the_progress_of_a_sync_is_shown_from_the_first_records_on(prefect_server, told_steps, monkeypatch):
    key = "populace-some-space-sync-the-crm"
    monkeypatch.setattr(watching, "EVERY", 60.0)
    with temporary_settings({PREFECT_API_URL: prefect_server.api_url}):
        watching.SyncWatch("some_space", "the_crm").ended()
        assert key not in artifacts(prefect_server)  # nothing was due
        watch = watching.SyncWatch("some_space", "the_crm")
        watch.told(1_000, 4_000)
        watch.told(2_000, 4_000)
        assert [each["data"] for each in artifacts(prefect_server)[key]] == [25.0]
        watch.told(3_000, 4_000)
        watch.ended()
        (artifact,) = artifacts(prefect_server)[key]
    assert artifact["data"] == 75.0
    assert re.fullmatch(r"3,000 of 4,000 records, [\d,]+ a second", artifact["description"])
    assert [(each.name, each.done, each.todo) for each in told_steps] == [
        ("sync the_crm", done, 4_000) for done in (1_000, 2_000, 3_000)
    ]


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_a_sync_goes_on_where_its_artifact_cannot_be_written(told_steps, monkeypatch):
    nowhere = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    monkeypatch.setattr(watching, "EVERY", 0.0)
    with temporary_settings(nowhere):
        watch = watching.SyncWatch("dev", "crm")
        for done in range(1, 9):
            watch.told(done, 9)
        watch.ended()
    assert [each.done for each in told_steps] == list(range(1, 9))


# --- and what is not announced -------------------------------------------------------------------------------------


def test_a_replay_that_was_told_to_leave_days_out_is_not_announced(company, ear, typing):
    assert typing.type("replay", "dev", "--until", "2026-08-25", "--json", company=company).code == 0
    assert ear.heard == []


def test_a_message_that_nobody_takes_fails_no_run(company, ear, prefect_server, typing):
    company.more |= {"EAR": "http://127.0.0.1:9/t0ken", "OTHER_EAR": ear.url}
    ear.script = [404]
    answer = typing.type("recompute", "dev", "--as-of", DAY, "--no-sync", "--json", company=company)
    assert (answer.code, answer.err) == (0, "")
    assert len(ear.heard) == 2  # of the replay, which it refused, and of the run
    lines = prefect_server.call("POST", "/logs/filter", {"limit": 200, "sort": "TIMESTAMP_DESC"})
    warned = {line["message"] for line in lines if line["level"] == 30}
    assert "notification 1 of 2 was not delivered: ConnectError" in warned
    assert not any("t0ken" in line["message"] for line in lines)


def test_a_run_that_is_history_is_not_announced(company, ear, typing):
    assert typing.type("recompute", "dev", "--as-of", DAY, "--no-sync", "--json", company=company).code == 0
    ear.heard.clear()
    assert typing.type("recompute", "dev", "--as-of", "2026-08-31", "--no-sync", "--json", company=company).code == 0
    assert [each["event"] for each in ear.heard] == ["populace.replay.completed"]

"""The servers that integration tests talk to: real ones, on free ports of the loopback interface, ended by process id.

Each starts once a session, when the first test asks for it. `S3_ENDPOINT_URL` with credentials in the environment
(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION) points the same tests at any other object store.
"""

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import httpx
import pytest

from tests.warehouses import Warehouse, database

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("integration")


# --- processes -----------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def wait_until(is_done: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `is_done`, asked again and again; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := is_done()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.2)
    return value


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[[Callable[[], Any], float, str], Any]:
    return wait_until


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code < 500
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own session, asked to end, then ended, with whatever it started.

    A shell starts background jobs with SIGINT ignored, children inherit that, and a Prefect worker that ignores
    SIGINT ignores SIGTERM too. So the signal gets its default back for the moment in which the process starts.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_server(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float) -> None:
    def is_ready() -> bool:
        if process.poll() is not None:
            pytest.fail(f"the server of {url} ended with code {process.returncode}:\n{log.read_text()[-2000:]}")
        return answers(url)

    wait_until(is_ready, seconds, f"{url} answers; its log: {log}")


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


def postgres_programs() -> Path | None:
    """The folder that holds initdb and pg_ctl: on the PATH, or the newest that Debian installed."""
    if shutil.which("initdb") and shutil.which("pg_ctl"):
        return Path(str(shutil.which("initdb"))).resolve().parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(installed, key=lambda path: float(path.parent.name), default=None)


def unprivileged() -> dict[str, Any]:
    """How to start a program that refuses to run as root; nothing special for anybody else."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """An empty database of a PostgreSQL server that ends with the session, as `postgresql://…`."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL here: neither initdb and pg_ctl on the PATH nor /usr/lib/postgresql/*/bin")
    run_as = unprivileged()
    # Not below pytest's folders: those are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="populace-postgres-"))
    if run_as:
        os.chown(folder, run_as["user"], run_as["group"])
    port = free_port()

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        with (folder / f"{program}.log").open("ab") as log:
            result = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, cwd=folder, timeout=60, **run_as
            )
        if result.returncode:
            logs = "\n".join(path.read_text() for path in folder.glob("*.log"))
            pytest.fail(f"{program} ended with code {result.returncode}:\n{logs[-2000:]}")

    options = f"-p {port} -c listen_addresses={LOOPBACK} -c unix_socket_directories='' -c fsync=off"
    try:
        run("initdb", "-U", "populace", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        run("pg_ctl", "-w", "-o", options, "-l", str(folder / "server.log"), "start")
        try:
            yield f"postgresql://populace@{LOOPBACK}:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse, of both kinds one after the other."""
    if request.param == "sqlite":
        yield Warehouse(f"sqlite://{tmp_path}/warehouse.db")
        return
    yield from database(Warehouse(request.getfixturevalue("postgres_url")))


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Warehouse]:
    """An empty warehouse in PostgreSQL."""
    yield from database(Warehouse(postgres_url))


# --- S3 ------------------------------------------------------------------------------------------------------------


class Bucket(NamedTuple):
    """Where a test may write: `s3://<bucket>/…` at `endpoint`. Credentials are in the environment."""

    endpoint: str
    bucket: str


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`S3_ENDPOINT_URL` where it is set, else a moto server, which enforces conditional writes."""
    if endpoint := os.environ.get("S3_ENDPOINT_URL"):
        yield endpoint
        return
    port, log = free_port(), tmp_path_factory.mktemp("moto") / "server.log"
    endpoint = f"http://{LOOPBACK}:{port}"
    with running([sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)], log, dict(os.environ)) as moto:
        wait_for_server(moto, f"{endpoint}/moto-api/", log, 60)
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A fresh bucket, emptied and removed after the test."""
    if not os.environ.get("S3_ENDPOINT_URL"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
    region = os.environ.get("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)  # boto3 reads this one, polars the other
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name=region)
    bucket = f"populace-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    yield Bucket(s3_endpoint, bucket)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=found["Key"])
    client.delete_bucket(Bucket=bucket)


# --- Prefect -------------------------------------------------------------------------------------------------------

POOL = "populace"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class PrefectServer:
    """A Prefect server of our own: its API, and the environment that points programs at it."""

    api_url: str
    environment: dict[str, str] = field(repr=False)  # may hold credentials of the caller
    folder: Path

    def call(self, method: str, path: str, content: Any = None) -> Any:
        """The answer of the API; a refusal fails the test with the server's words.

        A server that is too busy says 503, or nothing in time, and is asked again, as Prefect's own client does.
        """
        for _ in range(5):
            answer = self._ask(method, path, content)
            if answer.status_code not in {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.REQUEST_TIMEOUT}:
                break
            time.sleep(2)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def _ask(self, method: str, path: str, content: Any) -> httpx.Response:
        """One answer; 408 for a question that was not answered in time and does no harm if asked twice."""
        try:
            return httpx.request(method, f"{self.api_url}{path}", json=content, timeout=30, trust_env=False)
        except httpx.ReadTimeout:
            if method != "GET":
                raise
            return httpx.Response(httpx.codes.REQUEST_TIMEOUT)

    def command(self, *arguments: str) -> str:
        """Run `prefect …` as a person would, from the root of the repository."""
        result = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert result.returncode == 0, f"prefect {' '.join(arguments)}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def start(self, deployment_id: str, parameters: dict[str, Any]) -> str:
        """Ask for a run of a deployment; the run's id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return self.call("POST", f"/deployments/{deployment_id}/create_flow_run", body)["id"]

    def finish(self, flow_run_id: str, seconds: float) -> dict[str, Any]:
        """The state that a run ends in."""

        def state() -> dict[str, Any] | None:
            found = self.call("GET", f"/flow_runs/{flow_run_id}")["state"]
            return found if found["type"] in FINAL else None

        return wait_until(state, seconds, f"flow run {flow_run_id} ends")

    def logs(self, flow_run_id: str) -> str:
        wanted = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(line["message"] for line in self.call("POST", "/logs/filter", wanted))


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server on SQLite with all its services, so that schedules become runs."""
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    api_url = f"http://{LOOPBACK}:{port}/api"
    environment = {key: value for key, value in os.environ.items() if not re.match("PREFECT_|POPULACE_", key)} | {
        "DO_NOT_TRACK": "1",
        "NO_PROXY": LOOPBACK,
        "POPULACE_HOME": str(ROOT),
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port)]
    log = folder / "server.log"
    with running(command, log, environment) as process:
        wait_for_server(process, f"{api_url}/health", log, 180)
        yield PrefectServer(api_url, environment, folder)


@pytest.fixture(scope="session")
def deployments(prefect_server: PrefectServer) -> dict[str, str]:
    """The deployments of prefect.yaml, registered as `make deploy` does it: name → id."""
    prefect_server.command("work-pool", "create", POOL, "--type", "process")
    prefect_server.command("--no-prompt", "deploy", "--all")
    return {each["name"]: each["id"] for each in prefect_server.call("POST", "/deployments/filter", {})}


@pytest.fixture(scope="session")
def prefect_worker(prefect_server: PrefectServer, deployments: dict[str, str]) -> Iterator[Path]:
    """A process worker on the pool of prefect.yaml; gives the path of its log, for messages."""
    assert deployments
    log = prefect_server.folder / "worker.log"
    environment = prefect_server.environment | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    with running(command, log, environment) as process:

        def is_online() -> bool:
            if process.poll() is not None:
                pytest.fail(f"the worker ended with code {process.returncode}:\n{log.read_text()[-2000:]}")
            workers = prefect_server.call("POST", f"/work_pools/{POOL}/workers/filter", {})
            return any(worker["status"] == "ONLINE" for worker in workers)

        wait_until(is_online, 90, f"the worker is online; its log: {log}")
        yield log

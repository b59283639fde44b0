"""Ctrl-C in a terminal: everything in its process group gets it, Prefect's own server included."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.companies import AS_OF, POPULACE, ROOT, Company, end_session, environment, local_archive

DAY = f"{AS_OF:%Y-%m-%d}"
SERVERS = "prefect.server.api.server:create_app"


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> str:
    return local_archive(tmp_path_factory.mktemp("archive"))


def started(company: Company) -> subprocess.Popen[str]:
    arguments = ["recompute", "dev", "--as-of", DAY, "--no-sync", "--definitions", str(company.definitions)]
    home = {"PREFECT_HOME": str(company.folder / "prefect")}
    return subprocess.Popen(
        [sys.executable, "-c", POPULACE, *arguments], cwd=ROOT, env=environment(company.environment, home), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def in_session(leader: int) -> list[int]:
    """The processes of a session that are still there."""
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(leader)], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


DEAF = """
import os, signal, subprocess
from prefect.server.api.server import SubprocessASGIServer
from tasks import starting

SubprocessASGIServer().server_process = subprocess.Popen(["sh", "-c", "trap '' TERM INT; exec sleep 100"])
while b"sleep" not in open(f"/proc/{SubprocessASGIServer().server_process.pid}/cmdline", "rb").read()[:5]:
    pass
with starting._ending_at_once():
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
"""


@pytest.mark.faults
def test_a_server_that_does_not_hear_is_ended_too():
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF], cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        _, said = process.communicate(timeout=50)  # as long as anybody has the other end of the pipe
        assert (process.returncode, said) == (130, "\ninterrupted; start it again to go on from here\n")
    finally:
        end_session(process)


@pytest.mark.faults
@pytest.mark.slow
def test_ctrl_c_ends_at_once_and_leaves_nothing_behind(archive, tmp_path):
    company = Company(tmp_path / "company", archive)
    process = started(company)
    try:
        deadline = time.monotonic() + 150
        while not list(company.lake.glob("replay/web/*.json")) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "interrupted; start it again to go on from here" in said
        assert "Traceback" not in said
        deadline = time.monotonic() + 20
        while in_session(process.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert in_session(process.pid) == []
    finally:
        end_session(process)
    assert company.recompute() == Company(tmp_path / "other", archive).recompute()

"""Companies for tests: the demo's last days in an archive, its definitions, and terminals to type commands at."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.events import objects
from populace.definitions import Storage
from populace.lake.objects import Store, open_store, write_table
from populace.space import OpenSpace, open_space
from tests import driving

ROOT = Path(__file__).resolve().parents[1]
AS_OF = datetime(2026, 9, 1, tzinfo=UTC)
FIRST_DAY = "2026/08/21"
EVENTS = 15_000  # of sixty days; about 3,000 fall into the twelve that are kept


def write_archive(store: Store) -> int:
    """The last twelve days of the demo's archive, 36 objects of three sources; returns how many rows."""
    kept = [each for each in objects(AS_OF, events=EVENTS) if each.key.partition("/")[2] >= FIRST_DAY]
    for each in kept:
        write_table(store, each.key, each.frame)
    return sum(each.frame.height for each in kept)


def local_archive(folder: Path) -> str:
    """The archive in a new folder; gives its URI."""
    store = open_store(folder.as_uri(), Storage())
    write_archive(store)
    return folder.as_uri()


@dataclass
class Company:
    """A folder with the demo's definitions of `dev`, a lake and an SQLite warehouse, over an archive anywhere."""

    folder: Path
    archive: str
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shutil.copytree(ROOT / "definitions" / "dev", self.definitions / "dev", dirs_exist_ok=True)

    @property
    def definitions(self) -> Path:
        return self.folder / "definitions"

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    @property
    def environment(self) -> dict[str, str]:
        """What the definitions read from the environment."""
        places = {"POPULACE_ARCHIVE": self.archive, "POPULACE_LAKE": self.lake.as_uri()}
        return places | {"DEMO_WAREHOUSE": f"sqlite:{self.folder / 'warehouse.db'}"} | self.more

    def open(self) -> OpenSpace:
        return open_space("dev", self.definitions, self.environment)

    def recompute(self, as_of: datetime = AS_OF) -> str:
        """Replay, compute and publish without Prefect, and send nothing; the run's id."""
        return driving.recomputed(self.open(), as_of)

    def bytes(self, below: str = "runs") -> dict[str, bytes]:
        """Everything under a folder of the lake but unfinished files, by path."""
        files = [each for each in (self.lake / below).rglob("*") if each.is_file() and not each.name.startswith(".")]
        return {each.relative_to(self.lake).as_posix(): each.read_bytes() for each in sorted(files)}

    def copy(self, folder: Path) -> "Company":
        """The same in another folder, the archive still shared."""
        shutil.copytree(self.folder, folder)
        return Company(folder, self.archive, dict(self.more))


# --- terminals -----------------------------------------------------------------------------------------------------

POPULACE = "from populace.cli import main; main(prog_name='populace')"
OURS = re.compile("PREFECT_|POPULACE_|DEMO_|PYTHONDONTWRITEBYTECODE")


def environment(*more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings of Prefect and ours, and what is added to it."""
    clean = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    clean |= {"PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1", "NO_PROXY": "127.0.0.1", "COLUMNS": "200"}
    clean |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180"}
    return clean | {name: value for each in more for name, value in each.items()}


@dataclass(frozen=True)
class Answer:
    """What a command printed on both channels, and the code it ended with."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as NDJSON; anything else there fails."""
        return [json.loads(line) for line in self.out.splitlines()]


def populace(*arguments: str, among: Mapping[str, str], cwd: Path = ROOT, seconds: float = 180) -> Answer:
    """Run `populace …` as a process of its own."""
    command = [sys.executable, "-c", POPULACE, *arguments]
    ended = subprocess.run(
        command, cwd=cwd, env=dict(among), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
        check=False,
    )  # fmt: skip
    return Answer(ended.returncode, ended.stdout, ended.stderr)


class Terminal:
    """One process in which many commands are typed, so that Prefect starts once for all of them.

    Their output is caught below Python, at the file descriptors, so nothing that a library prints escapes.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def type(self, *arguments: str, company: Company | None = None, **more: str) -> Answer:
        """Run `populace …`; in a company's space the definitions are found."""
        if company:
            arguments = (*arguments, "--definitions", str(company.definitions))
        request = {"arguments": arguments, "environment": (company.environment if company else {}) | more}
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the terminal ended with code {self.process.wait()} at {arguments}"
        return Answer(**json.loads(line))


@contextlib.contextmanager
def terminal(among: Mapping[str, str]) -> Iterator[Terminal]:
    """A terminal, ended afterwards with whatever it started."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), "serve"], cwd=ROOT, env=dict(among), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield Terminal(process)
    finally:
        assert process.stdin
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        end_session(process)


def end_session(process: subprocess.Popen) -> None:
    """Kill a process that leads a session of its own, and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _serve() -> None:
    """Read requests and write answers on the pipes that the process was started with."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    base = dict(os.environ)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in requests:
        request = json.loads(line)
        os.environ.clear()
        os.environ.update(base | request["environment"])
        answers.write(json.dumps(_caught(request["arguments"])) + "\n")
        answers.flush()


def _caught(arguments: list[str]) -> dict[str, Any]:
    from populace.cli import main

    with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        code: Any = 0
        try:
            main(arguments, prog_name="populace")
        except SystemExit as ending:
            code = ending.code or 0
        except BaseException:  # as the interpreter does for a process of its own
            sys.excepthook(*sys.exc_info())
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        caught = [(each.seek(0), each.read().decode())[1] for each in (out, err)]
    return {"code": code, "out": caught[0], "err": caught[1]}


if __name__ == "__main__":
    _serve()

"""`recompute` killed with SIGKILL at any moment, and run again, ends in the bytes of an undisturbed run."""

import io
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable

import polars as pl
import pytest

from demo.vendors.webhook import SECRET, Receiver, receiving
from tests.companies import AS_OF, POPULACE, ROOT, Company, end_session, environment, local_archive, populace
from tests.faults import chain

pytestmark = pytest.mark.faults

SEED = 20_260_901

# While the archive is replayed; these start with an empty lake.
EARLY = {
    "during the survey": "amid replay/server.objects.parquet",
    "before a source is marked": "after replay/web.objects.parquet",
    "while sources are marked": "before replay/split.json",
    "before the parts": "after replay/split.json",
    "in the middle of a part": "after events/~page-~viewed/web-*.parquet",
    "in an object of a part": "amid copies/server-*.parquet",
    "between a part and its entry": "before replay/server/*.json",
    "between an entry and the index": "after replay/split/*.json",
    "in the index": "amid replay/@messages/*.npy",
    "between the index and its arrays": "before replay/@messages.json",
    "before the summaries": "before replay/web.pieces.parquet",
    "between the summaries": "amid replay/split.pieces.parquet",
}
# Afterwards; these start with the lake as a replay leaves it.
LATE = {
    "during identity": "after runs/*/sightings.parquet",
    "between identity and traits": "before runs/*/values.parquet",
    "between traits and audiences": "after runs/*/traits.parquet",
    "in the manifest": "amid runs/*/manifest.json",
    "between manifest and pointer": "before runs/published/*",
    "between pointer and current.json": "before runs/current.json",
    "before anything is sent": "after ledger/warehouse/sending.parquet",
    "after everything was sent": "before ledger/warehouse/waiting.parquet",
    "in the account of what was sent": "amid ledger/warehouse/acknowledged/*",
    "in the second destination": "before ledger/webhook/acknowledged/*",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> str:
    return local_archive(tmp_path_factory.mktemp("archive"))


def killed(company: Company, moment: str) -> bool:
    """Follow the chain to that moment in a process of its own; False where the chain ended before it."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.chain", str(company.definitions), moment], cwd=ROOT,
        env=environment(company.environment), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


def warehouse(company: Company) -> dict[str, list[tuple]]:
    """Every row of every table of the warehouse."""
    with sqlite3.connect(company.folder / "warehouse.db") as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f'SELECT * FROM "{name}"'), key=repr) for name in names}


# Clocks, who sent last, samples of what was on the wire, and a cache.
OF_THE_DAY = ("report.json", "samples.json", "/turns/", "replay/@")


def state(company: Company) -> dict[str, object]:
    """What is promised to be equal: the whole lake, but for clocks and the index of messages, and the warehouse.

    The index is a cache, and says in which order parts came.
    """
    among = company.bytes("").items()
    lake = {path: timeless(path, data) for path, data in among if not any(each in path for each in OF_THE_DAY)}
    return lake | {"warehouse": warehouse(company)}


def timeless(path: str, data: bytes) -> object:
    """What an object says but for the clock: the ledger knows when something was acknowledged."""
    if not path.startswith("ledger/") or not path.endswith(".parquet"):
        return data
    table = pl.read_parquet(io.BytesIO(data))
    return sorted(table.drop("at", "since", strict=False).rows(), key=repr)


def assert_equal(company: Company, expected: dict[str, object]) -> None:
    found = state(company)
    assert found.keys() == expected.keys()
    assert [path for path in expected if found[path] != expected[path]] == []


@pytest.fixture(scope="module")
def undisturbed(archive, tmp_path_factory):
    """A company whose chain was never disturbed, with the lake as it was after the replay, and what was heard."""
    company = Company(tmp_path_factory.mktemp("undisturbed"), archive)
    replayed = Company(tmp_path_factory.mktemp("replayed"), archive)
    chain.driving.replay_all(replayed.open(), AS_OF)
    with receiving() as heard:
        company.more = hearing(heard)
        chain.follow(company.open(), environ=company.environment)
    return company, replayed, heard


def hearing(heard: Receiver) -> dict[str, str]:
    return {"DEMO_WEBHOOK": "true", "DEMO_WEBHOOK_URL": heard.url, "DEMO_WEBHOOK_SECRET": SECRET}


def assert_recovers(company: Company, moments: list[str], undisturbed) -> int:
    """Kill at each of the moments in turn, follow the chain to its end, compare; how often it was killed."""
    original, _, heard_there = undisturbed
    with receiving() as heard:
        company.more = hearing(heard)
        times = sum(killed(company, moment) for moment in moments)
        chain.follow(company.open(), environ=company.environment)
    assert_equal(company, state(original))
    assert heard.held == heard_there.held
    return times


@pytest.mark.parametrize("moment", EARLY.values(), ids=EARLY)
def test_killed_during_the_replay(moment, undisturbed, archive, tmp_path):
    assert assert_recovers(Company(tmp_path / "shop", archive), [moment], undisturbed) == 1


@pytest.mark.parametrize("moment", LATE.values(), ids=LATE)
def test_killed_while_a_run_is_made_or_sent(moment, undisturbed, tmp_path):
    _, replayed, _ = undisturbed
    assert assert_recovers(replayed.copy(tmp_path / "shop"), [moment], undisturbed) == 1


def test_killed_again_and_again(undisturbed, archive, tmp_path):
    """Each attempt dies in a random one of about 260 moments."""
    draw = random.Random(SEED)
    moments = [str(draw.randint(1, 120)) for _ in range(5)]
    assert assert_recovers(Company(tmp_path / "shop", archive), moments, undisturbed) >= 4


def test_run_again_after_success(undisturbed, archive, tmp_path):
    """It reads no object, changes no byte, sends nothing."""
    original, _, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in original.lake.rglob("*") if path.is_file()}
    content = state(original)
    with receiving() as heard:
        original.more = hearing(heard)
        accounts = chain.follow(original.open(), environ=original.environment)
    assert heard.requests == []
    assert [each["delivered"] for each in accounts if each["status"] != "disabled"] == [0, 0]
    assert_equal(original, content)
    written = {
        path.relative_to(original.lake).as_posix()
        for path in original.lake.rglob("*")
        if path.is_file() and before.get(path) != path.stat().st_mtime_ns
    }
    assert not [path for path in written if path.startswith(("events/", "sightings/", "identifiers/", "copies/"))]
    assert not [path for path in written if path.endswith((".parquet", "manifest.json")) and path.startswith("runs/")]


# --- the command itself --------------------------------------------------------------------------------------------


def there_is(company: Company, pattern: str, count: int = 1) -> Callable[[], bool]:
    return lambda: sum(1 for _ in company.lake.glob(pattern)) >= count


@pytest.mark.slow
def test_the_command_killed_twice(undisturbed, archive, tmp_path):
    """`populace recompute --as-of T` under Prefect, with nothing but a clock to say when it dies."""
    original, _, heard_there = undisturbed
    company = Company(tmp_path / "shop", archive)
    moments = [
        there_is(company, "replay/*/*.json", 2),
        there_is(company, "ledger/warehouse/*.parquet"),
    ]
    arguments = ["recompute", "dev", "--as-of", f"{AS_OF:%Y-%m-%d}", "--json"]
    arguments += ["--definitions", str(company.definitions)]
    with receiving() as heard:
        company.more = hearing(heard)
        among = environment(company.environment, {"PREFECT_HOME": str(tmp_path / "prefect")})
        for is_time in moments:
            process = subprocess.Popen(
                [sys.executable, "-c", POPULACE, *arguments], cwd=ROOT, env=among, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            try:
                while not is_time() and process.poll() is None:
                    time.sleep(0.005)
                os.kill(process.pid, signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL, process.stderr.read()
            finally:
                end_session(process)  # the server that Prefect had started with it
        done = populace(*arguments, among=among)
    assert (done.code, done.err) == (0, "")
    assert_equal(company, state(original))
    assert heard.held == heard_there.held

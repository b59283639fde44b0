"""A replay that stops before any of its writes, and is started again, ends in what an undisturbed one publishes.

Not a process is killed here but a store dies, which is so quick that every write can be tried: of a replay in which
objects came, changed and vanished, copies of messages with them, and small parts are made again as one.
`POPULACE_EXAMPLES=500` tries them all.
"""

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from populace.errors import LakeError
from populace.lake import ledger
from populace.lake.objects import LocalStore
from populace.space import archive, reading
from tests import driving
from tests.slicing import NOON, called
from tests.tables import AS_OF

pytestmark = pytest.mark.faults

SOURCES = ("app", "web")
TRAITS = {"copy": "event('E').last(property('copy'))", "events": "event('E').count()"}
TABLES = ("profiles", "external_ids", "traits", "custom_traits", "sightings")
TRIES = int(os.environ.get("POPULACE_EXAMPLES", "25"))
DAY = timedelta(days=1)


class Stopped(BaseException):
    """The store is gone."""


class Dying(LocalStore):
    """A lake that dies before a write or removal of that number, and stays dead."""

    def __init__(self, folder, at):
        super().__init__(folder, LakeError)
        self.left = at

    def delete(self, path):
        self._count()
        super().delete(path)

    @contextmanager
    def _draft(self, path, data):
        self._count()
        with super()._draft(path, data) as draft:
            yield draft

    def _count(self):
        self.left -= 1
        if self.left < 0:
            raise Stopped


def copy(message, name, received_at=NOON, **more):
    return {"message_id": message, "received_at": received_at, "properties": json.dumps({"copy": name})} | more


def open_space(folder):
    return driving.space_in(folder, sources=SOURCES, traits=TRAITS)


def put(folder, source, name, *calls):
    driving.put(open_space(folder), source, name, called(*calls))


@pytest.fixture(scope="module")
def patched():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def changed(tmp_path_factory, patched):
    """A lake as several replays left it, and an archive that has changed since in every way.

    Parts have at most 60 rows; once the archive has changed, three small ones are many.
    """
    patched.setattr(reading, "MOST_ROWS", 60)
    folder = tmp_path_factory.mktemp("changed")
    for day in range(4):
        at = NOON + day * DAY
        put(folder, "web", f"{day}", *(copy(f"w{day}.{n}", f"{day}.{n}", at, user_id=f"u{n}") for n in range(6)))
        put(folder, "app", f"{day}", copy(f"w{day}.1", "app", at - DAY / 2), copy(f"a{day}", f"app {day}", at))
        driving.replay_all(open_space(folder), AS_OF)
    put(folder, "web", "large", *(copy(f"l{n}", "large", NOON + 5 * DAY, user_id=f"u{n % 9}") for n in range(70)))
    put(folder, "web", "new", copy("w2.0", "earlier", NOON), copy("a1", "earlier", NOON), copy("n", "new", NOON))
    put(folder, "web", "1", *(copy(f"w1.{n}", f"again {n}", NOON + DAY, user_id=f"u{n}") for n in range(1, 6)))
    put(folder, "app", "again", copy("l3", "earlier", NOON + 4 * DAY), copy("w3.0", "later", NOON + 9 * DAY))
    (folder / "archive/app/0.parquet").unlink()
    patched.setattr(archive, "TOGETHER", 3)
    assert all(each.stale and each.outgrown and each.todo for each in surveys(folder))
    return folder


def surveys(folder):
    """What is due of each source; a look at the archive is remembered in the lake, so a copy of it is asked."""
    with tempfile.TemporaryDirectory() as beside:
        shutil.copytree(folder, beside, dirs_exist_ok=True)
        space = open_space(Path(beside))
        for source in space.definition.sources:
            archive.look(space, source)
            yield driving.survey(space, source, AS_OF)


def published(folder):
    """What a run says, and how many rows are what."""
    space = open_space(folder)
    summaries = driving.replay_all(space, AS_OF)
    run_id = driving.run(space, AS_OF)
    tables = {name: driving.table(space, run_id, name).rows() for name in TABLES}
    return tables | {
        "run": run_id,
        "rows": {name: found["rows"] for name, found in summaries.items()},
        "days": {name: found["days"] for name, found in summaries.items()},
    }


def stopped(folder, at):
    """Whether a replay stopped there; it did not where it had no more writes."""
    space = open_space(folder)
    try:
        driving.replay_all(replace(space, lake=Dying(str(folder / "lake"), at)), AS_OF)
    except Stopped:
        return True
    return False


def attempt(changed, folder, *moments):
    shutil.copytree(changed, folder)
    try:
        for moment in moments:
            stopped(folder, moment)
        return published(folder), leftovers(folder)
    finally:
        shutil.rmtree(folder)


def leftovers(folder):
    """Objects of the lake that no part has."""
    lake = open_space(folder).lake
    parts = [part for source in SOURCES for part in ledger.entries(lake, source).values()]
    known = {output["path"] for part in parts for output in part["outputs"]}
    beside = ("replay/", "runs/")
    return {each.path for each in lake.list() if not each.path.startswith(beside)} - known


@pytest.fixture(scope="module")
def expected(changed, tmp_path_factory):
    """What an undisturbed replay publishes, and how many writes it has."""
    found, left = attempt(changed, tmp_path_factory.mktemp("undisturbed") / "lake")
    assert left == set()
    writes = next(at for at in range(20, 2_000, 20) if not tried(changed, tmp_path_factory, at))
    return found, writes


def tried(changed, tmp_path_factory, at):
    folder = tmp_path_factory.mktemp("counting") / "lake"
    shutil.copytree(changed, folder)
    return stopped(folder, at)


@pytest.mark.slow
def test_stopped_before_any_write(changed, expected, tmp_path):
    everything, writes = expected
    moments = range(0, writes, max(1, writes // TRIES))
    wrong = {at for at in moments if attempt(changed, tmp_path / "lake", at) != (everything, set())}
    assert wrong == set()


@pytest.mark.parametrize("at", [5, 25, 60, 65, 70])
def test_nothing_is_left_over_where_the_archive_changes_after_a_stop(changed, tmp_path, at):
    folder = tmp_path / "lake"
    shutil.copytree(changed, folder)
    assert stopped(folder, at)
    (folder / "archive/web/large.parquet").unlink()
    put(folder, "web", "more", copy("zz", "zz"))
    put(folder, "app", "2", copy("a2", "changed"))
    published(folder)
    assert leftovers(folder) == set()


def test_stopped_again_and_again(changed, expected, tmp_path):
    everything, writes = expected
    for step in (5, 17):
        assert attempt(changed, tmp_path / "lake", *range(3, writes, step)) == (everything, set())

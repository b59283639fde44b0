"""How much memory a plan takes: one computation after the other, not all of them at once."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from populace.lake import runs
from populace.lake.delivery import Ledger
from tests.deliveries import open_space
from tests.unit.test_due import CRM, PLAN

PEOPLE = 200_000
KEYS = [f"t{each}" for each in range(10)]
MOST = 200_000_000  # bytes; all frames at once take more than 250 million
PLANNED = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from populace.lake.delivery import Ledger
from populace.space import due
from tests.deliveries import open_space
from tests.unit.test_due import CRM
space = open_space(Path(sys.argv[1]), CRM, *sys.argv[2:])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
books = due.opened(Ledger(space.lake, "crm"), datetime.now(UTC))
work = due.plan(space, CRM, books, due.origin(space, CRM, books.ledger))
print(work.desired, work.due.height, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of two million values, of which a hundredth has changed since they were acknowledged."""
    space = open_space(tmp_path, CRM, *KEYS)
    number = pl.int_range(PEOPLE)
    people = pl.select(profile_id=pl.format("use_{}", number), id_value=pl.format("person-{}", number))
    values = {key: pl.format("value {}", number % 1_000) for key in KEYS}
    at = datetime(2024, 3, 1, tzinfo=UTC)
    common = {"id_type": pl.lit("user_id"), "added_at": pl.lit(at), "message_id": pl.lit("m")}
    runs.write(space.lake, "run-1", "traits", people.select("profile_id", **values))
    runs.write(space.lake, "run-1", "external_ids", people.with_columns(collection=pl.lit("users"), **common))
    none = pl.DataFrame(schema={"audience": pl.String, "profile_id": pl.String})
    runs.write(space.lake, "run-1", "memberships", none)
    runs.publish(space.lake, "run-1", "2024-03-01T00:00:00Z")
    told = pl.when(number % 100 == 0).then(pl.lit('"another"')).otherwise(pl.format('"value {}"', number % 1_000))
    held = people.select("profile_id", pl.lit("user_id").alias("id_type"), "id_value", value=told, at=pl.lit(at))
    for key in KEYS:
        Ledger(space.lake, "crm").keep(PLAN._replace(key=key), held)
    return tmp_path


def test_a_plan_of_two_million_values_holds_one_computation_at_a_time(folder):
    command = [sys.executable, "-c", PLANNED, str(folder), *KEYS]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    desired, due, size = map(int, told.split())
    assert (desired, due) == (PEOPLE * len(KEYS), PEOPLE * len(KEYS) // 100)
    assert size < MOST

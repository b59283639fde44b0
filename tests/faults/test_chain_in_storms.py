"""Replay and recompute through a network that fails: it completes, and every object has the bytes of a calm run."""

from dataclasses import replace
from pathlib import Path

import pytest

from populace.definitions import Storage
from populace.lake.objects import Store, open_store
from tests import driving
from tests.companies import AS_OF, Company, write_archive
from tests.faults.storms import Plan, storm
from tests.integration import conftest as servers

pytestmark = [pytest.mark.faults, pytest.mark.slow]

s3_endpoint, s3 = servers.s3_endpoint, servers.s3

# Errors 5 %, cut answers 1 %, stalls; connections that end before or after the store has heard the request.
PLAN = Plan(error=0.04, slow_down=0.01, cut=0.01, stall=0.01, reset=0.005, lost=0.005, seed=20_260_901)
STALL = 0.1  # seconds; a run with the whole 2 takes a minute longer and says no more


def computed(folder: Path, s3, endpoint: str, lake: str) -> tuple[str, Store]:
    """The run and the lake of a company that reads and writes by that endpoint."""
    company = Company(folder, f"s3://{s3.bucket}/archive")
    company.more = {"POPULACE_LAKE": f"s3://{s3.bucket}/{lake}", "POPULACE_S3_ENDPOINT": endpoint}
    return driving.recomputed(company.open(), AS_OF), open_store(f"s3://{s3.bucket}/{lake}", Storage(s3.endpoint))


def test_a_storm_changes_no_byte(s3, tmp_path):
    write_archive(open_store(f"s3://{s3.bucket}/archive", Storage(s3.endpoint)))
    run_id, calm = computed(tmp_path / "calm", s3, s3.endpoint, "calm")
    with storm(s3.endpoint, replace(PLAN, seconds=STALL)) as weather:
        again, stormy = computed(tmp_path / "stormy", s3, weather.url, "stormy")
    assert again == run_id
    assert weather.done.keys() == {"", "error", "slow_down", "cut", "stall", "reset", "lost"}
    listed = [each.path for each in calm.list()]
    assert [each.path for each in stormy.list()] == listed
    assert [path for path in listed if stormy.read(path) != calm.read(path)] == []

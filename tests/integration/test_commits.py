"""The documented example on real events: who wrote and who landed the commits of SciPy (examples/commits).

What the engine makes of them is compared with the obvious, computed here from the Parquet files alone.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from benchmarks import pairwise
from populace.space import OpenSpace, open_space
from tests import driving
from tests.generative.identity_oracle import Config, Happening, Oracle

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "scipy-commits"
AS_OF = datetime(2026, 8, 23, tzinfo=UTC)

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the events of this example are not here: {DATA}"),
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # a thousand slices, on a machine that may be busy
]

Identifier = tuple[str, str]


@pytest.fixture(scope="session")
def space(tmp_path_factory: pytest.TempPathFactory) -> OpenSpace:
    environ = {
        "COMMITS_ARCHIVE": (DATA / "events").as_uri(),
        "COMMITS_LAKE": (tmp_path_factory.mktemp("commits") / "lake").as_uri(),
    }
    return open_space("commits", ROOT / "examples" / "commits" / "definitions", environ)


@pytest.fixture(scope="session")
def summary(space: OpenSpace) -> dict:
    """The one replay of the session."""
    return driving.replay_all(space, AS_OF)["commits"]


@pytest.fixture(scope="session")
def run_id(space: OpenSpace, summary: dict) -> str:
    assert summary["status"] == "complete"
    return driving.run(space, AS_OF)


@pytest.fixture(scope="session")
def external_ids(space: OpenSpace, run_id: str) -> pl.DataFrame:
    return driving.table(space, run_id, "external_ids")


# --- the obvious: dictionaries and loops over what the files hold -------------------------------------------------


@pytest.fixture(scope="session")
def calls() -> list[dict]:
    """Every event as it stands in the files, in event order."""
    rows = pl.read_parquet(DATA / "events" / "**" / "*.parquet").to_dicts()
    return sorted(rows, key=lambda row: (row["timestamp"], row["received_at"], row["message_id"]))


def carried(call: dict) -> Iterator[Identifier]:
    context = json.loads(call["context"])
    yield "anonymous_id", call["anonymous_id"]
    yield "email", context["traits"]["email"]
    yield from ((each["type"], each["id"]) for each in context["externalIds"])


@pytest.fixture(scope="session")
def oracle(calls: list[dict]) -> Oracle:
    """The sequential rule over all calls, one after the other, by the rules of this example."""
    limits = {"email": (1, "ever"), "anonymous_id": (5, "ever"), "author_name": (5, "ever")}
    happened = [
        Happening(
            _micros(call["timestamp"]), _micros(call["received_at"]), call["message_id"], frozenset(carried(call))
        )
        for call in calls
    ]
    return Oracle(Config(["email", "anonymous_id", "author_name"], limits), happened)


def _micros(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.fixture(scope="session")
def people(calls: list[dict], oracle: Oracle) -> dict[Identifier, frozenset[Identifier]]:
    """For each identifier all that its profile holds."""
    groups: dict[Identifier, set[Identifier]] = defaultdict(set)
    for profile, identifier, *_ in oracle.mapped_rows():
        groups[profile].add(identifier)
    return {identifier: frozenset(group) for group in groups.values() for identifier in group}


@pytest.fixture(scope="session")
def tracked(calls: list[dict], people: dict, oracle: Oracle) -> dict[str, dict[frozenset, list[dict]]]:
    """Track calls by name and person, each with its properties, in event order."""
    found: dict[str, dict[frozenset, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        if call["type"] == "track":
            person = people[min(carried(call), key=oracle.rank)]
            found[call["event"]][person].append(json.loads(call["properties"]) | {"at": call["timestamp"]})
    return found


def by_person(external_ids: pl.DataFrame) -> dict[str, frozenset[Identifier]]:
    """What each profile of the run holds, in the terms of `people`."""
    held = defaultdict(set)
    for row in external_ids.iter_rows(named=True):
        held[row["profile_id"]].add((row["id_type"], row["id_value"]))
    return {profile_id: frozenset(identifiers) for profile_id, identifiers in held.items()}


# --- what must be so ------------------------------------------------------------------------------------------------


def test_every_event_is_read_and_kept(summary):
    assert summary["rows"] == {"read": 18_852, "kept": 18_852, "duplicate": 0, "rejected": 0}
    assert (len(summary["slices"]), min(summary["slices"]), max(summary["slices"])) == (
        1072,
        "2021-08-08",
        "2026-08-22",
    )


def test_profiles_are_what_the_sequential_rule_makes_of_the_calls(external_ids, people):
    assert sorted(map(sorted, by_person(external_ids).values())) == sorted(map(sorted, set(people.values())))


def test_traits_are_what_a_loop_over_the_events_finds(space, run_id, external_ids, tracked):
    persons = by_person(external_ids)
    table = driving.table(space, run_id, "traits")
    authored, landed = tracked["Commit Authored"], tracked["Commit Landed"]

    kinds = table.drop_nulls("last_kind").select("profile_id", "last_kind").iter_rows()
    assert {persons[each]: kind for each, kind in kinds} == {who: all_[-1]["kind"] for who, all_ in authored.items()}

    counts = table.drop_nulls("landed").select("profile_id", "landed").iter_rows()
    plain = {who: sum(not each["is_merge"] for each in all_) for who, all_ in landed.items()}
    assert {persons[each]: count for each, count in counts} == {who: count for who, count in plain.items() if count}


def test_audiences_are_what_a_loop_over_the_events_finds(space, run_id, external_ids, tracked):
    persons = by_person(external_ids)
    table = driving.table(space, run_id, "memberships")
    members = {
        name: {persons[each] for each in part.get_column("profile_id")}
        for (name,), part in table.partition_by("audience", as_dict=True).items()
    }

    def authored_within(days: int) -> set[frozenset]:
        since = AS_OF - timedelta(days=days)
        found = tracked["Commit Authored"].items()
        return {who for who, all_ in found if any(since <= each["at"] <= AS_OF for each in all_)}

    landed = tracked["Commit Landed"].items()
    regulars = {who for who, all_ in landed if sum(not each["is_merge"] for each in all_) >= 20}
    assert members["active_authors"] == authored_within(30)
    assert members["regulars_gone_quiet"] == regulars - authored_within(90)


def test_identity_agrees_with_the_truth(external_ids, capsys):
    found = pairwise.score(external_ids, pl.read_parquet(DATA / "truth.parquet"))
    profiles = external_ids["profile_id"].n_unique()
    precision = f"precision {found.precision:.4f} ({found.right}/{found.claimed})"
    recall = f"recall {found.recall:.4f} ({found.right}/{found.true})"
    with capsys.disabled():
        print(f"\nscipy-commits: {profiles} profiles, pairwise {precision}, {recall}")
    assert found.missing == 0
    assert found.precision >= 0.99
    assert found.recall >= 0.96

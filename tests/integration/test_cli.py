"""Every command of the command line on the demo's data: what it prints, where, and the code it ends with."""

import compileall
import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from demo import events
from tests.companies import POPULACE, ROOT, Answer, Terminal, environment, populace, terminal

EVENTS = 3_000
AS_OF = datetime(2026, 9, 1, tzinfo=UTC)  # of the demo
DAY = "2026-09-01"
COMMANDS = {
    "demo", "ui", "check", "replay", "recompute", "backfill", "sync", "status", "show", "members", "preview",
    "quarantine", "sources", "identity", "verify", "letters", "pause", "resume",
}  # fmt: skip
LOOKING = [
    ["check", "dev"],
    ["status", "dev"],
    ["members", "dev", "new_users_7_days"],
    ["preview", "dev", "new_users_7_days"],
    ["letters", "dev", "--destination", "warehouse"],
    ["preview", "dev", "--query", "event('Order Completed').count() >= 1"],
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Where the demo runs: a folder with the definitions of `dev`."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "definitions").mkdir()
    (folder / "definitions" / "dev").symlink_to(ROOT / "definitions" / "dev")
    return folder


@pytest.fixture(scope="module")
def shown(place) -> Answer:
    """What `populace demo` says, in a process of its own and without any server."""
    answer = populace("demo", "--events", str(EVENTS), "--json", among=environment(), cwd=place, seconds=280)
    assert answer.code == 0, answer
    return answer


@pytest.fixture(scope="module")
def typing(prefect_server) -> Iterator[Terminal]:
    settings = {name: value for name, value in prefect_server.environment.items() if name.startswith("PREFECT_")}
    with terminal(environment(settings)) as found:
        yield found


@pytest.fixture
def type_(shown, place, typing):
    """Types a command about the demo's space, at the terminal."""
    assert shown.code == 0

    def type_(command: str, *arguments: str) -> Answer:
        return typing.type(command, "dev", *arguments, "--definitions", str(place / "definitions"))

    return type_


def about(rows: list[dict], what: str) -> list[dict]:
    return [row for row in rows if row["about"] == what]


def sizes(answer: Answer) -> dict[str, int]:
    """Audiences and their members, by the manifest."""
    return about(answer.rows, "run")[0]["audiences"]


# --- demo ----------------------------------------------------------------------------------------------------------


def test_the_demo_prints_rows_and_nothing_else(shown):
    assert shown.err == ""
    assert Counter(row["about"] for row in shown.rows) == {"source": 3, "run": 1, "destination": 6, "tool": 5}


def test_the_demo_counts_what_it_wrote(shown):
    truth = events.outcomes(each.counts for each in events.objects(AS_OF, events=EVENTS))
    counted = {row["source"]: row for row in about(shown.rows, "source")}
    for expected in truth.rows(named=True):
        found = counted[expected.pop("source")]
        assert {name: found[name] for name in expected} == expected
        assert sum(found["reasons"].values()) == found["rejected"]


def test_the_demo_finds_who_signed_up(shown, place):
    since = datetime(2026, 8, 25, tzinfo=UTC)
    signed_up = events.sign_ups(AS_OF, events=EVENTS).filter(pl.col("signed_up_at").is_between(since, AS_OF))
    assert sizes(shown)["new_users_7_days"] == signed_up.height
    assert {row["status"] for row in about(shown.rows, "destination")} == {"success"}
    assert (place / "demo-data" / "warehouse.db").exists()


def test_the_tools_of_the_demo_hold_who_signed_up(shown):
    members = sizes(shown)["new_users_7_days"]
    for row in about(shown.rows, "tool"):
        assert row["members"] == members > 0
        assert row["told"]
        assert {row["true_there"], row["on_the_list"]} - {None} == {members}


def test_the_demo_removes_no_folder_that_is_not_its_own(tmp_path):
    (tmp_path / "demo-data").mkdir()
    (tmp_path / "demo-data" / "precious").touch()
    answer = populace("demo", "--json", among=environment(), cwd=tmp_path)
    assert answer.code == 2
    assert "move it away" in answer.err
    assert (tmp_path / "demo-data" / "precious").exists()


# --- looking -------------------------------------------------------------------------------------------------------


def test_help_lists_every_command():
    answer = populace("--help", among=environment())
    assert (answer.code, answer.err) == (0, "")
    listed = answer.out.partition("Commands:")[2].split("\n")
    assert {line.split()[0] for line in listed if line.strip() and line.startswith("  ") and line[2] != " "} == COMMANDS


@pytest.mark.parametrize("arguments", [["stat"], ["status"], ["members", "dev"], ["preview", "dev"], ["--no-such"]])
def test_wrong_usage(arguments, typing):
    answer = typing.type(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Error: " in answer.err


def test_check(type_):
    (row,) = type_("check", "--json").rows
    counts = {"sources": 3, "traits": 6, "families": 1, "sql": 1, "audiences": 6, "destinations": 6}
    assert row == {"space": "dev", "warnings": []} | counts
    told = "3 sources, 6 traits, 1 families, 1 statements of SQL, 6 audiences, 6 destinations"
    assert told in type_("check").out


def test_status(type_, shown):
    answer = type_("status", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert about(answer.rows, "source") == about(shown.rows, "source")
    assert about(answer.rows, "run") == about(shown.rows, "run")
    people = type_("status")
    assert people.code == 0
    assert about(answer.rows, "run")[0]["run_id"] in people.out


def test_members(type_, shown):
    for key, size in sizes(shown).items():
        answer = type_("members", key, "--json")
        assert answer.err == ""
        assert len(answer.rows) == size
        assert {tuple(row) for row in answer.rows} <= {("audience", "profile_id", "entered_at", "identifiers")}
        assert all(row["audience"] == key for row in answer.rows)
        assert all(row["identifiers"].keys() & {"user_id", "email"} for row in answer.rows)
    assert f"{sizes(shown)['new_users_7_days']} members" in type_("members", "new_users_7_days").out


def test_members_in_every_format(type_, tmp_path):
    key = "on_new_algorithm"
    rows = type_("members", key, "--format", "ndjson").rows
    assert rows
    assert type_("members", key, "--json").rows == rows

    table = list(csv.DictReader(io.StringIO(type_("members", key, "--format", "csv").out)))
    assert [row["profile_id"] for row in table] == [row["profile_id"] for row in rows]
    assert [json.loads(row["identifiers"]) for row in table] == [row["identifiers"] for row in rows]

    for form in ("ndjson", "csv", "parquet"):
        answer = type_("members", key, "--format", form, "--output", str(tmp_path / form))
        assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert pl.read_parquet(tmp_path / "parquet")["profile_id"].to_list() == [row["profile_id"] for row in rows]
    assert [json.loads(line) for line in (tmp_path / "ndjson").read_text().splitlines()] == rows
    assert pl.read_csv(tmp_path / "csv").height == len(rows)
    assert type_("members", key, "--format", "parquet").code == 2


def test_members_as_of_a_past_instant(type_, shown):
    now = type_("members", "new_users_7_days", "--json").rows
    assert type_("members", "new_users_7_days", "--as-of", DAY, "--json").rows == now
    assert type_("members", "new_users_7_days", "--as-of", "2026-06-01", "--json").code == 2


def test_preview_of_a_key(type_, shown):
    run = about(shown.rows, "run")[0]
    for key, size in (run["audiences"] | run["traits"]).items():
        (row,) = type_("preview", key, "--json").rows
        assert (key, row["count"]) == (key, size)
        assert len(row["sample"]) == min(size, 5)
        assert row["run_id"] == run["run_id"]
        of_traits_alone = ("on_new_algorithm", "good_customers", "at_quiet_companies")
        assert row.get("scans") or key in of_traits_alone or row["columns"] == {"profile_id": "String", key: "Int64"}


def test_preview_of_a_query(type_, shown):
    run = about(shown.rows, "run")[0]
    signed_up = "event('User Signed Up').within(7 days).count() >= 1"
    (row,) = type_("preview", "--query", signed_up, "--json").rows
    assert row["count"] == run["audiences"]["new_users_7_days"]
    (row,) = type_("preview", "--query", "event('Order Completed').sum(property('revenue'))", "--json").rows
    assert row["count"] == run["traits"]["revenue"]
    (row,) = type_("preview", "--query", "trait('revenue') > 0 AND event('Nothing').count() = 0", "--json").rows
    assert 0 < row["count"] <= run["traits"]["revenue"]
    assert "profiles in run" in type_("preview", "--query", signed_up).out
    wrong = type_("preview", "--query", "event('User Signed Up'.count()")
    assert (wrong.code, wrong.out) == (2, "")
    assert "line 1, column" in wrong.err


def test_show(type_):
    (row, *_) = type_("members", "new_users_7_days", "--json").rows
    for id_type, values in row["identifiers"].items():
        (found,) = type_("show", f"{id_type}:{values[0]}", "--json").rows
        assert found["profile_id"] == row["profile_id"]
    assert found["audiences"]["new_users_7_days"] == row["entered_at"]
    assert [each["timestamp"] for each in found["events"]] == sorted(
        (each["timestamp"] for each in found["events"]), reverse=True
    )
    (same,) = type_("show", f"profile_id:{row['profile_id']}", "--json").rows
    assert same == found
    if emails := row["identifiers"].get("email"):
        (same,) = type_("show", f"email: {emails[0].upper()} ", "--json").rows
        assert same == found
    assert row["profile_id"] in type_("show", f"profile_id:{row['profile_id']}").out
    assert type_("show", "nobody").code == 2


# --- running -------------------------------------------------------------------------------------------------------


def test_replay_reads_nothing_twice(type_, shown, place):
    files = {path: path.stat().st_mtime_ns for path in (place / "demo-data" / "lake" / "events").rglob("*.parquet")}
    answer = type_("replay", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.rows == about(shown.rows, "source")
    assert type_("replay", "--source", "web", "--since", "2026-08-01", "--until", "2026-08-02", "--json").code == 0
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_recompute_again(type_, shown):
    answer = type_("recompute", "--as-of", DAY, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert about(answer.rows, "run") == about(shown.rows, "run")
    (warehouse,) = [row for row in about(answer.rows, "destination") if row["destination"] == "warehouse"]
    assert (warehouse["status"], warehouse["delivered"], warehouse["to_set"]) == ("success", 0, 0)
    people = type_("recompute", "--as-of", DAY, "--no-replay", "--no-sync")
    assert people.code == 0
    assert f"Run {about(answer.rows, 'run')[0]['run_id']} is current." in people.out


def test_sync(type_, shown):
    (before,) = [row for row in about(shown.rows, "destination") if row["destination"] == "warehouse"]
    answer = type_("sync", "--destination", "warehouse", "--json")
    assert (answer.code, answer.err) == (0, "")
    (row,) = answer.rows
    assert (row["delivered"], row["unchanged"]) == (0, before["computed"] - before["no_identifier"])
    (row,) = type_("sync", "--destination", "warehouse", "--dry-run", "--json").rows
    assert (row["status"], row["to_send"]) == ("dry_run", 0)
    (row,) = type_("sync", "--destination", "warehouse", "--resync", "--json").rows
    assert row["delivered"] == before["delivered"]
    assert type_("sync", "--destination", "warehouse").code == 0


def test_backfill(type_, shown):
    answer = type_("backfill", "--since", "2026-08-20", "--until", "2026-08-21", "--every", "12h", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert [row["as_of"][:13] for row in answer.rows] == ["2026-08-20T00", "2026-08-20T12", "2026-08-21T00"]
    rows = type_("members", "new_users_7_days", "--as-of", "2026-08-20T18:00:00+00:00", "--json").rows
    assert len(rows) == answer.rows[1]["new_users_7_days"]
    assert about(type_("status", "--json").rows, "run") == about(shown.rows, "run")


# --- what a look costs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [*LOOKING, ["--help"]], ids=" ".join)
def test_looking_imports_no_prefect(arguments, shown, place):
    """Neither Prefect, nor what only an S3 lake, a replay or a recompute needs."""
    code = (
        "import sys, contextlib\nfrom populace.cli import main\n"
        "with contextlib.suppress(SystemExit):\n    main()\n"
        "print(sorted({'prefect', 'boto3', 'fastapi', 'scipy', 'sqlalchemy'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, cwd=place, env=environment(), capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "[]"


def test_a_look_is_quick(shown, place):
    """Design 9: under 1.5 s, of which polars' import takes a part. Seconds of CPU: others share the machine."""
    among = environment()
    base = _least([sys.executable, "-c", "import polars"], place, among)
    # An installed command is compiled; a checkout is only after its first run, or never.
    assert compileall.compile_dir(ROOT / "populace", quiet=2)
    took = {" ".join(each): _least([sys.executable, "-c", POPULACE, *each], place, among) - base for each in LOOKING}
    assert {command: round(seconds, 2) for command, seconds in took.items() if seconds > 1.2} == {}


def _least(command: list[str], cwd: Path, among: dict[str, str]) -> float:
    return min(_seconds(command, cwd, among) for _ in range(3))


def _seconds(command: list[str], cwd: Path, among: dict[str, Any]) -> float:
    """What a process takes of the processors."""
    process = subprocess.Popen(command, cwd=cwd, env=among, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime

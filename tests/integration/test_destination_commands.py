"""The commands about destinations, and what flows, artifacts and the status say of them, on a real Prefect server."""

import json
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from demo.vendors.webhook import SECRET, Receiver, receiving
from populace.errors import LakeError, Refused, Transient, UsageError, Waiting
from populace.lake.delivery import Ledger
from tasks.sync import DELAYS, is_worth_another_try
from tasks.turns import SILENCE
from tests.companies import Answer, Company, Terminal, environment, local_archive, terminal

EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
STEPS = ("to_set", "to_remove")
ENDS = ("delivered", "warned", "invalid", "waiting", "unknown", "refused")


@pytest.fixture(scope="module")
def typing(prefect_server) -> Iterator[Terminal]:
    """A terminal whose Prefect is the server of the session."""
    settings = {name: value for name, value in prefect_server.environment.items() if name.startswith("PREFECT_")}
    with terminal(environment(settings)) as found:
        yield found


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Company:
    """A company with a published run; copied, never changed."""
    company = Company(tmp_path_factory.mktemp("published"), local_archive(tmp_path_factory.mktemp("archive")))
    company.recompute()
    return company


@pytest.fixture
def receiver(company) -> Iterator[Receiver]:
    """What the company's webhook tells."""
    with receiving() as found:
        company.more |= {"DEMO_WEBHOOK": "true", "DEMO_WEBHOOK_URL": found.url, "DEMO_WEBHOOK_SECRET": SECRET}
        yield found


@pytest.fixture
def company(published, tmp_path) -> Company:
    """A company whose webhook is sent to with little patience."""
    copied = published.copy(tmp_path / "company")
    file = copied.definitions / "dev" / "destinations.yaml"
    file.write_text(file.read_text() + "  limits: {patience: 1 second, timeout: 1 second}\n")
    return copied


@pytest.fixture
def type_(company, typing):
    def type_(command: str, *arguments: str) -> Answer:
        return typing.type(command, "dev", *arguments, company=company)

    return type_


def ledger(company: Company, destination: str = "warehouse") -> Ledger:
    return Ledger(company.open().lake, destination)


def of(answer: Answer, destination: str) -> dict[str, Any]:
    (row,) = [row for row in answer.rows if row.get("about") == "destination" and row["destination"] == destination]
    return row


def warehouse(company: Company, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(company.folder / "warehouse.db")) as connection, connection:
        return connection.execute(statement).fetchall()


@contextmanager
def after_a_try(server: Any, task: str, act: Any, seconds: float = 60) -> Iterator[None]:
    """Have something done once a task has failed and waits for its next try, while this goes on."""

    def acting() -> None:
        deadline = time.monotonic() + seconds
        while newest(server, task).get("state_name") != "AwaitingRetry" and time.monotonic() < deadline:
            time.sleep(0.1)
        act()

    thread = threading.Thread(target=acting)
    thread.start()
    yield
    thread.join()


def artifact(server: Any, key: str) -> list[dict] | str | None:
    """The newest artifact of a key."""
    found = {each["key"]: each["data"] for each in server.call("POST", "/artifacts/latest/filter", {})}
    data = found.get(key)
    return json.loads(data) if isinstance(data, str) and data.startswith("[") else data


def runs_of(server: Any, task: str) -> int:
    """How many times the newest run of a task was started; the server hears of it a little later."""
    return newest(server, task)["run_count"]


def newest(server: Any, task: str) -> dict:
    """The newest run of a task, empty where there is none."""
    wanted = {"task_runs": {"name": {"any_": [task]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
    return next(iter(server.call("POST", "/task_runs/filter", wanted)), {})


# --- verify --------------------------------------------------------------------------------------------------------


def test_a_warehouse_is_read_back_and_repaired(company, type_):
    assert type_("sync", "--json").code == 0
    equal = type_("verify", "--destination", "warehouse", "--json")
    assert (equal.code, equal.err) == (0, "")
    assert of(equal, "warehouse")["status"] == "equal"
    assert {row["key"] for row in equal.rows if row["about"] == "computation"} >= {"new_users_7_days"}

    warehouse(company, "DELETE FROM populace_dev_audience_members WHERE audience = 'new_users_7_days'")
    looked = type_("verify", "--destination", "warehouse", "--dry-run", "--json")
    found = of(looked, "warehouse")
    lost = found["missing"] + found["different"]
    assert (looked.code, found["status"]) == (3, "differs")
    assert lost > 10
    mended = type_("verify", "--destination", "warehouse")
    assert mended.code == 0, mended
    assert f"{lost} differ from the ledger" in mended.out
    assert "all are repaired" in mended.out
    assert "error" not in mended.err
    assert of(type_("verify", "--destination", "warehouse", "--json"), "warehouse")["status"] == "equal"
    assert "read back" in type_("status").out


@pytest.mark.usefixtures("receiver")
def test_what_cannot_be_read_back_is_wrong_usage(type_):
    answer = type_("verify", "--destination", "webhook")
    assert (answer.code, answer.out) == (2, "")
    assert "cannot be read back" in answer.err
    assert "populace sync dev --destination webhook --resync" in answer.err


@pytest.mark.parametrize("command", ["verify", "letters", "pause", "resume"])
def test_a_destination_that_is_not_there_is_wrong_usage(type_, command):
    answer = type_(command, "--destination", "crm")
    assert (answer.code, answer.out) == (2, "")
    there = "amplitude, appcues, fullstory, iterable, warehouse, webhook"
    assert f"no destination 'crm' in space 'dev'; there is {there}" in answer.err
    assert type_(command).code == 2


# --- letters -------------------------------------------------------------------------------------------------------


def poisoned(receiver: Receiver, type_: Any) -> set[str]:
    """Sync while the receiver refuses two people for good."""
    assert type_("sync", "--destination", "webhook", "--json").code == 0
    receiver.unwanted = set(sorted(receiver.held)[:2])
    assert type_("sync", "--destination", "webhook", "--resync", "--json").code == 0
    return receiver.unwanted


def test_letters_are_listed_written_and_sent_again(company, receiver, type_, tmp_path):
    people = poisoned(receiver, type_)
    answer = type_("letters", "--destination", "webhook", "--json")
    assert (answer.code, answer.err) == (0, "")
    (reason,) = [row for row in answer.rows if row["about"] == "reason"]
    told = [row for row in answer.rows if row["about"] == "letter"]
    assert {row["id_value"] for row in told} == people
    assert reason["records"] == len(told)

    shown = type_("letters", "--destination", "webhook")
    assert shown.code == 0
    assert "ledger/webhook/letters.parquet" in shown.out
    assert not any(person in shown.out for person in people)

    one = sorted(people)[0]
    file = tmp_path / "letters.parquet"
    chosen = ["--record", f"user_id:{one}", "--reason", "invalid", "--since", "2024-01-01"]
    assert type_("letters", "--destination", "webhook", *chosen, "--output", str(file)).code == 0
    assert set(pl.read_parquet(file).get_column("id_value")) == {one}

    receiver.unwanted = set()
    again = type_("letters", "--destination", "webhook", *chosen, "--replay", "--json")
    assert (again.code, again.err) == (0, "")
    assert of(again, "webhook")["delivered"] > 0
    left = [row for row in type_("letters", "--destination", "webhook", "--json").rows if row["about"] == "letter"]
    assert {row["id_value"] for row in left} == people - {one}
    assert "taken out" in type_("letters", "--destination", "webhook", "--replay").out
    assert "none" in type_("letters", "--destination", "webhook").out
    again = type_("letters", "--destination", "webhook", "--replay")
    assert (again.code, again.err) == (0, "")
    assert "nothing to send again" in again.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--reason", "odd"], "none of 0 letters"),
        (["--record", "jane"], "TYPE:VALUE"),
        (["--since", "soon"], "soon"),
        (["--output", "letters.csv"], "ends in .parquet"),
    ],
)
def test_letters_that_cannot_be_asked_for_are_wrong_usage(type_, arguments, told):
    answer = type_("letters", "--destination", "warehouse", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


# --- pausing -------------------------------------------------------------------------------------------------------


def test_a_paused_destination_is_left_alone_and_the_others_are_not(company, receiver, type_):
    paused = type_("pause", "--destination", "warehouse", "--because", "a migration")
    assert paused.code == 0
    assert "a migration; to let it go again: populace resume dev --destination warehouse" in paused.out
    synced = type_("sync", "--json")
    assert (synced.code, synced.err) == (0, "")
    assert (of(synced, "warehouse")["status"], of(synced, "webhook")["status"]) == ("paused", "success")
    assert not (company.folder / "warehouse.db").exists()
    told = type_("status").out
    assert "paused by a person since" in told
    assert "a migration" in told

    resumed = type_("resume", "--destination", "warehouse")
    assert resumed.code == 0
    assert f"{of(synced, 'warehouse')['refused']} records wait, the oldest since" in resumed.out
    assert "populace sync dev --destination warehouse" in resumed.out
    assert of(type_("status", "--json"), "warehouse")["status"] == "resumed"
    assert type_("resume", "--destination", "warehouse", "--json").rows[0]["was_paused"] is None
    assert of(type_("sync", "--json"), "warehouse")["status"] == "success"
    assert "was not paused" in type_("resume", "--destination", "warehouse").out


def test_a_refusal_pauses_and_is_told_once(company, receiver, type_, prefect_server, wait_until):
    since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    company.more["DEMO_WEBHOOK_SECRET"] = "wrong"
    refused = type_("sync", "--json")
    assert refused.code == 3
    assert refused.err.startswith("error: webhook: paused, ")
    assert "because it refuses us" in type_("status").out
    company.more["DEMO_WEBHOOK_SECRET"] = SECRET
    assert type_("sync", "--json").code == 3
    assert receiver.held == {}
    assert type_("resume", "--destination", "webhook", "--json").rows[0]["was_paused"]["by"] == "refusal"
    assert type_("sync", "--json").code == 0
    assert receiver.held
    names = ["populace.destination.paused", "populace.sync.failed", "populace.sync.completed"]
    asked = {"filter": {"event": {"name": names}, "occurred": {"since": since}}, "limit": 50}

    def heard() -> list[str]:
        found = sorted(
            prefect_server.call("POST", "/events/filter", asked)["events"], key=lambda each: each["occurred"]
        )
        return [each["event"].removeprefix("populace.") for each in found]

    wait_until(lambda: "sync.completed" in heard(), 40, "the last sync is announced")
    assert heard() == ["destination.paused", "sync.failed", "sync.failed", "sync.completed"]


# --- accounts ------------------------------------------------------------------------------------------------------


def assert_adds_up(row: dict[str, Any]) -> None:
    assert row["computed"] == row["unchanged"] + row["no_identifier"] + sum(row[name] for name in STEPS)
    assert sum(row[name] for name in STEPS) == sum(row[name] for name in ENDS)


def test_the_report_says_what_became_of_every_record(company, receiver, type_, prefect_server):
    people = poisoned(receiver, type_)
    type_("sync", "--destination", "warehouse", "--json")
    (row,) = artifact(prefect_server, "populace-dev-sync")
    assert (row["destination"], row["status"], row["reason"], row["waiting since"]) == ("warehouse", "success", "", "")
    assert_adds_up(row)
    assert row["no_identifier"] > 0
    assert row["sent"] == row["delivered"] == row["to_set"] > 100

    receiver.script = [503] * 50
    one = f"user_id:{sorted(people)[0]}"
    assert type_("letters", "--destination", "webhook", "--record", one, "--replay", "--json").code == 3
    (row,) = artifact(prefect_server, "populace-dev-sync")
    assert_adds_up(row)
    assert row["invalid"] > 0 < row["waiting"]
    assert row["invalid"] + row["waiting"] == row["to_set"]
    everything = json.dumps(prefect_server.call("POST", "/artifacts/filter", {}))
    assert not EMAIL.search(everything)
    assert not any(f'"{person}"' in everything for person in people)


def test_samples_are_shown_to_whoever_asks_and_hold_nobody(company, receiver, type_, prefect_server):
    assert type_("sync", "--json").code == 0
    rows = [row for row in type_("status", "--samples", "--json").rows if row["about"] == "sample"]
    assert {row["destination"] for row in rows} == {"webhook"}
    assert {row["outcome"] for row in rows} == {"delivered"}
    assert [row for row in type_("status", "--json").rows if row["about"] == "sample"] == []
    assert "Samples of requests and answers" in type_("status", "--samples").out
    shown = artifact(prefect_server, "populace-dev-samples")
    assert [row["outcome"] for row in shown] == ["delivered"] * len(rows)
    assert not any(person in json.dumps([rows, shown]) for person in receiver.held)


def test_progress_is_an_artifact_of_each_destination(type_, prefect_server, receiver):
    assert type_("sync", "--json").code == 0
    assert receiver.held
    assert artifact(prefect_server, "populace-dev-sync-warehouse") == 100.0
    assert artifact(prefect_server, "populace-dev-sync-webhook") == 100.0


# --- another try ---------------------------------------------------------------------------------------------------


def test_a_destination_that_another_sync_has_is_waited_for(company, type_, prefect_server, wait_until):
    other = {"host": "elsewhere", "pid": 1, "since": "2024-03-01T00:00:00+00:00"}
    other["seen"] = datetime.now(UTC).isoformat(timespec="seconds")
    ledger(company).take_turn(1, other)
    with after_a_try(prefect_server, "sync-warehouse", lambda: ledger(company).renew_turn(1, None)):
        answer = type_("sync", "--destination", "warehouse", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert of(answer, "warehouse")["status"] == "success"
    wait_until(lambda: runs_of(prefect_server, "sync-warehouse") >= 2, 20, "a second try of the sync")


def test_a_lake_that_fails_for_a_moment_is_asked_again(company, type_, prefect_server, wait_until):
    (table,) = company.lake.glob("runs/*/traits.parquet")
    aside = table.rename(table.with_suffix(".aside"))
    with after_a_try(prefect_server, "sync-warehouse", lambda: aside.rename(table)):
        answer = type_("sync", "--destination", "warehouse", "--json")
    assert (answer.code, answer.err) == (0, "")
    wait_until(lambda: runs_of(prefect_server, "sync-warehouse") >= 2, 20, "a second try of the sync")


def test_records_that_wait_are_not_sent_again_at_once(company, receiver, type_, prefect_server):
    receiver.script = [503] * 1_000
    began = time.monotonic()
    answer = type_("sync", "--destination", "webhook", "--json")
    assert time.monotonic() - began < 2 + DELAYS[1]
    assert answer.code == 3
    assert "records wait for the next sync" in answer.err
    assert runs_of(prefect_server, "sync-webhook") == 1
    (row,) = artifact(prefect_server, "populace-dev-sync")
    assert_adds_up(row)
    assert (row["status"], row["waiting"]) == ("partial", row["to_set"])
    assert row["waiting since"][:10] == f"{datetime.now(UTC):%Y-%m-%d}"
    assert "the oldest record that waits does so since" in type_("status").out
    receiver.script = []
    assert type_("sync", "--destination", "webhook", "--json").code == 0


class State:
    """The end of a task run, as Prefect hands it to a condition."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def result(self, *, raise_on_failure: bool) -> BaseException:
        assert not raise_on_failure
        return self.error


class Run:
    def __init__(self, run_count: int) -> None:
        self.run_count = run_count


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (Waiting("12 records wait"), 1),
        (Refused("paused"), 1),
        (UsageError("no run"), 1),
        (Transient("another sync is sending"), 10),
        (LakeError("the store does not answer"), 3),
        (ConnectionError(), 3),
    ],
    ids=lambda each: type(each).__name__,
)
def test_another_try_follows_what_may_pass(error: BaseException, tries: int):
    failed = [is_worth_another_try(None, Run(count), State(error)) for count in range(1, 10)]
    assert failed == [count < tries for count in range(1, 10)]


def test_a_holder_that_died_is_waited_for_long_enough():
    assert sum(DELAYS) > SILENCE.total_seconds()

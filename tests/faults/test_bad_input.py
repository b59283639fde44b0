"""Bad input gives one message with the thing and the remedy, the documented exit code, and leaves what is published.

Everything goes through the command line: commands typed at one terminal, so that Prefect starts once.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import polars as pl
import pytest

from populace.definitions import Destination
from tests.companies import (
    AS_OF,
    ROOT,
    Answer,
    Company,
    Terminal,
    end_session,
    environment,
    local_archive,
    populace,
    terminal,
)  # fmt: skip
from tests.deliveries import open_space, publish, send

pytestmark = pytest.mark.faults

LATER = f"{AS_OF + timedelta(days=1):%Y-%m-%d}"
SECRET = "correct-horse-battery-staple"
SOURCES = 3
REFUSED = "http://127.0.0.1:1"  # a port that nobody listens on


@pytest.fixture(scope="module")
def typing(tmp_path_factory) -> Iterator[Terminal]:
    with terminal(environment({"PREFECT_HOME": str(tmp_path_factory.mktemp("prefect"))})) as found:
        yield found


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Company:
    """A company with a published run; copied, never changed."""
    folder = tmp_path_factory.mktemp("published")
    company = Company(folder / "company", local_archive(folder / "archive"))
    company.recompute()
    return company


@pytest.fixture
def company(published, tmp_path) -> Company:
    """A copy of it with an archive of its own, which a test may spoil."""
    mine = published.copy(tmp_path / "company")
    files = Path(published.archive.removeprefix("file://"))
    # cp keeps the times of change, by which the lake knows the objects.
    subprocess.run(["cp", "-a", str(files), str(tmp_path / "archive")], check=True)
    mine.archive = (tmp_path / "archive").as_uri()
    return mine


def spoiled(company: Company) -> Path:
    """The place of an object of the archive that is not there yet."""
    return Path(company.archive.removeprefix("file://")) / "web" / "2026" / "08" / "31" / "part-9.parquet"


def assert_told(answer: Answer, *words: str, code: int = 1, times: int = 1) -> None:
    """One message on standard error that says all of this, and no more than a message; or one for each source."""
    assert answer.code == code, answer
    assert answer.out == ""
    lines = answer.err.strip().splitlines()
    assert len(lines) == times, answer.err
    assert all(word in line for word in words for line in lines), answer.err
    assert all(line.startswith("error: ") for line in lines if code == 1)
    assert "Traceback" not in answer.err
    assert SECRET not in answer.err


def assert_refused(typing: Terminal, company: Company, *words: str, times: int = 1, **more: str) -> None:
    """`recompute` fails with exit code 1 and such a message, and readers see what they saw before."""
    before = company.bytes("runs")
    answer = typing.type("recompute", "dev", "--as-of", LATER, "--json", company=company, **more)
    assert_told(answer, *words, times=times)
    after = company.bytes("runs")
    assert {path: after[path] for path in before} == before
    assert [path for path in set(after) - set(before) if "published" in path or "manifest" in path] == []


# --- archives ------------------------------------------------------------------------------------------------------


def cut_short(file: Path) -> None:
    whole = next(file.parent.glob("part-0.parquet")).read_bytes()
    file.write_bytes(whole[: len(whole) // 2])


def text(file: Path) -> None:
    file.write_text("message_id,type\n1,track\n")


def nothing(file: Path) -> None:
    file.write_bytes(b"")


def damaged(file: Path) -> None:
    """Sound at both ends, where the marks and the schema are; garbage between them."""
    whole = bytearray(next(file.parent.glob("part-0.parquet")).read_bytes())
    whole[8 : len(whole) // 2] = bytes(len(whole) // 2 - 8)
    file.write_bytes(whole)


def other_columns(file: Path) -> None:
    pl.DataFrame({"id": [1], "amount": [2.5]}).write_parquet(file)


def wrong_type(file: Path) -> None:
    raw = pl.read_parquet(file.with_name("part-0.parquet"))
    raw.with_columns(timestamp=pl.col("timestamp").dt.epoch("ms")).write_parquet(file)


OBJECTS = {
    "truncated": (cut_short, "whole file"),
    "text": (text, "whole file"),
    "empty": (nothing, "whole file"),
    "other columns": (other_columns, "message_id", "archive"),
    "wrong type": (wrong_type, "timestamp", "Int64", "write it again"),
}


@pytest.mark.parametrize(("spoil", "words"), [(each[0], each[1:]) for each in OBJECTS.values()], ids=OBJECTS)
def test_an_object_that_cannot_be_read(spoil, words, company, typing):
    file = spoiled(company)
    spoil(file)
    assert_refused(typing, company, str(file), *words)


def test_an_object_damaged_inside(company, typing):
    """Its footer says nothing of it; the pages do, when they are read."""
    file = spoiled(company)
    damaged(file)
    assert_refused(typing, company, str(file), "whole file")


def test_several_objects_that_cannot_be_read(company, typing):
    """Each is named; everything else is in the lake."""
    first, second = spoiled(company), spoiled(company).with_name("part-8.parquet")
    cut_short(first)
    text(second)
    answer = typing.type("recompute", "dev", "--as-of", LATER, "--json", company=company)
    assert_told(answer, "whole file", times=2)
    lines = answer.err.strip().splitlines()
    assert [str(file) in line for file, line in zip((second, first), lines, strict=True)] == [True, True]
    shown = typing.type("status", "dev", "--json", company=company)
    sources = {row["source"]: row["status"] for row in shown.rows if row["about"] == "source"}
    assert sources == {"server": "complete", "split": "complete", "web": "failed"}


def test_mended_it_goes_on(company, typing):
    """The message's remedy is enough."""
    file = spoiled(company)
    cut_short(file)
    assert_refused(typing, company, str(file))
    file.unlink()
    answer = typing.type("recompute", "dev", "--as-of", LATER, "--json", company=company)
    assert (answer.code, answer.err) == (0, "")


def test_a_missing_folder(company, typing):
    folder = company.folder / "nowhere"
    company.archive = folder.as_uri()
    assert_refused(typing, company, str(folder), "sources.yaml", times=SOURCES)


def test_an_empty_archive(company, typing):
    folder = company.folder / "nothing"
    for source in ("web", "server", "split"):
        (folder / source).mkdir(parents=True)
    company.archive = folder.as_uri()
    assert_refused(typing, company, str(folder), "no object of source", "sources.yaml", times=SOURCES)


# --- object stores -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[dict[str, str]]:
    """An S3 server that checks signatures, and the environment of somebody whom it lets in."""
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=ROOT,
            env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "3", "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        yield admitted(_url(process, log))
    finally:
        end_session(process)


def _url(process: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + 60
    while "Running on http://" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return "http://" + log.read_text().rpartition("Running on http://")[2].split()[0]


def admitted(url: str) -> dict[str, str]:
    """The first three calls are free: they make a user, and let it do everything."""
    anybody = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    iam = boto3.client("iam", endpoint_url=url, **anybody)
    iam.create_user(UserName="populace")
    allow = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    iam.put_user_policy(UserName="populace", PolicyName="all", PolicyDocument=allow)
    key = iam.create_access_key(UserName="populace")["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "POPULACE_S3_ENDPOINT": url,
    }


def test_a_missing_bucket(guarded, company, typing):
    company.archive = "s3://no-such-bucket"
    words = ("s3://no-such-bucket/", "the bucket does not exist", "create it")
    assert_refused(typing, company, *words, times=SOURCES, **guarded)


def test_a_wrong_secret(guarded, company, typing):
    company.archive = "s3://events"
    wrong = guarded | {"AWS_SECRET_ACCESS_KEY": SECRET}
    assert_refused(typing, company, "s3://events/", "AWS_SECRET_ACCESS_KEY", times=SOURCES, **wrong)


def test_an_unknown_key(guarded, company, typing):
    company.archive = "s3://events"
    wrong = guarded | {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
    assert_refused(typing, company, "s3://events/", "AWS_ACCESS_KEY_ID", times=SOURCES, **wrong)


def test_no_credentials(guarded, company, typing, tmp_path):
    company.archive = "s3://events"
    none = {"POPULACE_S3_ENDPOINT": guarded["POPULACE_S3_ENDPOINT"], "AWS_EC2_METADATA_DISABLED": "true"}
    none |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
    none |= dict.fromkeys(("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"), str(tmp_path / "none"))
    assert_refused(typing, company, "s3://events/", "no credentials", "AWS_ACCESS_KEY_ID", times=SOURCES, **none)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, ""),
        ({"secret_access_key": SECRET}, "the secret key is wrong"),
        ({"access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "the access key is unknown"),
        ({"url": "s3://no-such-bucket"}, "the bucket does not exist"),
    ],
)
def test_a_destination_has_keys_of_its_own(wrong, said, guarded, tmp_path, monkeypatch):
    """Those of the environment are for the lake, and wrong there; without its own nothing could be sent."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    keys = {"access_key_id": guarded["AWS_ACCESS_KEY_ID"], "secret_access_key": guarded["AWS_SECRET_ACCESS_KEY"]}
    more = {"region_name": "us-east-1", "endpoint_url": guarded["POPULACE_S3_ENDPOINT"]}
    boto3.client("s3", **{f"aws_{name}": value for name, value in keys.items()}, **more).create_bucket(Bucket="files")
    settings = {"url": "s3://files", "endpoint_url": guarded["POPULACE_S3_ENDPOINT"], **keys, **wrong}
    space = open_space(tmp_path, Destination("files", "object_storage", tuple(settings.items())), "plan")
    publish(space, 1, {"profile_id": ["p1"], "plan": ["gold"]})
    summary = send(space)
    assert summary["status"] == ("paused" if said else "success")
    assert said in summary.get("reason", "")
    assert all(key not in str(summary) for key in keys.values())


@pytest.mark.parametrize("place", ["archive", "lake"])
def test_an_endpoint_where_nobody_listens(place, guarded, company, typing):
    start = time.monotonic()
    unheard = guarded | {"POPULACE_S3_ENDPOINT": REFUSED}
    if place == "archive":
        company.archive = "s3://events"
        assert_refused(typing, company, "s3://events/", REFUSED, "endpoint", times=SOURCES, **unheard)
    else:
        unheard |= {"POPULACE_LAKE": "s3://lake/x"}
        answer = typing.type("recompute", "dev", "--as-of", LATER, "--json", company=company, **unheard)
        assert_told(answer, "s3://lake/x", REFUSED, "endpoint")
    assert time.monotonic() - start < 20


# --- definitions and names -----------------------------------------------------------------------------------------

FIVE_MISTAKES = """\
new_users:
  query: event('User Signed Up').within(7 days).count() >=
  destinations: [warehouse]
buyers:
  qery: event('Order Completed').count() >= 1
lookers:
  query: event('Product Viewed').count() >= 3
  destinations: [warehose]
spenders:
  query: event('Order Completed').within(30 fortnights).sum(property('total')) >= 10
buyers:
  query: event('Order Completed').count() >= 2
"""


@pytest.mark.parametrize("command", [["check"], ["recompute", "--as-of", LATER], ["preview", "--query", "true"]])
def test_a_file_with_five_mistakes(command, company, typing):
    file = company.definitions / "dev" / "audiences.yaml"
    file.write_text(FIVE_MISTAKES)
    before = company.bytes("")
    answer = typing.type(command[0], "dev", *command[1:], company=company)
    assert answer.code == 2
    assert answer.out == ""
    assert "Traceback" not in answer.err
    mistakes = {2: "new_users", 5: "did you mean 'query'", 8: "did you mean 'warehouse'", 10: "spenders"}
    for line, words in mistakes.items():
        (told,) = [each for each in answer.err.splitlines() if each.startswith(f"{file}:{line}: ")]
        assert words in told
    assert f"{file}:11: 'buyers' is already defined at {file}:4" in answer.err
    assert company.bytes("") == before


NAMES = {
    "space": (["status", "stage"], "no space 'stage'", "dev"),
    "audience": (["members", "dev", "new_user"], "no audience 'new_user'", "new_users_7_days"),
    "definition": (["preview", "dev", "revenu"], "'revenu'"),
    "identifier": (["show", "dev", "phone:1"], "no identifier 'phone'", "user_id"),
    "person": (["show", "dev", "email:jane@example.com"], "no profile"),
    "source": (["replay", "dev", "--source", "wep"], "no source 'wep'", "web"),
    "destination": (["sync", "dev", "--destination", "warehose"], "no destination 'warehose'", "warehouse"),
    "instant": (["recompute", "dev", "--as-of", "yesterday"], "'yesterday'", "2026-09-23"),
    "step": (
        ["backfill", "dev", "--since", "2026-08-30", "--until", "2026-08-31", "--every", "0d"], "'0d'", "1d or 6h",
    ),
    "past": (["members", "dev", "new_users_7_days", "--as-of", "2020-01-01"], "2020-01-01", "backfill"),
}  # fmt: skip


@pytest.mark.parametrize(("command", "words"), [(each[0], each[1:]) for each in NAMES.values()], ids=NAMES)
def test_a_name_that_means_nothing(command, words, published, typing):
    before = published.bytes("")
    answer = typing.type(*command, company=published)
    assert_told(answer, *words, code=2)
    assert "jane@" not in answer.err
    assert published.bytes("") == before


def test_nothing_was_published_yet(published, typing, tmp_path):
    new = Company(tmp_path / "new", published.archive)
    for command in (["members", "new_users_7_days"], ["preview", "revenue"], ["show", "user_id:1"], ["sync"]):
        answer = typing.type(command[0], "dev", *command[1:], company=new)
        assert_told(answer, "no published run yet", "recompute dev", code=2)


# --- destinations --------------------------------------------------------------------------------------------------


def not_a_database(file: Path) -> None:
    file.write_bytes(b"this is no database" * 100)


UNREACHABLE: dict[str, tuple[str, Callable[[Path], None] | None, str]] = {
    "a missing folder": ("missing/warehouse.db", None, "check the folder"),
    "not a database": ("other.db", not_a_database, "not an SQLite database"),
}


@pytest.mark.parametrize(("name", "spoil", "words"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_warehouse_that_cannot_be_written(name, spoil, words, company, typing):
    """The run is published, the rest is delivered, and the exit code says: in part."""
    file = company.folder / name
    if spoil:
        spoil(file)
    company.more = {"DEMO_WAREHOUSE": f"sqlite:{file}?password={SECRET}"}
    answer = typing.type("recompute", "dev", "--as-of", LATER, "--json", company=company)
    assert answer.code == 3, answer
    (line,) = answer.err.splitlines()
    assert line.startswith("error: warehouse: paused, ")
    assert words in line
    assert SECRET not in answer.err + answer.out
    rows = {row.get("destination", row["about"]): row for row in answer.rows}
    assert rows["run"]["as_of"].startswith(LATER)
    assert rows["warehouse"]["status"] == "paused"


def test_a_secret_that_is_not_set(company, typing):
    file = company.definitions / "dev" / "destinations.yaml"
    written = file.read_text()
    assert "${DEMO_WAREHOUSE:-sqlite:demo-data/warehouse.db}" in written
    file.write_text(written.replace("${DEMO_WAREHOUSE:-sqlite:demo-data/warehouse.db}", "${NO_SUCH_URL}"))
    answer = typing.type("recompute", "dev", "--as-of", LATER, "--json", company=company)
    assert answer.code == 3, answer
    (line,) = answer.err.splitlines()
    assert "NO_SUCH_URL is not set" in line
    assert "no-such-url" in line  # the Secret block


# --- the same in a process of its own ------------------------------------------------------------------------------


def test_what_a_person_sees(company, tmp_path):
    """Not from the terminal, but as a process: nothing of Prefect's shows, and nothing of Python's."""
    file = spoiled(company)
    cut_short(file)
    among = environment(company.environment, {"PREFECT_HOME": str(tmp_path / "prefect")})
    arguments = ["recompute", "dev", "--as-of", LATER, "--definitions", str(company.definitions)]
    answer = populace(*arguments, among=among)
    assert answer.code == 1
    assert answer.out == ""
    assert "Traceback" not in answer.err
    assert "prefect" not in answer.err.lower()
    assert answer.err.count("error: ") == 1
    assert str(file) in answer.err.replace("\n", "")

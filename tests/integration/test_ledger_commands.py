"""The commands that look at what was replayed, `quarantine` and `status --days`, on the demo's last days."""

import json
import re
from collections import Counter
from collections.abc import Iterator

import polars as pl
import pytest

from tests.companies import Answer, Company, Terminal, environment, local_archive, terminal

EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")


@pytest.fixture(scope="module")
def company(tmp_path_factory) -> Company:
    """A company whose archive is in the lake; nobody changes it."""
    folder = tmp_path_factory.mktemp("company")
    found = Company(folder / "company", local_archive(folder / "archive"))
    found.recompute()
    return found


@pytest.fixture(scope="module")
def typing() -> Iterator[Terminal]:
    with terminal(environment({"COLUMNS": "100"})) as found:
        yield found


@pytest.fixture
def type_(company, typing):
    def type_(*arguments: str) -> Answer:
        return typing.type(*arguments, company=company)

    return type_


def counted(answer: Answer) -> dict[str, dict[str, int]]:
    """Rows by source and reason."""
    found: dict[str, dict[str, int]] = {}
    for row in answer.rows:
        if row["about"] == "reason":
            found.setdefault(row["source"], {})[row["reason"]] = row["rows"]
    return found


# --- quarantine ----------------------------------------------------------------------------------------------------


def test_quarantine_counts_what_status_counts(type_):
    sources = {row["source"]: row for row in type_("status", "dev", "--json").rows if row["about"] == "source"}
    answer = type_("quarantine", "dev", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert counted(answer) == {name: row["reasons"] for name, row in sources.items()}
    assert [row["about"] for row in answer.rows] == sorted(row["about"] for row in answer.rows)


def test_quarantine_takes_samples(type_):
    answer = type_("quarantine", "dev", "--samples", "1", "--json")
    samples = [row for row in answer.rows if row["about"] == "sample"]
    assert Counter((row["source"], row["reason"]) for row in samples) == Counter(
        (source, reason) for source, reasons in counted(answer).items() for reason in reasons
    )
    keys = {"about", "source", "reason", "meaning", "object", "row", "day"}
    assert all(set(row) == keys for row in samples)
    assert [
        row["about"] for row in type_("quarantine", "dev", "--samples", "0", "--json").rows if "object" in row
    ] == []


def test_a_sample_is_the_row_that_stands_there(company, type_):
    rows = [row for row in type_("quarantine", "dev", "--show", "--json").rows if row["about"] == "sample"]
    assert rows
    for row in rows:
        archive = company.open().archive(company.open().source(row["source"]))
        (found,) = pl.read_parquet(archive.url(row["object"])).slice(row["row"], 1).rows(named=True)
        assert json.loads(row["whole"])["message_id"] == found["message_id"]
        assert f"{found['received_at']:%Y-%m-%d}" == row["day"]


def test_people_read_each_row_on_a_line_and_only_where_they_ask_for_it(type_):
    plain, shown = type_("quarantine", "dev"), type_("quarantine", "dev", "--show")
    assert (plain.code, shown.code) == (0, 0)
    assert "properties_not_object: properties are given that are no JSON object" in plain.out
    assert '"properties": ' not in plain.out
    assert not EMAIL.search(plain.out)
    assert '    {"properties": "' in shown.out
    assert all(len(line) <= 100 for line in shown.out.splitlines())


def test_a_row_cannot_steer_the_terminal():
    from populace.cli.quarantine import _short

    assert _short('\x1b[2J{"a"\x07\n\u202e', "not_json") == ' [2J{"a"   '


def test_some_rows_may_be_asked_for(type_):
    rows = type_("quarantine", "dev", "--source", "split", "--reason", "no_user_anon_id", "--json").rows
    assert {(row["source"], row["reason"]) for row in rows} == {("split", "no_user_anon_id")}
    (day,) = {row["first_day"] for row in rows if row["about"] == "reason"}
    of_day = type_("quarantine", "dev", "--day", day, "--json").rows
    assert {row["day"] for row in of_day if row["about"] == "sample"} == {day}


@pytest.mark.parametrize("form", ["parquet", "ndjson"])
def test_all_rows_are_written_whole(type_, tmp_path, form):
    file = tmp_path / f"wrong.{form}"
    answer = type_("quarantine", "dev", "--output", str(file))
    assert answer.code == 0
    found = pl.read_parquet(file) if form == "parquet" else pl.read_ndjson(file)
    assert found.columns == ["source", "reason", "object", "row", "received_on", "whole"]
    assert f"{found.height} rows written to {file}" in answer.out
    assert found.height == sum(sum(each.values()) for each in counted(type_("quarantine", "dev", "--json")).values())
    assert all(json.loads(whole)["type"] for whole in found["whole"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--source", "shop"], "no source 'shop'"),
        (["--reason", "odd"], "no reason 'odd'"),
        (["--day", "yesterday"], "'yesterday' is no day"),
        (["--output", "rows.csv"], "ends in .parquet or .ndjson"),
        (["--output", "/no/such/folder/rows.parquet"], "there is no folder /no/such/folder"),
        (["--samples", "-1"], "samples"),
    ],
)
def test_what_cannot_be_asked_for_is_wrong_usage(type_, arguments, told):
    answer = type_("quarantine", "dev", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


def test_help_says_what_is_personal(type_):
    assert type_("quarantine", "--help").out.lower().count("personal data") == 2


# --- days ----------------------------------------------------------------------------------------------------------


def test_status_has_days_only_where_they_are_asked_for(type_):
    plain, with_days = type_("status", "dev", "--json"), type_("status", "dev", "--days", "--json")
    days = [row for row in with_days.rows if row["about"] == "day"]
    assert [row for row in with_days.rows if row["about"] != "day"] == plain.rows
    assert "Days" in type_("status", "dev", "--days").out
    assert "2026-08-25" not in type_("status", "dev").out
    for source in (row for row in plain.rows if row["about"] == "source"):
        mine = [row for row in days if row["source"] == source["source"]]
        assert [row["day"] for row in mine] == sorted({row["day"] for row in mine})
        assert {row["status"] for row in mine} == {"complete"}
        for count in ("read", "kept", "duplicate", "rejected"):
            assert sum(row[count] for row in mine) == source[count]

"""Tables in the terminal: why rows were rejected, and what became of records, with few columns and with many."""

import pytest

from populace.cli import output


@pytest.fixture
def shown(monkeypatch):
    """The tables that are printed, by title."""
    tables = {}
    monkeypatch.setattr(output, "table", lambda title, rows, **_: tables.update({title: list(rows)}))
    return tables


def source(name, **reasons):
    return {"source": name, "reasons": reasons, "failed": [], "ignored": {"objects": 0, "first": []}}


def test_what_an_archive_says_steers_no_terminal_and_ends(capsys):
    output.table("Events", [{"event": "\x1b[31mRED\x07[bold]x\n" + "y" * 100_000}])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]x" in shown
    assert len(shown) < 5_000


def test_few_sources_stand_beside_each_other(shown):
    output.sources([source("web", id_required=2, not_json=1), source("app", not_json=4), source("good")])
    assert shown["Rejected rows"] == [
        {"rejected because": "id_required", "web": 2, "app": 0},
        {"rejected because": "not_json", "web": 1, "app": 4},
        {"rejected because": "all", "web": 3, "app": 4},
    ]


def test_many_sources_stand_below_each_other(shown):
    output.sources([source(f"s{n}", not_json=n, id_required=1) for n in range(1, output.MOST_ACROSS + 2)])
    assert shown["Rejected rows"][:2] == [
        {"source": "s1", "rejected because": "id_required", "rows": 1},
        {"source": "s1", "rejected because": "not_json", "rows": 1},
    ]


def test_where_nothing_is_rejected_there_is_no_table(shown):
    output.sources([source("good")])
    assert "Rejected rows" not in shown


# --- destinations --------------------------------------------------------------------------------------------------


def destination(name, **account):
    return {"destination": name, "kind": "webhook", "status": "success", "computed": 10, **account}


def test_few_destinations_stand_beside_each_other_with_the_steps_that_are_used(shown):
    output.destinations(
        [
            destination("crm", unchanged=3, to_set=6, to_remove=1, sent=7, delivered=4, noop=1, invalid=1, too_large=1),
            destination("shop", unchanged=10),
        ]
    )
    assert [(row["destination"], row["crm"], row["shop"]) for row in shown["Destinations"]] == [
        ("kind", "webhook", "webhook"),
        ("status", "success", "success"),
        ("computed", 10, 10),
        ("unchanged", 3, 10),
        ("to add or change", 6, 0),
        ("to remove", 1, 0),
        ("sent", 7, 0),
        ("delivered", 5, 0),
        ("invalid", 2, 0),
    ]


def test_many_destinations_stand_below_each_other(shown):
    output.destinations([destination(f"d{number}", delivered=number) for number in range(output.MOST_ACROSS + 1)])
    assert shown["Destinations"][2] == {
        "destination": "d2",
        "kind": "webhook",
        "status": "success",
        "computed": 10,
        "delivered": 2,
    }


def test_a_destination_that_was_never_synced_has_no_counts(shown):
    output.destinations([{"destination": "crm", "kind": "webhook", "status": "never synced"}])
    assert [row["crm"] for row in shown["Destinations"]] == ["webhook", "never synced", None, None]


def test_what_there_is_to_say_of_a_destination_is_said(capsys):
    paused = {"by": "refusal", "since": "2024-03-01T00:00:00+00:00", "reason": "HTTP 401"}
    verified = {"at": "2024-03-02T00:00:00+00:00", "status": "repaired", "acknowledged": 9, "missing": 1}
    verified |= {"different": 2, "extra": 3}
    waiting = {"waiting_since": "2024-02-01T00:00:00Z", "reason": "HTTP 401"}
    output.destinations([destination("crm", paused=paused, verified=verified, **waiting)])
    said = capsys.readouterr().out.splitlines()[-3:]
    assert said == [
        "crm: paused because it refuses us since 2024-03-01T00:00:00+00:00: HTTP 401; "
        "to let it go again: populace resume SPACE --destination crm",
        "crm: the oldest record that waits does so since 2024-02-01T00:00:00Z",
        "crm: read back 2024-03-02T00:00:00+00:00: repaired (9 acknowledged, 1 missing, 2 different, 3 extra)",
    ]


def test_samples_say_what_was_sent_and_replied(shown):
    sample = {"outcome": "invalid", "reason": "HTTP 400", "endpoint": "POST /in", "request": "[…]", "status": 400}
    output.samples([{"destination": "crm", "reply": "no", **sample}])
    (row,) = shown["Samples of requests and answers"]
    assert (row["destination"], row["status"], row["request"], row["reply"]) == ("crm", 400, "[…]", "no")

"""Tables in the terminal: why rows were rejected, with few sources and with many."""

import pytest

from populace.cli import output


@pytest.fixture
def shown(monkeypatch):
    """The tables that are printed, by title."""
    tables = {}
    monkeypatch.setattr(output, "table", lambda title, rows: tables.update({title: list(rows)}))
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

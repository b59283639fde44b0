"""The ledger: what was replayed, by part and by source."""

import polars as pl
import pytest

from populace.lake import ledger

RULES = "rules"


def part(name, *objects, rules=RULES, **rows):
    """An entry of a part; each object is (path, received day, rows) or (path, received day, rows, start, stop)."""
    pieces = []
    for path, day, count, *span in objects:
        start, stop = span or (0, None)
        digest, days = f"digest of {path}", {day: count} if count else {}
        pieces.append({"path": path, "digest": digest, "size": 1, "start": start, "stop": stop, "days": days})
    counts = {"read": 0, "kept": 0, "duplicate": 0, "rejected": 0} | rows
    return {"part": name, "rules": rules, "objects": pieces, "rows": counts, "outputs": []}


def complete(store, source, among, *found):
    """The summary of a source that holds these parts."""
    for each in found:
        ledger.record(store, source, each)
    listed = {each["part"]: each for each in found}
    slices = ledger.fingerprints(found)
    document = {"status": "complete", "since": "2024-01-01", "among": among, "parts": listed, "slices": slices}
    ledger.write_summary(store, source, document)


def test_a_source_that_was_never_replayed_has_no_summary(store):
    assert ledger.summary(store, "web") == {}
    assert ledger.entries(store, "web") == ledger.parts(store, "web") == ledger.slices(store, "web") == {}
    assert ledger.objects(store, "web").is_empty()
    assert ledger.pieces(store, "web").is_empty()
    assert not ledger.is_complete(store, "web", ["web"])
    assert ledger.sources(store) == []


def test_a_part_is_remembered_until_it_is_forgotten(store):
    ledger.record(store, "web", part("2024-03-02-b"))
    ledger.record(store, "web", part("2024-03-01-a", read=2, kept=2))
    assert list(ledger.entries(store, "web")) == ["2024-03-01-a", "2024-03-02-b"]
    assert ledger.entry(store, "web", "2024-03-01-a") == part("2024-03-01-a", read=2, kept=2)
    ledger.forget(store, "web", "2024-03-02-b")
    ledger.forget(store, "web", "2024-03-02-b")
    assert ledger.entry(store, "web", "2024-03-02-b") is None
    assert list(ledger.entries(store, "web")) == ["2024-03-01-a"]


def test_sources_whose_names_begin_alike_are_kept_apart(store):
    ledger.record(store, "web", part("a"))
    complete(store, "web_shop", ["web"], part("b"))
    assert list(ledger.entries(store, "web")) == ["a"]
    assert ledger.summary(store, "web") == {}


def test_every_source_that_left_a_summary_is_listed_and_nothing_else(store):
    for name in ("web", "messages", "objects"):
        complete(store, name, [name], part("a", ("x", "2024-03-01", 1)))
        ledger.remember_objects(store, name, pl.DataFrame(schema=ledger.OBJECTS))
        ledger.remember_pieces(store, name, ledger.of_entry(part("a", ("x", "2024-03-01", 1))))
    store.replace("replay/@messages.json", b"{}")
    assert ledger.sources(store) == ["messages", "objects", "web"]


def test_a_source_that_is_dropped_leaves_nothing(store):
    complete(store, "web", ["web"])
    ledger.remember_objects(store, "web", pl.DataFrame(schema=ledger.OBJECTS))
    ledger.remember_pieces(store, "web", pl.DataFrame(schema=ledger.PIECES))
    ledger.drop(store, "web")
    assert store.list() == []


def test_rows_are_added_up_over_parts():
    parts = [part("a", read=5, kept=3, duplicate=1, rejected=1), part("b", read=2, kept=2)]
    expected = {"read": 7, "kept": 5, "duplicate": 1, "rejected": 1}
    assert ledger.total(each["rows"] for each in parts) == expected
    assert ledger.total([]) == dict.fromkeys(expected, 0)


def test_a_source_is_complete_only_among_the_sources_it_was_settled_with(store):
    complete(store, "web", ["web"])
    assert ledger.is_complete(store, "web", ["web"])
    assert not ledger.is_complete(store, "web", ["app", "web"])


@pytest.mark.parametrize("status", ["running", "failed", "unreadable"])
def test_only_a_complete_summary_is_trusted_to_list_the_parts(store, status):
    """It says what there was when it was written, and parts come and go afterwards."""
    first, second = part("a", ("x", "2024-03-01", 1)), part("b", ("y", "2024-03-02", 2))
    complete(store, "web", ["web"], first)
    ledger.remember_pieces(store, "web", ledger.of_entry(first))
    ledger.record(store, "web", second)
    assert list(ledger.parts(store, "web")) == ledger.pieces(store, "web")["part"].to_list() == ["a"]
    assert list(ledger.slices(store, "web")) == ["2024-03-01"]
    ledger.write_summary(store, "web", ledger.summary(store, "web") | {"status": status})
    assert list(ledger.parts(store, "web")) == ledger.pieces(store, "web")["part"].to_list() == ["a", "b"]
    assert list(ledger.slices(store, "web")) == ["2024-03-01", "2024-03-02"]
    assert not ledger.is_complete(store, "web", ["web"])


# --- fingerprints -------------------------------------------------------------------------------


def test_a_fingerprint_depends_on_the_content_alone():
    assert ledger.fingerprint({"a": 1, "b": [2]}) == ledger.fingerprint({"b": [2], "a": 1})
    assert ledger.fingerprint([1, "2"]) != ledger.fingerprint([1, 2])


def test_days_have_the_same_fingerprints_however_their_objects_are_cut_into_parts():
    day = "2024-03-01"
    whole = [part("a", ("x", day, 5), ("y", day, 4), ("z", "2024-03-02", 1))]
    cut = [
        part("c", ("y", day, 3, 1, None), ("z", "2024-03-02", 1)),
        part("b", ("x", day, 5), ("y", day, 1, 0, 1)),
    ]
    found = ledger.fingerprints(whole)
    assert list(found) == [day, "2024-03-02"]
    assert ledger.fingerprints(cut) == found


@pytest.mark.parametrize(
    "other",
    [
        [part("a", ("y", "2024-03-01", 5))],
        [part("a", ("x", "2024-03-01", 5), rules="others")],
        [part("a", ("x", "2024-03-01", 5)), part("b", ("y", "2024-03-01", 1))],
        [part("a", ("x", "2024-03-02", 5))],
    ],
    ids=["another object", "other rules", "one more object", "another day"],
)
def test_a_day_has_another_fingerprint_when_it_is_made_of_something_else(other):
    assert ledger.fingerprints(other) != ledger.fingerprints([part("a", ("x", "2024-03-01", 5))])


def test_an_object_without_a_row_that_counts_belongs_to_a_part_and_to_no_day(store):
    found = part("a", ("x", None, 0))
    assert ledger.fingerprints([found]) == {}
    assert ledger.of_entry(found).select("part", "path", "day", "rows").rows() == [("a", "x", None, 0)]

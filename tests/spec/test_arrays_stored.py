"""How arrays are read, however the lake stores them."""

import json
from datetime import timedelta

import polars as pl
import pytest

from populace import query
from populace.events import parts, shred
from populace.space import people, previews
from tests import driving
from tests.slicing import NOON, called
from tests.tables import AS_OF

SENT = [
    {
        "cart": {"items": [{"sku": "A", "n": 1.0}, {"sku": "é\"'", "n": {"m": 2}}, None]},
        "odd/~$": [{"a.b": "x"}],
        "n": 1,
    },
    {"cart": {"items": [{"sku": None}, ["A"]]}, "odd/~$": [{"a.b": ["y"]}, {"a": {"b": "z"}}], "n": 2},
    {"cart": {"items": []}, "tags": ["t", 10.0, 10, "10"], "n": [1, [2, 3]]},
    {"cart": {"items": "A"}, "tags": "t", "n": "10"},
    {"cart": None, "tags": [["t"], {}], "n": [[4], 1e2]},
    {"cart": {"items": {"sku": "A"}}, "tags": 7},
]
TRAITS = {
    "skus": "event('E').unique(property('cart.items.$.sku'))",
    "below": "event('E').sum(property('cart.items.$.n.m'))",
    "numbers": "event('E').sum(property('cart.items.$.n'))",
    "odd": r"event('E').first(property('odd/~$.$.a\.b'))",
    "odds": "event('E').last(property('odd/~$.$.a.b'))",
    "tags": "event('E').unique(property('tags'))",
    "often": "event('E').mode(property('tags'), 3)",
    "whole": "event('E').mode(property('tags') as array, 1)",
    "nested": "event('E').unique(property('n.$.$'))",
    "plain": "event('E').unique(property('n'))",
    "any": "event('E').where(property('cart.items.$.sku') = 'A').count()",
    "held": "event('E').where(property('tags').contains('10')).count()",
    "places": "event('E').unique(context('places'))",
}
EXPECTED = {
    "skus": ["A", "é\"'"],
    "below": 2.0,
    "numbers": 1.0,
    "odd": "x",
    "odds": "z",
    "tags": ["10", "7", "t"],
    "often": "10",
    "whole": ["t", "10", "10", "10"],
    "nested": ["2", "3", "4"],
    "plain": ["1", "10", "100", "2"],
    "any": 1,
    "held": 1,
    "places": ["de", "fr"],
}


def sent(*numbers):
    """Raw calls with these properties, a minute apart, beside some of another name."""
    calls = [
        {
            "message_id": f"m{number}",
            "timestamp": NOON + timedelta(minutes=number),
            "properties": json.dumps(SENT[number], ensure_ascii=number % 2 == 0),
            "context": json.dumps({"places": ["de", "fr"] if number % 2 else "fr"}),
        }
        for number in numbers
    ]
    return called(*calls, *({"message_id": f"f{each}", "event": "F", "properties": '{"n":1}'} for each in numbers))


@pytest.mark.parametrize("kind", ["typed", "rest", "rare"])
@pytest.mark.parametrize("files", [[range(6)], [[0, 1, 2, 3, 4], [5]], [[each] for each in range(6)]])
def test_a14_arrays_are_read_alike_however_they_are_stored(tmp_path, monkeypatch, kind, files):
    if kind == "rest":
        monkeypatch.setattr(shred, "MOST_COLUMNS", 1)
    if kind == "rare":
        monkeypatch.setattr(parts, "OWN_TABLES", 0)
    space = driving.space_in(tmp_path, traits=TRAITS)
    for at, numbers in enumerate(files):
        driving.put(space, "web", f"2024-03-01/{at}", sent(*numbers))
    run = driving.recomputed(space, AS_OF)
    kinds = {each["kind"] for each in outputs(space)}
    assert ("few" in kinds) == (kind == "rare")
    assert any("_rest" in each["columns"] for each in outputs(space)) == (kind != "typed")
    found = driving.table(space, run, "traits").drop("profile_id").row(0, named=True)
    assert {key: found[key] for key in EXPECTED} == EXPECTED


def outputs(space):
    summaries = driving.replay_all(space, AS_OF)
    entries = [entry for summary in summaries.values() for entry in summary["parts"].values()]
    return [each for entry in entries for each in entry["outputs"] if each["kind"] in ("events", "few")]


def test_only_files_with_arrays_are_looked_into(tmp_path, monkeypatch):
    """A definition without lists costs what it did, for DuckDB is asked for elements of arrays and of nothing else."""
    asked = []
    elements = people.FromJson.elements
    monkeypatch.setattr(
        people.FromJson, "elements", lambda self, *both, **path: asked.append(path) or elements(self, *both, **path)
    )
    space = driving.space_in(
        tmp_path, traits={"n": "event('F').unique(property('n'))", "s": "event('E').sum(property('n'))"}
    )
    driving.put(space, "web", "2024-03-01/0", sent(*range(6)))
    run = driving.recomputed(space, AS_OF)
    assert driving.table(space, run, "traits").rows(named=True)[0]["n"] == ["1"]
    assert asked == []


def test_what_is_no_array_is_not_read_by_duckdb(monkeypatch):
    monkeypatch.setattr(people, "JsonReader", None)
    values = pl.Series(["1", '"[1]"', None, "{}"])
    assert people.FromJson().elements(values, path="p.x.$").to_list() == [None] * 4


def test_preview_and_check_accept_lists(tmp_path):
    space = driving.space_in(tmp_path, traits={"places": TRAITS["places"]})
    driving.put(space, "web", "2024-03-01/0", sent(*range(6)))
    driving.recomputed(space, AS_OF)
    for key, text in TRAITS.items():
        assert [each["value"] for each in previews.preview(space, text=text).sample] == [EXPECTED[key]]
    found = previews.preview(space, text="event('E').where(property('cart.items.$.sku') = 'A').count() = 1")
    assert found.count == 1


@pytest.mark.parametrize("path", ["$.a", "$"])
def test_a_wildcard_follows_an_array(path):
    with pytest.raises(query.QueryError, match="follows the name of the array"):
        query.parse_trait(f"event('E').sum(property('{path}'))")
    with pytest.raises(query.QueryError, match="belongs in property"):
        query.parse_trait("event('E').sum(context('a.$.b'))")

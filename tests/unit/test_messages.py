"""The index of messages: which parts hold one, among however many."""

from random import Random

import numpy as np
import polars as pl
import pytest

from populace.lake import messages, objects
from populace.lake.messages import ARRAYS, INDEX, MOST_NUMBERS, Messages, hashes


def ids(*names):
    return pl.Series(names, dtype=pl.String)


def copies(store, **parts):
    """The path of the copies of each of these parts, whose messages are given."""
    for part, names in parts.items():
        objects.write_table(store, f"copies/{part}.parquet", pl.DataFrame({"message_id": ids(*names)}))
    return {part: f"copies/{part}.parquet" for part in parts}


def found(index, *names):
    """Which messages each part may hold."""
    return {part: sorted(names[at] for at in positions) for part, positions in index.find(hashes(ids(*names))).items()}


def contested(index):
    """Which keys several parts hold, and these parts."""
    shares = list(index.contested())
    keys = np.concatenate([keys for keys, _ in shares]).tolist()
    assert keys == sorted(set(keys))
    return set(keys), {part for _, parts in shares for part in parts}


# --- looking up and adding --------------------------------------------------------------------------


def test_every_part_that_holds_a_message_is_found(store):
    index = Messages(store, copies(store, a=["m1", "m2"], b=["m2", "m3"]))
    assert found(index, "m3", "m2", "m9") == {"a": ["m2"], "b": ["m2", "m3"]}
    assert found(index, "m9") == found(index) == {}


def test_an_empty_index_finds_nothing(store):
    index = Messages(store, {})
    assert found(index, "m1") == {}
    assert contested(index) == (set(), set())


def test_a_part_is_found_as_soon_as_it_is_added_and_until_it_is_forgotten(store):
    index = Messages(store, copies(store, a=["m1"]))
    index.add("b", hashes(ids("m1", "m2")))
    assert found(index, "m1", "m2") == {"a": ["m1"], "b": ["m1", "m2"]}
    index.forget("a")
    index.forget("never")
    assert found(index, "m1") == {"b": ["m1"]}
    assert contested(index) == (set(), set())


def test_a_part_that_is_added_again_holds_what_it_holds_now(store):
    index = Messages(store, copies(store, a=["m1", "m2"]))
    index.add("a", hashes(ids("m2", "m3")))
    assert found(index, "m1", "m2", "m3") == {"a": ["m2", "m3"]}
    assert contested(index) == (set(), set())


@pytest.mark.parametrize("large", [0, 10, 1_000_000], ids=["mapped", "partly mapped", "in memory"])
@pytest.mark.parametrize("largest", [0, 50, 1_000_000], ids=["never merged", "merged to a size", "merged"])
def test_it_finds_what_a_dictionary_finds(store, monkeypatch, large, largest):
    monkeypatch.setattr(messages, "IN_MEMORY", large or 1)
    monkeypatch.setattr(messages, "LARGEST", largest)
    chance, held = Random(large + largest), {}
    names = [f"m{number}" for number in range(60)]
    index = Messages(store, {})
    for turn in range(40):
        part = f"p{chance.randrange(12)}"
        if chance.random() < 0.2:
            held.pop(part, None)
            index.forget(part)
        else:
            held[part] = chance.sample(names, chance.randrange(1, 12))
            index.add(part, hashes(ids(*held[part])))
        if turn % 10 == 9:
            index.save()
            index.close()
            index = Messages(store, dict.fromkeys(held, "nowhere"))
        asked = chance.sample(names, 20)
        expected = {part: sorted({*mine} & {*asked}) for part, mine in held.items() if {*mine} & {*asked}}
        assert found(index, *asked) == expected
    several = {name for name in names if sum(name in mine for mine in held.values()) > 1}
    owners = {part for part, mine in held.items() if several & {*mine}}
    assert contested(index) == (set(hashes(ids(*several)).tolist()), owners)


def test_a_thousand_small_parts_make_few_arrays(store):
    index = Messages(store, {})
    for number in range(1_000):
        index.add(f"p{number}", hashes(ids(f"m{number}")))
    assert len(index.arrays) <= 11
    assert sum(len(each) for each in index.arrays) == 1_000
    assert found(index, "m0", "m777") == {"p0": ["m0"], "p777": ["m777"]}


def test_what_forgotten_parts_held_goes_when_arrays_are_merged(store):
    index = Messages(store, {})
    for number in range(64):
        index.add("p", hashes(ids(f"m{number}", f"n{number}")))
    assert sum(len(each) for each in index.arrays) < 16
    assert found(index, "m62", "n63") == {"p": ["n63"]}


# --- saved and opened again -------------------------------------------------------------------------


@pytest.fixture
def saved(store):
    """The paths of two parts' copies, and an index of them that was saved."""
    known = copies(store, a=["m1", "m2"], b=["m2", "m3"])
    index = Messages(store, known)
    index.save()
    index.close()
    return known


def test_what_was_saved_is_opened_again_without_reading_copies(store, saved):
    for path in saved.values():
        store.delete(path)
    assert found(Messages(store, saved), "m1", "m2") == {"a": ["m1", "m2"], "b": ["m2"]}


def test_parts_that_came_since_are_added_and_those_that_went_are_not_found(store, saved):
    now = {"b": saved["b"], **copies(store, c=["m2", "m4"])}
    store.delete(saved["b"])
    index = Messages(store, now)
    assert found(index, "m1", "m2", "m4") == {"b": ["m2"], "c": ["m2", "m4"]}
    assert contested(index)[1] == {"b", "c"}


def without_index(store):
    store.delete(INDEX)


def without_an_array(store):
    store.delete(store.list(ARRAYS)[0].path)


def of_another_polars(store):
    objects.write_json(store, INDEX, objects.read_json(store, INDEX) | {"probes": [1, 2, 3]})


def without_free_numbers(store):
    objects.write_json(store, INDEX, objects.read_json(store, INDEX) | {"next": MOST_NUMBERS})


@pytest.mark.parametrize("spoil", [without_index, without_an_array, of_another_polars, without_free_numbers])
def test_what_cannot_be_used_is_made_again(store, saved, spoil):
    spoil(store)
    index = Messages(store, saved)
    assert found(index, "m1", "m2", "m3") == {"a": ["m1", "m2"], "b": ["m2", "m3"]}
    assert index.next == 2
    index.save()
    assert sorted(objects.read_json(store, INDEX)["arrays"]) == [each.path for each in store.list(ARRAYS)]
    for path in saved.values():
        store.delete(path)
    assert found(Messages(store, saved), "m2") == {"a": ["m2"], "b": ["m2"]}


def test_what_replaced_and_killed_attempts_wrote_is_removed(store, saved):
    store.replace(f"{ARRAYS}00000007.npy", b"of an attempt that was killed")
    index = Messages(store, saved)
    index.add("c", hashes(ids("m1", "m5", "m6", "m7")))
    index.save()
    arrays = objects.read_json(store, INDEX)["arrays"]
    assert sorted(arrays) == [each.path for each in store.list(ARRAYS)]
    assert list(arrays) == [f"{ARRAYS}00000008.npy"]
    assert found(Messages(store, saved | {"c": "nowhere"}), "m1") == {"a": ["m1"], "c": ["m1"]}


def test_saving_twice_changes_nothing(store, saved):
    before = {each.path: store.read(each.path) for each in store.list()}
    Messages(store, saved).save()
    assert {each.path: store.read(each.path) for each in store.list()} == before


# --- messages that share a hash ----------------------------------------------------------------------


def test_messages_that_share_a_hash_are_candidates_of_each_other(store, monkeypatch):
    monkeypatch.setattr(messages, "hashes", lambda names: np.zeros(len(names), np.uint64))
    index = Messages(store, copies(store, a=["m1"], b=["m2", "m3"]))
    assert {part: sorted(at) for part, at in index.find(messages.hashes(ids("m1", "m9"))).items()} == {
        "a": [0, 1],
        "b": [0, 0, 1, 1],
    }
    assert contested(index) == ({0}, {"a", "b"})


def test_a_key_is_44_bits_with_room_for_the_number_of_a_part():
    keys = hashes(ids(*(f"m{number}" for number in range(10_000))))
    assert not (keys & messages.PART_MASK).any()
    assert len(set(keys.tolist())) == 10_000
    assert messages.matching(ids("m1", "x"), keys).to_list() == [True, False]

"""Identifiers that are found by walking through numbers, also where several have one number."""

from random import Random

import polars as pl
import pytest

from populace.sync.alignment import NUMBER, in_order, matched, merged
from populace.sync.states import IDENTIFIER, WANTED

COMPARED = (("value",), ("value", "profile_id"))


def rows(*given: tuple) -> pl.DataFrame:
    """(id_type, id_value, value, number); the person is called as the identifier is."""
    named = [(each[1], *each) for each in given]
    return pl.DataFrame(named, {**WANTED, NUMBER: pl.UInt64}, orient="row")


def some(chance: Random, numbers: int | None) -> pl.DataFrame:
    """Each identifier at most once; a number has several of them where `numbers` are few, and follows from it."""
    names = [(kind, f"u{each}") for kind in ("user_id", "email") for each in range(60)]
    given = [
        (f"p{chance.randrange(3)}", *name, chance.choice(["1", "2", None])) for name in names if chance.random() < 0.6
    ]
    chance.shuffle(given)
    frame = pl.DataFrame(given, WANTED, orient="row")
    if numbers is None:
        return in_order(frame)
    by_name = [sum(map(ord, kind + name)) % numbers for _, kind, name, _ in given]
    return in_order(frame.with_columns(pl.Series(NUMBER, by_name, pl.UInt64)))


@pytest.mark.parametrize("compared", COMPARED)
@pytest.mark.parametrize("numbers", [None, 1, 7, 1_000], ids=["own numbers", "one number", "few", "many"])
@pytest.mark.parametrize("seed", range(15))
def test_pairs_are_those_of_a_join(seed, numbers, compared):
    chance = Random(seed)
    wanted, held = some(chance, numbers), some(chance, numbers)
    is_same, is_wanted = matched(wanted, held, compared)
    same = wanted.join(held, on=[*IDENTIFIER, *compared], how="semi")
    known = held.join(wanted, on=IDENTIFIER, how="semi")
    assert sorted(wanted.filter(pl.Series(is_same)).rows(), key=str) == sorted(same.rows(), key=str)
    assert sorted(held.filter(pl.Series(is_wanted)).rows(), key=str) == sorted(known.rows(), key=str)


def found(wanted: pl.DataFrame, held: pl.DataFrame) -> tuple[list, list]:
    return tuple(each.tolist() for each in matched(in_order(wanted), in_order(held), ["value"]))


def test_identifiers_that_share_a_number_with_one_of_the_other_side_are_strangers():
    """No side repeats a number, and the values are equal: only the identifiers tell them apart."""
    assert found(rows(("email", "ann", "1", 5)), rows(("email", "bo", "1", 5))) == ([False], [False])
    assert found(rows(("email", "ann", "1", 5)), rows(("user_id", "ann", "1", 5))) == ([False], [False])


@pytest.mark.parametrize("is_turned", [False, True])
def test_two_of_one_number_on_either_side_find_their_own(is_turned):
    two, one = rows(("email", "ann", "1", 5), ("email", "bo", "2", 5)), rows(("email", "bo", "2", 5))
    expected = ([False, True], [True])
    assert found(*((one, two) if is_turned else (two, one))) == (expected[::-1] if is_turned else expected)


def test_a_null_equals_nothing():
    held = rows(("email", "ann", None, 1), ("email", "bo", None, 2))
    wanted = rows(("email", "ann", "1", 1), ("email", "bo", None, 2))
    assert found(wanted, held) == ([False, False], [True, True])


def test_a_null_equals_nothing_among_those_of_one_number():
    held = rows(("email", "ann", None, 1), ("email", "bo", None, 1))
    assert found(rows(("email", "ann", "1", 1), ("email", "bo", None, 1)), held) == ([False, False], [True, True])


def test_of_nothing_nothing_is_found():
    one, none = rows(("email", "ann", "1", 5)), rows()
    assert found(one, none) == ([False], [])
    assert found(none, one) == ([], [False])
    assert found(none, none) == ([], [])


def test_numbers_beyond_those_of_the_other_side():
    wanted = rows(("email", "a", "1", 1), ("email", "b", "1", 5), ("email", "c", "1", 2**64 - 1))
    assert found(wanted, rows(("email", "b", "1", 5))) == ([False, True, False], [True])


def test_rows_come_in_the_order_of_their_numbers_whatever_order_they_had():
    given = pl.DataFrame([("p", "email", f"u{each}", "1") for each in range(50)], WANTED, orient="row")
    ordered = in_order(given)
    assert ordered[NUMBER].is_sorted()
    assert in_order(given.reverse()).equals(ordered)
    assert in_order(ordered) is ordered
    assert sorted(ordered["id_value"]) == sorted(given["id_value"])


def test_what_is_merged_is_in_order_again():
    given = pl.DataFrame([("p", "email", f"u{each}", "1") for each in range(50)], WANTED, orient="row")
    both = merged(given[::2], given[1::2])
    assert both.columns == list(WANTED)
    assert both.equals(in_order(given).drop(NUMBER))
    assert merged(given, given.clear()).equals(both)

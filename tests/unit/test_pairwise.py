"""Pairwise precision and recall, against pairs counted by hand."""

import polars as pl
import pytest

from benchmarks import pairwise


def external_ids(**profiles: str) -> pl.DataFrame:
    """Profiles by id, each with its identifiers as words."""
    rows = [(profile, "email", value) for profile, values in profiles.items() for value in values.split()]
    return pl.DataFrame(rows, schema={"profile_id": str, "id_type": str, "id_value": str}, orient="row")


def truth(**persons: str) -> pl.DataFrame:
    rows = [("email", value, person) for person, values in persons.items() for value in values.split()]
    return pl.DataFrame(rows, schema={"identifier_type": str, "identifier_value": str, "person": str}, orient="row")


@pytest.mark.parametrize(
    ("profiles", "persons", "claimed", "true", "right"),
    [
        # ab, ac, bc and de on both sides
        ({"p": "a b c", "q": "d e"}, {"x": "a b c", "y": "d e"}, 4, 4, 4),
        # one profile for all: ab ac ad bc bd cd claimed; ab and cd are true
        ({"p": "a b c d"}, {"x": "a b", "y": "c d"}, 6, 2, 2),
        # nobody united: nothing claimed of ab ac bc
        ({"p": "a", "q": "b", "r": "c"}, {"x": "a b c"}, 0, 3, 0),
        # one put with the wrong people: ab, cd ce de claimed; ab ac bc, de true; ab and de right
        ({"p": "a b", "q": "c d e"}, {"x": "a b c", "y": "d e"}, 4, 4, 2),
        # c stands in no profile: ab claimed of ab ac bc
        ({"p": "a b"}, {"x": "a b c"}, 1, 3, 1),
        # z is unknown to the truth, so az and bz are nobody's business
        ({"p": "a b z"}, {"x": "a b"}, 1, 1, 1),
    ],
)
def test_pairs_are_those_counted_by_hand(profiles, persons, claimed, true, right):
    found = pairwise.score(external_ids(**profiles), truth(**persons))
    assert (found.claimed, found.true, found.right) == (claimed, true, right)


def test_rates_are_shares_of_pairs():
    found = pairwise.score(external_ids(p="a b", q="c d e f"), truth(x="a b c", y="d e f"))
    assert (found.claimed, found.true, found.right) == (1 + 6, 3 + 3, 1 + 3)
    assert found.precision == pytest.approx(4 / 7)
    assert found.recall == pytest.approx(4 / 6)


def test_identifiers_of_the_truth_that_no_profile_holds_are_counted():
    found = pairwise.score(external_ids(p="a b"), truth(x="a b c"))
    assert (found.identifiers, found.missing) == (3, 1)


def test_equal_values_of_two_types_are_two_identifiers():
    profiles = pl.DataFrame({"profile_id": ["p", "q"], "id_type": ["email", "name"], "id_value": ["a", "a"]})
    known = pl.DataFrame({"identifier_type": ["email", "name"], "identifier_value": ["a", "a"], "person": ["x", "x"]})
    found = pairwise.score(profiles, known)
    assert (found.identifiers, found.claimed, found.true, found.right) == (2, 0, 1, 0)


def test_nothing_claimed_is_not_wrong_and_nothing_to_find_is_found():
    alone = pairwise.score(external_ids(p="a", q="b"), truth(x="a", y="b"))
    assert (alone.precision, alone.recall) == (1, 1)
    empty = pairwise.score(external_ids(), truth())
    assert (empty.identifiers, empty.precision, empty.recall) == (0, 1, 1)


def test_large_profiles_are_counted_without_writing_their_pairs():
    many = [str(number) for number in range(200_000)]
    profiles = pl.DataFrame({"id_value": many}).select(
        pl.lit("p").alias("profile_id"), pl.lit("email").alias("id_type"), "id_value"
    )
    known = profiles.select(identifier_type="id_type", identifier_value="id_value", person="profile_id")
    assert pairwise.score(profiles, known).right == 200_000 * 199_999 // 2

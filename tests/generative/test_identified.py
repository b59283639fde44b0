"""By which identifiers people are told, for random tables of them, against plain Python."""

from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random

import polars as pl
import pytest

from populace import sync
from populace.definitions import Known
from tests.generative import delivery_oracle as oracle

pytestmark = pytest.mark.generative

BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
STRATEGIES = ("first", "last", "all")
KNOWN = [
    *(Known((("user_id", each),)) for each in STRATEGIES),
    *(
        Known((("email", one), ("user_id", other)), is_each)
        for one, other, is_each in product(STRATEGIES, STRATEGIES, [False, True])
    ),
    Known((("phone", "last"), ("email", "all"), ("user_id", "first")), is_each=True),
]


def table(chance: Random, people: int) -> pl.DataFrame:
    """Up to four identifiers of a person, and moments that often coincide."""
    rows = []
    for person in range(people):
        for number in range(chance.randrange(5)):
            collection = "accounts" if chance.random() < 0.05 else "users"
            id_type = chance.choice(["user_id", "user_id", "email", "anonymous_id"])
            added = BEGINNING + timedelta(days=chance.randrange(3))
            rows.append(
                (
                    f"p{person}",
                    collection,
                    id_type,
                    f"{chance.randrange(10)}-{person}-{number}",
                    added,
                    chance.choice("mn"),
                )
            )
    chance.shuffle(rows)
    columns = ("profile_id", "collection", "id_type", "id_value", "added_at", "message_id")
    schema = dict.fromkeys(columns, pl.String) | {"added_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, schema, orient="row")


@pytest.fixture(scope="module")
def external_ids() -> pl.DataFrame:
    return table(Random(7), 5_000)


@pytest.mark.parametrize("by", KNOWN, ids=str)
def test_people_are_told_by_the_identifiers_that_plain_python_finds(external_ids, by):
    expected = oracle.told(external_ids.iter_rows(named=True), by.types, by.is_each)
    found = sync.identified(external_ids.lazy(), by)
    people: dict[str, list] = {}
    for row in found.iter_rows(named=True):
        people.setdefault(row["profile_id"], []).append((row["id_type"], row["id_value"]))
    assert {person: sorted(each) for person, each in people.items()} == {
        p: sorted(each) for p, each in expected.items()
    }
    assert found.filter("is_first")["profile_id"].is_unique().all()
    assert found.filter("is_first").height == len(expected)

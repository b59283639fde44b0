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


# --- destinations that take several spellings for one person ------------------------------------------------


def upper_half(text: str) -> str | None:
    """Letters do not matter, and neither does the number behind a value; what begins with 0 names nobody."""
    return None if text.startswith("0") else text.rsplit("-", 1)[0].replace("p1", "P1")


@pytest.mark.parametrize("by", KNOWN, ids=str)
@pytest.mark.parametrize("normal", [{"email": upper_half}, {"email": upper_half, "user_id": lambda each: each[0]}])
def test_people_are_told_by_their_spelled_identifiers_that_plain_python_finds(external_ids, by, normal):
    """Spelling every row beforehand, and leaving out what names nobody, is the same."""
    rows = [
        row | {"id_value": normal[row["id_type"]](row["id_value"]) if row["id_type"] in normal else row["id_value"]}
        for row in external_ids.iter_rows(named=True)
    ]
    expected = oracle.told((row for row in rows if row["id_value"]), by.types, by.is_each)
    found = sync.identified(external_ids.lazy(), by, normal)
    people: dict[str, list] = {}
    for row in found.iter_rows(named=True):
        people.setdefault(row["profile_id"], []).append((row["id_type"], row["id_value"]))
    assert {person: sorted(each) for person, each in people.items()} == {
        person: sorted(set(each)) for person, each in expected.items()
    }
    assert found.filter("is_first").height == len(expected)


def test_what_is_spelled_as_it_is_written_is_told_as_without_spelling(external_ids):
    for by in KNOWN:
        same = sync.identified(external_ids.lazy(), by, {"email": str, "user_id": str})
        assert same.sort(same.columns).equals(sync.identified(external_ids.lazy(), by).sort(same.columns))


@pytest.mark.parametrize("seed", range(5))
def test_of_people_under_one_identifier_one_is_told_and_everybody_is_counted(external_ids, seed):
    """Values and members under shared identifiers, against plain Python."""
    chance, by = Random(seed), KNOWN[seed]
    normal = {"email": lambda each: each[:3], "user_id": lambda each: each[:3]}
    profiles = [f"p{each}" for each in range(5_000)]
    plans = [chance.choice(["gold", "free", None]) for _ in profiles]
    buyers = chance.sample(profiles, 500)
    found = sync.identified(external_ids.lazy(), by, normal)
    traits = pl.LazyFrame({"profile_id": profiles, "plan": plans})
    members = pl.LazyFrame({"audience": "buyers", "profile_id": buyers})
    desired = sync.Desired(found, traits, members, is_shared=True)
    people: dict[str, list] = {}
    for profile, *who, _ in found.sort("profile_id").select("profile_id", "id_type", "id_value", "is_first").rows():
        people.setdefault(profile, []).append(tuple(who))
    for kind, key, values in [
        ("trait", "plan", {p: f'"{v}"' for p, v in zip(profiles, plans, strict=True) if v}),
        ("audience", "buyers", dict.fromkeys(buyers, "true")),
    ]:
        wanted = desired.of(sync.Computation(kind, key, "property"))
        expected: dict[tuple, tuple] = {}
        for profile in sorted(people):
            for who in people[profile] if profile in values else []:
                expected.setdefault(who, (profile, values[profile]))
        rows = wanted.rows.select("id_type", "id_value", "profile_id", "value").rows()
        assert {(a, b): (c, d) for a, b, c, d in rows} == expected
        assert len(rows) == len(expected)
        assert wanted.without == sum(profile not in people for profile in values)

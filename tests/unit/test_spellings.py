"""One spelling for each person, where a destination takes several for one."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from populace import sync
from populace.definitions import Known
from populace.sync import spellings
from tests.states import external_ids

EARLY = datetime(2024, 1, 1, tzinfo=UTC)
BUYERS = sync.Computation("audience", "buyers", "list")
PLAN = sync.Computation("trait", "plan", "property")


def email(text: str) -> str | None:
    """In small letters; what has no @ is none."""
    return text.strip().lower() if "@" in text else None


NORMAL = {"email": email}


def told(people: pl.LazyFrame, by: Known, normal: spellings.Normal = NORMAL) -> list[tuple]:
    found = sync.identified(people, by, normal)
    return sorted(found.select("profile_id", "id_type", "id_value", "is_first").rows())


LAST = Known((("email", "last"),))
ALL = Known((("email", "all"),))
EITHER = Known((("email", "last"), ("user_id", "last")))


@pytest.mark.parametrize("strategy", ["first", "last", "all"])
def test_equal_spellings_of_one_person_are_one(strategy):
    people = external_ids(("p1", "email", "Ann@x.org", 1, "m1"), ("p1", "email", "ann@X.org", 2, "m2"))
    assert told(people, Known((("email", strategy),))) == [("p1", "email", "ann@x.org", True)]


def test_which_value_counts_follows_from_when_any_of_its_spellings_was_added():
    rows = [("Ann@x.org", 1), ("bo@x.org", 2), ("ann@x.org", 3)]
    people = external_ids(*(("p1", "email", each, day, "m") for each, day in rows))
    assert told(people, LAST) == told(people, Known((("email", "first"),))) == [("p1", "email", "ann@x.org", True)]


def test_what_names_nobody_is_no_identifier_and_another_type_stands_in():
    people = external_ids(("p1", "email", "nonsense", 9, "m"), ("p1", "user_id", "Ann", 1, "m"))
    assert told(people, EITHER) == [("p1", "user_id", "Ann", True)]
    assert told(people, LAST) == []
    older = external_ids(("p1", "email", "nonsense", 9, "m"), ("p1", "email", "A@x.org", 1, "m"))
    assert told(older, LAST) == [("p1", "email", "a@x.org", True)]


def test_types_that_are_not_named_stay_as_they_are():
    people = external_ids(("p1", "user_id", "Ann", 1, "m"), ("p2", "user_id", "ann", 1, "m"))
    both = Known((("user_id", "last"),))
    assert (
        told(people, both) == told(people, both, {}) == [("p1", "user_id", "Ann", True), ("p2", "user_id", "ann", True)]
    )


# --- two people under one spelling --------------------------------------------------------------------


def shared(plans: list[str | None], buyers: list[str]) -> sync.Desired:
    """p1 and p2 have one address, p2 another beside it, and p3 none."""
    addresses = [("p1", "Ann@x.org"), ("p2", "ann@x.org"), ("p2", "bo@x.org")]
    people = external_ids(*((who, "email", each, day, "m") for day, (who, each) in enumerate(addresses, start=1)))
    found = sync.identified(people, ALL, NORMAL)
    assert spellings.is_shared(found)
    traits = pl.LazyFrame({"profile_id": ["p1", "p2", "p3"], "plan": plans})
    rows = [("buyers", each) for each in buyers]
    members = pl.LazyFrame(rows, {"audience": pl.String, "profile_id": pl.String}, orient="row")
    return sync.Desired(found, traits, members, is_shared=True)


def values(wanted: sync.Wanted) -> list[tuple]:
    return sorted(wanted.rows.select("id_value", "profile_id", "value").rows())


@pytest.mark.parametrize(
    ("plans", "expected"),
    [
        (["gold", "free", None], [("ann@x.org", "p1", '"gold"'), ("bo@x.org", "p2", '"free"')]),
        ([None, "free", None], [("ann@x.org", "p2", '"free"'), ("bo@x.org", "p2", '"free"')]),
        (["gold", None, None], [("ann@x.org", "p1", '"gold"')]),
        ([None, None, None], []),
    ],
)
def test_a_value_is_that_of_the_first_profile_that_has_one(plans, expected):
    found = shared(plans, []).of(PLAN)
    assert (values(found), found.without) == (expected, 0)


@pytest.mark.parametrize(
    ("buyers", "expected"),
    [
        (["p1"], [("ann@x.org", "p1")]),
        (["p2"], [("ann@x.org", "p2"), ("bo@x.org", "p2")]),
        (["p1", "p2"], [("ann@x.org", "p1"), ("bo@x.org", "p2")]),
        ([], []),
    ],
)
def test_a_member_is_who_is_one_by_either_profile(buyers, expected):
    found = shared([None] * 3, buyers).of(BUYERS)
    assert values(found) == [(*each, "true") for each in expected]


def test_who_is_told_under_an_identifier_of_somebody_else_has_one_and_who_has_none_is_counted():
    found = shared(["gold", "free", "free"], ["p1", "p2", "p3"])
    assert (found.of(PLAN).without, found.of(BUYERS).without) == (1, 1)
    changes = sync.changes(PLAN, found.of(PLAN), sync.HELD.to_frame())
    account = sync.summary(changes.desired, changes.without, changes.records, {"delivered": changes.records.height})
    assert (account["computed"], account["to_set"], account["no_identifier"]) == (3, 2, 1)


def test_a_count_that_is_gone_is_zero_once():
    found = shared([None] * 3, [])
    held = held_rows(("ann@x.org", "5"))
    (record,) = sync.changes(PLAN, sync.NOTHING, held, zeros=found.told).records.rows(named=True)
    assert (record["profile_id"], record["value"]) == ("p1", "0")


# --- the ledger -----------------------------------------------------------------------------------------


def held_rows(*rows: tuple[str, Any], at: datetime | None = EARLY) -> pl.DataFrame:
    told_of = [(f"p{number}", "email", who, value, at) for number, (who, value) in enumerate(rows, start=1)]
    return pl.DataFrame(told_of, sync.HELD, orient="row")


def spelled(*rows: tuple[str, Any]) -> list[tuple]:
    return spellings.held(held_rows(*rows), NORMAL).select("profile_id", "id_value", "value", "at").rows()


def test_the_ledger_is_spelled_as_the_destination_spells():
    assert spelled(("Ann@x.org", '"gold"'), ("bo@x.org", "5")) == [
        ("p1", "ann@x.org", '"gold"', EARLY),
        ("p2", "bo@x.org", "5", EARLY),
    ]


def test_two_spellings_with_one_value_are_one_row_and_with_two_in_doubt():
    assert spelled(("Ann@x.org", "5"), ("ann@x.org", "5")) == [("p1", "ann@x.org", "5", EARLY)]
    assert spelled(("Ann@x.org", "5"), ("ann@x.org", "6")) == [("p1", "ann@x.org", None, EARLY)]
    assert spelled(("Ann@x.org", "5"), ("ann@x.org", None)) == [("p1", "ann@x.org", None, EARLY)]


def test_what_names_nobody_stays_in_the_ledger_so_that_it_can_be_taken_back():
    assert spelled(("nonsense", "5"), ("Nonsense", "5")) == [
        ("p1", "nonsense", "5", EARLY),
        ("p2", "Nonsense", "5", EARLY),
    ]


def test_of_records_that_wait_under_two_spellings_the_last_is_kept():
    told_of = {"kind": "trait", "key": "plan", "form": "property", "id_type": "email"}
    rows = [("Ann@x.org", "1"), ("ann@x.org", "2"), ("bo@x.org", "3")]
    frame = pl.DataFrame([{**told_of, "id_value": who, "value": value} for who, value in rows])
    assert spellings.queued(frame, NORMAL).select("id_value", "value").rows() == [("ann@x.org", "2"), ("bo@x.org", "3")]
    assert spellings.queued(frame, {}).equals(frame)

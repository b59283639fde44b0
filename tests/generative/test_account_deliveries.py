"""What users are told of their accounts, against plain Python: any links, any values, any members."""

import os
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from populace import sync
from tests.deliveries import linked
from tests.states import NEWEST, external_ids, members

pytestmark = pytest.mark.generative

budget = settings(
    max_examples=int(os.environ.get("POPULACE_EXAMPLES", "100")),
    derandomize="POPULACE_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
)

USERS = [f"use_{each}" for each in range(5)]
ACCOUNTS = [f"acc_{each}" for each in range(4)]
SEATS = sync.Computation("trait", "seats", "property")
LARGES = sync.Computation("audience", "larges", "property")

Links = dict[tuple[str, str], int]  # (user, account): day of March

links = st.dictionaries(st.tuples(st.sampled_from(USERS), st.sampled_from(ACCOUNTS)), st.integers(1, 3))
values = st.dictionaries(st.sampled_from(ACCOUNTS), st.sampled_from([None, 1.0, 2.5, float("inf"), float("nan")]))
inside = st.sets(st.sampled_from(ACCOUNTS))
known = st.sets(st.sampled_from(USERS))


@budget
@given(links, values, inside, known)
def test_users_are_told_what_plain_python_says(
    given_links: Links, seats: dict[str, float | None], larges: set[str], people: set[str]
):
    table = pl.LazyFrame(
        {"profile_id": list(seats), "seats": list(seats.values())}, {"profile_id": pl.String, "seats": pl.Float64}
    )
    found = sync.Linked.of_run(
        sync.identified(external_ids(*((each, "user_id", f"of {each}", 1, "m") for each in sorted(people))), NEWEST),
        linked(*((user, account, day) for (user, account), day in given_links.items())).lazy(),
        table,
        members(larges=sorted(larges), others=ACCOUNTS),
    )
    assert told(found.of(SEATS)) == expected(people, had(given_links, seats))
    assert told(found.of(LARGES)) == expected(people, dict.fromkeys(users_of(given_links, larges), "true"))


def had(given_links: Links, seats: dict[str, float | None]) -> dict[str, str]:
    """Each user's value: of the account that has one and was linked last, or sorts last."""
    texts = {1.0: "1", 2.5: "2.5"}
    ordered = sorted((day, account, user) for (user, account), day in given_links.items())
    return {user: texts[seats[account]] for _, account, user in ordered if seats.get(account) in texts}


def users_of(given_links: Links, larges: set[str]) -> set[str]:
    return {user for user, account in given_links if account in larges}


def expected(people: set[str], by_user: dict[str, str]) -> tuple[dict[str, str], int]:
    """The values of those who have an identifier, and how many others have one."""
    return {f"of {user}": each for user, each in by_user.items() if user in people}, len(by_user.keys() - people)


def told(wanted: sync.Wanted) -> tuple[dict[str, Any], int]:
    rows = wanted.rows.select("id_value", "value").rows()
    assert len(rows) == len(dict(rows))
    return dict(rows), wanted.without

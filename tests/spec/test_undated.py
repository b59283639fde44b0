"""Values that are compared with dates and are none: false, and counted (5.4)."""

import json

import pytest

from populace import query
from populace.lake import runs
from populace.space import previews, views
from tests import driving
from tests.slicing import NOON, called
from tests.tables import AS_OF

AUDIENCES = {
    "renewing": "trait('renewal').within_next(14 days)",
    "early": "event('E').where(property('due').before_date(2024-06-30)).count() >= 1",
    "recent": "event('E').where(property('due').after_date(2024-01-01)).within(1 day).count() >= 1",
    "plain": "event('E').where(property('due').exists()).count() >= 1",
    "followed": (
        "event('E').where(event('F').where(property(parent: 'due').after_date(2020-01-01)).count() >= 1).count() >= 1"
    ),
}


def call(number, due, **more):
    return {"message_id": f"m{number}", "received_at": NOON, "properties": json.dumps({"due": due}), **more}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    space = driving.space_in(tmp_path_factory.mktemp("undated"), audiences=AUDIENCES)
    dues = ["2024-05-01", "soon", "2024-05-01T12:00:00", 7, None, "2024-02-30"]
    renewals = [{"renewal": "2024-04-01"}, {"renewal": "April"}, {"other": 1}]
    identified = [
        call(f"i{number}", None, type="identify", user_id=f"u{number}", traits=json.dumps(traits))
        for number, traits in enumerate(renewals)
    ]
    driving.put(space, "web", "a", called(*(call(number, due) for number, due in enumerate(dues)), *identified))
    return space, driving.recomputed(space, AS_OF)


def test_what_is_no_date_is_found_by_what_it_is_compared_as():
    assert {key: list(query.undated(query.parse_audience(text))) for key, text in AUDIENCES.items()} == {
        "renewing": ["trait('renewal')"],
        "early": ["property('due') of event('E')"],
        "recent": ["property('due') of event('E').within(1 day)"],
        "plain": [],
        "followed": ["property('due') of event('E')"],
    }


def test_what_is_no_date_is_counted_with_the_run(ran):
    space, run_id = ran
    counted = [
        {"value": "property('due') of event('E')", "counted": "events", "count": 4},
        {"value": "trait('renewal')", "counted": "profiles", "count": 1},
    ]
    assert runs.manifest(space.lake, run_id)["undated"] == counted
    (shown,) = [row for row in views.status(space) if row["about"] == "run"]
    assert shown["undated"] == counted


def test_what_is_counted_is_in_no_audience_and_no_trait(ran):
    space, run_id = ran
    assert runs.manifest(space.lake, run_id)["audiences"] == {
        "early": 1, "followed": 0, "plain": 1, "recent": 0, "renewing": 1,
    }  # fmt: skip
    assert driving.table(space, run_id, "traits").columns == ["profile_id"]


def test_a_preview_says_how_many_are_no_dates(ran):
    space, _ = ran
    found = previews.preview(space, "renewing")
    assert found.undated == [{"value": "trait('renewal')", "counted": "profiles", "count": 1}]
    trait = previews.preview(space, text="event('E').where(property('due').before_date(2024-06-30)).count()")
    assert [each["count"] for each in trait.undated] == [4]
    assert previews.preview(space, "plain").undated == []

"""The demo's archive through the whole engine, against what the demo knows of the people it made up."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from demo import events, people
from demo.rhythm import Span
from populace.space import views
from tests.demos import Demo

AS_OF = datetime(2026, 9, 23, tzinfo=UTC)
EVENTS = 5_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return Demo(tmp_path_factory.mktemp("demo"), AS_OF, EVENTS)


@pytest.fixture(scope="module")
def owned(demo):
    """Every identifier of the graph with its profile and, where it is somebody's, the person."""
    truth = people.truth(AS_OF, events=EVENTS)
    found = demo.table("external_ids").select("profile_id", "id_type", "id_value")
    return found.join(truth, on=["id_type", "id_value"], how="left")


def test_every_row_is_kept_a_duplicate_or_rejected_as_the_demo_meant_it(demo):
    expected = {row.pop("source"): row for row in events.outcomes(demo.counts).rows(named=True)}
    assert {name: summary["rows"] for name, summary in demo.summaries.items()} == expected
    assert all(rows["duplicate"] and rows["rejected"] for rows in expected.values())


def test_every_fault_of_the_demo_has_its_reason(demo):
    meant = sum(demo.counts, Counter())
    reasons = {name: views.reasons(summary) for name, summary in demo.summaries.items()}
    faults = {
        "no_identifier": "no_user_anon_id",
        "no_event": "event_not_defined",
        "no_message_id": "message_id_required",
        "long_message_id": "message_id_too_long",
        "unknown_type": "type_unknown",
        "unreadable_timestamp": "timestamp_invalid",
    }
    for source, found in reasons.items():
        assert found.pop("properties_not_object", 0) == sum(
            meant[source, kind] for kind in ("array_properties", "text_properties", "invalid_properties")
        )
        assert found == {reason: meant[source, kind] for kind, reason in faults.items() if meant[source, kind]}


def test_every_slice_is_complete(demo):
    assert {summary["status"] for summary in demo.summaries.values()} == {"complete"}
    assert all(len(summary["slices"]) >= 55 for summary in demo.summaries.values())


def test_what_people_share_keeps_nobody_together(demo, owned):
    world = people.settle(Span.ending(AS_OF, EVENTS, 7))
    stays = world.browsers.group_by("anonymous_id").agg(pl.col("person").unique().sort()).get_column("person").to_list()
    owners = world.persons.with_row_index().filter(pl.col("email") == people.MAILBOX, pl.col("customer_at") < 2**62)
    shared = {tuple(each) for each in stays if len(each) > 1} | {tuple(owners["index"].to_list())}
    assert Counter(map(len, shared)).keys() == {2, people.MAILBOX_OWNERS}
    together = owned.drop_nulls("person").group_by("profile_id").agg(pl.col("person").n_unique())
    assert together["person"].unique().to_list() == [1]
    assert set(demo.table("violations")["kind"]) == {"value_blocked", "value_limit_exceeded"}


def test_all_linked_identifiers_of_a_person_are_one_profile(owned):
    profiles = owned.filter("is_linked").group_by("person").agg(pl.col("profile_id").n_unique())
    assert profiles["profile_id"].unique().to_list() == [1]


def test_browsers_in_which_nobody_logged_in_are_profiles_of_their_own(owned):
    unlinked = owned.filter(~pl.col("is_linked")).join(owned, on="profile_id")
    assert not unlinked.is_empty()
    assert unlinked["id_value"].equals(unlinked["id_value_right"])


def test_nobody_is_known_but_the_people_of_the_demo(owned):
    assert owned.filter(pl.col("person").is_null())["id_value"].to_list() == [people.MAILBOX]


def test_the_new_users_of_seven_days_are_those_who_signed_up_in_them(demo):
    signed_up = events.sign_ups(AS_OF, events=EVENTS).filter(
        pl.col("signed_up_at").is_between(AS_OF - timedelta(days=7), AS_OF, closed="both")
    )
    known = demo.table("external_ids").filter(id_type="user_id").select("profile_id", user_id="id_value")
    expected = signed_up.join(known, on="user_id", how="left")["profile_id"]
    members = demo.table("memberships").filter(audience="new_users_7_days")["profile_id"]
    assert expected.len() >= 5
    assert sorted(members) == sorted(set(expected))


def test_the_last_treatment_is_that_of_the_newest_impression(demo):
    kept = pl.concat(
        [
            pl.read_parquet(demo.space.lake.url(output["path"]))
            for entry in demo.summaries["split"]["parts"].values()
            for output in entry["outputs"]
            if output["table"] == "get_treatment"
        ],
        how="diagonal_relaxed",
    )
    flag = kept.filter(pl.col("p.split") == "back_end_roll_algorithm", pl.col("timestamp") <= AS_OF)
    owners = demo.table("sightings")
    newest = (
        flag.join(owners, on="sighting").sort("timestamp", "received_at", "message_id").group_by("profile_id").last()
    )
    traits = demo.table("traits").select("profile_id", "back_end_roll_algorithm").drop_nulls()
    assert dict(traits.rows()) == dict(newest.select("profile_id", "p.treatment").rows())
    assert traits.height > 10

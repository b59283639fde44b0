"""Mixpanel: properties and events as they arrive there, failures that hide behind 200 and 400, reading back."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.mixpanel import Mixpanel
from demo.vendors.server import serve
from populace.definitions import Destination
from populace.destinations import mixpanel
from populace.destinations.protocol import Verdict
from populace.space import OpenSpace
from tests.deliveries import QUICK, ledger, open_space, publish
from tests.deliveries import outcomes as outcomes_of
from tests.deliveries import send as deliver
from tests.reading import held, users
from tests.sent import opened, outcomes, record, send

PEOPLE = [f"u{each:03d}" for each in range(200)]


@pytest.fixture
def vendor() -> Iterator[Mixpanel]:
    with serve(Mixpanel()) as found:
        yield found


@pytest.fixture
def space(tmp_path: Path, vendor: Mixpanel) -> OpenSpace:
    """Twenty people with a plan, the first ten of them buyers."""
    space = open_space(tmp_path, Destination("crm", "mixpanel", tuple(vendor.settings.items())), "plan", "buyers")
    publish(space, 1, {"profile_id": PEOPLE[:20], "plan": ["gold"] * 20}, {"buyers": PEOPLE[:10]})
    return space


def told(vendor: Mixpanel, *records: dict[str, Any], **settings: str) -> list[Verdict]:
    with opened(mixpanel, {**vendor.settings, **settings}) as sender:
        return send(sender, list(records))


def entered(people: list[str]) -> list[dict[str, Any]]:
    return [record(each, "buyers", "true", form="event") for each in people]


def test_a_first_sync_tells_everything_and_the_next_only_what_changed(space: OpenSpace, vendor: Mixpanel):
    assert outcomes_of(deliver(space)) == {"delivered": 30}
    assert vendor.properties("plan") == dict.fromkeys(PEOPLE[:20], "gold")
    assert vendor.members("buyers") == set(PEOPLE[:10])
    assert len(vendor.calls) == 1
    plans = {"profile_id": PEOPLE[:20], "plan": [None, *["gold"] * 19]}
    publish(space, 2, plans, {"buyers": PEOPLE[:9]})
    assert outcomes_of(deliver(space)) == {"delivered": 2, "unchanged": 28}
    assert vendor.properties("buyers") == dict.fromkeys(PEOPLE[:9], True) | {"u009": False}
    assert "plan" not in vendor.profiles["u000"]
    assert "u000" in vendor.profiles


def test_what_one_person_gets_and_loses_is_told_in_one_request(vendor: Mixpanel):
    told(vendor, record("ann", "plan"), record("ann", "city", '"Rome"'))
    told(vendor, record("ann", "plan", None), record("ann", "city", '"Bern"'), record("ann", "buyers", "false"))
    assert vendor.profiles == {"ann": {"city": "Bern", "buyers": False}}
    assert len(vendor.calls) == 2


def test_the_place_of_our_server_is_nobodys(vendor: Mixpanel):
    told(vendor, record("ann"))
    assert vendor.properties("$city") == {}
    told(vendor, record("ann"), ip="")
    assert vendor.properties("$city") == {"ann": "where the server is"}


def test_events_are_imported_with_the_instant_of_the_run(vendor: Mixpanel):
    left = record("ann", "buyers", "false", form="event", message_id="m-2")
    assert outcomes(told(vendor, *entered(["ann"]), left, *entered(["bo"]))) == {"delivered": 3}
    assert vendor.happened("buyers") == Counter({("ann", True): 1, ("ann", False): 1, ("bo", True): 1})
    assert {each["properties"]["time"] for each in vendor.events.values()} == {1_709_251_200_000}


def test_a_repeated_event_is_known_by_its_id(vendor: Mixpanel):
    vendor.script = ["lost", "reset"]
    assert outcomes(told(vendor, *entered(PEOPLE))) == {"delivered": 200}
    assert set(vendor.happened("buyers").values()) == {1}
    assert max(vendor.seen.values()) > 1
    assert len(vendor.calls) >= 3


def test_peer_defect_two_hundred_is_not_success(space: OpenSpace, vendor: Mixpanel):
    # One of twenty people is wrong, and the answer is 200 with one error for all: it is found, and the others are told.
    vendor.unwanted = {"u007"}
    summary = deliver(space)
    assert summary["status"] == "partial"
    assert outcomes_of(summary) == {"delivered": 28, "invalid": 2}
    assert set(vendor.profiles) == set(PEOPLE[:20]) - {"u007"}
    assert len(ledger(space).letters()) == 2


def test_a_token_of_no_project_is_not_success(space: OpenSpace, vendor: Mixpanel):
    sent = vendor.settings["token"]
    vendor.token = "another"
    summary = deliver(space)
    assert summary["status"] == "paused"
    assert len(vendor.calls) == 1
    assert sent not in str(summary) + str(ledger(space).report())


def test_events_that_failed_are_named_and_the_others_are_in(vendor: Mixpanel):
    vendor.unwanted = {"u003", "u150"}
    found = told(vendor, *entered(PEOPLE))
    assert [at for at, each in enumerate(found) if each.outcome != "delivered"] == [3, 150]
    assert {found[at].reason for at in (3, 150)} == {"named in the answer: properties.distinct_id"}
    assert len(vendor.calls) == 1
    assert len(vendor.events) == 198


def test_an_import_that_counts_fewer_is_not_believed(vendor: Mixpanel):
    vendor.forgetful = True
    with opened(mixpanel, vendor.settings, replace(QUICK, window=0.1)) as sender:
        assert outcomes(send(sender, entered(["ann", "bo"]))) == {"unknown": 2}
    assert set(vendor.happened("buyers").values()) == {1}


@pytest.mark.parametrize("script", [[429, 429], [500, "html"], ["page", "late"], [413], [401]], ids=str)
def test_mischief_ends_in_the_desired_state(vendor: Mixpanel, script: list[Any]):
    vendor.script = list(script)
    records = [each for name in PEOPLE[:20] for each in (record(name), *entered([name]))]
    assert outcomes(told(vendor, *records)) == {"delivered": 40}
    assert vendor.properties("plan") == dict.fromkeys(PEOPLE[:20], "gold")
    assert set(vendor.happened("buyers").values()) == {1}
    assert vendor.most_per_person == 1


def test_a_service_account_imports_and_a_wrong_one_pauses(vendor: Mixpanel):
    assert outcomes(told(vendor, *entered(["ann"]), **vendor.service_settings)) == {"delivered": 1}
    wrong = {**vendor.service_settings, "service_secret": "wrong"}
    assert outcomes(told(vendor, *entered(["bo"]), **wrong)) == {"refused": 1}


def test_identifiers_of_nobody_are_not_sent(vendor: Mixpanel):
    found = told(vendor, record("undefined"), record("Anonymous"), record("ann"))
    assert [each.outcome for each in found] == ["invalid", "invalid", "delivered"]
    assert set(vendor.profiles) == {"ann"}


def test_requests_keep_to_what_the_smallest_limit_says(vendor: Mixpanel):
    vendor.most_bytes = 2_000_000
    found = told(vendor, *(record(each, "note", f'"{"x" * 90_000}"') for each in PEOPLE[:40]))
    assert outcomes(found) == {"delivered": 40}
    assert {len(each.headers.get("content-encoding", "")) for each in vendor.calls} == {0}
    too_large = told(vendor, record("ann", "note", f'"{"x" * 1_000_000}"'), record("ann"))
    assert [each.outcome for each in too_large] == ["too_large", "delivered"]


# --- reading back -------------------------------------------------------------------------------------


def test_values_are_read_back_page_by_page(vendor: Mixpanel):
    told(vendor, *(record(each, "orders_count", str(at)) for at, each in enumerate(PEOPLE[:70])))
    vendor.page_size = 30
    found = held(mixpanel, vendor.service_settings, "orders_count", users(PEOPLE[:120]))
    assert found == [("user_id", each, at) for at, each in enumerate(PEOPLE[:70])]  # zero is a value too
    assert vendor.queries == 60 - 3


def test_whoever_is_no_member_is_not_held(vendor: Mixpanel):
    told(vendor, record("ann", "buyers", "true"), record("bo", "buyers", "false"))
    people = [("email", "ann"), ("user_id", "bo"), ("user_id", "nobody")]
    assert held(mixpanel, vendor.service_settings, "buyers", people) == [("email", "ann", True)]


def test_reading_needs_a_service_account(vendor: Mixpanel):
    found = held(mixpanel, vendor.settings, "plan", users(["ann"]))
    assert isinstance(found, Verdict)
    assert found.outcome == "refused"
    assert "service_account" in found.reason
    assert vendor.calls == []


@pytest.mark.parametrize(("answer", "outcome"), [(401, "refused"), (402, "refused"), ("page", "unknown")])
def test_what_cannot_be_read_is_nothing_that_is_held(vendor: Mixpanel, answer: Any, outcome: str):
    vendor.script = [answer]
    found = held(mixpanel, vendor.service_settings, "plan", users(["ann"]))
    assert isinstance(found, Verdict)
    assert found.outcome == outcome


def test_queries_of_an_hour_are_paced_and_a_429_is_told(vendor: Mixpanel):
    vendor.queries = 0
    found = held(mixpanel, vendor.service_settings, "plan", users(["ann"]))
    assert isinstance(found, Verdict)
    assert found.outcome == "throttled"
    assert mixpanel.limits(vendor.settings).rates["api/query/engage"] == 60 / 3_600


@pytest.mark.parametrize("region", ["us", "eu", "in"])
def test_a_region_has_an_address_for_writing_and_one_for_reading(region: str):
    settings = {"token": "t", "region": region, "service_account": "s", "service_secret": "x", "project_id": "1"}
    request = next(mixpanel.held("plan", "property", users(["ann"]), None, settings))
    start = "https://" if region == "us" else f"https://{region}."
    assert request.url == f"{start}mixpanel.com/api/query/engage?project_id=1"
    assert mixpanel.account(settings).startswith(f"https://api{'' if region == 'us' else f'-{region}'}.mixpanel.com ")


def test_an_account_can_be_told_before_the_region_is_known():
    written = {"token": "${TOKEN}", "region": "${REGION}"}
    assert mixpanel.problems(written) == []
    assert mixpanel.account(written) != mixpanel.account({**written, "region": "eu"})

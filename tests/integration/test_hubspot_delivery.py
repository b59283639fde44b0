"""HubSpot: what arrives there, what it refuses and how it says so, and its lists."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from demo.vendors.hubspot import TOKEN, HubSpot
from demo.vendors.server import Call, serve
from populace.definitions import Bounds
from populace.destinations import hubspot
from populace.destinations.protocol import Response, Verdict
from tasks.listing import Lists
from tests.sent import ORIGIN, opened, outcomes, record, send

USUAL, FAST = Bounds(), Bounds(requests_per_second=1_000.0)
PEOPLE = [f"u{each:02d}@x.org" for each in range(20)]


@pytest.fixture
def vendor() -> Iterator[HubSpot]:
    with serve(HubSpot()) as found:
        yield found


def to(vendor: HubSpot, records: list[dict[str, Any]], bounds: Bounds = USUAL, **changed: str) -> list[Verdict]:
    with opened(hubspot, {**vendor.settings, **changed}, bounds=bounds, lists=Lists()) as sender:
        return send(sender, records)


def told(person: str, key: str = "plan", value: str | None = '"gold"', **changes: str) -> dict[str, Any]:
    return record(person, key, value, **{"id_type": "email", **changes})


def listed(person: str, value: str = "true", **changes: str) -> dict[str, Any]:
    return told(person, "buyers", value, form="list", **changes)


def test_values_arrive_as_text(vendor: HubSpot):
    values = {"buyers": "true", "fans": "false", "orders": "3", "revenue": "10.5", "tags": '["a", "b"]', "plan": '"x"'}
    assert outcomes(to(vendor, [told("ann@x.org", *each) for each in values.items()])) == {"delivered": 6}
    kept = {"buyers": "true", "fans": "false", "orders": "3", "revenue": "10.5", "tags": "a;b", "plan": "x"}
    assert vendor.contacts["100"] == {"email": "ann@x.org", **kept}
    assert len(vendor.calls) == 1


def test_people_may_go_by_an_id_of_ours(vendor: HubSpot):
    both = [told("ann@x.org"), told("u7", id_type="user_id")]
    assert [each.outcome for each in to(vendor, both)] == ["delivered", "delivered"]
    assert vendor.properties("plan") == {"ann@x.org": "gold", "u7": "gold"}
    settings = {name: each for name, each in vendor.settings.items() if name != "id_property"}
    with opened(hubspot, settings) as sender:
        known, unknown = send(sender, both)
    assert (known.outcome, unknown.outcome) == ("delivered", "invalid")
    assert "id_property" in unknown.reason


def test_a_contact_is_never_twice_in_a_request(vendor: HubSpot):
    moved = [told(each, "a", None, profile_id="p-old") for each in PEOPLE]
    moved += [told(each, "b", profile_id="p-new") for each in PEOPLE]
    huge = [told("big@x.org", f"t{each}", f'"{"x" * 60_000}"') for each in range(9)]
    assert outcomes(to(vendor, [*moved, *huge])) == {"delivered": 49}
    assert len(vendor.contacts) == 21
    for call in vendor.calls:
        people = [each["id"] for each in call.json()["inputs"]]
        assert len(people) == len(set(people))


def test_events_have_the_names_and_properties_of_their_definitions(vendor: HubSpot):
    events = [told(PEOPLE[0], "buyers", "true", form="event"), told(PEOPLE[1], "buyers", "false", form="event")]
    events += [told(PEOPLE[0], "revenue", "10.5", form="event"), told("u7", form="event", id_type="user_id")]
    assert [each.outcome for each in to(vendor, events)] == ["delivered"] * 3 + ["invalid"]
    assert vendor.happened("buyers") == Counter({(PEOPLE[0], True): 1, (PEOPLE[1], False): 1})
    assert vendor.events[2]["properties"] == {"trait_key": "revenue", "value": "10.5"}


def test_an_event_that_may_have_arrived_is_not_told_again(vendor: HubSpot):
    vendor.script = ["lost"]
    (verdict,) = to(vendor, [told(PEOPLE[0], "buyers", "true", form="event")])
    assert verdict.outcome == "unknown"
    assert len(vendor.events) == 1


def test_people_are_upserted_before_they_join_a_list(vendor: HubSpot):
    everything = [each for person in PEOPLE for each in (listed(person), told(person))]
    assert outcomes(to(vendor, everything)) == {"delivered": 40}
    assert vendor.members("buyers") == set(PEOPLE)
    leaving = [listed(PEOPLE[0], "false"), listed("nobody@x.org", "false"), listed("new@x.org")]
    assert [each.outcome for each in to(vendor, leaving)] == ["delivered", "noop", "invalid"]
    assert vendor.members("buyers") == set(PEOPLE[1:])
    assert len(vendor.listed) == 1
    assert vendor.most_per_list == 1


def test_a_list_that_another_made_in_between_is_found(vendor: HubSpot):
    vendor.meet(["ann@x.org"])
    vendor.add("buyers")
    vendor.script = [(404, {}, {"category": "OBJECT_NOT_FOUND"})]
    assert outcomes(to(vendor, [listed("ann@x.org")])) == {"delivered": 1}
    assert vendor.members("buyers") == {"ann@x.org"}


def test_an_active_list_of_the_name_is_left_alone(vendor: HubSpot):
    vendor.meet(["ann@x.org"])
    vendor.add("buyers", "DYNAMIC")
    assert outcomes(to(vendor, [listed("ann@x.org")])) == {"invalid": 1}


def test_a_list_that_is_gone_holds_the_destination(vendor: HubSpot):
    vendor.meet(["ann@x.org"])
    with opened(hubspot, vendor.settings, lists=Lists({"buyers": "77"})) as sender:
        (verdict,) = send(sender, [listed("ann@x.org")])
    assert (verdict.outcome, "list" in verdict.reason) == ("refused", True)


# --- what fails ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["named", "is_vague", "is_whole"])
def test_whoever_is_refused_is_found_however_it_is_said(vendor: HubSpot, how: str):
    vendor.rate = {}
    vendor.unwanted = {PEOPLE[3], PEOPLE[11]}
    setattr(vendor, how, True)
    records = [told(person, key) for person in PEOPLE for key in ("plan", "city")]
    verdicts = to(vendor, records, FAST)
    wrong = {each["id_value"] for each, verdict in zip(records, verdicts, strict=True) if verdict.outcome == "invalid"}
    assert wrong == vendor.unwanted
    assert outcomes(verdicts) == {"delivered": 36, "invalid": 4}
    assert not [each for each in verdicts if "x.org" in each.reason]


def test_a_success_that_names_nobody_is_none(vendor: HubSpot):
    silent = (200, {}, {"status": "COMPLETE", "results": [], "errors": [{"status": "error", "category": "X_Y"}]})
    vendor.script = [silent] * 2
    verdicts = to(vendor, [told("ann@x.org")])
    assert [each.outcome for each in verdicts] == ["invalid"]
    assert vendor.contacts == {}


def test_a_property_that_does_not_exist_parks_the_contact(vendor: HubSpot):
    vendor.undefined = {"plan"}
    (verdict,) = to(vendor, [told("ann@x.org")])
    assert (verdict.outcome, verdict.reason) == ("invalid", "named in the answer: VALIDATION_ERROR")


def test_the_pace_of_ten_seconds_is_waited_for_and_that_of_the_day_is_not(vendor: HubSpot):
    vendor.script = [(429, {}, {"policyName": "TEN_SECONDLY_ROLLING"}), 477, 423]
    assert outcomes(to(vendor, [told("ann@x.org")])) == {"delivered": 1}
    vendor.script = [(429, {}, {"policyName": "DAILY"})]
    calls = len(vendor.calls)
    assert outcomes(to(vendor, [told("ann@x.org", value='"free"')])) == {"throttled": 1}
    assert len(vendor.calls) == calls + 1


def test_a_wrong_token_holds_the_destination(vendor: HubSpot):
    (verdict,) = to(vendor, [told("ann@x.org")], access_token="another")
    assert verdict.outcome == "refused"
    assert TOKEN not in verdict.reason


# --- reading back -----------------------------------------------------------------------------------


def test_everybody_on_a_list_is_read_page_by_page(vendor: HubSpot):
    vendor.meet([*PEOPLE, "u7"])
    vendor.add("buyers")["members"] = set(vendor.contacts) - {"100"}
    vendor.contacts["101"]["external_id"] = "u1"
    vendor.page = 6
    settings = {**vendor.settings, "endpoint": "http://there"}
    origin = replace(ORIGIN, lists={"buyers": "1"})
    reading = hubspot.held("buyers", "list", [("user_id", "u1")], origin, settings)
    found = driven(vendor, reading)
    people = {("email", each) for each in PEOPLE[2:]} | {("user_id", "u1"), ("user_id", "u7")}
    assert sorted(found) == sorted((*each, True) for each in people)
    vendor.token = "another"
    assert driven(vendor, hubspot.held("buyers", "list", [], origin, settings)).outcome == "refused"


def driven(vendor: HubSpot, reading: Any) -> Any:
    """What a conversation with the vendor comes to, without a wire."""
    try:
        request = next(reading)
        while True:
            assert request.is_question
            path, _, query = request.url.removeprefix("http://there").partition("?")
            pairs = dict(each.split("=") for each in query.split("&") if each)
            headers = {name.lower(): each for name, each in request.headers.items()}
            reply = vendor.handle(Call(request.method, path, pairs, headers, request.body, 0.0))
            vendor.rate = {}
            request = reading.send(Response(reply.status, {}, reply.bytes))
    except StopIteration as end:
        return end.value


# --- what peers do ------------------------------------------------------------------------------------


def test_peer_defect_a_lost_value_is_cleared(vendor: HubSpot):
    to(vendor, [told("ann@x.org"), told("ann@x.org", "buyers", "true")])
    gone = [told("ann@x.org", "plan", None), told("ann@x.org", "buyers", "false")]
    assert outcomes(to(vendor, gone)) == {"delivered": 2}
    assert vendor.contacts["100"] == {"email": "ann@x.org", "buyers": "false"}

"""Appcues: what arrives in profiles, segments and events, by its API and by the intake of Segment-shaped calls."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from demo.vendors.appcues import KEY, SECRET, Appcues
from demo.vendors.server import Call, serve
from populace.definitions import Bounds
from populace.destinations import appcues
from populace.destinations.protocol import Response
from tasks.listing import Lists
from tasks.sending import NOT_REPEATED
from tests.sent import ORIGIN, QUICK, opened, outcomes, record, send

UNHURRIED = Bounds(requests_per_second=5_000)
PEOPLE = [f"u{each:02d}" for each in range(40)]


@pytest.fixture
def vendor() -> Iterator[Appcues]:
    with serve(Appcues()) as found:
        yield found


def to(vendor: Appcues, records: list[dict], bounds: Bounds = UNHURRIED, **changes: str) -> list[Any]:
    with opened(appcues, {**vendor.settings, **changes}, QUICK, bounds) as sender:
        return send(sender, records)


def joins(person: str, value: str = "true") -> dict:
    return record(person, "buyers", value, form="list")


# --- what arrives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("intake", ["api", "segment"])
def test_values_arrive_false_stays_and_what_is_lost_goes(vendor: Appcues, intake: str):
    first = [
        record("ann", "plan"),
        record("ann", "city", '"Rome"'),
        record("ann", "buyers", "true"),
        record("bo", "n", "3"),
    ]
    assert outcomes(to(vendor, first, intake=intake)) == {"delivered": 4}
    assert vendor.profiles == {"ann": {"plan": "gold", "city": "Rome", "buyers": True}, "bo": {"n": 3}}
    assert len(vendor.calls) == 2
    assert outcomes(to(vendor, [record("ann", "city", None), record("ann", "buyers", "false")], intake=intake)) == {
        "delivered": 2
    }
    assert vendor.profiles["ann"] == {"plan": "gold", "buyers": False}


def test_lists_and_objects_arrive_as_text_since_appcues_would_ignore_them(vendor: Appcues):
    to(vendor, [record("ann", "brands", '["a","b"]'), record("ann", "place", '{"city":"Rome"}')])
    assert vendor.profiles["ann"] == {"brands": '["a","b"]', "place": '{"city":"Rome"}'}


@pytest.mark.parametrize("name", ["a/b?c=d&e#f", "ünï ☃", "bo@x.org", "50%"])
def test_any_user_id_reaches_its_own_profile(vendor: Appcues, name: str):
    assert outcomes(to(vendor, [record(name), record("..")])) == {"delivered": 1, "invalid": 1}
    assert vendor.profiles == {name: {"plan": "gold"}}


def test_people_join_a_segment_made_under_its_name_and_leave_it(vendor: Appcues):
    kept: dict[str, str] = {}
    first, later = [joins(each) for each in PEOPLE], [joins(each, "false") for each in PEOPLE[:10]]
    for records in (first, later):
        lists = Lists(dict(kept), kept.__setitem__)
        with opened(appcues, vendor.settings, QUICK, UNHURRIED, lists) as sender:
            assert set(outcomes(send(sender, records))) == {"delivered"}
    assert vendor.members("buyers") == set(PEOPLE[10:])
    assert kept == {"buyers": "seg-1"}
    assert vendor.most_per_list == 1
    to(vendor, [joins("u00")])  # nobody remembers the id, and the segment is found by its name
    assert len(vendor.segments) == 1
    assert "u00" in vendor.members("buyers")


def test_the_intake_parks_who_would_join_a_segment_and_says_why(vendor: Appcues):
    told = to(vendor, [joins("ann"), record("ann")], intake="segment")
    assert [each.outcome for each in told] == ["invalid", "delivered"]
    assert told[0].reason == "the intake knows no segments; use 'intake: api'"
    assert len(vendor.calls) == 1


@pytest.mark.parametrize("intake", ["api", "segment"])
def test_events_say_who_entered_and_who_left(vendor: Appcues, intake: str):
    told = [record("ann", "buyers", "true", form="event"), record("bo", "buyers", "false", form="event")]
    assert outcomes(to(vendor, told, intake=intake)) == {"delivered": 2}
    assert vendor.happened("buyers") == {("ann", True): 1, ("bo", False): 1}


def test_many_lanes_write_nobody_twice_at_once(vendor: Appcues):
    vendor.latency = 0.005
    records = [record(person, key, form=form) for person in PEOPLE for key, form in (("a", "property"), ("b", "event"))]
    assert outcomes(to(vendor, records)) == {"delivered": 80}
    assert vendor.most_under_way > 2
    assert vendor.most_per_person == 1


def test_without_a_documented_limit_it_is_asked_less_than_ten_times_a_second(vendor: Appcues):
    to(vendor, [record(each) for each in PEOPLE[:9]], Bounds())
    assert vendor.fastest() <= 10


# --- what goes wrong --------------------------------------------------------------------------------


def test_one_refused_person_stops_nobody_and_is_found_among_many(vendor: Appcues):
    vendor.unwanted = {"u07", "u31"}
    told = to(vendor, [*(record(each) for each in PEOPLE), *(joins(each) for each in PEOPLE)])
    assert outcomes(told) == {"delivered": 76, "invalid": 4}
    assert {at for at, each in enumerate(told) if each.outcome == "invalid"} == {7, 31, 47, 71}
    assert vendor.members("buyers") == set(PEOPLE) - vendor.unwanted


def test_an_event_that_may_have_arrived_is_not_sent_again(vendor: Appcues):
    vendor.script = ["reset"]
    (told,) = to(vendor, [record("ann", "buyers", "true", form="event")])
    assert (told.outcome, told.reason.endswith(NOT_REPEATED)) == ("unknown", True)
    assert vendor.happened("buyers") == {("ann", True): 1}


@pytest.mark.parametrize("trouble", [[429, (429, {"Retry-After": "0"})], [500, "lost", "drop"], ["page", "html"]])
def test_what_passes_is_waited_for(vendor: Appcues, trouble: list[Any]):
    vendor.script = list(trouble)
    assert outcomes(to(vendor, [record("ann"), record("bo")])) == {"delivered": 2}
    assert vendor.properties("plan") == {"ann": "gold", "bo": "gold"}


def test_a_wrong_secret_holds_everything_and_is_told_nowhere(vendor: Appcues):
    vendor.secret = "another"
    with opened(appcues, {**vendor.settings, "api_secret": SECRET}, QUICK, UNHURRIED) as sender:
        told = send(sender, [record(each) for each in PEOPLE])
        assert {each.outcome for each in told} == {"refused"}
        kept = json.dumps(sender.samples) + "".join(each.reason + each.sent + each.reply for each in told)
    assert KEY not in kept
    assert SECRET not in kept
    assert len(vendor.calls) < len(PEOPLE)


def test_a_segment_that_is_gone_is_a_matter_for_a_person(vendor: Appcues):
    with opened(appcues, vendor.settings, QUICK, UNHURRIED, Lists({"buyers": "seg-9"})) as sender:
        (told,) = send(sender, [joins("ann")])
    assert (told.outcome, told.reason) == ("refused", "HTTP 404: there is nothing at this address; check it")


def test_a_list_of_segments_that_cannot_be_read_makes_no_new_one(vendor: Appcues):
    vendor.always = (200, {}, b'{"total": 3}')
    with opened(appcues, vendor.settings, replace(QUICK, window=0.05), UNHURRIED) as sender:
        (told,) = send(sender, [joins("ann")])
    assert told.outcome == "unknown"
    assert vendor.segments == {}


# --- reading back -----------------------------------------------------------------------------------


def test_a_profile_is_read_back(vendor: Appcues):
    vendor.profiles = {"ann": {"plan": "gold"}, "bo": {"plan": False}, "cy": {}, "zero": {"plan": 0}}
    people = [("user_id", each) for each in ("ann", "bo", "cy", "zero", "nobody")]
    assert _read(vendor, people, vendor.settings) == [("user_id", "ann", "gold"), ("user_id", "zero", 0)]
    assert _read(vendor, people, {**vendor.settings, "api_key": "x"}).outcome == "refused"


def _read(vendor: Appcues, people: list[tuple[str, str]], settings: Mapping[str, str]) -> Any:
    """What a reading comes to, without a wire."""
    reading = appcues.held("plan", "property", people, ORIGIN, settings)
    request = next(reading)
    try:
        while True:
            assert request.is_question
            headers = {name.lower(): each for name, each in request.headers.items()}
            reply = vendor.handle(Call(request.method, request.url.removeprefix(vendor.url), {}, headers, b"", 0.0))
            request = reading.send(Response(reply.status, {}, reply.bytes))
    except StopIteration as end:
        return end.value


# --- what peers get wrong ---------------------------------------------------------------------------


def test_peer_defect_null_is_dropped_so_that_a_lost_value_never_leaves(vendor: Appcues):
    to(vendor, [record("ann", "plan"), record("ann", "city")])
    to(vendor, [record("ann", "plan", None)])
    assert json.loads(vendor.calls[-1].body) == {"plan": None}
    assert vendor.profiles["ann"] == {"city": "gold"}


@pytest.mark.parametrize("form", ["property", "event"])
def test_peer_defect_no_credentials_are_sent(vendor: Appcues, form: str):
    assert outcomes(to(vendor, [record("ann", "buyers", "true", form=form)])) == {"delivered": 1}
    assert {each.basic() for each in vendor.calls} == {(KEY, SECRET)}
    assert not [each for each in vendor.calls if "/v1/" in each.path]

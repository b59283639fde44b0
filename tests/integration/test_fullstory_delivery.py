"""FullStory: what arrives by jobs of users and events, and jobs that fail, take long or are handed in twice."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from demo.vendors.fullstory import KEY, FullStory
from demo.vendors.server import serve
from populace.destinations import fullstory
from populace.destinations.protocol import Response
from tests.sent import ORIGIN, QUICK, opened, outcomes, record, send

PEOPLE = [f"u{each:02d}" for each in range(40)]


@pytest.fixture
def vendor() -> Iterator[FullStory]:
    """Jobs are done when they are first asked for, where a test says nothing else."""
    with serve(FullStory(polls=1)) as found:
        yield found


def to(vendor: FullStory, records: list[dict], **changes: str) -> list[Any]:
    with opened(fullstory, {**vendor.settings, **changes}) as sender:
        return send(sender, records)


def event(person: str, key: str = "buyers", value: str = "true") -> dict:
    return record(person, key, value, form="event")


def posted(vendor: FullStory) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in vendor.calls if each.method == "POST"]


# --- what arrives -----------------------------------------------------------------------------------


def test_values_arrive_false_stays_and_what_is_lost_goes(vendor: FullStory):
    first = [record("ann", "plan"), record("ann", "n", "3"), record("ann", "buyers", "true"), record("bo")]
    assert outcomes(to(vendor, first)) == {"delivered": 4}
    assert vendor.users == {"ann": {"plan": "gold", "n": 3, "buyers": True}, "bo": {"plan": "gold"}}
    assert len(posted(vendor)) == 1
    to(vendor, [record("ann", "plan", None), record("ann", "buyers", "false")])
    assert vendor.properties("plan") == {"bo": "gold"}
    assert vendor.properties("buyers") == {"ann": False}
    to(vendor, [record("bo", "plan", None)], unset="false")
    assert vendor.users["bo"] == {"plan": False}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ('["a","b"]', ["a", "b"]),
        ("[1,2.5]", [1, 2.5]),
        ("[]", []),
        ('["a",1]', '["a",1]'),
        ('[{"a":1}]', '[{"a":1}]'),
        ('{"a":{"b":null}}', '{"a":{"b":null}}'),
    ],
)
def test_what_has_no_type_of_its_own_there_arrives_as_text(vendor: FullStory, value: str, kept: Any):
    to(vendor, [record("ann", "brands", value), event("ann")])
    assert vendor.users["ann"] == {"brands": kept}


def test_events_say_who_entered_and_who_left(vendor: FullStory):
    assert outcomes(to(vendor, [event("ann"), event("bo", value="false"), event("ann", "_x")])) == {"delivered": 3}
    assert vendor.happened("buyers") == {("ann", True): 1, ("bo", False): 1}
    assert vendor.events[2]["properties"] == {"audience_key": "_x", "x_x": True}
    assert not [each for call in posted(vendor) for each in call["requests"] if "session" in each]


def test_no_two_keys_have_one_name():
    letters = ["", "_", "x", "a", "7"]
    keys = {"".join((a, b, c, d)) for a in letters for b in letters for c in letters for d in letters} - {""}
    names = {fullstory.name(each) for each in keys}
    assert len(names) == len(keys)
    assert all(each[0].isalpha() for each in names)
    assert [fullstory.name(each) for each in ("plan", "xmas", "_a", "x_a", "2024")] == [
        "plan", "xmas", "x_a", "xx_a", "x2024"
    ]  # fmt: skip


def test_what_is_too_long_is_parked_alone_with_its_reason(vendor: FullStory):
    told = to(
        vendor, [record("ann"), record("ann", "long", f'"{"x" * 9_000}"'), record("x" * 257), record("bo", "n" * 513)]
    )
    assert [each.outcome for each in told] == ["delivered", "invalid", "invalid", "invalid"]
    assert "8192 bytes" in told[1].reason
    assert vendor.users == {"ann": {"plan": "gold"}}


def test_a_person_with_very_many_properties_gets_several_parts(vendor: FullStory):
    many = [record("ann", f"t{each}", str(each)) for each in range(1_100)]
    assert outcomes(to(vendor, many)) == {"delivered": 1_100}
    assert len(vendor.users["ann"]) == 1_100


# --- jobs -------------------------------------------------------------------------------------------


def test_a_job_is_asked_for_until_it_is_done(vendor: FullStory):
    vendor.polls = 3
    assert outcomes(to(vendor, [record(each) for each in PEOPLE])) == {"delivered": 40}
    assert [each.method for each in vendor.calls] == ["POST", "GET", "GET", "GET"]


def test_failures_are_told_person_by_person_from_every_page(vendor: FullStory):
    vendor.unwanted = set(PEOPLE[::8])
    told = to(vendor, [record(each, key) for each in PEOPLE for key in ("a", "b")])
    wrong = {at for at, each in enumerate(told) if each.outcome == "invalid"}
    assert wrong == {at for each in range(0, 40, 8) for at in (2 * each, 2 * each + 1)}
    assert outcomes(told) == {"invalid": 10, "delivered": 70}
    assert told[0].reason == "the job names it: unwanted_user"
    assert len([each for each in vendor.calls if each.path.endswith("/errors")]) == 3


def test_an_event_that_fails_takes_no_other_of_the_same_person_with_it(vendor: FullStory):
    events = [event("ann"), event("ann", "a" * 512), event("ann", "fans")]
    events[1]["key"] = "A-" + "a" * 8  # FullStory alone knows that this is no name
    assert [each.outcome for each in to(vendor, events)] == ["delivered", "invalid", "delivered"]


def test_a_job_that_failed_and_names_nobody_is_halved_until_somebody_is_alone(vendor: FullStory):
    vendor.silent = True
    vendor.unwanted = {"u01"}
    assert [each.outcome for each in to(vendor, [record("u01")])] == ["invalid"]
    told = to(vendor, [event("u01"), event("u01", "fans")])
    assert {each.outcome for each in told} == {"invalid"}
    assert vendor.events == []


@pytest.mark.parametrize("trouble", ["reset", "lost"])
@pytest.mark.parametrize("form", ["property", "event"])
def test_a_job_that_may_be_there_is_not_made_twice(vendor: FullStory, trouble: str, form: str):
    vendor.script = [trouble]
    assert outcomes(to(vendor, [record(each, "buyers", "true", form=form) for each in PEOPLE])) == {"delivered": 40}
    assert len(vendor.jobs) == 1
    assert list(vendor.keys.values()) == [2]
    assert set(vendor.happened("buyers").values()) <= {1}


def test_the_same_value_later_is_another_job(vendor: FullStory):
    for number, value in enumerate(("true", "false", "true")):
        to(vendor, [record("ann", "buyers", value, message_id=f"m-{number}")])
    assert len(vendor.jobs) == 3
    assert vendor.properties("buyers") == {"ann": True}


def test_a_job_that_takes_too_long_is_unknown_and_is_found_again(vendor: FullStory):
    vendor.polls = 1_000
    with opened(fullstory, vendor.settings, replace(QUICK, window=0.1)) as sender:
        assert outcomes(send(sender, [record("ann")])) == {"unknown": 1}
    vendor.jobs["job-0"][0] = 1
    assert outcomes(to(vendor, [record("ann")])) == {"delivered": 1}
    assert len(vendor.jobs) == 1


def test_too_many_jobs_are_waited_for_as_long_as_it_says(vendor: FullStory):
    vendor.jobs = {f"other-{each}": [9, None] for each in range(200)}
    vendor.sizes = dict.fromkeys(vendor.jobs, 1)
    assert outcomes(to(vendor, [record("ann")])) == {"throttled": 1}
    vendor.jobs = {}
    assert outcomes(to(vendor, [record("ann")])) == {"delivered": 1}


@pytest.mark.parametrize(
    "trouble", [[429, (429, {"Retry-After": "0"})], [500, "drop", 503], ["page", "html"], [None, 502, "html"]]
)
def test_what_passes_is_waited_for(vendor: FullStory, trouble: list[Any]):
    vendor.script = list(trouble)
    assert outcomes(to(vendor, [record("ann"), record("bo")])) == {"delivered": 2}
    assert vendor.properties("plan") == {"ann": "gold", "bo": "gold"}


def test_a_wrong_key_holds_everything_and_is_told_nowhere(vendor: FullStory):
    sound, vendor.key = vendor.settings, "eu1.another"
    with opened(fullstory, sound) as sender:
        told = send(sender, [record(each) for each in PEOPLE])
        kept = json.dumps(sender.samples) + "".join(each.reason + each.sent + each.reply for each in told)
    assert {each.outcome for each in told} == {"refused"}
    assert KEY not in kept


# --- reading back -----------------------------------------------------------------------------------


def test_properties_are_read_back():
    people = [("user_id", each) for each in ("ann&b", "bo", "cy", "zero", "nobody")]
    reading = fullstory.held("_plan", "property", people, ORIGIN, {"api_key": KEY})
    held = {"ann&b": {"x_plan": "gold"}, "bo": {"x_plan": ""}, "cy": {"x_plan": False}, "zero": {"x_plan": 0}}
    request, asked = next(reading), []
    try:
        while True:
            asked.append(request.url)
            name = people[len(asked) - 1][1]
            users = [{"id": "7", "uid": name, "properties": held[name]}] if name in held else []
            request = reading.send(Response(200, {}, json.dumps({"results": users}).encode()))
    except StopIteration as end:
        found = end.value
    assert found == [("user_id", "ann&b", "gold"), ("user_id", "zero", 0)]
    assert asked[0] == "https://api.fullstory.com/v2/users?uid=ann%26b"
    assert len(asked) == 5


# --- what peers get wrong ---------------------------------------------------------------------------


def test_peer_defect_signs_are_deleted_so_that_two_names_become_one(vendor: FullStory):
    to(vendor, [record("ann", "_a", '"1"'), record("ann", "x_a", '"2"'), record("ann", "a", '"3"')])
    assert vendor.users["ann"] == {"x_a": "1", "xx_a": "2", "a": "3"}


def test_peer_defect_202_or_200_for_a_job_is_taken_for_success(vendor: FullStory):
    vendor.unwanted = {"ann"}
    assert outcomes(to(vendor, [record("ann"), record("bo")])) == {"invalid": 1, "delivered": 1}

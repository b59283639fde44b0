"""Customer.io: what arrives there, what it refuses, and its segments."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from demo.vendors.customerio import APP_KEY, KEY, CustomerIo
from demo.vendors.server import Call, serve
from populace.destinations import customerio
from populace.destinations.protocol import Response, Verdict
from tasks.listing import Lists
from tests.sent import ORIGIN, QUICK, opened, outcomes, record, send

PEOPLE = [f"u{each:02d}" for each in range(20)]


@pytest.fixture
def vendor() -> Iterator[CustomerIo]:
    with serve(CustomerIo()) as found:
        yield found


def to(vendor: CustomerIo, records: list[dict[str, Any]], **changed: str) -> list[Verdict]:
    with opened(customerio, {**vendor.settings, **changed}, lists=Lists()) as sender:
        return send(sender, records)


def test_values_arrive_and_are_taken_away(vendor: CustomerIo):
    told = [record(each, key, value) for each in PEOPLE for key, value in (("plan", '"gold"'), ("buyers", "true"))]
    assert outcomes(to(vendor, told)) == {"delivered": 40}
    assert vendor.properties("plan") == dict.fromkeys(PEOPLE, "gold")
    assert len(vendor.calls) <= customerio.LANES
    changed = [record("u00", "plan", None), record("u00", "buyers", "false"), record("u01", "plan", "7")]
    assert outcomes(to(vendor, changed)) == {"delivered": 3}
    assert vendor.attributes["u00"] == {"buyers": False}
    assert vendor.attributes["u01"] == {"plan": 7, "buyers": True}


def test_events_are_told_once_though_their_answer_was_lost(vendor: CustomerIo):
    vendor.script = ["lost", "reset"]
    told = [record("u00", "buyers", "true", form="event"), record("u01", "buyers", "false", form="event")]
    assert outcomes(to(vendor, told)) == {"delivered": 2}
    assert vendor.happened("buyers") == Counter({("u00", True): 1, ("u01", False): 1})
    assert max(vendor.seen.values()) > 1


def listed(person: str, value: str = "true", **changes: str) -> dict[str, Any]:
    return record(person, "buyers", value, form="list", **changes)


def test_a_segment_is_made_once_and_people_join_and_leave_it(vendor: CustomerIo):
    told = [record(each) for each in PEOPLE]
    told += [listed(each) for each in PEOPLE]
    assert outcomes(to(vendor, told)) == {"delivered": 40}
    assert vendor.members("buyers") == set(PEOPLE)
    vendor.meet(["bo@x.org"])
    assert outcomes(to(vendor, [listed("u00", "false"), listed("bo@x.org", id_type="email")])) == {"delivered": 2}
    assert vendor.members("buyers") == {*PEOPLE[1:], "bo@x.org"}
    assert len(vendor.segments) == 1
    assert vendor.most_per_list == 1


def test_without_a_key_of_the_app_api_the_list_is_asked_of_a_person(vendor: CustomerIo):
    settings = {name: each for name, each in vendor.settings.items() if name != "app_api_key"}
    with opened(customerio, settings, lists=Lists()) as sender:
        (verdict,) = send(sender, [listed("u00")])
    assert verdict.outcome == "refused"
    assert "lists" in verdict.reason
    segment = vendor.add("buyers")
    vendor.meet(["u00"])
    with opened(customerio, settings, lists=Lists({"buyers": str(segment)})) as sender:
        assert outcomes(send(sender, [listed("u00")])) == {"delivered": 1}
    assert vendor.members("buyers") == {"u00"}


def test_a_data_driven_segment_of_the_name_is_left_alone(vendor: CustomerIo):
    vendor.add("buyers", "dynamic")
    assert outcomes(to(vendor, [listed("u00")])) == {"invalid": 1}
    assert len(vendor.segments) == 1


def test_a_segment_that_is_gone_holds_the_destination(vendor: CustomerIo):
    with opened(customerio, vendor.settings, lists=Lists({"buyers": "7"})) as sender:
        (verdict,) = send(sender, [listed("u00")])
    assert (verdict.outcome, "segment" in verdict.reason) == ("refused", True)


def test_throttling_is_waited_for(vendor: CustomerIo):
    vendor.script = [429, (429, {"Retry-After": "0"}, {"meta": {"error": "slow down"}})]
    assert outcomes(to(vendor, [record("u00")])) == {"delivered": 1}
    assert len(vendor.calls) == 3


def test_a_request_that_is_refused_as_a_whole_is_halved(vendor: CustomerIo):
    vendor.most_items = 3
    assert outcomes(to(vendor, [record(each) for each in PEOPLE])) == {"delivered": 20}
    assert set(vendor.attributes) == set(PEOPLE)


@pytest.mark.parametrize("name", ["api_key", "app_api_key"])
def test_a_wrong_key_holds_the_destination(vendor: CustomerIo, name: str):
    verdicts = to(vendor, [listed("u00") if name == "app_api_key" else record("u00")], **{name: "another"})
    assert [each.outcome for each in verdicts] == ["refused"]
    assert not [each for each in (KEY, APP_KEY) if each in verdicts[0].reason]


# --- reading back -----------------------------------------------------------------------------------


def read(vendor: CustomerIo, people: list[tuple[str, str]], **settings: str) -> Any:
    """What the adapter makes of the vendor's answers."""
    reading = customerio.held("buyers", "list", people, replace(ORIGIN, lists={"buyers": "1"}), settings)
    try:
        request = next(reading)
        while True:
            assert request.is_question
            path, _, query = request.url.removeprefix("http://there").partition("?")
            pairs = dict(each.split("=") for each in query.split("&"))
            headers = {name.lower(): each for name, each in request.headers.items()}
            reply = vendor.handle(Call(request.method, path, pairs, headers, request.body, 0.0))
            request = reading.send(Response(reply.status, {}, reply.bytes))
    except StopIteration as end:
        return end.value


def test_everybody_on_a_segment_is_read_page_by_page(vendor: CustomerIo):
    vendor.add("buyers")
    vendor.page, vendor.rate = 3, {}
    vendor.segments[1]["members"] = {*PEOPLE[:7], "bo@x.org"}
    vendor.given = {"a3": "u03", "a4": "u04"}
    settings = {"site_id": vendor.site, "api_key": KEY, "app_api_key": APP_KEY, "endpoint": "http://there"}
    found = read(vendor, [("user_id", "u00"), ("user_id", "cio_a4")], **settings)
    # Under the name by which we know them.
    expected = {*PEOPLE[:4], *PEOPLE[5:7], "cio_a4"}
    assert sorted(found) == sorted([("email", "bo@x.org", True), *(("user_id", each, True) for each in expected)])
    assert read(vendor, [], **settings | {"app_api_key": "no"}).outcome == "refused"
    del settings["app_api_key"]
    assert read(vendor, [], **settings).outcome == "refused"


# --- what peers do ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_vague", [False, True])
def test_peer_defect_a_207_is_not_taken_for_success(vendor: CustomerIo, is_vague: bool):
    vendor.is_vague = is_vague
    vendor.unwanted = {"u03", "u11"}
    told = [record(each, key) for each in PEOPLE for key in ("plan", "city")]
    verdicts = to(vendor, told)
    wrong = {each["id_value"] for each, verdict in zip(told, verdicts, strict=True) if verdict.outcome == "invalid"}
    assert wrong == vendor.unwanted
    assert outcomes(verdicts) == {"delivered": 36, "invalid": 4}
    assert set(vendor.attributes) == set(PEOPLE) - vendor.unwanted
    assert not [each for each in verdicts if "u03" in each.reason], "the text of the vendor may hold personal data"


def test_peer_defect_an_id_that_customerio_gave_makes_no_second_person(vendor: CustomerIo):
    vendor.given = {"a3000001": "ann"}
    told = [record("cio_a3000001"), record("cio_a3000001", "city", id_type="cio_id"), record("cio_b1")]
    assert [each.outcome for each in to(vendor, told)] == ["delivered", "delivered", "invalid"]
    assert vendor.attributes == {"ann": {"plan": "gold", "city": "gold"}}


def test_peer_defect_leaving_an_audience_deletes_nobody(vendor: CustomerIo):
    to(vendor, [record("ann"), record("ann", "buyers", "true"), listed("ann")])
    gone = [record("ann", "plan", None), record("ann", "buyers", "false"), listed("ann", "false")]
    gone.append(record("ann", "buyers", "false", form="event"))
    assert outcomes(to(vendor, gone)) == {"delivered": 4}
    assert vendor.attributes == {"ann": {"buyers": False}}
    assert b"delete" not in b"".join(each.body for each in vendor.calls)


def test_what_fails_in_passing_ends_in_the_desired_state(vendor: CustomerIo):
    vendor.script = ["lost", "html", 503, "drop"]
    with opened(customerio, vendor.settings, QUICK, lists=Lists()) as sender:
        assert outcomes(send(sender, [record(each) for each in PEOPLE])) == {"delivered": 20}
    assert vendor.most_per_person == 1

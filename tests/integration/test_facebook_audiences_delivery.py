"""Facebook Custom Audiences: who is on the lists after deliveries, in peace and in mischief."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.facebook_audiences import Facebook, throttled
from demo.vendors.server import serve
from populace.definitions import Destination
from populace.destinations import facebook_audiences
from populace.destinations.protocol import Response, Verdict
from tasks.listing import Lists
from tests import deliveries
from tests.deliveries import ledger, open_space, publish
from tests.deliveries import send as deliver
from tests.sent import ORIGIN, opened, outcomes, record, send

PEOPLE = [f"u{each:02d}@x.org" for each in range(20)]


@pytest.fixture
def vendor() -> Iterator[Facebook]:
    with serve(Facebook()) as found:
        yield found


def on(person: str, value: str = "true", key: str = "buyers", id_type: str = "email") -> dict[str, Any]:
    return record(person, key, value, form="list", id_type=id_type)


def to(vendor: Facebook, records: list[dict[str, Any]], lists: Lists | None = None, **changed: str) -> list[Verdict]:
    with opened(facebook_audiences, {**vendor.settings, **changed}, lists=lists) as sender:
        return send(sender, records)


def known(vendor: Facebook, people: list[str]) -> set[str]:
    return {vendor.known_as(each) for each in people}


def test_people_join_and_leave_an_audience_that_is_made_once(vendor: Facebook):
    assert outcomes(to(vendor, [on(each) for each in PEOPLE])) == {"delivered": 20}
    assert vendor.members("buyers") == known(vendor, PEOPLE)
    told = [on(PEOPLE[0], "false"), on(PEOPLE[1], "false"), on("new@x.org")]
    assert outcomes(to(vendor, told)) == {"delivered": 3}
    assert vendor.members("buyers") == known(vendor, [*PEOPLE[2:], "new@x.org"])
    assert list(vendor.names.values()) == ["buyers"]


def test_an_audience_is_found_on_a_later_page(vendor: Facebook):
    for each in ("a", "b", "c", "d", "buyers", "e"):
        vendor._made({"name": each, "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"})
    kept: dict[str, str] = {}
    to(vendor, [on("ann@x.org"), on("ann@x.org", key="fans")], Lists({}, kept.__setitem__))
    assert list(vendor.names.values()).count("buyers") == 1
    assert kept == {"buyers": "23840004", "fans": "23840006"}
    asked = [each.query.get("after") for each in vendor.calls if each.method == "GET"]
    assert asked == [None, "23840001", "23840003", None, "23840001", "23840003"]


def test_every_type_of_identifier_arrives_as_it_is_known_there(vendor: Facebook):
    told = [on("+49 (0)171 1234567", id_type="phone"), on("U-1", id_type="user_id"), on("AB-12", id_type="ios.idfa")]
    assert outcomes(to(vendor, told)) == {"delivered": 3}
    phone = hashlib.sha256(b"491711234567").hexdigest()
    assert vendor.members("buyers") == {phone, "U-1", "ab-12"}


def test_what_names_nobody_is_parked_and_no_hash_of_nothing_is_sent(vendor: Facebook):
    found = to(vendor, [on(" "), on("ann"), on("ann@x.org")])
    assert [each.outcome for each in found] == ["invalid", "invalid", "delivered"]
    assert vendor.members("buyers") == known(vendor, ["ann@x.org"])


def test_success_is_called_received_and_complaints_count_without_names(vendor: Facebook):
    (verdict,) = to(vendor, [on("ann@x.org")])
    assert verdict.reason == "HTTP 200: received; nobody says who was found"
    vendor.unwanted = {"bo@x.org"}
    found = to(vendor, [on(each) for each in ("ann@x.org", "bo@x.org", "cy@x.org")])
    assert {(each.outcome, each.reason) for each in found} == {
        ("warning", "HTTP 200: received 3 of 3, 1 of them invalid; nobody says which")
    }
    assert to(vendor, [on("bo@x.org")])[0].outcome == "invalid"


def test_requests_prove_the_secret_of_their_app(vendor: Facebook):
    vendor.app_secret = "s3cret"
    assert outcomes(to(vendor, [on("ann@x.org")])) == {"delivered": 1}
    (verdict,) = to(vendor, [on("bo@x.org")], app_secret="another")
    assert (verdict.outcome, "app_secret" in verdict.reason) == ("refused", True)
    assert all("s3cret" not in str(each) for each in vendor.calls)


def test_sessions_are_of_one_part_each_and_may_be_left_out(vendor: Facebook):
    told = [on(each) for each in PEOPLE]
    to(vendor, [on("ann@x.org"), *told])
    assert len(vendor.sessions) == 1
    vendor.wants_session = False
    to(vendor, told, session="false")
    assert b"session" not in vendor.calls[-1].body


@pytest.mark.parametrize(
    "script",
    [[500, 503, 502], ["reset", "lost", "drop", "unread"], ["html", 408], [throttled(0), throttled(0, 4), 429], [401]],
    ids=["500 burst", "no answer", "outage page", "throttled", "denied once"],
)
def test_mischief_ends_in_the_desired_state(vendor: Facebook, script: list[Any]):
    lists = Lists({"buyers": "1"})
    vendor.names["1"], vendor.held["1"] = "buyers", {vendor.known_as("bo@x.org")}
    vendor.script = list(script)
    assert outcomes(to(vendor, [on("ann@x.org"), on("bo@x.org", "false")], lists)) == {"delivered": 2}
    assert vendor.members("buyers") == known(vendor, ["ann@x.org"])
    assert vendor.script == []


def test_a_throttle_longer_than_the_window_leaves_the_rest_for_the_next_run(vendor: Facebook):
    vendor.names["1"], vendor.held["1"] = "buyers", set()
    vendor.script = [throttled(5)]
    (verdict,) = to(vendor, [on("ann@x.org")], Lists({"buyers": "1"}))
    assert (verdict.outcome, verdict.after, len(vendor.calls)) == ("throttled", 300.0, 1)


@pytest.mark.parametrize("trouble", ["token", "blocked", "gone"])
def test_what_only_a_person_can_mend_holds_the_destination(vendor: Facebook, trouble: str):
    vendor.names["1"], vendor.held["1"] = "buyers", set()
    vendor.token = "another" if trouble == "token" else vendor.token
    vendor.blocked = {"1"} if trouble == "blocked" else set()
    lists = Lists({"buyers": "2" if trouble == "gone" else "1"})
    found = to(vendor, [on(each) for each in PEOPLE], lists, access_token=Facebook.token)
    assert outcomes(found) == {"refused": 20}
    assert len(vendor.calls) <= 2
    assert "EAAB" not in found[0].reason


def test_ten_thousand_rows_are_one_request(vendor: Facebook):
    many = [on(f"u{each}@x.org") for each in range(10_001)]
    assert outcomes(to(vendor, many, settings_made(vendor))) == {"delivered": 10_001}
    assert [len(each.body) > 500_000 for each in vendor.calls] == [True, False]


def settings_made(vendor: Facebook) -> Lists:
    vendor.names["1"], vendor.held["1"] = "buyers", set()
    return Lists({"buyers": "1"})


def test_peer_defect_adding_and_removing_at_once(vendor: Facebook):
    vendor.latency = 0.02
    lists = settings_made(vendor)
    told = [on(each, "false") for each in PEOPLE[:10]] + [on(each) for each in PEOPLE[10:]]
    told += [on("+1800555010", id_type="phone"), on("U-1", "false", id_type="user_id")]
    assert outcomes(to(vendor, told, lists)) == {"delivered": 22}
    assert vendor.verbs == ["POST", "POST", "DELETE", "DELETE"]
    assert (vendor.most_per_list, vendor.most_under_way) == (1, 1)
    # Only the first stage may have several requests under way.
    assert {each.stage for each in facebook_audiences.updates(told, ORIGIN, vendor.settings)} == {1}


def test_a_listing_that_is_no_answer_makes_no_second_audience():
    asking = facebook_audiences.listing("buyers", "Buyers", {"access_token": "t", "ad_account_id": "act_1"})
    assert next(asking).url == "https://graph.facebook.com/v25.0/act_1/customaudiences?fields=id%2Cname&limit=100"
    with pytest.raises(StopIteration) as ended:
        asking.send(Response(200, {}, b"<html></html>"))
    assert ended.value.value.outcome == "unknown"


def test_a_run_tells_what_changed_and_no_secret_is_in_its_account(vendor: Facebook, tmp_path: Path):
    space = open_space(tmp_path, Destination("meta", "facebook_audiences", tuple(vendor.settings.items())), "buyers")
    mail = {f"p{at}": ("email", each) for at, each in enumerate(PEOPLE)}
    publish(space, 1, members={"buyers": list(mail)[:12]}, people=mail)
    assert deliveries.outcomes(deliver(space)) == {"delivered": 12}
    publish(space, 2, members={"buyers": list(mail)[2:15]}, people=mail)
    summary = deliver(space)
    assert deliveries.outcomes(summary) == {"delivered": 5, "unchanged": 10}
    assert vendor.members("buyers") == known(vendor, PEOPLE[2:15])
    assert vendor.verbs == ["POST", "POST", "DELETE"]
    shown = json.dumps([summary, ledger(space).report()])
    assert not [each for each in (vendor.token, *PEOPLE, *known(vendor, PEOPLE)) if each in shown]

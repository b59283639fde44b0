"""Google Customer Match: who is on the lists after deliveries, in peace and in mischief."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from demo.vendors.google_audiences import Google, failure
from demo.vendors.server import serve
from populace.definitions import Bounds
from populace.destinations import google_audiences
from populace.destinations.protocol import Verdict
from tasks.listing import Lists
from tests.sent import ORIGIN, QUICK, UNBOUNDED, opened, outcomes, record, send

FAST = Bounds(requests_per_second=1_000)  # for what is not about the pace
PEOPLE = [f"u{each:02d}@x.org" for each in range(20)]


@pytest.fixture
def vendor() -> Iterator[Google]:
    with serve(Google(rate={})) as found:
        found.make("buyers")
        yield found


def on(person: str, value: str = "true", key: str = "buyers", id_type: str = "email") -> dict[str, Any]:
    return record(person, key, value, form="list", id_type=id_type)


def to(vendor: Google, records: list[dict[str, Any]], bounds: Bounds = FAST, **changed: str) -> list[Verdict]:
    lists = Lists({name: number for number, name in vendor.names.items()})
    with opened(google_audiences, {**vendor.settings, **changed}, QUICK, bounds, lists) as sender:
        return send(sender, records)


def known(vendor: Google, people: list[str]) -> set[str]:
    return {vendor.known_as(each) for each in people}


def test_people_join_and_leave_a_list(vendor: Google):
    found = to(vendor, [on(each) for each in PEOPLE])
    assert {each.reason for each in found} == {"HTTP 200: received; results come later, in Google Ads"}
    assert vendor.members("buyers") == known(vendor, PEOPLE)
    assert outcomes(to(vendor, [on(PEOPLE[0], "false"), on("new@x.org")])) == {"delivered": 2}
    assert vendor.members("buyers") == known(vendor, [*PEOPLE[1:], "new@x.org"])


def test_each_conversation_asks_for_a_token_unless_one_is_set(vendor: Google):
    to(vendor, [on("ann@x.org"), on("bo@x.org", "false")])
    assert [each.path.partition(":")[0] for each in vendor.calls] == ["/token", "/v1/audienceMembers"] * 2
    vendor.tokens.add("set")
    assert outcomes(to(vendor, [on("bo@x.org")], access_token="set")) == {"delivered": 1}
    assert [each.path for each in vendor.calls[4:]] == ["/v1/audienceMembers:ingest"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"refresh_token": "another"}, "invalid_grant"),
        ({"client_secret": "another"}, "credentials"),
        ({"refresh_token": ""}, "nothing to ask with"),
        ({"access_token": "old"}, "credentials"),
        ({"account_id": "999"}, "account_id"),
    ],
)
def test_what_only_a_person_can_mend_holds_the_destination(vendor: Google, changed: dict[str, str], told: str):
    found = to(vendor, [on(each) for each in PEOPLE], **changed)
    assert outcomes(found) == {"refused": 20}
    assert told in found[0].reason
    assert len(vendor.calls) <= 2


def test_a_list_of_another_type_and_one_that_is_not_there_hold_the_destination(vendor: Google):
    to(vendor, [on("ann@x.org")])
    assert to(vendor, [on("U-1", id_type="user_id")])[0].outcome == "refused"
    vendor.names.clear()
    with opened(google_audiences, vendor.settings, lists=Lists({"buyers": "7"})) as sender:
        (verdict,) = send(sender, [on("ann@x.org")])
    assert (verdict.outcome, "`lists`" in verdict.reason) == ("refused", True)


@pytest.mark.parametrize("says_who", [True, False])
def test_who_is_refused_is_parked_and_everybody_else_arrives(vendor: Google, says_who: bool):
    vendor.unwanted, vendor.says_who = {PEOPLE[3], PEOPLE[11]}, says_who
    found = to(vendor, [on(each) for each in PEOPLE])
    assert [at for at, each in enumerate(found) if each.outcome == "invalid"] == [3, 11]
    assert outcomes(found) == {"delivered": 18, "invalid": 2}
    assert vendor.members("buyers") == known(vendor, [*PEOPLE[:3], *PEOPLE[4:11], *PEOPLE[12:]])
    assert not says_who or vendor.verbs == ["ingest"]


def test_all_of_a_request_may_be_refused_by_name(vendor: Google):
    vendor.unwanted = set(PEOPLE[:3])
    assert outcomes(to(vendor, [on(each) for each in PEOPLE[:3]])) == {"invalid": 3}
    assert len([each for each in vendor.calls if each.path.startswith("/v1")]) == 1


def test_consent_is_said_as_it_is_set(vendor: Google):
    to(vendor, [on("ann@x.org")], ad_user_data="granted", ad_personalization="denied")
    to(vendor, [on("bo@x.org")])
    assert vendor.consents == [{"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"}, {}]


BUSY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.01s"}


@pytest.mark.parametrize(
    "script",
    [
        [500, 503],
        [200, 503, 200, "reset", 200, "lost", 200, "drop"],
        ["html", 200, "html", 200, 408],
        [200, (429, {}, failure(429, "RESOURCE_EXHAUSTED", BUSY).reply.bytes), 200, 429],
        [200, 401],
    ],
    ids=["500 burst", "no answer", "outage page", "throttled", "denied once"],
)
def test_mischief_ends_in_the_desired_state(vendor: Google, script: list[Any]):
    vendor.held[next(iter(vendor.names))] = known(vendor, ["bo@x.org"])
    vendor.script = list(script)
    assert outcomes(to(vendor, [on("ann@x.org"), on("bo@x.org", "false")])) == {"delivered": 2}
    assert vendor.members("buyers") == known(vendor, ["ann@x.org"])
    assert vendor.script == []


def test_the_wait_they_ask_for_is_kept():
    busy = failure(429, "RESOURCE_EXHAUSTED", {**BUSY, "retryDelay": "17s"}).reply
    verdict = google_audiences.answer(google_audiences.Response(429, {}, busy.bytes))
    assert (verdict.outcome, verdict.after) == ("throttled", 17.0)


def test_the_documented_pace_is_kept(vendor: Google):
    vendor.rate = {"v1/audienceMembers": 5.0}
    vendor.tokens.add("set")
    told = [on("ann@x.org", key=f"k{each}") for each in range(7)]
    for each in told:
        vendor.make(each["key"])
    assert outcomes(to(vendor, told, UNBOUNDED, access_token="set")) == {"delivered": 7}
    assert 1 < vendor.fastest("/v1") <= 5
    assert vendor.throttled == 0


def test_peer_defect_one_dot_of_gmail(vendor: Google):
    to(vendor, [on("A.n.n.Smith+news@gmail.com"), on("bo.b@googlemail.com"), on("c.y@x.org")])
    expected = ["annsmith@gmail.com", "bob@googlemail.com", "c.y@x.org"]
    assert vendor.members("buyers") == {hashlib.sha256(each.encode()).hexdigest() for each in expected}


def test_peer_defect_what_is_not_normalised(vendor: Google):
    to(vendor, [on(" ANN@X.org "), on("+1 (800) 555-0100", id_type="phone")])
    expected = ["ann@x.org", "+18005550100"]
    assert vendor.members("buyers") == {hashlib.sha256(each.encode()).hexdigest() for each in expected}


def test_peer_defect_one_bitmap_for_adding_and_removing(vendor: Google):
    vendor.held[next(iter(vendor.names))] = known(vendor, PEOPLE[10:])
    vendor.unwanted = {PEOPLE[1], PEOPLE[12]}
    told = [on(each) for each in PEOPLE[:10]] + [on(each, "false") for each in PEOPLE[10:]]
    found = to(vendor, told)
    assert [at for at, each in enumerate(found) if each.outcome != "delivered"] == [1, 12]
    assert vendor.members("buyers") == known(vendor, [PEOPLE[0], *PEOPLE[2:10], PEOPLE[12]])
    assert (vendor.verbs, vendor.most_per_list) == (["ingest", "remove"], 1)
    # Only the first stage may have several requests under way.
    assert {each.stage for each in google_audiences.updates(told, ORIGIN, vendor.settings)} == {1}


def test_peer_defect_fields_that_are_not_there(vendor: Google):
    to(vendor, [on("ann@x.org"), on("+18005550100", id_type="phone"), on("bo@x.org", "false")])
    sent = [json.loads(each.body) for each in vendor.calls if each.path.startswith("/v1")]
    assert b"addressInfo" not in b"".join(each.body for each in vendor.calls)
    assert {"consent", "termsOfService"} & set(sent[-1]) == set()
    assert "termsOfService" in sent[0]


def test_peer_defect_an_adapter_that_does_nothing(vendor: Google):
    assert outcomes(to(vendor, [on("ann@x.org")])) == {"delivered": 1}
    assert len(vendor.members("buyers")) == 1

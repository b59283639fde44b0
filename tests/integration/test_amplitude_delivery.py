"""Amplitude: what arrives there, who is named in its answers, and what others got wrong."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from demo.vendors.amplitude import KEY, SECRET, SEED, Amplitude, Cohort
from demo.vendors.server import serve
from populace.destinations import amplitude
from populace.destinations.protocol import Response, Verdict
from tasks.delivery import Ways
from tasks.listing import Lists
from tasks.sending import Pace
from tasks.verifying import verify
from tests.deliveries import send as deliver
from tests.sent import ORIGIN, QUICK, opened, outcomes, record, send
from tests.vendors import delivering, publish

PEOPLE = [f"u{each}" for each in range(10)]


@pytest.fixture
def vendor() -> Iterator[Amplitude]:
    with serve(Amplitude()) as found:
        yield found


def to(vendor: Amplitude, *records: dict, pace: Pace = QUICK, **changed: str) -> list[Verdict]:
    with opened(amplitude, {**vendor.settings, **changed}, pace) as sender:
        return send(sender, list(records))


def listed(person: str, value: str = "true", key: str = "buyers") -> dict:
    return record(person, key, value, form="list")


def cohort(vendor: Amplitude, *members: str) -> Cohort:
    vendor.meet(PEOPLE)
    vendor.cohorts["c0"] = Cohort("buyers", set(members))
    return vendor.cohorts["c0"]


def paths(vendor: Amplitude) -> list[str]:
    return [each.path.removeprefix("/api/3/") for each in vendor.calls]


# --- properties and events ------------------------------------------------------------------------------


def test_values_memberships_and_what_is_taken_away_arrive_as_one_update(vendor: Amplitude):
    told = [record("ann", "plan"), record("ann", "buyers", "true"), record("ann", "tags", '["a", {"b": 1}]')]
    assert outcomes(to(vendor, *told)) == {"delivered": 3}
    assert len(vendor.seen) == 1
    assert vendor.held == {"ann": {"plan": "gold", "buyers": True, "tags": ["a", {"b": 1}]}}
    again = [record("ann", "plan", None, message_id="m2"), record("ann", "buyers", "false", message_id="m3")]
    assert outcomes(to(vendor, *again)) == {"delivered": 2}
    assert vendor.properties("plan") == {}
    assert vendor.properties("buyers") == {"ann": False}
    assert len(vendor.seen) == 2


def test_events_arrive_once_though_their_answer_was_lost(vendor: Amplitude):
    vendor.script = ["lost", "reset"]
    records = [record(each, "buyers", "true", form="event") for each in PEOPLE]
    records += [record("bo", "buyers", "false", form="event"), record("bo", "plan", form="event")]
    assert outcomes(to(vendor, *records)) == {"delivered": 12}
    assert vendor.happened("buyers") == Counter(
        {**dict.fromkeys([(each, True) for each in PEOPLE], 1), ("bo", False): 1}
    )
    assert [each["event_properties"] for each in vendor.events if each["event_type"] == "Trait Computed"] == [
        {"trait_key": "plan", "plan": "gold"}
    ]


def test_devices_are_told_of_but_join_no_cohort(vendor: Amplitude):
    cohort(vendor)
    device = {"id_type": "android.id"}
    told, parked = to(vendor, record("d-1", **device), record("d-1", "buyers", "true", form="list", **device))
    assert (told.outcome, parked.outcome, parked.reason) == ("delivered", "invalid", amplitude.NOT_NAMED)
    assert json.loads(vendor.calls[-1].body)["events"][0]["device_id"] == "d-1"


def test_who_is_at_fault_is_named_and_the_others_do_not_wait(vendor: Amplitude):
    vendor.unwanted = {"u3", "u7"}
    patient = replace(QUICK, first=60.0, longest=60.0)
    verdicts = to(vendor, *[record(each) for each in PEOPLE], pace=patient)
    assert [at for at, each in enumerate(verdicts) if each.outcome == "invalid"] == [3, 7]
    assert {each.reason for each in verdicts} == {"HTTP 200", "HTTP 400: user_id is not valid"}
    assert set(vendor.held) == set(PEOPLE) - vendor.unwanted
    assert len(vendor.calls) == 2
    assert verdicts[3].sent.startswith('{"event_type":"$identify","user_id":"u3"')


def test_a_request_that_is_refused_again_and_again_comes_to_an_end(vendor: Amplitude):
    vendor.always = (400, {}, {"code": 400, "events_with_missing_fields": {"time": [0]}})
    verdicts = to(vendor, *[record(f"v{each:02d}") for each in range(40)])
    assert outcomes(verdicts) == {"invalid": 30, "transient": 10}
    assert not any(each.in_doubt for each in verdicts)
    assert len(vendor.calls) == 3 * amplitude.ROUNDS


def test_who_is_told_too_much_waits_and_the_others_do_not(vendor: Amplitude):
    vendor.busy = {"u2"}
    verdicts = to(vendor, *[record(each) for each in PEOPLE])
    assert outcomes(verdicts) == {"delivered": 9, "throttled": 1}
    assert (verdicts[2].outcome, verdicts[2].after) == ("throttled", amplitude.PAUSE)
    vendor.busy = set()
    assert outcomes(to(vendor, record("u2"))) == {"delivered": 1}


def test_a_429_is_waited_for_as_long_as_it_says(vendor: Amplitude):
    vendor.script = [(429, {"Retry-After": "0"}, {"code": 429, "error": "Too many requests"})]
    assert outcomes(to(vendor, record())) == {"delivered": 1}
    vendor.script = [(429, {}, {"code": 429, "error": "Too many requests"})]
    (verdict,) = to(vendor, record("bo"))
    assert (verdict.outcome, verdict.after) == ("throttled", amplitude.PAUSE)


def test_requests_are_halved_where_they_are_too_large_or_nobody_is_named(vendor: Amplitude):
    vendor.most_items = 4
    assert outcomes(to(vendor, *[record(each) for each in PEOPLE])) == {"delivered": 10}
    vendor.script = [(400, {}, {"code": 400, "error": "Something"})]
    assert outcomes(to(vendor, *[record(each, "city") for each in PEOPLE[:4]])) == {"delivered": 4}
    assert set(vendor.properties("city")) == set(PEOPLE[:4])


def test_what_is_left_without_those_at_fault_is_halved_like_anything_else(vendor: Amplitude):
    named = (400, {}, {"code": 400, "events_with_invalid_fields": {"time": [0]}})
    vendor.script = [named, (400, {}, {"code": 400, "error": "Something"})]
    assert outcomes(to(vendor, *[record(each) for each in PEOPLE[:4]])) == {"delivered": 4}
    assert set(vendor.held) == set(PEOPLE[:4])


def test_a_wrong_key_pauses_and_parks_nobody(vendor: Amplitude):
    with opened(amplitude, {**vendor.settings, "api_key": "not-the-key"}) as sender:
        verdicts = send(sender, [record(each) for each in PEOPLE])
        assert "not-the-key" not in json.dumps(sender.samples) + verdicts[0].reason
        assert sender.samples
    assert outcomes(verdicts) == {"refused": 10}
    assert len(vendor.calls) == 1


def test_fewer_ingested_than_sent_is_a_warning(vendor: Amplitude):
    vendor.script = [(200, {}, {"code": 200, "events_ingested": 1})]
    verdicts = to(vendor, record("ann"), record("bo"))
    assert {each.reason for each in verdicts} == {"HTTP 200: 1 of 2 events were ingested"}
    assert outcomes(verdicts) == {"warning": 2}


# --- cohorts --------------------------------------------------------------------------------------------


def test_people_are_known_before_they_join_and_leave_again(vendor: Amplitude):
    told = [each for person in PEOPLE for each in (record(person), listed(person))]
    assert outcomes(to(vendor, *told)) == {"delivered": 20}
    assert vendor.members("buyers") == set(PEOPLE)
    assert paths(vendor) == ["cohorts", "cohorts/upload", "cohorts/membership", "/batch", "cohorts/membership"]
    mixed = [listed(each, "false") for each in PEOPLE[:4]] + [record("new"), listed("new")]
    assert outcomes(to(vendor, *mixed)) == {"delivered": 6}
    assert vendor.members("buyers") == {*PEOPLE[4:], "new"}
    added, removed = (json.loads(each.body)["memberships"][0] for each in vendor.calls[-2:])
    assert (added["operation"], removed["operation"]) == ("ADD", "REMOVE")
    assert len(vendor.cohorts) == 1
    assert vendor.most_per_list == 1


def test_a_cohort_is_made_under_the_name_of_the_audience_and_its_seed_taken_out(vendor: Amplitude):
    kept: dict[str, str] = {}
    vendor.meet(PEOPLE)
    vendor.cohorts["old"] = Cohort("Buyers!", {"u9"}, archived=True)
    origin = replace(ORIGIN, names={"buyers": "Buyers!"})
    with opened(amplitude, vendor.settings, lists=Lists({}, kept.__setitem__)) as sender:
        sender.origin = origin
        vendor.script = [None, None, 503]  # taking out the seed fails, and the cohort is found the next time
        assert outcomes(send(sender, [listed("u1")])) == {"delivered": 1}
    assert kept == {"buyers": "c2abc"}
    assert vendor.cohorts["c2abc"] == Cohort("Buyers!", {"u1"})
    assert SEED not in vendor.members("Buyers!")
    assert vendor.cohorts["old"].members == {"u9"}


@pytest.mark.parametrize(
    ("missing", "said"),
    [(("app_id", "owner", "seed_user"), "set 'app_id', 'owner' and 'seed_user'"), (("secret_key",), "'secret_key'")],
)
def test_without_what_a_cohort_takes_nobody_is_parked_and_a_person_is_told_what_to_do(
    vendor: Amplitude, missing: tuple[str, ...], said: str
):
    settings = {name: each for name, each in vendor.settings.items() if name not in missing}
    with opened(amplitude, settings) as sender:
        (verdict,) = send(sender, [listed("u1")])
    assert verdict.outcome == "refused"
    assert said in verdict.reason
    assert vendor.cohorts == {}


def test_a_seed_that_nobody_knows_parks_nobody(vendor: Amplitude):
    (verdict,) = to(vendor, listed("u1"), seed_user="stranger")
    assert verdict.outcome == "refused"
    assert "'seed_user'" in verdict.reason


def test_who_is_not_known_is_named_and_nobody_else_is_held_up(vendor: Amplitude):
    held = cohort(vendor, "u0")
    verdicts = to(vendor, listed("u1"), listed("stranger"), listed("u0", "false"), listed("nobody", "false"))
    assert [each.outcome for each in verdicts] == ["delivered", "invalid", "delivered", "noop"]
    assert "once Amplitude has seen them" in verdicts[1].reason
    assert held.members == {"u1"}


def test_a_cohort_that_is_gone_pauses(vendor: Amplitude):
    with opened(amplitude, vendor.settings, lists=Lists({"buyers": "gone"})) as sender:
        (verdict,) = send(sender, [listed("u1")])
    assert (verdict.outcome, verdict.reason) == ("refused", amplitude.GONE.reason)


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["at once", "at another address"])
def test_a_cohort_is_read_back_and_mended(
    vendor: Amplitude, is_elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(amplitude, "BETWEEN_POLLS", 0.0)
    vendor.is_elsewhere = is_elsewhere
    vendor.meet([*PEOPLE, "stranger"])
    space = delivering(tmp_path, "amplitude", vendor, "list")
    publish(space, "amplitude", 1, {}, PEOPLE[:5])
    assert deliver(space)["status"] == "success"
    vendor.cohorts["c1abc"].members ^= {"u1", "stranger"}
    found = verify(space, "crm", Ways({}, pace=QUICK))
    assert (found["status"], found["acknowledged"], found["missing"], found["extra"]) == ("repaired", 5, 1, 1)
    assert vendor.members("buyers") == set(PEOPLE[:5])
    # What lies at another address is signed: the key is not shown there.
    assert not [each for each in vendor.calls if each.path.startswith("/signed") and "authorization" in each.headers]


def test_a_file_that_is_none_is_not_an_empty_cohort(vendor: Amplitude):
    for body in (b"<!doctype html>", b"{}", b"", b'"amplitude_id"\n"1"'):
        reading = amplitude.held("buyers", "list", [], replace(ORIGIN, lists={"buyers": "c0"}), vendor.settings)
        next(reading)
        reading.send(Response(202, {}, b'{"request_id": "r1"}'))
        reading.send(Response(200, {}, b'{"async_status": "JOB COMPLETED"}'))
        with pytest.raises(StopIteration) as end:
            reading.send(Response(200, {}, body))
        assert end.value.value.outcome == "unknown"


# --- what others got wrong (destinations.md 16) ---------------------------------------------------------


@pytest.mark.parametrize("trouble", [429, 500, 502, 503, 504])
def test_peer_defect_every_failure_of_a_cohort_is_taken_for_a_wrong_record(vendor: Amplitude, trouble: int):
    held = cohort(vendor)
    with opened(amplitude, vendor.settings, lists=Lists({"buyers": "c0"})) as sender:
        vendor.script = [trouble, trouble]
        assert outcomes(send(sender, [listed("u1"), listed("u2")])) == {"delivered": 2}
    assert held.members == {"u1", "u2"}
    assert len(vendor.calls) == 3


def test_peer_defect_options_that_are_not_set_are_sent_as_undefined(vendor: Amplitude):
    assert outcomes(to(vendor, record("x"), record("y", "buyers", "true", form="event"))) == {"delivered": 2}
    (call,) = vendor.calls
    assert json.loads(call.body)["options"] == {"min_id_length": 1}
    assert b"undefined" not in call.body
    assert call.headers["content-type"] == "application/json"


def test_peer_defect_operations_and_plain_properties_are_mixed(vendor: Amplitude):
    to(vendor, record("ann", "plan"), record("ann", "city", None), record("bo", "city", None))
    told = [each["user_properties"] for each in json.loads(vendor.calls[0].body)["events"]]
    assert told == [{"$set": {"plan": "gold"}, "$unset": {"city": "-"}}, {"$unset": {"city": "-"}}]


# --- settings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"owner": "me"}, "'app_id', 'owner' and 'seed_user' are given together, or none of them"),
        ({"app_id": "x", "owner": "me", "seed_user": "u1"}, "'app_id' must be a number"),
        ({"region": "mars"}, "'region' must be one of us, eu"),
        ({"app_id": "${APP}", "owner": "me", "seed_user": "u1"}, ""),
    ],
)
def test_settings_that_cannot_work_are_told_by_check(written: dict[str, str], problem: str):
    found = amplitude.problems({"api_key": KEY, "secret_key": SECRET, **written})
    assert found == ([problem] if problem else [])
    if {"app_id", "owner", "seed_user"} <= written.keys() and not problem:
        assert amplitude.problems({"api_key": KEY, **written}) == ["cohorts need 'secret_key'"]

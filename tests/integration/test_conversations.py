"""The sender with a vendor that uses everything the protocol offers, in peace and in mischief."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from demo.vendors.server import serve
from populace.definitions import Bounds
from tasks.listing import Lists
from tasks.sending import NOT_REPEATED, Pace
from tests import rolodex
from tests.rolodex import KEY, Rolodex
from tests.sent import QUICK, frame, opened, outcomes, record, send

NONE = Bounds()
PEOPLE = [f"u{each:02d}" for each in range(40)]


@pytest.fixture
def vendor() -> Iterator[Rolodex]:
    with serve(Rolodex()) as found:
        yield found


def settings(vendor: Rolodex) -> dict[str, str]:
    return {"url": vendor.url, "key": KEY}


def to(vendor: Rolodex, records: list[dict], pace: Pace = QUICK, bounds: Bounds = NONE) -> dict[str, int]:
    with opened(rolodex, settings(vendor), pace, bounds) as sender:
        return outcomes(send(sender, records))


def listed(person: str, value: str = "true", key: str = "buyers") -> dict:
    return record(person, key, value, form="list")


def test_what_can_never_succeed_is_parked_and_not_sent(vendor: Rolodex):
    long = "x" * (rolodex.LONGEST_NAME + 1)
    with opened(rolodex, settings(vendor)) as sender:
        bad, good = send(sender, [record(long), record("ann")])
    assert (bad.outcome, bad.reason, bad.sent) == ("invalid", "the name is too long", f'"{long}"')
    assert good.outcome == "delivered"
    assert set(vendor.cards) == {"ann"}


# --- lists ------------------------------------------------------------------------------------------


def test_a_list_is_made_once_under_its_name_and_found_again(vendor: Rolodex):
    kept: dict[str, str] = {}
    to(vendor, [record(person) for person in PEOPLE[:3]])
    for person in PEOPLE[:3]:
        lists = Lists(dict(kept), kept.__setitem__)
        with opened(rolodex, settings(vendor), lists=lists) as sender:
            assert outcomes(send(sender, [listed(person), listed(person, key="fans")])) == {"delivered": 2}
    assert kept == {"buyers": "l1", "fans": "l2"}
    assert vendor.members("buyers") == set(PEOPLE[:3])
    made = [call for call in vendor.calls if call.path == "/lists" and call.method == "POST"]
    assert len(made) == 2
    # Nobody remembers what it is called, and it is found.
    assert to(vendor, [listed(PEOPLE[0], "false")]) == {"delivered": 1}
    assert vendor.members("buyers") == set(PEOPLE[1:3])
    assert len(vendor.names_of_lists) == 2


@pytest.mark.parametrize(("trouble", "outcome"), [(422, "invalid"), (401, "refused"), (503, "transient")])
def test_who_joins_a_list_that_is_not_there_waits_for_it_and_others_do_not(vendor: Rolodex, trouble: int, outcome: str):
    hasty = replace(QUICK, window=0.05)
    vendor.always = trouble
    with opened(rolodex, settings(vendor), hasty) as sender:
        (verdict, _) = send(sender, [listed("u00"), record("u01")])
    assert verdict.outcome == outcome
    vendor.always = None
    assert to(vendor, [record("u00"), record("u01"), listed("u00")]) == {"delivered": 3}


def test_a_list_that_cannot_be_made_stops_nobody_else(vendor: Rolodex):
    vendor.script = [200, (422, {}, b"{}")]
    with opened(rolodex, settings(vendor)) as sender:
        found = send(sender, [record("u00"), listed("u00"), listed("u00", key="fans"), record("u01")])
    assert [each.outcome for each in found] == ["delivered", "invalid", "delivered", "delivered"]


# --- lanes ------------------------------------------------------------------------------------------


def test_several_requests_are_under_way_but_never_two_for_one_person(vendor: Rolodex):
    vendor.latency = 0.003
    records = [record(person, key) for person in PEOPLE for key in ("a", "b", "c")]
    assert to(vendor, records) == {"delivered": 120}
    assert vendor.most_under_way > 1
    assert vendor.most_under_way <= 4
    assert vendor.most_per_person == 1
    assert all(vendor.cards[person] == dict.fromkeys("abc", "gold") for person in PEOPLE)


def test_an_identifier_that_moved_between_profiles_is_one_person(vendor: Rolodex):
    vendor.latency = 0.003
    records = [record(person, "a", None, profile_id=f"old-{person}") for person in PEOPLE]
    records += [record(person, "b", profile_id=f"new-{person}") for person in PEOPLE]
    assert to(vendor, records) == {"delivered": 80}
    assert vendor.most_per_person == 1
    assert vendor.most_under_way > 1


def test_a_refusal_in_one_lane_stops_all(vendor: Rolodex):
    # Were all answers equally slow, the other lanes could finish and begin again while the 404 is on its way. So what
    # comes after it is held back until everything has stopped; patience with that is long enough for any machine.
    vendor.script, vendor.always, vendor.delay = [*[200] * 10, 404], "slow", 8.0
    with opened(rolodex, settings(vendor), QUICK, Bounds(timeout=timedelta(seconds=10))) as sender:
        vendor.closing = sender.standing.over
        found = outcomes(send(sender, [record(each) for each in PEOPLE]))
        assert sender.courier.stopped.outcome == "refused"
    assert found["refused"] + found["delivered"] == 40
    assert len(vendor.calls) <= 14  # ten, the one, and those under way in the other three


def test_whoever_stops_reading_stops_the_sending(vendor: Rolodex):
    vendor.latency = 0.005
    with opened(rolodex, settings(vendor)) as sender:
        reading = sender.send(frame([record(each) for each in PEOPLE]))
        next(reading)
        reading.close()
        count = len(vendor.calls)
        time.sleep(0.05)
        assert len(vendor.calls) == count < 20


def test_a_fault_of_an_adapter_ends_the_delivery_in_every_lane(vendor: Rolodex):
    class Faulty:
        ABOUT, account, limits, updates = rolodex.ABOUT, rolodex.account, rolodex.limits, rolodex.updates

        @staticmethod
        def exchange(updates: Any, options: Any, at: int) -> Any:
            if b"u20" in updates[0].group.encode():
                raise ZeroDivisionError
            return rolodex.exchange(updates, options, at)

    vendor.latency = 0.002
    with pytest.raises(ZeroDivisionError), opened(Faulty, settings(vendor)) as sender:
        send(sender, [record(each) for each in PEOPLE])
    count = len(vendor.calls)
    time.sleep(0.02)
    assert len(vendor.calls) == count


# --- stages -----------------------------------------------------------------------------------------


def test_people_are_there_before_they_join_a_list_and_a_list_is_written_by_one(vendor: Rolodex):
    vendor.on_lists, vendor.numbers = {"l1": {901, 902}}, {"old1": 901, "old2": 902}
    vendor.names_of_lists = {"l1": "buyers"}
    vendor.latency = 0.002
    records = [listed("old1", "false"), listed("old2", "false")]
    records += [each for person in PEOPLE for each in (listed(person), record(person))]
    assert to(vendor, records) == {"delivered": 82}
    assert vendor.members("buyers") == set(PEOPLE)
    assert vendor.most_per_list == 1
    paths = [each.path for each in vendor.calls if each.method != "GET"]
    assert paths.index("/lists/l1/add") > max(at for at, each in enumerate(paths) if "people" in each)
    # Full batches: forty people in fourteen requests of three, two removed in one.
    assert (paths.count("/lists/l1/add"), paths.count("/lists/l1/remove")) == (14, 1)


def test_somebody_whom_a_lookup_does_not_find_is_told_apart(vendor: Rolodex):
    vendor.numbers = {"u01": 7}
    assert to(vendor, [listed("u01"), listed("nobody")]) == {"delivered": 1, "invalid": 1}
    assert to(vendor, [listed("nobody", "false")]) == {"noop": 1}
    assert vendor.members("buyers") == {"u01"}


# --- conversations ----------------------------------------------------------------------------------


def imports(*people: str) -> list[dict]:
    return [record(each, form="import") for each in people]


def test_a_queued_job_is_asked_for_until_it_is_done(vendor: Rolodex):
    vendor.unwanted, vendor.polls = {"u01"}, 4
    assert to(vendor, imports("u00", "u01", "u02")) == {"delivered": 2, "invalid": 1}
    assert [each.method for each in vendor.calls] == ["POST", "GET", "GET", "GET", "GET"]


def test_asking_waits_as_long_as_the_adapter_says(vendor: Rolodex):
    vendor.polls = 3
    start = time.monotonic()
    with opened(rolodex, {**settings(vendor), "pause": "0.1"}) as sender:
        send(sender, imports("u00"))
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize("mischief", [500, 429, "reset", "html", (429, {"Retry-After": "0"})])
def test_a_question_that_fails_is_asked_again_and_nothing_is_handed_in_twice(vendor: Rolodex, mischief: object):
    vendor.script = [200, mischief, mischief]
    assert to(vendor, imports("u00", "u01")) == {"delivered": 2}
    assert len(vendor.jobs) == 1


def test_a_job_that_never_ends_leaves_everything_unknown(vendor: Rolodex):
    vendor.polls = 1_000
    with opened(rolodex, settings(vendor), Pace(window=0.3, first=0.01, longest=0.01)) as sender:
        (verdict,) = send(sender, imports("u00"))
    assert (verdict.outcome, verdict.in_doubt) == ("unknown", True)
    assert verdict.attempts >= 1


def test_nobody_to_ask_after_something_was_handed_in_leaves_doubt(vendor: Rolodex):
    class Vanishing:
        ABOUT, account, limits, updates = rolodex.ABOUT, rolodex.account, rolodex.limits, rolodex.updates

        @staticmethod
        def exchange(updates: Any, options: Any, at: int) -> Any:
            """The job is asked for where nobody listens: certainly not seen, but what came before was."""
            conversation = rolodex.exchange(updates, options, at)
            response = yield next(conversation)
            asked = conversation.send(response)
            yield replace(asked, url="http://127.0.0.1:1/")

    with opened(Vanishing, settings(vendor), Pace(window=0.1, first=0.01, longest=0.01)) as sender:
        (verdict,) = send(sender, imports("u00"))
    assert (verdict.outcome, verdict.in_doubt) == ("transient", True)
    assert vendor.jobs


def test_a_question_that_nobody_answers_leaves_no_doubt(vendor: Rolodex):
    vendor.always = "reset"
    with opened(rolodex, settings(vendor), Pace(window=0.1, first=0.01, longest=0.01)) as sender:
        (verdict,) = send(sender, [listed("u00")])
    assert (verdict.outcome, verdict.in_doubt) == ("transient", False)


# --- what a repetition would be counted for -----------------------------------------------------------


def events(*people: str) -> list[dict]:
    return [record(each, "buyers", "true", form="event") for each in people]


@pytest.mark.parametrize("mischief", ["reset", "lost", "drop", "late"])
def test_an_event_that_may_have_arrived_is_not_sent_again(vendor: Rolodex, mischief: str):
    vendor.script, vendor.delay = [mischief], 0.7  # its adapter waits for half a second
    with opened(rolodex, settings(vendor), Pace(window=3, first=0.002, longest=0.01)) as sender:
        verdicts = send(sender, events(*PEOPLE[:6]))
    doubtful = [each for each in verdicts if each.outcome == "unknown"]
    assert outcomes(verdicts) == {"unknown": len(doubtful), "delivered": 6 - len(doubtful)}
    assert 1 <= len(doubtful) <= 3  # those of one request
    assert set(vendor.tally.values()) == {1}
    assert all(NOT_REPEATED in each.reason and not each.in_doubt and each.attempts == 1 for each in doubtful)


@pytest.mark.parametrize("mischief", [429, 400, 413])
def test_an_event_that_was_certainly_not_taken_is_sent_again(vendor: Rolodex, mischief: int):
    vendor.script = [mischief]
    assert to(vendor, events("u00", "u01")) == {"delivered": 2}
    assert set(vendor.tally.values()) == {1}


def test_an_outage_swallows_few_events_and_the_rest_waits(vendor: Rolodex):
    vendor.always = "lost"
    found = to(vendor, events(*(f"u{each:03d}" for each in range(200))), Pace(window=0.05, first=0.02, longest=0.02))
    assert found["transient"] > 100
    assert found.keys() == {"unknown", "transient"}
    assert set(vendor.tally.values()) == {1}


# --- pace ---------------------------------------------------------------------------------------------


def test_the_pace_of_an_endpoint_is_kept_and_used(vendor: Rolodex):
    bounds = Bounds(requests_per_second=60.0)
    records = [record(each, key) for each in PEOPLE for key in ("a", "b", "c")]
    assert to(vendor, records, bounds=bounds) == {"delivered": 120}
    assert vendor.fastest() <= 60
    # Nine tenths by a clock that nobody holds up (tests/unit/test_pacing.py); here others use the machine, too.
    assert 119 / (vendor.calls[-1].at - vendor.calls[0].at) >= 0.8 * 60


def test_a_slower_vendor_than_documented_is_got_along_with(vendor: Rolodex):
    vendor.rate = {"people": 10.0}
    bounds = Bounds(requests_per_second=40.0)
    records = [record(each) for each in PEOPLE[:15]]
    assert to(vendor, records, Pace(window=5, first=0.01), bounds) == {"delivered": 15}
    assert 0 < vendor.throttled <= 8  # once or twice for each lane


def test_fewer_records_a_request_where_the_definition_says_so(vendor: Rolodex):
    assert to(vendor, events(*PEOPLE[:4]), bounds=Bounds(records_per_request=2)) == {"delivered": 4}
    assert len(vendor.calls) == 2


def test_patience_and_timeout_of_the_definition_are_kept(vendor: Rolodex):
    vendor.always, vendor.delay = "slow", 0.3
    short = Bounds(timeout=timedelta(seconds=0.1), patience=timedelta(seconds=0.2))
    start = time.monotonic()
    found = to(vendor, [record("u00")], Pace(window=60, first=0.01), short)
    assert found == {"unknown": 1}
    assert time.monotonic() - start < 1


# --- everything at once --------------------------------------------------------------------------------

STORM = [500, 503, "reset", "lost", "drop", "unread", 429, (429, {"Retry-After": "0"}), "html", 401, 200, 200]


@pytest.mark.parametrize("seed", range(6))
def test_a_storm_ends_with_what_was_desired_and_no_event_counted_twice(vendor: Rolodex, seed: int):
    import random

    chance = random.Random(seed)
    vendor.script = chance.choices([each for each in STORM if each != 401], k=40)
    vendor.script.insert(chance.randrange(30), 401)
    everybody = [each for person in PEOPLE for each in (record(person), listed(person), *events(person))]
    with opened(rolodex, settings(vendor), Pace(window=20, first=0.002, longest=0.004)) as sender:
        verdicts = send(sender, everybody)
        assert sender.courier.stopped is None
    assert all(vendor.cards[person] == {"plan": "gold"} for person in PEOPLE)
    assert vendor.members("buyers") == set(PEOPLE)
    assert set(vendor.tally.values()) == {1}
    assert vendor.most_per_person == vendor.most_per_list == 1
    uncounted = [each for each in verdicts if each.outcome != "delivered"]
    assert all(each.outcome == "unknown" and NOT_REPEATED in each.reason for each in uncounted)

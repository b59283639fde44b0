"""Iterable: what arrives in a project, who is named in a 200, and what its other adapters get wrong."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.iterable import KEY, Iterable
from demo.vendors.server import serve
from populace.definitions import Delivery, Destination
from populace.destinations import iterable
from populace.destinations.protocol import Reading, Request, Response, Verdict
from populace.space import OpenSpace
from tasks import pacing
from tasks.delivery import Ways
from tasks.listing import Lists
from tasks.verifying import verify
from tasks.wire import Wire
from tests.deliveries import QUICK, open_space, publish
from tests.deliveries import outcomes as counted
from tests.deliveries import send as deliver
from tests.sent import ORIGIN, opened, outcomes, record, send

PLAIN = {"content-type": "text/plain; charset=utf-8"}
PEOPLE = [f"u{each:02d}" for each in range(12)]


@pytest.fixture
def vendor() -> Iterator[Iterable]:
    with serve(Iterable()) as found:
        yield found


@pytest.fixture
def space(tmp_path: Path, vendor: Iterable) -> OpenSpace:
    """Twelve people with a plan, ten with a city, the first six of them buyers."""
    space = open_space(
        tmp_path, Destination("crm", "iterable", tuple(vendor.settings.items())), "plan", "city", "buyers"
    )
    publish(space, 1, values(["Rome"] * 10 + [None] * 2), {"buyers": PEOPLE[:6]})
    return space


def destination(vendor: Iterable) -> Destination:
    return Destination("crm", "iterable", tuple(vendor.settings.items()))


def values(cities: list[str | None]) -> dict[str, list]:
    return {"profile_id": PEOPLE, "plan": ["gold"] * 12, "city": cities}


def sent(vendor: Iterable, records: list[dict[str, Any]], **settings: str) -> list[Verdict]:
    with opened(iterable, {**vendor.settings, **settings}, lists=Lists()) as sender:
        return send(sender, records)


def mail(name: str, key: str = "plan", value: str | None = '"gold"', **more: str) -> dict[str, Any]:
    return record(f"{name}@b.co", key, value, id_type="email", **more)


def joins(*names: str, value: str = "true") -> list[dict[str, Any]]:
    return [mail(each, "buyers", value, form="list") for each in names]


# --- what arrives --------------------------------------------------------------------------------------


def test_values_arrive_and_are_taken_away_again(space: OpenSpace, vendor: Iterable):
    assert counted(deliver(space)) == {"delivered": 28}
    assert vendor.properties("plan") == dict.fromkeys(PEOPLE, "gold")
    assert vendor.properties("buyers") == dict.fromkeys(PEOPLE[:6], True)
    publish(space, 2, values(["Rome"] * 9 + [None] * 3), {"buyers": PEOPLE[:5]})
    assert counted(deliver(space)) == {"delivered": 2, "unchanged": 26}
    assert vendor.properties("city") == dict.fromkeys(PEOPLE[:9], "Rome")
    assert vendor.profiles["u05"]["buyers"] is False
    assert counted(deliver(space)) == {"unchanged": 26}


@pytest.mark.parametrize(
    "script",
    [
        [500, 503, 502],
        ["reset", "lost", "drop", "unread"],
        ["html", 408, "page"],
        [(429, {}, {"code": "RateLimitExceeded", "params": {"rateLimitReset": 0.01}}), 429],
        [401],
    ],
    ids=["500 burst", "no answer", "outage page", "throttled", "denied once"],
)
def test_mischief_ends_in_the_desired_state(space: OpenSpace, vendor: Iterable, script: list[Any]):
    vendor.script = list(script)
    assert deliver(space)["status"] == "success"
    assert vendor.properties("plan") == dict.fromkeys(PEOPLE, "gold")
    assert vendor.properties("city") == dict.fromkeys(PEOPLE[:10], "Rome")
    assert vendor.most_per_person == 1


def test_an_object_replaces_the_one_before(vendor: Iterable):
    sent(vendor, [record("U2", "tastes", '{"red": 1, "white": 2}')])
    sent(vendor, [record("U2", "tastes", '{"red": 3}')])
    assert vendor.properties("tastes") == {"U2": {"red": 3}}


def test_lists_are_made_once_joined_and_left_and_no_other_mail_is_lost(vendor: Iterable):
    vendor.catalogue.append({"id": 7, "name": "buyers", "createdAt": 1, "listType": "Dynamic"})
    assert outcomes(sent(vendor, [*joins("a", "b"), record("U2", "buyers", "true", form="list")])) == {"delivered": 3}
    verdicts = sent(vendor, [*joins("a", "stranger", value="false"), *joins("c")])
    assert outcomes(verdicts) == {"delivered": 2, "noop": 1}
    assert vendor.on == {1_001: {"b@b.co", "c@b.co", "U2"}}
    assert len(vendor.catalogue) == 2
    assert vendor.channels_left == set()


def test_profiles_are_there_before_their_events_and_lists(vendor: Iterable):
    told = [*joins("a"), mail("a", "buyers", "true", form="event"), mail("a")]
    assert outcomes(sent(vendor, told)) == {"delivered": 3}
    paths = [each.path.removeprefix("/api/") for each in vendor.calls if each.method == "POST"]
    assert paths == ["lists", "users/bulkUpdate", "events/trackBulk", "lists/subscribe"]


def test_events_arrive_once_even_where_no_answer_came(vendor: Iterable):
    told = [record("U2", "buyers", each, form="event", message_id=f"m-{each}") for each in ("true", "false")]
    vendor.script = ["reset"]
    assert outcomes(sent(vendor, told)) == {"unknown": 2}
    assert vendor.happened("buyers") == Counter({("U2", True): 1, ("U2", False): 1})


def test_nobody_is_made_where_only_existing_people_are_meant(vendor: Iterable):
    sent(vendor, [mail("a")])
    sent(vendor, [mail("b"), record("U2"), *joins("c")], existing_only="true")
    assert set(vendor.profiles) == {"a@b.co"}


# --- partial failures ----------------------------------------------------------------------------------


def test_who_failed_is_named_record_by_record(vendor: Iterable):
    vendor.unwanted, vendor.forgotten = {"a@b.co", "U2"}, {"c@b.co"}
    told = [mail("a"), mail("a", "city", '"Rome"'), mail("b"), mail("c"), record("U2"), record("u2")]
    verdicts = sent(vendor, told)
    assert [each.outcome for each in verdicts] == ["invalid", "invalid", "delivered", "noop", "invalid", "delivered"]
    assert verdicts[3].reason.startswith("erased there")
    assert len(vendor.calls) == 1
    assert "@" not in "".join(each.reason for each in verdicts)


def test_a_value_of_another_type_is_parked_alone(vendor: Iterable):
    sent(vendor, [mail("a", "orders", "3")])
    assert [each.outcome for each in sent(vendor, [mail("b", "orders", '"many"'), mail("c")])] == [
        "invalid",
        "delivered",
    ]


def test_who_failed_without_a_name_is_found_by_halves(vendor: Iterable):
    vendor.unnamed, vendor.unwanted = {"c@b.co"}, {"a@b.co"}
    verdicts = sent(vendor, [mail(each) for each in "abc"])
    assert [each.outcome for each in verdicts] == ["invalid", "delivered", "invalid"]
    assert set(vendor.properties("plan")) == {"b@b.co"}


def test_events_that_were_taken_are_not_sent_again_to_find_one_that_was_not(vendor: Iterable):
    vendor.unnamed = {"b@b.co"}
    verdicts = sent(vendor, [mail(each, "buyers", "true", form="event") for each in "abc"])
    assert outcomes(verdicts) == {"unknown": 3}
    assert vendor.happened("buyers") == Counter({("a@b.co", True): 1, ("c@b.co", True): 1})


def test_an_event_that_the_project_does_not_allow_is_parked(vendor: Iterable):
    vendor.disallowed = {"Audience Exited"}
    told = [mail(each, "buyers", value, form="event") for each, value in (("a", "true"), ("b", "false"))]
    assert [each.outcome for each in sent(vendor, told)] == ["delivered", "invalid"]


def test_fields_that_the_project_drops_are_told(vendor: Iterable):
    vendor.drops = {"city"}
    (plan, city) = sent(vendor, [mail("a"), mail("b", "city", '"Rome"')])
    assert (plan.outcome, city.outcome) == ("delivered", "warning")
    assert city.reason.endswith("city")


def test_a_batch_that_is_too_large_is_halved(vendor: Iterable):
    vendor.most_items = 2
    assert outcomes(sent(vendor, [mail(each) for each in "abc"])) == {"delivered": 3}


def test_the_wait_stands_in_the_body(vendor: Iterable):
    wait = {"code": "RateLimitExceeded", "msg": "", "params": {"rateLimitReset": 3600}}
    vendor.script = [(429, {}, wait)]
    (verdict,) = sent(vendor, [mail("a")])
    assert (verdict.outcome, verdict.after, len(vendor.calls)) == ("throttled", 3600.0, 1)


def test_more_than_five_bulk_updates_a_second_are_not_sent(vendor: Iterable):
    vendor.rate = {"api/users/bulkUpdate": 5.0}
    wide = json.dumps("x" * 2_500_000)
    assert outcomes(sent(vendor, [mail(each, "wide", wide) for each in "abc"])) == {"delivered": 3}
    assert (vendor.throttled, len(vendor.calls)) == (0, 3)
    assert max(len(each.body) for each in vendor.calls) <= 4_000_000


def test_a_wrong_key_holds_the_destination_and_appears_nowhere(space: OpenSpace, vendor: Iterable):
    vendor.key = "another"
    summary = deliver(space)
    assert summary["status"] == "paused"
    assert "BadApiKey" in json.dumps(summary)
    assert KEY not in json.dumps(summary)


# --- reading back --------------------------------------------------------------------------------------


def ended(reading: Reading, answered: Callable[[Request], Any]) -> Any:
    """What a reading of at most one question comes to."""
    try:
        reading.send(answered(next(reading)))
    except StopIteration as end:
        return end.value
    raise AssertionError("more than one question")


def read(vendor: Iterable, number: int) -> Any:
    """What a list is read back as, by a wire of its own."""
    origin, wire = replace(ORIGIN, lists={"buyers": str(number)}), Wire(2.0)
    try:
        return ended(iterable.held("buyers", "list", [], origin, vendor.settings), wire.ask)
    finally:
        wire.close()


def test_a_list_is_read_back(vendor: Iterable):
    sent(vendor, [*joins("a", "b"), record("U 2", "buyers", "true", form="list")])
    people = [("email", "a@b.co", True), ("email", "b@b.co", True), ("user_id", "U 2", True)]
    assert sorted(read(vendor, 1_000)) == people
    assert read(vendor, 7) == []


def test_what_people_changed_on_a_list_is_found_and_mended(tmp_path: Path, vendor: Iterable):
    space = open_space(tmp_path, destination(vendor), "buyers")
    audiences = tuple(replace(each, deliveries=(Delivery("crm", "list"),)) for each in space.definition.audiences)
    space = replace(space, definition=replace(space.definition, audiences=audiences))
    people = {"p1": ("email", "ann@b.co"), "p2": ("email", "bob@b.co")}
    publish(space, 1, members={"buyers": ["p1", "p2"]}, people=people)
    assert deliver(space)["status"] == "success"
    vendor.on[1_000] = {"ann@b.co", "eve@b.co"}
    pacing.forget()
    found = verify(space, "crm", Ways({}, pace=QUICK), confirm=True)
    assert (found["status"], found["missing"], found["extra"]) == ("repaired", 1, 1)
    assert vendor.members("buyers") == {"ann@b.co", "bob@b.co"}


def test_a_list_longer_than_most_replies_is_read_whole(vendor: Iterable):
    vendor.on[7] = {f"{each:06d}@{'x' * 40}.co" for each in range(25_000)}
    assert len(read(vendor, 7)) == 25_000


def test_a_list_that_was_cut_is_never_taken_for_the_whole(vendor: Iterable, monkeypatch: pytest.MonkeyPatch):
    vendor.on[7] = {"ann@b.co", "bob@b.co"}
    monkeypatch.setattr(iterable, "LONGEST_LIST", 10)
    found = read(vendor, 7)
    assert (found.outcome, "too long" in found.reason) == ("refused", True)


@pytest.mark.parametrize(
    ("settings", "answer", "expected"),
    [
        ({}, None, "refused"),  # nobody said by what people are known
        ({"read_by": "email"}, Response(200, PLAIN, b"a@b.co\nzz@placeholder.email\n"), "refused"),
        ({"read_by": "email"}, Response(200, {"content-type": "text/html"}, b"<html></html>"), "unknown"),
        ({"read_by": "email"}, Response(503, {}, b"Request timeout"), "transient"),
    ],
)
def test_what_cannot_be_told_apart_is_not_read(settings: dict[str, str], answer: Response | None, expected: str):
    reading = iterable.held("buyers", "list", [], ORIGIN, {"api_key": KEY, **settings})
    assert ended(reading, lambda _: answer).outcome == expected


def test_people_who_are_all_known_by_one_type_need_no_word_about_it():
    settings, answer = {"api_key": KEY}, Response(200, PLAIN, b"A@b.co\n")
    mails, mixed = [("email", "a@b.co")], [("email", "a@b.co"), ("user_id", "U2")]
    reading = iterable.held("buyers", "list", mails, ORIGIN, settings)
    assert ended(reading, lambda _: answer) == [("email", "a@b.co", True)]
    assert ended(iterable.held("buyers", "list", mixed, ORIGIN, settings), lambda _: answer).outcome == "refused"


# --- what others get wrong -----------------------------------------------------------------------------


def test_peer_defect_200_as_full_success(vendor: Iterable):
    vendor.unwanted = {"a@b.co"}
    for form in ("property", "event", "list"):
        value = '"gold"' if form == "property" else "true"
        verdicts = sent(vendor, [mail(each, "buyers", value, form=form) for each in "ab"])
        assert [each.outcome for each in verdicts] == ["invalid", "delivered"], form


def test_peer_defect_fixed_american_host_for_lists():
    settings = {"api_key": KEY, "region": "eu"}
    told = [mail("a"), *joins("a"), *joins("b", value="false"), mail("a", "buyers", "true", form="event")]
    asked = [next(iterable.exchange([each], settings, 0)).url for each in iterable.updates(told, ORIGIN, settings)]
    asked += [next(iterable.listing("buyers", "Buyers", settings)).url]
    asked += [next(iterable.held("buyers", "list", [], ORIGIN, {**settings, "read_by": "email"})).url]
    assert len(asked) == 6
    assert {each.partition("/api/")[0] for each in asked} == {"https://api.eu.iterable.com"}


def test_peer_defect_anonymous_id_as_user_id(tmp_path: Path, vendor: Iterable):
    space = open_space(tmp_path, destination(vendor), "plan")
    people = {"p1": ("anonymous_id", "a-1"), "p2": ("email", "ann@b.co")}
    publish(space, 1, {"profile_id": ["p1", "p2"], "plan": ["gold", "free"]}, people=people)
    summary = deliver(space, pace=QUICK)
    assert (summary["delivered"], summary["no_identifier"]) == (1, 1)
    assert vendor.properties("plan") == {"ann@b.co": "free"}

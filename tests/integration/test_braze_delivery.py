"""Braze: attributes and events as they arrive there, failures by place, its own way of saying to wait, reading back."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.braze import Braze, limited
from demo.vendors.server import serve
from populace.definitions import Destination
from populace.destinations import braze
from populace.destinations.protocol import Response, Verdict
from populace.space import OpenSpace
from tests.deliveries import ledger, open_space, publish
from tests.deliveries import outcomes as outcomes_of
from tests.deliveries import send as deliver
from tests.reading import held, users
from tests.sent import ORIGIN, opened, outcomes, record, send

PEOPLE = [f"u{each:03d}" for each in range(200)]


@pytest.fixture
def vendor() -> Iterator[Braze]:
    with serve(Braze()) as found:
        yield found


@pytest.fixture
def space(tmp_path: Path, vendor: Braze) -> OpenSpace:
    """Two hundred people with a plan, the first hundred of them buyers."""
    space = open_space(tmp_path, Destination("crm", "braze", tuple(vendor.settings.items())), "plan", "buyers")
    publish(space, 1, plans("gold"), {"buyers": PEOPLE[:100]})
    return space


def plans(plan: str) -> dict[str, list]:
    return {"profile_id": PEOPLE, "plan": [plan] * 200}


def told(vendor: Braze, *records: dict[str, Any], **settings: str) -> list[Verdict]:
    with opened(braze, {**vendor.settings, **settings}) as sender:
        return send(sender, list(records))


def test_a_first_sync_tells_everything_and_the_next_only_what_changed(space: OpenSpace, vendor: Braze):
    assert outcomes_of(deliver(space)) == {"delivered": 300}
    assert vendor.properties("plan") == dict.fromkeys(PEOPLE, "gold")
    assert vendor.members("buyers") == set(PEOPLE[:100])
    assert len(vendor.calls) == 3
    assert vendor.data_points == 300  # which are paid for
    publish(space, 2, plans("gold"), {"buyers": PEOPLE[:99]})
    assert outcomes_of(deliver(space)) == {"delivered": 1, "unchanged": 299}
    assert vendor.properties("buyers") == dict.fromkeys(PEOPLE[:99], True) | {"u099": False}
    assert vendor.data_points == 301


def test_a_value_that_is_lost_is_removed(vendor: Braze):
    told(vendor, record("ann", "plan"), record("ann", "city", '"Rome"'))
    told(vendor, record("ann", "plan", None))
    assert vendor.attributes == {"ann": {"city": "Rome"}}


def test_values_keep_their_types(vendor: Braze):
    values = ['"2024-03-01T00:00:00Z"', "10.5", "0", '["a", "b"]', '{"a": {"b": 1}}', "false", '"ünï ☃"']
    found = told(vendor, *(record("ann", f"t{at}", each, kind="trait") for at, each in enumerate(values)))
    assert outcomes(found) == {"delivered": 7}
    assert list(vendor.attributes["ann"].values()) == [
        "2024-03-01T00:00:00Z",
        10.5,
        0,
        ["a", "b"],
        {"a": {"b": 1}},
        False,
        "ünï ☃",
    ]


def test_events_are_told_once_for_each_change(vendor: Braze):
    first, second = (record(each, "buyers", "true", form="event") for each in ("ann", "bo"))
    left = record("ann", "buyers", "false", form="event")
    assert outcomes(told(vendor, first, left, second)) == {"delivered": 3}
    assert vendor.happened("buyers") == Counter({("ann", True): 1, ("ann", False): 1, ("bo", True): 1})


def test_people_go_by_what_braze_calls_their_identifiers(vendor: Braze):
    types = {"u1": "user_id", "b1": "braze_id", "a@x.org": "email", "+4930123": "phone"}
    assert outcomes(told(vendor, *(record(name, id_type=each) for name, each in types.items()))) == {"delivered": 4}
    assert vendor.properties("plan") == dict.fromkeys(types, "gold")


def test_nobody_is_made_where_only_existing_people_are_wanted(vendor: Braze):
    vendor.meet(["ann"])
    records = [record("ann"), record("bo"), record("bo", "buyers", "true", form="event")]
    assert outcomes(told(vendor, *records, existing_only="true")) == {"delivered": 3}
    assert set(vendor.attributes) == {"ann"}
    assert vendor.events == []


def test_a_trait_called_as_an_identifier_is_not_told_of_somebody_else(vendor: Braze):
    records = [record("ann", "external_id", '"bo"'), record("ann"), record("ann", "basket", '{"inc": 1}')]
    assert [each.outcome for each in told(vendor, *records)] == ["invalid", "delivered", "invalid"]
    assert vendor.attributes == {"ann": {"plan": "gold"}}


def test_peer_defect_one_shared_set_of_failed_places(vendor: Braze):
    # Two failures at different places of different arrays: each is parked alone, and nothing smears.
    vendor.unwanted = {PEOPLE[3], PEOPLE[80]}
    records = [(record(each), record(each, "buyers", "true", form="event")) for each in PEOPLE[:100]]
    found = told(vendor, *(each for pair in records for each in pair))
    assert [at for at, each in enumerate(found) if each.outcome != "delivered"] == [6, 7, 160, 161]
    named = "named in the answer: BLOCKLISTED_USER"
    assert {(found[at].outcome, found[at].reason) for at in (6, 7, 160, 161)} == {("invalid", named)}
    assert (vendor.data_points, len(vendor.events)) == (98, 98)  # and nothing was sent twice


def test_peer_defect_an_indexed_error_is_counted_as_taken(space: OpenSpace, vendor: Braze):
    vendor.unwanted = {"u007"}
    summary = deliver(space)
    assert summary["status"] == "partial"
    assert outcomes_of(summary) == {"delivered": 298, "invalid": 2}
    assert len(ledger(space).letters()) == 2
    assert "u007" not in vendor.attributes


def test_attributes_that_failed_without_a_place_are_halved_until_they_are_found(vendor: Braze):
    vendor.nameless, vendor.unwanted = True, {"u003"}
    found = told(vendor, *(record(each) for each in PEOPLE[:20]))
    assert [at for at, each in enumerate(found) if each.outcome == "invalid"] == [3]
    assert set(vendor.attributes) == set(PEOPLE[:20]) - {"u003"}


def test_events_that_failed_without_a_place_are_not_sent_again(vendor: Braze):
    vendor.nameless, vendor.unwanted = True, {"u003"}
    found = told(vendor, *(record(each, "buyers", "true", form="event") for each in PEOPLE[:20]))
    assert outcomes(found) == {"unknown": 20}
    assert set(vendor.happened("buyers").values()) == {1}


def test_events_without_an_answer_are_never_counted_twice(vendor: Braze):
    vendor.script = ["lost", "reset"]
    told(vendor, *(record(each, "buyers", "true", form="event") for each in PEOPLE[:160]))
    assert set(vendor.happened("buyers").values()) == {1}


@pytest.mark.parametrize("by_reset", [False, True], ids=["retry-after", "reset"])
def test_too_many_requests_are_waited_for_as_long_as_braze_says(vendor: Braze, *, by_reset: bool):
    vendor.script = [limited(3_600, by_reset=by_reset)]
    (found,) = told(vendor, record())
    assert found.outcome == "throttled"
    assert found.after is not None
    assert 3_590 < found.after <= 3_600
    vendor.script = [limited(0, by_reset=by_reset)]
    assert outcomes(told(vendor, record())) == {"delivered": 1}


def test_large_batches_keep_to_what_an_array_takes(vendor: Braze):
    found = told(vendor, *(record(each, "note", f'"{"x" * 90_000}"') for each in PEOPLE[:100]))
    assert outcomes(found) == {"delivered": 100}
    assert max(len(each.body) for each in vendor.calls) <= 4_000_000
    assert vendor.most_per_person == 1


def test_a_wrong_key_pauses_and_appears_nowhere(space: OpenSpace, vendor: Braze):
    sent = vendor.settings["api_key"]
    vendor.key = "another"
    summary = deliver(space)
    assert summary["status"] == "paused"
    assert sent not in str(summary) + str(ledger(space).report())


def test_workspaces_of_one_instance_are_two_accounts(vendor: Braze):
    assert braze.account(vendor.settings) != braze.account({**vendor.settings, "api_key": "of-another-workspace"})


# --- reading back -------------------------------------------------------------------------------------


def test_values_are_read_back_fifty_people_at_a_time(vendor: Braze):
    told(vendor, *(record(each, "orders_count", str(at)) for at, each in enumerate(PEOPLE[:70])))
    found = held(braze, vendor.settings, "orders_count", users(PEOPLE[:120]))
    assert found == [("user_id", each, at) for at, each in enumerate(PEOPLE[:70])]  # zero is a value too
    assert [each.path for each in vendor.calls[-3:]] == ["/users/export/ids"] * 3


def test_members_and_fields_of_brazes_own_are_read_back(vendor: Braze):
    told(vendor, record("ann", "buyers", "true"), record("bo", "buyers", "false"), record("bo", "first_name", '"Bo"'))
    assert held(braze, vendor.settings, "buyers", users(["ann", "bo", "nobody"])) == [("user_id", "ann", True)]
    assert held(braze, vendor.settings, "first_name", users(["ann", "bo"])) == [("user_id", "bo", "Bo")]


@pytest.mark.parametrize(("answer", "outcome"), [(401, "refused"), (429, "throttled"), ("page", "unknown")])
def test_what_cannot_be_read_is_nothing_that_is_held(vendor: Braze, answer: Any, outcome: str):
    vendor.script = [answer]
    found = held(braze, vendor.settings, "plan", users(["ann"]))
    assert isinstance(found, Verdict)
    assert found.outcome == outcome


def test_an_answer_of_another_shape_names_nobody():
    settings = {"endpoint": "https://rest.example", "api_key": "k"}
    for body in (b'{"users": [null, {"custom_attributes": []}, {"external_id": "ann"}]}', b'{"users": []}'):
        reading = braze.held("plan", "property", [("user_id", "ann")], ORIGIN, settings)
        next(reading)
        with pytest.raises(StopIteration) as end:
            reading.send(Response(200, {}, body))
        assert end.value.value == []


@pytest.mark.parametrize(
    "errors",
    [["free text"], [{"index": [1]}], [{"index": True, "input_array": "attributes"}], {"index": 0}, "text", [None]],
    ids=str,
)
def test_an_error_in_another_shape_is_not_taken_for_success(errors: Any):
    body = {"message": "success", "errors": errors}
    found = braze.answer(Response(201, {}, json.dumps(body).encode()), "attributes", 2, 0)
    assert isinstance(found, Verdict)
    assert found.outcome == "invalid"

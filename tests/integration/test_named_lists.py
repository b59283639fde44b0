"""Lists whose ids people write into destinations.yaml: who is on them, and what a change of an id does."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from demo.vendors.server import serve
from populace import sync
from populace.definitions import Delivery, Destination
from populace.space import OpenSpace, due
from tasks import pacing
from tasks.delivery import Ways, now, opened
from tasks.exchange import Exchange
from tasks.verifying import verify
from tests.deliveries import QUICK, acknowledged, ledger, open_space, publish, send
from tests.generative.hooks import Killed, Mortal, bury
from tests.rolodex import KEY, Rolodex
from tests.vendor_kinds import register

PEOPLE = ["ann", "bo", "cy", "di"]
STEP = 7  # every write has three moments, every removal two
LISTED = sync.Computation("audience", "buyers", "list")


@pytest.fixture
def vendor(monkeypatch) -> Iterator[Rolodex]:
    """A vendor with two empty lists that nobody made through us."""
    register(monkeypatch)
    register(monkeypatch, "listless", listing=None)
    with serve(Rolodex()) as found:
        found.names_of_lists |= {"a1": "theirs", "b2": "other"}
        yield found


def named(vendor: Rolodex, folder: Path, kind: str = "rolodex", **lists: str) -> OpenSpace:
    """A space whose buyers are told as a property and on a list, by ids of the definition."""
    settings = (("url", vendor.url), ("key", KEY))
    opened = open_space(folder, Destination("crm", kind, settings, lists=tuple(lists.items())), "buyers")
    (audience,) = opened.definition.audiences
    both = replace(audience, deliveries=(Delivery("crm"), Delivery("crm", "list")))
    pacing.forget()
    return replace(opened, definition=replace(opened.definition, audiences=(both,)))


def on(vendor: Rolodex, name: str) -> set[str]:
    return {person for person, number in vendor.numbers.items() if number in vendor.on_lists.get(name, set())}


def test_members_go_to_the_list_that_the_definition_names_and_none_is_made(vendor, tmp_path):
    space = named(vendor, tmp_path, buyers="a1")
    publish(space, 1, members={"buyers": PEOPLE[:3]})
    assert send(space)["status"] == "success"
    assert (on(vendor, "a1"), ledger(space).lists()) == ({"ann", "bo", "cy"}, {"buyers": "a1"})
    publish(space, 2, members={"buyers": PEOPLE[1:]})
    assert send(space)["delivered"] == 4
    assert on(vendor, "a1") == {"bo", "cy", "di"}
    assert not [call for call in vendor.calls if call.path == "/lists"]
    before = len(vendor.calls)
    send(space)
    assert len(vendor.calls) == before


def test_an_id_may_be_a_variable_and_holds_its_destination_where_it_is_not_set(vendor, tmp_path):
    space = named(vendor, tmp_path, buyers="${BUYERS}")
    publish(space, 1, members={"buyers": ["ann"]})
    found = send(space)
    assert (found["status"], vendor.calls) == ("held", [])
    assert "BUYERS is not set" in found["reason"]
    assert send(space, environ={"BUYERS": "a1"})["delivered"] == 2
    assert on(vendor, "a1") == {"ann"}
    # Without it nobody knows whether the list is another one: what was said of this one stays.
    assert send(space)["unchanged"] == 2
    empty = send(named(vendor, tmp_path, buyers="${BUYERS:-}"), resync=True)
    assert "the id of the list of 'buyers' is empty" in empty["reason"]


def test_all_members_join_the_list_of_another_id_and_nobody_is_removed_from_the_old_one(vendor, tmp_path):
    space = named(vendor, tmp_path, buyers="a1")
    publish(space, 1, members={"buyers": PEOPLE[:3]})
    send(space)
    first = {each["message_id"] for each in sent_by(space)}
    publish(space, 2, members={"buyers": PEOPLE[2:]})
    moved = named(vendor, tmp_path, buyers="b2")
    assert send(moved, dry_run=True) == send(moved, dry_run=True)  # and writes nothing
    assert ledger(space).lists() == {"buyers": "a1"}
    found = send(moved)
    assert (found["to_set"], found["to_remove"]) == (3, 2)  # both on the list, and three changes of the property
    assert (on(vendor, "a1"), on(vendor, "b2")) == ({"ann", "bo", "cy"}, {"cy", "di"})
    assert ledger(space).lists() == {"buyers": "b2"}
    assert sorted(acknowledged(moved).filter(form="list")["id_value"]) == ["cy", "di"]
    assert send(moved)["unchanged"] == 4
    assert not first & {each["message_id"] for each in sent_by(moved)}
    assert send(named(vendor, tmp_path))["unchanged"] == 4  # who wrote no id goes on with the list there is


def sent_by(space: OpenSpace) -> list[dict]:
    """What would be told anew of everything, under the message ids of the next delivery."""
    node = space.definition.destinations[0]
    books = replace(opened(node, ledger(space), Ways({})), at=now(), is_forgotten=True)
    return due.plan(space, node, books, due.origin(space, node, ledger(space))).due.rows(named=True)


def test_an_id_that_is_written_where_a_list_was_made_is_another_list(vendor, tmp_path):
    space = named(vendor, tmp_path)
    publish(space, 1, members={"buyers": PEOPLE[:2]})
    send(space)
    assert (ledger(space).lists(), on(vendor, "l3")) == ({"buyers": "l3"}, {"ann", "bo"})
    assert send(named(vendor, tmp_path, buyers="a1"))["delivered"] == 2
    assert on(vendor, "a1") == {"ann", "bo"}
    same = named(vendor, tmp_path, buyers="a1")
    assert send(same)["unchanged"] == 4


def test_what_waits_or_is_parked_of_the_old_list_is_forgotten(vendor, tmp_path):
    space = named(vendor, tmp_path, buyers="gone")
    publish(space, 1, members={"buyers": ["ann"]})
    assert send(space)["status"] == "paused"
    ledger(space).resume()
    waiting = ledger(space).waiting().filter(form="list")
    assert waiting.height == 1
    assert send(named(vendor, tmp_path, buyers="a1"))["status"] == "success"
    assert on(vendor, "a1") == {"ann"}
    assert ledger(space).waiting().is_empty()


def test_a_kill_at_any_moment_of_a_change_leaves_everybody_on_the_new_list_after_the_next_sync(vendor, tmp_path):
    start = tmp_path / "start"
    space = named(vendor, start, buyers="a1")
    publish(space, 1, members={"buyers": PEOPLE[:3]})
    send(space)
    publish(space, 2, members={"buyers": PEOPLE[1:]})
    moment, is_through = 0, False
    while not is_through:
        moment += STEP
        folder = tmp_path / str(moment)
        shutil.copytree(start, folder)
        vendor.on_lists["b2"] = set()
        moved = named(vendor, folder, buyers="b2")
        try:
            send(replace(moved, lake=Mortal(moved.lake.url(""), moment)))
            is_through = True
        except Killed:
            bury(ledger(moved))
        send(moved)
        assert on(vendor, "b2") == {"bo", "cy", "di"}, moment
        assert ledger(moved).lists() == {"buyers": "b2"}
        assert sorted(acknowledged(moved).filter(form="list")["id_value"]) == ["bo", "cy", "di"]
        before = len(vendor.calls)
        assert send(moved)["unchanged"] == 6
        assert len(vendor.calls) == before
        shutil.rmtree(folder)
    assert moment > 20
    assert on(vendor, "a1") == {"ann", "bo", "cy"}


def test_what_a_killed_sync_began_with_the_old_list_says_nothing_of_the_new_one(vendor, tmp_path):
    space = named(vendor, tmp_path, buyers="a1")
    publish(space, 1, members={"buyers": PEOPLE})

    def die(done: int, _: int) -> None:
        if done == 8:
            raise Killed

    with pytest.raises(Killed):
        send(space, progress=die)
    bury(ledger(space))
    assert (on(vendor, "a1"), ledger(space).sending().height) == (set(PEOPLE), 8)
    moved = named(vendor, tmp_path, buyers="b2")
    assert send(moved)["status"] == "success"
    assert (on(vendor, "b2"), ledger(moved).lists()) == (set(PEOPLE), {"buyers": "b2"})
    assert send(moved)["unchanged"] == 8


def test_a_resync_knows_whom_to_remove_from_the_list_it_named(vendor, tmp_path):
    space = named(vendor, tmp_path, buyers="a1")
    publish(space, 1, members={"buyers": PEOPLE[:2]})
    send(space)
    publish(space, 2, members={"buyers": PEOPLE[1:3]})
    assert send(space, resync=True)["to_remove"] == 2
    assert on(vendor, "a1") == {"bo", "cy"}


def test_a_resync_looks_a_list_up_again_that_may_be_gone(vendor, tmp_path):
    space = named(vendor, tmp_path)
    publish(space, 1, members={"buyers": PEOPLE[:2]})
    send(space)
    del vendor.names_of_lists["l3"]
    vendor.names_of_lists["x9"] = "another"
    assert send(space, resync=True)["status"] == "success"
    assert ledger(space).lists() == {"buyers": "l4"}
    assert on(vendor, "l4") == {"ann", "bo"}


def test_who_left_is_taken_off_a_list_that_is_named_no_more_where_none_can_be_found(vendor, tmp_path):
    """Also in a resync: the ledger remembers the id."""
    space = named(vendor, tmp_path, "listless", buyers="a1")
    publish(space, 1, members={"buyers": PEOPLE[:2]})
    send(space)
    publish(space, 2, members={"buyers": []}, people={"ann": "ann"})
    unnamed = named(vendor, tmp_path, "listless")
    assert send(unnamed, resync=True)["to_remove"] == 4
    assert on(vendor, "a1") == set()


def test_a_list_that_nobody_knows_is_told_with_its_remedy(vendor, tmp_path):
    space = named(vendor, tmp_path, "listless")
    publish(space, 1, members={"buyers": ["ann"]})
    assert "nobody knows the list of 'buyers'; write its id below `lists`" in send(space)["reason"]


def test_verify_reads_the_list_that_is_named_now(vendor, tmp_path):
    space = named(vendor, tmp_path, buyers="a1")
    publish(space, 1, members={"buyers": PEOPLE[:2]})
    send(space)
    vendor.on_lists["a1"].clear()
    assert verify(space, "crm", Ways({}, pace=QUICK))["missing"] == 2
    assert on(vendor, "a1") == {"ann", "bo"}
    moved = named(vendor, tmp_path, buyers="b2")
    assert verify(moved, "crm", Ways({}, pace=QUICK))["status"] == "equal"  # nothing is acknowledged of the new list
    assert send(moved)["delivered"] == 2
    assert on(vendor, "b2") == {"ann", "bo"}


def test_the_ledger_forgets_before_it_remembers_the_new_id(vendor, tmp_path, monkeypatch):
    """Nothing is ever acknowledged of a list under the name of another one."""
    space = named(vendor, tmp_path, buyers="a1")
    publish(space, 1, members={"buyers": PEOPLE[:2]})
    send(space)
    moved = named(vendor, tmp_path, buyers="b2")
    monkeypatch.setattr(Exchange, "run", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        send(moved)
    assert (ledger(space).lists(), ledger(space).acknowledged(LISTED).height) == ({"buyers": "a1"}, 2)

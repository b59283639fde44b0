"""What a destination refuses for good is read, chosen and sent again; and a destination is paused and let go again."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from demo.vendors.webhook import Receiver, receiving
from populace import sync
from populace.definitions import Destination, Identifier, Identity
from populace.errors import Transient, UsageError
from populace.space import OpenSpace
from populace.space.letters import Asked, reasons
from tasks import letters, pausing
from tasks.turns import turn
from tests.deliveries import ledger, open_space, outcomes, publish, send

USERS = [f"u{number:02d}" for number in range(10)]
BUYERS = {"buyers": USERS[:4]}
ALL = Asked()


def plans(value: str = "gold") -> dict[str, list]:
    return {"profile_id": USERS, "plan": [value] * 10}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def space(tmp_path: Path, receiver: Receiver) -> OpenSpace:
    """Ten people with a plan, four of them buyers; two of all are refused for good."""
    settings = (("url", receiver.url), ("secret", "correct-horse"), ("batch_size", "5"))
    opened = open_space(tmp_path, Destination("hook", "webhook", settings), "plan", "buyers")
    known = Identity((Identifier("user_id"), Identifier("email", "trim_lower")))
    opened = OpenSpace(replace(opened.definition, identity=known), opened.lake)
    publish(opened, 1, plans(), BUYERS)
    receiver.unwanted = {"u02", "u07"}
    assert outcomes(send(opened)) == {"delivered": 11, "invalid": 3}
    return opened


def listed(space: OpenSpace, asked: Asked = ALL) -> set[tuple[str, str]]:
    found = letters.listed(space, "hook", asked)
    return set(found.select("key", "id_value").iter_rows())


# --- reading -------------------------------------------------------------------------------------------------------


def test_they_are_counted_by_reason(space: OpenSpace):
    (row,) = reasons(letters.listed(space, "hook", ALL))
    assert (row["outcome"], row["records"]) == ("invalid", 3)
    assert "400" in row["reason"]
    assert row["first"] == row["last"] > datetime.now(UTC) - timedelta(minutes=1)


def test_the_most_frequent_reason_comes_first():
    at = datetime(2024, 3, 1, tzinfo=UTC)
    told = [("b", "invalid"), ("a", "too_large"), ("b", "invalid"), ("a", "invalid")]
    rows = [{"reason": reason, "outcome": outcome, "attempts": 2, "since": at, "at": at} for reason, outcome in told]
    found = list(reasons(pl.DataFrame(rows)))
    assert [(row["reason"], row["outcome"], row["records"], row["attempts"]) for row in found] == [
        ("b", "invalid", 2, 4),
        ("a", "invalid", 1, 2),
        ("a", "too_large", 1, 2),
    ]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (ALL, [("plan", "u02"), ("plan", "u07"), ("buyers", "u02")]),
        (Asked(reason="invalid"), [("plan", "u02"), ("plan", "u07"), ("buyers", "u02")]),
        (Asked(reason="400"), [("plan", "u02"), ("plan", "u07"), ("buyers", "u02")]),
        (Asked(since=datetime(2024, 1, 1, tzinfo=UTC)), [("plan", "u02"), ("plan", "u07"), ("buyers", "u02")]),
        (Asked(record=("user_id", "u02")), [("plan", "u02"), ("buyers", "u02")]),
        (Asked(record=("user_id", " u07 ")), [("plan", "u07")]),
        (Asked(record=("profile_id", "u07")), [("plan", "u07")]),
        (Asked("invalid", datetime(2024, 1, 1, tzinfo=UTC), ("user_id", "u07")), [("plan", "u07")]),
    ],
    ids=str,
)
def test_some_are_chosen(space: OpenSpace, asked: Asked, found: list):
    assert listed(space, asked) == set(found)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(reason="too_large"), "none of 3 letters"),
        (Asked(reason="."), "none of 3 letters"),  # a text, no pattern
        (Asked(since=datetime(2999, 1, 1, tzinfo=UTC)), "none of 3 letters"),
        (Asked(record=("user_id", "u01")), "none of 3 letters"),
        (Asked(record=("shoe_size", "44")), "no identifier 'shoe_size'"),
    ],
    ids=str,
)
def test_what_is_not_there_is_wrong_usage(space: OpenSpace, asked: Asked, told: str):
    for act in (letters.listed, letters.take_out):
        with pytest.raises(UsageError, match=told):
            act(space, "hook", asked)
    assert len(listed(space)) == 3


def test_nothing_refused_is_no_letter(tmp_path: Path):
    space = open_space(tmp_path, Destination("hook", "webhook", ()), "plan")
    assert listed(space) == set()
    with pytest.raises(UsageError, match="no letters"):
        letters.take_out(space, "hook", ALL)
    with pytest.raises(UsageError, match="no destination 'crm'"):
        letters.listed(space, "crm", ALL)


def test_those_of_a_killed_sync_are_read_and_taken_out(space: OpenSpace):
    """They stand in its batches, which nobody has folded."""
    books = ledger(space)
    lost = books.letters().drop("since", "at").with_columns(id_value=pl.lit("u09"), in_doubt=False).head(1)
    books.begin(lost.select(list(sync.RECORDS)))
    books.add_batch(0, lost.select(list(sync.SETTLED)))
    (new,) = listed(space) - {("plan", "u02"), ("plan", "u07"), ("buyers", "u02")}
    assert new[1] == "u09"
    assert books.batches()
    assert letters.take_out(space, "hook", Asked(record=("user_id", "u09"))) == 1
    assert books.batches() == []
    assert len(listed(space)) == 3


# --- sending again -------------------------------------------------------------------------------------------------


def test_what_is_taken_out_is_sent_with_the_next_sync(space: OpenSpace, receiver: Receiver):
    receiver.unwanted = set()
    assert outcomes(send(space)) == {"unchanged": 11, "invalid": 3}
    assert letters.take_out(space, "hook", Asked(record=("user_id", "u02"))) == 2
    assert outcomes(send(space)) == {"unchanged": 11, "delivered": 2, "invalid": 1}
    assert letters.take_out(space, "hook", ALL) == 1
    assert outcomes(send(space)) == {"unchanged": 13, "delivered": 1}
    assert receiver.values("plan") == dict.fromkeys(USERS, "gold")
    assert listed(space) == set()


def test_a_newer_value_wins(space: OpenSpace, receiver: Receiver):
    receiver.unwanted = set()
    letters.take_out(space, "hook", ALL)
    publish(space, 2, plans("silver"), {"buyers": USERS[:2]})
    send(space)
    assert receiver.values("plan") == dict.fromkeys(USERS, "silver")
    assert receiver.values("buyers") == dict.fromkeys(USERS[:2], True)


def test_what_is_refused_again_is_a_letter_again(space: OpenSpace):
    before = listed(space)
    letters.take_out(space, "hook", ALL)
    assert outcomes(send(space)) == {"unchanged": 11, "invalid": 3}
    assert listed(space) == before


def test_nothing_is_taken_out_while_a_sync_is_under_way(space: OpenSpace):
    with turn(ledger(space)), pytest.raises(Transient, match="another sync is sending"):
        letters.take_out(space, "hook", ALL)
    assert len(listed(space)) == 3


# --- pausing -------------------------------------------------------------------------------------------------------


def test_a_paused_destination_waits_until_it_is_resumed(space: OpenSpace, receiver: Receiver):
    receiver.unwanted = set()
    paused = pausing.pause(space, "hook", "a migration")
    assert (paused["reason"], paused["by"]) == ("a migration", "person")
    publish(space, 2, plans("silver"), BUYERS)
    before = len(receiver.requests)
    assert send(space)["status"] == "paused"
    assert len(receiver.requests) == before
    resumed = pausing.resume(space, "hook")
    assert (resumed["paused"], resumed["waiting"]) == (paused, {"refused": 10})
    assert datetime.fromisoformat(resumed["waiting_since"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert send(space)["delivered"] == 10
    assert pausing.resume(space, "hook") == {"paused": None, "waiting": {}, "waiting_since": None}


def test_pausing_twice_is_pausing_once(space: OpenSpace):
    ledger(space).pause("a migration", "2024-03-01T00:00:00+00:00", "person")
    once = ledger(space).state()
    assert pausing.pause(space, "hook", None) == once["paused"]
    assert pausing.pause(space, "hook", "a migration") == once["paused"]
    assert ledger(space).state() == once
    assert pausing.pause(space, "hook", "another one") == {**once["paused"], "reason": "another one"}


def test_a_person_takes_over_from_a_refusal(space: OpenSpace):
    ledger(space).pause("answered with status 401", "2024-03-01T00:00:00+00:00", "refusal")
    paused = pausing.pause(space, "hook", None)
    assert (paused["by"], paused["reason"]) == ("person", pausing.NO_REASON)
    assert paused["since"] > "2024-03-01"


def test_resuming_forgets_no_resync(space: OpenSpace):
    ledger(space).next_generation()
    pausing.pause(space, "hook", None)
    pausing.resume(space, "hook")
    assert ledger(space).generation() == 1

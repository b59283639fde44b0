"""Accounts in destinations: each user is told what holds for their accounts, or each account is told of itself (D-14).

The runs are written here, so that nothing of identity or of computation is needed to read what is sent of them.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from populace import sync
from populace.definitions import Audience, Delivery, Destination, Space, Sql, SqlTrait, Trait
from populace.lake import runs
from populace.lake.delivery import Ledger
from populace.lake.objects import open_store
from populace.nodes import Count, Event, Exists, Last, Property
from populace.space import OpenSpace, due
from tests import deliveries

CRM = Destination("crm", "segment", (("write_key", "k"),))
NOW = datetime(2024, 3, 10, tzinfo=UTC)
BOTH = ("property", "group")

# Ann is in both accounts, Bo in the second, Cy in none; Dee never did anything but being linked.
LINKS = [("ann", "acc_1", 1), ("ann", "acc_2", 2), ("bo", "acc_2", 1), ("dee", "acc_1", 3)]
USERS = {each: each for each in ("ann", "bo", "cy", "dee")}
ACCOUNTS = {"acc_1": ("group_id", "acme"), "acc_2": ("group_id", "initech")}
PEOPLE = {**USERS, **ACCOUNTS}


@dataclass
class Told:
    """A space with definitions of accounts, and a ledger that takes everything it is told for delivered."""

    space: OpenSpace
    runs: int = 0

    def by(
        self,
        seats: dict[str, Any] | None = None,
        larges: list[str] | None = None,
        links: list[tuple[str, str, int]] = LINKS,
        people: dict[str, Any] | None = None,
        **columns: list[Any],
    ) -> list[tuple]:
        """What a run says that was not said before: (action, key, id_value, value), sorted."""
        return sorted(self.records(seats, larges, links, people, **columns).select(SHOWN).rows(), key=str)

    def records(
        self,
        seats: dict[str, Any] | None = None,
        larges: list[str] | None = None,
        links: list[tuple[str, str, int]] = LINKS,
        people: dict[str, Any] | None = None,
        **columns: list[Any],
    ) -> pl.DataFrame:
        """The records themselves."""
        seats = seats or {}
        self.runs += 1
        table = {"profile_id": list(seats), "seats": list(seats.values()), **columns}
        deliveries.publish(self.space, self.runs, table, {"larges": larges or []}, people or PEOPLE, links)
        work = self.plan()
        more = {"outcome": "delivered", "reason": "", "in_doubt": False, "attempts": 1, "sent": "", "reply": ""}
        done = work.due.with_columns(pl.lit(value, sync.SETTLED[name]).alias(name) for name, value in more.items())
        self.books().fold(done, work.queue, work.letters)
        return work.due

    def books(self) -> due.Books:
        return due.opened(Ledger(self.space.lake, "crm"), NOW)

    def plan(self) -> due.Work:
        books = self.books()
        (node,) = self.space.definition.destinations
        return due.plan(self.space, node, books, due.origin(self.space, node, books.ledger))


SHOWN = ("action", "key", "id_value", "value")


def told(folder: Path, *forms: str, node: Destination = CRM, **changes: Any) -> Told:
    """The trait `seats` and the audience `larges` of accounts, delivered in these forms."""
    ways = tuple(Delivery("crm", each) for each in forms)
    seats = Trait("seats", Last(Event("E"), Property("seats")), deliveries=ways, level="account")
    larges = Audience("larges", Exists(Property("x")), deliveries=ways, level="account")
    known = {"traits": (seats,), "audiences": (larges,), "destinations": (node,), **changes}
    definition = Space("dev", folder.as_uri(), **known)
    return Told(OpenSpace(definition, open_store(definition.lake, definition.storage)))


# --- users ------------------------------------------------------------------------------------------------


def test_d14_each_user_of_an_account_has_its_value_also_one_without_any_event(tmp_path):
    assert told(tmp_path, "property").by({"acc_1": 40}) == [
        ("set", "seats", "ann", "40"),
        ("set", "seats", "dee", "40"),
    ]


@pytest.mark.parametrize(
    ("seats", "links", "expected"),
    [
        ({"acc_1": 1, "acc_2": 2}, [("ann", "acc_1", 1), ("ann", "acc_2", 2)], "2"),
        ({"acc_1": 1, "acc_2": 2}, [("ann", "acc_1", 3), ("ann", "acc_2", 2)], "1"),
        ({"acc_1": 1, "acc_2": 2}, [("ann", "acc_1", 2), ("ann", "acc_2", 2)], "2"),
        ({"acc_1": 1, "acc_2": None}, [("ann", "acc_1", 1), ("ann", "acc_2", 2)], "1"),
        ({"acc_1": 1.5, "acc_2": float("nan")}, [("ann", "acc_1", 1), ("ann", "acc_2", 2)], "1.5"),
        ({"acc_1": 1}, [("ann", "acc_1", 1), ("ann", "acc_2", 2)], "1"),
    ],
    ids=["linked later", "linked later first", "linked at once", "without a value", "not a number", "without a row"],
)
def test_d14_a_user_has_the_value_of_the_account_linked_last_of_those_that_have_one(tmp_path, seats, links, expected):
    assert told(tmp_path, "property").by(seats, links=links) == [("set", "seats", "ann", expected)]


def test_d14_an_account_without_a_finite_value_tells_nobody(tmp_path):
    account = told(tmp_path, "property")
    assert account.by({"acc_1": float("inf"), "acc_2": None}) == []
    assert account.plan().without == 0


def test_a90_a_user_is_a_member_if_any_of_their_accounts_is(tmp_path):
    assert told(tmp_path, "property").by(larges=["acc_2"]) == [
        ("set", "larges", "ann", "true"),
        ("set", "larges", "bo", "true"),
    ]


def test_a90_a_user_of_two_members_is_told_once(tmp_path):
    found = told(tmp_path, "property").by(larges=["acc_1", "acc_2"])
    assert [each[2] for each in found] == ["ann", "bo", "dee"]


@pytest.mark.parametrize("form", ["property", "event", "list"])
def test_d14_each_form_about_people_tells_all_users_of_the_matching_accounts(tmp_path, form):
    audience = told(tmp_path, form, traits=(), node=replace(CRM, kind="hubspot", settings=(("token", "t"),)))
    records = audience.records(
        larges=["acc_1"], people={**ACCOUNTS, **{each: ("email", f"{each}@x.org") for each in USERS}}
    )
    assert sorted(records.select("form", "id_type", "id_value").rows()) == [
        (form, "email", "ann@x.org"),
        (form, "email", "dee@x.org"),
    ]


def test_a_bare_name_means_the_users(tmp_path):
    bare = told(tmp_path, "")
    assert set(bare.records({"acc_1": 40}, ["acc_1"])["form"]) == {"property"}


def test_a_user_without_an_identifier_is_counted_and_not_told(tmp_path):
    account = told(tmp_path, "property")
    people = {**ACCOUNTS, "ann": "ann", "dee": ("email", "dee@x.org")}
    assert account.by({"acc_1": 40}, ["acc_1"], people=people) == [
        ("set", "larges", "ann", "true"),
        ("set", "seats", "ann", "40"),
    ]
    assert account.plan().without == 2


def test_people_who_go_by_one_identifier_are_members_if_one_of_them_is(tmp_path):
    node = Destination("crm", "iterable", (("api_key", "k"),))
    people = {**ACCOUNTS, "bo": ("email", "Ann@x.org"), "dee": ("email", "ann@x.org"), "cy": ("email", "ANN@x.org")}
    found = told(tmp_path, "property", node=node).by({"acc_1": 1, "acc_2": 2}, ["acc_1"], people=people)
    assert found == [("set", "larges", "ann@x.org", "true"), ("set", "seats", "ann@x.org", "2")]


# --- accounts ---------------------------------------------------------------------------------------------


def test_d14_as_a_group_each_account_is_told_once_by_its_group_id(tmp_path):
    records = told(tmp_path, "group").records({"acc_1": 40, "acc_2": None}, ["acc_2"])
    assert sorted(records.select("key", "form", "id_type", "id_value", "profile_id", "value").rows()) == [
        ("larges", "group", "group_id", "initech", "acc_2", "true"),
        ("seats", "group", "group_id", "acme", "acc_1", "40"),
    ]


def test_a92_an_account_without_users_is_told_as_a_group_alone(tmp_path):
    assert told(tmp_path / "a", "group").by({"acc_1": 40}, ["acc_1"], links=[]) == [
        ("set", "larges", "acme", "true"),
        ("set", "seats", "acme", "40"),
    ]
    assert told(tmp_path / "b", "property").by({"acc_1": 40}, ["acc_1"], links=[]) == []


def test_d14_both_are_two_entries(tmp_path):
    found = told(tmp_path, *BOTH).by({"acc_1": 40})
    assert found == [("set", "seats", each, "40") for each in ("acme", "ann", "dee")]


def test_a_user_of_the_name_of_a_group_is_not_it(tmp_path):
    """A group id and a user id may read the same, and are told two things."""
    records = told(tmp_path, *BOTH).records({"acc_1": 40}, people={**ACCOUNTS, "ann": "acme"})
    assert sorted(records.select("id_type", "id_value").rows()) == [("group_id", "acme"), ("user_id", "acme")]
    assert records["message_id"].n_unique() == 2


def test_an_account_of_another_profile_id_is_not_told_again(tmp_path):
    """Other rules give other profile ids; the group is the same over there."""
    account = told(tmp_path, "group")
    account.by({"acc_1": 40})
    assert account.by({"acc_9": 40}, people={"acc_9": ("group_id", "acme")}) == []


def test_definitions_of_people_never_see_accounts(tmp_path):
    """Rows of both stand in one table, and each definition has values of its own level alone."""
    plan = Trait("plan", Last(Event("E"), Property("plan")), deliveries=(Delivery("crm"),))
    both = told(tmp_path, "property")
    traits = (*both.space.definition.traits, plan)
    both.space = replace(both.space, definition=replace(both.space.definition, traits=traits))
    found = both.by({"acc_1": 40, "cy": None, "ann": None}, plan=[None, "gold", "free"])
    assert found == [
        ("set", "plan", "ann", '"free"'),
        ("set", "plan", "cy", '"gold"'),
        ("set", "seats", "ann", "40"),
        ("set", "seats", "dee", "40"),
    ]


def test_links_are_read_only_where_users_are_told_of_accounts(tmp_path):
    as_groups = told(tmp_path, "group")
    deliveries.publish(as_groups.space, 1, {"profile_id": ["acc_1"], "seats": [40]}, people=ACCOUNTS)
    assert not runs.has(as_groups.space.lake, "run-1", "links")
    assert as_groups.plan().due.height == 1


# --- who leaves -------------------------------------------------------------------------------------------


def test_a90_users_leave_with_their_account_unless_another_one_is_a_member(tmp_path):
    audience = told(tmp_path, *BOTH)
    audience.by(larges=["acc_1", "acc_2"])
    assert audience.by(larges=["acc_2"]) == [("exit", "larges", "acme", "false"), ("exit", "larges", "dee", "false")]
    assert audience.by(larges=[]) == [("exit", "larges", each, "false") for each in ("ann", "bo", "initech")]


def test_d14_a_user_who_is_linked_no_more_leaves_and_loses_the_value(tmp_path):
    """As when a link is older than `link_ttl` (I-73); the account itself stays as it is."""
    account = told(tmp_path, *BOTH)
    account.by({"acc_1": 40}, ["acc_1"])
    assert account.by({"acc_1": 40}, ["acc_1"], links=[("ann", "acc_1", 1)]) == [
        ("exit", "larges", "dee", "false"),
        ("unset", "seats", "dee", None),
    ]


def test_d14_a_user_whose_newest_link_ends_has_the_value_of_the_one_before(tmp_path):
    trait = told(tmp_path, "property")
    trait.by({"acc_1": 1, "acc_2": 2}, links=LINKS[:2])
    assert trait.by({"acc_1": 1, "acc_2": 2}, links=LINKS[:1]) == [("set", "seats", "ann", "1")]


def test_a_user_who_is_merged_is_told_once_and_has_the_accounts_of_both(tmp_path):
    """I-75: the links of the two are united, and the identifier that was told stays told."""
    account = told(tmp_path, "property")
    account.by({"acc_2": 2}, ["acc_2"], links=[("ann", "acc_1", 1), ("bo", "acc_2", 2)])
    merged = [("use_1", "acc_1", 1), ("use_1", "acc_2", 2)]
    people = {**ACCOUNTS, "use_1": "bo"}
    assert account.by({"acc_2": 2}, ["acc_2"], links=merged, people=people) == []


def test_a_definition_that_was_about_people_is_told_of_accounts_from_then_on(tmp_path):
    before = told(tmp_path, "property")
    own = before.space.definition
    of_people = replace(own, audiences=tuple(replace(each, level="user") for each in own.audiences))
    people = Told(replace(before.space, definition=of_people))
    people.by(larges=["ann", "cy"])
    before.runs = people.runs
    assert before.by(larges=["acc_2"]) == [("exit", "larges", "cy", "false"), ("set", "larges", "bo", "true")]


def test_a_count_that_matches_nothing_is_zero_for_whoever_has_an_account(tmp_path):
    """An account without events has 0, and who has no account has no count."""
    ways = tuple(Delivery("crm", each) for each in BOTH)
    count = Trait("event_count", Count(Event("E")), deliveries=ways, level="account")
    counted = told(tmp_path, traits=(count,), audiences=())
    counted.by({"acc_1": None}, event_count=[3])
    assert counted.by({"acc_1": None}, event_count=[None], links=[("ann", "acc_1", 1)]) == [
        ("set", "event_count", "acme", "0"),
        ("set", "event_count", "ann", "0"),
        ("unset", "event_count", "dee", None),
    ]


def test_the_brake_holds_a_wave_of_users(tmp_path):
    """What a person confirms is counted in what would be removed over there."""
    links = [(f"u{each}", "acc_1", 1) for each in range(150)]
    people = {**ACCOUNTS, **{each: each for each, _, _ in links}}
    audience = told(tmp_path, "property")
    audience.by(larges=["acc_1"], links=links, people=people)
    deliveries.publish(audience.space, 2, members={"larges": []}, people=people, links=links)
    (removal,) = audience.plan().removals
    assert str(removal) == "150 of 150 members of 'larges' (100%) would be removed"


# --- columns of SQL, and numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "expected"), [("user", ["cy"]), ("account", ["ann", "dee"])])
def test_a_column_of_sql_is_delivered_like_any_trait_of_its_level(tmp_path, level, expected):
    """It has no query, and needs none to be told."""
    statement = Sql("crm_data", "lake", "select 1", deliveries=(Delivery("crm"),), level=level)
    column = SqlTrait("seats", statement)
    found = told(tmp_path, traits=(), audiences=(), sql=(statement,), sql_traits=(column,))
    value = {"cy": 40} if level == "user" else {"acc_1": 40}
    assert found.by(value) == [("set", "seats", each, "40") for each in expected]


def test_a96_where_numbers_are_told_accounts_are_counted(tmp_path):
    node = Destination("crm", "slack", (("url", "https://hooks.slack.com/services/T/B/s"),))
    summed = told(tmp_path, "summary", node=node)
    tables = {"traits": {"profile_id": ["acc_1", "acc_2"], "seats": [40, None]}, "members": {"larges": ["acc_1"]}}
    deliveries.publish(summed.space, 1, people=PEOPLE, **tables)
    changes = pl.DataFrame({"audience": ["larges"], "profile_id": ["acc_1"], "change": ["entered"]})
    runs.write(summed.space.lake, "run-1", "changes", changes)
    values = {row["key"]: json.loads(row["value"]) for row in summed.plan().due.iter_rows(named=True)}
    as_of = "2024-03-01T00:00:00Z"
    assert values == {
        "larges": {"as_of": as_of, "accounts": 1, "entered": 1, "left": 0},
        "seats": {"as_of": as_of, "accounts": 1},
    }

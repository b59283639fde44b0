"""SQL traits: what the rows of a statement give people, and accounts (T-30 to T-47)."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import polars as pl
import pytest

from populace import query
from populace.definitions import Audience, Delivery, Destination, Family, Identifier, Identity, Place, Sql, Trait
from populace.destinations import ADAPTERS
from populace.errors import DefinitionError, StatementError, UsageError
from populace.lake import runs
from populace.loading import computed
from populace.space import families, graphs, previews, recompute, showing, snapshots, sql_previews, statements, unknown
from populace.sql import rows
from tests import driving
from tests.slicing import NOON, called
from tests.tables import AS_OF, table

AT = Place("traits.yaml", 7)
TWICE_A_DAY = "0 */12 * * *"
TICK = AS_OF  # an instant of that schedule


def entry(key="orders", statement="select 1", connection="shop", schedule=TWICE_A_DAY, **more):
    return Sql(key, connection, statement, schedule, at=AT, **more)


def over_lake(statement, key="orders", schedule=None, **more):
    return entry(key, statement, "lake", schedule, **more)


def problem(names, **more):
    with pytest.raises(StatementError) as error:
        rows.columns(names, entry(**more))
    return str(error.value)


# --- columns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier", ["user_id", "email", "anonymous_id"])
def test_t31_one_column_says_whose_a_row_is(identifier):
    assert rows.columns(["ltv", identifier], entry()) == rows.Columns(identifier, ("ltv",))


def test_t31_accounts_are_known_by_group_id_and_the_lake_knows_profiles_as_well():
    assert rows.columns(["group_id", "seats"], entry(level="account")).identifier == "group_id"
    assert rows.columns(["profile_id", "ltv"], over_lake("")).identifier == "profile_id"
    assert rows.columns(["user_id", "group_id"], entry()).traits == ("group_id",)


@pytest.mark.parametrize(
    ("names", "more", "told"),
    [
        (["ltv", "x"], {}, "no column says whose a row is; select user_id or email or anonymous_id"),
        (["user_id", "anonymous_id", "x"], {}, "user_id and anonymous_id both say whose a row is"),
        (["user_id", "x"], {"level": "account"}, "no column says whose a row is; select group_id"),
        (["group_id", "user_id", "x"], {"level": "account", "connection": "lake"}, "known before events are counted"),
        (["group_id"], {"level": "account"}, "there is no column beside the identifier"),
        (["profile_id", "x"], {}, "no column says whose a row is"),
        (["user_id"], {}, "there is no column beside the identifier"),
        (["user_id", *(f"c{number}" for number in range(25))], {}, "there are 26 columns, at most 25 are allowed"),
        (["user_id", "Total"], {}, "the column 'Total' cannot be the name of a trait; write AS"),
        (["user_id", "profile"], {}, "the column 'profile' cannot be the name of a trait"),
        (["user_id", "x", "x"], {}, "two columns are called 'x'"),
        (["user_id", "orders", "x"], {}, "a column is called 'orders' like the entry, which has other columns too"),
    ],
)
def test_t31_t32_t46_columns_that_are_refused(names, more, told):
    assert told in problem(names, **more)


def test_t32_25_columns_are_allowed_and_t46_a_column_called_like_its_entry_if_it_is_alone():
    assert len(rows.columns(["user_id", *(f"c{number}" for number in range(24))], entry()).traits) == 24
    assert rows.columns(["user_id", "orders"], entry()).traits == ("orders",)


# --- values -------------------------------------------------------------------------------------------


def typed(**columns):
    found = pl.DataFrame({"user_id": ["u1"]} | {name: [each] for name, each in columns.items()})
    return rows.typed(found, rows.Columns("user_id", tuple(columns))).drop(rows.WHO).row(0)


def test_t35_values_are_text_numbers_and_booleans():
    paris = timezone(timedelta(hours=1))
    found = typed(
        a="x", b=1, c=1.5, d=True, e=Decimal("12.50"), f=date(2024, 3, 1), g=datetime(2024, 3, 1, 12, tzinfo=paris),
        h=None, i=float("nan"), j=float("inf"),
    )  # fmt: skip
    assert found == ("x", 1, 1.5, True, 12.5, "2024-03-01", "2024-03-01T11:00:00.000Z", None, None, None)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, b"x", timedelta(1)])
def test_t35_lists_and_objects_are_refused(value):
    with pytest.raises(StatementError, match="the column 'tags' holds neither text nor numbers; join lists into one"):
        typed(tags=value)


def answered(found, identity=driving.IDENTITY, **more):
    chosen = rows.columns(found.columns, entry(**more))
    return statements.answer(rows.typed(found, chosen), chosen.identifier, identity)


def test_t41_with_a_user_rows_of_an_account_repeat_and_link_them():
    assert rows.columns(["group_id", "user_id"], entry(level="account")) == rows.Columns("group_id", (), "user_id")
    told = "g1 | u1 | 5\n g1 | u2 | 5\n g1 | u2 | 5\n g2 | | 6\n null | u1 | 1\n g3 | null | 7"
    found = answered(table("group_id | user_id | seats\n " + told), level="account")
    assert sorted(found.rows.rows()) == [("g1", 5), ("g2", 6), ("g3", 7)]
    assert (found.read, found.blocked, found.links) == (6, 1, 2)


def test_t41_rows_of_an_account_that_say_different_things_of_it_are_refused():
    with pytest.raises(StatementError, match="rows of 1 accounts say different things of them; let only user_id"):
        answered(table("group_id | user_id | seats\n g1 | u1 | 5\n g1 | u2 | 6\n g2 | u1 | 7"), level="account")
    with pytest.raises(StatementError, match="1 of 2 rows have the group_id of another row"):
        answered(table("group_id | seats\n g1 | 5\n g1 | 5"), level="account")
    with pytest.raises(StatementError, match=r"known by user_id, which identity\.yaml does not list; it lists email"):
        answered(table("group_id | user_id\n g1 | u1"), Identity((Identifier("email"),)), level="account")


def test_t41_t34_a_row_that_is_too_large_links_nobody_however_long_its_user_is_called():
    size = 16 * 1024
    told = {"group_id": ["g1", "g2", "g2"], "user_id": ["u1", "u2", "u" * 99], "x": ["a" * (size - 2), "a", "a"]}
    found = answered(pl.DataFrame(told), level="account")
    assert (found.too_large, found.rows.rows(), found.links) == (1, [("g2", "a")], 2)


def test_t33_an_identifier_is_never_null():
    with pytest.raises(StatementError, match="user_id is null in 2 of 3 rows; leave them out with WHERE"):
        answered(table("user_id | x\n u1 | 1\n | 2\n | 3"))


def test_t33_no_identifier_has_two_rows_once_it_is_normalised_and_no_value_is_shown():
    with pytest.raises(StatementError, match=r"1 of 3 rows have the email of .* GROUP BY or SELECT DISTINCT") as error:
        answered(table("email | x\n Ada@x.org | 1\n ada@x.org | 2\n b@x.org | 3"))
    assert "ada" not in str(error.value).lower()


def test_t33_whole_numbers_are_identifiers_and_others_are_not():
    assert answered(table("user_id | x\n 7 | 1")).rows.get_column(rows.WHO).to_list() == ["7"]
    with pytest.raises(StatementError, match="user_id is neither text nor a whole number; cast it to text"):
        answered(table("user_id | x\n 7.5 | 1"))


def test_t34_a_row_of_16_kb_is_dropped_and_counted():
    size = 16 * 1024
    found = answered(pl.DataFrame({"user_id": ["u1", "u2"], "x": ["a" * (size - 3), "a" * (size - 2)]}))
    assert (found.read, found.too_large, found.rows.get_column(rows.WHO).to_list()) == (2, 1, ["u1"])


def test_i10_blocked_identifiers_are_dropped_and_counted():
    found = answered(table('user_id | x\n "-1" | 1\n "-1" | 2\n null | 3\n "000" | 4\n " " | 5\n u1 | 6'))
    assert (found.read, found.blocked, found.rows.rows()) == (6, 5, [("u1", 6)])


def test_i9_overlong_identifiers_are_dropped_and_counted():
    told = pl.DataFrame({"user_id": ["u" * 500, "u" * 501], "x": [1, 2]})
    assert (answered(told).blocked, answered(told).rows.height) == (1, 1)
    accounts = answered(told.rename({"user_id": "group_id"}), level="account")
    assert (accounts.blocked, accounts.rows.height) == (1, 1)


def test_t40_an_identifier_that_the_space_does_not_list_is_refused():
    with pytest.raises(StatementError, match=r"known by email, which identity\.yaml does not list; it lists user_id"):
        answered(table("email | x\n a@x.org | 1"), Identity((Identifier("user_id"),)))


# --- a run --------------------------------------------------------------------------------------------


def calls():
    """u1 is known by two emails as well, u2 by user_id alone, and somebody else by a browser."""
    order = {"type": "track", "event": "Order Completed"}
    told = [
        {"user_id": "u1", "type": "identify", "traits": '{"email": "ada@x.org", "plan": "pro"}'},
        {"user_id": "u1", "type": "identify", "traits": '{"email": "lovelace@x.org"}'},
        {"user_id": "u1", **order, "properties": '{"total": 20, "item": {"sku": "s1"}, "mixed": 1}'},
        {"user_id": "u2", **order, "properties": '{"total": 7.5, "mixed": "two"}'},
        {"user_id": None, "anonymous_id": "a1", **order, "properties": '{"total": 1, "profile_id": "odd"}'},
    ]
    return [{"message_id": f"m{number}", "received_at": NOON} | each for number, each in enumerate(told)]


@pytest.fixture
def shop(tmp_path):
    """Makes a space over these calls, with some statements, and lets a database answer them at instants."""
    return lambda *sql, **more: Shop(tmp_path, sql, **more)


class Shop:
    def __init__(self, folder, sql, **more):
        self.folder = folder
        self.space = driving.space_in(folder, sql=sql, connections=(("shop", "${SHOP}"),), **more)
        driving.put(self.space, "web", "a", called(*calls()))
        driving.replay_all(self.space, AS_OF)

    def with_sql(self, *sql):
        self.space = replace(self.space, definition=replace(self.space.definition, sql=sql))

    def answer(self, text, at=TICK, key="orders"):
        (statement,) = [each for each in self.space.definition.sql if each.key == key]
        found = table(text)
        chosen = rows.columns(found.columns, statement)
        known = rows.typed(found, chosen).rename({called: name for name, called in chosen.names.items()})
        snapshots.keep(self.space, statement, at, known, self.folder)

    def run(self, as_of=AS_OF):
        self.run_id = driving.run(self.space, as_of)
        return self

    def table(self, name):
        return driving.table(self.space, self.run_id, name)

    def values(self, *columns):
        """What people have, by user_id or else by another identifier."""
        named = self.table("external_ids").sort("id_type", "id_value", descending=True)
        named = named.unique("profile_id", keep="first", maintain_order=True).select("profile_id", "id_value")
        found = self.table("traits").join(named, on="profile_id")
        return {row[0]: row[1:] for row in found.select("id_value", *columns).rows()}

    def counts(self, key="orders"):
        told = runs.manifest(self.space.lake, self.run_id)["sql"][key]["counts"]
        return {name: each for name, each in told.items() if name != "sql" and each}

    def who(self, id_value):
        return self.table("external_ids").filter(id_value=id_value).row(0, named=True)


def test_t36_traits_are_called_like_the_columns_and_stand_beside_computed_ones(shop):
    found = shop(entry(), traits={"revenue": "event('Order Completed').sum(property('total'))"})
    found.answer("user_id | ltv | tier\n u1 | 30.5 | gold\n u2 | | ")
    found.run()
    assert found.values("revenue", "ltv", "tier") == {
        "u1": (20, 30.5, "gold"), "u2": (7.5, None, None), "a1": (1, None, None),
    }  # fmt: skip
    assert found.table("sql_traits").rows() == [("orders", "ltv", "Float64"), ("orders", "tier", "String")]
    assert found.counts() == {"rows": 2, "known": 2}


def test_t36_audiences_read_columns_and_are_no_slip(shop):
    queries = {"gold": "trait('tier') = 'gold'", "rich": "trait('ltv') > 20", "not_rich": "NOT trait('ltv') > 20"}
    found = shop(entry(), audiences=queries)
    found.answer("user_id | ltv | tier\n u1 | 30.5 | gold\n u2 | 3 | silver")
    found.run()
    assert runs.manifest(found.space.lake, found.run_id)["audiences"] == {"gold": 1, "not_rich": 1, "rich": 1}
    run = recompute.reopen(found.space, found.run_id, strict=False)
    assert unknown.in_definitions(families.of_run(found.space, found.run_id), run) == []
    assert previews.preview(found.space, text="trait('tier') = 'gold'").count == 1
    assert previews.preview(found.space, text="trait('orders') = 'gold'").unknown == [
        "'orders' comes from SQL and has no column of that name; name one of its columns"
    ]


def test_t38_t39_columns_go_where_their_entry_goes_and_whoever_is_gone_has_no_value(shop):
    found = shop(entry(deliveries=(Delivery("crm"),)), destinations=(Destination("crm", "webhook"),))
    found.answer("user_id | ltv\n u1 | 1\n u2 | 2")
    found.run()
    found.answer("user_id | ltv\n u2 | 2", TICK + timedelta(hours=12))
    found.run(AS_OF + timedelta(hours=12))
    assert found.values("ltv") == {"u2": (2,)}
    (told,) = families.of_run(found.space, found.run_id).definition.sql_traits
    assert (told.key, told.deliveries, told.level) == ("ltv", (Delivery("crm"),), "user")


def test_t40_a_row_of_nobody_makes_a_person_who_goes_when_the_row_goes(shop):
    found = shop(entry(), audiences={"all": "trait('ltv') > 0"})
    found.answer("email | ltv\n New@x.org | 5\n ADA@x.org | 6")
    found.run()
    assert found.counts() == {"rows": 2, "known": 1, "created": 1}
    made = found.who("new@x.org")
    assert made["profile_id"].startswith("use_")
    assert (made["added_at"], made["source"], made["message_id"]) == (TICK, "@sql", "sql:orders")
    assert found.table("profiles").filter(profile_id=made["profile_id"]).row(0) == (made["profile_id"], "users", TICK)
    assert found.table("profiles").get_column("profile_id").is_sorted()
    assert made["profile_id"] in found.table("memberships").get_column("profile_id")
    assert showing.show(found.space, "email", "new@x.org")["traits"] == {"ltv": 5}

    found.answer("email | ltv\n ADA@x.org | 6", TICK + timedelta(hours=12))
    found.run(AS_OF + timedelta(hours=12))
    assert "new@x.org" not in found.table("external_ids").get_column("id_value")
    assert found.table("retired").rows() == [(made["profile_id"], None)]


def test_t40_a_person_of_a_statement_stays_the_same_when_an_event_comes(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u9 | 5")
    made = found.run().who("u9")["profile_id"]
    found.run(AS_OF + timedelta(hours=1))
    assert found.table("retired").is_empty()
    later = {"message_id": "x", "user_id": "u9", "received_at": NOON, "type": "track", "event": "E"}
    driving.put(found.space, "web", "b", called(later))
    driving.replay_all(found.space, AS_OF)
    found.run(AS_OF + timedelta(hours=2))
    assert (found.who("u9")["profile_id"], found.who("u9")["source"]) == (made, "web")
    assert found.counts() == {"rows": 1, "known": 1}


def test_t40_two_statements_make_one_person(shop):
    found = shop(entry("a"), entry("b"))
    found.answer("user_id | x\n u9 | 1", TICK, "a")
    found.answer("user_id | y\n u9 | 2\n u8 | 3", TICK - timedelta(hours=12), "b")
    found.run()
    assert found.values("x", "y") == {"u9": (1, 2), "u8": (None, 3)}
    assert found.who("u9")["message_id"] == "sql:b"


def test_of_several_rows_of_one_person_the_identifier_that_sorts_first_counts(shop):
    found = shop(entry())
    found.answer("email | ltv\n lovelace@x.org | 1\n ada@x.org | 2")
    found.run()
    assert found.values("ltv") == {"u1": (2,)}
    assert found.counts() == {"rows": 2, "known": 1, "repeated": 1}


def test_accounts_have_values_of_their_own(shop):
    found = shop(entry(level="account"))
    found.answer("group_id | seats\n g1 | 5\n null | 6")
    found.run()
    (row,) = found.table("external_ids").filter(source="@sql").rows(named=True)
    assert (row["collection"], row["id_type"], row["id_value"]) == ("accounts", "group_id", "g1")
    assert row["profile_id"].startswith("acc_")
    assert found.counts() == {"rows": 2, "created": 1, "blocked": 1}


def test_audiences_of_accounts_and_of_their_people_read_the_columns_of_accounts(shop):
    found = shop(entry(level="account"))
    audiences = (
        Audience("large", query.parse_audience("trait('seats') > 4", "accounts"), level="account"),
        Audience("in_large", query.parse_audience("account.trait('seats') > 4")),
    )
    found.space = replace(found.space, definition=replace(found.space.definition, audiences=audiences))
    member = {"message_id": "g", "user_id": "u1", "type": "group", "group_id": "g1", "received_at": NOON}
    driving.put(found.space, "web", "g", called(member))
    driving.replay_all(found.space, AS_OF)
    found.answer("group_id | seats\n g1 | 5\n g2 | 6\n g3 | 1")
    found.run()
    manifest = runs.manifest(found.space.lake, found.run_id)
    assert manifest["audiences"] == {"large": 2, "in_large": 1}
    assert manifest["of_accounts"] == ["large", "seats"]
    assert found.counts() == {"rows": 3, "known": 1, "created": 2}


def member(user, group):
    return {"message_id": f"{user} {group}", "user_id": user, "type": "group", "group_id": group, "received_at": NOON}


def linked(found):
    """(user_id, group_id, since) of every link."""
    named = dict(found.table("external_ids").select("profile_id", "id_value").sort("id_value").rows())
    return sorted(
        (named[each["profile_id"]], named[each["account_id"]], each["linked_at"])
        for each in found.table("links").rows(named=True)
    )


MEMBERS = "group_id | user_id | seats\n g1 | u1 | 5\n g1 | u2 | 5\n g2 | u1 | 6\n g2 | u9 | 6\n g3 | | 1"


def test_t41_statements_link_users_to_accounts_before_events_are_counted(shop):
    found = shop(entry(level="account"))
    revenue = Trait("revenue", query.parse_trait("event('Order Completed').sum(property('total'))"), level="account")
    anybody = Audience("anybody", query.parse_audience("ANY trait('plan') = 'pro'", "accounts"), level="account")
    both = replace(found.space.definition, traits=(revenue,), audiences=(anybody,))
    found.space = replace(found.space, definition=both)
    driving.put(found.space, "web", "g", called(member("u2", "g1")))
    driving.replay_all(found.space, AS_OF)
    found.answer(MEMBERS)
    found.run()
    since = found.table("links").filter(message_id="u2 g1").item(0, "linked_at")
    assert linked(found) == [("u1", "g1", TICK), ("u1", "g2", TICK), ("u2", "g1", since), ("u9", "g2", TICK)]
    assert found.values("revenue", "seats") == {"g1": (27.5, 5), "g2": (20, 6), "g3": (None, 1)}
    assert runs.manifest(found.space.lake, found.run_id)["audiences"] == {"anybody": 2}
    assert found.counts() == {"rows": 5, "links": 4, "known": 1, "created": 2}
    assert found.table("profiles").get_column("profile_id").is_sorted()
    assert found.table("external_ids").get_column("profile_id").is_sorted()


def test_t41_t40_whoever_a_link_alone_knows_goes_with_it_and_stays_when_an_event_comes(shop):
    found = shop(entry(level="account"))
    found.answer(MEMBERS)
    made = found.run().who("u9")
    assert (made["added_at"], made["source"], made["message_id"]) == (TICK, "@links", "sql:orders")
    assert showing.show(found.space, "group_id", "g2")["links"]["users"]["count"] == 2

    later = {"message_id": "x", "user_id": "u9", "received_at": NOON, "type": "track", "event": "E"}
    driving.put(found.space, "web", "b", called(later))
    driving.replay_all(found.space, AS_OF)
    assert found.run(AS_OF + timedelta(hours=1)).who("u9")["profile_id"] == made["profile_id"]
    assert found.table("retired").is_empty()

    found.answer("group_id | user_id\n g1 | u2", TICK + timedelta(hours=12))
    accounts = {each["profile_id"] for each in found.table("profiles").filter(collection="accounts").rows(named=True)}
    found.run(AS_OF + timedelta(hours=12))
    assert linked(found) == [("u2", "g1", TICK + timedelta(hours=12))]
    assert {each for each, _ in found.table("retired").rows()} < accounts
    assert found.table("retired").height == 2


def test_t41_a_user_of_two_statements_is_made_once_and_blocked_ones_link_nothing(shop):
    found = shop(entry("a", level="account"), entry("b", level="account"), entry("c"))
    found.answer("group_id | user_id | x\n g1 | u9 | 1\n g1 | -1 | 1", TICK, "a")
    found.answer("group_id | user_id\n g1 | u9\n null | u2", TICK - timedelta(hours=12), "b")
    found.answer("user_id | y\n u9 | 2", TICK, "c")
    found.run()
    assert linked(found) == [("u9", "g1", TICK - timedelta(hours=12))]
    assert found.who("u9")["message_id"] == found.who("g1")["message_id"] == "sql:b"
    assert found.values("x", "y") == {"g1": (1, None), "u9": (None, 2)}
    assert found.counts("a") == {"rows": 2, "links": 1, "known": 1}
    assert found.counts("b") == {"rows": 2, "blocked": 1, "links": 1, "created": 1}
    assert found.counts("c") == {"rows": 1, "known": 1}


def test_t41_links_are_those_of_the_answer_that_the_run_takes_however_old_it_is(shop):
    found = shop(entry(level="account"), identity=replace(driving.IDENTITY, link_ttl=timedelta(hours=20)))
    found.answer("group_id | user_id\n g1 | u1")
    found.answer("group_id | user_id\n g2 | u1", TICK - timedelta(hours=12))
    assert linked(found.run(AS_OF - timedelta(hours=1))) == [("u1", "g2", TICK - timedelta(hours=12))]
    assert linked(found.run(AS_OF + timedelta(hours=20))) == [("u1", "g1", TICK)]
    assert linked(found.run(AS_OF + timedelta(days=40))) == [("u1", "g1", TICK)]


def test_t41_the_same_rows_in_any_order_are_the_same_object(shop):
    found = shop(entry(level="account"))
    head, *lines = MEMBERS.split("\n")
    found.answer(MEMBERS)
    found.answer("\n".join([head, *reversed(lines)]), TICK + timedelta(hours=12))
    assert len([each for each in found.space.lake.list("sql/orders/") if each.path.endswith(".parquet")]) == 1


def test_t41_t42_a_preview_counts_links_and_does_not_know_whom_only_links_know(shop):
    found = shop(entry(level="account"))
    driving.put(found.space, "web", "g", called(member("u2", "g1")))
    driving.replay_all(found.space, AS_OF)
    found.answer(MEMBERS)
    found.run()
    got = statements.checked(entry(level="account"), written(found.folder, MEMBERS), driving.IDENTITY)
    told = sql_previews.about(found.space, entry(level="account"), got)
    counts = {"rows": 5, "known": 1, "unknown": 2, "blocked": 0, "too_large": 0, "links": 4}
    assert told.counts == counts
    assert [(each["@known"], each["group_id"], each["seats"]) for each in told.sample] == [
        ("✓", "g1", 5), ("?", "g2", 6), ("?", "g3", 1),
    ]  # fmt: skip
    report = next(graphs.report(found.space))
    assert report["profiles"] == 3


def written(folder, text):
    file = folder / "written.parquet"
    table(text).write_parquet(file)
    return file


@pytest.mark.parametrize(
    ("queries", "told"),
    [
        ({"a": ("trait('ltv') = 1", "account")}, "'ltv' is people's; write ANY or ALL before the condition"),
        ({"a": ("trait('seats') >= 5", "user")}, "'seats' is a trait of accounts; write account.trait('seats')"),
        ({"a": ("account.trait('ltv') >= 1", "user")}, "'ltv' is people's; write trait('ltv')"),
        ({"a": ("ANY trait('seats') >= 5", "account")}, "'seats' is a trait of accounts; write account.trait"),
    ],
)
def test_columns_that_are_read_of_whom_they_are_not_about_are_refused(shop, queries, told):
    found = shop(entry("a1", level="account"), entry("b1"))
    audiences = tuple(
        Audience(key, query.parse_audience(text, computed.VIEWPOINTS[level]), level=level, at=AT)
        for key, (text, level) in queries.items()
    )
    found.space = replace(found.space, definition=replace(found.space.definition, audiences=audiences))
    found.answer("group_id | seats\n g1 | 5", TICK, "a1")
    found.answer("user_id | ltv\n u1 | 5", TICK, "b1")
    with pytest.raises(DefinitionError) as error:
        found.run()
    assert f"traits.yaml:7: 'a': {told}" in str(error.value)


@pytest.mark.parametrize(
    ("text", "level", "told"),
    [
        ("trait('ltv') = 1", "account", "'ltv' is people's; write ANY or ALL"),
        ("ANY trait('seats') >= 5", "account", "'seats' is a trait of accounts"),
        ("event('E').count() >= 1", "account", "ANY or ALL"),
    ],
)
def test_a_preview_says_whose_a_trait_is(shop, text, level, told):
    found = shop(entry("a1", level="account"), entry("b1"))
    found.answer("group_id | seats\n g1 | 5", TICK, "a1")
    found.answer("user_id | ltv\n u1 | 5", TICK, "b1")
    found.run()
    with pytest.raises(UsageError, match=told):
        previews.preview(found.space, text=text, level=level)


# --- once more, and of which instant ------------------------------------------------------------------


def bytes_of(space, run_id):
    return {each.path: space.lake.read(each.path) for each in space.lake.list(f"runs/{run_id}/")}


STAGES = ("external_ids", "profiles", "retired", "traits", "sql_traits", "sql_rows")


@pytest.mark.parametrize("dies_before", STAGES)
def test_a_stage_that_is_killed_and_done_again_gives_the_same_bytes(shop, dies_before, monkeypatch):
    """Also where what it made was made from what it had written."""
    lake = over_lake("select profile_id, count(*) as n from events group by 1 union all "
                     "select p.profile_id, 0 from profiles p where p.profile_id not in (select profile_id from events)",
                     "n")  # fmt: skip
    found = shop(entry(), lake, traits={"revenue": "event('Order Completed').sum(property('total'))"})
    found.answer("email | ltv\n new@x.org | 5\n ada@x.org | 6")
    found.run()
    expected = bytes_of(found.space, found.run_id)
    run = recompute.reopen(found.space, found.run_id)
    write = runs.write

    def dying(store, run_id, name, frame):
        if name == dies_before:
            raise KeyboardInterrupt
        write(store, run_id, name, frame)

    monkeypatch.setattr(runs, "write", dying)
    with pytest.raises(KeyboardInterrupt):
        statements.compute(found.space, run)
    monkeypatch.undo()
    statements.compute(found.space, run)
    assert bytes_of(found.space, found.run_id) == expected


def test_a_run_names_the_answers_that_it_is_made_of(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1", TICK - timedelta(hours=12))
    before = driving.run(found.space, AS_OF)
    assert driving.run(found.space, AS_OF) == before
    found.answer("user_id | ltv\n u1 | 2")
    after = found.run().run_id
    assert after != before
    told = runs.manifest(found.space.lake, after)["sql"]["orders"]
    assert (told["at"], told["snapshot"].split("/")[:2]) == (runs.iso(TICK), ["sql", "orders"])


def test_equal_answers_are_one_object_whatever_the_order_of_their_rows(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1\n u2 | 2", TICK)
    found.answer("user_id | ltv\n u2 | 2\n u1 | 1", TICK + timedelta(hours=12))
    assert len([each for each in found.space.lake.list("sql/") if each.path.endswith(".parquet")]) == 1


def test_an_answer_is_kept_once(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1")
    found.answer("user_id | ltv\n u1 | 2")
    assert found.run().values("ltv") == {"u1": (1,)}


def test_history_has_the_answers_of_its_time_or_none(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1", TICK)
    assert found.run(AS_OF - timedelta(days=1)).values() == {}
    assert found.counts() == {}
    found.answer("user_id | ltv\n u1 | 2", TICK + timedelta(days=1))
    assert found.run(AS_OF + timedelta(hours=23)).values("ltv") == {"u1": (1,)}


def test_t43_another_statement_has_no_answers_yet(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1")
    found.with_sql(entry(statement="select 2"))
    assert found.run().values() == {}
    assert snapshots.due(found.space, AS_OF, AS_OF) == ["orders"]


def test_t37_what_is_due_is_the_last_instant_of_the_schedule(shop):
    found = shop(entry(schedule="0 */6 * * *"))
    assert snapshots.due(found.space, AS_OF, AS_OF) == ["orders"]
    found.answer("user_id | ltv\n u1 | 1")
    late = AS_OF + timedelta(hours=5, minutes=59)
    assert snapshots.due(found.space, late, late) == []
    assert snapshots.due(found.space, AS_OF + timedelta(hours=6), AS_OF + timedelta(hours=7)) == ["orders"]


@pytest.mark.parametrize("hours", [-7, 7])
def test_a_database_is_never_asked_about_the_past_or_the_future(shop, hours):
    found = shop(entry(schedule="0 */6 * * *"))
    assert snapshots.due(found.space, AS_OF + timedelta(hours=hours), AS_OF) == []


def test_a_space_is_refreshed_only_when_an_answer_is_another_one(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1")
    assert snapshots.are_new(found.space, AS_OF)
    found.run()
    found.answer("user_id | ltv\n u1 | 1", TICK + timedelta(hours=12))
    later = AS_OF + timedelta(hours=12)
    assert not snapshots.are_new(found.space, later)
    found.answer("user_id | ltv\n u1 | 2", TICK + timedelta(hours=24))
    assert snapshots.are_new(found.space, AS_OF + timedelta(hours=24))


# --- nothing is published -----------------------------------------------------------------------------


def refused(found, error=DefinitionError):
    with pytest.raises(error) as caught:
        driving.run(found.space, AS_OF)
    assert runs.current(found.space.lake) is None
    return str(caught.value)


def test_t46_a_column_that_is_something_else_is_an_error_that_names_both(shop):
    flags = Family("flags", query.parse_field("property('mixed')"),
                   query.parse_trait("event('Order Completed').count()"), 9, at=Place("traits.yaml", 3))  # fmt: skip
    found = shop(
        entry(), entry("more"), traits={"ltv": "event('E').count()"}, audiences={"a": "trait('x') = 1"},
        families=(flags,),
    )  # fmt: skip
    found.answer("user_id | ltv | a | flags | two | more | same\n u1 | 1 | 1 | 1 | 1 | 1 | 1")
    found.answer("user_id | same\n u1 | 1", key="more")
    problems = refused(found).splitlines()
    assert problems[0].startswith("traits.yaml:7: 'more': its column 'same' is also") or len(problems) == 6
    assert sorted(each.split("its column ")[1].split("'")[1] for each in problems) == [
        "a", "flags", "ltv", "more", "same", "two",
    ]  # fmt: skip
    assert any("is also a column of 'more' at traits.yaml:7; call one of them otherwise" in each for each in problems)


def test_t47_a_row_that_breaks_a_rule_stops_the_run_and_names_the_entry(shop):
    found = shop(over_lake("select 'u1' as user_id, 1 as x union all select ' u1 ', 2"))
    told = refused(found, StatementError)
    assert told.startswith("traits.yaml:7: 'orders': 1 of 2 rows have the user_id of another row")


def test_columns_that_conditions_on_events_read_are_refused(shop):
    audiences = {"a": "event('Order Completed').where(property('total') > trait('b')).count() >= 1"}
    audiences["b"] = "trait('ltv') > 1"
    found = shop(entry(), audiences=audiences)
    found.answer("user_id | ltv\n u1 | 1")
    assert "'a' compares events with 'ltv', a column of 'orders', which is known only after" in refused(found)


def test_a_column_that_says_who_somebody_is_over_there_is_refused(shop):
    crm = Destination("crm", "hubspot")
    found = shop(entry(deliveries=(Delivery("crm"),)), destinations=(crm,))
    name = min(ADAPTERS["hubspot"].ABOUT.reserved - {"email", "user_id"})
    found.answer(f"user_id | {name}\n u1 | 1")
    assert f"its column '{name}' says who somebody is to HubSpot" in refused(found)


# --- the lake -----------------------------------------------------------------------------------------

REVENUE = "select profile_id, sum(total) as spent, max(item_sku) as sku from event.order_completed group by 1"


def test_a_statement_over_the_lake_runs_with_every_run(shop):
    found = shop(over_lake(REVENUE))
    assert found.run().values("spent", "sku") == {"u1": (20, "s1"), "u2": (7.5, None), "a1": (1, None)}
    assert found.run(NOON - timedelta(days=1)).values() == {}
    assert found.counts() == {}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select profile_id, count(*) as x from Events group by 1", {"u1": 1, "u2": 1, "a1": 1}),
        ("select profile_id, event as x from events where source = 'web' and profile_id in "
         "(select profile_id from external_ids where id_value = 'u2')", {"u2": "Order Completed"}),
        ("select profile_id, mixed as x from event.order_completed where mixed is not null", {"u1": "1", "u2": "two"}),
        ("select profile_id, profile_id_2 as x from event.order_completed where profile_id_2 is not null",
         {"a1": "odd"}),
        ("select profile_id, value as x from custom_traits where name = 'plan'", {"u1": '"pro"'}),
        ("select profile_id, revenue as x from traits where revenue > 10", {"u1": 20}),
        ("select profile_id, collection as x from profiles where created_at < TIMESTAMP '2030-01-01'",
         {"u1": "users", "u2": "users", "a1": "users"}),
        ("with mine as (select * from events) select profile_id, count(*) as x from mine group by 1",
         {"u1": 1, "u2": 1, "a1": 1}),
        ("select id_value as user_id, count(*) as x from external_ids where id_type = 'user_id' group by 1",
         {"u1": 1, "u2": 1}),
    ],
)  # fmt: skip
def test_views_of_the_lake(shop, statement, expected):
    found = shop(over_lake(statement), traits={"revenue": "event('Order Completed').sum(property('total'))"})
    assert {who: x for who, (x,) in found.run().values("x").items() if x is not None} == expected


def test_calls_that_are_no_events_are_in_no_view(shop):
    found = shop(over_lake("select profile_id, count(*) as x from events where event like 'identify%' group by 1"))
    told = refused(shop(over_lake("select profile_id, 1 as x from event.identify")), StatementError)
    assert "no event is called so that there is a view 'event.identify'" in told
    assert found


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("select profile_id, 1 as x from event.order_complete", "did you mean 'event.order_completed'?"),
        ("select profile_id, 1 as x from memberships", "there is no view 'memberships' of the lake; there is custom_"),
    ],
)
def test_a_view_that_is_not_there_is_told_with_those_that_are(shop, statement, told):
    assert told in refused(shop(over_lake(statement)), StatementError)


def test_with_a_schedule_the_lake_is_asked_by_the_run_in_which_the_instant_falls_due(shop):
    found = shop(over_lake("select profile_id, count(*) as n from events group by 1", schedule=TWICE_A_DAY))
    first = found.run(AS_OF + timedelta(hours=1)).run_id
    assert found.run(AS_OF + timedelta(hours=1)).run_id == first  # the same again, though there is an answer now
    more = {"message_id": "x", "user_id": "u1", "received_at": NOON, "type": "track", "event": "E"}
    driving.put(found.space, "web", "b", called(more))
    driving.replay_all(found.space, AS_OF)
    assert found.run(AS_OF + timedelta(hours=2)).values("n")["u1"] == (1,)
    assert not snapshots.are_new(found.space, AS_OF + timedelta(hours=3))
    assert snapshots.are_new(found.space, AS_OF + timedelta(hours=12))
    assert found.run(AS_OF + timedelta(hours=12)).values("n")["u1"] == (2,)


def test_a_person_of_the_lake_who_has_merged_is_found_and_a_stranger_counted(shop):
    found = shop(over_lake("select 'use_nobody' as profile_id, 1 as n"))
    found.run()
    assert found.values() == {}
    assert found.counts() == {"rows": 1, "strangers": 1}


# --- looking first ------------------------------------------------------------------------------------


def test_t42_a_preview_says_whom_the_run_knows(shop):
    found = shop(over_lake("select 'u1' as user_id, 5 as ltv union all select 'u9', 6 union all select '-1', 7"))
    found.run()
    before = {each.path for each in found.space.lake.list("")}
    (statement,) = found.space.definition.sql
    told = sql_previews.of_lake(found.space, statement)
    assert told.columns == {"user_id": "String", "ltv": "Int64"}
    assert told.counts == {"rows": 3, "known": 1, "unknown": 1, "blocked": 1, "too_large": 0}
    assert told.sample == [
        {"@known": "✓", "user_id": "u1", "ltv": 5}, {"@known": "?", "user_id": "u9", "ltv": 6},
    ]  # fmt: skip
    assert {each.path for each in found.space.lake.list("")} == before


# --- how they are written -----------------------------------------------------------------------------

WRITTEN = """
orders:
  sql: {connection: shop, query: "select user_id, ltv from customers"}
"""
SPACE = "space: dev\nlake: file:///lakes/dev\nconnections: {shop: '${SHOP}'}\n"


def test_t37_a_database_is_asked_twice_a_day_if_nothing_is_said(load):
    space = load({"dev/space.yaml": SPACE, "dev/traits.yaml": WRITTEN})
    (found,) = space.sql
    assert (found.key, found.schedule, found.most_rows) == ("orders", TWICE_A_DAY, 25_000_000)
    audiences = {"dev/audiences.yaml": "a: {query: \"trait('ltv') > 1 AND trait('orders') = 1\"}"}
    (warning,) = load({"dev/space.yaml": SPACE, "dev/traits.yaml": WRITTEN} | audiences).warnings
    assert warning.endswith("'a' reads 'ltv', which must be a custom trait, or a column of SQL")


def test_a_statement_that_must_not_run_is_told_by_check(problems):
    written = 'orders: {sql: {connection: lake, query: "delete from events"}}'
    (found,) = problems({"dev/space.yaml": SPACE, "dev/traits.yaml": written})
    assert found.startswith("traits.yaml:1: 'orders': ")


def test_an_audience_with_the_key_of_an_entry_is_refused(problems):
    audiences = {"dev/audiences.yaml": "orders: {query: \"trait('ltv') > 1\"}"}
    (found,) = problems({"dev/space.yaml": SPACE, "dev/traits.yaml": WRITTEN} | audiences)
    assert "'orders' is also a trait" in found


def test_the_manifest_is_json(shop):
    found = shop(entry())
    found.answer("user_id | ltv\n u1 | 1")
    assert json.dumps(runs.manifest(found.run().space.lake, found.run_id)["sql"])


def test_the_lab_of_identity_leaves_people_and_audiences_of_sql_out(shop, tmp_path):
    found = shop(entry(), audiences={"rich": "trait('ltv') > 1", "buyers": "event('Order Completed').count() = 0"})
    found.answer("user_id | ltv\n u9 | 5")
    found.run()
    rules = tmp_path / "rules.yaml"
    rules.write_text("identifiers: {user_id: {}, email: {}, anonymous_id: {}, app_id: {from: app_id}}")
    tried = graphs.trial(found.space, rules)
    assert tried.before == tried.after
    assert tried.audiences == [{"audience": "buyers", "before": 0, "after": 0}]
    assert runs.manifest(found.space.lake, found.run_id)["audiences"] == {"buyers": 1, "rich": 1}

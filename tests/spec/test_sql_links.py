"""Statements that link users to accounts (T-41)."""

from dataclasses import replace
from datetime import timedelta

from populace import query
from populace.definitions import Audience, Trait
from populace.lake import runs
from populace.space import graphs, showing, sql_previews, statements
from tests import driving
from tests.shops import TICK, entry
from tests.slicing import NOON, called
from tests.tables import AS_OF, table


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

"""From identifiers to profiles: where ids are read, which are none, what merges, and what a profile is called.

The vectors V1 to V15 are those of the reference that need no limits.
"""

import json
from datetime import timedelta

import polars as pl
import pytest

from populace import identity
from populace.definitions import Identifier, Identity
from tests import driving
from tests.tables import AS_OF, instant

TRAIT_PLACES = {"traits": "identify", "properties": "track"}


def calls(text):
    """Rows of the raw layout from a pipe table, one second apart in the order written; `email` goes into traits."""
    lines = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    header, rows = lines[0], [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    return pl.DataFrame(
        {
            "message_id": [f"e{number}" for number in range(1, len(rows) + 1)],
            "type": [row.get("type") or "identify" for row in rows],
            "event": ["E"] * len(rows),
            "group_id": [row.get("group_id") or None for row in rows],
            "user_id": [row.get("user_id") or None for row in rows],
            "anonymous_id": [row.get("anonymous_id") or None for row in rows],
            "timestamp": [
                instant(row["timestamp"]) if "timestamp" in header else AS_OF + timedelta(seconds=number - 1000)
                for number, row in enumerate(rows)
            ],
            "traits": [_traits(row) for row in rows],
            "context": [row.get("context") or None for row in rows],
            "properties": [row.get("properties") or None for row in rows],
        }
    ).with_columns(pl.col("event", "group_id", "user_id", "anonymous_id", "context", "properties").cast(pl.String))


def _traits(row):
    named = {name: row[name].strip('"') for name in ("email", "app_id") if row.get(name)}
    return row.get("traits") or (json.dumps(named) if named else None)


class Graph:
    """The identity tables of a run, in short."""

    def __init__(self, folder, frame, *, as_of=AS_OF, identity=driving.IDENTITY):
        self.space = driving.space_in(folder, identity=identity)
        driving.put(self.space, "web", "a", frame)
        self.run_id = driving.recomputed(self.space, as_of)

    def table(self, name):
        return driving.table(self.space, self.run_id, name)

    def profiles(self):
        """Each profile as the sorted values of its identifiers, profiles in the order of their creation."""
        ids = self.table("external_ids").group_by("profile_id").agg(pl.col("id_value").sort().str.join(" "))
        found = self.table("profiles").join(ids, on="profile_id", how="left").sort("created_at")
        return found["id_value"].to_list()

    def merges(self):
        """(what was merged away, what into), by the identifiers that profiles are called after."""
        named = self._names()
        return [(named[loser], named[winner]) for loser, winner, *_ in self.table("merges").sort("merged_at").rows()]

    def names(self):
        """What each profile is called after, in the order of their creation."""
        named = self._names()
        return [named[each] for each in self.table("profiles").sort("created_at")["profile_id"]]

    def _names(self):
        ids = self.table("external_ids").select("collection", "id_type", "id_value").rows()
        return {identity.profile_id(*each): each[2] for each in ids}


@pytest.fixture
def graph(tmp_path):
    return lambda text, **more: Graph(tmp_path, calls(text), **more)


def id_values(found, id_type):
    return found.table("external_ids").filter(id_type=id_type).select("id_value", "raw_value").rows()


# --- where identifiers stand ----------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["appId", "app_id"])
@pytest.mark.parametrize("column", ["traits", "properties"])
def test_i3_i4_a_custom_identifier_is_read_in_camel_and_snake_case(graph, spelling, column):
    found = graph(f'user_id | type | {column}\n u1 | {TRAIT_PLACES[column]} | {{"{spelling}":"A1"}}')
    assert found.profiles() == ["A1 u1"]


@pytest.mark.parametrize("spelling", ["appId", "app_id"])
def test_i3_a_custom_identifier_is_read_in_context_traits(graph, spelling):
    assert graph(f'user_id | context\n u1 | {{"traits":{{"{spelling}":"A1"}}}}').profiles() == ["A1 u1"]


@pytest.mark.parametrize("spelling", ["AppId", "APP_ID", "app-id", "app id"])
def test_i4_other_spellings_are_other_names(graph, spelling):
    assert graph(f'user_id | traits\n u1 | {{"{spelling}":"A1"}}').profiles() == ["u1"]


def test_i3_a_custom_identifier_may_be_read_under_another_name(tmp_path):
    rules = Identity((Identifier("user_id"), Identifier("customer", read_from="customerNumber")))
    found = Graph(tmp_path, calls('user_id | traits\n u1 | {"customer_number":"C-7"}'), identity=rules)
    assert id_values(found, "customer") == [("C-7", "C-7")]


def external_ids(*entries):
    return "user_id | context\n u1 | " + json.dumps({"externalIds": list(entries)})


GOOD = {"id": "A1", "type": "app_id", "collection": "users", "encoding": "none"}


def test_e11_external_ids_of_a_configured_type_are_identifiers(graph):
    assert graph(external_ids(GOOD)).profiles() == ["A1 u1"]


@pytest.mark.parametrize(
    "entry",
    [
        GOOD | {"type": "App_ID"},
        GOOD | {"type": "unknown"},
        GOOD | {"collection": "accounts"},
        GOOD | {"id": None},
        GOOD | {"id": ""},
        GOOD | {"id": {"a": 1}},
        GOOD | {"id": ["a"]},
        GOOD | {"type": 7},
        {"id": "A1", "type": "app_id"},
        "A1",
        5,
        None,
        [GOOD],
    ],
)
def test_i5_other_external_ids_are_ignored_and_stop_nothing(graph, entry):
    assert graph(external_ids(entry, GOOD | {"id": "A2"})).profiles() == ["A2 u1"]


@pytest.mark.parametrize("place", ['{"externalIds":{"id":"A1"}}', '{"externalIds":"A1"}', '{"externalIds":null}'])
def test_i5_external_ids_that_are_no_list_are_ignored(graph, place):
    assert graph(f"user_id | context\n u1 | {place}").profiles() == ["u1"]


@pytest.mark.parametrize("call", ["identify", "track", "page", "screen", "group", "alias"])
def test_i2_every_call_is_resolved(graph, call):
    assert graph(f"type | user_id | anonymous_id | group_id\n {call} | u1 | a1 | g1").profiles() == ["a1 u1"]


def test_e1_an_alias_merges_nothing(tmp_path):
    frame = calls("type | user_id\n identify | u1\n identify | u2\n alias | u2")
    found = Graph(tmp_path, frame.with_columns(previous_id=pl.Series([None, None, "u1"])))
    assert found.profiles() == ["u1", "u2"]


def test_i72_the_email_of_a_group_is_not_that_of_its_user(graph):
    found = graph("""
        type     | user_id | group_id | email
        group    | u1      | g1       | office@x.com
        group    | u2      | g1       | office@x.com
        identify | u3      |          | office@x.com
    """)
    assert found.profiles() == ["u1", "u2", "office@x.com u3"]


def test_i72_other_places_of_a_group_call_are_the_users_own(graph):
    found = graph('type | user_id | group_id | context\n group | u1 | g1 | {"traits":{"email":"e1"}}')
    assert found.profiles() == ["e1 u1"]


def test_i71_a_group_call_links_its_user_to_the_account(graph):
    found = graph("type|user_id|anonymous_id|group_id\ngroup|u1||g1\ngroup|u1||g1\ngroup|u1||g2\nidentify|u1|a1|")
    named = identity.profile_id("users", "user_id", "u1")
    assert found.table("links").select("profile_id", "account_id", "message_id").rows() == [
        (named, "g1", "e1"),
        (named, "g2", "e3"),
    ]


# --- values ---------------------------------------------------------------------------------


def test_i8_values_are_compared_trimmed_and_emails_in_lower_case(graph):
    found = graph("""
        user_id | email        | app_id
        u1      | Jane@X.com   |
        u1      | " jane@x.com" | "A1 "
        u2      |              | a1
    """)
    assert id_values(found, "email") == [("jane@x.com", "Jane@X.com")]
    assert sorted(id_values(found, "app_id")) == [("A1", "A1 "), ("a1", "a1")]


def test_i8_the_raw_value_is_that_of_the_first_event(graph):
    found = graph("user_id | timestamp | email\n u1 | d-1 | JANE@x.com\n u1 | d-2 | Jane@x.com\n u1 | d-3 | jane@X.com")
    assert id_values(found, "email") == [("jane@x.com", "jane@X.com")]


def test_i8_normalising_can_be_turned_off(tmp_path):
    rules = Identity((Identifier("user_id", "none"), Identifier("email", "none")))
    found = Graph(tmp_path, calls('user_id | email\n u1 | Jane\n u1 | "Jane "\n " u1" | x'), identity=rules)
    assert id_values(found, "email") == [("Jane", "Jane"), ("Jane ", "Jane "), ("x", "x")]


@pytest.mark.parametrize("value", ['""', '"  "', "null", '{"a":1}', '["a"]', f'"{"x" * 501}"'])
def test_i9_empty_overlong_and_compound_values_are_no_identifiers(graph, value):
    assert graph(f'user_id | traits\n u1 | {{"email":{value}}}').profiles() == ["u1"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("5", "5"), ("true", "true"), ("1.5", "1.5"), (f'"{"x" * 500}"', "x" * 500), (r'"a\"b\u00e9"', 'a"bé')],
)
def test_i9_numbers_and_booleans_are_text(graph, value, expected):
    assert id_values(graph(f'user_id | traits\n u1 | {{"email":{value}}}'), "email") == [(expected, expected)]


# --- blocked values -------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0", "000-00", "----", "00000000-0000-0000-0000-000000000000", "-1", "null"])
def test_i11_the_suggested_values_are_no_identifiers(graph, value):
    found = graph(f"user_id | anonymous_id\n u1 | {value}\n u2 | {value}")
    assert found.profiles() == ["u1", "u2"]


@pytest.mark.parametrize("value", ["00a", "-11", "nullable", "Null", "ANONYMOUS"])
def test_i12_an_exact_value_matches_nothing_but_itself(graph, value):
    found = graph(f"user_id | anonymous_id\n u1 | {value}\n u2 | {value}")
    assert found.profiles() == [" ".join(sorted(["u1", "u2", value]))]


def blocking(*everywhere, **by_type):
    return Identity(
        tuple(Identifier(each.id_type, each.normalize, each.read_from, blocked=tuple(by_type.get(each.id_type, ())))
              for each in driving.IDENTITY.identifiers),
        blocked=everywhere,
    )  # fmt: skip


def test_i12_values_may_be_blocked_for_one_identifier(tmp_path):
    frame = calls("user_id | anonymous_id\n void | a1\n u1 | void")
    found = Graph(tmp_path, frame, identity=blocking(user_id=["void"]))
    assert found.profiles() == ["a1", "u1 void"]


def test_i14_a_pattern_need_not_match_the_whole_value(tmp_path):
    frame = calls("user_id | anonymous_id\n test-1 | a1\n a-test | a2")
    assert Graph(tmp_path, frame, identity=blocking("^test")).profiles() == ["a1", "a-test a2"]


def test_i14_blocking_compares_the_normalised_value(tmp_path):
    frame = calls("user_id | email\n u1 | Nobody@X.com\n u2 | nobody@x.com")
    assert Graph(tmp_path, frame, identity=blocking(email=["nobody@x.com"])).profiles() == ["u1", "u2"]


def test_i14_what_is_no_pattern_is_meant_exactly(tmp_path):
    frame = calls("user_id | anonymous_id\n a.c | x\n abc | y\n u1 | .*")
    assert Graph(tmp_path, frame, identity=blocking("a.c", ".*")).profiles() == ["x", "abc y", "u1"]


def test_i10_a_blocked_value_stays_in_the_event(graph):
    found = graph("type | user_id | anonymous_id\n track | anonymous | a1")
    assert found.profiles() == ["a1"]
    assert found.table("sightings")["profile_id"].null_count() == 0


def test_i6_an_event_whose_identifiers_are_all_blocked_has_no_profile(graph):
    found = graph("user_id | anonymous_id\n u1 | a1\n anonymous | 000-00")
    assert found.profiles() == ["a1 u1"]
    assert sorted(found.table("sightings")["profile_id"].is_null().to_list()) == [False, True]


# --- creating, adding, merging --------------------------------------------------------------


def test_i40_unknown_identifiers_make_a_profile(graph):
    assert graph("user_id | email\n u1 | e1\n u2 | e2").profiles() == ["e1 u1", "e2 u2"]


def test_i41_one_known_identifier_takes_the_others_with_it(graph):
    found = graph("user_id | anonymous_id | email\n u1 | | \n u1 | | e1\n | a1 | e1")
    assert found.profiles() == ["a1 e1 u1"]
    assert found.merges() == []


def test_i42_known_identifiers_of_several_profiles_merge_them(graph):
    found = graph("user_id | anonymous_id\n u1 | \n | a1\n | a2\n u1 | a1\n u1 | a2")
    assert found.profiles() == ["a1 a2 u1"]
    assert found.merges() == [("a1", "u1"), ("a2", "u1")]


def test_i44_of_several_the_profile_created_first_survives(graph):
    found = graph("anonymous_id | email | user_id\n a3 | | \n a2 | | \n a1 | | \n a1 | e1 | \n a2 | e1 | \n a3 | e1 | ")
    assert found.profiles() == ["a1 a2 a3 e1"]
    assert found.names() == ["a3"]
    assert sorted(found.merges()) == [("a1", "a3"), ("a2", "a3")]


def test_i44_created_first_is_by_event_time_not_by_place_in_the_file(graph):
    found = graph("user_id | anonymous_id | timestamp\n u1 | a1 | d-1\n | a1 | d-2\n u1 | | d-3")
    assert found.names() == ["u1"]
    assert found.merges() == [("a1", "u1")]


def test_i44_ties_go_to_the_smaller_message_id(graph):
    found = graph("user_id | anonymous_id | timestamp\n u9 | | d-2\n u1 | | d-2\n u9 | a1 | d-1\n u1 | a1 | d-1")
    assert found.names() == ["u9"]


def test_e27_a_profile_is_created_by_its_first_event_whatever_arrived_first(tmp_path):
    frame = calls("user_id | anonymous_id | timestamp\n u1 | a1 | d-1.02\n u1 | a1 | d-1.01")
    found = Graph(tmp_path, frame.with_columns(received_at=pl.Series([instant("d-1"), instant("d-1.005")])))
    assert found.table("profiles")["created_at"].to_list() == [instant("d-1.02")]
    assert found.table("external_ids")["message_id"].unique().to_list() == ["e1"]


def test_a_merge_says_when_and_by_which_message(graph):
    found = graph("user_id | anonymous_id | timestamp\n u1 | | d-3\n | a1 | d-2\n u1 | a1 | d-1")
    assert found.table("merges").select("merged_at", "message_id").rows() == [(instant("d-1"), "e3")]


def test_i30_a_profile_is_called_after_its_strongest_identifier(graph):
    found = graph("user_id | anonymous_id | email | app_id\n | a1 | e1 | A1\n u2 | a2 | e2 | A2\n | a3 | | A3")
    assert found.names() == ["e1", "u2", "a3"]


def test_i30_of_two_of_one_type_it_is_called_after_the_smaller(tmp_path):
    rules = Identity((Identifier("email"), Identifier("anonymous_id")))
    frame = calls('anonymous_id | email | context\n a1 | e2 | {"traits":{"email":"e1"}}')
    found = Graph(tmp_path, frame, identity=rules)
    assert (found.profiles(), found.names()) == (["a1 e1 e2"], ["e1"])


def test_i30_the_order_can_be_chosen(tmp_path):
    rules = Identity((Identifier("anonymous_id"), Identifier("user_id")))
    assert Graph(tmp_path, calls("user_id | anonymous_id\n u1 | a1"), identity=rules).names() == ["a1"]


# --- vectors --------------------------------------------------------------------------------

V1 = "anonymous_id | user_id | email\n a1 | | \n"
V3 = ["a1 | | e1", "a2 | | ", "a2 | | e1"]


def test_v1(graph):
    assert graph(V1).profiles() == ["a1"]


def test_v2(graph):
    assert graph(V1 + "a1 | u1 | ").profiles() == ["a1 u1"]


def test_v3(graph):
    found = graph("anonymous_id | user_id | email\n" + "\n".join(V3))
    assert found.profiles() == ["a1 a2 e1"]
    assert found.merges() == [("a2", "e1")]


def test_v7(graph):
    found = graph("user_id | anonymous_id\n u1 | \n anonymous | 000-00")
    assert found.profiles() == ["u1"]
    assert found.table("sightings")["profile_id"].null_count() == 1


def test_v11(graph):
    found = graph("user_id | anonymous_id | email\n | a1 | e1\n u1 | | \n u1 | | e1")
    assert found.profiles() == ["a1 e1 u1"]
    assert found.merges() == [("u1", "e1")]


def test_v14(graph):
    found = graph("anonymous_id | user_id | email\n" + "\n".join([V3[1], V3[0], V3[2]]))
    assert found.profiles() == ["a1 a2 e1"]
    assert found.merges() == [("e1", "a2")]


def test_v15(graph):
    found = graph('user_id | anonymous_id | email\n u1 | | Jane@X.com\n | a1 | "jane@x.com "')
    assert found.profiles() == ["a1 jane@x.com u1"]


def test_v15_without_normalising(tmp_path):
    rules = Identity((Identifier("user_id"), Identifier("email", "none"), Identifier("anonymous_id")))
    frame = calls('user_id | anonymous_id | email\n u1 | | Jane@X.com\n | a1 | "jane@x.com "')
    assert Graph(tmp_path, frame, identity=rules).profiles() == ["Jane@X.com u1", "a1 jane@x.com "]


# --- as of an instant -----------------------------------------------------------------------

HISTORY = """
    user_id | anonymous_id | timestamp
    u1      |              | d-5
            | a1           | d-4
    u1      | a1           | d-3
    u2      |              | d-2
    u2      | a1           | d-1
"""


@pytest.mark.parametrize(
    ("days", "profiles"),
    [
        (6, []),
        (5, ["u1"]),
        (4, ["u1", "a1"]),
        (3, ["a1 u1"]),
        (2, ["a1 u1", "u2"]),
        (1, ["a1 u1 u2"]),
    ],
)
def test_what_comes_after_as_of_does_not_exist(graph, days, profiles):
    assert graph(HISTORY, as_of=AS_OF - timedelta(days=days)).profiles() == profiles


def test_as_of_includes_its_own_instant(graph):
    assert graph("user_id | timestamp\n u1 | d-1", as_of=AS_OF - timedelta(days=1)).profiles() == ["u1"]


def test_ids_stay_the_same_over_time(tmp_path):
    space = driving.space_in(tmp_path)
    driving.put(space, "web", "a", calls(HISTORY))
    runs = [driving.recomputed(space, AS_OF - timedelta(days=days)) for days in (5, 3, 1)]
    found = {each: driving.table(space, each, "profiles")["profile_id"].to_list() for each in runs}
    assert list(found.values()) == [[identity.profile_id("users", "user_id", "u1")]] * 3


def test_a_published_id_that_was_merged_away_leads_to_its_successor(tmp_path):
    space = driving.space_in(tmp_path)
    driving.put(space, "web", "a", calls(HISTORY))
    driving.recomputed(space, AS_OF - timedelta(days=2))
    later = driving.run(space, AS_OF)
    u1, u2 = (identity.profile_id("users", "user_id", each) for each in ("u1", "u2"))
    a1 = identity.profile_id("users", "anonymous_id", "a1")
    assert dict(driving.table(space, later, "retired").rows()) == {u2: u1, a1: u1}


def test_a_published_id_is_found_through_the_identifier_it_is_called_after(tmp_path):
    space = driving.space_in(tmp_path)
    driving.put(space, "web", "b", calls("user_id | anonymous_id | timestamp\n u1 | a1 | d-2"))
    driving.recomputed(space, AS_OF - timedelta(days=1))
    # What happened earlier arrives later: now the anonymous_id comes first, and the profile is called after it.
    earlier = calls("user_id | anonymous_id | timestamp\n | a1 | d-3").with_columns(message_id=pl.lit("m1"))
    driving.put(space, "web", "a", earlier)
    later = driving.recomputed(space, AS_OF)
    u1, a1 = identity.profile_id("users", "user_id", "u1"), identity.profile_id("users", "anonymous_id", "a1")
    assert driving.table(space, later, "profiles")["profile_id"].to_list() == [a1]
    assert driving.table(space, later, "retired").rows() == [(u1, a1)]


def test_a_published_id_whose_identifier_is_gone_leads_nowhere(tmp_path):
    space = driving.space_in(tmp_path)
    driving.put(space, "web", "a", calls("user_id | timestamp\n u1 | d-3"))
    file = driving.put(space, "web", "b", calls("user_id | timestamp\n u2 | d-2").with_columns(message_id=pl.lit("m")))
    driving.recomputed(space, AS_OF - timedelta(days=1))
    file.unlink()
    for later in (driving.recomputed(space, AS_OF), driving.recomputed(space, AS_OF + timedelta(days=1))):
        assert driving.table(space, later, "retired").rows() == [(identity.profile_id("users", "user_id", "u2"), None)]


def test_successors_of_ids_that_are_current_are_not_listed():
    empty = {"profile_id": pl.String, "collection": pl.String, "id_type": pl.String, "id_value": pl.String}
    found = identity.Resolution(
        profiles=pl.DataFrame({"profile_id": ["p1"]}),
        sightings=pl.DataFrame(),
        external_ids=pl.DataFrame(schema=empty),
        merges=pl.DataFrame({"profile_id": ["p2"], "canonical_id": ["p1"]}),
    )
    assert identity.successors(["p1", "p2", "p3", "p2"], found).rows() == [("p2", "p1"), ("p3", None)]

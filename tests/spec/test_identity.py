"""From identifiers to profiles: what merges, and what a profile is called.

The vectors V1 to V15 are those of the reference, 2.13.
"""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from populace import identity
from populace.definitions import Forbidden, Identifier, Identity, Limit
from populace.loading.identities import SUGGESTED_BLOCKS
from tests import driving
from tests.graphs import Graph, calls
from tests.tables import AS_OF, instant

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

DEFAULTS = Identity(  # of 2.13
    (
        Identifier("user_id", limit=Limit(1)),
        Identifier("email", "trim_lower", limit=Limit(5)),
        Identifier("android.id", limit=Limit(5)),
        Identifier("anonymous_id", limit=Limit(5)),
        Identifier("ios.id", limit=Limit(5)),
    ),
    SUGGESTED_BLOCKS,
)
WEEK = timedelta(days=7)


@pytest.fixture
def vector(tmp_path):
    """The graph of calls by the configuration of the vectors, or another."""
    return lambda text, rules=DEFAULTS: Graph(tmp_path, calls(text), identity=rules)


def violations(found):
    return found.table("violations").select("kind", "id_value", "message_id").sort("message_id").rows()


def device(system, value):
    return f'{{"device":{{"type":"{system}","id":"{value}"}}}}'


V1 = "anonymous_id | user_id | email\n a1 | | \n"
V3 = ["a1 | | e1", "a2 | | ", "a2 | | e1"]
V8 = "user_id | email\n" + "\n".join(f"u1 | e{number}" for number in range(1, 7))


def test_v1(vector):
    assert vector(V1).profiles() == ["a1"]


def test_v2(vector):
    assert vector(V1 + "a1 | u1 | ").profiles() == ["a1 u1"]


def test_v3(vector):
    found = vector("anonymous_id | user_id | email\n" + "\n".join(V3))
    assert found.profiles() == ["a1 a2 e1"]
    assert found.merges() == [("a2", "e1")]


def test_v4_i43(vector):
    found = vector("user_id | email\n u1 | e1\n u2 | e1")
    assert found.profiles() == ["e1 u1", "u2"]
    assert violations(found) == [("value_limit_exceeded", "e1", "e2")]


def test_v5_i47(vector):
    found = vector("user_id | anonymous_id\n u1 | a1\n u2 | a1\n | a1")
    assert found.profiles() == ["a1 u1", "u2"]
    first = identity.profile_id("users", "user_id", "u1")
    second = identity.profile_id("users", "user_id", "u2")
    assert sorted(found.table("sightings")["profile_id"]) == sorted([first, second, first])


def test_v6(vector):
    d1, i1 = device("android", "d1"), device("ios", "i1")
    rows = [f"a1 | | {i1}", f"a1 | u1 | {i1}", f"a2 | u1 | {d1}", f"a3 | u1 | {d1}"]
    assert vector("anonymous_id | user_id | context\n" + "\n".join(rows)).profiles() == ["a1 a2 a3 d1 i1 u1"]


def test_v7_i13(vector):
    found = vector("user_id | anonymous_id\n u1 | \n anonymous | 000-00")
    assert found.profiles() == ["u1"]
    assert found.table("sightings")["profile_id"].null_count() == 1
    assert violations(found) == [("value_blocked", "000-00", "e2"), ("value_blocked", "anonymous", "e2")]
    assert found.table("violations")["profile_id"].to_list() == [None, None]


def test_v8(vector):
    found = vector(V8)
    assert found.profiles() == ["e1 e2 e3 e4 e5 u1"]
    assert violations(found) == [("value_limit_exceeded", "e6", "e6")]
    assert found.table("violations")["profile_id"].to_list() == [identity.profile_id("users", "user_id", "u1")]


def test_v9(vector):
    # An event must carry a user_id or anonymous_id; a blocked one leaves the e-mail address alone.
    assert vector(V8 + "\n anonymous | e6").profiles() == ["e1 e2 e3 e4 e5 u1", "e6"]


def test_v10_i24(vector):
    rules = Identity((Identifier("user_id", limit=Limit(1)), Identifier("anonymous_id", limit=Limit(2, WEEK))))
    days = enumerate((20, 19, 18, 11), 1)
    found = vector("user_id | anonymous_id | timestamp\n" + "\n".join(f"u1 | a{n} | d-{d}" for n, d in days), rules)
    assert found.profiles() == ["a1 a2 a4 u1"]
    assert violations(found) == [("time_limit_exceeded", "a3", "e3")]


def test_v10_what_was_demoted_is_mapped_when_it_is_seen_again(vector):
    rules = Identity((Identifier("user_id", limit=Limit(1)), Identifier("anonymous_id", limit=Limit(2, WEEK))))
    days = zip((1, 2, 3, 3), (20, 19, 18, 11), strict=True)
    found = vector("user_id | anonymous_id | timestamp\n" + "\n".join(f"u1 | a{n} | d-{d}" for n, d in days), rules)
    assert found.profiles() == ["a1 a2 a3 u1"]
    added = found.table("external_ids").filter(id_value="a3").select("added_at", "message_id").rows()
    assert added == [(instant("d-11"), "e4")]


def test_v11(vector):
    found = vector("user_id | anonymous_id | email\n | a1 | e1\n u1 | | \n u1 | | e1")
    assert found.profiles() == ["a1 e1 u1"]
    assert found.merges() == [("u1", "e1")]


def test_v12(vector):
    found = vector("anonymous_id | user_id | email\n a1 | u1 | \n a2 | u2 | \n a1 | | e1\n a2 | | e1")
    assert found.profiles() == ["a1 e1 u1", "a2 u2"]
    assert violations(found) == [("value_limit_exceeded", "a2", "e4")]


def test_v13_i46(vector):
    rules = Identity((Identifier("user_id"), Identifier("anonymous_id")))
    rows = [f" | a{number}" for number in range(102)] + [f"u1 | a{number}" for number in range(102)]
    found = vector("user_id | anonymous_id\n" + "\n".join(rows), rules)
    assert len(found.merges()) == 100
    assert len(found.profiles()) == 2
    assert violations(found) == [("merge_limit_exceeded", "a101", "e204")]
    assert found.table("sightings")["profile_id"].n_unique() == 2


def test_v14(vector):
    found = vector("anonymous_id | user_id | email\n" + "\n".join([V3[1], V3[0], V3[2]]))
    assert found.profiles() == ["a1 a2 e1"]
    assert found.merges() == [("e1", "a2")]


def test_v15(vector):
    found = vector('user_id | anonymous_id | email\n u1 | | Jane@X.com\n | a1 | "jane@x.com "')
    assert found.profiles() == ["a1 jane@x.com u1"]


def test_v15_without_normalising(vector):
    rules = Identity((Identifier("user_id"), Identifier("email", "none"), Identifier("anonymous_id")))
    found = vector('user_id | anonymous_id | email\n u1 | | Jane@X.com\n | a1 | "jane@x.com "', rules)
    assert found.profiles() == ["Jane@X.com u1", "a1 jane@x.com "]


# --- limits, and pairs that stay apart --------------------------------------------------------


def test_i45_a_profile_holds_a_thousand_identifiers(vector):
    rules = Identity((Identifier("user_id"), Identifier("anonymous_id")))
    found = vector("user_id | anonymous_id\n" + "\n".join(f"u1 | a{number:04}" for number in range(1001)), rules)
    assert found.table("external_ids").height == 1000
    assert violations(found) == [
        ("mapping_limit_exceeded", "a0999", "e1000"),
        ("mapping_limit_exceeded", "a1000", "e1001"),
    ]
    assert found.table("sightings")["profile_id"].null_count() == 0


@pytest.mark.parametrize(("days", "profiles"), [(7, ["a1 a2 u1"]), (6.99, ["a1 u1"])])
def test_i24_a_value_added_a_period_ago_does_not_count_any_more(vector, days, profiles):
    rules = Identity((Identifier("user_id"), Identifier("anonymous_id", limit=Limit(1, WEEK))))
    text = f"user_id | anonymous_id | timestamp\n u1 | a1 | d-20\n u1 | a2 | d-{20 - days}"
    assert vector(text, rules).profiles() == profiles


def test_i48_the_weakest_identifier_of_the_event_is_demoted_though_it_is_another_that_is_too_many(vector):
    found = vector(V8.replace("user_id | email", "user_id | email | anonymous_id").replace("e6", "e6 | a1").replace(
        "\nu1 | e1", "\nu1 | e1 | ").replace("e2", "e2 | ").replace("e3", "e3 | ").replace("e4", "e4 | ").replace(
        "e5", "e5 | "))  # fmt: skip
    assert found.profiles() == ["e1 e2 e3 e4 e5 u1"]
    assert [each[1] for each in violations(found)] == ["a1", "e6"]


KIOSK = """
    user_id | anonymous_id | email
    u1      | kiosk-7      |
            | kiosk-7      | e2
    u2      |              | e2
"""
APART = Forbidden((("anonymous_id", "kiosk-7"), ("user_id", "u2")), "shared tablet")
FREE = Identity(tuple(Identifier(each) for each in ("user_id", "email", "anonymous_id")))


def test_forbidden_identifiers_never_share_a_profile(vector):
    assert vector(KIOSK, FREE).profiles() == ["e2 kiosk-7 u1 u2"]


def test_forbidden_identifiers_are_split_and_told(vector):
    found = vector(KIOSK, replace(FREE, forbidden=(APART,)))
    assert found.profiles() == ["e2 kiosk-7 u1", "u2"]
    assert violations(found) == [("forbidden_pair", "e2", "e3")]


def test_forbidding_what_was_never_together_changes_nothing(vector):
    other = Forbidden((("anonymous_id", "kiosk-8"), ("user_id", "u2")))
    assert vector(KIOSK, replace(FREE, forbidden=(other,))).profiles() == ["e2 kiosk-7 u1 u2"]


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
        violations=pl.DataFrame(),
    )
    assert identity.successors(["p1", "p2", "p3", "p2"], found).rows() == [("p2", "p1"), ("p3", None)]

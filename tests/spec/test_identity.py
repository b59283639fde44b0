"""From identifiers to profiles: what merges, and what a profile is called.

The vectors V1 to V15 are those of the reference that need no limits.
"""

from datetime import timedelta

import polars as pl
import pytest

from populace import identity
from populace.definitions import Identifier, Identity
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

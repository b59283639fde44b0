"""Which identifiers a call carries: where they are read, how they are compared, and which are none."""

import json

import polars as pl
import pytest

from populace import identity
from populace.definitions import Identifier, Identity
from tests import driving
from tests.graphs import TRAIT_PLACES, Graph, calls, id_values

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


DEVICE = {"id": "D1", "advertisingId": "A1", "token": "T1", "adTrackingEnabled": True}


def of_device(tmp_path, device, *id_types):
    """What is found of these types, user_id aside."""
    rules = Identity((Identifier("user_id"), *(Identifier(each) for each in id_types)))
    frame = calls("user_id | context\n u1 | " + json.dumps({"device": device}))
    found = Graph(tmp_path, frame, identity=rules).table("external_ids").filter(pl.col("id_type") != "user_id")
    return found.select("id_type", "id_value").rows()


@pytest.mark.parametrize("system", ["android", "ios"])
def test_2_2_a_telephone_has_three_identifiers(tmp_path, system):
    types = [f"{system}.{each}" for each in ("id", "idfa", "push_token")]
    assert of_device(tmp_path, DEVICE | {"type": system}, *types) == list(zip(types, ("D1", "A1", "T1"), strict=True))


@pytest.mark.parametrize("told", ["android", "Ios", "", None, 5])
def test_2_2_of_a_telephone_of_another_kind_nothing_is_read(tmp_path, told):
    assert of_device(tmp_path, DEVICE | {"type": told}, "ios.id", "ios.idfa", "ios.push_token") == []


@pytest.mark.parametrize("told", [False, None, "yes", 1])
def test_2_2_an_advertising_id_counts_where_tracking_is_allowed(tmp_path, told):
    device = DEVICE | {"type": "ios", "adTrackingEnabled": told}
    assert of_device(tmp_path, device, "ios.id", "ios.idfa") == [("ios.id", "D1")]


def test_2_2_without_a_device_type_nothing_is_read(tmp_path):
    assert of_device(tmp_path, DEVICE, "ios.id", "android.id") == []


@pytest.mark.parametrize(
    ("id_type", "context"),
    [
        ("ga_client_id", {"integrations": {"Google Analytics": {"clientId": "X1"}}}),
        ("braze_id", {"Braze": {"braze_id": "X1"}}),
        ("cross_domain_id", {"traits": {"crossDomainId": "X1"}}),
    ],
)
def test_2_2_identifiers_of_tools_stand_in_the_context(tmp_path, id_type, context):
    rules = Identity((Identifier("user_id"), Identifier(id_type)))
    found = Graph(tmp_path, calls("user_id | context\n u1 | " + json.dumps(context)), identity=rules)
    assert id_values(found, id_type) == [("X1", "X1")]


def test_2_2_the_id_of_google_analytics_may_stand_in_integrations(tmp_path):
    rules = Identity((Identifier("user_id"), Identifier("ga_client_id")))
    told = ['{"Google Analytics":{"clientId":"X1"}}', '{"All":true}', "broken", None]
    frame = calls("user_id\n u1\n u2\n u3\n u4").with_columns(integrations=pl.Series(told))
    assert Graph(tmp_path, frame, identity=rules).profiles() == ["X1 u1", "u2", "u3", "u4"]


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


def account_id(name: str) -> str:
    return identity.profile_id("accounts", "group_id", name)


def test_i71_a_group_call_links_its_user_to_the_account(graph):
    found = graph("type|user_id|anonymous_id|group_id\ngroup|u1||g1\ngroup|u1||g1\ngroup|u1||g2\nidentify|u1|a1|")
    named = identity.profile_id("users", "user_id", "u1")
    rows = found.table("links").select("profile_id", "account_id", "message_id").rows()
    assert sorted(rows, key=lambda each: each[2]) == [(named, account_id("g1"), "e1"), (named, account_id("g2"), "e3")]


def test_i70_accounts_are_named_as_their_rule_says(tmp_path):
    rules = Identity((Identifier("user_id"), Identifier("group_id", "trim_lower", blocked=("demo",))), ("null",))
    text = "type|user_id|group_id\ngroup|u1|Acme \ngroup|u1|acme\ngroup|u1|Demo\ngroup|u1|null"
    found = Graph(tmp_path, calls(text), identity=rules)
    assert found.table("links").select("account_id", "message_id").rows() == [(account_id("acme"), "e1")]
    assert found.profiles() == ["u1"]


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


ODD = ["\u0000", "a\u0000b", "\u001b[31mred", "\U0001f600@x.com", "\u202egnp.exe", "e\u0301", "\ufeffu1", "x" * 500]


@pytest.mark.parametrize("value", ODD)
def test_i9_any_text_may_be_an_identifier(graph, value):
    found = graph(f"user_id | traits\n u1 | {json.dumps({'email': value})}")
    assert id_values(found, "email") == [(value.strip().lower(), value)]


@pytest.mark.parametrize("value", ["x" * 501, "x" * 10_000, "\U0001f600" * 501, " \u00a0\t"])
def test_i9_what_is_too_long_or_blank_is_none(graph, value):
    assert graph(f"user_id | traits\n u1 | {json.dumps({'email': value})}").profiles() == ["u1"]


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

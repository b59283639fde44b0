"""What `identity.yaml` may say, and what it means where it says nothing."""

from datetime import timedelta

import pytest

from populace.definitions import BUILT_IN, Forbidden, Identifier, Limit

# --- what is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("identifiers: {user_id: {limit: 0}}", "1: '0': write a limit such as 5 weekly, 1 ever, or none"),
        ("identifiers: {App: {}}", "1: 'App': write a lower-case identifier such as user_id"),
        ("identifiers: {email: {from: mail}}", "1: 'email' has places of its own; `from` is for custom"),
        ("identifiers: {a.b: {}}", "1: 'a.b' is no identifier; a custom one has a lower-case name"),
        (
            "identifiers: {ios.idfv: {}}",
            "1: 'ios.idfv' is no identifier; a custom one has a lower-case name such as app_id; did you mean",
        ),
        ("identifiers: {user_id: {limit: 1 hourly}}", "1: '1 hourly': write a limit such as 5 weekly"),
        ("identifiers: {mail: {from: email}}", "1: 'mail' reads what 'email' reads already, 'email'; leave one"),
        ("identifiers: {shop: {from: userId}}", "1: 'shop' reads what 'user_id' reads already, 'userId'"),
        ("identifiers: {app_id: {}, b: {from: appId}}", "1: 'b' reads what 'app_id' reads already, 'appId'"),
        ("forbidden: [{pair: [{email: a}]}]", "1: 'forbidden.pair': a pair is two identifiers"),
        ("forbidden: [{pair: [{email: a, user_id: b}, {email: c}]}]", "1: 'forbidden.pair': write one"),
        ("forbidden: [{pair: [{emial: a}, {user_id: b}]}]", "1: no identifier 'emial'; did you mean 'email'?"),
        ("forbidden: [{pair: [{email: A}, {email: ' a'}]}]", "1: a pair of two equal identifiers forbids"),
        ("blocked: [-1]", "1: 'blocked': text was expected, in quotes if need be, not a number"),
        ("identifiers: [user_id]", "1: 'identifiers': a mapping of keys to values was expected, not a list"),
        ("forbidden: [{pair: [{email: a}, {user_id: null}]}]", "1: 'forbidden.pair.user_id': text was"),
        ("identifiers: {group_id: {limit: 2}}", "1: 'group_id' names accounts, which have no limit"),
        ("forbidden: [{pairs: []}]", "1: unknown key 'pairs'; did you mean 'pair'?"),
        ("blocked: ['^[']", "1: '^[' is not a valid pattern"),
        ("blocked: ['^(?!x)y']", "1: '^(?!x)y' is not a valid pattern"),
        (r"blocked: ['^(a)\1']", r"1: '^(a)\1' is not a valid pattern"),
        ("priority: [email, email]", "1: 'email' stands twice"),
        (
            "identifiers: {user_id: , group_id: }\npriority: [group_id]",
            "2: 'group_id' names accounts, which have no",
        ),
        ("identifiers: {group_id: {}}", "1: nothing here names people; list user_id"),
        ("identifiers: {profile_id: {}}", "1: 'profile_id' is what profiles are called by"),
        ("identifiers: {email: {limit: 1001 weekly}}", "1: '1001 weekly' limits nothing: a profile holds 1,000 ident"),
    ],
)
def test_a_wrong_rule_of_identity_is_told_with_what_was_meant(problems, text, problem):
    assert any(each.startswith(f"identity.yaml:{problem}") for each in problems({"dev/identity.yaml": text}))


# --- what is meant ---------------------------------------------------------------------------


@pytest.mark.parametrize("id_type", BUILT_IN)
def test_every_identifier_type_of_the_reference_is_known(load, id_type):
    text = f"identifiers:\n  {id_type}: {{}}\n" + "  app_id: {}\n"  # group_id alone names nobody
    assert id_type in [each.id_type for each in load({"dev/identity.yaml": text}).identity.identifiers]


def test_i20_i30_identity_has_defaults(load):
    found = load({}).identity
    assert [(each.id_type, each.normalize) for each in found.identifiers] == [
        ("user_id", "trim"),
        ("email", "trim_lower"),
        ("anonymous_id", "trim"),
    ]
    assert found.blocked == ("^[0-]*$", "-1", "null", "anonymous")


def test_i30_what_the_priority_leaves_out_follows_by_the_default(load):
    text = "identifiers: {zip: {}, user_id: {}, anonymous_id: {}, email: {}, app_id: {}}\npriority: [zip]\n"
    found = load({"dev/identity.yaml": text}).identity.identifiers
    assert [each.id_type for each in found] == ["zip", "user_id", "email", "anonymous_id", "app_id"]


def test_i3_a_custom_identifier_is_read_under_its_own_name_or_another(load):
    text = "identifiers: {app_id: {}, customer: {from: customerNumber, normalize: none, limit: 2, blocked: [x]}}\n"
    app, customer = load({"dev/identity.yaml": text}).identity.identifiers
    assert app == Identifier("app_id", read_from="app_id", limit=Limit(5))
    assert customer == Identifier("customer", "none", "customerNumber", Limit(2), ("x",))


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ("none", None),
        ("3", Limit(3)),
        ("3 ever", Limit(3)),
        ("3 daily", Limit(3, timedelta(hours=24))),
        ("3 weekly", Limit(3, timedelta(days=7))),
        ("3 monthly", Limit(3, timedelta(days=30))),
        ("3 annually", Limit(3, timedelta(days=365))),
    ],
)
def test_i21_i24_a_limit_may_have_a_period(load, written, limit):
    (found,) = load({"dev/identity.yaml": f"identifiers: {{email: {{limit: {written}}}}}\n"}).identity.identifiers
    assert found.limit == limit


def test_i20_a_profile_may_hold_one_user_id_and_five_of_anything_else(load):
    found = load({"dev/identity.yaml": "identifiers: {user_id: {}, email: {}, ios.id: {}, app_id: {}}\n"})
    assert [each.limit for each in found.identity.identifiers] == [Limit(1), Limit(5), Limit(5), Limit(5)]


def test_the_values_of_a_forbidden_pair_are_compared_like_any_other(load):
    text = "forbidden: [{pair: [{email: ' Kiosk@X.com'}, {user_id: 7}], because: shared tablet}]\n"
    (found,) = load({"dev/identity.yaml": text}).identity.forbidden
    assert found == Forbidden((("email", "kiosk@x.com"), ("user_id", "7")), "shared tablet")
    assert found.at.line == 1


def test_i14_patterns_may_use_the_classes_of_re2(load):
    found = load({"dev/identity.yaml": r"blocked: ['^\p{L}+$', '^[[:digit:]]$', '^(?i)none$', '^\PN']" + "\n"})
    assert len(found.identity.blocked) == 4

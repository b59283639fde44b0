"""`destinations.yaml`: by whom people are known, how fast they are told, and when all is said again."""

import re
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from populace.definitions import Bounds, Known
from populace.destinations import ADAPTERS
from populace.destinations.protocol import PEOPLE, About, Setting
from tests.definition_files import HOOK, prod

DOCUMENTS = [
    Path(__file__).resolve().parents[2] / "docs" / name for name in ("definitions.md", "destinations/slack.md")
]
KINDS = "identifiers:\n  user_id:\n  email:\n  anonymous_id:\n  app_id:\n  ios.idfa:\n  group_id:\n"


def entry(more: str) -> str:
    """A destination on one line that takes any identifier."""
    return f"w: {{kind: warehouse, url: 'sqlite:w', {more}}}\n"


@pytest.fixture
def destination(load):
    """The destination of an entry, in a space that has every sort of identifier."""
    return lambda more: load({"dev/identity.yaml": KINDS, "dev/destinations.yaml": entry(more)}).destinations[0]


@pytest.fixture
def wrong(problems):
    """What is wrong with an entry, in the same space."""
    return lambda more: problems({"dev/identity.yaml": KINDS, "dev/destinations.yaml": entry(more)})


@pytest.fixture
def crm(monkeypatch):
    """A kind that knows people by user_id or email, as most tools do."""
    adapter = ModuleType("crm")
    adapter.ABOUT = About(settings=(Setting("url", ""), Setting("flag", "")), identifies=PEOPLE)
    adapter.account = lambda settings: settings.get("url", "")
    adapter.problems = lambda settings: []
    monkeypatch.setitem(ADAPTERS, "crm", adapter)


# --- identifiers ----------------------------------------------------------------------------------


def test_what_is_not_written_is_left_to_the_adapter(destination):
    found = destination("enabled: true")
    assert (found.identifiers, found.bounds, found.reassert_every) == (None, Bounds(), None)
    assert destination("enabled: true, identifiers: , limits: , reassert_every: ") == found


@pytest.mark.parametrize(
    ("written", "types", "is_each"),
    [
        ("{user_id: all, email: last}", (("user_id", "all"), ("email", "last")), True),
        ("{email: first}", (("email", "first"),), True),
        ("[email, user_id]", (("email", "last"), ("user_id", "last")), False),
        ("[{user_id: first}, email]", (("user_id", "first"), ("email", "last")), False),
        ("[{user_id: all}]", (("user_id", "all"),), False),
        ("[app_id, ios.idfa]", (("app_id", "last"), ("ios.idfa", "last")), False),
    ],
)
def test_d43_d47_people_are_known_by_each_type_or_by_the_first_that_they_have(destination, written, types, is_each):
    assert destination(f"identifiers: {written}").identifiers == Known(types, is_each)


def test_d41_every_value_may_be_sent_and_a_custom_identifier_when_it_is_named(destination):
    found = destination("identifiers: {email: all, app_id: all}").identifiers
    assert found == Known((("email", "all"), ("app_id", "all")), is_each=True)


def test_d43_at_most_three_types_are_sent_with_all_their_values(destination, wrong):
    three = "user_id: all, email: all, app_id: all"
    assert len(destination(f"identifiers: {{{three}, anonymous_id: last}}").identifiers.types) == 4
    problem = "'anonymous_id' is one too many: at most three types are sent with all their values; write last"
    assert wrong(f"identifiers: {{{three}, anonymous_id: all}}") == [f"destinations.yaml:1: {problem}"]
    listed = ", ".join(f"{{{each}}}" for each in three.split(", "))
    assert wrong(f"identifiers: [{listed}, {{anonymous_id: all}}]") == [f"destinations.yaml:1: {problem}"]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{emial: last}", "no identifier 'emial'; did you mean 'email'?"),
        ("[zzz]", "no identifier 'zzz'; there is anonymous_id, app_id, email, ios.idfa, user_id"),
        (
            "[ios.push_token]",
            "nobody has a 'ios.push_token' in this space; list it below `identifiers` in identity.yaml",
        ),
        ("[group_id]", "'group_id' names accounts, not people; leave it out"),
        ("[email, email]", "'email' stands twice"),
        ("[email, {email: first}]", "'email' stands twice"),
        ("{email: lsat}", "'email: lsat': write first, last or all; did you mean 'last'?"),
        ("[{email: newest}]", "'email: newest': write first, last or all"),
        ("{email: }", "'email: None': write first, last or all"),
        ("{email: [last]}", "'email: ['last']': write first, last or all; did you mean 'last'?"),
        ("[{email: last, user_id: all}]", "write the name of an identifier, or {user_id: first}"),
        ("[5]", "write the name of an identifier, or {user_id: first}"),
        ("user_id", "'w.identifiers': write {user_id: all, email: last} for people under each of them, or"),
        ("{}", "'w.identifiers': write {user_id: all, email: last} for people under each of them, or"),
        ("[]", "'w.identifiers': write {user_id: all, email: last} for people under each of them, or"),
    ],
)
def test_a_wrong_identifier_is_told_with_what_was_meant(wrong, written, problem):
    (found,) = wrong(f"identifiers: {written}")
    assert found.startswith(f"destinations.yaml:1: {problem}")


def test_all_that_is_wrong_with_a_destination_is_told_at_once_each_on_its_line(problems):
    text = """
w:
  kind: warehouse
  url: sqlite:w
  identifiers:
    emial: last
    email: newest
  limits:
    requests_per_second: 0
    request_timeout: 3 seconds
    patience: 2 days
  reassert_every: monthly
  colour: red
v:
  kind: warehouse
  url: [a]
  limit: {patience: 1 hour}
  identifiers:
    - user_id
    - user_di
"""
    assert problems({"dev/destinations.yaml": text}) == [
        "destinations.yaml:2: 'w': warehouse has no setting 'colour'; known are url, schema, history, profiles",
        "destinations.yaml:6: no identifier 'emial'; did you mean 'email'?",
        "destinations.yaml:7: 'email: newest': write first, last or all",
        "destinations.yaml:9: 'w.limits.requests_per_second': input should be greater than or equal to 0.01",
        "destinations.yaml:10: unknown key 'request_timeout'; did you mean 'timeout'?",
        "destinations.yaml:11: '2 days': write a length such as 30 seconds or 4 hours",
        "destinations.yaml:12: 'monthly': write a length such as 60 days or 36 hours",
        "destinations.yaml:14: 'v': warehouse needs 'url'",
        "destinations.yaml:16: 'v.url': text was expected, in quotes if need be",
        "destinations.yaml:17: unknown key 'limit'; did you mean 'limits'?",
        "destinations.yaml:20: no identifier 'user_di'; did you mean 'user_id'?",
    ]


def test_a_type_must_be_one_by_which_the_kind_knows_people(load, problems, crm):
    assert load({"dev/destinations.yaml": "c: {kind: crm, identifiers: [email]}\n"}).destinations[0].identifiers
    assert problems({"dev/destinations.yaml": "c: {kind: crm, identifiers: [email, anonymous_id]}\n"}) == [
        "destinations.yaml:1: crm does not know people by 'anonymous_id'; it takes user_id, email"
    ]


def test_d45_one_kind_may_take_less_than_another(load, problems, crm):
    ADAPTERS["crm"].ABOUT = About(settings=(Setting("url", ""),), identifies=("email", "ios.idfa"))
    files = {"dev/identity.yaml": KINDS, "dev/destinations.yaml": "c: {kind: crm, identifiers: [email, ios.idfa]}\n"}
    assert load(files).destinations[0].identifiers == Known((("email", "last"), ("ios.idfa", "last")))
    files["dev/destinations.yaml"] = "c: {kind: crm, identifiers: [user_id]}\n"
    assert problems(files) == ["destinations.yaml:1: crm does not know people by 'user_id'; it takes email, ios.idfa"]


@pytest.mark.parametrize(
    ("identity", "count"),
    [
        ("identifiers: [user_id, app_id]\n", 1),  # which are meant is not known
        ("identifiers: {\n", 1),
        ("identifiers: {user_id: , app_id: {limit: 1 never}}\n", 1),
        ("identifiers: {user_id: {}, email: {}}\n", 0),
    ],
)
def test_a_mistake_in_identity_is_not_told_again_of_destinations(problems, identity, count):
    found = problems({"dev/identity.yaml": identity, "dev/destinations.yaml": entry("identifiers: [app_id]")})
    assert sum(each.startswith("identity.yaml:") for each in found) == count
    assert len(found) == 1


# --- limits and times -----------------------------------------------------------------------------


def test_limits_say_how_fast_and_how_patiently(destination):
    every = "{requests_per_second: 10, records_per_request: 500, timeout: 30 seconds, patience: 4 hours}"
    bounds = Bounds(10.0, 500, timedelta(seconds=30), timedelta(hours=4))
    assert destination(f"limits: {every}").bounds == bounds
    assert destination("limits: {requests_per_second: 0.5, timeout: 1 minute}").bounds == Bounds(
        0.5, None, timedelta(minutes=1)
    )
    assert destination("limits: {}").bounds == Bounds()


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{requests_per_second: 0}", "'w.limits.requests_per_second': input should be greater than or equal to 0.01"),
        ("{requests_per_second: 5000}", "'w.limits.requests_per_second': input should be less than or equal to 1000"),
        ("{requests_per_second: .nan}", "'w.limits.requests_per_second': input should be "),
        ("{records_per_request: 0}", "'w.limits.records_per_request': input should be greater than or equal to 1"),
        ("{records_per_request: 1.5}", "'w.limits.records_per_request': input should be a valid integer"),
        ("{timeout: 30}", "'30': write a length such as 30 seconds or 4 hours"),
        ("{timeout: 11 minutes}", "'w.limits.timeout': 11 minutes is too long; write at most 10 minutes"),
        ("{timeout: 0 seconds}", "'0 seconds': write a length such as 30 seconds or 4 hours"),
        ("{patience: 25 hours}", "'w.limits.patience': 25 hours is too long; write at most 24 hours"),
        ("{patience: 1 day}", "'1 day': write a length such as 30 seconds or 4 hours"),
        ("{pateince: 1 hour}", "unknown key 'pateince'; did you mean 'patience'?"),
        ("fast", "'w.limits': a mapping of keys to values was expected"),
    ],
)
def test_a_wrong_limit_is_told_with_what_was_meant(wrong, written, problem):
    (found,) = wrong(f"limits: {written}")
    assert found.startswith(f"destinations.yaml:1: {problem}")


def test_patience_may_last_a_day(destination):
    assert destination("limits: {patience: 24 hours}").bounds.patience == timedelta(days=1)
    assert destination("limits: {patience: 86400 seconds}").bounds.patience == timedelta(days=1)


@pytest.mark.parametrize(("written", "expected"), [("30 days", timedelta(days=30)), ("1 hour", timedelta(hours=1))])
def test_all_may_be_said_again_after_a_time(destination, written, expected):
    assert destination(f"reassert_every: {written}").reassert_every == expected


@pytest.mark.parametrize("written", ["0 days", "1000000 days", "30 seconds", "monthly", "30"])
def test_a_time_that_is_none_is_told(wrong, written):
    (found,) = wrong(f"reassert_every: {written!r}")
    assert found == f"destinations.yaml:1: '{written}': write a length such as 60 days or 36 hours"


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("true", "true"),
        ("false", "false"),
        ("yes", "true"),
        ("'True'", "True"),
        ("5", "5"),
        ("2026-01-01", "2026-01-01"),
    ],
)
def test_a_setting_is_text_and_a_boolean_in_small_letters(load, crm, written, text):
    found = load({"dev/destinations.yaml": f"c: {{kind: crm, flag: {written}}}\n"}).destinations[0]
    assert found.options == {"flag": text}


def test_a_setting_that_stands_empty_is_told(problems, crm):
    text = "c:\n  kind: crm\n  flag: #growth\nw:\n  kind: warehouse\n  url:\n"
    assert problems({"dev/destinations.yaml": text}) == [
        "destinations.yaml:3: 'c.flag' is empty; leave it out, or quote it if it begins with #",
        "destinations.yaml:4: 'w': warehouse needs 'url'",
    ]


@pytest.mark.parametrize("written", ["[a]", "{a: b}"])
def test_a_setting_of_several_parts_is_no_text(problems, crm, written):
    assert problems({"dev/destinations.yaml": f"c:\n  kind: crm\n  flag: {written}\n"}) == [
        "destinations.yaml:3: 'c.flag': text was expected, in quotes if need be"
    ]


# --- what is told of audiences as a whole -------------------------------------------------------------


SLACK = "kind: slack, url: '${HOOK}'"


def test_a_destination_that_is_told_of_audiences_names_nobody(problems):
    text = f"s:\n  {{{SLACK}, identifiers: {{email: last}}}}\n"
    assert problems({"dev/destinations.yaml": text}) == [
        "destinations.yaml:2: slack is told of audiences as a whole, not of people; leave `identifiers` out"
    ]


def test_spaces_may_post_to_one_channel_but_not_write_to_one_account(load, problems):
    files = {"dev/destinations.yaml": f"a: {{{SLACK}}}\nb: {{{SLACK}}}\n", **prod(destinations=f"c: {{{SLACK}}}\n")}
    assert [each.name for each in load(files).destinations] == ["a", "b"]
    files = {"dev/destinations.yaml": f"a: {HOOK}\nb: {HOOK}\n", **prod(destinations=f"c: {HOOK}\n")}
    assert problems(files) == [
        "destinations.yaml:1: 'a' is the same account as 'c' of space 'prod'; give each its own",
        "destinations.yaml:2: 'b' is the same account as 'a'; one would overwrite what the other writes",
        "destinations.yaml:2: 'b' is the same account as 'c' of space 'prod'; give each its own",
    ]


# --- what the documents show --------------------------------------------------------------------------


def test_the_examples_of_the_documents_load(load):
    written = "".join(each.read_text(encoding="utf-8") for each in DOCUMENTS)
    shown = re.findall(r"```yaml\n(.*?)```", written, re.DOTALL)
    entries = "".join(each for each in shown if re.search(r"\bkind: \w", each))
    found = {each.name: each for each in load({"dev/destinations.yaml": entries}).destinations}
    assert {"warehouse", "webhook", "crm", "growth"} <= set(found)
    assert found["crm"].identifiers == Known((("user_id", "all"), ("email", "last")), is_each=True)
    assert found["growth"].options["channel"] == "#growth"

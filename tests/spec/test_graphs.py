"""What the identity graph looks like, and what other rules would make of it."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner

from populace import identity
from populace.cli.identity import identity as commands
from populace.definitions import Forbidden, Identifier, Identity, Limit, Place
from populace.errors import DefinitionError, UsageError
from populace.space import graphs
from tests import driving
from tests.graphs import calls
from tests.tables import AS_OF

FREE = Identity(tuple(Identifier(each) for each in ("user_id", "email", "anonymous_id")))
KIOSK = "user_id | anonymous_id | email\n" + "\n".join(f"u{n} | kiosk | \n u{n} | a{n} | e{n}" for n in range(1, 7))
LIMITED = replace(FREE, identifiers=(Identifier("user_id", limit=Limit(1)), *FREE.identifiers[1:]))
FIRST = {"first": "trait('email') = 'e1'"}


def space_of(folder, text, rules=FREE, **more):
    space = driving.space_in(folder, identity=rules, **more)
    driving.put(space, "web", "a", calls(text))
    driving.recomputed(space, AS_OF)
    return space


def told(space, about):
    return [{k: v for k, v in row.items() if k != "about"} for row in graphs.report(space) if row["about"] == about]


def use(id_type, value):
    return identity.profile_id("users", id_type, value)


# --- report -----------------------------------------------------------------------------------------


def test_the_report_counts_profiles_and_components_by_their_identifiers(tmp_path):
    space = space_of(tmp_path, KIOSK, LIMITED)
    assert told(space, "run")[0]["profiles"] == 6
    assert told(space, "sizes") == [
        {"identifiers": "1", "components": 0, "profiles": 0},
        {"identifiers": "2", "components": 0, "profiles": 0},
        {"identifiers": "3", "components": 0, "profiles": 5},
        {"identifiers": "4 to 5", "components": 0, "profiles": 1},
        {"identifiers": "6 to 10", "components": 0, "profiles": 0},
        {"identifiers": "11 to 20", "components": 1, "profiles": 0},
    ]


def test_identifiers_that_are_seen_later_are_not_counted(tmp_path):
    space = driving.space_in(tmp_path, identity=FREE)
    driving.put(space, "web", "a", calls("user_id | timestamp\n u1 | d-9\n u2 | d-1"))
    driving.recomputed(space, AS_OF - timedelta(days=5))
    assert told(space, "sizes") == [{"identifiers": "1", "components": 1, "profiles": 1}]


def test_the_largest_profiles_come_first(tmp_path):
    (found,) = told(space_of(tmp_path, KIOSK), "largest")
    by_type = "anonymous_id 7, email 6, user_id 6"
    assert found == {"profile_id": use("user_id", "u1"), "identifiers": 19, "merges": 0, "by_type": by_type}


GLUE = {"id_type": "anonymous_id", "id_value": "kiosk", "identifiers": 19, "pieces": 6}
SHARED = "anonymous_id | email\n" + "\n".join(f"a{n} | test@x.com" for n in range(9))


def test_what_accounts_share_wants_a_limit_on_accounts(tmp_path):
    remedy = "user_id: {limit: 1 ever}"
    assert told(space_of(tmp_path, KIOSK), "glue") == [GLUE | {"apart": None, "remedy": remedy}]


def test_what_a_limit_keeps_apart_needs_nothing(tmp_path):
    assert told(space_of(tmp_path, KIOSK, LIMITED), "glue") == [GLUE | {"apart": "user_id", "remedy": None}]


@pytest.mark.parametrize("limit", [None, Limit(5)])
def test_what_nothing_stronger_keeps_apart_is_to_be_blocked(tmp_path, limit):
    rules = Identity((*FREE.identifiers[:2], Identifier("anonymous_id", limit=limit)))
    (found,) = told(space_of(tmp_path, SHARED, rules), "glue")
    assert (found["id_value"], found["apart"]) == ("test@x.com", None)
    assert found["remedy"] == 'email: {blocked: ["test@x.com"]}'


def test_people_with_a_few_browsers_are_no_glue(tmp_path):
    text = "user_id | anonymous_id | email\n" + "\n".join(f"u{n % 3} | a{n} | e{n % 3}" for n in range(9))
    assert told(space_of(tmp_path, text), "glue") == []


@pytest.mark.parametrize(("text", "profiles"), [(KIOSK, 6), (SHARED, 9)])
def test_the_remedy_helps(tmp_path, text, profiles):
    space = space_of(tmp_path, text)
    id_type, _, remedy = told(space, "glue")[0]["remedy"].partition(": ")
    rules = dict.fromkeys(("user_id", "email", "anonymous_id"), "{limit: none, normalize: trim}") | {id_type: remedy}
    rules["email"] = rules["email"].replace("{blocked", "{normalize: trim, blocked")
    (tmp_path / "rules.yaml").write_text("identifiers:\n" + "".join(f"  {k}: {v}\n" for k, v in rules.items()))
    assert graphs.trial(space, tmp_path / "rules.yaml").after["profiles"] == profiles


def test_violations_are_counted_by_kind(tmp_path):
    found = told(space_of(tmp_path, KIOSK, LIMITED), "violations")
    assert found == [{"kind": "value_limit_exceeded", "violations": 5, "identifiers": 1, "profiles": 5}]


def test_profiles_that_a_forbidden_pair_splits_are_listed(tmp_path):
    space = space_of(tmp_path, "user_id | anonymous_id | email\n u1 | k | \n | k | e2\n u2 | | e2")
    apart = Forbidden((("anonymous_id", "k"), ("user_id", "u2")))
    later = replace(space, definition=replace(space.definition, identity=replace(FREE, forbidden=(apart,))))
    driving.recomputed(later, AS_OF.replace(year=AS_OF.year + 1))
    becomes = sorted([use("user_id", "u1"), use("user_id", "u2")])
    assert told(later, "splits") == [{"profile_id": use("user_id", "u1"), "becomes": becomes, "identifiers": 4}]


def test_a_forbidden_pair_that_keeps_nobody_apart_is_told(tmp_path):
    pairs = [(("anonymous_id", "k"), ("user_id", "U2")), (("user_id", "u1"), ("user_id", "u2"))]
    rules = replace(FREE, forbidden=tuple(Forbidden(pair, at=Place("identity.yaml", 7)) for pair in pairs))
    found = told(space_of(tmp_path, "user_id | anonymous_id\n u1 | k\n u2 | k", rules), "unseen")
    assert found == [{"id_type": "user_id", "id_value": "U2", "at": "identity.yaml:7"}]


def test_a_space_without_people_has_a_report(tmp_path):
    space = driving.space_in(tmp_path, sources=())
    driving.run(space, AS_OF)
    assert [row["about"] for row in graphs.report(space)] == ["run"]


# --- lab --------------------------------------------------------------------------------------------


@pytest.fixture
def trial(tmp_path):
    def of(written, text=KIOSK, **more):
        (tmp_path / "rules.yaml").write_text(written)
        return graphs.trial(space_of(tmp_path, text, **more), tmp_path / "rules.yaml")

    return of


def test_the_lab_says_which_profiles_would_split(trial):
    found = trial("identifiers: {user_id: {}, email: {normalize: trim}, anonymous_id: {limit: none}}", audiences=FIRST)
    assert (found.before["profiles"], found.after["profiles"]) == (1, 6)
    assert found.splits.rows() == [(use("user_id", "u1"), sorted(use("user_id", f"u{n}") for n in range(1, 7)))]
    assert found.joins.is_empty()
    assert found.after["value_limit_exceeded"] == found.after["violations"] == 5
    assert found.audiences == [{"audience": "first", "before": 0, "after": 1}]


def test_the_lab_says_which_profiles_would_join(trial):
    rules = "identifiers: {user_id: {limit: none}, email: {normalize: trim, limit: none}, anonymous_id: {limit: none}}"
    found = trial(rules, rules=LIMITED)
    assert found.splits.is_empty()
    assert found.joins.rows() == [(use("user_id", "u1"), sorted(use("user_id", f"u{n}") for n in range(1, 7)))]


def test_the_lab_agrees_with_a_run_by_those_rules(tmp_path, trial):
    found = trial("identifiers: {user_id: {}, email: {normalize: trim}, anonymous_id: {limit: none}}")
    again = space_of(tmp_path / "again", KIOSK, LIMITED)
    kinds = {row["kind"]: row["violations"] for row in told(again, "violations")}
    assert found.after.items() <= (told(again, "run")[0] | kinds).items()


def test_the_lab_writes_nothing(tmp_path, trial):
    trial("identifiers: {user_id: {limit: 1}}")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "lake").rglob("*")}
    graphs.trial(space_of(tmp_path / "other", KIOSK), tmp_path / "rules.yaml")
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "lake").rglob("*")} == before


def test_identifiers_that_the_rules_leave_out_are_told(trial):
    assert trial("identifiers: {user_id: {}}").left_out == ["email", "anonymous_id"]


def test_an_empty_file_holds_no_rules(trial):
    with pytest.raises(DefinitionError, match=r"rules\.yaml:1: lists no identifiers"):
        trial("# identifiers\n")


@pytest.mark.parametrize("rules", ["identifiers: {app_id: {}}", "identifiers: {email: {normalize: none}}"])
def test_what_takes_a_replay_is_refused(trial, rules):
    with pytest.raises(UsageError, match=r"rules\.yaml: '(app_id|email)' is read or normalised otherwise"):
        trial(rules)


def test_wrong_rules_are_told_by_line(trial):
    with pytest.raises(DefinitionError, match=r"rules\.yaml:2: '9 hourly': write a limit"):
        trial("identifiers:\n  user_id: {limit: 9 hourly}\n")


# --- commands ---------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    """A command on a space in files, and what it printed."""
    folder = tmp_path / "definitions" / "dev"
    folder.mkdir(parents=True)
    (folder / "space.yaml").write_text(f"space: dev\nlake: {(tmp_path / 'lake').as_uri()}\n")
    (folder / "sources.yaml").write_text(f"web: {{archive: '{(tmp_path / 'archive' / 'web').as_uri()}'}}\n")
    space_of(tmp_path, KIOSK)

    def invoked(*arguments):
        asked = ["dev", *arguments, "--definitions", str(tmp_path / "definitions")]
        return CliRunner().invoke(commands, asked, catch_exceptions=False)

    return invoked


def test_both_commands_print_tables_and_json(tmp_path, run):
    (tmp_path / "rules.yaml").write_text("identifiers: {user_id: {}}")
    for arguments in (["report"], ["lab", "--rules", str(tmp_path / "rules.yaml")]):
        shown, plain = run(*arguments), run(*arguments, "--json")
        assert (shown.exit_code, plain.exit_code) == (0, 0)
        assert all(json.loads(line) for line in plain.stdout.splitlines())


def test_rules_that_are_not_there_are_wrong_usage(run):
    assert run("lab", "--rules", "nowhere.yaml").exit_code == 2

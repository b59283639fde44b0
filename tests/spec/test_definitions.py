"""Definition files: what may be written, what it means, and how what is wrong is told."""

from datetime import timedelta

import pytest

from populace import query
from populace.definitions import Delivery
from populace.destinations import ADAPTERS
from tests.definition_files import COUNT, HOOK, SOME, WAREHOUSE, prod

# --- what is wrong, and where ---------------------------------------------------------------


def test_all_problems_of_a_space_are_told_at_once_by_file_and_line(problems):
    files = {
        "dev/space.yaml": "space: dev\nlake: file:///lakes/dev\nwindow: 60 dayz\n",
        "dev/sources.yaml": "web: {archive: 's3://a/web'}\nsplit:\n  archiv: s3://a/split\n",
        "dev/identity.yaml": "identifiers:\n  user_id: {limit: 1 never}\npriority: [user_id, emial]\n",
        "dev/traits.yaml": f't: {{query: "{COUNT}"}}\nt: {{query: "{COUNT}"}}\n',
        "dev/audiences.yaml": f"a:\n  query: {SOME}\n  destinations: [warehose]\nb: {{query: 'event(E)'}}\n",
        "dev/destinations.yaml": f"{WAREHOUSE}hook: {{kind: webhok}}\n",
    }
    assert problems(files) == [
        "audiences.yaml:3: 'a': no destination 'warehose'; did you mean 'warehouse'?",
        "audiences.yaml:4: 'b': column 8: ')' cannot stand here",
        "destinations.yaml:2: 'hook': no kind 'webhok'; did you mean 'webhook'? "
        f"Known are {', '.join(sorted(ADAPTERS))}",
        "identity.yaml:2: '1 never': write a limit such as 5 weekly, 1 ever, or none",
        "identity.yaml:3: no identifier 'emial'; there is user_id",
        "sources.yaml:2: 'split.archive' is missing",
        "sources.yaml:3: unknown key 'archiv'; did you mean 'archive'?",
        "space.yaml:3: '60 dayz': write a length such as 60 days or 36 hours",
        "traits.yaml:2: 't' is already defined at traits.yaml:1",
    ]


def test_one_mistake_in_a_definition_does_not_hide_another(problems):
    text = "a:\n  nam: A\n  include_anonymous: maybe\n  query: event('E').cuont() >= 1\n  destinations: [nowhere]\n"
    assert problems({"dev/audiences.yaml": text}) == [
        "audiences.yaml:2: unknown key 'nam'; did you mean 'name'?",
        "audiences.yaml:3: 'a.include_anonymous': input should be a valid boolean",
        "audiences.yaml:4: 'a': column 12: there is no cuont(); did you mean count()?",
        "audiences.yaml:5: 'a': no destination 'nowhere'",
    ]


@pytest.mark.parametrize(
    ("file", "text", "key", "meant"),
    [
        ("space", "{space: dev, lake: 'file:///l', incude_anonymous: true}", "incude_anonymous", "include_anonymous"),
        ("space", "{space: dev, lake: 'file:///l', storage: {endpoint: x}}", "endpoint", "endpoint_url"),
        ("sources", "web: {archive: 's3://a', keep_contxt: [page]}", "keep_contxt", "keep_context"),
        ("sources", "web: {archive: 's3://a', storage: {regoin: x}}", "regoin", "region"),
        ("identity", "identifiers: {email: {normalise: trim}}", "normalise", "normalize"),
        ("identity", "blokced: []", "blokced", "blocked"),
        ("traits", f't: {{query: "{COUNT}", descripion: x}}', "descripion", "description"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_spelling(problems, file, text, key, meant):
    assert problems({f"dev/{file}.yaml": text}) == [f"{file}.yaml:1: unknown key '{key}'; did you mean '{meant}'?"]


def test_an_unknown_key_like_no_other_is_told_with_those_that_there_are(problems):
    assert problems({"dev/traits.yaml": f't: {{query: "{COUNT}", zzz: 1}}'}) == [
        "traits.yaml:1: unknown key 'zzz'; there is description, destinations, events_of, expire, "
        "for_each, level, max, query, sql"
    ]


def test_an_unknown_setting_of_a_destination_is_told_with_those_that_there_are(problems):
    text = "w: {kind: warehouse, url: 'sqlite:w', colour: red}"
    (problem,) = problems({"dev/destinations.yaml": text})
    assert problem.startswith("destinations.yaml:1: 'w': warehouse has no setting 'colour'; known are url")


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("space", "lake: file:///l\n", "1: 'space' is missing"),
        ("space", "space: prod\nlake: file:///l\n", "1: space 'prod' is in the folder 'dev'; use one name"),
        ("space", "space: dev\nlake: lakes/dev\n", "2: 'lakes/dev' is no place to read; write s3://bucket/prefix or"),
        ("space", "space: dev\nlake: file://lakes/dev\n", "2: 'file://lakes/dev' is no place to read; write s3://"),
        ("space", "space: dev\nlake: file:///l\nstorage: here\n", "3: 'storage': a mapping of keys to values"),
        ("sources", "web: s3://a", "1: 'web': a mapping of keys to values was expected"),
        ("sources", "Web: {archive: 's3://a'}", "1: 'Web': write a lower-case name such as web_shop"),
        ("sources", "web: {archive: 's3://a', layout: rows}", "1: 'web.layout': input should be 'raw'"),
        ("sources", "web: {archive: 's3://a', since: 2024-02-30}", "1: '2024-02-30' is no value; write it in quotes"),
        ("sources", "web: {archive: 's3://a', since: soon}", "1: 'web.since': input should be a valid date"),
        ("sources", "web: [", "1: not valid YAML: "),
        ("sources", "web:\n\tarchive: x\n", "2: not valid YAML: "),
        ("sources", "- web\n", "1: a mapping of names to definitions was expected"),
        ("sources", "web: \x01\n", "1: cannot be read: unacceptable character"),
        ("sources", "web: &w {archive: 's3://a', storage: *w}", "1: an alias of what it stands in"),
        ("sources", "web: {archive: 's3://a', since: !day x}", "1: 'x' is no value; write it in quotes if it is text"),
        ("traits", "t:\n", "1: 't': write `query`, or `sql` for a trait from a database"),
        ("traits", "t: {sql: {connection: w}}", "1: 't.sql.query' is missing"),
        ("traits", "t: {sql: {connection: w, query: select 1}}", "1: 't': no connection 'w'; there is lake"),
        ("traits", f't: {{query: "{COUNT}", sql: {{connection: lake, query: s}}}}', "1: 't' comes from `sql`; leave"),
        (
            "traits",
            "t: {sql: {connection: lake, query: from a, schedule: often}}",
            "1: 'often' is no cron expression",
        ),
        (
            "traits",
            "t: {sql: {connection: lake, query: from a, schedule: '*/5 * * * *'}}",
            "1: '*/5 * * * *' is more often",
        ),
        (
            "traits",
            "t:\n  sql:\n    connection: lake\n    query: select now() as a",
            "4: 't': now reads the clock;",
        ),
        (
            "traits",
            "t: {sql: {connection: lake, query: drop table a}}",
            "1: 't': it is no SELECT; a statement",
        ),
        ("traits", f't: {{query: "{COUNT}", events_of: account}}', "1: 't' is about people; `events_of` belongs to"),
        ("traits", f'1t: {{query: "{COUNT}"}}', "1: '1t': write a lower-case key such as new_users_7_days"),
        ("traits", f'profile_id: {{query: "{COUNT}"}}', "1: 'profile_id' is a column of every table; choose"),
        ("traits", f't: {{query: "{COUNT}", destinations: [{{a: b, c: d}}]}}', "1: 't.destinations': write the name"),
        ("traits", f't: {{query: "{COUNT}", destinations: [5]}}', "1: 't.destinations': write the name of a"),
        ("destinations", "w: {kind: webhook}", "1: 'w': webhook needs 'url'"),
        ("destinations", "w: sqlite", "1: 'w': a mapping of keys to values was expected"),
        ("destinations", "w: {kind: warehouse, url: 'sqlite:w', enabled: yes please}", "1: 'enabled' is true or false"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_meant(problems, file, text, problem):
    assert any(each.startswith(f"{file}.yaml:{problem}") for each in problems({f"dev/{file}.yaml": text}))


def test_a_key_is_not_defined_twice_in_one_mapping(problems):
    text = "web:\n  archive: s3://a\n  layout: raw\n  archive: s3://b\n"
    assert problems({"dev/sources.yaml": text}) == ["sources.yaml:4: 'archive' is already defined at sources.yaml:2"]


def test_a_key_is_not_defined_twice_over_files(problems):
    files = {
        "dev/traits.yaml": f't: {{query: "{COUNT}"}}\n',
        "dev/traits/more.yaml": f'u: {{query: "{COUNT}"}}\nt: {{query: "{COUNT}"}}\n',
    }
    assert problems(files) == ["traits/more.yaml:2: 't' is already defined at traits.yaml:1"]


def test_a_key_is_either_a_trait_or_an_audience(problems):
    files = {
        "dev/traits.yaml": f'a: {{query: "{COUNT}"}}\n',
        "dev/audiences.yaml": f'b: {{query: "{SOME}"}}\na: {{query: "{SOME}"}}\n',
    }
    assert problems(files) == ["audiences.yaml:2: 'a' is also a trait, at traits.yaml:1"]


def referring(**keys):
    return "".join(f"{key}: {{query: \"trait('{other}') = 'true'\"}}\n" for key, other in keys.items())


def test_definitions_that_refer_to_each_other_in_a_ring_are_told(problems):
    (problem,) = problems({"dev/audiences.yaml": referring(a="b", b="c", c="a", d="a")})
    assert problem == "audiences.yaml:1: definitions refer to each other in a ring: a → b → c → a"


def test_every_ring_is_told(problems):
    found = problems({"dev/audiences.yaml": referring(a="a", b="c", c="b")})
    assert [each.split("ring: ")[1] for each in found] == ["a → a", "b → c → b"]


def test_definitions_may_refer_to_each_other_in_any_order(load):
    assert len(load({"dev/audiences.yaml": referring(a="b", b="c", c="plan")}).audiences) == 3


def test_a_destination_must_be_one_of_the_space(problems):
    text = f"a:\n  query: {SOME}\n  destinations:\n    - warehouse\n    - {{hook: list}}\n"
    assert problems({"dev/audiences.yaml": text, "dev/destinations.yaml": WAREHOUSE}) == [
        "audiences.yaml:5: 'a': no destination 'hook'; there is warehouse"
    ]


def test_a_form_must_be_one_that_the_destination_takes(problems):
    text = f"a:\n  query: {SOME}\n  destinations: [{{warehouse: bubble}}]\n"
    (problem,) = problems({"dev/audiences.yaml": text, "dev/destinations.yaml": WAREHOUSE})
    assert problem.startswith("audiences.yaml:3: 'warehouse' has no form 'bubble'; it takes ")


@pytest.mark.parametrize(
    ("entry", "output", "remedy"),
    [
        ("{kind: iterable, api_key: k}", "{crm: list}", "write {crm: property} or {crm: event}"),
        (
            "{kind: facebook_audiences, access_token: t, ad_account_id: '1'}",
            "crm",
            "deliver an audience there, or leave 'crm' out",
        ),
    ],
)
def test_a_trait_goes_to_no_list(problems, entry: str, output: str, remedy: str):
    text = f"plan:\n  query: event('Paid').last(property('plan'))\n  destinations: [{output}]\n"
    assert problems({"dev/traits.yaml": text, "dev/destinations.yaml": f"crm: {entry}\n"}) == [
        f"traits.yaml:3: 'plan': a trait has no members, so 'crm' has no list for it; {remedy}"
    ]


def test_a_name_that_says_who_somebody_is_cannot_be_a_property(problems):
    text = "email:\n  query: event('Paid').last(property('plan'))\n  destinations: [crm, {crm: event}]\n"
    crm = "crm: {kind: hubspot, portal_id: '1', access_token: k}\n"
    assert problems({"dev/traits.yaml": text, "dev/destinations.yaml": crm}) == [
        "traits.yaml:3: 'email': to HubSpot this name says who somebody is; choose another"
    ]


@pytest.mark.parametrize("destination", ["sqlite", "[a]", "{kind: [a]}", "", "{kind: webhok}"])
def test_a_destination_that_is_wrong_does_not_hide_who_names_it(problems, destination):
    files = {
        "dev/destinations.yaml": f"warehouse: {destination}\n",
        "dev/audiences.yaml": f'a: {{query: "{SOME}", destinations: [{{warehouse: list}}, nowhere]}}\n',
    }
    found = problems(files)
    assert found[0] == "audiences.yaml:1: 'a': no destination 'nowhere'; there is warehouse"
    assert found[1].startswith("destinations.yaml:1: 'warehouse")


# --- queries --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"a:\n  name: A\n  query: |\n    {SOME}\n    AND event('F').cuont() >= 1\n", 5),
        (f"a:\n  query: |  # why\n\n    {SOME}\n    AND event('F').cuont() >= 1\n", 5),
        ("a:\n  query: event('F').cuont() >= 1\n  name: A\n", 2),
        ("a: {query: \"event('F').cuont() >= 1\"}\n", 1),
    ],
)
def test_a_wrong_query_is_told_by_its_own_line(problems, text, line):
    (problem,) = problems({"dev/audiences.yaml": text})
    assert problem.startswith(f"audiences.yaml:{line}: 'a': column ")
    assert problem.endswith("there is no cuont(); did you mean count()?")


def test_a_wrong_query_in_a_folder_is_told_by_its_file(problems):
    files = {"dev/audiences/b.yaml": "b:\n  query: |\n    event('F').cuont() >= 1\n"}
    (problem,) = problems(files)
    assert problem.startswith("audiences/b.yaml:3: 'b': ")


def test_a_trait_is_a_value_and_an_audience_a_condition(problems):
    found = problems(
        {"dev/traits.yaml": f't: {{query: "{SOME}"}}\n', "dev/audiences.yaml": f'a: {{query: "{COUNT}"}}\n'}
    )
    assert [each.split(": 'a'")[0].split(": 't'")[0] for each in found] == ["audiences.yaml:1", "traits.yaml:1"]


def test_a_file_that_nothing_reads_is_a_problem(problems):
    assert problems({"dev/audience.yaml": "a: {}\n"}) == [
        "audience.yaml:1: nothing reads this file; did you mean 'audiences'?"
    ]


def test_archive_and_lake_do_not_lie_within_each_other(problems):
    text = "web: {archive: file:///data/lake/web}\n"
    found = problems({"dev/space.yaml": "space: dev\nlake: file:///data/lake\n", "dev/sources.yaml": text})
    assert found == ["sources.yaml:1: 'web': archive and lake lie within each other; give each a folder of its own"]


WAITING = """a:
  query: |
    event('A').where(event('B').within(parent: 1 day).count() = 0).count() >= 1
  wait_for_window: true
"""


def test_a_query_with_a_colon_is_written_below(problems):
    (found,) = problems({"dev/audiences.yaml": WAITING.replace("|\n   ", "")})
    assert found.startswith("audiences.yaml:2: not valid YAML: ")
    assert found.endswith("; write `query: |` and the query below it, further in")


def test_a53_an_audience_may_wait(load, problems):
    (audience,) = load({"dev/audiences.yaml": WAITING}).audiences
    assert ".between(1 day, 36500 days)" in query.print_query(audience.query)
    plain = WAITING.replace(".where(event('B').within(parent: 1 day).count() = 0)", "")
    assert problems({"dev/audiences.yaml": plain}) == [
        "audiences.yaml:4: 'a' has no event that follows another within a time; leave `wait_for_window` out"
    ]


# --- forms of a file ------------------------------------------------------------------------


def test_files_may_be_absent_or_empty(load):
    found = load({"dev/traits.yaml": "", "dev/audiences.yaml": "# nothing yet\n"})
    assert (found.sources, found.traits, found.audiences, found.destinations) == ((), (), (), ())
    assert found.window == timedelta(days=30)


def test_a_folder_holds_what_the_file_would(load):
    parts = {f"dev/traits/{name}.yaml": f'{name}: {{query: "{COUNT}"}}\n' for name in "cab"}
    whole = "".join(f'{name}: {{query: "{COUNT}"}}\n' for name in "abc")
    assert load(parts).traits == load({"prod/traits.yaml": whole, **prod()}, name="prod").traits


def test_a_destination_is_named_alone_or_with_its_form(load):
    form = ADAPTERS["webhook"].ABOUT.forms[0]
    files = {
        "dev/destinations.yaml": f"{WAREHOUSE}hook: {HOOK}\n",
        "dev/audiences.yaml": f'a: {{query: "{SOME}", destinations: [warehouse, {{hook: {form}}}]}}\n',
    }
    assert load(files).audiences[0].deliveries == (Delivery("warehouse"), Delivery("hook", form))


# --- not yet, and not meant -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "text", "key"),
    [
        ("space", "space: dev\nlake: file:///l\nretention: 90 days\n", "retention"),
    ],
)
def test_what_is_not_available_yet_is_refused_by_name(problems, file, text, key):
    assert any(
        each.endswith(f"'{key}' is not available in this version; leave it out")
        for each in problems({f"dev/{file}.yaml": text})
    )


def test_a_brake_is_a_share_and_silence_a_length(load, problems):
    sources = "w: {archive: 's3://a', silent_after: 36 hours}"
    text = "w: {kind: warehouse, url: 'sqlite:w', brake: 20%}"
    found = load({"dev/destinations.yaml": text, "dev/sources.yaml": sources})
    assert (found.destinations[0].brake, found.sources[0].silent_after) == (0.2, timedelta(hours=36))
    wrong = {"dev/destinations.yaml": text.replace("20%", "0.2"), "dev/sources.yaml": sources.replace(" hours", "h")}
    assert problems(wrong) == [
        "destinations.yaml:1: '0.2': write a share such as 50%",
        "sources.yaml:1: '36h': write a length such as 60 days or 36 hours",
    ]
    (problem,) = problems({"dev/destinations.yaml": text.replace("20%", "120%"), "dev/sources.yaml": sources})
    assert problem == "destinations.yaml:1: '120%': write a share such as 50%"


def test_between_in_the_wrong_order_is_warned_of(load):
    swapped = "event('E').between(10 days, 7 days).count() >= 1"
    (warning,) = load({"dev/audiences.yaml": f'a: {{query: "{swapped}"}}\n'}).warnings
    assert warning.endswith("'a' has a between() with its longer time first: it means between(7 days, 10 days)")
    assert load({"dev/audiences.yaml": f'a: {{query: "{swapped.replace("10", "1")}"}}\n'}).warnings == ()


def test_q28_an_unknown_trait_is_legal_and_warned_of_with_the_nearest_spelling(load):
    files = {
        "dev/traits.yaml": f'spending: {{query: "{COUNT}"}}\n',
        "dev/audiences.yaml": referring(a="spendng", b="plan", c="spending"),
    }
    folder_free = [each.split("definitions/")[1] for each in load(files).warnings]
    assert folder_free == [
        "dev/audiences.yaml:1: 'a' reads 'spendng', which must be a custom trait; did you mean 'spending'?",
        "dev/audiences.yaml:2: 'b' reads 'plan', which must be a custom trait",
    ]


def test_where_something_stands_is_no_part_of_what_it_means(load):
    text = f't: {{query: "{COUNT}"}}\n'
    assert load({"dev/traits.yaml": text}).traits == load({"dev/traits.yaml": f"\n\n{text}"}).traits

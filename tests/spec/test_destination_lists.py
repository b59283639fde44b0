"""`lists:` in `destinations.yaml`: the ids of lists that exist over there already."""

import pytest

from tests.definition_files import HOOK, SOME
from tests.rolodex import KEY
from tests.vendor_kinds import register

SETTINGS = f"url: 'http://rolo.example', key: {KEY}"


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    """A kind that finds or makes lists, and one that cannot."""
    register(monkeypatch)
    register(monkeypatch, "listless", listing=None)


def files(lists: str, kind: str = "rolodex", delivery: str = "[{crm: list}]") -> dict[str, str]:
    """Two audiences, of which `spenders` is delivered; `lists` is on the third line of destinations.yaml."""
    audiences = f'spenders:\n  query: "{SOME}"\n  destinations: {delivery}\nsleepers:\n  query: "{SOME}"\n'
    destinations = f"crm:\n  {{kind: {kind}, {SETTINGS},\n  {lists}\n  }}\n"
    return {"dev/audiences.yaml": audiences, "dev/destinations.yaml": destinations}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("a1b2", "a1b2"),
        ("1234567", "1234567"),
        ("'007'", "007"),
        ("0123", "0123"),
        ("'${LIST:-x}'", "${LIST:-x}"),
        ("'${LIST}'", "${LIST}"),
    ],
)
def test_an_id_is_text_as_it_is_written(load, written, text):
    (found,) = load(files(f"lists: {{spenders: {written}}}")).destinations
    assert found.lists == (("spenders", text),)


def test_where_lists_are_found_or_made_no_id_is_needed(load):
    for written in ("", "lists:"):
        assert load(files(written)).destinations[0].lists == ()


NEEDED = "listless cannot find or make lists, so 'spenders' needs the id of one"


@pytest.mark.parametrize(("written", "line"), [("", 1), ("lists: ", 3)])
def test_where_they_are_not_every_audience_needs_one(problems, load, written, line):
    (found,) = problems(files(written, "listless"))
    remedy = "make it over there and write `lists: {spenders: its id}`"
    assert found == f"destinations.yaml:{line}: 'crm': {NEEDED}; {remedy}"
    assert load(files("lists: {spenders: 5}", "listless"))
    assert load(files("", "listless", "[crm]"))  # as a property


WAY = "`destinations: [{crm: list}]`"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{spender: a1}", f"no audience 'spender'; {WAY} keeps one in a list; did you mean 'spenders'?"),
        ("{zzz: a1}", f"no audience 'zzz'; {WAY} keeps one in a list; there is spenders"),
        (
            "{sleepers: a1}",
            f"'sleepers' is not kept in a list of 'crm'; write {WAY} below it, or leave the line out",
        ),
        (
            "{spenders: ''}",
            "'crm.lists.spenders': the id is empty; write what the list is called over there, or leave the line out",
        ),
        (
            "{spenders: }",
            "'crm.lists.spenders': the id is empty; write what the list is called over there, or leave the line out",
        ),
        (
            "{spenders: [a]}",
            "'crm.lists.spenders': the id is a text or a whole number; write it in quotes if need be",
        ),
        ("{spenders: true}", "'crm.lists.spenders': the id is a text or a whole number; write it in quotes if need be"),
        ("[a1]", "'crm.lists': write {key_of_an_audience: id of its list over there}"),
        ("{}", "'crm.lists': write {key_of_an_audience: id of its list over there}"),
    ],
)
def test_what_is_wrong_is_told_on_its_line_with_the_remedy(problems, written, problem):
    assert problems(files(f"lists: {written}")) == [f"destinations.yaml:3: {problem}"]


def test_two_audiences_do_not_share_a_list(problems):
    written = files("lists: {spenders: 7, sleepers: '7'}")
    written["dev/audiences.yaml"] += "  destinations: [{crm: list}]\n"
    told = "'spenders' has the same list; who leaves one audience would leave the other"
    assert problems(written) == [f"destinations.yaml:3: 'crm.lists.sleepers': {told}"]


def test_two_audiences_of_one_name_would_share_a_list(problems, load):
    files = {
        "dev/destinations.yaml": f"crm: {{kind: rolodex, {SETTINGS}}}\n",
        "dev/audiences.yaml": "".join(
            f'{key}:\n  {{query: "{SOME}", name: {name}, destinations: [{{crm: list}}]}}\n'
            for key, name in {"buyers": "Good", "fans": "good"}.items()
        ),
    }
    assert problems(files) == [
        "audiences.yaml:3: 'fans': 'buyers' is called so as well, and 'crm' would keep both in one list; "
        "give one of them another name"
    ]
    files["dev/destinations.yaml"] = f"crm: {{kind: rolodex, {SETTINGS}, lists: {{fans: l9}}}}\n"
    assert load(files)


def test_a_form_that_needs_more_settings_says_so(problems, load):
    crm = "crm: {kind: customerio, site_id: s, api_key: k%s}\n"
    files = {"dev/audiences.yaml": f'fans:\n  {{query: "{SOME}", destinations: [{{crm: list}}]}}\n'}
    needed = "to find segments set app_api_key, a key of the App API, or write their ids under `lists`"
    assert problems(files | {"dev/destinations.yaml": crm % ""}) == [f"destinations.yaml:1: 'crm': {needed}"]
    for more in (", lists: {fans: 7}", ", app_api_key: '${KEY}'"):
        assert load(files | {"dev/destinations.yaml": crm % more})


def test_a_kind_without_lists_has_none(problems):
    text = {"dev/destinations.yaml": f"hook:\n  {HOOK[:-1]},\n  lists: {{a: b}}\n  }}\n"}
    assert problems(text) == ["destinations.yaml:3: 'hook': webhook keeps nobody in lists; leave `lists` out"]


def test_a_mistake_in_an_audience_is_not_told_again_of_its_list(problems):
    written = files("lists: {spenders: a1}")
    written["dev/audiences.yaml"] = written["dev/audiences.yaml"].replace(SOME, "nonsense(", 1)
    (found,) = problems(written)
    assert found.startswith("audiences.yaml:2: 'spenders'")

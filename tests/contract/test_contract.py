"""What holds for every adapter, whoever wrote it and whatever its vendor does."""

import itertools
import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from populace import destinations
from populace.destinations.protocol import (
    FINDING,
    GROUP,
    ListAdapter,
    Outcome,
    ParticularAdapter,
    ReadableAdapter,
    Request,
    Response,
    Verdict,
)
from tests.contract.conversing import ADAPTERS, FIXTURES, batches, conversation, led, settings, updates, verdicts
from tests.sent import ORIGIN, record

VALUES = ['"gold"', '"ünï ☃ \\" \\\\ </script>"', "10", "10.5", "-3e20", '["a", 1]', '{"a": {"b": null}}', "true", None]
NAMES = ["anneliese", "bo@x.org", "ünï ☃", "a/b?c=d&e#f", "x" * 200, "1234567"]
DOCUMENTED = FIXTURES.parent.parent / "docs" / "destinations"
STATUSES = [*range(200, 207), 226, 300, 301, 302, 304, 307, *range(400, 432), 451, 499, *range(500, 512), 520, 599]
BODIES = [b"", b"{}", b"[]", b"null", b"7", b'"x"', b"[1, 2", b"<html>no</html>", b"\xff\xfe", b'{"errors": 5}']
BODIES += [
    b'{"errors": [{"index": 99}]}',
    b'{"results": [null]}',
    b'{"job": 5}',
    b'{"job": {"id": null}}',
    b'{"status": []}',
]

every_adapter = pytest.mark.parametrize("kind", sorted(ADAPTERS))
PERSONAL = sorted(each for each in ADAPTERS if ADAPTERS[each].ABOUT.grain == "person")
about_people = pytest.mark.parametrize("kind", PERSONAL)


def records(kind: str) -> list[dict[str, Any]]:
    """People, or accounts, with every kind of value under every kind of name, what concerns one of them together."""
    found = []
    about = ADAPTERS[kind].ABOUT
    if about.grain == "audience":
        return totals(about.forms[0])
    id_types = about.identifies or ("user_id", "email", "app_id")
    for name, form in itertools.product(NAMES, about.forms):
        for id_type in ("group_id",) if form == GROUP else id_types:
            told = {"form": form, "id_type": id_type}
            found += [record(name, "buyers", value, **told) for value in ("true", "false")]
            if form != "list":  # lists have members, and no values
                found += [record(name, f"t{at}", value, kind="trait", **told) for at, value in enumerate(VALUES)]
    return found


def totals(form: str) -> list[dict[str, Any]]:
    """Audiences and traits as a whole, as `sync.Totals` has them, and one of each that is delivered no longer."""
    told = {"form": form, "id_type": "destination", "id_value": "crm", "profile_id": "", "action": "set"}
    counts = {"as_of": "2024-03-01T00:00:00Z", "members": 3, "entered": 2, "left": 1}
    sizes = {"as_of": "2024-03-01T00:00:00Z", "profiles": 7}
    found = [record("crm", f"a{at}", json.dumps(counts), **{**told, "kind": "audience"}) for at in range(4)]
    found += [record("crm", f"t{at}", json.dumps(sizes), **{**told, "kind": "trait"}) for at in range(4)]
    gone = {"form": form, "id_type": "destination", "id_value": "crm", "profile_id": ""}
    return [*found, record("crm", "a9", "false", **gone), record("crm", "t9", None, **gone)]


def secrets(kind: str) -> list[str]:
    return [value for name, value in settings(kind).items() if name in ADAPTERS[kind].ABOUT.secret]


def always(status: int, body: bytes) -> Iterator[Response]:
    return itertools.repeat(Response(status, {}, body))


# --- what is said -----------------------------------------------------------------------------------


@every_adapter
def test_every_record_is_in_exactly_one_update(kind: str):
    given = records(kind)
    told = [at for each in updates(kind, given) for at in each.records]
    assert sorted(told) == list(range(len(given)))


@every_adapter
def test_spelling_an_identifier_twice_is_spelling_it_once(kind: str):
    for spell in ADAPTERS[kind].ABOUT.normal.values():
        for name in [*NAMES, " Ann.B+x@GMail.com ", "+49 (0)170 1234567", "0170-1234567", "", "0" * 64]:
            once = spell(name)
            assert not once or spell(once) == once


@about_people
def test_an_update_is_about_one_person(kind: str):
    given = records(kind)
    for each in updates(kind, given):
        assert len({(given[at]["profile_id"], given[at]["id_value"]) for at in each.records}) == 1


@every_adapter
def test_the_same_records_make_the_same_bytes(kind: str):
    assert updates(kind, records(kind)) == updates(kind, records(kind))


@every_adapter
def test_no_records_make_no_updates(kind: str):
    assert updates(kind, []) == []


@every_adapter
def test_requests_are_within_limits_and_json_where_they_say_so(kind: str):
    limits = ADAPTERS[kind].limits(settings(kind))
    many = [each for _ in range(60) for each in records(kind)]
    for batch in batches(kind, many):
        assert len(batch) <= limits.updates
        for request in conversation(kind, batch, always(200, b"{}"))[0]:
            assert len(request.body) <= limits.request_bytes
            assert request.url.startswith(("http://", "https://"))
            assert request.url.isascii()
            assert all(value.isascii() and value.isprintable() for value in request.headers.values())
            if request.body and "json" in request.headers.get("Content-Type", ""):
                json.loads(request.body)


@about_people
@pytest.mark.parametrize(("before", "after", "about"), [("true", "false", "audience"), ('"gold"', None, "trait")])
def test_taking_away_is_told_apart_from_giving(kind: str, before: str, after: str | None, about: str):
    for form in ADAPTERS[kind].ABOUT.forms:
        if (form, about) != ("list", "trait"):
            given, taken = (
                updates(kind, [record("ann", "k", each, form=form, kind=about)]) for each in (before, after)
            )
            assert [(each.body, each.group) for each in given] != [(each.body, each.group) for each in taken]


@every_adapter
def test_an_event_has_an_id_that_is_ignored_the_second_time_or_is_sent_only_once(kind: str):
    if "event" in ADAPTERS[kind].ABOUT.forms:
        (told,), (other,) = (updates(kind, [record(form="event", message_id=each)]) for each in ("m-0123", "m-4567"))
        # Some vendors take ids of one form only: then one of that form is made of ours.
        assert told.once or told.body != other.body


@every_adapter
def test_secrets_are_not_in_updates(kind: str):
    # They belong to requests: updates are kept with the letters.
    assert not [
        each for each in updates(kind, records(kind)) for secret in secrets(kind) if secret.encode() in each.body
    ]


# --- what is made of answers --------------------------------------------------------------------------


@every_adapter
@pytest.mark.parametrize("status", STATUSES)
def test_every_answer_has_an_outcome_and_a_reason_without_secrets(kind: str, status: int):
    for batch in _one_of_each_group(kind):
        for body in BODIES:
            _, answer = conversation(kind, batch, always(status, body))
            for verdict in verdicts(answer, batch):
                assert verdict.outcome in get_args(Outcome)
                assert verdict.reason
                assert not [secret for secret in secrets(kind) if secret in verdict.reason]
                assert not [name for name in NAMES if name in verdict.reason]


@every_adapter
@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, {"refused"}), (403, {"refused"}), (429, {"throttled"}), (500, {"transient"}), (503, {"transient"})],
)
def test_outages_and_refusals_are_never_taken_for_success(kind: str, status: int, expected: set[str]):
    for batch in _one_of_each_group(kind):
        for body in BODIES:
            _, answer = conversation(kind, batch, always(status, body))
            assert {each.outcome for each in verdicts(answer, batch)} <= expected


@every_adapter
def test_an_answer_that_failed_and_may_have_been_taken_is_in_doubt(kind: str):
    for batch in _one_of_each_group(kind):
        _, answer = conversation(kind, batch, always(502, b""))
        assert all(each.in_doubt for each in verdicts(answer, batch) if each.outcome in ("transient", "unknown"))


@every_adapter
def test_a_page_instead_of_an_answer_does_not_break_a_conversation(kind: str):
    for batch in _one_of_each_group(kind):
        for status in (200, 201, 202, 207):
            _, answer = conversation(kind, batch, always(status, b"<!doctype html><html></html>"))
            verdicts(answer, batch)


@every_adapter
def test_halves_of_a_batch_say_together_what_the_whole_says(kind: str):
    for batch in _one_of_each_group(kind):
        half = len(batch) // 2
        for part in filter(None, (batch[:half], batch[half:], batch[:1], batch[-1:])):
            requests, answer = conversation(kind, part, always(200, b"{}"))
            verdicts(answer, part)
            assert requests


# --- lists, and reading back ------------------------------------------------------------------------------

with_lists = pytest.mark.parametrize(
    "kind", sorted(each for each in ADAPTERS if isinstance(ADAPTERS[each], ListAdapter))
)
READABLE = [(kind, form) for kind in sorted(ADAPTERS) for form in ADAPTERS[kind].ABOUT.readable]
readable = pytest.mark.parametrize(("kind", "form"), READABLE)


def ask(kind: str, form: str, responses: Iterator[Response]) -> tuple[list[Request], Any]:
    adapter = ADAPTERS[kind]
    assert isinstance(adapter, ReadableAdapter)
    people = [(id_type, name) for id_type in adapter.ABOUT.readable[form] for name in NAMES]
    return led(adapter.held("buyers", form, people, ORIGIN, settings(kind)), responses)


@pytest.mark.parametrize("kind", sorted(ADAPTERS))
def test_what_can_be_read_or_listed_is_among_the_forms(kind: str):
    about = ADAPTERS[kind].ABOUT
    assert set(about.readable) <= set(about.forms)
    assert bool(about.readable) == isinstance(ADAPTERS[kind], ReadableAdapter)
    assert all(set(types) <= set(about.identifies) for types in about.readable.values())
    assert not isinstance(ADAPTERS[kind], ListAdapter) or "list" in about.forms


@with_lists
@pytest.mark.parametrize("status", STATUSES)
def test_looking_for_a_list_ends_with_its_name_or_a_reason(kind: str, status: int):
    adapter = ADAPTERS[kind]
    assert isinstance(adapter, ListAdapter)
    for body in BODIES:
        _, found = led(adapter.listing("buyers", "Ünï buyers ☃", settings(kind)), always(status, body))
        assert isinstance(found, str) and found if not isinstance(found, Verdict) else found.reason
        assert isinstance(found, Verdict) or 200 <= status < 300
        assert not [secret for secret in secrets(kind) if secret in str(found)]


@readable
@pytest.mark.parametrize("status", STATUSES)
def test_reading_back_ends_with_what_is_there_or_a_reason(kind: str, form: str, status: int):
    for body in BODIES:
        requests, found = ask(kind, form, always(status, body))
        assert all(each.is_question for each in requests)
        assert isinstance(found, list) or found.reason
        is_nobody = status == 404 and form == "property"  # where a person has an address
        assert isinstance(found, Verdict) or 200 <= status < 300 or (is_nobody and found == [])
        assert not [secret for secret in secrets(kind) if secret in str(found)]


@readable
def test_an_answer_that_cannot_be_read_is_not_an_empty_list(kind: str, form: str):
    for body in (b"<html>no</html>", b"7", b"[1, 2"):
        _, found = ask(kind, form, always(200, body))
        assert isinstance(found, Verdict)


# --- settings -----------------------------------------------------------------------------------------


@every_adapter
def test_sound_settings_have_no_problems_and_missing_ones_do(kind: str):
    about, sound = ADAPTERS[kind].ABOUT, settings(kind)
    assert set(sound) <= set(about.names)
    assert about.secret <= sound.keys(), "a fixture must have every secret, or nothing shows that it is kept"
    assert ADAPTERS[kind].problems(sound) == []
    written = {name: f"${{{name.upper()}}}" for name in about.required}
    assert ADAPTERS[kind].problems(written) == []


@pytest.mark.parametrize("kind", sorted(each for each in ADAPTERS if isinstance(ADAPTERS[each], ParticularAdapter)))
def test_what_a_form_needs_is_told_where_it_is_not_there(kind: str):
    adapter, forms = ADAPTERS[kind], (*ADAPTERS[kind].ABOUT.forms, FINDING)
    assert isinstance(adapter, ParticularAdapter)
    assert [adapter.lacking(form, settings(kind)) for form in forms] == [""] * len(forms)
    least = {name: f"${{{name}}}" for name in adapter.ABOUT.required} | {"intake": "segment"}
    assert any(adapter.lacking(form, least) for form in forms)


@pytest.mark.parametrize("kind", sorted(destinations.ADAPTERS))
def test_the_loader_says_what_is_missing_or_unknown(kind: str):
    about = destinations.ADAPTERS[kind].ABOUT
    missing = destinations.problems(kind, {})
    assert missing == [f"{kind} needs {name!r}" for name in about.required]
    written = {name: f"${{{name.upper()}}}" for name in about.required}
    assert len(destinations.problems(kind, {**written, "colour": "red"})) == 1


@every_adapter
def test_accounts_are_told_apart_without_secrets(kind: str):
    sound = settings(kind)
    account = ADAPTERS[kind].account(sound)
    assert account == ADAPTERS[kind].account(dict(sound))
    assert not [secret for secret in secrets(kind) if secret in account]
    others = {ADAPTERS[kind].account({**sound, name: f"{sound[name]}-2"}) for name in ADAPTERS[kind].ABOUT.required}
    # Several spaces may post to one channel.
    assert others - {account} or kind not in PERSONAL, "two accounts must differ by something that is required"


def _one_of_each_group(kind: str) -> list[list[Any]]:
    """A batch for each way of sending: the first of those that go to one place."""
    found = {}
    for batch in batches(kind, records(kind)):
        if not batch[0].body:  # nothing is said, so nothing is answered
            continue
        found.setdefault((batch[0].group.partition("/")[0], batch[0].once, batch[0].stage), batch)
    return list(found.values())


@pytest.mark.parametrize("kind", sorted(destinations.ADAPTERS))
def test_every_setting_is_documented(kind: str):
    page = (DOCUMENTED / f"{kind}.md").read_text(encoding="utf-8")
    assert [name for name in destinations.ADAPTERS[kind].ABOUT.names if f"| `{name}` |" not in page] == []

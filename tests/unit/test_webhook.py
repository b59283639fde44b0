"""The bytes of a webhook, and what its answers mean."""

import hashlib
import hmac
import json

import pytest

from populace import destinations
from populace.destinations import warehouse, webhook
from populace.destinations.protocol import Limits, Origin, Request, Response, Update, Verdict, by_status, packed

ORIGIN = Origin("dev", "crm", "run-1", "2024-03-01T00:00:00Z")
FIRST = {"signature": "first"}  # of the bodies alone, as in destinations.md 11
SETTINGS = {"url": "https://hooks.example.com/in", "secret": "correct-horse"}


def record(**changes: str | None) -> dict:
    plain = {
        "action": "set",
        "message_id": "m1",
        "kind": "trait",
        "key": "plan",
        "form": "property",
        "profile_id": "p1",
        "id_type": "user_id",
        "id_value": "ann",
        "value": '"gold"',
    }
    return {**plain, **changes}


def body_of(**changes: str | None) -> dict:
    return json.loads(next(webhook.updates([record(**changes)], ORIGIN, SETTINGS)).body)


def requested(updates: list[Update], **settings: str) -> Request:
    """The one request of an exchange at a fixed second."""
    return next(webhook.exchange(updates, {**SETTINGS, **settings}, 1_700_000_000))


# --- bodies -----------------------------------------------------------------------------------


def test_body_is_an_identify_call_that_names_its_computation():
    assert body_of() == {
        "type": "identify",
        "userId": "ann",
        "messageId": "m1",
        "timestamp": "2024-03-01T00:00:00Z",
        "traits": {"plan": "gold"},
        "context": {
            "personas": {
                "computation_class": "trait",
                "computation_id": "tra_plan",
                "computation_key": "plan",
                "computation_run_id": "run-1",
                "namespace": "dev",
                "space_id": "dev",
            }
        },
        "integrations": {"All": False, "crm": True},
    }


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("false", False), (None, None), ("10.5", 10.5), ('["a"]', ["a"])]
)
def test_values_arrive_as_json(value: str | None, expected: object):
    assert body_of(value=value)["traits"] == {"plan": expected}


def test_membership_is_of_class_audience():
    personas = body_of(kind="audience", key="buyers", value="true")["context"]["personas"]
    assert (personas["computation_class"], personas["computation_id"]) == ("audience", "aud_buyers")


def test_email_rides_in_the_traits_and_other_types_in_external_ids():
    by_email = body_of(id_type="email", id_value="ann@x.org")
    assert by_email["traits"] == {"plan": "gold", "email": "ann@x.org"}
    assert "userId" not in by_email
    custom = body_of(id_type="app_id", id_value="7")
    assert custom["context"]["externalIds"] == [
        {"id": "7", "type": "app_id", "collection": "users", "encoding": "none"}
    ]


# --- signatures -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "bodies", "sent", "signature"),
    [
        ({}, [b'{"plan":"gold"}'], b'[{"plan":"gold"}]', None),
        (FIRST, [b'{"plan":"gold"}'], b'[{"plan":"gold"}]', "79d8013953d1252c4c0b8d80ad3fb0493fc467aa"),
        (FIRST, [b'{"n":1}', b'{"n":2}'], b'[{"n":1},{"n":2}]', "4c2f044b05e5cbbf510f7b382acab20574de9778"),
    ],
    ids=["exact bytes", "documented vector", "documented vector of a batch"],
)
def test_signature_of_segment(settings: dict, bodies: list[bytes], sent: bytes, signature: str | None):
    request = requested([Update((0,), body) for body in bodies], **settings)
    assert request.body == sent
    expected = signature or hmac.new(b"correct-horse", request.body, hashlib.sha1).hexdigest()
    assert request.headers["X-Signature"] == expected


def test_sound_signature_covers_time_and_exact_bytes():
    headers = requested([Update((0,), b'{"n":1}')]).headers
    code = hmac.new(b"correct-horse", b'1700000000.[{"n":1}]', hashlib.sha256).hexdigest()
    assert headers["X-Signature-256"] == f"t=1700000000,v1={code}"
    assert headers["X-Signature"] == hmac.new(b"correct-horse", b'[{"n":1}]', hashlib.sha1).hexdigest()


# --- batches ----------------------------------------------------------------------------------


def sizes(bodies: list[bytes], limits: Limits) -> list[int]:
    return [len(batch) for batch in packed((Update((at,), body) for at, body in enumerate(bodies)), limits)]


def test_batches_end_at_the_count():
    assert sizes([b"{}"] * 5, Limits(2, 1_000, 1_000)) == [2, 2, 1]


def test_batches_end_before_the_bytes_do():
    bodies = [b"x" * 30] * 7
    batches = list(packed((Update((0,), body) for body in bodies), Limits(100, 95, 1_000)))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert all(len(requested(batch).body) <= 95 for batch in batches)


def test_an_update_that_is_too_large_is_alone():
    assert sizes([b"x", b"y" * 500, b"z"], Limits(10, 100, 50)) == [1, 1, 1]


def test_groups_do_not_share_a_request():
    updates = [Update((at,), b"{}", group) for at, group in enumerate("aab")]
    assert [len(batch) for batch in packed(updates, Limits(10, 1_000, 1_000))] == [2, 1]


# --- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *[(status, "delivered") for status in (200, 201, 202, 204)],
        *[(status, "refused") for status in (301, 302, 307, 401, 403, 404, 405, 410, 415, 501)],
        *[(status, "invalid") for status in (400, 409, 422)],
        *[(status, "transient") for status in (408, 423, 500, 502, 503, 504, 599)],
        (413, "too_large"),
        (429, "throttled"),
    ],
)
def test_status_stands_for_an_outcome(status: int, outcome: str):
    assert by_status(status).outcome == outcome


def partial(text: str) -> object:
    return webhook.answer(Response(207, {}, text.encode()), 3)


def test_207_says_what_went_wrong_by_index():
    verdicts = partial('{"results": [{"index": 1, "status": 422}, {"index": 2, "status": 503}]}')
    assert [each.outcome for each in verdicts] == ["delivered", "invalid", "transient"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"results": [{"index": 3, "status": 200}]}',
        '{"results": [{"index": -1, "status": 200}]}',
        '{"results": [{"status": 422}]}',
        '{"results": [{"index": "x", "status": 422}]}',
        '{"results": 5}',
        "\xff",
    ],
)
def test_207_that_cannot_be_read_leaves_everything_unknown(text: str):
    answer = partial(text)
    assert isinstance(answer, Verdict)
    assert answer.outcome == "unknown"


# --- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("webhook", {"url": "https://x.org", "secret": "s"}, []),
        ("webhook", {"url": "${URL}", "secret": "${SECRET}", "batch_size": "10"}, []),
        ("webhook", {"url": "ftp://x.org", "secret": "s"}, ["'url' must start with https:// or http://"]),
        ("webhook", {"url": "https://x.org"}, ["webhook needs 'secret'"]),
        ("webhook", {"url": "https://x.org", "secret": "s", "colour": "red"}, ["webhook has no setting 'colour'"]),
        ("webhook", {"url": "https://x.org", "secret": "s", "batch_size": "4001"}, ["'batch_size' must be a number"]),
        ("webhook", {"url": "https://x.org", "secret": "s", "signature": "no"}, ["'signature' must be 'body'"]),
        ("webhook", {"url": "https://x.org", "secret": "s", "allow_private": "False"}, []),
        ("webhook", {"url": "https://x.org", "secret": "s", "allow_private": "no"}, ["'allow_private' must be true"]),
        ("segment", {"write_key": "k"}, []),
        ("segment", {"write_key": "k", "endpoint": "https://x.org/v1/batch"}, ["'endpoint' must end before /batch"]),
        ("segment", {"write_key": "k", "endpoint": "x.org"}, ["'endpoint' must start with https://"]),
        ("segment", {"write_key": "k", "integrations": "['Braze']"}, ["'integrations' must be names"]),
        ("warehouse", {"url": "postgresql://db/x"}, []),
        ("warehouse", {"url": "sqlite:///x.db"}, []),
        ("warehouse", {"url": "mysql://db/x"}, ["'url' must be postgresql://"]),
        ("warehouse", {}, ["warehouse needs 'url'"]),
        ("fax", {}, ["no kind 'fax'; known are "]),
    ],
)
def test_settings_are_checked_as_written(kind: str, settings: dict, expected: list[str]):
    found = destinations.problems(kind, settings)
    assert len(found) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(found, expected, strict=True))


def test_account_tells_addresses_apart_and_holds_no_password():
    assert webhook.account({"url": "https://a.org/in?token=t"}) == webhook.account({"url": "http://a.org/in?token=u"})
    assert webhook.account({"url": "https://a.org/in"}) != webhook.account({"url": "https://a.org/out"})
    postgres = {"url": "postgresql://me:secret@db/shop?sslmode=require"}
    assert warehouse.account(postgres) == "postgresql://db:5432/shop"
    assert warehouse.account(postgres) == warehouse.account({"url": "postgres://other@db:5432/shop"})

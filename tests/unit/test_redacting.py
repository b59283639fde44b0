"""Nothing about a person, and no secret, gets through; what remains says what happened."""

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.destinations.protocol import Request, Response, Verdict
from tasks import redacting
from tasks.redacting import Redaction
from tasks.samples import Samples
from tests.sent import ORIGIN, record

SECRETS = redacting.secrets(
    {"key": 'sup"er/secret', "url": "https://me:pw77@a.org/services/T0123456789?t=tok"}, ("key", "url")
)
ANN = record("Ann.Miller", "city", '"Springfield"')
WORDS = redacting.words(ORIGIN)


def redaction(*records: dict) -> Redaction:
    return Redaction(records or (ANN,), SECRETS, WORDS)


def shown(body: Any, *records: dict) -> str:
    return redaction(*records).body(body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_stranger_who_was_read_back_is_a_placeholder_like_anybody():
    stranger = record("Eve.Adams", "buyers", "false", profile_id=None)
    assert json.loads(shown({"ids": ["Eve.Adams"]}, stranger)) == {"ids": ["<user_id>"]}


def test_a_call_is_shown_by_its_shape():
    body = {
        "type": "identify",
        "userId": "Ann.Miller",
        "messageId": "m-Ann.Miller-city",
        "traits": {"city": "Springfield"},
    }
    assert json.loads(shown([body])) == [
        {"type": "identify", "userId": "<user_id>", "messageId": "m-Ann.Miller-city", "traits": {"city": "<value>"}}
    ]


@pytest.mark.parametrize(
    "smuggled",
    [
        {"message": "Ann.Miller of Springfield is unknown"},
        {"message": "mail ann@x.org"},
        {"errors": [{"value": "springfield"}]},
        {"failed": {"ANN.MILLER": "bad"}},
        {"failed": {"ann@x.org": {"phone": "+1 800 555 0100"}}},
        {"phone": 18005550100, "alt": "18005550100", "n": 450.25},
        {"code": "Ann.Miller"},
        {"error": "Springfield"},
        {"code": "Ann Miller lives in Springfield"},
        {"a": [[[["Springfield"]]]]},
        {"nested": json.dumps({"user": "Ann.Miller"})},
        b"Ann.Miller of Springfield",
        b"<html><body>Ann.Miller ann@x.org</body></html>",
        urlencode({"identification": json.dumps([{"user_id": "Ann.Miller"}]), "m": "ann@x.org"}).encode(),
        b'{"broken": "Ann.Miller',
        "Ann.Miller",
        b"\xff\xfe Ann.Miller",
    ],
)  # fmt: skip
def test_personal_data_does_not_get_through(smuggled: Any):
    text = shown(smuggled).casefold()
    for word in ("ann", "miller", "springfield", "x.org", "555", "450.25"):
        assert word not in text


@pytest.mark.parametrize("secret", ['sup"er/secret', "https://me:pw77@a.org/services/T0123456789?t=tok", "T0123456789"])
def test_secrets_are_masked_in_every_spelling(secret: str):
    for text in (secret, json.dumps({"a": secret}), quote(secret, safe=""), urlencode({"k": secret})):
        for kept in (redacting.letter(text.encode(), SECRETS, status=400), shown(text.encode())):
            assert secret not in kept
            assert json.dumps(secret)[1:-1] not in kept
            assert quote(secret, safe="") not in kept


def test_codes_of_vendors_remain():
    body = {"code": "BadApiKey", "error": "rate_limited", "status": 422, "index": 3, "ok": False}
    assert json.loads(shown(body)) == body


def test_numbers_that_are_values_are_values_however_they_are_spelled():
    scored = record("ann", "score", "7")
    assert json.loads(shown({"traits": {"score": 7.0}, "index": 3}, scored)) == {
        "traits": {"score": "<value>"},
        "index": 3,
    }


def test_whatever_is_inside_a_value_is_of_the_value():
    listed = record("ann", "things", '{"Lives in": ["Rome", 77]}')
    assert (
        shown({"Lives in": ["Rome", 77], "x": "rome"}, listed) == '{"<value>": ["<value>", "<value>"], "x": "<value>"}'
    )


def test_long_lists_and_long_bodies_are_cut():
    assert json.loads(shown(["identify"] * 1_000)) == ["identify", "identify", "… 998 more"]
    assert len(shown({f"key{at}": 1 for at in range(5_000)})) <= redacting.SAMPLE


def test_endpoints_say_the_path_and_nothing_of_the_person():
    def endpoint(url: str) -> str:
        return redaction().endpoint(Request("PUT", url, {}, b""))

    assert endpoint("https://a.org/v2/users/Ann.Miller/profile?key=x") == "PUT /v2/users/<user_id>/profile"
    assert endpoint("https://a.org/v2/users/ann%40x.org") == "PUT /v2/users/<id>"
    assert endpoint("https://a.org/people/8271936455") == "PUT /people/<id>"
    assert endpoint("https://me:pw77@a.org/services/T0123456789?t=tok") == "PUT <url>"
    assert endpoint("https://b.org/x/T0123456789/y") == "PUT /x/<url>/y"


def test_somebody_without_a_profile_is_not_shown_either():
    told = shown({"email": ANN["id_value"], "x": ""}, {**ANN, "profile_id": None})
    assert json.loads(told)["email"] == "<user_id>"


LEAVES = st.text(min_size=8, alphabet="QZJ qzj@.") | st.integers(min_value=10**6)
NAMES = st.sampled_from(["a", "message", "code", "error"])


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_no_text_that_is_not_ours_gets_through(value: Any):
    text = shown({"reply": value}).casefold()
    assert not set("qzj@0123456789") & set(re.sub("… [0-9]+ more", "", text))


def test_letters_keep_what_was_sent_up_to_four_kilobytes():
    assert redacting.letter(b'{"a": "Ann"}', SECRETS) == '{"a": "Ann"}'
    kept = redacting.letter("é".encode() * 9_000, SECRETS, status=400)
    assert kept.startswith("HTTP 400\n")
    assert len(kept.encode()) <= redacting.LETTER


def test_samples_are_few_and_different():
    samples = Samples(SECRETS, WORDS)
    request = Request("POST", "https://b.org/in", {}, b'{"userId": "Ann.Miller"}')
    for status in (400, 500, 500, 500, 500, 200, 401, 402, 403, 404, 405):
        outcome = "invalid" if status == 400 else "transient"
        samples.take([Verdict(outcome, "why")] * 5, request, Response(status, {}, b"no"), [ANN])
    assert [each["status"] for each in samples.taken] == [400, 500, 500, 500, 200, 401, 402, 403, 404, 405]
    assert samples.taken[0] == {
        "outcome": "invalid",
        "reason": "why",
        "endpoint": "POST /in",
        "request": '{"userId": "<user_id>"}',
        "status": 400,
        "reply": "<text of 2 characters>",
    }

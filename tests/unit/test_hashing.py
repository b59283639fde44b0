"""Identifiers of advertisers: what is one person there, computed here from literals and nothing else."""

import hashlib
import json

import pytest

from populace.destinations import facebook_audiences, google_audiences, hashing
from tests.sent import ORIGIN, record


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        (" Ann@Example.COM\n", "ann@example.com"),
        ("ann.b+news@gmail.com", "ann.b+news@gmail.com"),  # Meta leaves dots and suffixes
        ("ZOË@EXÄMPLE.DE", "zoë@exämple.de"),
        ("", None),
        ("  ", None),
        ("ann", None),
        ("ann b@x.org", None),
        ("a@b@x.org", None),
        ("@x.org", None),
    ],
)
def test_an_email(written: str, normal: str | None):
    assert hashing.email(written) == normal


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("A.n.n.B@Gmail.com", "annb@gmail.com"),
        ("ann+news+more@googlemail.com", "ann@googlemail.com"),
        (" an n . b @ gmail . com ", "annb@gmail.com"),
        ("a.b+c@x.org", "a.b+c@x.org"),
        ("ann.b@notgmail.com", "ann.b@notgmail.com"),
        ("ZOË\u00a0@Gmail.com", "zoë@gmail.com"),
        ("+news@gmail.com", None),
        ("...@gmail.com", None),
        ("", None),
        ("gmail.com", None),
    ],
)
def test_an_email_at_google(written: str, normal: str | None):
    assert hashing.google_email(written) == normal


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("+1 (800) 555-0100", "18005550100"),
        ("0018005550100", "18005550100"),
        ("1.800.555.0100", "18005550100"),
        ("+49 (0)171 / 123 45 67", "491711234567"),
        ("+49\u00a0171\u20131234567", "491711234567"),
        ("0171 1234567", None),  # of some country
        ("+0171 1234567", None),
        ("123456", None),
        ("+1234567890123456", None),
        ("+1 800 555 0100 ext. 12", None),
        ("", None),
        ("+", None),
        ("١٢٣٤٥٦٧٨", None),
    ],
)
def test_a_phone_number(written: str, normal: str | None):
    assert hashing.digits(written) == normal
    assert hashing.e164(written) == (normal and f"+{normal}")


def test_an_id_of_a_phone():
    assert hashing.device(" AB12-CD ") == "ab12-cd"
    assert hashing.device("00000000-0000-0000-0000-000000000000") is None
    assert hashing.device(" ") is None


NORMALS = (hashing.email, hashing.google_email, hashing.digits, hashing.e164)


@pytest.mark.parametrize("normal", NORMALS)
def test_hashes_pass_in_lower_case_but_never_that_of_nothing(normal: hashing.Normal):
    assert normal(f" {sha('ann@x.org').upper()} ") == sha("ann@x.org")
    assert normal("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855") is None
    assert normal("de6c9fa8c0d3b9e5") is None


@pytest.mark.parametrize("normal", [*NORMALS, hashing.device])
def test_what_is_normal_stays_so(normal: hashing.Normal):
    for written in ("A.B+c@Gmail.com", "Ann@X.org", "+49 (0)171 1234567", "0018005550100", "ΑΣ@X.org", sha("x")):
        if found := normal(written):
            assert normal(found) == found


def test_a_hash_is_that_of_the_bytes_and_never_of_a_hash():
    assert hashing.sha256("zoë@x.org") == hashlib.sha256(b"zo\xc3\xab@x.org").hexdigest()
    assert hashing.sha256(sha("zoë@x.org")) == sha("zoë@x.org")


@pytest.mark.parametrize("adapter", [facebook_audiences, google_audiences])
def test_a_hash_is_parked_unless_the_setting_lets_it_through(adapter):
    told = [record(sha("ann@x.org"), "buyers", "true", form="list", id_type="email")]
    (parked,) = adapter.updates(told, ORIGIN, {})
    assert "hash already" in parked.problem
    (sent,) = adapter.updates(told, ORIGIN, {"hashed": "pass"})
    assert (sent.problem, sha("ann@x.org") in sent.body.decode()) == ("", True)


@pytest.mark.parametrize("adapter", [facebook_audiences, google_audiences])
def test_what_is_sent_is_what_was_normalised_before_the_difference(adapter):
    for id_type, written in (("email", " A.B@Gmail.com"), ("phone", "+49 (0)171 1234567")):
        normal = adapter.ABOUT.normal[id_type](written)
        before, after = (
            next(iter(adapter.updates([record(each, "buyers", "true", form="list", id_type=id_type)], ORIGIN, {})))
            for each in (written, normal)
        )
        assert before.body == after.body
        assert sha(normal) in json.dumps(json.loads(after.body))


@pytest.mark.parametrize("adapter", [facebook_audiences, google_audiences])
def test_wrong_words_of_settings_are_told(adapter):
    required = {"ad_account_id": "1", "account_id": "1", "customer_match_terms": "accepted", "access_token": "x"}
    assert adapter.problems(required) == []
    assert adapter.problems({**required, "hashed": "maybe"}) == ["'hashed' must be refuse or pass"]
    assert adapter.problems({**required, "hashed": "${HASHED}"}) == []
    assert len(adapter.problems({**required, "ad_account_id": "x", "account_id": "x"})) == 1

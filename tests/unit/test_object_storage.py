"""Files of object storage: values and rows come back as they were, settings are checked, errors are told apart."""

import random

import polars as pl
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
)
from polars.testing import assert_frame_equal

from populace.destinations import object_files, object_storage, problems
from populace.destinations.object_files import HELD
from populace.destinations.object_storage import Change, File, Manifest, State
from populace.destinations.protocol import Origin
from populace.errors import DestinationError
from populace.lake.faults import fault
from tests.shelves import csv_rows

NASTY = [
    'a"b', '"', '""', "line\nbreak", "cr\rx", "crlf\r\nend", "\r", "comma,", "=1+1", "+1", "-1", "@x", "é日本🎉", "",
    " ", " lead ", "tab\t", "\x00nul", "\\", '\\"', "\u2028", "null", "NULL", "true", "10", "[1]", "'", "#c", ";",
    "\ufeffbom",
]  # fmt: skip
TYPES = {
    "boolean": ["true", "false"],
    "integer": ["0", "-1", "9223372036854775807"],
    "number": ["10", "10.5", "-0.1", "1e-7", "1e+21", "123456789.123456"],
    "text": ['"gold"', '""', '"it\'s \\"é\\""', '"10"', '"null"', '"a\\nb"', '"\\u0000"', '"[1]"', '"=1"'],
    "json": ['["a","b"]', "[]", '{"a":1}'],
}


def state(values, id_values=None):
    names = id_values or [f"p{n}" for n in range(len(values))]
    rows = [("user_id", name, f"use_{name}", value) for name, value in zip(names, values, strict=True)]
    return pl.DataFrame(rows, schema=HELD, orient="row")


# --- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", object_storage.FORMATS)
@pytest.mark.parametrize("kind", TYPES)
def test_values_of_one_type_come_back_letter_by_letter(kind, form):
    frame = state(TYPES[kind])
    assert object_files.value_type("trait", frame["value"]) == kind
    data = object_files.encoded(frame, kind, form)
    assert_frame_equal(object_files.decoded(data, kind, form), frame)


@pytest.mark.parametrize(
    "values",
    [
        ["10", '"10"'],
        ["true", "1"],
        ['"a"', '["a"]'],
        ["9223372036854775808", "9007199254740993"],  # no column of numbers holds both
        ["0.1000000000000000055"],
        ["12345678901.123456"],  # a sum to six places may have more digits than a float
        ["1.50"],  # is not how we write it, and stays as it is
        ['"\\u00e9"'],
    ],
)
def test_values_that_would_not_come_back_stay_json(values):
    assert object_files.value_type("trait", state(values)["value"]) == "json"
    for form in object_storage.FORMATS:
        assert (
            object_files.decoded(object_files.encoded(state(values), "json", form), "json", form)["value"].to_list()
            == values
        )


def test_without_values_the_type_of_before_stays():
    nothing = state([])["value"]
    assert object_files.value_type("trait", nothing, "integer") == "integer"
    assert object_files.value_type("trait", nothing) == "json"
    assert object_files.value_type("audience", state(["true"])["value"]) == ""


@pytest.mark.parametrize("form", object_storage.FORMATS)
@pytest.mark.parametrize("kind", [*TYPES, ""])
def test_a_state_of_nobody_is_a_file_with_its_columns(kind, form):
    data = object_files.encoded(state([]), kind, form)
    assert_frame_equal(object_files.decoded(data, kind, form), state([]))
    columns = [*HELD] if kind else [*HELD][:-1]
    assert object_files.from_bytes(data, form).columns == columns


# --- CSV -----------------------------------------------------------------------------------------------------------


def test_nasty_identifiers_and_values_come_back_from_csv():
    frame = state([pl.select(object_files.SPELLINGS["text"].text(pl.lit(each))).item() for each in NASTY], NASTY[::-1])
    assert object_files.value_type("trait", frame["value"]) == "text"
    data = object_files.encoded(frame, "text", "csv")
    assert_frame_equal(object_files.decoded(data, "text", "csv"), frame)
    assert [(row["id_value"], row["value"]) for row in csv_rows(data)] == list(zip(NASTY[::-1], NASTY, strict=True))


def test_many_nasty_rows_come_back_from_csv():
    """Long enough that they are read in pieces, which begin in the middle of values."""
    chance = random.Random(7)
    names = ["".join(chance.choices(NASTY, k=4)) for _ in range(30_000)]
    frame = state(["1"] * len(names), names)
    assert_frame_equal(object_files.decoded(object_files.encoded(frame, "integer", "csv"), "integer", "csv"), frame)


def test_every_value_of_csv_is_quoted():
    assert object_files.encoded(state(["1"]), "integer", "csv") == (
        b'"id_type","id_value","profile_id","value"\n"user_id","p0","use_p0","1"\n'
    )


# --- records on a state --------------------------------------------------------------------------------------------


def test_records_set_replace_and_remove():
    held = state(["1", "2", "3"], ["b", "c", "d"])
    records = pl.DataFrame(
        [
            ("set", "user_id", "a", "use_a", "10"),
            ("set", "user_id", "c", "use_x", "20"),
            ("unset", "user_id", "b", "use_b", None),
            ("exit", "user_id", "nobody", "use_n", "false"),
            ("set", "email", "d", "use_d", "30"),
        ],
        schema=["action", *HELD],
        orient="row",
    )
    assert object_files.applied(held, records).rows() == [
        ("email", "d", "use_d", "30"),
        ("user_id", "a", "use_a", "10"),
        ("user_id", "c", "use_x", "20"),
        ("user_id", "d", "use_d", "3"),
    ]


def test_a_sync_says_nothing_twice_but_what_it_took_back():
    schema = dict.fromkeys(object_files.CHANGES, pl.String)

    def record(who, message):
        return ("set", "trait", "plan", "user_id", who, f"use_{who}", "1", message)

    said = [
        pl.DataFrame([record("a", "m1"), record("b", "m2")], schema=schema, orient="row"),
        pl.DataFrame([record("b", "m3")], schema=schema, orient="row"),
    ]
    records = pl.DataFrame([record("a", "m1"), record("b", "m2"), record("c", "m4")], schema=schema, orient="row")
    assert object_files.unrepeated(records, said)["message_id"].to_list() == ["m2", "m4"]
    assert object_files.unrepeated(records, []).height == 3


# --- the manifest --------------------------------------------------------------------------------------------------

FILE = File("traits/plan/run-1-0-00000-aaaaaaaaaaaa.parquet", 1, "a" * 64)
CHANGED = File("changes/run-1-0/part-00000.parquet", 1, "b" * 64)
MANIFEST = Manifest(
    "dev", "files", "parquet", "run-1-0", "run-1", 0, "2024-03-01T00:00:00Z",
    (State("trait", "plan", "property", "text", 1, "run-1-0", (FILE,)),),
    (Change("run-1-0", "run-1", "2024-03-01T00:00:00Z", 1, (CHANGED,)),),
    ("traits/plan/run-0-0-00000-bbbbbbbbbbbb.parquet",),
)  # fmt: skip


def test_a_manifest_is_read_as_it_was_written():
    assert object_storage.read(object_storage.document(MANIFEST)) == MANIFEST


@pytest.mark.parametrize("change", [{"version": 2}, {"computations": [{}]}, {"changes": None}, {"more": 1}])
def test_what_is_no_manifest_is_refused(change):
    with pytest.raises(ValueError):  # noqa: PT011, whoever reads it says what it means
        object_storage.read(object_storage.document(MANIFEST) | change)


def test_files_of_others_are_never_obsolete():
    theirs = ["manifest.json", "traits/plan/notes.txt", "_SUCCESS", "traits/plan.parquet", "changes/README.md"]
    ours = ["traits/plan/run-9-0-00000-cccccccccccc.parquet", "changes/run-9-0/part-00000.csv"]
    named = [*MANIFEST.names, *MANIFEST.before]
    assert object_storage.obsolete([*theirs, *ours, *named], None, MANIFEST) == ours


def test_changes_of_as_many_syncs_are_kept_as_is_said():
    def after(before, number, **settings):
        return object_storage.following(before, Origin("dev", "files", f"run-{number}", "", 0), settings, [], [FILE])

    manifest = None
    for number in range(5):
        manifest = after(manifest, number, keep_changes="3")
    assert [each.run_id for each in manifest.changes] == ["run-2", "run-3", "run-4"]
    assert after(manifest, 5, keep_changes="0").changes == ()
    assert len(after(manifest, 5).changes) == 4


# --- settings ------------------------------------------------------------------------------------------------------

S3 = {"url": "s3://bucket/out"}


@pytest.mark.parametrize(
    "settings",
    [
        S3,
        {"url": "s3://bucket"},
        {"url": "file:///data/out", "format": "csv"},
        {"url": "file:out", "keep_changes": "0"},
        {"url": "${OUT}", "format": "${FORMAT}", "endpoint_url": "${ENDPOINT}", "keep_changes": "${KEEP}"},
        {**S3, "endpoint_url": "http://127.0.0.1:9000", "region": "eu-central-1"},
        {**S3, "access_key_id": "${KEY}", "secret_access_key": "${SECRET}"},
    ],
)
def test_good_settings(settings):
    assert problems("object_storage", settings) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs 'url'"),
        ({"url": "https://bucket/x"}, "'url' must be"),
        ({"url": "file://out"}, "'url' must be"),
        ({"url": "s3:///x"}, "'url' must be"),
        ({"url": "s3://key:secret@bucket/x"}, "must not hold credentials"),
        ({"url": "file:///a?b"}, "%3F"),
        ({**S3, "format": "json"}, "parquet or csv"),
        ({**S3, "endpoint_url": "store:9000"}, "'endpoint_url'"),
        ({**S3, "access_key_id": "x"}, "go together"),
        ({**S3, "keep_changes": "-1"}, "'keep_changes'"),
        ({**S3, "delimiter": ";"}, "no setting 'delimiter'"),
    ],
)
def test_wrong_settings_are_named(settings, said):
    (found,) = problems("object_storage", settings)
    assert said in found


def test_an_account_is_the_place_at_its_endpoint():
    there = object_storage.account({**S3, "endpoint_url": "http://a", "secret_access_key": "hidden"})
    assert there == "http://a s3://bucket/out"
    assert object_storage.account({"url": "s3://bucket/out/"}) == object_storage.account(S3) != there


# --- what an error calls for ---------------------------------------------------------------------------------------


def answer(code, status):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (answer("AccessDenied", 403), "refused"),
        (answer("SignatureDoesNotMatch", 403), "refused"),
        (answer("403", 403), "refused"),
        (answer("NoSuchBucket", 404), "refused"),
        (answer("AuthorizationHeaderMalformed", 400), "refused"),
        (answer("PermanentRedirect", 301), "refused"),
        (answer("SlowDown", 503), "throttled"),
        (answer("Whatever", 429), "throttled"),
        (answer("InternalError", 500), "transient"),
        (answer("ServiceUnavailable", 503), "transient"),
        (answer("RequestTimeout", 400), "transient"),
        (answer("OperationAborted", 409), "transient"),
        (NoCredentialsError(), "refused"),
        (ParamValidationError(report="bucket"), "refused"),
        (EndpointConnectionError(endpoint_url="http://x"), "transient"),
        (HTTPClientError(error="x"), "transient"),
        (PermissionError(13, "denied"), "refused"),
        (OSError(30, "read-only"), "refused"),
        (OSError(28, "disk full"), "transient"),
        (None, "transient"),
    ],
)
def test_what_an_error_of_a_store_calls_for(cause, expected):
    error = DestinationError("it failed")
    error.__cause__ = cause
    assert fault(error) == expected

"""Names, types and errors of the warehouse, without a database."""

import pytest

from populace.destinations.warehouse import columns, failures, tables
from tests.sent import frame, record


def test_names_are_quoted_fitted_and_kept_apart():
    assert tables.quoted('a"b') == '"a""b"'
    assert tables.USERS.column("profile_id") == "profile_id_"
    assert tables.USERS.column("id_value_") == "id_value__"
    assert tables.USERS.column("group_id") == "group_id"
    assert tables.USERS.column("xmin") == "xmin_"  # a column that every table of PostgreSQL has
    long = [tables.USERS.column("é" * 40 + end) for end in ("x", "y")]
    assert len(set(long)) == 2
    long += [tables.USERS.column("id" + "_" * number) for number in (61, 62)]
    assert len(set(long)) == 4
    assert all(len(name.encode()) <= 63 for name in long)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2.5"], "numeric"),
        (["true", None], "boolean"),
        (['"x"', "1"], "text"),
        (['["a"]'], "text"),
        ([None], None),
    ],
)
def test_column_type_follows_from_the_values(values: list, expected: str | None):
    records = frame([record(value=each, kind="trait") for each in values])
    assert columns.wanted(records) == {("trait", "plan", "property"): expected}


@pytest.mark.parametrize(
    ("state", "message", "is_connecting", "outcome"),
    [
        ("40001", "", False, "transient"),
        ("08006", "", False, "transient"),
        ("53300", "", False, "transient"),
        ("57P03", "", True, "transient"),
        ("42501", "", False, "refused"),
        ("28P01", "", True, "refused"),
        ("22P02", "", False, "invalid"),
        ("23505", "", False, "invalid"),
        ("42P01", "", False, "invalid"),
        ("XX000", "", False, "unknown"),
        (None, "Connection refused", True, "transient"),
        (None, "FATAL: password authentication failed", True, "refused"),
        (None, 'FATAL: database "x" does not exist', True, "refused"),
        (None, "FATAL: the database system is starting up", True, "transient"),
        (None, "server closed the connection", False, "transient"),
    ],
)
def test_database_errors_mean_outcomes(state: str | None, message: str, is_connecting: bool, outcome: str):
    assert failures.meaning(state, message, is_connecting=is_connecting)[0] == outcome

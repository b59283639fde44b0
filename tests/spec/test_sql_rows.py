"""The rows of a statement: which column says what, and whose a row is (T-31 to T-36, T-40, T-41)."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import polars as pl
import pytest

from populace.definitions import Identifier, Identity
from populace.errors import StatementError
from populace.space import statements
from populace.sql import rows
from tests import driving
from tests.shops import entry, over_lake
from tests.tables import table


def problem(names, **more):
    with pytest.raises(StatementError) as error:
        rows.columns(names, entry(**more))
    return str(error.value)


# --- columns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier", ["user_id", "email", "anonymous_id"])
def test_t31_one_column_says_whose_a_row_is(identifier):
    assert rows.columns(["ltv", identifier], entry()) == rows.Columns(identifier, ("ltv",))


def test_t31_accounts_are_known_by_group_id_and_the_lake_knows_profiles_as_well():
    assert rows.columns(["group_id", "seats"], entry(level="account")).identifier == "group_id"
    assert rows.columns(["profile_id", "ltv"], over_lake("")).identifier == "profile_id"
    assert rows.columns(["user_id", "group_id"], entry()).traits == ("group_id",)


@pytest.mark.parametrize(
    ("names", "more", "told"),
    [
        (["ltv", "x"], {}, "no column says whose a row is; select user_id or email or anonymous_id"),
        (["user_id", "anonymous_id", "x"], {}, "user_id and anonymous_id both say whose a row is"),
        (["user_id", "x"], {"level": "account"}, "no column says whose a row is; select group_id"),
        (["group_id", "user_id", "x"], {"level": "account", "connection": "lake"}, "known before events are counted"),
        (["group_id"], {"level": "account"}, "there is no column beside the identifier"),
        (["profile_id", "x"], {}, "no column says whose a row is"),
        (["user_id"], {}, "there is no column beside the identifier"),
        (["user_id", *(f"c{number}" for number in range(25))], {}, "there are 26 columns, at most 25 are allowed"),
        (["user_id", "Total"], {}, "the column 'Total' cannot be the name of a trait; write AS"),
        (["user_id", "profile"], {}, "the column 'profile' cannot be the name of a trait"),
        (["user_id", "x", "x"], {}, "two columns are called 'x'"),
        (["user_id", "orders", "x"], {}, "a column is called 'orders' like the entry, which has other columns too"),
    ],
)
def test_t31_t32_t46_columns_that_are_refused(names, more, told):
    assert told in problem(names, **more)


def test_t32_25_columns_are_allowed_and_t46_a_column_called_like_its_entry_if_it_is_alone():
    assert len(rows.columns(["user_id", *(f"c{number}" for number in range(24))], entry()).traits) == 24
    assert rows.columns(["user_id", "orders"], entry()).traits == ("orders",)


# --- values -------------------------------------------------------------------------------------------


def typed(**columns):
    found = pl.DataFrame({"user_id": ["u1"]} | {name: [each] for name, each in columns.items()})
    return rows.typed(found, rows.Columns("user_id", tuple(columns))).drop(rows.WHO).row(0)


def test_t35_values_are_text_numbers_and_booleans():
    paris = timezone(timedelta(hours=1))
    found = typed(
        a="x", b=1, c=1.5, d=True, e=Decimal("12.50"), f=date(2024, 3, 1), g=datetime(2024, 3, 1, 12, tzinfo=paris),
        h=None, i=float("nan"), j=float("inf"),
    )  # fmt: skip
    assert found == ("x", 1, 1.5, True, 12.5, "2024-03-01", "2024-03-01T11:00:00.000Z", None, None, None)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, b"x", timedelta(1)])
def test_t35_lists_and_objects_are_refused(value):
    with pytest.raises(StatementError, match="the column 'tags' holds neither text nor numbers; join lists into one"):
        typed(tags=value)


def answered(found, identity=driving.IDENTITY, **more):
    chosen = rows.columns(found.columns, entry(**more))
    return statements.answer(rows.typed(found, chosen), chosen.identifier, identity)


def test_t41_with_a_user_rows_of_an_account_repeat_and_link_them():
    assert rows.columns(["group_id", "user_id"], entry(level="account")) == rows.Columns("group_id", (), "user_id")
    told = "g1 | u1 | 5\n g1 | u2 | 5\n g1 | u2 | 5\n g2 | | 6\n null | u1 | 1\n g3 | null | 7"
    found = answered(table("group_id | user_id | seats\n " + told), level="account")
    assert sorted(found.rows.rows()) == [("g1", 5), ("g2", 6), ("g3", 7)]
    assert (found.read, found.blocked, found.links) == (6, 1, 2)


def test_t41_rows_of_an_account_that_say_different_things_of_it_are_refused():
    with pytest.raises(StatementError, match="rows of 1 accounts say different things of them; let only user_id"):
        answered(table("group_id | user_id | seats\n g1 | u1 | 5\n g1 | u2 | 6\n g2 | u1 | 7"), level="account")
    with pytest.raises(StatementError, match="1 of 2 rows have the group_id of another row"):
        answered(table("group_id | seats\n g1 | 5\n g1 | 5"), level="account")
    with pytest.raises(StatementError, match=r"known by user_id, which identity\.yaml does not list; it lists email"):
        answered(table("group_id | user_id\n g1 | u1"), Identity((Identifier("email"),)), level="account")


def test_t41_t34_a_row_that_is_too_large_links_nobody_however_long_its_user_is_called():
    size = 16 * 1024
    told = {"group_id": ["g1", "g2", "g2"], "user_id": ["u1", "u2", "u" * 99], "x": ["a" * (size - 2), "a", "a"]}
    found = answered(pl.DataFrame(told), level="account")
    assert (found.too_large, found.rows.rows(), found.links) == (1, [("g2", "a")], 2)


def test_t33_an_identifier_is_never_null():
    with pytest.raises(StatementError, match="user_id is null in 2 of 3 rows; leave them out with WHERE"):
        answered(table("user_id | x\n u1 | 1\n | 2\n | 3"))


def test_t33_no_identifier_has_two_rows_once_it_is_normalised_and_no_value_is_shown():
    with pytest.raises(StatementError, match=r"1 of 3 rows have the email of .* GROUP BY or SELECT DISTINCT") as error:
        answered(table("email | x\n Ada@x.org | 1\n ada@x.org | 2\n b@x.org | 3"))
    assert "ada" not in str(error.value).lower()


def test_t33_whole_numbers_are_identifiers_and_others_are_not():
    assert answered(table("user_id | x\n 7 | 1")).rows.get_column(rows.WHO).to_list() == ["7"]
    with pytest.raises(StatementError, match="user_id is neither text nor a whole number; cast it to text"):
        answered(table("user_id | x\n 7.5 | 1"))


def test_t34_a_row_of_16_kb_is_dropped_and_counted():
    size = 16 * 1024
    found = answered(pl.DataFrame({"user_id": ["u1", "u2"], "x": ["a" * (size - 3), "a" * (size - 2)]}))
    assert (found.read, found.too_large, found.rows.get_column(rows.WHO).to_list()) == (2, 1, ["u1"])


def test_i10_blocked_identifiers_are_dropped_and_counted():
    found = answered(table('user_id | x\n "-1" | 1\n "-1" | 2\n null | 3\n "000" | 4\n " " | 5\n u1 | 6'))
    assert (found.read, found.blocked, found.rows.rows()) == (6, 5, [("u1", 6)])


def test_i9_overlong_identifiers_are_dropped_and_counted():
    told = pl.DataFrame({"user_id": ["u" * 500, "u" * 501], "x": [1, 2]})
    assert (answered(told).blocked, answered(told).rows.height) == (1, 1)
    accounts = answered(told.rename({"user_id": "group_id"}), level="account")
    assert (accounts.blocked, accounts.rows.height) == (1, 1)


def test_t40_an_identifier_that_the_space_does_not_list_is_refused():
    with pytest.raises(StatementError, match=r"known by email, which identity\.yaml does not list; it lists user_id"):
        answered(table("email | x\n a@x.org | 1"), Identity((Identifier("user_id"),)))

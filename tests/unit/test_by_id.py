import polars as pl
import pytest

from populace import identity
from populace.space import by_id

IDS = [identity.profile_id(("users", "accounts")[number % 2], "user_id", f"u{number}") for number in range(200)]


def numbered(ids, **columns):
    return pl.DataFrame({"profile_id": ids, **columns}).with_columns(by_id.place())


@pytest.fixture(params=[15, 1, 0])
def _digits(request, monkeypatch):
    """As many ids have one number as there are with so few digits."""
    monkeypatch.setattr(by_id, "HEX_DIGITS", request.param)


@pytest.mark.usefixtures("_digits")
def test_rows_are_in_the_order_of_their_ids():
    assert by_id.ordered(numbered(IDS)).get_column("profile_id").to_list() == sorted(IDS)
    assert by_id.ordered(numbered(IDS).clear()).is_empty()


@pytest.mark.usefixtures("_digits")
def test_columns_of_two_tables_stand_beside_each_other():
    one, other = numbered(IDS[:120], n=range(120)), numbered(IDS[:79:-1], m=range(120))
    assert by_id.beside(one, other).drop(by_id.PLACE).rows() == [
        (each, IDS.index(each) if each in IDS[:120] else None, 199 - IDS.index(each) if each in IDS[80:] else None)
        for each in sorted(IDS)
    ]


@pytest.mark.usefixtures("_digits")
def test_tables_with_other_profiles_become_one():
    found = by_id.merged(pl.LazyFrame({"profile_id": IDS[:50], "n": range(50)}), numbered(IDS[50:], n=range(50, 200)))
    assert found.rows() == sorted(zip(IDS, range(200), strict=True))


def test_ids_that_are_no_hexadecimal_numbers_are_sorted_as_text():
    assert by_id.ordered(numbered(["use_z", "use_0f", "acc_y"])).get_column("profile_id").to_list() == [
        "acc_y", "use_0f", "use_z",
    ]  # fmt: skip

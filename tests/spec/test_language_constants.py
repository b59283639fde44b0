"""The query language: constants, as written, as meant and as printed."""

import time
from datetime import UTC, date, datetime

import pytest

from populace import query
from populace.nodes import (
    Compare,
    Dated,
    Literal,
    TraitValue,
)

A = TraitValue("a")


NOON = datetime(2024, 6, 30, 12, tzinfo=UTC)
INSTANTS = {
    "2024-06-30": date(2024, 6, 30),
    "2024-02-29": date(2024, 2, 29),
    "0001-01-01": date(1, 1, 1),
    "2024-06-30T12:00Z": NOON,
    "2024-06-30T12:00:00Z": NOON,
    "2024-06-30T14:00:00+02:00": NOON,
    "2024-06-30T07:30:00-0430": NOON,
    "2024-06-30T12:00:00.5Z": NOON.replace(microsecond=500_000),
    "2024-06-30T12:00:00.000001Z": NOON.replace(microsecond=1),
    "2024-06-30T23:30:00-02:00": datetime(2024, 7, 1, 1, 30, tzinfo=UTC),
}


@pytest.mark.parametrize("written", INSTANTS)
def test_n47_dates_and_timestamps_are_constants(written):
    value = INSTANTS[written]
    found = query.parse_audience(f"trait('a') >= {written}")
    assert found == Compare(A, ">=", Literal(value))
    assert type(found.right.value) is type(value)
    assert query.parse_audience(query.print_query(found)) == found
    for side in ("before_date", "after_date"):
        expected = Dated(A, side, Literal(value))
        assert query.parse_audience(f"trait('a').{side}({written})") == expected
        assert query.parse_audience(f"trait('a').{side}('{written}')") == expected


@pytest.fixture
def in_tokyo():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_a17_a_timestamp_without_a_zone_is_in_utc_wherever_the_machine_stands():
    assert query.parse_audience("trait('a') = 2024-06-30T12:00:00") == Compare(A, "=", Literal(NOON))


def test_instants_are_printed_in_utc():
    node = query.parse_audience("trait('a') = 2024-06-30T14:00:00.25+02:00 OR trait('a').before_date('2000-01-01')")
    text = "trait('a') = 2024-06-30T12:00:00.250000Z OR trait('a').before_date(2000-01-01)"
    assert query.print_query(node) == text


def test_a15_a_date_in_quotes_is_text_outside_of_before_date_and_after_date():
    assert query.parse_audience("trait('a') < '2000-01-01'") == Compare(A, "<", Literal("2000-01-01"))


def test_q6_strings_take_either_quote_and_escape_both():
    expected = {r"""trait('a') = "it's" """: "it's", r"""trait('a') = 'it\'s \"\\'""": "it's \"\\"}
    assert all(query.parse_audience(text) == Compare(A, "=", Literal(value)) for text, value in expected.items())

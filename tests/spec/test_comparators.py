"""Comparators of values: of properties, and of traits."""

import pytest

from tests.spec.evaluating import members, trait_values

ROWS = """
    profile | timestamp | p.m:json
    1       | d-1       | "alpha beta"
    2       | d-1       | 10
    3       | d-1       | "10"
    4       | d-1       | true
    5       | d-1       | ["alpha"]
    6       | d-1       |
    7       | d-1       | ""
    8       | d-1       | "2024-03-30"
    9       | d-1       | "2024-03-31T14:00:00+02:00"
"""


def kept(condition):
    """The profiles whose one event the condition keeps."""
    return sorted(trait_values(f"event('E').where({condition}).count()", ROWS))


def person(condition, **traits):
    """Whether somebody with these custom traits is a member."""
    rows = "".join(f"1|{name}|{value}|d-1\n" for name, value in traits.items())
    return bool(members(condition, custom=f"profile|name|value|timestamp\n{rows}" if rows else ""))


# --- parts of text ----------------------------------------------------------------------------------


def test_a11_contains_any_of_some_texts():
    assert kept("property('m').contains('beta', 'x')") == [1]
    assert kept("property('m').contains('x', 'y')") == []
    assert kept("property('m').contains('Beta')") == []


def test_a12_only_text_has_parts():
    assert kept("property('m').contains('10')") == [3]
    assert kept("property('m').contains('r')") == []


def test_a12_a_number_is_sought_as_its_text():
    assert kept("property('m').contains(10)") == kept("property('m').contains(10.0)") == [3]


def test_every_text_contains_the_empty_one():
    assert kept("property('m').contains('')") == [1, 3, 7, 8, 9]


def test_n29_and_n39_texts_start_and_end():
    assert kept("property('m').starts_with('alpha')") == [1]
    assert kept("property('m').ends_with('beta')") == [1]
    assert kept("property('m').starts_with('beta')") == kept("property('m').ends_with('alpha')") == []


def test_signs_of_patterns_mean_themselves():
    assert person(r"trait('t').contains('a.c*')", t='"xa.c*"')
    assert not person(r"trait('t').contains('a.c*')", t='"abcc"')


def test_a36_parts_come_from_other_fields_too():
    rows = "profile|timestamp|p.a|p.b\n1|d-1|abc|b\n2|d-1|abc|x\n3|d-1|abc|\n"
    assert trait_values("event('E').where(property('a').contains(property('b'))).count()", rows) == {1: 1}
    assert trait_values("event('E').where(property('a').one_of('x', property('b'))).count()", rows) == {}


def test_w18_omits_holds_where_nothing_is_known():
    assert person("trait('plan').omits('fr')")
    assert not person("trait('plan').omits('fr')", plan='"free"')


# --- lists of choices -------------------------------------------------------------------------------


def test_one_of_and_none_of_need_a_value():
    assert kept("property('m').one_of('10', 'x')") == [2, 3]
    assert kept("property('m').none_of('10', 'x')") == [1, 4, 5, 7, 8, 9]
    assert kept("NOT property('m').one_of('10', 'x')") == [1, 4, 5, 6, 7, 8, 9]


def test_w18_none_of_is_false_where_nothing_is_known():
    assert not person("trait('plan').none_of('free')")
    assert person("trait('plan').none_of('free')", plan='"paid"')


def test_choices_of_several_types():
    assert kept("property('m').one_of(10, 'true', 'alpha beta')") == [1, 2, 3, 4]


# --- instants ---------------------------------------------------------------------------------------


def test_a15_dates_are_strict():
    assert kept("property('m').before_date(2024-03-31)") == [8]
    assert kept("property('m').after_date(2024-03-30)") == [9]
    assert kept("property('m').before_date(2024-03-30)") == []
    assert kept("property('m').after_date('2024-03-31T11:59:59Z')") == [9]
    assert kept("property('m').after_date(2024-03-31T12:00:00Z)") == []


def test_q21_an_instant_meets_text_that_names_one():
    assert kept("property('m') = 2024-03-31T12:00:00Z") == [9]
    assert kept("property('m') >= 2024-03-30") == [8, 9]
    assert kept("property('m') != 2024-03-30") == [1, 2, 3, 4, 5, 7, 9]


def test_q21_two_texts_are_compared_as_texts():
    assert kept("property('m') = '2024-03-31T12:00:00Z'") == []


@pytest.mark.parametrize("text", ["2024-03-31T12:00:00", "2024-02-30", "2024-3-1", "31.03.2024", "soon", "12", ""])
def test_e25_what_names_no_instant_is_neither_before_nor_after(text):
    for condition in ("before_date(2999-01-01)", "after_date(1000-01-01)", "within_last(9999 days)"):
        assert not person(f"trait('t').{condition}", t=f'"{text}"')


LAST_DAY = ("2024-03-30T12:00:00Z", "2024-03-31T23:59:59Z")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("within_last(1 day)", [*("2024-03-30", "2024-03-31", "2024-03-30T00:00:00Z"), *LAST_DAY]),
        ("within_last(24 hours)", ["2024-03-31", "2024-03-30T12:00:00Z"]),
        ("within_next(1 day)", ["2024-03-31", "2024-04-01", "2024-04-01T23:59:59Z", "2024-03-31T23:59:59Z"]),
        ("within_next(24 hours)", ["2024-04-01", "2024-03-31T23:59:59Z"]),
        ("before_last(1 day)", ["2024-03-29", "2024-03-30", "2024-03-30T00:00:00Z", "2024-03-30T12:00:00Z"]),
        ("before_last(24 hours)", ["2024-03-29", "2024-03-30", "2024-03-30T00:00:00Z", "2024-03-30T12:00:00Z"]),
        ("after_next(1 day)", ["2024-04-01", "2024-04-02", "2024-04-01T23:59:59Z"]),
        ("after_next(24 hours)", ["2024-04-02", "2024-04-01T23:59:59Z"]),
    ],
)
def test_q24_days_are_those_of_the_calendar_and_hours_are_not(condition, holds):
    moments = ["2024-03-29", "2024-03-30", "2024-03-31", "2024-04-01", "2024-04-02", "2024-03-30T00:00:00Z"]
    moments += ["2024-03-30T12:00:00Z", "2024-03-31T23:59:59Z", "2024-04-01T23:59:59Z"]
    assert {each for each in moments if person(f"trait('t').{condition}", t=f'"{each}"')} == set(holds)


def test_w17_today_is_included():
    assert person("trait('renewal_date').within_next(14 days)", renewal_date='"2024-03-31"')


def test_n45_nothing_known_is_neither_recent_nor_long_ago():
    assert not person("trait('seen').before_last(60 days)")
    assert person("trait('seen').before_last(60 days) OR trait('seen').absent()")


# --- missing ----------------------------------------------------------------------------------------


def test_w11_and_w12_missing_is_not_different():
    rows = "profile|timestamp|p.price\n1|d-2|5\n1|d-1|\n"
    assert trait_values("event('E').where(property('price') != 5).count()", rows) == {}
    assert trait_values("event('E').where(NOT property('price') = 5).count()", rows) == {1: 1}


@pytest.mark.parametrize(
    "comparator",
    [
        *("= 1", "!= 1", "< 1", "<= 1", "> 1", ">= 1"),
        *(".one_of(1)", ".none_of(1)", ".contains('')", ".starts_with('')", ".ends_with('')", ".exists()"),
        *(".before_date(2999-01-01)", ".after_date(1999-01-01)", ".within_last(1 day)", ".within_next(1 day)"),
        *(".before_last(1 day)", ".after_next(1 day)"),
    ],
)
def test_q20_every_comparator_is_false_of_what_is_missing(comparator):
    assert not person(f"trait('never') {comparator}" if comparator[0] != "." else f"trait('never'){comparator}")

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


# --- comparing --------------------------------------------------------------------------------------


def test_a10_equal_and_different():
    """Comparing: `=` and `!=` take the exact value; capital letters count."""
    assert person("trait('plan') = 'pro'", plan='"pro"')
    assert not person("trait('plan') = 'Pro'", plan='"pro"')
    assert person("trait('plan') != 'free'", plan='"pro"')


def test_a10_less_and_greater():
    """Comparing: …`<` and `>` leave their end out, `<=` and `>=` include it."""
    assert person("trait('age') >= 18", age="18")
    assert not person("trait('age') > 18", age="18")
    assert person("trait('age') <= 18", age="18")
    assert not person("trait('age') < 18", age="18")


def test_n51_a_constant_may_say_that_it_is_one():
    assert person("trait('age') >= literal(18)", age="18")
    assert person("literal(18) <= trait('age')", age="18")


@pytest.mark.parametrize(
    ("value", "false"),
    [
        ("true", ["< 'z'", ">= 'a'", ".starts_with('t')", ".before_date(2999-01-01)"]),
        ("7", [".contains('7')", ".ends_with('7')", ".before_date(2999-01-01)", ".within_last(9999 days)"]),
        ('{"a":1}', ["= 1", "< 'z'", ".contains('a')", ".one_of('a')", ".after_date(1000-01-01)"]),
    ],
)
def test_a21_an_operator_that_does_not_fit_a_value_is_false_of_it(value, false):
    assert [each for each in false if person(f"trait('t'){' ' * (each[0] != '.')}{each}", t=value)] == []
    assert person("trait('t').exists()", t=value)


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


def test_a12_every_text_contains_the_empty_one():
    assert kept("property('m').contains('')") == [1, 3, 7, 8, 9]


def test_a21_texts_start_and_end():
    assert kept("property('m').starts_with('alpha')") == [1]
    assert kept("property('m').ends_with('beta')") == [1]
    assert kept("property('m').starts_with('beta')") == kept("property('m').ends_with('alpha')") == []


def test_n27_contains_any_of_some_texts():
    """Parts of text: `contains` looks for any of some texts; capital letters count."""
    for path, is_member in {"/plans/team": True, "/Plans": False, "/": False}.items():
        assert person("trait('page').contains('/pricing', '/plans')", page=f'"{path}"') == is_member


def test_a12_signs_of_patterns_mean_themselves():
    """Parts of text: …There are no patterns: every sign means itself."""
    assert person(r"trait('t').contains('a.c*')", t='"xa.c*"')
    assert not person(r"trait('t').contains('a.c*')", t='"abcc"')


def test_n40_omits_is_the_opposite_of_contains():
    """Parts of text: …`omits` is the opposite of `contains`."""
    assert person("trait('email').omits('+test')", email='"jane@example.com"')
    assert not person("trait('email').omits('+test')", email='"jane+test@example.com"')


def test_n39_a_text_starts_and_ends():
    """Parts of text: `starts_with` and `ends_with` look at the ends of a text."""
    assert person("trait('email').ends_with('@example.com')", email='"jane@example.com"')
    assert not person("trait('email').starts_with('@example.com')", email='"jane@example.com"')


def test_a21_only_text_has_parts():
    """Parts of text: …Only text has parts: a number contains nothing, and a list is no text."""
    assert person("trait('code').contains('1')", code='"10"')
    assert not person("trait('code').contains('1')", code="10")
    assert not person("trait('code').starts_with('a')", code='["a"]')


def test_a36_parts_come_from_other_fields_too():
    rows = "profile|timestamp|p.a|p.b\n1|d-1|abc|b\n2|d-1|abc|x\n3|d-1|abc|\n"
    assert trait_values("event('E').where(property('a').contains(property('b'))).count()", rows) == {1: 1}
    assert trait_values("event('E').where(property('a').one_of('x', property('b'))).count()", rows) == {}


# --- lists of choices -------------------------------------------------------------------------------


def test_n37_it_is_one_of_several():
    """Comparing: `one_of(…)` is equality with any of several values."""
    assert person("trait('plan').one_of('pro', 'enterprise')", plan='"pro"')
    assert not person("trait('plan').one_of('pro', 'enterprise')", plan='"Pro"')


def test_n38_it_is_none_of_several():
    """Comparing: …`none_of(…)` holds of a value that is none of them."""
    assert person("trait('plan').none_of('free', 'trial')", plan='"pro"')
    assert not person("trait('plan').none_of('free', 'trial')", plan='"trial"')


def test_q20_one_of_and_none_of_need_a_value():
    assert kept("property('m').one_of('10', 'x')") == [2, 3]
    assert kept("property('m').none_of('10', 'x')") == [1, 4, 5, 7, 8, 9]
    assert kept("NOT property('m').one_of('10', 'x')") == [1, 4, 5, 6, 7, 8, 9]


def test_a11_choices_of_several_types():
    assert kept("property('m').one_of(10, 'true', 'alpha beta')") == [1, 2, 3, 4]


# --- instants ---------------------------------------------------------------------------------------


def test_n47_before_and_after_a_date():
    """Dates: `before_date` and `after_date` are strict, and a date is its midnight in UTC."""
    assert person("trait('birthday').before_date(2000-01-01)", birthday='"1999-12-31"')
    assert not person("trait('birthday').before_date(2000-01-01)", birthday='"2000-01-01"')
    assert not person("trait('birthday').after_date(2000-01-01)", birthday='"2000-01-01"')
    assert person("trait('birthday').after_date(2000-01-01)", birthday='"2000-01-01T00:00:01Z"')


def test_a15_dates_are_strict():
    assert kept("property('m').before_date(2024-03-31)") == [8]
    assert kept("property('m').after_date(2024-03-30)") == [9]
    assert kept("property('m').before_date(2024-03-30)") == []
    assert kept("property('m').after_date('2024-03-31T11:59:59Z')") == [9]
    assert kept("property('m').after_date(2024-03-31T12:00:00Z)") == []


def test_q21_an_instant_is_the_same_in_every_zone():
    """Dates: …A date or instant in a query compares with text that names one, in whatever zone."""
    for condition in ("= 2024-03-31T12:00:00Z", ">= 2024-03-31"):
        assert person(f"trait('seen') {condition}", seen='"2024-03-31T14:00:00+02:00"')


def test_q21_an_instant_meets_text_that_names_one():
    assert kept("property('m') = 2024-03-31T12:00:00Z") == [9]
    assert kept("property('m') >= 2024-03-30") == [8, 9]
    assert kept("property('m') != 2024-03-30") == [1, 2, 3, 4, 5, 7, 9]


def test_q21_two_texts_are_compared_as_texts():
    assert kept("property('m') = '2024-03-31T12:00:00Z'") == []


@pytest.mark.parametrize("text", ["2024-03-31T12:00:00", "31.03.2024", "2024-02-30"])
def test_a17_only_iso_8601_names_a_day_or_an_instant(text):
    """Dates: …A day is written as in 2024-03-31, an instant with its zone as well; other text is neither before nor
    after anything."""
    assert not person("trait('seen').before_date(2999-01-01)", seen=f'"{text}"')


@pytest.mark.parametrize("text", ["2024-03-31T12:00:00", "2024-02-30", "2024-3-1", "31.03.2024", "soon", "12", ""])
def test_e25_what_names_no_instant_is_neither_before_nor_after(text):
    for condition in ("before_date(2999-01-01)", "after_date(1000-01-01)", "within_last(9999 days)"):
        assert not person(f"trait('t').{condition}", t=f'"{text}"')


def test_a16_days_are_those_of_the_calendar():
    """Dates: `within_last`, `within_next`, `before_last` and `after_next` count in days of the calendar, in UTC, where
    they are given days, and in exact time where they are given hours."""
    yesterday = '"2024-03-30T00:00:00Z"'
    assert person("trait('seen').within_last(1 day)", seen=yesterday)
    assert not person("trait('seen').within_last(24 hours)", seen=yesterday)
    assert person("trait('seen').before_last(1 day)", seen=yesterday)
    assert person("trait('due').within_next(1 day)", due='"2024-04-01T23:59:59Z"')
    assert not person("trait('due').within_next(24 hours)", due='"2024-04-01T23:59:59Z"')
    assert person("trait('due').after_next(1 day)", due='"2024-04-01T23:59:59Z"')


def test_q15_relative_dates_are_of_properties_too():
    rows = "profile|timestamp|p.due\n1|d-1|2024-04-02\n1|d-1|2024-03-30\n1|d-1|2024-05-01\n"
    assert trait_values("event('E').where(property('due').within_next(7 days)).count()", rows) == {1: 1}


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


def test_n45_nothing_known_is_neither_recent_nor_long_ago():
    """Dates: …What is missing is neither recent nor long ago."""
    assert not person("trait('seen').before_last(60 days)")
    assert person("trait('seen').before_last(60 days) OR trait('seen').absent()")


# --- missing ----------------------------------------------------------------------------------------


def test_q20_what_is_missing_is_asked_for_by_name():
    """Missing values: Whoever means "another one, or none" says so."""
    text = "trait('plan') != 'free' OR trait('plan').absent()"
    assert person(text)
    assert person(text, plan='"pro"')
    assert not person(text, plan='"free"')


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

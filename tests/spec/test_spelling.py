"""The query language: ways to write one thing, each with the one in which it is printed."""

from populace import query
from tests.spec.evaluating import as_read


def test_q6_a_comparison_has_a_sign_and_a_name():
    """Ways to write it: A comparison has a sign and a name."""
    assert as_read("trait('plan').equals('pro')") == "trait('plan') = 'pro'"
    assert as_read("trait('plan').differs('pro')") == "trait('plan') != 'pro'"
    assert as_read("trait('age').greater_than(18)") == "trait('age') > 18"
    assert as_read("trait('age').at_least(18)") == "trait('age') >= 18"
    assert as_read("trait('age').less_than(18)") == "trait('age') < 18"
    assert as_read("trait('age').at_most(18)") == "trait('age') <= 18"


def test_q11_equality_has_one_sign_or_two():
    """Ways to write it: …One `=` or two, a bare constant or `literal(…)`, single quotes or double ones are the same."""
    assert as_read("trait('age') == 18") == "trait('age') = 18"
    assert as_read("trait('age') = literal(18)") == "trait('age') = 18"
    assert as_read('trait("name") = "it\'s"') == r"trait('name') = 'it\'s'"


def test_q12_and_q13_braces_and_brackets():
    """Ways to write it: …Braces in `where` and `sources`, and brackets around several values, may stand or not."""
    found = as_read("event('E').where({property('price') > 100}).count() >= 1")
    assert found == "event('E').where(property('price') > 100).count() >= 1"
    found = as_read("event('E').sources({exclude: ['test','qa']}).count() >= 1")
    assert found == "event('E').sources(exclude: 'test', 'qa').count() >= 1"
    assert as_read("trait('plan').one_of(['free','pro'])") == "trait('plan').one_of('free', 'pro')"


def test_q17_a_dot_of_a_name_is_escaped():
    """Ways to write it: A dot that belongs to a name has a backslash, or two, or four."""
    for backslashes in (1, 2, 4):
        assert as_read("trait('acme" + "\\" * backslashes + ".id').exists()") == r"trait('acme\.id').exists()"


def test_n47_instants_are_printed_in_utc():
    """Ways to write it: …An instant may have any zone, and is one in UTC without."""
    assert as_read("trait('seen') < 2024-06-30T14:00:00+02:00") == "trait('seen') < 2024-06-30T12:00:00Z"
    assert as_read("trait('seen') < 2024-06-30T12:00:00") == "trait('seen') < 2024-06-30T12:00:00Z"


def test_q1_space_is_free():
    """Ways to write it: …Space and lines are free between the parts, and a length may be of `1 days`."""
    found = as_read("event( 'E' )\n  .within( 1 days )\n  .count( )", parse=query.parse_trait)
    assert found == "event('E').within(1 day).count()"

"""Computed traits of accounts: over the events of all their users together, or of those that name the account."""

from datetime import timedelta

import pytest

from tests.groups import IDENTIFIERS
from tests.tables import AS_OF

COUNT = "event('E').count()"
SUM = "event('E').sum(property('n'))"


def named(context_group):
    return f'{{"groupId":"{context_group}"}}'


LINKED = "type|user_id|group_id|event|timestamp|properties|context\ngroup|u1|g1||d-9||\ngroup|u2|g1||d-9||\n"
LINKED += "group|u2|g2||d-9||\ngroup|anonymous|g3||d-9||\n"


def events(*rows):
    return LINKED + "\n".join(rows)


def test_t11_a_trait_of_an_account_is_over_the_events_of_all_its_users(groups):
    text = events('track|u1||E|d-5|{"n":1}|', 'track|u2||E|d-4|{"n":2}|', 'track|u2||E|d-3|{"n":4}|')
    found = groups(text, traits={"count": COUNT, "sum": SUM})
    assert found.values("count") == {"g1": 3, "g2": 2}
    assert found.values("sum") == {"g1": 7.0, "g2": 6.0}


def test_t11_users_have_no_trait_of_accounts_and_accounts_none_of_users(groups):
    found = groups(events("track|u1||E|d-5||", "track|u3||E|d-5||"), traits={"t": COUNT}, user_traits={"own": COUNT})
    assert found.values("t") == {"g1": 1}
    assert found.values("own") == {"u1": 1, "u3": 1}


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("event('E').first(property('n'))", 1),
        ("event('E').last(property('n'))", 5),
        ("event('E').max(property('n'))", 5),
        ("event('E').min(property('n'))", 1),
        ("event('E').avg(property('n'))", 2.75),
        ("event('E').mode(property('n'), 2)", "1"),
        ("event('E').unique(property('n'))", ["1", "4", "5"]),
        ("event('E').unique(property('n')).count()", 3),
        ("event('E').within(3 days).count()", 2),
        ("event('E').where(property('n') > 1).count()", 2),
        ("event('E').expires_after(36 hours).count()", 2),
        ("event('E').where(event('E').within(parent: 36 hours).count() = 1).first(property('n'))", 4),
        ("event('E').where(property('n') = 4).last(property('timestamp'))", "2024-03-29T00:00:00.000Z"),
    ],
)
def test_t11_every_function_sees_the_events_of_all_users_as_one(groups, query, value):
    rows = [
        'track|u1||E|d-9|{"n":1}|',
        'track|u2||E|d-7|{"n":1}|',
        'track|u1||E|d-2.5|{"n":4}|',
        'track|u2||E|d-1.5|{"n":5}|',
    ]
    assert groups(events(*rows), traits={"t": query}).values("t")["g1"] == value


def test_t11_an_event_counts_for_every_account_of_its_user_whichever_it_names(groups):
    """I-74, A-94: what an event says of its group is ignored, unless `events_of` says otherwise."""
    found = groups(events(f"track|u2||E|d-5||{named('g1')}", f"track|u1||E|d-5||{named('g2')}"), traits={"t": COUNT})
    assert found.values("t") == {"g1": 2, "g2": 1}


def test_t11_users_count_from_their_first_event_if_they_are_linked_now(groups):
    found = groups(events("track|u1||E|d-200||"), traits={"t": COUNT})
    assert found.values("t") == {"g1": 1}


def test_t11_users_that_are_not_linked_any_more_do_not_count(groups):
    text = events("track|u1||E|d-8||", "track|u2||E|d-8||", "group|u2|g1||d-2||")
    found = groups(text, traits={"t": COUNT}, rules={"link_ttl": "5 days"})
    assert found.values("t") == {"g1": 1}


def test_t11_a_user_of_several_names_counts_once(groups):
    text = """
        type     | user_id | anonymous_id | group_id | event | timestamp
        group    | u1      |              | g1       |       | d-9
        group    |         | a1           | g1       |       | d-8
        identify | u1      | a1           |          |       | d-7
        track    | u1      |              |          | E     | d-3
        track    |         | a1           |          | E     | d-2
    """
    assert groups(text, traits={"t": COUNT}).values("t") == {"g1": 2}


def test_t11_anonymous_users_count(groups):
    text = "type|user_id|anonymous_id|group_id|event\ngroup||a1|g1|\ntrack||a1||E"
    assert groups(text, traits={"t": COUNT}).values("t") == {"g1": 1}


def test_t11_what_comes_after_as_of_does_not_count(groups):
    found = groups(events("track|u1||E|d-5||", "track|u1||E|d+1||", "group|u1|g2||d+1||"), traits={"t": COUNT})
    assert found.values("t") == {"g1": 1}
    assert found.again(AS_OF + timedelta(days=1)).values("t") == {"g1": 2, "g2": 2}


def test_o15_an_event_may_count_for_the_account_alone_that_it_names(groups):
    text = events(
        f"track|u2||E|d-5||{named('g1')}",
        f"track|u2||E|d-4||{named('g2')}",
        f"track|u2||E|d-3||{named('g2')}",
        f"track|u1||E|d-3||{named('g2')}",  # not linked to it
        "track|u2||E|d-2||",
    )
    each = {"query": COUNT, "events_of": "account"}
    found = groups(text, traits={"own": each, "all": COUNT})
    assert found.values("own") == {"g1": 1, "g2": 2}
    assert found.values("all") == {"g1": 5, "g2": 4}


def test_o15_it_may_be_written_for_some_events_alone(groups):
    after = "event('E').where(event('F').of_account().within(parent: 5 days).count() >= 1).count()"
    text = events("track|u2||E|d-5||", f"track|u2||F|d-4||{named('g1')}", f"track|u2||F|d-8||{named('g2')}")
    assert groups(text, traits={"t": after}).values("t") == {"g1": 1}


def test_o15_the_account_that_an_event_names_is_normalised(groups):
    rules = {"identifiers": IDENTIFIERS | {"group_id": {"normalize": "trim_lower"}}}
    text = events(f"track|u1||E|d-5||{named(' G1 ')}", f"track|u1||E|d-4||{named('g9')}")
    each = {"query": COUNT, "events_of": "account"}
    assert groups(text, traits={"own": each}, rules=rules).values("own") == {"g1": 1}


def test_o15_properties_and_filters_are_those_of_the_events_that_count(groups):
    text = events(
        f'track|u1||E|d-5|{{"n":1}}|{named("g1")}',
        f'track|u2||E|d-4|{{"n":2}}|{named("g1")}',
        f'track|u2||E|d-3|{{"n":4}}|{named("g2")}',
    )
    last = {"query": "event('E').last(property('n'))", "events_of": "account"}
    after = {"query": "event('E').where(event('E').within(parent: 5 days).count() >= 1).count()"}
    found = groups(text, traits={"last": last, "own": after | {"events_of": "account"}, "all": after})
    assert found.values("last") == {"g1": 2, "g2": 4}
    assert found.values("own") == {"g1": 1}
    assert found.values("all") == {"g1": 2, "g2": 1}


def test_q8_inside_where_trait_is_the_accounts(groups):
    text = """
        type     | user_id | group_id | event | timestamp | properties | traits
        group    | u1      | g1       |       | d-9       |            | {"limit":3}
        group    | u2      | g1       |       | d-9       |            |
        group    | u2      | g2       |       | d-9       |            | {"limit":1}
        identify | u2      |          |       | d-9       |            | {"limit":0}
        track    | u1      |          | E     | d-5       | {"n":5}    |
        track    | u2      |          | E     | d-4       | {"n":2}    |
        track    | u2      |          | E     | d-3       | {"n":3}    |
    """
    traits = {
        "above": "event('E').where(property('n') > trait('limit')).count()",
        "mean": "event('E').avg(property('n'))",
        "over": "event('E').where(property('n') > trait('mean')).sum(property('n'))",
    }
    found = groups(text, traits=traits)
    assert found.values("above") == {"g1": 1, "g2": 2}
    assert found.values("over") == {"g1": 5.0, "g2": 3.0}


def test_t19_a_count_of_an_account_reads_zero_where_there_is_none(groups):
    traits = {"calls": "event('Call').count()", "quiet": "event('E').where(trait('calls') = 0).count()"}
    found = groups(events("track|u1||E|d-5||", "track|u2||Call|d-5||", "group|u1|g4||d-1||"), traits=traits)
    assert found.values("quiet") == {"g4": 1}

"""Funnels: what follows an event, or does not."""

import pytest

from populace import query, traits
from tests.spec.evaluating import members, trait_values
from tests.tables import AS_OF, events

ABANDONED = "event('Added').where(event('Ordered').within(parent: 1 day).count() = 0).within(7 days).count() >= 1"
FOLLOWED = "event('Added').where(event('Ordered').within(parent: 1 day).count() >= 1).within(7 days).count() >= 1"


def moments(added, ordered=()):
    """Tables of one person, who added and ordered at these moments."""
    tables = {"Added": added, "Ordered": ordered}
    return {name: "profile|timestamp\n" + "".join(f"1|{at}\n" for at in each) for name, each in tables.items() if each}


@pytest.mark.parametrize(
    ("added", "ordered", "expected"),
    [
        pytest.param(["d-3"], ["d-2"], [], id="the end is included"),
        pytest.param(["d-3"], ["d-1.9"], [1], id="too late"),
        pytest.param(["d-8"], [], [], id="outside of the window"),
        pytest.param([], ["d-1"], [], id="no parent"),
    ],
)
def test_a51_every_parent_counts_on_its_own(added, ordered, expected):
    assert members(ABANDONED, moments(added, ordered)) == expected


@pytest.mark.parametrize(("added", "ordered"), [(["d-0.1"], []), (["d-3", "d-0.5"], ["d-2.9"])])
def test_a53_a_funnel_may_wait_until_its_window_is_over(added, ordered):
    assert members(ABANDONED, moments(added, ordered)) == [1]
    assert members(ABANDONED, moments(added, ordered), wait_for_window=True) == []
    assert members(ABANDONED, moments(["d-1"], ordered), wait_for_window=True) == [1]


def test_a53_each_parent_waits_for_its_own_window():
    followed = "event('B').where(event('C').within(parent: 2 days).count() = 0).between(parent: 3 hours, 1 hour)"
    found = query.waiting(query.parse_trait(f"event('A').where({followed}.count() >= 1).count()"))
    waits = f"{followed}.between(2 days, 36500 days)"
    expected = f"event('A').where({waits}.count() >= 1).between(3 hours, 36500 days).count()"
    assert found == query.parse_trait(expected)


def test_a53_a_parent_waits_for_the_longest_of_its_windows():
    two = "event('B').within(parent: 1 day).count() = 0 AND event('C').within(parent: 2 days).count() = 0"
    found = query.waiting(query.parse_trait(f"event('A').where({two}).count()"))
    assert found == query.parse_trait(f"event('A').where({two}).between(2 days, 36500 days).count()")


def test_a53_what_has_no_window_of_a_parent_does_not_wait():
    for text in (FOLLOWED.replace("within(parent: 1 day)", "within(1 day)"), "event('A').within(1 day).count() >= 1"):
        assert query.waiting(query.parse_audience(text)) == query.parse_audience(text)


def test_a50_and_n54_and_then_did():
    """Funnels: "And then did": something followed one of the parents in time, the end of the time included."""
    assert members(FOLLOWED, moments(["d-3"], ["d-2"])) == [1]
    assert members(FOLLOWED, moments(["d-3"], ["d-1.9"])) == []


def test_a52_and_then_did_is_of_any_parent():
    assert members(FOLLOWED, moments(["d-3", "d-2"], ["d-2.9"])) == [1]
    assert members(FOLLOWED, moments(["d-3"], ["d-3.1"])) == []
    assert members(FOLLOWED, moments(["d-3"])) == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [("1|d-1|d-1|m2", 1), ("1|d-1|d-0.5|m0", 1), ("1|d-1|d-2|m9", 0), ("1|d-1|d-1|m1", 0), ("1|d-1|d-1|m0", 0)],
)
def test_a54_what_follows_is_strictly_later_in_the_order_of_events(row, expected):
    """Funnels: Of two events of one instant the one that arrived later follows, or else that of the greater
    `message_id`."""
    head = "profile|timestamp|received_at|message_id\n"
    tables = {"Added": f"{head}1|d-1|d-1|m1\n", "Ordered": f"{head}{row}\n"}
    assert members(FOLLOWED, tables) == [1] * expected


def test_a54_an_event_does_not_follow_itself():
    """Funnels: …An event does not follow itself; another one of its name does."""
    text = "event('Viewed').where(event('Viewed').within(parent: 1 day).count() >= 1).count()"
    assert trait_values(text, "profile|timestamp\n1|d-3\n1|d-2.5\n1|d-1\n2|d-1\n", event="Viewed") == {1: 1}


def test_q25_what_follows_is_of_the_same_person():
    """Funnels: …What follows is of the same person."""
    tables = {"Added": "profile|timestamp\n1|d-3\n2|d-3\n", "Ordered": "profile|timestamp\n2|d-2.9\n"}
    assert members(FOLLOWED, tables, profiles="profile|has_known_id\n1|true\n2|true\n") == [2]


def test_t26_events_after_as_of_follow_nothing():
    assert members(ABANDONED, moments(["d-0.1"], ["d+0.1"])) == [1]


def test_n53_a_property_of_the_parent():
    """Funnels: `property(parent: '…')` is a property of the event around."""
    text = (
        "event('Added').where(event('Ordered').where(property('product_id') = property(parent: 'product_id'))"
        ".within(parent: 1 day).count() = 0).count() >= 1"
    )
    added = "profile|timestamp|p.product_id\n1|d-3|a\n"
    assert members(text, {"Added": added, "Ordered": "profile|timestamp|p.product_id\n1|d-2.9|a\n"}) == []
    assert members(text, {"Added": added, "Ordered": "profile|timestamp|p.product_id\n1|d-2.9|b\n"}) == [1]


def test_t10_the_event_around_has_a_source_too():
    text = (
        "event('Added').where(event('Ordered').where(property('source') = property(parent: 'source'))"
        ".within(parent: 1 day).count() = 1).count() = 1"
    )
    rows = {name: f"profile|timestamp|source\n1|{at}|app\n" for name, at in (("Added", "d-3"), ("Ordered", "d-2.9"))}
    assert members(text, rows) == [1]


def test_n57_between_after_the_parent():
    """Funnels: `between(parent: 1 day, 3 days)` leaves out what follows too soon, and what follows too late."""
    text = "event('Added').where(event('Ordered').between(parent: 1 day, 3 days).count() >= 1).count() >= 1"
    found = {at: members(text, moments(["d-5"], [at])) for at in ("d-4.1", "d-4", "d-3", "d-2", "d-1.9")}
    assert found == {"d-4.1": [], "d-4": [1], "d-3": [1], "d-2": [1], "d-1.9": []}


def test_a52_any_reducer_follows():
    text = "event('Added').where(event('Ordered').within(parent: 2 days).{}).count()"
    rows = {
        "Added": "profile|timestamp\n1|d-5\n1|d-2\n",
        "Ordered": "profile|timestamp|p.x\n1|d-4|5\n1|d-3.5|7\n1|d-1|2\n",
    }
    for call, expected in {
        "sum(property('x')) = 12": 1,
        "avg(property('x')) = 6": 1,
        "max(property('x')) <= 7": 2,
        "last(property('x')) = 7": 1,
        "first(property('x')) = 2": 1,
        "mode(property('x'), 1) = '5'": 1,
        "unique(property('x')).count() = 2": 1,
        "count() > 5": 0,
    }.items():
        assert members(f"{text.format(call)} = {expected}", rows) == [1], call


def test_a55_a_funnel_in_a_funnel():
    """Funnels: Funnels nest; the parent is always the next event around."""
    text = (
        "event('Added').where(event('Ordered').where(event('Returned').within(parent: 1 day).count() >= 1)"
        ".within(parent: 2 days).count() >= 1).count() >= 1"
    )
    rows = moments(["d-5"], ["d-4"])
    assert members(text, rows | {"Returned": "profile|timestamp\n1|d-3.5\n"}) == [1]
    assert members(text, rows | {"Returned": "profile|timestamp\n1|d-4.5\n"}) == []


def test_a55_funnels_in_funnels():
    text = (
        "event('A').where(event('B').where(event('C').where(property('x') = property(parent: 'x'))"
        ".within(parent: 1 day).count() >= 1).within(parent: 1 day).count() >= 1).count()"
    )
    rows = {
        "A": "profile|timestamp\n1|d-9\n1|d-5\n",
        "B": "profile|timestamp|p.x\n1|d-8.5|1\n1|d-4.5|2\n",
        "C": "profile|timestamp|p.x\n1|d-8.2|2\n1|d-4.2|2\n",
    }
    assert members(f"{text} = 1", rows) == [1]


def test_q25_without_a_window_of_the_parent_it_is_all_of_the_persons_events():
    """Funnels: Without `parent:` an event inside `where` is any event of the person, and its window ends now."""
    text = "event('Added').where(event('Ordered').count() >= 2).count() >= 1"
    assert members(text, moments(["d-1"], ["d-9", "d-0.5"])) == [1]
    assert members(text, moments(["d-1"], ["d-9"])) == []
    recent = "event('Added').where(event('Ordered').within(2 days).count() >= 1).count() >= 1"
    assert members(recent, moments(["d-9"], ["d-1"])) == [1]
    assert members(recent, moments(["d-9"], ["d-3"])) == []


def test_a60_funnels_beside_others_of_one_table():
    later = "event('Added').where(NOT event('Ordered').count() = 0).count() = 2"
    text = f"{ABANDONED} AND event('Added').count() = 2 AND {later}"
    assert members(text, moments(["d-3", "d-2"], ["d-2.9"])) == [1]


def test_what_a_funnel_reads():
    queries = [query.parse_audience(ABANDONED.replace("1 day", "30 days"))]
    needs = traits.requirements(queries)
    assert {name: each.window.days for name, each in needs.items()} == {"Added": 7, "Ordered": 7}
    assert traits.explain(queries)["Ordered"] == ["event('Ordered').within(parent: 30 days).count()"]


def test_very_many_events_of_one_person_are_paired_by_time():
    times = [f"1|d-{number / 100}\n" for number in range(1, 3_000)]
    rows = "profile|timestamp\n" + "".join(times)
    node = query.parse_trait("event('A').where(event('B').within(parent: 1 hour).count() = 4).count()")
    found = traits.reduce({"A": events(rows), "B": events(rows)}, [node], AS_OF)
    assert found.drop("profile").item() == 2_995


def test_a55_funnels_nest_to_any_depth_at_the_cost_of_a_few():
    # Every event follows every earlier one: twelve levels of pairs of pairs would be more than there is memory for.
    rows = "profile|timestamp\n" + "".join(f"1|d-{number / 100}\n" for number in range(60))
    text = "event('A').within(parent: 1 day).count()"
    for _ in range(11):
        text = f"event('A').where({text} >= 1).within(parent: 1 day).count()"
    assert trait_values(f"event('A').where({text} >= 1).count()", rows, event="A") == {1: 48}

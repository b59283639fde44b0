"""The vectors W1 to W22 of the reference, 4.12: its events, its queries, its answers."""

from datetime import timedelta

from tests.spec.evaluating import members, members_of, trait_values
from tests.tables import AS_OF

SIGNED_UP = "event('Signed Up').within(7 days).count() >= 1"
ACTIVE = "event('Viewed').between(30 days, 90 days).count() >= 1"
ABANDONED = "event('Added').where(event('Ordered').within(parent: 1 day).count() = 0).within(7 days).count() >= 1"
PRICES = "profile|timestamp|p.price\n1|d-2|5\n1|d-1|\n"


def at(*moments):
    """The events of one person at these moments."""
    return "profile|timestamp\n" + "".join(f"1|{moment}\n" for moment in moments)


# --- windows ----------------------------------------------------------------------------------------


def test_w1_what_happened_six_days_ago_is_within_seven():
    """Windows: `within(7 days)` looks at the last 7 × 24 hours."""
    assert members(SIGNED_UP, {"Signed Up": at("d-6")}) == [1]


def test_w2_the_very_beginning_of_a_window_belongs_to_it():
    """Windows: …The instant at which it begins belongs to it."""
    assert members(SIGNED_UP, {"Signed Up": at("d-7")}) == [1]


def test_w3_a_second_before_the_window_is_outside_of_it():
    """Windows: …A second earlier does not."""
    assert members(SIGNED_UP, {"Signed Up": at("2024-03-24T11:59:59")}) == []


def test_w4_between_looks_at_a_while_ago():
    """Windows: `between(30 days, 90 days)` looks at the time from 90 days ago to 30 days ago."""
    assert members(ACTIVE, {"Viewed": at("d-40")}) == [1]


def test_w5_who_was_active_again_has_not_lapsed():
    """Windows: …Two windows tell who was here once and is not any more."""
    lapsed = f"{ACTIVE} AND event('Viewed').within(30 days).count() = 0"
    assert members(lapsed, {"Viewed": at("d-40", "d-3")}) == []
    assert members(lapsed, {"Viewed": at("d-40")}) == [1]


def test_w6_nobody_has_to_have_events():
    """Missing values: Somebody without a single event has a count of 0."""
    assert members("event('Ordered').count() = 0") == [1]


# --- funnels ----------------------------------------------------------------------------------------


def test_w7_and_then_did_not_ends_when_they_did():
    """Funnels: "And then did not": nothing followed in time."""
    assert members(ABANDONED, {"Added": at("d-3"), "Ordered": at("d-2.9")}) == []


def test_w8_every_parent_counts_on_its_own():
    """Funnels: …One such parent is enough, whatever followed others."""
    assert members(ABANDONED, {"Added": at("d-3", "d-2"), "Ordered": at("d-2.9")}) == [1]


def test_w10_what_came_before_does_not_follow():
    """Funnels: …What came before does not follow."""
    assert members(ABANDONED, {"Added": at("d-3"), "Ordered": at("d-3.1")}) == [1]


def test_w9_who_did_not_yet_is_in_unless_the_audience_waits():
    """Funnels: Who can still do it has not done it yet; `wait_for_window: true` counts a parent only when its time is
    over."""
    tables = {"Added": at("d-0.1")}
    assert members(ABANDONED, tables) == [1]
    assert members(ABANDONED, tables, wait_for_window=True) == []


# --- missing values ---------------------------------------------------------------------------------


def test_w11_missing_is_not_different():
    """Missing values: A comparison of what is missing is false, also `!=`: it needs a value."""
    assert members("event('Ordered').where(property('price') != 5).count() >= 1", {"Ordered": PRICES}) == []


def test_w12_not_is_the_plain_opposite():
    """Missing values: …`NOT` is the plain opposite, and does not."""
    assert members("event('Ordered').where(NOT property('price') = 5).count() >= 1", {"Ordered": PRICES}) == [1]


# --- values apart -----------------------------------------------------------------------------------


def test_w13_of_equally_frequent_values_the_first_by_the_alphabet():
    """Distinct values: `mode(field, 2)` is the value seen most often; of several, the first by the alphabet."""
    rows = "profile|timestamp|p.category\n1|d-4|b\n1|d-3|a\n1|d-2|b\n1|d-1|a\n"
    assert trait_values("event('V').mode(property('category'), 2)", rows, event="V") == {1: "a"}


def test_w14_seen_less_often_than_asked_is_no_value():
    """Distinct values: …One that was seen less often than asked for is none."""
    rows = "profile|timestamp|p.category\n1|d-2|a\n1|d-1|b\n"
    assert trait_values("event('V').mode(property('category'), 2)", rows, event="V") == {}


def test_w15_the_greatest_is_a_number_unless_asked_for_as_text():
    """Least and greatest: `max` and `min` look at numbers, text that is a number included; `as string`, at texts."""
    rows = 'profile|timestamp|p.x:json\n1|d-3|"10"\n1|d-2|"9"\n1|d-1|11\n'
    assert trait_values("event('E').max(property('x'))", rows) == {1: 11}
    assert trait_values("event('E').max(property('x') as string)", rows) == {1: "9"}


def test_w16_unique_values_are_sorted_and_counted():
    """Distinct values: `unique(field)` is the list of distinct values, sorted; `.count()` after it says how many."""
    rows = "profile|timestamp|p.sku\n1|d-3|B\n1|d-2|A\n1|d-1|B\n"
    assert trait_values("event('E').unique(property('sku'))", rows) == {1: ["A", "B"]}
    assert trait_values("event('E').unique(property('sku')).count()", rows) == {1: 2}


# --- traits and people ------------------------------------------------------------------------------


def test_w17_today_is_within_the_next_days():
    """Dates: `within_last` and `within_next` include today."""
    custom = 'profile|name|value|timestamp\n1|renewal_date|"2024-03-31"|d-9\n'
    assert members("trait('renewal_date').within_next(14 days)", custom=custom) == [1]
    assert members("trait('renewal_date').within_last(14 days)", custom=custom) == [1]


def test_w18_a_missing_plan_is_none_of_nothing_and_omits_everything():
    """Missing values: `none_of` needs a value; `omits` is the opposite of `contains`, and does not."""
    assert members("trait('plan').none_of('free')") == []
    assert members("trait('plan').omits('fr')") == [1]


def test_w19_an_audience_that_is_gone_has_no_members():
    tables, inside = {"Signed Up": at("d-6")}, "trait('k') = 'true'"
    yesterday = AS_OF - timedelta(days=1)
    assert members_of({"k": SIGNED_UP, "a": inside}, tables, as_of=yesterday) == {"k": [1], "a": [1]}
    assert members_of({"a": inside}, tables) == {"a": []}


def test_w20_who_is_only_known_by_a_browser_is_no_member():
    """Who can be a member: Only somebody with a `user_id` or an `email`, or an advertising id of a phone
    (`ios.idfa`, `android.idfa`)."""
    known_by_browser = "profile|has_known_id\n1|false\n"
    assert members(SIGNED_UP, {"Signed Up": at("d-6")}, profiles=known_by_browser) == []
    assert members("event('Ordered').count() = 0", profiles=known_by_browser) == []


def test_w21_the_newest_value_of_a_trait_is_that_of_the_newest_event():
    """Traits and audiences: A custom trait has the value of the newest call that set it, not of the last to arrive."""
    custom = """
        profile | name | value | timestamp           | received_at
        1       | vip  | true  | 2024-03-31T10:00:00 | 2024-03-31T10:00:01
        1       | vip  | false | 2024-03-31T09:00:00 | 2024-03-31T11:00:00
    """
    assert members("trait('vip') = 'true'", custom=custom) == [1]


def test_w22_the_newest_session():
    """Sessions: `expires_after(1800 seconds)` looks at the newest session: it ended where half an hour passed without
    an event."""
    rows = at("2024-03-31T10:00:00", "2024-03-31T10:20:00", "2024-03-31T11:30:00")
    now = AS_OF - timedelta(minutes=20)
    text = "event('Page Viewed').expires_after(1800 seconds).count()"
    assert trait_values(text, rows, event="Page Viewed", as_of=now) == {1: 1}

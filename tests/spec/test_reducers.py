"""Reducers beyond counting and summing, and the streams that they look at."""

import pytest

from populace import query, traits
from tests.spec.evaluating import members, refusal, trait_values
from tests.tables import AS_OF, events

MIXED = """
    profile | timestamp | p.x:json
    1       | d-3       | "10"
    1       | d-2       | "9"
    1       | d-1       | 11
    2       | d-1       | "many"
    2       | d-1       | [12]
    2       | d-1       | true
"""


def of_e(call, rows):
    return trait_values(f"event('E').{call}", rows)


# --- numbers ----------------------------------------------------------------------------------------


def test_d10_an_average_takes_numeric_text():
    assert of_e("avg(property('x'))", MIXED) == {1: 10.0}


def test_n69_the_greatest_of_several_types():
    assert of_e("max(property('x'))", MIXED) == {1: 11.0}
    assert of_e("max(property('x') as number)", MIXED) == {1: 11.0}
    assert of_e("max(property('x') as string)", MIXED) == {1: "9", 2: "true"}


def test_n22_the_least_is_a_number_unless_it_is_asked_for_as_text():
    assert of_e("min(property('x'))", MIXED) == {1: 9.0}
    assert of_e("min(property('x') as string)", MIXED) == {1: "10", 2: "many"}


def test_n68_the_least_and_greatest_of_whole_numbers_are_exact():
    rows = "profile|timestamp|p.x\n1|d-2|9007199254740993\n1|d-1|-9007199254740993\n"
    assert of_e("max(property('x'))", rows) == {1: 9007199254740993}
    assert of_e("min(property('x'))", rows) == {1: -9007199254740993}


def test_sums_are_exact_to_the_sixth_decimal():
    """What has more than 53 bits in millionths is rounded once."""
    assert of_e("sum(property('x'))", "profile|timestamp|p.x\n1|d-2|17021890286\n1|d-1|0.151525\n") == {
        1: 17021890286.151525
    }


def test_n69_numbers_as_text_are_written_as_in_json():
    """Least and greatest: As text, a number is written as in JSON, without the zeros that say nothing."""
    rows = "profile|timestamp|p.version\n1|d-2|10.0\n1|d-1|1.5\n"
    text = "event('App Opened').max(property('version') as string)"
    assert trait_values(text, rows, event="App Opened") == {1: "10"}


def test_t19_nothing_to_reduce_is_no_trait():
    rows = "profile|timestamp|p.x\n1|d-1|\n"
    for call in ("avg(property('x'))", "max(property('x'))", "min(property('y') as string)", "mode(property('x'), 1)"):
        assert of_e(call, rows) == {}
    assert of_e("unique(property('x'))", rows) == of_e("unique(property('x')).count()", rows) == {}


# --- first ------------------------------------------------------------------------------------------


def test_n70_first_is_the_oldest_that_has_the_property():
    """First and last: `first(field)` and `last(field)` are the oldest and the newest value; an event without the field
    is skipped."""
    rows = "profile|timestamp|p.plan\n1|d-4|\n1|d-3|free\n1|d-2|pro\n1|d-1|\n"
    assert trait_values("event('Signed In').first(property('plan'))", rows, event="Signed In") == {1: "free"}
    assert trait_values("event('Signed In').last(property('plan'))", rows, event="Signed In") == {1: "pro"}


def test_e27_first_is_the_one_that_arrived_before_the_others():
    rows = """
        profile | timestamp | received_at | message_id | p.x
        1       | d-3       | d-3         | m0         |
        1       | d-2       | d-1         | m1         | later
        1       | d-2       | d-2         | m9         | first
        1       | d-1       | d-1         | m2         | last
    """
    assert of_e("first(property('x'))", rows) == {1: "first"}
    assert of_e("last(property('x'))", rows) == {1: "last"}


def test_n70_first_and_last_take_context():
    rows = "profile|timestamp|c.campaign.source\n1|d-2|ads\n1|d-1|mail\n"
    assert of_e("first(context('campaign.source'))", rows) == {1: "ads"}


# --- values apart -----------------------------------------------------------------------------------

CATEGORIES = "profile|timestamp|p.c\n1|d-4|b\n1|d-3|a\n1|d-2|b\n1|d-1|a\n2|d-2|a\n2|d-1|b\n"


def test_n72_a_value_must_have_been_seen_often_enough():
    assert of_e("mode(property('c'), 2)", CATEGORIES) == {1: "a"}
    assert of_e("mode(property('c'), 3)", CATEGORIES) == {}
    assert of_e("mode(property('c'), 1)", CATEGORIES) == {1: "a", 2: "a"}


def test_n74_values_are_counted_as_text():
    """Distinct values: `mode` and `unique` look at values as text; objects are skipped."""
    rows = 'profile|timestamp|p.x:json\n1|d-5|1\n1|d-4|"1"\n1|d-3|1.5\n1|d-2|true\n1|d-1|{"a":1}\n'
    assert of_e("mode(property('x'), 2)", rows) == {1: "1"}
    assert of_e("mode(property('x') as number, 2)", rows) == {1: "1"}
    assert of_e("unique(property('x'))", rows) == {1: ["1", "1.5", "true"]}


def test_n75_who_has_no_value_has_no_list():
    rows = "profile|timestamp|p.sku\n1|d-3|B\n1|d-2|A\n1|d-1|B\n2|d-1|\n"
    assert of_e("unique(property('sku'))", rows) == {1: ["A", "B"]}
    assert of_e("unique(property('sku')).count()", rows) == {1: 2}


def test_n74_numbers_in_a_list_are_sorted_as_text():
    """Distinct values: …So numbers are sorted as text."""
    rows = "profile|timestamp|p.size\n1|d-2|9\n1|d-1|10\n"
    assert trait_values("event('Shoes Bought').unique(property('size'))", rows, event="Shoes Bought") == {
        1: ["10", "9"]
    }


def test_t15_a_list_is_cut_and_its_count_is_not():
    """Distinct values: A list holds 10,000 values at most, the first by code points; their count is not bounded."""
    rows = "profile|timestamp|p.x\n" + "".join(f"1|d-1|{number}\n" for number in range(10_001))
    assert of_e("unique(property('x'))", rows) == {1: sorted(map(str, range(10_001)))[:10_000]}
    assert of_e("unique(property('x')).count()", rows) == {1: 10_001}


def test_t19_unique_counts_read_zero_where_nothing_matches():
    text = "event('E').unique(property('never')).count() = 0"
    assert members(text, {"E": CATEGORIES}) == [1]
    assert members("event('E').avg(property('never')) <= 0", {"E": CATEGORIES}) == []


def test_reducers_of_one_stream_and_field_do_not_mix_with_others():
    rows = "profile|timestamp|p.c|p.n\n1|d-9|x|1\n1|d-1|y|2\n2|d-9|x|1\n"
    texts = [
        "event('E').within(2 days).unique(property('c'))",
        "event('E').unique(property('c'))",
        "event('E').unique(property('n')).count()",
        "event('E').within(2 days).mode(property('c'), 1)",
        "event('E').where(property('n') = 1).count()",
    ]
    needed = traits.reducers(map(query.parse_trait, texts))
    found = traits.reduce({"E": events(rows)}, needed, AS_OF).sort("profile")
    assert found.drop("profile").rows() == [(["y"], ["x", "y"], 2, "y", 1), (None, ["x"], 1, None, 1)]


# --- pseudo-properties ------------------------------------------------------------------------------


def test_t10_every_event_has_a_time_a_name_and_a_source():
    """First and last: Every event has `timestamp`, `received_at`, `event` and `source`, read like properties, also in
    conditions."""
    rows = "profile|timestamp|received_at|source\n1|d-2|d-1|web\n1|d-1|d-0.5|app\n"
    assert of_e("first(property('timestamp'))", rows) == {1: "2024-03-29T12:00:00.000Z"}
    assert of_e("last(property('received_at'))", rows) == {1: "2024-03-31T00:00:00.000Z"}
    assert of_e("last(property('source'))", rows) == {1: "app"}
    assert of_e("mode(property('event'), 2)", rows) == {1: "E"}
    assert of_e("where(property('timestamp') < '2024-03-30').count()", rows) == {1: 1}
    assert of_e("where(property('timestamp').after_date(2024-03-30)).count()", rows) == {1: 1}


def test_t10_a_property_of_the_event_goes_first():
    """First and last: …Unless some event of that name has a property of its own that is called so."""
    rows = "profile|timestamp|p.source\n1|d-2|ads\n1|d-1|\n"
    assert of_e("last(property('source'))", rows) == {1: "ads"}
    assert of_e("where(property('source').absent()).count()", rows) == {1: 1}


# --- streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("moment", "expected"), [("d-10", 1), ("d-7", 1), ("d-8", 1), ("d-6.9", 0), ("d-10.1", 0)])
def test_q23_between_has_both_ends(moment, expected):
    rows = {"E": f"profile|timestamp\n1|{moment}\n"}
    assert members(f"event('E').between(7 days, 10 days).count() = {expected}", rows) == [1]
    assert members(f"event('E').between(10 days, 7 days).count() = {expected}", rows) == [1]


def test_n31_events_of_some_sources_are_left_out():
    """Events: `sources(exclude: …)` leaves out the events of these sources, by their names in `sources.yaml`."""
    rows = "profile|timestamp|source\n1|d-3|web\n1|d-2|test\n1|d-1|app\n"
    text = "event('Order Completed').sources(exclude: 'test', 'qa').count()"
    assert trait_values(text, rows, event="Order Completed") == {1: 2}


def test_n31_events_of_all_sources_are_left_out():
    rows = "profile|timestamp|source\n1|d-3|web\n1|d-2|test\n1|d-1|app\n"
    assert of_e("sources({exclude: ['test', 'web', 'app']}).count()", rows) == {}


SESSION = """
    profile | timestamp           | p.seconds
    1       | 2024-03-31T10:00:00 | 1
    1       | 2024-03-31T10:20:00 | 2
    1       | 2024-03-31T11:30:00 | 4
    2       | 2024-03-31T10:00:00 | 1
    2       | 2024-03-31T10:30:00 | 2
    2       | 2024-03-31T11:00:00 | 4
"""


def of_session(call):
    return trait_values(f"event('Page Viewed').{call}", SESSION, event="Page Viewed")


def test_n77_any_reducer_is_of_the_newest_session():
    """Sessions: Every reducer takes a session; a gap of exactly its length does not end it."""
    assert of_session("expires_after(1800 seconds).count()") == {1: 1, 2: 3}
    assert of_session("expires_after(1800 seconds).sum(property('seconds'))") == {1: 4.0, 2: 7.0}
    assert of_session("expires_after(2 hours).first(property('seconds'))") == {1: 1, 2: 1}


def test_t21_a_session_is_of_the_events_that_all_filters_keep():
    """Sessions: It is a session of those events that all filters keep, wherever it stands among them."""
    assert of_session("expires_after(1 hour).where(property('seconds') != 2).count()") == {1: 1, 2: 2}
    assert of_session("where(property('seconds') < 4).expires_after(1800 seconds).count()") == {1: 2, 2: 2}


def test_t21_a_session_outlives_its_gap():
    """Sessions: …The newest session counts until another begins, however long ago it was."""
    rows = "profile|timestamp\n1|d-20\n1|d-9\n"
    assert trait_values("event('Page Viewed').expires_after(1 hour).count()", rows, event="Page Viewed") == {1: 1}


def test_t21_a_session_that_expires_is_over_when_its_gap_is():
    """Sessions: …With `expire:` there is no value once so long has passed; `expire: true` below a trait says so too."""
    rows = "profile|timestamp\n1|2024-03-31T09:00:00\n1|2024-03-31T11:00:00\n2|2024-03-31T10:59:59\n"
    asked = "event('Page Viewed').expires_after({}1 hour).count()"
    assert trait_values(asked.format("expire: "), rows, event="Page Viewed") == {1: 1}
    assert trait_values(asked.format(""), rows, event="Page Viewed") == {1: 1, 2: 1}


def test_t21_a_session_ends_after_half_an_hour_to_90_days():
    """Sessions: A session ends after half an hour to 90 days without an event."""
    message = "a session ends after 30 minutes (1800 seconds) to 90 days without an event"
    for gap in ("1799 seconds", "91 days"):
        assert refusal(f"event('E').expires_after({gap}).count() = 1") == (1, 26, message)

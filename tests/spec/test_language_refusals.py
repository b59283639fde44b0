"""The query language: what it refuses, where it points, and in which words."""

import pytest

from populace import query
from tests.spec.evaluating import refusal

# --- the counter-examples of 5.10 ---------------------------------------------------------------

STREAM = "a stream is not true or false; add .count() >= 1"
NUMBER = "a number is not true or false; compare it, for example >= 1"
FIELD = "property() belongs to an event; use it in where() or in a reducer such as sum() or last()"
ONE_VALUE = "needs a stream of events, and this is a value"
NO_PARENT = "there is no parent event here; parent: stands inside where() of another event()"

COUNTER_EXAMPLES = {
    "X1": ("event('X')", 1, STREAM),
    "X2": ("event('X').where(property('a') > 1)", 1, STREAM),
    "X3": ("event('X').count()", 1, NUMBER),
    "X4": ("property('a') = 1", 1, FIELD),
    "X5": ("event('X').count().count() >= 1", 20, f"count() {ONE_VALUE}; compare it, for example >= 1"),
    "X6": ("event('X').unique(property('a')) >= 3", 1, "a list cannot be compared; add .count() to unique(…)"),
    "X7": ("trait('a').within(7 days)", 12, f"within() {ONE_VALUE}; for a date write within_last(7 days)"),
    "X8": ("event('X').within(2 weeks).count() >= 1", 21, "weeks is not a unit of within(); it takes hours or days"),
    "X9": (
        "event('X').within(30 minutes).count() >= 1",
        22,
        "minutes is not a unit of within(); it takes hours or days",
    ),
    "X10": ("event('X').within(parent: 1 day).count() >= 1", 12, NO_PARENT),
    "X11": (
        "event('X').count() >= 1 XOR trait('b') = 1",
        25,
        "'XOR' cannot stand here; conditions are joined by AND or OR",
    ),
    "X12": ("event('X').count() >= ", 22, "the query ends too early"),
    "X13": (
        "event('X').count() >= 1",
        1,
        "a trait needs a value, and this is true or false; drop the comparison or make it an audience",
    ),
    "X14": (
        "event('X').mode(property('a'))",
        12,
        "mode() takes its minimum frequency as well, for example mode(property('a'), 2)",
    ),
    "X15": ("event('X').sum(property('a') as string)", 16, "'as' belongs in min(), max() and mode()"),
    "X16": (" OR ".join(["trait('a') = 1"] * 51), 1, "51 expressions; a query has at most 50"),
}
OF_TRAITS = ("X13", "X14", "X15")


def check_refusal(*names):
    for name in names:
        text, column, message = COUNTER_EXAMPLES[name]
        parse = query.parse_trait if name in OF_TRAITS else query.parse_audience
        assert refusal(text, parse=parse) == (1, column, message)


def test_x1_to_x3_an_audience_is_true_or_false():
    """What is refused: An audience has to be true or false, and a trait a value."""
    check_refusal("X1", "X2", "X3")


def test_x13_a_trait_is_a_value():
    """What is refused: …"""
    check_refusal("X13")


def test_q2_a_trait_is_computed_from_events():
    """What is refused: …"""
    message = "a trait is computed from events; start with event('…')"
    for text in ("trait('a')", "'a'"):
        assert refusal(text, parse=query.parse_trait) == (1, 1, message)


def test_x4_and_x10_fields_and_parents_belong_to_an_event():
    """What is refused: A property, or a parent, where there is no event; a call after something that it is not for."""
    check_refusal("X4", "X10")


def test_x5_to_x7_each_call_follows_what_it_is_for():
    """What is refused: …"""
    check_refusal("X5", "X6", "X7")


def test_x8_and_x9_windows_have_hours_and_days():
    """What is refused: Other units than hours and days; what joins no conditions, is not complete, or too long."""
    check_refusal("X8", "X9")


def test_x11_and_x12_and_x16_conditions_are_joined_and_counted():
    """What is refused: …"""
    check_refusal("X11", "X12", "X16")


def test_x14_and_x15_reducers_take_what_they_need():
    """What is refused: A reducer with too little, or with what belongs to another; a call that there is not."""
    check_refusal("X14", "X15")


def test_q1_a_misspelt_call_is_told_with_the_nearest_one():
    """What is refused: …"""
    message = "there is no cuont(); did you mean count()?"
    assert refusal("event('X').cuont() >= 1") == (1, 12, message)


def test_q2_a_stream_is_no_trait():
    message = "a stream is not a value; add .count(), .sum(…) or .last(…)"
    assert refusal("event('X')", parse=query.parse_trait) == (1, 1, message)


def test_q7_users_have_no_users():
    message = "ANY belongs in audiences of accounts, and this is about users"
    assert refusal("ANY trait('a') = 1", parse=query.parse_trait) == (1, 1, message)


# --- types, 5.5 ---------------------------------------------------------------------------------

FILTERS = ("where(property('a') = 1)", "sources(exclude: 'a')", "within(1 day)", "between(1 day, 2 days)")
REDUCERS = ("sum", "avg", "min", "max", "first", "last", "unique")
COMPARISONS = (
    *("equals(1)", "differs(1)", "greater_than(1)", "at_least(1)", "less_than(1)", "at_most(1)"),
    *("exists()", "absent()", "one_of(1)", "none_of(1)", "contains('a')", "omits('a')"),
    *("starts_with('a')", "ends_with('a')", "before_date(2000-01-01)", "after_date(2000-01-01)"),
    *("within_last(1 day)", "within_next(1 day)", "before_last(1 day)", "after_next(1 day)"),
)
ON_STREAMS = (
    *(*FILTERS, "expires_after(1 hour)", "count()", "mode(property('a'), 1)"),
    *(f"{name}(property('a'))" for name in REDUCERS),
)


def name_of(call):
    return call[: call.index("(") + 1] + ")"


@pytest.mark.parametrize("call", COMPARISONS)
def test_q3_streams_are_not_compared(call):
    line, column, message = refusal(f"event('E').{call}")
    assert (line, column) == (1, 12)
    assert message.startswith(f"{name_of(call)} compares a value, and this is a stream; ")
    assert refusal(f"event('E').within(1 day).{call}")[1] == 26


@pytest.mark.parametrize("call", ON_STREAMS)
def test_q3_values_are_not_filtered_or_reduced(call):
    for head in ("trait('a')", "literal(1)", "event('E').count()", "event('E').last(property('a'))"):
        line, column, message = refusal(f"{head}.{call} = 1")
        assert (line, column) == (1, len(head) + 2)
        assert message.startswith(f"{name_of(call)} {ONE_VALUE}; ")


@pytest.mark.parametrize("call", [*COMPARISONS, *(each for each in ON_STREAMS if each != "count()")])
def test_q3_lists_are_only_counted(call):
    message = f"{name_of(call)} cannot follow unique(), which is a list; only .count() may"
    assert refusal(f"event('E').unique(property('a')).{call}") == (1, 34, message)


@pytest.mark.parametrize("call", [*COMPARISONS, *ON_STREAMS])
def test_q3_nothing_follows_a_comparison(call):
    message = f"{name_of(call)} cannot follow what is true or false; only AND and OR may"
    assert refusal(f"trait('a').exists().{call}") == (1, 21, message)
    assert refusal(f"trait('a').omits('x').{call}") == (1, 23, message)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("event('E').unique(property('a'))", 1, "a list is not true or false; add .count() >= 1"),
        ("event('E').unique(property('a')).count()", 1, NUMBER),
        ("event('E').avg(property('a'))", 1, NUMBER),
        ("event('E').mode(property('a'), 2)", 1, "a value is not true or false; compare it"),
        ("trait('a').one_of(event('E'))", 19, "a stream cannot be compared"),
        ("trait('a').one_of('x', event('E').unique(property('a')))", 24, "a list cannot be compared"),
        ("trait('a').contains(trait('b').exists())", 21, "true or false already"),
        ("trait('a') = 1 AND trait('b')", 20, "a value is not true or false"),
        ("NOT event('E')", 5, STREAM),
        ("trait('a').one_of(('x' = 'x'))", 20, "true or false already"),
    ],
)
def test_q2_each_place_takes_its_type(text, column, words):
    line, found, message = refusal(text)
    assert (line, found) == (1, column)
    assert words in message


# --- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("event('E').expires_after(parent: 1 hour).count() = 1", 26, "parent: belongs at the start of within(), "),
        ("event('E').sum(parent: property('a')) = 1", 16, "parent: belongs at the start of within(), "),
        ("trait(parent: 'a') = 1", 7, "parent: belongs at the start of within(), "),
        ("trait('a').within_last(parent: 1 day)", 24, "parent: belongs at the start of within(), "),
        ("event('E').between(1 day, parent: 2 days).count() = 1", 27, "parent: belongs at the start of within(), "),
        ("event('E').where(parent: property('a') = 1).count() = 1", 18, "parent: belongs at the start of within(), "),
        ("event('E').within(exclude: 1 day).count() = 1", 19, "exclude: belongs at the start of sources()"),
        ("event('E').within(after: 1 day).count() = 1", 19, "there is no after:"),
    ],
)
def test_q16_labels_stand_where_they_mean_something(text, column, words):
    line, found, message = refusal(text)
    assert (line, found) == (1, column)
    assert words in message


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("event('E').between(parent: 1 day, 2 days).count() = 1", 12),
        ("event('A').where(property(parent: 'x') = 1).count() = 1", 18),
        ("event('A').within(parent: 1 day).where(event('B').count() = 1).count() = 1", 12),
        ("event('A').where(event('B').sum(property('x')) = property(parent: 'x')).count() = 1", 50),
        ("entity('o').where(entity('p').within(parent: 1 day).count() = 1).count() = 1", 31),
    ],
)
def test_x10_parent_needs_an_event_around(text, column):
    assert refusal(text) == (1, column, NO_PARENT)


def test_q3_a_reducer_takes_a_property_of_its_own_rows():
    text = "event('A').where(event('B').sum(property(parent: 'x')) = 1).count() = 1"
    assert refusal(text) == (1, 33, "sum() takes a property of its own rows, not of their parent")


@pytest.mark.parametrize("unit", ["minute", "minutes", "weeks", "months", "Hours", "second", "seconds"])
def test_q18_no_other_units(unit):
    for call in ("within", "within_last", "within_next", "before_last", "after_next"):
        message = f"{unit} is not a unit of {call}(); it takes hours or days"
        text = f"event('E').{call}(90 {unit})" if call == "within" else f"trait('a').{call}(90 {unit})"
        assert refusal(text) == (1, len(f"event('E').{call}(90 ") + 1, message)
    assert "it takes hours or days" in refusal(f"event('E').between(1 day, 90 {unit}).count() = 1")[2]


def test_q18_sessions_have_seconds_and_no_minutes():
    message = "minutes is not a unit of expires_after(); it takes seconds, hours or days"
    assert refusal("event('E').expires_after(30 minutes).count() = 1") == (1, 29, message)


@pytest.mark.parametrize(
    "gap",
    [
        "0 hours",
        "-1 hour",
        "1.5 hours",
        "2161 hours",
        "7776001 seconds",
        "9" * 5000 + " days",
    ],
)
def test_t21_sessions_have_bounds(gap):
    message = "a session ends after 30 minutes (1800 seconds) to 90 days without an event"
    assert refusal(f"event('E').expires_after({gap}).count() = 1") == (1, 26, message)


@pytest.mark.parametrize("quantifier", ["ANY", "ALL"])
def test_q7_any_and_all_are_for_accounts(quantifier):
    message = f"{quantifier} belongs in audiences of accounts, and this is about users"
    assert refusal(f"trait('b') = 1 OR {quantifier} trait('a') = 1") == (1, 19, message)


@pytest.mark.parametrize(
    "text", ["ANY ALL trait('a') = 1", "ANY (trait('b') = 1 AND NOT ALL trait('a') = 1)", "ANY ANY trait('a') = 1"]
)
def test_q27_any_and_all_do_not_nest(text):
    inner = "ALL" if "ALL" in text else "ANY"
    message = f"{inner} cannot stand inside another ANY or ALL"
    assert refusal(text, "accounts") == (1, text.rindex(inner) + 1, message)


def test_q27_any_and_all_stand_outside_of_where():
    message = "ALL is about the users of an account; it cannot stand inside where()"
    assert refusal("ANY event('E').where(ALL trait('a') = 1).count() = 1", "accounts") == (1, 22, message)


def test_q26_an_account_has_no_events_of_its_own():
    line, column, message = refusal("trait('a') = 1 AND event('E').count() >= 1", "accounts")
    assert (line, column) == (1, 20)
    assert message == (
        "event() belongs to a user, and this is an account; "
        "write ANY or ALL before the condition, or use trait() of the account's computed trait"
    )
    assert "write ANY or ALL" in refusal("ANY trait('a') = 1 AND event('E').count() >= 1", "accounts")[2]


def test_q25_events_and_rows_of_linked_tables_do_not_mix():
    found = refusal("entity('o').where(event('E').count() >= 1).count() >= 1")
    assert found == (1, 19, "event() cannot stand inside where() of entity()")
    found = refusal("event('E').where(entity('o').count() >= 1).count() >= 1")
    assert found == (1, 18, "entity() cannot stand inside where() of event()")


def test_q14_sessions_are_of_events():
    assert "rows of a linked table have none" in refusal("entity('o').expires_after(1 hour).count() = 1")[2]


def test_rows_of_linked_tables_have_no_context():
    assert refusal("entity('o').where(context('a') = 1).count() = 1")[1:] == (
        19,
        "context() belongs to an event; rows of a linked table have properties only",
    )
    assert refusal("entity('o').last(context('a')) = 1")[1] == 18


@pytest.mark.parametrize(
    "written",
    [
        *("2024-02-30", "2023-02-29", "2024-13-01", "0000-01-01", "2024-6-30", "24-06-30", "2024-06-30T24:00:00Z"),
        *("2024-06-30T12:60:00Z", "2024-06-30T", "2024-06-30T12", "2024-06-30T12:00:00+2", "2024-06-30T12:00:00+99:99"),
        *("2024-06-30T12:00:00.1234567Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
    ],
)
def test_a17_dates_have_to_be_in_the_calendar(written):
    message = f"{written} is not a date of the calendar; write 2024-06-30, or with a time 2024-06-30T23:59:59Z"
    assert refusal(f"trait('a') = {written}") == (1, 14, message)
    assert refusal(f"trait('a').before_date({written})") == (1, 24, message)
    assert "before_date() takes a date; write 2024-06-30" in refusal(f"trait('a').before_date('{written}')")[2]


@pytest.mark.parametrize(
    "than",
    ["'yesterday'", "''", "'2024-06-30T12:00:00'", "'2024-06-30 12:00:00Z'", "5", "trait('b')", "trait('b') = 1"],
)
def test_a15_before_date_takes_a_date(than):
    message = "after_date() takes a date; write 2024-06-30, or with a time 2024-06-30T23:59:59Z"
    assert refusal(f"trait('a').after_date({than})") == (1, 23, message)


@pytest.mark.parametrize(
    ("call", "column", "message"),
    [
        ("mode(property('a'), 0)", 32, "the minimum frequency of mode() is a whole number of at least 1"),
        ("mode(property('a'), 1.5)", 32, "the minimum frequency of mode() is a whole number of at least 1"),
        ("mode(property('a'), '2')", 32, "the minimum frequency of mode() is a whole number of at least 1"),
        ("mode(property('a'), -2)", 32, "the minimum frequency of mode() is a whole number of at least 1"),
        ("mode(property('a') as date, 2)", 34, "mode() has no 'as date'; it takes as string or as number or as array"),
        ("min(property('a') as array)", 33, "min() has no 'as array'; it takes as number or as string"),
        ("max(property('a'), 2)", 12, "max() takes one argument"),
        ("count() as string", 20, "'as' cannot stand here; it belongs in min(), max() and mode()"),
        ("first(property('a') as string)", 18, "'as' belongs in min(), max() and mode()"),
    ],
)
def test_x14_and_x15_as_and_minimum_frequency(call, column, message):
    assert refusal(f"event('E').{call}", parse=query.parse_trait) == (1, column, message)


@pytest.mark.parametrize("name", ["$", "items.$.sku", "items.$"])
def test_a14_any_element_belongs_in_properties(name):
    for call in ("trait", "context"):
        text = f"{call}('{name}') = 1" if call == "trait" else f"event('E').last({call}('{name}')) = 1"
        assert "$ (any element of an array)" in refusal(text)[2]
    message = "$ (any element of an array) follows the name of the array, for example 'items.$.sku'"
    assert refusal("event('E').sum(property('$.a')) = 1") == (1, 25, message)

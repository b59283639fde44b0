"""The examples of the reference, 5.7 and 5.8, word for word and by their numbers there."""

import re

import pytest

from populace import query
from populace.nodes import Entity, walk

AUDIENCES = {
    "D1": "event('Shoes Bought').where( property('price') >= 100 ).within(7 days).count() >= 1",
    "D2": (
        "event('Shoes Bought').where( property('price') >= trait('avg_spend') AND event('Shoes "
        "Returned').within(parent: 5 days).count() >= 1 ).within(30 days).count() >= 1"
    ),
    "D3": "NOT ( event('Shoes Bought').count() >= 1 AND trait('total_spend') > 200 )",
    "D7": "entity('orders').where(entity('order-products').count() >= 1).count() >= 1",
    "D8": "entity('orders').count() >= 1 OR trait('VIP') = 'true'",
    "D9": "entity('orders').where(property('total') > 500).count() >= 1",
    "N14": "event('Signed Up').within(7 days).count() >= 1",
    "N15": "event('Order Completed').count() = 0",
    "N16": (
        "event('Product Viewed').within(14 days).count() >= 1 AND event('Order Completed').within(14 days).count() <= 0"
    ),
    "N17": (
        "event('Product Viewed').between(30 days, 90 days).count() >= 1 AND event('Product Viewed').within(30 "
        "days).count() = 0"
    ),
    "N18": "event('Email Opened').between(7 days, 14 days).count() >= 1",
    "N19": "event('Order Completed').within(90 days).sum(property('revenue')) > 500",
    "N20": "event('Order Completed').within(180 days).avg(property('total')) >= 100",
    "N21": "event('Order Completed').max(property('total')) >= 250",
    "N22": "event('App Opened').min(property('app_version') as string) = '1.0.0'",
    "N23": "event('Order Completed').where(property('coupon').exists()).count() >= 2",
    "N24": "event('Order Completed').where(property('coupon').absent()).within(365 days).count() >= 3",
    "N25": "event('Order Completed').where(property('discount') != 0 OR property('discount').absent()).count() >= 1",
    "N26": "event('Order Completed').where(NOT property('country').one_of('US','CA')).count() >= 1",
    "N27": "event('Page Viewed').where(context('page.url').contains('/pricing','/plans')).within(7 days).count() >= 3",
    "N28": "event('Page Viewed').where(property('page_name') = 'Pricing').count() >= 1",
    "N29": (
        "event('Screen Viewed').where(property('screen_name').starts_with('Checkout')).within(24 hours).count() >= 1"
    ),
    "N30": (
        "event('Session Started').where(context('device.type') = 'ios' AND "
        "context('app.version').starts_with('9.')).within(3 days).count() >= 1"
    ),
    "N31": "event('Order Completed').sources(exclude: 'srcTest1','srcQA2').count() >= 1",
    "N32": "event('NPS Submitted').where(property('score').at_least(9)).within(90 days).count().at_least(1)",
    "N33": "event('Product Viewed').within(30 days).unique(property('category')).count() >= 5",
    "N34": "event('Product Viewed').within(60 days).mode(property('category'), 2) = 'shoes'",
    "N35": (
        "event('get_treatment').where(property('split') = 'back_end_roll_algorithm').last(property('treatment')) = 'on'"
    ),
    "N36": "trait('plan') = 'premium' AND trait('email').exists()",
    "N37": "trait('plan').one_of('pro','enterprise') AND NOT trait('churn_risk') = 'high'",
    "N38": "trait('plan').none_of('free','trial')",
    "N39": "trait('email').ends_with('@example.com')",
    "N40": "trait('email').omits('+test')",
    "N41": "trait('address.country') = 'NL'",
    "N42": r"trait('acme\\.legacy_id').exists()",
    "N43": "trait('created_at').within_last(30 days)",
    "N44": "trait('renewal_date').within_next(14 days)",
    "N45": "trait('last_login_at').before_last(60 days) OR trait('last_login_at').absent()",
    "N46": "trait('contract_end').after_next(90 days)",
    "N47": "trait('birthday').before_date(2000-01-01) AND trait('created_at').after_date(2024-06-30T23:59:59Z)",
    "N48": "trait('high_value_users') = 'true' AND NOT trait('eu_optouts') = 'true'",
    "N49": "trait('total_spend') >= 1000 OR trait('lifetime_orders') > 10 AND trait('vip') = 'true'",
    "N50": "(trait('total_spend') >= 1000 OR trait('lifetime_orders') > 10) AND trait('vip') = 'true'",
    "N51": "trait('age') >= literal(18)",
    "N52": (
        "event('Checkout Started').where(event('Order Completed').within(parent: 1 day).count() = 0).within(7 "
        "days).count() >= 1"
    ),
    "N53": (
        "event('Product Added').where(event('Order Completed').where(property('product_id') = property(parent: "
        "'product_id')).within(parent: 1 day).count() = 0).within(7 days).count() >= 1"
    ),
    "N54": (
        "event('Signed Up').where(event('Source Added').within(parent: 7 days).count() >= 1).within(7 "
        "days).count() >= 1"
    ),
    "N55": (
        "event('Trial Started').where(event('Feature "
        "Used').where(property('feature').one_of('export','share')).within(parent: 72 hours).count() >= "
        "2).within(30 days).count() >= 1"
    ),
    "N56": "event('Order Completed').where(property('total') > trait('avg_order_value')).within(30 days).count() >= 1",
    "N57": (
        "event('Alert Raised').where(event('Alert Closed').between(parent: 1 day, 3 days).count() >= 1).count() >= 1"
    ),
    "N63": "entity('accounts').where(property('plan') = 'premium').count() >= 1",
    "N64": "entity('accounts').where(entity('carts').where(property('status') = 'open').count() >= 2).count() >= 1",
    "N65": "entity('subscriptions').count() = 0",
}
ACCOUNT_AUDIENCES = {
    "D4": "ALL ( event('Shoes Bought').count() >= 1 AND trait('total_spend') > 200 )",
    "D5": "ALL NOT event('Shoes Bought').count() >= 1",
    "D6": "ANY event('Shoes Bought').count() >= 1",
    "N58": "ANY event('Logged In').within(30 days).count() >= 1",
    "N59": "ALL NOT event('Logged In').within(60 days).count() >= 1 AND trait('tier') = 'business'",
    "N60": "ANY ( trait('role') = 'Admin' AND event('Invoice Viewed').within(30 days).count() >= 1 )",
    "N61": "ANY trait('role') = 'Admin' AND ANY event('Invoice Viewed').within(30 days).count() >= 1",
    "N62": "trait('logins_past_30_days') < 10",
}
TRAITS = {
    "D10": "event('Shoes Bought').within(30 days).avg(property('spend'))",
    "D11": (
        "event('Shoes Bought').where( property('price') > 100 AND property('brand') = 'My Brand' "
        ").min(property('spend'))"
    ),
    "D12": "event('Shoes Bought').within(30 days).first(property('spend'))",
    "D13": "event('Shoes Bought').within(30 days).mode(property('spend'), 2)",
    "N66": "event('User Logged In').within(90 days).count()",
    "N67": (
        "event('Order Completed').where(property('category') = 'cosmetics').within(90 days).sum(property('revenue'))"
    ),
    "N68": "event('Ride Ended').within(60 days).max(property('distance'))",
    "N69": "event('App Opened').max(property('app_version') as string)",
    "N70": "event('Page Viewed').first(context('campaign.source'))",
    "N71": "event('Page Viewed').last(context('page.path'))",
    "N72": "event('Product Viewed').mode(property('category'), 3)",
    "N73": "event('Tag Applied').mode(property('tags') as array, 2)",
    "N74": "event('Product Purchased').unique(property('sku'))",
    "N75": "event('Product Purchased').unique(property('sku')).count()",
    "N76": "event('Page Viewed').expires_after(1800 seconds).count()",
    "N77": "event('Order Completed').expires_after(1 hour).sum(property('total'))",
    "N78": (
        "event('get_treatment').where(property('split') = 'back_end_roll_algorithm' AND "
        "property('environmentName') = 'prod').last(property('treatment'))"
    ),
}
EXAMPLES = [
    *((number, query.parse_audience, "users", text) for number, text in AUDIENCES.items()),
    *((number, query.parse_audience, "accounts", text) for number, text in ACCOUNT_AUDIENCES.items()),
    *((number, query.parse_trait, "users", text) for number, text in TRAITS.items()),
]
COMPUTED = {
    *("D1", "D2", "D3", "D4", "D5", "D6", "D10", "D11", "D12", "D13"),
    *(f"N{number}" for number in (*range(14, 63), *range(66, 79))),
}
each_example = pytest.mark.parametrize(
    ("number", "parse", "level", "text"), EXAMPLES, ids=[number for number, *_ in EXAMPLES]
)


def test_there_are_78():
    assert len({number for number, *_ in EXAMPLES}) == 78


@each_example
def test_examples_print_back(number, parse, level, text):
    node = parse(text, level)
    assert parse(query.print_query(node), level) == node


@each_example
def test_layout_does_not_change_the_fingerprint(number, parse, level, text):
    node = parse(text, level)
    assert query.fingerprint(parse(spread(text), level)) == query.fingerprint(node)


def spread(text):
    """The same query over many lines, with space around every dot, comma and parenthesis outside of quotes."""
    parts = re.split(r"('(?:[^'])*')", text)
    loose = [re.sub(r"([(),]|\.(?=[a-z]))", r"\n \1\t ", part) for part in parts[::2]]
    return "".join(loose[place // 2] if place % 2 == 0 else part for place, part in enumerate(parts))


def test_different_examples_have_different_fingerprints():
    found = {query.fingerprint(parse(text, level)) for _, parse, level, text in EXAMPLES}
    assert len(found) == len(EXAMPLES)


@each_example
def test_what_cannot_be_computed_yet_is_named(number, parse, level, text):
    reason = query.not_computed(parse(text, level))
    assert (reason is None) == (number in COMPUTED), reason


def test_linked_tables_are_named_in_every_example_that_has_them():
    linked = [node for text in AUDIENCES.values() if "entity(" in text and (node := query.parse_audience(text))]
    assert len(linked) == 6
    assert all(any(isinstance(each, Entity) for each in walk(node)) for node in linked)
    assert {query.not_computed(node) for node in linked} == {
        "entity() needs linked tables, which Populace does not have"
    }

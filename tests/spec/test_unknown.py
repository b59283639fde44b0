"""What a preview says of names that nobody has used (Q-28)."""

import json

import pytest

from populace.space import previews
from tests import driving
from tests.slicing import NOON, called


def call(number, properties, **more):
    return {"message_id": f"m{number}", "received_at": NOON, "properties": json.dumps(properties), **more}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a preview of a query warns of."""
    folder = tmp_path_factory.mktemp("unknown")
    query = "event('Order Completed').where(context('page.path') = '/').count() >= 1"
    space = driving.space_in(folder, audiences={"at_home": query})
    properties = {"total": 5, "shipping": {"city": "Delft"}, "items": [{"sku": "a"}], "mixed": "a"}
    context = json.dumps({"page": {"path": "/", "url": "https://example.com/"}})
    driving.put(
        space,
        "web",
        "a",
        called(
            call(1, properties, event="Order Completed", context=context),
            call(2, {"mixed": 1}, event="Order Completed", context=context),
            call(3, {}, type="identify", traits='{"plan":"free"}'),
        ),
    )
    driving.recomputed(space, NOON.replace(hour=13))
    return lambda text: previews.preview(space, text=text).unknown


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("trait('plam') = 'free'", "nobody has a trait 'plam' and nothing here is called so; did you mean 'plan'?"),
        ("trait('zzz') = 'free'", "nobody has a trait 'zzz' and nothing here is called so"),
        (
            "event('Order completed').count() >= 1",
            "there is no event 'Order completed'; did you mean 'Order Completed'?",
        ),
        (
            "event('Order Completed').sum(property('totals'))",
            "no event 'Order Completed' has a property 'totals'; did you mean 'total'?",
        ),
        (
            "event('Order Completed').where(property('zzz') = 1).count()",
            "no event 'Order Completed' has a property 'zzz'",
        ),
        (
            "event('Order Completed').last(context('page.pth'))",
            "no event 'Order Completed' has a context 'page.pth'; did you mean 'page.path'?",
        ),
        (
            "event('Order Completed').last(context('os'))",
            "no event 'Order Completed' has a context 'os'; if it is sent, write it below `keep_context` and replay",
        ),
    ],
)
def test_q28_a_name_that_nobody_uses_is_warned_of(told, text, sentence):
    assert told(text) == [sentence]


@pytest.mark.parametrize(
    "text",
    [
        "trait('plan') = 'free' AND trait('at_home') = 'true' AND trait('plan.name') = 'a'",
        "event('Order Completed').where(property('shipping.city') = 'Delft' AND property('mixed') = 1).count()",
        "event('Order Completed').where(property('shipping').exists()).last(property('timestamp'))",
        "event('Order Completed').last(context('page.path'))",
    ],
)
def test_q28_names_that_somebody_uses_are_not(told, text):
    assert told(text) == []

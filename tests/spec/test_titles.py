"""The name of a page or screen, however its table is stored (E-5)."""

import json

import pytest

from populace.events import parts, shred
from tests import driving
from tests.slicing import NOON, called
from tests.tables import AS_OF


def call(number, kind, **properties):
    told = json.dumps(properties)
    return {"message_id": f"m{number}", "type": kind, "event": None, "received_at": NOON, "properties": told}


@pytest.mark.parametrize("kind", ["typed", "rest", "rare"])
def test_e5_and_n29_the_name_of_a_screen_is_found_wherever_it_stands(tmp_path, monkeypatch, kind):
    if kind == "rest":
        monkeypatch.setattr(shred, "MOST_COLUMNS", 1)
    if kind == "rare":
        monkeypatch.setattr(parts, "OWN_TABLES", 0)
    traits = {
        "screens": "event('Screen Viewed').where(property('screen_name').starts_with('Check')).count()",
        "pages": "event('Page Viewed').unique(property('page_name'))",
        "names": "event('Screen Viewed').last(property('name'))",
    }
    space = driving.space_in(tmp_path, traits=traits)
    calls = [
        call(1, "screen", name="Checkout", a=1, b=2),
        call(2, "screen", name="Home", a=1, b=2),
        call(3, "page", name="Pricing", a=1, b=2),
        call(4, "page", name="Other", page_name="Own", a=1, b=2),
    ]
    driving.put(space, "web", "a", called(*calls))
    (found,) = driving.table(space, driving.recomputed(space, AS_OF), "traits").drop("profile_id").rows(named=True)
    assert found == {"screens": 1, "pages": ["Own", "Pricing"], "names": "Home"}

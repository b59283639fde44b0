"""Accounts from Group calls to a webhook: resolved, computed, and told to the receiver and to users by one delivery."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.webhook import SECRET, Receiver, receiving
from populace.space import OpenSpace, open_space
from tests import driving
from tests.deliveries import outcomes, send
from tests.graphs import calls
from tests.tables import AS_OF

BOTH = [{"hook": "group"}, {"hook": "property"}]
IDENTIFIERS = {"user_id": {"limit": "none"}, "anonymous_id": {}, "group_id": {}}

# Ann is in both accounts, in the second one since later; Bo is in the first, Cy in none. Ann's phone is known, too.
CALLS = """
type|user_id|anonymous_id|group_id|timestamp|traits|properties|context
group|ann||acme|d-60|{"tier":"business"}||
group|bo||acme|d-20|||
group|ann||initech|d-10|{"tier":"trial"}||
track|ann|phone||d-5|||
track|bo|||d-5|||
track|bo|||d-4|||
track|cy|||d-4|||
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def opened(folder: Path, receiver: Receiver, **rules: Any) -> OpenSpace:
    """Seats are counted over all users of an account; large is who has three."""
    files = {
        "space": {"space": "dev", "lake": (folder / "lake").as_uri(), "window": "365 days"},
        "sources": {"web": {"archive": (folder / "archive").as_uri()}},
        "identity": {"identifiers": IDENTIFIERS, **rules},
        "destinations": {"hook": {"kind": "webhook", "url": receiver.url, "secret": SECRET, "enabled": True}},
        "traits": {"seats": {"level": "account", "query": "event('E').count()", "destinations": BOTH}},
        "audiences": {"large": {"level": "account", "query": "trait('seats') >= 3", "destinations": BOTH}},
    }
    for name, each in files.items():
        file = folder / "definitions" / "dev" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(each), encoding="utf-8")
    space = open_space("dev", folder / "definitions", {})
    driving.put(space, "web", "a", calls(CALLS))
    return space


def test_d14_accounts_and_their_users_are_told_what_a_run_computed(tmp_path: Path, receiver: Receiver):
    space = opened(tmp_path, receiver)
    driving.recomputed(space, AS_OF)
    summary = send(space)
    assert outcomes(summary) == {"delivered": 3 + 4}
    assert receiver.groups == {"acme": {"seats": 3, "large": True}, "initech": {"seats": 1}}
    # Ann was linked to initech last, and is in acme all the same.
    assert receiver.held == {"ann": {"seats": 1, "large": True}, "bo": {"seats": 3, "large": True}}
    assert outcomes(send(space)) == {"unchanged": 7}


def test_i73_whose_link_ends_leaves_with_it(tmp_path: Path, receiver: Receiver):
    """After 30 days Bo's link is over, and Ann's to acme was before; the account of nobody has nothing any more."""
    space = opened(tmp_path, receiver, link_ttl="30 days")
    driving.recomputed(space, AS_OF)
    send(space)
    assert receiver.held == {"ann": {"seats": 1}, "bo": {"seats": 2}}
    assert receiver.groups == {"acme": {"seats": 2}, "initech": {"seats": 1}}
    driving.recomputed(space, AS_OF + timedelta(days=15))
    send(space)
    assert receiver.held == {"ann": {"seats": 1}, "bo": {"seats": None}}
    assert receiver.groups == {"acme": {"seats": 0}, "initech": {"seats": 1}}

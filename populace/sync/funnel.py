"""The account of a sync as people read it: what was computed, what of it had to be sent, and where that ended."""

from collections.abc import Mapping
from typing import Any

from populace.sync.states import (
    DELIVERED,
    INVALID,
    NO_IDENTIFIER,
    NOOP,
    REFUSED,
    THROTTLED,
    TOO_LARGE,
    TRANSIENT,
    UNCHANGED,
    UNKNOWN,
    WARNING,
)

TO_SEND = ("to_set", "to_remove")

# The last steps of the funnel, and which outcomes they gather.
ENDS = {
    "delivered": (DELIVERED, NOOP),
    "warned": (WARNING,),
    "invalid": (INVALID, TOO_LARGE),
    "waiting": (THROTTLED, TRANSIENT),
    "unknown": (UNKNOWN,),
    "refused": (REFUSED,),
}


def funnel(account: Mapping[str, Any]) -> dict[str, int]:
    """The steps in their order, each with its count; those that an account does not have are 0.

    computed = unchanged + no_identifier + to_set + to_remove; to_set + to_remove = delivered + warned + invalid +
    waiting + unknown + refused. `sent` are those of them that the destination saw, or may have seen.
    """
    steps = {name: account.get(name, 0) for name in ("computed", UNCHANGED, NO_IDENTIFIER, *TO_SEND, "sent")}
    return steps | {name: sum(account.get(each, 0) for each in outcomes) for name, outcomes in ENDS.items()}

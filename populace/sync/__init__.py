"""What a destination should hold, what it has acknowledged, and the difference between the two.

Sync is state-based: *desired* follows from a run, *acknowledged* from the ledger, and only what
differs is sent. A destination that was down for a week needs nothing special, and an exit is
derived from what was sent, not from what the person's profile looks like today. After
destinations.md 15.5 to 15.8; rules D-20, D-21, D-26, D-44, D-48.

Three frames, one row per (kind, key, form, id_type, id_value) each:

* desired: kind ('trait' | 'audience'), key, form, profile_id, id_type, id_value, value
* acknowledged: the same columns. A null value means that nobody knows what the destination holds
* records: the same columns, and action ('set' | 'unset' | 'exit') and message_id before them

`value` is canonical JSON text, so that 10 and 10.0 are equal; 'true' for a member, 'false' for
an exit, null for a trait that is to be removed.

`states` has the frames and outcomes, `desired` and `difference` say what to send, `brake` whether that is too much to
be meant, `settling` what became of it.
"""

from populace.sync.brake import Removal, removals
from populace.sync.desired import canonical, desired, identified
from populace.sync.difference import difference, without_parked
from populace.sync.settling import acknowledge, doubt, doubtful, forget, park, summary
from populace.sync.states import (
    ADVANCING,
    COMPUTATION,
    DELIVERED,
    IDENTIFIER,
    IDENTIFIERS,
    INVALID,
    KEY,
    NO_IDENTIFIER,
    NOOP,
    OUTCOMES,
    PARKED,
    RECORDS,
    REFUSED,
    SETTLED,
    STATE,
    THROTTLED,
    TOO_LARGE,
    TRANSIENT,
    UNCHANGED,
    UNKNOWN,
    WAITING,
    WARNING,
)  # fmt: skip

__all__ = [
    "ADVANCING", "COMPUTATION", "DELIVERED", "IDENTIFIER", "IDENTIFIERS", "INVALID", "KEY", "NOOP", "NO_IDENTIFIER",
    "OUTCOMES", "PARKED", "RECORDS", "REFUSED", "SETTLED", "STATE", "THROTTLED", "TOO_LARGE", "TRANSIENT", "UNCHANGED",
    "UNKNOWN", "WAITING", "WARNING", "Removal", "acknowledge", "canonical", "desired", "difference", "doubt",
    "doubtful", "forget", "identified", "park", "removals", "summary", "without_parked",
]  # fmt: skip

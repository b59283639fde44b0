"""What a destination should hold, what it has acknowledged, and the difference between the two.

Sync is state-based: *desired* follows from a run, *acknowledged* from the ledger, and only what
differs is sent. A destination that was down for a week needs nothing special, and an exit is
derived from what was sent, not from what the person's profile looks like today. After
destinations.md 15.4 to 15.8; rules D-20 to D-22, D-26, D-41 to D-48.

Everything is done computation by computation, (kind, key, form), so that memory holds one of them. Of each there is

* wanted: profile_id, id_type, id_value, value; a row for each identifier that is told
* held: the same, and `at`, when it was acknowledged. A null value: nobody knows what the destination holds
* records: action ('set' | 'unset' | 'exit'), message_id, kind, key, form and the columns of wanted; what is to be sent
* settled: records with outcome, reason, in_doubt, attempts, and of parked ones what was sent and replied

`value` is canonical JSON text, so that 10 and 10.0 are equal; 'true' for a member, 'false' for
an exit, null for a trait that is to be removed.

`states` has the frames and outcomes, `people`, `linked`, `spellings`, `desired`, `totals` and `difference` say what to
send, `brake` whether that is too much to be meant, `settling` what became of it, `drift` how a destination differs from
the ledger.
"""

from populace.sync.brake import Removal, removal
from populace.sync.desired import NOTHING, Desired, Wanted, asked, canonical
from populace.sync.difference import Changes, changes, recorded, without_parked
from populace.sync.drift import NO_DRIFT, Drift, drift, mended
from populace.sync.funnel import funnel
from populace.sync.linked import Linked
from populace.sync.people import identified, known, named
from populace.sync.settling import acknowledge, counted, forget, park, queue, seen, summary, under_way
from populace.sync.states import (
    ADVANCING,
    COMPUTATION,
    HELD,
    IDENTIFIER,
    KEY,
    LETTERS,
    NO_IDENTIFIER,
    OUTCOMES,
    PARKED,
    QUEUE,
    RECORDS,
    REFUSED,
    SETTLED,
    STATE,
    UNCHANGED,
    UNKNOWN,
    WAITING,
    WANTED,
    Computation,
)
from populace.sync.totals import Totals

__all__ = [
    "ADVANCING",
    "COMPUTATION",
    "HELD",
    "IDENTIFIER",
    "KEY",
    "LETTERS",
    "NOTHING",
    "NO_DRIFT",
    "NO_IDENTIFIER",
    "OUTCOMES",
    "PARKED",
    "QUEUE",
    "RECORDS",
    "REFUSED",
    "SETTLED",
    "STATE",
    "UNCHANGED",
    "UNKNOWN",
    "WAITING",
    "WANTED",
    "Changes",
    "Computation",
    "Desired",
    "Drift",
    "Linked",
    "Removal",
    "Totals",
    "Wanted",
    "acknowledge",
    "asked",
    "canonical",
    "changes",
    "counted",
    "drift",
    "forget",
    "funnel",
    "identified",
    "known",
    "mended",
    "named",
    "park",
    "queue",
    "recorded",
    "removal",
    "seen",
    "summary",
    "under_way",
    "without_parked",
]  # fmt: skip

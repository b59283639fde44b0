"""The frames of a sync, and the outcomes that a record may have."""

from typing import NamedTuple

import polars as pl

DELIVERED = "delivered"  # the destination accepted this record
NOOP = "noop"  # it was so already
WARNING = "warning"  # accepted with a complaint
INVALID = "invalid"  # can never succeed as it is: parked
THROTTLED = "throttled"  # told to wait, and waiting would have taken too long
TRANSIENT = "transient"  # network or vendor failure that outlasted the run's patience
REFUSED = "refused"  # credentials or configuration: the destination is held
TOO_LARGE = "too_large"  # this record alone exceeds what may be sent: parked
UNKNOWN = "unknown"  # sent, and no answer came back
UNCHANGED = "unchanged"  # acknowledged before, nothing to send
NO_IDENTIFIER = "no_identifier"  # the profile has no identifier that the destination takes

OUTCOMES = (DELIVERED, NOOP, WARNING, INVALID, THROTTLED, TRANSIENT, REFUSED, TOO_LARGE, UNKNOWN)
ADVANCING = (DELIVERED, NOOP, WARNING)
PARKED = (INVALID, TOO_LARGE)
WAITING = (THROTTLED, TRANSIENT, UNKNOWN)


class Computation(NamedTuple):
    """What is told of people, in one of the forms that a destination takes: the unit that the ledger is kept by."""

    kind: str  # 'trait' | 'audience'
    key: str
    form: str


COMPUTATION = Computation._fields
IDENTIFIER = ("id_type", "id_value")
KEY = (*COMPUTATION, *IDENTIFIER)

TEXT = pl.String()
INSTANT = pl.Datetime("us", "UTC")
WANTED = pl.Schema(dict.fromkeys(("profile_id", *IDENTIFIER, "value"), TEXT))
HELD = pl.Schema([*WANTED.items(), ("at", INSTANT)])
STATE = pl.Schema([*dict.fromkeys(COMPUTATION, TEXT).items(), *WANTED.items()])
RECORDS = pl.Schema([("action", TEXT), ("message_id", TEXT), *STATE.items()])
SETTLED = pl.Schema(
    [
        *RECORDS.items(),
        ("outcome", TEXT),
        ("reason", TEXT),
        ("in_doubt", pl.Boolean()),
        ("attempts", pl.Int32()),
        ("sent", TEXT),
        ("reply", TEXT),
    ]
)
QUEUE = pl.Schema(
    [
        *RECORDS.items(),
        ("outcome", TEXT),
        ("reason", TEXT),
        ("attempts", pl.Int32()),
        ("since", INSTANT),
        ("at", INSTANT),
    ]
)
LETTERS = pl.Schema([*QUEUE.items(), ("sent", TEXT), ("reply", TEXT)])

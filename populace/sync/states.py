"""The three frames of a sync, and the outcomes that a record may have."""

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

IDENTIFIERS = ("user_id", "email")  # in order; the newest of the first type a profile has (design 3)

COMPUTATION = ("kind", "key", "form")
IDENTIFIER = ("id_type", "id_value")
KEY = (*COMPUTATION, *IDENTIFIER)
TEXT = pl.String()
STATE = pl.Schema(dict.fromkeys(("kind", "key", "form", "profile_id", "id_type", "id_value", "value"), TEXT))
RECORDS = pl.Schema([("action", TEXT), ("message_id", TEXT), *STATE.items()])
SETTLED = pl.Schema([*RECORDS.items(), ("outcome", TEXT), ("reason", TEXT), ("in_doubt", pl.Boolean())])

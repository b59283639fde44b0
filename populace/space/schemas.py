"""The tables that are promised to readers of the lake, as schemas; every one is written, also when empty."""

import polars as pl
from polars.datatypes import DataType, DataTypeClass

Columns = dict[str, DataType | DataTypeClass]

INSTANT = pl.Datetime("us", "UTC")

RUN: dict[str, Columns] = {
    "profiles": {"profile_id": pl.String, "collection": pl.String, "created_at": INSTANT},
    "sightings": {"sighting": pl.Int64, "profile_id": pl.String},
    "links": {"profile_id": pl.String, "account_id": pl.String, "linked_at": INSTANT, "message_id": pl.String},
    "retired": {"profile_id": pl.String, "successor": pl.String},
    "external_ids": {
            "profile_id": pl.String, "collection": pl.String, "id_type": pl.String, "id_value": pl.String,
            "raw_value": pl.String, "added_at": INSTANT, "message_id": pl.String, "source": pl.String,
        },
    "merges": {"profile_id": pl.String, "canonical_id": pl.String, "merged_at": INSTANT, "message_id": pl.String},
    "custom_traits": {
        "profile_id": pl.String, "name": pl.String, "value": pl.String, "updated_at": INSTANT, "source": pl.String,
    },
    "families": {"family": pl.String, "key": pl.String, "value": pl.String},
    "sql_traits": {"sql": pl.String, "key": pl.String, "type": pl.String},
    "sql_rows": {
            "sql": pl.String, "rows": pl.Int64, "too_large": pl.Int64, "blocked": pl.Int64, "links": pl.Int64,
            "repeated": pl.Int64, "known": pl.Int64, "created": pl.Int64, "strangers": pl.Int64,
        },
    "memberships": {"audience": pl.String, "profile_id": pl.String, "entered_at": INSTANT},
    "changes": {"audience": pl.String, "profile_id": pl.String, "change": pl.String},
    "link_values": {"profile_id": pl.String, "account_id": pl.String},
    "undated": {"value": pl.String, "counted": pl.String, "count": pl.Int64},
    "violations": {
            "kind": pl.String, "collection": pl.String, "id_type": pl.String, "id_value": pl.String,
            "profile_id": pl.String, "message_id": pl.String, "timestamp": INSTANT,
        },
}  # fmt: skip
"""The tables of a run, but for `traits` and `values`, whose columns follow from the definitions.

So do those of `link_values` that are not here: what counts for one account of a user alone.
"""

LAKE: dict[str, Columns] = {
    "sightings": {
            "sighting": pl.Int64, "check": pl.UInt64, "ids": pl.List(pl.Int64), "first_timestamp": INSTANT,
            "first_received_at": INSTANT, "first_message_id": pl.String, "count": pl.UInt32, "source": pl.String,
        },
    "identifiers": {
            "identifier": pl.Int64, "check": pl.UInt64, "collection": pl.String, "id_type": pl.String,
            "value": pl.String, "raw_value": pl.String, "first_timestamp": INSTANT,
        },
}  # fmt: skip
"""Side tables of the lake that a run cannot do without."""


def empty(columns: Columns) -> pl.DataFrame:
    """A table without rows."""
    return pl.DataFrame(schema=columns)

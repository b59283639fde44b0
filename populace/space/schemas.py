"""The tables that are promised to readers of the lake, as schemas; every one is written, also when empty."""

import polars as pl

INSTANT = pl.Datetime("us", "UTC")

RUN = {
    "profiles": pl.Schema({"profile_id": pl.String, "collection": pl.String, "created_at": INSTANT}),
    "sightings": pl.Schema({"sighting": pl.Int64, "profile_id": pl.String}),
    "links": pl.Schema(
        {"profile_id": pl.String, "account_id": pl.String, "linked_at": INSTANT, "message_id": pl.String}
    ),
    "retired": pl.Schema({"profile_id": pl.String, "successor": pl.String}),
    "external_ids": pl.Schema(
        {
            "profile_id": pl.String, "collection": pl.String, "id_type": pl.String, "id_value": pl.String,
            "raw_value": pl.String, "added_at": INSTANT, "message_id": pl.String, "source": pl.String,
        }
    ),
    "merges": pl.Schema(
        {"profile_id": pl.String, "canonical_id": pl.String, "merged_at": INSTANT, "message_id": pl.String}
    ),
    "custom_traits": pl.Schema(
        {"profile_id": pl.String, "name": pl.String, "value": pl.String, "updated_at": INSTANT, "source": pl.String}
    ),
    "memberships": pl.Schema({"audience": pl.String, "profile_id": pl.String, "entered_at": INSTANT}),
    "changes": pl.Schema({"audience": pl.String, "profile_id": pl.String, "change": pl.String}),
    "violations": pl.Schema(
        {
            "kind": pl.String, "collection": pl.String, "id_type": pl.String, "id_value": pl.String,
            "profile_id": pl.String, "message_id": pl.String, "timestamp": INSTANT,
        }
    ),
}  # fmt: skip
"""The tables of a run, but for `traits` and `values`, whose columns follow from the definitions."""

LAKE = {
    "sightings": pl.Schema(
        {
            "sighting": pl.Int64, "ids": pl.List(pl.Int64), "first_timestamp": INSTANT, "first_received_at": INSTANT,
            "first_message_id": pl.String, "count": pl.UInt32, "source": pl.String,
        }
    ),
    "identifiers": pl.Schema(
        {
            "identifier": pl.Int64, "collection": pl.String, "id_type": pl.String, "value": pl.String,
            "raw_value": pl.String,
        }
    ),
}  # fmt: skip
"""Side tables of the lake that a run cannot do without."""

"""What to send: the difference between what is desired and what was acknowledged."""

import hashlib
from collections.abc import Sequence
from typing import Any

import polars as pl

from populace.sync.states import COMPUTATION, IDENTIFIER, KEY, RECORDS, STATE


def difference(
    desired: pl.DataFrame, acknowledged: pl.DataFrame, salt: str, *, compared: Sequence[str] = ("value",)
) -> pl.DataFrame:
    """What to send so that the destination holds what is desired.

    Parameters
    ----------
    desired, acknowledged
        The two states. Rows without identifier are passed over.
    salt
        What names this delivery: space, destination, run and generation. It enters the message
        ids, so that a record which is sent again after a kill carries the id it had before.
    compared
        The columns of which a change is a change; 'profile_id' too where the destination keeps it.

    Returns
    -------
    Records (see above), those of one identifier next to each other, in an order that means
    nothing and follows from the rows alone. 'set': new or changed. 'unset' and 'exit': a trait or
    membership that the ledger knows and that is desired no more, under the identifier it was sent with.
    """
    wanted = desired.drop_nulls("id_value").partition_by(COMPUTATION, as_dict=True)
    held = acknowledged.partition_by(COMPUTATION, as_dict=True)
    # One computation at a time: a join on two columns of one key costs a quarter of one on all five.
    parts = [_changes(wanted.get(each), held.get(each), compared) for each in sorted({*wanted, *held})]
    records = pl.concat([RECORDS.to_frame().drop("message_id"), *parts])
    # Mixed, so that what is sent first is a fair sample: ids that are bad often stand together.
    mixed = pl.struct(IDENTIFIER).hash()
    records = records.sort(mixed, "id_type", "id_value", "kind", "key", "form")
    return records.with_columns(_message_ids(records, salt)).select(list(RECORDS))


def _changes(desired: pl.DataFrame | None, acknowledged: pl.DataFrame | None, compared: Sequence[str]) -> pl.DataFrame:
    """The records of one computation, without message ids."""
    wanted = STATE.to_frame() if desired is None else desired
    held = STATE.to_frame() if acknowledged is None else acknowledged
    before = held.select(*IDENTIFIER, *(pl.col(name).alias(f"held {name}") for name in compared))
    is_changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"held {name}")) for name in compared)
    changed = wanted.join(before, on=IDENTIFIER, how="left").filter(is_changed)
    is_audience = pl.col("kind") == "audience"
    gone = held.join(wanted, on=IDENTIFIER, how="anti").with_columns(
        action=pl.when(is_audience).then(pl.lit("exit")).otherwise(pl.lit("unset")),
        value=pl.when(is_audience).then(pl.lit("false")),
    )
    columns = ["action", *STATE]
    return pl.concat([changed.with_columns(action=pl.lit("set")).select(columns), gone.select(columns)])


def _message_ids(records: pl.DataFrame, salt: str) -> pl.Series:
    """A name for each record that follows from its content and the salt (D-37, destinations.md 15.8)."""
    # The identifier comes last: it alone may hold the separator, so no two records read the same.
    parts = ("action", "kind", "key", "form", "value", "id_type", "id_value")
    texts = records.select(pl.concat_str(parts, separator="\x1f", ignore_nulls=True)).to_series()
    start = hashlib.blake2b(f"{salt}\x1f".encode(), digest_size=16)
    return pl.Series("message_id", [_hash(start.copy(), text) for text in texts], dtype=pl.String)


def _hash(start: Any, text: str) -> str:
    start.update(text.encode())
    return start.hexdigest()


def without_parked(records: pl.DataFrame, letters: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The records to send, and the letters that still hold: refused before with this very value.

    A letter whose record is no longer due is obsolete and in neither frame: sending it later would
    bring back an old state (destinations.md 15.4).
    """
    same = [*KEY, "action", "value"]
    return (
        records.join(letters, on=same, how="anti", nulls_equal=True),
        letters.join(records, on=same, how="semi", nulls_equal=True),
    )

"""What to send: the difference between what is desired and what was acknowledged."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from populace.sync.alignment import in_order, matched
from populace.sync.desired import Wanted
from populace.sync.states import COMPUTATION, IDENTIFIER, KEY, RECORDS, STATE, Computation


@dataclass(frozen=True, slots=True)
class Changes:
    """What to send of one computation, and how many rows were desired of it, those without identifier included."""

    records: pl.DataFrame
    desired: int
    without: int


def changes(
    computation: Computation,
    wanted: Wanted,
    held: pl.DataFrame,
    *,
    compared: Sequence[str] = ("value",),
    zeros: pl.DataFrame | None = None,
    since: datetime | None = None,
) -> Changes:
    """What to send so that the destination holds what is desired of one computation.

    Parameters
    ----------
    wanted, held
        The two states.
    compared
        The columns of which a change is a change; 'profile_id' too where the destination keeps it.
    zeros
        For a count or a sum, which is null in the table where nothing matches: the people there are. Who still goes by
        an identifier that a value was told for is told 0, not that there is no value any more (design 6).
    since
        What was acknowledged before this instant is told again.

    Returns
    -------
    Changes
        Records without message ids. 'set': new or changed. 'unset' and 'exit': a trait or membership that the ledger
        knows and that is desired no more, under the identifier it was sent with.
    """
    # A null in `held`, of which nobody knows what the destination holds, equals nothing.
    value = pl.col("value") if since is None else pl.when(pl.col("at") >= since).then("value").alias("value")
    rows, held = in_order(wanted.rows), in_order(held).with_columns(value)
    is_same, is_wanted = matched(rows, held, compared)
    changed, gone = rows.filter(pl.Series(~is_same)), held.filter(pl.Series(~is_wanted))
    at_zero = _at_zero(gone, zeros)
    gone = gone.join(at_zero, on=IDENTIFIER, how="anti")
    is_audience = computation.kind == "audience"
    parts = [
        _acted(changed, "set"),
        _acted(at_zero.join(held, on=[*IDENTIFIER, *compared], how="anti"), "set"),
        _acted(gone.with_columns(value=pl.lit("false" if is_audience else None)), "exit" if is_audience else "unset"),
    ]
    named = {name: pl.lit(value) for name, value in zip(COMPUTATION, computation, strict=True)}
    records = pl.concat(parts).with_columns(**named).select("action", *STATE)
    return Changes(records, wanted.rows.height + wanted.without + at_zero.height, wanted.without)


def _at_zero(gone: pl.DataFrame, people: pl.DataFrame | None) -> pl.DataFrame:
    """A 0 for each of those who have no value any more and still go by the identifier they had one under."""
    if people is None or gone.is_empty():
        return gone.clear()
    return people.join(gone, on=IDENTIFIER, how="semi").with_columns(value=pl.lit("0"))


def _acted(rows: pl.DataFrame, action: str) -> pl.DataFrame:
    return rows.select(pl.lit(action).alias("action"), "profile_id", *IDENTIFIER, pl.col("value").cast(pl.String))


def recorded(parts: Iterable[pl.DataFrame], salt: str, waiting: pl.DataFrame) -> pl.DataFrame:
    """The records of all computations, in the order in which they are sent, each with its message id.

    Parameters
    ----------
    salt
        What names this delivery: space, destination, run and generation.
    waiting
        Records that are not through yet: one that is still due keeps the message id under which it may have arrived
        already, also in a later run.

    Returns
    -------
    Records, those of one identifier next to each other, in an order that means nothing and follows from the rows alone.
    """
    records = pl.concat([RECORDS.to_frame().drop("message_id"), *parts])
    # Mixed, so that what is sent first is a fair sample: ids that are bad often stand together.
    mixed = pl.struct(IDENTIFIER).hash()
    records = records.sort(mixed, *IDENTIFIER, *COMPUTATION)
    before = waiting.select(*KEY, "action", "value", before="message_id")
    found = records.join(before, on=[*KEY, "action", "value"], how="left", nulls_equal=True, maintain_order="left")
    ids = pl.coalesce("before", _message_ids(records, salt))
    return found.with_columns(message_id=ids).select(list(RECORDS))


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
        records.join(letters, on=same, how="anti", nulls_equal=True, maintain_order="left"),
        letters.join(records, on=same, how="semi", nulls_equal=True),
    )

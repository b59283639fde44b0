"""How calls reach the archive: late, twice, broken. Adds the dirt, and knows what it added.

Every row carries its `kind` until it is written; `OUTCOMES` says what a replay makes of each.
"""

import numpy as np
import polars as pl

from demo.people import hexadecimal
from demo.rhythm import DAY, HOUR, Span

# What a replay must make of a row of this kind.
OUTCOMES = {
    "prompt": "kept",
    "late": "kept",  # received one to three days after it happened
    "blocked": "kept",  # holds an identifier that the rules should block
    "no_timestamp": "kept",  # E-26: what has no other instant happened when it was received
    "repeated": "duplicate",  # a second time in the same file, equal in everything
    "redelivered": "duplicate",  # a second time about a day later
    "forwarded": "duplicate",  # a second time through another source
    "no_identifier": "rejected",
    "no_event": "rejected",
    "array_properties": "rejected",
    "text_properties": "rejected",
    "invalid_properties": "rejected",
    "no_message_id": "rejected",
    "long_message_id": "rejected",  # more than 100 characters
    "unknown_type": "rejected",
    "unreadable_timestamp": "rejected",  # only where timestamps are text
}

LATE, BLOCKED, REPEATED, REDELIVERED, FORWARDED, BROKEN = 0.004, 0.001, 0.0025, 0.0025, 0.03, 0.0053
ZEROS = "00000000-0000-0000-0000-000000000000"
NOBODIES = ["null", "anonymous"]

# What is wrong with a row of each broken kind: the values that its columns have instead.
FAULTS: dict[str, dict[str, pl.Expr]] = {
    "no_timestamp": {"timestamp": pl.lit(None), "original_timestamp": pl.lit(None), "sent_at": pl.lit(None)},
    "no_identifier": {"user_id": pl.lit(None), "anonymous_id": pl.lit(None)},
    "no_event": {"event": pl.lit(None)},
    "array_properties": {"properties": pl.lit("[1,2]")},
    "text_properties": {"properties": pl.lit('"x"')},
    "invalid_properties": {"properties": pl.lit('{"split":"half')},
    "no_message_id": {"message_id": pl.lit(None)},
    "long_message_id": {"message_id": pl.concat_str("message_id", pl.lit("-" + "x" * 100))},
    "unknown_type": {"type": pl.lit("purchase")},
    "unreadable_timestamp": {"timestamp": pl.lit(-1)},
}


def receive(span: Span, source: str, ordinal: int, calls: pl.DataFrame) -> pl.DataFrame:
    """What arrives, now or later, of the calls of one source and day.

    Parameters
    ----------
    calls
        One row per call, as `visits.calls` describes it.

    Returns
    -------
    One row per arrival, in no order: the columns of `calls`, and (message_id: str or null, received_at,
    sent_at, original_timestamp: ms or null; kind: str, a key of `OUTCOMES`). An unreadable timestamp is -1.
    """
    rng = span.rng("delivery", source, ordinal)
    sent = _stamped(rng, _delayed(span, rng, _misnamed(rng, _numbered(rng, source, calls))))
    prompt = sent.filter(pl.col("kind") == "prompt")
    again = [_copied(rng, prompt, "repeated", REPEATED), _delivered_again(rng, prompt)]
    return pl.concat([sent, *again, *_broken(rng, source, prompt)])


def forward(span: Span, ordinal: int, arrivals: pl.DataFrame) -> pl.DataFrame:
    """The orders among a day's arrivals from the pages that the server sends on as they are."""
    rng = span.rng("forwarded", ordinal)
    is_order = (pl.col("event") == "Order Completed") & pl.col("user_id").is_not_null()
    orders = arrivals.filter(is_order, pl.col("kind") == "prompt")
    return _postponed(_copied(rng, orders, "forwarded", FORWARDED), rng, 2000, 10_000)


def _numbered(rng: np.random.Generator, source: str, calls: pl.DataFrame) -> pl.DataFrame:
    message_id = pl.concat_str(pl.lit(f"{source}-"), hexadecimal(rng, calls.height))
    return calls.with_columns(message_id=message_id, kind=pl.lit("prompt"))


def _misnamed(rng: np.random.Generator, calls: pl.DataFrame) -> pl.DataFrame:
    """Let clients that cannot tell nobody from somebody write so into a few calls."""
    chosen = pl.Series(rng.random(calls.height) < BLOCKED) & (pl.col("type") != "identify")
    is_nobody, has_both = (
        pl.col("user_id").is_null(),
        pl.col("user_id").is_not_null() & pl.col("anonymous_id").is_not_null(),
    )
    nobody = pl.Series(NOBODIES).gather(rng.integers(0, len(NOBODIES), calls.height))
    return calls.with_columns(
        user_id=pl.when(chosen & is_nobody).then(nobody).otherwise("user_id"),
        anonymous_id=pl.when(chosen & has_both).then(pl.lit(ZEROS)).otherwise("anonymous_id"),
        kind=pl.when(chosen & (is_nobody | has_both)).then(pl.lit("blocked")).otherwise("kind"),
    )


def _delayed(span: Span, rng: np.random.Generator, calls: pl.DataFrame) -> pl.DataFrame:
    """Say when each call is received; none is late that would then be received after as_of."""
    prompt = pl.Series((50 + rng.exponential(800, calls.height)).astype(np.int64))
    late = pl.Series(rng.integers(DAY, 3 * DAY, calls.height))
    chosen = pl.Series(rng.random(calls.height) < LATE) & (pl.col("kind") == "prompt")
    chosen &= pl.col("timestamp") + late < span.as_of
    return calls.with_columns(
        received_at=pl.col("timestamp") + pl.when(chosen).then(late).otherwise(prompt),
        kind=pl.when(chosen).then(pl.lit("late")).otherwise("kind"),
    )


def _stamped(rng: np.random.Generator, calls: pl.DataFrame) -> pl.DataFrame:
    """Add the sender's two instants, by a clock that is wrong for some, so that E-20 holds."""
    skew = pl.Series(rng.choice([0, 350, -1200, 45_000], calls.height, p=[0.7, 0.15, 0.1, 0.05]))
    original = pl.col("timestamp") + skew
    sent_at = pl.col("received_at") - pl.col("timestamp") + original
    return calls.with_columns(original_timestamp=original, sent_at=sent_at)


def _copied(rng: np.random.Generator, calls: pl.DataFrame, kind: str, share: float) -> pl.DataFrame:
    chosen = calls.filter(pl.Series(rng.random(calls.height) < share))
    return chosen.with_columns(kind=pl.lit(kind))


def _delivered_again(rng: np.random.Generator, calls: pl.DataFrame) -> pl.DataFrame:
    copies = _copied(rng, calls, "redelivered", REDELIVERED)
    return _postponed(copies, rng, DAY - 4 * HOUR, DAY + 8 * HOUR)


def _postponed(calls: pl.DataFrame, rng: np.random.Generator, least: int, most: int) -> pl.DataFrame:
    wait = pl.Series(rng.integers(least, most, calls.height))
    return calls.with_columns(received_at=pl.col("received_at") + wait, sent_at=pl.col("sent_at") + wait)


def _broken(rng: np.random.Generator, source: str, calls: pl.DataFrame) -> list[pl.DataFrame]:
    """Further calls, each with one fault; the calls they are made from stay as they are."""
    bases = _copied(rng, calls.filter(pl.col("type") == "track"), "prompt", BROKEN)
    bases = bases.with_columns(message_id=pl.concat_str(pl.lit(f"{source}-"), hexadecimal(rng, bases.height)))
    # Only the server writes its timestamps as text, so only there can one be unreadable.
    faults = [fault for fault in FAULTS if source == "server" or fault != "unreadable_timestamp"]
    fault = pl.Series(rng.integers(0, len(faults), bases.height))
    return [
        bases.filter(fault == number).with_columns(kind=pl.lit(name), **FAULTS[name]).cast(bases.schema)
        for number, name in enumerate(faults)
    ]

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
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from populace.definitions import Audience, Destination, Trait
from populace.nodes import Count, Sum

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

# --- desired ----------------------------------------------------------------------------------


def desired(
    destination: Destination,
    traits: Iterable[Trait],
    audiences: Iterable[Audience],
    traits_table: pl.LazyFrame,
    memberships: pl.LazyFrame,
    external_ids: pl.LazyFrame,
    *,
    first_form: str = "property",
    acknowledged: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Everything that the destination should hold now.

    Parameters
    ----------
    destination
        Only what is delivered to it is taken.
    traits, audiences
        The definitions of the space. One that the run does not know yet has no rows.
    traits_table, memberships, external_ids
        Tables of a run (design 4).
    first_form
        What a delivery that names no form means.
    acknowledged
        The ledger. A count or sum that matches nothing is null in the table; it is desired as 0
        where the ledger holds a value for that person, and not at all elsewhere (design 6).

    Returns
    -------
    One row per (kind, key, form, identifier), in no order. A value that is null or not a finite
    number has no row. A profile without identifier has a row for each of its values, with
    id_type and id_value null: to be counted, not sent (D-48).
    """
    people = identified(external_ids)
    wide = traits_table.join(people, on="profile_id", how="left")
    schema = traits_table.collect_schema()
    asked = list(_deliveries(destination, traits, first_form))
    parts = [_trait(wide, trait.key, schema[trait.key], form) for trait, form in asked if trait.key in schema]
    members = memberships.select(key="audience", profile_id="profile_id").join(people, on="profile_id", how="left")
    parts += [_audience(members, each.key, form) for each, form in _deliveries(destination, audiences, first_form)]
    found = pl.concat([STATE.to_frame(), *pl.collect_all(parts)])
    counted = [trait.key for trait, _ in asked if isinstance(trait.query, Count | Sum) and trait.key in schema]
    if acknowledged is None or not counted:
        return found
    return pl.concat([found, _zeros(found, acknowledged, counted, people.collect())])


def identified(external_ids: pl.LazyFrame, id_types: Sequence[str] = IDENTIFIERS) -> pl.LazyFrame:
    """The identifier by which each profile is known outside: one row per profile that has one.

    The first of `id_types` that the profile has, and of several values the one added last:
    greatest (added_at, message_id), a tie goes to the value that sorts first (D-47).
    Returns (profile_id, id_type, id_value).
    """
    rank = pl.col("id_type").replace_strict(list(id_types), range(len(id_types)), default=None, return_dtype=pl.Int8)
    return (
        external_ids.filter(pl.col("collection") == "users", pl.col("id_type").is_in(list(id_types)))
        .sort(rank, "added_at", "message_id", "id_value", descending=[False, True, True, False])
        .unique("profile_id", keep="first", maintain_order=True)
        .select("profile_id", "id_type", "id_value")
    )


def _deliveries(destination: Destination, definitions: Iterable[Any], first_form: str) -> Iterable[tuple[Any, str]]:
    """Each definition that goes to the destination, with the form it goes in; each form once."""
    for each in definitions:
        forms = [way.form or first_form for way in each.deliveries if way.destination == destination.name]
        yield from ((each, form) for form in dict.fromkeys(forms))


def _trait(wide: pl.LazyFrame, key: str, dtype: pl.DataType, form: str) -> pl.LazyFrame:
    return _stated(wide.with_columns(value=canonical(key, dtype)), "trait", key, form).drop_nulls("value")


def _audience(members: pl.LazyFrame, key: str, form: str) -> pl.LazyFrame:
    return _stated(members.filter(pl.col("key") == key).with_columns(value=pl.lit("true")), "audience", key, form)


def _stated(rows: pl.LazyFrame, kind: str, key: str, form: str) -> pl.LazyFrame:
    return rows.select(
        kind=pl.lit(kind),
        key=pl.lit(key),
        form=pl.lit(form),
        profile_id=pl.col("profile_id").cast(pl.String),
        id_type="id_type",
        id_value="id_value",
        value="value",
    )


def _zeros(found: pl.DataFrame, acknowledged: pl.DataFrame, keys: list[str], people: pl.DataFrame) -> pl.DataFrame:
    """A 0 for each person who is still known by the identifier and whose counted events are gone."""
    return (
        acknowledged.filter(pl.col("kind") == "trait", pl.col("key").is_in(keys))
        .join(found, on=KEY, how="anti")
        .drop("profile_id")
        .join(people, on=IDENTIFIER)
        .with_columns(value=pl.lit("0"))
        .select(list(STATE))
    )


def canonical(column: str, dtype: pl.DataType) -> pl.Expr:
    """A column as canonical JSON text: equal values are equal texts, whatever their type in a run.

    Null where there is no value. Infinity and NaN are not JSON and count as no value.
    """
    value = pl.col(column)
    if dtype == pl.Boolean or dtype.is_integer():
        return value.cast(pl.String)
    if dtype.is_decimal():
        text = value.cast(pl.String)
        return pl.when(text.str.contains(".", literal=True)).then(text.str.replace(r"\.?0+$", "")).otherwise(text)
    if dtype.is_float():
        # Beyond 2^53 a float no longer names one integer, and its shortest text is kept.
        is_whole = (value == value.round()) & (value.abs() < 2**53)
        whole = pl.when(is_whole).then(value).cast(pl.Int64).cast(pl.String)
        return pl.when(is_whole).then(whole).when(value.is_finite()).then(value.cast(pl.String))
    if dtype.is_temporal():
        value = value.dt.to_string("iso:strict")
    encoded = pl.struct(value.alias("v")).struct.json_encode().str.strip_prefix('{"v":').str.strip_suffix("}")
    return pl.when(value.is_not_null()).then(encoded)


# --- the difference -----------------------------------------------------------------------------


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


# --- after sending --------------------------------------------------------------------------------


def acknowledge(acknowledged: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """The ledger after an exchange: only what was delivered, a no-op or warned about advances it.

    `settled` are records with `outcome`, in the order they were sent; of several with one key the
    last counts. Doing it twice is doing it once.
    """
    advanced = settled.filter(pl.col("outcome").is_in(ADVANCING)).unique(KEY, keep="last", maintain_order=True)
    kept = acknowledged.join(advanced, on=KEY, how="anti")
    held = advanced.filter(pl.col("action") == "set")
    return pl.concat([kept, held.select(list(STATE))]).sort(KEY)


def doubt(acknowledged: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The ledger when nobody knows whether these records arrived: their values become null.

    The next difference then sends whatever is desired for them, a removal included, instead of
    trusting a value that may have been overwritten.
    """
    unsure = records.unique(KEY, keep="last").with_columns(value=pl.lit(None, pl.String)).select(list(STATE))
    return pl.concat([acknowledged.join(unsure, on=KEY, how="anti"), unsure]).sort(KEY)


def forget(acknowledged: pl.DataFrame) -> pl.DataFrame:
    """The ledger for a resync: what was sent to whom stays known, its values do not."""
    return acknowledged.with_columns(value=pl.lit(None, pl.String))


def doubtful(settled: pl.DataFrame) -> pl.DataFrame:
    """The records that one of several attempts may have delivered, whatever the last one came to."""
    return settled.filter(pl.col("in_doubt"), ~pl.col("outcome").is_in(ADVANCING))


def park(letters: pl.DataFrame, settled: pl.DataFrame) -> pl.DataFrame:
    """The letters after an exchange: those that can never succeed, the newest for each key."""
    return pl.concat([letters, settled.filter(pl.col("outcome").is_in(PARKED))]).unique(KEY, keep="last").sort(KEY)


def summary(desired: pl.DataFrame, records: pl.DataFrame, settled: pl.DataFrame) -> dict[str, Any]:
    """The honest account of a sync: computed = sum of outcomes, everything under its own name.

    `records` is the whole difference, `settled` has one outcome for each of them, parked ones
    included. `status` is 'success' only if nothing is invalid, waiting, refused or unknown.
    """
    sets = records.filter(pl.col("action") == "set").height
    removals = records.height - sets
    without = desired["id_value"].null_count()
    counts = dict(settled.group_by("outcome").len().iter_rows())
    outcomes = {name: counts.get(name, 0) for name in OUTCOMES}
    outcomes |= {UNCHANGED: desired.height - without - sets, NO_IDENTIFIER: without}
    computed = desired.height + removals
    assert computed == sum(outcomes.values()), "a record without an outcome, or with two"
    return {"status": _status(outcomes), "computed": computed, "to_set": sets, "to_remove": removals, **outcomes}


def _status(outcomes: dict[str, int]) -> str:
    if outcomes[REFUSED]:
        return "held"
    return "partial" if any(outcomes[name] for name in (*PARKED, *WAITING)) else "success"

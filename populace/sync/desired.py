"""What a destination should hold: the values and members of a run, by the identifiers it knows people by."""

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from populace.definitions import Audience, Destination, Trait
from populace.nodes import Count, Sum
from populace.sync.states import IDENTIFIER, IDENTIFIERS, KEY, STATE


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

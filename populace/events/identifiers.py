"""Which external ids each event carries, and the numbering of the sets they form.

A sighting is a distinct set of identifiers within a slice. Events keep only its number, so that
identity is recomputed without reading events again. Numbers are made of the source, the day and
an ordinal that follows event order: they depend on the slice alone, never on what came before.
"""

import hashlib
import re
from datetime import date

import polars as pl

from populace.definitions import Identifier, Identity
from populace.errors import ArchiveError
from populace.events.jsontext import JsonReader, pointer

COLUMNS = {"user_id": "user_id", "anonymous_id": "anonymous_id"}
LONGEST_VALUE = 500  # I-9
EVENT_ORDER = ("timestamp", "received_at", "message_id")  # E-27

TAG_BITS, DAY_BITS, ORDINAL_BITS = 20, 16, 27


def tag(source: str) -> int:
    """A number for a source that follows from its name alone; the loader refuses two alike."""
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:3], "big") >> (24 - TAG_BITS)


def first_number(source: str, day: date) -> int:
    """The number of a slice's first sighting or identifier; the others follow it."""
    days = (day - date(1970, 1, 1)).days
    return ((tag(source) << DAY_BITS) | days) << ORDINAL_BITS


def carried(rows: pl.DataFrame, rules: Identity, json: JsonReader) -> pl.DataFrame:
    """Every identifier of every row, in long form.

    Returns
    -------
    (row_number: u32, id_type: str, raw_value: str, value: str), each identifier of a row once.
    `value` is normalised by its rule (I-8); empty and overlong values are left out (I-9).
    """
    rows = rows.with_row_index("row_number")
    found = [_from_column(rows, each) for each in rules.identifiers if each.id_type in COLUMNS]
    found += _from_json(rows, [each for each in rules.identifiers if each.id_type not in COLUMNS], json)
    found += _from_external_ids(rows, rules, json)
    everything = pl.concat([_normalised(frame, each) for each, frame in found]) if found else _nothing()
    usable = everything.filter(pl.col("value").str.len_chars().is_between(1, LONGEST_VALUE))
    return usable.unique(["row_number", "id_type", "value"], keep="first", maintain_order=True)


Found = tuple[Identifier, pl.DataFrame]


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(
        schema={"row_number": pl.UInt32, "id_type": pl.String, "raw_value": pl.String, "value": pl.String}
    )


def _from_column(rows: pl.DataFrame, rule: Identifier) -> Found:
    return rule, rows.select("row_number", raw_value=pl.col(COLUMNS[rule.id_type])).drop_nulls()


def places(rule: Identifier) -> list[tuple[str, tuple[str, ...]]]:
    """Where an identifier may stand: (column, keys), in the order in which places are preferred (2.2, I-3)."""
    name = rule.read_from or rule.id_type
    spellings = sorted({_snake(name), _camel(name), name})
    below = {"traits": (), "context": ("traits",), "properties": ()}
    return [(column, (*keys, spelling)) for column, keys in below.items() for spelling in spellings]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _camel(name: str) -> str:
    head, *tail = _snake(name).split("_")
    return head + "".join(part.capitalize() for part in tail)


def _from_json(rows: pl.DataFrame, rules: list[Identifier], json: JsonReader) -> list[Found]:
    """Identifiers that stand in traits, context.traits and properties; one look at each column."""
    asked = [(rule, column, pointer(keys)) for rule in rules for column, keys in places(rule)]
    found: list[Found] = []
    for column in ("traits", "context", "properties"):
        here = [(rule, at) for rule, where, at in asked if where == column]
        if not here:
            continue
        # A Group call's traits are the group's, its e-mail included (I-72).
        texts = rows.select(pl.when(pl.col("type") != "group").then(column) if column == "traits" else column)
        values = json.values(texts.to_series(), [at for _, at in here])
        for (rule, _), value in zip(here, values, strict=True):
            found.append((rule, _scalars(rows.select("row_number").with_columns(raw_value=value))))
    return found


def _scalars(found: pl.DataFrame) -> pl.DataFrame:
    """JSON strings, numbers and booleans as text; objects, arrays and null are no identifiers (I-9)."""
    value = pl.col("raw_value")
    # A quoted string decodes by cutting its quotes, unless something in it is escaped.
    plain = value.str.strip_prefix('"').str.strip_suffix('"')
    text = pl.when(value.str.contains("\\", literal=True)).then(value.str.json_path_match("$")).otherwise(plain)
    usable = value.is_not_null() & ~value.str.contains(r"^([\[{]|null$)")
    return found.filter(usable).with_columns(raw_value=text)


def _from_external_ids(rows: pl.DataFrame, rules: Identity, json: JsonReader) -> list[Found]:
    """`context.externalIds` of the collection users and a configured type (E-11, I-3, I-5)."""
    context = rows.get_column("context")
    if not context.str.contains("externalIds", literal=True).any():
        return []
    listed = json.values(context, ["/externalIds"])[0]
    entries = rows.select("row_number").with_columns(entry=json.entries(listed, ("id", "type", "collection")))
    users = entries.drop_nulls().explode("entry").unnest("entry").filter(pl.col("collection") == '"users"')
    return [
        (rule, _scalars(users.filter(pl.col("type") == f'"{rule.id_type}"').select("row_number", raw_value="id")))
        for rule in rules.identifiers
    ]


def _normalised(found: pl.DataFrame, rule: Identifier) -> pl.DataFrame:
    value = normalised(found.get_column("raw_value"), rule)
    return found.select("row_number", id_type=pl.lit(rule.id_type), raw_value="raw_value", value=value)


def normalised(raw: pl.Series, rule: Identifier) -> pl.Series:
    """Values as they are compared (I-8)."""
    if rule.normalize == "none":
        return raw
    trimmed = raw.str.strip_chars()
    return trimmed.str.to_lowercase() if rule.normalize == "trim_lower" else trimmed


def number(
    rows: pl.DataFrame, found: pl.DataFrame, source: str, day: date
) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
    """Number the identifiers and the sets they form.

    Parameters
    ----------
    rows
        The good rows of the slice, in event order.
    found
        What `carried` returned for them.

    Returns
    -------
    identifiers
        One row each: (identifier: i64, collection, id_type, value, raw_value), raw as first seen.
    sightings
        One row per distinct set: (sighting: i64, ids: list[i64], first_timestamp, first_received_at,
        first_message_id, count: u32); the first_* belong to the set's least event.
    sighting
        For each row of `rows` the number of its set; null where it carries no identifier.
    """
    start = first_number(source, day)
    identifiers = (
        found.sort("row_number")
        .unique(["id_type", "value"], keep="first", maintain_order=True)
        .sort("id_type", "value")
        .select(
            pl.int_range(pl.len(), dtype=pl.Int64).add(start).alias("identifier"),
            pl.lit("users").alias("collection"),
            "id_type",
            "value",
            "raw_value",
        )
    )
    sets = (
        found.join(identifiers, on=["id_type", "value"])
        .group_by("row_number")
        .agg(ids=pl.col("identifier").sort())
        .join(rows.with_row_index("row_number").select("row_number", *EVENT_ORDER), on="row_number")
    )
    sightings = (
        sets.sort(EVENT_ORDER)
        .group_by("ids", maintain_order=True)
        .agg(*(pl.col(name).first().alias(f"first_{name}") for name in EVENT_ORDER), count=pl.len())
        .select(pl.int_range(pl.len(), dtype=pl.Int64).add(start).alias("sighting"), pl.all())
    )
    if max(identifiers.height, sightings.height) >> ORDINAL_BITS:
        message = f"source '{source}', {day}: over {1 << ORDINAL_BITS:,} identifiers in a day; split the source"
        raise ArchiveError(message)
    numbered = rows.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row_number")).join(
        sets.join(sightings, on="ids").select("row_number", "sighting"),
        on="row_number",
        how="left",
        maintain_order="left",
    )
    return identifiers, sightings, numbered.get_column("sighting")

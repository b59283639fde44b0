"""Which external ids each event carries, and the numbers of the sets they form.

A sighting is a distinct set of identifiers. Events keep only its number, so that identity is
recomputed without reading events again. A number is a fingerprint of what it stands for, so the
same set has the same number in every part, on every day, however an archive is cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from populace.definitions import GROUP_ID, Identifier, Identity
from populace.events.jsontext import MASK, JsonReader
from populace.events.places import COLUMNS, EXTERNAL_IDS, Place, reading
from populace.events.values import as_text

LONGEST_VALUE = 500  # I-9
EVENT_ORDER = ("timestamp", "received_at", "message_id")  # E-27
KNOWN: dict[str, pl.DataType | type[pl.DataType]] = {
    "id_type": pl.String,
    "raw_value": pl.String,
    "value": pl.String,
    "order": pl.List(pl.UInt32),
}


Found = Mapping[Place, pl.Series]
"""For places that hold anything the value of each row as JSON, null where there is none."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """What `number` finds.

    `identifiers` is one row each: (identifier: i64, check: u64, collection, id_type, value, raw_value: null where
    it is the value, first_timestamp).
    `sightings` is one row per distinct set: (sighting: i64, check: u64, ids: list[i64], first_*, count: u32).
    `of_row` says for each row the number of its set; null where it carries no identifier.
    """

    identifiers: pl.DataFrame
    sightings: pl.DataFrame
    of_row: pl.Series


# --- what carriers carry --------------------------------------------------------------------------


def number(rows: pl.DataFrame, found: Found, rules: Identity, salt: int, json: JsonReader) -> Sightings:
    """Number the identifiers of some rows and the sets they form.

    Parameters
    ----------
    rows
        (user_id, anonymous_id: str, timestamp, received_at, message_id, order: u32), many rows; `order`
        is each row's rank in event order, without gaps, and says below which row is meant.
    found
        What stands at the places that `places.all_places` lists.
    salt
        Another one gives other numbers.
    """
    order = rows.get_column("order")
    in_order = rows.select(EVENT_ORDER)[order.arg_sort()]
    known = _numbered(_known(rows, found, rules, json), salt, json)
    carried = known.select("identifier", "check", "order").explode("order")
    sets = _sets(carried)
    none = pl.repeat(None, rows.height, dtype=pl.Int64, eager=True)
    by_order = none.scatter(sets.get_column("order"), sets.get_column("sighting"))
    return Sightings(
        _identifiers(known, in_order),
        _sightings(carried, sets, in_order),
        by_order.gather(order).alias("sighting"),
    )


def _known(rows: pl.DataFrame, found: Found, rules: Identity, json: JsonReader) -> pl.DataFrame:
    """(id_type, raw_value, value, order: list[u32]): each identifier as it is written, and the rows that carry it.

    Values are normalised (I-8), and none are blank or too long (I-9).
    """
    order = rows.get_column("order")
    listed = [pl.DataFrame(schema=KNOWN)]
    external = _external(order, found.get(EXTERNAL_IDS), json)
    for rule in rules.identifiers:
        if rule.id_type == GROUP_ID:
            continue  # names accounts, not users
        if rule.id_type in COLUMNS:
            carried = [_carried(order, rows.get_column(COLUMNS[rule.id_type]))]
        else:
            carried = [_unquoted(_carried(order, each)) for each in _values(found, rule)]
        carried.append(_unquoted(external.filter(type=f'"{rule.id_type}"').select("order", raw_value="id")))
        listed.append(_written([each for each in carried if not each.is_empty()], rule))
    return pl.concat(listed)


def _values(found: Found, rule: Identifier) -> list[pl.Series]:
    """What stands at the places of a type, place by place, in the rows that meet its conditions."""
    read = reading(rule)
    values = [found[place] for place in read.places if place in found]
    for place, expected in read.conditions if values else ():
        told = found.get(place)
        if told is None:
            return []
        is_met = (as_text(told.alias("told").to_frame()).to_series() == expected).fill_null(value=False)
        values = [each.set(~is_met, None) for each in values]
    return values


def _carried(order: pl.Series, values: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"order": order, "raw_value": values}).drop_nulls()


def _written(carried: list[pl.DataFrame], rule: Identifier) -> pl.DataFrame:
    """The identifiers of one type, each once a row though it may stand in several places; the first of them counts."""
    once = pl.concat([pl.DataFrame(schema={"order": pl.UInt32, "raw_value": pl.String}), *carried])
    if len(carried) > 1:
        valued = once.with_columns(value=normalised(once.get_column("raw_value"), rule))
        once = valued.unique(["order", "value"], keep="first", maintain_order=True)
    # Many rows carry the same values, so only distinct ones are looked at.
    distinct = once.group_by("raw_value").agg("order")
    valued = distinct.with_columns(
        id_type=pl.lit(rule.id_type), value=normalised(distinct.get_column("raw_value"), rule)
    )
    return valued.filter(pl.col("value").str.len_chars().is_between(1, LONGEST_VALUE)).select(KNOWN.keys())


def _unquoted(found: pl.DataFrame) -> pl.DataFrame:
    """JSON strings, numbers and booleans as text; objects, arrays and null are no identifiers (I-9)."""
    usable = found.filter(~pl.col("raw_value").str.contains(r"^([\[{]|null$)"))
    return usable.with_columns(as_text(usable.select("raw_value")))


def _external(order: pl.Series, values: pl.Series | None, json: JsonReader) -> pl.DataFrame:
    """(order, id, type), one row per entry of `context.externalIds` of the collection users (E-11, I-5)."""
    if values is None:
        return pl.DataFrame(schema={"order": pl.UInt32, "id": pl.String, "type": pl.String})
    listed = _carried(order, values)
    entries = listed.select("order", entry=json.entries(listed.get_column("raw_value"), ("id", "type", "collection")))
    users = entries.drop_nulls("entry").explode("entry").unnest("entry").filter(collection='"users"')
    return users.select("order", "id", "type")


def normalised(raw: pl.Series, rule: Identifier) -> pl.Series:
    """Values as they are compared (I-8)."""
    if rule.normalize == "none":
        return raw
    trimmed = raw.str.strip_chars()
    return trimmed.str.to_lowercase() if rule.normalize == "trim_lower" else trimmed


# --- numbers ----------------------------------------------------------------------------------------


def _numbered(known: pl.DataFrame, salt: int, json: JsonReader) -> pl.DataFrame:
    """`known` with the number of each identifier, a fingerprint of collection, type and value.

    Sorted by it; of an identifier that is written in several ways, the one that was seen first comes first.
    """
    texts = known.select(pl.concat_str(pl.lit(f"{salt or ''}users"), "id_type", "value", separator="\0")).to_series()
    low, high = json.digests(texts)
    return known.with_columns(identifier=low, check=high, first=pl.col("order").list.min()).sort("identifier", "first")


def _sets(carried: pl.DataFrame) -> pl.DataFrame:
    """(order, sighting, check), one row per event that carries any identifier.

    A set's number is the sum of its identifiers' numbers, which are as good as random, so that sums are, too.
    """
    sums = carried.group_by("order").agg(pl.col("identifier").cast(pl.UInt64).sum(), pl.col("check").sum())
    return sums.select("order", (pl.col("identifier") & MASK).cast(pl.Int64).alias("sighting"), "check")


def _identifiers(known: pl.DataFrame, in_order: pl.DataFrame) -> pl.DataFrame:
    """One row per identifier: when it was first seen, and how it was written then."""
    times = in_order.get_column("timestamp")
    identifier = known.get_column("identifier")
    found = known.filter((identifier != identifier.shift()).fill_null(value=True))
    spelled = found.select("identifier").join(
        _spelled(known, times), on="identifier", how="left", maintain_order="left"
    )
    return found.select(
        "identifier",
        "check",
        pl.lit("users").alias("collection"),
        "id_type",
        "value",
        spelled.get_column("raw_value"),
        times.gather(found.get_column("first")).alias("first_timestamp"),
    )


def _spelled(known: pl.DataFrame, times: pl.Series) -> pl.DataFrame:
    """(identifier, raw_value) of those that were at first spelled otherwise than they are compared.

    Of several spellings of that instant it is the one that sorts first, which no cut into parts changes.
    """
    other = known.filter(pl.col("raw_value") != pl.col("value"))  # hardly any, so only those are looked at
    odd = known.join(other, on="identifier", how="semi") if other.height else other
    dated = odd.with_columns(first_timestamp=times.gather(odd.get_column("first")))
    firsts = dated.sort("first_timestamp", "raw_value").unique("identifier", keep="first")
    return firsts.filter(pl.col("raw_value") != pl.col("value")).select("identifier", "raw_value")


def _sightings(carried: pl.DataFrame, sets: pl.DataFrame, in_order: pl.DataFrame) -> pl.DataFrame:
    """One row per set, as of its least event."""
    by_set = sets.group_by("sighting").agg(pl.col("check").first(), first=pl.col("order").min(), count=pl.len())
    found = by_set.sort("sighting")
    first = found.get_column("first")
    place = pl.repeat(None, in_order.height, dtype=pl.UInt32, eager=True)
    place = place.scatter(first, pl.int_range(first.len(), dtype=pl.UInt32, eager=True))
    listed = carried.select("identifier", place=place.gather(carried.get_column("order"))).drop_nulls("place")
    ids = listed.sort("place", maintain_order=True).group_by("place", maintain_order=True).agg("identifier")
    firsts = in_order.select(pl.all().name.prefix("first_"))[first]
    sets_of = found.select("sighting", "check", ids=ids.get_column("identifier"))
    return sets_of.hstack([*firsts, found.get_column("count")])

"""Which external ids each event carries, and the numbers of the sets they form.

A sighting is a distinct set of identifiers. Events keep only its number, so that identity is
recomputed without reading events again. A number is a fingerprint of what it stands for, so the
same set has the same number in every part, on every day, however an archive is cut.
"""

import re
from dataclasses import dataclass

import polars as pl

from populace.definitions import Identifier, Identity
from populace.events.jsontext import MASK, JsonReader

COLUMNS = {"user_id": "user_id", "anonymous_id": "anonymous_id"}
LONGEST_VALUE = 500  # I-9
EVENT_ORDER = ("timestamp", "received_at", "message_id")  # E-27
EXTERNAL_IDS = ("externalIds",)

Path = tuple[str, ...]
Place = tuple[str, Path]
"""Where a value may stand: the column (traits, context, properties) and the keys below it."""


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


# --- where identifiers stand ----------------------------------------------------------------------


def places(rule: Identifier) -> list[Place]:
    """Where an identifier may stand, in the order in which places are preferred (2.2, I-3)."""
    if rule.id_type in COLUMNS:
        return []
    name = rule.read_from or rule.id_type
    spellings = sorted({_snake(name), _camel(name), name})
    below: dict[str, Path] = {"traits": (), "context": ("traits",), "properties": ()}
    return [(column, (*keys, spelling)) for column, keys in below.items() for spelling in spellings]


def all_places(rules: Identity) -> list[Place]:
    """Every place that some identifier is read from, each once; `context.externalIds` among them (E-11)."""
    listed = [place for rule in rules.identifiers for place in places(rule)]
    return list(dict.fromkeys([*listed, ("context", EXTERNAL_IDS)]))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _camel(name: str) -> str:
    head, *tail = _snake(name).split("_")
    return head + "".join(part.capitalize() for part in tail)


# --- what carriers carry --------------------------------------------------------------------------


def number(
    rows: pl.DataFrame, found: dict[Place, pl.Series], rules: Identity, salt: int, json: JsonReader
) -> Sightings:
    """Number the identifiers of some rows and the sets they form.

    Parameters
    ----------
    rows
        (user_id, anonymous_id: str, timestamp, received_at, message_id, order: u32), many rows; `order`
        is each row's rank in event order, without gaps.
    found
        For places that hold anything, the value of each row as JSON, null where there is none.
    salt
        Another one gives other numbers.
    """
    columns = {str(position): series for position, series in enumerate(found.values())}
    asked = [COLUMNS[each.id_type] for each in rules.identifiers if each.id_type in COLUMNS]
    wide = rows.select(*asked, "order").with_columns(**columns)
    # Many rows carry the same values, so only distinct ones are looked at.
    carriers = wide.group_by(pl.exclude("order")).agg("order").with_row_index("carrier")
    long = _long(carriers, dict(zip(found, columns, strict=True)), rules, json)
    known = _numbered(long, salt, json)
    sets = _sets(known)
    seen = carriers.select("carrier", "order").join(sets, on="carrier")
    in_order = rows.select(EVENT_ORDER)[rows.get_column("order").arg_sort()]
    return Sightings(_identifiers(known, in_order), _sightings(seen, in_order), _of_row(rows, seen))


def _long(carriers: pl.DataFrame, columns: dict[Place, str], rules: Identity, json: JsonReader) -> pl.DataFrame:
    """(carrier, first: u32, id_type, raw_value, value), each identifier of a carrier once.

    Values are normalised (I-8), and none are blank or too long (I-9).
    """
    least = carriers.with_columns(first=pl.col("order").list.min())
    listed: list[pl.DataFrame] = []
    external = _external(least, columns.get(("context", EXTERNAL_IDS)), json)
    for rule in rules.identifiers:
        if rule.id_type in COLUMNS:
            found = [least.select("carrier", "first", raw_value=COLUMNS[rule.id_type]).drop_nulls()]
        else:
            found = [_scalars(least, columns[place]) for place in places(rule) if place in columns]
        found.append(_unquoted(external.filter(type=f'"{rule.id_type}"').select("carrier", "first", raw_value="id")))
        listed.append(_once([_normalised(each, rule) for each in found if not each.is_empty()]))
    return pl.concat(listed) if listed else _once([])


def _once(found: list[pl.DataFrame]) -> pl.DataFrame:
    """The identifiers of one type, each of a carrier once though it may stand in several places."""
    empty = {"carrier": pl.UInt32, "first": pl.UInt32, "id_type": pl.String, "raw_value": pl.String, "value": pl.String}
    usable = pl.concat([pl.DataFrame(schema=empty), *found]).filter(
        pl.col("value").str.len_chars().is_between(1, LONGEST_VALUE)
    )
    return usable.unique(["carrier", "value"], keep="first", maintain_order=True) if len(found) > 1 else usable


def _scalars(carriers: pl.DataFrame, column: str) -> pl.DataFrame:
    return _unquoted(carriers.select("carrier", "first", raw_value=column).drop_nulls())


def _unquoted(found: pl.DataFrame) -> pl.DataFrame:
    """JSON strings, numbers and booleans as text; objects, arrays and null are no identifiers (I-9)."""
    value = pl.col("raw_value")
    # A quoted string decodes by cutting its quotes, unless something in it is escaped.
    is_quoted = value.str.starts_with('"')
    plain = pl.when(is_quoted).then(value.str.slice(1).str.head(-1)).otherwise(value)
    text = pl.when(value.str.contains("\\", literal=True)).then(value.str.json_path_match("$")).otherwise(plain)
    usable = value.is_not_null() & ~value.str.contains(r"^([\[{]|null$)")
    return found.filter(usable).with_columns(raw_value=text)


def _external(carriers: pl.DataFrame, column: str | None, json: JsonReader) -> pl.DataFrame:
    """(carrier, first, id, type), one row per entry of `context.externalIds` of the collection users (E-11, I-5)."""
    kept = ["carrier", "first", "id", "type"]
    if column is None:
        empty = {"carrier": pl.UInt32, "first": pl.UInt32, "id": pl.String, "type": pl.String}
        return pl.DataFrame(schema=empty)
    listed = carriers.select("carrier", "first", listed=column).drop_nulls()
    entries = listed.with_columns(entry=json.entries(listed.get_column("listed"), ("id", "type", "collection")))
    users = entries.drop_nulls("entry").explode("entry").unnest("entry").filter(collection='"users"')
    return users.select(kept)


def _normalised(found: pl.DataFrame, rule: Identifier) -> pl.DataFrame:
    value = normalised(found.get_column("raw_value"), rule)
    return found.select("carrier", "first", id_type=pl.lit(rule.id_type), raw_value="raw_value", value=value)


def normalised(raw: pl.Series, rule: Identifier) -> pl.Series:
    """Values as they are compared (I-8)."""
    if rule.normalize == "none":
        return raw
    trimmed = raw.str.strip_chars()
    return trimmed.str.to_lowercase() if rule.normalize == "trim_lower" else trimmed


# --- numbers ----------------------------------------------------------------------------------------


def _numbered(long: pl.DataFrame, salt: int, json: JsonReader) -> pl.DataFrame:
    """`long` with the number of each identifier, a fingerprint of collection, type and value."""
    texts = long.select(pl.concat_str(pl.lit(f"{salt or ''}users"), "id_type", "value", separator="\0")).to_series()
    low, high = json.digests(texts)
    return long.with_columns(identifier=low, check=high)


def _sets(known: pl.DataFrame) -> pl.DataFrame:
    """(carrier, sighting, check, ids), one row per carrier.

    A set's number is the sum of its identifiers' numbers, which are as good as random, so that sums are, too.
    """
    # Sorted once, for sorting within each group takes several times as long.
    ordered = known.select("carrier", "identifier", "check").sort("carrier", "identifier")
    halves = ordered.with_columns(low=pl.col("identifier").cast(pl.UInt64), high="check")
    sets = halves.group_by("carrier").agg(pl.col("low", "high").sum(), ids="identifier")
    number = (pl.col("low") & MASK).cast(pl.Int64)
    return sets.select("carrier", sighting=number, check="high", ids="ids")


def _identifiers(known: pl.DataFrame, in_order: pl.DataFrame) -> pl.DataFrame:
    """One row per identifier: when it was first seen, and how it was written then."""
    times = in_order.get_column("timestamp")
    numbered = known.with_row_index("at")
    firsts = numbered.group_by("identifier").agg(pl.col("at").first(), pl.col("first").min()).sort("identifier")
    named = known.select("check", "id_type", "value")[firsts.get_column("at")]
    found = named.with_columns(
        firsts.get_column("identifier"), first_timestamp=times.gather(firsts.get_column("first"))
    )
    return (
        found.join(_spelled(known, times), on="identifier", how="left", maintain_order="left")
        .with_columns(collection=pl.lit("users"))
        .select("identifier", "check", "collection", "id_type", "value", "raw_value", "first_timestamp")
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


def _sightings(seen: pl.DataFrame, in_order: pl.DataFrame) -> pl.DataFrame:
    """One row per set, as of its least event; several carriers may carry one set."""
    by_carrier = seen.select("sighting", first=pl.col("order").list.min(), count=pl.col("order").list.len())
    found = (
        by_carrier.with_row_index("at")
        .group_by("sighting")
        .agg(pl.col("at").first(), pl.col("first").min(), pl.col("count").sum().cast(pl.UInt32))
    )
    found = found.sort("sighting")
    sets = seen.select("check", "ids")[found.get_column("at")]
    firsts = in_order.select(pl.all().name.prefix("first_"))[found.get_column("first")]
    return pl.DataFrame([found.get_column("sighting"), *sets, *firsts, found.get_column("count")])


def _of_row(rows: pl.DataFrame, seen: pl.DataFrame) -> pl.Series:
    spread = seen.select("sighting", "order").explode("order")
    none = pl.repeat(None, rows.height, dtype=pl.Int64, eager=True)
    in_order = none.scatter(spread.get_column("order"), spread.get_column("sighting"))
    return in_order.gather(rows.get_column("order")).alias("sighting")

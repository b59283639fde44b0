"""One slice: all tables that follow from the rows of one source and one received day."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from populace.definitions import Identity
from populace.events import identifiers, layout, rows, shred
from populace.events.jsontext import JsonReader, pointer

FORMAT = 1  # of the tables below; raising it makes every slice run again

POSITION = "@row"  # where a row stands in its object; a name that no archive's column has

ENVELOPE = ("message_id", "timestamp", "received_at", "source", "sighting")
EVENT_ORDER = identifiers.EVENT_ORDER
COPY = ("message_id", *rows.COPY_ORDER)

# `name` of a page or screen call is also the property page_name or screen_name (E-5).
TITLES: dict[str, dict[shred.Path, shred.Path]] = {
    "Page Viewed": {("page_name",): ("name",)},
    "Screen Viewed": {("screen_name",): ("name",)},
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What extraction depends on: change it and the slices run again.

    `context` are the dotted paths below `context` that definitions or the source ask to keep.
    """

    identity: Identity
    context: tuple[str, ...] = ()

    def describe(self) -> dict:
        """The same as plain data, for a fingerprint."""
        places = [[each.id_type, each.normalize, each.read_from] for each in self.identity.identifiers]
        return {"format": FORMAT, "identifiers": sorted(places, key=str), "context": sorted(self.context)}


@dataclass(frozen=True, slots=True)
class Slice:
    """The tables of a slice, and what became of its rows: read = kept + duplicate + rejected.

    `events` maps a table's name to its frame, see `table_of`; calls that no condition can name
    (identify, group, alias) have the tables `@identify`, `@group`, `@alias`.
    `copies` is one row per message that is good: (message_id, received_at, object, row, kept).
    """

    events: dict[str, pl.DataFrame]
    sightings: pl.DataFrame
    identifiers: pl.DataFrame
    custom_traits: pl.DataFrame
    links: pl.DataFrame
    quarantine: pl.DataFrame
    copies: pl.DataFrame
    counts: dict[str, int]
    reasons: dict[str, int]
    least: str | None
    greatest: str | None


def canonical(path: str, raw: pl.DataFrame) -> pl.DataFrame:
    """Rows of one object as `layout` reads them, with where they stand: (object: str, row: u32)."""
    return raw.select(*layout.columns(raw.schema), row=pl.col(POSITION), object=pl.lit(path))


def read(
    raw: Sequence[tuple[str, pl.DataFrame]],
    *,
    source: str,
    day: date | None,
    rules: Rules,
    rivals: pl.DataFrame,
    json: JsonReader,
) -> Slice:
    """All tables of a slice.

    Parameters
    ----------
    raw
        For each input object its path and the rows of it that belong to this slice, as they stand
        in the file, with their `POSITION`.
    day
        The received day; None for rows without any readable instant.
    rivals
        For messages that other slices hold too, the best of their copies: one row each
        (message_id, received_at, source, object, row).
    """
    everything = rows.reasons(pl.concat([canonical(path, frame) for path, frame in raw]), json)
    good = rows.first_copies(everything.filter(pl.col("reason").is_null()))
    copies = good.select(COPY).with_columns(kept=_prevails(good, rivals, source))
    kept = good.filter(copies.get_column("kept")).sort(EVENT_ORDER)
    rejected = everything.filter(pl.col("reason").is_not_null())
    tables = _tables(kept.with_columns(source=pl.lit(source)), source, day, rules, json)
    return Slice(
        **tables,
        quarantine=_quarantine(raw, rejected),
        copies=copies.sort("message_id"),
        counts={
            "read": everything.height,
            "kept": kept.height,
            "duplicate": everything.height - rejected.height - kept.height,
            "rejected": rejected.height,
        },
        reasons=dict(sorted(rejected.get_column("reason").value_counts().iter_rows())),
        least=_iso(kept.get_column("timestamp").min()),
        greatest=_iso(kept.get_column("timestamp").max()),
    )


def _prevails(good: pl.DataFrame, rivals: pl.DataFrame, source: str) -> pl.Series:
    """True where our copy of a message comes before the best of the other slices' (E-35)."""
    met = good.select("message_id").join(rivals, on="message_id", how="left", maintain_order="left")
    ours = good.select(pl.struct("received_at", pl.lit(source).alias("source"), "object", "row")).to_series()
    theirs = met.select(pl.struct("received_at", "source", "object", "row")).to_series()
    return met.get_column("source").is_null() | rows.precedes(ours, theirs)


def _iso(instant: object) -> str | None:
    return None if instant is None else f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}"


def _tables(kept: pl.DataFrame, source: str, day: date | None, rules: Rules, json: JsonReader) -> dict:
    carried = identifiers.carried(kept, rules.identity, json)
    # Only rejected rows have no day, so without one there is nothing to number.
    known, sightings, sighting = identifiers.number(kept, carried, source, day or date(1970, 1, 1))
    kept = kept.with_columns(sighting=sighting)
    context = shred.chosen_columns(kept.get_column("context"), rules.context, "c.", json)
    return {
        "events": dict(_events(kept.with_columns(context), [each.name for each in context], json)),
        "sightings": sightings.with_columns(source=pl.lit(source)),
        "identifiers": known,
        "custom_traits": _custom_traits(kept, json),
        "links": kept.filter(type="group").select("sighting", "group_id", *ENVELOPE[:4]),
    }


def _events(kept: pl.DataFrame, context: list[str], json: JsonReader) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each table's name and rows, in event order, sorted by name."""
    named = kept.with_columns(table=_table())
    for (name,), frame in sorted(named.partition_by("table", as_dict=True, maintain_order=True).items()):
        properties = shred.all_columns(frame.get_column("properties"), "p.", json, TITLES.get(name))
        yield name, frame.select(*ENVELOPE, *_calls_own(name), *context, *properties)


def _table() -> pl.Expr:
    """An event's table: its name; page and screen calls by E-5, the other calls after their type."""
    own = pl.when(pl.col("event").str.starts_with("@")).then(pl.lit("@") + pl.col("event")).otherwise("event")
    named = {"track": own, "page": pl.lit("Page Viewed"), "screen": pl.lit("Screen Viewed")}
    return pl.coalesce(
        *(pl.when(pl.col("type") == call).then(name) for call, name in named.items()), pl.lit("@") + pl.col("type")
    )


def table_of(event: str) -> str:
    """The table of an event's name; one that starts with `@` gets another, so that calls stay apart."""
    return "@" + event if event.startswith("@") else event


def event_of(table: str) -> str:
    """The name of the event whose table this is."""
    return table.removeprefix("@")


def is_event(table: str) -> bool:
    """Whether a table holds events that a definition can name; Identify calls, say, are none (E-6)."""
    return not table.startswith("@") or table.startswith("@@")


def _calls_own(name: str) -> list[str]:
    return {"@group": ["group_id", "traits"], "@alias": ["user_id", "previous_id"]}.get(name, [])


def _custom_traits(kept: pl.DataFrame, json: JsonReader) -> pl.DataFrame:
    """Traits of Identify calls, one row per call and top-level name (E-2, T-5); null is a value (T-2)."""
    calls = kept.filter((pl.col("type") == "identify") & pl.col("sighting").is_not_null())
    texts = calls.get_column("traits")
    found = sorted({name for shape in json.structures(texts) for name in shape})
    values = json.values(texts, [pointer([name]) for name in found])
    keys = calls.select("sighting", "timestamp", "received_at", "message_id", "source")
    long = [
        keys.select("sighting", pl.lit(name).alias("name"), value.alias("value"), *keys.columns[1:])
        for name, value in zip(found, values, strict=True)
    ]
    empty = keys.clear().select("sighting", pl.lit("").alias("name"), pl.lit("").alias("value"), *keys.columns[1:])
    return pl.concat([empty, *long]).drop_nulls("value").sort(*EVENT_ORDER, "name")


def _quarantine(raw: Sequence[tuple[str, pl.DataFrame]], rejected: pl.DataFrame) -> pl.DataFrame:
    """Every rejected row whole, as JSON of what the file held (E-50)."""
    why = rejected.select("reason", "object", "row")
    wholes = [_whole(path, frame.filter(pl.col(POSITION).is_in(_rows_of(path, why)))) for path, frame in raw]
    return why.join(pl.concat(wholes), on=["object", "row"], how="left").sort("object", "row")


def _rows_of(path: str, why: pl.DataFrame) -> pl.Series:
    return why.filter(object=path).get_column("row").implode()


def _whole(path: str, frame: pl.DataFrame) -> pl.DataFrame:
    fields = [_readable(name, dtype) for name, dtype in frame.schema.items() if name != POSITION]
    return frame.select(row=POSITION, whole=pl.struct(fields).struct.json_encode(), object=pl.lit(path))


def _readable(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as polars can write it into JSON, which holds no bytes: those are hexadecimal, or Python's repr."""
    if dtype == pl.Binary:
        return pl.col(name).bin.encode("hex")
    return pl.col(name).map_elements(repr, pl.String) if "Binary" in str(dtype) else pl.col(name)

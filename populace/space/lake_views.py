"""What statements see of the lake: events, people and their traits as tables, up to the instant of a run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from populace import spelling
from populace.errors import StatementError
from populace.events import shred
from populace.events.jsontext import JsonReader, names
from populace.events.tables import TITLES, event_of, is_event
from populace.expressions import JSON, json_text
from populace.lake import runs, tables
from populace.lake.objects import scan
from populace.space import people
from populace.space.opening import OpenSpace
from populace.space.recompute import Run

EVENT = "event."
SQL = "@sql"  # the source of people that only a statement knows
KEPT: dict[str, tuple[str, ...]] = {
    "profiles": ("profile_id", "collection", "created_at"),
    "external_ids": ("profile_id", "collection", "id_type", "id_value", "added_at", "source"),
    "custom_traits": ("profile_id", "name", "value", "updated_at", "source"),
    "links": ("profile_id", "account_id", "linked_at"),
}
ENVELOPE = ("event", "timestamp", "received_at", "message_id", "source", "profile_id")


def write(space: OpenSpace, run: Run, wanted: Iterable[str], folder: Path, computed: Sequence[str]) -> dict[str, Path]:
    """The views of these names as Parquet files in a folder.

    Parameters
    ----------
    computed
        The keys of computed traits: `traits` has these columns, and none that comes from SQL.

    Raises
    ------
    StatementError
        If there is no view of a name; says which there are.
    """
    found = {}
    for number, name in enumerate(sorted({each.lower() for each in wanted})):  # as SQL compares names
        found[name] = folder / f"{number}.parquet"
        _view(space, run, name, computed).sink_parquet(found[name], compression="lz4")
    return found


def _view(space: OpenSpace, run: Run, name: str, computed: Sequence[str]) -> pl.LazyFrame:
    if name in KEPT:
        return untouched(space, run.run_id, name).select(KEPT[name])
    if name == "traits":
        return runs.table(space.lake, run.run_id, "traits").select("profile_id", *computed)
    if name == "events":
        return _named(space, run, _everything(space, run))
    if name.startswith(EVENT):
        return _event(space, run, name)
    there = ", ".join(sorted([*KEPT, "traits", "events", EVENT + "<name>"]))
    message = f"there is no view '{name}' of the lake; there is {there}"
    raise StatementError(message)


def untouched(space: OpenSpace, run_id: str, name: str) -> pl.LazyFrame:
    """A table of a run without the people that only statements know: what identity made it."""
    table = runs.table(space.lake, run_id, name)
    if name == "external_ids":
        return table.filter(pl.col("source") != SQL)
    if name not in ("profiles", "memberships"):
        return table
    made = runs.table(space.lake, run_id, "external_ids").filter(pl.col("source") == SQL)
    return table.join(made, on="profile_id", how="anti")


def _named(space: OpenSpace, run: Run, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Events with whose they are instead of the set of identifiers that they carry."""
    placed = runs.table(space.lake, run.run_id, "sightings").drop_nulls()
    seen = rows.filter(pl.col("timestamp") <= run.as_of).join(placed, on="sighting")
    columns = [name for name in seen.collect_schema().names() if name not in (*ENVELOPE, "sighting")]
    return seen.select(*ENVELOPE, *columns)


def _everything(space: OpenSpace, run: Run) -> pl.LazyFrame:
    """The envelopes of all events, with their names."""
    own = {name for entry in run.entries for each in entry["outputs"] if (name := each["table"]) and is_event(name)}
    parts = []
    for name in sorted(own):
        paths = [each["path"] for each in tables.outputs(run.entries, "events", name)]
        if paths:
            rows = scan(space.lake, *paths, schema=tables.ENVELOPE)
            parts.append(rows.with_columns(event=pl.lit(event_of(name))))
    if rare := [each["path"] for each in tables.outputs(run.entries, "few")]:
        rows = scan(space.lake, *rare, schema={"event": pl.String()} | tables.ENVELOPE)
        name = pl.col("event")
        is_ours = ~name.str.starts_with("@") | name.str.starts_with("@@")
        parts.append(rows.filter(is_ours).with_columns(name.str.strip_prefix("@")))
    columns = [*tables.ENVELOPE, "event"]
    nothing = pl.LazyFrame(schema=tables.ENVELOPE | {"event": pl.String()})
    return pl.concat([nothing.select(columns), *(each.select(columns) for each in parts)])


# --- one event --------------------------------------------------------------------------------------


def _event(space: OpenSpace, run: Run, view: str) -> pl.LazyFrame:
    """The events of one name, or of several that are spelled alike, with their properties."""
    there = [each for each in tables.names(run.entries) if is_event(each)]
    alike = [each for each in there if EVENT + spelling.key(event_of(each)) == view]
    if not alike:
        known = sorted({EVENT + spelling.key(event_of(each)) for each in there})
        hint = "".join(f"; did you mean '{each}'?" for each in get_close_matches(view, known, n=1))
        message = f"no event is called so that there is a view '{view}'{hint}"
        raise StatementError(message)
    streams = [_stream(space, run, each) for each in alike]
    return _named(space, run, _united(streams))


def _stream(space: OpenSpace, run: Run, table: str) -> pl.LazyFrame:
    """The events of one table: the envelope, the name, and a column for each property and context path."""
    paths = sorted({each.removesuffix(JSON) for each in _columns(space, run, table)})
    stream = tables.events(space.lake, run.entries, table, paths, people.FromJson(TITLES.get(table, {})))
    assert stream is not None
    schema = stream.collect_schema()
    found = [each for path in paths for each in (path, path + JSON) if each in schema]
    shown = [
        (json_text(pl.col(each)) if each.endswith(JSON) else pl.col(each)).alias(name)
        for each, name in zip(found, _shown(found), strict=True)
    ]
    return stream.select(*tables.ENVELOPE, pl.lit(event_of(table)).alias("event"), *shown)


def _columns(space: OpenSpace, run: Run, table: str) -> Iterator[str]:
    """The columns of an event, those included that are kept as JSON because the event is rare."""
    yield from tables.columns(run.entries, table) - {tables.REST}
    rare = [each["path"] for each in tables.outputs(run.entries, "few") if table in each["events"]]
    if rare:
        rows = scan(space.lake, *rare, schema={"event": pl.String(), tables.REST: pl.String()})
        texts = rows.filter(pl.col("event") == table).select(tables.REST).collect().get_column(tables.REST)
        objects = pl.DataFrame({"g": pl.zeros(texts.len(), pl.UInt16, eager=True), "j": texts})
        with JsonReader() as json:
            found = shred.all_columns(objects, "p.", json, {})
        yield from (each.name for columns in found.values() for each in columns)


def _shown(columns: Iterable[str]) -> Iterator[str]:
    """What columns are called in a view: the property's path with `_` for dots; a name that is taken gets a number."""
    taken = {each.lower() for each in ENVELOPE}
    for each in columns:
        path = "_".join(names(each.removesuffix(JSON)[2:]))
        name = wanted = path if each.startswith("p.") else f"context_{path}"
        number = 1
        while name.lower() in taken:  # in SQL names that differ in their letters' case are one
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name.lower())
        yield name


def _united(streams: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """Rows of tables whose columns differ; a column that has two types is text."""
    schemas = [each.collect_schema() for each in streams]
    types: dict[str, set] = {}
    for schema in schemas:
        for name, dtype in schema.items():
            types.setdefault(name, set()).add(dtype)
    as_text: Callable[[str], pl.Expr] = lambda name: pl.col(name).cast(pl.String)  # noqa: E731
    parts = [
        each.with_columns(as_text(name) for name in schema if len(types[name]) > 1)
        for each, schema in zip(streams, schemas, strict=True)
    ]
    return pl.concat(parts, how="diagonal")

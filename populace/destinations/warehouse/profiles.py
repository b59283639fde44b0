"""The people of a run as the tables of Segment's Profiles Sync (2.12): who they are, and what is known of them.

They mirror the run: the whole table is laid beside the one that is there, and what differs is written. A row that stays
as it is keeps its instants. Segment's raw tables, which tell each change as it came, are not made: a run knows where
everything ended. `id_graph` and `external_id_mapping`, which its customers build of them, are views.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from populace.destinations.warehouse.tables import (
    INSTANT,
    INSTANT_FORMAT,
    TEXT,
    Existing,
    Table,
    Where,
    created,
    instant,
    quoted,
    text,
)

# The tables of a run that are read.
MIRRORED = ("profiles", "merges", "retired", "external_ids", "custom_traits", "traits", "memberships")

STAGING = "populace_mirror"
MARKS = Table("populace_mirrored", {"name": TEXT, "run": TEXT, "total": "bigint"}, ("name",))

Tables = Mapping[str, pl.LazyFrame]
Json = Callable[[str, pl.DataType], pl.Expr]  # a column of a run as canonical JSON
MICROSECONDS = pl.Datetime("us", "UTC")
NOT_SAID = pl.lit(None, MICROSECONDS)
USERS = pl.col("collection") == "users"


@dataclass(frozen=True, slots=True)
class Mirror:
    """One table that mirrors a run.

    Parameters
    ----------
    table
        Its columns and its key.
    rows
        What it should hold: its columns without `seq`, `received_at` and `uuid_ts`. A `timestamp` that is null stands
        for the run in which the row came to be as it is.
    view
        The name and columns of a view of it; columns of other names as (name, called).
    """

    table: Table
    rows: Callable[[Tables, Json], pl.LazyFrame]
    view: tuple[str, tuple[tuple[str, str], ...]] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All columns but the instants."""
        return tuple(name for name in self.table.columns if name not in INSTANTS)

    @property
    def told(self) -> tuple[str, ...]:
        """What a row says besides its key and its instants."""
        return tuple(name for name in self.texts if name not in self.table.key)


INSTANTS = ("seq", "received_at", "uuid_ts", "timestamp")
LATER = {"seq": "bigint", **dict.fromkeys(INSTANTS[1:], INSTANT)}


def user_traits(tables: Tables, json: Json) -> pl.LazyFrame:
    """One row a profile and trait, custom, computed or audience: (canonical_segment_id, name, value, timestamp).

    Text is as it is, everything else JSON, a member `true`. Where one is called like another, the computed one counts.
    """
    people = tables["profiles"].filter(USERS).select("profile_id")
    custom = tables["custom_traits"].select(
        "profile_id", "name", plain(pl.col("value")).alias("value"), _at("updated_at")
    )
    wide = tables["traits"]
    kinds = {key: kind for key, kind in wide.collect_schema().items() if key != "profile_id"}
    computed = [
        wide.select("profile_id", name=pl.lit(key), value=_text(key, kind, json)).drop_nulls("value")
        for key, kind in kinds.items()
    ]
    members = tables["memberships"].select("profile_id", name="audience", value=pl.lit("true"))
    ours = pl.concat([*computed, members]).with_columns(timestamp=NOT_SAID)
    # Hardly any name is both, and comparing whole tables for it would cost more than the rest.
    names = [*kinds, *members.select(pl.col("name").unique()).collect().to_series()]
    is_ours = pl.col("name").is_in(names)
    hidden = custom.filter(is_ours).join(ours, on=["profile_id", "name"], how="anti")
    found = pl.concat([ours, custom.filter(~is_ours), hidden]).join(people, on="profile_id", how="semi")
    return found.select("name", "value", "timestamp", canonical_segment_id="profile_id")


def user_identifiers(tables: Tables, _: Json) -> pl.LazyFrame:
    """One row an identifier of a profile: (canonical_segment_id, type, value, timestamp)."""
    return (
        tables["external_ids"]
        .filter(USERS)
        .select(canonical_segment_id="profile_id", type="id_type", value="id_value", timestamp=_at("added_at"))
    )


def profile_merges(tables: Tables, _: Json) -> pl.LazyFrame:
    """One row a profile that there is or was: (canonical_segment_id, segment_id, timestamp).

    A profile leads to itself, one that was merged to the one it is now, and one that other rules made and these do not
    to the one that has its identifier.
    """
    alive = tables["profiles"].filter(USERS).select("profile_id", _at("created_at"), canonical="profile_id")
    users = alive.select(canonical="profile_id")
    merged = tables["merges"].select("profile_id", _at("merged_at"), canonical="canonical_id")
    retired = tables["retired"].drop_nulls("successor").join(merged, on="profile_id", how="anti")
    retired = retired.select("profile_id", canonical="successor", timestamp=NOT_SAID)
    gone = pl.concat([merged, retired], how="diagonal").join(users, on="canonical", how="semi")
    return pl.concat([alive, gone], how="diagonal").select(
        "timestamp", segment_id="profile_id", canonical_segment_id="canonical"
    )


def _at(name: str) -> pl.Expr:
    return pl.col(name).cast(MICROSECONDS).alias("timestamp")


def plain(json: pl.Expr) -> pl.Expr:
    """JSON as text for people: a string without its quotes, everything else as it is."""
    is_text = json.str.starts_with('"')
    return pl.when(is_text).then(pl.when(is_text).then(json).str.json_decode(pl.String)).otherwise(json)


def _text(key: str, kind: pl.DataType, json: Json) -> pl.Expr:
    """A computed value as that text."""
    return pl.col(key) if kind == pl.String else plain(json(key, kind))


# --- the frames as they are laid beside the tables ------------------------------------------------------------------


def staged(mirror: Mirror, tables: Tables, json: Json, where: Where) -> pl.LazyFrame:
    """What a table should hold, as the staging table takes it: texts, `timestamp` and `seq`."""
    at = pl.col("timestamp")
    return mirror.rows(tables, json).select(
        *(_storable(name, where) for name in mirror.texts),
        timestamp=at if where.is_postgresql else at.dt.strftime(INSTANT_FORMAT.replace("%f", "%6f")),
        seq=at.dt.epoch("us"),
    )


def _storable(name: str, where: Where) -> pl.Expr:
    """PostgreSQL has no NUL in texts; a table that could not be written for one would be worth less than it."""
    return pl.col(name).str.replace_all("\0", "\ufffd", literal=True) if where.is_postgresql else pl.col(name)


# --- statements -----------------------------------------------------------------------------------------------------


def prepared(mirror: Mirror, existing: Existing, where: Where) -> list[str]:
    """Makes the table and its view where they are not there, and says that they are ours."""
    found = [f"CREATE SCHEMA IF NOT EXISTS {quoted(where.schema)}"] if where.is_postgresql else []
    found += [created(where, table) for table in (MARKS, mirror.table) if table.name not in existing]
    if mirror.view and mirror.table.name not in existing and mirror.view[0] not in existing:
        name, columns = mirror.view
        said = ", ".join(f"{quoted(each)} AS {quoted(called)}" for each, called in columns)
        create = "CREATE VIEW" if where.is_postgresql else "CREATE VIEW IF NOT EXISTS"
        found.append(f"{create} {where.of(name)} AS SELECT {said} FROM {where.of(mirror.table)}")
    return found if len(found) > where.is_postgresql else []


def mark_query(mirror: Mirror, where: Where) -> str:
    """Which run the table mirrors: no row, or one of (run, total)."""
    return f"SELECT run, total FROM {where.of(MARKS)} WHERE name = {text(mirror.table.name)}"


def marked(mirror: Mirror, run: str, where: Where) -> str:
    """Remembers that the table mirrors this run."""
    total = f"(SELECT count(*) FROM {where.of(mirror.table)})"
    return (
        f"INSERT INTO {where.of(MARKS)} (name, run, total) VALUES ({text(mirror.table.name)}, {text(run)}, {total})"
        " ON CONFLICT (name) DO UPDATE SET run = EXCLUDED.run, total = EXCLUDED.total"
    )


def indexed(mirror: Mirror, where: Where) -> str:
    """What to execute when the staging table is filled, so that the comparison goes well."""
    if where.is_postgresql:
        return f"ANALYZE {STAGING}"
    return f"CREATE INDEX temp.populace_by_key ON {STAGING} ({_list(mirror.table.key)})"


def written(mirror: Mirror, as_of: str, where: Where) -> str:
    """Inserts what is not there, and replaces what is there and differs."""
    table, key = mirror.table, mirror.table.key
    is_not = "IS DISTINCT FROM" if where.is_postgresql else "IS NOT"
    differs = [f"t.{quoted(name)} {is_not} s.{quoted(name)}" for name in mirror.told]
    differs.append(f"(s.timestamp IS NOT NULL AND t.timestamp {is_not} s.timestamp)")
    now = instant(as_of, where)
    at = f"coalesce(s.timestamp, {now})"
    columns = {quoted(name): f"s.{quoted(name)}" for name in mirror.texts}
    columns |= {"seq": f"coalesce(s.seq, {microseconds(as_of)})", "received_at": at, '"timestamp"': at, "uuid_ts": now}
    replaced = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns if name not in map(quoted, key))
    return (
        f"INSERT INTO {where.of(table)} ({', '.join(columns)}) SELECT {', '.join(columns.values())}"
        f" FROM {STAGING} AS s LEFT JOIN {where.of(table)} AS t ON {_same(key)}"
        f" WHERE t.{quoted(key[0])} IS NULL OR {' OR '.join(differs)}"
        f" ON CONFLICT ({_list(key)}) DO UPDATE SET {replaced}"
    )


def removed(mirror: Mirror, where: Where) -> str:
    """Deletes what is gone."""
    found = f"SELECT 1 FROM {STAGING} AS s WHERE {_same(mirror.table.key)}"
    return f"DELETE FROM {where.of(mirror.table)} AS t WHERE NOT EXISTS ({found})"


def microseconds(as_of: str) -> int:
    """An instant as `seq` has it: microseconds since 1970."""
    since = datetime.fromisoformat(as_of) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1)


def _same(key: tuple[str, ...]) -> str:
    return " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in key)


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(quoted(name) for name in names)


# --- which tables there are -----------------------------------------------------------------------------------------


def _table(name: str, columns: tuple[str, ...], key: tuple[str, ...]) -> Table:
    return Table(name, {**dict.fromkeys(columns, TEXT), **LATER}, key)


ID = "canonical_segment_id"
MIRRORS = (
    Mirror(_table("user_traits", (ID, "name", "value"), (ID, "name")), user_traits),
    Mirror(
        _table("user_identifiers", (ID, "type", "value"), (ID, "type", "value")),
        user_identifiers,
        (
            "external_id_mapping",
            ((ID, ID), ("type", "external_id_type"), ("value", "external_id_value"), ("timestamp", "timestamp")),
        ),
    ),
    Mirror(
        _table("profile_merges", (ID, "segment_id"), ("segment_id",)),
        profile_merges,
        ("id_graph", (("segment_id", "segment_id"), (ID, ID), ("timestamp", "timestamp"))),
    ),
)
VIEWS = {each.view[0]: each.table for each in MIRRORS if each.view}
TABLES = {each.name: each for each in (MARKS, *(mirror.table for mirror in MIRRORS))}

"""Warehouse: one wide table of people and one of members, in PostgreSQL or SQLite.

Names. PostgreSQL: schema `populace_<space>`, tables `users` and `audience_members`. SQLite has no
schemas, so there the tables are `populace_<space>_users` and `populace_<space>_audience_members`.

* `users`, one row per identifier: id_type, id_value, profile_id, and a column for each trait and
  audience key. An unset trait is null, an exited audience false; rows and columns are never dropped.
* `audience_members`, one row per member: audience, id_type, id_value, profile_id, entered_run.
  A person who exits has no row.

Types. Numbers are `numeric`, which keeps integers and decimals exactly and does not change when a
trait turns from 10 to 10.5; then `boolean`; all else is `text`, lists as JSON. When a value does
not fit its column any more, the column becomes `text` and keeps what it has: a trait that changes
its type changes the column, it does not fail the sync. Where PostgreSQL will not change it, because
a view depends on it, the records that do not fit are invalid. SQLite columns have no declared type
and take every value as it is; true and false are 1 and 0 there.

A batch of records arrives in a temporary table and is spread from there by one statement for each
key, all in one transaction: whether a batch has ten records or ten thousand, the database sees the
same few statements. After destinations.md 14.2; nothing is appended, so twice equals once.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from populace.destinations.protocol import About, Outcome, Record, Settings

ABOUT = About(
    required=("url",),
    secret=frozenset({"url"}),  # it holds the password
    identifies=(),
    compared=("value", "profile_id"),
)

POSTGRESQL = "postgresql"
SQLITE = "sqlite"
SCHEMES = {"postgresql": POSTGRESQL, "postgres": POSTGRESQL, "sqlite": SQLITE}

BATCH = 10_000
STAGING = "populace_batch"  # action, kind, key, profile_id, id_type, id_value, value, run
OWN_COLUMNS = ("id_type", "id_value", "profile_id")
LONGEST_NAME = 63  # PostgreSQL cuts longer ones, two of which could become one
NUMBERS = frozenset({"numeric", "integer", "bigint", "smallint", "real", "double precision"})
TEXTS = frozenset({"text", "character varying", "character"})


def account(settings: Settings) -> str:
    parts = urlsplit(settings["url"])
    if SCHEMES.get(parts.scheme) == POSTGRESQL:
        return f"{POSTGRESQL}://{parts.hostname}:{parts.port or 5432}{parts.path}"
    return settings["url"]


def problems(settings: Settings) -> list[str]:
    url = settings["url"]
    if url.startswith("${") or dialect(url):
        return []
    return ["'url' must be postgresql://host/database, sqlite:///folder/file.db or sqlite:file.db"]


def dialect(url: str) -> str | None:
    """Which database a URL means; None for one we cannot write to."""
    return SCHEMES.get(urlsplit(url).scheme)


# --- names ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Names:
    """Where the tables of a space are; `users` and `members` are quoted and complete."""

    dialect: str
    schema: str
    users_table: str
    members_table: str

    @property
    def users(self) -> str:
        return self._complete(self.users_table)

    @property
    def members(self) -> str:
        return self._complete(self.members_table)

    def _complete(self, table: str) -> str:
        return f"{quoted(self.schema)}.{quoted(table)}" if self.dialect == POSTGRESQL else quoted(table)


def names(space: str, dialect: str) -> Names:
    if dialect == POSTGRESQL:
        return Names(dialect, fitting(f"populace_{space}"), "users", "audience_members")
    return Names(dialect, "main", f"populace_{space}_users", f"populace_{space}_audience_members")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def fitting(name: str) -> str:
    """The name, or its start and a hash of it where it is too long."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    start = name.encode()[: LONGEST_NAME - 9].decode(errors="ignore")
    return f"{start}_{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def column(key: str) -> str:
    """The column of a trait or audience: its key, kept apart from the columns every row has."""
    return f"{key}_" if key in OWN_COLUMNS else fitting(key)


# --- what a batch does ----------------------------------------------------------------------------


def columns_query(where: Names) -> str:
    """Which columns `users` has: rows of (name, type), none where there is no such table."""
    if where.dialect == POSTGRESQL:
        return (
            "SELECT column_name AS name, data_type AS type FROM information_schema.columns"
            f" WHERE table_schema = {text(where.schema)} AND table_name = {text(where.users_table)}"
        )
    return f"SELECT name, type FROM pragma_table_info({text(where.users_table)})"


def lock_statement(where: Names) -> str | None:
    """Keeps a second writer of the same space out until the transaction ends; SQLite has only one."""
    if where.dialect == POSTGRESQL:
        return f"SELECT pg_advisory_xact_lock(hashtextextended({text(where.schema)}, 0))"
    return None


def statements(records: Sequence[Record], existing: Mapping[str, str], where: Names) -> list[str]:
    """What to execute for a batch that lies in the staging table, in order.

    Parameters
    ----------
    records
        The batch: each key of it gets one statement.
    existing
        The columns of `users` with their types; empty where the tables are not there yet.
    where
        The tables and the dialect.
    """
    wanted = wanted_types(records)
    created = [] if existing else list(_created(where))
    found = existing or dict.fromkeys(OWN_COLUMNS, "text")
    changed, final = _columns(wanted, found, where)
    spread = [_spread(kind, key, final[column(key)], where) for kind, key in wanted if column(key) in final]
    members = [_entered(where), _exited(where)] if any(kind == "audience" for kind, _ in wanted) else []
    return [*created, *changed, *spread, *members]


def wanted_types(records: Iterable[Record]) -> dict[tuple[str, str], str | None]:
    """The type that the values of each (kind, key) need; None where all are null."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records:
        types = found[record["kind"], record["key"]]
        if record["value"] is not None:
            types.add(type_of(record["value"]))
    return {each: _widest(types) for each, types in sorted(found.items())}


def type_of(value: str) -> str:
    """The column type for one canonical JSON value."""
    if value in {"true", "false"}:
        return "boolean"
    return "numeric" if value[0] in "-0123456789" else "text"


def _widest(types: set[str]) -> str | None:
    if len(types) > 1:
        return "text"
    return next(iter(types), None)


def _created(where: Names) -> Iterable[str]:
    if where.dialect == POSTGRESQL:
        yield f"CREATE SCHEMA IF NOT EXISTS {quoted(where.schema)}"
    identifier = "id_type text NOT NULL, id_value text NOT NULL, profile_id text"
    yield f"CREATE TABLE IF NOT EXISTS {where.users} ({identifier}, PRIMARY KEY (id_type, id_value))"
    yield (
        f"CREATE TABLE IF NOT EXISTS {where.members} (audience text NOT NULL, {identifier},"
        " entered_run text, PRIMARY KEY (audience, id_type, id_value))"
    )


def _columns(
    wanted: Mapping[tuple[str, str], str | None], existing: Mapping[str, str], where: Names
) -> tuple[list[str], dict[str, str]]:
    """What to do to the columns of `users`, and the types they then have."""
    changes, final = [], dict(existing)
    for (_, key), needed in wanted.items():
        name = column(key)
        if needed is None or fits(needed, final.get(name)):
            continue
        if name not in final:
            declared = needed if where.dialect == POSTGRESQL else ""
            changes.append(f"ALTER TABLE {where.users} ADD COLUMN {quoted(name)} {declared}".rstrip())
            final[name] = declared
        elif where.dialect == POSTGRESQL:
            now_text = f"ALTER COLUMN {quoted(name)} TYPE text USING {quoted(name)}::text"
            changes.append(f"ALTER TABLE {where.users} {now_text}")
            final[name] = "text"
    return changes, final


def fits(needed: str, existing: str | None) -> bool:
    """Whether a column takes values of a type. One of a type that is not ours is left as it is."""
    if existing is None:
        return False
    if existing in NUMBERS or existing == "boolean":
        return needed == ("boolean" if existing == "boolean" else "numeric")
    return True


def _spread(kind: str, key: str, existing: str, where: Names) -> str:
    """One key of the batch, written into its column."""
    name = quoted(column(key))
    return (
        f"INSERT INTO {where.users} (id_type, id_value, profile_id, {name})"
        f" SELECT id_type, id_value, profile_id, {_value(existing, where)} FROM {STAGING}"
        f" WHERE kind = {text(kind)} AND key = {text(key)}"
        f" ON CONFLICT (id_type, id_value) DO UPDATE SET profile_id = EXCLUDED.profile_id, {name} = EXCLUDED.{name}"
    )


def _value(existing: str, where: Names) -> str:
    """The canonical JSON of the staging table as a value of the column."""
    if where.dialect == SQLITE:
        return "json_extract(value, '$')"
    return f"(value::json #>> '{{}}')::{existing}"


def _entered(where: Names) -> str:
    return (
        f"INSERT INTO {where.members} (audience, id_type, id_value, profile_id, entered_run)"
        f" SELECT key, id_type, id_value, profile_id, run FROM {STAGING}"
        " WHERE kind = 'audience' AND action = 'set'"
        " ON CONFLICT (audience, id_type, id_value) DO UPDATE SET profile_id = EXCLUDED.profile_id"
    )


def _exited(where: Names) -> str:
    return (
        f"DELETE FROM {where.members} WHERE (audience, id_type, id_value) IN"
        f" (SELECT key, id_type, id_value FROM {STAGING} WHERE kind = 'audience' AND action <> 'set')"
    )


# --- what its errors mean ---------------------------------------------------------------------------

# Classes and codes of SQLSTATE, longest match first (destinations.md 14.2).
STATES: tuple[tuple[str, Outcome, str], ...] = (
    ("42501", "refused", "the user lacks a right; grant it, or name another user"),
    ("3D000", "refused", "the database does not exist; create it, or name another"),
    ("3F000", "refused", "the schema does not exist and cannot be created"),
    ("40001", "transient", "another transaction was in the way"),
    ("40P01", "transient", "another transaction was in the way"),
    ("55P03", "transient", "a lock was not free"),
    ("57P0", "transient", "the server is going down or starting up"),
    ("08", "transient", "the connection broke"),
    ("53", "transient", "the server is out of disk, memory or connections"),
    ("28", "refused", "the user or password is not accepted; check the URL"),
    ("25006", "refused", "the server is read-only; name the primary"),
    ("22", "invalid", "a value the database cannot hold"),
    ("23", "invalid", "a constraint of the table is violated"),
    ("0A", "invalid", "a column cannot be changed for this value"),
    ("42", "invalid", "the table does not take this record"),
    ("54", "invalid", "a limit of the database is exceeded"),
)

# libpq reports a failed connection without SQLSTATE; what the server says then is one of these.
CONNECTING: tuple[tuple[str, Outcome, str], ...] = (
    ("authentication failed", "refused", "the user or password is not accepted; check the URL"),
    ("no password supplied", "refused", "the server asks for a password; put one into the URL"),
    ("no pg_hba.conf entry", "refused", "the server does not admit this user from here"),
    ("does not exist", "refused", "there is no such user or database; check the URL"),
    ("invalid ", "refused", "the URL cannot be read; percent-encode special characters of the password"),
    ("file is not a database", "refused", "the file is not an SQLite database; name another"),
    ("unable to open", "refused", "the file cannot be opened; check the folder and its rights"),
    ("failed to open", "refused", "the file cannot be opened; check the folder and its rights"),
    ("readonly database", "refused", "the file cannot be written; check its rights"),
)


def meaning(state: str | None, message: str, *, is_connecting: bool = False) -> tuple[Outcome, str]:
    """Outcome and remedy for a database error; the message itself may hold data and goes no further."""
    if state:
        matches = (each for each in STATES if state.startswith(each[0]))
        found = next(matches, ("", "unknown", "the database failed"))
        return found[1], f"SQLSTATE {state}: {found[2]}"
    known = next((each for each in CONNECTING if each[0] in message), None)
    if known and (is_connecting or "file" in known[2]):
        return known[1], known[2]
    return ("transient", "cannot be reached") if is_connecting else ("transient", "the database failed")

"""Our tables: which there are, which columns every row of them has, and where they lie in either database."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

POSTGRESQL = "postgresql"
SQLITE = "sqlite"
SCHEMES = {"postgresql": POSTGRESQL, "postgres": POSTGRESQL, "sqlite": SQLITE}
LONGEST_NAME = 63  # PostgreSQL cuts longer ones, two of which could become one

# Columns that every table of PostgreSQL has. Databases agree about our names, so SQLite does without them as well.
SYSTEM = frozenset({"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"})

TEXT = "text"
INSTANT = "timestamp with time zone"

INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"

Existing = Mapping[str, Mapping[str, str]]  # table: column: type, of the tables that are there


@dataclass(frozen=True, slots=True)
class Table:
    """A table of ours: the columns that every row has, with their types in PostgreSQL, and what tells rows apart."""

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]

    def column(self, key: str) -> str:
        """The column of a trait or audience: its key, kept apart from the columns that every row has."""
        bare = key.rstrip("_")
        return fitting(f"{key}_" if bare in self.columns or bare in SYSTEM else key)


def _texts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, TEXT)


def _instants(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, INSTANT)


IDENTIFIED = _texts("id_type", "id_value", "profile_id")

# What people are now: a row for each identifier, and one for each member.
USERS = Table(
    "users",
    {**IDENTIFIED, **_texts("id", "user_id"), **_instants("received_at", "uuid_ts")},
    ("id_type", "id_value"),
)
# What accounts are: a row for each, and who is in an audience of accounts is true in a column.
ACCOUNTS = Table(
    "accounts",
    {**IDENTIFIED, **_texts("id", "group_id"), **_instants("received_at", "uuid_ts")},
    ("id_type", "id_value"),
)
MEMBERS = Table(
    "audience_members",
    {**_texts("audience"), **IDENTIFIED, **_texts("entered_run", "user_id"), **_instants("entered_at")},
    ("audience", "id_type", "id_value"),
)
# Those who are members no more: a row for each time that somebody left, called after the record that told it.
PAST = Table(
    "audience_past_members",
    {
        **_texts("id", "audience"),
        **IDENTIFIED,
        **_texts("user_id", "entered_run", "exited_run"),
        **_instants("entered_at", "exited_at"),
    },
    ("id",),
)
MEMBERSHIPS = "audience_memberships"  # both of them, as a view

# What was told: a row for each record, with Segment's names for what a call carries.
CALL = {
    **_texts("id", "user_id"),
    **IDENTIFIED,
    **_instants("received_at", "timestamp", "uuid_ts"),
    **_texts("run_id", "context_personas_computation_class", "context_personas_computation_key"),
}
EVENT = {**CALL, **_texts("event", "event_text")}
IDENTIFIES = Table("identifies", CALL, ("id",))
GROUPS = Table("groups", {**CALL, **_texts("group_id")}, ("id",))
ENTERED = Table("audience_entered", {**EVENT, **_texts("audience_key")}, ("id",))
EXITED = Table("audience_exited", {**EVENT, **_texts("audience_key")}, ("id",))
COMPUTED = Table("trait_computed", {**EVENT, **_texts("trait_key")}, ("id",))

TABLES = {each.name: each for each in (USERS, ACCOUNTS, MEMBERS, PAST, IDENTIFIES, GROUPS, ENTERED, EXITED, COMPUTED)}


@dataclass(frozen=True, slots=True)
class Where:
    """Where the tables of a space are: a schema of PostgreSQL, or names that begin alike in SQLite, which has none."""

    dialect: str
    schema: str

    @property
    def is_postgresql(self) -> bool:
        return self.dialect == POSTGRESQL

    def bare(self, table: str) -> str:
        """The name of a table, without its schema and not quoted."""
        return table if self.is_postgresql else f"{self.schema}_{table}"

    def of(self, table: Table | str) -> str:
        """The name of a table, complete and quoted."""
        name = quoted(self.bare(table.name if isinstance(table, Table) else table))
        return f"{quoted(self.schema)}.{name}" if self.is_postgresql else f'"main".{name}'

    def declared(self, kind: str) -> str:
        """A type as a column declares it; SQLite's have none, and take every value as it is."""
        return kind if self.is_postgresql else ""


def dialect(url: str) -> str | None:
    """Which database a URL means; None for one we cannot write to."""
    return SCHEMES.get(urlsplit(url).scheme)


def place(space: str, dialect: str, schema: str = "") -> Where:
    """Where the tables of a space are; `schema` where they shall lie elsewhere than in `populace_<space>`."""
    return Where(dialect, schema or fitting(f"populace_{space}"))


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


def columns_query(where: Where, tables: Mapping[str, Table]) -> str:
    """Which of these tables are there, with which columns: rows of (table, name, type)."""
    bare = ", ".join(text(where.bare(name)) for name in tables)
    if where.is_postgresql:
        return (
            'SELECT table_name AS "table", column_name AS name, data_type AS type FROM information_schema.columns'
            f" WHERE table_schema = {text(where.schema)} AND table_name IN ({bare})"
        )
    return (
        'SELECT each.name AS "table", column.name AS name, column.type AS type FROM sqlite_schema AS each'
        f" JOIN pragma_table_info(each.name) AS column WHERE each.type = 'table' AND each.name IN ({bare})"
    )


def existing(where: Where, tables: Mapping[str, Table], rows: Iterator[tuple[str, str, str]]) -> Existing:
    """What `columns_query` found, by our names."""
    ours = {where.bare(name): name for name in tables}
    found: dict[str, dict[str, str]] = {}
    for table, name, kind in rows:
        found.setdefault(ours[table], {})[name] = kind
    return found


def instant(as_of: str, where: Where) -> str:
    """An instant as a literal; SQLite keeps it as a text of one length, so that texts sort as instants do."""
    written = text(datetime.fromisoformat(as_of).astimezone(UTC).strftime(INSTANT_FORMAT))
    return f"{written}::timestamptz" if where.is_postgresql else written


def created(where: Where, table: Table) -> str:
    columns = [f"{quoted(name)} {where.declared(kind)}".rstrip() for name, kind in table.columns.items()]
    key = ", ".join(quoted(name) for name in table.key)
    return f"CREATE TABLE IF NOT EXISTS {where.of(table)} ({', '.join(columns)}, PRIMARY KEY ({key}))"

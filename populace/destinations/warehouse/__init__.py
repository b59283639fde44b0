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

from urllib.parse import urlsplit

from populace.destinations.protocol import About, Settings
from populace.destinations.warehouse.tables import POSTGRESQL, SCHEMES, dialect

ABOUT = About(
    required=("url",),
    secret=frozenset({"url"}),  # it holds the password
    identifies=(),
    compared=("value", "profile_id"),
)

BATCH = 10_000


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

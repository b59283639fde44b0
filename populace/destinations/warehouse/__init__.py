"""Warehouse: what people are and what was told of them, as tables of PostgreSQL or SQLite.

The tables are those that Segment writes (destinations.md 14, Segment 6.9 and 2.12), so that queries move over:
`tables` has their columns, `docs/destinations/warehouse.md` says what they are for. In PostgreSQL they lie in the
schema `populace_<space>`, in SQLite, which has none, they begin with that name.

* The form `property` keeps `users` and `audience_members` equal to the run; who left is in `audience_past_members`.
  With the setting `history` each record is a row of `identifies`, too.
* The form `group` keeps `accounts` equal to the run, and with `history` each record is a row of `groups`.
* The form `event` appends to `audience_entered`, `audience_exited` and `trait_computed`.
* With the setting `profiles` the people of a run themselves are mirrored (`profiles`).

An unset trait is null, an exited audience false; rows of `users` and `accounts`, and columns, are never dropped. When a
value does not fit its column any more, the column becomes `text` and keeps what it has: a trait that changes its type
changes the column, it does not fail the sync. Where PostgreSQL will not change it, because a view depends on it, the
records that do not fit are invalid. Columns of traits in SQLite take every value as it is; true and false are 1 and 0
there.

What is appended is called after its message, what is kept equal is replaced: twice equals once.
"""

from urllib.parse import urlsplit

from populace.destinations.protocol import EVENT, GROUP, PROPERTY, About, Setting, Settings
from populace.destinations.warehouse.tables import LONGEST_NAME, POSTGRESQL, SCHEMES, dialect

ABOUT = About(
    title="Warehouse",
    forms=(PROPERTY, EVENT, GROUP),
    settings=(
        # A secret, for it holds the password.
        Setting(
            "url",
            "`postgresql://user:password@host/database`, `sqlite:///folder/file.db` or `sqlite:file.db`",
            is_required=True,
            is_secret=True,
        ),
        Setting(
            "schema", "where the tables lie, `populace_<space>` by default; in SQLite the names of tables begin with it"
        ),
        Setting("history", "`true`: every call is a row of `identifies` or `groups`, too"),
        Setting("profiles", "`true`: `user_traits`, `user_identifiers` and `profile_merges` are kept as well"),
    ),
    identifies=(),
    compared=("value", "profile_id"),
)

BATCH = 10_000


def account(settings: Settings) -> str:
    parts, url = urlsplit(settings["url"]), settings["url"]
    if SCHEMES.get(parts.scheme) == POSTGRESQL:
        url = f"{POSTGRESQL}://{parts.hostname}:{parts.port or 5432}{parts.path}"
    return f"{url} {settings['schema']}" if settings.get("schema") else url


def problems(settings: Settings) -> list[str]:
    return [
        *_problems_of_url(settings["url"]),
        *_problems_of_schema(settings.get("schema", "populace")),
        *_switches(settings),
    ]


def _problems_of_url(url: str) -> list[str]:
    if url.startswith("${") or dialect(url):
        return []
    return ["'url' must be postgresql://host/database, sqlite:///folder/file.db or sqlite:file.db"]


def _problems_of_schema(schema: str) -> list[str]:
    if "${" in schema or (0 < len(schema.encode()) <= LONGEST_NAME and not schema.startswith(("pg_", "populace_"))):
        return []
    # populace_… is where a space is that names no schema: naming it here could mean another space's.
    return [f"'schema' must be a name of at most {LONGEST_NAME} bytes that does not begin with pg_ or populace_"]


def _switches(settings: Settings) -> list[str]:
    known = ("true", "false")
    wrong = [name for name in ("history", "profiles") if settings.get(name, "false") not in known]
    return [f"{name!r} must be true or false" for name in wrong if not settings[name].startswith("${")]

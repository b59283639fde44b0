"""What a batch of records does to the tables, as SQL.

The batch lies in a temporary table and is spread from there by one statement for each key: whether it has ten records
or ten thousand, the database sees the same few statements.
"""

from collections.abc import Iterable, Mapping

from populace.destinations.warehouse.columns import Computation, adapted, value
from populace.destinations.warehouse.tables import MEMBERS, USERS, Existing, Where, created, quoted, text

STAGING = "populace_batch"
STAGED = ("action", "kind", "key", "profile_id", "id_type", "id_value", "value")  # and run

TABLES = {each.name: each for each in (USERS, MEMBERS)}


def lock_statement(where: Where) -> str | None:
    """Keeps a second writer of the same space out until the transaction ends; SQLite has only one."""
    if where.is_postgresql:
        return f"SELECT pg_advisory_xact_lock(hashtextextended({text(where.schema)}, 0))"
    return None


def statements(wanted: Mapping[Computation, str | None], existing: Existing, where: Where) -> list[str]:
    """What to execute for a batch that lies in the staging table, in order.

    Parameters
    ----------
    wanted
        The computations of the batch with the types of their values: each gets one statement.
    existing
        Our tables that are there, with the types of their columns.
    where
        The tables and the dialect.
    """
    made = list(_created(existing, where))
    there = existing.get(USERS.name, dict(USERS.columns))
    changed, final = adapted(((key, kind) for (_, key, _), kind in wanted.items()), there, USERS, where)
    spread = [
        _spread(kind, key, final[USERS.column(key)], where) for kind, key, _ in wanted if USERS.column(key) in final
    ]
    members = [_entered(where), _exited(where)] if any(kind == "audience" for kind, *_ in wanted) else []
    return [*made, *changed, *spread, *members]


def _created(existing: Existing, where: Where) -> Iterable[str]:
    missing = [table for table in TABLES.values() if table.name not in existing]
    if missing and where.is_postgresql:
        yield f"CREATE SCHEMA IF NOT EXISTS {quoted(where.schema)}"
    yield from (created(where, table) for table in missing)


def _spread(kind: str, key: str, existing: str, where: Where) -> str:
    """One key of the batch, written into its column."""
    name = quoted(USERS.column(key))
    return (
        f"INSERT INTO {where.of(USERS)} (id_type, id_value, profile_id, {name})"
        f" SELECT id_type, id_value, profile_id, {value(existing, where)} FROM {STAGING}"
        f" WHERE kind = {text(kind)} AND key = {text(key)}"
        f" ON CONFLICT (id_type, id_value) DO UPDATE SET profile_id = EXCLUDED.profile_id, {name} = EXCLUDED.{name}"
    )


def _entered(where: Where) -> str:
    return (
        f"INSERT INTO {where.of(MEMBERS)} (audience, id_type, id_value, profile_id, entered_run)"
        f" SELECT key, id_type, id_value, profile_id, run FROM {STAGING}"
        " WHERE kind = 'audience' AND action = 'set'"
        " ON CONFLICT (audience, id_type, id_value) DO UPDATE SET profile_id = EXCLUDED.profile_id"
    )


def _exited(where: Where) -> str:
    return (
        f"DELETE FROM {where.of(MEMBERS)} WHERE (audience, id_type, id_value) IN"
        f" (SELECT key, id_type, id_value FROM {STAGING} WHERE kind = 'audience' AND action <> 'set')"
    )

"""What a batch of records does to the tables, as SQL.

A batch lies in temporary tables, one with its records and one with a row for each person, or account, and is spread
from there: whether it has ten records or ten thousand, the database sees the same few statements.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from populace.destinations.protocol import GROUP, PROPERTY
from populace.destinations.warehouse.columns import Computation, adapted, added, converted, of_keys
from populace.destinations.warehouse.tables import (
    ACCOUNTS,
    COMPUTED,
    ENTERED,
    EXITED,
    GROUPS,
    IDENTIFIES,
    MEMBERS,
    MEMBERSHIPS,
    PAST,
    USERS,
    Existing,
    Table,
    Where,
    created,
    instant,
    quoted,
    text,
)

RECORDS = "populace_batch"
SPREAD = {PROPERTY: "populace_people", GROUP: "populace_accounts"}  # a row for each person, or account
KEPT = {PROPERTY: USERS, GROUP: ACCOUNTS}
HISTORY = {PROPERTY: IDENTIFIES, GROUP: GROUPS}
STAGED = ("action", "message_id", "kind", "key", "form", "profile_id", "id_type", "id_value", "value")

EVENTS = {ENTERED.name: "Audience Entered", EXITED.name: "Audience Exited", COMPUTED.name: "Trait Computed"}
USER_ID = "CASE WHEN id_type = 'user_id' THEN id_value END"


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction: what is known before it.

    Parameters
    ----------
    where
        The tables and the dialect.
    wanted
        The computations of the batch with the types of their values.
    existing
        Our tables that are there, with the types of their columns.
    run_id, as_of
        The run that is told of, and its instant.
    history
        Whether what was told is kept in `identifies`, too.
    """

    where: Where
    wanted: Mapping[Computation, str | None]
    existing: Existing
    run_id: str
    as_of: str
    history: bool = False

    @property
    def now(self) -> str:
        return instant(self.as_of, self.where)

    def of(self, form: str, kind: str | None = None) -> dict[Computation, str | None]:
        """The computations of a form, and of a kind where one is named."""
        return {each: type_ for each, type_ in self.wanted.items() if each[2] == form and kind in (None, each[0])}


def lock_statement(where: Where) -> str | None:
    """Keeps a second writer of the same space out until the transaction ends; SQLite has only one."""
    if where.is_postgresql:
        return f"SELECT 1 AS locked FROM pg_advisory_xact_lock(hashtextextended({text(where.schema)}, 0))"
    return None


def staged(batch: Batch, records: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The temporary tables of a batch; `statements` ends with dropping them."""
    spread = {name: people(records, form) for form, name in SPREAD.items() if batch.of(form)}
    return {RECORDS: records.select(STAGED), **spread}


def people(records: pl.DataFrame, form: str) -> pl.DataFrame:
    """What the batch says of each person, or account: id_type, id_value, profile_id, and a column of JSON for each key.

    Those columns are called as `numbered` says. A value is null where the batch says nothing, and 'null' where there is
    to be none any more. Should a key be said twice, as a trait that is gone and an audience of that name, what is set
    counts.
    """
    said = records.filter(pl.col("form") == form).sort(pl.col("action") == "set", maintain_order=True)
    person = said.group_by("id_type", "id_value").agg(pl.col("profile_id").last())
    names = numbered(said["key"])
    values = said.with_columns(pl.col("key").replace_strict(names), pl.col("value").fill_null("null")).pivot(
        "key", on_columns=[*names.values()], index=["id_type", "id_value"], values="value", aggregate_function="last"
    )
    return person.join(values, on=["id_type", "id_value"])


def numbered(keys: Iterable[str]) -> dict[str, str]:
    """What the columns of keys are called where there is one for each key beside our own.

    A key itself may be `id_value`, which is there already, or have its first 63 bytes, all that PostgreSQL reads of a
    name, in common with another one.
    """
    return {key: f"said_{number}" for number, key in enumerate(sorted(set(keys)))}


def statements(batch: Batch) -> list[str]:
    """What to execute for a batch that lies in the staging tables, in order."""
    found = [*_prepared(batch)]
    for form, calls in HISTORY.items():
        found += _people(batch, form) if batch.of(form) else []
        found += _calls(batch, calls, batch.of(form), "") if batch.history else []
    found += _members(batch)
    audiences = batch.of("event", "audience")
    found += _calls(batch, ENTERED, audiences, " AND action = 'set'")
    found += _calls(batch, EXITED, audiences, " AND action <> 'set'")
    found += _calls(batch, COMPUTED, batch.of("event", "trait"), "")
    return [*found, *(f"DROP TABLE IF EXISTS {name}" for name in SPREAD.values()), f"DROP TABLE {RECORDS}"]


# --- the tables ---------------------------------------------------------------------------------------------------


def needed(batch: Batch) -> list[Table]:
    """The tables that the batch is written to."""
    found = [USERS, MEMBERS, PAST] if batch.of(PROPERTY) else []
    found += [ACCOUNTS] if batch.of(GROUP) else []
    found += [table for form, table in HISTORY.items() if batch.history and batch.of(form)]
    found += [ENTERED, EXITED] if batch.of("event", "audience") else []
    return [*found, COMPUTED] if batch.of("event", "trait") else found


def _prepared(batch: Batch) -> Iterator[str]:
    """Makes tables that are not there, and gives those that are the columns they lack."""
    where, tables = batch.where, needed(batch)
    missing = [table for table in tables if table.name not in batch.existing]
    if missing and where.is_postgresql:
        yield f"CREATE SCHEMA IF NOT EXISTS {quoted(where.schema)}"
    yield from (created(where, table) for table in missing)
    for table in tables:
        yield from _adopted(where, table, batch.existing.get(table.name, table.columns))
    if {MEMBERS.name, PAST.name} & {table.name for table in missing}:
        yield _view(where)


def _adopted(where: Where, table: Table, columns: Mapping[str, str]) -> Iterator[str]:
    """What a table lacks that was made by an earlier version, or by Segment, whose rows are people by their user_id."""
    lacking = [name for name in table.columns if name not in columns]
    yield from (added(where, table, name, table.columns[name]) for name in lacking)
    if table is USERS and "id_type" in lacking:
        yield f"UPDATE {where.of(table)} SET id_type = 'user_id', id_value = coalesce(user_id, id)"
    elif table is ACCOUNTS and "id_type" in lacking:
        yield f"UPDATE {where.of(table)} SET id_type = 'group_id', id_value = id, group_id = id"
    elif "user_id" in lacking:
        also = ", id = id_value" if table is USERS else ""
        yield f"UPDATE {where.of(table)} SET user_id = {USER_ID}{also}"
    if "id_type" in lacking:
        yield _unique(where, table)


def _unique(where: Where, table: Table) -> str:
    """Tells rows apart in a table that we did not make."""
    bare = where.bare(table.name)
    name, key = quoted(f"populace_{bare}_key"), ", ".join(quoted(name) for name in table.key)
    if where.is_postgresql:
        return f"CREATE UNIQUE INDEX {name} ON {where.of(table)} ({key})"
    return f'CREATE UNIQUE INDEX "main".{name} ON {quoted(bare)} ({key})'


def _view(where: Where) -> str:
    """Who is and who was a member, with both instants."""
    said = "audience, id_type, id_value, user_id, profile_id, entered_at"
    create = "CREATE OR REPLACE VIEW" if where.is_postgresql else "CREATE VIEW IF NOT EXISTS"
    nobody = "CAST(NULL AS timestamptz)" if where.is_postgresql else "NULL"
    return (
        f"{create} {where.of(MEMBERSHIPS)} AS SELECT {said}, {nobody} AS exited_at FROM {where.of(MEMBERS)}"
        f" UNION ALL SELECT {said}, exited_at FROM {where.of(PAST)}"
    )


def _columns(batch: Batch, table: Table, wanted: Mapping[Computation, str | None]) -> tuple[list[str], dict[str, str]]:
    """What to do to a table's columns for these computations, and the types they then have."""
    types = of_keys((key, kind) for (_, key, _), kind in wanted.items())
    return adapted(types, batch.existing.get(table.name, table.columns), table, batch.where)


# --- what people are now ------------------------------------------------------------------------------------------


def _people(batch: Batch, form: str) -> Iterator[str]:
    """A row for each person, or account: one that is there is changed once, where the batch says something of it."""
    where, wanted, table, spread = batch.where, batch.of(form), KEPT[form], SPREAD[form]
    changed, final = _columns(batch, table, wanted)
    yield from changed
    values = {}
    for key, said in numbered(key for _, key, _ in wanted).items():
        if (name := table.column(key)) in final:
            values[quoted(name)] = (said, converted(f"p.{said}", final[name], where))
    same = "u.id_type = p.id_type AND u.id_value = p.id_value"
    own = {"profile_id": "p.profile_id", "received_at": batch.now, "uuid_ts": batch.now}
    kept = [
        f"{name} = CASE WHEN p.{said} IS NULL THEN u.{name} ELSE {value} END" for name, (said, value) in values.items()
    ]
    set_ = ", ".join([*(f"{name} = {value}" for name, value in own.items()), *kept])
    yield f"UPDATE {where.of(table)} AS u SET {set_} FROM {spread} AS p WHERE {same}"
    first = {"id_type": "p.id_type", "id_value": "p.id_value", "id": "p.id_value", **_called(table), **own}
    first |= {name: value for name, (_, value) in values.items()}
    yield (
        f"INSERT INTO {where.of(table)} ({', '.join(first)}) SELECT {', '.join(first.values())} FROM {spread} AS p"
        f" WHERE NOT EXISTS (SELECT 1 FROM {where.of(table)} AS u WHERE {same})"
    )


def _called(table: Table) -> dict[str, str]:
    """The column that has the identifier under Segment's name for it."""
    if table is ACCOUNTS:
        return {"group_id": "p.id_value"}
    return {"user_id": "CASE WHEN p.id_type = 'user_id' THEN p.id_value END"}


def _members(batch: Batch) -> Iterator[str]:
    if not batch.of(PROPERTY, "audience"):
        return
    where, run = batch.where, text(batch.run_id)
    about = "kind = 'audience' AND form = 'property' AND action"
    yield (
        f"INSERT INTO {where.of(MEMBERS)} (audience, id_type, id_value, profile_id, user_id, entered_run, entered_at)"
        f" SELECT key, id_type, id_value, profile_id, {USER_ID}, {run}, {batch.now} FROM {RECORDS}"
        f" WHERE {about} = 'set' ON CONFLICT (audience, id_type, id_value)"
        " DO UPDATE SET profile_id = EXCLUDED.profile_id"
    )
    said = "m.audience, m.id_type, m.id_value, m.profile_id, m.user_id, m.entered_run, m.entered_at"
    yield (
        f"INSERT INTO {where.of(PAST)} (id, {said.replace('m.', '')}, exited_run, exited_at)"
        f" SELECT r.message_id, {said}, {run}, {batch.now} FROM {RECORDS} AS r JOIN {where.of(MEMBERS)} AS m"
        " ON m.audience = r.key AND m.id_type = r.id_type AND m.id_value = r.id_value"
        f" WHERE {about} <> 'set' ON CONFLICT (id) DO NOTHING"
    )
    yield (
        f"DELETE FROM {where.of(MEMBERS)} WHERE (audience, id_type, id_value) IN"
        f" (SELECT key, id_type, id_value FROM {RECORDS} WHERE {about} <> 'set')"
    )


# --- what was told ------------------------------------------------------------------------------------------------


def _calls(batch: Batch, table: Table, wanted: Mapping[Computation, str | None], also: str) -> list[str]:
    """A row for each record of these computations, called after its message: said twice, it is there once."""
    if not wanted:
        return []
    changed, final = _columns(batch, table, wanted)
    return [*changed, *(_call(batch, table, each, final, also) for each in wanted)]


def _call(batch: Batch, table: Table, computation: Computation, final: Mapping[str, str], also: str) -> str:
    where, (kind, key, form) = batch.where, computation
    columns = {
        "id": "message_id",
        "user_id": USER_ID,
        **{name: name for name in ("id_type", "id_value", "profile_id")},
        **dict.fromkeys(("received_at", quoted("timestamp"), "uuid_ts"), batch.now),
        "run_id": text(batch.run_id),
        "context_personas_computation_class": "kind",
        "context_personas_computation_key": "key",
    }
    if table is GROUPS:
        columns["group_id"] = "id_value"
    if table.name in EVENTS:
        columns |= {"event": text(table.name), "event_text": text(EVENTS[table.name]), f"{kind}_key": "key"}
    if (name := table.column(key)) in final:
        columns[quoted(name)] = converted("value", final[name], where)
    return (
        f"INSERT INTO {where.of(table)} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {RECORDS}"
        f" WHERE kind = {text(kind)} AND key = {text(key)} AND form = {text(form)}{also} ON CONFLICT (id) DO NOTHING"
    )

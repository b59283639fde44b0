"""What the tables hold, read back: values as canonical JSON, spelled as they were acknowledged where they are equal.

What was acknowledged lies in a temporary table, and the database itself says whether a column holds it: by the
conversion that wrote it. So 0.10 in a numeric column equals 0.1, and 1 in SQLite what was sent as true.
"""

from collections.abc import Iterator

from populace.destinations.protocol import GROUP
from populace.destinations.warehouse.columns import BOOLEAN, NUMBERS, TEXTS, Computation
from populace.destinations.warehouse.tables import (
    ACCOUNTS,
    COMPUTED,
    ENTERED,
    EXITED,
    MEMBERS,
    USERS,
    Existing,
    Table,
    Where,
    quoted,
    text,
)

STAGING = "populace_acknowledged"
STAGED = ("kind", "key", "form", "id_type", "id_value", "value")
IDENTIFIED = "id_type IS NOT NULL AND id_value IS NOT NULL"


def prepared(where: Where) -> list[str]:
    """What to execute when the staging table is filled: its rows are looked up by all of these columns."""
    index = f"CREATE INDEX populace_by_identifier ON {STAGING} (kind, key, form, id_type, id_value)"
    return [f"ANALYZE {STAGING}"] if where.is_postgresql else [index.replace("INDEX ", "INDEX temp.", 1)]


def queries(computations: list[Computation], existing: Existing, where: Where) -> Iterator[tuple[Computation, str]]:
    """For each computation that has a column or a table, what to ask: rows of (id_type, id_value, value)."""
    for computation in computations:
        query = _query(computation, existing, where)
        if query:
            yield computation, query


def _query(computation: Computation, existing: Existing, where: Where) -> str:
    """What to ask for one computation; empty where there is nothing to ask."""
    kind, _, form = computation
    if form == "event":
        return (_entered if kind == "audience" else _computed)(computation, existing, where)
    table = ACCOUNTS if form == GROUP else USERS
    if kind == "trait":
        return _trait(computation, table, existing, where)
    return (_inside if form == GROUP else _members)(computation, existing, where)


def _trait(computation: Computation, table: Table, existing: Existing, where: Where) -> str:
    name, columns = table.column(computation[1]), _columns(existing, table)
    if name not in columns:
        return ""
    held = f"SELECT id_type, id_value, {quoted(name)} AS held FROM {where.of(table)} WHERE {quoted(name)} IS NOT NULL"
    equal, json = _spelling(columns[name], where)
    return (
        f"SELECT h.id_type, h.id_value, CASE WHEN {equal} THEN a.value ELSE {json} END AS value"
        f" FROM ({held} AND {IDENTIFIED}) AS h LEFT JOIN {_acknowledged(computation)}"
    )


def _acknowledged(computation: Computation) -> str:
    columns = zip(("kind", "key", "form"), computation, strict=True)
    same = " AND ".join(f"a.{name} = {text(wanted)}" for name, wanted in columns)
    return f"{STAGING} AS a ON {same} AND a.id_type = h.id_type AND a.id_value = h.id_value"


def _spelling(kind: str, where: Where) -> tuple[str, str]:
    return _postgresql(kind) if where.is_postgresql else _sqlite()


def _postgresql(kind: str) -> tuple[str, str]:
    """Whether the column of this type holds what was acknowledged, and what it holds as JSON."""
    json = "to_jsonb(h.held)::text"
    if kind in NUMBERS or kind == BOOLEAN:
        return "to_jsonb(h.held) = a.value::jsonb", json
    if kind in TEXTS:
        return "h.held = (a.value::json #>> '{}')", "to_json(h.held)::text"
    if kind in ("ARRAY", "USER-DEFINED"):
        return "false", json
    return f"h.held::text = ((a.value::json #>> '{{}}')::{kind})::text", json


def _sqlite() -> tuple[str, str]:
    blob = "CASE typeof(h.held) WHEN 'blob' THEN json_quote(hex(h.held)) ELSE json_quote(h.held) END"
    return "h.held IS json_extract(a.value, '$')", blob


def _members(computation: Computation, existing: Existing, where: Where) -> str:
    """Members stand in two places, a column and a table of members.

    Who is in one of them only is held as 'true' where they should be in neither, and as 'false' where they should be in
    both: it differs from what was acknowledged either way, and is mended.
    """
    key = computation[1]
    places = list(filter(None, [_marked(key, USERS, existing, where)]))
    if _columns(existing, MEMBERS):
        places.append(f"SELECT id_type, id_value FROM {where.of(MEMBERS)} WHERE audience = {text(key)}")
    if not places:
        return ""
    both = f"SELECT id_type, id_value, count(*) AS places FROM ({' UNION ALL '.join(places)}) AS p GROUP BY 1, 2"
    value = "CASE WHEN h.places < 2 AND a.value = 'true' THEN 'false' ELSE 'true' END AS value"
    return f"SELECT h.id_type, h.id_value, {value} FROM ({both}) AS h LEFT JOIN {_acknowledged(computation)}"


def _inside(computation: Computation, existing: Existing, where: Where) -> str:
    """Accounts stand in a column alone."""
    marked = _marked(computation[1], ACCOUNTS, existing, where)
    return f"SELECT id_type, id_value, 'true' AS value FROM ({marked}) AS h" if marked else ""


def _marked(key: str, table: Table, existing: Existing, where: Where) -> str:
    """Whose column of an audience is true; nothing to ask where there is no such column."""
    name = table.column(key)
    if name not in _columns(existing, table):
        return ""
    is_member = f"{quoted(name)}::text = 'true'" if where.is_postgresql else f"{quoted(name)} IN (1, 'true')"
    return f"SELECT id_type, id_value FROM {where.of(table)} WHERE {is_member} AND {IDENTIFIED}"


def _entered(computation: Computation, existing: Existing, where: Where) -> str:
    """Members are those who were last told to have entered; what was told at one instant is as it was acknowledged."""
    told = [
        f'SELECT id_type, id_value, "timestamp" AS at, {is_member} AS is_member FROM {where.of(table)}'
        f" WHERE audience_key = {text(computation[1])} AND {IDENTIFIED}"
        for table, is_member in ((ENTERED, 1), (EXITED, 0))
        if _columns(existing, table)
    ]
    if not told:
        return ""
    ranked = f"SELECT id_type, id_value, is_member, {_newest('at')} AS place FROM ({' UNION ALL '.join(told)}) AS t"
    last = (
        "SELECT id_type, id_value, max(is_member) AS most, min(is_member) AS least"
        f" FROM ({ranked}) AS r WHERE place = 1 GROUP BY 1, 2"
    )
    return (
        f"SELECT h.id_type, h.id_value, 'true' AS value FROM ({last}) AS h LEFT JOIN {_acknowledged(computation)}"
        " WHERE h.most = 1 AND (h.least = 1 OR a.value = 'true')"
    )


def _computed(computation: Computation, existing: Existing, where: Where) -> str:
    """The value that was told last; of several at one instant the acknowledged one."""
    name, columns = COMPUTED.column(computation[1]), _columns(existing, COMPUTED)
    if name not in columns:
        return ""
    newest = _newest(quoted("timestamp"))
    told = (
        f"SELECT id_type, id_value, {quoted(name)} AS held, {newest} AS place"
        f" FROM {where.of(COMPUTED)} WHERE trait_key = {text(computation[1])} AND {IDENTIFIED}"
    )
    equal, json = _spelling(columns[name], where)
    is_same = f"CASE WHEN a.value IS NULL THEN h.held IS NULL ELSE coalesce({equal}, {_false(where)}) END"
    value = f"CASE WHEN h.held IS NULL THEN NULL WHEN {equal} THEN a.value ELSE {json} END"
    chosen = f"row_number() OVER (PARTITION BY h.id_type, h.id_value ORDER BY {is_same} DESC)"
    spelled = (
        f"SELECT h.id_type, h.id_value, {value} AS value, {chosen} AS chosen"
        f" FROM ({told}) AS h LEFT JOIN {_acknowledged(computation)} WHERE h.place = 1"
    )
    return f"SELECT id_type, id_value, value FROM ({spelled}) AS s WHERE chosen = 1 AND value IS NOT NULL"


def _newest(instant: str) -> str:
    return f"rank() OVER (PARTITION BY id_type, id_value ORDER BY {instant} DESC)"


def _false(where: Where) -> str:
    return "false" if where.is_postgresql else "0"


def _columns(existing: Existing, table: Table) -> dict[str, str]:
    """The columns of a table that is ours; none where it is not there, or only another one of that name."""
    columns = dict(existing.get(table.name, {}))
    return columns if columns.keys() >= {"id_type", *table.key} else {}

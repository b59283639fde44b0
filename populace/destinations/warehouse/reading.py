"""What the tables hold, read back: values as canonical JSON, spelled as they were acknowledged where they are equal.

What was acknowledged lies in a temporary table, and the database itself says whether a column holds it: by the
conversion that wrote it. So 0.10 in a numeric column equals 0.1, and 1 in SQLite what was sent as true.
"""

from collections.abc import Iterator

from populace.destinations.warehouse.columns import BOOLEAN, NUMBERS, TEXTS, Computation
from populace.destinations.warehouse.tables import MEMBERS, USERS, Existing, Table, Where, quoted, text

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
    kind, key, _ = computation
    return _members(computation, existing, where) if kind == "audience" else _trait(computation, existing, where, key)


def _trait(computation: Computation, existing: Existing, where: Where, key: str) -> str:
    name = USERS.column(key)
    columns = _columns(existing, USERS)
    if name not in columns:
        return ""
    held = f"SELECT id_type, id_value, {quoted(name)} AS held FROM {where.of(USERS)} WHERE {quoted(name)} IS NOT NULL"
    return _spelled(computation, f"{held} AND {IDENTIFIED}", columns[name], where)


def _spelled(computation: Computation, held: str, kind: str, where: Where) -> str:
    """The rows of `held` with their values as JSON, or as acknowledged where that is equal."""
    equal, json = _postgresql(kind) if where.is_postgresql else _sqlite()
    return (
        f"SELECT h.id_type, h.id_value, CASE WHEN {equal} THEN a.value ELSE {json} END AS value"
        f" FROM ({held}) AS h LEFT JOIN {_acknowledged(computation)}"
    )


def _acknowledged(computation: Computation) -> str:
    columns = zip(("kind", "key", "form"), computation, strict=True)
    same = " AND ".join(f"a.{name} = {text(wanted)}" for name, wanted in columns)
    return f"{STAGING} AS a ON {same} AND a.id_type = h.id_type AND a.id_value = h.id_value"


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
    places = []
    key = computation[1]
    name = USERS.column(key)
    columns = _columns(existing, USERS)
    if name in columns:
        is_member = f"{quoted(name)}::text = 'true'" if where.is_postgresql else f"{quoted(name)} IN (1, 'true')"
        places.append(f"SELECT id_type, id_value FROM {where.of(USERS)} WHERE {is_member} AND {IDENTIFIED}")
    if _columns(existing, MEMBERS):
        places.append(f"SELECT id_type, id_value FROM {where.of(MEMBERS)} WHERE audience = {text(key)}")
    if not places:
        return ""
    both = f"SELECT id_type, id_value, count(*) AS places FROM ({' UNION ALL '.join(places)}) AS p GROUP BY 1, 2"
    value = "CASE WHEN h.places < 2 AND a.value = 'true' THEN 'false' ELSE 'true' END AS value"
    return f"SELECT h.id_type, h.id_value, {value} FROM ({both}) AS h LEFT JOIN {_acknowledged(computation)}"


def _columns(existing: Existing, table: Table) -> dict[str, str]:
    """The columns of a table that is ours; none where it is not there, or only another one of that name."""
    columns = dict(existing.get(table.name, {}))
    return columns if columns.keys() >= set(table.key) else {}

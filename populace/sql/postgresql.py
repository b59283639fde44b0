"""Whether a statement may run on PostgreSQL, by PostgreSQL's own parser, and what to ask the server about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pgparse

from populace.sql import answers, wording

# What a query may be made of; anything that is not here is refused, whatever later versions of SQL bring.
NODES = frozenset({
    "A_ArrayExpr", "A_Const", "A_Expr", "A_Indices", "A_Indirection", "A_Star", "Alias", "BitString", "BoolExpr",
    "Boolean", "BooleanTest", "CTECycleClause", "CTESearchClause", "CaseExpr", "CaseWhen", "CoalesceExpr",
    "CollateClause", "ColumnDef", "ColumnRef", "CommonTableExpr", "Float", "FuncCall", "GroupingFunc", "GroupingSet",
    "Integer", "JoinExpr", "List", "MinMaxExpr", "NamedArgExpr", "NullTest", "RangeFunction", "RangeSubselect",
    "RangeTableFunc", "RangeTableFuncCol", "RangeTableSample", "RangeVar", "ResTarget", "RowExpr", "SQLValueFunction",
    "SelectStmt", "SortBy", "String", "SubLink", "TypeCast", "TypeName", "WindowDef", "WithClause", "XmlExpr",
    "XmlSerialize",
})  # fmt: skip
CHANGES = {"InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE"}

# Functions with effects, or that read the server instead of tables, or that run SQL which is only a text here. The
# server is asked about volatile ones as well; these are known without it.
REFUSED = frozenset({
    "connectby", "current_setting", "currval", "gen_random_uuid", "lastval", "loread", "lowrite", "nextval", "random",
    "set_config", "setseed", "setval", "ts_rewrite", "ts_stat", "version", "xpath_table",
})  # fmt: skip
REFUSED_BEGINNINGS = (
    "pg_", "lo_", "dblink", "crosstab", "query_to_", "table_to_", "schema_to_", "database_to_", "cursor_to_", "txid_",
    "inet_server_", "inet_client_", "binary_upgrade_", "uuid_generate_",
)  # fmt: skip
HARMLESS = frozenset({"pg_typeof"})
# Volatile by their nature, and without any effect.
CLOCKS = ("clock_timestamp", "timeofday")
SERVER_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast")

TEXTS = frozenset({"text", "varchar", "bpchar", "char", "name", "uuid", "citext"})
NUMBERS = frozenset({"float4", "float8", "numeric"})
INSTANTS = frozenset({"date", "timestamp", "timestamptz"})
PLAIN = frozenset({"bool", "int2", "int4", "int8"})
REMEDIES = {
    "json": "{name} ->> 'a_field'",
    "jsonb": "{name} ->> 'a_field'",
    "bytea": "encode({name}, 'hex')",
    "interval": "extract(epoch FROM {name})",
    "money": "{name}::numeric",
    "record": "a field of {name}",
}


@dataclass
class Uses:
    """What a statement names that the server may know as volatile: each (schema or nothing, name)."""

    functions: set[tuple[str, str]] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)


def reasons(statement: str) -> list[str]:
    """Why a statement must not run on PostgreSQL; empty where it may."""
    try:
        parsed = _parsed(statement)
        if len(parsed) != 1:
            return [f"there are {len(parsed)} statements; write one SELECT" if parsed else "there is no SELECT"]
        return list(dict.fromkeys(_problems(parsed[0]["stmt"])))
    except pgparse.PGQueryError as error:
        message, position = error.args
        return [f"{wording.at(statement, position - 1)}{message}"]
    except RecursionError:
        return ["it is nested too deeply; split it with WITH, or let a view do a part of it"]


def bare(statement: str) -> str:
    """A single statement without its semicolon, and what comes before and after it."""
    (found,) = _parsed(statement)
    start = found.get("stmt_location", 0)
    end = start + found["stmt_len"] if "stmt_len" in found else None
    return statement.encode()[start:end].decode()


@lru_cache(maxsize=64)
def _parsed(statement: str) -> list[dict[str, Any]]:
    if "\0" in statement:  # the parser would take it for the end
        message = "there is a NUL character in it"
        raise pgparse.PGQueryError(message, statement.index("\0") + 1)
    return pgparse.parse(statement)


def _nodes(tree: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Everything that a statement is made of, by its kind, or by the field it stands in where that allows one kind."""
    if isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            if isinstance(value, dict):
                yield name, value
            yield from _nodes(value)


# --- what it must not be --------------------------------------------------------------------------------------------


def _problems(tree: Mapping[str, Any]) -> Iterator[str]:
    if "SelectStmt" not in tree:
        yield "it is no SELECT; a statement of traits only reads"
        return
    for kind, node in _nodes(tree):
        if kind in CHANGES:
            yield f"{CHANGES[kind]} changes data; a statement of traits only reads"
        elif kind == "ParamRef":
            yield f"${node.get('number', '')} is a parameter, and nothing fills it; write the value"
        elif kind == "LockingClause":
            yield "FOR UPDATE and FOR SHARE lock rows; leave them out"
        elif kind == "intoClause":
            yield "SELECT INTO makes a table; leave INTO out"
        elif kind[0].isupper() and kind not in NODES and not kind.startswith("Json"):
            yield f"{kind} is nothing that a statement of traits may hold"
        yield from _about(kind, node)


def _about(kind: str, node: Mapping[str, Any]) -> Iterator[str]:
    if kind == "FuncCall":
        _, name = _named(node["funcname"])
        if name not in HARMLESS and (name in REFUSED or name.startswith(REFUSED_BEGINNINGS)):
            yield f"{name}() has effects, reads the server or differs each time; a statement of traits reads tables"
    if "relname" in node and _is_servers(node):
        yield f"{node['relname']} belongs to the server; a statement of traits reads tables with data"


def _is_servers(node: Mapping[str, Any]) -> bool:
    schema = node.get("schemaname", "")
    return schema.startswith(SERVER_SCHEMAS) or (not schema and node["relname"].startswith("pg_"))


def _named(names: list[dict[str, Any]]) -> tuple[str, str]:
    """The schema, if there is one, and the name of what is written with dots."""
    parts = [each["String"].get("sval", "") for each in names if "String" in each]
    return (parts[-2] if len(parts) > 1 else "", parts[-1] if parts else "")


# --- what the server is asked ---------------------------------------------------------------------------------------


def uses(statement: str) -> Uses:
    """The functions, operators and types that a statement names, and fields, for `row.name` calls a function too."""
    found = Uses()
    for kind, node in _nodes(_parsed(statement)):
        if kind == "FuncCall":
            found.functions.add(_named(node["funcname"]))
        elif kind == "ColumnRef" and len(node["fields"]) > 1:
            found.fields.add(_named(node["fields"])[1])
        elif kind == "A_Indirection":
            found.fields.add(_named(node.get("indirection", []))[1])
        elif "names" in node:  # a type
            found.types.add(_named(node["names"])[1])
        for names in (node.get("name"), node.get("operName"), node.get("useOp")):
            if isinstance(names, list):
                found.operators.add(_named(names)[1])
    return found


def volatile_query(used: Uses) -> str:
    """A query for those of them that may do something, or differ from call to call: (what, name)."""
    free = [name for schema, name in used.functions if not schema]
    qualified = [f"{schema}.{name}" for schema, name in used.functions if schema]
    return f"""
        SELECT 'function' AS what, f.proname::text AS name
        FROM pg_catalog.pg_proc AS f JOIN pg_catalog.pg_namespace AS s ON s.oid = f.pronamespace
        WHERE f.provolatile = 'v' AND NOT f.proname = ANY ({_listed(CLOCKS)}) AND (
            (f.proname = ANY ({_listed(free)}) AND pg_catalog.pg_function_is_visible(f.oid))
            OR s.nspname || '.' || f.proname = ANY ({_listed(qualified)})
        )
        UNION SELECT 'function', f.proname::text
        FROM pg_catalog.pg_proc AS f JOIN pg_catalog.pg_type AS t ON t.oid = f.proargtypes[0]
        WHERE f.provolatile = 'v' AND f.pronargs = 1 AND t.typtype IN ('c', 'd', 'p')
            AND f.proname = ANY ({_listed(used.fields)})
        UNION SELECT 'operator', o.oprname::text
        FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_proc AS f ON f.oid = o.oprcode
        WHERE f.provolatile = 'v' AND o.oprname = ANY ({_listed(used.operators)})
        UNION SELECT 'cast to', t.typname::text
        FROM pg_catalog.pg_cast AS c JOIN pg_catalog.pg_proc AS f ON f.oid = c.castfunc
            JOIN pg_catalog.pg_type AS t ON t.oid = c.casttarget
        WHERE f.provolatile = 'v' AND t.typname = ANY ({_listed(used.types)})
        ORDER BY 1, 2
    """


def _listed(names: Any) -> str:
    quoted = ("'" + each.replace("'", "''") + "'" for each in sorted(names))
    return f"ARRAY[{', '.join(quoted)}]::text[]"


def volatile_reason(what: str, name: str) -> str:
    """Why a function that the server calls volatile is not called."""
    return (
        f"the {what} {name} may change something, or differ from call to call; leave it out, or have its owner say"
        f" that it does not (ALTER FUNCTION … STABLE)"
    )


# --- its columns ----------------------------------------------------------------------------------------------------


def written(name: str, kind: str) -> str | None:
    """A column as text, a whole number, a float, a Boolean, a date or an instant; None for other types (T-35)."""
    if kind in PLAIN:
        return name
    if kind in TEXTS or kind.startswith("enum "):
        return f"{name}::text"
    if kind in NUMBERS:
        return f"{name}::float8"
    return answers.within_years(name) if kind in INSTANTS else None


def remedy(name: str, kind: str) -> str:
    """What to select instead of a column whose type no trait has."""
    if kind.startswith("_"):
        return f"array_to_string({name}, ',')"
    return REMEDIES.get(kind, "{name}::text").format(name=name)

"""Whether a statement may run over the lake, by DuckDB's own parser, and which views it reads."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import duckdb

from populace.errors import StatementError
from populace.sql import wording

NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
CHANGES = re.compile(r"(INSERT|UPDATE|DELETE|MERGE)\w*_NODE")
SOURCES = frozenset({"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT"})
TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
PART = re.compile(r"[a-z_][a-z0-9_]*", re.IGNORECASE)  # of the name of a view

AS_OF = "as_of"  # the function that we add
CLOCK = frozenset({
    "ago", "current_date", "current_localtime", "current_localtimestamp", "current_time", "current_timestamp",
    "get_current_time", "get_current_timestamp", "localtime", "localtimestamp", "now", "pg_conf_load_time",
    "pg_postmaster_start_time", "today", "transaction_timestamp",
})  # fmt: skip
CHANCE = frozenset({
    "currval", "gen_random_uuid", "nextval", "random", "reservoir_quantile", "setseed", "setval", "uuid", "uuidv4",
    "uuidv7",
})  # fmt: skip
# What another version of the database, or another layout of the same rows, may answer otherwise.
UNSTABLE = frozenset({
    "approx_count_distinct", "approx_quantile", "approx_top_k", "create_sort_key", "hash", "icu_sort_key",
    "list_approx_count_distinct", "version",
})  # fmt: skip
# One call of these makes a value of any size, which neither the limit of memory nor the one of time stops.
GROWING = frozenset({
    "array_resize", "bitstring", "format", "generate_series", "list_resize", "printf", "range", "repeat",
})  # fmt: skip
PADDING = frozenset({"lpad", "rpad"})
WIDEST = 1_000
SERVER = frozenset({
    "col_description", "current_catalog", "current_role", "current_user", "error", "format_pg_type", "format_type",
    "get_block_size", "json_deserialize_sql", "json_serialize_plan", "json_serialize_sql", "obj_description",
    "parse_duckdb_log_message", "session_user", "shobj_description", "user",
})  # fmt: skip
SERVER_BEGINNINGS = ("pg_", "has_", "inet_", "current_", "duckdb_", "getenv", "st_")
# Functions that SQL writes without parentheses. A column may have such a name, and then needs another.
WITHOUT_PARENTHESES = frozenset({
    "current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp",
    "current_user", "localtime", "localtimestamp", "session_user", "user",
})  # fmt: skip
ORDERED = frozenset({
    "any_value", "arbitrary", "array_agg", "first", "group_concat", "last", "list", "listagg", "string_agg",
})  # fmt: skip

TOO_DEEP = "it is nested too deeply; split it with WITH"

LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,  # a table is never a variable of ours
    "errors_as_json": True,  # with the position
}


def reasons(statement: str) -> list[str]:
    """Why a statement must not run over the lake; empty where it may."""
    try:
        found = _parsed(statement)
        if found["error"]:
            return [_parser_reason(found, statement)]
        parsed = found["statements"]
        if len(parsed) != 1:
            return [f"there are {len(parsed)} statements; write one SELECT" if parsed else "there is no SELECT"]
        return list(dict.fromkeys(_problems(parsed[0]["node"])))
    except RecursionError:
        return [TOO_DEEP]


def tables(statement: str) -> frozenset[str]:
    """The views that a statement reads, as they are written; none where it cannot be parsed."""
    try:
        found = _parsed(statement)
    except RecursionError:
        return frozenset()
    trees = [] if found["error"] else [each["node"] for each in found["statements"]]
    return frozenset(name for tree in trees for name in _read(tree, frozenset()))


def bare(statement: str) -> str:
    """A single statement without the semicolons behind it."""
    end = None
    for offset, kind in reversed(duckdb.tokenize(statement)):
        text = statement.encode()[offset : offset + 1]
        if kind == duckdb.token_type.operator and text == b";":
            end = offset
        elif kind != duckdb.token_type.comment:
            break
    return statement.encode()[:end].decode()


def _parser_reason(found: Mapping[str, Any], statement: str) -> str:
    if found.get("error_type") == "not implemented":
        return "it is no SELECT; a statement of traits only reads"
    # The parser has seen nothing but the statement, so there is nothing to hide.
    position = found.get("position")
    if "depth limit" in found["error_message"]:
        return TOO_DEEP
    return wording.at_byte(statement, None if position is None else int(position)) + found["error_message"]


@lru_cache(maxsize=64)
def _parsed(statement: str) -> dict[str, Any]:
    with duckdb.connect(":memory:", config=LOCKED) as connection:
        row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement]).fetchone()
    return json.loads(row[0]) if row else {}


@cache
def _functions() -> Mapping[str, bool]:
    """All functions that give values, and whether each gives the same for the same arguments."""
    query = """
        SELECT lower(function_name), bool_and(coalesce(stability, 'CONSISTENT') = 'CONSISTENT')
        FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro', 'window') GROUP BY 1
    """
    with duckdb.connect(":memory:", config=LOCKED) as connection:
        return dict(connection.execute(query).fetchall())


# --- what it must not be --------------------------------------------------------------------------------------------


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for each in tree.values():
            yield from _nodes(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)


def _problems(tree: Mapping[str, Any]) -> Iterator[str]:
    sources = {id(node["function"]) for node in _nodes(tree) if node.get("type") == "TABLE_FUNCTION"}
    for node in _nodes(tree):
        kind = str(node.get("type", ""))
        if "class" in node:
            yield from _about_expression(node, is_source=id(node) in sources)
        elif kind.endswith("_NODE"):
            yield from _about_query(kind)
        elif "query_location" in node:
            yield from _about_source(kind, node)
        if node.get("sample"):
            yield "a sample differs each time; leave it out, or choose with md5() of an id"


def _about_query(kind: str) -> Iterator[str]:
    if found := CHANGES.fullmatch(kind):
        yield f"{found[1]} changes data; a statement of traits only reads"
    elif kind not in NODES:
        yield f"{kind} is nothing that a statement of traits may hold"


def _about_source(kind: str, node: Mapping[str, Any]) -> Iterator[str]:
    path = node.get("qualified_name", {}).get("path", [])
    if kind == "BASE_TABLE" and not (len(path) <= 2 and all(map(PART.fullmatch, path))):
        yield f"'{'.'.join(path)}' is no view of the lake; a statement reads events, event.<name>, profiles, …"
    elif kind not in SOURCES:
        yield "it asks about the database, not for data; write a SELECT from the views of the lake"


def _about_expression(node: Mapping[str, Any], *, is_source: bool) -> Iterator[str]:
    match node["class"]:
        case "PARAMETER":
            yield "nothing fills a parameter; write the value"
        case "COLUMN_REF" if len(node["column_names"]) == 1:
            name = node["column_names"][0].lower()
            if name in WITHOUT_PARENTHESES:
                yield _refusal(name)
        case "FUNCTION" | "WINDOW":
            yield from _about_function(node["function_name"].lower(), node, is_source=is_source)


def _about_function(name: str, node: Mapping[str, Any], *, is_source: bool) -> Iterator[str]:
    arguments = [each.get("expression", each) for each in node.get("arguments", [])]
    if is_source:
        if name not in TABLE_FUNCTIONS:
            yield f"{name}() is no source of data here; a statement reads the views of the lake"
    elif name not in (AS_OF, "unnest") and (name not in _functions() or _is_refused(name, len(arguments))):
        yield _refusal(name)
    elif name in PADDING and not _is_narrow(arguments):
        yield f"the width of {name}() is a number up to {WIDEST:,}, so that no value grows without bound"
    elif node["class"] == "FUNCTION" and name in ORDERED and not (node.get("order_bys") or {}).get("orders"):
        yield f"what {name}() gives depends on the order of rows; write {name}(… ORDER BY …), or min() or max()"


def _is_refused(name: str, arguments: int) -> bool:
    listed = CLOCK | CHANCE | UNSTABLE | GROWING | SERVER
    is_about_now = name == "age" and arguments == 1
    return is_about_now or name in listed or name.startswith(SERVER_BEGINNINGS) or not _functions()[name]


def _refusal(name: str) -> str:
    if name in CLOCK or name == "age":
        return f"{name} reads the clock; write as_of(), the instant that the run describes"
    if name in CHANCE:
        return f"{name} gives something else each time; choose with md5() of an id, and compare with as_of()"
    if name in UNSTABLE:
        return f"{name} may give something else with another version; use md5(), or a function that is exact"
    if name in GROWING:
        return f"{name} can make one value of any size; leave it out, or write range() behind FROM"
    if name not in _functions():
        return f"there is no function {name}()"
    return f"{name} is about the database and not about data; leave it out"


def _is_narrow(arguments: list[Any]) -> bool:
    if len(arguments) < 2 or arguments[1].get("class") != "CONSTANT":
        return False
    text = str(arguments[1].get("literal", {}).get("text", ""))
    return text.isdigit() and int(text) <= WIDEST


# --- what it reads --------------------------------------------------------------------------------------------------


def _table(node: Mapping[str, Any]) -> str:
    return ".".join(node.get("qualified_name", {}).get("path", []))


def _read(tree: Any, known: frozenset[str]) -> Iterator[str]:
    """The tables below a node that are not results of WITH around it."""
    if isinstance(tree, list):
        for each in tree:
            yield from _read(each, known)
    elif isinstance(tree, dict):
        if tree.get("type") == "BASE_TABLE" and (name := _table(tree)).lower() not in known:
            yield name
        for each in tree.get("cte_map", {}).get("map", []):
            itself = {each["key"].lower()}
            # Only what is recursive means itself by its own name; others mean the view that is called so.
            is_recursive = each["value"]["query_node"]["type"] == "RECURSIVE_CTE_NODE"
            yield from _read(each["value"], known | itself if is_recursive else known)
            known |= itself
        yield from (name for key, each in tree.items() if key != "cte_map" for name in _read(each, known))


def checked(statement: str, views: Mapping[str, Any]) -> str:
    """The statement as it may run over these views, without its semicolon.

    Raises
    ------
    StatementError
        If it must not run, or reads something else.
    """
    if problems := reasons(statement):
        raise StatementError("; ".join(problems))
    known = {each.lower() for each in views}
    if strange := sorted(each for each in tables(statement) if each.lower() not in known):
        there = ", ".join(sorted(views)) or "none"
        message = f"the lake has no view {', '.join(strange)}; there is {there}"
        raise StatementError(message)
    return bare(statement)

"""The columns of traits and audiences: which type values need, and what is to be done to a table for them.

Numbers are `numeric`, which keeps integers and decimals exactly and does not change when a trait turns from 10 to 10.5;
then `boolean`; all else is `text`, lists as JSON.
"""

from collections.abc import Iterable, Mapping

import polars as pl

from populace.destinations.warehouse.tables import TEXT, Table, Where, quoted

NUMERIC, BOOLEAN = "numeric", "boolean"
NUMBERS = frozenset({NUMERIC, "integer", "bigint", "smallint", "real", "double precision"})
TEXTS = frozenset({TEXT, "character varying", "character"})

Computation = tuple[str, str, str]  # kind, key, form


def wanted(records: pl.DataFrame) -> dict[Computation, str | None]:
    """The type that the values of each computation need; None where all are null."""
    value = pl.col("value")
    kind = (
        pl.when(value.is_in(["true", "false"]))
        .then(pl.lit(BOOLEAN))
        .when(value.str.contains(r"^[-0-9]"))
        .then(pl.lit(NUMERIC))
        .otherwise(pl.lit(TEXT))
    )
    types = pl.when(value.is_not_null()).then(kind).drop_nulls().unique()
    found = records.group_by("kind", "key", "form").agg(types.alias("types")).sort("kind", "key", "form")
    return {(kind, key, form): _widest(types) for kind, key, form, types in found.iter_rows()}


def of_keys(wanted: Iterable[tuple[str, str | None]]) -> dict[str, str | None]:
    """The type that the column of each key needs; a key may have been a trait and be an audience now."""
    found: dict[str, set[str]] = {}
    for key, kind in wanted:
        found.setdefault(key, set()).update([kind] if kind else [])
    return {key: _widest(list(kinds)) for key, kinds in found.items()}


def _widest(types: list[str]) -> str | None:
    if len(types) > 1:
        return TEXT
    return next(iter(types), None)


def fits(needed: str, existing: str | None) -> bool:
    """Whether a column takes values of a type. One of a type that is not ours is left as it is."""
    if existing is None:
        return False
    if existing in NUMBERS or existing == BOOLEAN:
        return needed == (BOOLEAN if existing == BOOLEAN else NUMERIC)
    return True


def adapted(
    types: Mapping[str, str | None], existing: Mapping[str, str], table: Table, where: Where
) -> tuple[list[str], dict[str, str]]:
    """What to do to the columns of a table so that they take these keys and types, and the types they then have.

    A column that is not there is added, one whose type does not fit becomes text. SQLite has no types to change.
    """
    changes, final = [], dict(existing)
    for key, needed in types.items():
        name = table.column(key)
        if needed is None or fits(needed, final.get(name)):
            continue
        if name not in final:
            changes.append(added(where, table, name, needed))
            final[name] = where.declared(needed)
        elif where.is_postgresql:
            changes.append(f"ALTER TABLE {where.of(table)} {_now_text(name)}")
            final[name] = TEXT
    return changes, final


def added(where: Where, table: Table, name: str, kind: str) -> str:
    return f"ALTER TABLE {where.of(table)} ADD COLUMN {quoted(name)} {where.declared(kind)}".rstrip()


def _now_text(name: str) -> str:
    return f"ALTER COLUMN {quoted(name)} TYPE text USING {quoted(name)}::text"


def converted(json: str, kind: str, where: Where) -> str:
    """An expression of canonical JSON as a value of a column of this type; JSON's null is SQL's."""
    return f"({json}::json #>> '{{}}')::{kind}" if where.is_postgresql else f"json_extract({json}, '$')"

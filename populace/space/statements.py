"""SQL traits in a run: the rows of statements as values of people, and the people that only a statement knows."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from populace import sql
from populace.definitions import GROUP_ID, Identity, Level, Sql
from populace.errors import StatementError
from populace.lake import runs
from populace.space import attached, by_id, families, lake_views, snapshots, sql_columns
from populace.space.by_id import PLACE, place
from populace.space.lake_views import SQL
from populace.space.opening import OpenSpace
from populace.space.recompute import Run, instant
from populace.space.schemas import INSTANT, RUN, empty
from populace.sql import rows
from populace.sql.rows import PROFILE_ID, USER, WHO, Given

COUNTS = "sql_rows"
COLLECTIONS: Mapping[Level, str] = {"user": "users", "account": "accounts"}


@contextmanager
def placed(statement: Sql) -> Iterator[None]:
    """What is wrong with a statement is told with where it was written."""
    try:
        yield
    except StatementError as cause:
        message = f"{statement.at}: '{statement.key}': {cause}"
        raise StatementError(message) from None


def answer(found: pl.DataFrame, id_type: str, rules: Identity) -> Given:
    """The rows that count of what `rows.typed` gave, by the identifiers of one type.

    Raises
    ------
    StatementError
        If the space has no identifiers of that type (T-40), or two rows have one (T-33), or rows of one account
        give it different traits.
    """
    who, is_blocked = attached.normalised(found.get_column(WHO), id_type, rules)
    given = rows.given(found, who, is_blocked, id_type)
    return replace(given, links=attached.pairs(found.lazy(), rules).height) if USER in found.columns else given


def checked(statement: Sql, file: Path, rules: Identity) -> pl.DataFrame:
    """The rows that a statement wrote to a file, typed, under their own names; every rule is checked."""
    found = pl.read_parquet(file)
    chosen = rows.columns(found.columns, statement)
    typed = rows.typed(found, chosen)
    answer(typed, chosen.identifier, rules)
    return typed.rename({called: name for name, called in chosen.names.items()})


# --- the stage --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Making:
    """The tables of a run while statements are added to them."""

    external_ids: pl.LazyFrame
    traits: pl.DataFrame
    created: list[pl.DataFrame] = field(default_factory=list)
    columns: list[tuple[str, str, str]] = field(default_factory=list)
    counts: list[dict] = field(default_factory=list)


def compute(space: OpenSpace, run: Run, *, keep: bool = True) -> dict[str, int]:
    """The columns of all statements beside the computed traits of a run, and whoever has them.

    Parameters
    ----------
    keep
        Whether answers of the lake that fall due with this run become those of later runs until the next instant of
        their schedule: not with a run of history.

    Raises
    ------
    StatementError, DefinitionError
        If a statement breaks a rule, or gives a trait that there is already; nothing is written then.
    """
    if not space.definition.sql:
        for name in ("sql_traits", COUNTS):
            runs.write(space.lake, run.run_id, name, empty(RUN[name]))
        return {"sql_traits": 0}
    known = families.of_run(space, run.run_id)
    computed = [each.key for each in known.definition.traits]
    making = _base(space, run, computed)
    for statement in sorted(space.definition.sql, key=lambda each: each.key):
        with placed(statement):
            _add(space, run, statement, making, computed, keep=keep)
    sql_columns.check(known, making.columns)
    _write(space, run, making)
    return {each["sql"]: each["known"] + each["created"] for each in making.counts}


def _base(space: OpenSpace, run: Run, computed: list[str]) -> _Making:
    """The tables as they were before any statement was added, also when this is done again."""
    external_ids = runs.table(space.lake, run.run_id, "external_ids").filter(pl.col("source") != SQL)
    traits = runs.table(space.lake, run.run_id, "traits").select("profile_id", *computed)
    is_any = pl.any_horizontal(pl.col(computed).is_not_null()) if computed else pl.lit(value=False)
    return _Making(external_ids, traits.filter(is_any).with_columns(place()).collect())


def _add(space: OpenSpace, run: Run, statement: Sql, making: _Making, computed: list[str], *, keep: bool) -> None:
    found, at = _found(space, run, statement, computed, keep=keep)
    if found is None:
        making.counts.append(dict.fromkeys(RUN[COUNTS], 0) | {"sql": statement.key})
        return
    chosen = rows.columns(found.columns, statement)
    making.columns += [(statement.key, each, str(found.schema[each])) for each in chosen.traits]
    given = answer(found.rename(chosen.names), chosen.identifier, space.definition.identity)
    del found  # what millions of rows are made from is not kept beside what is made
    known = held(space, run.run_id, making.external_ids, statement.level, chosen.identifier).with_columns(place())
    mine, unknown = _parted(given.rows.lazy().join(known, on=WHO, how="left").collect())
    counts = {"rows": given.read, "too_large": given.too_large, "blocked": given.blocked, "links": given.links}
    del given
    once, made = _once(mine), _made(unknown, statement, chosen.identifier)
    making.created.append(_created(made, statement, chosen.identifier, at))
    fresh = [each for each in chosen.traits if each not in making.traits.columns]  # others are refused in the end
    values = (pl.concat([once, made]) if made.height else once).select(PROFILE_ID, PLACE, *fresh)
    making.traits = by_id.beside(making.traits, values)
    linked = _linked(making.external_ids, statement) if chosen.user else made.clear()
    is_new = once.join(linked, on=PROFILE_ID, how="semi").height
    more = {
        "repeated": mine.height - once.height,
        "known": once.height - is_new,
        "created": made.height + is_new,
    }
    strangers = unknown.height - made.height
    making.counts.append({"sql": statement.key, **counts, **more, "strangers": strangers})


def _found(
    space: OpenSpace, run: Run, statement: Sql, computed: list[str], *, keep: bool
) -> tuple[pl.DataFrame | None, datetime]:
    """The answer of a statement, and of which instant it is; None where there was none yet."""
    entry = run.document["sql"][statement.key]
    if "snapshot" in entry:
        return snapshots.read(space, entry), instant(entry["at"])
    if statement.connection != snapshots.LAKE:
        return None, run.as_of
    with tempfile.TemporaryDirectory(prefix="populace-") as name:
        found = asked(space, run, statement, Path(name), computed)
        if keep and statement.schedule:
            snapshots.keep(space, statement, run.as_of, found, Path(name))
    return found, run.as_of


def asked(space: OpenSpace, run: Run, statement: Sql, folder: Path, computed: list[str]) -> pl.DataFrame:
    """What a statement over the lake answers as of a run; as `checked`."""
    views = lake_views.write(space, run, sql.tables(statement.statement), folder, computed)
    into = folder / "answer.parquet"
    sql.ask(
        statement.statement,
        views,
        run.as_of,
        into,
        timeout=statement.timeout,
        most_rows=statement.most_rows,
        most_columns=rows.MOST_COLUMNS,
    )
    return checked(statement, into, space.definition.identity)


# --- whose a row is ---------------------------------------------------------------------------------


def held(space: OpenSpace, run_id: str, external_ids: pl.LazyFrame, level: Level, id_type: str) -> pl.LazyFrame:
    """(who, profile_id) of everybody with an identifier of a type; by old ids of profiles as well."""
    collection = COLLECTIONS[level]
    if id_type != PROFILE_ID:
        is_asked = (pl.col("collection") == collection) & (pl.col("id_type") == id_type)
        return external_ids.filter(is_asked).select(pl.col("id_value").alias(WHO), PROFILE_ID)
    now = runs.table(space.lake, run_id, "profiles").filter(pl.col("collection") == collection)
    merged = runs.table(space.lake, run_id, "merges").select(
        pl.col(PROFILE_ID).alias(WHO), pl.col("canonical_id").alias(PROFILE_ID)
    )
    return pl.concat(
        [now.select(pl.col(PROFILE_ID).alias(WHO), PROFILE_ID), merged.join(now, on=PROFILE_ID, how="semi")]
    )


def _parted(named: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of people that the run knows, and the others; none is copied where all are of one kind."""
    is_known = named.get_column(PROFILE_ID).is_not_null()
    if is_known.all() or not is_known.any():
        return (named, named.clear()) if is_known.any() else (named.clear(), named)
    return named.filter(is_known), named.filter(~is_known)


def _made(unknown: pl.DataFrame, statement: Sql, id_type: str) -> pl.DataFrame:
    """The rows of nobody with the ids of the profiles that they make; an id of the lake that is gone makes none."""
    if id_type == PROFILE_ID or unknown.is_empty():
        return unknown.clear()
    named = unknown.with_columns(attached.ids(unknown.get_column(WHO), COLLECTIONS[statement.level], id_type))
    return named.with_columns(place())


def _linked(external_ids: pl.LazyFrame, statement: Sql) -> pl.DataFrame:
    """The accounts that identity knows from the links of a statement alone."""
    is_mine = (pl.col("source") == attached.LINKS) & (pl.col("message_id") == f"sql:{statement.key}")
    return external_ids.filter(is_mine & (pl.col("id_type") == GROUP_ID)).select(PROFILE_ID).collect()


def _once(mine: pl.DataFrame) -> pl.DataFrame:
    """One row per profile: of several identifiers of one person the one that sorts first counts."""
    if rows.are_distinct(mine.get_column(PROFILE_ID)):
        return mine
    is_shared = mine.get_column(PROFILE_ID).is_duplicated()
    first = mine.filter(is_shared).sort(WHO).unique(PROFILE_ID, keep="first", maintain_order=True)
    return pl.concat([mine.filter(~is_shared), first])


def _created(made: pl.DataFrame, statement: Sql, id_type: str, at: datetime) -> pl.DataFrame:
    """Profiles of rows, as rows of `external_ids`."""
    return made.select(
        PROFILE_ID,
        PLACE,
        pl.lit(COLLECTIONS[statement.level]).alias("collection"),
        pl.lit(id_type).alias("id_type"),
        pl.col(WHO).alias("id_value"),
        pl.col(WHO).alias("raw_value"),
        pl.lit(at, INSTANT).alias("added_at"),
        pl.lit(f"sql:{statement.key}").alias("message_id"),
        pl.lit(SQL).alias("source"),
    )


# --- writing ----------------------------------------------------------------------------------------


def _write(space: OpenSpace, run: Run, making: _Making) -> None:
    """The tables of the run, changed; those of people last, so that there is room for them."""
    names = [name for name in making.traits.columns if name not in (PROFILE_ID, PLACE)]
    is_any = pl.any_horizontal(pl.col(names).is_not_null()) if names else pl.lit(value=False)
    is_all = bool(names) and making.traits.select(is_any.all()).item()
    traits = making.traits.drop(PLACE) if is_all else making.traits.drop(PLACE).filter(is_any)
    making.traits = making.traits.clear()
    runs.write(space.lake, run.run_id, "traits", traits)
    del traits
    columns = pl.DataFrame(making.columns, schema=RUN["sql_traits"], orient="row").sort("sql", "key")
    runs.write(space.lake, run.run_id, "sql_traits", columns)
    runs.write(space.lake, run.run_id, COUNTS, pl.DataFrame(making.counts, schema=RUN[COUNTS]))
    before = runs.table(space.lake, run.run_id, "external_ids").filter(pl.col("source") == SQL).collect()
    created = _people(making.created)
    making.created.clear()
    if before.height or created.height:
        _write_people(space, run, making, created, before)


def _people(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Everybody whom only statements know, once, as of the first statement that knows them, by profile id."""
    some = [each for each in parts if each.height]
    if len(some) < 2:
        return by_id.ordered(some[0]) if some else empty(RUN["external_ids"] | {PLACE: pl.Int64})
    return by_id.ordered(pl.concat(some).sort("added_at", "message_id").unique(PROFILE_ID, keep="first"))


def _write_people(space: OpenSpace, run: Run, making: _Making, created: pl.DataFrame, before: pl.DataFrame) -> None:
    """Identifiers first, which say what of the other tables was made here, should this be done again."""
    runs.write(space.lake, run.run_id, "external_ids", by_id.merged(making.external_ids, created))
    profiles, retired = (runs.table(space.lake, run.run_id, name) for name in ("profiles", "retired"))
    if before.height:
        profiles = profiles.join(before.lazy(), on=PROFILE_ID, how="anti", maintain_order="left")
    new = created.select(PROFILE_ID, "collection", PLACE, pl.col("added_at").alias("created_at"))
    runs.write(space.lake, run.run_id, "profiles", by_id.merged(profiles, new))
    # Whom only a statement knew in the run before as well is no id that leads nowhere.
    is_back = pl.col(PROFILE_ID).is_in(created.get_column(PROFILE_ID).implode())
    runs.write(space.lake, run.run_id, "retired", retired.filter(~is_back).collect())

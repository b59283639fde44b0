"""From the rows of a statement to values of traits: whose each row is, and of what type its columns are (T-31 to T-36).

What breaks a rule is a `StatementError` that says how often and what to change, and never shows a value.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from populace.definitions import GROUP_ID, RESERVED, Level, Sql
from populace.errors import StatementError

MOST_COLUMNS = 25  # T-32
MOST_BYTES = 16 * 1024  # T-34: a row has fewer
PROFILE_ID = "profile_id"  # of people and accounts that a statement over the lake has from there
WHO = "@who"  # no column of a statement is called so
NAME = re.compile(r"[a-z_][a-z0-9_]{0,254}")

IDENTIFIERS: Mapping[Level, tuple[str, ...]] = {"user": ("user_id", "email", "anonymous_id"), "account": (GROUP_ID,)}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a result says whose a row is, and which are traits."""

    identifier: str
    traits: tuple[str, ...]


def columns(names: Iterable[str], sql: Sql) -> Columns:
    """What the columns of a result are.

    Raises
    ------
    StatementError
        If there is not exactly one identifier (T-31), no trait (T-32), or a name that no trait may have (T-46).
    """
    listed = list(names)
    takes = (*IDENTIFIERS[sql.level], *([PROFILE_ID] if sql.connection == "lake" else []))
    found = [each for each in listed if each in takes]
    traits = tuple(each for each in listed if each not in takes)
    problems = [*_about_identifiers(found, takes), *_about_traits(traits, sql), *_about_both(listed, sql)]
    if problems:
        raise StatementError("; ".join(problems))
    return Columns(found[0], traits)


def _about_identifiers(found: list[str], takes: tuple[str, ...]) -> Iterable[str]:
    if not found:
        yield f"no column says whose a row is; select {' or '.join(takes)}"
    if len(found) > 1:
        yield f"{' and '.join(found)} both say whose a row is; keep one, and call the other another name with AS"


def _about_traits(traits: tuple[str, ...], sql: Sql) -> Iterable[str]:
    if not traits:
        yield "there is no column beside the identifier; select what is to be a trait"
    if len(traits) > 1 and sql.key in traits:
        yield f"a column is called '{sql.key}' like the entry, which has other columns too; call one of them otherwise"
    for name in traits:
        if name in RESERVED or not NAME.fullmatch(name):
            yield f"the column '{name}' cannot be the name of a trait; write AS and a lower-case one such as orders_90d"


def _about_both(listed: list[str], sql: Sql) -> Iterable[str]:
    if len(listed) > MOST_COLUMNS:
        yield f"there are {len(listed)} columns, at most {MOST_COLUMNS} are allowed; select fewer"
    for name in sorted({each for each in listed if listed.count(each) > 1}):
        yield f"two columns are called '{name}'"
    if sql.level == "account" and "user_id" in listed:
        yield "who belongs to which account is told by Group calls; leave user_id out"


# --- types ------------------------------------------------------------------------------------------


def typed(found: pl.DataFrame, chosen: Columns) -> pl.DataFrame:
    """(who: text as it was given, then each trait as text, whole number, number or Boolean), T-35.

    Raises
    ------
    StatementError
        If a column has values that are none of these, or an identifier is neither text nor a whole number, or null
        (T-33).
    """
    identifier = found.get_column(chosen.identifier)
    if not (identifier.dtype == pl.String or identifier.dtype.is_integer() or identifier.dtype == pl.Null):
        message = f"{chosen.identifier} is neither text nor a whole number; cast it to text"
        raise StatementError(message)
    if nulls := identifier.null_count():
        message = f"{chosen.identifier} is null in {nulls:,} of {found.height:,} rows; leave them out with WHERE"
        raise StatementError(message)
    return found.select(
        identifier.cast(pl.String).alias(WHO), *(_typed(found.get_column(each)) for each in chosen.traits)
    )


def _typed(values: pl.Series) -> pl.Series:
    dtype = values.dtype
    if dtype in (pl.String, pl.Boolean, pl.Int64):
        return values
    if dtype.is_integer():
        whole = values.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == values.null_count() else values.cast(pl.Float64)
    if dtype.is_numeric():
        number = values.cast(pl.Float64)
        return number.set(~number.is_finite(), None)  # NaN and infinity are no values anywhere
    if isinstance(dtype, pl.Datetime):
        told = values.dt.replace_time_zone("UTC") if dtype.time_zone is None else values.dt.convert_time_zone("UTC")
        return told.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    if dtype == pl.Date:
        return values.dt.strftime("%Y-%m-%d")
    if dtype == pl.Null or isinstance(dtype, pl.Enum | pl.Categorical):
        return values.cast(pl.String)
    message = f"the column '{values.name}' holds neither text nor numbers; join lists into one text, and cast the rest"
    raise StatementError(message)


# --- rows -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Given:
    """The rows that count: (who, the traits), one row per identifier; and how many were left out, and why."""

    rows: pl.DataFrame
    read: int
    blocked: int
    too_large: int


def given(rows: pl.DataFrame, who: pl.Series, is_blocked: pl.Series, identifier: str) -> Given:
    """The rows of a result by their identifiers as they are compared.

    Parameters
    ----------
    rows
        From `typed`.
    who, is_blocked
        Beside each row: its normalised identifier, and whether that names nobody (I-10).

    Raises
    ------
    StatementError
        If two rows have one identifier (T-33).
    """
    is_nobody = is_blocked | (who == "")
    is_large = rows.select(_bytes(rows) >= MOST_BYTES).to_series()
    kept = rows.with_columns(who.alias(WHO))
    kept = kept.filter(~is_nobody) if is_nobody.any() else kept
    if more := kept.height - kept.get_column(WHO).n_unique():
        message = (
            f"{more:,} of {rows.height:,} rows have a {identifier} that another row has, once it is normalised; "
            f"give one row for each, with GROUP BY or SELECT DISTINCT"
        )
        raise StatementError(message)
    large = int((is_large & ~is_nobody).sum())
    kept = kept.filter(~is_large.filter(~is_nobody)) if large else kept
    return Given(kept, rows.height, int(is_nobody.sum()), large)


def _bytes(rows: pl.DataFrame) -> pl.Expr:
    """How large each row is: the bytes of its text, and eight for anything else."""
    texts = [name for name, dtype in rows.schema.items() if dtype == pl.String]
    others = 8 * (rows.width - len(texts))
    return pl.sum_horizontal(*(pl.col(name).str.len_bytes().fill_null(0) for name in texts)) + others

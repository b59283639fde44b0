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
USER_ID = "user_id"
WHO, USER, LARGE = "@who", "@user", "@large"  # no column of a statement is called so
NAME = re.compile(r"[a-z_][a-z0-9_]{0,254}")

IDENTIFIERS: Mapping[Level, tuple[str, ...]] = {"user": ("user_id", "email", "anonymous_id"), "account": (GROUP_ID,)}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a result says whose a row is, which are traits, and which names a user of the account (T-41)."""

    identifier: str
    traits: tuple[str, ...]
    user: str | None = None

    @property
    def names(self) -> dict[str, str]:
        """Of the columns that are no traits: what `typed` calls them."""
        return {self.identifier: WHO} | ({self.user: USER} if self.user else {})


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
    user = USER_ID if sql.level == "account" and USER_ID in listed else None
    traits = tuple(each for each in listed if each not in (*takes, user))
    problems = [*_about_identifiers(found, takes), *_about_traits(traits, user, sql), *_about_both(listed, user, sql)]
    if problems:
        raise StatementError("; ".join(problems))
    return Columns(found[0], traits, user)


def _about_identifiers(found: list[str], takes: tuple[str, ...]) -> Iterable[str]:
    if not found:
        yield f"no column says whose a row is; select {' or '.join(takes)}"
    if len(found) > 1:
        yield f"{' and '.join(found)} both say whose a row is; keep one, and call the other another name with AS"


def _about_traits(traits: tuple[str, ...], user: str | None, sql: Sql) -> Iterable[str]:
    if not traits and not user:
        yield "there is no column beside the identifier; select what is to be a trait"
    if len(traits) > 1 and sql.key in traits:
        yield f"a column is called '{sql.key}' like the entry, which has other columns too; call one of them otherwise"
    for name in traits:
        if name in RESERVED or not NAME.fullmatch(name):
            yield f"the column '{name}' cannot be the name of a trait; write AS and a lower-case one such as orders_90d"


def _about_both(listed: list[str], user: str | None, sql: Sql) -> Iterable[str]:
    if len(listed) > MOST_COLUMNS:
        yield f"there are {len(listed)} columns, at most {MOST_COLUMNS} are allowed; select fewer"
    for name in sorted({each for each in listed if listed.count(each) > 1}):
        yield f"two columns are called '{name}'"
    if user and sql.connection == "lake":
        yield "who belongs to which account is known before events are counted, and this only after; leave user_id out"


# --- types ------------------------------------------------------------------------------------------


def typed(found: pl.DataFrame, chosen: Columns) -> pl.DataFrame:
    """(who, user where there is one: text as it was given, then each trait as text, number or Boolean), T-35.

    Raises
    ------
    StatementError
        If a column has values that are none of these, or an identifier is neither text nor a whole number, or null
        (T-33).
    """
    if nulls := found.get_column(chosen.identifier).null_count():
        message = f"{chosen.identifier} is null in {nulls:,} of {found.height:,} rows; leave them out with WHERE"
        raise StatementError(message)
    named = (_text(found.get_column(name)).alias(called) for name, called in chosen.names.items())
    return found.select(*named, *(_typed(found.get_column(each)) for each in chosen.traits))


def _text(identifier: pl.Series) -> pl.Series:
    if not (identifier.dtype == pl.String or identifier.dtype.is_integer() or identifier.dtype == pl.Null):
        message = f"{identifier.name} is neither text nor a whole number; cast it to text"
        raise StatementError(message)
    return identifier.cast(pl.String)


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
    """The rows that count: (who, the traits), one row per identifier; and how many were left out, and why.

    `read` are all rows; of an account there may be several, one for each of its users, to whom there are `links`.
    """

    rows: pl.DataFrame
    read: int
    blocked: int
    too_large: int
    links: int = 0


def given(rows: pl.DataFrame, who: pl.Series, is_blocked: pl.Series, identifier: str) -> Given:
    """The rows of a result by their identifiers as they are compared.

    Parameters
    ----------
    rows
        From `typed`.
    who, is_blocked
        Beside each row: its normalised identifier, and whether that names nobody (I-9, I-10).

    Raises
    ------
    StatementError
        If two rows have one identifier (T-33), or one account has rows with other traits than its first.
    """
    marked = rows.with_columns(who.alias(WHO), is_large(rows.schema).alias(LARGE)).drop(USER, strict=False)
    kept = marked.filter(~is_blocked) if is_blocked.any() else marked
    too_large = int(kept.get_column(LARGE).sum())
    if USER in rows.columns:
        kept = kept.unique()
    if not are_distinct(kept.get_column(WHO)):
        more = kept.height - kept.get_column(WHO).n_unique()
        raise StatementError(_repeated(more, rows, identifier))
    kept = kept.filter(~pl.col(LARGE)) if too_large else kept
    return Given(kept.drop(LARGE), rows.height, int(is_blocked.sum()), too_large)


def are_distinct(texts: pl.Series) -> bool:
    """Whether no text is there twice; hashes, where they differ, say so in a fifth of the time."""
    return texts.hash().n_unique() == texts.len() or texts.n_unique() == texts.len()


def _repeated(more: int, rows: pl.DataFrame, identifier: str) -> str:
    if USER in rows.columns:
        return f"rows of {more:,} accounts say different things of them; let only {USER_ID} differ between them"
    return (
        f"{more:,} of {rows.height:,} rows have the {identifier} of another row, once it is normalised; "
        f"give one row for each, with GROUP BY or SELECT DISTINCT"
    )


def is_large(schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Whether a row of `typed` is to be dropped: the bytes of its text but a user's, and eight for anything else."""
    texts = [name for name, dtype in schema.items() if dtype == pl.String and name != USER]
    others = 8 * sum(dtype != pl.String for dtype in schema.values())
    size = pl.sum_horizontal(*(pl.col(name).str.len_bytes().fill_null(0) for name in texts)) + others
    return size >= MOST_BYTES

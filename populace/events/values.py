"""From JSON values to columns of one type.

A path whose values are all whole numbers, numbers, true/false or text becomes a column of that
type. A path with mixed types, an array or an empty object becomes a column whose name ends in
`:json` and which holds each value as JSON, so that 10, "10" and true stay apart. A path that ends in
`:json` itself is always kept so, and hence never taken for the JSON column of another.

The type of a column follows from its values alone: types of any two halves, united, are the type of
the whole. So it never shows how an archive was cut into parts.
"""

from collections.abc import Mapping

import polars as pl

from populace.events.jsontext import DEPTH, dotted
from populace.expressions import EXACT, json_number

JSON = ":json"

Path = tuple[str, ...]

FIRST = {'"': "text", "t": "boolean", "f": "boolean", "{": "json", "[": "json"}


def without_null(values: pl.DataFrame) -> pl.DataFrame:
    """JSON values without `null`, which is like nothing sent."""
    if not values.width:
        return values
    held = values.select((pl.all() == "null").any()).row(0)
    some = [name for name, is_held in zip(values.columns, held, strict=True) if is_held]
    return values.with_columns(pl.when(pl.col(name) != "null").then(name) for name in some)


def are_full(values: pl.Expr) -> pl.Expr:
    """True for objects that are not empty."""
    return values.str.starts_with("{") & (values != "{}")


def of_values(values: Mapping[Path, pl.Series], prefix: str) -> list[pl.Series]:
    """The columns of some paths from their values as JSON, of the same rows: typed, or `:json`.

    Of properties an object that is not empty is none, for what it holds has columns of its own.
    """
    frame = pl.DataFrame([each.alias(prefix + dotted(path)) for path, each in values.items()])
    if prefix == "p.":
        frame = _without_full(
            frame, [name for name, path in zip(frame.columns, values, strict=True) if len(path) < DEPTH]
        )
    are_texts = frame.select(pl.all().str.starts_with('"').all()).row(0)
    texts = [
        name for name, is_text in zip(frame.columns, are_texts, strict=True) if is_text and not name.endswith(JSON)
    ]
    unquoted = {each.name: each for each in _unquoted(frame.select(texts))}
    return [unquoted[each.name] if each.name in unquoted else _column(each) for each in frame]


def _without_full(values: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    held = values.select(are_full(pl.col(names)).any()).row(0) if names else ()
    some = [name for name, is_held in zip(names, held, strict=True) if is_held]
    return values.with_columns(pl.when(~are_full(pl.col(name))).then(name) for name in some)


def _unquoted(values: pl.DataFrame) -> pl.DataFrame:
    """JSON strings as text."""
    if not values.width:
        return values
    escaped = values.select(pl.all().str.contains("\\", literal=True).any()).row(0)
    some = [name for name, is_escaped in zip(values.columns, escaped, strict=True) if is_escaped]
    decoded = [
        pl.when(pl.col(name).str.contains("\\", literal=True)).then(pl.col(name).str.json_path_match("$"))
        for name in some
    ]
    plain = values.select(pl.all().str.slice(1).str.head(-1))
    found = values.select(decoded)
    return plain.with_columns(found.get_column(name).fill_null(plain.get_column(name)) for name in some)


def _column(values: pl.Series) -> pl.Series:
    """A column of values other than text alone."""
    dtype = None if values.name.endswith(JSON) else _type(values)
    plain = None if dtype is None else _cast(values, dtype)
    return _canonical(values).alias(values.name + JSON) if plain is None else plain


def _kinds(values: pl.Series) -> set[str]:
    """The types of JSON values, each told by its first character; what begins otherwise is a number."""
    firsts = values.str.slice(0, 1).unique().drop_nulls()
    return {FIRST.get(first, "number") for first in firsts}


def _type(values: pl.Series) -> pl.DataType | None:
    """The column type that holds all of these, None where only JSON does."""
    kinds = _kinds(values)
    if kinds == {"number"}:
        return pl.Float64() if values.str.contains(r"[.eE]").any() else pl.Int64()
    return pl.Boolean() if kinds == {"boolean"} else None


def _cast(text: pl.Series, dtype: pl.DataType) -> pl.Series | None:
    """The text as its type; None where a value would vanish or lose digits: an integer past 64 bits, 1e400."""
    if dtype == pl.Boolean:
        return text == "true"
    column = text.cast(dtype, strict=False)
    if column.null_count() != text.null_count():
        return None
    return None if dtype == pl.Float64 and _loses_digits(text, column) else column


def _loses_digits(text: pl.Series, column: pl.Series) -> bool:
    if column.is_infinite().any():
        return True
    if not (column.abs() >= EXACT).any():  # 2^53 + 1 has become 2^53
        return False
    whole = text.filter(text.str.contains(r"^-?\d+$"))
    return bool((whole.cast(pl.Int64, strict=False).abs().fill_null(EXACT + 1) > EXACT).any())


def _canonical(values: pl.Series) -> pl.Series:
    """JSON values of which each number has one text, the one that it would have by way of a Float64 column."""
    odd = values.str.contains(r"^-?[0-9]+[.eE]|^-0$").fill_null(value=False)
    if not odd.any():
        return values
    written = values.filter(odd)
    reals = written.cast(pl.Float64, strict=False).alias("v").to_frame()
    text = reals.select(pl.when(pl.col("v").is_finite()).then(json_number(pl.col("v")))).to_series()
    return values.scatter(odd.arg_true(), text.zip_with(text.is_not_null(), written))

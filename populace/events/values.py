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

from populace.events.jsontext import DEPTH, Path, dotted
from populace.expressions import EXACT, json_number

JSON = ":json"


ODD = r"^-?[0-9]+[.eE]|^-0$"  # numbers that may have several texts
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


def hold_something(values: pl.Expr) -> pl.Expr:
    """True for objects that hold a value other than null, however deep; null like nothing sent.

    Examples
    --------
    >>> frame = pl.DataFrame({"v": ['{"a":{"b":1}}', '{"a:1":null}', '{"a":{}}', "{}", '"{:1"']})
    >>> frame.select(hold_something(pl.col("v"))).to_series().to_list()
    [True, False, True, False, False]
    """
    shape = values.str.replace_all(r'"(?:[^"\\]|\\.)*"', "s")
    return are_full(values) & shape.str.contains(r":\s*(?:[s0-9tf\[-]|\{\s*\})")


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
    columns = {each.name: each for each in as_text(frame.select(texts))} | _columns(frame.drop(texts))
    return [columns[name] for name in frame.columns]


def _without_full(values: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    held = values.select(are_full(pl.col(names)).any()).row(0) if names else ()
    some = [name for name, is_held in zip(names, held, strict=True) if is_held]
    return values.with_columns(pl.when(~are_full(pl.col(name))).then(name) for name in some)


def as_text(values: pl.DataFrame) -> pl.DataFrame:
    """JSON strings as text, and other JSON values as they are written."""
    if not values.width:
        return values
    is_quoted, is_escaped = pl.all().str.starts_with('"'), pl.all().str.contains("\\", literal=True)
    are_quoted, are_escaped = values.select(is_quoted.all()).row(0), values.select(is_escaped.any()).row(0)
    escaped = [name for name, is_any in zip(values.columns, are_escaped, strict=True) if is_any]
    mixed = [name for name, is_all in zip(values.columns, are_quoted, strict=True) if not is_all]
    found = values.select(pl.all().str.slice(1).str.head(-1))
    found = found.with_columns(_decoded(values.get_column(name), found.get_column(name)) for name in escaped)
    return found.with_columns(_mixed(values.get_column(name), found.get_column(name)) for name in mixed)


def _decoded(values: pl.Series, unquoted: pl.Series) -> pl.Series:
    escaped = values.set(~values.str.contains("\\", literal=True), None)
    return escaped.str.json_path_match("$").fill_null(unquoted)


def _mixed(values: pl.Series, unquoted: pl.Series) -> pl.Series:
    return unquoted.zip_with(values.str.starts_with('"'), values)


def _columns(values: pl.DataFrame) -> dict[str, pl.Series]:
    """What becomes of columns of other values than text alone, by their names before."""
    typed = _typed(values)
    others = (each for each in values if each.name not in typed)
    return typed | {each.name: _canonical(each).alias(each.name + JSON) for each in others}


def _typed(values: pl.DataFrame) -> dict[str, pl.Series]:
    """Those that become numbers or true/false, without those of which a value would vanish or lose digits so."""
    types = _types(values)
    cast = values.select(_cast(name, dtype) for name, dtype in types.items())
    return {each.name: each for each in cast if _is_exact(values.get_column(each.name), each)}


def _types(values: pl.DataFrame) -> dict[str, pl.DataType]:
    """The types of columns of which all values are of one type."""
    kinds = _kinds(values)
    numbers = [name for name, found in kinds.items() if found == {"number"}]
    are_floats = values.select(pl.col(numbers).str.contains(r"[.eE]").any()).row(0) if numbers else ()
    types: dict[str, pl.DataType] = {name: pl.Boolean() for name, found in kinds.items() if found == {"boolean"}}
    pairs = zip(numbers, are_floats, strict=True)
    return types | {name: pl.Float64() if is_float else pl.Int64() for name, is_float in pairs}


def _kinds(values: pl.DataFrame) -> dict[str, set[str]]:
    """Which types values have, each told by its first character; what begins otherwise is a number."""
    names = [name for name in values.columns if not name.endswith(JSON)]
    firsts = values.select(pl.col(names).str.slice(0, 1).unique().drop_nulls().implode()).row(0) if names else ()
    return {name: {FIRST.get(first, "number") for first in found} for name, found in zip(names, firsts, strict=True)}


def _cast(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name) == "true" if dtype == pl.Boolean else pl.col(name).cast(dtype, strict=False)


def _is_exact(text: pl.Series, column: pl.Series) -> bool:
    """False where an integer is past 64 bits, or a number is 1e400 or has more digits than a float holds."""
    if column.null_count() != text.null_count():
        return False
    return column.dtype != pl.Float64 or not _loses_digits(text, column)


def _loses_digits(text: pl.Series, column: pl.Series) -> bool:
    if column.is_between(-EXACT, EXACT, closed="none").all():  # beyond, 2^53 + 1 has become 2^53
        return False
    if column.is_infinite().any():
        return True
    whole = text.filter(text.str.contains(r"^-?\d+$"))
    return bool((whole.cast(pl.Int64, strict=False).abs().fill_null(EXACT + 1) > EXACT).any())


def _canonical(values: pl.Series) -> pl.Series:
    """JSON values of which each number has one text, the one that it would have by way of a Float64 column."""
    odd = values.str.contains(ODD).fill_null(value=False)
    if not odd.any():
        return values
    texts = values.filter(odd).alias("v").to_frame().select(_one_text(pl.col("v"))).to_series()
    return values.scatter(odd.arg_true(), texts)


def canonical_elements(lists: pl.Series) -> pl.Series:
    """The same of lists of JSON values."""
    value = pl.element()
    one = pl.when(value.str.contains(ODD)).then(_one_text(value)).otherwise(value)
    return lists.alias("v").to_frame().select(pl.col("v").list.eval(one)).to_series()


def _one_text(number: pl.Expr) -> pl.Expr:
    real = number.cast(pl.Float64, strict=False)
    return pl.when(real.is_finite()).then(json_number(real)).otherwise(number)

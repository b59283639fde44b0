"""Columns of a flattened archive as typed columns: Int64, Float64, Boolean, String, or JSON text.

A column that only JSON can hold gets a name that ends in `:json`, as everywhere in events; so does one whose path ends
in `:json` itself, so that it is never taken for the JSON of another.
"""

from collections.abc import Callable, Sequence

import polars as pl

from populace.events.jsontext import dotted
from populace.events.layouts.canonical import exactly

JSON = ":json"
EXACT = 2**53  # beyond it a Float64 no longer holds every whole number
EXACT_DIGITS = 15
ISO = "%Y-%m-%dT%H:%M:%S%.6f"


def expressions(schema_type: pl.DataType, column: str, prefix: str, path: Sequence[str]) -> list[pl.Expr]:
    """A column of a file as typed columns.

    Parameters
    ----------
    column
        Its name in the file.
    prefix, path
        What it becomes: `p.` and ("address_city",).

    Returns
    -------
    One expression; none for a column without values (Null, Object); two for decimals with more digits than Float64
    holds: one takes the values that fit, the other, `:json`, those that do not. In each row at most one is not null.

    Notes
    -----
    Whole numbers past 64 bits are JSON, as are lists, structs and maps; bytes are JSON strings of hexadecimal digits.
    Instants are ISO 8601 in UTC with milliseconds, or microseconds where needed; a date is its midnight. NaN and the
    infinities, which JSON does not have, are null.
    """
    name, source = prefix + dotted(path), exactly(column)
    if isinstance(schema_type, pl.Null | pl.Object | pl.Unknown):
        return []
    if name.endswith(JSON):
        return [as_json(source, schema_type).alias(name + JSON)]
    if schema_type.is_decimal():
        return _from_decimal(source, schema_type, name)
    plain = _plain(schema_type)
    return [plain(source).alias(name) if plain else as_json(source, schema_type).alias(name + JSON)]


def _plain(dtype: pl.DataType) -> Callable[[pl.Expr], pl.Expr] | None:
    """How a type becomes one of the four; None where only JSON can hold it."""
    if dtype in (pl.Boolean, pl.String, pl.Int64):
        return lambda source: source
    if dtype.is_integer() and dtype not in (pl.UInt64, pl.Int128, pl.UInt128):
        return lambda source: source.cast(pl.Int64)
    if dtype.is_float():
        return lambda source: pl.when(source.is_finite()).then(source.cast(pl.Float64))
    if dtype in (pl.Categorical, pl.Enum, pl.Time):
        return lambda source: source.cast(pl.String)
    if dtype == pl.Duration:
        return lambda source: source.dt.to_string("iso")
    if dtype in (pl.Date, pl.Datetime):
        return lambda source: _iso(source, dtype)
    return None


def _iso(source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    zone = getattr(dtype, "time_zone", None)
    exact = source.cast(pl.Datetime("us", zone))
    utc = exact if zone is None else exact.dt.convert_time_zone("UTC")
    return utc.dt.to_string(ISO).str.strip_suffix("000") + "Z"


def _from_decimal(source: pl.Expr, dtype: pl.DataType, name: str) -> list[pl.Expr]:
    digits = getattr(dtype, "precision", None) or 38
    scale = getattr(dtype, "scale", 0)
    if not scale and digits <= 18:
        return [source.cast(pl.Int64).alias(name)]
    number = source.cast(pl.Float64)
    if digits - scale <= EXACT_DIGITS:
        return [number.alias(name)]
    fits = number.abs() < EXACT
    return [pl.when(fits).then(number).alias(name), pl.when(~fits).then(_digits(source)).alias(name + JSON)]


def _digits(source: pl.Expr) -> pl.Expr:
    """A decimal as JSON writes it: without the zeros that its scale adds."""
    return source.cast(pl.String).str.replace(r"\.(\d*?)0+$", ".$1").str.strip_suffix(".")


def as_json(source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A column as JSON text; null stays null."""
    if dtype.is_integer():
        return source.cast(pl.String)
    if dtype.is_decimal():
        return _digits(source)
    encoded = pl.struct(encodable(source, dtype).alias("v")).struct.json_encode()
    text = encoded.str.strip_prefix('{"v":').str.strip_suffix("}")
    return pl.when(text != "null").then(text)


def encodable(source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The same with what polars cannot write into JSON made text or numbers: bytes, instants, decimals."""
    if isinstance(dtype, pl.List):
        return source.list.eval(encodable(pl.element(), _inner(dtype.inner)))
    if isinstance(dtype, pl.Array):
        return encodable(source.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.Map) and "Binary" in str(dtype):
        entry = pl.Struct({"key": dtype.key, "value": dtype.value})
        return encodable(source.cast(pl.List(entry)), pl.List(entry))
    if isinstance(dtype, pl.Struct) and dtype.fields:
        # By number, since a field may be called like a pattern of polars.
        numbered = source.struct.rename_fields([str(number) for number in range(len(dtype.fields))])
        fields = ((str(number), each.name, _inner(each.dtype)) for number, each in enumerate(dtype.fields))
        encoded = (encodable(numbered.struct.field(at), inner).alias(name) for at, name, inner in fields)
        return pl.when(source.is_not_null()).then(pl.struct(encoded))
    if dtype == pl.Binary:
        return source.bin.encode("hex")
    if dtype.is_decimal():
        return source.cast(pl.Float64)
    return _iso(source, dtype) if dtype in (pl.Date, pl.Datetime) else source


def _inner(dtype: object) -> pl.DataType:
    """A type as an instance, which inside of other types it need not be."""
    return dtype if isinstance(dtype, pl.DataType) else dtype()  # type: ignore[operator]

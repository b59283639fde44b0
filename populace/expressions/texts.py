"""How values are written as text, and how text is read: numbers, instants, JSON."""

import polars as pl

EXACT = 2**53  # up to here a Float64 holds every whole number
INSTANT = pl.Datetime("us", "UTC")
DATE, TIME = r"^\d{4}-\d{2}-\d{2}$", r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:[0-5]\d(\.\d+)?(Z|[+-]\d{2}(:?\d{2})?)$"


def json_number(value: pl.Expr) -> pl.Expr:
    """A Float64 as JSON, with one text for one number: 10.0 is `10`, as if it had been written so."""
    is_whole = (value == value.round(0)) & value.is_between(-EXACT, EXACT)
    return pl.when(is_whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))


def json_text(expression: pl.Expr) -> pl.Expr:
    r"""JSON as the text people mean: strings without quotes, everything else as it is.

    Examples
    --------
    >>> frame = pl.DataFrame({"value": ['"a"', "10", "true", '["a"]', '"a \\"b\\""', None]})
    >>> frame.select(json_text(pl.col("value"))).to_series().to_list()
    ['a', '10', 'true', '["a"]', 'a "b"', None]
    """
    # Only strings with an escape need a JSON parser, and few have one.
    is_string = expression.str.starts_with('"')
    is_escaped = is_string & expression.str.contains("\\", literal=True)
    parsed = pl.when(is_escaped).then(expression).str.json_path_match("$")
    plain = expression.str.strip_prefix('"').str.strip_suffix('"')
    return pl.when(is_escaped).then(parsed).when(is_string).then(plain).otherwise(expression)


def iso(instant: pl.Expr) -> pl.Expr:
    """An instant as text, in milliseconds where these say all: `2024-03-31T12:00:00.000Z`.

    Examples
    --------
    >>> frame = pl.DataFrame({"at": [0, 1_500]}).select(pl.col("at").cast(INSTANT))
    >>> frame.select(iso(pl.col("at"))).to_series().to_list()
    ['1970-01-01T00:00:00.000Z', '1970-01-01T00:00:00.001500Z']
    """
    is_short = instant.dt.microsecond() % 1_000 == 0
    short = instant.dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
    return pl.when(is_short).then(short).otherwise(instant.dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ"))


def instant(text: pl.Expr) -> pl.Expr:
    """The instant that an ISO 8601 text names: a date, which is its midnight in UTC, or a time with its zone (E-25).

    Examples
    --------
    >>> texts = ["1970-01-01", "1970-01-01T00:00:00.0000019+00", "1970-01-01T00:00:00", "1970-02-30"]
    >>> pl.DataFrame({"text": texts}).select(instant(pl.col("text")).to_physical()).to_series().to_list()
    [0, 1, None, None]
    """
    midnight = pl.when(text.str.contains(DATE)).then(text).str.to_date("%Y-%m-%d", strict=False).cast(INSTANT)
    timed = pl.when(text.str.contains(TIME)).then(text)
    return pl.coalesce(
        midnight, timed.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)
    )


def form(name: str, dtype: pl.DataType, json: str) -> pl.Expr:
    """A column of one type as texts to count and to list; null for lists and objects, which have no such form.

    Parameters
    ----------
    json
        What the name of a column of JSON text ends with.
    """
    value = pl.col(name)
    if name.endswith(json):
        is_scalar = ~value.str.contains(r"^[\[{]") & (value != "null")
        return json_text(pl.when(is_scalar).then(value))
    if dtype == pl.String:
        return value
    if dtype == pl.Boolean:
        return pl.when(value).then(pl.lit("true")).when(~value).then(pl.lit("false"))
    if isinstance(dtype, pl.Datetime):
        return iso(value)
    return json_number(value) if dtype.is_float() else value.cast(pl.String)

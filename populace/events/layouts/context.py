"""Which columns of a flattened archive hold the paths below `context` that someone reads."""

from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from populace.events.jsontext import Path, dotted
from populace.events.layouts import typed
from populace.events.layouts.canonical import Columns, Schema
from populace.spelling import snake

PREFIX = "context_"
EXTERNAL_IDS = ("externalIds",)


def chosen(
    schema: Schema, names: Columns, wanted: Iterable[Path], prefix: str = PREFIX, to: str = "c."
) -> list[pl.Expr]:
    """The wanted paths as typed columns, `c.page.url` from `context_page_url`; what the file does not have is left out.

    Parameters
    ----------
    names
        The file's columns by the name under which they are looked for.
    prefix, to
        What the names begin with, and what those of the typed columns begin with instead.

    Notes
    -----
    A column is found in the payload's spelling (`context_userAgent`), in snake_case (`context_user_agent`), or in any
    other that differs in capitals and underscores only. A path without a column of its own is the object that the
    columns below it form: `c.page:json` of every `context_page_…`. `externalIds` is JSON: where a writer made it text
    (E-90), `c.externalIds:json` is that text, which need not be whole (E-92) and must be checked before it is read.
    """
    below = {name.removeprefix(prefix): column for name, column in names.items() if name.startswith(prefix)}
    found = (each for path in sorted(wanted) for each in _columns(schema, path, below, to))
    return list({each.meta.output_name(): each for each in found}.values())


def _columns(schema: Schema, path: Path, below: Mapping[str, str], to: str) -> Iterator[pl.Expr]:
    own = _own(path, below)
    if own is None:
        parts = {rest: column for rest, column in _deeper(path, below) if schema[column] != pl.Null}
        if parts:
            yield _object(schema, parts).alias(f"{to}{dotted(path)}{typed.JSON}")
    elif path == EXTERNAL_IDS and schema[own] == pl.String:
        yield pl.col(own).alias(f"c.externalIds{typed.JSON}")
    else:
        yield from typed.expressions(schema[own], own, to, path)


def _object(schema: Schema, parts: Mapping[str, str]) -> pl.Expr:
    """Columns as one JSON object; null where all of them are."""
    together = pl.struct(pl.col(column).alias(name) for name, column in parts.items())
    dtype = pl.Struct({name: schema[column] for name, column in parts.items()})
    is_there = pl.any_horizontal(pl.col(column).is_not_null() for column in parts.values())
    return pl.when(is_there).then(typed.as_json(together, dtype))


def _own(path: Path, below: Mapping[str, str]) -> str | None:
    for spelled in ("_".join(path), snake("_".join(path))):
        if spelled in below:
            return below[spelled]
    alike = bare("".join(path))
    return next((column for name, column in below.items() if bare(name) == alike), None)


def _deeper(path: Path, below: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for start in dict.fromkeys(("_".join(path) + "_", snake("_".join(path)) + "_")):
        yield from ((name.removeprefix(start), column) for name, column in below.items() if name.startswith(start))


def bare(name: str) -> str:
    """A name without what spellings differ in: capitals and underscores."""
    return name.replace("_", "").lower()

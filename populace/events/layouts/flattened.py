"""Flattened Parquet archives, one table a call or event: Segment's data lake (1.9) and an exported warehouse (1.10).

Both give the typed form. Nested objects are columns there, joined by `_`, and which underscore was a dot is forgotten:
`properties_billing_address` becomes the property `billing_address`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal

import polars as pl

from populace.errors import ArchiveError
from populace.events.layouts import context, instants, paths, typed
from populace.events.layouts.canonical import ROW, TEXTS, Columns, Schema, Wanted, no_problem, row, text

PARQUET = (".parquet", ".parq", ".pq")
ENVELOPE = (*TEXTS, *instants.NAMES)

# What a table's name says of its calls. Other tables hold the Track calls of one event.
CALLS = {
    "identifies": "identify", "tracks": "track", "pages": "page", "screens": "screen", "groups": "group",
    "aliases": "alias", **{call: call for call in ("identify", "track", "page", "screen", "group", "alias")},
}  # fmt: skip


class SegmentLake:
    """Segment's data lake: `…/data/<source>/segment_type=<table>/<day or hour>/<file>.parquet` (E-71, E-73).

    Columns have a prefix, `properties_`, `traits_` or `context_`, and keep the spelling of the payload (E-76). Those of
    the call itself are found in any: `messageId`, `message_id`, `messageid`.
    """

    container: Literal["parquet"] = "parquet"

    RESERVED = frozenset({"logs", "segment-stage", "segment-logs", "reports"})  # E-78, E-79

    def reads(self, path: str) -> bool:
        before, found, _ = path.partition("segment_type=")
        folders = before.split("/")[:-1]
        # The one just above `segment_type=` is the source's, whatever it is called.
        return _is_parquet(path) and self.RESERVED.isdisjoint(folders[:-1] if found else folders)

    def partition(self, path: str) -> datetime | None:
        return paths.day_or_hour(path)

    def is_summary(self, path: str) -> bool:
        return False

    def columns(self, schema: Schema, path: str, wanted: Wanted) -> list[pl.Expr]:
        """The canonical columns in the typed form; `name` and `category` of page and screen calls are properties.

        The type is that of the row, else of the table. A Track call without a name is named after its table, whose
        `track_` is cut (E-72).

        Raises
        ------
        ArchiveError
            If the file has no message ids, no instants or no types, or holds its payload in one column.
        """
        columns, table, arrived = _spelled_anyhow(schema), paths.segment_type(path).lower(), self.partition(path)
        whole = [name for name in ("properties", "traits") if name in schema]
        if whole:
            problem = f"has {' and '.join(whole)} as one column; set the source's `layout` to raw if it is JSON"
            message = f"{path}: not of the layout segment_lake, {problem}"
            raise ArchiveError(message)
        _check(schema, columns, path, "segment_lake", is_dated=arrived is not None)
        call = _call(schema, columns, table, path)
        return [
            row(),
            *_texts(schema, columns, call, _event(table.removeprefix("track_"))),
            *instants.expressions(schema, columns, arrived),
            no_problem(),
            *self._payload(schema, call),
            *context.chosen(schema, {name: name for name in schema}, wanted.context),
            *context.chosen(schema, {name: name for name in schema}, wanted.integrations, "integrations_", "i."),
        ]

    def _payload(self, schema: Schema, call: pl.Expr) -> Iterator[pl.Expr]:
        titles = {f"properties_{name}": name for name in ("name", "category") if name in schema}
        for column, dtype in schema.items():
            for prefix, start in (("p.", "properties_"), ("t.", "traits_")):
                if column.startswith(start):
                    found = typed.expressions(dtype, column, prefix, [column.removeprefix(start)])
                    yield from (_or_title(each, schema, titles.get(column), call) for each in found)
        for column in sorted(set(titles) - set(schema)):
            for own in typed.expressions(schema[titles[column]], titles[column], "p.", [titles[column]]):
                yield pl.when(_is_titled(call)).then(own).alias(own.meta.output_name())


class Warehouse:
    """A warehouse exported to Parquet: `<table>.parquet`, or a folder of files for each table.

    Columns are snake_case; those of a schema in capitals, as Snowflake exports it, are taken for lower case. Properties
    and traits have no prefix (E-90); what was called like a reserved column stands there as `_id`, and stays so (E-93).
    """

    container: Literal["parquet"] = "parquet"

    UNREAD = frozenset({"users", "accounts", "rudder_discards"})  # latest states, and what was refused: no calls
    RESERVED = frozenset({"id", "anonymous_id", "user_id", "uuid", "uuid_ts", "loaded_at", *instants.NAMES})
    KNOWN = frozenset(CALLS) | UNREAD
    OWN: Mapping[str, tuple[str, ...]] = {
        "track": ("event", "event_text"), "group": ("group_id",), "alias": ("previous_id",),
    }  # fmt: skip

    def reads(self, path: str) -> bool:
        return _is_parquet(path) and self._table(path) not in self.UNREAD

    def partition(self, path: str) -> datetime | None:
        return None

    def is_summary(self, path: str) -> bool:
        return self._table(path) == "tracks"

    def columns(self, schema: Schema, path: str, wanted: Wanted) -> list[pl.Expr]:
        """The canonical columns in the typed form.

        The table says the type: a column `type` is a property. A Track call is called as `event_text` says, else
        `event`, else the table.

        Raises
        ------
        ArchiveError
            If the file has no message ids or no instants, or neither path nor columns say which calls it holds.
        """
        table, names = self._table(path), _in_lower_case(schema)
        call = CALLS.get(table, "track" if table or "event" in names else None)
        if call is None:
            raise _untyped(path, "warehouse")
        columns = self._envelope(names, call)
        _check(schema, columns, path, "warehouse")
        return [
            row(),
            *_texts(schema, columns, pl.lit(call), _event(table)),
            *instants.expressions(schema, columns),
            no_problem(),
            *self._payload(schema, names, call),
            *context.chosen(schema, names, wanted.context),
        ]

    def _envelope(self, names: Columns, call: str) -> Columns:
        known = ("user_id", "anonymous_id", *self.OWN.get(call, ()), *instants.NAMES)
        wanted = {"message_id": "id"} | {name: name for name in known}
        return {canonical: names[name] for canonical, name in wanted.items() if name in names}

    def _payload(self, schema: Schema, names: Columns, call: str) -> Iterator[pl.Expr]:
        prefix = {"alias": None, "identify": "t.", "group": "t."}.get(call, "p.")
        reserved = self.RESERVED.union(self.OWN.get(call, ()))
        for name, column in names.items():
            if prefix and name not in reserved and not name.startswith((context.PREFIX, "__")):
                yield from typed.expressions(schema[column], column, prefix, [name])

    def _table(self, path: str) -> str:
        found = paths.table(path, self.KNOWN)
        # BigQuery's views without duplicates are exported beside the tables.
        return found.removesuffix("_view") if found.removesuffix("_view") in self.KNOWN else found


# --- what both have in common -------------------------------------------------------------------


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(PARQUET) and not paths.is_hidden(path)


def _spelled_anyhow(schema: Schema) -> Columns:
    """The columns of the envelope, in whatever spelling; snake_case where there are several."""
    found: dict[str, str] = {}
    for column in schema:
        found.setdefault(context.bare(column), column)
    columns = {name: name if name in schema else found.get(context.bare(name)) for name in ENVELOPE}
    return {name: column for name, column in columns.items() if column}


def _in_lower_case(schema: Schema) -> Columns:
    """Columns by the name they are known under: as written, unless all are written in capitals."""
    is_shouted = all(name == name.upper() for name in schema if name != ROW)
    return {name.lower() if is_shouted else name: name for name in schema if name != ROW}


def _check(schema: Schema, columns: Columns, path: str, layout: str, *, is_dated: bool = False) -> None:
    missing = [] if "message_id" in columns else [{"warehouse": "id"}.get(layout, "message_id")]
    if not is_dated and not {"timestamp", "received_at", "original_timestamp"} & set(columns):
        missing.append("timestamp or received_at")
    if missing:
        message = (
            f"{path}: not of the layout {layout}, no column {', '.join(missing)}; move it out of the archive, or set "
            "the source's `layout` to what `populace sources` finds there"
        )
        raise ArchiveError(message)
    instants.check(schema, columns, path)
    for name in (columns[each] for each in (*TEXTS, "event_text") if each in columns):
        if schema[name] not in (pl.Null, pl.String, pl.Categorical, pl.Enum) and not schema[name].is_numeric():
            raise instants.wrong_type(name, schema[name], "text or a number", path)


def _is_titled(call: pl.Expr) -> pl.Expr:
    return call.is_in(["page", "screen"])


def _or_title(found: pl.Expr, schema: Schema, title: str | None, call: pl.Expr) -> pl.Expr:
    """A property, or where it is absent the page call's own field of that name, if that is text too."""
    if title is None or schema[title] != pl.String or schema[f"properties_{title}"] != pl.String:
        return found
    return pl.coalesce(found, pl.when(_is_titled(call)).then(title))


def _untyped(path: str, layout: str) -> ArchiveError:
    folder = {"warehouse": "folders named after tables"}.get(layout, "folders `segment_type=…`")
    return ArchiveError(
        f"{path}: no column and no folder says which calls these are; "
        f"set the source's `archive` to the place above the {folder}"
    )


def _call(schema: Schema, columns: Columns, table: str, path: str) -> pl.Expr:
    """The type of each row of a data lake's file: its own, else the table's."""
    by_table = CALLS.get(table, "track" if table or "event" in columns else None)
    if by_table is None and "type" not in columns:
        raise _untyped(path, "segment_lake")
    return pl.coalesce(text(schema, columns.get("type")), pl.lit(by_table, dtype=pl.String))


def _event(table: str) -> str | None:
    """The name of the event whose table this is; None for tables of whole calls."""
    return table if table and table not in CALLS else None


def _texts(schema: Schema, columns: Columns, call: pl.Expr, event: str | None) -> Iterator[pl.Expr]:
    """`TEXTS`; the name of a Track call is `event_text`, else `event`, else that of the table."""
    own = {
        "type": call,
        "event": pl.coalesce(
            text(schema, columns.get("event_text")),
            text(schema, columns.get("event")),
            pl.when(call == "track").then(pl.lit(event, dtype=pl.String)),
        ),
    }
    yield from (own.get(name, text(schema, columns.get(name))).alias(name) for name in TEXTS)

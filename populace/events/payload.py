"""What a call carries beside its envelope: properties, traits and context.

An archive holds them as JSON text or as typed columns. Both forms answer the same questions, so
that everything behind them is written once.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import polars as pl

from populace.events import shred
from populace.events.identifiers import Path, Place
from populace.events.jsontext import JsonReader, dotted, names, pointer
from populace.events.rows import JSONS, MOST_PROPERTIES, MOST_TRAITS

BESIDE = ("name", "category")  # of page and screen calls, where they stand outside of properties
Titles = Mapping[int, Mapping[Path, Path]]
Spans = Mapping[int, tuple[int, int]]
"""For each event table with an object of its own: where its rows start, and how many they are."""


class Payload(Protocol):
    """The payload of some rows, in their order."""

    def judged(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with what has to be looked at before they count as events; `at` says which they are."""

    def take(self, rows: pl.DataFrame, json: JsonReader, context: Collection[Path]) -> "Payload":
        """The payload of these rows alone (at, g, type), in this order, to be read with this reader.

        `context` are all paths below context that will be asked for.
        """

    def identifier_values(self, places: Sequence[Place]) -> dict[Place, pl.Series]:
        """For each place where anything stands the value of each row as JSON; null where there is none."""

    def context_columns(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        """A column `c.<path>` for each dotted path that is seen at all in some consecutive rows, sorted by path."""

    def context_values(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        """The same as JSON, all named `c.<path>:json`."""

    def property_columns(self, spans: Spans, titles: Titles) -> dict[int, list[pl.Series]]:
        """For each table its columns `p.<path>`, sorted by path, and `_rest` where there are more."""

    def property_texts(self, start: int, length: int) -> pl.Series:
        """The properties of some consecutive rows as JSON objects."""

    def trait_texts(self, start: int, length: int) -> pl.Series:
        """The traits of some consecutive rows as JSON objects."""

    def trait_members(self, rows: pl.Series) -> pl.DataFrame:
        """(n: u32, name, value: JSON), one row per trait of the rows that are marked; `n` counts all rows."""


class JsonPayload:
    """Payload as JSON text: (properties, traits, context), and `name` and `category` where a call has them beside."""

    def __init__(self, texts: pl.DataFrame, json: JsonReader | None = None, rows: pl.DataFrame | None = None) -> None:
        self.texts = texts.select(name for name in (*JSONS, *BESIDE, "type") if name in texts.columns)
        self.json = json
        self.rows = rows
        self.contexts: dict[Path, pl.Series] = {}

    def judged(self, rows: pl.DataFrame) -> pl.DataFrame:
        texts = self.texts.select(JSONS)
        return rows.hstack(texts if texts.height == rows.height else texts[rows.get_column("at")])

    def take(self, rows: pl.DataFrame, json: JsonReader, context: Collection[Path]) -> "JsonPayload":
        at = rows.get_column("at")
        taken = JsonPayload(_titled(self.texts[at]), json, rows)
        paths, own = sorted(context), at.sort()
        # In the order of the archive, in which the long texts lie beside each other.
        values = pl.DataFrame(taken._values(self.texts.get_column("context")[own], paths))[at.arg_sort().arg_sort()]
        taken.contexts = dict(zip(paths, values.get_columns(), strict=True))
        return taken

    @property
    def _reader(self) -> JsonReader:
        assert self.json is not None, "taken before it is asked for columns"
        return self.json

    @property
    def _grouped(self) -> pl.DataFrame:
        assert self.rows is not None, "taken before it is asked for columns"
        return pl.DataFrame({"g": self.rows.get_column("g"), "j": self.texts.get_column("properties")})

    def identifier_values(self, places: Sequence[Place]) -> dict[Place, pl.Series]:
        # A Group call's traits are the group's, its e-mail included (I-72).
        users = self.texts.get_column("traits").set(self.texts.get_column("type") == "group", None)
        found = {(name, path): self.contexts[path] for name, path in places if name == "context"}
        for column, texts in (("traits", users), ("properties", self.texts.get_column("properties"))):
            asked = [path for name, path in places if name == column]
            values = self._values(texts, asked)
            found |= {(column, path): each for path, each in zip(asked, values, strict=True)}
        return {place: each for place, each in found.items() if each.null_count() < each.len()}

    def _values(self, objects: pl.Series, paths: Sequence[Path]) -> list[pl.Series]:
        # Looking for a name is ten times as fast as parsing, and most events carry none of those asked for.
        found = self._reader.values(_naming(objects, paths), [pointer(path) for path in paths])
        return [shred.without_null(each) for each in found]

    def context_columns(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        found = self.context_values(start, length, paths)
        return [shred.of_values(_path(each), each, "c.") for each in found]

    def context_values(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        wanted = sorted({names(path) for path in paths})
        found = [(path, self.contexts[path].slice(start, length)) for path in wanted]
        return [each.alias(f"c.{dotted(path)}{shred.JSON}") for path, each in found if each.null_count() < each.len()]

    def property_columns(self, spans: Spans, titles: Titles) -> dict[int, list[pl.Series]]:
        grouped = self._grouped
        own = grouped.head(max((start + length for start, length in spans.values()), default=0))
        return shred.all_columns(own, "p.", self._reader, titles)

    def property_texts(self, start: int, length: int) -> pl.Series:
        return self.texts.get_column("properties").slice(start, length)

    def trait_texts(self, start: int, length: int) -> pl.Series:
        return self.texts.get_column("traits").slice(start, length)

    def trait_members(self, rows: pl.Series) -> pl.DataFrame:
        return self._reader.members(self.texts.get_column("traits").set(~rows, None))


def _naming(texts: pl.Series, paths: Sequence[Path]) -> pl.Series:
    """The objects that may hold one of the paths: those in which its first name stands, or anything escaped."""
    hints = [f'"{name}"' for name in dict.fromkeys(path[0] for path in paths)] + ["\\u"]
    held = pl.any_horizontal(pl.lit(value=False), *(pl.col("j").str.contains(hint, literal=True) for hint in hints))
    rows = texts.alias("j").to_frame()
    if (rows.head(SAMPLE).select(held.mean()).item() or 0.0) > COMMON:
        return texts  # a name that most have, such as `page`: looking for it would only add to parsing
    return rows.select(pl.when(held).then("j")).to_series()


SAMPLE, COMMON = 1_000, 0.5


def _titled(texts: pl.DataFrame) -> pl.DataFrame:
    """`name` and `category` of page and screen calls put into their properties, behind what stands there (1.1)."""
    for name in BESIDE:
        if name in texts.columns and texts.get_column(name).null_count() < texts.height:
            value = pl.struct(pl.col(name)).struct.json_encode().str.slice(1)
            own = pl.col("properties").fill_null("{}").str.strip_chars().str.strip_suffix("}").str.strip_chars_end()
            joined = pl.concat_str(own, pl.when(own == "{").then(pl.lit("")).otherwise(pl.lit(",")), value)
            is_titled = pl.col("type").is_in(["page", "screen"]) & pl.col(name).is_not_null()
            texts = texts.with_columns(properties=pl.when(is_titled).then(joined).otherwise("properties"))
    return texts


class TypedPayload:
    """Payload as typed columns `p.…`, `t.…`, `c.…`, which differ from object to object."""

    def __init__(self, frames: Sequence[pl.DataFrame], rows: pl.DataFrame | None = None) -> None:
        self.frames = frames
        self.rows = rows

    def judged(self, rows: pl.DataFrame) -> pl.DataFrame:
        limits = {"too_many_properties": ("p.", MOST_PROPERTIES), "too_many_traits": ("t.", MOST_TRAITS)}
        over = {code: self._over(*limit) for code, limit in limits.items()}
        return rows.hstack([each.gather(rows["at"]).alias(code) for code, each in over.items() if each.any()])

    def _over(self, prefix: str, most: int) -> pl.Series:
        """True for rows with more values than a limit of Unify allows."""
        frames = [frame.select(by_prefix(frame, prefix)) for frame in self.frames]
        heights = [frame.height for frame in self.frames]
        counts = [
            frame.select(pl.sum_horizontal(pl.all().is_not_null()) > most).to_series()
            if frame.width > most
            else pl.repeat(value=False, n=height, eager=True)
            for frame, height in zip(frames, heights, strict=True)
        ]
        return pl.concat([each.alias("over") for each in counts])

    def take(self, rows: pl.DataFrame, json: JsonReader, context: Collection[Path]) -> "TypedPayload":
        return TypedPayload(self.frames, rows)

    def identifier_values(self, places: Sequence[Place]) -> dict[Place, pl.Series]:
        in_group = self._taken.get_column("type") == "group"
        found = {}
        for column, path in places:
            value = self._json(PREFIX[column] + dotted(path))
            if value is not None:
                found[column, path] = value.set(in_group, None) if column == "traits" else value
        return {place: each for place, each in found.items() if each.null_count() < each.len()}

    def context_columns(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        wanted = {names(path) for path in paths}
        wide = self._wide("c.", self._taken.get_column("at").slice(start, length))
        return sorted((each for each in wide.iter_columns() if _path(each) in wanted), key=_path)

    def context_values(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        found = self.context_columns(start, length, paths)
        return [shred.json_of(each).alias(each.name.removesuffix(shred.JSON) + shred.JSON) for each in found]

    def property_columns(self, spans: Spans, titles: Titles) -> dict[int, list[pl.Series]]:
        return {group: self._columns(*span, titles.get(group, {})) for group, span in spans.items()}

    def property_texts(self, start: int, length: int) -> pl.Series:
        return self._texts("p.", start, length)

    def trait_texts(self, start: int, length: int) -> pl.Series:
        return self._texts("t.", start, length)

    def trait_members(self, rows: pl.Series) -> pl.DataFrame:
        marked = self._taken.with_row_index("n").filter(rows)
        texts = self._wide("t.", marked.get_column("at"))
        long = [
            pl.DataFrame({"n": marked.get_column("n"), "name": _path(each)[0], "value": shred.json_of(each)})
            for each in texts.iter_columns()
        ]
        empty = pl.DataFrame(schema={"n": pl.UInt32, "name": pl.String, "value": pl.String})
        return pl.concat([empty, *long]).drop_nulls("value")

    # --- columns over several frames ----------------------------------------------------------------

    @property
    def _taken(self) -> pl.DataFrame:
        assert self.rows is not None, "taken before it is asked for columns"
        return self.rows

    def _json(self, name: str) -> pl.Series | None:
        """A column of all frames as JSON; None where no frame has it."""
        united = self._united([name])
        return shred.json_of(united.to_series()) if united.width else None

    def _united(self, columns: Sequence[str]) -> pl.DataFrame:
        """These columns of all frames, in the order of the rows taken."""
        united = shred.unite([frame.select("row", *_either(frame, columns)) for frame in self.frames])
        return united.drop("row")[self._taken.get_column("at")]

    def _wide(self, prefix: str, at: pl.Series) -> pl.DataFrame:
        """The columns of a prefix that hold anything in these rows, united over the frames the rows are in."""
        parts: list[pl.DataFrame] = []
        start = 0
        places = at.to_frame("at").with_row_index("place")
        for frame in self.frames:
            mine = places.filter(pl.col("at").is_between(start, start + frame.height, closed="left"))
            if mine.height:
                chosen = frame.select("row", *by_prefix(frame, prefix))[mine.get_column("at") - start]
                parts.append(mine.select("place").hstack(_filled(chosen.drop("row"))))
            start += frame.height
        if not parts:
            return pl.DataFrame()
        united = shred.unite(parts)
        return united.sort("place").drop("place")

    def _columns(self, start: int, length: int, titles: Mapping[Path, Path]) -> list[pl.Series]:
        wide = self._wide("p.", self._taken.get_column("at").slice(start, length))
        found = {each.name: each for each in wide.iter_columns()}
        for path, other in titles.items():
            name, stand_in = f"p.{dotted(path)}", found.get(f"p.{dotted(other)}")
            if stand_in is not None:
                own = found.get(name)
                found[name] = (stand_in if own is None else own.zip_with(own.is_not_null(), stand_in)).alias(name)
        return [found[name] for name in sorted(found)]

    def _texts(self, prefix: str, start: int, length: int) -> pl.Series:
        wide = self._wide(prefix, self._taken.get_column("at").slice(start, length))
        return shred.objects_of(wide) if wide.width else pl.Series(values=[None] * length, dtype=pl.String)


PREFIX = {"properties": "p.", "traits": "t.", "context": "c."}


def by_prefix(frame: pl.DataFrame, prefix: str) -> list[str]:
    """The columns whose names begin so."""
    return [name for name in frame.columns if name.startswith(prefix)]


def _path(column: pl.Series) -> Path:
    return names(column.name[2:].removesuffix(shred.JSON))


def _either(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of the columns that a frame has, as they are or as JSON."""
    return [name for column in columns for name in (column, column + shred.JSON) if name in frame.columns]


def _filled(frame: pl.DataFrame) -> list[pl.Series]:
    return [each for each in frame.iter_columns() if each.null_count() < each.len()]

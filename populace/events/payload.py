"""What a call carries beside its envelope: properties, traits and context.

An archive holds them as JSON text or as typed columns. Both forms answer the same questions, so
that everything behind them is written once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import polars as pl

from populace.events import shred
from populace.events.jsontext import JsonReader, Path, dotted, is_object, names, pointer, whole_only
from populace.events.layouts.canonical import GROUP_ID, Wanted, context_column, integrations_column
from populace.events.places import Place
from populace.events.rows import MOST_PROPERTIES, MOST_TRAITS, is_empty_text, wrong_objects
from populace.events.values import JSON, of_values, without_null

BESIDE = ("name", "category")  # of page and screen calls, where they stand outside of properties
TEXTS = ("properties", "traits", *BESIDE, "type")
Titles = Mapping[int, Mapping[Path, Path]]
Spans = Mapping[int, tuple[int, int]]
"""For each event table with an object of its own: where its rows start, and how many they are."""


class Payload(Protocol):
    """The payload of some rows, in their order."""

    def judged(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with what has to be looked at before they count as events; `at` says which they are."""

    def take(self, rows: pl.DataFrame, json: JsonReader) -> "Payload":
        """The payload of these rows alone (at, g, type), in this order, to be read with this reader."""

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
    """Payload as JSON text: (properties, traits), and `name` and `category` where a call has them beside.

    Of contexts, which are long, only the values at the wanted paths are held, and flags that say what is wrong.
    """

    def __init__(
        self,
        texts: pl.DataFrame,
        contexts: Mapping[Path, pl.Series],
        integrations: Mapping[Path, pl.Series],
        flags: pl.DataFrame,
        json: JsonReader,
        rows: pl.DataFrame | None = None,
    ) -> None:
        self.texts = texts
        self.contexts = contexts
        self.integrations = integrations
        self.flags = flags
        self.json = json
        self.rows = rows

    @classmethod
    def of(cls, frame: pl.DataFrame, wanted: Wanted, json: JsonReader) -> "JsonPayload":
        """The payload of canonical rows, of whose contexts no more will be asked for than is wanted."""
        paths = wanted.in_context
        objects = frame.select("properties", "traits")
        if "context" in frame.columns:
            context = frame.get_column("context")
            values, are_valid = json.tried(whole_only(context), [pointer(path) for path in paths])
            wrong = ~(context.is_null() | (are_valid & is_object(context)))
            are_objects = json.are_objects(objects)
        else:
            values = [frame.get_column(context_column(path)) for path in paths]
            wrong = frame.get_column("context_not_object")
            are_objects = pl.DataFrame([is_object(each) for each in objects])
        contexts = dict(zip(paths, without_null(pl.DataFrame(values)), strict=True))
        flags = [wrong.alias("context_not_object"), is_empty_text(contexts[GROUP_ID]).alias("group_id_empty")]
        for each, is_sound, most in zip(objects, are_objects, (MOST_PROPERTIES, MOST_TRAITS), strict=True):
            flags += wrong_objects(each, is_sound, most, json)
        texts = frame.select(name for name in TEXTS if name in frame.columns)
        return cls(texts, contexts, _integrations(frame, wanted, json), pl.DataFrame(flags), json)

    def judged(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.hstack(self.flags if self.flags.height == rows.height else self.flags[rows.get_column("at")])

    def take(self, rows: pl.DataFrame, json: JsonReader) -> "JsonPayload":
        at = rows.get_column("at")
        contexts, integrations = (
            {path: each.gather(at) for path, each in held.items()} for held in (self.contexts, self.integrations)
        )
        return JsonPayload(_titled(self.texts[at]), contexts, integrations, pl.DataFrame(), json, rows)

    @property
    def _grouped(self) -> pl.DataFrame:
        assert self.rows is not None, "taken before it is asked for columns"
        return pl.DataFrame({"g": self.rows.get_column("g"), "j": self.texts.get_column("properties")})

    def identifier_values(self, places: Sequence[Place]) -> dict[Place, pl.Series]:
        # A Group call's traits are the group's, its e-mail included (I-72).
        users = self.texts.get_column("traits").set(self.texts.get_column("type") == "group", None)
        beside = {"context": self.contexts, "integrations": self.integrations}
        found = {(name, path): beside[name][path] for name, path in places if path in beside.get(name, ())}
        for column, texts in (("traits", users), ("properties", self.texts.get_column("properties"))):
            asked = [path for name, path in places if name == column]
            values = self._values(texts, asked)
            found |= {(column, path): each for path, each in zip(asked, values, strict=True)}
        return {place: each for place, each in found.items() if each.null_count() < each.len()}

    def _values(self, objects: pl.Series, paths: Sequence[Path]) -> list[pl.Series]:
        # Looking for a name is ten times as fast as parsing, and most events carry none of those asked for.
        found = self.json.values(_naming(objects, paths), [pointer(path) for path in paths])
        return without_null(pl.DataFrame(found)).get_columns()

    def context_columns(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        found = self.context_values(start, length, paths)
        return of_values({_path(each): each for each in found}, "c.") if found else []

    def context_values(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        wanted = sorted({names(path) for path in paths})
        found = [(path, self.contexts[path].slice(start, length)) for path in wanted]
        return [each.alias(f"c.{dotted(path)}{JSON}") for path, each in found if each.null_count() < each.len()]

    def property_columns(self, spans: Spans, titles: Titles) -> dict[int, list[pl.Series]]:
        grouped = self._grouped
        own = grouped.head(max((start + length for start, length in spans.values()), default=0))
        return shred.all_columns(own, "p.", self.json, titles)

    def property_texts(self, start: int, length: int) -> pl.Series:
        return self.texts.get_column("properties").slice(start, length)

    def trait_texts(self, start: int, length: int) -> pl.Series:
        return self.texts.get_column("traits").slice(start, length)

    def trait_members(self, rows: pl.Series) -> pl.DataFrame:
        return self.json.members(self.texts.get_column("traits").set(~rows, None))


def _integrations(frame: pl.DataFrame, wanted: Wanted, json: JsonReader) -> dict[Path, pl.Series]:
    """What stands at the wanted paths below `integrations`, of rows that have such a thing."""
    paths = sorted(wanted.integrations)
    if paths and "integrations" in frame.columns:
        objects = whole_only(frame.get_column("integrations"))
        values = pl.DataFrame(json.tried(objects, [pointer(path) for path in paths])[0])
        return dict(zip(paths, without_null(values), strict=True))
    return {path: frame.get_column(name) for path in paths if (name := integrations_column(path)) in frame.columns}


def _naming(texts: pl.Series, paths: Sequence[Path]) -> pl.Series:
    """The objects that may hold one of the paths: those in which its first name stands, or anything escaped."""
    hints = [f'"{name}"' for name in dict.fromkeys(path[0] for path in paths)] + ["\\u"]
    held = pl.any_horizontal(pl.lit(value=False), *(pl.col("j").str.contains(hint, literal=True) for hint in hints))
    rows = texts.alias("j").to_frame()
    return rows.select(pl.when(held).then("j")).to_series()


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
        self.starts = pl.Series([0, *(frame.height for frame in frames)], dtype=pl.UInt32).cum_sum()
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

    def take(self, rows: pl.DataFrame, json: JsonReader) -> "TypedPayload":
        frame = self.starts.search_sorted(rows.get_column("at"), side="right").cast(pl.UInt32) - 1
        return TypedPayload(self.frames, rows.with_columns(frame=frame))

    def identifier_values(self, places: Sequence[Place]) -> dict[Place, pl.Series]:
        in_group = self._taken.get_column("type") == "group"
        found = {}
        for column, path in places:
            value = self._json(PREFIX[column] + dotted(path))
            if value is not None:
                found[column, path] = value.set(in_group, None) if column == "traits" else value
        return {place: each for place, each in found.items() if each.null_count() < each.len()}

    def context_columns(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        wanted = [f"c.{dotted(names(path))}" for path in paths]
        wide = self._wide(lambda frame: _either(frame, wanted), self._taken.slice(start, length))
        return sorted(wide.iter_columns(), key=_path)

    def context_values(self, start: int, length: int, paths: Sequence[str]) -> list[pl.Series]:
        found = self.context_columns(start, length, paths)
        return [shred.json_of(each).alias(each.name.removesuffix(JSON) + JSON) for each in found]

    def property_columns(self, spans: Spans, titles: Titles) -> dict[int, list[pl.Series]]:
        return {group: self._columns(*span, titles.get(group, {})) for group, span in spans.items()}

    def property_texts(self, start: int, length: int) -> pl.Series:
        return self._texts("p.", start, length)

    def trait_texts(self, start: int, length: int) -> pl.Series:
        return self._texts("t.", start, length)

    def trait_members(self, rows: pl.Series) -> pl.DataFrame:
        marked = self._taken.with_row_index("n").filter(rows)
        texts = self._wide(lambda frame: by_prefix(frame, "t."), marked)
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

    def _wide(self, chosen: Callable[[pl.DataFrame], list[str]], rows: pl.DataFrame) -> pl.DataFrame:
        """The chosen columns that hold anything in these rows, united over the frames the rows are in."""
        places = rows.select("frame", "at").with_row_index("place")
        parts = [
            mine.select("place").hstack(_filled(self._columns_of(frame, chosen, mine.get_column("at"))))
            for (frame,), mine in places.partition_by("frame", as_dict=True, maintain_order=True).items()
        ]
        if not parts:
            return pl.DataFrame()
        united = shred.unite(parts)
        return (united if len(parts) == 1 else united.sort("place")).drop("place")

    def _columns_of(self, frame: int, chosen: Callable[[pl.DataFrame], list[str]], at: pl.Series) -> pl.DataFrame:
        held = self.frames[frame]
        return held.select("row", *chosen(held))[at - self.starts[frame]].drop("row")

    def _columns(self, start: int, length: int, titles: Mapping[Path, Path]) -> list[pl.Series]:
        wide = self._wide(lambda frame: by_prefix(frame, "p."), self._taken.slice(start, length))
        found = {each.name: each for each in wide.iter_columns()}
        for path, other in titles.items():
            name, stand_in = f"p.{dotted(path)}", found.get(f"p.{dotted(other)}")
            if stand_in is not None:
                own = found.get(name)
                found[name] = (stand_in if own is None else own.zip_with(own.is_not_null(), stand_in)).alias(name)
        return [found[name] for name in sorted(found)]

    def _texts(self, prefix: str, start: int, length: int) -> pl.Series:
        wide = self._wide(lambda frame: by_prefix(frame, prefix), self._taken.slice(start, length))
        return shred.objects_of(wide) if wide.width else pl.Series(values=[None] * length, dtype=pl.String)


PREFIX = {"properties": "p.", "traits": "t.", "context": "c.", "integrations": "i."}


def by_prefix(frame: pl.DataFrame, prefix: str) -> list[str]:
    """The columns whose names begin so."""
    return [name for name in frame.columns if name.startswith(prefix)]


def _path(column: pl.Series) -> Path:
    return names(column.name[2:].removesuffix(JSON))


def _either(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of the columns that a frame has, as they are or as JSON."""
    return [name for column in columns for name in (column, column + JSON) if name in frame.columns]


def _filled(frame: pl.DataFrame) -> list[pl.Series]:
    return [each for each in frame.iter_columns() if each.null_count() < each.len()]

"""What definitions give for people: the people of a run, or those of a resolution that is only tried."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from itertools import chain

import polars as pl

from populace import audiences, traits
from populace.definitions import Space
from populace.events.jsontext import JsonReader, Path, names, pointer
from populace.events.tables import TITLES, table_of
from populace.events.values import canonical_elements, hold_something, of_values, without_null
from populace.lake import runs, tables
from populace.nodes import Query, Reducer, references
from populace.paths import at_elements
from populace.space.opening import OpenSpace

About = Callable[[], tuple[pl.DataFrame, pl.DataFrame]]
KNOWN_IDS = ("user_id", "email", "android.idfa", "ios.idfa")


@dataclass(frozen=True, slots=True)
class People:
    """Who is who, without accounts: tables of a run, or of a resolution that is only tried, that traits build on."""

    profiles: pl.DataFrame
    sightings: pl.DataFrame
    external_ids: pl.DataFrame
    custom_traits: pl.DataFrame

    @classmethod
    def of_run(cls, space: OpenSpace, run_id: str) -> "People":
        found = {each.name: runs.table(space.lake, run_id, each.name) for each in fields(cls)}
        found["profiles"] = found["profiles"].filter(pl.col("collection") == "users")
        return cls(**{name: each.collect() for name, each in found.items()})


def numbered(profiles: pl.DataFrame) -> pl.DataFrame:
    """(profile: u32, profile_id): inside a run profiles are numbers."""
    return profiles.select("profile_id").sort("profile_id").with_row_index("profile")


def by_number(rows: pl.LazyFrame, profiles: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of profiles by their numbers instead of their ids."""
    return rows.join(profiles, on="profile_id").drop("profile_id")


def reduced(
    space: OpenSpace, entries: Sequence[dict], people: People, queries: Sequence[Query], as_of: datetime
) -> pl.DataFrame:
    """The reducers of some queries over the events of each person: (profile, one column per reducer)."""
    definition = space.definition.at_level("user")
    batches = traits.rounds(queries, {each.key: each.query for each in definition.computed})
    found = streams(space, entries, placed(people), chain(*batches), as_of)
    return in_rounds(batches, found, partial(about, people), definition, as_of)


def in_rounds(
    batches: Iterable[Sequence[Reducer]],
    streams: Mapping[str, pl.LazyFrame],
    about: About,
    definition: Space,
    as_of: datetime,
) -> pl.DataFrame:
    """The values of reducers, each round after the traits and audiences that its events are compared with.

    Parameters
    ----------
    batches
        From `traits.rounds`.
    streams
        See `traits.reduce`.
    about
        Gives everybody and their custom traits, see `audiences.Parts`, if they are needed.
    definition
        The traits and audiences that may be referred to.
    """
    values, computing = (
        pl.DataFrame(schema={"profile": pl.UInt32}),
        {each.key: each.query for each in definition.traits},
    )
    for batch in batches:
        keys = {key for each in batch for key in references(each)}
        read = known(about, values, keys, definition, as_of) if keys else None
        found = traits.reduce(streams, batch, as_of, read, computing)
        values = values.join(found, on="profile", how="full", coalesce=True) if values.width > 1 else found
    return values


def known(about: About, values: pl.DataFrame, keys: set[str], definition: Space, as_of: datetime) -> pl.DataFrame:
    """What trait() of some keys reads, from the values that there are already."""
    population, custom = about()
    ready = tuple(each for each in definition.traits if traits.column(values, each.query) in values.columns)
    return audiences.known(
        audiences.Parts(population, values, traits.compute(values, ready), custom),
        audiences.needed(keys, definition.audiences),
        as_of,
        keys,
        traits=ready,
        include_anonymous=definition.include_anonymous,
    )


def placed(people: People) -> pl.LazyFrame:
    """(sighting, profile: u32), one row per sighting that belongs to somebody."""
    return by_number(people.sightings.lazy(), numbered(people.profiles).lazy())


def streams(
    space: OpenSpace, entries: Sequence[dict], sightings: pl.LazyFrame, queries: Iterable[Reducer], as_of: datetime
) -> dict[str, pl.LazyFrame]:
    """The events that some reducers are computed from, by name, with the number of their profile; see `placed`."""
    found = {}
    for name, needs in traits.requirements(queries).items():
        columns = [f"p.{path}" for path in sorted(needs.properties)] + [f"c.{path}" for path in sorted(needs.contexts)]
        columns += [f"o.{path}" for path in sorted(needs.objects)]
        parts = [each for each in entries if _reaches(each, needs, as_of)]
        stream = tables.events(space.lake, parts, table_of(name), columns, FromJson(TITLES.get(name, {})))
        if stream is not None:
            found[name] = stream.join(sightings, on="sighting")
    return found


@dataclass(frozen=True, slots=True)
class FromJson:
    """What is kept as JSON in the lake, read by the rules of the door: see `tables.FromJson`.

    In place of the properties in `stand_ins` others are read where they are not there: a page's name (E-5).
    """

    stand_ins: Mapping[Path, Path] = field(default_factory=dict)

    def extract(self, objects: pl.Series, paths: Sequence[str]) -> list[pl.Series]:
        wanted = [names(path) for path in paths]
        with JsonReader() as json:
            values = dict(zip(wanted, self._values(json, objects, wanted).iter_columns(), strict=True))
            for path in self.stand_ins.keys() & values.keys():
                (other,) = self._values(json, objects, [self.stand_ins[path]]).iter_columns()
                values[path] = values[path].zip_with(values[path].is_not_null(), other)
        return of_values(values, "p.")

    @staticmethod
    def _values(json: JsonReader, objects: pl.Series, wanted: Sequence[Path]) -> pl.DataFrame:
        return without_null(pl.DataFrame(json.values(objects, [pointer(path) for path in wanted])))

    def typed(self, column: str, values: pl.Series) -> pl.Series:
        return of_values({names(column[2:]): values}, column[:2])[0]

    def objects(self, objects: pl.Series, path: str) -> pl.Series:
        with JsonReader() as json:
            (values,) = json.values(objects, [pointer(names(path))])
        return values.to_frame("v").select(hold_something(pl.col("v")).fill_null(value=False)).to_series()

    def elements(self, values: pl.Series, path: str) -> pl.Series:
        arrays = values.set(~values.str.starts_with("["), None)
        if arrays.null_count() == arrays.len():
            return pl.Series(values.name, [None], pl.List(pl.String)).new_from_index(0, values.len())
        below = [names(each[1:]) if each else () for each in at_elements(path)[1:]]
        with JsonReader() as json:
            return canonical_elements(json.elements(arrays, below))


def _reaches(entry: dict, needs: traits.Needs, as_of: datetime) -> bool:
    """Whether a part can hold an event inside the widest window."""
    if entry["least"] is None:
        return False
    reaches_back = needs.window is None or entry["greatest"] >= runs.iso(as_of - needs.window)
    return reaches_back and entry["least"] <= runs.iso(as_of)


def about(people: People) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Everybody, and their custom traits, by number: see `audiences.Parts`."""
    profiles = numbered(people.profiles)
    known = people.external_ids.filter(pl.col("id_type").is_in(KNOWN_IDS)).select("profile_id").unique()
    population = profiles.join(known.with_columns(has_known_id=True), on="profile_id", how="left").select(
        "profile", pl.col("has_known_id").fill_null(value=False)
    )
    return population, by_number(people.custom_traits.lazy(), profiles.lazy()).collect()

"""What a destination should hold: the values and members of a run, by the identifiers it knows people by."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from populace.definitions import Audience, Destination, SqlTrait, Trait
from populace.sync.alignment import NUMBER
from populace.sync.spellings import once
from populace.sync.states import WANTED, Computation

Delivered = Trait | SqlTrait | Audience
Asked = dict[Computation, Delivered]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a destination should hold of one computation.

    `rows` has (profile_id, id_type, id_value, value) for each identifier, and may have its number; `without` counts the
    values of people who have no identifier that the destination takes: to be told, not sent (D-48).
    """

    rows: pl.DataFrame
    without: int = 0


NOTHING = Wanted(WANTED.to_frame())


def asked(destination: Destination, definitions: Iterable[Delivered], first_form: str) -> Asked:
    """The computations that go to a destination, each with its definition.

    Parameters
    ----------
    first_form
        What a delivery that names no form means.
    """
    found: Asked = {}
    for each in definitions:
        kind = "audience" if isinstance(each, Audience) else "trait"
        forms = [way.form or first_form for way in each.deliveries if way.destination == destination.name]
        found |= {Computation(kind, each.key, form): each for form in forms}
    return found


@dataclass(slots=True)
class Desired:
    """What a destination should hold of a run, computation by computation.

    Parameters
    ----------
    people
        Who is told: the identifiers of each profile, those of users (`identified`) or of accounts (`named`).
    traits, memberships
        Tables of the run (design 4). A definition that the run does not know yet has no rows.
    is_shared
        Some people go by one identifier there (`spellings`): it has the value, of those who have one, of the profile
        whose id sorts first, and is a member if one of them is.
    """

    people: pl.DataFrame
    traits: pl.LazyFrame
    memberships: pl.LazyFrame
    is_shared: bool = False
    _placed: pl.DataFrame | None = field(default=None, init=False)

    def of(self, computation: Computation) -> Wanted:
        """A value that is null or not a finite number has no row."""
        return self._trait(computation.key) if computation.kind == "trait" else self._audience(computation.key)

    def _trait(self, key: str) -> Wanted:
        schema = self.traits.collect_schema()
        if key not in schema:
            return NOTHING
        values = self.traits.select(key).collect()
        placed = self._in_rows()
        found = placed.with_columns(values.get_column(key).gather(placed.get_column("row")).alias("value"))
        rows = found.with_columns(value=canonical("value", schema[key])).drop_nulls("value")
        # Infinity and NaN count as no value; nothing else becomes null on its way to JSON.
        known = values.select(is_known(key, schema[key]).sum()).item()
        return told_of(rows, known, is_shared=self.is_shared)

    def _audience(self, key: str) -> Wanted:
        of_it = self.memberships.filter(pl.col("audience") == key)
        members = of_it.select(pl.col("profile_id").cast(pl.String)).collect()
        rows = self.people.join(members, on="profile_id", how="semi", maintain_order="left").with_columns(
            value=pl.lit("true")
        )
        return told_of(rows, members.height, is_shared=self.is_shared)

    @property
    def told(self) -> pl.DataFrame:
        """The people, each identifier once."""
        return once(self.people) if self.is_shared else self.people

    def _in_rows(self) -> pl.DataFrame:
        """The people who have traits, and in which row of the table: found once, so that no key needs a join."""
        if self._placed is None:
            rows = self.traits.select(pl.col("profile_id").cast(pl.String)).with_row_index("row").collect()
            self._placed = self.people.join(rows, on="profile_id", maintain_order="left")
        return self._placed


def told_of(rows: pl.DataFrame, known: int, *, is_shared: bool) -> Wanted:
    """The rows of people with their values, of whom so many `known` have one, with an identifier or without."""
    # Whoever shares an identifier has one, and so is counted before only one of them is told.
    without = known - int(rows.get_column("is_first").sum())
    told = once(rows) if is_shared else rows
    return Wanted(told.select(*WANTED, NUMBER), without)


def is_known(column: str, dtype: pl.DataType) -> pl.Expr:
    """Whether there is a value: null is none, nor is infinity or NaN."""
    value = pl.col(column)
    return value.is_finite().fill_null(value=False) if dtype.is_float() else value.is_not_null()


def canonical(column: str, dtype: pl.DataType) -> pl.Expr:
    """A column as canonical JSON text: equal values are equal texts, whatever their type in a run.

    Null where there is no value. Infinity and NaN are not JSON and count as no value.
    """
    value = pl.col(column)
    if dtype == pl.Boolean or dtype.is_integer():
        return value.cast(pl.String)
    if dtype.is_decimal():
        text = value.cast(pl.String)
        return pl.when(text.str.contains(".", literal=True)).then(text.str.replace(r"\.?0+$", "")).otherwise(text)
    if dtype.is_float():
        # Beyond 2^53 a float no longer names one integer, and its shortest text is kept.
        is_whole = (value == value.round()) & (value.abs() < 2**53)
        whole = pl.when(is_whole).then(value).cast(pl.Int64).cast(pl.String)
        return pl.when(is_whole).then(whole).when(value.is_finite()).then(value.cast(pl.String))
    if dtype.is_temporal():
        value = value.dt.to_string("iso:strict")
    encoded = pl.struct(value.alias("v")).struct.json_encode().str.strip_prefix('{"v":').str.strip_suffix("}")
    return pl.when(value.is_not_null()).then(encoded)

"""Where the fields of an event are: in columns of its own, or in what every event has."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from populace.expressions.people import Person
from populace.expressions.texts import form
from populace.expressions.values import JSON, MISSING, Value, any_element, column
from populace.nodes import Context, Field, Operand, Property, Reducer, Tally, TraitValue
from populace.paths import elements_of, has_elements
from populace.query import fingerprint

# What every event has, as properties (T-10).
PSEUDO = {name: name for name in ("timestamp", "received_at", "event", "source")} | {"source_id": "source"}


@dataclass(frozen=True, slots=True)
class Row:
    """The events of one table, of which each is a row.

    `schema` is (profile, timestamp, received_at, message_id, source, event, `p.<path>`, `c.<path>`, of the latter two
    also forms that end in `:json`; `o.<path>` says whether a property is an object). A path with a `$` has a column of
    lists, the elements as JSON. Events that are compared with a parent have its columns, too, as `parent <name>`, and
    `inside <fingerprint>` is what a reducer inside where() is for each of them. `computed` are the reducers of traits,
    called as `Person` says.
    """

    schema: Mapping[str, pl.DataType]
    computed: Mapping[str, Reducer] = field(default_factory=dict)

    def column(self, of: Field) -> str | None:
        """The column that holds a field; None where no event has it.

        `timestamp`, `received_at`, `event` and `source` (or `source_id`) are properties of every event, unless events
        of the table have a property of their own that is called so.
        """
        start = _start(of)
        name = f"{start}{'p' if isinstance(of, Property) else 'c'}.{of.path}"
        # A path that ends in `:json` is stored as JSON always: its bare name is the JSON form of another path.
        is_json = name.endswith(JSON) and not has_elements(of.path)
        spelled = (name + JSON,) if is_json else (name, name + JSON)
        pseudo = (start + PSEUDO[of.path],) if isinstance(of, Property) and of.path in PSEUDO else ()
        return next((each for each in (*spelled, *pseudo) if each in self.schema), None)

    def read(self, operand: Operand) -> Value:
        """What an operand inside where() is for the event at hand."""
        if isinstance(operand, Reducer):
            return self._inside(operand)
        if isinstance(operand, TraitValue):
            return Person(self.schema, self.computed).read(operand)
        assert isinstance(operand, Property | Context), "a literal is no column"
        return self.value(operand)

    def _inside(self, reducer: Reducer) -> Value:
        name = f"inside {fingerprint(reducer)}"
        name = name if name in self.schema else name + JSON
        return column(name, self.schema[name], null_is_zero=isinstance(reducer, Tally))

    def value(self, of: Field) -> Value:
        """A field of the event at hand."""
        name, is_object = self.column(of), f"{_start(of)}o.{of.path}"
        value = MISSING if name is None else self._single(name)
        if is_object not in self.schema:
            return value
        return replace(value, present=value.present | pl.col(is_object).fill_null(value=False))

    def _single(self, name: str) -> Value:
        return any_element(name) if isinstance(self.schema[name], pl.List) else column(name, self.schema[name])

    def elements(self, of: Field) -> str | None:
        """The column of lists that holds the elements of a field; None where no event has any."""
        name = self.column(elements_of(of))
        return name if name is not None and isinstance(self.schema[name], pl.List) else None

    def form(self, of: Field) -> pl.Expr:
        """A field of the event at hand as text to count and to list, null where it has none."""
        name = self.column(of)
        return pl.lit(None, dtype=pl.String) if name is None else form(name, self.schema[name], JSON)


def _start(of: Field) -> str:
    """How the columns of the event begin that a field is read of."""
    return "parent " if isinstance(of, Property) and of.parent else ""

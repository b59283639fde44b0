"""What trait() reads: columns of one row per profile, or of events beside it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from populace.expressions.values import JSON, MISSING, Value, column, inside
from populace.nodes import Operand, Reducer, Tally, TraitValue
from populace.query import fingerprint


def segments(key: str) -> list[str]:
    r"""The names on the way down that a key spells; `\.` is a dot in one of them (Q-9)."""
    return [segment.replace("\\.", ".") for segment in re.split(r"(?<!\\)\.", key)]


@dataclass(frozen=True, slots=True)
class Person:
    """Finds what the row holds of a profile.

    Columns are named after what they hold, since a trait, an audience and a custom trait may share a name:
    `value <fingerprint>`, `trait <key>`, `audience <key>`, `custom <name>:json`.
    """

    schema: Mapping[str, pl.DataType]
    computed: Mapping[str, Reducer] = field(default_factory=dict)

    def read(self, operand: Operand) -> Value:
        """What an operand is for the profile at hand."""
        if isinstance(operand, TraitValue):
            return self._trait(*segments(operand.key))
        return self._first([f"value {fingerprint(operand)}"], operand)

    def _trait(self, name: str, *below: str) -> Value:
        if below:
            whole = f"custom {name}{JSON}"
            return inside(pl.col(whole), below) if whole in self.schema else MISSING
        reducer = self.computed.get(name)
        # The value itself goes first: it tells 10 from "10" where the table of traits has text.
        values = [] if reducer is None else [f"value {fingerprint(reducer)}"]
        return self._first([*values, f"trait {name}", f"audience {name}", f"custom {name}"], reducer)

    def _first(self, names: list[str], operand: Operand | None) -> Value:
        # In expressions a count or sum is 0 where nothing matches, also through trait().
        is_number = isinstance(operand, Tally)
        for form in (form for name in names for form in (name, name + JSON)):
            if form in self.schema:
                return column(form, self.schema[form], null_is_zero=is_number)
        return MISSING

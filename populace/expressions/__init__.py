"""Query nodes to polars expressions over one row: an event, or a profile."""

from populace.expressions.conditions import answer, condition
from populace.expressions.fields import PSEUDO, Row
from populace.expressions.people import Person, segments
from populace.expressions.texts import EXACT, form, iso, json_number, json_text
from populace.expressions.values import JSON, MISSING, Number, Value, column, inside, is_word

__all__ = [
    "EXACT", "JSON", "MISSING", "PSEUDO", "Number", "Person", "Row", "Value", "answer", "column", "condition", "form",
    "inside", "is_word", "iso", "json_number", "json_text", "segments",
]  # fmt: skip

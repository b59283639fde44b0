"""Dotted paths of fields, and the `$` in them that stands for any element of an array."""

import re
from dataclasses import replace

from populace.nodes import Field

_ANY_ELEMENT = re.compile(r"(?<!\\)\.\$(?=\.|$)")


def at_elements(path: str) -> list[str]:
    r"""A path cut at each `$`: the array, then what stands below its elements, with the dot before it.

    Examples
    --------
    >>> at_elements("items.$.sku"), at_elements("tags.$"), at_elements(r"odd\.$")
    (['items', '.sku'], ['tags', ''], ['odd\\.$'])
    """
    return _ANY_ELEMENT.split(path)


def has_elements(path: str) -> bool:
    """Whether a path names any of several elements."""
    return len(at_elements(path)) > 1


def elements_of(field: Field) -> Field:
    """The elements that a reducer sees in a field: those that its `$` names, else those of the field itself (T-15)."""
    return field if has_elements(field.path) else replace(field, path=f"{field.path}.$")

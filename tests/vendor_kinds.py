"""The fictional vendor as a kind of destination, and kinds that are like it but for one thing."""

from types import ModuleType
from typing import Any

import pytest

from populace.destinations import ADAPTERS, HTTP
from tests import rolodex


def register(patch: pytest.MonkeyPatch, kind: str = "rolodex", **changed: Any) -> None:
    """Make it a kind of destination, with these names of its module changed; None takes one out."""
    adapter = ModuleType(kind)
    vars(adapter).update(vars(rolodex) | changed)
    for name in [name for name, each in changed.items() if each is None]:
        delattr(adapter, name)
    patch.setitem(HTTP, kind, adapter)
    patch.setitem(ADAPTERS, kind, adapter)

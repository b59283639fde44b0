"""What the tests of the lake begin with."""

import pytest

from populace.definitions import Storage
from populace.lake import objects


@pytest.fixture
def store(tmp_path):
    """A lake on a local disk, in which nothing is yet."""
    return objects.open_store((tmp_path / "lake").as_uri(), Storage())

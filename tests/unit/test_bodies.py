"""What adapters share to write bodies and read answers."""

from uuid import NAMESPACE_URL, uuid5

import pytest

from populace.destinations import bodies


@pytest.mark.parametrize("text", ["", "m-1", "ünï ☃", "x" * 999, *map(str, range(40))])
def test_a_uuid_follows_from_a_text_as_the_standard_has_it(text: str):
    assert bodies.uuid(text) == str(uuid5(NAMESPACE_URL, text))

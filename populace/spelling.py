"""How names are spelled in one way and in another."""

import re


def snake(name: str) -> str:
    """The snake_case spelling of a name: `userAgent` is `user_agent`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def camel(name: str) -> str:
    """The camelCase spelling of a name: `user_agent` is `userAgent`."""
    head, *tail = snake(name).split("_")
    return head + "".join(part.capitalize() for part in tail)


def key(text: str) -> str:
    """A text as the key of a definition: `Roll-Out 2, EU` is `roll_out_2_eu`, and `2024 prices` is `_2024_prices`.

    Empty where the text has neither a letter from a to z nor a digit.
    """
    name = re.sub(r"[^a-z0-9]+", "_", snake(text)).strip("_")
    return f"_{name}" if name[:1].isdigit() else name

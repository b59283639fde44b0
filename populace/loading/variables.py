"""What `${NAME}` stands for in a text of a definition."""

import re
from collections.abc import Mapping

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def resolve_text(text: str, environ: Mapping[str, str]) -> str:
    """`${NAME}` and `${NAME:-default}` replaced; KeyError names a variable that is not set, or empty."""

    def value(found: re.Match) -> str:
        name, default = found.groups()
        if given := environ.get(name):
            return given
        if default is None:
            raise KeyError(name)
        return default

    return VARIABLE.sub(value, text)

"""Settings of a destination at the moment they are used: `${NAME}` and `${NAME:-default}` replaced.

The environment is asked first, then whatever `secret` asks (under Prefect: a Secret block). Values
appear in no error, no log and no report.
"""

import re
from collections.abc import Callable, Mapping

from populace.errors import Refused

PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

Secret = Callable[[str], str | None]


def resolve(settings: Mapping[str, str], environ: Mapping[str, str], secret: Secret | None) -> dict[str, str]:
    """The settings with every placeholder replaced.

    Raises
    ------
    Refused
        If a name is neither in the environment nor known as a secret and has no default.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        # Files that secrets come from often end in a line break.
        found = (environ.get(name) or (secret(name) if secret else None) or default or "").strip()
        if not found and default is None:
            remedy = f"export it, or keep it in the Prefect Secret block {block(name)!r}"
            message = f"{name} is not set; {remedy}"
            raise Refused(message)
        return found

    return {name: PLACEHOLDER.sub(value, text) for name, text in settings.items()}


def block(name: str) -> str:
    """The name of the Secret block for a variable: Prefect takes lower case, digits and dashes only."""
    return name.lower().replace("_", "-")

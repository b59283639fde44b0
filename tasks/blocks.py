"""Secrets that Prefect keeps."""

from prefect.blocks.system import Secret

from tasks.settings import block


def secret_block(name: str) -> str | None:
    """The value of the Prefect Secret block kept for a variable; None where there is none."""
    try:
        value = Secret.load(block(name)).get()  # type: ignore[union-attr]
    except ValueError:
        return None
    return None if value is None else str(value)

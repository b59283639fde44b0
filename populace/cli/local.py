"""Where a checkout with a demo keeps things: its data, and Prefect's records of runs made without a server."""

import os
from pathlib import Path

FOLDER = Path("demo-data")
MARK = FOLDER / ".populace-demo"


def keep_prefect_here() -> None:
    """Where there is a demo, keep Prefect's records beside it, so that `make ui` shows every run made here.

    A server (`PREFECT_API_URL`) or a home of one's own (`PREFECT_HOME`) goes before.
    """
    if MARK.exists() and "PREFECT_API_URL" not in os.environ:
        os.environ.setdefault("PREFECT_HOME", str((FOLDER / "prefect").resolve()))
        os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


def secret(name: str) -> str | None:
    """What Prefect keeps under a name; loaded only where the environment does not have it, for it takes seconds."""
    keep_prefect_here()
    from tasks.blocks import secret_block

    return secret_block(name)

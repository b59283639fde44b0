"""One source's replay as people watch it: bars in a terminal, and in Prefect artifacts that hold numbers only.

Prefect's database is a view. A replay goes on where that cannot be written to.
"""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from populace.space.replay import Step
from tasks import progress, report

EVERY = 3.0  # seconds between two updates of an artifact; each is a request


class Watch:
    """Watches one source from before its first row is read; `days` is how many received days there are to do."""

    def __init__(self, space: str, source: str, *, size: int, days: int) -> None:
        self.key, self.source, self.days = f"{report.key(space)}-replay-{source.replace('_', '-')}", source, days
        self.start = self.updated = time.monotonic()
        self.seconds = 0.0
        self.artifact: UUID | None = None
        self.is_shown = True
        self.step = Step(0, size, 0, days)
        self._tell()

    def told(self, step: Step) -> None:
        """Hand a step on to whoever watches."""
        self.step = step
        self._tell()
        if time.monotonic() - self.updated >= EVERY:
            self._update()

    def ended(self, *, failed: int) -> None:
        """Show what there is to say at the end; `failed` counts objects that could not be read."""
        if not failed:
            self.step = Step(self.step.todo, self.step.todo, self.step.rows, 0)
        self._tell()
        self._update()
        self._show(create_table_artifact, [self._row(failed)], key=f"{self.key}-summary", description=self._words())
        get_run_logger().info("%s: %s", self.source, self._words())

    def _tell(self) -> None:
        self.seconds = time.monotonic() - self.start
        counts = {"rows": self.step.rows, "days_left": self.step.days_left}
        progress.report(progress.Step(f"replay {self.source}", self.step.done, self.step.todo, **counts))

    def _update(self) -> None:
        share = 100 * self.step.done / self.step.todo if self.step.todo else 100.0
        if self.artifact is None:
            self.artifact = self._show(create_progress_artifact, share, key=self.key, description=self._words())
        else:
            self._show(update_progress_artifact, self.artifact, share, description=self._words())
        self.updated = time.monotonic()

    def _show(self, show: Callable, *what: Any, **more: Any) -> Any:
        if not self.is_shown:
            return None
        try:
            return show(*what, **more)
        except Exception as error:  # whatever it is, the rows are worth more than their picture
            self.is_shown = False
            get_run_logger().warning("no more artifacts of %s: %s", self.source, type(error).__name__)
            return None

    def _pace(self) -> int:
        return round(self.step.rows / max(self.seconds, 0.001))

    def _words(self) -> str:
        return f"{self.step.rows:,} rows, {self._pace():,} a second, {self.step.days_left} of {self.days} days left"

    def _row(self, failed: int) -> dict[str, Any]:
        counts = {"source": self.source, "rows": self.step.rows, "rows per second": self._pace()}
        return counts | {"days": self.days, "days left": self.step.days_left, "failed objects": failed}

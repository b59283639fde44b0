"""A replay or a delivery as people watch it: bars in a terminal, and in Prefect artifacts that hold numbers only.

Prefect's database is a view. Work goes on where that cannot be written to.
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


class Picture:
    """The progress artifact of one piece of work, made when there is something to show; `about` names it in the log."""

    def __init__(self, key: str, about: str) -> None:
        self.key, self.about = key, about
        self.artifact: UUID | None = None
        self.is_shown = True
        self.updated = time.monotonic()

    @property
    def is_old(self) -> bool:
        """Whether it is time to show it anew."""
        return time.monotonic() - self.updated >= EVERY

    def show(self, done: int, todo: int, words: str) -> None:
        """Bring the artifact up to date."""
        share = 100 * done / todo if todo else 100.0
        if self.artifact is None:
            self.artifact = self.tried(create_progress_artifact, share, key=self.key, description=words)
        else:
            self.tried(update_progress_artifact, self.artifact, share, description=words)
        self.updated = time.monotonic()

    def tried(self, show: Callable, *what: Any, **more: Any) -> Any:
        """What a call of Prefect gives; None from the first one on that fails."""
        if not self.is_shown:
            return None
        try:
            return show(*what, **more)
        except Exception as error:  # whatever it is, the work is worth more than its picture
            self.is_shown = False
            get_run_logger().warning("no more artifacts of %s: %s", self.about, type(error).__name__)
            return None


class Watch:
    """Watches one source from before its first row is read; `days` is how many received days there are to do."""

    def __init__(self, space: str, source: str, *, size: int, days: int) -> None:
        self.source, self.days = source, days
        self.picture = Picture(f"{report.key(space)}-replay-{source.replace('_', '-')}", source)
        self.start = time.monotonic()
        self.seconds = 0.0
        self.step = Step(0, size, 0, days)
        self._tell()

    def told(self, step: Step) -> None:
        """Hand a step on to whoever watches."""
        self.step = step
        self._tell()
        if self.picture.is_old:
            self._show()

    def ended(self, *, failed: int) -> None:
        """Show what there is to say at the end; `failed` counts objects that could not be read."""
        if not failed:
            self.step = Step(self.step.todo, self.step.todo, self.step.rows, 0)
        self._tell()
        self._show()
        table, key = [self._row(failed)], f"{self.picture.key}-summary"
        self.picture.tried(create_table_artifact, table, key=key, description=self._words())
        get_run_logger().info("%s: %s", self.source, self._words())

    def _tell(self) -> None:
        self.seconds = time.monotonic() - self.start
        counts = {"rows": self.step.rows, "days_left": self.step.days_left}
        progress.report(progress.Step(f"replay {self.source}", self.step.done, self.step.todo, **counts))

    def _show(self) -> None:
        self.picture.show(self.step.done, self.step.todo, self._words())

    def _pace(self) -> int:
        return round(self.step.rows / max(self.seconds, 0.001))

    def _words(self) -> str:
        return f"{self.step.rows:,} rows, {self._pace():,} a second, {self.step.days_left} of {self.days} days left"

    def _row(self, failed: int) -> dict[str, Any]:
        counts = {"source": self.source, "rows": self.step.rows, "rows per second": self._pace()}
        return counts | {"days": self.days, "days left": self.step.days_left, "failed objects": failed}


class SyncWatch:
    """Watches the sync of one destination; of one that lacks nothing there is nothing to see."""

    def __init__(self, space: str, destination: str) -> None:
        self.destination = destination
        self.picture = Picture(f"{report.key(space)}-sync-{destination.replace('_', '-')}", destination)
        self.start = time.monotonic()
        self.done = self.due = 0

    def told(self, done: int, due: int) -> None:
        """Hand on how many records are settled, of how many that are due."""
        is_first, self.done, self.due = not self.due, done, due
        progress.report(progress.Step(f"sync {self.destination}", done, due))
        if is_first or self.picture.is_old:
            self._show()

    def ended(self) -> None:
        """Show how far it came."""
        if self.due:
            self._show()

    def _show(self) -> None:
        pace = round(self.done / max(time.monotonic() - self.start, 0.001))
        self.picture.show(self.done, self.due, f"{self.done:,} of {self.due:,} records, {pace:,} a second")

"""Progress bars in the terminal, fed by whatever the tasks report."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from populace.cli.output import errors

WIDE, NARROW = 100, 60  # columns of a terminal from which there is room for words, and for a bar
LONGEST_COUNTS = 32


@contextmanager
def bars(*, shown: bool, console: Console = errors) -> Iterator[None]:
    """Show a bar for every step that reports while this lasts."""
    from tasks.progress import listening

    columns = _columns(console.width)
    with Progress(*columns, console=console, disable=not shown) as progress, listening(_Steps(progress).told):
        yield


def _columns(width: int) -> list[ProgressColumn]:
    most = width if width >= NARROW else max(width - LONGEST_COUNTS, 8)
    name = TextColumn("{task.description}", table_column=Column(no_wrap=True, max_width=most, overflow="ellipsis"))
    if width < NARROW:
        return [name, _Counts(is_short=True)]
    return [name, BarColumn(30 if width >= WIDE else 10), _Counts(is_short=width < WIDE), TimeElapsedColumn()]


class _Counts(ProgressColumn):
    """What a step has done: `62%  1,200,000 rows, 98,000 a second, 12 days left`, or `3,000/7,197`."""

    def __init__(self, *, is_short: bool) -> None:
        super().__init__(Column(no_wrap=True))
        self.is_short = is_short

    def render(self, task: Task) -> Text:
        return Text(told(task, is_short=self.is_short))


def told(task: Task, *, is_short: bool) -> str:
    """A step's counts in words, or in as few signs as possible."""
    rows, days = task.fields.get("rows"), task.fields.get("days_left")
    if rows is None:
        return f"{task.completed:,.0f}/{task.total or 0:,.0f}"
    seconds = task.finished_time or task.elapsed or 0.0
    pace = f"{rows / seconds:,.0f}" if seconds else "-"
    if is_short:
        return f"{task.percentage:3.0f}% {days}d {rows:,} {pace}/s"  # what is cut off on the right is missed least
    return f"{task.percentage:3.0f}%  {rows:,} rows, {pace} a second, {days} day{'' if days == 1 else 's'} left"


class _Steps:
    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bars: dict[str, int] = {}

    def told(self, step: Any) -> None:
        """Show a `tasks.progress.Step`."""
        counts = {"rows": step.rows, "days_left": step.days_left}
        if step.name not in self.bars:
            self.bars[step.name] = self.progress.add_task(step.name, total=step.todo, completed=step.done, **counts)
        else:
            bar = self.bars[step.name]
            self.progress.update(bar, total=step.todo, completed=step.done, **counts)  # type: ignore[arg-type]

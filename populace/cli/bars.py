"""Progress bars in the terminal, fed by whatever the tasks report."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from populace.cli.output import errors


@contextmanager
def bars(*, shown: bool) -> Iterator[None]:
    """Show a bar for every step that reports while this lasts."""
    from tasks.progress import listening

    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not shown) as progress, listening(_Steps(progress).told):
        yield


class _Steps:
    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bars: dict[str, int] = {}

    def told(self, step: str, done: int, todo: int) -> None:
        if step not in self.bars:
            self.bars[step] = self.progress.add_task(step, total=todo)
        self.progress.update(self.bars[step], completed=done, total=todo)  # type: ignore[arg-type]

"""What a statement of SQL traits gives now, for the command `preview`."""

import os

from populace.cli import output
from populace.cli.local import secret
from populace.space import OpenSpace


def preview(space: OpenSpace, key: str, *, as_json: bool) -> None:
    """Run the statement of an entry now, read only, and show what it gives and whom of that the run knows."""
    from tasks import asking

    found = asking.preview(space, key, os.environ, secret)
    if as_json:
        told = {"run_id": found.run_id, "count": found.counts["rows"], "columns": found.columns}
        output.emit([told | found.counts | {"sample": found.sample}])
        return
    known_by = f"run {found.run_id}" if found.run_id else "no run yet"
    output.screen.print(f"[bold]{found.counts['rows']:,}[/] rows, compared with {known_by}")
    output.table("Columns", [{"column": name, "type": kind} for name, kind in found.columns.items()])
    output.table("Rows", [found.counts])
    # A column of the statement may be called `known` itself, so what is known stands under a sign until here.
    sample = [{name.removeprefix("@"): each for name, each in row.items()} for row in found.sample]
    output.table("Some of them: ✓ known, ? unknown", sample)

"""Commands about the identity graph: what it looks like, and what other rules would change."""

import os
from pathlib import Path

import click

from populace.cli import output
from populace.space import graphs, open_space

TITLES = {
    "sizes": "Identifiers of a profile, and of a component (a profile without limits)",
    "largest": "Largest profiles",
    "glue": "Identifiers that hold others together",
    "violations": "Violations",
    "unseen": "Identifiers of forbidden pairs that nobody has, so that these pairs keep nobody apart",
    "splits": "Profiles of the run before that are several now",
}
SHOWN = 20


@click.group()
@click.argument("space")
@click.pass_context
def identity(context: click.Context, space: str) -> None:
    """Look at who is who, and try other rules."""
    context.obj = space


@identity.command()
@output.options
@click.pass_obj
def report(space: str, definitions: str, *, as_json: bool) -> None:
    """Sizes, the largest profiles, identifiers that glue others together, violations; it shows personal data."""
    rows = list(graphs.report(open_space(space, definitions, os.environ)))
    if as_json:
        output.emit(rows)
        return
    run = rows[0]
    output.screen.print(
        f"Run {run['run_id']}: {run['profiles']:,} profiles, {run['external_ids']:,} identifiers, "
        f"{run['merges']:,} merges, {run['violations']:,} violations, {run['unresolved_sets']:,} sets unresolved"
    )
    for about, title in TITLES.items():
        found = [{name: each for name, each in row.items() if name != "about"} for row in rows if row["about"] == about]
        more = f", the first {SHOWN} of {len(found):,}" if len(found) > SHOWN else ""
        output.table(title + more, found[:SHOWN])


@identity.command()
@click.option(
    "--rules", "file", required=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rules in the form of identity.yaml.",
)  # fmt: skip
@output.options
@click.pass_obj
def lab(space: str, file: Path, definitions: str, *, as_json: bool) -> None:
    """What other rules would change in the current run: profiles that split or join, audiences. Nothing is written."""
    found = graphs.trial(open_space(space, definitions, os.environ), file)
    names = dict.fromkeys([*found.before, *found.after])
    counts = [{"count": name, "before": found.before.get(name, 0), "after": found.after.get(name, 0)} for name in names]
    examples = {
        "splits": found.splits.head(graphs.EXAMPLES).rows(named=True),
        "joins": found.joins.head(graphs.EXAMPLES).rows(named=True),
    }
    if as_json:
        several = {"splits": found.splits.height, "joins": found.joins.height, "examples": examples}
        more = {"counts": counts, "audiences": found.audiences, "left_out": found.left_out}
        output.emit([{"run_id": found.run_id} | several | more])
        return
    output.screen.print(f"Run {found.run_id} by the rules of {file}; nothing is written", soft_wrap=True, markup=False)
    if found.left_out:
        told = f"warning: {file} leaves out {', '.join(found.left_out)}, which the space has"
        output.errors.print(told, soft_wrap=True, markup=False)
    output.table("Counts", counts)
    output.table(f"{found.splits.height:,} profiles would be several, such as", examples["splits"])
    output.table(f"{found.joins.height:,} profiles would be made of several, such as", examples["joins"])
    output.table("Audiences", [each | {"change": each["after"] - each["before"]} for each in found.audiences])

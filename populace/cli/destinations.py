"""Commands about one destination: verify, letters, pause, resume."""

import os
from pathlib import Path
from typing import Any

import click

from populace.cli import output
from populace.cli.bars import bars
from populace.cli.local import keep_prefect_here
from populace.space import OpenSpace, open_space

DESTINATION = click.option("--destination", required=True, metavar="D", help="The destination's name.")
IN_PART = 3


def _open(space: str, definitions: str) -> OpenSpace:
    return open_space(space, definitions, os.environ)


@click.command()
@click.argument("space")
@DESTINATION
@click.option("--dry-run", is_flag=True, help="Say what differs; send nothing.")
@click.option("--confirm", is_flag=True, help="Repair although the brake holds, or a source is silent.")
@output.options
def verify(space: str, destination: str, definitions: str, *, dry_run: bool, confirm: bool, as_json: bool) -> None:
    """Read a destination back, compare it with the ledger, repair what differs.

    Of what differs it is told what should be there by the current run; whatever else is due stays for the next sync.
    """
    from tasks import progress, verifying
    from tasks.delivery import Ways

    def told(done: int, todo: int) -> None:
        progress.report(progress.Step(f"repair {destination}", done, todo))

    opening = _open(space, definitions)
    ways = Ways(os.environ, _secret, Path(definitions).resolve().parent, progress=told)
    with bars(shown=not as_json):
        found = verifying.verify(opening, destination, ways, dry_run=dry_run, confirm=confirm)
    _tell_verified(found, as_json=as_json)
    raise SystemExit(0 if verifying.is_equal(found) else IN_PART)


def _secret(name: str) -> str | None:
    """What Prefect keeps under a name; loaded only where the environment does not have it, for it takes seconds."""
    keep_prefect_here()
    from tasks.blocks import secret_block

    return secret_block(name)


def _tell_verified(found: dict[str, Any], *, as_json: bool) -> None:
    rows, whole = found["computations"], {name: each for name, each in found.items() if name != "computations"}
    if as_json:
        output.emit({"about": "computation", "destination": found["destination"], **row} for row in rows)
        output.emit([{"about": "destination", **whole}])
        return
    output.table(f"What {found['destination']} holds", rows)
    if "computed" in found:
        output.destinations([whole])
    output.screen.print(f"{found['destination']}: {_verdict(found)}", soft_wrap=True, markup=False)


def _verdict(found: dict[str, Any]) -> str:
    differing = sum(found[name] for name in ("missing", "different", "extra"))
    if found["status"] == "equal":
        return f"all {found['acknowledged']:,} acknowledged values and memberships are there, and nothing else"
    counted = f"{differing:,} differ from the ledger ({found['acknowledged']:,} acknowledged)"
    meant = {"differs": "; without --dry-run they are repaired", "repaired": "; all are repaired"}
    return counted + meant.get(found["status"], f"; not all are repaired: {found['status']}")

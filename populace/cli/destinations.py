"""Commands about one destination: verify, letters, pause, resume."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from populace.cli import output, quarantine, reading, running
from populace.cli.bars import bars
from populace.cli.local import secret
from populace.lake.delivery import Ledger
from populace.space import OpenSpace, open_space, recompute
from populace.space import letters as questions

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
    ways = Ways(os.environ, secret, Path(definitions).resolve().parent, progress=told)
    with bars(shown=not as_json):
        found = verifying.verify(opening, destination, ways, dry_run=dry_run, confirm=confirm)
    _tell_verified(found, as_json=as_json)
    raise SystemExit(0 if verifying.is_equal(found) else IN_PART)


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
    if found["status"] == "unread":
        return f"{found['reason']}, so there was nothing to compare"
    if found["status"] == "equal" and not found["computations"]:
        return "nothing is acknowledged, so there was nothing to compare"
    if found["status"] == "equal":
        read = found["acknowledged"] - found["unread"]
        unread = f"; {found['unread']:,} others cannot be read back" if found["unread"] else ""
        return f"all {read:,} acknowledged values and memberships that were read back are there{unread}"
    counted = f"{differing:,} differ from the ledger ({found['acknowledged']:,} acknowledged)"
    meant = {"differs": "; without --dry-run they are repaired", "repaired": "; all are repaired"}
    return counted + meant.get(found["status"], f"; not all are repaired: {found['status']}")


# --- letters --------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("space")
@DESTINATION
@click.option("--reason", metavar="R", help="Only those whose reason contains this text, or `invalid`, `too_large`.")
@click.option("--since", metavar="T", help="Only those that were tried at this instant or later.")
@click.option("--record", metavar="TYPE:VALUE", help="Only those about this external id.")
@click.option("--replay", is_flag=True, help="Send them again, as they are by the current run, with a sync.")
@click.option(
    "--output", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write them to a .parquet file: what was sent, and what was replied. It holds personal data.",
)  # fmt: skip
@output.options
def letters(
    space: str,
    destination: str,
    reason: str | None,
    since: str | None,
    record: str | None,
    file: Path | None,
    definitions: str,
    *,
    replay: bool,
    as_json: bool,
) -> None:
    """Records that a destination refuses for good: how many for which reason. With --json each of them as well.

    They are not sent again before their value changes, or until --replay.
    """
    from tasks import letters as kept

    quarantine.check_file(file, (".parquet",))
    opening = _open(space, definitions)
    instant = recompute.instant(since) if since else None
    asked = questions.Asked(reason, instant, reading.parted(record) if record else None)
    found = kept.listed(opening, destination, asked)
    if file is not None:
        found.write_parquet(file)
    if replay and found.is_empty():
        _say(f"{destination}: no letters, so there is nothing to send again", as_json=as_json)
        return
    if replay:
        count = kept.take_out(opening, destination, asked)
        _say(f"{destination}: {_letters(count)} taken out, to be sent again where still due", as_json=as_json)
        raise SystemExit(running.deliver(opening, destination, definitions, as_json=as_json))
    counted = list(questions.reasons(found))
    if as_json:
        output.emit({"about": "reason", **row} for row in counted)
        output.emit({"about": "letter", **row} for row in found.iter_rows(named=True))
        return
    output.table(f"Letters of {destination}", counted)
    if counted:
        where = file or Ledger(opening.lake, destination).path_of_letters()
        output.screen.print(f"{_letters(found.height)}, personal data, in {where}", soft_wrap=True, markup=False)


def _letters(count: int) -> str:
    return f"{count:,} letter{'' if count == 1 else 's'}"


def _say(line: str, *, as_json: bool) -> None:
    if not as_json:
        output.screen.print(line, soft_wrap=True, markup=False)


# --- pausing --------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("space")
@DESTINATION
@click.option("--because", metavar="TEXT", help="Why, for whoever looks at the status.")
@output.options
def pause(space: str, destination: str, because: str | None, definitions: str, *, as_json: bool) -> None:
    """Send nothing to a destination until it is resumed; what is due waits."""
    from tasks import pausing

    paused = pausing.pause(_open(space, definitions), destination, because)
    if as_json:
        output.emit([{"destination": destination, "paused": paused}])
        return
    again = f"to let it go again: populace resume {space} --destination {destination}"
    _say(f"{destination} is {_paused(paused)}; {again}", as_json=False)


@click.command()
@click.argument("space")
@DESTINATION
@output.options
def resume(space: str, destination: str, definitions: str, *, as_json: bool) -> None:
    """Let a paused destination be sent to again; sends nothing itself."""
    from tasks import pausing

    found = pausing.resume(_open(space, definitions), destination)
    if as_json:
        output.emit([{"destination": destination, "was_paused": found.pop("paused"), **found}])
        return
    was = found["paused"]
    _say(f"{destination} was {_paused(was) if was else 'not paused'}", as_json=False)
    waiting = sum(found["waiting"].values())
    told = f"{waiting:,} records wait, the oldest since {found['waiting_since']}" if waiting else "nothing waits"
    _say(f"{told}; to send what is due: populace sync {space} --destination {destination}", as_json=False)


def _paused(paused: Mapping[str, str]) -> str:
    return f"paused since {paused['since']}: {paused['reason']}"

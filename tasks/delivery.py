"""Makes one destination equal to the current run, and writes down honestly how far that went.

Nothing here knows Prefect: the task, the command line and the tests call `deliver`.

A kill is harmless at any moment. Before anything is sent, the ledger says what is going to be;
after every exchange it says what came of it. What was under way at a kill is sent again with the
same message ids, and what the destination then holds is not guessed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from populace import sync
from populace.definitions import Destination
from populace.destinations import ADAPTERS, TABLES
from populace.destinations.protocol import LIST, ListAdapter, Origin
from populace.errors import DestinationError, PopulaceError, Refused, Waiting
from populace.lake import runs
from populace.lake.delivery import Ledger
from populace.space import OpenSpace, due, standing
from populace.space.due import Books, Work
from tasks.exchange import UNFINISHED, Exchange, Progress, Tables
from tasks.listing import Lists
from tasks.senders import Sender, sender
from tasks.sending import Pace
from tasks.settings import Secret, resolve
from tasks.turns import Turn, turn

CONFIRM = "--destination {} --confirm"
BY_REFUSAL = "refusal"  # paused by what the destination answered, not by a person


@dataclass(frozen=True, slots=True)
class Ways:
    """How a delivery reaches the world.

    Parameters
    ----------
    environ, secret
        What `${NAME}` in a destination's settings stands for: the first that knows it.
    base
        Where relative paths in its settings start.
    pace
        How long to insist.
    progress
        Called with (records settled, records due) after every exchange.
    """

    environ: Mapping[str, str]
    secret: Secret | None = None
    base: Path = Path()
    pace: Pace = field(default_factory=Pace)
    progress: Progress | None = None

    def sender(self, node: Destination, origin: Origin, books: Books) -> Sender:
        """The sender of a destination, with its settings resolved; Refused where one is missing."""
        settings = resolve(node.options, self.environ, self.secret)
        return sender(node, settings, origin, self.pace, self.base, self._lists(node, books))

    def lists(self, node: Destination) -> dict[str, str]:
        """The ids that people gave the lists of audiences; Refused where one is missing."""
        found = resolve(dict(node.lists), self.environ, self.secret)
        for key, name in found.items():
            if not name:
                message = f"the id of the list of '{key}' is empty; write it below `lists` in destinations.yaml"
                raise Refused(message)
        return found

    def _lists(self, node: Destination, books: Books) -> Lists | None:
        """What the lists there are called, as far as that is known; looked up anew in a resync, for one may be gone."""
        adapter = ADAPTERS[node.kind]
        if LIST not in adapter.ABOUT.forms:
            return None
        is_anew = books.is_forgotten and isinstance(adapter, ListAdapter)
        remembered = {} if is_anew else books.ledger.lists()
        return Lists({**remembered, **self.lists(node)}, books.ledger.keep_list)


def deliver(
    space: OpenSpace,
    destination: str,
    ways: Ways,
    *,
    dry_run: bool = False,
    resync: bool = False,
    confirm: bool = False,
) -> dict[str, Any]:
    """Send a destination what it lacks, and return the account of it.

    Parameters
    ----------
    dry_run
        Only say what would be sent; nothing is sent or written.
    resync
        Send everything again, as if nothing had been acknowledged.
    confirm
        Send although the brake holds, or a source is silent.

    Returns
    -------
    `destination`, `kind`, `run_id`, `status` (success | partial | held | paused | disabled | dry_run), `reason` for
    being held or giving up, `computed` and the count of each outcome (`sync.summary`). `newly_paused` where the
    destination refused us in this very sync.

    Raises
    ------
    UsageError
        If there is no such destination, or nothing was ever published.
    Transient
        If another sync is sending to it.
    """
    node = space.destination(destination)
    ledger = Ledger(space.lake, node.name)
    if dry_run:
        return _previewed(space, node, ledger, ways, is_forgotten=resync)
    if not node.enabled:
        return _reported(ledger, {"destination": node.name, "kind": node.kind, "status": "disabled", "computed": 0})
    with turn(ledger) as own:
        ledger.migrate()
        books = opened(node, ledger, ways)
        if resync:
            books = forgotten(books)
        origin = due.origin(space, node, ledger)
        with told_if_broken_off(node, own, origin):
            work = due.plan(space, node, books, origin)
            warning = "" if confirm else suspicion(space, node, work, origin)
            return send(node, own, books, work, origin, ways, warning)


@contextmanager
def told_if_broken_off(node: Destination, own: Turn, origin: Origin) -> Iterator[None]:
    """Where an error ends the sync, let the destination's report say so, unless another sync has it by now.

    The error is named by its type alone: its message may hold personal data.
    """
    try:
        yield
    except Exception as error:
        why = f"the sync broke off with {type(error).__name__}, whose message stands in the flow run"
        told = {"destination": node.name, "kind": node.kind, "run_id": origin.run_id, "status": "failed"}
        with suppress(PopulaceError):  # the lake may be what failed, and the first error is the one to hear of
            own.check()
            _reported(own.ledger, told | {"reason": f"{why}; {_again(origin)}"})
        raise


def send(
    node: Destination, own: Turn, books: Books, work: Work, origin: Origin, ways: Ways, warning: str = ""
) -> dict[str, Any]:
    """Send what is due, unless a person or a refusal paused the destination, or there is a warning against it."""
    header = {"destination": node.name, "kind": node.kind, "run_id": origin.run_id}
    # What a kill leaves behind must not look like the account of an earlier sync.
    _reported(books.ledger, {**header, "status": "running"})
    tables = partial(runs.table, books.ledger.store, origin.run_id) if holds_tables(node) else None
    account = attempted(node, own, books, work, origin, ways, warning, tables)
    return _reported(books.ledger, {**header, **account})


def attempted(
    node: Destination,
    own: Turn,
    books: Books,
    work: Work,
    origin: Origin,
    ways: Ways,
    warning: str,
    tables: Tables | None = None,
) -> dict[str, Any]:
    """As `send`, without a word in the destination's report: the account alone, and whole tables only where given."""
    ledger, exchange = books.ledger, Exchange(own, books, work, ways.progress)
    paused = ledger.state().get("paused")
    if paused or (warning and work.due.height):
        exchange.refuse(_paused_text(paused, origin) if paused else warning)
    else:
        try:
            exchange.run(lambda: ways.sender(node, origin, books), tables)
        except Refused as refusal:
            exchange.refuse(str(refusal))
    account = exchange.finish()
    if paused:
        return account | {"status": "paused", "paused": paused}
    if exchange.is_refused:
        ledger.pause(exchange.reason, now().isoformat(timespec="seconds"), BY_REFUSAL)
        reason = f"{exchange.reason}; {_remedy(origin)}"
        return account | {
            "status": "paused", "paused": ledger.state()["paused"], "newly_paused": True, "reason": reason,
        }  # fmt: skip
    return account


def holds_tables(node: Destination) -> bool:
    """Whether a destination holds tables of the run whole, beside what it is told of people."""
    return node.kind in TABLES and node.options.get("profiles") == "true"


def previews(space: OpenSpace, only: str | None) -> list[dict[str, Any]]:
    """What every destination, or the one asked for, would be sent now; nothing is sent or written."""
    names = [only] if only else [each.name for each in space.definition.destinations]
    return [deliver(space, name, Ways({}), dry_run=True) for name in names]


def failure(summary: Mapping[str, Any]) -> DestinationError | None:
    """The error that a summary amounts to: held, or something left waiting; parked records are none.

    Nor is a destination that a person paused.
    """
    name, status, reason = summary["destination"], summary["status"], summary.get("reason", "")
    if status == "held" or (status == "paused" and summary["paused"]["by"] == BY_REFUSAL):
        return Refused(f"{name}: {status}, {summary[sync.REFUSED]} records wait: {reason}")
    waiting = sum(summary.get(each, 0) for each in sync.WAITING)
    if waiting and not reason and waiting == summary.get(sync.UNKNOWN):
        told = f"{waiting} records got no answer; events among them may have arrived, and are not repeated"
        return Waiting(f"{name}: {told}")
    if waiting:
        return Waiting(f"{name}: {waiting} records wait for the next sync: {reason}")
    if reason.startswith(UNFINISHED):
        return Waiting(f"{name}: {reason}")
    return None


def suspicion(space: OpenSpace, node: Destination, work: Work, origin: Origin) -> str:
    """Why what is due should not be sent before a person has looked at it; empty where nothing speaks against it."""
    found = list(dict.fromkeys(str(each) for each in work.removals))
    found += standing.silent(space, datetime.fromisoformat(origin.as_of))
    if not found:
        return ""
    return f"{'; '.join(found)}; if that is meant, `populace sync {space.definition.name} {CONFIRM.format(node.name)}`"


def opened(node: Destination, ledger: Ledger, ways: Ways) -> Books:
    """The books of a destination, by its spelling of identifiers and the lists that people name; reads only."""
    books = due.opened(ledger, now(), ADAPTERS[node.kind].ABOUT.normal)
    try:
        return due.relisted(books, ways.lists(node))
    except Refused:  # it is told when something is to be sent
        return books


def folded(books: Books) -> Books:
    """The books once what a killed delivery, or an earlier version, left behind is folded into the ledger."""
    books.ledger.migrate()
    if books.are_stale:
        books.fold(sync.SETTLED.to_frame(), books.waiting(), books.letters())
    return books.clean()


def forgotten(books: Books) -> Books:
    """The books of a new generation: with it, what is sent again is not taken for a repetition."""
    books.ledger.next_generation()
    return replace(books, is_forgotten=True)


def now() -> datetime:
    """The instant of what is written down."""
    return datetime.now(UTC)


def _previewed(
    space: OpenSpace, node: Destination, ledger: Ledger, ways: Ways, *, is_forgotten: bool
) -> dict[str, Any]:
    """What would be sent, by action."""
    books = replace(opened(node, ledger, ways), is_forgotten=is_forgotten)
    origin = due.origin(space, node, ledger)
    work = due.plan(space, node, books, origin)
    actions = dict(work.due.group_by("action").len().iter_rows())
    counts = {name: actions.get(name, 0) for name in ("set", "unset", "exit")}
    warning = suspicion(space, node, work, origin)
    header = {"destination": node.name, "kind": node.kind, "run_id": origin.run_id}
    told = {"status": "dry_run", "to_send": work.due.height, **counts, "parked": work.parked.height}
    return {**header, **told, **({"reason": warning} if warning else {})}


def _paused_text(paused: Mapping[str, Any], origin: Origin) -> str:
    told = f"paused since {paused['since']}: {paused['reason']}"
    return f"{told}; {_remedy(origin)}" if paused["by"] == BY_REFUSAL else told


def _remedy(origin: Origin) -> str:
    return f"once that is mended: `populace resume {origin.space} --destination {origin.destination}`"


def _again(origin: Origin) -> str:
    return f"once that is mended: `populace sync {origin.space} --destination {origin.destination}`"


def _reported(ledger: Ledger, summary: dict[str, Any]) -> dict[str, Any]:
    """The summary, kept for `populace status` with the time it was made, beside what was last found by reading back."""
    verified = (ledger.report() or {}).get("verified")
    kept = {"verified": verified} if verified else {}
    ledger.write_report({**summary, **kept, "at": now().isoformat(timespec="seconds")})
    return summary

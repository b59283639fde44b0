"""What a destination is due: the difference between the current run and its ledger, computation by computation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial

import polars as pl

from populace import sync
from populace.definitions import Audience, Destination, SqlTrait, Trait
from populace.destinations import ADAPTERS
from populace.destinations.protocol import GROUP, LIST, Origin
from populace.errors import UsageError
from populace.lake import runs
from populace.lake.delivery import Ledger
from populace.nodes import Count, Sum
from populace.space import families
from populace.space.opening import OpenSpace
from populace.sync import spellings

Delivered = Trait | SqlTrait | Audience


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done for a destination.

    `records` is the whole difference; `parked` are those of them that were refused before and have not changed since,
    `due` the others. `waiting` is what an earlier sync left. `desired` counts the values and memberships that there
    should be, `without` those of people it knows no identifier of. `letters` and `queue` stay in the ledger
    whatever comes of `due`; with `is_stale` they differ from what is stored there.
    """

    records: pl.DataFrame
    due: pl.DataFrame
    parked: pl.DataFrame
    waiting: pl.DataFrame
    letters: pl.DataFrame
    queue: pl.DataFrame
    is_stale: bool
    desired: int
    without: int
    removals: tuple[sync.Removal, ...] = ()

    def only(self, keys: pl.DataFrame) -> "Work":
        """The part of it that concerns these (kind, key, form, id_type, id_value); the rest stays as it is."""
        records, due, parked = (
            each.join(keys, on=sync.KEY, how="semi", maintain_order="left")
            for each in (self.records, self.due, self.parked)
        )
        return replace(
            self,
            records=records,
            due=due,
            parked=parked,
            queue=self.waiting.join(keys, on=sync.KEY, how="anti"),
            desired=records.filter(pl.col("action") == "set").height,
            without=0,
        )


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger of a destination as it is once what a killed delivery left behind is folded in.

    `settled` are the outcomes that were written down and not folded yet, and those of the records that were under way.
    With `is_forgotten` it is as a resync makes it: nobody knows what the destination holds of what it was sent.
    Everything is spelled as the destination spells identifiers (`normal`), whatever earlier versions told it.
    `relisted` are the ids of lists that are others now, by the key of their audience: what is acknowledged, waits or
    is parked of them was said of another list, and does not count.
    """

    ledger: Ledger
    settled: pl.DataFrame
    at: datetime
    is_forgotten: bool = False
    normal: spellings.Normal = field(default_factory=dict)
    relisted: Mapping[str, str] = field(default_factory=dict)

    @property
    def are_stale(self) -> bool:
        """Whether they differ from what is stored."""
        return self.is_forgotten or bool(self.relisted) or not self.settled.is_empty()

    def held(self, computation: sync.Computation, settled: pl.DataFrame | None = None) -> pl.DataFrame:
        """What the destination holds of a computation, after these further outcomes."""
        held = self._stored(computation)
        held = sync.forget(held) if self.is_forgotten else held
        return held if settled is None else sync.acknowledge(held, _of(settled, computation), self.at)

    def computations(self) -> list[sync.Computation]:
        """Everything that the destination may hold something of."""
        pending = self.settled.select(sync.COMPUTATION).unique().rows()
        return sorted({sync.Computation(*each) for each in (*self.ledger.computations(), *pending)})

    def letters(self) -> pl.DataFrame:
        """What can never succeed."""
        stored = spellings.queued(_or_empty(self.ledger.letters(), sync.LETTERS), self.normal)
        if self.is_forgotten:
            return stored.clear()
        return self._of_lists_there(sync.park(stored, self._stored_queue(), self.settled, self.at))

    def waiting(self) -> pl.DataFrame:
        """What waits; with what was under way at a kill, under the message ids it had."""
        stored = self._stored_queue()
        if self.is_forgotten:
            return stored.clear()
        left = stored.join(self.settled, on=sync.KEY, how="anti")
        return self._of_lists_there(pl.concat([left, sync.queue(stored, self.settled, self.at)]).sort(sync.KEY))

    def fold(self, settled: pl.DataFrame, waiting: pl.DataFrame, letters: pl.DataFrame) -> None:
        """Write the ledger as it is after these outcomes."""
        pending = pl.concat([self.settled, settled]).select(sync.COMPUTATION).unique().rows()
        touched = {sync.Computation(*each) for each in pending}
        if self.is_forgotten or self.relisted:
            touched |= {each for each in self.computations() if self.is_forgotten or self._is_elsewhere(each)}
        self.ledger.fold(((each, self.held(each, settled)) for each in sorted(touched)), waiting, letters)
        # Afterwards: whoever is killed before has forgotten what was said of the old list, and forgets it once more.
        for key, name in self.relisted.items():
            self.ledger.keep_list(key, name)

    def clean(self) -> "Books":
        """The same after a fold: nothing is left to be folded in."""
        return replace(self, settled=self.settled.clear(), is_forgotten=False, relisted={})

    def _stored(self, computation: sync.Computation) -> pl.DataFrame:
        """What is acknowledged of a computation, what a kill left behind included."""
        if self._is_elsewhere(computation):
            return sync.HELD.to_frame()
        held = _or_empty(self.ledger.acknowledged(computation), sync.HELD)
        held = spellings.held(held, self.normal) if self.normal else held
        return sync.acknowledge(held, _of(self.settled, computation), self.at)

    def _stored_queue(self) -> pl.DataFrame:
        return spellings.queued(_or_empty(self.ledger.waiting(), sync.QUEUE), self.normal)

    def _is_elsewhere(self, computation: sync.Computation) -> bool:
        """Whether it is of an audience that is kept in another list now."""
        return (computation.kind, computation.form) == ("audience", LIST) and computation.key in self.relisted

    def _of_lists_there(self, records: pl.DataFrame) -> pl.DataFrame:
        """The records without those of lists that are others now."""
        if not self.relisted:
            return records
        is_listed = (pl.col("kind") == "audience") & (pl.col("form") == LIST)
        return records.filter(~(is_listed & pl.col("key").is_in(list(self.relisted))))


def opened(ledger: Ledger, at: datetime, normal: spellings.Normal = spellings.AS_WRITTEN) -> Books:
    """The ledger with what was left behind, spelled as its destination spells identifiers; reads only."""
    sending, batches = ledger.sending(), ledger.batches()
    settled = pl.concat([sync.SETTLED.to_frame(), *(_or_empty(each, sync.SETTLED) for each in batches)])
    if sending is not None:
        settled = pl.concat([settled, sync.under_way(_or_empty(sending, sync.RECORDS), settled)])
    return Books(ledger, spellings.kept(settled, normal), at, normal=normal)


def relisted(books: Books, ids: Mapping[str, str]) -> Books:
    """The books where people name the lists of these audiences: what was said of another list is forgotten."""
    remembered = books.ledger.lists() if ids else {}
    return replace(books, relisted={key: each for key, each in ids.items() if remembered.get(key) != each})


def origin(space: OpenSpace, node: Destination, ledger: Ledger) -> Origin:
    """What a delivery comes from: the current run.

    Raises
    ------
    UsageError
        If nothing was ever published.
    """
    current = runs.latest(space.lake)
    if current is None:
        name = space.definition.name
        message = f"space '{name}' has no published run yet; run: populace recompute {name}"
        raise UsageError(message)
    names = {each.key: each.name for each in space.definition.audiences if each.name}
    return Origin(space.definition.name, node.name, current["run_id"], current["as_of"], ledger.generation(), names)


def plan(space: OpenSpace, node: Destination, books: Books, origin: Origin) -> Work:
    """What is to be sent; reads the lake and writes nothing."""
    definition = families.of_run(space, origin.run_id).definition
    about = ADAPTERS[node.kind].ABOUT
    asked = sync.asked(node, definition.delivered, about.forms[0])
    parts, removals, desired, without = [], [], 0, 0
    wanted = _Wanted(space, node, origin)
    for computation in sorted({*asked, *books.computations()}):
        held, of = books.held(computation), asked.get(computation)
        found = sync.changes(
            computation,
            wanted.of(computation, of, held) if of else sync.NOTHING,
            held,
            compared=about.compared,
            zeros=wanted.told(computation, of) if of and _counts(of) else None,
            since=books.at - node.reassert_every if node.reassert_every else None,
        )
        parts.append(found.records)
        desired, without = desired + found.desired, without + found.without
        if computation.kind == "audience":
            removals.append(sync.removal(computation.key, found.records, held, node.brake))
    waiting = books.waiting()
    # The turn too: within one run the same may have to be told twice, and who has seen a message id ignores it. What is
    # repeated because nobody knows what became of it waits under its id, and so keeps it.
    salt = f"{origin.salt}\x1f{books.ledger.turn()[0]}"
    records = sync.recorded(parts, salt, waiting)
    stored = books.letters()
    due, letters = sync.without_parked(records, stored)
    is_stale = books.are_stale or waiting.height > 0 or letters.height != stored.height
    held_back = tuple(each for each in removals if each)
    return Work(records, due, letters, waiting, letters, waiting.clear(), is_stale, desired, without, held_back)


class _Wanted:
    """What the current run says that a destination should hold.

    Its people, and its accounts, are looked up once, when they are needed.
    """

    def __init__(self, space: OpenSpace, node: Destination, origin: Origin) -> None:
        about = ADAPTERS[node.kind].ABOUT
        self.grain = about.grain
        self.by = sync.known(node, about.identifies or ("user_id", "email"))
        self.normal = about.normal
        self.table = partial(runs.table, space.lake, origin.run_id)
        self.origin = origin

    def of(self, computation: sync.Computation, of: Delivered, held: pl.DataFrame) -> sync.Wanted:
        if self.grain == "audience":
            tables = (self.table(name) for name in ("traits", "memberships", "changes"))
            return sync.Totals(self.origin.destination, self.origin.as_of, *tables).of(computation, held, of.level)
        return self._desired(computation, of).of(computation)

    def told(self, computation: sync.Computation, of: Delivered) -> pl.DataFrame:
        """Who can be told of a definition, each identifier once."""
        return self._desired(computation, of).told

    def _desired(self, computation: sync.Computation, of: Delivered) -> sync.Desired | sync.Linked:
        if of.level == "user":
            return self._persons
        return self._accounts if computation.form == GROUP else self._users_of_accounts

    @cached_property
    def _persons(self) -> sync.Desired:
        people = sync.identified(self.table("external_ids"), self.by, self.normal)
        is_shared = bool(self.normal) and spellings.is_shared(people)
        return sync.Desired(people, self.table("traits"), self.table("memberships"), is_shared)

    @cached_property
    def _users_of_accounts(self) -> sync.Linked:
        """Who has no account any more is not told 0 of a count: it would be that of an account."""
        users, tables = self._persons, (self.table(name) for name in ("links", "traits", "memberships"))
        return sync.Linked.of_run(users.people, *tables, is_shared=users.is_shared)

    @cached_property
    def _accounts(self) -> sync.Desired:
        named = sync.named(self.table("external_ids"))
        return sync.Desired(named, self.table("traits"), self.table("memberships"))


def _counts(definition: Delivered) -> bool:
    """Whether a definition counts or adds up, so that nothing is 0."""
    return isinstance(definition, Trait) and isinstance(definition.query, Count | Sum)


def _or_empty(frame: pl.DataFrame | None, schema: pl.Schema) -> pl.DataFrame:
    """The table, or one without rows where there is none yet; what an earlier version did not write is null."""
    if frame is None:
        return schema.to_frame()
    added = [name for name in schema if name not in sync.RECORDS and name not in frame.columns]
    lacking = [pl.lit(None, schema[name]).alias(name) for name in added]
    return frame.with_columns(lacking).select(list(schema))


def _of(settled: pl.DataFrame, computation: Iterable[str]) -> pl.DataFrame:
    named = zip(sync.COMPUTATION, computation, strict=True)
    return settled.filter(*(pl.col(name) == value for name, value in named))

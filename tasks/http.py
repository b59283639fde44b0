"""The one sender of all HTTP destinations: records in, a verdict for each record out.

A batch is settled in a conversation that its adapter leads. Each request of it waits for the pace of its endpoint. A
question that fails in passing is asked again within the conversation, since nothing is written twice by that; anything
else that fails ends the conversation, and the courier decides what becomes of its batch.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from queue import SimpleQueue
from threading import Semaphore
from types import TracebackType
from typing import Any, Self

import polars as pl

from populace.definitions import Bounds
from populace.destinations.protocol import (
    LIST,
    Answer,
    Exchange,
    HttpAdapter,
    Limits,
    ListAdapter,
    Origin,
    Record,
    Request,
    Response,
    Settings,
    Update,
    Verdict,
    by_status,
    in_order,
    packed,
)
from tasks import pacing, redacting
from tasks.lanes import lanes
from tasks.listing import Lists, answered, look_up
from tasks.samples import Samples
from tasks.sending import ABOUT_ONE, AGAIN, INTERRUPTED, Courier, Pace, Patience, Standing, jitter
from tasks.wire import Wire, retry_after

# A key may be refused by a single server that has not heard of it yet: asked once more before a person is.
CONFIRMED = (401, 403)
CONFIRMING = 1.0  # seconds, the longest pause before that

AHEAD = 4  # batches of a lane that are settled and not read yet

Settled = tuple[list[int], list[Verdict]]


class Sender:
    """Sends to one destination, for as long as one delivery lasts."""

    def __init__(
        self,
        adapter: HttpAdapter,
        settings: Settings,
        origin: Origin,
        pace: Pace,
        bounds: Bounds = Bounds(),  # noqa: B008, it is frozen
        kind: str = "",
        lists: Lists | None = None,
    ) -> None:
        self.adapter = adapter
        self.settings = settings
        self.origin = origin
        self.limits = bounded(adapter.limits(settings), bounds)
        self.pace = pace.bounded(bounds)
        timeout = self.pace.timeout if bounds.timeout else min(self.limits.timeout, self.pace.timeout)
        self.wire = Wire(timeout, allow_private=settings.get("allow_private", "true").lower() != "false")
        self.account = (kind, adapter.account(settings))
        self.lists = lists or Lists()
        self.rows: Sequence[Record] = ()
        secrets = redacting.secrets(settings, adapter.ABOUT.secret)
        self._samples = Samples(secrets, redacting.words(origin))
        self.standing = Standing()
        self.couriers = [self._lane() for _ in range(self.limits.lanes)]
        self.pool = ThreadPoolExecutor(self.limits.lanes, thread_name_prefix="lane")

    @property
    def courier(self) -> Courier[Update]:
        """The first of the lanes, which share their standing."""
        return self.couriers[0]

    @property
    def samples(self) -> list[dict[str, Any]]:
        """What was sent and answered, without personal data: at most 3 for each outcome and status, 10 in all."""
        return self._samples.taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self.standing.stop(INTERRUPTED)
        self.pool.shutdown()
        self.wire.close()

    def send(self, records: pl.DataFrame) -> Iterator[Settled]:
        """Positions of records and what became of each, after every exchange; each record once."""
        rows = records.rows(named=True)
        # Before anybody joins a list, it has to be there.
        without = self._listed(self.lists.missing(rows))
        lost = [at for at, row in enumerate(rows) if row["form"] == LIST and row["key"] in without]
        if lost:
            yield lost, [without[rows[at]["key"]] for at in lost]
        kept = sorted(set(range(len(rows))) - set(lost))
        for positions, verdicts in self._told([rows[at] for at in kept]):
            yield [kept[at] for at in positions], verdicts

    def _listed(self, keys: Sequence[str]) -> Mapping[str, Verdict]:
        """Look these lists up, or make them; what became of those that are not there now."""
        patience = Patience(self.pace)

        def attempt(items: Sequence[str]) -> Answer:
            return self._attempt(lambda: self._listing(*items), (), patience)

        courier = Courier[str](attempt, patience, standing=self.standing)
        return look_up(self.lists, keys, courier)

    def _listing(self, key: str) -> Exchange:
        if not isinstance(self.adapter, ListAdapter):
            remedy = "write its id below `lists` in destinations.yaml"
            return Verdict("refused", f"nobody knows the list of '{key}'; {remedy}")
        found = yield from self.adapter.listing(key, self.origin.names.get(key, key), self.settings)
        return answered(self.lists, key, found)

    def _told(self, rows: Sequence[Record]) -> Iterator[Settled]:
        self.rows = rows
        updates = list(self.adapter.updates(rows, self._origin(), self.settings))
        hopeless = {each.records: verdict for each in updates if (verdict := self._hopeless(each))}
        if hopeless:
            yield spread([each for each in updates if each.records in hopeless], list(hopeless.values()))
        fitting = [each for each in updates if each.records not in hopeless]
        for stage, staged in groupby(in_order(fitting), key=lambda each: each.stage):
            # Later stages are about lists, to which nothing is added while something is removed.
            yield from self._sent(list(staged), 1 if stage else self.limits.lanes)

    def _origin(self) -> Origin:
        """What is sent, and to which lists."""
        return replace(self.origin, lists=self.lists.known)

    def _sent(self, updates: list[Update], count: int) -> Iterator[Settled]:
        """Updates of one stage, in so many lanes at most; the lanes are all through at the end."""
        split = lanes(updates, self.rows, self.limits, count)
        if len(split) == 1:
            for batch in packed(split[0], self.limits):
                yield spread(batch, self.courier.settle(batch))
            return
        told: SimpleQueue[tuple[list[Update], list[Verdict]] | None] = SimpleQueue()
        turns = Semaphore(AHEAD * len(split))

        def lead(lane: int) -> None:
            """Settle the batches of a lane one after the other, as fast as they are read; None ends it."""
            try:
                for batch in packed(split[lane], self.limits):
                    turns.acquire()
                    told.put((batch, self.couriers[lane].settle(batch)))
            except BaseException:
                self.standing.stop(INTERRUPTED)
                raise
            finally:
                told.put(None)

        leading = [self.pool.submit(lead, lane) for lane in range(len(split))]
        try:
            for _ in leading:
                while found := told.get():
                    turns.release()
                    yield spread(*found)
        except BaseException:  # whoever reads this has stopped: nothing may be sent behind their back
            self.standing.stop(INTERRUPTED)
            raise
        finally:
            turns.release(len(updates))
            wait(leading)
        for each in leading:
            each.result()  # raises what went wrong there

    def _lane(self) -> Courier[Update]:
        patience = Patience(self.pace)

        def attempt(updates: Sequence[Update]) -> Answer:
            begin = partial(self.adapter.exchange, updates, self.settings)
            return self._attempt(lambda: begin(int(time.time())), updates, patience)

        return Courier(attempt, patience, _is_once, self.standing)

    def _hopeless(self, update: Update) -> Verdict | None:
        """Why an update is not sent at all."""
        if not update.problem and len(update.body) <= self.limits.update_bytes:
            return None
        sent = redacting.letter(update.body, self._samples.secrets)
        if update.problem:
            return Verdict("invalid", update.problem, sent=sent)
        return Verdict("too_large", f"more than {self.limits.update_bytes} bytes", sent=sent)

    def _attempt(self, begin: Callable[[], Exchange], updates: Sequence[Update], patience: Patience) -> Answer:
        """One conversation and what it came to; where access is denied, a second one to be sure of it."""
        answer, response = self._conversation(begin(), updates, patience)
        is_denied = isinstance(answer, Verdict) and answer.outcome == "refused"
        if not (is_denied and response and response.status in CONFIRMED):
            return answer
        patience.over.wait(jitter(min(CONFIRMING, self.pace.first)))
        answer, _ = self._conversation(begin(), updates, patience)
        return replace(answer, attempts=2) if isinstance(answer, Verdict) else answer

    def _conversation(
        self, exchange: Exchange, updates: Sequence[Update], patience: Patience
    ) -> tuple[Answer, Response | None]:
        """What a conversation came to, and the last response; a failure of the network ends it with a verdict."""
        end = time.monotonic() + self.pace.window
        request, has_written = _next(exchange, None), False
        if not isinstance(request, Request):  # there was nothing to say
            return request, None
        while True:
            response = self._response(request, patience, end)
            if isinstance(response, Verdict):
                exchange.close()
                return self._noted(updates, request, unanswered(response, request, has_written=has_written), None)
            has_written = has_written or not request.is_question
            following = _next(exchange, response)
            if not isinstance(following, Request):
                return self._noted(updates, request, paced(following, response), response)
            request = following

    def _response(self, request: Request, patience: Patience, end: float) -> Response | Verdict:
        """The answer to one request; a question is repeated until it is answered, or patience is at its end."""
        if time.monotonic() + request.after > end:
            return Verdict("unknown", "not finished within the time for failures", in_doubt=True)
        patience.over.wait(request.after)
        while True:
            start = time.monotonic()
            response = self._asked(request, patience)
            passing = response if isinstance(response, Verdict) else by_status(response.status)
            if not request.is_question or passing.outcome not in AGAIN or patience.over.is_set():
                return response
            if isinstance(response, Response):
                passing = replace(passing, after=_asked_for(response))
            if not patience.wait(passing, time.monotonic() - start):
                return response

    def _asked(self, request: Request, patience: Patience) -> Response | Verdict:
        """The answer to one request, at the pace of its endpoint."""
        rates = self.limits.rates
        rate = rates.get(request.endpoint, rates.get(""))
        if not rate:
            return self._unless_over(request, patience)
        bucket = pacing.bucket(*self.account, request.endpoint if request.endpoint in rates else "")
        patience.over.wait(bucket.take(rate))
        start = bucket.clock()
        response = self._unless_over(request, patience)
        if isinstance(response, Response) and response.status == 429:
            bucket.throttled(start)
        elif isinstance(response, Response):
            bucket.succeeded(rate)
        return response

    def _unless_over(self, request: Request, patience: Patience) -> Response | Verdict:
        # Another lane may have stopped everything while this one waited; what was not sent is not in doubt.
        return (self.standing.stopped or INTERRUPTED) if patience.over.is_set() else self.wire.ask(request)

    def _noted(
        self, updates: Sequence[Update], request: Request, answer: Answer, response: Response | None
    ) -> tuple[Answer, Response | None]:
        """The answer with what a letter keeps of it, after a sample of it was taken where one is wanted."""
        verdicts = [answer] * max(len(updates), 1) if isinstance(answer, Verdict) else answer
        if response or not self.standing.over.is_set():  # else it was not sent: another lane stopped everything
            records = [self.rows[each] for update in updates for each in update.records]
            self._samples.take(verdicts, request, response, records)
        if isinstance(answer, list):
            return [self._kept(*each, response) for each in zip(updates, answer, strict=True)], response
        return (self._kept(updates[0], answer, response) if len(updates) == 1 else answer), response

    def _kept(self, update: Update, verdict: Verdict, response: Response | None) -> Verdict:
        if verdict.outcome not in ABOUT_ONE or response is None:
            return verdict
        secrets = self._samples.secrets
        reply = redacting.letter(response.body, secrets, status=response.status)
        return replace(verdict, sent=redacting.letter(update.body, secrets), reply=reply)


def bounded(limits: Limits, bounds: Bounds) -> Limits:
    """The limits of a destination whose definition may ask for less at once, and for another pace.

    An account may be allowed more than others; an endpoint that has a pace of its own never gets more than that.
    """
    most, rate = bounds.records_per_request, bounds.requests_per_second
    named = {name: min(documented, rate or documented) for name, documented in limits.rates.items() if name}
    rates = {**named, "": rate} if rate else limits.rates
    return replace(limits, updates=min(limits.updates, most) if most else limits.updates, rates=rates)


def spread(updates: Sequence[Update], verdicts: Sequence[Verdict]) -> Settled:
    """The verdict of each update for every record in it."""
    pairs = [(each, verdict) for update, verdict in zip(updates, verdicts, strict=True) for each in update.records]
    return [position for position, _ in pairs], [verdict for _, verdict in pairs]


def unanswered(verdict: Verdict, request: Request, *, has_written: bool) -> Verdict:
    """What it means for a conversation that one of its requests got no answer.

    What was said before may have been taken, whatever came of this request; a question alone changes nothing.
    """
    if has_written:
        return replace(verdict, in_doubt=True)
    is_harmless = request.is_question and verdict.outcome == "unknown"
    return replace(verdict, outcome="transient", in_doubt=False) if is_harmless else verdict


def paced(answer: Answer, response: Response) -> Answer:
    """The answer with the wait that the destination asks for; Retry-After wins over what the adapter read."""
    after = _asked_for(response)
    if after is None:
        return answer
    return replace(answer, after=after) if isinstance(answer, Verdict) else [replace(a, after=after) for a in answer]


def _asked_for(response: Response) -> float | None:
    return retry_after(response.headers.get("retry-after"), datetime.now(UTC))


def _next(exchange: Exchange, response: Response | None) -> Request | Answer:
    """The next request of a conversation, or what it came to; None begins it."""
    try:
        return exchange.send(response)  # type: ignore[arg-type]
    except StopIteration as end:
        return end.value


def _is_once(update: Update) -> bool:
    return update.once

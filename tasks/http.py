"""The one sender of all HTTP destinations: records in, a verdict for each record out."""

import logging
import math
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx
import polars as pl

from populace.destinations.protocol import (
    Answer,
    HttpAdapter,
    Origin,
    Request,
    Response,
    Settings,
    Update,
    Verdict,
    packed,
)
from tasks.sending import Courier, Pace, Patience

LONGEST_REPLY = 1_000_000  # bytes; what comes after is not read

# Raised before the request was on its way: the destination has certainly not seen it.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
WRONG_ADDRESS = (httpx.InvalidURL, httpx.UnsupportedProtocol)


class Sender:
    """Sends to one destination, one request at a time, over connections that are kept open."""

    def __init__(self, adapter: HttpAdapter, settings: Settings, origin: Origin, pace: Pace) -> None:
        # httpx logs every address it calls, and an address may hold a token.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.adapter = adapter
        self.settings = settings
        self.origin = origin
        self.client = httpx.Client(timeout=pace.timeout, follow_redirects=False)
        self.courier = Courier(self._attempt, Patience(pace))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.client.close()

    def send(self, records: pl.DataFrame) -> Iterator[tuple[list[int], list[Verdict]]]:
        """Positions of records and what became of each, after every exchange; each record once."""
        limits = self.adapter.limits(self.settings)
        updates = list(self.adapter.updates(records.rows(named=True), self.origin, self.settings))
        too_large = Verdict("too_large", f"more than {limits.update_bytes} bytes")
        huge = [each for each in updates if len(each.body) > limits.update_bytes]
        if huge:
            yield spread(huge, [too_large] * len(huge))
        fitting = (each for each in updates if len(each.body) <= limits.update_bytes)
        for batch in packed(fitting, limits):
            yield spread(batch, self.courier.settle(batch))

    def _attempt(self, updates: Sequence[Update]) -> Answer:
        """One conversation and what it came to; exceptions of the network become verdicts."""
        exchange = self.adapter.exchange(updates, self.settings, int(time.time()))
        response: Response | None = None
        while True:
            try:
                request = exchange.send(response)  # type: ignore[arg-type]  # None starts it
            except StopIteration as end:
                # An exchange may end without a request, where there is nothing to say.
                return _paced(end.value, response) if response else end.value
            reply = self._response(request)
            if isinstance(reply, Verdict):
                return reply
            response = reply

    def _response(self, request: Request) -> Response | Verdict:
        try:
            with self.client.stream(
                request.method, request.url, headers=request.headers, content=request.body
            ) as reply:
                return Response(reply.status_code, reply.headers, _read(reply))
        except WRONG_ADDRESS:
            return Verdict("refused", "the address cannot be used; it must start with https:// or http://")
        except UNSENT as error:
            return _unreachable(error)
        except httpx.HTTPError as error:
            return Verdict("unknown", f"sent, and no answer came ({type(error).__name__})", in_doubt=True)


def spread(updates: Sequence[Update], verdicts: Sequence[Verdict]) -> tuple[list[int], list[Verdict]]:
    """The verdict of each update for every record in it."""
    pairs = [(each, verdict) for update, verdict in zip(updates, verdicts, strict=True) for each in update.records]
    return [position for position, _ in pairs], [verdict for _, verdict in pairs]


def _read(reply: httpx.Response) -> bytes:
    """The start of a reply; a destination cannot make us hold more than that."""
    body = b""
    for chunk in reply.iter_bytes():
        body += chunk
        if len(body) >= LONGEST_REPLY:
            break
    return body[:LONGEST_REPLY]


def _unreachable(error: httpx.HTTPError) -> Verdict:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Verdict("refused", "the certificate of the address is not valid; check the address")
        cause = cause.__cause__ or cause.__context__
    return Verdict("transient", f"cannot connect ({type(error).__name__})")


def _paced(answer: Answer, response: Response) -> Answer:
    """The answer with the wait that the destination asks for."""
    after = retry_after(response.headers.get("retry-after"), datetime.now(UTC))
    if after is None:
        return answer
    if isinstance(answer, Verdict):
        return replace(answer, after=after)
    return [replace(each, after=after) for each in answer]


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header, a number or a date; None where it says nothing usable."""
    try:
        seconds = float(header or "nan")
    except ValueError:
        seconds = _until(str(header), now)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return math.nan
    return (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds()

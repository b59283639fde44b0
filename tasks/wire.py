"""One HTTP request and its answer; what goes wrong on the way becomes a verdict.

Redirects are not followed, replies are read as far as their request says, and an address on the link (169.254.0.0/16,
fe80::/10: where clouds answer questions about the machine itself) is never talked to; private ones only where that is
allowed. It is the address that was connected to which is judged, so that a name cannot be resolved to another one
afterwards.
"""

import ipaddress
import logging
import math
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from populace.destinations.protocol import Request, Response, Verdict

SLOWEST_REPLY = 10  # timeouts; a reply that drips for longer is none

# Raised before the request was on its way: the destination has certainly not seen it.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
WRONG_ADDRESS = (httpx.InvalidURL, httpx.UnsupportedProtocol)
ON_THE_LINK = "the address is of this machine's own network link, where no destination is"
PRIVATE = "the address is private, and 'allow_private' is false"


class _OutOfBoundsError(Exception):
    """Connected to an address that must not be talked to; nothing was sent."""


class Wire:
    """Connections that are kept open; may be used by several threads."""

    def __init__(self, timeout: float, *, allow_private: bool = True) -> None:
        # httpx logs every address it calls, and an address may hold a token.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.timeout = timeout
        self.allow_private = allow_private
        self.client = httpx.Client(timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        self.client.close()

    def ask(self, request: Request) -> Response | Verdict:
        """The answer to a request, or what it means that there is none."""
        try:
            with self.client.stream(
                request.method,
                request.url,
                headers=request.headers,
                content=request.body,
                extensions={"trace": self._judge},
            ) as reply:
                body = self._read(reply, request.reply_bytes)
                is_cut = len(body) > request.reply_bytes
                return Response(reply.status_code, reply.headers, body[: request.reply_bytes], is_cut)
        except WRONG_ADDRESS:
            return Verdict("refused", "the address cannot be used; it must start with https:// or http://")
        except _OutOfBoundsError as error:
            return Verdict("refused", str(error))
        except UNSENT as error:
            return _unreachable(error)
        except httpx.HTTPError as error:
            return Verdict("unknown", f"sent, and no answer came ({type(error).__name__})", in_doubt=True)

    def _judge(self, event: str, info: Mapping[str, Any]) -> None:
        """Stop between connecting and sending where the address is out of bounds."""
        if event == "connection.connect_tcp.complete":
            host, *_ = info["return_value"].get_extra_info("server_addr")
            if reason := out_of_bounds(host, allow_private=self.allow_private):
                raise _OutOfBoundsError(reason)

    def _read(self, reply: httpx.Response, most: int) -> bytes:
        """A reply, or a start of it longer than `most`: no destination can make us hold all of it, or wait for ever."""
        end = time.monotonic() + SLOWEST_REPLY * self.timeout
        body = bytearray()
        for chunk in reply.iter_bytes():
            body += chunk
            if len(body) > most:
                break
            if time.monotonic() > end:
                message = "the reply takes too long"
                raise httpx.ReadTimeout(message)
        return bytes(body)


def out_of_bounds(host: str, *, allow_private: bool) -> str:
    """Why an IP address must not be talked to; empty where it may be."""
    address: Any = ipaddress.ip_address(host.partition("%")[0])
    # Many systems write IPv4 as IPv6, which hides what kind of address it is.
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_link_local:
        return ON_THE_LINK
    return "" if allow_private or address.is_global else PRIVATE


def _unreachable(error: httpx.HTTPError) -> Verdict:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Verdict("refused", "the certificate of the address is not valid; check the address")
        cause = cause.__cause__ or cause.__context__
    return Verdict("transient", f"cannot connect ({type(error).__name__})")


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

"""One HTTP request and its answer; what goes wrong on the way becomes a verdict.

Redirects are not followed, replies are read as far as their request says, and an address on the link (169.254.0.0/16,
fe80::/10: where clouds answer questions about the machine itself) is never talked to; private ones only where that is
allowed. It is the address that was connected to which is judged, so that a name cannot be resolved to another one
afterwards.
"""

import ipaddress
import math
import re
import ssl
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, IncompleteRead, InvalidURL
from typing import Any

from populace.destinations.protocol import Request, Response, Verdict
from tasks.lines import Line, ProxyAddressError, Way, way

SLOWEST_REPLY = 10  # timeouts; a reply that drips for longer is none
CHUNK = 65_536  # bytes of a reply at a time
BASE = re.compile(r"https?://[^/?#\s]+", re.IGNORECASE)
UNSENDABLE = "a header cannot be sent: a key or another setting holds a line break or a sign that is not ASCII"
UNUSABLE = "the address cannot be used; it must start with https:// or http://"
UNUSABLE_PROXY = "the proxy that the environment names cannot be used; its address must start with http://"
ON_THE_LINK = "the address is of this machine's own network link, where no destination is"
PRIVATE = "the address is private, and 'allow_private' is false"


class _OutOfBoundsError(Exception):
    """Connected to an address that must not be talked to; nothing was sent."""


class Wire:
    """Connections that are kept open; may be used by several threads."""

    def __init__(self, timeout: float, *, allow_private: bool = True) -> None:
        self.timeout = timeout
        self.allow_private = allow_private
        self.lock = threading.Lock()
        self.ways: dict[str, Way] = {}

    def close(self) -> None:
        for each in self.ways.values():
            each.close()

    def ask(self, request: Request) -> Response | Verdict:
        """The answer to a request, or what it means that there is none."""
        if not all(each.isascii() and each.isprintable() for each in request.headers.values()):
            return Verdict("refused", UNSENDABLE)
        try:
            found, target = self._way(request.url)
        except ProxyAddressError:
            return Verdict("refused", UNUSABLE_PROXY)
        except ValueError:
            return Verdict("refused", UNUSABLE)
        line = found.line()
        try:
            return self._asked(line, request, target)
        finally:
            found.put_back(line)

    def _way(self, url: str) -> tuple[Way, str]:
        """Where an address leads, and what is asked for there."""
        base = BASE.match(url)
        if not base:
            raise ValueError(UNUSABLE)
        with self.lock:
            if base[0] not in self.ways:
                self.ways[base[0]] = way(base[0], self.timeout, self._judge)
        target = url[base.end() :].partition("#")[0]
        return self.ways[base[0]], target if target.startswith("/") else f"/{target}"

    def _judge(self, host: str) -> None:
        if reason := out_of_bounds(host, allow_private=self.allow_private):
            raise _OutOfBoundsError(reason)

    def _asked(self, line: Line, request: Request, target: str) -> Response | Verdict:
        try:
            piece = line.composed(request.method, target, request.headers, request.body)
            if line.sock is None:
                line.connect()
        except _OutOfBoundsError as error:
            return Verdict("refused", str(error))
        except OSError as error:
            return _unreachable(error)
        except (InvalidURL, ValueError):  # a name that cannot be looked up is an error of Unicode
            return Verdict("refused", UNUSABLE)
        except HTTPException as error:  # of a proxy
            return _unreachable(error)
        try:
            return self._answer(line.answered(piece), request.reply_bytes)
        except (OSError, HTTPException) as error:
            return Verdict("unknown", f"sent, and no answer came ({type(error).__name__})", in_doubt=True)

    def _answer(self, reply: HTTPResponse, most: int) -> Response:
        body = self._read(reply, most)
        headers: dict[str, str] = {}
        for name, value in reply.getheaders():
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Response(reply.status, headers, body[:most], len(body) > most)

    def _read(self, reply: HTTPResponse, most: int) -> bytes:
        """A reply, or a start of it longer than `most`: no destination can make us hold all of it, or wait for ever."""
        end = time.monotonic() + SLOWEST_REPLY * self.timeout
        body = bytearray()
        while reply.length != 0 and (chunk := reply.read1(CHUNK)):
            body += chunk
            if len(body) > most:
                return bytes(body)
            if time.monotonic() > end:
                message = "the reply takes too long"
                raise TimeoutError(message)
        if reply.length:  # the connection ended before that
            raise IncompleteRead(bytes(body))
        reply.close()
        return bytes(body)


def out_of_bounds(host: str, *, allow_private: bool) -> str:
    """Why an IP address must not be talked to; empty where it may be."""
    address: Any = ipaddress.ip_address(host.partition("%")[0])
    # Many systems write IPv4 as IPv6, which hides what kind of address it is.
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_link_local:
        return ON_THE_LINK
    return "" if allow_private or address.is_global else PRIVATE


def _unreachable(error: Exception) -> Verdict:
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

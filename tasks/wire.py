"""One HTTP request and its answer; what goes wrong on the way becomes a verdict.

Redirects are not followed, replies are read as far as their request says, and an address on the link (169.254.0.0/16,
fe80::/10: where clouds answer questions about the machine itself) is never talked to; private ones only where that is
allowed. It is the address that was connected to which is judged, so that a name cannot be resolved to another one
afterwards.
"""

import ipaddress
import logging
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import InvalidURL
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx
import urllib3
from urllib3 import exceptions as failures

from populace.destinations.protocol import Request, Response, Verdict

SLOWEST_REPLY = 10  # timeouts; a reply that drips for longer is none
CHUNK = 65_536  # bytes of a reply at a time
CONNECTIONS = 64  # that are kept open to one host

# Raised before the request was on its way: the destination has certainly not seen it.
UNSENT = (
    failures.NewConnectionError,
    failures.NameResolutionError,
    failures.ConnectTimeoutError,
    failures.ProxyError,
)
WRONG_ADDRESS = (failures.LocationValueError, InvalidURL, UnicodeError)
BASE = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
UNSENDABLE = "a header cannot be sent: a key or another setting holds a line break or a sign that is not ASCII"
ON_THE_LINK = "the address is of this machine's own network link, where no destination is"
PRIVATE = "the address is private, and 'allow_private' is false"


class _HandshakeError(Exception):
    """Connected, and no encryption was agreed on; nothing was sent."""


class _OutOfBoundsError(Exception):
    """Connected to an address that must not be talked to; nothing was sent."""


@dataclass(frozen=True, slots=True)
class _Route:
    """Connections to one host: its own, or those of a proxy, which is told whole addresses."""

    manager: urllib3.PoolManager
    pool: urllib3.PoolManager | urllib3.HTTPConnectionPool
    is_direct: bool


def _split(url: str) -> tuple[str, str]:
    """Where an address leads, and what is asked for there."""
    found = BASE.match(url)
    if not found:
        raise failures.LocationValueError
    target = url[found.end() :]
    return found[0], target if target.startswith("/") else f"/{target}"


class Wire:
    """Connections that are kept open; may be used by several threads."""

    def __init__(self, timeout: float, *, allow_private: bool = True) -> None:
        # They log every address that is called, and an address may hold a token.
        for name in ("urllib3.connectionpool", "urllib3.util.retry"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.timeout = timeout
        self.allow_private = allow_private
        self.lock = threading.Lock()
        self.routes: dict[str, _Route] = {}

    def close(self) -> None:
        for route in self.routes.values():
            route.manager.clear()

    def ask(self, request: Request) -> Response | Verdict:
        """The answer to a request, or what it means that there is none."""
        if not all(each.isascii() and each.isprintable() for each in request.headers.values()):
            return Verdict("refused", UNSENDABLE)
        try:
            return self._asked(request)
        except WRONG_ADDRESS:
            return Verdict("refused", "the address cannot be used; it must start with https:// or http://")
        except _OutOfBoundsError as error:
            return Verdict("refused", str(error))
        except (*UNSENT, _HandshakeError) as error:
            return _unreachable(error)
        except failures.HTTPError as error:
            return Verdict("unknown", f"sent, and no answer came ({type(error).__name__})", in_doubt=True)

    def _asked(self, request: Request) -> Response:
        base, target = _split(request.url)
        route = self._route(base)
        reply = route.pool.urlopen(
            request.method,
            target if route.is_direct else request.url,
            body=request.body,
            headers=request.headers,
            redirect=False,
            retries=False,
            preload_content=False,
        )
        try:
            body = self._read(reply, request.reply_bytes)
        except BaseException:
            reply.close()
            raise
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Response(reply.status, headers, body[: request.reply_bytes], len(body) > request.reply_bytes)

    def _route(self, base: str) -> "_Route":
        with self.lock:
            if base not in self.routes:
                self.routes[base] = self._opened(base)
            return self.routes[base]

    def _opened(self, base: str) -> "_Route":
        """The connections that lead to an address, by way of the proxy that the environment names for it."""
        parts = urllib3.util.parse_url(base)
        if parts.scheme not in ("http", "https") or not parts.host:
            raise failures.LocationValueError
        kept: dict[str, Any] = {"maxsize": CONNECTIONS, "timeout": urllib3.Timeout(self.timeout, self.timeout)}
        if parts.scheme == "https":
            kept["ssl_context"] = httpx.create_ssl_context()
        proxy = None if proxy_bypass(parts.netloc or "") else getproxies().get(parts.scheme)
        manager = urllib3.ProxyManager(proxy, **kept) if proxy else urllib3.PoolManager(**kept)
        manager.pool_classes_by_scheme = self._judging(manager.pool_classes_by_scheme)
        return _Route(manager, manager if proxy else manager.connection_from_url(base), is_direct=not proxy)

    def _judging(self, classes: Mapping[str, type]) -> dict[str, type]:
        """The same pools, whose connections end before anything is sent where the address is out of bounds."""
        judge = self._judge

        def judging(pool: Any) -> type:
            class Connection(pool.ConnectionCls):
                def connect(self) -> None:
                    try:
                        super().connect()
                    except (ssl.SSLError, failures.SSLError) as error:
                        raise _HandshakeError from error

                def _new_conn(self) -> socket.socket:
                    opened = super()._new_conn()
                    judge(opened)
                    return opened

            return type(pool.__name__, (pool,), {"ConnectionCls": Connection})

        return {scheme: judging(pool) for scheme, pool in classes.items()}

    def _judge(self, opened: socket.socket) -> None:
        host, *_ = opened.getpeername()
        if reason := out_of_bounds(host, allow_private=self.allow_private):
            opened.close()
            raise _OutOfBoundsError(reason)

    def _read(self, reply: urllib3.BaseHTTPResponse, most: int) -> bytes:
        """A reply, or a start of it longer than `most`: no destination can make us hold all of it, or wait for ever."""
        end = time.monotonic() + SLOWEST_REPLY * self.timeout
        body = bytearray()
        while chunk := reply.read1(CHUNK):
            body += chunk
            if len(body) > most:
                reply.close()
                break
            if time.monotonic() > end:
                raise failures.ReadTimeoutError(None, None, "the reply takes too long")  # type: ignore[arg-type]
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
    return Verdict("transient", f"cannot connect ({type(error).__name__.lstrip('_')})")


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

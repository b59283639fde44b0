"""Connections to an address, kept open between requests, by way of the proxy that the environment names for it.

They are the standard library's but for two things: they look where they lead before anything is said, and the head and
the body of a request go off in one piece. With as many threads as lanes, each call of the system is a change of
threads, which costs more than the call.
"""

import select
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTP_PORT, HTTPS_PORT, HTTPConnection, HTTPResponse
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

KEPT = 64  # connections to one address that wait for their next request
PORTS = {"http": HTTP_PORT, "https": HTTPS_PORT}
# Signs of a target that stay as they are; those that cannot stand there are for the standard library to refuse.
PLAIN = "".join(map(chr, {*range(128)} - {ord(" ")}))

Judge = Callable[[str], None]  # raises where an IP address must not be talked to


class ProxyAddressError(Exception):
    """The environment names a proxy that cannot be talked to."""


@dataclass(frozen=True, slots=True)
class Way:
    """How an address is reached, and the connections to it on which nothing is under way; for several threads.

    Parameters
    ----------
    scheme, host, port
        The address.
    to
        Host and port to connect to: those of the address, or of its proxy.
    timeout
        Seconds for each step: connecting, sending, waiting for bytes.
    context
        How it is encrypted, where it is.
    proxy
        What a proxy is told of us; None where there is no proxy.
    """

    scheme: str
    host: str
    port: int
    to: tuple[str, int]
    timeout: float
    judge: Judge
    context: ssl.SSLContext | None = None
    proxy: Mapping[str, str] | None = None
    idle: list["Line"] = field(default_factory=list)

    def line(self) -> "Line":
        """The connection that was used last and that the other side has not closed, or a new one."""
        try:
            while not (line := self.idle.pop()).is_quiet():
                line.close()
        except IndexError:
            return Line(self)
        return line

    def put_back(self, line: "Line") -> None:
        """Keep a connection for the next request, where this one was answered to the end."""
        if line.is_free() and len(self.idle) < KEPT:
            self.idle.append(line)
        else:
            line.close()

    def close(self) -> None:
        with suppress(IndexError):
            while True:
                self.idle.pop().close()


class Line(HTTPConnection):
    """One connection. Not open until `connect`; has one request under way at a time."""

    def __init__(self, way: Way) -> None:
        super().__init__(*way.to, timeout=way.timeout)
        self.way = way
        self.default_port = PORTS[way.scheme]
        self.is_tunnel = way.proxy is not None and way.scheme == "https"
        if self.is_tunnel:
            self.set_tunnel(way.host, way.port, {"Host": f"{_bracketed(way.host)}:{way.port}", **(way.proxy or {})})
        self.pieces: list[bytes] | None = None
        self.reply: HTTPResponse | None = None

    def connect(self) -> None:
        """Open it, and agree on encryption; whatever fails here, no request was sent."""
        self.sock = socket.create_connection((self.host, self.port), self.timeout)
        self.way.judge(self.sock.getpeername()[0])
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.is_tunnel:
            self._tunnel()
        if self.way.context:
            self.sock = self.way.context.wrap_socket(self.sock, server_hostname=self.way.host.rstrip("."))

    def composed(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """A request as it is sent, head and body; InvalidURL or ValueError where a part of it cannot stand there."""
        way, target = self.way, quote(target, safe=PLAIN)
        if way.proxy is not None and not self.is_tunnel:
            port = "" if way.port == self.default_port else f":{way.port}"
            target, headers = f"http://{_bracketed(way.host)}{port}{target}", {**headers, **way.proxy}
        self.pieces, self.reply = [], None
        self.request(method, target, body, headers)
        piece, self.pieces = b"".join(self.pieces), None
        return piece

    def send(self, data: bytes) -> None:
        """Send, or only gather, while a request is composed."""
        if self.pieces is None:
            super().send(data)
        else:
            self.pieces.append(data)

    def answered(self, piece: bytes) -> HTTPResponse:
        """Send a request that was composed; the start of the reply."""
        with suppress(BrokenPipeError):  # who does not read to the end may have said why
            self.send(piece)
        self.reply = self.getresponse()
        return self.reply

    def is_free(self) -> bool:
        """Whether the last request was answered to the end, and the connection stays open."""
        return self.sock is not None and self.reply is not None and self.reply.isclosed()

    def is_quiet(self) -> bool:
        """Whether nothing was said meanwhile: neither a farewell nor what nobody asked for."""
        waiting = select.poll()
        waiting.register(self.sock, select.POLLIN)
        return not waiting.poll(0)


def way(base: str, timeout: float, judge: Judge) -> Way:
    """The way to an address, of which scheme, host and port are read; ValueError where nothing can be there."""
    parts = urlsplit(base)
    if not parts.hostname:
        message = "an address has a host"
        raise ValueError(message)
    host, port = parts.hostname.encode("idna").decode(), parts.port or PORTS[parts.scheme]
    context = _context() if parts.scheme == "https" else None
    found = None if proxy_bypass(parts.netloc.rpartition("@")[2]) else getproxies().get(parts.scheme)
    to, proxy = _proxy(found) if found else ((host, port), None)
    return Way(parts.scheme, host, port, to, timeout, judge, context, proxy)


def _context() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _proxy(address: str) -> tuple[tuple[str, int], Mapping[str, str]]:
    """Host and port of a proxy, and what it is told of who we are."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        port = parts.port or HTTP_PORT
    except ValueError:
        raise ProxyAddressError from None
    if parts.scheme != "http" or not parts.hostname:
        raise ProxyAddressError
    if parts.username is None:
        return (parts.hostname, port), {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return (parts.hostname, port), {"Proxy-Authorization": f"Basic {b64encode(user.encode()).decode()}"}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

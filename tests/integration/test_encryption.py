"""Requests over HTTPS: whom the wire trusts, and what it means where no encryption is agreed on."""

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.vendors.server import serve
from demo.vendors.webhook import Receiver
from populace.destinations.protocol import Request, Response, Verdict
from tasks.wire import PRIVATE, Wire


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for loopback that nobody knows, and its key, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = built.add_extension(names, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "loopback.pem"
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def address(certificate: Path) -> Iterator[str]:
    """A server behind HTTPS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.send_header("Peer", str(self.client_address[1]))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}/in"
        server.shutdown()
        thread.join()


class Proxy:
    """A proxy that leads wherever it is asked to, or says why it does not; one connection in all."""

    def __init__(self, reply: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.reply = reply
        self.asked = b""
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(5)
        self.url = f"http://ann:secret%40@127.0.0.1:{self.server.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Proxy":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        self.server.close()

    def _serve(self) -> None:
        client, _ = self.server.accept()
        with client:
            while not self.asked.endswith(b"\r\n\r\n") and (more := client.recv(65_536)):
                self.asked += more
            if not self.asked:
                return
            client.sendall(self.reply)
            if b" 200 " in self.reply:
                host, _, port = self.asked.split()[1].decode().rpartition(":")
                with socket.create_connection((host, int(port)), 5) as there:
                    self._lead(client, there)

    def _lead(self, client: socket.socket, there: socket.socket) -> None:
        other = {client: there, there: client}
        while True:
            ready, _, _ = select.select([client, there], [], [], 5)
            for each in ready:
                if not (data := each.recv(65_536)):
                    return
                other[each].sendall(data)
            if not ready:
                return


def asked(url: str, *, allow_private: bool = True) -> Response | Verdict:
    wire = Wire(2.0, allow_private=allow_private)
    found = wire.ask(Request("POST", url, {}, b"{}"))
    wire.close()
    return found


def test_a_certificate_that_nobody_knows_is_not_trusted(address: str):
    found = asked(address)
    assert isinstance(found, Verdict)
    assert found.outcome == "refused"
    assert found.reason == "the certificate of the address is not valid; check the address"


def test_certificates_of_the_environment_are_trusted(address: str, certificate: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    found = asked(address)
    assert isinstance(found, Response)
    assert found.status == 204


def test_where_no_encryption_is_agreed_on_nothing_was_sent():
    with serve(Receiver()) as receiver:
        found = asked(receiver.url.replace("http:", "https:") + "/in")
    assert isinstance(found, Verdict)
    assert (found.outcome, found.in_doubt) == ("transient", False)
    assert receiver.calls == []


def test_an_encrypted_connection_is_kept(address: str, certificate: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    wire = Wire(2.0)
    found = [wire.ask(Request("POST", address, {}, b"{}")) for _ in range(3)]
    wire.close()
    assert len({each.headers["peer"] for each in found if isinstance(each, Response)}) == 1


# --- through a proxy ----------------------------------------------------------------------------------


def test_a_proxy_leads_to_an_encrypted_address_and_is_told_who_asks(
    address: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Proxy() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        found = asked(address)
    host = address.removeprefix("https://").removesuffix("/in").encode()
    assert isinstance(found, Response)
    assert found.status == 204
    assert proxy.asked.startswith(b"CONNECT %s HTTP/1." % host)
    assert b"\r\nHost: %s\r\n" % host in proxy.asked
    assert b"\r\nProxy-Authorization: Basic YW5uOnNlY3JldEA=\r\n" in proxy.asked


@pytest.mark.parametrize("reply", [b"HTTP/1.1 407 Who are you\r\n\r\n", b"SSH-2.0\r\n", b""])
def test_where_a_proxy_does_not_lead_there_nothing_was_sent(reply: bytes, monkeypatch: pytest.MonkeyPatch):
    with Proxy(reply) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        found = asked("https://crm.invalid/in")
    assert isinstance(found, Verdict)
    assert (found.outcome, found.in_doubt) == ("transient", False)


def test_a_proxy_at_an_address_out_of_bounds_is_told_nothing(monkeypatch: pytest.MonkeyPatch):
    with Proxy() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        found = asked("https://crm.invalid/in", allow_private=False)
    assert found == Verdict("refused", PRIVATE)
    assert proxy.asked == b""

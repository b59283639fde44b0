"""Requests over HTTPS: whom the wire trusts, and what it means where no encryption is agreed on."""

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
from tasks.wire import Wire


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
        def do_POST(self) -> None:
            self.send_response(204)
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


def asked(url: str) -> Response | Verdict:
    wire = Wire(2.0)
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

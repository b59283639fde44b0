"""Single requests: addresses that are out of bounds, replies that do not end, and what letters and samples keep."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from demo.vendors.server import serve
from demo.vendors.webhook import SECRET, Receiver
from populace.destinations import webhook
from populace.destinations.protocol import Request, Response, Verdict
from tasks.wire import ON_THE_LINK, PRIVATE, UNSENDABLE, Wire, out_of_bounds
from tests.sent import opened, outcomes, record, send


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serve(Receiver()) as found:
        yield found


def settings(receiver: Receiver, **more: str) -> dict[str, str]:
    return {"url": f"{receiver.url}/in/T0123456789", "secret": SECRET, **more}


@pytest.mark.parametrize(
    ("address", "anywhere", "public_only"),
    [
        ("93.184.216.34", "", ""),
        ("2606:2800:220:1::1", "", ""),
        ("127.0.0.1", "", PRIVATE),
        ("10.1.2.3", "", PRIVATE),
        ("192.168.0.1", "", PRIVATE),
        ("172.16.0.1", "", PRIVATE),
        ("100.64.0.1", "", PRIVATE),
        ("0.0.0.0", "", PRIVATE),
        ("::1", "", PRIVATE),
        ("fd00::1", "", PRIVATE),
        ("::ffff:10.0.0.1", "", PRIVATE),
        ("169.254.169.254", ON_THE_LINK, ON_THE_LINK),
        ("::ffff:169.254.169.254", ON_THE_LINK, ON_THE_LINK),
        ("fe80::1%eth0", ON_THE_LINK, ON_THE_LINK),
    ],
)
def test_addresses_out_of_bounds(address: str, anywhere: str, public_only: str):
    assert out_of_bounds(address, allow_private=True) == anywhere
    assert out_of_bounds(address, allow_private=False) == public_only


def test_private_addresses_get_nothing_where_they_are_not_allowed(receiver: Receiver):
    for host in ("127.0.0.1", "localhost"):
        url = receiver.url.replace("127.0.0.1", host)
        with opened(webhook, {"url": url, "secret": SECRET, "allow_private": "false"}) as sender:
            (verdict,) = send(sender, [record()])
        assert (verdict.outcome, verdict.reason) == ("refused", PRIVATE)
    assert receiver.calls == []


@pytest.mark.parametrize("key", ["wk-1\n", "wk-ключ", "wk\x00"])
def test_a_key_that_no_header_can_hold_is_refused_and_nothing_is_sent(receiver: Receiver, key: str):
    wire = Wire(2.0)
    found = wire.ask(Request("POST", f"{receiver.url}/in", {"Authorization": f"Bearer {key}"}, b"[]"))
    wire.close()
    assert isinstance(found, Verdict)
    assert (found.outcome, found.reason) == ("refused", UNSENDABLE)
    assert receiver.calls == []


def test_the_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", receiver.url)
    monkeypatch.setenv("no_proxy", "direct.invalid")
    receiver.script = [(204, {})]
    wire = Wire(2.0)
    by_proxy, direct = (
        wire.ask(Request("POST", f"http://{name}.invalid/in?a=b", {}, b"[]")) for name in ("crm", "direct")
    )
    wire.close()
    (call,) = receiver.calls
    assert (call.headers["host"], call.path, call.query) == ("crm.invalid", "/in", {"a": "b"})
    assert isinstance(by_proxy, Response)
    assert isinstance(direct, Verdict)
    assert direct.outcome == "transient"


def answer(reply: bytes, pause: float = 0.0) -> Response | Verdict:
    """What a wire makes of a server that says this, byte by byte where it pauses."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve_one() -> None:
            connection, _ = server.accept()
            with connection:
                asked = b""
                while not asked.endswith(b"\r\n\r\nx"):  # what is not read would reset the connection at its end
                    asked += connection.recv(65_536)
                try:
                    for part in [reply] if not pause else [reply[at : at + 1] for at in range(len(reply))]:
                        connection.sendall(part)
                        time.sleep(pause)
                except OSError:
                    """Nobody reads any more."""

        thread = threading.Thread(target=serve_one)
        thread.start()
        wire = Wire(0.05)
        found = wire.ask(Request("POST", f"http://127.0.0.1:{server.getsockname()[1]}/", {}, b"x"))
        wire.close()
        thread.join()
        return found


def test_replies_without_end_are_cut():
    found = answer(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3_000_000)
    assert isinstance(found, Response)
    assert (len(found.body), found.is_cut) == (1_000_000, True)


@pytest.mark.parametrize(("length", "is_cut"), [(999_999, False), (1_000_000, False), (1_000_001, True)])
def test_a_reply_says_whether_it_was_cut(length: int, is_cut: bool):
    found = answer(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * length)
    assert isinstance(found, Response)
    assert (len(found.body), found.is_cut) == (min(length, 1_000_000), is_cut)


def test_replies_that_drip_are_given_up():
    start = time.monotonic()
    found = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200, pause=0.01)
    assert time.monotonic() - start < 4
    assert isinstance(found, Verdict)
    assert (found.outcome, found.in_doubt) == ("unknown", True)


@pytest.mark.parametrize(
    "reply", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"]
)
def test_what_is_no_whole_answer_leaves_doubt(reply: bytes):
    found = answer(reply)
    assert isinstance(found, Verdict)
    assert (found.outcome, found.in_doubt) == ("unknown", True)


# --- what is kept of an exchange ----------------------------------------------------------------------


def test_letters_keep_what_was_sent_and_answered_without_secrets(receiver: Receiver):
    receiver.unwanted = {"bad"}
    with opened(webhook, settings(receiver)) as sender:
        verdicts = send(sender, [record("good"), record("bad"), record("fine")])
    assert outcomes(verdicts) == {"delivered": 2, "invalid": 1}
    assert verdicts[0].sent == verdicts[0].reply == ""
    assert json.loads(verdicts[1].sent)["userId"] == "bad"
    assert verdicts[1].reply == "HTTP 400\none of them is wrong"
    assert verdicts[1].attempts >= 2


def test_secrets_that_are_echoed_are_masked(receiver: Receiver):
    echo = json.dumps({"error": "bad_signature", "secret": SECRET, "at": "T0123456789"}).encode()
    receiver.always = (400, {}, echo)
    with opened(webhook, settings(receiver)) as sender:
        (verdict,) = send(sender, [record("ann")])
        shown = json.dumps(sender.samples)
    for secret in (SECRET, "T0123456789", receiver.url):
        assert secret not in verdict.reply + verdict.sent + verdict.reason + shown
    assert "bad_signature" in shown


def test_samples_show_one_exchange_of_each_kind_and_nobody_in_it(receiver: Receiver):
    receiver.script = [503, "reset", 429]
    receiver.unwanted = {"Mallory"}
    told = [record("Mallory", "city", '"Springfield"'), record("ann@x.org", "phone", '"+18005550100"')]
    with opened(webhook, settings(receiver)) as sender:
        send(sender, told)
        samples = sender.samples
    kinds = [(each["outcome"], each["status"]) for each in samples]
    assert kinds[:4] == [("transient", 503), ("unknown", None), ("throttled", 429), ("invalid", 400)]
    assert ("delivered", 200) in kinds
    assert {each["endpoint"] for each in samples} == {"POST <url>"}
    shown = json.dumps(samples)
    for private in ('Mallory"', "Springfield", 'ann@x.org"', "18005550100"):
        assert private not in shown
    assert '\\"<user_id>\\"' in shown


def test_nothing_is_logged_about_people_or_addresses(receiver: Receiver, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    with opened(webhook, settings(receiver)) as sender:
        send(sender, [record("Mallory", "city", '"Springfield"')])
    assert "Mallory" not in caplog.text
    assert "T0123456789" not in caplog.text

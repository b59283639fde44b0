"""Single requests: addresses that are out of bounds, replies that do not end, and what letters and samples keep."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from demo.vendors.server import serve
from demo.vendors.webhook import SECRET, Receiver
from populace.destinations import webhook
from populace.destinations.protocol import Request, Response, Verdict
from tasks.wire import ON_THE_LINK, PRIVATE, UNSENDABLE, UNUSABLE_PROXY, Wire, out_of_bounds
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


# --- connections --------------------------------------------------------------------------------------


class Told:
    """A server that says its replies in turn, on as many connections as it takes, and what it was asked on each."""

    def __init__(self, *replies: bytes, hangs_up: bool = False) -> None:
        self.replies = list(replies)
        self.hangs_up = hangs_up  # after each reply, of which the reply says nothing
        self.asked: list[list[bytes]] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Told":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        self.server.close()

    def _serve(self) -> None:
        while self.replies:
            connection, _ = self.server.accept()
            connection.settimeout(5)
            self.asked.append([])
            with connection:
                while self.replies and (asked := _request(connection)):
                    self.asked[-1].append(asked)
                    connection.sendall(self.replies.pop(0))
                    if self.hangs_up:
                        break


def _request(connection: socket.socket) -> bytes:
    """All of a request with a body of one byte, or without; empty where nobody asks."""
    asked = b""
    while not asked.endswith((b"\r\n\r\nx", b"Content-Length: 0\r\n\r\n")):
        if not (more := connection.recv(65_536)):
            break
        asked += more
    return asked


def ask(wire: Wire, url: str, method: str = "POST", body: bytes = b"x", most: int = 100) -> Response | Verdict:
    return wire.ask(Request(method, url, {}, body, reply_bytes=most))


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "reply",
    [
        WHOLE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
    ],
)
def test_a_connection_is_kept_where_the_reply_is_whole(reply: bytes):
    with Told(reply, WHOLE) as server:
        wire = Wire(2.0)
        first, second = ask(wire, server.url), ask(wire, server.url)
        wire.close()
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert first.body == (b"ok" if b"k" in reply.partition(b"\r\n\r\n")[2] else b"")
    assert second.body == b"ok"
    assert len(server.asked) == 1


def test_the_head_of_a_reply_is_an_answer_to_head():
    with Told(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", WHOLE) as server:
        wire = Wire(2.0)
        found = [ask(wire, server.url, "HEAD", b""), ask(wire, server.url)]
        wire.close()
    assert [each.body for each in found if isinstance(each, Response)] == [b"", b"ok"]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200,
    ],
)
def test_a_connection_is_not_kept_where_the_other_side_ends_it_or_the_reply_was_cut(reply: bytes):
    with Told(reply, WHOLE) as server:
        wire = Wire(2.0)
        assert [type(ask(wire, server.url)) for _ in range(2)] == [Response, Response]
        wire.close()
    assert len(server.asked) == 2


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_before_anything_is_sent():
    with Told(*[WHOLE] * 3, hangs_up=True) as server:
        wire = Wire(2.0)
        found = []
        for _ in range(3):
            found.append(ask(wire, server.url))
            time.sleep(0.05)  # for the farewell to arrive
        wire.close()
    assert [each.status for each in found if isinstance(each, Response)] == [200] * 3
    assert [len(each) for each in server.asked] == [1, 1, 1]


@pytest.mark.parametrize("size", ["-1", "-5", "f" * 20, "nonsense"])
def test_chunks_of_a_size_that_cannot_be_leave_doubt(size: str):
    found = answer(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n".encode() + b"x" * 100_000)
    assert isinstance(found, Verdict)
    assert (found.outcome, found.in_doubt) == ("unknown", True)


def test_a_length_beyond_all_bounds_leaves_doubt():
    found = answer(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\nshort")
    assert isinstance(found, Verdict)
    assert (found.outcome, found.in_doubt) == ("unknown", True)


def test_headers_that_come_twice_are_one():
    found = answer(b"HTTP/1.1 200 OK\r\nVia: a\r\nvia: b\r\nContent-Length: 2\r\n\r\nok")
    assert isinstance(found, Response)
    assert found.headers["via"] == "a, b"


@pytest.mark.parametrize("path", ["/in\r\nHost: other", "/in\x00", "/in?a=\n"])
@pytest.mark.parametrize("kept", [False, True])
def test_control_characters_in_an_address_are_refused_and_nothing_is_sent(receiver: Receiver, path: str, kept: bool):
    receiver.always, wire = 204, Wire(2.0)
    if kept:
        ask(wire, f"{receiver.url}/in", body=b"[]")
    before = len(receiver.calls)
    found = ask(wire, f"{receiver.url}{path}", body=b"[]")
    assert isinstance(found, Verdict)
    assert found.outcome == "refused"
    assert len(receiver.calls) == before
    assert isinstance(ask(wire, f"{receiver.url}/in", body=b"[]"), Response)
    wire.close()


@pytest.mark.parametrize("url", ["ftp://a.invalid/", "https://", "http://a:99999/", "http://a..b/", "a.invalid", ""])
def test_what_is_no_address_is_refused(url: str):
    wire = Wire(2.0)
    found = ask(wire, url)
    wire.close()
    assert isinstance(found, Verdict)
    assert found.outcome == "refused"


def test_signs_that_no_target_can_hold_are_encoded():
    with Told(WHOLE) as server:
        wire = Wire(2.0)
        ask(wire, f"{server.url}/ключ 1%2F?a=b c#part")
        wire.close()
    ((asked,),) = server.asked
    assert asked.startswith(b"POST /%D0%BA%D0%BB%D1%8E%D1%87%201%2F?a=b%20c HTTP/1.1\r\n")
    assert b"\r\nAccept-Encoding: identity\r\n" in asked


def test_several_threads_ask_at_once(receiver: Receiver):
    receiver.always, receiver.latency = 204, 0.005
    wire = Wire(2.0)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ask(wire, f"{receiver.url}/in", body=b"[]"), range(80)))
    wire.close()
    assert all(isinstance(each, Response) for each in found)
    assert len(receiver.calls) == 80
    assert 1 < receiver.most_under_way <= 8


# --- proxies ------------------------------------------------------------------------------------------

USER = "Basic YW5uOnNlY3JldEA="  # ann, secret@


def test_a_proxy_is_told_who_asks(monkeypatch: pytest.MonkeyPatch):
    with Told(WHOLE) as server:
        monkeypatch.setenv("http_proxy", server.url.replace("//", "//ann:secret%40@"))
        wire = Wire(2.0)
        assert isinstance(ask(wire, "http://crm.invalid:8080/in"), Response)
        wire.close()
    ((asked,),) = server.asked
    assert asked.startswith(b"POST http://crm.invalid:8080/in HTTP/1.1\r\nHost: crm.invalid:8080\r\n")
    assert f"\r\nProxy-Authorization: {USER}\r\n".encode() in asked


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://127.0.0.1:port", "http://"])
def test_a_proxy_that_cannot_be_talked_to_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", proxy)
    wire = Wire(2.0)
    assert ask(wire, "http://crm.invalid/in") == Verdict("refused", UNUSABLE_PROXY)
    wire.close()

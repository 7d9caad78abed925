"""Clients that are slow on purpose: each is let go in time, and none holds up another."""

import ssl
import time

import pytest
from weirtest import Certificates, Topology, ok, pattern, serving

CONFIG = """
events { }
http {
    access_log access.log;
    client_header_timeout 1s;
    client_body_timeout 1s;
    send_timeout 1s;
    keepalive_timeout 3s;
    server {
        listen 10.0.1.1:80;
        client_max_body_size 0;
        location / { proxy_pass http://10.0.2.11:8080; }
    }
    server { listen 10.0.1.1:443 ssl; CERTIFICATE return 200; }
    server { listen 10.0.1.1:81 proxy_protocol; return 200; }
}
"""


@pytest.fixture(scope="module")
def web():
    certificates = Certificates()
    with Topology(servers=1) as net:
        big = pattern(20 << 20)
        net.origin(serving(lambda request: ok(big if request.target == "/big" else "ok")))
        with net.balancer(CONFIG.replace("CERTIFICATE", certificates.sign("a", "a.test"))) as net.weir:
            yield net
    certificates.close()


def let_go_after(stream):
    """Seconds until the balancer ends the connection, and what it said before."""
    start = time.monotonic()
    stream.socket.settimeout(10)
    try:
        said = stream.read_to_end()
    except ConnectionResetError:
        said = b""
    return time.monotonic() - start, said


def test_client_that_says_nothing(web):
    with web.connect() as stream:
        seconds, said = let_go_after(stream)
    assert 0.8 < seconds < 2.5 and said == b""


def test_head_that_never_ends_is_408_in_the_log(web):
    """nginx closes without a word and logs 408; a 408 to the client is as good (RFC 9110 15.5.9)."""
    with web.connect() as stream:
        stream.send("GET /unfinished HTTP/1.1\r\nHost: a\r\n")
        seconds, said = let_go_after(stream)
    assert 0.8 < seconds < 2.5
    assert said == b"" or said.startswith(b"HTTP/1.1 408")
    assert web.weir.logged('"GET /unfinished HTTP/1.1" 408', "access.log")


def test_a_byte_now_and_then_does_not_prolong_the_head(web):
    with web.connect() as stream:
        stream.send("GET /drip HTTP/1.1\r\nHost: a\r\nX-Drip: ")
        start = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - start < 5:
                stream.send(b"x")
                time.sleep(0.1)
        assert time.monotonic() - start < 3


def hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="a.test").do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


def test_a_handshake_that_does_not_go_on(web):
    """Before the hello, in it, and behind it; and a header of the PROXY protocol. A byte now and then does not prolong it."""
    first = hello()
    cuts = {"silent": b"", "in a record's header": first[:3], "in the hello": first[:-1], "behind it": first}
    slow = [web.connect(port=443) for _ in range(5)]
    slow += [web.connect(port=81) for _ in range(3)]
    for stream, said in zip(slow, [*cuts.values(), b"", b"", b"PROXY TCP4 203", b"\r\n\r\n\0\r\nQUIT\n\x21"]):
        stream.send(said)
    dripping, ended = slow[4], False
    for byte in first[:60]:
        try:
            dripping.send(bytes([byte]))
        except OSError:
            ended = True
            break
        time.sleep(0.05)
    assert ended
    for stream in slow:
        let_go_after(stream)
        stream.close()
    for why in ("while SSL handshaking, client: 10.0.1.2, server: 10.0.1.1:443", "while reading PROXY protocol, client: 10.0.1.2, server: 10.0.1.1:81"):
        assert web.weir.logged(f"client timed out (110: Connection timed out) {why}"), why
    with web.connect(port=443) as stream:
        assert stream.get("/").status == 400


def test_body_that_never_ends_is_408(web):
    with web.connect() as stream:
        stream.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        seconds, said = let_go_after(stream)
    assert 0.8 < seconds < 2.5
    assert said == b"" or said.startswith(b"HTTP/1.1 408")
    assert web.weir.logged('"POST /body HTTP/1.1" 408', "access.log")


def test_body_that_drips_is_let_through(web):
    """client_body_timeout is between two reads."""
    with web.connect() as stream:
        stream.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        for byte in b"hello":
            time.sleep(0.4)
            stream.send(bytes([byte]))
        assert stream.response().status == 200


def test_client_that_does_not_read_is_let_go(web):
    """send_timeout: the balancer's send window stays shut."""
    with web.connect() as stream:
        stream.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(4)
        received = 0
        try:
            while data := stream.socket.recv(1 << 20):
                received += len(data)
        except (ConnectionResetError, TimeoutError):
            pass
        assert received < 20 << 20


def test_slow_loris_does_not_keep_others_out(web):
    """300 connections with half a request each."""
    slow = [web.connect() for _ in range(300)]
    for stream in slow:
        stream.send("GET / HTTP/1.1\r\nHost: a\r\nX-")
    start = time.monotonic()
    for _ in range(20):
        assert web.get("/").status == 200
    assert time.monotonic() - start < 2
    for stream in slow:
        stream.close()

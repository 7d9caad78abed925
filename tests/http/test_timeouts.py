"""Clients that are slow on purpose: each is let go in time, and none holds up another."""

import time

import pytest
from weirtest import Topology, ok, pattern, serving

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
}
"""


@pytest.fixture(scope="module")
def web():
    with Topology(servers=1) as net:
        big = pattern(20 << 20)
        net.origin(serving(lambda request: ok(big if request.target == "/big" else "ok")))
        with net.balancer(CONFIG) as net.weir:
            yield net


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

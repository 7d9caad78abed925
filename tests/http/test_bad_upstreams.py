"""Servers that close early, send garbage, never answer, or answer before they were asked in full."""

import time

import pytest
from weirtest import Topology, ok, pattern

CONFIG = """
events { }
http {
    access_log access.log;
    proxy_connect_timeout 1s;
    proxy_read_timeout 1s;
    proxy_send_timeout 1s;
    server {
        listen 10.0.1.1:80;
        client_max_body_size 0;
        proxy_http_version 1.1;
        proxy_buffer_size 4k;
        location / { proxy_pass http://10.0.2.11:8080; }
        location /refused { proxy_pass http://10.0.2.11:9; }
        location /nowhere { proxy_pass http://10.0.2.99:80; }
        location /unrouted { proxy_pass http://203.0.113.1:80; }
    }
}
"""


def early(stream):
    stream.request_head()
    stream.send(ok("early", "Connection: close"))
    time.sleep(0.3)


def short(stream):
    stream.request_head()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 400)


def stalls(stream):
    stream.request_head()
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 400)
    time.sleep(4)


def says(data, read=True):
    def handler(stream):
        if read:
            stream.request_head()
        stream.send(data)

    return handler


BAD_ANSWERS = [
    ("closes at once", lambda stream: None),
    ("closes after the request", lambda stream: stream.request_head()),
    ("resets after the request", lambda stream: (stream.request_head(), stream.reset())),
    ("closes within the status line", says(b"HTTP/1.1 200")),
    ("closes within the fields", says(b"HTTP/1.1 200 OK\r\nContent-Le")),
    ("field without a colon", says(b"HTTP/1.1 200 OK\r\nNonsense\0\r\n\r\nbody")),
    ("NUL in a field", says(b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\nbody")),
    ("two lengths", says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
    ("length and chunked", says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
    ("bad length", says(b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello")),
    ("bad status", says(b"HTTP/1.1 OK\r\n\r\n")),
    ("garbage", says(b"\xff\xfe garbage\r\n\r\nmore")),
    ("fields larger than proxy_buffer_size", says(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n")),
]
# What nginx 1.22 lets pass: contradictory framing, and what it takes for HTTP/0.9.
LENIENT = ["two lengths", "length and chunked", "bad length", "bad status", "garbage"]


@pytest.fixture
def web(net):
    topology = net(servers=1)
    with topology.balancer(CONFIG) as topology.weir:
        yield topology


@pytest.mark.parametrize("handler", [
    pytest.param(handler, id=name, marks=[pytest.mark.weir_only] if name in LENIENT else [])
    for name, handler in BAD_ANSWERS
])
def test_bad_answer_is_502(web, handler):
    web.origin(handler)
    response = web.get("/")
    assert response.start == "HTTP/1.1 502 Bad Gateway"
    assert "<center><h1>502 Bad Gateway</h1></center>" in response.text
    assert "502" in web.weir.lines(count=1)[0]
    assert web.weir.logged("while reading response header from upstream")


@pytest.mark.parametrize("target", ["/refused", "/unrouted"])
def test_unreachable_is_502(web, target):
    assert web.get(target).status == 502
    assert web.weir.logged("while connecting to upstream")


def test_connect_timeout_is_504(web):
    """The address exists in the server's network and its packets are eaten."""
    web.servers[0].ip("address", "add", "10.0.2.99/32", "dev", "lo")
    web.balancer_namespace.ip("route", "add", "10.0.2.99/32", "via", "10.0.2.11")
    web.servers[0].run("nft", "add table ip t; add chain ip t i { type filter hook prerouting priority -300; }; "
                       "add rule ip t i ip daddr 10.0.2.99 drop")
    start = time.monotonic()
    assert web.get("/nowhere").start == "HTTP/1.1 504 Gateway Time-out"
    assert 0.8 < time.monotonic() - start < 3


def test_server_that_never_answers_is_504(web):
    web.origin(lambda stream: (stream.request_head(), time.sleep(5)))
    start = time.monotonic()
    response = web.get("/")
    assert response.start == "HTTP/1.1 504 Gateway Time-out"
    assert 0.8 < time.monotonic() - start < 3
    assert web.weir.logged("upstream timed out")


def test_read_timeout_counts_between_two_reads(web):
    def slow(stream):
        stream.request_head()
        stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for byte in b"hello":
            time.sleep(0.5)
            stream.send(bytes([byte]))

    web.origin(slow)
    assert web.get("/").body == b"hello"


def test_body_cut_short_closes_the_client_connection(web):
    """The client must be able to tell: no clean end, never a second response on that connection."""
    web.origin(short)
    with web.connect() as stream:
        stream.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((EOFError, ConnectionResetError)):
            stream.response()


def test_chunks_cut_short_close_the_client_connection(web):
    web.origin(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"))
    with web.connect() as stream:
        stream.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((EOFError, ConnectionResetError)):
            stream.response()


def test_bad_chunk_size_closes_the_client_connection(web):
    web.origin(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"))
    with web.connect() as stream:
        stream.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((EOFError, ConnectionResetError)):
            stream.response()


def test_body_that_stalls_closes_the_client_connection(web):
    web.origin(stalls)
    with web.connect() as stream:
        stream.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        start = time.monotonic()
        with pytest.raises((EOFError, ConnectionResetError)):
            stream.response()
        assert time.monotonic() - start < 3


def test_answer_before_the_request_ended(web):
    """A server may refuse an upload early; the answer gets through and nothing hangs."""
    web.origin(early)
    with web.connect() as stream:
        try:
            stream.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + pattern(300000))
        except (BrokenPipeError, ConnectionResetError):
            pass
        response = stream.response()
        assert (response.status, response.body) == (200, b"early")


def test_more_than_the_length_does_not_reach_the_client(web):
    web.origin(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nX-Evil: 1\r\n\r\n"))
    with web.connect() as stream:
        response = stream.get("/")
        assert response.body == b"hello"
        assert stream.silent(0.3) or stream.buffer == b""


def test_body_after_head_or_304_does_not_reach_the_client(web):
    web.origin(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
    with web.connect() as stream:
        stream.request("HEAD", "/")
        stream.silent(0.3)
        assert stream.buffer == b""


def test_interim_answers_of_the_server_are_skipped(web):
    web.origin(says(b"HTTP/1.1 100 Continue\r\n\r\n" + ok("final")))
    assert web.get("/").text == "final"


@pytest.mark.weir_only
def test_upgrade_that_nobody_asked_for_is_502(web):
    web.origin(says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw"))
    assert web.get("/").status == 502

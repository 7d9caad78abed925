"""Requests and responses of every shape and size arrive byte for byte, both ways."""

import threading
import time

import pytest
from weirtest import Topology, chunked, ok, pattern

CONFIG = """
events { }
http {
    access_log access.log;
    client_max_body_size 0;
    server {
        listen 10.0.1.1:80;
        location /old/ { proxy_pass http://10.0.2.11:8080; }
        location / {
            proxy_http_version 1.1;
            proxy_pass http://10.0.2.11:8080;
        }
    }
}
"""


def origin(stream):
    """/echo gives the body back, /size/N gives N bytes, /chunked/N the same in chunks, /close/N until it closes."""
    while (request := stream.read_request()) is not None:
        verb, _, number = request.target.replace("/old/", "/").lstrip("/").partition("/")
        size = int(number or 0)
        if verb == "echo":
            stream.send(ok(request.body, f"X-Method: {request.method}", f"X-Version: {request.words[2]}",
                           f"X-Length: {request.get('Content-Length')}",
                           f"X-Encoding: {request.get('Transfer-Encoding')}"))
        elif verb == "size":
            stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            if request.method != "HEAD":
                stream.send(pattern(size))
        elif verb == "chunked":
            stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
            stream.send(chunked(pattern(size), 7777, [("X-Sum", "abc")]))
        elif verb == "close":
            stream.send(b"HTTP/1.0 200 OK\r\n\r\n" + pattern(size))
            return
        elif verb == "status":
            stream.send(b"HTTP/1.1 %d Whatever\r\nX-Kept: yes\r\n%s\r\n" %
                        (size, b"" if size in (204, 304) else b"Content-Length: 0\r\n"))


@pytest.fixture(scope="module")
def web():
    with Topology(servers=1) as net:
        net.origin(origin)
        with net.balancer(CONFIG):
            yield net


SIZES = [0, 1, 1459, 1460, 1461, 4096, 65535, 65536, 1 << 20, 20 << 20]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", ["size", "chunked", "close"])
def test_response_body(web, framing, size):
    response = web.get(f"/{framing}/{size}")
    assert response.status == 200
    assert response.body == pattern(size)


@pytest.mark.parametrize("size", SIZES)
def test_request_body_with_content_length(web, size):
    with web.connect() as stream:
        response = stream.request("POST", "/echo", [("Content-Length", size)], pattern(size))
    assert response.body == pattern(size)
    assert response.get("X-Length") == str(size)


@pytest.mark.parametrize("size", SIZES)
def test_request_body_in_chunks(web, size):
    with web.connect() as stream:
        response = stream.request("PUT", "/echo", [("Transfer-Encoding", "chunked")], chunked(pattern(size), 9999))
    assert response.get("X-Method") == "PUT"
    assert response.body == pattern(size)


def test_large_bodies_both_ways_at_once(web):
    """The echo starts when the request has ended; four of them side by side."""
    bodies = [pattern(5 << 20, seed) for seed in range(4)]
    answers = [None] * 4

    def post(number):
        with web.connect(timeout=30) as stream:
            answers[number] = stream.request("POST", "/echo", body=bodies[number]).body

    threads = [threading.Thread(target=post, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == bodies


def test_chunks_cut_at_every_place(web):
    """One byte per segment: no parser may depend on what arrives together."""
    request = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello world", 4)
    with web.connect() as stream:
        stream.socket.setsockopt(6, 1, 1)
        for byte in request:
            stream.send(bytes([byte]))
        assert stream.response().body == b"hello world"


def test_chunk_extensions_and_trailers_of_a_request_are_not_data(web):
    body = b"5;name=value\r\nhello\r\n0;last\r\nX-Trailer: 1\r\n\r\n"
    with web.connect() as stream:
        assert stream.request("POST", "/echo", [("Transfer-Encoding", "chunked")], body).body == b"hello"
        assert stream.get("/size/3").body == pattern(3)


@pytest.mark.parametrize("target", ["/size/1000", "/chunked/1000"])
def test_head_has_the_fields_and_no_body(web, target):
    with web.connect() as stream:
        response = stream.request("HEAD", target)
        assert response.status == 200
        if target.startswith("/size"):
            assert response.get("Content-Length") == "1000"
        assert stream.silent(0.2)
        assert not stream.buffer


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(web, status):
    with web.connect() as stream:
        response = stream.get(f"/status/{status}")
        assert (response.status, response.get("X-Kept")) == (status, "yes")
        assert stream.get("/size/5").body == pattern(5), "the connection goes on"


def test_a_status_line_is_passed_on(web):
    assert web.get("/status/207").start == "HTTP/1.1 207 Whatever"


def test_upstream_is_spoken_to_in_http_1_0_by_default(web):
    with web.connect() as stream:
        assert stream.get("/old/echo").get("X-Version") == "HTTP/1.0"
        assert stream.get("/echo").get("X-Version") == "HTTP/1.1"


@pytest.mark.parametrize("framing", ["size", "chunked", "close"])
def test_http_1_0_client(web, framing):
    """It gets no chunks, and the end of the body is a Content-Length or the end of the connection."""
    with web.connect() as stream:
        response = stream.get(f"/{framing}/5000", version="HTTP/1.0")
        assert response.get("Transfer-Encoding") is None
        assert response.body == pattern(5000)
        assert response.get("Connection") == "close"
        assert stream.closed()


def test_http_1_0_client_with_keep_alive(web):
    with web.connect() as stream:
        for _ in range(3):
            response = stream.get("/size/10", ("Connection", "keep-alive"), version="HTTP/1.0")
            assert response.get("Connection") == "keep-alive"
            assert response.body == pattern(10)


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "PATCH", "PROPFIND", "REPORT", "X-OWN"])
def test_methods_are_passed_on(web, method):
    with web.connect() as stream:
        response = stream.request(method, "/echo", body=b"abc")
        assert (response.get("X-Method"), response.body) == (method, b"abc")


@pytest.mark.timing
@pytest.mark.weir_only  # nginx spills to files
def test_slow_reader_does_not_make_the_balancer_buffer_everything(net):
    """Ten clients ask for 20 MB each and do not read: what the balancer holds stays bounded."""
    topology = net(servers=1)
    topology.origin(origin)
    with topology.balancer(CONFIG) as weir:
        topology.get("/size/1000000")
        before = weir.memory_bytes()
        streams = [topology.connect() for _ in range(10)]
        for stream in streams:
            stream.send("GET /size/20971520 HTTP/1.1\r\nHost: a\r\n\r\n")
        for stream in streams:
            assert b" 200 " in stream.read_until(b"\r\n\r\n")
        time.sleep(1)
        assert weir.memory_bytes() - before < 30 << 20
        for stream in streams[:2]:
            assert stream.read_exactly(20 << 20) == pattern(20 << 20)
        for stream in streams:
            stream.close()

"""Keep-alive on both sides, pipelining, 100-continue, upgrades, and what a connection's end means."""

import time

import pytest
from weirtest import Topology, ok, wait_for

CONFIG = """
events { }
http {
    access_log access.log;
    keepalive_requests 5;
    keepalive_timeout 1s;
    upstream kept { server 10.0.2.11:8080; keepalive 4; }
    upstream limited { server 10.0.2.11:8080; keepalive 4; keepalive_requests 3; }
    upstream brief { server 10.0.2.11:8080; keepalive 4; keepalive_timeout 500ms; }
    server {
        listen 10.0.1.1:80;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / { proxy_pass http://kept; }
        location /limited { proxy_pass http://limited; }
        location /brief { proxy_pass http://brief; }
        location /closing { proxy_pass http://10.0.2.11:8080; }
        location /ws {
            proxy_pass http://10.0.2.11:8080;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }
        location /plain { proxy_pass http://10.0.2.11:8080; proxy_set_header Connection close; }
    }
    server {
        listen 10.0.1.1:81;
        keepalive_timeout 0;
        location / { return 200 "bye\\n"; }
    }
    server {
        listen 10.0.1.1:82;
        keepalive_timeout 30s 20s;
        location / { return 200 "stay\\n"; }
    }
}
"""


def origin(stream):
    """Says on which of its connections it was asked, echoes a body, and switches protocols when asked to."""
    origin.number += 1
    name = origin.number
    while (request := stream.request_head()) is not None:
        if request.get("Upgrade") == "weir-echo":
            stream.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: weir-echo\r\n\r\nhi ")
            while data := stream.buffer or stream.socket.recv(65536):
                stream.buffer = b""
                stream.send(data)
            return
        stream._read_body(request, to_end=False)
        stream.send(ok(request.body or f"connection {name}", f"X-Seen-Connection: {request.get('Connection')}",
                       f"X-Expect: {request.get('Expect')}"))


origin.number = 0


@pytest.fixture(scope="module")
def web():
    with Topology(servers=1) as net:
        net.backend = net.origin(origin)
        with net.balancer(CONFIG) as net.weir:
            yield net


def test_client_connection_is_kept(web):
    with web.connect() as stream:
        for _ in range(4):
            assert stream.get("/").get("Connection") == "keep-alive"


def test_client_connection_ends_after_keepalive_requests(web):
    with web.connect() as stream:
        assert [stream.get("/").get("Connection") for _ in range(5)] == ["keep-alive"] * 4 + ["close"]
        assert stream.closed()


def test_client_connection_ends_after_keepalive_timeout(web):
    with web.connect() as stream:
        stream.get("/")
        start = time.monotonic()
        assert stream.closed(5)
        assert 0.8 < time.monotonic() - start < 2.5


def test_keepalive_timeout_0_closes(web):
    with web.connect(port=81) as stream:
        assert stream.get("/").get("Connection") == "close"
        assert stream.closed()


def test_keepalive_timeout_can_announce_itself(web):
    with web.connect(port=82) as stream:
        response = stream.get("/")
        assert (response.get("Connection"), response.get("Keep-Alive")) == ("keep-alive", "timeout=20")


def test_client_asks_for_close(web):
    with web.connect() as stream:
        assert stream.get("/", ("Connection", "close")).get("Connection") == "close"
        assert stream.closed()


def test_upstream_connection_is_reused_by_different_clients(web):
    names = {web.get("/").text for _ in range(10)}
    assert len(names) == 1


def test_upstream_connection_ends_after_its_keepalive_requests(web):
    names = [web.get("/limited").text for _ in range(9)]
    assert sorted(names.count(name) for name in set(names)) == [3, 3, 3]


def test_upstream_connection_ends_after_its_keepalive_timeout(web):
    first = web.get("/brief").text
    assert web.get("/brief").text == first
    time.sleep(1.2)
    assert web.get("/brief").text != first


def test_idle_upstream_connection_closed_by_the_server_costs_no_request(web):
    web.get("/")
    for stream in list(web.backend.streams):
        stream.socket.close() if stream.socket.fileno() < 0 else stream.socket.shutdown(2)
    time.sleep(0.2)
    assert web.get("/").status == 200


def test_without_keepalive_every_request_has_a_connection(web):
    before = web.backend.connections
    with web.connect() as stream:
        for _ in range(3):
            stream.get("/plain")
    assert web.backend.connections - before == 3


def _established_resets(namespace):
    names, values = (line.split() for line in namespace.run("cat", "/proc/net/snmp").stdout.splitlines() if line.startswith("Tcp:"))
    return int(dict(zip(names, values))["EstabResets"])


def test_a_server_that_has_said_all_is_not_reset(web):
    before = _established_resets(web.servers[0])
    for _ in range(4):
        web.get("/plain")
    assert _established_resets(web.servers[0]) == before


def test_pipelined_requests_are_answered_in_order(web):
    requests = b"".join(b"POST /n HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % number for number in range(4))
    with web.connect() as stream:
        stream.send(requests)
        assert [stream.response().body for _ in range(4)] == [b"0", b"1", b"2", b"3"]


def test_empty_lines_before_a_request_are_skipped(web):
    with web.connect() as stream:
        stream.send(b"\r\n")
        assert stream.get("/").status == 200


def test_expect_100_continue(web):
    with web.connect() as stream:
        stream.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert stream.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        stream.send(b"hello")
        response = stream.response()
        assert (response.body, response.get("X-Expect")) == (b"hello", "None")


def test_expect_100_continue_is_not_answered_to_http_1_0(web):
    with web.connect() as stream:
        stream.send(b"POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
        response = stream.response()
        assert (response.interim, response.body) == ([], b"hello")


def test_upgrade_becomes_a_tunnel(web):
    with web.connect() as stream:
        response = stream.get("/ws", ("Upgrade", "weir-echo"), ("Connection", "Upgrade"))
        assert (response.status, response.get("Upgrade"), response.get("Connection")) == (101, "weir-echo", "upgrade")
        assert stream.read_exactly(3) == b"hi ", "what came with the response's head"
        for size in (1, 3000, 200000):
            data = bytes([size & 0xff]) * size
            stream.send(data)
            assert stream.read_exactly(size) == data
        stream.socket.shutdown(1)
        assert stream.closed()


def test_a_tunnel_ends_when_the_server_closes(web):
    with web.connect() as stream:
        stream.get("/ws", ("Upgrade", "weir-echo"), ("Connection", "Upgrade"))
        stream.read_exactly(3)
        web.backend.streams[-1].socket.shutdown(2)
        assert stream.closed()


def test_no_upgrade_when_the_server_answers_200(web):
    with web.connect() as stream:
        assert stream.get("/ws", ("Upgrade", "other"), ("Connection", "Upgrade")).status == 200
        assert stream.get("/").status == 200


def test_hop_by_hop_fields_are_not_passed_on(web):
    with web.connect() as stream:
        response = stream.get("/", ("Connection", "keep-alive"), ("Keep-Alive", "300"))
        assert response.get("X-Seen-Connection") == "None"


def test_client_that_only_shuts_its_sending_side_down(web):
    """nginx treats the half-close of a client as its end; the answer may still come. It never hangs."""
    with web.connect() as stream:
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        stream.socket.shutdown(1)
        stream.socket.settimeout(5)
        stream.read_to_end()


def test_client_abort_is_499_in_the_log(net):
    """The server is still thinking when the client goes."""
    topology = net(servers=1)
    slow = topology.origin(lambda stream: (stream.request_head(), time.sleep(3)))
    with topology.balancer(CONFIG) as weir:
        stream = topology.connect()
        stream.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: slow.connections == 1)
        stream.reset()
        assert '"GET /slow HTTP/1.1" 499 0' in weir.lines(count=1)[0]

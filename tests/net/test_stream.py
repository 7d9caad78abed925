"""Terminated TCP in `stream`, between real clients and servers."""

import select
import socket

import pytest
from weirtest import Topology, pattern
from weirtest.servers import Nginx

CONFIG = """
events {{ }}
stream {{
    log_format line "$remote_addr $protocol $status $bytes_received $bytes_sent [$upstream_addr] $upstream_connect_time $upstream_bytes_received $session_time";
    access_log stream.log line;
    proxy_connect_timeout 1s;
    upstream web {{ server 10.0.2.11:80; server 10.0.2.12:80; }}
    upstream hashed {{ hash $proxy_protocol_addr; server 10.0.2.11:80; server 10.0.2.12:80; }}
    upstream failing {{ server 10.0.2.11:9; server 10.0.2.12:80; }}
    upstream one {{ server 10.0.2.11:8080 max_conns=1; server 10.0.2.12:80 backup; }}
    server {{ listen 10.0.1.1:1000; listen [fd00:1::1]:1000; proxy_pass {web}; }}
    server {{ listen 10.0.1.1:1001; proxy_pass failing; }}
    server {{ listen 10.0.1.1:1002; proxy_pass 10.0.2.11:9; }}
    server {{ listen 10.0.1.1:1003; proxy_pass 10.0.2.11:8080; }}
    server {{ listen 10.0.1.1:1004; proxy_pass 10.0.2.11:8080; proxy_half_close on; }}
    server {{ listen 10.0.1.1:1005; proxy_pass 10.0.2.12:81; proxy_protocol on; }}
    server {{ listen 10.0.1.1:1006 proxy_protocol; proxy_pass 10.0.2.12:81; proxy_protocol on; set_real_ip_from 10.0.1.0/24; }}
    server {{ listen 10.0.1.1:1007 proxy_protocol; proxy_pass hashed; }}
    server {{ listen 10.0.1.1:1008; proxy_pass one; }}
    server {{ listen 10.0.1.1:1009; proxy_pass 10.0.2.11:8080; proxy_timeout 300ms; }}
}}
"""


def echo(stream):
    """What comes goes back; at its end, how much it was; after "reset", a reset."""
    total = 0
    while data := stream.socket.recv(65536):
        total += len(data)
        if data == b"reset":
            stream.reset()
            return
        stream.socket.sendall(data)
    stream.socket.sendall(f"\n{total}".encode())


@pytest.fixture(scope="module")
def net():
    with Topology(servers=2) as net:
        net.nginx()
        net._keep(Nginx(net.servers[1], "s2", ["10.0.2.12:81 proxy_protocol"]))
        net.origin(echo)
        with net.balancer(CONFIG.format(web="web"), ready=("10.0.1.1", 1000)) as weir:
            net.weir = weir
            yield net


def one_line(net, text):
    """The access log's line with that text."""
    assert net.weir.logged(text, "stream.log"), net.weir.read("stream.log")
    return next(line for line in net.weir.lines("stream.log") if text in line)


def test_connections_take_turns_and_are_logged(net):
    assert net.counts_by_connection("http://10.0.1.1:1000/", 8) == {"s1": 4, "s2": 4}
    assert net.curl("-g", "http://[fd00:1::1]:1000/").strip() in ("s1", "s2")
    line = one_line(net, "fd00:1::2 TCP 200 ").split()
    assert int(line[3]) > 50 and int(line[4]) > 100 and line[4] == line[7] and line[5] in ("[10.0.2.11:80]", "[10.0.2.12:80]"), line


def test_bulk_both_ways_and_a_slow_reader(net):
    content = pattern(8 << 20)
    client = net.client.connect("10.0.1.1", 1003, 20)
    sent = received = 0
    client.setblocking(False)
    back = bytearray()
    while received < len(content):
        readable, writable, _ = select.select([client], [client] if sent < len(content) else [], [], 10)
        assert readable or writable, (sent, received)
        if writable:
            sent += client.send(content[sent:sent + 65536])
        if readable:
            back += client.recv(8192)
            received = len(back)
    assert bytes(back) == content
    client.close()
    assert one_line(net, f" 200 {len(content)} {len(content)} [10.0.2.11:8080]")


def test_a_client_that_ends_ends_both(net):
    with net.connect(port=1003) as stream:
        stream.send(b"abc")
        assert stream.read_exactly(3) == b"abc"
        stream.socket.shutdown(socket.SHUT_WR)
        assert stream.closed()


def test_with_half_close_the_server_has_the_last_word(net):
    with net.connect(port=1004) as stream:
        stream.send(b"abc")
        stream.socket.shutdown(socket.SHUT_WR)
        assert stream.read_to_end() == b"abc\n3"


def test_a_reset_is_passed_on(net):
    with net.connect(port=1003) as stream:
        stream.send(b"reset")
        with pytest.raises(ConnectionResetError):
            stream.socket.recv(1)
    assert net.weir.logged('recv() failed (104: Connection reset by peer) while proxying and reading from upstream, client: 10.0.1.2, server: 10.0.1.1:1003, upstream: "10.0.2.11:8080"')


def test_the_next_server_is_tried(net):
    assert net.curl("http://10.0.1.1:1001/") == "s2\n"
    assert one_line(net, "[10.0.2.11:9, 10.0.2.12:80]").split()[2] == "200"


def test_no_server_that_answers(net):
    with net.connect(port=1002) as stream:
        assert stream.closed()
    assert one_line(net, " 502 0 0 [10.0.2.11:9]")
    assert net.weir.logged('connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.1.2, server: 10.0.1.1:1002, upstream: "10.0.2.11:9", bytes from/to client:0/0')


def test_the_server_is_told_who_the_client_is(net):
    assert net.curl("http://10.0.1.1:1005/proxied") == "10.0.1.2 1005\n"
    with net.connect(port=1006) as stream:
        stream.send(b"PROXY TCP4 203.0.113.9 192.0.2.9 4000 81\r\n")
        assert stream.get("/proxied").body == b"203.0.113.9 1006\n"
    assert one_line(net, "203.0.113.9 TCP 200")


def test_hash_takes_any_variable(net):
    names = set()
    for number in range(12):
        with net.connect(port=1007) as stream:
            stream.send(f"PROXY TCP4 203.0.{number}.9 192.0.2.9 4000 81\r\n".encode())
            names.add(stream.get().body)
    assert names == {b"s1\n", b"s2\n"}


def test_what_is_no_header_is_refused(net):
    with net.connect(port=1007) as stream:
        stream.send(b"GET / HTTP/1.0\r\n\r\n")
        assert stream.closed()
    assert net.weir.logged('broken header: "GET / HTTP/1.0" while reading PROXY protocol, client: 10.0.1.2, server: 10.0.1.1:1007')
    assert one_line(net, "10.0.1.2 TCP 400 0 0 [-]")


def test_max_conns(net):
    with net.connect(port=1008) as first:
        first.send(b"x")
        assert first.read_exactly(1) == b"x"
        assert net.curl("http://10.0.1.1:1008/") == "s2\n"


def test_silence_ends_a_session(net):
    with net.connect(port=1009) as stream:
        stream.send(b"x")
        assert stream.read_exactly(1) == b"x"
        assert stream.closed()


def test_a_reload_leaves_sessions_as_they_began(net):
    with net.connect(port=1003) as stream:
        stream.send(b"before")
        assert stream.read_exactly(6) == b"before"
        net.weir.reload(CONFIG.format(web="10.0.2.12:80").replace("listen 10.0.1.1:1003;", "listen 10.0.1.1:2003;"))
        assert net.weir.logged("configuration is in force")
        with net.connect(port=2003) as new:
            new.send(b"new")
            assert new.read_exactly(3) == b"new"
        assert net.counts_by_connection("http://10.0.1.1:1000/", 4) == {"s2": 4}
        stream.send(b"after")
        assert stream.read_exactly(5) == b"after"

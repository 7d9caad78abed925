"""Terminated TCP in `stream`, between real clients and servers."""

import contextlib
import os
import re
import select
import socket

import pytest
from weirtest import Certificates, Topology, pattern, run
from weirtest.balancer import BINARY
from weirtest.servers import Nginx

CONFIG = """
events {{ }}
stream {{
    log_format line "$remote_addr $protocol $status $bytes_received $bytes_sent [$upstream_addr] $upstream_connect_time $upstream_bytes_received $session_time";
    log_format tls "$status [$ssl_protocol $ssl_server_name $ssl_client_s_dn] [$ssl_preread_server_name $ssl_preread_alpn_protocols $ssl_preread_protocol] $upstream_addr";
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
    server {{ listen 10.0.1.1:1010 ssl; {a} proxy_pass 10.0.2.11:80; access_log tls.log tls; }}
    server {{ listen 10.0.1.1:1011 ssl; {a} ssl_client_certificate {ca}; ssl_verify_client on; proxy_pass 10.0.2.11:80; access_log tls.log tls; }}
    server {{ listen 10.0.1.1:1012 ssl proxy_protocol; {a} proxy_pass 10.0.2.12:81; proxy_protocol on; set_real_ip_from 10.0.1.2; }}
    server {{ listen 10.0.1.1:1013; ssl_preread on; proxy_pass $secure; access_log tls.log tls; }}
    server {{ listen 10.0.1.1:1014; ssl_preread on; proxy_pass $by_protocol; }}
    map $ssl_preread_server_name $secure {{ hostnames; a.test first; *.b.test 10.0.2.12:443; default plain; }}
    map $ssl_preread_protocol $by_protocol {{ "" plain; default first; }}
    upstream first {{ server 10.0.2.11:443; }}
    upstream plain {{ server 10.0.2.12:80; }}
    map $protocol $long {{ default {long}; }}
    server {{ listen 10.0.1.1:1015; return $long$long$long$long; }}
    server {{ listen 10.0.1.1:1016; return $long$long$long$long$long; }}
    server {{ listen 10.0.1.1:1009; proxy_pass 10.0.2.11:8080; proxy_timeout 300ms; }}
    server {{ listen 10.0.1.1:1017 ssl; {a} ssl_reject_handshake on; return "nothing"; }}
    server {{ listen 10.0.1.1:1018 ssl; {a} ssl_buffer_size 2k; return $long$long$long$long; }}
}}
"""


LONG = "x" * 4000


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
def certificates():
    made = Certificates()
    made.sign("a", "a.test")
    made.sign("b", "*.b.test")
    made.sign("client", "somebody")
    yield made
    made.close()


@contextlib.contextmanager
def tls_server(namespace, address, certificates, name):
    """OpenSSL's, with that certificate; it answers GET with a page about itself."""
    server = namespace.popen("openssl", "s_server", "-quiet", "-www", "-accept", f"{address}:443", "-cert", certificates.path(f"{name}.crt"),
                             "-key", certificates.path(f"{name}.key"))
    try:
        yield
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def net(certificates):
    with Topology(servers=2) as net, tls_server(net.servers[0], "10.0.2.11", certificates, "a"), tls_server(net.servers[1], "10.0.2.12", certificates, "b"):
        net.names = {"long": LONG, "a": certificates.directives("a"), "ca": certificates.path("ca.crt")}
        net.certificates = certificates
        net.nginx()
        net._keep(Nginx(net.servers[1], "s2", ["10.0.2.12:81 proxy_protocol"]))
        net.origin(echo)
        with net.balancer(CONFIG.format(web="web", **net.names), ready=("10.0.1.1", 1000)) as weir:
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


def secure(net, url, *words, **options):
    """curl with the tests' authority, every name at the balancer's address."""
    return net.curl("--cacert", net.certificates.path("ca.crt"), "--connect-to", "::10.0.1.1:", *words, url, **options)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_is_terminated(net, version):
    assert secure(net, "https://a.test:1010/", f"--tlsv{version}", "--tls-max", version) == "s1\n"
    assert net.weir.logged(f"200 [TLSv{version} a.test -] [- - -] 10.0.2.11:80\n", "tls.log")


def test_bulk_over_tls(net):
    content = net.running[0].file(3 << 20)
    done = net.client.popen("curl", "-sS", "--cacert", net.certificates.path("ca.crt"), "--connect-to", "::10.0.1.1:", f"https://a.test:1010/bytes/{3 << 20}",
                            stdout=-1)
    assert done.communicate(timeout=60)[0] == content


def test_client_certificates(net):
    pair = ["--cert", net.certificates.path("client.crt"), "--key", net.certificates.path("client.key")]
    assert secure(net, "https://a.test:1011/", *pair) == "s1\n"
    assert net.weir.logged("a.test CN=somebody]", "tls.log")
    assert "s1" not in secure(net, "https://a.test:1011/", check=False)
    assert net.weir.logged("client sent no required SSL certificate while SSL handshaking, client: 10.0.1.2, server: 10.0.1.1:1011")
    assert net.weir.logged("500 [TLSv1.3 a.test -]", "tls.log")


def test_the_header_before_tls_goes_on_behind_it(net):
    answer = secure(net, "https://a.test:1012/proxied", "--haproxy-protocol")
    assert answer == "10.0.1.2 1012\n"


def s_client(net, port, *words):
    return net.client.run("openssl", "s_client", "-connect", f"10.0.1.1:{port}", *words, input="", check=False)


def test_a_handshake_is_rejected(net):
    assert "tlsv1 unrecognized name" in s_client(net, 1017).stdout
    assert net.weir.logged("handshake rejected while SSL handshaking, client: 10.0.1.2, server: 10.0.1.1:1017")


def test_records_are_no_longer_than_their_buffer(net):
    said = s_client(net, 1018, "-tls1_2", "-quiet", "-msg").stdout
    sizes = [int(size.replace(" ", ""), 16) - 24 for size in re.findall(r"<<< TLS 1.2, RecordHeader .*\n +17 03 03 (\w\w \w\w)", said)]
    assert sizes[0] == 1360 and max(sizes) == 2048 and sum(sizes) == 4 * len(LONG)


def test_what_does_not_speak_tls(net):
    with net.connect(port=1010) as stream:
        stream.send(b"GET / HTTP/1.0\r\n\r\n")
        stream.read_to_end()
    assert net.weir.logged("SSL_do_handshake() failed")
    assert net.weir.logged("] [- - -] -\n", "tls.log")


def test_the_name_in_the_hello_chooses_who_terminates_tls(net):
    assert "s_server" in secure(net, "https://a.test:1013/", "--http1.1")
    assert net.weir.logged("200 [- - -] [a.test http/1.1 TLSv1.3] 10.0.2.11:443\n", "tls.log")
    assert "s_server" in secure(net, "https://x.b.test:1013/", "--tls-max", "1.2", "--no-alpn")
    assert net.weir.logged("200 [- - -] [x.b.test  TLSv1.2] 10.0.2.12:443\n", "tls.log")
    assert net.curl("http://10.0.1.1:1013/") == "s2\n"


def test_one_port_for_tls_and_for_what_is_none(net):
    assert "s_server" in secure(net, "https://a.test:1014/")
    assert net.curl("http://10.0.1.1:1014/") == "s2\n"


def test_an_answer_of_the_servers_own_has_its_limit(net):
    """Short ones are compared with nginx's in test_stream_beside_nginx.py."""
    with net.connect(port=1015) as stream:
        stream.send(b"whatever this is")
        assert stream.read_to_end() == 4 * LONG.encode()
    assert one_line(net, f" 200 0 {4 * len(LONG)} [-]")
    with net.connect(port=1016) as stream:
        assert stream.closed()
    assert net.weir.logged('what "return" says is longer than 16384 bytes, client: 10.0.1.2, server: 10.0.1.1:1016')


def test_the_operator_drains_a_server(net):
    weirctl = f"{os.path.dirname(BINARY)}/../weirctl/weirctl"
    run(weirctl, "-s", f"{net.weir.directory}/weir.sock", "drain", "web", "10.0.2.11:80")
    assert net.counts_by_connection("http://10.0.1.1:1000/", 4) == {"s2": 4}
    run(weirctl, "-s", f"{net.weir.directory}/weir.sock", "undrain", "web", "10.0.2.11:80")
    assert net.counts_by_connection("http://10.0.1.1:1000/", 4) == {"s1": 2, "s2": 2}


def test_silence_ends_a_session(net):
    with net.connect(port=1009) as stream:
        stream.send(b"x")
        assert stream.read_exactly(1) == b"x"
        assert stream.closed()


def test_a_reload_leaves_sessions_as_they_began(net):
    with net.connect(port=1003) as stream:
        stream.send(b"before")
        assert stream.read_exactly(6) == b"before"
        net.weir.reload(CONFIG.format(web="10.0.2.12:80", **net.names).replace("listen 10.0.1.1:1003;", "listen 10.0.1.1:2003;"))
        assert net.weir.logged("configuration is in force")
        with net.connect(port=2003) as new:
            new.send(b"new")
            assert new.read_exactly(3) == b"new"
        assert net.counts_by_connection("http://10.0.1.1:1000/", 4) == {"s2": 4}
        stream.send(b"after")
        assert stream.read_exactly(5) == b"after"

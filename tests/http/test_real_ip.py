"""The PROXY protocol on `listen`, and real_ip, with curl and nginx as the ones that speak for others."""

import socket
import ssl
import struct

import pytest
from weirtest import Certificates, Stream, Topology

CONFIG = """
events {{ }}
http {{
    log_format said "$remote_addr $realip_remote_addr $proxy_protocol_addr $status";
    access_log access.log said;
    upstream pair {{ ip_hash; server 10.0.2.11:80; server 10.0.2.12:80; }}
    server {{
        listen 10.0.1.1:80 proxy_protocol;
        listen [fd00:1::1]:80 proxy_protocol;
        listen 10.0.1.1:443 ssl proxy_protocol;
        {a}
        set_real_ip_from 10.0.1.2;
        set_real_ip_from fd00:1::/64;
        real_ip_header proxy_protocol;
        location / {{ return 200 "$remote_addr:$remote_port $realip_remote_addr $proxy_protocol_addr:$proxy_protocol_port $proxy_protocol_server_addr:$proxy_protocol_server_port $scheme\\n"; }}
        location /pair {{ proxy_pass http://pair/; }}
    }}
    server {{
        listen 10.0.1.1:81;
        set_real_ip_from 10.0.0.0/8;
        real_ip_header X-Forwarded-For;
        real_ip_recursive on;
        location / {{ return 200 "$remote_addr\\n"; }}
        location /proxied {{ real_ip_header X-Client; proxy_pass http://10.0.2.11:80/whoami; proxy_set_header X-Forwarded-For $remote_addr; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def web():
    certificates = Certificates()
    a = certificates.sign("a", "a.test")
    with Topology(servers=2) as net:
        net.nginx()
        with net.balancer(CONFIG.format(a=a), ready=("10.0.1.1", 81)) as weir:
            net.weir, net.certificates = weir, certificates
            yield net
    certificates.close()


def v2(source, destination, ports=(4000, 81), command=0x21, tlvs=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    body = socket.inet_pton(family, source) + socket.inet_pton(family, destination) + struct.pack("!HH", *ports) + tlvs
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", command, 0x21 if ":" in source else 0x11, len(body)) + body


def said(web, header, address="10.0.1.1", target="/"):
    with web.connect(address) as stream:
        stream.send(header)
        return stream.get(target).body.decode()


def test_curl_says_who_it_speaks_for(web):
    answer = web.curl("--haproxy-protocol", "http://10.0.1.1/").split()
    assert answer[1] == "10.0.1.2" and answer[0].startswith("10.0.1.2:") and answer[3] == "10.0.1.1:80", answer


def test_version_1_and_2_and_ipv6(web):
    wanted = "203.0.113.9:4000 10.0.1.2 203.0.113.9:4000 192.0.2.9:81 http\n"
    assert said(web, b"PROXY TCP4 203.0.113.9 192.0.2.9 4000 81\r\n") == wanted
    assert said(web, v2("203.0.113.9", "192.0.2.9")) == wanted
    assert said(web, v2("2001:db8::9", "2001:db8::1"), "fd00:1::1") == "2001:db8::9:4000 fd00:1::2 2001:db8::9:4000 2001:db8::1:81 http\n"
    assert web.weir.logged("203.0.113.9 10.0.1.2 203.0.113.9 200\n", "access.log")


@pytest.mark.weir_only  # nginx 1.22 reads 107 bytes
def test_long_tlvs_are_passed_over(web):
    assert said(web, v2("203.0.113.9", "192.0.2.9", tlvs=b"\x04" + struct.pack("!H", 2000) + bytes(2000))).startswith("203.0.113.9:4000 ")


@pytest.mark.weir_only  # nginx wants it whole
def test_a_header_may_come_byte_by_byte(web):
    for header in (b"PROXY TCP4 203.0.113.9 192.0.2.9 4000 81\r\n", v2("203.0.113.9", "192.0.2.9")):
        with web.connect() as stream:
            stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(len(header)):
                stream.send(header[at:at + 1])
            assert stream.get("/").body.startswith(b"203.0.113.9:4000 10.0.1.2 ")


def test_the_header_comes_before_tls(web):
    context = ssl.create_default_context(cafile=web.certificates.path("ca.crt"))
    raw = web.client.connect("10.0.1.1", 443)
    raw.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.9 4000 81\r\n")
    with Stream(context.wrap_socket(raw, server_hostname="a.test"), 10) as stream:
        assert stream.get("/").body.decode() == "203.0.113.9:4000 10.0.1.2 203.0.113.9:4000 192.0.2.9:81 https\n"
    assert "https" in web.curl("--haproxy-protocol", "--cacert", web.certificates.path("ca.crt"), "--resolve", "a.test:443:10.0.1.1", "https://a.test/")


def test_without_a_header_the_connection_is_closed(web):
    with web.connect() as stream:
        stream.send(b"GET /without HTTP/1.0\r\n\r\n")
        assert stream.closed()
    assert web.weir.logged('broken header: "GET /without HTTP/1.0')  # nginx 1.22 goes on with the line's end
    assert web.weir.logged('" while reading PROXY protocol, client: 10.0.1.2, server: 10.0.1.1:80')


def test_ip_hash_goes_by_the_real_client(web):
    names = {said(web, f"PROXY TCP4 203.0.{n}.9 192.0.2.9 4000 81\r\n".encode(), target="/pair") for n in range(12)}
    assert len(names) == 2, names


@pytest.mark.parametrize("fields, client", [
    (["X-Forwarded-For: 203.0.113.1, 10.9.9.9"], "203.0.113.1"),
    (["X-Forwarded-For: 203.0.113.1, 203.0.113.2, 10.9.9.9"], "203.0.113.2"),
    (["X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 10.9.9.9"], "203.0.113.1"),
    (["X-Forwarded-For: 2001:db8::1"], "2001:db8::1"),
    (["X-Forwarded-For: 203.0.113.1:99, nonsense, 10.9.9.9"], "10.9.9.9"),
    (["X-Forwarded-For: nonsense"], "10.0.1.2"),
    (["X-Real-IP: 203.0.113.1"], "10.0.1.2"),
])
def test_forwarded_for(web, fields, client):
    words = [word for field in fields for word in ("-H", field)]
    assert web.curl(*words, "http://10.0.1.1:81/") == f"{client}\n"


def test_a_location_has_its_own_header(web):
    assert web.curl("-H", "X-Client: 203.0.113.1", "http://10.0.1.1:81/proxied") == "s1 host=10.0.2.11 uri=/whoami for=203.0.113.1\n"

"""`stream` on Weir and on a real nginx: the same configuration, clients and servers, and the same outcome, logs included."""

import re
import ssl

import pytest
from weirtest import IS_NGINX, Balancer, Certificates, Topology

CONFIG = """
{module}
events {{ }}
stream {{
    log_format line "$server_port $status $protocol $bytes_received $bytes_sent $upstream_addr $upstream_bytes_sent $upstream_bytes_received $ssl_preread_server_name";
    access_log stream.log line;
    proxy_connect_timeout 1s;
    ssl_protocols TLSv1.2 TLSv1.3;
    map $ssl_preread_server_name $by_name {{ a.test 10.0.2.11:8080; default 10.0.2.11:9; }}
    upstream failing {{ server 10.0.2.11:9; server 10.0.2.11:8080; }}
    server {{ listen 10.0.1.1:1000; return "$remote_addr $server_addr:$server_port $protocol [$upstream_addr] $bytes_received\\n"; }}
    server {{ listen 10.0.1.1:1001 ssl; {a} return "$ssl_protocol [$ssl_alpn_protocol] $ssl_server_name"; }}
    server {{ listen 10.0.1.1:1002 ssl; {a} ssl_alpn imap pop3; return "[$ssl_alpn_protocol]"; }}
    server {{ listen 10.0.1.1:1003; proxy_pass 10.0.2.11:8080; }}
    server {{ listen 10.0.1.1:1004; proxy_pass 10.0.2.11:9; }}
    server {{ listen 10.0.1.1:1005; proxy_pass failing; }}
    server {{ listen 10.0.1.1:1006; proxy_pass 10.0.2.11:8080; proxy_protocol on; }}
    server {{ listen 10.0.1.1:1007; ssl_preread on; proxy_pass $by_name; }}
    server {{ listen 10.0.1.1:1008 proxy_protocol; set_real_ip_from 10.0.1.2; return "$remote_addr $realip_remote_addr $proxy_protocol_addr"; }}
}}
"""
# The client's port is another every time.
VARYING = re.compile(rb"(PROXY TCP4 \S+ \S+) \d+")


def echo(stream):
    """What comes first goes back, and that is the end."""
    stream.socket.sendall(stream.socket.recv(65536))


def talk(net, port, data=b""):
    with net.connect(port=port) as stream:
        if data:
            stream.send(data)
        try:
            return VARYING.sub(rb"\1", stream.read_to_end())
        except ConnectionResetError:
            return "reset"


def talk_tls(net, port, *protocols):
    context = ssl.create_default_context(cafile=net.certificates.path("ca.crt"))
    if protocols:
        context.set_alpn_protocols(protocols)
    try:
        with context.wrap_socket(net.client.connect("10.0.1.1", port, 10), server_hostname="a.test") as stream:
            return stream.recv(1000)
    except ssl.SSLError as error:
        return error.reason


def hello(name):
    """As a client sends it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


TALKS = {
    "return": lambda net: talk(net, 1000),
    "return over TLS": lambda net: talk_tls(net, 1001),
    "any protocol": lambda net: talk_tls(net, 1001, "h2"),
    "one of the protocols": lambda net: talk_tls(net, 1002, "http/1.1", "pop3"),
    "the server's first choice": lambda net: talk_tls(net, 1002, "pop3", "imap"),
    "no protocol that is served": lambda net: talk_tls(net, 1002, "http/1.1"),
    "no protocol at all": lambda net: talk_tls(net, 1002),
    "proxied": lambda net: talk(net, 1003, b"hello"),
    "refused": lambda net: talk(net, 1004),
    "the next server": lambda net: talk(net, 1005, b"hello"),
    "who the client is": lambda net: talk(net, 1006, b""),
    "by name": lambda net: len(talk(net, 1007, hello("a.test"))) > 100,
    "by another name": lambda net: talk(net, 1007, hello("b.test")),
    "who the header says": lambda net: talk(net, 1008, b"PROXY TCP4 203.0.113.9 192.0.2.9 4000 81\r\n"),
}


def without_numbers(line):
    return re.sub(r"^.*?\*\d+ ", "", line)


def outcome(net, binary, config):
    with Balancer(net.balancer_namespace, config, client=net.client, ready=("10.0.1.1", 1003), binary=binary) as balancer:
        said = {name: say(net) for name, say in TALKS.items()}
        assert balancer.logged("1008 200", "stream.log")
        errors = [without_numbers(line) for line in balancer.error_log.splitlines() if "connect() failed" in line]
        # nginx does not count what it has preread among $bytes_received; and 1003 has had a connection to see that it accepts.
        hits = sorted(line for line in balancer.lines("stream.log") if not line.startswith(("1003 200 TCP 0 ", "1007 200")))
    return said, errors, hits


@pytest.mark.skipif(IS_NGINX, reason="both are run")
def test_what_clients_and_logs_see_is_the_same():
    certificates = Certificates()
    try:
        names = {"a": certificates.sign("a", "a.test")}
        with Topology(servers=1) as net:
            net.certificates = certificates
            net.origin(echo)
            weir = outcome(net, Balancer.__init__.__defaults__[-1], CONFIG.format(module="", **names))
            nginx = outcome(net, "/usr/sbin/nginx", CONFIG.format(module="load_module /usr/lib/nginx/modules/ngx_stream_module.so;", **names))
    finally:
        certificates.close()
    for ours, theirs in zip(weir, nginx):
        assert ours == theirs

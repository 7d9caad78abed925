"""`stream` on Weir and on a real nginx: the same configuration, clients and servers, and the same outcome, logs included."""

import re
import ssl

import pytest
from weirtest import BINARY, IS_NGINX, Balancer, Certificates, Topology

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
    server {{ listen 10.0.1.1:1009 ssl; {a} ssl_handshake_timeout 100ms; return "late"; }}
{secured}
}}
"""
# Directives of a server of its own, from port 1020 on; what is the client's own; and what they agree on: cipher, curve, whether the
# session was resumed, and for how many seconds its ticket is good (0: none, or one in place of another).
TWO = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"
SECURED = {
    "{a}": ({}, "ECDHE-ECDSA-AES256-GCM-SHA384 X25519 . 300"),
    "{secret} ssl_password_file {passwords};": ({}, "ECDHE-ECDSA-AES256-GCM-SHA384 X25519 . 300"),
    "{a} ssl_protocols TLSv1.2;": ({"most": "1.3"}, "ECDHE-ECDSA-AES256-GCM-SHA384 X25519 . 300"),
    "{a} ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;": ({}, "ECDHE-ECDSA-AES128-GCM-SHA256 X25519 . 300"),
    "{a} ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305;":
        ({"ciphers": TWO}, "ECDHE-ECDSA-CHACHA20-POLY1305 X25519 . 300"),
    "{a} ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305; ssl_prefer_server_ciphers on;":
        ({"ciphers": TWO}, "ECDHE-ECDSA-AES128-GCM-SHA256 X25519 . 300"),
    "{a} ssl_ecdh_curve prime256v1;": ({}, "ECDHE-ECDSA-AES256-GCM-SHA384 prime256v1 . 300"),
    "{a_rsa} ssl_dhparam {dh};": ({"ciphers": "DHE-RSA-AES128-GCM-SHA256"}, "DHE-RSA-AES128-GCM-SHA256  . 300"),
    "{a} ssl_conf_command CipherString ECDHE-ECDSA-AES128-SHA;": ({}, "ECDHE-ECDSA-AES128-SHA X25519 . 300"),
    "{a} ssl_session_timeout 77s;": ({"times": 2}, "ECDHE-ECDSA-AES256-GCM-SHA384 X25519 r 77"),
    "{a} ssl_session_tickets off;": ({"times": 2}, "ECDHE-ECDSA-AES256-GCM-SHA384 X25519 . 0"),
    "{a} ssl_session_tickets off; ssl_session_cache shared:S:1m;": ({"times": 2}, "ECDHE-ECDSA-AES256-GCM-SHA384 X25519 r 0"),
    "{a} ssl_session_ticket_key {first}; ssl_session_timeout 1h;": ({"times": 2}, "ECDHE-ECDSA-AES256-GCM-SHA384 X25519 r 3600"),
    "{a} ssl_session_ticket_key {second}; ssl_session_ticket_key {first};":
        ({"before": -1}, "ECDHE-ECDSA-AES256-GCM-SHA384 X25519 r 0"),
    "{a} ssl_session_ticket_key {second};": ({"before": -2}, "ECDHE-ECDSA-AES256-GCM-SHA384 X25519 . 300"),
}
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


def agreed(net, port, most="1.2", ciphers="DEFAULT", times=1, before=0):
    """In the last of so many connections, each with the session of the one before: the first of them `before` ports from here."""
    context = ssl.create_default_context(cafile=net.certificates.path("ca.crt"))
    context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[most]
    context.set_ciphers(ciphers)
    session = None
    for there in ([port + before] if before else []) + times * [port]:
        with context.wrap_socket(net.client.connect("10.0.1.1", there, 10), server_hostname="a.test", session=session) as stream:
            said, session = stream.recv(1000).decode(), stream.session
            stream.unwrap()  # without it nginx forgets the session
    return f"{said} {session.ticket_lifetime_hint}"


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
    "nothing": lambda net: talk(net, 1009),
}
PORTS = {directives: port for port, directives in enumerate(SECURED, 1020)}
TALKS |= {directives: lambda net, port=port, ways=SECURED[directives][0]: agreed(net, port, **ways) for directives, port in PORTS.items()}


def configuration(certificates, module=""):
    path = certificates.path
    words = {name: certificates.directives(name) for name in ("a", "a_rsa")} | {name: path(name) for name in ("passwords", "dh", "first", "second")}
    words["secret"] = f"ssl_certificate {path('a.crt')}; ssl_certificate_key {path('secret.key')};"
    secured = "\n".join(f'    server {{{{ listen 10.0.1.1:{port} ssl; {directives} return "$ssl_cipher $ssl_curve $ssl_session_reused"; }}}}'
                        for directives, port in PORTS.items())
    return CONFIG.format(module=module, secured=secured.format(**words), **words)


def without_numbers(line):
    return re.sub(r"^.*?\*\d+ ", "", line)


def outcome(net, binary, config):
    with Balancer(net.balancer_namespace, config, client=net.client, ready=("10.0.1.1", 1003), binary=binary) as balancer:
        said = {name: say(net) for name, say in TALKS.items()}
        assert balancer.logged(f"{max(PORTS.values())} 200", "stream.log")
        errors = [without_numbers(line) for line in balancer.error_log.splitlines() if "connect() failed" in line]
        # nginx does not count what it has preread among $bytes_received; and 1003 has had a connection to see that it accepts.
        hits = sorted(line for line in balancer.lines("stream.log") if not line.startswith(("1003 200 TCP 0 ", "1007 200")))
    return said, errors, hits


@pytest.fixture
def certificates():
    made = Certificates()
    made.sign("a", "a.test")
    made.sign("a_rsa", "a.test", kind="rsa")
    made.encrypt("secret.key", "a.key", "open sesame")
    made.write("passwords", "open sesame\n")
    made.dh_parameters("dh", 2048)
    made.write("first", 48 * "1")
    made.write("second", 80 * "2")
    yield made
    made.close()


@pytest.mark.skipif(IS_NGINX, reason="both are run")
def test_what_clients_and_logs_see_is_the_same(certificates):
    with Topology(servers=1) as net:
        net.certificates = certificates
        net.origin(echo)
        weir = outcome(net, BINARY, configuration(certificates))
        nginx = outcome(net, "/usr/sbin/nginx", configuration(certificates, "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"))
    for ours, theirs in zip(weir, nginx):
        assert ours == theirs
    assert {directives: weir[0][directives] for directives in SECURED} == {directives: said for directives, (_, said) in SECURED.items()}

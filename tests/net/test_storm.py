"""A handshake storm beside packet-level services: those lose no packet, whether connections have lcores of their own or not."""

import json
import socket

import pytest
from test_forward import echo_datagrams
from test_weirctl import weirctl
from weirtest import Certificates, wait_for

CONFIG = """
worker_processes 1;
{main}
events {{ worker_connections 4096; }}
stream {{
    server {{ listen 10.0.1.1:5353 udp; proxy_pass 10.0.2.11:5353; forward full_nat; }}
}}
http {{
    server {{ listen 10.0.1.1:443 ssl; {certificate} return 204; }}
}}
"""
STORM = """
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
while True:
    waiting = [socket.create_connection(("10.0.1.1", 443)) for _ in range(32)]
    streams = [context.wrap_socket(s, do_handshake_on_connect=False) for s in waiting]
    for s in streams:
        s.setblocking(False)
        try:
            s.do_handshake()
        except ssl.SSLWantReadError:
            pass
    for s in streams:
        s.setblocking(True)
        s.do_handshake()
        s.close()
"""
FLOWS, AT_ONCE = 3000, 50


@pytest.fixture(scope="module")
def certificates():
    made = Certificates()
    yield made
    made.close()


def handshakes(weir):
    return json.loads(weirctl(weir, "counters", "--json").stdout)["counters"]["proxy"].get("tls_handshakes", 0)


def ask_all(client, flows, at_once):
    """How many datagrams, each of a flow of its own, are answered."""
    answered = 0
    for first in range(0, flows, at_once):
        with client.enter():
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(at_once)]
        for number, s in enumerate(sockets):
            s.settimeout(2)
            s.connect(("10.0.1.1", 5353))
            s.send(b"%d" % (first + number))
        for number, s in enumerate(sockets):
            try:
                answered += s.recv(100) == b"s1 %d" % (first + number)
            except TimeoutError:
                pass
            s.close()
    return answered


@pytest.mark.weir_only
@pytest.mark.parametrize("main", ["", "proxy_lcores 1;"], ids=["one lcore", "an lcore for connections"])
def test_no_packet_is_lost_in_a_handshake_storm(net, certificates, main):
    certificates.sign("rsa", "storm.test", kind="rsa")
    topology = net(servers=1)
    echo = echo_datagrams(topology.servers[0], "s1")
    config = CONFIG.format(main=main, certificate=certificates.directives("rsa"))
    with topology.balancer(config, ready=None) as weir:
        wait_for(lambda: "serves with" in weir.error_log, what="the start")
        storm = topology.client.popen("/usr/bin/python3", "-c", STORM)
        try:
            wait_for(lambda: handshakes(weir) > 50, what="the storm")
            before = handshakes(weir)
            assert ask_all(topology.client, FLOWS, AT_ONCE) == FLOWS
            assert handshakes(weir) > before + 50
        finally:
            for process in (storm, echo):
                process.kill()
                process.wait()

"""Servers that stop, come back, or were never there: what the clients notice of it (nothing, where that is possible)."""

import time

import pytest
from weirtest import ok, serving, wait_for

CONFIG = """
events {{ }}
http {{
    access_log access.log;
    proxy_connect_timeout 1s;
    upstream group {{
        server 10.0.2.11 {options};
        server 10.0.2.12 {options};
        server 10.0.2.13 {options};
        {more}
    }}
    server {{
        listen 10.0.1.1:80;
        location / {{ proxy_pass http://group; {location} }}
    }}
}}
"""


def config(options="", more="", location=""):
    return CONFIG.format(options=options, more=more, location=location)


def statuses(topology, requests, *words):
    return topology.curl("-o", "/dev/null", "-w", "%{http_code}\n", *words, f"http://10.0.1.1/?[1-{requests}]").split()


def test_a_stopped_server_costs_no_request(net):
    topology = net(servers=3)
    servers = topology.nginx()
    with topology.balancer(config()) as weir:
        assert topology.counts("http://10.0.1.1/", 6) == {"s1": 2, "s2": 2, "s3": 2}
        servers[1].stop()
        counts = topology.counts("http://10.0.1.1/", 40)
        assert sum(counts.values()) == 40 and set(counts) == {"s1", "s3"}
        assert weir.logged("10.0.2.12:80")


def test_a_stopped_server_under_load_costs_no_request(net):
    topology = net(servers=3)
    servers = topology.nginx()
    with topology.balancer(config(more="keepalive 16;", location='proxy_http_version 1.1; proxy_set_header Connection "";')):
        load = topology.client.popen("wrk", "-t1", "-c8", "-d3s", "http://10.0.1.1/", stdout=-1, text=True)
        time.sleep(1)
        servers[0].stop()
        report = load.communicate(timeout=20)[0]
    assert "Non-2xx" not in report and "Socket errors" not in report, report


def test_a_server_is_tried_again_after_fail_timeout(net):
    topology = net(servers=3)
    servers = topology.nginx()
    with topology.balancer(config("fail_timeout=1s")):
        servers[2].stop()
        topology.counts("http://10.0.1.1/", 10)
        servers[2].start()
        time.sleep(2.2)  # nginx counts whole seconds
        assert "s3" in topology.counts("http://10.0.1.1/", 10)


def test_max_fails_takes_a_server_out(net):
    """After two failures within fail_timeout, s1 is asked no more."""
    topology = net(servers=3)
    topology.nginx(2, 3)
    failing = topology.origin(lambda stream: stream.request_head(), port=80)
    with topology.balancer(config("max_fails=2 fail_timeout=30s")):
        assert statuses(topology, 30) == ["200"] * 30
    assert failing.connections == 2


def test_max_fails_0_never_takes_a_server_out(net):
    topology = net(servers=3)
    topology.nginx(2, 3)
    failing = topology.origin(lambda stream: stream.request_head(), port=80)
    with topology.balancer(config("max_fails=0")):
        assert statuses(topology, 30) == ["200"] * 30
    assert failing.connections >= 10


def test_all_servers_refusing_is_502(net):
    topology = net(servers=3)
    with topology.balancer(config()) as weir:
        assert statuses(topology, 3) == ["502"] * 3
        assert weir.logged("no live upstreams while connecting to upstream")


def test_all_servers_down_is_502(net):
    topology = net(servers=3)
    with topology.balancer(config("down")) as weir:
        assert statuses(topology, 2) == ["502", "502"]
        assert weir.logged("no live upstreams")


def test_a_server_that_eats_packets_costs_a_timeout_and_no_request(net):
    topology = net(servers=3)
    topology.nginx()
    topology.servers[0].run("nft", "add table ip t; add chain ip t i { type filter hook prerouting priority -300; }; "
                            "add rule ip t i tcp dport 80 drop")
    with topology.balancer(config()):
        start = time.monotonic()
        assert statuses(topology, 9) == ["200"] * 9
        assert 0.8 < time.monotonic() - start < 4


def test_a_post_is_not_repeated_once_it_was_sent(net):
    """proxy_next_upstream without non_idempotent: the server may have done it already."""
    topology = net(servers=3)
    topology.nginx(2, 3)
    asked = topology.origin(lambda stream: stream.read_request(), port=80)
    with topology.balancer(config("max_fails=0")):
        codes = statuses(topology, 6, "-X", "POST", "-d", "x")
    assert codes.count("502") == asked.connections == 2


def test_a_post_goes_on_when_it_could_not_be_sent(net):
    topology = net(servers=3)
    topology.nginx(2, 3)
    with topology.balancer(config("max_fails=0")):
        codes = statuses(topology, 6, "-X", "POST", "-d", "x")
    assert "502" not in codes


@pytest.mark.parametrize("status", ["500", "502", "503", "504", "403", "404", "429"])
def test_next_upstream_on_a_status(net, status):
    topology = net(servers=3)
    topology.nginx(2, 3)
    bad = topology.origin(serving(lambda request: ok("bad", status=f"{status} Bad")), port=80)
    with topology.balancer(config("max_fails=0", location=f"proxy_next_upstream http_{status};")):
        assert statuses(topology, 9) == ["200"] * 9
    assert bad.connections == 3


def test_a_bad_status_is_passed_on_by_default(net):
    topology = net(servers=3)
    topology.nginx(2, 3)
    topology.origin(serving(lambda request: ok("bad", status="503 Bad")), port=80)
    with topology.balancer(config()):
        assert statuses(topology, 9).count("503") == 3


def test_next_upstream_off(net):
    topology = net(servers=3)
    topology.nginx(2, 3)
    with topology.balancer(config("max_fails=0", location="proxy_next_upstream off;")):
        assert statuses(topology, 9).count("502") == 3


def test_next_upstream_tries(net):
    topology = net(servers=3)
    topology.nginx(3)
    with topology.balancer(config("max_fails=0", location="proxy_next_upstream_tries 2;")):
        assert sorted(set(statuses(topology, 9))) == ["200", "502"]


def test_an_unreachable_answer_of_a_router_ends_the_attempt_at_once(net):
    """An ICMP error about our SYN: no waiting for the timeout."""
    topology = net(servers=3)
    topology.nginx(2, 3)
    topology.servers[0].run("nft", "add table ip t; add chain ip t i { type filter hook input priority 0; }; "
                            "add rule ip t i tcp dport 80 reject with icmp type admin-prohibited")
    with topology.balancer(config(location="proxy_connect_timeout 8s;")) as weir:
        start = time.monotonic()
        assert statuses(topology, 6) == ["200"] * 6
        assert time.monotonic() - start < 4
        assert weir.logged("connect() failed (113: ")


def test_a_server_that_comes_up_late_is_found(net):
    topology = net(servers=3)
    with topology.balancer(config("fail_timeout=1s")):
        assert statuses(topology, 1) == ["502"]
        topology.nginx()
        wait_for(lambda: set(statuses(topology, 6)) == {"200"}, 5, "answers from servers that came up")

"""HUP while traffic flows: a new configuration takes over, nobody is cut off, and a bad one changes nothing."""

import signal
import time

import pytest
from weirtest import Topology, ok, pattern, wait_for

CONFIG = """
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    upstream group {{ {servers} keepalive 32; }}
    server {{
        listen 10.0.1.1:80;
        {listen}
        location / {{ proxy_pass http://group; proxy_http_version 1.1; proxy_set_header Connection ""; }}
        location /slow {{ proxy_pass http://10.0.2.11:8080; }}
        location /version {{ return 200 "{version}"; }}
    }}
}}
"""


def config(version="one", servers="server 10.0.2.11;", listen=""):
    return CONFIG.format(version=version, servers=servers, listen=listen)


@pytest.fixture
def two(net):
    topology = net(servers=2)
    topology.nginx()
    return topology


def version(topology):
    return topology.get("/version").text


def test_a_new_configuration_takes_over(two):
    with two.balancer(config()) as weir:
        assert two.counts("http://10.0.1.1/", 4) == {"s1": 4}
        weir.reload(config("two", "server 10.0.2.12;"))
        wait_for(lambda: version(two) == "two")
        wait_for(lambda: two.counts("http://10.0.1.1/", 4) == {"s2": 4})


@pytest.mark.weir_only
def test_reloads_under_load_fail_no_request(two):
    """Kept connections stay; nginx closes them when its workers change."""
    with two.balancer(config()) as weir:
        load = two.client.popen("wrk", "-t1", "-c16", "-d6s", "http://10.0.1.1/", stdout=-1, text=True)
        for number in range(5):
            time.sleep(0.9)
            weir.reload(config(f"v{number}", "server 10.0.2.11; server 10.0.2.12;" if number % 2 else "server 10.0.2.12;"))
        report = load.communicate(timeout=30)[0]
        assert "Non-2xx" not in report and "Socket errors" not in report, report
        wait_for(lambda: version(two) == "v4")


def test_new_connections_under_load_fail_no_request(two):
    """curl opens a connection per request, all through the reloads."""
    with two.balancer(config()) as weir:
        load = two.client.popen("curl", "-s", "--no-keepalive", "-H", "Connection: close", "-o", "/dev/null", "-w",
                                "%{http_code}\n", "http://10.0.1.1/?[1-1500]", stdout=-1, text=True)
        for number in range(4):
            time.sleep(0.2)
            weir.reload(config(f"v{number}"))
        codes = load.communicate(timeout=60)[0].split()
        assert codes == ["200"] * 1500


def test_a_request_in_flight_finishes_on_the_old_configuration(two):
    def slow(stream):
        stream.request_head()
        time.sleep(1.5)
        stream.send(ok(pattern(100000)))

    two.origin(slow)
    with two.balancer(config()) as weir:
        with two.connect() as stream:
            stream.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.3)
            weir.reload(config("two").replace("10.0.2.11:8080", "10.0.2.12:9"))
            wait_for(lambda: version(two) == "two")
            assert stream.response().body == pattern(100000)


def test_a_bad_configuration_changes_nothing(two):
    with two.balancer(config()) as weir:
        weir.reload(config("two").replace("keepalive 32", "nonsense 32"))
        wait_for(lambda: 'unknown directive "nonsense" in' in weir.error_log)
        time.sleep(0.3)
        assert version(two) == "one"
        assert two.counts("http://10.0.1.1/", 4) == {"s1": 4}
        weir.reload(config("three"))
        wait_for(lambda: version(two) == "three")


@pytest.mark.weir_only
def test_the_first_device_of_dpdk_needs_a_restart(two):
    """Packet buffers are where such a device could not reach them."""
    with two.balancer(config()) as weir:
        weir.reload('interface front { } interface back { } interface "vdev:net_tap0" { }' + config("two"))
        wait_for(lambda: "the first device of DPDK's needs a restart" in weir.error_log)
        assert version(two) == "one"


def test_listening_addresses_come_and_go(two):
    def answers(port):
        try:
            return two.get("/version", port=port).text
        except OSError:
            return None

    with two.balancer(config()) as weir:
        assert answers(8088) is None
        weir.reload(config("two", listen="listen 10.0.1.1:8088;"))
        wait_for(lambda: answers(8088) == "two")
        weir.reload(config("three"))
        wait_for(lambda: answers(8088) is None)
        assert version(two) == "three"


def test_logs_move_with_the_configuration(two):
    with two.balancer(config().replace("access_log off", "access_log first.log")) as weir:
        two.get("/version")
        weir.lines("first.log", 1)
        weir.reload(config("two").replace("access_log off", "access_log second.log"))
        wait_for(lambda: version(two) == "two")
        assert weir.lines("second.log", 1)


def test_quit_finishes_what_is_under_way(two):
    def slow(stream):
        stream.request_head()
        time.sleep(1)
        stream.send(ok("done"))

    two.origin(slow)
    with two.balancer(config()) as weir:
        with two.connect() as stream:
            stream.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.3)
            weir.send_signal(signal.SIGQUIT)
            assert stream.response().text == "done"
        assert weir.wait_exit() == 0


def test_term_ends_at_once(net):
    with Topology(servers=1) as topology:
        topology.origin(lambda stream: (stream.request_head(), time.sleep(20)))
        with topology.balancer(config()) as weir:
            with topology.connect() as stream:
                stream.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                time.sleep(0.3)
                start = time.monotonic()
                weir.send_signal(signal.SIGTERM)
                assert weir.wait_exit() == 0
                assert time.monotonic() - start < 3

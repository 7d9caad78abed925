"""Loopback alone: `interface lo`, 127.0.0.1, servers on the same machine. In a namespace of its own here."""

import pytest
from weirtest import Balancer, Namespace, Nginx, Origin, Stream, ok, pattern, serving

CONFIG = """
interface lo { }
events { }
http {
    access_log access.log;
    client_max_body_size 0;
    upstream group { server 127.0.0.1:9001; server 127.0.0.1:9002; server 127.0.0.1:9003; }
    server {
        listen 127.0.0.1:8080;
        location / { proxy_pass http://group; }
        location /echo { proxy_pass http://127.0.0.1:9004; proxy_http_version 1.1; }
    }
}
"""


@pytest.fixture
def local():
    namespace = Namespace("local")
    running = []
    try:
        namespace.ip("address", "add", "10.7.0.1/32", "dev", "lo")
        running += [Nginx(namespace, f"s{number}", [f"127.0.0.1:{9000 + number}"]) for number in (1, 2, 3)]
        running.append(Origin(namespace, "127.0.0.1", 9004, serving(lambda request: ok(request.body))))
        yield namespace
    finally:
        for one in running:
            one.close()
        namespace.delete()


def curl(local, *words):
    return local.run("curl", "-sS", "--max-time", "10", *words).stdout.split()


@pytest.mark.parametrize("interface", ["interface lo { }", ""], ids=["named", "found"])
def test_round_robin_on_loopback(local, interface):
    with Balancer(local, CONFIG.replace("interface lo { }", interface), ready=("127.0.0.1", 8080)):
        names = curl(local, "-H", "Connection: close", "http://127.0.0.1:8080/?[1-30]")
    assert {name: names.count(name) for name in names} == {"s1": 10, "s2": 10, "s3": 10}


def test_large_bodies_on_loopback(local):
    """Local kernels send frames far above the MTU and sums that are not filled in."""
    with Balancer(local, CONFIG, ready=("127.0.0.1", 8080)):
        with Stream(local.connect("127.0.0.1", 8080), 20) as stream:
            for size in (1000, 70000, 5 << 20):
                assert stream.request("POST", "/echo", body=pattern(size)).body == pattern(size)


def test_other_loopback_traffic_is_left_alone(local):
    with Balancer(local, CONFIG, ready=("127.0.0.1", 8080)):
        local.run("ping", "-c2", "-i0.2", "127.0.0.1")
        assert curl(local, "http://127.0.0.1:9001/") == ["s1"]
        with Stream(local.connect("127.0.0.1", 9004)) as stream:
            assert stream.request("POST", "/", body=pattern(1 << 20)).body == pattern(1 << 20)


@pytest.mark.weir_only
def test_what_it_changes_on_lo_is_logged_and_restored(local):
    def state():
        return (local.run("sysctl", "net.ipv4.conf.lo.route_localnet", "net.ipv4.conf.lo.accept_local").stdout,
                local.run("ethtool", "-k", "lo").stdout)

    before = state()
    with Balancer(local, CONFIG, ready=("127.0.0.1", 8080)) as weir:
        curl(local, "http://127.0.0.1:8080/")
        if state() != before:
            assert weir.logged("lo")
    assert state() == before


def test_it_is_refused_again_when_it_has_gone(local):
    with Balancer(local, CONFIG, ready=("127.0.0.1", 8080)):
        pass
    done = local.run("curl", "-sS", "--max-time", "5", "http://127.0.0.1:8080/", check=False)
    assert done.returncode == 7, done.stdout

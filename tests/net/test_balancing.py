"""Three real nginx servers behind the balancer; curl sees who answers, for every method of balancing."""

import pytest
from weirtest import Origin, ok, serving

CONFIG = """
events {{ }}
http {{
    access_log access.log;
    upstream group {{
        {method}
        server 10.0.2.11 {first};
        server 10.0.2.12 {second};
        server 10.0.2.13 {third};
    }}
    server {{
        listen 10.0.1.1:80;
        location / {{ proxy_pass http://group; }}
    }}
}}
"""


def config(method="", first="", second="", third=""):
    return CONFIG.format(method=method, first=first, second=second, third=third)


@pytest.fixture
def three(net):
    topology = net(servers=3)
    topology.nginx()
    return topology


def test_round_robin(three):
    with three.balancer(config()):
        assert three.counts("http://10.0.1.1/", 30) == {"s1": 10, "s2": 10, "s3": 10}
        assert three.counts_by_connection("http://10.0.1.1/", 30) == {"s1": 10, "s2": 10, "s3": 10}


def test_round_robin_is_smooth(three):
    """nginx's smooth weighted round robin: 5, 1, 1 gives a a b a c a a."""
    with three.balancer(config(first="weight=5")):
        names = three.curl("http://10.0.1.1/?[1-14]").split()
    assert names == "s1 s1 s2 s1 s3 s1 s1".split() * 2


def test_weights(three):
    with three.balancer(config(first="weight=3", second="weight=2")):
        assert three.counts("http://10.0.1.1/", 60) == {"s1": 30, "s2": 20, "s3": 10}


def test_down_gets_nothing(three):
    with three.balancer(config(second="down")):
        assert three.counts("http://10.0.1.1/", 20) == {"s1": 10, "s3": 10}


def test_backup_gets_nothing_while_others_live(three):
    with three.balancer(config(third="backup")):
        assert three.counts("http://10.0.1.1/", 20) == {"s1": 10, "s2": 10}


def test_backup_takes_over(net):
    topology = net(servers=3)
    topology.nginx(3)
    with topology.balancer(config(third="backup")):
        assert topology.counts("http://10.0.1.1/", 20) == {"s3": 20}


def test_least_conn_without_load_takes_turns(three):
    with three.balancer(config("least_conn;")):
        assert three.counts("http://10.0.1.1/", 30) == {"s1": 10, "s2": 10, "s3": 10}


def test_least_conn_avoids_the_busy_server(net):
    """s1 is held by a request that does not end; ten more go to the others."""
    topology = net(servers=3)
    topology.nginx(2, 3)
    held = []
    topology.origin(lambda stream: (stream.request_head(), held.append(stream), stream.closed(20)), port=80)
    with topology.balancer(config("least_conn;")):
        waiting = topology.connect()
        waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        counts = topology.counts("http://10.0.1.1/", 10)
        waiting.close()
    assert (len(held), sum(counts.values())) == (1, 10)
    assert "s1" not in counts


def test_ip_hash_keeps_a_client_with_its_server(three):
    """The first three octets decide: one answer per client, and the same for two addresses of one /24."""
    three.client.ip("address", "add", "10.0.1.77/24", "dev", "eth0")
    for third in range(10):
        three.client.ip("address", "add", f"10.9.{third}.1/32", "dev", "lo")
    three.balancer_namespace.ip("route", "add", "10.9.0.0/16", "via", "10.0.1.2")
    with three.balancer(config("ip_hash;")):
        one = three.counts_by_connection("http://10.0.1.1/", 5)
        assert len(one) == 1
        assert three.counts_by_connection("http://10.0.1.1/", 5, "--interface", "10.0.1.77") == one
        names = set()
        for third in range(10):
            names |= set(three.counts_by_connection("http://10.0.1.1/", 2, "--interface", f"10.9.{third}.1"))
        assert len(names) > 1


@pytest.mark.parametrize("method", ["hash $arg_k;", "hash $arg_k consistent;",
                                    pytest.param("maglev $arg_k;", marks=pytest.mark.weir_only)])
def test_hash_follows_its_key(three, method):
    with three.balancer(config(method)):
        keys = {key: {three.get(f"/?k={key}").text.strip() for _ in range(3)} for key in range(40)}
    assert all(len(names) == 1 for names in keys.values())
    spread = [sum(names == {server} for names in keys.values()) for server in ("s1", "s2", "s3")]
    assert min(spread) >= 3, spread


@pytest.mark.parametrize("method", ["hash $arg_k consistent;", pytest.param("maglev $arg_k;", marks=pytest.mark.weir_only)])
def test_consistent_methods_move_few_keys_when_a_server_goes(three, method):
    def placed():
        return {key: three.get(f"/?k={key}").text.strip() for key in range(60)}

    with three.balancer(config(method)) as weir:
        before = placed()
        weir.reload(config(method, third="down"))
        three.client.run("sleep", "0.5")
        after = placed()
    moved = [key for key in before if before[key] != after[key]]
    assert set(after.values()) == {"s1", "s2"}
    stayed = [key for key in moved if before[key] != "s3"]
    assert len(stayed) <= 3, "keys of the servers that stayed hardly move"


@pytest.mark.weir_only
def test_maglev_keeps_a_client_with_its_server(three):
    with three.balancer(config("maglev;")):
        assert len(three.counts_by_connection("http://10.0.1.1/", 20)) == 1


@pytest.mark.parametrize("method", ["random;", "random two;", "random two least_conn;"])
def test_random_reaches_all(three, method):
    with three.balancer(config(method)):
        counts = three.counts("http://10.0.1.1/", 90)
    assert set(counts) == {"s1", "s2", "s3"} and min(counts.values()) >= 10, counts


@pytest.mark.parametrize("method", ["", "least_conn;", "ip_hash;", "hash $uri;", "hash $uri consistent;", "random;",
                                    "random two;", pytest.param("maglev;", marks=pytest.mark.weir_only)])
def test_every_method_gets_past_a_dead_server(net, method):
    topology = net(servers=3)
    topology.nginx(1, 2)
    with topology.balancer(config(method)):
        statuses = topology.curl("-o", "/dev/null", "-w", "%{http_code}\n", "http://10.0.1.1/?[1-30]").split()
    assert statuses == ["200"] * 30


def test_servers_share_a_machine_by_port(net):
    """Two servers that differ in their port only are two servers."""
    topology = net(servers=1)
    for port in (8001, 8002):
        topology.running.append(Origin(topology.servers[0], "10.0.2.11", port,
                                       serving(lambda request, port=port: ok(f"{port}\n"))))
    text = """
    events { }
    http {
        access_log off;
        upstream group { server 10.0.2.11:8001; server 10.0.2.11:8002; }
        server { listen 10.0.1.1:80; location / { proxy_pass http://group; } }
    }
    """
    with topology.balancer(text):
        assert topology.counts("http://10.0.1.1/", 20) == {"8001": 10, "8002": 10}
